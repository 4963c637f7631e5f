package s3api

import (
	"net/http"
	"slices"
	"strings"
)

// This file is the one table of the request headers that mean something to
// S3, and the rules that hold for all of them. A request passes them in this
// order, whichever way its headers came: as headers, as parameters of a
// presigned query, or as fields of a POST form.
//
//  1. A header or parameter with one value that is repeated is refused
//     (singular), before the signature is verified.
//  2. A header without a value is absent (dropEmpty), from the verified
//     signature on.
//
// Handlers and policy conditions run afterwards and see the same headers.

// requestHeader is one row of the table.
type requestHeader struct {
	// Name is in lower case.
	Name string
	// List: HTTP or S3 defines the header as a list, so several lines are one
	// list. Without it, a second line is refused.
	List bool
	// KeepEmpty: the header asks for a check of the body or for encryption, and
	// without a value the code that reads it refuses it, as AWS does. For policy
	// conditions it is absent then, as every other header is.
	KeepEmpty bool
}

// requestHeaders returns the table. Headers that are not in it and do not begin
// with x-amz- mean nothing to S3: they may be repeated, as HTTP has it (Accept,
// Via, X-Forwarded-For and so on). Of x-amz-meta-* a second line is appended to
// the first one with a comma, as on AWS.
func requestHeaders() []requestHeader {
	rows := []requestHeader{
		// HTTP.
		{Name: "authorization", KeepEmpty: true},
		{Name: "cache-control", List: true},
		{Name: "content-disposition"},
		{Name: "content-encoding", List: true},
		{Name: "content-language", List: true},
		{Name: "content-length"},
		{Name: "content-md5", KeepEmpty: true},
		{Name: "content-range"},
		{Name: "content-type"},
		{Name: "date"},
		{Name: "expires"},
		{Name: "if-match", List: true},
		{Name: "if-modified-since"},
		{Name: "if-none-match", List: true},
		{Name: "if-range"},
		{Name: "if-unmodified-since"},
		{Name: "origin"},
		{Name: "access-control-request-method"},
		{Name: "range"},
		{Name: "referer"},
		{Name: "user-agent"},

		// The request itself.
		{Name: "x-amz-client-token"},
		{Name: "x-amz-confirm-remove-self-bucket-access"},
		{Name: "x-amz-content-sha256"},
		{Name: "x-amz-date"},
		{Name: "x-amz-decoded-content-length"},
		{Name: "x-amz-expected-bucket-owner"},
		{Name: "x-amz-max-parts"},
		{Name: "x-amz-mfa"},
		{Name: "x-amz-object-attributes", List: true},
		{Name: "x-amz-optional-object-attributes", List: true},
		{Name: "x-amz-part-number-marker"},
		{Name: "x-amz-request-payer"},
		{Name: "x-amz-sdk-checksum-algorithm"},
		{Name: "x-amz-security-token"},
		{Name: "x-amz-source-expected-bucket-owner"},
		{Name: "x-amz-trailer", List: true},
		{Name: "x-amz-user-agent"},

		// What is stored.
		{Name: "x-amz-acl"},
		{Name: "x-amz-grant-full-control", List: true},
		{Name: "x-amz-grant-read", List: true},
		{Name: "x-amz-grant-read-acp", List: true},
		{Name: "x-amz-grant-write", List: true},
		{Name: "x-amz-grant-write-acp", List: true},
		{Name: "x-amz-tagging"},
		{Name: "x-amz-object-lock-mode"},
		{Name: "x-amz-object-lock-retain-until-date"},
		{Name: "x-amz-object-lock-legal-hold"},
		{Name: "x-amz-server-side-encryption", KeepEmpty: true},
		{Name: "x-amz-server-side-encryption-aws-kms-key-id"},
		{Name: "x-amz-server-side-encryption-bucket-key-enabled"},
		{Name: "x-amz-server-side-encryption-context"},
		{Name: "x-amz-server-side-encryption-customer-algorithm"},
		{Name: "x-amz-server-side-encryption-customer-key"},
		{Name: "x-amz-server-side-encryption-customer-key-md5"},
		{Name: "x-amz-storage-class"},
		{Name: "x-amz-website-redirect-location"},
		{Name: "x-amz-write-offset-bytes"},
		{Name: "x-amz-mp-object-size"},
		{Name: "x-amz-checksum-algorithm"},
		{Name: "x-amz-checksum-mode"},
		{Name: "x-amz-checksum-type"},

		// Copies and renames.
		{Name: "x-amz-copy-source"},
		{Name: "x-amz-copy-source-if-match", List: true},
		{Name: "x-amz-copy-source-if-modified-since"},
		{Name: "x-amz-copy-source-if-none-match", List: true},
		{Name: "x-amz-copy-source-if-unmodified-since"},
		{Name: "x-amz-copy-source-range"},
		{Name: "x-amz-copy-source-server-side-encryption-customer-algorithm"},
		{Name: "x-amz-copy-source-server-side-encryption-customer-key"},
		{Name: "x-amz-copy-source-server-side-encryption-customer-key-md5"},
		{Name: "x-amz-metadata-directive"},
		{Name: "x-amz-object-annotation-directive"},
		{Name: "x-amz-tagging-directive"},
		{Name: "x-amz-rename-source"},
		{Name: "x-amz-rename-source-if-match", List: true},
		{Name: "x-amz-rename-source-if-modified-since"},
		{Name: "x-amz-rename-source-if-none-match", List: true},
		{Name: "x-amz-rename-source-if-unmodified-since"},

		// Deletes.
		{Name: "x-amz-bypass-governance-retention"},
		{Name: "x-amz-if-match-initiated-time"},
		{Name: "x-amz-if-match-last-modified-time"},
		{Name: "x-amz-if-match-size"},

		// Buckets.
		{Name: "x-amz-bucket-object-lock-enabled"},
		{Name: "x-amz-bucket-object-lock-token"},
		{Name: "x-amz-bucket-region"},
		{Name: "x-amz-object-ownership"},
	}
	for algorithm := range checksumBytes {
		rows = append(rows, requestHeader{Name: "x-amz-checksum-" + strings.ToLower(algorithm), KeepEmpty: true})
	}
	return rows
}

