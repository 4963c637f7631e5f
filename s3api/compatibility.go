package s3api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pithos/pithos/policy"
)

const compatibilityHead = `# S3 compatibility

This page is generated from the operation table of the server: what it says is what the server does. An operation that is
not there answers ` + "`501 NotImplemented`" + ` and names itself. Operations marked *nothing set* belong to features that are
not there either: what would set something up answers 501, and they answer that nothing is set up, as AWS does for such a
bucket: an empty list or document, or 404 with the code of that absence. So tools that only ask go on.

Requests are signed with version 2 or 4 (header, presigned, chunked, with trailers), addressed by path or by host name, over
HTTP/1.1 or, with TLS, HTTP/2.

`

// Compatibility renders the operation table as Markdown.
func Compatibility() string {
	var b strings.Builder
	b.WriteString(compatibilityHead)
	ops := Operations()
	slices.SortStableFunc(ops, func(a, b Operation) int { return cmp.Compare(a.Name, b.Name) })
	there, absent := 0, 0
	for i := range ops {
		switch {
		case ops[i].Absent:
			absent++
		case ops[i].Handler != nil:
			there++
		}
	}
	fmt.Fprintf(&b, "Of %d operations %d are there, and %d answer that nothing is set.\n\n| operation | request | there | in what it differs |\n|---|---|---|---|\n", len(ops), there, absent)
	for i := range ops {
		op := &ops[i]
		answer := "yes"
		switch {
		case op.Handler == nil:
			answer = "501"
		case op.Absent:
			answer = "nothing set"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", op.Name, op.request(), answer, op.Differs)
	}
	writeConditionKeys(&b)
	writeContradictions(&b)
	return b.String()
}

// A contradiction is a behaviour that the public suite (github.com/ceph/s3-tests)
// asserts and AWS does not have. AWS decides: its documentation, or where that says
// nothing, published measurements.
type contradiction struct {
	tests []string
	wants string // by the suite
	does  string // what AWS and Pithos do
}

var contradictions = []contradiction{
	{
		tests: []string{"test_delete_object_if_match", "test_delete_object_current_if_match", "test_delete_objects_current_if_match"},
		wants: "A deletion with `If-Match` (`ETag` in DeleteObjects) of a key without a current object succeeds; under a delete marker `*` matches, and an ETag answers `412 PreconditionFailed`.",
		does:  "It fails with `404 NoSuchKey`, and adds no delete marker. A delete marker is no object.",
	},
	{
		tests: []string{"test_put_object_ifnonmatch_good", "test_put_object_ifnonmatch_failed", "test_put_object_if_match", "test_put_object_current_if_match",
			"test_put_current_object_if_match", "test_put_current_object_if_none_match", "test_multipart_put_object_if_match",
			"test_multipart_put_current_object_if_match", "test_multipart_put_current_object_if_none_match"},
		wants: "PutObject and CompleteMultipartUpload take an ETag in `If-None-Match`.",
		does:  "`If-None-Match` on a write takes `*` only; another value answers `501 NotImplemented`.",
	},
	{
		tests: []string{"test_multipart_use_cksum_helper_sha256", "test_multipart_use_cksum_helper_sha1", "test_get_multipart_checksum_object_attributes"},
		wants: "GetObjectAttributes shows a composite checksum with the number of parts (`-3`).",
		does:  "It shows the checksum alone; the number is `TotalPartsCount`. GetObject and HeadObject show it with the number.",
	},
	{
		tests: []string{"test_sse_kms_multipart_invalid_chunks_1", "test_sse_kms_multipart_invalid_chunks_2"},
		wants: "UploadPart takes another key in `x-amz-server-side-encryption-aws-kms-key-id` than the upload has, and ignores it.",
		does:  "AWS refuses the header on UploadPart. Pithos takes it where it names the upload's own key, and refuses every other.",
	},
}

const contradictionsHead = `
## Where the public suite contradicts AWS

These tests of [ceph/s3-tests](https://github.com/ceph/s3-tests) fail against Pithos, because they assert what AWS does not do. Some of
them are marked ` + "`fails_on_aws`" + ` there.

| tests | the suite wants | AWS and Pithos |
|---|---|---|
`

// writeContradictions renders the table of contradictions.
func writeContradictions(b *strings.Builder) {
	b.WriteString(contradictionsHead)
	for _, c := range contradictions {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", strings.Join(c.tests, "`, `"), c.wants, c.does)
	}
}

const conditionKeysHead = `
## Condition keys of bucket policies

A bucket policy may name the keys of this table, in any case. ` + "`PutBucketPolicy`" + ` refuses every other key by name (` + "`MalformedPolicy`" + `):
misspelt ones, and those of AWS that no request to Pithos carries, because a ` + "`Deny`" + ` that depends on such a key would never apply.
Those are the keys of organizations, VPCs, users and sessions (` + "`aws:username`, `aws:MultiFactorAuthPresent`, `aws:PrincipalTag/`" + `),
calling services (` + "`aws:SourceArn`, `aws:SourceAccount`" + `), access points, annotations, inventories, and of CreateBucket, which no bucket policy
decides (` + "`s3:locationconstraint`, `s3:x-amz-bucket-namespace`, `s3:x-amz-object-ownership`" + `). Refused are also a key that no request
of one of the statement's actions carries, and an operator that cannot hold for the key's type. The same goes for policy variables.

A policy that was stored before these rules, and breaks them, is decided against the requester: such a condition holds in a
` + "`Deny`" + ` and does not in an ` + "`Allow`" + `. Put it again to see what is wrong with it.

| key | type | actions | value |
|---|---|---|---|
`

// writeConditionKeys renders the table of condition keys.
func writeConditionKeys(b *strings.Builder) {
	b.WriteString(conditionKeysHead)
	for _, k := range policy.Keys() {
		name, actions, value := k.Name, "all", k.From
		if strings.HasSuffix(name, "/") {
			name += "KEY"
		}
		if k.Actions != nil {
			actions = strings.Join(k.Actions, ", ")
		}
		switch {
		case k.Header != "":
			value = "the header `" + k.Header + "`"
		case k.Param != "":
			value = "the parameter `" + k.Param + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, k.Type, actions, value)
	}
}

// request shows the parameters and headers that select the row.
func (op *Operation) request() string {
	s := op.Method + " " + [...]string{ScopeService: "/", ScopeBucket: "/bucket", ScopeObject: "/bucket/key"}[op.Scope]
	for i, q := range op.Query {
		s += string("?&"[min(i, 1)]) + q.Name
		if q.Value != "" {
			s += "=" + q.Value
		}
	}
	if op.Header != "" {
		s += ", " + strings.ToLower(op.Header)
	}
	return s
}
