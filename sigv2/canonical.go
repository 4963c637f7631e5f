package sigv2

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const redacted = "(not shown)"

// subresources are the query parameters that the signature covers.
//
// AWS documents acl to website; cors, delete, restore and tagging are in boto
// 2.49, accelerate to select-type in botocore. No client signs those of the
// last four lines by itself. They must be signed here: every query parameter that
// selects another operation must be in this set, so that a presigned URL for an
// object is not valid for its retention. A test in package s3api checks this for
// the operation table. For the header form see clientsOmit.
var subresources = set(
	"acl", "lifecycle", "location", "logging", "notification", "partNumber", "policy", "requestPayment",
	"torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
	"cors", "delete", "restore", "tagging",
	"accelerate", "analytics", "inventory", "metrics", "object-lock", "replication", "select", "select-type",
	"response-cache-control", "response-content-disposition", "response-content-encoding",
	"response-content-language", "response-content-type", "response-expires",
	"append", "attributes", "encryption", "intelligent-tiering", "legal-hold", "ownershipControls",
	"policyStatus", "publicAccessBlock", "renameObject", "retention",
	"abac", "annotation", "annotationName", "metadataAnnotationTable", "metadataConfiguration",
	"metadataInventoryTable", "metadataJournalTable", "metadataTable", "session",
)

// clientsOmit are sub-resources that some client sends and does not sign:
// s3cmd 2.3 the first line, boto 2.49 the first two, botocore the last four. In
// the header form, which is valid for 15 minutes and is never passed to others, a
// signature without them is accepted too.
var clientsOmit = set(
	"accelerate", "analytics", "inventory", "metrics", "object-lock", "replication", "select", "select-type", "tagging",
	"notification",
	"attributes", "encryption", "intelligent-tiering", "legal-hold", "ownershipControls",
	"policyStatus", "publicAccessBlock", "retention",
	"abac", "annotation", "annotationName", "metadataAnnotationTable", "metadataConfiguration",
	"metadataInventoryTable", "metadataJournalTable", "metadataTable", "session",
)

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// signedRequest is a copy of everything that the signature covers, so that a router
// that rewrites the path afterwards does not change the result.
type signedRequest struct {
	method, md5, contentType, date string
	amz                            map[string][]string // x-amz-* in lower case
	path                           string              // undecoded, as sent
	query                          []param             // sub-resources only, sorted by name
	presigned                      bool
}

func newSignedRequest(r *http.Request, a *Auth, params []param) signedRequest {
	s := signedRequest{
		method: r.Method, path: rawPath(r), presigned: a.Presigned, amz: map[string][]string{},
		md5: strings.Join(r.Header["Content-Md5"], ","), contentType: strings.Join(r.Header["Content-Type"], ","),
	}
	for name, values := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			s.amz[lower] = values
		}
	}
	switch {
	case a.Presigned:
		s.date, _ = find(params, "Expires")
		s.takeHoisted(a.Hoisted)
	case s.amz["x-amz-date"] == nil:
		s.date = r.Header.Get("Date")
	}
	for _, p := range params {
		if subresources[p.name] {
			s.query = append(s.query, p)
		}
	}
	slices.SortStableFunc(s.query, func(a, b param) int { return strings.Compare(a.name, b.name) })
	return s
}

// takeHoisted treats x-amz-* fields of the query as headers. A client may also send
// the header itself if it has the same value.
func (s *signedRequest) takeHoisted(fields http.Header) {
	for name, values := range fields {
		lower := strings.ToLower(name)
		switch {
		case lower == "content-type":
			s.contentType = merge(s.contentType, values)
		case lower == "content-md5":
			s.md5 = merge(s.md5, values)
		case !slices.Equal(s.amz[lower], values):
			s.amz[lower] = append(slices.Clone(s.amz[lower]), values...)
		}
	}
}

func merge(header string, query []string) string {
	joined := strings.Join(query, ",")
	if header == "" || header == joined {
		return joined
	}
	return header + "," + joined
}

// rawPath returns the path as it is in the request line, not decoded, without scheme
// and host if the request is in absolute form.
func rawPath(r *http.Request) string {
	raw := r.RequestURI
	if i := strings.Index(raw, "://"); i > 0 && !strings.HasPrefix(raw, "/") {
		raw = raw[i+3:]
		slash := strings.IndexAny(raw, "/?")
		if slash < 0 {
			slash = len(raw)
		}
		raw = raw[slash:]
	}
	raw, _, _ = strings.Cut(raw, "?")
	if decoded, err := url.PathUnescape(raw); err != nil || decoded != r.URL.Path {
		raw = r.URL.EscapedPath() // the URL was rewritten: verify the path that will be handled
	}
	if raw == "" {
		return "/"
	}
	return raw
}

