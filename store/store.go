// Package store is S3's semantics, once, above any engine: versions,
// preconditions, listing, multipart uploads, copies, object lock, and the
// collection of blobs that nothing refers to any more.
//
// It knows neither HTTP nor XML, and no database: metadata come from a
// [meta.Store], bytes from one or more [blob.Store]. It asks nobody whether a
// caller may do what it asks for; that was settled before (package policy).
//
// Errors are *[Error] where a user can act on them, and drivers' errors
// otherwise.
package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/meta"
)

// Options are what a Store is made of.
type Options struct {
	Meta meta.Store
	// Blobs are the blob stores by name.
	Blobs map[string]blob.Store
	// Classes maps storage classes to names in Blobs; a class that is not in
	// it is refused. It must hold STANDARD.
	Classes map[string]string
	// Ring holds the master keys; an empty ring refuses encryption.
	Ring *crypt.Ring
	// Region is that of buckets created without a location constraint.
	Region string
	// Regions are those that a bucket may be created in beside Region; nil
	// means any.
	Regions []string
	// GCGrace is how long a blob that nothing refers to is kept; 0 is a day.
	// A GET of an overwritten or deleted object, and an upload of one part,
	// may go on that long.
	GCGrace time.Duration
	// BucketCache is how long a bucket's settings may be remembered; 0 is a
	// second, less than 0 never.
	BucketCache time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	Log *zap.Logger
}

// A Store answers S3's operations. All methods may be called concurrently.
type Store struct {
	meta    meta.Store
	blobs   map[string]blob.Store
	classes map[string]string
	ring    *crypt.Ring
	region  string
	regions []string
	grace   time.Duration
	now     func() time.Time
	log     *zap.Logger
	buckets bucketCache

	background sync.WaitGroup
	collecting sync.Mutex
}

// New returns a Store over o. It starts nothing in the background: see
// [Store.Collect].
func New(o Options) (*Store, error) {
	if o.Meta == nil || o.Classes[ClassStandard] == "" {
		return nil, errors.New("store: no metadata store, or no blob store for the class STANDARD")
	}
	for class, name := range o.Classes {
		if o.Blobs[name] == nil {
			return nil, errors.New("store: storage class " + class + " names the blob store " + name + ", which is not configured")
		}
	}
	s := &Store{
		meta: o.Meta, blobs: o.Blobs, classes: o.Classes, ring: o.Ring,
		region: o.Region, regions: o.Regions, grace: o.GCGrace, now: o.Now, log: o.Log,
	}
	if s.grace <= 0 {
		s.grace = 24 * time.Hour
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	s.buckets.ttl = o.BucketCache
	if o.BucketCache == 0 {
		s.buckets.ttl = time.Second
	}
	s.buckets.now = s.now
	return s, nil
}

// Region is the region of buckets made without a location constraint.
func (s *Store) Region() string { return s.region }

// Ping reports whether requests can be served now.
func (s *Store) Ping(ctx context.Context) error { return s.meta.Ping(ctx) }

// Flush waits for what answered requests have left to be done behind them.
func (s *Store) Flush(ctx context.Context) error {
	s.background.Wait()
	return s.meta.Flush(ctx)
}
