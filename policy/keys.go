package policy

import (
	"slices"
	"strings"
)

// Type is the type of a condition key's values. It decides which operators
// may compare them.
type Type string

// The types of condition keys.
const (
	String  Type = "String"
	Strings Type = "String, several"
	Bool    Type = "Bool"
	Numeric Type = "Numeric"
	Date    Type = "Date"
	IP      Type = "IP address"
	ARN     Type = "ARN"
)

// Key is one condition key that requests carry. Exactly one of Header, Param
// and From says where its value comes from.
type Key struct {
	// Name is spelled as AWS spells it; case does not matter. The name of a
	// tag follows a Name that ends in a slash.
	Name string
	Type Type
	// Actions are the actions whose requests can carry the key, without the
	// prefix s3:. nil is every action.
	Actions []string
	Header  string // the request header that is the value
	Param   string // the query parameter that is the value
	From    string // any other origin, in words
	// Own keys differ between the accesses of one request, as those to the
	// keys of a DeleteObjects do. They are in [Access].Context.
	Own bool

	carriers actionSet
}

// family reports whether the name of a tag follows the key's name.
func (k *Key) family() bool { return strings.HasSuffix(k.Name, "/") }

// several reports whether the key may have more than one value.
func (k *Key) several() bool { return k.Type == Strings }

// Keys returns the table of condition keys.
//
// The rule: a policy may name exactly the keys of this table, because a
// condition on a key that no request carries decides nothing: a Deny that
// depends on it never applies. A key that is added here must also be set (in
// package s3api, or in this package where the key tells about the principal,
// the bucket or the time), and a test of s3api holds that each one is set.
func Keys() []Key { return keys }

var (
	writes      = words("PutObject")
	tagWrites   = words("PutObject PutObjectTagging PutObjectVersionTagging")
	aclWrites   = words("PutObject PutObjectAcl PutObjectVersionAcl PutBucketAcl")
	listings    = words("ListBucket ListBucketVersions")
	retentions  = words("PutObject PutObjectRetention BypassGovernanceRetention")
	onVersions  = words("DeleteObject DeleteObjectVersion BypassGovernanceRetention GetObject GetObjectVersion GetObjectAcl GetObjectVersionAcl PutObjectAcl PutObjectVersionAcl GetObjectAttributes GetObjectVersionAttributes GetObjectTagging GetObjectVersionTagging PutObjectTagging PutObjectVersionTagging DeleteObjectTagging DeleteObjectVersionTagging GetObjectRetention PutObjectRetention GetObjectLegalHold PutObjectLegalHold GetObjectTorrent GetObjectVersionTorrent")
	onExisting  = append(words("PutObject"), onVersions...)
	listUploads = append(words("ListBucketMultipartUploads"), listings...)
)

