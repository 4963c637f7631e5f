package s3api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/sigv2"
	"github.com/pithos/pithos/sigv4"
)

// ErrUnknownAccessKey is the error of [Keys] for a key that does not exist.
var ErrUnknownAccessKey = errors.New("unknown access key")

// Keys finds access keys.
type Keys interface {
	// Lookup returns the identity of a key. ErrUnknownAccessKey, or an engine's
	// error.
	Lookup(ctx context.Context, accessKeyID string) (Identity, error)
}

// Identity identifies a caller. The zero Identity is the anonymous caller.
type Identity struct {
	AccessKey string
	Secret    string
	// Tenant is the account: its canonical id and its display name.
	Tenant string
	// Master keys may do everything.
	Master bool
	// Groups are URIs of groups that the tenant belongs to.
	Groups []string
}

// AnonymousID is the canonical id of the anonymous user, as on AWS. It owns the
// objects that are written without credentials, in buckets that allow that.
const AnonymousID = "65a011a29cdf8ec533ec3d1ccaae921c"

// Anonymous reports whether the request carried no credentials.
func (i Identity) Anonymous() bool { return i.AccessKey == "" }

// CanonicalID returns the tenant, or AnonymousID.
func (i Identity) CanonicalID() string {
	if i.Anonymous() {
		return AnonymousID
	}
	return i.Tenant
}

// String hides the secret.
func (i Identity) String() string { return "access key " + i.AccessKey + " of " + i.CanonicalID() }

// GoString hides the secret.
func (i Identity) GoString() string { return i.String() }

// authenticate identifies the caller, and makes the body readable. A request
// without any credentials is anonymous. One with invalid credentials is refused.
func (a *API) authenticate(r *Request) error {
	switch {
	case r.Op.Public:
		return nil
	case r.Op.Authenticate != nil:
		r.ContentLength, r.Body = r.Request.ContentLength, r.Request.Body
		return r.Op.Authenticate(a, r)
	case sigv4.Signed(r.Request):
		return a.authenticateV4(r)
	case sigv2.Signed(r.Request):
		return a.authenticateV2(r)
	}
	if values, ok := r.Header["Authorization"]; ok {
		if len(values) == 1 && values[0] == "" {
			return fail(s3err.AccessDenied)
		}
		return unsupportedAuthorization(values[0])
	}
	return a.openPlain(r)
}

// unsupportedAuthorization refuses an Authorization header of another scheme. The
// error does not repeat the credentials.
func unsupportedAuthorization(value string) *s3err.Error {
	scheme, _, ok := strings.Cut(value, " ")
	if !ok {
		return badArgument("Authorization", "", "Authorization header is invalid -- one and only one ' ' (space) required")
	}
	return badArgument("Authorization", scheme, "Unsupported Authorization Type")
}

// insistsOn returns the requirements for signatures of version 4.
func (a *API) insistsOn() sigv4.Options {
	o := sigv4.Options{MaxSkew: a.options.MaxSkew, Now: a.options.Now()}
	if a.options.EnforceRegion {
		o.Region, o.Others = a.options.Region, a.options.Regions
	}
	return o
}

func (a *API) authenticateV4(r *Request) error {
	o := a.insistsOn()
	auth, err := sigv4.Parse(r.Request)
	if err != nil {
		return err
	}
	if err := sigv4.Check(auth, o); err != nil {
		return err
	}
	id, err := a.Lookup(r.Context(), auth.AccessKey, auth.SecurityToken)
	if err != nil {
		return err
	}
	signing, err := sigv4.Verify(auth, id.Secret, o)
	if err != nil {
		return err
	}
	r.Caller, r.signed, r.signatureVersion = id, auth.Time, sigv4.Algorithm
	r.authType, r.payload = authType(auth.Presigned), auth.PayloadValue
	if err := a.hoist(r, auth.Hoisted); err != nil {
		return err
	}
	body, err := sigv4.NewBody(r.Request.Body, r.Header, auth, signing)
	if err != nil {
		return err
	}
	r.Body, r.ContentLength, r.Trailer = body, r.Request.ContentLength, body.Trailer
	if body.Length >= 0 {
		r.ContentLength = body.Length
	}
	return nil
}

