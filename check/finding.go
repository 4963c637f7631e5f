package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// Kind is what is wrong.
type Kind string

// The kinds of findings.
const (
	// Missing: a version or a part refers to bytes that are not stored.
	Missing Kind = "missing"
	// Corrupt: stored bytes differ from the written ones.
	Corrupt Kind = "corrupt"
	// Mismatched: two rows contradict each other: a listing and a head, a size
	// and the stored bytes, a reference to a shared blob and its record.
	Mismatched Kind = "mismatched"
	// Unreferenced: a blob that nothing refers to.
	Unreferenced Kind = "unreferenced"
	// Leftover: rows that are not needed any more.
	Leftover Kind = "leftover"
)

// Kinds are all kinds, the worst first.
var Kinds = []Kind{Missing, Corrupt, Mismatched, Unreferenced, Leftover}

// Finding is one thing that is wrong.
type Finding struct {
	Kind   Kind   `json:"kind"`
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key,omitempty"`
	// Version is the id that clients see; "" for the version of a bucket that
	// never was versioned.
	Version string `json:"version,omitempty"`
	Upload  string `json:"upload,omitempty"`
	Part    int    `json:"part,omitempty"`
	// Store is the name of the blob store, and Blob the id in it.
	Store string `json:"store,omitempty"`
	Blob  string `json:"blob,omitempty"`
	// Bytes is the number of missing, damaged or unreferenced bytes.
	Bytes  int64  `json:"bytes,omitempty"`
	Detail string `json:"detail"`
	// Advice is what to do if the finding was not repaired.
	Advice   string `json:"advice,omitempty"`
	Repaired bool   `json:"repaired"`
}

// identity is the same for the same finding, which may occur twice.
func (f *Finding) identity() string {
	return fmt.Sprintf("%s\x00%s\x00%s\x00%s\x00%s\x00%d\x00%s", f.Kind, f.Bucket, f.Key, f.Version, f.Upload, f.Part, f.Blob)
}

// Summary counts what a check has read and found.
type Summary struct {
	Buckets   int64 `json:"buckets"`
	Versions  int64 `json:"versions"`
	Listed    int64 `json:"listed"`
	Uploads   int64 `json:"uploads"`
	Parts     int64 `json:"parts"`
	Queued    int64 `json:"queued"`
	Blobs     int64 `json:"blobs"`      // blocks of blobs, if a store groups chunks
	BlobBytes int64 `json:"blob_bytes"` // stored
	// Verified is the number of bytes, as clients see them, that a deep check has
	// read; Unreadable that of bodies whose key this server does not have, of
	// which only the stored bytes were verified; Unread that of copies that could
	// not be read since their node is down.
	Verified   int64 `json:"verified_bytes,omitempty"`
	Unreadable int64 `json:"unreadable,omitempty"`
	Unread     int64 `json:"unread_copies,omitempty"`
	// Overdue counts queue entries that have been due for longer than the grace
	// time: no collector runs, or it fails.
	Overdue int64 `json:"overdue,omitempty"`
	// Held says that a backup keeps blobs from being deleted.
	Held bool `json:"held,omitempty"`
	// Found and Repaired count findings.
	Found    map[Kind]int64 `json:"found"`
	Repaired int64          `json:"repaired"`
	Resumed  bool           `json:"resumed,omitempty"`
	// Duration is the time of this run.
	Duration time.Duration `json:"-"`
}

// Total is the number of findings.
func (s *Summary) Total() (n int64) {
	for _, count := range s.Found {
		n += count
	}
	return n
}

// Left is the number of findings that were not repaired.
func (s *Summary) Left() int64 { return s.Total() - s.Repaired }

// found stores a finding.
func (c *checker) found(f Finding) error {
	if f.Repaired {
		f.Advice = ""
	}
	row, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return c.state.put(findingKey(&f), row)
}

// report calls Found for all findings, the worst kinds first.
func (c *checker) report() error {
	c.summary.Found = map[Kind]int64{}
	for _, kind := range Kinds {
		c.summary.Found[kind] = 0
	}
	err := c.state.each([]byte{tableFinding}, []byte{tableFinding + 1}, func(_, value []byte) error {
		var f Finding
		if err := json.Unmarshal(value, &f); err != nil {
			return err
		}
		c.summary.Found[f.Kind]++
		if f.Repaired {
			c.summary.Repaired++
		}
		return c.Found(f)
	})
	c.summary.Duration = c.Now().Sub(c.state.opened)
	return err
}

// about begins a finding of a key.
func (c *checker) about(kind Kind, bucket meta.BucketID, key string) Finding {
	return Finding{Kind: kind, Bucket: c.bucketName(bucket), Key: key}
}

// bucketName is the name of a bucket, or its id if it was removed.
func (c *checker) bucketName(id meta.BucketID) string {
	if b := c.buckets[id]; b != nil {
		return b.Name
	}
	return id.String()
}

// versionID is the id of a version that clients see.
func (c *checker) versionID(bucket meta.BucketID, v *meta.Version) string {
	if b := c.buckets[bucket]; b != nil {
		return store.VersionID(b, v)
	}
	return store.FormatVersionID(v.Seq, v.Null)
}

func sortedKeys[V any](m map[string]V) []string { return slices.SortedFunc(maps.Keys(m), cmp.Compare) }
