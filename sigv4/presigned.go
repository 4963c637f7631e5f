package sigv4

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pithos/pithos/internal/s3err"
)

// MaxExpires is the maximum validity of a presigned request.
const MaxExpires = 7 * 24 * time.Hour

// authParams are the query parameters of a presigned request.
var authParams = []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"}

// parsePresigned reads the query of a presigned request.
func parsePresigned(r *http.Request, params []param) (*Auth, error) {
	value, err := authParameters(params)
	if err != nil {
		return nil, err
	}
	a := &Auth{Presigned: true, Signature: value["X-Amz-Signature"]}
	if a.AccessKey, a.Scope, err = parseCredential(value["X-Amz-Credential"], badParameter("X-Amz-Credential")); err != nil {
		return nil, err
	}
	if a.SignedHeaders, err = parseSignedHeaders(value["X-Amz-SignedHeaders"], badParameter("X-Amz-SignedHeaders")); err != nil {
		return nil, err
	}
	if a.Time, err = time.Parse(TimeFormat, value["X-Amz-Date"]); err != nil {
		return nil, s3err.Newf(s3err.AuthorizationQueryParametersError, `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	if day := a.Time.Format(dateFormat); day != a.Scope.Date {
		return nil, s3err.Newf(s3err.AuthorizationQueryParametersError, "Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", a.Scope.Date, day)
	}
	if a.Expires, err = parseExpires(value["X-Amz-Expires"]); err != nil {
		return nil, err
	}
	a.SecurityToken, _ = find(params, "X-Amz-Security-Token")
	if a.Hoisted, err = hoisted(params); err != nil {
		return nil, err
	}
	return a, a.presignedPayload(r, params)
}

// authParameters returns the six parameters; each must occur exactly once.
func authParameters(params []param) (map[string]string, error) {
	values := map[string]string{}
	for _, name := range authParams {
		v, n := find(params, name)
		if n != 1 || v == "" {
			return nil, s3err.Newf(s3err.AuthorizationQueryParametersError, messageMissingQueryAuth)
		}
		values[name] = v
	}
	switch values["X-Amz-Algorithm"] {
	case Algorithm:
		return values, nil
	case algorithmECDSA:
		return nil, s3err.Newf(s3err.NotImplemented, messageECDSA)
	}
	return nil, s3err.Newf(s3err.AuthorizationQueryParametersError, `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`)
}

func parseExpires(s string) (time.Duration, error) {
	seconds, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return 0, s3err.Newf(s3err.AuthorizationQueryParametersError, "X-Amz-Expires should be a number")
	case seconds < 1:
		return 0, s3err.Newf(s3err.AuthorizationQueryParametersError, "X-Amz-Expires must be at least 1 second")
	case seconds > int64(MaxExpires/time.Second):
		return 0, s3err.Newf(s3err.AuthorizationQueryParametersError, "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	}
	return time.Duration(seconds) * time.Second, nil
}

// presignedPayload sets the payload of a presigned request. It is unsigned, unless
// the signer declared a hash in the query or as a signed header.
func (a *Auth) presignedPayload(r *http.Request, params []param) error {
	a.PayloadValue = r.Header.Get("X-Amz-Content-Sha256")
	if v, n := find(params, "X-Amz-Content-Sha256"); n > 0 {
		if n > 1 || a.PayloadValue != "" && a.PayloadValue != v {
			return s3err.Newf(s3err.InvalidArgument, messageBadContentSHA256)
		}
		a.PayloadValue = v
	}
	if a.PayloadValue == "" {
		a.PayloadValue = PayloadUnsigned.String()
	}
	var err error
	a.Payload, err = ParsePayload(a.PayloadValue)
	var unknown *s3err.Error
	if errors.As(err, &unknown) && unknown.Code == s3err.InvalidArgument {
		// If the client that uses the URL has added the header, the signature does
		// not match. If the signer has, no body matches it.
		a.Payload, err = PayloadHash, nil
	}
	return err
}

// hoisted returns the header fields in the query, and refuses values that are not
// allowed in a header.
func hoisted(params []param) (http.Header, error) {
	h := http.Header{}
	for _, p := range params {
		lower := strings.ToLower(p.name)
		if !strings.HasPrefix(lower, "x-amz-") || isAuthParam(lower) {
			continue
		}
		if strings.ContainsFunc(lower, notToken) || strings.ContainsFunc(p.value, isControl) {
			return nil, s3err.Newf(s3err.InvalidArgument, "A query parameter that stands for a header has a name or value that no header can have.").
				With("ArgumentName", p.name)
		}
		h.Add(lower, p.value)
	}
	return h, nil
}

func isAuthParam(lower string) bool {
	if lower == "x-amz-security-token" || lower == "x-amz-content-sha256" {
		return true
	}
	return slices.ContainsFunc(authParams, func(name string) bool { return strings.EqualFold(name, lower) })
}

func badParameter(name string) complain {
	return func(format string, args ...any) *s3err.Error {
		return s3err.Newf(s3err.AuthorizationQueryParametersError, "Error parsing the "+name+" parameter; "+format, args...)
	}
}
