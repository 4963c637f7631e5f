package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pithos/pithos/meta"
)

// A backup copies the metadata first and the blobs after them. The blobs that the
// copied metadata refer to must still exist when they are copied, no matter how
// long that takes. So a backup adds a hold ([meta.Hold]) before it begins. While
// there is a hold no blob is deleted: not by the collector, not by the abort of an
// upload, not by a check.
//
// # The rule for all code that deletes blobs
//
//  1. Prove that no version refers to the blob and that none ever will.
//  2. Read the holds, after the proof is complete.
//  3. If there is no hold, delete the blob; otherwise leave it to the collector.
//
// mayDelete is step 2. The order makes this exact without clocks and without
// waiting: if step 2 finds no hold, then AddHold of a later backup returns after
// the proof, so the references had ended before that backup copied the metadata.
// A gateway that is paused between steps 2 and 3, for any time, deletes only blobs
// that no such copy refers to. The other order (read the holds, then prove) would
// be wrong: the reference could end in between, after the metadata were copied.
//
// # Expiry
//
// A forgotten hold must not keep garbage for ever, and correctness must not depend
// on clocks that agree. So the row has the time that is left. A gateway that has
// seen the same revision of the row for some time, by its own clock, subtracts
// that time in a conditional change: AgeHolds, in each run of the job holds, which every
// gateway runs.
// Only one gateway's change of a revision is committed, so no time is counted
// twice. A gateway that restarts loses the time since its last run. If no gateway
// runs, nothing expires, and nothing is deleted either.

// ErrNoHold says that a hold has expired, was ended, or never existed.
var ErrNoHold = errors.New("there is no such hold: it has expired or was ended")

// MaxHold is the longest time of a hold.
const MaxHold = 30 * 24 * time.Hour

// CheckHold returns an error if left is not a valid time of a hold.
func CheckHold(left time.Duration) error {
	if left < time.Minute || left > MaxHold {
		return fmt.Errorf("a hold of %s: want one minute to %d hours", left, int(MaxHold.Hours()))
	}
	return nil
}

// HoldAdmin manages the holds of a store. It needs only the metadata.
type HoldAdmin struct {
	Meta meta.Holds
	// Now is the clock; nil is time.Now. It is only for display.
	Now func() time.Time
}

// Begin adds a hold. From when it returns until the hold ends, no gateway deletes
// a blob that a version refers to when it returns.
func (a HoldAdmin) Begin(ctx context.Context, left time.Duration, reason string) (meta.Hold, error) {
	if err := CheckHold(left); err != nil {
		return meta.Hold{}, err
	}
	now := time.Now
	if a.Now != nil {
		now = a.Now
	}
	h := meta.Hold{ID: meta.NewID(), Rev: 1, Left: left, Reason: reason, Began: now().UnixMicro()}
	return h, a.Meta.AddHold(ctx, h)
}

// Renew sets the time that a hold has left. [ErrNoHold].
func (a HoldAdmin) Renew(ctx context.Context, id meta.ID, left time.Duration) (meta.Hold, error) {
	if err := CheckHold(left); err != nil {
		return meta.Hold{}, err
	}
	var renewed meta.Hold
	err := a.update(ctx, id, func(h meta.Hold) error {
		renewed = h
		renewed.Left, renewed.Rev = left, h.Rev+1
		return a.Meta.UpdateHold(ctx, renewed, h.Rev)
	})
	return renewed, err
}

// End removes a hold. [ErrNoHold] if it expired before: then blobs may have been
// deleted since it began.
func (a HoldAdmin) End(ctx context.Context, id meta.ID) error {
	return a.update(ctx, id, func(h meta.Hold) error { return a.Meta.RemoveHold(ctx, id, h.Rev) })
}

