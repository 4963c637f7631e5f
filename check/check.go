// Package check looks at everything that a store has, and tells what does not
// fit together: blobs that are missing, damaged, or referred to by nobody;
// listings that show other than the keys' heads; what uploads left behind.
// What can be mended it mends, if it is asked to.
//
// # While requests are served
//
// A walk sees each row at another moment, so what a check sees first is only a
// suspicion. Nothing is reported that may have been merely under way: each
// suspicion is looked into at its own rows, before and after, and what others
// change meanwhile is looked at again.
//
//   - A blob is missing if a version refers to it, then it is not there, and
//     then the version still refers to it: a reference that has ended never
//     comes back.
//   - A listing is wrong if it shows other than the head does, which has one
//     revision before and after.
//   - A blob is unreferenced if nothing refers to it in any place where a
//     reference might be. Before its chunks are written it is in the queue, and
//     on its way from there to a version and back it always is in one of the
//     two. The queue is therefore walked before the versions and after them,
//     and the blobs before all of that; and where something seems to be
//     unreferenced, all of it once more. Once a blob is in none of these places
//     it never will be again: a change that would refer to it needs its entry
//     in the queue.
//
// # Unreferenced blobs
//
// The owner of a blob that is in no row is not known, so it cannot be given to
// the collector, whose proof begins with the key. A check deletes it by itself
// when two whole looks, the second begun later than the grace time after the
// first had ended, have found it so. The state directory remembers the first.
// Where nobody else can use the store (the embedded engine) one look is enough.
//
// # Memory
//
// What is walked goes into a database in a directory of the check's own, which
// sorts it: memory stays the same for a hundred million keys. Buckets are kept
// in memory.
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

// Options are what a check looks at, and how.
type Options struct {
	Store *store.Store
	Meta  meta.Store
	// Blobs are the blob stores by name; one may have several names.
	Blobs map[string]blob.Store
	// Exclusive says that nobody else uses the stores while the check runs.
	Exclusive bool
	// Repair mends what can be mended.
	Repair bool
	// Deep reads every byte and compares it with its checksums.
	Deep bool
	// Bucket restricts the check to what the bucket of this name refers to;
	// then blobs that nobody refers to are not looked for.
	Bucket string
	// State is a directory for the check's own data, about 100 bytes for each
	// version and blob. A check that was interrupted goes on from there, and
	// blobs that were found to be unreferenced are remembered. It is made if
	// need be. "" is a temporary directory.
	State string
	// Workers is how many parts are looked at at once; 0 is 8.
	Workers int
	// Shares is how many parts a walk is cut into, of which those that were
	// done are not repeated; 0 is 256.
	Shares int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Progress is told, from several goroutines, how far the check is.
	Progress func(Progress)
	// Found is told of each finding, at the end, in order.
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

// Progress is how far a check is.
type Progress struct {
	// Phase is what is being looked at.
	Phase string
	// Done of Of parts of the phase are looked at.
	Done, Of int
	// Rows counts what was looked at in this phase.
	Rows int64
}

// ErrOtherState says that the state directory belongs to a check that was
// asked for something else and is not done.
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

// phase is one step of a check. Those with shares remember which are done.
type phase struct {
	name string
	skip bool
	run  func(context.Context) error
}

// Run checks. It returns an error only if it could not look at everything;
// what it has found is in the summary and was given to Found.
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
		// What is due is nobody's finding. What keeps an entry from being
		// settled comes to light below.
		if _, err := c.Store.Collect(ctx); err != nil && ctx.Err() != nil {
			return fmt.Errorf("collect what is due: %w", err)
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

// phases are the steps in the order that the package's comment gives reasons
// for.
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
		{name: phaseOrphans, skip: one, run: c.settleOrphans},
		{name: phaseListing, run: c.compareListings},
		{name: phaseParts, skip: one, run: c.walkListings},
		{name: phaseLeftovers, run: c.settleLeftovers},
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

// concerns reports whether the check is about that bucket.
func (c *checker) concerns(id meta.BucketID) bool { return c.only == nil || c.only.ID == id }

// finish gives the findings to whoever asked, and ends the state's run.
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
