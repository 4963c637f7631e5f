package s3api

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// This file is the one table of the request headers that mean something to
// S3, and the rules that hold for all of them. A request passes them in this
// order, for all sources of headers: as headers, as parameters of a
// presigned query, or as fields of a POST form.
//
//  1. A header or parameter with one value that is repeated is refused
//     (singular), before the signature is verified.
//  2. A header without a value is absent (dropEmpty), from the verified
//     signature on.
//  3. An unknown header of a family that promises protection or a condition
//     (families) is refused with 501. Other unknown x-amz-* headers are ignored,
//     as on AWS, and counted.
//  4. A header that the operation does not honour (Operation.Honours) is refused
//     by name if the operation writes, and a condition if it changes anything.
//     Otherwise it is removed: reads and deletes store nothing, and some
//     clients send headers to operations that do not use them
//     (Operation.Ignores).
//
// Handlers and policy conditions run afterwards. Both see the same headers: those
// that take effect.
//
// A new operation says in its row what it honours. A new header gets a row
// here, with its kind, before any handler reads it.

// Headers is a set of kinds of request headers.
type Headers uint32

// The kinds of request headers. An operation honours all headers of a kind or
// none.
const (
	// SetACL, SetTags, SetLock, SetEncryption, SetClass and SetRedirect set
	// attributes of an object, SetBucket those of a bucket.
	SetACL Headers = 1 << iota
	SetTags
	SetLock
	SetEncryption
	SetClass
	SetRedirect
	SetBucket
	// CustomerKey is a key for SSE-C.
	CustomerKey
	// Offset makes a write an append.
	Offset
	// BodyChecksum is a checksum of the body. Operations that read a document
	// always honour it, without an entry in Honours.
	BodyChecksum
	// ObjectSize is the size of the object that an upload makes.
	ObjectSize
	// CopySource is the object to copy, conditions on it and its customer key;
	// CopyRange is a range of it.
	CopySource
	CopyRange
	// RenameSource is the key to rename, and conditions on it.
	RenameSource
	// IfMatch, IfNoneMatch and IfDate are HTTP's conditions on the object. IfSame
	// are the conditions on its size and time, IfInitiated the one on an upload.
	IfMatch
	IfNoneMatch
	IfDate
	IfSame
	IfInitiated
	// Directives choose which attributes a copy takes from its source. Bypass
	// bypasses GOVERNANCE retention. Both have no meaning for other operations.
	Directives
	Bypass
)

const (
	// conditionHeaders are refused by every operation that changes data and does
	// not honour them.
	conditionHeaders = IfMatch | IfNoneMatch | IfDate | IfSame | IfInitiated | RenameSource
	// optionHeaders promise nothing. They are removed if they are not honoured.
	optionHeaders = Directives | Bypass
	// attributeHeaders are honoured by operations that make an object.
	attributeHeaders = SetACL | SetTags | SetLock | SetEncryption | CustomerKey | SetClass | SetRedirect
	// repeatedHeaders are headers of a CreateMultipartUpload that some clients
	// (minio-go, Cyberduck) repeat with the parts and the completion. AWS ignores
	// them there.
	repeatedHeaders = SetACL | SetTags | SetClass | SetRedirect
)

// families begin the names of headers that promise protection or a condition.
// A client that sends an unknown one must learn that Pithos does not honour it.
var families = []string{
	"X-Amz-Object-Lock-", "X-Amz-Server-Side-Encryption", "X-Amz-Checksum-", "X-Amz-If-", "X-Amz-Copy-Source", "X-Amz-Rename-Source",
	"X-Amz-Grant-", "X-Amz-Write-", "X-Amz-Bucket-",
}

