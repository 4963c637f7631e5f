// Package check reads everything that a store has and reports contradictions:
// blobs that are missing, damaged or unreferenced; listings that differ from the
// keys' heads; leftovers of uploads. It repairs what can be repaired, if asked.
//
// # While requests are served
//
// A walk reads each row at another moment, so its result is only a suspicion. A
// check never reports a change that was just in progress: it verifies each
// suspicion at the rows concerned, reads them before and after, and repeats that if
// others have changed them.
//
//   - A blob is missing if a version refers to it, then the blob does not exist,
//     and then the version still refers to it: a reference that was removed never
//     comes back.
//   - A listing is wrong if it differs from the head, and the head has the same
//     revision before and after the listing was read.
//   - A blob is unreferenced if none of the rows that may refer to it does. Before
//     its chunks are written it has a queue entry; while a version comes to refer
//     to it, or stops referring to it, it is always in the queue or in a version.
//     So a check walks the blobs first, then the queue, the versions, and the
//     queue again; and for blobs that seem to be unreferenced it repeats all of
//     these walks. A blob that is in none of these rows never will be again: a
//     change that refers to it needs its entry in the queue.
//
// # Unreferenced blobs
//
// The owner of a blob that is in no row is unknown, so the blob cannot be given to
// the collector, whose proof begins with the key. A check deletes it by itself if
// two complete checks have found it unreferenced, the second of which began later
// than the grace time after the end of the first. The state directory has the
// result of the first. If no other process can use the store (the embedded
// engine), one check is enough.
//
// # Memory
//
// The walked rows go into a database in a directory of the check, which sorts
// them: memory does not grow with the number of keys. Buckets are in memory.
package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// Options say what to check, and how.
type Options struct {
	Store *store.Store
	Meta  meta.Store
	// Blobs are the blob stores by name; one may have several names.
	Blobs map[string]blob.Store
	// Exclusive says that no other process uses the stores while the check runs.
	Exclusive bool
	// Repair asks to repair what can be repaired.
	Repair bool
	// Deep asks to read every byte and to verify its checksums.
	Deep bool
	// Bucket restricts the check to the objects of this bucket; then it does not
	// find unreferenced blobs.
	Bucket string
	// State is a directory for the check's own data, about 100 bytes for each
	// version and blob. It is created if it does not exist. An interrupted check
	// resumes from it, and it has the unreferenced blobs of earlier checks. "" is
	// a temporary directory.
	State string
	// Workers is the number of shares that are checked in parallel; 0 is 8.
	Workers int
	// Shares is the number of shares of a walk; a check that is resumed does not
	// repeat those that were done; 0 is 256.
	Shares int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Progress is called with the progress of the check, by several goroutines.
	Progress func(Progress)
	// Found is called for each finding, at the end, in order.
	Found func(Finding) error
}

