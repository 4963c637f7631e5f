package listing

import (
	"flag"
	"math/rand/v2"
	"testing"
)

var brokenSchedules = flag.Int("broken-schedules", 0, "look for each broken rule in so many schedules from a random seed; 0: in those that the table names")

// brokenRules are the rules of the protocol. With one of them broken, a schedule
// must fail: one of 2,000 from seed 1 on, or the one that the table names, which
// is run up to 1,000 times. (A seed does not decide all: goroutines that are due
// at the same instant run in any order. Of the named ones about one in 2 to one in
// 40 runs fails, with the race detector fewer than without.)
var brokenRules = []struct {
	rule     rule
	name     string
	seed     uint64 // of a schedule that fails nearly always; 0: many fail
	rare     bool   // no such seed is known: only -broken-schedules looks for it
	harmless bool   // no schedule may fail
}{
	{rule: ruleSealAfterPendingRow, name: "a writer does not read the seal after its pending row"},
	{rule: ruleSealBeforeHead, name: "the head changes before the seal is read"},
	{rule: ruleLiveRowsStay, name: "live rows follow a seal", seed: 5913209446936062162},
	{rule: ruleParentCopiedFirst, name: "a shard is replaced before it was copied whole from its parent"},
	{rule: ruleParentsCopiedFirst, name: "a shard is replaced before it was copied from all that it replaces"},
	{rule: ruleRunHasNoGap, name: "a shard that is sealed to something else does not end a run", seed: 17389741596810400317},
	{rule: ruleDeletionLeavesRow, name: "a deletion is written though the parent is not copied", seed: 9616050144156883285},
	{rule: ruleSealReadAgain, name: "a listing does not check whether the parent was copied in between", rare: true},
	{rule: ruleNoRepairUnderParent, name: "a row is repaired under a parent that is not copied", seed: 5273173308513488739},
	{rule: ruleRepairFences, name: "an old pending row is repaired without a fence", seed: 4677849713193456954},
	{rule: ruleDirectoryAfterCopy, name: "the directory names children before their parent is copied"},
	{rule: ruleDropBeforeMark, name: "a shard that is split in place is marked before the rows that moved are deleted", rare: true},
	{rule: rulePageNamesOwner, name: "a page uses the seal of the shard that had its partition before", seed: 1335731738760599939},
	{rule: ruleOwnerChangesWithSeal, name: "the owner of a partition does not change with its seal", seed: 323724637918424827},
	// Rows that a late copier still finds in the parent were copied by the
	// gateway that marked it. In the child such a row is older than what came
	// since, or than its deletion, whose tombstone is there; once the child is
	// copied too, the deletion of all its rows at the end of time hides it. The
	// rule saves the work, and does not rely on tombstones.
	{rule: ruleCopyEndsAtMark, name: "a copier goes on after the shard was marked", harmless: true},
}

// TestBrokenRulesAreCaught breaks one rule of the protocol at a time, and runs
// random schedules until one fails. Where a change of the code changes what the
// schedules do, seeds are found again with
//
//	go test ./meta/cassandra/internal/listing -run BrokenRules -broken-schedules 400000 -timeout 3h -v
func TestBrokenRulesAreCaught(t *testing.T) {
	tested := map[rule]bool{}
	for _, b := range brokenRules {
		tested[b.rule] = true
		t.Run(b.name, func(t *testing.T) {
			first, seeds, times := b.seed, 1, 1000
			switch {
			case *brokenSchedules > 0:
				first, seeds, times = rand.Uint64(), *brokenSchedules, 1
			case b.rare:
				t.Skip("too rare: give -broken-schedules 400000")
			case b.harmless:
				first, seeds, times = 1, 300, 1
			case b.seed == 0:
				first, seeds, times = 1, 2000, 1
			}
			for i := range seeds * times {
				seed := first + uint64(i/times)
				failures := runSchedule(t, seed, b.rule)
				if len(failures) == 0 {
					continue
				}
				if b.harmless {
					t.Errorf("schedule %d fails: %v", seed, failures)
				}
				t.Logf("schedule %d fails, after %d that do not: %v", seed, i, failures)
				return
			}
			if !b.harmless {
				t.Errorf("no schedule fails of %d from seed %d", seeds*times, first)
			}
		})
	}
	for r := noRule + 1; r < endOfRules; r++ {
		if !tested[r] {
			t.Errorf("no test breaks rule %d", r)
		}
	}
}
