package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/internal/cassandratest"
)

// TestUpgradeFromEveryVersionKeepsData takes a keyspace through all versions,
// and writes a row into every table at each. In the end all of them must be
// there, whole, and the tables must be those of a new keyspace.
func TestUpgradeFromEveryVersionKeepsData(t *testing.T) {
	c := cassandratest.Start(t)
	s := open(t, c)
	for _, role := range []Role{Meta, Blob} {
		t.Run(string(role), func(t *testing.T) {
			ms := mustLoad(t, role)
			old, fresh := c.Keyspace(t), c.Keyspace(t)
			type place struct {
				table   string
				version int
			}
			written := map[place]map[string]any{}
			for n := range ms {
				report := mustApply(t, s, old, role, ms[:n+1])
				if report.From != n || report.To != n+1 {
					t.Fatalf("version %d: %+v", n+1, report)
				}
				for table, columns := range tables(t, s, old) {
					row := rowOf(columns, n+1)
					insertJSON(t, s, old, table, row)
					written[place{table, n + 1}] = row
				}
			}
			wantState(t, s, old, role, Current)
			read := map[string][]map[string]any{}
			for table := range tables(t, s, old) {
				read[table] = selectJSON(t, s, old, table)
			}
			for at, row := range written {
				if !slices.ContainsFunc(read[at.table], func(got map[string]any) bool { return holds(got, row) }) {
					t.Errorf("%v has lost %v; the table has %v", at, row, read[at.table])
				}
			}
			mustApply(t, s, fresh, role, ms)
			if a, b := describe(t, s, old), describe(t, s, fresh); !maps.Equal(a, b) {
				t.Errorf("upgraded step by step:\n%v\nnew:\n%v", a, b)
			}
			if a, b := settings(t, s, old), settings(t, s, fresh); !maps.Equal(a, b) {
				t.Errorf("upgraded step by step:\n%v\nnew:\n%v", a, b)
			}
		})
	}
}

// tables returns the columns of a keyspace's tables, with their types.
func tables(t *testing.T, s *gocql.Session, keyspace string) map[string]map[string]string {
	t.Helper()
	found := map[string]map[string]string{}
	iter := s.Query("SELECT table_name, column_name, type FROM system_schema.columns WHERE keyspace_name = ?", keyspace).Iter()
	var table, column, kind string
	for iter.Scan(&table, &column, &kind) {
		if table == "schema_version" || table == "schema_lock" {
			continue
		}
		if found[table] == nil {
			found[table] = map[string]string{}
		}
		found[table][column] = kind
	}
	if err := iter.Close(); err != nil {
		t.Fatal(err)
	}
	return found
}

// settings returns what operators care for, by table.
func settings(t *testing.T, s *gocql.Session, keyspace string) map[string]string {
	t.Helper()
	found := map[string]string{}
	iter := s.Query("SELECT table_name, compaction, compression, caching, gc_grace_seconds, read_repair, speculative_retry FROM system_schema.tables WHERE keyspace_name = ?", keyspace).Iter()
	var table, repair, retry string
	var compaction, compression, caching map[string]string
	var grace int
	for iter.Scan(&table, &compaction, &compression, &caching, &grace, &repair, &retry) {
		found[table] = fmt.Sprint(compaction, compression, caching, grace, repair, retry)
	}
	if err := iter.Close(); err != nil {
		t.Fatal(err)
	}
	return found
}

// rowOf makes a row, as CQL takes it in JSON, that differs by n in all columns.
func rowOf(columns map[string]string, n int) map[string]any {
	row := map[string]any{}
	for name, kind := range columns {
		switch kind {
		case "blob":
			row[name] = fmt.Sprintf("0x%02x", n)
		case "text":
			row[name] = fmt.Sprint("text ", n)
		case "boolean":
			row[name] = true
		case "map<int, blob>":
			row[name] = map[string]any{fmt.Sprint(n): fmt.Sprintf("0x%02x", n)}
		default:
			row[name] = float64(n)
		}
	}
	return row
}

func insertJSON(t *testing.T, s *gocql.Session, keyspace, table string, row map[string]any) {
	t.Helper()
	text, err := json.Marshal(row)
	if err == nil {
		err = s.Query(fmt.Sprintf("INSERT INTO %s.%s JSON ?", keyspace, table), string(text)).Exec()
	}
	if err != nil {
		t.Fatalf("%s: %v", table, err)
	}
}

func selectJSON(t *testing.T, s *gocql.Session, keyspace, table string) (rows []map[string]any) {
	t.Helper()
	iter := s.Query(fmt.Sprintf("SELECT JSON * FROM %s.%s", keyspace, table)).Iter()
	var text string
	for iter.Scan(&text) {
		row := map[string]any{}
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := iter.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// holds tells whether row has all that want has; columns may have come since.
func holds(row, want map[string]any) bool {
	for name, v := range want {
		if !reflect.DeepEqual(row[name], v) {
			return false
		}
	}
	return true
}
