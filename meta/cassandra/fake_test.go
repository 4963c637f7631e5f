package cassandra

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// fake has the few tables of the listing protocol in memory. Each statement is one atomic
// step, a random time after it was sent: under synctest the order of all steps is a random
// schedule.
type fake struct {
	rnd         *rand.Rand
	mu          sync.Mutex
	heads       map[string]*fakeHead
	shards      map[meta.ID]*fakeShard
	hints       map[string]fakeHint
	bucket      meta.BucketID
	state       meta.BucketState
	lostAnswers float64 // how often the result of a conditional change is lost
	noCrashes   bool    // no actor crashes
}

// fakeHead is a partition of table object, with its history.
type fakeHead struct {
	rev, nullSeq int64
	commit       []byte
	versions     map[int64][]byte
	past         []moment
}

// moment says which version was current from a time on (negative: a delete marker), and
// how many versions there were.
type moment struct {
	at    time.Time
	seq   int64
	count int
}

// fakeShard is a partition of table listing.
type fakeShard struct {
	at          *string
	left, right []byte
	copied      bool
	parents     []byte
	cutAt       string
	seals       map[string]listingRow
	rows        map[fakeKey]fakeRow
	dropped     int64           // everything up to this timestamp is deleted
	below       map[int8]string // rows below these keys are deleted, whatever their timestamp
}

// fakeHint is a row of table listing_map.
type fakeHint struct {
	row     []any // nil: deleted
	written int64
}

type fakeKey struct {
	kind int8
	key  string
}

// fakeRow is a row by cells: those of timestamp written, and the older doc.
type fakeRow struct {
	listingRow
	written int64
	deleted bool
}

// actor is a value of a context. A dead actor sends nothing any more; each statement of a
// slow one takes as long as a whole change of others.
type actor struct{ dead, immortal, slow bool }

type actorKey struct{}

var errDead = errors.New("the actor is dead")

// newFake returns a database whose random choices depend only on seed.
func newFake(seed uint64) *fake {
	return &fake{
		rnd: rand.New(rand.NewPCG(seed, 1)), heads: map[string]*fakeHead{}, shards: map[meta.ID]*fakeShard{}, hints: map[string]fakeHint{},
		bucket: meta.NewID(), state: meta.BucketActive,
	}
}

// refused returns Cassandra's error for a statement with text that is not UTF-8.
func refused(args []any) error {
	for _, a := range args {
		if text, ok := a.(string); ok && !utf8.ValidString(text) {
			return fmt.Errorf("%q: String didn't validate", text)
		}
	}
	return nil
}

// step waits for a statement's turn. Unless it fails, it returns with the lock held.
func (f *fake) step(ctx context.Context) error {
	a, _ := ctx.Value(actorKey{}).(*actor)
	if a == nil { // asynchronous work is sometimes lost
		a = &actor{}
	}
	f.mu.Lock()
	wait := time.Duration(f.rnd.IntN(1000)) * time.Microsecond
	if a.slow || f.rnd.IntN(6) == 0 { // long enough for a whole change of another actor
		wait *= 20
	}
	death := !f.noCrashes && f.rnd.IntN(150) == 0
	f.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	f.mu.Lock()
	if a.dead = a.dead || death && !a.immortal; a.dead {
		f.mu.Unlock()
		return errDead
	}
	return nil
}

func (f *fake) head(bucket, key any) *fakeHead {
	h := f.heads[key.(string)]
	if h == nil {
		h = &fakeHead{versions: map[int64][]byte{}}
		f.heads[key.(string)] = h
	}
	return h
}

func (f *fake) shard(id any) *fakeShard {
	name := cql.ID(id.([]byte))
	s := f.shards[name]
	if s == nil {
		s = &fakeShard{rows: map[fakeKey]fakeRow{}, below: map[int8]string{}, seals: map[string]listingRow{}}
		f.shards[name] = s
	}
	return s
}

func (h *fakeHead) seqs() []int64 {
	var seqs []int64
	for seq := range h.versions {
		seqs = append(seqs, seq)
	}
	slices.SortFunc(seqs, func(a, b int64) int { return cmp.Compare(b, a) })
	return seqs
}

func (s *fakeShard) statics() []any { return []any{s.at, s.left, s.right, s.copied} }

