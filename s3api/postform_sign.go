package s3api

import (
	"math"
	"strings"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/sigv2"
	"github.com/pithos/pithos/sigv4"
)

// The fields that sign a form: one by version 2, the others by version 4.
var (
	formFieldsV2 = []string{"AWSAccessKeyId", "Signature"}
	formFieldsV4 = []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature"}
)

// formAuthType is the value of s3:authType for a form.
const formAuthType = "POST"

// formCaller verifies the signature of a form's policy. A form without any
// field of a signature and without a policy is anonymous.
func (a *API) formCaller(r *Request, f *form) (Identity, error) {
	v2, v4 := f.hasAny(formFieldsV2), f.hasAny(formFieldsV4)
	if !v2 && !v4 && !f.has("policy") && !f.has("x-amz-security-token") {
		return Identity{}, nil
	}
	if v2 && v4 {
		return Identity{}, failf(s3err.InvalidArgument, "Only one auth mechanism allowed: a form is signed by AWS4-HMAC-SHA256 or by signature version 2.")
	}
	needed, verify := formFieldsV2, a.formCallerV2
	if v4 {
		needed, verify = formFieldsV4, a.formCallerV4
	}
	for _, name := range append([]string{"policy"}, needed...) {
		if f.fields[strings.ToLower(name)] == "" {
			return Identity{}, missingField(name)
		}
	}
	return verify(r, f)
}

func (f *form) hasAny(names []string) bool {
	for _, name := range names {
		if f.has(strings.ToLower(name)) {
			return true
		}
	}
	return false
}

func missingField(name string) *s3err.Error {
	return badArgument(name, "", "Bucket POST must contain a field named '%s'.  If it is specified, please check the order of the fields.", name)
}

// formCallerV2 verifies the base64 HMAC-SHA1 of the policy.
func (a *API) formCallerV2(r *Request, f *form) (Identity, error) {
	if a.options.DisableV2 {
		return Identity{}, failf(s3err.InvalidRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	}
	id, err := a.Lookup(r.Context(), f.fields["awsaccesskeyid"], f.fields["x-amz-security-token"])
	if err != nil {
		return Identity{}, err
	}
	if given := f.fields["signature"]; !sigv2.Equal(given, sigv2.SignString(id.Secret, f.fields["policy"])) {
		return Identity{}, formMismatch(f, id.AccessKey, given)
	}
	r.authType, r.signatureVersion, r.payload = formAuthType, "AWS", sigv4.PayloadUnsigned.String()
	return id, nil
}

// formCallerV4 verifies the hex HMAC-SHA256 of the policy. (Creating a POST
// Policy, Calculating a Signature.) The policy says when it expires.
func (a *API) formCallerV4(r *Request, f *form) (Identity, error) {
	if v := f.fields["x-amz-algorithm"]; v != sigv4.Algorithm {
		return Identity{}, badArgument("X-Amz-Algorithm", v, "X-Amz-Algorithm only supports \"%s\"", sigv4.Algorithm)
	}
	signed, err := time.Parse(sigv4.TimeFormat, f.fields["x-amz-date"])
	if err != nil {
		return Identity{}, badArgument("X-Amz-Date", f.fields["x-amz-date"], "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
	}
	auth, err := parseFormCredential(f.fields["x-amz-credential"])
	if err != nil {
		return Identity{}, err
	}
	if auth.Time = signed; auth.Scope.Date != signed.Format("20060102") {
		return Identity{}, badArgument("X-Amz-Credential", f.fields["x-amz-credential"], "The date of the X-Amz-Credential must be that of the X-Amz-Date.")
	}
	if err := sigv4.Check(auth, a.insistsOn()); err != nil {
		return Identity{}, err
	}
	id, err := a.Lookup(r.Context(), auth.AccessKey, f.fields["x-amz-security-token"])
	if err != nil {
		return Identity{}, err
	}
	key := sigv4.SigningKey(id.Secret, auth.Scope.Date, auth.Scope.Region, auth.Scope.Service)
	if given := f.fields["x-amz-signature"]; !sigv4.Equal(given, sigv4.SignString(key, f.fields["policy"])) {
		return Identity{}, formMismatch(f, id.AccessKey, given)
	}
	r.authType, r.signatureVersion, r.signed, r.payload = formAuthType, sigv4.Algorithm, signed, sigv4.PayloadUnsigned.String()
	return id, nil
}

// parseFormCredential parses key/date/region/service/aws4_request; the key may
// contain slashes. The returned Auth does not expire.
func parseFormCredential(v string) (*sigv4.Auth, error) {
	parts := strings.Split(v, "/")
	n := len(parts)
	if n < 5 || parts[n-1] != "aws4_request" || strings.Join(parts[:n-4], "") == "" || parts[n-3] == "" {
		return nil, badArgument("X-Amz-Credential", v, "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	return &sigv4.Auth{
		AccessKey: strings.Join(parts[:n-4], "/"),
		Scope:     sigv4.Scope{Date: parts[n-4], Region: parts[n-3], Service: parts[n-2]},
		Presigned: true, Expires: math.MaxInt64,
	}, nil
}

func formMismatch(f *form, accessKey, given string) *s3err.Error {
	return fail(s3err.SignatureDoesNotMatch).With("AWSAccessKeyId", accessKey).
		With("SignatureProvided", given).With("StringToSign", f.fields["policy"])
}
