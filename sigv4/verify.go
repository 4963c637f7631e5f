package sigv4

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pithos/pithos/internal/s3err"
)

// DefaultMaxSkew is the maximum difference to a client's clock, as on AWS.
const DefaultMaxSkew = 15 * time.Minute

// Options are the server's requirements.
type Options struct {
	Region  string        // "" accepts any region
	Others  []string      // regions accepted besides Region
	Service string        // default "s3"
	Now     time.Time     // default time.Now()
	MaxSkew time.Duration // default DefaultMaxSkew
}

func (o Options) withDefaults() Options {
	if o.Service == "" {
		o.Service = "s3"
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.MaxSkew == 0 {
		o.MaxSkew = DefaultMaxSkew
	}
	o.Now = o.Now.UTC()
	return o
}

// SigningContext is what the reader of a verified request's body needs: the signing
// key and the seed signature. It prints only as the name of its type.
type SigningContext struct {
	key       []byte
	seed      string
	timestamp string
	scope     string
}

// String hides the key.
func (*SigningContext) String() string { return "sigv4.SigningContext" }

// GoString hides the key.
func (*SigningContext) GoString() string { return "sigv4.SigningContext" }

// Check checks scope and time, which need no secret. Verify checks them too; a
// caller uses Check to refuse a request before it looks the key up.
func Check(a *Auth, o Options) error {
	o = o.withDefaults()
	if err := a.checkScope(o); err != nil {
		return err
	}
	if a.Presigned {
		return a.checkLife(o)
	}
	if a.Time.Before(o.Now.Add(-o.MaxSkew)) || a.Time.After(o.Now.Add(o.MaxSkew)) {
		return s3err.New(s3err.RequestTimeTooSkewed).
			With("RequestTime", a.Time.Format(TimeFormat)).
			With("ServerTime", o.Now.Format(time.RFC3339)).
			With("MaxAllowedSkewMilliseconds", strconv.FormatInt(o.MaxSkew.Milliseconds(), 10))
	}
	return nil
}

func (a *Auth) checkScope(o Options) error {
	bad := complain(malformed)
	if a.Presigned {
		bad = badParameter("X-Amz-Credential")
	}
	if a.Scope.Service != o.Service {
		return bad("incorrect service %q. This endpoint belongs to %q.", clip(a.Scope.Service), o.Service)
	}
	if o.Region != "" && a.Scope.Region != o.Region && !slices.Contains(o.Others, a.Scope.Region) {
		return bad("the region '%s' is wrong; expecting '%s'", clip(a.Scope.Region), o.Region).With("Region", o.Region)
	}
	return nil
}

func (a *Auth) checkLife(o Options) error {
	if a.Time.After(o.Now.Add(o.MaxSkew)) {
		return s3err.Newf(s3err.AccessDenied, "Request is not valid yet").
			With("RequestTime", a.Time.Format(time.RFC3339)).With("ServerTime", o.Now.Format(time.RFC3339))
	}
	if end := a.Time.Add(a.Expires); o.Now.After(end) {
		return s3err.Newf(s3err.AccessDenied, "Request has expired").
			With("X-Amz-Expires", strconv.FormatInt(int64(a.Expires/time.Second), 10)).
			With("Expires", end.Format(time.RFC3339)).With("ServerTime", o.Now.Format(time.RFC3339))
	}
	return nil
}

// Verify checks scope and time, and the signature against the secret of a.AccessKey.
// The errors are *s3err.Error: those of Check, and SignatureDoesNotMatch with the
// server's canonical request and string to sign. With an empty secret no signature
// is valid.
func Verify(a *Auth, secret string, o Options) (*SigningContext, error) {
	if err := Check(a, o); err != nil {
		return nil, err
	}
	key := SigningKey(secret, a.Scope.Date, a.Scope.Region, a.Scope.Service)
	variants := a.request.variants()
	for _, v := range variants {
		sts := stringToSign(a.Time, a.Scope.String(), a.request.canonicalRequest(v, false))
		if secret != "" && Equal(SignString(key, sts), a.Signature) {
			return &SigningContext{key: key, seed: a.Signature, timestamp: a.Time.Format(TimeFormat), scope: a.Scope.String()}, nil
		}
	}
	return nil, a.mismatch(variants[0])
}

func (a *Auth) mismatch(v variant) *s3err.Error {
	e := s3err.New(s3err.SignatureDoesNotMatch).With("AWSAccessKeyId", a.AccessKey).With("SignatureProvided", a.Signature)
	sts := stringToSign(a.Time, a.Scope.String(), a.request.canonicalRequest(v, false))
	canonical := a.request.canonicalRequest(v, true)
	// Not clipped: developers compare them with their own to find a mistake.
	e.Details = append(e.Details,
		s3err.Detail{Name: "StringToSignBytes", Value: hexBytes(sts)}, s3err.Detail{Name: "CanonicalRequestBytes", Value: hexBytes(canonical)},
		s3err.Detail{Name: "StringToSign", Value: sts}, s3err.Detail{Name: "CanonicalRequest", Value: canonical})
	return e
}

// hexBytes returns the bytes of a text in hex, as AWS does: "41 57 53 34".
func hexBytes(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.Write([]byte{digits[s[i]>>4], digits[s[i]&15]})
	}
	return b.String()
}
