package gateway

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandratest"
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
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
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
	if _, err := e.Admin(cfg).Create(t.Context(), NewKey{Tenant: "tenant"}); err != nil {
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
	p.ok(p.DeleteBucket(t.Context(), "bucket"))
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
