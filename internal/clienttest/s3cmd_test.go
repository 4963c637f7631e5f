package clienttest

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/internal/s3test"
)

// s3cmdWays are the two ways to set s3cmd up: as in 2015, with signature
// version 2 and requests in absolute form sent to a proxy, and as today.
var s3cmdWays = map[string]string{
	"version 2 by proxy": `signature_v2 = True
host_base = ` + s3test.ServiceURI + `
host_bucket = %%(bucket)s.` + s3test.ServiceURI + `
proxy_host = %[1]s
proxy_port = %[2]s
`,
	"version 4 by path": `host_base = %[1]s:%[2]s
host_bucket = %[1]s:%[2]s
`,
}

// s3cmd is a server, seen through s3cmd.
type s3cmd struct {
	*client
	s *s3test.Server
}

// TestS3cmd runs each behaviour both ways on both engines.
func TestS3cmd(t *testing.T) {
	path := program(t, "s3cmd")
	behaviours := []struct {
		name string
		test func(*testing.T, s3cmd)
	}{
		{"BucketsComeAndGo", s3cmdBuckets},
		{"ObjectsGoInAndComeOut", s3cmdObjects},
		{"LargeObjectsGoInParts", s3cmdParts},
		{"ObjectsAreCopiedMovedAndModified", s3cmdCopies},
		{"AccessFollowsTheACL", s3cmdACL},
		{"AccessFollowsThePolicy", s3cmdPolicy},
		{"FoldersAreSynced", s3cmdSync},
		{"UploadsAreListedResumedAndAborted", s3cmdUploads},
		{"SignedURLsWork", s3cmdSignURL},
		{"BucketsHaveSettings", s3cmdSettings},
		{"ObjectsAreDeleted", s3cmdDelete},
	}
	for way, settings := range s3cmdWays {
		t.Run(way, func(t *testing.T) {
			s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
				for _, b := range behaviours {
					t.Run(b.name, func(t *testing.T) {
						t.Parallel()
						b.test(t, newS3cmd(t, s, path, settings))
					})
				}
			})
		})
	}
}

func newS3cmd(t *testing.T, s *s3test.Server, path, settings string) s3cmd {
	t.Helper()
	server, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, path)
	c.file(t, ".s3cfg", []byte(fmt.Sprintf(`[default]
access_key = %s
secret_key = %s
use_https = False
enable_multipart = True
multipart_chunk_size_mb = 15
server_side_encryption = True
`, s3test.Alice.ID, s3test.Alice.Secret)+fmt.Sprintf(settings, server.Hostname(), server.Port())))
	c.args = []string{"-c", ".s3cfg", "--no-progress"}
	c.file(t, "small.txt", []byte("small\n"))
	return s3cmd{client: c, s: s}
}

func s3cmdBuckets(t *testing.T, c s3cmd) {
	bucket := "s3://" + s3test.BucketName(t)
	contains(t, c.run(t, "mb", bucket), "created")
	t.Cleanup(func() { c.s.Remove(t, strings.TrimPrefix(bucket, "s3://")) })
	contains(t, c.run(t, "ls"), bucket)
	c.run(t, "put", "small.txt", bucket+"/x")
	c.refused(t, "BucketNotEmpty", "rb", bucket)
	contains(t, c.run(t, "rb", "--recursive", "--force", bucket), "removed")
	c.refused(t, "NoSuchBucket", "rb", bucket)
	c.refused(t, "NoSuchBucket", "ls", bucket)
	if out := c.run(t, "ls"); strings.Contains(out, bucket) {
		t.Errorf("%s is still listed:\n%s", bucket, out)
	}
}

