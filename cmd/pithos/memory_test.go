package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/cassandratest"
)

// BenchmarkMemory reports the peak of serve's resident memory while one
// object of 5 GiB goes in and out, as one PUT and in parts:
//
//	go test ./cmd/pithos -run '^$' -bench Memory -benchtime 1x -timeout 60m
//
// PITHOS_TEST_MEMORY_MIB is the object's size, PITHOS_TEST_MEMORY_ENGINE
// the engine, if not embedded.
func BenchmarkMemory(b *testing.B) {
	size := int64(5 << 30)
	if text := os.Getenv("PITHOS_TEST_MEMORY_MIB"); text != "" {
		if _, err := fmt.Sscan(text, &size); err != nil {
			b.Fatal(err)
		}
		size <<= 20
	}
	env := []string{"PITHOS_ACCESS_KEY=demo", "PITHOS_SECRET_KEY=demo-secret", "PITHOS_BUCKETS=demo", "PITHOS_DATA=" + b.TempDir()}
	yaml := ""
	if os.Getenv("PITHOS_TEST_MEMORY_ENGINE") == "cassandra" {
		c := cassandratest.Start(b)
		yaml = "bucketstore: {keyspace: " + c.Keyspace(b) + "}\n"
		env = append(env, "PITHOS_CASSANDRA_HOST="+strings.Join(c.Addrs(), ","))
		bootstrapped(b, yaml, env)
	}
	steps := []struct {
		name string
		run  func(testing.TB, *s3.Client, int64) error
	}{{"put", putWhole}, {"get", getWhole}, {"parts", putParts}, {"get-parts", getWhole}}
	p := startReady(b, yaml, env...)
	client := p.client("demo", "demo-secret")
	for _, step := range steps {
		b.Run(step.name, func(b *testing.B) {
			b.SetBytes(size)
			for range b.N {
				p.forgetPeak(b)
				if err := step.run(b, client, size); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(p.memory(b, "VmHWM"))/(1<<20), "MiB-peak")
			b.ReportMetric(float64(p.memory(b, "VmRSS"))/(1<<20), "MiB-after")
		})
	}
}

// forgetPeak makes VmHWM start again.
func (p *process) forgetPeak(t testing.TB) {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// unsigned leaves the body out of the signature, which the SDK could not hash
// without reading it twice.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
}

func putWhole(t testing.TB, c *s3.Client, size int64) error { return putStream(t, c, "big", size) }

func getWhole(t testing.TB, c *s3.Client, size int64) error { return getStream(t, c, "big", size) }

// putParts uploads parts of 15 MiB, four at a time, as s3cmd and the CLI do.
func putParts(t testing.TB, c *s3.Client, size int64) error {
	const partSize = 15 << 20
	bucket, key := aws.String("demo"), aws.String("big")
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		return err
	}
	parts := make([]types.CompletedPart, (size+partSize-1)/partSize)
	next, failed := make(chan int), make(chan error, 4)
	for range cap(failed) {
		go func() {
			for i := range next {
				n := min(partSize, size-int64(i)*partSize)
				number := aws.Int32(int32(i + 1))
				out, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: up.UploadId,
					PartNumber: number, Body: strings.NewReader(strings.Repeat("p", int(n)))})
				if err != nil {
					failed <- err
					for range next { // so that the sender does not wait
					}
					return
				}
				parts[i] = types.CompletedPart{PartNumber: number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32}
			}
			failed <- nil
		}()
	}
	for i := range parts {
		next <- i
	}
	close(next)
	for range cap(failed) {
		if err := <-failed; err != nil {
			return err
		}
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	return err
}

// endless is as much data as anyone wants.
func endless(t testing.TB) io.Reader {
	f, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
