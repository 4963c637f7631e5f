package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/internal/storetest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metafault"
	"github.com/pithos/pithos/store"
)

// twoGateways are two stores over one engine: one that is healthy, and one whose
// metadata calls fail, or pause, where a test says.
type twoGateways struct {
	*testing.T
	engine  *s3test.Server
	healthy *storetest.Fixture
	faulty  *store.Store
	fault   *metafault.Store
	stored  map[blob.ID]bool // before the test
	turn    int
}

// onEngines runs test on both engines.
func onEngines(t *testing.T, test func(g *twoGateways)) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		g := &twoGateways{T: t, engine: s, fault: metafault.Wrap(s.Gateway.Meta, 1)}
		g.healthy = storetest.New(t)
		g.healthy.Ring = s.Gateway.Ring
		g.healthy.Use(t, s.Gateway.Meta, s.Gateway.Blobs)
		g.faulty = g.healthy.Gateway(t, func(o *store.Options) { o.Meta = g.fault })
		g.stored = g.blobs()
		t.Cleanup(func() {
			g.fault.SetRules()
			g.fault.Revive()
			assert.NoError(t, g.faulty.Flush(context.Background()))
			assert.NoError(t, g.healthy.Flush(context.Background()))
		})
		test(g)
	})
}

// collect lets every grace time pass, and collects.
func (g *twoGateways) collect() {
	g.Helper()
	for range 3 { // what is postponed or queued by it has its turn too
		assert.NoError(g, g.healthy.Flush(g.Context()))
		g.healthy.Clock.Advance(2 * storetest.Grace)
		_, err := g.healthy.Collect(g.Context())
		assert.NoError(g, err)
	}
}

func (g *twoGateways) blobs() map[blob.ID]bool {
	g.Helper()
	found := map[blob.ID]bool{}
	for _, s := range g.engine.Gateway.Blobs {
		assert.NoError(g, s.Walk(g.Context(), func(i blob.Info) error { found[i.ID] = true; return nil }))
	}
	return found
}

// wantBlobs collects, and holds that n blobs are there more than at first.
func (g *twoGateways) wantBlobs(what string, n int) {
	g.Helper()
	g.collect()
	found := g.blobs()
	for id := range g.stored {
		delete(found, id)
	}
	if len(found) != n {
		g.Fatalf("%s: %d blobs are stored, want %d", what, len(found), n)
	}
}

func (g *twoGateways) bucket() *meta.Bucket {
	g.Helper()
	b, err := g.healthy.CreateBucket(g.Context(), store.CreateBucketInput{Name: "b-" + meta.NewID().String()[:12], Owner: "alice"})
	assert.NoError(g, err)
	return b
}

func (g *twoGateways) put(b *meta.Bucket, key string, body []byte, e store.EncryptionRequest) {
	g.Helper()
	_, err := g.healthy.Put(g.Context(), b, key, store.PutInput{Attributes: store.Attributes{Owner: "alice", Encryption: e}, Body: bytes.NewReader(body), Size: int64(len(body))})
	assert.NoError(g, err)
}

// get returns a body; nil where there is no such key.
func (g *twoGateways) get(b *meta.Bucket, key string) []byte {
	g.Helper()
	o, err := g.healthy.Get(g.Context(), b, key, store.GetInput{})
	var e *s3err.Error
	if errors.As(err, &e) && e.Code == s3err.NoSuchKey {
		return nil
	}
	assert.NoError(g, err)
	defer o.Body.Close()
	body, err := io.ReadAll(o.Body)
	if err != nil {
		g.Fatalf("read %q: %v", key, err)
	}
	return body
}

func (g *twoGateways) want(b *meta.Bucket, key string, body []byte) {
	g.Helper()
	if got := g.get(b, key); !bytes.Equal(got, body) {
		g.Fatalf("%q has %d bytes, not the %d that it should have", key, len(got), len(body))
	}
}

func (g *twoGateways) remove(b *meta.Bucket, key string) {
	g.Helper()
	_, err := g.healthy.Delete(g.Context(), b, key, store.DeleteInput{})
	assert.NoError(g, err)
}

func (g *twoGateways) copy(s *store.Store, from *meta.Bucket, source string, to *meta.Bucket, key string, e store.EncryptionRequest) error {
	_, err := s.Copy(g.Context(), to, key, store.CopyInput{Source: from, SourceKey: source, Attributes: store.Attributes{Owner: "alice", Encryption: e}})
	return err
}

// keys returns what listings show, which must agree.
func (g *twoGateways) keys(b *meta.Bucket) []string {
	g.Helper()
	var keys, versions []string
	r, err := g.healthy.List(g.Context(), b, store.ListInput{Limit: 1000})
	assert.NoError(g, err)
	for _, o := range r.Objects {
		keys = append(keys, o.Key)
	}
	v, err := g.healthy.ListVersions(g.Context(), b, store.ListVersionsInput{Limit: 1000})
	assert.NoError(g, err)
	for _, o := range v.Versions {
		versions = append(versions, o.Key)
	}
	if !slices.Equal(keys, versions) {
		g.Fatalf("the objects listed are %q, the versions those of %q", keys, versions)
	}
	return keys
}

