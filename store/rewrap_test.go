package store_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/store"
)

// ringOf is a ring of keys named as given, made once each by its name.
func ringOf(t *testing.T, keys map[string]crypt.MasterKey, names ...string) *crypt.Ring {
	t.Helper()
	var all []crypt.MasterKey
	for _, name := range names {
		if keys[name].IsZero() {
			key, err := crypt.GenerateMasterKey().Named(name)
			if err != nil {
				t.Fatal(err)
			}
			keys[name] = key
		}
		all = append(all, keys[name])
	}
	ring, err := crypt.NewRing(all...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// with is the same store with other master keys.
func (w *fixture) with(t *testing.T, ring *crypt.Ring) *fixture {
	t.Helper()
	other := *w.Fixture
	other.Store = w.Gateway(t, func(o *store.Options) { o.Ring = ring })
	return &fixture{&other}
}

func TestRewrapLetsAnOldMasterKeyGo(t *testing.T) {
	keys := map[string]crypt.MasterKey{}
	base := newFixture(t)
	old := base.with(t, ringOf(t, keys, "old"))
	b := old.bucket(t, store.VersioningEnabled)
	bodies := map[string][]byte{"small": random(10), "large": random(3 << 20)}
	sealed := func(kind string) func(*store.PutInput) {
		return func(in *store.PutInput) { in.Encryption.Type = kind }
	}
	for key, body := range bodies {
		old.put(t, b, key, random(100), sealed(store.AlgorithmAES256)) // a version that lies below
		old.put(t, b, key, body, sealed(store.AlgorithmKMS))
	}
	old.put(t, b, "plain", []byte("plain"))
	up, err := old.CreateUpload(t.Context(), b, "parts", store.CreateUploadInput{
		Attributes: store.Attributes{Owner: "alice", Encryption: store.EncryptionRequest{Type: store.AlgorithmAES256}}})
	if err != nil {
		t.Fatal(err)
	}
	part, err := old.UploadPart(t.Context(), b, "parts", store.PartInput{UploadID: up.ID.String(), Number: 1, Body: bytes.NewReader([]byte("part")), Size: 4})
	if err != nil {
		t.Fatal(err)
	}

	both := base.with(t, ringOf(t, keys, "new", "old"))
	for _, from := range []string{"new", "none"} {
		if _, err := both.Rewrap(t.Context(), from); err == nil {
			t.Errorf("rewrapped from %q", from)
		}
	}
	for _, c := range []struct {
		from                 string
		oldFound, newFound   int64
		uploads, changedKeys int64
	}{{"", 4, 0, 1, 0}, {"old", 4, 0, 1, 5}, {"old", 0, 4, 0, 0}} {
		found, err := both.Rewrap(t.Context(), c.from)
		if err != nil || found.Versions["old"] != c.oldFound || found.Versions["new"] != c.newFound || found.Uploads["old"] != c.uploads ||
			found.Changed != c.changedKeys || found.Busy != 0 {
			t.Fatalf("from %q: %+v, %v", c.from, found, err)
		}
	}

	alone := base.with(t, ringOf(t, keys, "new"))
	done, err := alone.CompleteUpload(t.Context(), b, "parts", store.CompleteInput{UploadID: up.ID.String(), Parts: []store.CompletedPart{{Number: 1, ETag: part.ETag}}})
	if err != nil || done.Encryption.KeyID != "new" {
		t.Fatalf("completed without the old key: %+v, %v", done, err)
	}
	bodies["parts"] = []byte("part")
	versions, err := alone.ListVersions(t.Context(), b, store.ListVersionsInput{Limit: 100})
	if err != nil || len(versions.Versions) != 6 {
		t.Fatalf("%+v, %v", versions, err)
	}
	for _, v := range versions.Versions {
		o, err := alone.Get(t.Context(), b, v.Key, store.GetInput{VersionID: v.VersionID})
		if err != nil {
			t.Fatalf("%s: %v", v.Key, err)
		}
		got, err := io.ReadAll(o.Body)
		if err != nil || bodies[v.Key] != nil && v.IsLatest && !bytes.Equal(got, bodies[v.Key]) {
			t.Errorf("%s reads %d bytes, %v", v.Key, len(got), err)
		}
		_ = o.Body.Close()
	}
}
