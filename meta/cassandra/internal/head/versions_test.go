package head

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

// afterRows is a database that calls do once, after a statement has read its rows.
type afterRows struct {
	cql.Database
	stmt string
	do   func()
	once sync.Once
}

func (d *afterRows) QueryRows(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) error {
	err := d.Database.QueryRows(ctx, c, page, row, stmt, args...)
	if stmt == d.stmt {
		d.once.Do(d.do)
	}
	return err
}

// A page of versions is short only at the end of the key, even if rows of older programs
// are removed while it is read.
func TestPageOfOldVersionsIsFullDuringRemovals(t *testing.T) {
	cluster, keyspace := cqltest.NewKeyspace(t)
	session := cqltest.NewSession(t, cluster, keyspace)
	s := New(cqltest.NewDB(t, session, keyspace))
	b := meta.Bucket{ID: meta.NewID()}
	const last = 20_000
	cas := func(stmt string) {
		if applied, err := session.Query(stmt).MapScanCAS(map[string]any{}); err != nil || !applied {
			t.Errorf("%s: %v, %v", stmt, applied, err)
		}
	}
	var want []int64
	for rev := int64(1000); rev <= last; rev += 1000 {
		v := meta.Version{Seq: rev, ETag: fmt.Sprint(rev), Owner: "o"}
		if err := s.Change(t.Context(), b.ID, "k", meta.Change{IfRev: rev - 1000, Rev: rev, ID: meta.NewID(), Put: []meta.Version{v}, Entry: meta.EntryOf("k", &v), History: true}); err != nil {
			t.Fatal(err)
		}
	}
	removed := map[int64]bool{last - 3000: true, last - 5000: true, last - 9000: true}
	for seq := int64(last); seq > 0; seq -= 1000 {
		if seq%2000 != 0 || removed[seq] || seq < 5000 {
			cas(fmt.Sprintf(`UPDATE %q.object SET listed = null WHERE bucket_id = 0x%s AND key = 'k' AND seq = %d IF rev = %d`, keyspace, b.ID, seq, last))
		}
		if !removed[seq] {
			want = append(want, seq)
		}
	}
	for _, limit := range []int{10, 17, 18, 100} {
		s.Database = &afterRows{Database: s.Database, stmt: selectListed, do: func() {
			for seq := range removed {
				cas(fmt.Sprintf(`DELETE FROM %q.object WHERE bucket_id = 0x%s AND key = 'k' AND seq = %d IF rev = %d`, keyspace, b.ID, seq, last))
			}
		}}
		page, err := s.ListVersions(t.Context(), b.ID, "k", 0, limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, e := range page {
			if e.ETag != fmt.Sprint(e.Seq) || e.Key != "k" {
				t.Errorf("got %+v", e)
			}
			got = append(got, e.Seq)
		}
		if want := want[:min(limit, len(want))]; !slices.Equal(got, want) {
			t.Errorf("a page of %d: got %d\nwant %d", limit, got, want)
		}
	}
}
