// Package metatest tests every driver of package meta against its contract.
//
// A driver's whole test is:
//
//	func TestContract(t *testing.T) {
//		open := func(t testing.TB) meta.Store { ... }
//		metatest.Run(t, open)
//		metatest.Random(t, open, 1, 500)
//		metatest.RunAccessKeys(t, func(t testing.TB) meta.AccessKeys { ... })
//	}
//
// The suite uses buckets, owners and keys of its own and no other rows, so one
// database can serve many runs. A run makes under a thousand conditional changes.
package metatest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
)

// Open returns a store to test, and closes it by t.Cleanup. It may return the same
// database each time.
type Open func(t testing.TB) meta.Store

type contract struct {
	name string
	test func(*suite)
}

// Run tests the store that open returns, one named subtest for each sentence
// of the contract.
func Run(t *testing.T, open Open) {
	run(t, open(t), 8, func(string) bool { return true })
}

// Races runs only the tests in which calls race each other, with so many rounds
// each (Run has 8): fast drivers need more rounds to fail.
func Races(t *testing.T, open Open, rounds int) {
	run(t, open(t), rounds, func(name string) bool {
		return strings.Contains(name, "Race") || strings.Contains(name, "Racing") || strings.Contains(name, "Against") || strings.Contains(name, "While")
	})
}

func run(t *testing.T, store meta.Store, rounds int, wanted func(name string) bool) {
	for _, group := range []struct {
		name      string
		contracts []contract
	}{
		{"Store", storeContracts},
		{"Buckets", bucketContracts},
		{"Objects", objectContracts},
		{"Fences", fenceContracts},
		{"Guards", guardContracts},
		{"Listings", listingContracts},
		{"Uploads", uploadContracts},
		{"Queue", queueContracts},
		{"Walks", walkContracts},
		{"References", referenceContracts},
		{"Holds", holdContracts},
		{"Leases", leaseContracts},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.contracts {
				if !wanted(c.name) {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					c.test(&suite{T: t, Store: store, ctx: t.Context(), rounds: rounds})
				})
			}
		})
	}
}

// suite is one subtest: the store and helpers of tests.
type suite struct {
	*testing.T
	meta.Store
	ctx context.Context
	// rounds is how often a race is run.
	rounds int
}

// ok ends the test if err is not nil.
func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("unexpected error: %v", err)
	}
}

// is ends the test if err is not want.
func (s *suite) is(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("error %v, want %v", err, want)
	}
}

// equal ends the test if the two differ. Times are compared as instants.
func (s *suite) equal(what string, got, want any) {
	s.Helper()
	if d := differs(got, want); d != "" {
		s.Fatalf("%s: %s", what, d)
	}
}

func differs(got, want any) string {
	if reflect.DeepEqual(got, want) {
		return ""
	}
	return fmt.Sprintf("got\n  %s\nwant\n  %s", show(got), show(want))
}

// show shortens long values.
func show(v any) string {
	out := fmt.Sprintf("%+v", v)
	if len(out) > 2000 {
		out = out[:2000] + "..."
	}
	return out
}

// bucket creates a bucket that no other test uses.
func (s *suite) bucket() meta.Bucket {
	s.Helper()
	b, err := s.CreateBucket(s.ctx, bucketOf("t-"+meta.NewID().String(), "owner-"+meta.NewID().String()))
	s.ok(err)
	return b
}

func bucketOf(name, owner string) meta.Bucket {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return meta.Bucket{
		Name: name, ID: meta.NewID(), Rev: meta.NextRev(0, now),
		State: meta.BucketActive, Owner: owner, Created: now,
	}
}

// all reads a key with all versions and payloads.
var all = meta.ReadOptions{Limit: 1000, Payload: true}

func (s *suite) read(bucket meta.BucketID, key string) meta.Head {
	s.Helper()
	h, err := s.Read(s.ctx, bucket, key, all)
	s.ok(err)
	return h
}

func (s *suite) current(bucket meta.BucketID, key string) *meta.Version {
	s.Helper()
	h := s.read(bucket, key)
	if h.Current() == nil {
		s.Fatalf("key %q has no version", key)
	}
	return h.Current()
}

// plan returns the change that puts and deletes versions of a key whose head,
// read with all versions, is h.
func plan(key string, h meta.Head, rev int64, put []meta.Version, del ...int64) meta.Change {
	c := meta.Change{IfRev: h.Rev, Rev: rev, ID: meta.NewID(), Put: put, Delete: del}
	left := versionsAfter(h.Versions, put, del)
	for _, v := range left {
		if v.Null {
			c.NullSeq = v.Seq
		}
		c.History = c.History || v.DeleteMarker
	}
	c.History = c.History || len(left) > 1
	c.RemovesKey = len(left) == 0
	if !c.RemovesKey && !left[0].DeleteMarker {
		c.Entry = meta.EntryOf(key, &left[0])
	}
	return c
}

