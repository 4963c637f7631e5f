package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pithos/pithos/config"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// An old master key is replaced while it still is in the key file, and then
// nothing needs it any more: neither objects nor access keys.
func TestRewrapReplacesAMasterKey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, yaml string, env []string) {
		file := filepath.Join(t.TempDir(), "master.keys")
		keys := func(lines ...string) {
			if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		old := "old " + base64.StdEncoding.EncodeToString([]byte("the old master key, of 32 bytes!"))
		next := "next " + base64.StdEncoding.EncodeToString([]byte("the next master key, of 32 bytes"))
		keys(old)
		yaml += "\nencryption: {master-key-file: " + file + "}\n"
		for _, variable := range env {
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
		}
		path := configured(t, yaml)
		if code, out, errText := command("key", "create", "-f", path, "--access-key", "ROTATED", "--tenant", "root", "--json"); code != exitOK {
			t.Fatalf("key create: exit code %d, %s%s", code, out, errText)
		} else {
			_, secret, _ := strings.Cut(out, `"secret_key":"`)
			secret, _, _ = strings.Cut(secret, `"`)
			serving := func(use func(c *s3.Client)) {
				p := startReady(t, yaml, env...)
				use(p.client("ROTATED", config.Secret(secret)))
				if code := p.stop(t); code != exitOK {
					t.Errorf("serve: exit code %d", code)
				}
			}
			bucket, key := "rotated", "k"
			serving(func(c *s3.Client) {
				if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
					t.Fatal(err)
				}
				_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("body"), ServerSideEncryption: "AES256"})
				if err != nil {
					t.Fatal(err)
				}
			})
			keys(next, old)
			for _, c := range []struct {
				args []string
				code int
				says string
			}{
				{nil, exitOK, "old"}, {[]string{"--from", "none"}, exitUsage, `no master key "none"`}, {[]string{"--from", "next"}, exitUsage, "active"},
				{[]string{"--from", "old"}, exitOK, "2 encrypted again with next"}, {[]string{"--from", "old"}, exitOK, "0 encrypted again"},
			} {
				code, out, errText := command(append([]string{"rewrap", "-f", path}, c.args...)...)
				if code != c.code || !strings.Contains(out+errText, c.says) {
					t.Errorf("rewrap %v: exit code %d, %s%s", c.args, code, out, errText)
				}
			}
			keys(next)
			serving(func(c *s3.Client) {
				if got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key}); err != nil || *got.ContentLength != 4 {
					t.Errorf("without the old key: %v", err)
				}
			})
		}
	})
}
