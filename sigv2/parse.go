package sigv2

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pithos/pithos/internal/s3err"
)

// Auth is the parsed signature of a request. Nothing in it has been checked against
// a secret.
type Auth struct {
	AccessKey     string
	Signature     string // base64, as sent
	Presigned     bool
	Time          time.Time // header only: x-amz-date or Date, UTC
	Expires       time.Time // presigned only
	SecurityToken string    // x-amz-security-token, by header or query; "" for none
	// Hoisted holds the x-amz-* fields, Content-Type and Content-MD5 that the
	// signer of a presigned request put into the query instead of the header, as
	// boto and botocore do. The security token is one of them. S3 treats them as
	// headers, and they are signed.
	Hoisted http.Header

	request signedRequest
}

// param is one query parameter; raw is the value as sent, hasValue distinguishes
// "acl=" from "acl".
type param struct {
	name, value, raw string
	hasValue         bool
}

// Signed reports whether a request has a version 2 signature, well-formed or not.
// Such a request must be verified or refused; it is never anonymous.
func Signed(r *http.Request) bool {
	for _, v := range r.Header["Authorization"] {
		if v == "AWS" || strings.HasPrefix(v, "AWS ") {
			return true
		}
	}
	return queryClaims(r.URL.RawQuery)
}

// queryClaims compares raw names: a query that does not parse must be refused by
// Parse, not treated as unsigned.
func queryClaims(raw string) bool {
	for part := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(part, "=")
		if name == "AWSAccessKeyId" || name == "Signature" {
			return true
		}
	}
	return false
}

// Parse reads the signature of a request for which Signed is true. The errors
// are *s3err.Error: InvalidArgument (not "AWS key:signature", two mechanisms at
// once), AccessDenied (no usable date or expiry, parameters missing),
// InvalidURI.
func Parse(r *http.Request) (*Auth, error) {
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	inHeader, inQuery := len(r.Header["Authorization"]) > 0, queryClaims(r.URL.RawQuery)
	if inHeader && inQuery || hasV4Query(params) {
		return nil, s3err.Newf(s3err.InvalidArgument, messageOneMechanism)
	}
	var a *Auth
	if inHeader {
		a, err = parseHeader(r.Header)
	} else {
		a, err = parsePresigned(r.Header, params)
	}
	if err != nil {
		return nil, err
	}
	a.request = newSignedRequest(r, a, params)
	return a, nil
}

// parseQuery decodes parameters like path segments: in version 2 a plus is a plus,
// because the clients of that version signed it so.
func parseQuery(raw string) ([]param, error) {
	var params []param
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, rawValue, has := strings.Cut(part, "=")
		n, err := url.PathUnescape(name)
		if err != nil {
			return nil, badQuery(err)
		}
		v, err := url.PathUnescape(rawValue)
		if err != nil {
			return nil, badQuery(err)
		}
		params = append(params, param{n, v, rawValue, has})
	}
	return params, nil
}

func badQuery(err error) error {
	e := s3err.Newf(s3err.InvalidURI, "Couldn't parse the specified URI: the query has an invalid %%-escape.")
	e.Err = err
	return e
}

func hasV4Query(params []param) bool {
	return slices.ContainsFunc(params, func(p param) bool { return strings.EqualFold(p.name, "X-Amz-Algorithm") })
}

func parseHeader(h http.Header) (*Auth, error) {
	value, ok := strings.CutPrefix(h["Authorization"][0], "AWS ")
	i := strings.LastIndexByte(value, ':')
	if !ok || i <= 0 || i == len(value)-1 || len(h["Authorization"]) > 1 {
		return nil, s3err.Newf(s3err.InvalidArgument, messageHeaderInvalid).With("ArgumentName", "Authorization")
	}
	t, err := headerTime(h)
	if err != nil {
		return nil, err
	}
	return &Auth{
		AccessKey: strings.TrimSpace(value[:i]), Signature: strings.TrimSpace(value[i+1:]),
		Time: t, SecurityToken: h.Get("X-Amz-Security-Token"),
	}, nil
}

// dateFormats are the formats that clients use in Date and x-amz-date: the three of
// RFC 9110, the numeric zone of s3cmd, ISO 8601 basic.
var dateFormats = []string{http.TimeFormat, time.RFC1123Z, time.RFC1123, time.RFC850, time.ANSIC, "20060102T150405Z"}

// headerTime returns x-amz-date if present, else Date. A time before 1970 is
// invalid, as on AWS.
func headerTime(h http.Header) (time.Time, error) {
	date, ok := h["X-Amz-Date"]
	if !ok {
		date = h["Date"]
	}
	if len(date) == 1 {
		for _, format := range dateFormats {
			if t, err := time.Parse(format, date[0]); err == nil && t.Unix() >= 0 {
				return t.UTC(), nil
			}
		}
	}
	return time.Time{}, s3err.Newf(s3err.AccessDenied, messageNoDate)
}

func parsePresigned(h http.Header, params []param) (*Auth, error) {
	values := map[string]string{}
	for _, name := range []string{"AWSAccessKeyId", "Signature", "Expires"} {
		v, n := find(params, name)
		if n != 1 || v == "" {
			return nil, s3err.Newf(s3err.AccessDenied, messageMissingQueryAuth)
		}
		values[name] = v
	}
	seconds, err := strconv.ParseInt(values["Expires"], 10, 64)
	if err != nil || seconds < 0 || seconds > maxExpires {
		return nil, s3err.Newf(s3err.AccessDenied, "Invalid date (should be seconds since epoch): %.40s", values["Expires"])
	}
	fields, err := hoisted(params)
	if err != nil {
		return nil, err
	}
	a := &Auth{
		AccessKey: values["AWSAccessKeyId"], Signature: values["Signature"], Presigned: true,
		Expires: time.Unix(seconds, 0).UTC(), SecurityToken: h.Get("X-Amz-Security-Token"), Hoisted: fields,
	}
	if token := a.Hoisted.Get("X-Amz-Security-Token"); token != "" {
		a.SecurityToken = token
	}
	return a, nil
}

// maxExpires is the end of the year 9999: time.Time cannot format later times.
const maxExpires = 253402300799

func find(params []param, name string) (value string, count int) {
	for _, p := range params {
		if p.name == name {
			value = p.value
			count++
		}
	}
	return value, count
}

// hoisted returns the header fields in the query. Values that are not allowed in a
// header are refused: with a line break or a colon, two requests could have the
// same string to sign.
func hoisted(params []param) (http.Header, error) {
	h := http.Header{}
	for _, p := range params {
		lower := strings.ToLower(p.name)
		if !strings.HasPrefix(lower, "x-amz-") && lower != "content-type" && lower != "content-md5" {
			continue
		}
		if strings.ContainsFunc(lower, notName) || strings.ContainsFunc(p.value, unicode.IsControl) {
			return nil, s3err.Newf(s3err.InvalidArgument, "A query parameter that stands for a header has a name or value that no header can have.").
				With("ArgumentName", p.name)
		}
		h.Add(lower, p.value)
	}
	return h, nil
}

func notName(c rune) bool {
	return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
}
