package s3api

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
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
	return answerDocument(w, r, docCORS, s3err.NoSuchCORSConfiguration)
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
	if len(encoded) > maxCORSBytes {
		return fail(s3err.MaxMessageLengthExceeded).With("MaxMessageLengthBytes", itoa(maxCORSBytes))
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
			return failf(s3err.InvalidRequest, "Found unsupported HTTP method in CORS config. Unsupported method is %.40s", m)
		}
	}
	for _, o := range c.AllowedOrigins {
		if strings.Count(o, "*") > 1 {
			return failf(s3err.InvalidRequest, "AllowedOrigin %q can not have more than one wildcard.", o)
		}
	}
	for _, h := range c.AllowedHeaders {
		if strings.Count(h, "*") > 1 {
			return failf(s3err.InvalidRequest, "AllowedHeader %q can not have more than one wildcard.", h)
		}
	}
	for _, h := range c.ExposeHeaders {
		if strings.Contains(h, "*") {
			return failf(s3err.InvalidRequest, "ExposeHeader %q contains wildcard. We currently do not support wildcard for ExposeHeader.", h)
		}
	}
	return nil
}

// deleteBucketCORS is DeleteBucketCors.
func deleteBucketCORS(a *API, w http.ResponseWriter, r *Request) error {
	return a.dropDocument(w, r, docCORS)
}

// Limits of CORS, in addition to those of its document.
const (
	// maxCORSBytes is S3's limit of a configuration.
	maxCORSBytes = 64 << 10
	// maxCORSHeaders is the maximum number of names that a preflight may ask for,
	// maxCORSHeaderBytes that of their bytes. Each name is compared with the
	// AllowedHeaders that have a wildcard, of which a document holds some 2,000.
	maxCORSHeaders     = 100
	maxCORSHeaderBytes = 8 << 10
	// corsCacheBytes is the maximum memory for parsed configurations.
	corsCacheBytes = 16 << 20
)

// corsPolicy is a parsed CORS configuration, prepared for matching requests.
type corsPolicy []corsMatcher

type corsMatcher struct {
	origins         []wildcard
	methods         []string
	headers         map[string]bool // AllowedHeaders without a wildcard, in lower case
	headerPatterns  []wildcard      // those with one, in lower case
	allowed, expose string          // lists for the answer
	maxAge          string          // "" is none
}

// parseCORS parses a configuration as putBucketCORS stores it.
func parseCORS(document []byte) (corsPolicy, int, error) {
	var config corsDocument
	if err := xml.Unmarshal(document, &config); err != nil {
		return nil, 0, err
	}
	p := make(corsPolicy, len(config.Rules))
	for i := range config.Rules {
		p[i] = config.Rules[i].matcher()
	}
	return p, 4*len(document) + 1024, nil
}

func (c *corsRule) matcher() corsMatcher {
	m := corsMatcher{methods: c.AllowedMethods, headers: map[string]bool{},
		allowed: strings.Join(c.AllowedMethods, ", "), expose: strings.Join(c.ExposeHeaders, ", ")}
	for _, o := range c.AllowedOrigins {
		m.origins = append(m.origins, newWildcard(o))
	}
	for _, h := range c.AllowedHeaders {
		h = strings.ToLower(h)
		if w := newWildcard(h); w.star {
			m.headerPatterns = append(m.headerPatterns, w)
		} else {
			m.headers[h] = true
		}
	}
	if c.MaxAgeSeconds != nil {
		m.maxAge = strconv.Itoa(*c.MaxAgeSeconds)
	}
	return m
}

// wildcard is a pattern that has at most one *.
type wildcard struct {
	before, after string
	star          bool
}

func newWildcard(pattern string) (w wildcard) {
	w.before, w.after, w.star = strings.Cut(pattern, "*")
	return w
}

func (w wildcard) String() string {
	if w.star {
		return w.before + "*" + w.after
	}
	return w.before
}

func (w wildcard) matches(s string) bool {
	if !w.star {
		return w.before == s
	}
	return len(s) >= len(w.before)+len(w.after) && strings.HasPrefix(s, w.before) && strings.HasSuffix(s, w.after)
}

// origin returns the AllowedOrigin that matches origin.
func (m *corsMatcher) origin(origin string) (wildcard, bool) {
	i := slices.IndexFunc(m.origins, func(w wildcard) bool { return w.matches(origin) })
	if i < 0 {
		return wildcard{}, false
	}
	return m.origins[i], true
}

