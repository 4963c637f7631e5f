package clienttest

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

// awsEnv is how the clients built on AWS's SDKs are led to a server.
func awsEnv(s *s3test.Server) []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s3test.Alice.ID, "AWS_SECRET_ACCESS_KEY=" + s3test.Alice.Secret, "AWS_REGION=" + s3test.Region,
		"AWS_DEFAULT_REGION=" + s3test.Region, "AWS_ENDPOINT_URL=" + s.URL, "S3_ENDPOINT_URL=" + s.URL, "AWS_MAX_ATTEMPTS=1", "AWS_PAGER="}
}

func TestAWSCLI(t *testing.T) {
	path := program(t, "aws")
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		c, data := newClient(t, path, awsEnv(s)...), noise(20*mib)
		bucket := s3test.BucketName(t)
		b := "s3://" + bucket
		t.Cleanup(func() { s.Remove(t, bucket) })
		c.tree(t, "up")
		c.file(t, "big", data)
		contains(t, c.run(t, "s3", "mb", b), "make_bucket")
		c.run(t, "s3", "cp", "--no-progress", "big", b+"/big")
		contains(t, c.run(t, "s3api", "head-object", "--bucket", bucket, "--key", "big", "--checksum-mode", "ENABLED"), `-3\""`, "Checksum")
		c.run(t, "s3", "cp", "--no-progress", b+"/big", b+"/copy")
		c.run(t, "s3", "cp", "--no-progress", b+"/copy", "got")
		c.holds(t, "got", data)
		c.run(t, "s3", "sync", "--no-progress", "up", b+"/tree")
		if out := c.run(t, "s3", "sync", "--no-progress", "up", b+"/tree"); out != "" {
			t.Errorf("a second sync did\n%s", out)
		}
		c.run(t, "s3", "sync", "--no-progress", b+"/tree", b+"/second")
		c.run(t, "s3", "sync", "--no-progress", b+"/second", "down")
		c.same(t, "down", "up")
		signed := strings.TrimSpace(c.run(t, "s3", "presign", b+"/second/a b/ü/c+d/plus+plus.txt"))
		if status, body := fetch(t, s, "GET", signed, nil); status != 200 || body != "content of a b/ü/c+d/plus+plus.txt" {
			t.Errorf("%s: %d %s", signed, status, body)
		}
		c.refused(t, "BucketNotEmpty", "s3", "rb", b)
		contains(t, c.run(t, "s3", "rb", "--force", b), "remove_bucket")
	})
}

func TestRclone(t *testing.T) {
	path := program(t, "rclone")
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		c := newClient(t, path, "RCLONE_CONFIG_P_TYPE=s3", "RCLONE_CONFIG_P_PROVIDER=Other", "RCLONE_CONFIG_P_ENDPOINT="+s.URL,
			"RCLONE_CONFIG_P_ACCESS_KEY_ID="+s3test.Alice.ID, "RCLONE_CONFIG_P_SECRET_ACCESS_KEY="+s3test.Alice.Secret)
		c.args = []string{"--config", filepath.Join(c.dir, "rclone.conf"), "--retries", "1", "--low-level-retries", "1"}
		c.file(t, "rclone.conf", nil)
		bucket := s3test.BucketName(t)
		p, data := "p:"+bucket, noise(12*mib)
		t.Cleanup(func() { s.Remove(t, bucket) })
		c.run(t, "mkdir", p)
		c.tree(t, "up")
		c.run(t, "copy", "up", p+"/tree")
		contains(t, c.run(t, "check", "up", p+"/tree"), "0 differences found")
		contains(t, c.run(t, "sync", "-v", "up", p+"/tree"), "There was nothing to transfer")
		c.run(t, "copy", p+"/tree", p+"/second")
		c.run(t, "sync", p+"/second", "down")
		c.same(t, "down", "up")
		c.file(t, "big", data)
		c.run(t, "copy", "big", p, "--s3-upload-cutoff", "6M", "--s3-chunk-size", "5M")
		c.run(t, "copyto", p+"/big", p+"/copy", "--s3-copy-cutoff", "5M")
		sum := c.run(t, "hashsum", "md5", "big")
		contains(t, c.run(t, "hashsum", "md5", p), sum, strings.Replace(sum, "big", "copy", 1))
		c.run(t, "copy", p+"/copy", ".")
		c.holds(t, "copy", data)
		c.run(t, "purge", p)
		if out := c.run(t, "lsd", "p:"); strings.Contains(out, bucket) {
			t.Errorf("%s is left:\n%s", bucket, out)
		}
	})
}

func TestRestic(t *testing.T) {
	path := program(t, "restic")
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		bucket := s.Bucket(t)
		c := newClient(t, path, append(awsEnv(s), "RESTIC_REPOSITORY=s3:"+s.URL+"/"+bucket+"/repository", "RESTIC_PASSWORD=password")...)
		c.tree(t, "data")
		c.file(t, "data/big", noise(8*mib))
		c.run(t, "init")
		c.refused(t, "already", "init")
		c.run(t, "backup", "data")
		c.file(t, "data/new", []byte("new"))
		c.run(t, "backup", "data")
		contains(t, c.run(t, "check", "--read-data"), "no errors were found")
		c.run(t, "forget", "--keep-last", "1", "--prune")
		contains(t, c.run(t, "snapshots"), "1 snapshots")
		c.run(t, "restore", "latest", "--target", "restored")
		c.same(t, "restored/data", "data")
		contains(t, c.run(t, "check"), "no errors were found")
	})
}

func TestS5cmd(t *testing.T) {
	path := program(t, "s5cmd")
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		c, data := newClient(t, path, awsEnv(s)...), noise(12*mib)
		c.args = []string{"--retry-count", "0"}
		bucket := s3test.BucketName(t)
		b := "s3://" + bucket
		t.Cleanup(func() { s.Remove(t, bucket) })
		c.run(t, "mb", b)
		c.tree(t, "up")
		c.run(t, "sync", "up/", b+"/tree/")
		c.run(t, "cp", b+"/tree/*", b+"/second/") // its copy sources hold plus signs for spaces
		c.run(t, "sync", b+"/second/*", "down/")
		c.same(t, "down", "up")
		c.file(t, "big", data)
		c.run(t, "cp", "--part-size", "5", "big", b+"/big")
		c.run(t, "cp", "--part-size", "5", b+"/big", "got")
		c.holds(t, "got", data)
		signed, err := url.Parse(strings.TrimSpace(c.run(t, "presign", b+"/big")))
		if err != nil {
			t.Fatal(err)
		}
		if status, body := fetch(t, s, "GET", signed.String(), nil); status != 200 || len(body) != len(data) {
			t.Errorf("%s: %d, %d bytes", signed, status, len(body))
		}
		c.run(t, "rm", b+"/*")
		c.run(t, "rb", b)
	})
}
