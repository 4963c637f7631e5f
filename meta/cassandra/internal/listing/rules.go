package listing

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// rule is one rule of the listing protocol that a test can switch off, to show
// that the random schedules notice (rules_test.go). Options.broken names the
// rule that a store breaks; the field is not exported, so only tests of this
// package can set it, and every other store breaks none.
type rule uint8

const (
	noRule rule = iota
	// ruleSealAfterPendingRow: a writer reads the seal after its pending row
	// (W2), and goes on in the child if the shard is sealed.
	ruleSealAfterPendingRow
	// ruleSealBeforeHead: the head changes only after the seal was read.
	ruleSealBeforeHead
	// ruleLiveRowsStay: only deletions are written again into the shards that
	// replaced the one they were written to; live rows are not.
	ruleLiveRowsStay
	// ruleParentCopiedFirst: a shard is replaced only once its parent is
	// copied.
	ruleParentCopiedFirst
	// ruleParentsCopiedFirst: the same for a shard that replaces several.
	ruleParentsCopiedFirst
	// ruleRunHasNoGap: a shard that is sealed to something else ends a run.
	ruleRunHasNoGap
	// ruleDeletionLeavesRow: under a parent that is not copied a deletion
	// leaves a row.
	ruleDeletionLeavesRow
	// ruleSealReadAgain: a page that shows parent and child reads the parent's
	// seal again after the child.
	ruleSealReadAgain
	// ruleNoRepairUnderParent: no row is repaired under a parent that is not
	// copied.
	ruleNoRepairUnderParent
	// ruleRepairFences: a repair fences the head before it writes the row.
	ruleRepairFences
	// ruleDirectoryAfterCopy: the directory names children only after their
	// parent is copied.
	ruleDirectoryAfterCopy
	// ruleDropBeforeMark: the rows that an in-place split has moved are deleted
	// before the shard is marked copied.
	ruleDropBeforeMark
	// rulePageNamesOwner: a page counts as unsealed only if the partition's
	// owner is the shard that was asked for.
	rulePageNamesOwner
	// ruleOwnerChangesWithSeal: the owner of a partition changes in the batch
	// that seals the owner before it.
	ruleOwnerChangesWithSeal
	// ruleCopyEndsAtMark: a copier stops when the shard is marked copied.
	ruleCopyEndsAtMark
	endOfRules
)

func (s *Index) breaks(r rule) bool { return s.o.broken == r }

// readUnfenced replaces the fence of a repair if ruleRepairFences is broken.
func (s *Index) readUnfenced(ctx context.Context, bucket meta.BucketID, key string, rev int64, o meta.ReadOptions) (meta.Head, error) {
	h, err := s.heads.ReadSerial(ctx, bucket, key, o.Limit)
	h.Rev = rev
	return h, err
}
