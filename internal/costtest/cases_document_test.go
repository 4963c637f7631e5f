package costtest

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/s3api"
)

// documentCases are requests with a document in the body.
var documentCases = []testCase{
	{"XMLOfAllOperations", setting, "documents are read as a stream, with caps on elements and depth", xmlOfOwner},
	{"XMLOfAllOperationsRefused", refused, "authorization comes before the document", xmlOfStranger},
	{"DeleteManyElements", small, "a DeleteObjects document has a cap on its elements", deleteElements},
	{"DeleteManyElementsRefused", refused, "callers who can have no right are refused before the document is read", deleteElementsRefused},
	{"DeleteObjects", each, "a DeleteObjects has 1,000 keys at most", deleteObjects},
	{"DeleteOneKeyRepeated", each, "a DeleteObjects has 1,000 keys at most", deleteRepeated},
	{"DeleteRefused", refusedEach, "a DeleteObjects has 1,000 keys at most", deleteRefused},
	{"CompleteManyElements", small, "a CompleteMultipartUpload document has a cap on its elements", completeElements},
	{"CompleteManyParts", each, "parts are read once", completeParts},
	{"ACLGrantsDocument", small, "grants are counted before grantees are looked up", grantsDocument},
	{"TaggingDocument", small, "tags are counted first", taggingDocument},
	{"CORSDocument", setting, "CORS rules are bounded", corsDocument},
}

