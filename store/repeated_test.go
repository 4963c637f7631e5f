package store_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metafault"
	"github.com/pithos/pithos/store"
)

// TestRepeatedCompleteDoesNotBringAnObjectBack: the gateway dies after the
// commit of a Complete; the object is replaced; then the client, which had no
// answer, says Complete again.
func TestRepeatedCompleteDoesNotBringAnObjectBack(t *testing.T) {
	newer := []byte("newer")
	replace := map[string]func(g *twoGateways, b *meta.Bucket){
		"overwritten": func(g *twoGateways, b *meta.Bucket) { g.put(b, "k", newer, store.EncryptionRequest{}) },
		"deleted":     func(g *twoGateways, b *meta.Bucket) { g.remove(b, "k") },
		"renamed": func(g *twoGateways, b *meta.Bucket) {
			assert.NoError(g, g.rename(g.healthy.Store, b, "k", "elsewhere"))
		},
		"under a version": func(g *twoGateways, b *meta.Bucket) {
			b, err := g.healthy.UpdateBucket(g.Context(), b, func(c *meta.BucketConfig) error { c.Versioning = store.VersioningEnabled; return nil })
			assert.NoError(g, err)
			g.put(b, "k", newer, store.EncryptionRequest{})
		},
	}
	onEngines(t, func(g *twoGateways) {
		for name, change := range replace {
			b, body := g.bucket(), random(300_000)
			u, err := g.healthy.CreateUpload(g.Context(), b, "k", store.CreateUploadInput{Attributes: store.Attributes{Owner: "alice"}})
			assert.NoError(g, err)
			p, err := g.healthy.UploadPart(g.Context(), b, "k", store.PartInput{UploadID: u.ID.String(), Number: 1, Body: bytes.NewReader(body), Size: int64(len(body))})
			assert.NoError(g, err)
			in := store.CompleteInput{UploadID: u.ID.String(), Parts: []store.CompletedPart{{Number: 1, ETag: p.ETag}}}
			g.fault.SetRules(metafault.Rule{Op: meta.OpSetUploadState, Skip: 1, Fault: metafault.CrashBefore})
			_, _ = g.faulty.CompleteUpload(g.Context(), b, "k", in)
			g.fault.SetRules()
			g.fault.Revive()
			g.want(b, "k", body)

			change(g, b)
			after := g.get(b, "k")
			_, err = g.healthy.CompleteUpload(g.Context(), b, "k", in)
			if got := g.get(b, "k"); !bytes.Equal(got, after) {
				g.Errorf("%s: the repeated Complete (%v) has brought the object back", name, err)
			}
			if name == "under a version" { // which still is there, and is the answer
				assert.NoError(g, err)
			} else {
				wantCode(g.T, err, s3err.NoSuchUpload)
			}
		}
	})
}

// meanwhile completes an upload again and again, each time of another key, and
// does something else before another step of it; end is told how that ended.
func (g *twoGateways) meanwhile(do func(b *meta.Bucket, upload string), end func(b *meta.Bucket, step int, body []byte, err error)) {
	stride := 1
	if g.engine.Engine == s3test.Cassandra {
		stride = 3 // the steps are the same
	}
	for n, met := 0, true; met; n += stride {
		met = false
		b, body := g.bucket(), random(100_000)
		u, err := g.healthy.CreateUpload(g.Context(), b, "k", store.CreateUploadInput{Attributes: store.Attributes{Owner: "alice"}})
		assert.NoError(g, err)
		p, err := g.healthy.UploadPart(g.Context(), b, "k", store.PartInput{UploadID: u.ID.String(), Number: 1, Body: bytes.NewReader(body), Size: int64(len(body))})
		assert.NoError(g, err)
		g.fault.SetRules(metafault.Rule{Skip: n, Count: 1, Do: func(context.Context) { met = true; do(b, u.ID.String()) }})
		_, err = g.faulty.CompleteUpload(g.Context(), b, "k", store.CompleteInput{UploadID: u.ID.String(), Parts: []store.CompletedPart{{Number: 1, ETag: p.ETag}}})
		g.fault.SetRules()
		assert.NoError(g, g.faulty.Flush(g.Context()))
		end(b, n+1, body, err)
		if n > 100 {
			g.Fatal("it never ends")
		}
	}
}

// TestACompleteThatTheCollectorTakesForDeadGoesOn: a collector whose clock is
// ahead, or a Complete that sleeps, at each step of it. The upload is opened
// again then, and its Complete does not answer that it is gone.
func TestACompleteThatTheCollectorTakesForDeadGoesOn(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		g.meanwhile(func(*meta.Bucket, string) { g.collect() }, func(b *meta.Bucket, step int, body []byte, err error) {
			if err != nil {
				g.Fatalf("collected before call %d: %v", step, err)
			}
			g.want(b, "k", body)
			g.collect()
			g.want(b, "k", body)
		})
	})
}

// TestACompleteThatMeetsAnAbortSaysSo: whichever comes first, the parts may be
// gone already when the Complete looks for them.
func TestACompleteThatMeetsAnAbortSaysSo(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		g.meanwhile(func(b *meta.Bucket, upload string) {
			_ = g.healthy.AbortUpload(g.Context(), b, "k", upload) // the Complete tells which came first
			assert.NoError(g, g.healthy.Flush(g.Context()))
		}, func(b *meta.Bucket, step int, body []byte, err error) {
			if err == nil {
				g.want(b, "k", body)
				return
			}
			var e *s3err.Error
			if !errors.As(err, &e) || e.Code != s3err.NoSuchUpload {
				g.Errorf("aborted before call %d: %v, want NoSuchUpload", step, err)
			}
			_, err = g.healthy.Head(g.Context(), b, "k", store.GetInput{})
			wantCode(g.T, err, s3err.NoSuchKey)
		})
	})
}