var encryptions = map[string]store.EncryptionRequest{
	"plain": {}, "SSE-S3": {Type: store.AlgorithmAES256}, "SSE-KMS": {Type: store.AlgorithmKMS},
}

func TestCopiesToOtherKeysShareBlobs(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		body := random(3 << 20)
		for name, e := range encryptions {
			b, other := g.bucket(), g.bucket()
			g.put(b, "k", body, e)
			assert.NoError(g, g.copy(g.healthy.Store, b, "k", b, "copy", e))
			assert.NoError(g, g.copy(g.healthy.Store, b, "copy", other, "copy of a copy", e))
			g.wantBlobs(name, 1)
			// Whichever goes first, the others stay.
			g.remove(b, "k")
			g.wantBlobs(name+" without the source", 1)
			assert.NoError(g, g.copy(g.healthy.Store, b, "copy", b, "k", e)) // and back home
			g.remove(b, "copy")
			g.wantBlobs(name+" without the first copy", 1)
			g.want(other, "copy of a copy", body)
			g.want(b, "k", body)
			g.remove(other, "copy of a copy")
			g.wantBlobs(name+" at home alone", 1)
			g.want(b, "k", body)
			g.remove(b, "k")
			g.wantBlobs(name+" at the end", 0)
		}
	})
}

func TestCopiesWithOtherBytesShareNothing(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b, body := g.bucket(), random(2<<20)
		g.put(b, "k", body, store.EncryptionRequest{})
		assert.NoError(g, g.copy(g.healthy.Store, b, "k", b, "sealed", store.EncryptionRequest{Type: store.AlgorithmAES256}))
		g.wantBlobs("encrypted again", 2)
		g.want(b, "sealed", body)
		assert.NoError(g, g.copy(g.healthy.Store, b, "sealed", b, "opened", store.EncryptionRequest{}))
		g.wantBlobs("decrypted", 3)
		g.want(b, "opened", body)
		for _, key := range []string{"k", "sealed", "opened"} {
			g.remove(b, key)
		}
		g.wantBlobs("at the end", 0)
	})
}

func TestCopiesOfMultipartObjectsShareAllParts(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		one, two := random(5<<20), random(100_000)
		u, err := g.healthy.CreateUpload(g.Context(), b, "k", store.CreateUploadInput{Attributes: store.Attributes{Owner: "alice"}, Checksum: store.ChecksumRequest{Algorithm: "CRC32C"}})
		assert.NoError(g, err)
		var parts []store.CompletedPart
		for i, body := range [][]byte{one, two} {
			p, err := g.healthy.UploadPart(g.Context(), b, "k", store.PartInput{UploadID: u.ID.String(), Number: i + 1, Body: bytes.NewReader(body), Size: int64(len(body)),
				Checksum: store.ChecksumRequest{Algorithm: "CRC32C"}})
			assert.NoError(g, err)
			parts = append(parts, store.CompletedPart{Number: i + 1, ETag: p.ETag, Checksum: p.Checksum})
		}
		_, err = g.healthy.CompleteUpload(g.Context(), b, "k", store.CompleteInput{UploadID: u.ID.String(), Parts: parts})
		assert.NoError(g, err)
		assert.NoError(g, g.copy(g.healthy.Store, b, "k", b, "copy", store.EncryptionRequest{}))
		g.wantBlobs("shared", 2)
		whole := slices.Concat(one, two)
		g.put(b, "plain", whole, store.EncryptionRequest{})
		_, err = g.healthy.Put(g.Context(), b, "plain", store.PutInput{Attributes: store.Attributes{Owner: "alice"}, Body: bytes.NewReader(whole), Size: int64(len(whole)),
			Checksum: store.ChecksumRequest{Algorithm: "CRC32C"}})
		assert.NoError(g, err)
		want, err := g.healthy.Head(g.Context(), b, "plain", store.GetInput{})
		assert.NoError(g, err)
		got, err := g.healthy.Head(g.Context(), b, "copy", store.GetInput{})
		assert.NoError(g, err)
		if *got.Version.Checksum != *want.Version.Checksum {
			g.Errorf("the copy's checksum is %+v, that of the same bytes %+v", got.Version.Checksum, want.Version.Checksum)
		}
		_, err = g.healthy.Copy(g.Context(), b, "k", store.CopyInput{Source: b, SourceKey: "k", ReplaceMetadata: true, Attributes: store.Attributes{Owner: "alice"}})
		assert.NoError(g, err)
		got, err = g.healthy.Head(g.Context(), b, "k", store.GetInput{})
		assert.NoError(g, err)
		if *got.Version.Checksum != *want.Version.Checksum {
			g.Errorf("copied onto itself the checksum is %+v, that of the same bytes %+v", got.Version.Checksum, want.Version.Checksum)
		}
		g.remove(b, "plain")
		g.remove(b, "k")
		g.wantBlobs("without the source", 2)
		g.want(b, "copy", whole)
		g.remove(b, "copy")
		g.wantBlobs("at the end", 0)
	})
}