func (f *fake) QueryRow(ctx context.Context, _ gocql.Consistency, dest []any, stmt string, args ...any) (bool, error) {
	if err := refused(args); err != nil {
		return false, err
	}
	if err := f.step(ctx); err != nil {
		return false, err
	}
	defer f.mu.Unlock()
	var row []any
	switch {
	case stmt == selectSeal:
		if s := f.shard(args[1]); s.at != nil {
			row = append(s.statics(), nil)
		}
	case stmt == selectSealRow:
		if r, ok := f.shard(args[1]).seals[args[2].(string)]; ok {
			row = []any{r.state, r.doc}
		}
	case stmt == selectParents:
		if s := f.shard(args[1]); s.parents != nil {
			row = []any{s.cutAt, s.parents}
		}
	case stmt == selectBucketName:
		row = []any{"bucket"}
	case strings.Contains(stmt, "@.bucket "):
		row = []any{f.bucket[:], string(f.state)}
	case strings.HasPrefix(stmt, "SELECT doc, payload FROM @.object"):
		if doc, ok := f.head(args[0], args[1]).versions[args[2].(int64)]; ok {
			row = []any{doc, []byte(nil)}
		}
	default:
		panic(stmt)
	}
	if row == nil {
		return false, nil
	}
	return true, assign(dest, row)
}

// assign stores a row's columns in dest, like Scan.
func assign(dest, row []any) error {
	if len(dest) != len(row) {
		return fmt.Errorf("%d columns into %d", len(row), len(dest))
	}
	for i, v := range row {
		to := reflect.ValueOf(dest[i]).Elem()
		from := reflect.ValueOf(v)
		switch {
		case !from.IsValid():
			to.SetZero()
		case to.Kind() == reflect.Pointer && from.Kind() != reflect.Pointer:
			p := reflect.New(to.Type().Elem())
			p.Elem().Set(from)
			to.Set(p)
		default:
			to.Set(from.Convert(to.Type()))
		}
	}
	return nil
}

// fakeScanner scans one row.
type fakeScanner []any

func (r fakeScanner) Next() bool             { return false }
func (r fakeScanner) Err() error             { return nil }
func (r fakeScanner) Scan(dest ...any) error { return assign(dest, r) }

func (f *fake) QueryRows(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) error {
	_, err := f.QueryCountingTombstones(ctx, c, page, row, stmt, args...)
	return err
}

// QueryCountingTombstones implements database: it warns of the first tombstone.
func (f *fake) QueryCountingTombstones(ctx context.Context, _ gocql.Consistency, _ int, row func(gocql.Scanner) error, stmt string, args ...any) (tombstones int, err error) {
	if err := refused(args); err != nil {
		return 0, err
	}
	if err := f.step(ctx); err != nil {
		return 0, err
	}
	var rows [][]any
	switch stmt {
	case selectRangeAt:
		rows = f.hintRows(func(low string) bool { return low <= args[1].(string) })
		rows = rows[max(len(rows)-1, 0):]
	case selectRangesAfter:
		rows = f.hintRows(func(low string) bool { return low > args[1].(string) })
		rows = rows[:min(len(rows), args[2].(int))]
	case keysFrom:
		for _, r := range f.shardRows(args[1], args[2].(int8), args[3].(string), "", args[4].(int)) {
			rows = append(rows, []any{r[1], r[3], r[2]})
		}
	case selectHead:
		rows = f.headRows(args)
	case rowsFrom:
		rows = f.shardRows(args[1], args[2].(int8), args[3].(string), "", args[4].(int))
	case rowsWithin:
		rows = f.shardRows(args[1], args[2].(int8), args[3].(string), args[4].(string), args[5].(int))
	default:
		panic(stmt)
	}
	if stmt == rowsFrom || stmt == rowsWithin || stmt == keysFrom {
		for _, r := range f.shard(args[1]).rows {
			if r.deleted {
				tombstones++
			}
		}
	}
	f.mu.Unlock()
	for _, r := range rows {
		if err := row(fakeScanner(r)); err != nil {
			return tombstones, err
		}
	}
	return tombstones, nil
}

