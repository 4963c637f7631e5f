//go:build unix

package faults

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/gateway"
)

// holdsNothingElse empties the bucket, lets the grace time pass and collects:
// then no byte may be left.
func (c *cluster) holdsNothingElse(t *testing.T, client *s3.Client) {
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: o.Key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var ahead atomic.Int64
	e, err := gateway.Open(t.Context(), c.cfg, gateway.OpenOptions{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	var left []blob.Info
	for range 5 { // what was postponed is due an hour later
		ahead.Add(int64(time.Hour))
		if done, err := e.Store.Collect(t.Context()); err != nil {
			t.Fatalf("collect: %v", err)
		} else {
			t.Logf("collected %+v", done)
		}
		left = nil
		for _, s := range e.Blobs {
			if err := s.Walk(t.Context(), func(b blob.Info) error { left = append(left, b); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("%d pieces of blobs that nothing refers to are left: %v", len(left), left[:min(len(left), 10)])
}
