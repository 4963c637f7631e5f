package listing

import (
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
)

// changeWhileSplit changes key k while another store splits its shard: the
// pending row is copied into the new shard, and the final row goes into the old
// one. What writes the final row is returned.
func changeWhileSplit(t *testing.T, s, splitter *gateway, b meta.BucketID) (writeFinal func()) {
	t.Helper()
	for _, key := range []string{"a", "b", "x", "y"} {
		must(t, put(t.Context(), s, b, key, "1"))
	}
	must(t, s.Flush(t.Context()))
	under, h, rev := begin(t, s, b, "k", false)
	p := under.(pendingChange)
	c := putChange(h, rev, "k", "late")
	must(t, p.confirm(t.Context(), p.steps(c))) // has read that the shard is not sealed
	must(t, splitter.split(t.Context(), b, "a", "m"))
	must(t, s.heads.Change(t.Context(), b, "k", c))
	return func() {
		t.Helper()
		entry, err := encodeEntry(c.Entry, false)
		must(t, err)
		s.writer.add(t.Context(), p.resultRows(c, entry)...)
		must(t, s.Flush(t.Context()))
	}
}

// A change that is under way while its shard is replaced leaves a pending row
// in the new one. The gateway that made the change repairs the row without
// waiting for a listing, whichever gateway replaced the shard.
func TestPendingRowsOfChangesDuringASplitAreRepaired(t *testing.T) {
	for _, who := range []string{"by the same gateway", "by another"} {
		t.Run(who, func(t *testing.T) {
			stores, b := gateways(t, 2, Options{RepairAfter: time.Hour})
			s, splitter := stores[0], stores[0]
			if who == "by another" {
				splitter = stores[1]
			}
			changeWhileSplit(t, s, splitter, b.ID)()
			must(t, put(t.Context(), s, b.ID, "l", "1")) // which reads the seal
			waitIdle(t, stores...)
			r, err := splitter.readPage(t.Context(), b.ID, "", "", 100, []int8{visible})
			must(t, err)
			for _, row := range r.rows {
				if row.state != stateLive {
					t.Errorf("the row of %q is in state %d, and is not repaired", row.key, row.state)
				}
			}
			sameStrings(t, "listing", list(t, splitter, b.ID, 10), []string{"a=1", "b=1", "k=late", "l=1", "x=1", "y=1"})
			if n := s.Counts().Repairs; n != 1 {
				t.Errorf("%d rows were repaired, want the one of the change during the split", n)
			}
		})
	}
}

// A later change of the same key must not fail because of such a repair.
func TestPendingRowsOfLaterChangesAreNotRepaired(t *testing.T) {
	stores, b := gateways(t, 1, Options{RepairAfter: time.Hour})
	s := stores[0]
	writeFinal := changeWhileSplit(t, s, s, b.ID)
	later, h, rev := begin(t, s, b.ID, "k", false)
	writeFinal()
	waitIdle(t, s)
	must(t, later.Commit(t.Context(), putChange(h, rev, "k", "2")))
	must(t, s.Flush(t.Context()))
	sameStrings(t, "listing", list(t, s, b.ID, 10), []string{"a=1", "b=1", "k=2", "x=1", "y=1"})
	if n := s.Counts().Repairs; n != 0 {
		t.Errorf("%d rows were repaired, want none", n)
	}
}