func (m *corsMatcher) allowsHeaders(names []string) bool {
	for _, n := range names {
		if !m.headers[n] && !slices.ContainsFunc(m.headerPatterns, func(w wildcard) bool { return w.matches(n) }) {
			return false
		}
	}
	return true
}

// requestedHeaders returns the names of Access-Control-Request-Headers, in lower
// case, each once. BadRequest if there are too many.
func requestedHeaders(h http.Header) ([]string, error) {
	values := h.Values("Access-Control-Request-Headers")
	bytes := 0
	for _, v := range values {
		bytes += len(v)
	}
	var names []string
	seen := map[string]bool{}
	for _, v := range values {
		if bytes > maxCORSHeaderBytes {
			break
		}
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	if bytes > maxCORSHeaderBytes || len(names) > maxCORSHeaders {
		return nil, failf(s3err.BadRequest, "Access-Control-Request-Headers has more than %d names or %d bytes.", maxCORSHeaders, maxCORSHeaderBytes)
	}
	return names, nil
}

// corsRuleFor returns the first rule of b that matches a request from origin, and
// its matching AllowedOrigin; nil if there is none.
func (a *API) corsRuleFor(b *meta.Bucket, origin, method string, headers []string) (*corsMatcher, wildcard, error) {
	doc := b.Config.Documents[docCORS]
	if doc == nil {
		return nil, wildcard{}, nil
	}
	rules, err := a.cors.get(b, doc, parseCORS)
	if err != nil {
		return nil, wildcard{}, err
	}
	for i := range rules {
		m := &rules[i]
		if !slices.Contains(m.methods, method) {
			continue
		}
		if allowed, ok := m.origin(origin); ok && m.allowsHeaders(headers) {
			return m, allowed, nil
		}
	}
	return nil, wildcard{}, nil
}

// write sets the headers of a rule.
func (m *corsMatcher) write(h http.Header, origin string, allowed wildcard, headers []string) {
	if allowed.String() == "*" {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	h.Set("Access-Control-Allow-Methods", m.allowed)
	if len(headers) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(headers, ", "))
	}
	if m.expose != "" {
		h.Set("Access-Control-Expose-Headers", m.expose)
	}
	if m.maxAge != "" {
		h.Set("Access-Control-Max-Age", m.maxAge)
	}
	h.Set("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
}

// addCORS adds CORS headers to the answer of an actual request. It runs before
// authentication, so that a browser can read error answers too.
func (a *API) addCORS(w http.ResponseWriter, r *Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" || r.BucketName == "" || r.Op.Public {
		return nil
	}
	b, err := a.store.Bucket(r.Context(), r.BucketName)
	if err != nil {
		return nil //nolint:nilerr // a later step returns the error
	}
	method := r.Header.Get("Access-Control-Request-Method")
	if method == "" {
		method = r.Method
	}
	rule, allowed, err := a.corsRuleFor(b, origin, method, nil)
	if rule != nil {
		rule.write(w.Header(), origin, allowed, nil)
	}
	return err
}

// preflight answers a browser's OPTIONS request. (CORS, in the S3 user guide.)
func preflight(a *API, w http.ResponseWriter, r *Request) error {
	origin, method := r.Header.Get("Origin"), r.Header.Get("Access-Control-Request-Method")
	switch {
	case origin == "":
		return failf(s3err.BadRequest, "Insufficient information. Origin request header needed.")
	case !slices.Contains(corsMethods, method):
		return failf(s3err.BadRequest, "Invalid Access-Control-Request-Method: %.40s", method)
	case r.Bucket.Config.Documents[docCORS] == nil:
		return failf(s3err.AccessForbidden, "CORSResponse: CORS is not enabled for this bucket.").With("Method", method).With("ResourceType", "BUCKET")
	}
	headers, err := requestedHeaders(r.Header)
	if err != nil {
		return err
	}
	rule, allowed, err := a.corsRuleFor(r.Bucket, origin, method, headers)
	if err != nil {
		return err
	}
	if rule == nil {
		return failf(s3err.AccessForbidden, "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.").
			With("Method", method).With("ResourceType", "OBJECT")
	}
	rule.write(w.Header(), origin, allowed, headers)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}
