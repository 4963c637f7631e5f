package sigv4

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pithos/pithos/internal/s3err"
)

// Auth is the parsed signature of a request. Nothing in it has been checked against
// a secret.
type Auth struct {
	AccessKey     string
	Scope         Scope
	SignedHeaders []string  // lower case, as sent
	Signature     string    // as sent
	Time          time.Time // when it was signed, UTC, to the second
	Presigned     bool
	Expires       time.Duration // presigned only: validity from Time on
	Payload       Payload
	PayloadValue  string // x-amz-content-sha256, or UNSIGNED-PAYLOAD when a presigned query declares none
	SecurityToken string // x-amz-security-token, by header or query; "" for none
	// Hoisted holds the x-amz-* fields that the signer of a presigned request put
	// into the query instead of the header, except those of the authentication
	// itself. S3 treats them as headers, and they are signed.
	Hoisted http.Header

	request signedRequest
}

// Signed reports whether a request has a version 4 signature, well-formed or not.
// Such a request must be verified or refused; it is never anonymous.
func Signed(r *http.Request) bool {
	for _, v := range r.Header["Authorization"] {
		if strings.HasPrefix(v, "AWS4-") {
			return true
		}
	}
	return queryClaims(r.URL.RawQuery)
}

// queryClaims looks for the parameters of a signature. In a query that does not
// parse it searches the raw text: the query must be refused, not treated as unsigned.
func queryClaims(raw string) bool {
	params, err := parseQuery(raw)
	if err != nil {
		return strings.Contains(strings.ToLower(raw), "x-amz-signature")
	}
	for _, name := range authParams[:3] {
		if _, n := find(params, name); n > 0 {
			return true
		}
	}
	return false
}

// Parse reads the signature of a request for which Signed is true: the
// Authorization header or the presigned query. The errors are *s3err.Error:
// AuthorizationHeaderMalformed, AuthorizationQueryParametersError, AccessDenied
// (no usable date, headers not signed), InvalidArgument, InvalidRequest,
// InvalidURI, NotImplemented (the ECDSA algorithm).
func Parse(r *http.Request) (*Auth, error) {
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	// The signature covers one value only. An attacker could add a second one, and
	// policy conditions on the header would see it.
	if values := r.Header["X-Amz-Content-Sha256"]; len(values) > 1 {
		return nil, s3err.Newf(s3err.InvalidArgument, messageBadContentSHA256).
			With("ArgumentName", "x-amz-content-sha256").With("ArgumentValue", clip(strings.Join(values, ",")))
	}
	inHeader := len(r.Header["Authorization"]) > 0
	if inHeader && queryClaims(r.URL.RawQuery) || hasV2Query(params) {
		return nil, s3err.Newf(s3err.InvalidArgument, messageOneMechanism)
	}
	var a *Auth
	if inHeader {
		a, err = parseHeader(r)
	} else {
		a, err = parsePresigned(r, params)
	}
	if err != nil {
		return nil, err
	}
	if missing := unsignedHeaders(r, a.SignedHeaders); len(missing) > 0 {
		return nil, s3err.Newf(s3err.AccessDenied, messageHeadersNotSigned).
			With("HeadersNotSigned", strings.Join(missing, ", "))
	}
	a.request = newSignedRequest(r, params, a.Presigned, a.SignedHeaders, a.PayloadValue)
	return a, nil
}

func hasV2Query(params []param) bool {
	for _, p := range params {
		if p.name == "Signature" || p.name == "AWSAccessKeyId" {
			return true
		}
	}
	return false
}

// unsignedHeaders returns the headers that must be signed and are not: host, and
// every x-amz-* header in the request. x-amz-content-sha256 need not be in
// SignedHeaders, as on AWS: its value is the last line of the canonical request, so
// the signature always covers it.
func unsignedHeaders(r *http.Request, signed []string) []string {
	var missing []string
	if !slices.Contains(signed, "host") {
		missing = append(missing, "host")
	}
	for name := range r.Header {
		lower := strings.ToLower(name)
		if lower == "x-amz-content-sha256" {
			continue
		}
		if strings.HasPrefix(lower, "x-amz-") && !slices.Contains(signed, lower) {
			missing = append(missing, lower)
		}
	}
	slices.Sort(missing)
	return missing
}

