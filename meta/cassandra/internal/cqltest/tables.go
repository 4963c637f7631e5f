package cqltest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/gocql/gocql"
)

// tableKeys has the key columns and the static columns of a table; all other columns
// are regular.
type tableKeys struct {
	partition, clustering, static []string
	descending                    bool
}

var schemas = map[string]tableKeys{
	"object":           {partition: []string{"bucket_id", "key"}, clustering: []string{"seq"}, static: []string{"rev", "null_seq", "commit_id"}, descending: true},
	"listing":          {partition: []string{"bucket_id", "shard_id"}, clustering: []string{"kind", "key"}, static: []string{"split_key", "left_id", "right_id", "copied"}},
	"listing_map":      {partition: []string{"bucket_id"}, clustering: []string{"low"}},
	"bucket":           {partition: []string{"name"}},
	"bucket_by_owner":  {partition: []string{"shelf"}, clustering: []string{"name", "id"}},
	"bucket_by_id":     {partition: []string{"id"}},
	"upload":           {partition: []string{"upload_id"}, clustering: []string{"number"}, static: []string{"bucket_id", "key", "rev", "state", "doc", "listed", "change_id"}},
	"upload_by_bucket": {partition: []string{"bucket_id", "slot"}, clustering: []string{"key", "upload_id"}},
	"gc":               {partition: []string{"slot", "part"}, clustering: []string{"due", "entry"}},
	"gc_slot":          {partition: []string{"shelf"}, clustering: []string{"slot"}},
	"access_key":       {partition: []string{"id"}},
	"blob_ref":         {partition: []string{"blob_id"}, clustering: []string{"ref"}},
	"hold":             {partition: []string{"scope"}, clustering: []string{"id"}},
	"lease":            {partition: []string{"scope"}, clustering: []string{"job", "shard"}},
}

// cell is a value with its timestamp; nil is a deleted value.
type cell struct {
	value any
	at    int64
}

// merge returns the cell that Cassandra keeps of two: the later one; of equal
// timestamps a deletion, and then the greater value.
func (c cell) merge(n cell) cell {
	switch {
	case n.at != c.at:
		if n.at > c.at {
			return n
		}
	case n.value == nil || c.value != nil && compare(n.value, c.value) > 0:
		return n
	}
	return c
}

type row struct {
	key     []any // of the clustering columns
	cells   map[string]cell
	marker  int64 // when it was inserted; 0: it was not
	deleted int64
}

func (r *row) live() bool {
	if r.marker > 0 {
		return true
	}
	for _, c := range r.cells {
		if c.value != nil {
			return true
		}
	}
	return false
}

// purge removes what was written up to a time.
func (r *row) purge(at int64) {
	maps.DeleteFunc(r.cells, func(_ string, c cell) bool { return c.at <= at })
	if r.marker <= at {
		r.marker = 0
	}
}

// deletion is a range tombstone.
type deletion struct {
	covers func(key []any) bool
	at     int64
}

type partition struct {
	key     []any
	static  map[string]cell
	rows    []*row // in the order of their keys
	ranges  []deletion
	deleted int64
}

// hidden returns the time up to which writes of a row are deleted.
func (p *partition) hidden(key []any) int64 {
	at := p.deleted
	for _, r := range p.ranges {
		if r.covers(key) {
			at = max(at, r.at)
		}
	}
	return at
}

func (p *partition) find(key []any) (int, bool) {
	return slices.BinarySearchFunc(p.rows, key, func(r *row, key []any) int { return compareKeys(r.key, key) })
}

// row returns the row of a key, which it adds if there is none.
func (p *partition) row(key []any) *row {
	i, ok := p.find(key)
	if !ok {
		p.rows = slices.Insert(p.rows, i, &row{key: key, cells: map[string]cell{}})
	}
	return p.rows[i]
}

// partition returns a partition, which it adds if there is none.
func (d *DB) partition(table string, key []any) *partition {
	t := d.tables[table]
	if t == nil {
		t = map[string]*partition{}
		d.tables[table] = t
	}
	name := encode(key)
	p := t[name]
	if p == nil {
		p = &partition{key: key, static: map[string]cell{}}
		t[name] = p
	}
	return p
}

