package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/internal/cassandratest"
)

// BenchmarkStreams reports what serve takes for each of several large bodies at
// a time, which go in and then out: the growth of what its heap holds, and of
// its resident memory, which has garbage in it too.
//
//	go test ./cmd/pithos -run '^$' -bench Streams -benchtime 1x -timeout 60m
//
// PITHOS_TEST_MEMORY_MIB is the size of each; 256 if not set.
func BenchmarkStreams(b *testing.B) {
	size := int64(256)
	if text := os.Getenv("PITHOS_TEST_MEMORY_MIB"); text != "" {
		if _, err := fmt.Sscan(text, &size); err != nil {
			b.Fatal(err)
		}
	}
	for _, engine := range []string{"embedded", "cassandra"} {
		b.Run(engine, func(b *testing.B) {
			p := startEngine(b, engine)
			for _, n := range []int{1, 4, 16} {
				b.Run(fmt.Sprintf("put-%d", n), func(b *testing.B) { p.streams(b, n, size<<20, putStream) })
				b.Run(fmt.Sprintf("get-%d", n), func(b *testing.B) { p.streams(b, n, size<<20, getStream) })
			}
		})
	}
}

// startEngine starts serve with a bucket named demo.
func startEngine(b *testing.B, engine string) *process {
	env := []string{"PITHOS_ACCESS_KEY=demo", "PITHOS_SECRET_KEY=demo-secret", "PITHOS_BUCKETS=demo", "PITHOS_DATA=" + b.TempDir()}
	yaml := adminYAML
	if engine == "cassandra" {
		c := cassandratest.Start(b)
		yaml += "bucketstore: {keyspace: " + c.Keyspace(b) + "}\n"
		env = append(env, "PITHOS_CASSANDRA_HOST="+strings.Join(c.Addrs(), ","))
		bootstrapped(b, yaml, env)
	}
	return startReady(b, yaml, env...)
}

// streams runs n streams at a time and reports the memory of each.
func (p *process) streams(b *testing.B, n int, size int64, run func(testing.TB, *s3.Client, string, int64) error) {
	client := p.client("demo", "demo-secret")
	heap := p.heap(b)
	p.forgetPeak(b)
	resident, most := p.memory(b, "VmRSS"), heap
	b.SetBytes(size * int64(n))
	for range b.N {
		var all sync.WaitGroup
		done := make(chan struct{})
		for i := range n {
			all.Go(func() {
				if err := run(b, client, fmt.Sprintf("stream-%d", i), size); err != nil {
					b.Error(err)
				}
			})
		}
		go func() { all.Wait(); close(done) }()
		for running := true; running; {
			select {
			case <-done:
				running = false
			case <-time.After(50 * time.Millisecond):
				most = max(most, p.heap(b))
			}
		}
	}
	each := func(bytes int64) float64 { return float64(bytes) / float64(n) / (1 << 20) }
	b.ReportMetric(each(most-heap), "heap-MiB/stream")
	b.ReportMetric(each(p.memory(b, "VmHWM")-resident), "resident-MiB/stream")
	b.ReportMetric(float64(p.memory(b, "VmHWM"))/(1<<20), "resident-MiB")
}

// heap is what the heap holds, in bytes, after a collection of its garbage.
func (p *process) heap(b *testing.B) int64 {
	_, text := get(b.Context(), p.adminOf(b)+"/debug/pprof/heap?gc=1&debug=1")
	_, rest, found := strings.Cut(text, "# HeapAlloc = ")
	var bytes int64
	if _, err := fmt.Sscan(rest, &bytes); !found || err != nil {
		b.Fatalf("the heap profile tells no HeapAlloc: %v", err)
	}
	return bytes
}

func putStream(t testing.TB, c *s3.Client, key string, size int64) error {
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("demo"), Key: &key, Body: io.LimitReader(endless(t), size), ContentLength: &size,
	}, unsigned)
	return err
}

// getStream reads an object to its end, which it holds to its size.
func getStream(t testing.TB, c *s3.Client, key string, size int64) error {
	got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("demo"), Key: &key})
	if err != nil {
		return err
	}
	defer func() { _ = got.Body.Close() }()
	n, err := io.Copy(io.Discard, got.Body)
	if err == nil && n != size {
		err = fmt.Errorf("got %d bytes of %d", n, size)
	}
	return err
}