func s3cmdObjects(t *testing.T, c s3cmd) {
	bucket := "s3://" + c.s.Bucket(t)
	c.run(t, "put", "small.txt", bucket+"/small.txt")
	c.run(t, "put", "-m", "text/weird", "small.txt", bucket+"/odd name+ü%20&~/x y.txt")
	for _, key := range []string{"small.txt", "odd name+ü%20&~/x y.txt"} {
		c.run(t, "get", "--force", bucket+"/"+key, "got")
		c.holds(t, "got", []byte("small\n"))
	}
	contains(t, c.run(t, "info", bucket+"/small.txt"), "File size: 6", "MD5 sum:   d15dbfcb847653913855e21370d83af1", "SSE:       AES256",
		"MIME type: text/plain", "ACL:       alice: FULL_CONTROL", "x-amz-meta-s3cmd-attrs: ")
	contains(t, c.run(t, "info", bucket+"/odd name+ü%20&~/x y.txt"), "MIME type: text/weird")
	contains(t, c.run(t, "info", bucket), "Location:  us-east-1", "ACL:       alice: FULL_CONTROL")
	contains(t, c.run(t, "ls", bucket), "DIR  "+bucket+"/odd name+ü%20&~/\n", bucket+"/small.txt\n")
	contains(t, c.run(t, "ls", "-r", bucket), bucket+"/odd name+ü%20&~/x y.txt\n")
	contains(t, c.run(t, "du", bucket), "12       2 objects")
	if out, err := c.try(t, bytes.NewReader([]byte("from a pipe")), "put", "-", bucket+"/piped"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	contains(t, c.run(t, "get", bucket+"/piped", "-"), "from a pipe")
	c.refused(t, "does not exist", "get", bucket+"/absent", "absent")
}

func s3cmdParts(t *testing.T, c s3cmd) {
	bucket, data := "s3://"+c.s.Bucket(t), noise(40*mib)
	c.file(t, "big", data)
	c.run(t, "put", "big", bucket+"/big")
	contains(t, c.run(t, "ls", "-l", bucket), "-3   STANDARD     "+bucket+"/big")
	contains(t, c.run(t, "info", bucket+"/big"), "File size: 41943040", "SSE:       AES256")
	c.run(t, "get", bucket+"/big", "got")
	c.holds(t, "got", data)
	c.file(t, "part", data[:17*mib+3])
	c.run(t, "get", "--continue", bucket+"/big", "part")
	c.holds(t, "part", data)
	c.run(t, "cp", bucket+"/big", bucket+"/copy")
	c.run(t, "get", bucket+"/copy", "copy")
	c.holds(t, "copy", data)
}

func s3cmdCopies(t *testing.T, c s3cmd) {
	bucket := "s3://" + c.s.Bucket(t)
	c.run(t, "put", "small.txt", bucket+"/ä/b + c")
	c.run(t, "cp", bucket+"/ä/b + c", bucket+"/copy + ü")
	c.run(t, "mv", bucket+"/copy + ü", bucket+"/moved")
	contains(t, c.run(t, "get", bucket+"/moved", "-"), "small\n")
	if out := c.run(t, "ls", "-r", bucket); strings.Contains(out, "copy") {
		t.Errorf("the source of a move is left:\n%s", out)
	}
	c.run(t, "modify", "--add-header=x-amz-meta-colour:blue", "--add-header=Cache-Control: max-age=60", bucket+"/moved")
	contains(t, c.run(t, "info", bucket+"/moved"), "x-amz-meta-colour: blue", "SSE:       AES256")
	c.run(t, "modify", "--remove-header=x-amz-meta-colour", bucket+"/moved")
	if out := c.run(t, "info", bucket+"/moved"); strings.Contains(out, "colour") {
		t.Errorf("the header is left:\n%s", out)
	}
	c.run(t, "put", "small.txt", bucket+"/folder/1")
	c.run(t, "put", "small.txt", bucket+"/folder/2 é")
	c.run(t, "cp", "--recursive", bucket+"/folder/", bucket+"/second/")
	c.run(t, "mv", "--recursive", bucket+"/second/", bucket+"/third/")
	contains(t, c.run(t, "ls", "-r", bucket), bucket+"/folder/1", bucket+"/third/1", bucket+"/third/2 é")
}

func s3cmdACL(t *testing.T, c s3cmd) {
	name := c.s.Bucket(t)
	key := "s3://" + name + "/k"
	expect := func(want int, after string) {
		t.Helper()
		if got := anyone(t, c.s, name, "k"); got != want {
			t.Errorf("after %s: %d, want %d", after, got, want)
		}
	}
	c.run(t, "put", "small.txt", key)
	expect(403, "put")
	c.run(t, "setacl", "--acl-public", key)
	expect(200, "setacl --acl-public")
	contains(t, c.run(t, "info", key), "ACL:       *anon*: READ", "ACL:       alice: FULL_CONTROL")
	c.run(t, "setacl", "--acl-private", key)
	expect(403, "setacl --acl-private")
	c.run(t, "put", "--acl-public", "small.txt", key)
	expect(200, "put --acl-public")
	c.run(t, "setacl", "--acl-private", "--recursive", "s3://"+name+"/")
	expect(403, "setacl --recursive")
	c.run(t, "setacl", "--acl-grant=read:bob", key)
	contains(t, c.run(t, "info", key), "ACL:       bob: READ")
	c.run(t, "setacl", "--acl-public", "s3://"+name)
	if status, body := fetch(t, c.s, "GET", c.s.URL+"/"+name, nil); status != 200 || !strings.Contains(body, "<Key>k</Key>") {
		t.Errorf("a public bucket's listing: %d %s", status, body)
	}
	c.run(t, "setacl", "--acl-private", "s3://"+name)
	if status, _ := fetch(t, c.s, "GET", c.s.URL+"/"+name, nil); status != 403 {
		t.Errorf("a private bucket's listing: %d", status)
	}
}

func s3cmdPolicy(t *testing.T, c s3cmd) {
	name := c.s.Bucket(t)
	c.run(t, "put", "small.txt", "s3://"+name+"/open/k")
	c.file(t, "policy.json", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",`+
		`"Action":"s3:GetObject","Resource":"arn:aws:s3:::`+name+`/open/*"}]}`))
	c.run(t, "setpolicy", "policy.json", "s3://"+name)
	if got := anyone(t, c.s, name, "open/k"); got != 200 {
		t.Errorf("with the policy: %d", got)
	}
	contains(t, c.run(t, "info", "s3://"+name), `"Action":"s3:GetObject"`)
	c.run(t, "delpolicy", "s3://"+name)
	if got := anyone(t, c.s, name, "open/k"); got != 403 {
		t.Errorf("without it: %d", got)
	}
}