func inFamily(name string) bool {
	return slices.ContainsFunc(families, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// requestHeader is one row of the table.
type requestHeader struct {
	// Name is in lower case.
	Name string
	// Kind is 0 for a header that no operation has to honour: it describes the
	// request itself, or is stored unchanged.
	Kind Headers
	// List: HTTP or S3 defines the header as a list, so several lines are one
	// list. Without it, a second line is refused.
	List bool
	// Needs is the action that a write of an object needs for this header
	// besides its own: the attribute that it sets has an action of its own, or the
	// condition reveals something of the existing object.
	Needs string
	// KeepEmpty: the header asks for a check of the body or for encryption. The
	// code that reads it refuses an empty value, as AWS does. For policy
	// conditions an empty header is absent, as for every other header.
	KeepEmpty bool
}

// requestHeaders returns the table. Headers that are not in it and do not begin
// with x-amz- have no meaning in S3: they may be repeated, as HTTP allows (Accept,
// Via, X-Forwarded-For and so on). A second line of x-amz-meta-* is appended to the
// first one with a comma, as on AWS.
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
		{Name: "if-match", Kind: IfMatch, Needs: "s3:GetObject", List: true},
		{Name: "if-modified-since", Kind: IfDate},
		{Name: "if-none-match", Kind: IfNoneMatch, List: true},
		{Name: "if-range"},
		{Name: "if-unmodified-since", Kind: IfDate},
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
		{Name: "x-amz-acl", Kind: SetACL, Needs: "s3:PutObjectAcl"},
		{Name: "x-amz-grant-full-control", Kind: SetACL, Needs: "s3:PutObjectAcl", List: true},
		{Name: "x-amz-grant-read", Kind: SetACL, Needs: "s3:PutObjectAcl", List: true},
		{Name: "x-amz-grant-read-acp", Kind: SetACL, Needs: "s3:PutObjectAcl", List: true},
		{Name: "x-amz-grant-write", Kind: SetACL, Needs: "s3:PutObjectAcl", List: true},
		{Name: "x-amz-grant-write-acp", Kind: SetACL, Needs: "s3:PutObjectAcl", List: true},
		{Name: "x-amz-tagging", Kind: SetTags, Needs: "s3:PutObjectTagging"},
		{Name: "x-amz-object-lock-mode", Kind: SetLock, Needs: "s3:PutObjectRetention"},
		{Name: "x-amz-object-lock-retain-until-date", Kind: SetLock, Needs: "s3:PutObjectRetention"},
		{Name: "x-amz-object-lock-legal-hold", Kind: SetLock, Needs: "s3:PutObjectLegalHold"},
		{Name: "x-amz-server-side-encryption", Kind: SetEncryption, KeepEmpty: true},
		{Name: "x-amz-server-side-encryption-aws-kms-key-id", Kind: SetEncryption},
		{Name: "x-amz-server-side-encryption-bucket-key-enabled", Kind: SetEncryption},
		{Name: "x-amz-server-side-encryption-context", Kind: SetEncryption},
		{Name: "x-amz-server-side-encryption-customer-algorithm", Kind: CustomerKey},
		{Name: "x-amz-server-side-encryption-customer-key", Kind: CustomerKey},
		{Name: "x-amz-server-side-encryption-customer-key-md5", Kind: CustomerKey},
		{Name: "x-amz-storage-class", Kind: SetClass},
		{Name: "x-amz-website-redirect-location", Kind: SetRedirect},
		{Name: "x-amz-write-offset-bytes", Kind: Offset, Needs: "s3:GetObject"},
		{Name: "x-amz-mp-object-size", Kind: ObjectSize},
		{Name: "x-amz-checksum-algorithm"},
		{Name: "x-amz-checksum-mode"},
		{Name: "x-amz-checksum-type"},

		// Copies and renames.
		{Name: "x-amz-copy-source", Kind: CopySource},
		{Name: "x-amz-copy-source-if-match", Kind: CopySource, List: true},
		{Name: "x-amz-copy-source-if-modified-since", Kind: CopySource},
		{Name: "x-amz-copy-source-if-none-match", Kind: CopySource, List: true},
		{Name: "x-amz-copy-source-if-unmodified-since", Kind: CopySource},
		{Name: "x-amz-copy-source-range", Kind: CopyRange},
		{Name: "x-amz-copy-source-server-side-encryption-customer-algorithm", Kind: CopySource},
		{Name: "x-amz-copy-source-server-side-encryption-customer-key", Kind: CopySource},
		{Name: "x-amz-copy-source-server-side-encryption-customer-key-md5", Kind: CopySource},
		{Name: "x-amz-metadata-directive", Kind: Directives},
		{Name: "x-amz-object-annotation-directive", Kind: Directives},
		{Name: "x-amz-tagging-directive", Kind: Directives},
		{Name: "x-amz-rename-source", Kind: RenameSource},
		{Name: "x-amz-rename-source-if-match", Kind: RenameSource, List: true},
		{Name: "x-amz-rename-source-if-modified-since", Kind: RenameSource},
		{Name: "x-amz-rename-source-if-none-match", Kind: RenameSource, List: true},
		{Name: "x-amz-rename-source-if-unmodified-since", Kind: RenameSource},

		// Deletes.
		{Name: "x-amz-bypass-governance-retention", Kind: Bypass},
		{Name: "x-amz-if-match-initiated-time", Kind: IfInitiated},
		{Name: "x-amz-if-match-last-modified-time", Kind: IfSame, Needs: "s3:GetObject"},
		{Name: "x-amz-if-match-size", Kind: IfSame, Needs: "s3:GetObject"},

		// Buckets.
		{Name: "x-amz-bucket-namespace", Kind: SetBucket},
		{Name: "x-amz-bucket-object-lock-enabled", Kind: SetBucket},
		{Name: "x-amz-bucket-object-lock-token"},
		{Name: "x-amz-bucket-region"},
		{Name: "x-amz-object-ownership", Kind: SetBucket},
	}
	for algorithm := range checksumBytes {
		rows = append(rows, requestHeader{Name: "x-amz-checksum-" + strings.ToLower(algorithm), Kind: BodyChecksum, KeepEmpty: true})
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

// singleParameters are the known query parameters that do not select a row of the
// operation table. They may occur once, like the selectors and every x-amz-*
// parameter.
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

// singular refuses a repeated header or query parameter that may occur once: the
// signature, the policy conditions and the handler could each use another value.
// Parameters are compared without case, as presigned queries are read. Unknown
// parameters may be repeated: AWS ignores them. Error: InvalidArgument.
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
		// Names without x-amz- are case-sensitive: another spelling is unknown.
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

// dropEmpty removes headers without a value: for handlers and policy conditions an
// empty header is absent. It runs after the signature is verified, because the
// signature covers empty headers too. It keeps empty user metadata and headers that
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

// honours returns the kinds of headers that take effect in op.
func (op *Operation) honours() Headers {
	if op.Body == BodyDocument {
		return op.Honours | BodyChecksum
	}
	return op.Honours
}

// refuses returns the kinds of headers that op refuses.
func (op *Operation) refuses() Headers {
	switch op.Method {
	case http.MethodGet, http.MethodHead:
		if op.Honours&CustomerKey != 0 {
			return SetEncryption // AWS refuses it if the operation accepts a customer's key
		}
		return 0
	case http.MethodDelete:
		return conditionHeaders &^ op.Honours
	}
	return ^(op.honours() | op.Ignores | optionHeaders)
}

// holdHeaders enforces the rules 3 and 4 above.
// InvalidArgument, NotImplemented.
func holdHeaders(r *Request) error {
	if r.Op.Public {
		return nil
	}
	refused := map[string]error{}
	for name := range r.Header {
		row := headerRows[name]
		switch {
		case row != nil && row.Kind&r.Op.refuses() != 0:
			refused[name] = notHonoured(row)
		case row != nil && row.Kind != 0 && row.Kind&r.Op.honours() == 0:
			delete(r.Header, name)
		case row != nil || !strings.HasPrefix(name, amzPrefix) || strings.HasPrefix(name, amzMeta):
		case inFamily(name):
			refused[name] = notImplementedHeader(name)
		default:
			r.unknownHeaders = append(r.unknownHeaders, name)
		}
	}
	if replace, _ := directive(r.Header, "X-Amz-Tagging-Directive"); !replace && r.Op.Honours&Directives != 0 {
		delete(r.Header, "X-Amz-Tagging") // a copy keeps the source's tags, as on AWS
	}
	holdParameters(r, refused)
	if len(refused) == 0 {
		return nil
	}
	return refused[slices.Min(slices.Collect(maps.Keys(refused)))] // the answer does not depend on the order of a map
}

// holdParameters refuses parameters of the query that would be headers if the query
// were presigned, since no code reads them.
func holdParameters(r *Request, refused map[string]error) {
	if r.authType == authType(true) || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return
	}
	for param := range r.query {
		name := http.CanonicalHeaderKey(param)
		row := headerRows[name]
		switch {
		case unverifiedInQuery(name):
		case row != nil && row.Kind&^optionHeaders != 0 && strings.HasPrefix(name, amzPrefix):
			refused[name] = badArgument(row.Name, "", "%s counts in the query of a presigned request only. Send it as a header.", row.Name)
		case row == nil && inFamily(name):
			refused[name] = notImplementedHeader(name)
		}
	}
}

// notHonoured is the error of a header that the operation refuses. It does not have
// the value, which may be a key.
func notHonoured(row *requestHeader) error {
	if row.Kind&conditionHeaders != 0 {
		return notImplementedHeader(http.CanonicalHeaderKey(row.Name))
	}
	return badArgument(row.Name, "", "%s header is not supported for this operation.", row.Name)
}