func (o *Options) setDefaults() {
	if o.Workers <= 0 {
		o.Workers = 8
	}
	if o.Shares <= 0 {
		o.Shares = 256
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Found == nil {
		o.Found = func(Finding) error { return nil }
	}
}

// Progress is the progress of a check.
type Progress struct {
	// Phase is the running phase.
	Phase string
	// Done of Of shares of the phase are done.
	Done, Of int
	// Rows is the number of rows read in this phase.
	Rows int64
}

// ErrOtherState: the state directory has the state of an unfinished check with
// other options.
var ErrOtherState = errors.New("the state directory has an unfinished check with other options")

// checker is one run.
type checker struct {
	Options
	state   *state
	buckets map[meta.BucketID]*meta.Bucket
	only    *meta.Bucket // the bucket that the check is restricted to
	stores  []blob.Inspector
	names   map[string]int // of stores, by name
	started time.Time
	held    bool // a backup keeps blobs from being deleted
	summary Summary
}

// phase is one step of a check. The state has the shares that are done.
type phase struct {
	name string
	skip bool
	run  func(context.Context) error
}

// Run runs a check. It returns an error only if it could not read everything; the
// findings are in the summary and were passed to Found.
func Run(ctx context.Context, o Options) (*Summary, error) {
	o.setDefaults()
	c := &checker{Options: o, started: o.Now()}
	if err := c.openState(); err != nil {
		return nil, err
	}
	err := c.run(ctx)
	if closeErr := c.closeState(); err == nil {
		err = closeErr
	}
	return &c.summary, err
}

func (c *checker) run(ctx context.Context) error {
	c.nameStores()
	if c.Repair {
		// Due queue entries are no findings. If the collector cannot process
		// one, the phases below find the cause.
		if _, err := c.Store.Collect(ctx); err != nil && ctx.Err() != nil {
			return fmt.Errorf("collect due blobs: %w", err)
		}
	}
	if err := c.loadBuckets(ctx); err != nil {
		return err
	}
	for _, p := range c.phases() {
		if p.skip {
			continue
		}
		if err := p.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return c.finish(ctx)
}

// phases are the steps, in the order that the package comment explains.
func (c *checker) phases() []phase {
	one := c.Bucket != ""
	return []phase{
		{name: phaseBlobs, skip: one, run: c.walkBlobs},
		{name: phaseQueue, skip: one, run: func(ctx context.Context) error { return c.walkQueue(ctx, phaseQueue, c.noteQueued) }},
		{name: phaseUploads, run: func(ctx context.Context) error { return c.walkUploads(ctx, phaseUploads, c.notePart) }},
		{name: phaseReferences, run: func(ctx context.Context) error { return c.walkReferences(ctx, phaseReferences, c.noteRecorded) }},
		{name: phaseVersions, run: c.walkVersions},
		{name: phaseQueueAgain, skip: one || c.Exclusive, run: func(ctx context.Context) error { return c.walkQueue(ctx, phaseQueueAgain, c.noteQueued) }},
		{name: phaseCompare, run: c.compareBlobs},
		{name: phaseOrphans, skip: one, run: c.confirmOrphans},
		{name: phaseListing, run: c.compareListings},
		{name: phaseParts, skip: one, run: c.walkListings},
		{name: phaseLeftovers, run: c.confirmLeftovers},
		{name: phaseDeep, skip: !c.Deep, run: c.readEverything},
	}
}

// nameStores numbers the blob stores, each once.
func (c *checker) nameStores() {
	c.names = map[string]int{}
	var seen []blob.Store
	for _, name := range sortedKeys(c.Blobs) {
		s := c.Blobs[name]
		i := slices.Index(seen, s)
		if i < 0 {
			i = len(seen)
			seen = append(seen, s)
			c.stores = append(c.stores, blob.Inspect(s))
		}
		c.names[name] = i
	}
}

const bucketPage = 1000

func (c *checker) loadBuckets(ctx context.Context) error {
	all := map[meta.BucketID]*meta.Bucket{}
	for after := ""; ; {
		page, err := c.Meta.ListBuckets(ctx, "", after, bucketPage)
		if err != nil {
			return fmt.Errorf("list buckets: %w", err)
		}
		for i := range page {
			after = page[i].Name
			b, err := c.Meta.Bucket(ctx, after) // with its settings
			if errors.Is(err, meta.ErrNotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("bucket %q: %w", after, err)
			}
			all[b.ID] = &b
		}
		if len(page) < bucketPage {
			break
		}
	}
	c.buckets = all
	c.summary.Buckets = int64(len(all))
	if c.Bucket == "" {
		return nil
	}
	for _, b := range all {
		if b.Name == c.Bucket {
			c.only, c.summary.Buckets = b, 1
			return nil
		}
	}
	return fmt.Errorf("there is no bucket %q: %w", c.Bucket, meta.ErrNotFound)
}

// concerns reports whether the check includes a bucket.
func (c *checker) concerns(id meta.BucketID) bool { return c.only == nil || c.only.ID == id }

// finish reports the findings and ends the run in the state.
func (c *checker) finish(ctx context.Context) error {
	if err := c.Store.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	may, err := c.Store.MayDelete(ctx)
	if err != nil {
		return fmt.Errorf("holds of backups: %w", err)
	}
	c.summary.Held = !may
	if err := c.state.counts(&c.summary); err != nil {
		return err
	}
	if err := c.report(); err != nil {
		return err
	}
	return c.state.end()
}

func (c *checker) openState() error {
	dir, kept := c.State, c.State != ""
	var err error
	if kept {
		err = os.MkdirAll(dir, 0o700)
	} else {
		dir, err = os.MkdirTemp("", "pithos-check-*")
	}
	if err != nil {
		return fmt.Errorf("state of the check: %w", err)
	}
	about := fmt.Sprintf("bucket=%q deep=%v repair=%v shares=%d", c.Bucket, c.Deep, c.Repair, c.Shares)
	c.state, err = openState(dir, about, c.started)
	if err != nil {
		if !kept {
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return fmt.Errorf("state of the check in %s: %w", dir, err)
	}
	c.state.kept = kept
	c.started, c.summary.Resumed = c.state.began, c.state.resumed
	return nil
}

func (c *checker) closeState() error {
	err := c.state.close()
	if !c.state.kept {
		err = errors.Join(err, os.RemoveAll(c.state.dir))
	}
	if err != nil {
		return fmt.Errorf("state of the check: %w", err)
	}
	return nil
}