func md5Of(body []byte) string {
	sum := md5.Sum(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// roots are the root elements of the documents, by the operation.
var roots = map[string]string{
	"CreateBucket": "CreateBucketConfiguration", "PutBucketAcl": "AccessControlPolicy", "PutBucketVersioning": "VersioningConfiguration",
	"PutBucketTagging": "Tagging", "PutBucketEncryption": "ServerSideEncryptionConfiguration", "PutObjectLockConfiguration": "ObjectLockConfiguration",
	"PutPublicAccessBlock": "PublicAccessBlockConfiguration", "PutBucketOwnershipControls": "OwnershipControls", "PutBucketCors": "CORSConfiguration",
	"PutBucketRequestPayment": "RequestPaymentConfiguration", "PutObjectAcl": "AccessControlPolicy", "PutObjectTagging": "Tagging",
	"PutObjectRetention": "Retention", "PutObjectLegalHold": "LegalHold", "DeleteObjects": "Delete", "CompleteMultipartUpload": "CompleteMultipartUpload",
}

// bombs are documents with the root element root, of about n bytes.
func bombs(root string, n int) []string {
	open, end := "<"+root+">", "</"+root+">"
	return []string{
		open + fill("<a/>", n/4*4) + end,
		open + fill("<a>", n/3*3),
		open + fill("<a><b></b></a>", n/14*14) + end,
		open + fill("&#65;", n/5*5) + end,
		open + "<!--" + fill("-!", n) + "-->" + end,
		open + "<![CDATA[" + fill("]", n) + "]]>" + end,
		open + fill("<?a b?>", n/7*7) + end,
		"<" + root + " " + strings.Join(names("a", n/10), `="" `) + `=""/>`,
		"<" + root + " " + strings.Join(names("xmlns:a", n/16), `="b" `) + `="b"/>`,
		"<" + root + "><" + fill("a", n) + "/>" + end,
		`<!DOCTYPE a [<!ENTITY a "` + fill("&a;", n) + `">]>` + open + "&a;" + end,
		open + fill(" \n", n) + end,
		open + strings.Repeat("<a xmlns='http://s3.amazonaws.com/doc/2006-03-01/'/>", n/52) + end,
	}
}

// xmlOf makes the bombs of each operation that reads a document.
func (x *fixture) xmlOf(key s3test.Key, kinds int) attack {
	bucket := x.object()
	a := attack{status: []int{200, 204, 400, 403, 404, 405, 409, 411, 412, 413, 501}}
	for _, op := range s3api.Operations() {
		root := roots[op.Name]
		if op.Body != s3api.BodyDocument || op.Handler == nil || root == "" || op.MaxBody > 64<<10 {
			continue
		}
		target := "/" + bucket
		switch op.Scope {
		case s3api.ScopeService:
			target = "/"
		case s3api.ScopeObject:
			target += "/key"
		}
		if op.Name == "CreateBucket" {
			target = "/" + s3test.BucketName(x.T)
		}
		for i, q := range op.Query {
			target += "?&"[min(i, 1):min(i, 1)+1] + q.Name
			if q.Value != "" {
				target += "=" + q.Value
			}
		}
		for _, body := range bombs(root, 60<<10)[:kinds] {
			a.requests = append(a.requests, x.request(key, op.Method, target, []byte(body), "Content-Md5", md5Of([]byte(body))))
		}
	}
	return a
}

func xmlOfOwner(x *fixture) attack    { return x.xmlOf(s3test.Alice, 13) }
func xmlOfStranger(x *fixture) attack { return x.xmlOf(s3test.Bob, 3) }

func (x *fixture) bombsTo(key s3test.Key, target, root string, n int) attack {
	a := attack{status: []int{400, 403, 404, 413}}
	for _, body := range bombs(root, n) {
		a.requests = append(a.requests, x.request(key, "POST", target, []byte(body), "Content-Md5", md5Of([]byte(body))))
	}
	return a
}

func deleteElements(x *fixture) attack {
	return x.bombsTo(s3test.Alice, "/"+x.object()+"?delete", "Delete", 2<<20-100)
}

func deleteElementsRefused(x *fixture) attack {
	return x.bombsTo(unsigned, "/"+x.object()+"?delete", "Delete", 2<<20-100)
}

func deleteObjects(x *fixture) attack {
	bucket := x.s.Bucket(x.T)
	return attack{requests: [][]byte{x.deleteMany(s3test.Alice, bucket, 100, func(i int) string { return fmt.Sprint("k", i) })}, status: []int{200}, units: 100}
}

func deleteRepeated(x *fixture) attack {
	return attack{requests: [][]byte{x.deleteMany(s3test.Alice, x.s.Bucket(x.T), 100, func(int) string { return "key" })}, status: []int{200}, units: 100}
}

func deleteRefused(x *fixture) attack {
	return attack{requests: [][]byte{x.deleteMany(s3test.Bob, x.object(), deletes, func(i int) string { return fmt.Sprint(i, fill("k", 1000)) })}, status: []int{200, 403}, units: deletes}
}

// upload begins a multipart upload and returns the target of its Complete.
func (x *fixture) upload(bucket string, header ...string) string {
	x.Helper()
	got := string(x.must(s3test.Alice, "POST", "/"+bucket+"/upload?uploads", nil, header...))
	_, id, _ := strings.Cut(got, "<UploadId>")
	id, _, _ = strings.Cut(id, "<")
	return "/" + bucket + "/upload?uploadId=" + id
}

func completeElements(x *fixture) attack {
	return x.bombsTo(s3test.Alice, x.upload(x.s.Bucket(x.T)), "CompleteMultipartUpload", 4<<20-200)
}

func completeParts(x *fixture) attack {
	target := x.upload(x.s.Bucket(x.T))
	x.must(s3test.Alice, "PUT", target+"&partNumber=1", []byte("part"))
	var b strings.Builder
	b.WriteString("<CompleteMultipartUpload>")
	for i := range 10_000 {
		fmt.Fprintf(&b, `<Part><PartNumber>%d</PartNumber><ETag>"841a2d689ad86bd1611447453c22c6fc"</ETag></Part>`, i+1)
	}
	b.WriteString("</CompleteMultipartUpload>")
	return attack{requests: [][]byte{x.request(s3test.Alice, "POST", target, []byte(b.String()))}, status: []int{400}, units: 200} // 50 parts are cheaper than one key
}

func grantsDocument(x *fixture) attack {
	document := func(grantee string) string {
		grant := `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>` + grantee + `</ID></Grantee><Permission>READ</Permission></Grant>`
		return `<AccessControlPolicy><Owner><ID>alice</ID></Owner><AccessControlList>` + strings.Repeat(grant, (60<<10)/len(grant)) + `</AccessControlList></AccessControlPolicy>`
	}
	bucket := x.object()
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "PUT", "/"+bucket+"/key?acl", []byte(document("bob"))),
		x.request(s3test.Alice, "PUT", "/"+bucket+"/key?acl", []byte(document("no-one"))),
		x.request(s3test.Alice, "PUT", "/"+bucket+"?acl", []byte(document("no-one"))),
	}, status: []int{400}}
}

func taggingDocument(x *fixture) attack {
	body := []byte("<Tagging><TagSet>" + fill("<Tag><Key>k</Key><Value>v</Value></Tag>", 60<<10/39*39) + "</TagSet></Tagging>")
	bucket := x.object()
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "PUT", "/"+bucket+"/key?tagging", body, "Content-Md5", md5Of(body)),
		x.request(s3test.Alice, "PUT", "/"+bucket+"?tagging", body, "Content-Md5", md5Of(body)),
	}, status: []int{400}}
}

func corsDocument(x *fixture) attack {
	rule := "<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>"
	body := []byte("<CORSConfiguration>" + strings.Repeat(rule, 60<<10/len(rule)) + "</CORSConfiguration>")
	return oneOf(x.request(s3test.Alice, "PUT", "/"+x.object()+"?cors", body, "Content-Md5", md5Of(body)), 400)
}
