package metafault_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/embedded"
	"github.com/pithos/pithos/meta/metafault"
	"github.com/pithos/pithos/meta/metatest"
)

func open(t testing.TB) meta.Store { return wrap(t) }

func wrap(t testing.TB, rules ...metafault.Rule) *metafault.Store {
	s, err := embedded.Open("meta", embedded.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return metafault.Wrap(s, 1, rules...)
}

func TestWithoutRulesTheContractHolds(t *testing.T) {
	metatest.Run(t, open)
	metatest.Random(t, open, 1, 500)
}

func TestRandomCallsMatchTheModelThroughFaults(t *testing.T) {
	faulty := func(t testing.TB) meta.Store {
		return wrap(t,
			metafault.Rule{Op: meta.OpCommit, Fault: metafault.Before, Chance: 0.15},
			metafault.Rule{Op: meta.OpCommit, Fault: metafault.After, Chance: 0.15},
			metafault.Rule{Op: meta.OpBegin, Delay: time.Microsecond, Chance: 0.1},
			metafault.Rule{Op: meta.OpCancel, Fault: metafault.Before, Chance: 0.5})
	}
	for seed := range uint64(5) {
		metatest.Random(t, faulty, seed, 1000)
	}
}

func newBucket(name string) meta.Bucket {
	return meta.Bucket{Name: name, ID: meta.NewID(), Rev: 1, State: meta.BucketActive, Created: time.Now()}
}

func TestFaultsApplyOrDoNot(t *testing.T) {
	ctx := context.Background()
	own := errors.New("own")
	for _, c := range []struct {
		name    string
		rule    metafault.Rule
		err     error
		applied bool
		dead    bool
	}{
		{"none", metafault.Rule{}, nil, true, false},
		{"before", metafault.Rule{Fault: metafault.Before}, meta.ErrUnavailable, false, false},
		{"after", metafault.Rule{Fault: metafault.After}, meta.ErrUnknownOutcome, true, false},
		{"before with its own error", metafault.Rule{Fault: metafault.Before, Err: own}, own, false, false},
		{"after with its own error", metafault.Rule{Fault: metafault.After, Err: own}, own, true, false},
		{"crash before", metafault.Rule{Fault: metafault.CrashBefore}, meta.ErrUnavailable, false, true},
		{"crash after", metafault.Rule{Fault: metafault.CrashAfter}, meta.ErrUnavailable, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := wrap(t)
			c.rule.Op, c.rule.Count = meta.OpCreateBucket, 1
			s.SetRules(c.rule)
			got, err := s.CreateBucket(ctx, newBucket("b"))
			if !errors.Is(err, c.err) || err != nil && got.Name != "" {
				t.Fatalf("returned %+v and %v, want %v", got, err, c.err)
			}
			if s.Dead() != c.dead {
				t.Fatalf("dead: %v", s.Dead())
			}
			if c.dead {
				if _, err := s.Bucket(ctx, "b"); !errors.Is(err, meta.ErrUnavailable) {
					t.Fatalf("a call of the dead: %v", err)
				}
				s.Revive()
			}
			if _, err := s.Bucket(ctx, "b"); (err == nil) != c.applied {
				t.Fatalf("applied: %v, want %v", err == nil, c.applied)
			}
			if _, err := s.CreateBucket(ctx, newBucket("c")); err != nil {
				t.Fatalf("after the fault: %v", err)
			}
		})
	}
}

func TestRuleSkipsAndCounts(t *testing.T) {
	s := wrap(t, metafault.Rule{Op: meta.OpPing, Skip: 2, Count: 2, Fault: metafault.Before})
	var failed []bool
	for range 6 {
		failed = append(failed, s.Ping(context.Background()) != nil)
	}
	for i, want := range []bool{false, false, true, true, false, false} {
		if failed[i] != want {
			t.Fatalf("calls failed: %v", failed)
		}
	}
	if n := s.Calls()[meta.OpPing]; n != 6 || s.Fired() != 2 {
		t.Fatalf("%d calls, %d faults", n, s.Fired())
	}
}

func TestChanceIsDeterminedBySeed(t *testing.T) {
	failures := func() (out []bool) {
		s := wrap(t, metafault.Rule{Chance: 0.5, Fault: metafault.Before})
		for range 64 {
			out = append(out, s.Ping(context.Background()) != nil)
		}
		return out
	}
	first, second, failed := failures(), failures(), 0
	for i := range first {
		if first[i] != second[i] {
			t.Fatalf("call %d failed once and not again", i)
		}
		if first[i] {
			failed++
		}
	}
	if failed == 0 || failed == 64 {
		t.Fatalf("%d of 64 calls failed", failed)
	}
}

func TestDelayEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := wrap(t, metafault.Rule{Op: meta.OpCreateBucket, Delay: time.Hour})
	cancel()
	if _, err := s.CreateBucket(ctx, newBucket("b")); !errors.Is(err, context.Canceled) {
		t.Fatalf("delayed call: %v", err)
	}
	if _, err := s.Bucket(context.Background(), "b"); !errors.Is(err, meta.ErrNotFound) {
		t.Fatalf("the call was made after its context had ended: %v", err)
	}
}

func TestDoRunsBeforeTheCall(t *testing.T) {
	s := wrap(t)
	ctx := context.Background()
	s.SetRules(metafault.Rule{Op: meta.OpCreateBucket, Count: 1, Do: func(ctx context.Context) {
		if _, err := s.CreateBucket(ctx, newBucket("b")); err != nil {
			t.Error(err)
		}
	}})
	if _, err := s.CreateBucket(ctx, newBucket("b")); !errors.Is(err, meta.ErrExists) {
		t.Fatalf("a bucket that was made in the meantime: %v", err)
	}
}

// The suite stays affordable where each conditional change takes milliseconds.
func TestSuiteKeepsToItsBudget(t *testing.T) {
	s := wrap(t)
	metatest.Run(t, func(testing.TB) meta.Store { return s })
	changes := 0
	for _, op := range []meta.Op{
		meta.OpCreateBucket, meta.OpUpdateBucket, meta.OpRemoveBucket, meta.OpCommit, meta.OpFence,
		meta.OpCreateUpload, meta.OpSetUploadState, meta.OpPutPart, meta.OpClaim,
	} {
		changes += s.Calls()[op]
	}
	t.Logf("%d changes, %v", changes, s.Calls())
	if changes > 1000 {
		t.Errorf("a run of the suite makes %d conditional changes", changes)
	}
}
