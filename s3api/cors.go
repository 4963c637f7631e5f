package s3api

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pithos/pithos/meta"
)

type corsDocument struct {
	Rules []corsRule `xml:"CORSRule" max:"100"`
}

type corsXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CORSConfiguration"`
	corsDocument
}

type corsRule struct {
	ID             string   `xml:",omitempty"`
	AllowedOrigins []string `xml:"AllowedOrigin"`
	AllowedMethods []string `xml:"AllowedMethod"`
	AllowedHeaders []string `xml:"AllowedHeader"`
	ExposeHeaders  []string `xml:"ExposeHeader"`
	MaxAgeSeconds  *int     `xml:",omitempty"`
}

// getBucketCORS is GetBucketCors.
func getBucketCORS(_ *API, w http.ResponseWriter, r *Request) error {
	return answerDocument(w, r, docCORS, "NoSuchCORSConfiguration")
}

// putBucketCORS is PutBucketCors.
func putBucketCORS(a *API, _ http.ResponseWriter, r *Request) error {
	var doc corsDocument
	if err := r.DecodeXML(&doc, "CORSConfiguration"); err != nil {
		return err
	}
	if len(doc.Rules) == 0 {
		return malformedXML("at least one rule is needed")
	}
	for i := range doc.Rules {
		if err := doc.Rules[i].check(); err != nil {
			return err
		}
	}
	encoded, err := encodeXML(corsXML{corsDocument: doc})
	if err != nil {
		return err
	}
	return a.setDocument(r, docCORS, encoded)
}

var corsMethods = []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodHead}

func (c *corsRule) check() error {
	if len(c.AllowedOrigins) == 0 || len(c.AllowedMethods) == 0 || len(c.ID) > 255 {
		return malformedXML("a rule needs an AllowedOrigin and an AllowedMethod, and an ID of at most 255 characters")
	}
	for _, m := range c.AllowedMethods {
		if !slices.Contains(corsMethods, m) {
			return failf("InvalidRequest", "Found unsupported HTTP method in CORS config. Unsupported method is %.40s", m)
		}
	}
	for _, o := range c.AllowedOrigins {
		if strings.Count(o, "*") > 1 {
			return failf("InvalidRequest", "AllowedOrigin %q can not have more than one wildcard.", o)
		}
	}
	for _, h := range c.AllowedHeaders {
		if strings.Count(h, "*") > 1 {
			return failf("InvalidRequest", "AllowedHeader %q can not have more than one wildcard.", h)
		}
	}
	for _, h := range c.ExposeHeaders {
		if strings.Contains(h, "*") {
			return failf("InvalidRequest", "ExposeHeader %q contains wildcard. We currently do not support wildcard for ExposeHeader.", h)
		}
	}
	return nil
}

// deleteBucketCORS is DeleteBucketCors.
func deleteBucketCORS(a *API, w http.ResponseWriter, r *Request) error {
	return a.dropDocument(w, r, docCORS)
}

// wildcard matches a pattern that has at most one *.
func wildcard(pattern, s string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// origin returns the AllowedOrigin that lets origin in.
func (c *corsRule) origin(origin string) (string, bool) {
	for _, o := range c.AllowedOrigins {
		if wildcard(o, origin) {
			return o, true
		}
	}
	return "", false
}

func (c *corsRule) allowsHeaders(names []string) bool {
	for _, n := range names {
		if !slices.ContainsFunc(c.AllowedHeaders, func(h string) bool { return wildcard(strings.ToLower(h), n) }) {
			return false
		}
	}
	return true
}

// requestedHeaders are those of Access-Control-Request-Headers, in lower case.
func requestedHeaders(h http.Header) []string {
	var names []string
	for name := range strings.SplitSeq(strings.Join(h.Values("Access-Control-Request-Headers"), ","), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// corsRuleFor returns the first rule of b that fits a request from origin.
func corsRuleFor(b *meta.Bucket, origin, method string, headers []string) (*corsRule, string, error) {
	doc := b.Config.Documents[docCORS]
	if doc == nil {
		return nil, "", nil
	}
	var config corsDocument
	if err := xml.Unmarshal(doc, &config); err != nil {
		return nil, "", err
	}
	for i := range config.Rules {
		c := &config.Rules[i]
		if allowed, ok := c.origin(origin); ok && slices.Contains(c.AllowedMethods, method) && c.allowsHeaders(headers) {
			return c, allowed, nil
		}
	}
	return nil, "", nil
}

// corsHeaders writes what a rule lets a browser see.
func (c *corsRule) headers(h http.Header, origin, allowed string, headers []string) {
	if allowed == "*" {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(c.AllowedMethods, ", "))
	if len(headers) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(headers, ", "))
	}
	if len(c.ExposeHeaders) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(c.ExposeHeaders, ", "))
	}
	if c.MaxAgeSeconds != nil {
		h.Set("Access-Control-Max-Age", strconv.Itoa(*c.MaxAgeSeconds))
	}
	h.Set("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
}

// addCORS adds CORS headers to the answer of an actual request, whatever
// comes of it: a browser shall be able to read an error too.
func (a *API) addCORS(w http.ResponseWriter, r *Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" || r.BucketName == "" || r.Op.Public {
		return nil
	}
	b, err := a.store.Bucket(r.Context(), r.BucketName)
	if err != nil {
		return nil //nolint:nilerr // who may not know of the bucket is told so later
	}
	method := r.Header.Get("Access-Control-Request-Method")
	if method == "" {
		method = r.Method
	}
	rule, allowed, err := corsRuleFor(b, origin, method, nil)
	if rule != nil {
		rule.headers(w.Header(), origin, allowed, nil)
	}
	return err
}

// preflight answers a browser's question. (CORS, in the S3 user guide.)
func preflight(_ *API, w http.ResponseWriter, r *Request) error {
	origin, method := r.Header.Get("Origin"), r.Header.Get("Access-Control-Request-Method")
	switch {
	case origin == "":
		return failf("BadRequest", "Insufficient information. Origin request header needed.")
	case !slices.Contains(corsMethods, method):
		return failf("BadRequest", "Invalid Access-Control-Request-Method: %.40s", method)
	case r.Bucket.Config.Documents[docCORS] == nil:
		return failf("AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.").with("Method", method).with("ResourceType", "BUCKET")
	}
	headers := requestedHeaders(r.Header)
	rule, allowed, err := corsRuleFor(r.Bucket, origin, method, headers)
	if err != nil {
		return err
	}
	if rule == nil {
		return failf("AccessForbidden", "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.").
			with("Method", method).with("ResourceType", "OBJECT")
	}
	rule.headers(w.Header(), origin, allowed, headers)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}