// headerRows is the table by canonical name.
var headerRows = func() map[string]*requestHeader {
	rows := map[string]*requestHeader{}
	for _, row := range requestHeaders() {
		rows[http.CanonicalHeaderKey(row.Name)] = &row
	}
	return rows
}()

const amzPrefix = "X-Amz-"

// repeatable reports whether a request may have several lines of a header.
func repeatable(name string) bool {
	if row := headerRows[name]; row != nil {
		return row.List
	}
	return !strings.HasPrefix(name, amzPrefix) || strings.HasPrefix(name, amzMeta)
}

// singleParameters are the query parameters with a meaning that select no row
// of the operation table. They have one value, as the selectors and every
// x-amz-* parameter have.
var singleParameters = func() map[string]bool {
	names := map[string]bool{}
	for name := range strings.FieldsSeq(`
		versionid partnumber uploadid prefix delimiter marker max-keys encoding-type
		continuation-token start-after fetch-owner allow-unordered key-marker
		version-id-marker upload-id-marker max-uploads max-parts part-number-marker
		max-buckets bucket-region position awsaccesskeyid signature expires
		content-type content-md5`) {
		names[name] = true
	}
	for name := range overrides {
		names[name] = true
	}
	for _, op := range Operations() {
		for _, s := range op.Query {
			names[strings.ToLower(s.Name)] = true
		}
		for _, p := range op.Params {
			names[strings.ToLower(p)] = true
		}
	}
	return names
}()

// singular refuses a repeated header or query parameter that has one value:
// the signature, the policy conditions and the handler would each have to
// choose one. Parameters are compared without case, as presigned queries are
// read. Those without a meaning may be repeated: AWS ignores them.
// InvalidArgument.
func singular(r *Request) error {
	var repeated []string
	for name, values := range r.Header {
		if len(values) > 1 && !repeatable(name) {
			repeated = append(repeated, strings.ToLower(name))
		}
	}
	if len(repeated) > 0 {
		name := slices.Min(repeated) // the answer does not depend on the order of a map
		return badArgument(name, "", "The header %s has one value and must not be repeated.", name)
	}
	seen := make(map[string]bool, len(r.query))
	for name, values := range r.query {
		lower := strings.ToLower(name)
		if !singleParameters[lower] && !strings.HasPrefix(lower, "x-amz-") {
			continue
		}
		// Names without x-amz- are case-sensitive: another spelling has no meaning.
		if len(values) > 1 || seen[lower] && strings.HasPrefix(lower, "x-amz-") {
			repeated = append(repeated, lower)
		}
		seen[lower] = true
	}
	if len(repeated) > 0 {
		name := slices.Min(repeated)
		return badArgument(name, "", "The query parameter %s has one value and must not be repeated.", name)
	}
	return nil
}

// dropEmpty removes headers without a value: an empty header is absent, for
// handlers and for policy conditions. It runs once the signature is verified,
// which covers empty headers too. User metadata may be empty, and so may what
// S3 does not read.
func dropEmpty(h http.Header) {
	for name, values := range h {
		row := headerRows[name]
		switch {
		case row == nil && (!strings.HasPrefix(name, amzPrefix) || strings.HasPrefix(name, amzMeta)):
			continue
		case row != nil && row.KeepEmpty || !slices.Contains(values, ""):
			continue
		}
		if values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" }); len(values) > 0 {
			h[name] = values
		} else {
			delete(h, name)
		}
	}
}
