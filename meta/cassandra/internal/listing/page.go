package listing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// readRow is a row as a reader gets it.
type readRow struct {
	listingRow
	shard meta.ID
	// repairable reports that the row's shard was not sealed when it was read,
	// and all its ancestors were copied: the row may be repaired there.
	repairable bool
}

// page has the newest row of each key and kind from where it was read to bound, in
// the order of (key, kind).
type page struct {
	rows  []readRow
	bound string // exclusive; "" is the end of all keys
	// merged reports that the rows are in no order.
	merged bool
}

const (
	rowsFrom   = `SELECT left_id, key, rev, state, doc FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = ? AND key >= ? LIMIT ?`
	rowsWithin = `SELECT left_id, key, rev, state, doc FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = ? AND key >= ? AND key < ? LIMIT ?`
)

// readPage reads about n keys of a bucket, from low on and below high.
func (s *Index) readPage(ctx context.Context, bucket meta.BucketID, low, high string, n int, kinds []int8) (page, error) {
	for asked := false; ; {
		r := s.shards.rangeOf(bucket, low)
		p, moved, err := s.readChecked(ctx, bucket, r, low, minBound(high, r.high), min(n, cql.MaxPageRows), kinds)
		if err != nil {
			return page{}, err
		}
		if !moved {
			if len(kinds) > 1 || p.merged { // rows of one kind are in order
				slices.SortFunc(p.rows, func(a, b readRow) int {
					return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.kind, b.kind))
				})
			}
			return p, nil
		}
		if !asked {
			s.loadDirectory(ctx, bucket, low)
		}
		asked = true
	}
}

// errShardCopied ends the reading of a shard that turned out to be copied.
var errShardCopied = errors.New("shard is copied")

// readChecked is readRange, and concurrently checks that the shard is not copied, if
// that was not observed recently. A shard that was copied or split in place may have
// only tombstones, which are slow to read.
func (s *Index) readChecked(ctx context.Context, bucket meta.BucketID, r shardRange, low, high string, n int, kinds []int8) (p page, moved bool, err error) {
	if time.Since(s.shards.lastSeen(bucket, r.shard).at) < observationTTL {
		return s.readRange(ctx, bucket, r, low, high, n, kinds)
	}
	reading, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	defer func() { cancel(nil); <-done }()
	go func() {
		defer close(done)
		if seal, err := s.readSeal(reading, bucket, r.shard); err == nil && seal.copied {
			s.shards.update(bucket, low, r.shard, seal)
			cancel(errShardCopied)
		}
	}()
	p, moved, err = s.readRange(reading, bucket, r, low, high, n, kinds)
	if errors.Is(err, errShardCopied) {
		return page{}, true, nil
	}
	return p, moved, err
}

// readRange reads a shard and, if that is sealed, its child. copied reports that the
// shard was copied: only its children are to be read then.
//
// The order matters. A writer whose row went into the child has seen the seal, so a
// reader that reads the child after the parent misses nothing. A row that is written
// into the parent after it was read belongs to a change that came after the listing
// began; the listing need not show it.
//
// A live row that only the parent has was still current when the child was read: a
// change after the seal has put its pending row into the child, and while the parent
// is not copied, nothing removes that row without leaving a newer one (S7 in doc.go).
// So the parent's seal is read once more, after the child.
func (s *Index) readRange(ctx context.Context, bucket meta.BucketID, r shardRange, low, high string, n int, kinds []int8) (p page, moved bool, err error) {
	p, seal, err := s.readShard(ctx, bucket, r.shard, low, high, n, kinds)
	if err == nil && !seal.copied {
		s.shards.touch(bucket, r.shard)
	}
	if err != nil || !seal.sealed {
		return p, false, err
	}
	s.shards.update(bucket, low, r.shard, seal)
	if seal.copied {
		return page{}, true, nil
	}
	s.maintainer.recordUncopied(bucket, low, r.shard)
	child := seal.descend(r, low)
	if partitionOf(child.shard) == partitionOf(r.shard) {
		return p, false, nil // in place: these are the child's rows, all of them until its parent is copied
	}
	under, deeper, err := s.readShard(ctx, bucket, child.shard, low, minBound(p.bound, child.high), n, kinds)
	if err != nil {
		return page{}, false, err
	}
	for i := range under.rows { // nor may those of p be repaired: their shard is sealed
		under.rows[i].repairable = s.breaks(ruleNoRepairUnderParent)
	}
	if !deeper.sealed && s.breaks(ruleSealReadAgain) {
		return mergePages(p, under), false, nil
	}
	seal, err = s.readSeal(ctx, bucket, r.shard)
	switch {
	case err != nil:
		return page{}, false, err
	case seal.copied:
		s.shards.update(bucket, low, r.shard, seal)
		return page{}, true, nil
	case deeper.sealed:
		return page{}, false, fmt.Errorf("shard %x of bucket %s was replaced before its parent was copied", child.shard[:], bucket)
	}
	return mergePages(p, under), false, nil
}

