//go:build unix

package faults

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/check"
	"github.com/pithos/pithos/internal/engine"
)

// keeper looks at what a run has left, by an engine of its own whose clock it
// can move.
type keeper struct {
	*engine.Engine
	ahead atomic.Int64
}

func (k *keeper) now() time.Time { return time.Now().Add(time.Duration(k.ahead.Load())) }

// keptWhole holds that a run has lost nothing and left nothing: once the grace
// time has passed a check finds all in order, and when the bucket is emptied
// no byte stays.
func (c *cluster) keptWhole(t *testing.T, client *s3.Client) {
	k := &keeper{}
	var err error
	if k.Engine, err = engine.Open(t.Context(), c.cfg, engine.OpenOptions{Now: k.now}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range 3 { // what was postponed is due the next time
		k.collect(t)
	}
	k.check(t)
	empty(t, client)
	var left []blob.Info
	for range 3 {
		k.collect(t)
		if left = k.blobs(t); len(left) == 0 {
			return
		}
	}
	t.Errorf("%d pieces of blobs that nothing refers to are left: %v", len(left), left[:min(len(left), 10)])
}

// collect lets the grace time of everything that is queued pass.
func (k *keeper) collect(t *testing.T) {
	t.Helper()
	k.ahead.Add(int64(time.Hour))
	await(t, "a collection that no node is too busy for", func() error {
		done, err := k.Store.Collect(t.Context())
		t.Logf("collected %+v, %v", done, err)
		return err
	})
}

// check is not a deep one: a copy that a node missed while it was down comes
// with a hint or a repair, and until then is a finding. Every byte was read.
func (k *keeper) check(t *testing.T) {
	t.Helper()
	await(t, "a check that no node is too busy for", func() error {
		summary, err := check.Run(t.Context(), check.Options{
			Store: k.Store, Meta: k.Meta, Blobs: k.Blobs, Shares: 8, Now: k.now,
			Found: func(f check.Finding) error { t.Errorf("check: %+v", f); return nil },
		})
		if err == nil {
			t.Logf("checked %d versions, %d listed, %d blobs", summary.Versions, summary.Listed, summary.Blobs)
		}
		return err
	})
}

func (k *keeper) blobs(t *testing.T) []blob.Info {
	t.Helper()
	var all []blob.Info
	await(t, "a walk that no node is too busy for", func() error {
		all = nil
		for _, s := range k.Blobs {
			if err := s.Walk(t.Context(), func(b blob.Info) error { all = append(all, b); return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	return all
}

// empty deletes all that the buckets list: versions, and uploads that no client
// has ended.
func empty(t *testing.T, client *s3.Client) {
	t.Helper()
	for _, name := range []string{bucket, versionedBucket} {
		versions := s3.NewListObjectVersionsPaginator(client, &s3.ListObjectVersionsInput{Bucket: &name})
		for versions.HasMorePages() {
			page, err := versions.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range page.Versions {
				remove(t, client, name, v.Key, v.VersionId)
			}
			for _, m := range page.DeleteMarkers {
				remove(t, client, name, m.Key, m.VersionId)
			}
		}
		uploads := s3.NewListMultipartUploadsPaginator(client, &s3.ListMultipartUploadsInput{Bucket: &name})
		for uploads.HasMorePages() {
			page, err := uploads.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range page.Uploads {
				_, err := client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &name, Key: u.Key, UploadId: u.UploadId})
				if err != nil && codeOf(err) != "NoSuchUpload" {
					t.Fatal(err)
				}
			}
		}
	}
}

func remove(t *testing.T, client *s3.Client, name string, key, version *string) {
	t.Helper()
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &name, Key: key, VersionId: version}); err != nil {
		t.Fatal(err)
	}
}
