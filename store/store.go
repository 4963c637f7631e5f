// Package store implements S3's semantics above any engine: versions,
// preconditions, listings, multipart uploads, copies, object lock, encryption, and
// the garbage collection of blobs.
//
// It knows neither HTTP nor XML, and no database: metadata are in a [meta.Store],
// bytes in one or more [blob.Store]. It does not check permissions: the caller has
// been authorized before (package policy).
//
// Every change of a key goes through change.go, which lists the steps. The way of
// a PUT: [Store.Put] → prepareWrite, receive → commitVersion → change → commit →
// the driver. Other protocols are described where they are implemented: shared
// blobs in references.go, renames in rename.go, multipart uploads at
// [Store.CompleteUpload], garbage collection at [Store.Collect], holds of backups
// in holds.go, buckets that are created again in recreated.go.
//
// Errors are *[s3err.Error] where a client can act on them, and drivers' errors
// otherwise. Each operation lists the codes that it returns.
package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	// RegionClasses are the Classes of regions that have their own, by region.
	RegionClasses map[string]map[string]string
	// Ring holds the master keys; an empty ring refuses encryption.
	Ring *crypt.Ring
	// Region is that of buckets created without a location constraint.
	Region string
	// Regions are the regions besides Region that a bucket can be created in. nil
	// means that there are no others: then any location constraint is accepted,
	// stored and shown, and the bucket is stored in Region.
	Regions []string
	// Ownership is the object ownership of buckets created without one. It may be
	// "".
	Ownership string
	// GCGrace is the time for which a blob without references is kept; 0 is a day.
	// It limits how long a GET of an overwritten or deleted object, and the upload
	// of a body, may take.
	GCGrace time.Duration
	// BucketCache is the time for which a bucket's settings are cached; 0 is a
	// second, less than 0 means no cache.
	BucketCache time.Duration
	// Reserve, if not nil, is asked before a request reads as much as is stored of
	// an object rather than what it asks for: bytes of memory, until release is
	// called. Its error ends the request.
	Reserve func(ctx context.Context, bytes int64) (release func(), err error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	Log *zap.Logger
}

// A Store answers S3's operations. All methods may be called concurrently.
type Store struct {
	meta     meta.Store
	blobs    map[string]blob.Store
	classes  map[string]map[string]string // by region; "" are those of any other
	ring     *crypt.Ring
	region   string
	regions  []string
	reserved func(ctx context.Context, bytes int64) (release func(), err error) // [Options.Reserve]
	// ownership is [Options.Ownership].
	ownership string
	grace     time.Duration
	now       func() time.Time
	log       *zap.Logger
	buckets   bucketCache
	newKeys   newKeys

	background sync.WaitGroup
	collecting sync.Mutex

	aging     sync.Mutex
	seenHolds map[meta.ID]seenHold // under aging
}

// New returns a Store over o. It starts nothing in the background: see
// [Store.Collect].
func New(o Options) (*Store, error) {
	if o.Meta == nil {
		return nil, errors.New("store: no metadata store")
	}
	classes := map[string]map[string]string{}
	maps.Copy(classes, o.RegionClasses)
	classes[""] = o.Classes
	for region, own := range classes {
		if err := checkClasses(own, o.Blobs); err != nil {
			return nil, fmt.Errorf("store: region %q: %w", region, err)
		}
		classes[region] = withReduced(own)
	}
	s := &Store{
		meta: o.Meta, blobs: o.Blobs, classes: classes, ring: o.Ring,
		region: o.Region, regions: o.Regions, reserved: o.Reserve, ownership: o.Ownership, grace: o.GCGrace, now: o.Now, log: o.Log,
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

// withReduced adds the class REDUCED_REDUNDANCY, which old clients use. Unless it
// is configured its objects are stored like those of STANDARD.
func withReduced(classes map[string]string) map[string]string {
	all := map[string]string{ClassReduced: classes[ClassStandard]}
	maps.Copy(all, classes)
	return all
}

func checkClasses(classes map[string]string, blobs map[string]blob.Store) error {
	if classes[ClassStandard] == "" {
		return errors.New("no blob store for the class STANDARD")
	}
	for class, name := range classes {
		if blobs[name] == nil {
			return fmt.Errorf("storage class %s names the blob store %s, which is not configured", class, name)
		}
	}
	return nil
}

// classesOf maps the storage classes of a bucket's region to blob stores.
func (s *Store) classesOf(b *meta.Bucket) map[string]string {
	if classes, ok := s.classes[b.Config.Region]; ok {
		return classes
	}
	return s.classes[""]
}

// Ownership is the object ownership of buckets created without one.
func (s *Store) Ownership() string { return s.ownership }

// Region is the region of buckets created without a location constraint.
func (s *Store) Region() string { return s.region }

// Ping returns an error if requests cannot be served now.
func (s *Store) Ping(ctx context.Context) error { return s.meta.Ping(ctx) }

// Flush waits for the asynchronous work of requests that were answered.
func (s *Store) Flush(ctx context.Context) error {
	s.background.Wait()
	return s.meta.Flush(ctx)
}