// versionsAfter returns the versions, newest first, after a change.
func versionsAfter(old, put []meta.Version, del []int64) []meta.Version {
	replaced := func(v meta.Version) bool {
		return slices.Contains(del, v.Seq) || slices.ContainsFunc(put, func(p meta.Version) bool { return p.Seq == v.Seq })
	}
	left := slices.DeleteFunc(slices.Clone(old), replaced)
	left = append(left, put...)
	slices.SortFunc(left, func(a, b meta.Version) int { return int(min(max(b.Seq-a.Seq, -1), 1)) })
	return left
}

// commit begins and commits c.
func commit(ctx context.Context, s meta.Store, bucket meta.BucketID, key string, c meta.Change) error {
	p, err := s.Begin(ctx, bucket, key, c.Rev, c.History)
	if err != nil {
		return err
	}
	return p.Commit(ctx, c)
}

// change makes a change of a key as it is now, and returns the change.
func (s *suite) change(bucket meta.BucketID, key string, put func(rev int64) []meta.Version, del ...int64) meta.Change {
	s.Helper()
	h := s.read(bucket, key)
	c := plan(key, h, meta.NextRev(h.Rev, time.Now()), nil, del...)
	if put != nil {
		c = plan(key, h, c.Rev, put(c.Rev), del...)
	}
	s.ok(commit(s.ctx, s.Store, bucket, key, c))
	return c
}

// version is a plain version with a body of its own.
func version(seq int64) meta.Version {
	etag := meta.NewID().String()
	return meta.Version{
		Seq: seq, Size: int64(len(etag)), ETag: etag, Modified: seq,
		Owner: "owner", Class: "STANDARD", Inline: true, Payload: []byte(etag),
	}
}

// add adds a version and returns it.
func (s *suite) add(bucket meta.BucketID, key string) meta.Version {
	s.Helper()
	c := s.change(bucket, key, func(rev int64) []meta.Version { return []meta.Version{version(rev)} })
	return c.Put[0]
}

// mark adds a delete marker and returns its Seq.
func (s *suite) mark(bucket meta.BucketID, key string) int64 {
	s.Helper()
	return s.change(bucket, key, func(rev int64) []meta.Version {
		return []meta.Version{{Seq: rev, DeleteMarker: true, Modified: rev, Owner: "owner"}}
	}).Rev
}

// remove removes every version of a key.
func (s *suite) remove(bucket meta.BucketID, key string) {
	s.Helper()
	s.change(bucket, key, nil, seqs(s.read(bucket, key).Versions)...)
}

func seqs(versions []meta.Version) []int64 {
	var out []int64
	for _, v := range versions {
		out = append(out, v.Seq)
	}
	return out
}

// bare returns versions as they are read without payloads.
func bare(versions ...meta.Version) []meta.Version {
	out := slices.Clone(versions)
	for i := range out {
		out[i].Payload = nil
	}
	return out
}

// full sets every exported field below v, so that a test fails if a driver does not
// store a field, also one that is added later.
func full[T any]() T {
	var v T
	fill(reflect.ValueOf(&v).Elem(), "x")
	return v
}

func fill(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Struct:
		fillStruct(v)
	case reflect.Pointer:
		if _, ok := v.Interface().(*meta.Pages); ok {
			return // a version with segments has no pages
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), name+"0")
		fill(v.Index(1), name+"1")
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), name)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, name+"-key")
		fill(value, name+"-value")
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(name + " \u00e9\U0010ffff\n\"<&\x00")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(uint64(200 + len(name)%50))
	default:
		v.SetInt(int64(len(name)) + 1<<30)
	}
}

func fillStruct(v reflect.Value) {
	if t, isTime := v.Addr().Interface().(*time.Time); isTime {
		*t = time.UnixMicro(1_700_000_000_123_456).UTC()
		return
	}
	for i := range v.NumField() {
		fill(v.Field(i), v.Type().Field(i).Name)
	}
}

// race runs n calls of f at once and returns their errors.
func race(n int, f func(i int) error) []error {
	start, errs := make(chan struct{}), make(chan error)
	for i := range n {
		go func() {
			<-start
			errs <- f(i)
		}()
	}
	close(start)
	out := make([]error, n)
	for i := range out {
		out[i] = <-errs
	}
	return out
}

// winners counts the nil errors and fails for any other than those that a
// loser may see.
func (s *suite) winners(errs []error, lost ...error) int {
	s.Helper()
	n := 0
	for _, err := range errs {
		if err == nil {
			n++
		} else if !slices.ContainsFunc(lost, func(want error) bool { return errors.Is(err, want) }) {
			s.Fatalf("loser's error %v, want one of %v", err, lost)
		}
	}
	return n
}

var storeContracts = []contract{
	{"PingFlushAndInlineMax", func(s *suite) {
		s.ok(s.Ping(s.ctx))
		s.ok(s.Flush(s.ctx))
		if n := s.InlineMax(); n < 0 || n > 1<<20 {
			s.Fatalf("InlineMax is %d bytes", n)
		}
	}},
	{"CancelledContextIsHonoured", func(s *suite) {
		b := s.bucket()
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err := s.Read(ctx, b.ID, "k", all)
		s.is(err, context.Canceled)
		_, _, err = s.Scan(ctx, b.ID, meta.ScanOptions{Limit: 10})
		s.is(err, context.Canceled)
		_, err = s.Bucket(ctx, b.Name)
		s.is(err, context.Canceled)
	}},
}