func s3cmdSync(t *testing.T, c s3cmd) {
	remote := "s3://" + c.s.Bucket(t) + "/tree/"
	c.tree(t, "up")
	contains(t, c.run(t, "sync", "up/", remote), fmt.Sprintf("of %d]", len(odd)))
	if out := c.run(t, "sync", "up/", remote); strings.Contains(out, "upload:") {
		t.Errorf("a second sync sent what was there:\n%s", out)
	}
	c.run(t, "sync", remote, "down/")
	c.same(t, "down", "up")

	c.tree(t, "next")
	c.file(t, "next/a b/file one.txt", []byte("changed and longer"))
	c.file(t, "next/new", []byte("new"))
	c.run(t, "sync", "--delete-removed", "next/", remote)
	c.run(t, "del", remote+"~home/~f")
	c.run(t, "sync", "--delete-removed", remote, "down/")
	got := c.files(t, "down")
	if _, ok := got["~home/~f"]; ok || got["new"] != "new" || got["a b/file one.txt"] != "changed and longer" {
		t.Errorf("got %q", got)
	}
	other := strings.Replace(remote, "/tree/", "/other/", 1)
	c.run(t, "sync", remote, other)
	c.run(t, "sync", other, "other/")
	c.same(t, "other", "down")
}

func s3cmdUploads(t *testing.T, c s3cmd) {
	name, data := c.s.Bucket(t), noise(16*mib)
	sdk := c.s.Client(t, s3test.Alice)
	begin := func(key string) string {
		t.Helper()
		u, err := sdk.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &name, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(u.UploadId)
	}
	resumed, aborted := begin("resumed"), begin("aborted")
	_, err := sdk.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &name, Key: aws.String("resumed"), UploadId: &resumed,
		PartNumber: aws.Int32(1), Body: bytes.NewReader(data[:15*mib])})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, c.run(t, "multipart", "s3://"+name), "/resumed\t"+resumed, "/aborted\t"+aborted)
	contains(t, c.run(t, "listmp", "s3://"+name+"/resumed", resumed), "15728640")
	c.run(t, "abortmp", "s3://"+name+"/aborted", aborted)
	c.file(t, "data", data)
	contains(t, c.run(t, "put", "--upload-id="+resumed, "data", "s3://"+name+"/resumed"), "part 1, skipping")
	if out := c.run(t, "multipart", "s3://"+name); strings.Contains(out, resumed) || strings.Contains(out, aborted) {
		t.Errorf("uploads are left:\n%s", out)
	}
	c.run(t, "get", "s3://"+name+"/resumed", "got")
	c.holds(t, "got", data)
}

func s3cmdSignURL(t *testing.T, c s3cmd) {
	key := "s3://" + c.s.Bucket(t) + "/a b/ü+c&d"
	c.run(t, "put", "small.txt", key)
	signed := strings.TrimSpace(c.run(t, "signurl", key, "+600"))
	if status, body := fetch(t, c.s, "GET", signed, nil); status != 200 || body != "small\n" {
		t.Errorf("%s: %d %s", signed, status, body)
	}
	if status, body := fetch(t, c.s, "GET", strings.Replace(signed, "Expires=", "Expires=1", 1), nil); status != 403 {
		t.Errorf("with another expiry: %d %s", status, body)
	}
	past := strings.TrimSpace(c.run(t, "signurl", key, "1000000000"))
	if status, body := fetch(t, c.s, "GET", past, nil); status != 403 || !strings.Contains(body, "expired") {
		t.Errorf("expired: %d %s", status, body)
	}
}

func s3cmdSettings(t *testing.T, c s3cmd) {
	bucket := "s3://" + c.s.Bucket(t)
	c.file(t, "cors.xml", []byte(`<CORSConfiguration><CORSRule><AllowedOrigin>https://example.com</AllowedOrigin>`+
		`<AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>`))
	c.run(t, "setcors", "cors.xml", bucket)
	contains(t, c.run(t, "info", bucket), "<AllowedOrigin>https://example.com</AllowedOrigin>")
	c.run(t, "delcors", bucket)
	contains(t, c.run(t, "info", bucket), "CORS:      none")
	contains(t, c.run(t, "accesslog", bucket), "Logging Enabled: False")
}

func s3cmdDelete(t *testing.T, c s3cmd) {
	bucket := "s3://" + c.s.Bucket(t)
	c.tree(t, "tree")
	c.run(t, "put", "--recursive", "tree/", bucket+"/tree/")
	c.run(t, "put", "small.txt", bucket+"/kept")
	c.run(t, "del", bucket+"/tree/plain.txt", bucket+"/tree/~home/~f")
	if out := c.run(t, "del", "--recursive", bucket+"/tree/"); strings.Count(out, "delete: ") != len(odd)-2 {
		t.Errorf("deleted\n%s", out)
	}
	if got := strings.Fields(c.run(t, "ls", "-r", bucket)); len(got) != 4 || got[3] != bucket+"/kept" {
		t.Errorf("left: %q", got)
	}
}