// A variant is one interpretation of the rules that existing clients have.
type variant struct {
	rawValues  bool // minio-go signs values as sent; AWS and the others decoded
	dropEquals bool // minio-go sends "uploads=" and signs "uploads"
	omit       bool // leave clientsOmit out
	slash      bool // botocore signs /bucket/ for a bucket and sends /bucket
	dateMoved  bool // x-amz-date is in the Date line: AWS' published example "Delete"
}

// variants returns the interpretations to try, the documented one first. With none
// of them can a presigned URL authorize another request.
func (s *signedRequest) variants() []variant {
	base := []variant{{rawValues: true}, {rawValues: true, dropEquals: true}}
	if !slices.ContainsFunc(s.query, func(p param) bool { return isAmbiguous(p.value) }) {
		base = append([]variant{{}, {dropEquals: true}}, base...)
	}
	if !s.presigned && s.amz["x-amz-date"] != nil {
		base = append(base, variant{dateMoved: true})
	}
	if strings.Count(s.path, "/") == 1 {
		base = with(base, func(v *variant) { v.slash = true })
	}
	if !s.presigned && slices.ContainsFunc(s.query, func(p param) bool { return clientsOmit[p.name] }) {
		base = with(base, func(v *variant) { v.omit = true })
	}
	return base
}

// with appends a modified copy of each variant.
func with(base []variant, take func(*variant)) []variant {
	all := slices.Clone(base)
	for _, v := range base {
		take(&v)
		all = append(all, v)
	}
	return all
}

// stringToSign returns AWS' StringToSign. A bucket in the host name is the first
// part of the resource. With redact, secrets are blanked so that the string can be
// shown.
func (s *signedRequest) stringToSign(bucket string, v variant, redact bool) string {
	var b strings.Builder
	date := s.date
	if v.dateMoved {
		date = strings.Join(s.amz["x-amz-date"], ",")
	}
	b.WriteString(s.method + "\n" + s.md5 + "\n" + s.contentType + "\n" + date + "\n")
	for _, name := range sortedNames(s.amz) {
		if v.dateMoved && name == "x-amz-date" {
			continue
		}
		b.WriteString(name + ":")
		for i, value := range s.amz[name] {
			if i > 0 {
				b.WriteByte(',')
			}
			if redact && isSensitive(name) {
				value = redacted
			}
			b.WriteString(strings.Trim(value, " \t"))
		}
		b.WriteByte('\n')
	}
	b.WriteString(s.resource(bucket, v) + s.subresources(v))
	return b.String()
}

// resource returns the undecoded path after the bucket of the host.
func (s *signedRequest) resource(bucket string, v variant) string {
	if bucket != "" {
		return "/" + bucket + s.path
	}
	if v.slash && s.path != "/" {
		return s.path + "/"
	}
	return s.path
}

func (s *signedRequest) subresources(v variant) string {
	var b strings.Builder
	separator := byte('?')
	for _, p := range s.query {
		if v.omit && clientsOmit[p.name] {
			continue
		}
		b.WriteByte(separator)
		separator = '&'
		b.WriteString(p.name)
		value := p.value
		if v.rawValues {
			value = p.raw
		}
		if p.hasValue && !(v.dropEquals && value == "") {
			b.WriteString("=" + value)
		}
	}
	return b.String()
}

// isAmbiguous finds a decoded value that could be read as several parameters:
// response-expires=a%26versionId=1 would be signed like
// response-expires=a&versionId=1. AWS' rule has this weakness: a URL signed for an
// old version could be changed to fetch the current one. Such a value is accepted
// only if it was signed as sent.
func isAmbiguous(value string) bool {
	_, rest, found := strings.Cut(value, "&")
	for part := range strings.SplitSeq(rest, "&") {
		if name, _, _ := strings.Cut(part, "="); found && subresources[name] {
			return true
		}
	}
	return false
}

func sortedNames(h map[string][]string) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func isSensitive(lowerName string) bool {
	return strings.HasSuffix(lowerName, "server-side-encryption-customer-key") || lowerName == "x-amz-security-token"
}