// keys follows the service authorization reference ("Condition keys for Amazon
// S3", and its table of actions) and the IAM user guide ("AWS global condition
// context keys"). Keys of AWS that are missing here are those that no request
// to Pithos can carry: of organizations, VPCs, sessions, calling services,
// access points, annotations, and of CreateBucket, which no bucket policy
// decides. More actions than on AWS carry s3:ExistingObjectTag/, s3:VersionId,
// and s3:prefix with s3:delimiter.
var keys = []Key{
	{Name: "aws:CurrentTime", Type: Date, From: "the time of the request, by the gateway's clock"},
	{Name: "aws:EpochTime", Type: Numeric, From: "the time of the request in seconds since 1970; date operators compare it too"},
	{Name: "aws:PrincipalAccount", Type: String, From: "the caller's tenant; anonymous requests have none"},
	{Name: "aws:PrincipalArn", Type: ARN, From: "`arn:aws:iam::TENANT:root`; anonymous requests have none"},
	{Name: "aws:PrincipalIsAWSService", Type: Bool, From: "`false`"},
	{Name: "aws:PrincipalType", Type: String, From: "`Account` or `Anonymous`"},
	{Name: "aws:Referer", Type: String, Header: "Referer"},
	{Name: "aws:RequestedRegion", Type: String, From: "the bucket's region"},
	{Name: "aws:ResourceAccount", Type: String, From: "the tenant that owns the bucket"},
	{Name: "aws:SecureTransport", Type: Bool, From: "`true` for requests over TLS, `false` for others"},
	{Name: "aws:SourceIp", Type: IP, From: "the client's address"},
	{Name: "aws:UserAgent", Type: String, Header: "User-Agent"},
	{Name: "aws:userid", Type: String, From: "the caller's tenant; anonymous requests have none"},
	{Name: "aws:ViaAWSService", Type: Bool, From: "`false`"},

	{Name: "s3:authType", Type: String, From: "`REST-HEADER`, `REST-QUERY-STRING` or `POST`; anonymous requests have none"},
	{Name: "s3:BucketTag/", Type: String, From: "the bucket's tag of that key"},
	{Name: "s3:delimiter", Type: String, Actions: listUploads, Param: "delimiter"},
	{Name: "s3:ExistingObjectTag/", Type: String, Actions: onExisting, From: "the tag of that key of the object or version that there is", Own: true},
	{Name: "s3:if-match", Type: String, Actions: words("PutObject DeleteObject DeleteObjectVersion"), From: "the header `If-Match`; in DeleteObjects the `ETag` of each key", Own: true},
	{Name: "s3:if-none-match", Type: String, Actions: writes, Header: "If-None-Match"},
	{Name: "s3:max-keys", Type: Numeric, Actions: listings, Param: "max-keys"},
	{Name: "s3:object-lock-legal-hold", Type: String, Actions: words("PutObject PutObjectLegalHold"), From: "the legal hold that the header or the document sets"},
	{Name: "s3:object-lock-mode", Type: String, Actions: retentions, From: "the retention that the headers or the document set"},
	{Name: "s3:object-lock-remaining-retention-days", Type: Numeric, Actions: retentions, From: "the retention that the headers or the document set"},
	{Name: "s3:object-lock-retain-until-date", Type: Date, Actions: retentions, From: "the retention that the headers or the document set"},
	{Name: "s3:ObjectCreationOperation", Type: Bool, Actions: writes, From: "`false` for CreateMultipartUpload, UploadPart and UploadPartCopy, `true` for other writes"},
	{Name: "s3:prefix", Type: String, Actions: listUploads, Param: "prefix", Own: true},
	{Name: "s3:RequestObjectTag/", Type: String, Actions: tagWrites, From: "the tag of that key that the header or the document sets"},
	{Name: "s3:RequestObjectTagKeys", Type: Strings, Actions: tagWrites, From: "the keys of the tags that the header or the document sets"},
	{Name: "s3:ResourceAccount", Type: String, From: "the tenant that owns the bucket"},
	{Name: "s3:signatureAge", Type: Numeric, From: "milliseconds since the request was signed; anonymous requests have none"},
	{Name: "s3:signatureversion", Type: String, From: "`AWS` or `AWS4-HMAC-SHA256`; anonymous requests have none"},
	{Name: "s3:TlsVersion", Type: Numeric, From: "the version of TLS, where the gateway itself ends it"},
	{Name: "s3:VersionId", Type: String, Actions: onVersions, From: "the version that the request names", Own: true},
	{Name: "s3:x-amz-acl", Type: String, Actions: aclWrites, Header: "X-Amz-Acl"},
	{Name: "s3:x-amz-content-sha256", Type: String, From: "the header of that name; `UNSIGNED-PAYLOAD` for presigned requests and signed forms without it"},
	{Name: "s3:x-amz-copy-source", Type: Strings, Actions: writes, From: "the header of that name, decoded and without a version, as `bucket/key` and as `/bucket/key`"},
	{Name: "s3:x-amz-grant-full-control", Type: String, Actions: aclWrites, Header: "X-Amz-Grant-Full-Control"},
	{Name: "s3:x-amz-grant-read", Type: String, Actions: aclWrites, Header: "X-Amz-Grant-Read"},
	{Name: "s3:x-amz-grant-read-acp", Type: String, Actions: aclWrites, Header: "X-Amz-Grant-Read-Acp"},
	{Name: "s3:x-amz-grant-write", Type: String, Actions: aclWrites, Header: "X-Amz-Grant-Write"},
	{Name: "s3:x-amz-grant-write-acp", Type: String, Actions: aclWrites, Header: "X-Amz-Grant-Write-Acp"},
	{Name: "s3:x-amz-metadata-directive", Type: String, Actions: writes, Header: "X-Amz-Metadata-Directive"},
	{Name: "s3:x-amz-server-side-encryption", Type: String, Actions: writes, Header: "X-Amz-Server-Side-Encryption"},
	{Name: "s3:x-amz-server-side-encryption-aws-kms-key-id", Type: String, Actions: writes, Header: "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"},
	{Name: "s3:x-amz-server-side-encryption-customer-algorithm", Type: String, Actions: writes, Header: "X-Amz-Server-Side-Encryption-Customer-Algorithm"},
	{Name: "s3:x-amz-storage-class", Type: String, Actions: writes, Header: "X-Amz-Storage-Class"},
	{Name: "s3:x-amz-website-redirect-location", Type: String, Actions: writes, Header: "X-Amz-Website-Redirect-Location"},
}

func words(text string) []string { return slices.Clip(strings.Fields(text)) }

// keysByName finds a key by its canonical name, a family by its prefix.
var keysByName = func() map[string]*Key {
	by := map[string]*Key{}
	for i := range keys {
		k := &keys[i]
		if k.carriers = allActions(); k.Actions != nil {
			k.carriers = actionSet{}
		}
		for _, name := range k.Actions {
			number, ok := actionNumber("s3:" + name)
			if !ok {
				panic("policy: the condition key " + k.Name + " names the unknown action " + name)
			}
			k.carriers.add(number)
		}
		by[strings.ToLower(k.Name)] = k
	}
	return by
}()

// findKey finds the key of a canonical name, nil where requests carry none.
func findKey(canonical string) *Key {
	if slash := strings.IndexByte(canonical, '/'); slash >= 0 {
		if slash == len(canonical)-1 {
			return nil // the tag has no name
		}
		canonical = canonical[:slash+1]
	}
	return keysByName[canonical]
}

// operatorsOf are the kinds of operators that a value of a type can satisfy.
// A string can have any form.
var operatorsOf = map[Type][]string{
	Bool:    {"Bool", "String", null},
	Numeric: {"Numeric", "Date", "String", null},
	Date:    {"Date", "String", null},
	IP:      {"IpAddress", "NotIpAddress", "String", null},
	ARN:     {"Arn", "String", null},
}

// compares reports whether the operator can ever hold for a value of the type.
func (op operator) compares(t Type) bool {
	kinds, restricted := operatorsOf[t]
	return !restricted || slices.ContainsFunc(kinds, func(kind string) bool { return strings.HasPrefix(op.base, kind) })
}
