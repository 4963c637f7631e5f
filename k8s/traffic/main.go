// Traffic writes and reads objects without pause, until it is told to stop
// (SIGTERM, SIGINT) or for -for, and tells every request that failed. It is
// what e2e.sh has run while pods come and go.
//
//	AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... traffic -endpoint http://127.0.0.1:8080 -bucket demo
//
// It ends with 1 if anything failed.
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
	endpoint := flag.String("endpoint", "http://127.0.0.1:8080", "where Pithos is")
	bucket := flag.String("bucket", "traffic", "bucket, which must exist")
	dial := flag.String("dial", "", "host:port to connect to, in place of the endpoint's")
	virtual := flag.Bool("virtual-hosts", false, "ask http://bucket.endpoint, in place of http://endpoint/bucket")
	workers := flag.Int("workers", 4, "requests at a time")
	attempts := flag.Int("attempts", 1, "times that a request is tried before it counts as failed; S3 clients try 3 times or more")
	size := flag.Int("size", 64<<10, "size of an object, in bytes")
	limit := flag.Duration("for", time.Hour, "how long to go on")
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

// newClient makes a client that tries a request so many times, with pauses of
// up to 20 s as the SDK's default is.
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

// httpClient connects to one address, if there is one, by whichever name the
// server is asked.
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

// traffic is what one run does and counts.
type traffic struct {
	client           *s3.Client
	bucket           string
	size             int
	requests, failed atomic.Int64
	longest          atomic.Int64 // of all requests, in nanoseconds
}

// run keeps workers busy until ctx ends. Requests that run then are finished.
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

// turn writes an object and looks whether it is there, as it was written.
func (t *traffic) turn(key string) {
	body := make([]byte, t.size)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	if !t.request("put "+key, func(ctx context.Context) error { return t.put(ctx, key, body) }) {
		return // it may be there or not
	}
	t.request("get "+key, func(ctx context.Context) error { return t.get(ctx, key, body) })
	t.request("list "+key, func(ctx context.Context) error { return t.list(ctx, key) })
}

// request does one request, and tells whether it succeeded.
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
		// A gateway that is gone answers at once: no need to ask it again so soon.
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
		return fmt.Errorf("%d bytes that are not those that were written", len(got))
	}
	return nil
}

func (t *traffic) list(ctx context.Context, key string) error {
	out, err := t.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &t.bucket, Prefix: &key, MaxKeys: aws.Int32(1)})
	if err != nil {
		return err
	}
	if len(out.Contents) != 1 {
		return errors.New("the listing does not show it")
	}
	return nil
}
