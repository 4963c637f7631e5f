// Package storetest opens a store for tests, in one call: over the embedded
// engine, with a ring of master keys and a clock that the test moves.
//
//	f := storetest.Open(t)
//	b, err := f.CreateBucket(t.Context(), store.CreateBucketInput{Name: "bucket", Owner: "alice"})
//	...
//	f.Clock.Advance(2 * storetest.Grace)
//	done, err := f.Collect(t.Context())
//
// Gateway opens another store over the same engine: a second gateway, or one
// whose metadata is wrapped.
//
//	faults := metafault.Wrap(f.Meta, 1)
//	failing := f.Gateway(t, func(o *store.Options) { o.Meta = faults })
//
// New and Use do the same over an engine that the test opens itself. Tests that
// need HTTP use internal/s3test.
package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/file"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/embedded"
	"github.com/pithos/pithos/store"
)

// Grace is the garbage collector's grace time.
const Grace = time.Hour

// Region is the store's region.
const Region = "us-east-1"

// Clock is the machine's clock, ahead by what a test has advanced it. The zero
// value is ready to use.
type Clock struct{ ahead atomic.Int64 }

// Now returns the time.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Advance moves the clock by d.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// Fixture is a store with what it stands on.
type Fixture struct {
	*store.Store
	Meta  meta.Store
	Blobs map[string]blob.Store
	Ring  *crypt.Ring
	Clock *Clock
}

// Open opens a store over the embedded engine in temporary folders. The test's
// end closes it.
func Open(t testing.TB, edit ...func(*store.Options)) *Fixture {
	t.Helper()
	m, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatalf("storetest: open metadata: %v", err)
	}
	b, err := file.Open(t.TempDir(), file.Options{})
	if err != nil {
		t.Fatalf("storetest: open blobs: %v", errors.Join(err, m.Close()))
	}
	f := New(t)
	t.Cleanup(func() {
		if f.Store != nil {
			err = f.Flush(context.Background())
		}
		if err := errors.Join(err, m.Close(), b.Close()); err != nil {
			t.Errorf("storetest: close the engine: %v", err)
		}
	})
	f.Use(t, m, map[string]blob.Store{"main": b}, edit...)
	return f
}

// New returns a fixture that has a ring and a clock, and no store yet.
func New(t testing.TB) *Fixture {
	t.Helper()
	ring, err := crypt.NewRing(crypt.GenerateMasterKey())
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return &Fixture{Ring: ring, Clock: &Clock{}}
}

// Use opens the fixture's store over an engine that stays the caller's, in place
// of the one before. The class STANDARD is the first of the blob stores, by name.
func (f *Fixture) Use(t testing.TB, m meta.Store, blobs map[string]blob.Store, edit ...func(*store.Options)) {
	t.Helper()
	f.Meta, f.Blobs = m, blobs
	f.Store = f.Gateway(t, edit...)
}

// Gateway opens another store over the same engine, with the same options but
// for what edit changes.
func (f *Fixture) Gateway(t testing.TB, edit ...func(*store.Options)) *store.Store {
	t.Helper()
	o := store.Options{
		Meta: f.Meta, Blobs: f.Blobs, Classes: map[string]string{store.ClassStandard: slices.Min(slices.Collect(maps.Keys(f.Blobs)))},
		Ring: f.Ring, Region: Region, GCGrace: Grace, BucketCache: -1, Now: f.Clock.Now,
	}
	for _, e := range edit {
		e(&o)
	}
	s, err := store.New(o)
	if err != nil {
		t.Fatalf("storetest: open a store: %v", err)
	}
	return s
}
