package sigv2

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/pithos/pithos/internal/s3err"
)

// DefaultMaxSkew is the maximum difference to a client's clock, as on AWS.
const DefaultMaxSkew = 15 * time.Minute

// Options are the server's requirements.
type Options struct {
	Now     time.Time     // default time.Now()
	MaxSkew time.Duration // default DefaultMaxSkew
}

func (o Options) withDefaults() Options {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.MaxSkew == 0 {
		o.MaxSkew = DefaultMaxSkew
	}
	o.Now = o.Now.UTC()
	return o
}

// SignString signs a string to sign, or the base64 of a POST policy. It returns the
// base64 of the HMAC-SHA1.
func SignString(secret, s string) string {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(s))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Equal compares two signatures in constant time.
func Equal(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// Check checks the time, which needs no secret. Verify checks it too; a caller uses
// Check to refuse a request before it looks the key up.
func Check(a *Auth, o Options) error {
	o = o.withDefaults()
	if a.Presigned {
		if o.Now.After(a.Expires) {
			return s3err.Newf(s3err.AccessDenied, "Request has expired").
				With("Expires", a.Expires.Format(time.RFC3339)).With("ServerTime", o.Now.Format(time.RFC3339))
		}
		return nil
	}
	if a.Time.Before(o.Now.Add(-o.MaxSkew)) || a.Time.After(o.Now.Add(o.MaxSkew)) {
		return s3err.New(s3err.RequestTimeTooSkewed).
			With("RequestTime", a.Time.Format(time.RFC1123)).
			With("ServerTime", o.Now.Format(time.RFC3339)).
			With("MaxAllowedSkewMilliseconds", strconv.FormatInt(o.MaxSkew.Milliseconds(), 10))
	}
	return nil
}

// Verify checks the time, and the signature against the secret of a.AccessKey. The
// bucket is the one named by the host (virtual-host style, website, or proxy
// mode), in lower case as in the host, or "" if the path names it.
//
// The errors are *s3err.Error: those of Check, and SignatureDoesNotMatch with the
// server's string to sign in the detail StringToSign, in which customer keys and
// session tokens are blanked. With an empty secret no signature is valid.
func Verify(a *Auth, secret, hostBucket string, o Options) error {
	if err := Check(a, o); err != nil {
		return err
	}
	for _, v := range a.request.variants() {
		if secret != "" && Equal(SignString(secret, a.request.stringToSign(hostBucket, v, false)), a.Signature) {
			return nil
		}
	}
	e := s3err.New(s3err.SignatureDoesNotMatch).With("AWSAccessKeyId", a.AccessKey).With("SignatureProvided", a.Signature)
	sts := a.request.stringToSign(hostBucket, variant{}, true)
	// Not clipped: developers compare it with their own to find a mistake.
	e.Details = append(e.Details, s3err.Detail{Name: "StringToSignBytes", Value: hexBytes(sts)}, s3err.Detail{Name: "StringToSign", Value: sts})
	return e
}

// hexBytes returns the bytes of a text in hex, as AWS does: "47 45 54".
func hexBytes(s string) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, digits[s[i]>>4], digits[s[i]&15])
	}
	return string(b)
}