// QueryPage implements database. Only walks read so, and they have no fake tables.
func (f *fake) QueryPage(_ context.Context, _ gocql.Consistency, _ int, _ []byte, _ func(gocql.Scanner) error, stmt string, _ ...any) ([]byte, error) {
	panic(stmt)
}

// hintRows returns the rows of listing_map that begin at such keys, in order.
func (f *fake) hintRows(with func(low string) bool) (rows [][]any) {
	for low, h := range f.hints {
		if h.row != nil && with(low) {
			rows = append(rows, h.row)
		}
	}
	slices.SortFunc(rows, func(a, b []any) int { return cmp.Compare(a[0].(string), b[0].(string)) })
	return rows
}

func (f *fake) hint(low string, h fakeHint) {
	if old, ok := f.hints[low]; ok && (old.written > h.written || old.written == h.written && old.row == nil) {
		return
	}
	f.hints[low] = h
}

func (f *fake) headRows(args []any) (rows [][]any) {
	h := f.head(args[0], args[1])
	for _, seq := range h.seqs() {
		rows = append(rows, []any{h.rev, h.nullSeq, h.commit, seq, h.versions[seq]})
	}
	if len(rows) == 0 && h.rev != 0 {
		rows = append(rows, []any{h.rev, h.nullSeq, h.commit, nil, []byte(nil)})
	}
	return rows[:min(len(rows), args[2].(int))]
}