func parseHeader(r *http.Request) (*Auth, error) {
	if len(r.Header["Authorization"]) > 1 {
		return nil, malformed("there is more than one.")
	}
	fields, err := authorizationFields(r.Header["Authorization"][0])
	if err != nil {
		return nil, err
	}
	a := &Auth{Signature: fields["Signature"], SecurityToken: r.Header.Get("X-Amz-Security-Token")}
	if a.AccessKey, a.Scope, err = parseCredential(fields["Credential"], malformed); err != nil {
		return nil, err
	}
	if a.SignedHeaders, err = parseSignedHeaders(fields["SignedHeaders"], malformed); err != nil {
		return nil, err
	}
	if a.Time, err = headerTime(r.Header); err != nil {
		return nil, err
	}
	if day := a.Time.Format(dateFormat); day != a.Scope.Date {
		return nil, malformed("Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", a.Scope.Date, day)
	}
	a.PayloadValue = r.Header.Get("X-Amz-Content-Sha256")
	if a.PayloadValue == "" {
		return nil, s3err.Newf(s3err.InvalidRequest, messageMissingContentSHA256)
	}
	a.Payload, err = ParsePayload(a.PayloadValue)
	return a, err
}

// authorizationFields splits "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…,
// Signature=…", in any order, with or without a space after the comma.
func authorizationFields(header string) (map[string]string, error) {
	algorithm, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	switch algorithm {
	case Algorithm:
	case algorithmECDSA:
		return nil, s3err.Newf(s3err.NotImplemented, messageECDSA)
	default:
		return nil, s3err.Newf(s3err.InvalidArgument, messageUnsupportedAuthorizationType).
			With("ArgumentName", "Authorization").With("ArgumentValue", algorithm)
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || fields[name] != "" || !slices.Contains([]string{"Credential", "SignedHeaders", "Signature"}, name) {
			return nil, malformed("the authorization component %q is malformed.", clip(part))
		}
		fields[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[name] == "" {
			return nil, malformed("the %s is missing.", name)
		}
	}
	return fields, nil
}

// complain returns the error for the form (header or query) that had the component.
type complain func(format string, args ...any) *s3err.Error

func malformed(format string, args ...any) *s3err.Error {
	return s3err.Newf(s3err.AuthorizationHeaderMalformed, messageHeaderMalformed+format, args...)
}

// parseCredential splits from the right, because an access key may contain a slash.
func parseCredential(s string, bad complain) (accessKey string, scope Scope, err error) {
	parts := strings.Split(s, "/")
	n := len(parts)
	if n < 5 {
		return "", Scope{}, bad("the Credential is mal-formed; " + messageExpectedCredential)
	}
	accessKey = strings.Join(parts[:n-4], "/")
	scope = Scope{Date: parts[n-4], Region: parts[n-3], Service: parts[n-2]}
	if accessKey == "" || scope.Region == "" {
		return "", Scope{}, bad("the Credential is mal-formed; " + messageExpectedCredential)
	}
	if t, err := time.Parse(dateFormat, scope.Date); err != nil || t.Format(dateFormat) != scope.Date {
		return "", Scope{}, bad(`incorrect date format %q. This date in the credential must be in the format "yyyyMMdd".`, clip(scope.Date))
	}
	if parts[n-1] != terminal {
		return "", Scope{}, bad("incorrect terminal %q. This endpoint uses %q.", clip(parts[n-1]), terminal)
	}
	return accessKey, scope, nil
}

func parseSignedHeaders(s string, bad complain) ([]string, error) {
	names := strings.Split(s, ";")
	seen := map[string]bool{}
	for _, name := range names {
		if name == "" || seen[name] || strings.ToLower(name) != name || strings.ContainsAny(name, "\r\n: ") {
			return nil, bad("the SignedHeaders %q must be lower-case header names, each once, separated by semicolons.", clip(s))
		}
		seen[name] = true
	}
	return names, nil
}

// headerTime returns the time of signing from the header: x-amz-date in the ISO 8601
// basic form, else Date in that form or one of HTTP's.
func headerTime(h http.Header) (time.Time, error) {
	if values, ok := h["X-Amz-Date"]; ok {
		if t, err := time.Parse(TimeFormat, values[0]); err == nil && len(values) == 1 {
			return t, nil
		}
		return time.Time{}, s3err.Newf(s3err.AccessDenied, messageNoDate)
	}
	date := h.Get("Date")
	if t, err := time.Parse(TimeFormat, date); err == nil {
		return t, nil
	}
	for _, format := range []string{http.TimeFormat, time.RFC1123Z, time.RFC850, time.ANSIC} {
		if t, err := time.Parse(format, date); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, s3err.Newf(s3err.AccessDenied, messageNoDate)
}

// clip limits the length of a value in a message.
func clip(s string) string {
	const limit = 80
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}
