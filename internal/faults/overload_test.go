//go:build unix

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/config"
)

// TestOverloadIsToldToSlowDown has far more clients than a gateway has room
// for: each is served or told to slow down, memory stays within bounds, and
// afterwards all is as before.
func TestOverloadIsToldToSlowDown(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a gateway for some seconds")
	}
	g := startEmbedded(t, "max-requests: 32, max-memory: 32M")
	data := make([]byte, 4<<20)
	keep := func(c *s3.Client, key string) error {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(data)})
		return err
	}
	client := newClient(g.url, 10)
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	if err := keep(client, "big"); err != nil {
		t.Fatal(err)
	}
	before := g.memory(t, "VmHWM")
	var served, refused atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var clients sync.WaitGroup
	for i := range 120 {
		c := newClient(g.url, 1)
		clients.Go(func() {
			for ctx.Err() == nil {
				var err error
				if i%2 == 0 {
					err = keep(c, fmt.Sprint("k", i))
				} else {
					err = fetch(c, "big", len(data))
				}
				switch {
				case err == nil:
					served.Add(1)
				case toldToSlowDown(err):
					refused.Add(1)
				default:
					t.Errorf("neither served nor told to slow down: %v", err)
					return
				}
			}
		})
	}
	clients.Wait()
	peak := g.memory(t, "VmHWM")
	t.Logf("%d served, %d told to slow down; at most %d MiB, %d MiB before", served.Load(), refused.Load(), peak>>20, before>>20)
	if served.Load() == 0 || refused.Load() == 0 {
		t.Error("the load was none")
	}
	if peak > 320<<20 {
		t.Errorf("memory grew to %d MiB", peak>>20)
	}
	one := newClient(g.url, 1)
	for range 20 {
		if err := errors.Join(keep(one, "after"), fetch(one, "after", len(data))); err != nil {
			t.Errorf("when all is over: %v", err)
		}
	}
}

// fetch reads an object of that size to its end.
func fetch(c *s3.Client, key string, size int) error {
	got, err := c.GetObject(context.Background(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, got.Body)
	if err == nil && n != int64(size) {
		err = fmt.Errorf("%d bytes of %d", n, size)
	}
	return errors.Join(err, got.Body.Close())
}

// toldToSlowDown reports whether an answer says so, and when to come back.
func toldToSlowDown(err error) bool {
	var answer *awshttp.ResponseError
	return codeOf(err) == "SlowDown" && errors.As(err, &answer) &&
		answer.HTTPStatusCode() == http.StatusServiceUnavailable && answer.Response.Header.Get("Retry-After") != ""
}

// startEmbedded starts pithos on a new directory.
func startEmbedded(t *testing.T, service string) *gatewayProcess {
	t.Helper()
	return runEmbedded(t, embeddedSettings(t, service, filepath.Join(t.TempDir(), "data")))
}

// embeddedSettings writes a configuration file for a directory and returns its
// name.
func embeddedSettings(t *testing.T, service, folder string) string {
	t.Helper()
	host, port, _ := strings.Cut(freePort(t), ":")
	yaml := fmt.Sprintf(`service: {host: %s, port: %s, %s}
logging: {level: warn}
embedded: {directory: %s}
keystore: {keys: {%s: {tenant: faults, secret: %s, master: true}}}
`, host, port, service, folder, accessKey, secretKey)
	file := filepath.Join(t.TempDir(), "pithos.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// runEmbedded serves what a configuration file names.
func runEmbedded(t *testing.T, file string) *gatewayProcess {
	t.Helper()
	binary, err := pithosBinary()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, true, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return runGateway(t, "http://"+cfg.ListenAddress(), func() *exec.Cmd { return exec.Command(binary, "serve", "-f", file) })
}

// memory is a field of /proc/<pid>/status in bytes; 0 where there is none.
func (g *gatewayProcess) memory(t *testing.T, field string) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	var kib int64
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				t.Fatal(err)
			}
		}
	}
	return kib << 10
}
