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
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metafault"
	"github.com/pithos/pithos/store"
)

// ground is one engine with two gateways on it: one that is well, and one
// that dies or pauses where a test says.
type ground struct {
	*testing.T
	engine *s3test.Server
	well   *store.Store
	ill    *store.Store
	fault  *metafault.Store
	ahead  atomic.Int64
	stored map[blob.ID]bool // before the test
	turn   int
}

// onEngines runs test on both engines.
func onEngines(t *testing.T, test func(g *ground)) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		g := &ground{T: t, engine: s, fault: metafault.Wrap(s.Gateway.Meta, 1)}
		g.well, g.ill = g.open(s.Gateway.Meta), g.open(g.fault)
		g.stored = g.blobs()
		t.Cleanup(func() {
			g.fault.SetRules()
			g.fault.Revive()
			g.must(g.ill.Flush(context.Background()))
			g.must(g.well.Flush(context.Background()))
		})
		test(g)
	})
}

// classes maps STANDARD to one of the engine's blob stores.
func (g *ground) classes() map[string]string {
	classes := map[string]string{}
	for name := range g.engine.Gateway.Blobs {
		if classes[store.ClassStandard] == "" || name < classes[store.ClassStandard] {
			classes[store.ClassStandard] = name
		}
	}
	return classes
}

func (g *ground) open(m meta.Store) *store.Store {
	g.Helper()
	s, err := store.New(store.Options{
		Meta: m, Blobs: g.engine.Gateway.Blobs, Classes: g.classes(), Ring: g.engine.Gateway.Ring, Region: "us-east-1",
		GCGrace: grace, BucketCache: -1, Now: func() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) },
	})
	g.must(err)
	return s
}

func (g *ground) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// collect lets every grace time pass, and collects.
func (g *ground) collect() {
	g.Helper()
	for range 3 { // what is postponed or queued by it has its turn too
		g.must(g.well.Flush(g.Context()))
		g.ahead.Add(int64(2 * grace))
		_, err := g.well.Collect(g.Context())
		g.must(err)
	}
}

func (g *ground) blobs() map[blob.ID]bool {
	g.Helper()
	found := map[blob.ID]bool{}
	for _, s := range g.engine.Gateway.Blobs {
		g.must(s.Walk(g.Context(), func(i blob.Info) error { found[i.ID] = true; return nil }))
	}
	return found
}

