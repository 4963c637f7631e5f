package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/blobfault"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/storetest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metafault"
	"github.com/pithos/pithos/store"
)

// shared is a size from which on copies share the bytes of their source.
const shared = 1<<20 + 5

// client is one that does everything at random to few keys, through a gateway
// of its own, which dies now and then.
type client struct {
	*fixture
	gate    *store.Store
	faults  *metafault.Store
	rng     *rand.Rand
	buckets []*meta.Bucket
	uploads []*meta.Upload
}

func (w *fixture) client(n int, buckets ...*meta.Bucket) *client {
	c := &client{fixture: w, rng: rand.New(rand.NewPCG(uint64(n), 7)), buckets: buckets}
	c.faults = metafault.Wrap(w.Meta, uint64(n),
		metafault.Rule{Fault: metafault.CrashBefore, Chance: 0.004}, metafault.Rule{Fault: metafault.CrashAfter, Chance: 0.004},
		metafault.Rule{Op: meta.OpCommit, Fault: metafault.After, Chance: 0.02})
	blobs := blobfault.Wrap(w.blobs, func(op blobfault.Op) blobfault.Fault {
		if c.faults.Dead() { // it is one process
			return blobfault.Fault{Before: errors.New("the gateway is dead")}
		}
		return blobfault.Fault{}
	})
	c.gate = w.Gateway(w.T, func(o *store.Options) { o.Meta, o.Blobs = c.faults, map[string]blob.Store{"standard": blobs} })
	return c
}

// act does one thing. What fails, fails: the check is about what it leaves.
func (c *client) act(ctx context.Context) {
	b, key := c.buckets[c.rng.IntN(len(c.buckets))], fmt.Sprintf("key%d", c.rng.IntN(8))
	attributes := store.Attributes{Owner: "owner"}
	size := []int{tiny, small, small, large, large, shared}[c.rng.IntN(6)]
	switch c.rng.IntN(11) {
	case 0, 1, 2, 3:
		_, _ = c.gate.Put(ctx, b, key, store.PutInput{Body: bytes.NewReader(body(key, size)), Size: int64(size), Attributes: attributes})
	case 4, 5:
		_, _ = c.gate.Delete(ctx, b, key, store.DeleteInput{})
	case 6:
		if h, err := c.gate.Find(ctx, b, key, ""); err == nil {
			_, _ = c.gate.Delete(ctx, b, key, store.DeleteInput{VersionID: store.FormatVersionID(h.Version.Seq, h.Version.Null)})
		}
	case 7:
		from := fmt.Sprintf("key%d", c.rng.IntN(8))
		_, _ = c.gate.Copy(ctx, b, key, store.CopyInput{Source: b, SourceKey: from, Attributes: attributes, ReplaceMetadata: from == key})
	case 10:
		_ = c.gate.Rename(ctx, b, key, store.RenameInput{From: fmt.Sprintf("key%d", c.rng.IntN(8))})
	case 8:
		if u, err := c.gate.CreateUpload(ctx, b, key, store.CreateUploadInput{Attributes: attributes}); err == nil {
			c.uploads = append(c.uploads, u)
			c.finish(ctx, b, u)
		}
	case 9:
		if len(c.uploads) > 0 {
			u := c.uploads[c.rng.IntN(len(c.uploads))]
			for _, b := range c.buckets {
				if b.ID == u.Bucket {
					_ = c.gate.AbortUpload(ctx, b, u.Key, u.ID.String())
				}
			}
		}
	}
	if c.faults.Dead() { // another one takes its place
		_ = c.gate.Flush(ctx)
		c.faults.Revive()
	}
}

// finish uploads a part, and completes most uploads.
func (c *client) finish(ctx context.Context, b *meta.Bucket, u *meta.Upload) {
	p, err := c.gate.UploadPart(ctx, b, u.Key, store.PartInput{UploadID: u.ID.String(), Number: 1, Body: bytes.NewReader(body(u.Key, large)), Size: large})
	if err != nil || c.rng.IntN(3) == 0 {
		return
	}
	_, _ = c.gate.CompleteUpload(ctx, b, u.Key, store.CompleteInput{UploadID: u.ID.String(), Parts: []store.CompletedPart{{Number: 1, ETag: p.ETag}}})
}

// A check beside clients whose gateways die reports nothing, and once the
// grace time has passed there is nothing to report.
func TestTrafficAndCrashesAreNoFindings(t *testing.T) {
	engines(t, func(w *fixture) {
		b, v := w.bucket("plain", ""), w.bucket("versioned", store.VersioningEnabled)
		ctx, stop := context.WithCancel(w.Context())
		var clients sync.WaitGroup
		var all []*client
		for n := range 4 {
			c := w.client(n, b, v)
			all = append(all, c)
			clients.Go(func() {
				for ctx.Err() == nil {
					c.act(context.WithoutCancel(ctx))
				}
			})
		}
		checks, until := 0, time.Now().Add(4*time.Second)
		for ; checks < 2 || time.Now().Before(until); checks++ {
			w.expect("beside traffic", w.check(Options{Deep: checks%2 == 1}))
			w.Clock.Advance(storetest.Grace / 3)
			if _, err := w.Store.Collect(w.Context()); err != nil {
				w.Errorf("collect: %v", err)
			}
		}
		stop()
		clients.Wait()
		crashes := 0
		for _, c := range all {
			c.faults.SetRules()
			c.faults.Revive()
			assert.NoError(w, c.gate.Flush(w.Context()))
			crashes += c.faults.Fired()
		}
		for range 3 { // parts wait for their uploads, which wait for a grace time
			w.Clock.Advance(2 * storetest.Grace)
			_, err := w.Store.Collect(w.Context())
			assert.NoError(w, err)
		}
		found, summary := w.checked(Options{Deep: true})
		w.expect("after the grace time", found)
		w.Logf("%d checks beside %d faults; left are %d versions, %d blobs, %d queue entries", checks, crashes, summary.Versions, summary.Blobs, summary.Queued)
		if crashes == 0 || summary.Versions == 0 {
			w.Error("nothing happened")
		}
	})
}
