// Package sigv2test signs requests as a version 2 client does, for tests that
// speak raw HTTP. It shares no code with the verification in package sigv2.
package sigv2test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// A Signer signs with one key.
type Signer struct {
	AccessKey, Secret string
	Time              time.Time // default now
	// HostBucket is the bucket named by the host; "" when the path names it.
	HostBucket string
}

// signed are the sub-resources that boto 2.49 signs.
var signed = " acl cors delete lifecycle location logging partNumber policy requestPayment restore tagging torrent " +
	"uploadId uploads versionId versioning versions website response-content-type response-content-language " +
	"response-expires response-cache-control response-content-disposition response-content-encoding "

// SignHeader sets Date, unless r has a date, and Authorization.
func (s Signer) SignHeader(r *http.Request) {
	if r.Header.Get("Date") == "" && r.Header.Get("X-Amz-Date") == "" {
		r.Header.Set("Date", s.at().Format(http.TimeFormat))
	}
	date := r.Header.Get("Date")
	if r.Header.Get("X-Amz-Date") != "" {
		date = ""
	}
	r.Header.Set("Authorization", "AWS "+s.AccessKey+":"+s.sign(s.text(r, date)))
}

// Presign turns r's URL into a presigned one, valid for the given time. The
// Content-MD5, Content-Type and x-amz-* headers that r has by then are signed
// and must be sent along.
func (s Signer) Presign(r *http.Request, expires time.Duration) {
	until := strconv.FormatInt(s.at().Add(expires).Unix(), 10)
	query := "AWSAccessKeyId=" + url.QueryEscape(s.AccessKey) + "&Expires=" + until +
		"&Signature=" + url.QueryEscape(s.sign(s.text(r, until)))
	if r.URL.RawQuery != "" {
		query = r.URL.RawQuery + "&" + query
	}
	r.URL.RawQuery = query
}

func (s Signer) at() time.Time {
	if s.Time.IsZero() {
		return time.Now().UTC()
	}
	return s.Time.UTC()
}

func (s Signer) sign(text string) string {
	h := hmac.New(sha1.New, []byte(s.Secret))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func (s Signer) text(r *http.Request, date string) string {
	text := r.Method + "\n" + r.Header.Get("Content-MD5") + "\n" + r.Header.Get("Content-Type") + "\n" + date + "\n"
	var lines []string
	for name, values := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			lines = append(lines, lower+":"+strings.Join(values, ",")+"\n")
		}
	}
	sort.Strings(lines)
	text += strings.Join(lines, "")
	if s.HostBucket != "" {
		text += "/" + s.HostBucket
	}
	return text + r.URL.EscapedPath() + subresources(r.URL.RawQuery)
}

func subresources(raw string) string {
	var parts []string
	for _, part := range strings.Split(raw, "&") {
		name, value, has := strings.Cut(part, "=")
		if !strings.Contains(signed, " "+name+" ") {
			continue
		}
		if has {
			decoded, _ := url.PathUnescape(value)
			name += "=" + decoded
		}
		parts = append(parts, name)
	}
	if len(parts) == 0 {
		return ""
	}
	sort.Strings(parts)
	return "?" + strings.Join(parts, "&")
}