func (a *API) authenticateV2(r *Request) error {
	if a.options.DisableV2 {
		return failf(s3err.InvalidRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	}
	o := sigv2.Options{MaxSkew: a.options.MaxSkew, Now: a.options.Now()}
	auth, err := sigv2.Parse(r.Request)
	if err != nil {
		return err
	}
	if err := sigv2.Check(auth, o); err != nil {
		return err
	}
	id, err := a.Lookup(r.Context(), auth.AccessKey, auth.SecurityToken)
	if err != nil {
		return err
	}
	bucket := ""
	if r.byHost {
		bucket = r.BucketName
	}
	if err := sigv2.Verify(auth, id.Secret, bucket, o); err != nil {
		return err
	}
	r.Caller, r.signed, r.signatureVersion = id, auth.Time, "AWS"
	r.authType = authType(auth.Presigned)
	if err := a.hoist(r, auth.Hoisted); err != nil {
		return err
	}
	return a.openPlain(r)
}

// authType returns the value of s3:authType.
func authType(presigned bool) string {
	if presigned {
		return "REST-QUERY-STRING"
	}
	return "REST-HEADER"
}

// Lookup returns the identity of an access key. The caller verifies the signature
// with its secret. InvalidAccessKeyId, InvalidToken (there are no temporary
// credentials).
func (a *API) Lookup(ctx context.Context, accessKey, token string) (Identity, error) {
	if token != "" {
		return Identity{}, fail(s3err.InvalidToken).WithHint("there are no temporary credentials here: use an access key without a session token")
	}
	id, err := a.options.Keys.Lookup(ctx, accessKey)
	if errors.Is(err, ErrUnknownAccessKey) {
		return Identity{}, fail(s3err.InvalidAccessKeyID).With("AWSAccessKeyId", accessKey)
	}
	if err == nil && (id.Secret == "" || id.Tenant == "" || id.AccessKey == "") {
		return Identity{}, fail(s3err.InvalidAccessKeyID).With("AWSAccessKeyId", accessKey)
	}
	return id, err
}

// hoist makes headers of the x-amz-* parameters of a presigned request: AWS reads
// each of them as a header, and SDKs put all such headers into the query. From here
// on, handlers and policy conditions see them as headers. If the request has the
// header too, that was signed as well, and counts. The headers can change the
// operation, so the request is routed again: a PUT with x-amz-copy-source is a
// copy.
//
// Checksum values are the exception: see unverifiedInQuery.
func (a *API) hoist(r *Request, fields http.Header) error {
	for name, values := range fields {
		if unverifiedInQuery(name) {
			continue
		}
		if _, ok := r.Header[name]; !ok {
			r.Header[name] = values
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return a.route(r)
}

// unverifiedInQuery reports whether a header field means nothing in the query
// of a presigned request: the checksum of a body, and the name of its
// algorithm. AWS does not verify a checksum there. The AWS SDK for JavaScript
// signs the checksum of the empty body into every presigned PUT by default,
// because it has no other body when it signs. A signer that wants the body to
// be verified signs x-amz-checksum-* as a header.
func unverifiedInQuery(name string) bool {
	algorithm, ok := strings.CutPrefix(name, checksumPrefix)
	return ok && checksumBytes[strings.ToUpper(algorithm)] != 0 || name == "X-Amz-Sdk-Checksum-Algorithm"
}

// openPlain makes the body of a request readable that is not signed by version 4.
// It may be aws-chunked without signatures, or have a declared hash.
func (a *API) openPlain(r *Request) error {
	auth := &sigv4.Auth{PayloadValue: r.Header.Get("X-Amz-Content-Sha256")}
	if auth.PayloadValue != "" {
		var err error
		if auth.Payload, err = sigv4.ParsePayload(auth.PayloadValue); err != nil {
			return err
		}
		if auth.Payload.Signed() {
			return failf(s3err.InvalidRequest, "The payload is declared to have signed chunks, but the request is not signed with AWS4-HMAC-SHA256.")
		}
	}
	body, err := sigv4.NewBody(r.Request.Body, r.Header, auth, nil)
	if err != nil {
		return err
	}
	r.Body, r.ContentLength, r.Trailer = body, r.Request.ContentLength, body.Trailer
	if body.Length >= 0 {
		r.ContentLength = body.Length
	}
	return nil
}