// apply executes writes, all with one timestamp if they have none of their own.
func (d *DB) apply(batch []gocql.BatchEntry) {
	d.clock = max(d.clock+1, time.Now().UnixMicro())
	for _, e := range batch {
		s := d.parse(e.Stmt)
		at := d.clock
		if s.timestamp != nil {
			at = s.timestamp.of(e.Args).(int64)
		}
		p := d.partition(s.table, s.partitionKey(e.Args))
		if s.kind == "DELETE" {
			s.remove(p, e.Args, at)
			continue
		}
		s.write(p, e.Args, at)
	}
}

// write executes an INSERT or UPDATE.
func (s *statement) write(p *partition, args []any, at int64) {
	var r *row
	if key, whole := s.clusteringKey(args); whole {
		if hidden := p.hidden(key); at > hidden {
			r = p.row(key)
			if at <= r.deleted {
				r = nil
			}
		}
	}
	if r != nil && s.kind == "INSERT" {
		r.marker = max(r.marker, at)
	}
	for _, set := range s.sets {
		c := cell{set.term.of(args), at}
		if slices.Contains(s.schema.static, set.column) {
			if at > p.deleted {
				p.static[set.column] = p.static[set.column].merge(c)
			}
		} else if r != nil {
			r.cells[set.column] = r.cells[set.column].merge(c)
		}
	}
}

// remove executes a DELETE: of a partition, a row or a range.
func (s *statement) remove(p *partition, args []any, at int64) {
	key, whole := s.clusteringKey(args)
	switch {
	case len(s.where) == len(s.schema.partition):
		p.deleted = max(p.deleted, at)
		maps.DeleteFunc(p.static, func(_ string, c cell) bool { return c.at <= at })
		s.removeRange(p, func([]any) bool { return true }, at)
	case whole:
		if p.hidden(key) >= at {
			return
		}
		r := p.row(key)
		r.deleted = max(r.deleted, at)
		r.purge(at)
	default:
		bound := make([]condition, len(s.where))
		for i, c := range s.where {
			bound[i] = c.bind(args)
		}
		covers := func(key []any) bool { return s.matches(bound, nil, key) }
		p.ranges = append(p.ranges, deletion{covers, at})
		s.removeRange(p, covers, at)
	}
}

func (s *statement) removeRange(p *partition, covers func([]any) bool, at int64) {
	p.rows = slices.DeleteFunc(p.rows, func(r *row) bool {
		if !covers(r.key) {
			return false
		}
		r.purge(at)
		return len(r.cells) == 0 && r.marker == 0 && r.deleted <= at
	})
}

// holds evaluates the condition of a conditional change.
func (d *DB) holds(stmt string, args []any) bool {
	s := d.parse(stmt)
	if len(s.conditions) == 0 && !s.ifExists && !s.ifNotExists {
		return true
	}
	p := d.partition(s.table, s.partitionKey(args))
	var r *row
	if key, whole := s.clusteringKey(args); whole {
		if i, ok := p.find(key); ok && p.rows[i].live() {
			r = p.rows[i]
		}
	}
	if s.ifExists && r == nil || s.ifNotExists && r != nil {
		return false
	}
	for _, c := range s.conditions {
		if !equal(s.value(p, r, c.columns[0]), c.terms[0].of(args)) {
			return false
		}
	}
	return true
}

// value returns a column's value; r may be nil.
func (s *statement) value(p *partition, r *row, column string) any {
	if i := slices.Index(s.schema.partition, column); i >= 0 {
		return p.key[i]
	}
	if slices.Contains(s.schema.static, column) {
		return p.static[column].value
	}
	if r == nil {
		return nil
	}
	if i := slices.Index(s.schema.clustering, column); i >= 0 {
		return r.key[i]
	}
	return r.cells[column].value
}

