package cassandra

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

// readRow is a row as a reader sees it.
type readRow struct {
	listingRow
	shard meta.ID
	// settled says that the row's shard was not sealed when it was read, and
	// all before it were copied: the row may be repaired there.
	settled bool
}

// page is what a listing knows of the keys from where it was read to bound:
// the newest row of each key and kind, in the order of (key, kind).
type page struct {
	rows  []readRow
	bound string // exclusive; "" is the end of all keys
	// merged says that the rows are in no order.
	merged bool
}

const (
	rowsFrom   = `SELECT left_id, key, rev, state, doc FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = ? AND key >= ? LIMIT ?`
	rowsWithin = `SELECT left_id, key, rev, state, doc FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = ? AND key >= ? AND key < ? LIMIT ?`
)

// readPage reads about n keys from low, below high, of a bucket.
func (s *Store) readPage(ctx context.Context, bucket meta.BucketID, low, high string, n int, kinds []int8) (page, error) {
	for asked := false; ; {
		r := s.shards.first(bucket, low)
		p, moved, err := s.readStanding(ctx, bucket, r, low, lower(high, r.high), min(n, maxPage), kinds)
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
			s.askMap(ctx, bucket, low)
		}
		asked = true
	}
}

// errMoved ends the reading of a shard that turned out to be copied.
var errMoved = errors.New("the shard is elsewhere")

// readStanding is readRegion, and looks at the same time whether the shard is
// still there, if it was not seen of late. A shard that was copied or cut may
// be nothing but tombstones, which take long to read.
func (s *Store) readStanding(ctx context.Context, bucket meta.BucketID, r region, low, high string, n int, kinds []int8) (p page, moved bool, err error) {
	if time.Since(s.shards.seen(bucket, r.shard).at) < sightingLasts {
		return s.readRegion(ctx, bucket, r, low, high, n, kinds)
	}
	reading, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	defer func() { cancel(nil); <-done }()
	go func() {
		defer close(done)
		if seal, err := s.readSeal(reading, bucket, r.shard); err == nil && seal.copied {
			s.shards.learn(bucket, low, r.shard, seal)
			cancel(errMoved)
		}
	}()
	p, moved, err = s.readRegion(reading, bucket, r, low, high, n, kinds)
	if errors.Is(err, errMoved) {
		return page{}, true, nil
	}
	return p, moved, err
}

// readRegion reads a shard and, if that was sealed, its child. moved tells
// that the shard was copied: then its children alone are to be read.
//
// The order matters. A writer whose row went into the child saw the seal, so
// whoever reads the child after the parent misses nothing. What is written
// into the parent after it was read belongs to a change that comes after the
// listing began, which the listing need not show.
//
// A live row that only the parent shows still held when the child was read: a
// change after the seal has put its pending row into the child, and as long as
// the parent is not copied nothing removes that without leaving a newer row
// (S7 in doc.go). So the parent's seal is read once more, after the child.
func (s *Store) readRegion(ctx context.Context, bucket meta.BucketID, r region, low, high string, n int, kinds []int8) (p page, moved bool, err error) {
	p, seal, err := s.readShard(ctx, bucket, r.shard, low, high, n, kinds)
	if err == nil && !seal.copied {
		s.shards.saw(bucket, r.shard)
	}
	if err != nil || !seal.sealed {
		return p, false, err
	}
	s.shards.learn(bucket, low, r.shard, seal)
	if seal.copied {
		return page{}, true, nil
	}
	s.watch.unfinished(bucket, low, r.shard)
	child := seal.descend(r, low)
	if partitionOf(child.shard) == partitionOf(r.shard) {
		return p, false, nil // these are the child's rows, and it is whole until its parent is copied
	}
	under, deeper, err := s.readShard(ctx, bucket, child.shard, low, lower(p.bound, child.high), n, kinds)
	if err != nil {
		return page{}, false, err
	}
	for i := range under.rows { // nor may those of p be repaired: their shard is sealed
		under.rows[i].settled = s.breaks(ruleNoRepairUnderParent)
	}
	if !deeper.sealed && s.breaks(ruleSealReadAgain) {
		return merge(p, under), false, nil
	}
	seal, err = s.readSeal(ctx, bucket, r.shard)
	switch {
	case err != nil:
		return page{}, false, err
	case seal.copied:
		s.shards.learn(bucket, low, r.shard, seal)
		return page{}, true, nil
	case deeper.sealed:
		return page{}, false, fmt.Errorf("shard %x of bucket %s was replaced before its parent was copied", child.shard[:], bucket)
	}
	return merge(p, under), false, nil
}

// readShard reads one shard's rows of the kinds, one kind after the other.
//
// Visible rows are read before history rows. A key whose visible row is gone
// at the first read, because a delete marker came, had its history row
// before that, and keeps it until it has no version at all. The other way
// round both reads could miss it.
func (s *Store) readShard(ctx context.Context, bucket meta.BucketID, shard meta.ID, low, high string, n int, kinds []int8) (page, seal, error) {
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
		p.rows, last = append(p.rows, rows...), seal // a seal is never taken back: the last one holds
	}
	p.rows = slices.DeleteFunc(p.rows, func(r readRow) bool { return p.bound != "" && r.key >= p.bound })
	for i := range p.rows {
		p.rows[i].settled = !last.sealed
	}
	return p, last, nil
}

// rowColumns are the columns of a row as a page is read: a thousand times, so
// that each is decoded by itself, where the driver would reflect on its type.
type rowColumns struct {
	left  rawColumn // of the shard: it is sealed if that is set, but for an owner
	key   textColumn
	rev   bigintColumn
	state tinyintColumn
	doc   rawColumn
}

func (c *rowColumns) dest() []any { return []any{&c.left, &c.key, &c.rev, &c.state, &c.doc} }

// readRows reads up to n rows of one kind, and the shard's seal with them or
// after them.
func (s *Store) readRows(ctx context.Context, bucket meta.BucketID, shard meta.ID, kind int8, low, high string, n int) ([]readRow, seal, error) {
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
		dead, err = s.eachWarned(ctx, s.o.Consistency, n, scan, rowsFrom, bucket[:], shard[:], kind, low, n)
	} else if low < high {
		dead, err = s.eachWarned(ctx, s.o.Consistency, n, scan, rowsWithin, bucket[:], shard[:], kind, low, high, n)
	}
	if dead > 0 {
		s.watch.dead(bucket, low, name, dead)
	}
	owner := columns.left == nil && shard == name || shard != name && (idOf(columns.left) == name || s.breaks(rulePageNamesOwner))
	if err != nil || len(rows) > 0 && owner {
		return rows, seal{}, err
	}
	// Sealed, or no row and so no static columns. A row would bring a seal
	// with it, but four columns a thousand times for what hardly ever is.
	seal, err := s.readSeal(ctx, bucket, name)
	return rows, seal, err
}

// merge lays a child's page over its parent's: the newest row of each key
// and kind wins, and of equals the child's.
func merge(parent, child page) page {
	bound := lower(parent.bound, child.bound)
	type name struct {
		kind int8
		key  string
	}
	newest := map[name]readRow{}
	for _, r := range append(parent.rows, child.rows...) {
		old, ok := newest[name{r.kind, r.key}]
		if bound != "" && r.key >= bound || ok && old.written() > r.written() {
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

// lower returns the lower of two exclusive bounds, "" being none.
func lower(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}