// readShard reads one shard's rows of the kinds, one kind after the other.
//
// Visible rows are read before history rows. A key whose visible row is missing at
// the first read, because of a delete marker, had its history row before that, and
// keeps it until it has no version at all. In the other order both reads could miss
// it.
func (s *Index) readShard(ctx context.Context, bucket meta.BucketID, shard meta.ID, low, high string, n int, kinds []int8) (page, seal, error) {
	p := page{bound: high}
	var last seal
	for _, kind := range kinds {
		rows, seal, err := s.readRows(ctx, bucket, shard, kind, low, p.bound, n)
		if err != nil {
			return page{}, last, err
		}
		if len(rows) == n {
			p.bound = rows[n-1].key + "\x00"
		}
		p.rows, last = append(p.rows, rows...), seal // the last seal holds: seals are never taken back
	}
	p.rows = slices.DeleteFunc(p.rows, func(r readRow) bool { return p.bound != "" && r.key >= p.bound })
	for i := range p.rows {
		p.rows[i].repairable = !last.sealed
	}
	return p, last, nil
}

// rowColumns are the columns of a row of a page. There are a thousand rows, so each
// column decodes itself, where the driver would use reflection.
type rowColumns struct {
	left  cql.RawColumn // of the shard: it is sealed if this is set, unless it names an owner
	key   cql.TextColumn
	rev   cql.BigintColumn
	state cql.TinyintColumn
	doc   cql.RawColumn
}

func (c *rowColumns) dest() []any { return []any{&c.left, &c.key, &c.rev, &c.state, &c.doc} }

// readRows reads up to n rows of one kind, and the shard's seal with them or after
// them.
func (s *Index) readRows(ctx context.Context, bucket meta.BucketID, shard meta.ID, kind int8, low, high string, n int) ([]readRow, seal, error) {
	name := shard
	shard = partitionOf(name)
	var rows []readRow
	var columns rowColumns
	dest := columns.dest()
	scan := func(row gocql.Scanner) error {
		if err := row.Scan(dest...); err != nil {
			return err
		}
		if rows == nil {
			rows = make([]readRow, 0, n)
		}
		rows = append(rows, readRow{shard: name, listingRow: listingRow{kind: kind,
			key: string(columns.key), rev: int64(columns.rev), state: int8(columns.state), doc: columns.doc}})
		return nil
	}
	var err error
	var dead int
	if high == "" {
		dead, err = s.QueryCountingTombstones(ctx, s.Consistency, n, scan, rowsFrom, bucket[:], shard[:], kind, low, n)
	} else if low < high {
		dead, err = s.QueryCountingTombstones(ctx, s.Consistency, n, scan, rowsWithin, bucket[:], shard[:], kind, low, high, n)
	}
	if dead > 0 {
		s.maintainer.recordTombstones(bucket, low, name, dead)
	}
	owner := columns.left == nil && shard == name || shard != name && (cql.ID(columns.left) == name || s.breaks(rulePageNamesOwner))
	if err != nil || len(rows) > 0 && owner {
		return rows, seal{}, err
	}
	// Sealed, or no row and so no static columns. The seal could be read with each
	// row, but that would be four columns a thousand times for a rare case.
	seal, err := s.readSeal(ctx, bucket, name)
	return rows, seal, err
}

// mergePages merges a child's page with its parent's: the newest row of each key and
// kind wins, and of two with equal timestamps the child's.
func mergePages(parent, child page) page {
	bound := minBound(parent.bound, child.bound)
	type name struct {
		kind int8
		key  string
	}
	newest := map[name]readRow{}
	for _, r := range append(parent.rows, child.rows...) {
		old, ok := newest[name{r.kind, r.key}]
		if bound != "" && r.key >= bound || ok && old.timestamp() > r.timestamp() {
			continue
		}
		newest[name{r.kind, r.key}] = r
	}
	p := page{bound: bound, merged: true}
	for _, r := range newest {
		p.rows = append(p.rows, r)
	}
	return p
}

// minBound returns the lower of two exclusive bounds; "" is no bound.
func minBound(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}