// steps calls do with the fault at the first, the second, ... call of the
// faulty gateway, until do needs no more calls than that. On Cassandra, which is
// slower, it takes a third of the calls, other ones each time.
func (g *twoGateways) steps(rule metafault.Rule, do func(name string)) {
	first, stride := 0, 1
	if g.engine.Engine == s3test.Cassandra {
		first, stride = g.turn%3, 3
		g.turn++
	}
	for n := first; ; n += stride {
		rule.Skip, rule.Count = n, 1
		g.fault.Revive()
		g.fault.SetRules(rule)
		before := g.fault.Fired()
		done := false
		if f := rule.Do; f != nil {
			g.fault.SetRules(metafault.Rule{Skip: n, Count: 1, Do: func(ctx context.Context) { done = true; f(ctx) }})
		}
		do(fmt.Sprintf("at call %d", n+1))
		g.fault.SetRules()
		g.fault.Revive()
		assert.NoError(g, g.faulty.Flush(g.Context()))
		if g.fault.Fired() == before && !done {
			if n < 5 {
				g.Fatalf("only %d calls were made", n)
			}
			return
		}
	}
}

// flushed waits for what a gateway does behind its answers; a dead one cannot
// finish it.
func flushed(s *store.Store) error {
	if err := s.Flush(context.Background()); err != nil && !errors.Is(err, meta.ErrUnavailable) && !errors.Is(err, meta.ErrUnknownOutcome) {
		return err
	}
	return nil
}

func TestCopyThatDiesLosesAndLeaksNothing(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		body := random(1<<20 + 7)
		for _, fault := range []metafault.Fault{metafault.CrashBefore, metafault.CrashAfter, metafault.After} {
			g.steps(metafault.Rule{Fault: fault}, func(name string) {
				b := g.bucket()
				g.put(b, "k", body, store.EncryptionRequest{})
				err := g.copy(g.faulty, b, "k", b, "copy", store.EncryptionRequest{})
				made := g.get(b, "copy") != nil
				if err == nil && !made {
					g.Fatalf("%s: acknowledged, and not there", name)
				}
				g.remove(b, "k")
				g.collect()
				if made {
					g.want(b, "copy", body)
					g.remove(b, "copy")
				}
				g.wantBlobs(name, 0)
			})
		}
	})
}

// TestSourceThatGoesWhileItIsCopied removes the source, and lets the collector
// run long after, at each moment of a copy.
func TestSourceThatGoesWhileItIsCopied(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		body := random(1<<20 + 9)
		var b *meta.Bucket
		for _, collect := range []bool{true, false} {
			g.steps(metafault.Rule{Do: func(context.Context) {
				g.remove(b, "k")
				if collect {
					g.collect()
				}
			}}, func(name string) {
				b = g.bucket()
				g.put(b, "k", body, store.EncryptionRequest{})
				err := g.copy(g.faulty, b, "k", b, "copy", store.EncryptionRequest{})
				var e *s3err.Error
				if err != nil && !errors.As(err, &e) {
					g.Fatalf("%s: %v", name, err)
				}
				assert.NoError(g, flushed(g.faulty))
				g.collect()
				if err == nil {
					g.want(b, "copy", body)
				} else if got := g.get(b, "copy"); got != nil {
					g.Fatalf("%s: failed with %v, and is there", name, err)
				}
				g.remove(b, "copy")
				g.remove(b, "k")
				g.wantBlobs(name, 0)
			})
		}
	})
}

func TestCopiesAndDeletionsAtTheSameTimeLoseAndLeakNothing(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		body, b := random(1<<20+11), g.bucket()
		keys := []string{"a", "b", "c", "d"}
		g.put(b, "a", body, store.EncryptionRequest{})
		var failed atomic.Value
		race(6, func(i int) {
			for n := range 12 {
				from, to := keys[(i+n)%4], keys[(i*n+1)%4]
				if n%4 == 3 {
					_, _ = g.healthy.Delete(g.Context(), b, from, store.DeleteInput{})
					_, _ = g.healthy.Collect(g.Context())
					g.healthy.Clock.Advance(storetest.Grace / 2)
				} else if err := g.copy(g.healthy.Store, b, from, b, to, store.EncryptionRequest{}); err != nil {
					var e *s3err.Error
					if !errors.As(err, &e) {
						failed.Store(err)
					}
				}
			}
		})
		if err := failed.Load(); err != nil {
			g.Fatal(err)
		}
		g.collect()
		for _, key := range keys {
			if got := g.get(b, key); got != nil && !bytes.Equal(got, body) {
				g.Errorf("%q has %d other bytes", key, len(got))
			}
			g.remove(b, key)
		}
		g.wantBlobs("at the end", 0)
	})
}

func race(n int, do func(i int)) {
	done := make(chan struct{})
	for i := range n {
		go func() { do(i); done <- struct{}{} }()
	}
	for range n {
		<-done
	}
}

func seen(keys []string) string { return strings.Join(keys, ",") }
