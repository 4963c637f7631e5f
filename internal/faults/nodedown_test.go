//go:build unix

package faults

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

var phase = flag.Duration("faults.phase", 2*time.Second, "how long requests are measured with a node stopped, and killed")

// load is what clients with the SDK's usual retries saw.
type load struct {
	mu     sync.Mutex
	took   map[string][]time.Duration
	errors []error
}

func (l *load) note(what string, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took[what] = append(l.took[what], took)
	if err != nil {
		l.errors = append(l.errors, fmt.Errorf("%s after %v: %w", what, took.Round(time.Millisecond), err))
	}
}

func (l *load) String() string {
	text := ""
	for _, what := range []string{"put", "get", "list"} {
		took := slices.Sorted(slices.Values(l.took[what]))
		if len(took) == 0 {
			continue
		}
		at := func(share float64) time.Duration {
			return took[min(len(took)-1, int(share*float64(len(took))))].Round(time.Millisecond)
		}
		text += fmt.Sprintf("  %s: %d, p50 %v, p99 %v, max %v", what, len(took), at(0.5), at(0.99), at(1))
	}
	return text
}

// measure has clients put, get and list for a while.
func measure(t *testing.T, g *gatewayProcess, d time.Duration) *load {
	l := &load{took: map[string][]time.Duration{}}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var clients sync.WaitGroup
	for i := range 8 {
		client := newClient(g.url, 0) // as it comes: three attempts
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				l.one(client, fmt.Sprintf("load/%d/%d", i, n%20), 1+n)
			}
		})
	}
	clients.Wait()
	return l
}

// one puts an object, gets it and, at times, lists. It waits for the answers
// however long they take.
func (l *load) one(client *s3.Client, key string, value int) {
	ctx := context.Background()
	data := body(value)
	from := time.Now()
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(data)})
	l.note("put", time.Since(from), err)
	from = time.Now()
	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err == nil {
		var read []byte
		if read, err = io.ReadAll(got.Body); err == nil && !bytes.Equal(read, data) {
			err = fmt.Errorf("%d bytes, not those that were put", len(read))
		}
		_ = got.Body.Close() // read to its end
	}
	l.note("get", time.Since(from), err)
	if value%8 != 0 {
		return
	}
	from = time.Now()
	_, err = client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: aws.String("load/")})
	l.note("list", time.Since(from), err)
}

// nodeDown measures, and holds that no client that retries as SDKs do is told
// of a node that is stopped, killed, or starts.
func nodeDown(t *testing.T, c *cluster, g *gatewayProcess) {
	during := func(what string) {
		l := measure(t, g, *phase)
		t.Logf("%-18s%v", what, l)
		for _, err := range l.errors[:min(len(l.errors), 5)] {
			t.Errorf("%s: %v", what, err)
		}
	}
	node := c.Nodes[1]
	measure(t, g, time.Second) // code that is cold
	during("all nodes up")
	node.Pause(t)
	during("a node stopped")
	g.kill()
	from := time.Now()
	if err := g.start(); err != nil {
		t.Fatal(err)
	}
	g.awaitReady(t)
	t.Logf("a gateway that starts beside a stopped node serves after %v", time.Since(from).Round(time.Millisecond))
	node.Resume(t)
	during("and resumed")
	node.Kill()
	during("a node killed")
	node.Restart(t)
	during("and restarted")
	c.WaitUp(t)
}

// lostQuorum holds that requests are refused in time while two of three nodes
// are stopped, that readiness says so, and that all is well when they go on.
func lostQuorum(t *testing.T, c *cluster, g *gatewayProcess) {
	ctx := t.Context()
	client := newClient(g.url, 1)
	data := body(3) // of several chunks
	ask := map[string]func() error{
		"put": func() error {
			_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("quorum"), Body: bytes.NewReader(data)})
			return err
		},
		"get": func() error {
			_, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("quorum")})
			return err
		},
		"list": func() error {
			_, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
			return err
		},
		"delete": func() error {
			_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("none")})
			return err
		},
	}
	await(t, "put", ask["put"])
	c.Nodes[0].Pause(t)
	c.Nodes[1].Pause(t)
	var asked sync.WaitGroup
	for what, f := range ask {
		asked.Go(func() {
			from := time.Now()
			err := f()
			took := time.Since(from).Round(time.Millisecond)
			t.Logf("%s: refused after %v", what, took)
			if statusOf(err) != http.StatusServiceUnavailable {
				t.Errorf("%s without a quorum: %v", what, err)
			}
			if took > patience {
				t.Errorf("%s was refused after %v only", what, took)
			}
		})
	}
	if status := g.ready(); status != http.StatusServiceUnavailable {
		t.Errorf("/-/ready answers %d without a quorum", status)
	}
	asked.Wait()
	c.Nodes[0].Resume(t)
	c.Nodes[1].Resume(t)
	resumed := time.Now()
	g.awaitReady(t)
	for what, f := range ask {
		await(t, what, f)
	}
	t.Logf("all is well again %v after the nodes went on", time.Since(resumed).Round(time.Millisecond))
	c.WaitUp(t)
}