// update makes a conditional change of a hold, and repeats it after a conflict
// with a gateway.
func (a HoldAdmin) update(ctx context.Context, id meta.ID, do func(meta.Hold) error) error {
	for try := 0; ; try++ {
		holds, err := a.Meta.ListHolds(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(holds, func(h meta.Hold) bool { return h.ID == id })
		if i < 0 {
			return fmt.Errorf("%s: %w", id, ErrNoHold)
		}
		err = do(holds[i])
		if errors.Is(err, meta.ErrNotFound) {
			return fmt.Errorf("%s: %w", id, ErrNoHold)
		}
		if !errors.Is(err, meta.ErrConflict) || try >= maxTries {
			return err
		}
		if err := BackOff(ctx, try); err != nil {
			return err
		}
	}
}

// mayDelete reports whether there is no hold. The caller must have proven before
// that no version refers to the blobs that it deletes: see the rule above.
func (s *Store) mayDelete(ctx context.Context) (bool, error) {
	holds, err := s.meta.ListHolds(ctx)
	return err == nil && len(holds) == 0, err
}

// MayDelete is mayDelete for package check. Call it after the proof that no
// version refers to the blobs, not before.
func (s *Store) MayDelete(ctx context.Context) (bool, error) { return s.mayDelete(ctx) }

// deleteUnlessHeld deletes blobs and reports whether it did. The caller has proven
// that no version refers to them and none ever will. Blobs that are not deleted
// are in the collector's queue.
func (s *Store) deleteUnlessHeld(ctx context.Context, segments []meta.Segment) (bool, error) {
	may, err := s.mayDelete(ctx)
	if err != nil || !may {
		return false, err
	}
	var errs []error
	for _, seg := range segments {
		if seg.Blob == (meta.ID{}) {
			continue // inline
		}
		store := s.blobs[seg.Store]
		if store == nil {
			errs = append(errs, fmt.Errorf("blob store %q is not configured", seg.Store))
			continue
		}
		errs = append(errs, store.Delete(ctx, seg.Blob))
	}
	err = errors.Join(errs...)
	return err == nil, err
}

// seenHold is a revision of a hold, and the time when this process first saw it.
type seenHold struct {
	rev   int64
	since time.Time
}

// AgeHolds subtracts from each hold the time since this process first saw its
// revision, removes the holds that have no time left, and returns the others.
func (s *Store) AgeHolds(ctx context.Context) ([]meta.Hold, error) {
	s.aging.Lock()
	defer s.aging.Unlock()
	holds, err := s.meta.ListHolds(ctx)
	if err != nil {
		return nil, err
	}
	now := s.now() // after the read, so that no time before it is counted
	seen := map[meta.ID]seenHold{}
	var remain []meta.Hold
	var errs []error
	for _, h := range holds {
		was, ok := s.seenHolds[h.ID]
		if !ok || was.rev != h.Rev {
			was = seenHold{h.Rev, now}
		}
		aged, err := s.ageHold(ctx, h, now.Sub(was.since))
		switch {
		case errors.Is(err, meta.ErrNotFound): // its owner has ended it
		case err != nil && !errors.Is(err, meta.ErrConflict):
			errs = append(errs, err)
			remain = append(remain, h)
		case err != nil: // another gateway, or its owner, came first
			remain = append(remain, h)
		case aged.Left <= 0:
			s.log.Sugar().Warnf("the hold %s of a backup has expired (%q): the collector deletes blobs again", h.ID, h.Reason)
		default:
			if aged.Rev != h.Rev {
				was = seenHold{aged.Rev, now}
			}
			seen[h.ID] = was
			remain = append(remain, aged)
		}
	}
	s.seenHolds = seen
	return remain, errors.Join(errs...)
}

// ageHold subtracts a time from a hold, and returns the changed hold.
func (s *Store) ageHold(ctx context.Context, h meta.Hold, passed time.Duration) (meta.Hold, error) {
	if passed <= 0 && h.Left > 0 {
		return h, nil
	}
	aged := h
	aged.Left, aged.Rev = h.Left-max(passed, 0), h.Rev+1
	if aged.Left <= 0 {
		return aged, s.meta.RemoveHold(ctx, h.ID, h.Rev)
	}
	return aged, s.meta.UpdateHold(ctx, aged, h.Rev)
}