// wantBlobs collects, and holds that n blobs are there more than at first.
func (g *ground) wantBlobs(what string, n int) {
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

func (g *ground) bucket() *meta.Bucket {
	g.Helper()
	b, err := g.well.CreateBucket(g.Context(), store.CreateBucketInput{Name: "b-" + meta.NewID().String()[:12], Owner: "alice"})
	g.must(err)
	return b
}

func (g *ground) put(b *meta.Bucket, key string, body []byte, e store.EncryptionRequest) {
	g.Helper()
	_, err := g.well.Put(g.Context(), b, key, store.PutInput{Attributes: store.Attributes{Owner: "alice", Encryption: e}, Body: bytes.NewReader(body), Size: int64(len(body))})
	g.must(err)
}

// get returns a body; nil where there is no such key.
func (g *ground) get(b *meta.Bucket, key string) []byte {
	g.Helper()
	o, err := g.well.Get(g.Context(), b, key, store.GetInput{})
	var e *s3err.Error
	if errors.As(err, &e) && e.Code == s3err.NoSuchKey {
		return nil
	}
	g.must(err)
	defer o.Body.Close()
	body, err := io.ReadAll(o.Body)
	if err != nil {
		g.Fatalf("read %q: %v", key, err)
	}
	return body
}

func (g *ground) want(b *meta.Bucket, key string, body []byte) {
	g.Helper()
	if got := g.get(b, key); !bytes.Equal(got, body) {
		g.Fatalf("%q has %d bytes, not the %d that it should have", key, len(got), len(body))
	}
}

func (g *ground) remove(b *meta.Bucket, key string) {
	g.Helper()
	_, err := g.well.Delete(g.Context(), b, key, store.DeleteInput{})
	g.must(err)
}

func (g *ground) copy(s *store.Store, from *meta.Bucket, source string, to *meta.Bucket, key string, e store.EncryptionRequest) error {
	_, err := s.Copy(g.Context(), to, key, store.CopyInput{Source: from, SourceKey: source, Attributes: store.Attributes{Owner: "alice", Encryption: e}})
	return err
}

// keys returns what listings show, which must agree.
func (g *ground) keys(b *meta.Bucket) []string {
	g.Helper()
	var keys, versions []string
	r, err := g.well.List(g.Context(), b, store.ListInput{Limit: 1000})
	g.must(err)
	for _, o := range r.Objects {
		keys = append(keys, o.Key)
	}
	v, err := g.well.ListVersions(g.Context(), b, store.ListVersionsInput{Limit: 1000})
	g.must(err)
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
	onEngines(t, func(g *ground) {
		body := random(3 << 20)
		for name, e := range encryptions {
			b, other := g.bucket(), g.bucket()
			g.put(b, "k", body, e)
			g.must(g.copy(g.well, b, "k", b, "copy", e))
			g.must(g.copy(g.well, b, "copy", other, "copy of a copy", e))
			g.wantBlobs(name, 1)
			// Whichever goes first, the others stay.
			g.remove(b, "k")
			g.wantBlobs(name+" without the source", 1)
			g.must(g.copy(g.well, b, "copy", b, "k", e)) // and back home
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
	onEngines(t, func(g *ground) {
		b, body := g.bucket(), random(2<<20)
		g.put(b, "k", body, store.EncryptionRequest{})
		g.must(g.copy(g.well, b, "k", b, "sealed", store.EncryptionRequest{Type: store.AlgorithmAES256}))
		g.wantBlobs("encrypted anew", 2)
		g.want(b, "sealed", body)
		g.must(g.copy(g.well, b, "sealed", b, "opened", store.EncryptionRequest{}))
		g.wantBlobs("decrypted", 3)
		g.want(b, "opened", body)
		for _, key := range []string{"k", "sealed", "opened"} {
			g.remove(b, key)
		}
		g.wantBlobs("at the end", 0)
	})
}

func TestCopiesOfMultipartObjectsShareAllParts(t *testing.T) {
	onEngines(t, func(g *ground) {
		b := g.bucket()
		one, two := random(5<<20), random(100_000)
		u, err := g.well.CreateUpload(g.Context(), b, "k", store.CreateUploadInput{Attributes: store.Attributes{Owner: "alice"}, Checksum: store.ChecksumRequest{Algorithm: "CRC32C"}})
		g.must(err)
		var parts []store.CompletedPart
		for i, body := range [][]byte{one, two} {
			p, err := g.well.UploadPart(g.Context(), b, "k", store.PartInput{UploadID: u.ID.String(), Number: i + 1, Body: bytes.NewReader(body), Size: int64(len(body)),
				Checksum: store.ChecksumRequest{Algorithm: "CRC32C"}})
			g.must(err)
			parts = append(parts, store.CompletedPart{Number: i + 1, ETag: p.ETag, Checksum: p.Checksum})
		}
		_, err = g.well.CompleteUpload(g.Context(), b, "k", store.CompleteInput{UploadID: u.ID.String(), Parts: parts})
		g.must(err)
		g.must(g.copy(g.well, b, "k", b, "copy", store.EncryptionRequest{}))
		g.wantBlobs("shared", 2)
		whole := slices.Concat(one, two)
		g.put(b, "plain", whole, store.EncryptionRequest{})
		_, err = g.well.Put(g.Context(), b, "plain", store.PutInput{Attributes: store.Attributes{Owner: "alice"}, Body: bytes.NewReader(whole), Size: int64(len(whole)),
			Checksum: store.ChecksumRequest{Algorithm: "CRC32C"}})
		g.must(err)
		want, err := g.well.Head(g.Context(), b, "plain", store.GetInput{})
		g.must(err)
		got, err := g.well.Head(g.Context(), b, "copy", store.GetInput{})
		g.must(err)
		if *got.Version.Checksum != *want.Version.Checksum {
			g.Errorf("the copy's checksum is %+v, that of the same bytes %+v", got.Version.Checksum, want.Version.Checksum)
		}
		_, err = g.well.Copy(g.Context(), b, "k", store.CopyInput{Source: b, SourceKey: "k", ReplaceMetadata: true, Attributes: store.Attributes{Owner: "alice"}})
		g.must(err)
		got, err = g.well.Head(g.Context(), b, "k", store.GetInput{})
		g.must(err)
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

// steps calls do with the fault at the first, the second, ... call of the ill
// gateway, until do needs no more calls than that. On Cassandra, which is
// slower, it takes a third of the calls, other ones each time.
func (g *ground) steps(rule metafault.Rule, do func(name string)) {
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
		g.must(g.ill.Flush(g.Context()))
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
	onEngines(t, func(g *ground) {
		body := random(1<<20 + 7)
		for _, fault := range []metafault.Fault{metafault.CrashBefore, metafault.CrashAfter, metafault.After} {
			g.steps(metafault.Rule{Fault: fault}, func(name string) {
				b := g.bucket()
				g.put(b, "k", body, store.EncryptionRequest{})
				err := g.copy(g.ill, b, "k", b, "copy", store.EncryptionRequest{})
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
	onEngines(t, func(g *ground) {
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
				err := g.copy(g.ill, b, "k", b, "copy", store.EncryptionRequest{})
				var e *s3err.Error
				if err != nil && !errors.As(err, &e) {
					g.Fatalf("%s: %v", name, err)
				}
				g.must(flushed(g.ill))
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
	onEngines(t, func(g *ground) {
		body, b := random(1<<20+11), g.bucket()
		keys := []string{"a", "b", "c", "d"}
		g.put(b, "a", body, store.EncryptionRequest{})
		var failed atomic.Value
		race(6, func(i int) {
			for n := range 12 {
				from, to := keys[(i+n)%4], keys[(i*n+1)%4]
				if n%4 == 3 {
					_, _ = g.well.Delete(g.Context(), b, from, store.DeleteInput{})
					_, _ = g.well.Collect(g.Context())
					g.ahead.Add(int64(grace / 2))
				} else if err := g.copy(g.well, b, from, b, to, store.EncryptionRequest{}); err != nil {
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
