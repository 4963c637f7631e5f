package engine

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/keyadmin"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// configuration reads YAML as a file of an operator.
func configuration(t *testing.T, yaml string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pithos.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, true, func(name string) string {
		if name == "PITHOS_MASTER_KEY" {
			return "cGl0aG9zIHRlc3QgbWFzdGVyIGtleSBvZiAzMiBieXQ="
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	return &cfg
}

// installed bootstraps the configuration.
func installed(t *testing.T, cfg *config.Config) *config.Config {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if err := Bootstrap(ctx, cfg, nil); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// opened opens the engine of a configuration for the rest of the test.
func opened(t *testing.T, cfg *config.Config, o OpenOptions) *Engine {
	t.Helper()
	e, err := Open(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// place is a bucket, with what a test does in it.
type place struct {
	*testing.T
	*store.Store
	bucket *meta.Bucket
}

func placeIn(t *testing.T, e *Engine, name, region string) place {
	t.Helper()
	b, err := e.Store.CreateBucket(t.Context(), store.CreateBucketInput{Name: name, Owner: "tenant", Region: region})
	if err != nil {
		t.Fatal(err)
	}
	return place{t, e.Store, b}
}

func (p place) ok(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p place) put(key, body string) {
	p.Helper()
	_, err := p.Put(p.Context(), p.bucket, key, store.PutInput{Body: strings.NewReader(body), Size: int64(len(body))})
	p.ok(err)
}

func (p place) get(key string) string {
	p.Helper()
	o, err := p.Get(p.Context(), p.bucket, key, store.GetInput{})
	p.ok(err)
	defer func() { _ = o.Body.Close() }()
	body, err := io.ReadAll(o.Body)
	p.ok(err)
	return string(body)
}

func (p place) keys() string {
	p.Helper()
	l, err := p.List(p.Context(), p.bucket, store.ListInput{Limit: 100})
	p.ok(err)
	var keys []string
	for _, o := range l.Objects {
		keys = append(keys, o.Key)
	}
	return strings.Join(keys, " ")
}

// shows ends the test if the key's body is another.
func (p place) shows(key, body string) {
	p.Helper()
	if got := p.get(key); got != body {
		p.Fatalf("%s/%s has %d bytes %.20q, want %d, %.20q", p.bucket.Name, key, len(got), got, len(body), body)
	}
}

// cluster is the shared Cassandra, and how a configuration names it.
func cluster(t *testing.T) (cassandratest.Cluster, string) {
	c := cassandratest.Start(t)
	return c, "cluster: ['" + strings.Join(c.Addrs(), "', '") + "']"
}

// rows counts a table's rows.
func rows(t *testing.T, s *gocql.Session, table string) (n int) {
	t.Helper()
	if err := s.Query("SELECT count(*) FROM " + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func big(seed string) string { return strings.Repeat(seed, 300_000) }

func TestBucketsObjectsAndBytesEachInAKeyspace(t *testing.T) {
	c, at := cluster(t)
	buckets, objects, standard, cold := c.Keyspace(t), c.Keyspace(t), c.Keyspace(t), c.Keyspace(t)
	cfg := installed(t, configuration(t, `
bucketstore: {`+at+`, keyspace: `+buckets+`}
regions:
  here:
    metastore: {keyspace: `+objects+`, timeout: 9s}
    storage-classes:
      standard: {keyspace: `+standard+`}
      cold: {keyspace: `+cold+`, max-chunk: 64k}
`))
	installed(t, cfg) // again
	e := opened(t, cfg, OpenOptions{})
	p := placeIn(t, e, "bucket", "")
	p.put("small", "small")
	p.put("big", big("abc"))
	_, err := p.Put(t.Context(), p.bucket, "cold", store.PutInput{
		Body: strings.NewReader(big("cba")), Size: -1, Attributes: store.Attributes{Class: "COLD"}})
	p.ok(err)
	if _, err := e.Admin(cfg).Create(t.Context(), keyadmin.NewKey{Tenant: "tenant"}); err != nil {
		t.Fatal(err)
	}

	second := place{t, opened(t, cfg, OpenOptions{}).Store, p.bucket}
	second.shows("small", "small")
	second.shows("big", big("abc"))
	second.shows("cold", big("cba"))
	if got := second.keys(); got != "big cold small" {
		t.Errorf("keys: %s", got)
	}
	s := c.Session(t)
	for table, want := range map[string]int{
		buckets + ".bucket": 1, buckets + ".access_key": 1, buckets + ".object": 0, buckets + ".listing": 0,
		objects + ".bucket": 0, objects + ".access_key": 0, objects + ".object": 3, objects + ".listing": 3,
	} {
		if n := rows(t, s, table); n != want {
			t.Errorf("table %s has %d rows, want %d", table, n, want)
		}
	}
	for name, want := range map[string]int{"standard": 1, "cold": 1} {
		if n := stored(t, e, name); n != want {
			t.Errorf("class %s has %d blobs, want %d", name, n, want)
		}
	}
	for _, key := range strings.Fields(p.keys()) {
		_, err := p.Delete(t.Context(), p.bucket, key, store.DeleteInput{})
		p.ok(err)
	}
	p.ok(p.DeleteBucket(t.Context(), p.bucket))
	if n := rows(t, s, buckets+".bucket"); n != 0 {
		t.Errorf("the bucket is gone, but table bucket has %d rows", n)
	}
}

// stored counts the blobs of a blob store.
func stored(t *testing.T, e *Engine, name string) (n int) {
	t.Helper()
	if e.Blobs[name] == nil {
		t.Fatalf("there is no blob store %q", name)
	}
	if err := e.Blobs[name].Walk(t.Context(), func(blob.Info) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// clock is a clock that tests set forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// collected runs the collector after the grace time of everything queued.
func (c *clock) collected(t *testing.T, e *Engine) store.Collected {
	t.Helper()
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.ahead.Add(int64(4 * time.Hour))
	done, err := e.Store.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// upload puts key in two parts, the second of which is a copy of source.
func (p place) upload(key, first string, from place, source string) {
	p.Helper()
	u, err := p.CreateUpload(p.Context(), p.bucket, key, store.CreateUploadInput{})
	p.ok(err)
	id := u.ID.String()
	one, err := p.UploadPart(p.Context(), p.bucket, key, store.PartInput{UploadID: id, Number: 1, Body: strings.NewReader(first), Size: int64(len(first))})
	p.ok(err)
	two, err := p.UploadPartCopy(p.Context(), p.bucket, key, store.PartCopyInput{UploadID: id, Number: 2, Source: from.bucket, SourceKey: source})
	p.ok(err)
	parts, err := p.ListParts(p.Context(), p.bucket, key, id, 0, 10)
	p.ok(err)
	if len(parts.Parts) != 2 {
		p.Errorf("%d parts are listed", len(parts.Parts))
	}
	_, err = p.CompleteUpload(p.Context(), p.bucket, key, store.CompleteInput{UploadID: id, Parts: []store.CompletedPart{
		{Number: 1, ETag: one.ETag}, {Number: 2, ETag: two.ETag}}})
	p.ok(err)
}

func TestBucketsOfTwoRegionsLiveApart(t *testing.T) {
	c, at := cluster(t)
	buckets, near, far, farBytes := c.Keyspace(t), c.Keyspace(t), c.Keyspace(t), c.Keyspace(t)
	cfg := installed(t, configuration(t, `
options: {default-region: near}
bucketstore: {`+at+`, keyspace: `+buckets+`}
regions:
  near: {metastore: {keyspace: `+near+`}}
  far:
    metastore: {keyspace: `+far+`}
    storage-classes: {standard: {keyspace: `+farBytes+`}, deep: {keyspace: `+farBytes+`}}
  also-near: {metastore: {keyspace: `+near+`}}
`))
	clock := &clock{}
	e := opened(t, cfg, OpenOptions{Now: clock.now})
	_, err := e.Store.CreateBucket(t.Context(), store.CreateBucketInput{Name: "bucket-m", Owner: "tenant", Region: "moon"})
	var refused *s3err.Error
	if !errors.As(err, &refused) || refused.Code != s3err.InvalidLocationConstraint {
		t.Errorf("a bucket in no region: %v", err)
	}
	a, b, also := placeIn(t, e, "bucket-a", ""), placeIn(t, e, "bucket-b", "far"), placeIn(t, e, "bucket-c", "also-near")
	for _, p := range []place{a, b, also} {
		p.put("key", p.bucket.Name)
		p.put("big", big(p.bucket.Name))
	}
	_, err = b.Copy(t.Context(), b.bucket, "copy", store.CopyInput{Source: a.bucket, SourceKey: "big"})
	b.ok(err)
	a.upload("parts", strings.Repeat("x", store.MinPartBytes), b, "big")
	b.upload("parts", strings.Repeat("x", store.MinPartBytes), a, "big")
	_, err = a.Put(t.Context(), a.bucket, "k", store.PutInput{Body: strings.NewReader("x"), Attributes: store.Attributes{Class: "DEEP"}})
	if !errors.As(err, &refused) || refused.Code != s3err.InvalidStorageClass {
		t.Errorf("a class of the other region: %v", err)
	}
	_, err = b.Put(t.Context(), b.bucket, "deep", store.PutInput{Body: strings.NewReader(big("d")), Size: -1, Attributes: store.Attributes{Class: "DEEP"}})
	b.ok(err)

	// Another gateway, which has met none of the buckets.
	e = opened(t, cfg, OpenOptions{Now: clock.now})
	a.Store, b.Store, also.Store = e.Store, e.Store, e.Store
	for _, p := range []place{a, b, also} {
		p.shows("key", p.bucket.Name)
		p.shows("big", big(p.bucket.Name))
	}
	b.shows("copy", big("bucket-a"))
	a.shows("parts", strings.Repeat("x", store.MinPartBytes)+big("bucket-b"))
	b.shows("parts", strings.Repeat("x", store.MinPartBytes)+big("bucket-a"))
	b.shows("deep", big("d"))
	if got := a.keys() + ", " + b.keys() + ", " + also.keys(); got != "big key parts, big copy deep key parts, big key" {
		t.Errorf("keys: %s", got)
	}
	all, _, err := e.Store.ListBuckets(t.Context(), "tenant", "", "", 10)
	if err != nil || len(all) != 3 {
		t.Errorf("%d buckets, %v", len(all), err)
	}
	s := c.Session(t)
	for table, want := range map[string]int{
		buckets + ".bucket": 3, buckets + ".object": 0, near + ".bucket": 0, far + ".bucket": 0, near + ".object": 5, far + ".object": 5,
	} {
		if n := rows(t, s, table); n != want {
			t.Errorf("table %s has %d rows, want %d", table, n, want)
		}
	}
	before := stored(t, e, "far/standard")
	if deep, home := stored(t, e, "far/deep"), stored(t, e, "near/standard"); before != 5 || deep != 5 || home == 0 {
		t.Errorf("%d blobs in the far region, %d by its other class, %d in the near one", before, deep, home)
	}

	// The bucket goes, and then its blobs, by a collector that meets it only
	// in the queue.
	for _, key := range strings.Fields(b.keys()) {
		_, err := b.Delete(t.Context(), b.bucket, key, store.DeleteInput{})
		b.ok(err)
	}
	b.ok(b.DeleteBucket(t.Context(), b.bucket))
	b.ok(e.Flush(t.Context()))
	last := opened(t, cfg, OpenOptions{Now: clock.now})
	if done := clock.collected(t, last); done.Deleted < 5 {
		t.Errorf("the collector deleted %d blobs", done.Deleted)
	}
	if n := stored(t, last, "far/standard"); n != 0 {
		t.Errorf("%d blobs of a bucket that is gone are left in its region", n)
	}
	a.Store = last.Store
	a.shows("parts", strings.Repeat("x", store.MinPartBytes)+big("bucket-b"))
	if n := rows(t, s, far+".gc"); n != 0 {
		t.Errorf("%d entries are left in the far region's queue", n)
	}
}

func TestARegionMoreFindsWhatOneRegionWrote(t *testing.T) {
	c, at := cluster(t)
	keyspace, other := c.Keyspace(t), c.Keyspace(t)
	one := configuration(t, `
bucketstore: {`+at+`, keyspace: `+keyspace+`}
regions: {near: {}}
`)
	two := func(home string) *config.Config {
		return installed(t, configuration(t, `
options: {default-region: `+home+`}
bucketstore: {`+at+`, keyspace: `+keyspace+`}
regions: {near: {}, far: {metastore: {keyspace: `+other+`}}}
`))
	}
	e := opened(t, installed(t, one), OpenOptions{})
	p := placeIn(t, e, "bucket", "")
	p.put("one", big("1"))
	p.Store = opened(t, two("near"), OpenOptions{}).Store
	p.shows("one", big("1"))
	p.put("two", big("2"))
	far := placeIn(t, &Engine{Store: p.Store}, "far-bucket", "far")
	far.put("three", big("3"))
	// What several regions have written does not depend on which is the default.
	p.Store = opened(t, two("far"), OpenOptions{}).Store
	p.shows("two", big("2"))
	far.Store = p.Store
	far.shows("three", big("3"))
	// Back to one region: its own bucket is there, with all that it has.
	p.Store = opened(t, one, OpenOptions{}).Store
	p.shows("one", big("1"))
	p.shows("two", big("2"))
}

func TestRegionsOfTheEmbeddedEngineHaveClassesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	yaml := func(data string) string {
		return `
options: {default-region: near}
embedded: {directory: ` + data + `}
regions:
  near: {}
  far: {storage-classes: {standard: {directory: ` + filepath.Join(dir, "far") + `}, deep: {}}}
`
	}
	data := filepath.Join(dir, "data")
	e, err := Open(t.Context(), configuration(t, yaml(data)), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := placeIn(t, e, "bucket-a", ""), placeIn(t, e, "bucket-b", "far")
	a.put("key", big("a"))
	b.put("key", big("b"))
	if near, far := stored(t, e, "near/standard"), stored(t, e, "far/standard"); near != 1 || far != 1 {
		t.Errorf("%d blobs in the near region, %d in the far one", near, far)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	// The directory may be moved.
	moved := filepath.Join(dir, "moved")
	if err := os.Rename(data, moved); err != nil {
		t.Fatal(err)
	}
	e = opened(t, configuration(t, yaml(moved)), OpenOptions{})
	a.Store, b.Store = e.Store, e.Store
	a.shows("key", big("a"))
	b.shows("key", big("b"))
}

func TestNamesOfBlobStoresMeanOneStore(t *testing.T) {
	e := opened(t, configuration(t, "embedded: {directory: "+filepath.Join(t.TempDir(), "data")+"}"), OpenOptions{})
	c := newClasses(&config.Config{Options: config.Options{DefaultRegion: "a"}, Regions: map[string]config.Region{"a": {}, "a/b": {}}})
	s := e.Blobs["standard"]
	if err := c.add("a/b", "c", s); err != nil {
		t.Fatal(err)
	}
	if err := c.add("a", "b/c", s); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("two stores of one name: %v", err)
	}
}
