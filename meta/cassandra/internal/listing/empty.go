package listing

import (
	"context"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// Empty implements [meta.Buckets].
//
// A change writes its pending row before it reads the bucket's state, and the state
// was set before Empty reads the rows. So a change whose row Empty does not see will
// see the state, and fail. One whose row it sees is fenced, and fails at the head.
func (s *Index) Empty(ctx context.Context, id meta.BucketID) (bool, error) {
	for low := ""; ; {
		p, err := s.readPage(ctx, id, low, "", 500, []int8{visible, history})
		if err != nil {
			return false, cql.Wrap(err, "check whether bucket is empty")
		}
		for _, r := range p.rows {
			if empty, err := s.emptyRow(ctx, id, r); err != nil || !empty {
				return false, cql.Wrap(err, "check whether bucket is empty")
			}
		}
		if p.bound == "" {
			return true, nil
		}
		low = p.bound
	}
}

// emptyRow reports whether the key of a row has no version, and makes every change
// fail that began before.
func (s *Index) emptyRow(ctx context.Context, bucket meta.BucketID, r readRow) (bool, error) {
	if r.kind == visible && r.state == stateLive {
		return false, nil
	}
	if r.kind == visible && r.state == stateGone {
		return true, nil // the same as no row
	}
	h, err := s.heads.ReadSerial(ctx, bucket, r.key, 1)
	if err != nil || len(h.Versions) > 0 {
		return false, err
	}
	if !r.repairable {
		fenced, err := s.heads.Fence(ctx, bucket, r.key, r.rev, meta.ReadOptions{})
		return len(fenced.Versions) == 0, err
	}
	fenced, err := s.repair(ctx, bucket, r)
	return len(fenced.Versions) == 0, err
}
