// Traffic writes and reads objects without a pause, until it gets SIGTERM or
// SIGINT or for the time -for, and prints every request that failed. e2e.sh runs
// it while pods are added, killed and replaced.
//
//	AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... traffic -endpoint http://127.0.0.1:8080 -bucket demo
//
// It exits with 1 if a request failed.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() {
	endpoint := flag.String("endpoint", "http://127.0.0.1:8080", "URL of Pithos")
	bucket := flag.String("bucket", "traffic", "bucket, which must exist")
	dial := flag.String("dial", "", "host:port to connect to, instead of the endpoint's")
	virtual := flag.Bool("virtual-hosts", false, "use http://bucket.endpoint, instead of http://endpoint/bucket")
	workers := flag.Int("workers", 4, "concurrent requests")
	attempts := flag.Int("attempts", 1, "times that a request is sent before it counts as failed; S3 clients send it 3 times or more")
	size := flag.Int("size", 64<<10, "size of an object, in bytes")
	limit := flag.Duration("for", time.Hour, "how long to run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	t := &traffic{client: newClient(*endpoint, *dial, *virtual, *attempts), bucket: *bucket, size: *size}
	t.run(ctx, *workers)
	fmt.Printf("traffic: %d requests, %d failed, the longest took %s\n",
		t.requests.Load(), t.failed.Load(), time.Duration(t.longest.Load()).Round(time.Millisecond))
	if t.failed.Load() > 0 || t.requests.Load() == 0 {
		os.Exit(1)
	}
}

// newClient makes a client that sends a request up to attempts times, with
// pauses of up to 20 s, which is the SDK's default.
func newClient(endpoint, dial string, virtual bool, attempts int) *s3.Client {
	key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	return s3.New(s3.Options{
		Region:       "us-east-1",
		BaseEndpoint: &endpoint,
		UsePathStyle: !virtual,
		HTTPClient:   httpClient(dial),
		Credentials:  credentials.NewStaticCredentialsProvider(key, secret, ""),
		Retryer:      retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = attempts }),
	})
}

// httpClient connects to the address dial, if it is not empty, for every host.
func httpClient(dial string) *awshttp.BuildableClient {
	client := awshttp.NewBuildableClient()
	if dial == "" {
		return client
	}
	return client.WithTransportOptions(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, dial)
		}
	})
}

// traffic is one run: its client and its counters.
type traffic struct {
	client           *s3.Client
	bucket           string
	size             int
	requests, failed atomic.Int64
	longest          atomic.Int64 // of all requests, in nanoseconds
}

// run runs workers until ctx ends. They finish their current requests.
func (t *traffic) run(ctx context.Context, workers int) {
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for turn := 0; ctx.Err() == nil; turn++ {
				t.turn(fmt.Sprintf("%d/%d", worker, turn%100))
			}
		})
	}
	group.Wait()
}

// turn writes an object, then reads and lists it.
func (t *traffic) turn(key string) {
	body := make([]byte, t.size)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	if !t.request("put "+key, func(ctx context.Context) error { return t.put(ctx, key, body) }) {
		return // unknown whether it was written
	}
	t.request("get "+key, func(ctx context.Context) error { return t.get(ctx, key, body) })
	t.request("list "+key, func(ctx context.Context) error { return t.list(ctx, key) })
}

// request sends one request, and reports whether it succeeded.
func (t *traffic) request(what string, do func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	err := do(ctx)
	took := time.Since(began)
	t.requests.Add(1)
	for longest := t.longest.Load(); int64(took) > longest && !t.longest.CompareAndSwap(longest, int64(took)); {
		longest = t.longest.Load()
	}
	if err != nil {
		t.failed.Add(1)
		fmt.Printf("traffic: %s %s failed after %s: %v\n", began.UTC().Format(time.TimeOnly), what, took.Round(time.Millisecond), err)
		// A closed port refuses immediately: do not loop without a pause.
		time.Sleep(100 * time.Millisecond)
	}
	return err == nil
}

func (t *traffic) put(ctx context.Context, key string, body []byte) error {
	_, err := t.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &t.bucket, Key: &key, Body: bytes.NewReader(body)})
	return err
}

func (t *traffic) get(ctx context.Context, key string, want []byte) error {
	out, err := t.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &t.bucket, Key: &key})
	if err != nil {
		return err
	}
	got, err := io.ReadAll(out.Body)
	if err := errors.Join(err, out.Body.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes, which differ from those that were written", len(got))
	}
	return nil
}

func (t *traffic) list(ctx context.Context, key string) error {
	out, err := t.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &t.bucket, Prefix: &key, MaxKeys: aws.Int32(1)})
	if err != nil {
		return err
	}
	if len(out.Contents) != 1 {
		return errors.New("the listing lacks the object")
	}
	return nil
}