func (f *fake) shardRows(id any, kind int8, low, high string, n int) (rows [][]any) {
	s := f.shard(id)
	var keys []string
	for k, r := range s.rows {
		if k.kind == kind && !r.deleted && k.key >= low && (high == "" || k.key < high) {
			keys = append(keys, k.key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys[:min(len(keys), n)] {
		r := s.rows[fakeKey{kind, key}]
		rows = append(rows, []any{s.left, key, r.rev, r.state, r.doc})
	}
	return rows
}

func (f *fake) Exec(ctx context.Context, stmt string, args ...any) error {
	return f.ExecBatch(ctx, []gocql.BatchEntry{cql.Statement(stmt, args...)})
}

func (f *fake) ExecBatch(ctx context.Context, batch []gocql.BatchEntry) error {
	if err := f.step(ctx); err != nil {
		return err
	}
	defer f.mu.Unlock()
	for _, e := range batch {
		if err := refused(e.Args); err != nil {
			return err
		}
	}
	for _, e := range batch {
		switch a := e.Args; e.Stmt {
		case putPendingRow:
			f.shard(a[1]).put(a[2].(int8), fakeRow{listingRow{key: a[3].(string), rev: a[4].(int64), state: a[5].(int8)}, a[6].(int64), false})
		case putLiveRow:
			f.shard(a[1]).put(a[2].(int8), fakeRow{listingRow{key: a[3].(string), rev: a[4].(int64), state: a[5].(int8), doc: a[6].([]byte)}, a[7].(int64), false})
		case deleteRow:
			f.shard(a[2]).put(a[3].(int8), fakeRow{listingRow{key: a[4].(string)}, a[0].(int64), true})
		case putParents:
			f.shard(a[1]).cutAt, f.shard(a[1]).parents = a[2].(string), a[3].([]byte)
		case deleteRowsBelow:
			f.shard(a[2]).cutOff(a[3].(int8), a[4].(string))
		case putRange:
			f.hint(a[1].(string), fakeHint{a[1:5], a[5].(int64)})
		case deleteRange:
			f.hint(a[2].(string), fakeHint{nil, a[0].(int64)})
		case dropRows:
			s := f.shard(a[2])
			s.dropped = a[0].(int64)
			clear(s.rows)
		default:
			panic(e.Stmt)
		}
	}
	return nil
}

// put writes a row as Cassandra does: the later timestamp wins; of equal ones a deletion,
// and then the greater cell.
func (s *fakeShard) put(kind int8, r fakeRow) {
	k := fakeKey{kind, r.key}
	old, ok := s.rows[k]
	switch {
	case r.written <= s.dropped, r.key < s.below[kind], ok && old.written > r.written:
		return
	case ok && old.written == r.written && (old.deleted || r.deleted):
		r = fakeRow{listingRow{key: r.key}, r.written, true}
	case ok && old.written == r.written:
		r.rev, r.state = max(r.rev, old.rev), max(r.state, old.state)
		if bytes.Compare(old.doc, r.doc) > 0 {
			r.doc = old.doc
		}
	}
	s.rows[k] = r
}

func (s *fakeShard) cutOff(kind int8, below string) {
	s.below[kind] = max(s.below[kind], below)
	for k := range s.rows {
		if k.kind == kind && k.key < below {
			delete(s.rows, k)
		}
	}
}

func (f *fake) CAS(ctx context.Context, batch ...gocql.BatchEntry) (bool, error) {
	if err := f.step(ctx); err != nil {
		return false, err
	}
	defer f.mu.Unlock()
	unclear := f.rnd.Float64() < f.lostAnswers
	if unclear && f.rnd.IntN(2) == 0 {
		return false, fmt.Errorf("%w: it was lost on its way", meta.ErrUnavailable)
	}
	applied := f.apply(batch)
	if unclear {
		return false, fmt.Errorf("%w: the answer was lost", meta.ErrUnavailable)
	}
	return applied, nil
}

func (f *fake) apply(batch []gocql.BatchEntry) bool {
	switch a := batch[0].Args; batch[0].Stmt {
	case sealShard:
		s := f.shard(a[4])
		if s.at != nil {
			return false
		}
		at := a[0].(string)
		s.at, s.left, s.right = &at, a[1].([]byte), a[2].([]byte)
	case markShard:
		s := f.shard(a[1])
		if !bytes.Equal(s.left, a[2].([]byte)) {
			return false
		}
		s.copied = true
	case transferOwner:
		s := f.shard(a[2])
		if !bytes.Equal(s.left, a[3].([]byte)) {
			return false
		}
		s.left = a[0].([]byte)
		row := batch[1].Args
		s.seals[row[2].(string)] = listingRow{state: row[3].(int8), doc: row[4].([]byte)}
	case markSealRow:
		s := f.shard(a[2])
		r, ok := s.seals[a[3].(string)]
		if !ok || r.state != a[4].(int8) {
			return false
		}
		r.state = a[0].(int8)
		s.seals[a[3].(string)] = r
	case fenceUnknown, fenceKnown:
		return f.head(a[2], a[3]).setRev(a[1], a[4:])
	case setHeadUnknown, setHeadKnown:
		h := f.head(a[4], a[5])
		if !h.setRev(a[1], a[6:]) {
			return false
		}
		h.nullSeq, h.commit = a[2].(int64), a[3].([]byte)
		h.change(batch[1:])
	case addVersionUnknown, addVersionKnown:
		h := f.head(a[5], a[6])
		if !h.setRev(a[0], a[8:]) {
			return false
		}
		h.nullSeq, h.commit = a[1].(int64), a[2].([]byte)
		h.change([]gocql.BatchEntry{cql.Statement(putVersion, a[5], a[6], a[7], a[3], nil, a[4])})
	default:
		panic(batch[0].Stmt)
	}
	return true
}

func (h *fakeHead) setRev(rev any, condition []any) bool {
	want := int64(0)
	if len(condition) > 0 {
		want = condition[0].(int64)
	}
	if h.rev == want {
		h.rev = rev.(int64)
		return true
	}
	return false
}

func (h *fakeHead) change(batch []gocql.BatchEntry) {
	for _, e := range batch {
		if e.Stmt == putVersion {
			h.versions[e.Args[2].(int64)] = e.Args[3].([]byte)
		} else {
			delete(h.versions, e.Args[2].(int64))
		}
	}
	now := moment{at: time.Now(), count: len(h.versions)}
	if seqs := h.seqs(); len(seqs) > 0 {
		now.seq = seqs[0]
		v := meta.Version{}
		if err := meta.Unmarshal(h.versions[now.seq], &v); err != nil || v.DeleteMarker {
			now.seq = -now.seq
		}
	}
	h.past = append(h.past, now)
}

var _ cql.Database = (*fake)(nil)

// testDB returns a DB with the default consistencies.
func testDB(d cql.Database) cql.DB {
	return cql.DB{Database: d, Consistency: gocql.LocalQuorum, Serial: gocql.Consistency(gocql.LocalSerial), Timeout: 10 * time.Second}
}
