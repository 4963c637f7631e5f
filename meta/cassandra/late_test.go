package cassandra

import (
	"testing"
	"time"
)

// A change that is under way while its shard is replaced leaves a pending row
// in the new one. The gateway that made it mends that without waiting for a
// listing, whoever replaced the shard.
func TestRowsThatCameTooLateAreRepairedAtOnce(t *testing.T) {
	for _, who := range []string{"by the same gateway", "by another"} {
		t.Run(who, func(t *testing.T) {
			stores, b := gateways(t, 2, Options{RepairAfter: time.Hour})
			s, splitter := stores[0], stores[0]
			if who == "by another" {
				splitter = stores[1]
			}
			for _, key := range []string{"a", "b", "x", "y"} {
				must(t, put(t.Context(), s, b.ID, key, "1"))
			}
			must(t, s.Flush(t.Context()))
			under, h, rev := begin(t, s, b.ID, "k", false)
			p := under.(*pending)
			c := putChange(h, rev, "k", "late")
			must(t, p.settle(t.Context(), c.Guard)) // has seen the shard stand
			must(t, splitter.split(t.Context(), b.ID, "a", "m"))
			must(t, s.change(t.Context(), b.ID, "k", c))
			entry, err := encodeEntry(c.Entry, false)
			must(t, err)
			s.behind.add(t.Context(), p.final(c, entry)...)
			must(t, s.Flush(t.Context()))
			must(t, put(t.Context(), s, b.ID, "l", "1")) // by which this gateway hears of it
			settled(t, stores...)
			r, err := splitter.readPage(t.Context(), b.ID, "", "", 100, []int8{visible})
			must(t, err)
			for _, row := range r.rows {
				if row.state != stateLive {
					t.Errorf("the row of %q is in state %d, and nobody is at it", row.key, row.state)
				}
			}
			same(t, "listing", list(t, splitter, b.ID, 10), []string{"a=1", "b=1", "k=late", "l=1", "x=1", "y=1"})
			if n := s.Counts().Repairs; n != 1 {
				t.Errorf("%d rows were repaired, want the one that came late", n)
			}
		})
	}
}

// A later change of the same key must not fail because of a row that came late.
func TestALateRowIsLeftToALaterChange(t *testing.T) {
	stores, b := gateways(t, 1, Options{RepairAfter: time.Hour})
	s := stores[0]
	must(t, put(t.Context(), s, b.ID, "k", "1"))
	must(t, s.Flush(t.Context()))
	later, h, rev := begin(t, s, b.ID, "k", false)
	old := lateRow{pendingRow{placedKey{b.ID, "k"}, h.Rev}, rootShard, time.Now()}
	if !s.late.one(t.Context(), old) {
		t.Error("the row of a later change is looked at again and again")
	}
	must(t, later.Commit(t.Context(), putChange(h, rev, "k", "2")))
	must(t, s.Flush(t.Context()))
	same(t, "listing", list(t, s, b.ID, 10), []string{"k=2"})
	if n := s.Counts().Repairs; n != 0 {
		t.Errorf("%d rows were repaired, want none", n)
	}
}
