package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestAcknowledgedWritesSurviveAKill kills the process while many clients
// write. Whatever was acknowledged is there afterwards; and whatever is there
// is whole.
func TestAcknowledgedWritesSurviveAKill(t *testing.T) {
	env := append([]string{"PITHOS_DATA=" + filepath.Join(t.TempDir(), "data")}, rootEnv...)
	const writers, enough = 8, 60
	body := func(key string) []byte { // small ones and large ones
		return bytes.Repeat([]byte(key), 1+len(key)*len(key)*200*(int(key[len(key)-1])%2))
	}
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	for round := range 3 {
		p := startReady(t, "", env...)
		client := p.client("demo", "demo-secret")
		ready := make(chan struct{})
		var once sync.Once
		var clients sync.WaitGroup
		before := len(acknowledged)
		for w := range writers {
			clients.Go(func() {
				for i := 0; ; i++ {
					key := fmt.Sprintf("round%d/writer%d/%06d", round, w, i)
					if put(t, client, key, body(key)) != nil {
						return // it was killed
					}
					mu.Lock()
					acknowledged[key] = true
					if len(acknowledged) >= before+enough {
						once.Do(func() { close(ready) })
					}
					mu.Unlock()
				}
			})
		}
		<-ready
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		clients.Wait()
		p.wait(t)
	}
	p := startReady(t, "", env...)
	client := p.client("demo", "demo-secret")
	listed := map[string]bool{}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String("demo")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			listed[*o.Key] = true
		}
	}
	for key := range acknowledged {
		if !listed[key] {
			t.Errorf("%s was acknowledged and is not listed", key)
		}
	}
	for key := range listed {
		if got, err := fetch(t, client, key); err != nil || !bytes.Equal(got, body(key)) {
			t.Errorf("%s: %d bytes of %d, %v", key, len(got), len(body(key)), err)
		}
	}
	t.Logf("%d acknowledged, %d listed", len(acknowledged), len(listed))
}

// TestDrainLetsRunningRequestsFinish stops the process in the middle of an
// upload, which is acknowledged all the same; new requests are not let in.
func TestDrainLetsRunningRequestsFinish(t *testing.T) {
	env := append([]string{"PITHOS_DATA=" + filepath.Join(t.TempDir(), "data")}, rootEnv...)
	p := startReady(t, "", env...)
	in, out := io.Pipe()
	size := int64(1 << 20)
	answered := make(chan error, 1)
	go func() {
		_, err := p.client("demo", "demo-secret").PutObject(context.WithoutCancel(t.Context()), &s3.PutObjectInput{
			Bucket: aws.String("demo"), Key: aws.String("slow"), Body: io.LimitReader(in, size), ContentLength: &size}, unsigned)
		_ = in.CloseWithError(err) // so that no writer waits for it
		answered <- err
	}()
	if _, err := out.Write(make([]byte, size/2)); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.log.await(t, "stopping: running requests may finish")
	if _, err := out.Write(make([]byte, size/2)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.Close(), <-answered); err != nil {
		t.Errorf("the upload under way: %v", err)
	}
	if code := p.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	p = startReady(t, "", env...)
	if got, err := fetch(t, p.client("demo", "demo-secret"), "slow"); err != nil || int64(len(got)) != size {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestDrainIsBounded(t *testing.T) {
	env := append([]string{"PITHOS_DATA=" + filepath.Join(t.TempDir(), "data")}, rootEnv...)
	p := startReady(t, "service: {shutdown-timeout: 0s}", env...)
	in, out := io.Pipe()
	size := int64(1 << 20)
	answered := make(chan error, 1)
	go func() {
		_, err := p.client("demo", "demo-secret").PutObject(context.WithoutCancel(t.Context()), &s3.PutObjectInput{
			Bucket: aws.String("demo"), Key: aws.String("never"), Body: io.LimitReader(in, size), ContentLength: &size}, unsigned)
		_ = in.CloseWithError(err) // so that no writer waits for it
		answered <- err
	}()
	if _, err := out.Write(make([]byte, size/2)); err != nil {
		t.Fatal(err)
	}
	if code := p.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	_ = out.CloseWithError(errors.New("the test is over"))
	if err := <-answered; err == nil {
		t.Error("half an upload was acknowledged")
	}
	p = startReady(t, "", env...)
	if _, err := fetch(t, p.client("demo", "demo-secret"), "never"); err == nil {
		t.Error("half an upload is there")
	}
}