// read executes a SELECT, and counts the tombstones in its partitions.
func (d *DB) read(stmt string, args []any) (rows [][]any, tombstones int) {
	s := d.parse(stmt)
	bound := make([]condition, len(s.where))
	restricted := false // to rows
	for i, c := range s.where {
		bound[i] = c.bind(args)
		restricted = restricted || !slices.Contains(s.schema.partition, c.columns[0])
	}
	for _, p := range d.partitions(s, args) {
		found := false
		for _, r := range p.rows {
			if !r.live() {
				tombstones++
				continue
			}
			if s.matches(bound, p.key, r.key) {
				rows, found = append(rows, s.project(p, r)), true
			}
		}
		if !found && !restricted && len(p.static) > 0 {
			rows = append(rows, s.project(p, nil))
		}
	}
	if s.schema.descending != s.descending {
		slices.Reverse(rows)
	}
	if s.limit != nil {
		rows = rows[:min(len(rows), int(s.limit.of(args).(int64)))]
	}
	return rows, tombstones
}

// partitions returns the partition that a SELECT names, or all.
func (d *DB) partitions(s *statement, args []any) (found []*partition) {
	if key := s.partitionKey(args); key != nil {
		if p := d.tables[s.table][encode(key)]; p != nil {
			found = append(found, p)
		}
		return found
	}
	for _, name := range slices.Sorted(maps.Keys(d.tables[s.table])) {
		found = append(found, d.tables[s.table][name])
	}
	return found
}

func (s *statement) project(p *partition, r *row) []any {
	out := make([]any, len(s.columns))
	for i, c := range s.columns {
		if c == "WRITETIME" {
			if r != nil {
				out[i] = r.cells[s.writeTimeOf].at
			}
			continue
		}
		out[i] = s.value(p, r, c)
	}
	return out
}

// matches reports whether a row's keys fulfil bound conditions. A nil partition
// key is not checked.
func (s *statement) matches(bound []condition, partition, key []any) bool {
	for _, c := range bound {
		var have, want []any
		for i, column := range c.columns {
			if at := slices.Index(s.schema.partition, column); at >= 0 {
				if partition != nil {
					have, want = append(have, partition[at]), append(want, c.terms[i].literal)
				}
			} else {
				have, want = append(have, key[slices.Index(s.schema.clustering, column)]), append(want, c.terms[i].literal)
			}
		}
		n := compareKeys(have, want)
		switch c.op {
		case "=":
			if n != 0 {
				return false
			}
		case ">":
			if n <= 0 {
				return false
			}
		case ">=":
			if n < 0 {
				return false
			}
		case "<":
			if n >= 0 {
				return false
			}
		case "<=":
			if n > 0 {
				return false
			}
		}
	}
	return true
}

// normal returns a bound value as it is stored: int64, string, bool, []byte or
// nil.
func normal(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case []byte:
		if v == nil {
			return nil
		}
		return bytes.Clone(v)
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int()
	case reflect.String:
		return r.String()
	case reflect.Bool:
		return r.Bool()
	}
	panic(fmt.Sprintf("cqltest: a bound value of type %T", v))
}

func compare(a, b any) int {
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case string:
		return cmp.Compare(a, b.(string))
	case []byte:
		return bytes.Compare(a, b.([]byte))
	case bool:
		switch {
		case a == b.(bool):
			return 0
		case a:
			return 1
		}
		return -1
	}
	panic(fmt.Sprintf("cqltest: a stored value of type %T", a))
}

func equal(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return compare(a, b) == 0
}

func compareKeys(a, b []any) int { return slices.CompareFunc(a, b, compare) }

// encode returns a string that identifies a key.
func encode(key []any) string {
	var b []byte
	for _, v := range key {
		switch v := v.(type) {
		case int64:
			b = strconv.AppendInt(append(b, 'i'), v, 10)
		case string:
			b = strconv.AppendInt(append(b, 's'), int64(len(v)), 10)
			b = append(append(b, ' '), v...)
		case []byte:
			b = strconv.AppendInt(append(b, 'b'), int64(len(v)), 10)
			b = append(append(b, ' '), v...)
		default:
			panic(fmt.Sprintf("cqltest: a key of type %T", v))
		}
	}
	return string(b)
}
