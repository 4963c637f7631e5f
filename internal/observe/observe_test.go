package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/gocql/gocql"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/blobfault"
	"github.com/pithos/pithos/blob/blobtest"
	"github.com/pithos/pithos/blob/file"
	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/embedded"
	"github.com/pithos/pithos/meta/metatest"
)

func shown(m *metrics.Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestStatementsAreToldApartByKindAndTable(t *testing.T) {
	for statement, want := range map[string]string{
		`SELECT doc FROM "ks".object WHERE bucket_id = ?`:                        "select object",
		`select key from system.local where key = 'local'`:                       "select local",
		`INSERT INTO "ks".chunk (id, n) VALUES (?, ?)`:                           "insert chunk",
		`INSERT INTO "ks".access_key (id) VALUES (?) IF NOT EXISTS`:              "cas access_key",
		`UPDATE "ks".object USING TTL ? SET rev = ? WHERE key = ? IF rev = null`: "cas object",
		`DELETE FROM ks.listing USING TIMESTAMP ? WHERE shard_id = ?`:            "delete listing",
		"  \n\tDELETE split_key FROM listing WHERE a = 1":                        "delete listing",
		`UPDATE "ks".notify SET x = 1 WHERE key = 1`:                             "update notify",
		`CREATE TABLE x (a int PRIMARY KEY)`:                                     "other ",
		``:                                                                       "other ",
	} {
		for range 2 { // the second time from memory
			if kind, table := kindOf(statement); kind+" "+table != want {
				t.Errorf("%q: %q %q, want %q", statement, kind, table, want)
			}
		}
	}
}

func TestMadeUpStatementsCostNoMemory(t *testing.T) {
	for i := range 2 * maxKinds {
		kindOf(fmt.Sprintf("SELECT a%d FROM b", i))
	}
	n := 0
	kinds.Range(func(any, any) bool { n++; return true })
	if n > maxKinds {
		t.Errorf("%d statements are remembered", n)
	}
	if kind, table := kindOf("SELECT late FROM object"); kind != "select" || table != "object" {
		t.Errorf("%s %s", kind, table)
	}
}

type refusedError struct{ code int }

func (e refusedError) Code() int       { return e.code }
func (e refusedError) Message() string { return "" }
func (e refusedError) Error() string   { return "refused" }

func TestStatementFailuresHaveKinds(t *testing.T) {
	for want, err := range map[string]error{
		"":            nil,
		"cancelled":   fmt.Errorf("read: %w", context.Canceled),
		"timeout":     gocql.ErrTimeoutNoResponse,
		"unavailable": refusedError{gocql.ErrCodeUnavailable},
		"overloaded":  refusedError{gocql.ErrCodeOverloaded},
		"replica":     refusedError{gocql.ErrCodeReadFailure},
		"connection":  gocql.ErrNoConnections,
		"other":       errors.New("syntax"),
	} {
		if got := statementFailure(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if got := statementFailure(refusedError{gocql.ErrCodeCASWriteUnknown}); got != "timeout" {
		t.Errorf("unknown CAS: %q", got)
	}
}

func TestAnswersAreNoFailures(t *testing.T) {
	for want, errs := range map[string][]error{
		"":                {nil, meta.ErrNotFound, meta.ErrConflict, blob.ErrNotFound, context.Canceled, fmt.Errorf("x: %w", meta.ErrClaimed)},
		"unavailable":     {meta.ErrUnavailable, blob.ErrUnavailable},
		"unknown_outcome": {meta.ErrUnknownOutcome},
		"corrupt":         {blob.ErrCorrupt}, "full": {blob.ErrFull}, "timeout": {context.DeadlineExceeded}, "other": {io.ErrUnexpectedEOF},
	} {
		for _, err := range errs {
			if got := failure(err); got != want {
				t.Errorf("%v: %q, want %q", err, got, want)
			}
		}
	}
}

func TestStatementSpansAreInsideTheCallersAlone(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracer := sdk.NewTracerProvider(sdk.WithSyncer(spans)).Tracer("t")
	m := metrics.New(metrics.Options{})
	o := New(m)
	start := time.Unix(1000, 0)
	batch := gocql.ObservedBatch{
		Statements: []string{`UPDATE "k".object SET rev = ? WHERE key = ? IF rev = ?`, `INSERT INTO "k".object (key) VALUES (?)`},
		Start:      start, End: start.Add(time.Second), Err: gocql.ErrTimeoutNoResponse,
	}
	o.ObserveBatch(t.Context(), batch) // no span to be in
	ctx, parent := tracer.Start(t.Context(), "request")
	o.ObserveBatch(ctx, batch)
	o.ObserveQuery(ctx, gocql.ObservedQuery{Statement: `SELECT doc FROM "k".object`, Start: start, End: start})
	parent.End()
	got := spans.GetSpans()
	if len(got) != 3 || got[0].Name != "cas object" || got[1].Name != "select object" || got[0].Parent.SpanID() != parent.SpanContext().SpanID() {
		t.Fatalf("spans %v", got)
	}
	if got[0].EndTime.Sub(got[0].StartTime) != time.Second || got[0].Status.Description != "timeout" {
		t.Errorf("span %v", got[0])
	}
	if text := shown(m); !strings.Contains(text, `pithos_cassandra_statement_errors_total{error="timeout",statement="cas",table="object"} 2`) {
		t.Errorf("not counted: %s", text)
	}
}

// The contract of a metadata store holds through the observer, and /metrics has
// the calls of testdata/calls.txt, which dashboards name.
func TestMetadataCallsAreCountedByName(t *testing.T) {
	m := metrics.New(metrics.Options{})
	o := New(m)
	metatest.Run(t, func(t testing.TB) meta.Store {
		s, err := embedded.Open("meta", embedded.Options{FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return o.Meta(s)
	})
	var calls []string
	for _, found := range regexp.MustCompile(`pithos_engine_call_duration_seconds_count{call="(\w+)",store="meta"}`).FindAllStringSubmatch(shown(m), -1) {
		calls = append(calls, found[1])
	}
	want, err := os.ReadFile("testdata/calls.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(want)) {
		if !slices.Contains(calls, name) {
			t.Errorf("/metrics has no call %s; it has %v", name, calls)
		}
	}
}

// replicated is a store that keeps several copies.
type replicated struct{ blob.Inspector }

func (replicated) Replicated() bool { return true }

// What wraps a blob store, or a reader, keeps what it can do beyond the interface.
func TestDecoratorsKeepCapabilities(t *testing.T) {
	files, err := file.Open(t.TempDir(), file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	for name, wrap := range map[string]func(blob.Store) blob.Store{
		"observe": New(metrics.New(metrics.Options{})).Blob,
		"blobfault": func(s blob.Store) blob.Store {
			return blobfault.Wrap(s, func(blobfault.Op) blobfault.Fault { return blobfault.Fault{} })
		},
	} {
		for want, s := range map[bool]blob.Store{false: files, true: replicated{files}} {
			if i, ok := wrap(s).(blob.Inspector); !ok || i.Replicated() != want {
				t.Errorf("%s: of a store with copies %v it makes a %T", name, want, wrap(s))
			}
		}
		w, err := files.Create(t.Context(), blob.NewID())
		if err != nil {
			t.Fatal(err)
		}
		ref, err := w.Commit()
		if err != nil {
			t.Fatal(err)
		}
		plain, err := files.Open(t.Context(), ref, 0, ref.Size)
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := wrap(files).Open(t.Context(), ref, 0, ref.Size)
		if err != nil {
			t.Fatal(err)
		}
		_, direct := plain.(io.WriterTo)
		if _, kept := wrapped.(io.WriterTo); !direct || !kept {
			t.Errorf("%s: a reader writes from its own memory: %v, wrapped: %v", name, direct, kept)
		}
		if err := errors.Join(plain.Close(), wrapped.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestTheContractOfBlobsHolds(t *testing.T) {
	o := New(metrics.New(metrics.Options{}))
	blobtest.Run(t, func(t *testing.T) blob.Store {
		files, err := file.Open("blobs", file.Options{FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = files.Close() })
		return o.Blob(files)
	})
}

func TestBlobsPassThroughAndAreCounted(t *testing.T) {
	files, err := file.Open(t.TempDir(), file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	m := metrics.New(metrics.Options{})
	o := New(m)
	s := o.Blob(files)
	w, err := s.Create(t.Context(), blob.NewID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("twelve bytes")); err != nil {
		t.Fatal(err)
	}
	ref, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	w.Abort() // does nothing, and is not counted again
	r, err := s.Open(t.Context(), ref, 0, ref.Size)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close(), s.Delete(t.Context(), ref.ID)); err != nil || string(data) != "twelve bytes" {
		t.Fatalf("%q, %v", data, err)
	}
	if _, err := s.Open(t.Context(), ref, 0, ref.Size); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("after the deletion: %v", err)
	}
	remove := o.Pebble("blobs", files.Metrics)
	text := shown(m)
	for _, want := range []string{
		`pithos_blob_bytes_total{direction="read"} 12`, `pithos_blob_bytes_total{direction="written"} 12`,
		`pithos_engine_call_duration_seconds_count{call="Write",store="blob"} 1`, `pithos_engine_call_duration_seconds_count{call="Read",store="blob"} 2`,
		`pithos_engine_call_duration_seconds_count{call="Delete",store="blob"} 1`, `pithos_pebble_wal_bytes_total{database="blobs"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "pithos_engine_call_errors_total{") {
		t.Error("a blob that is not there counts as a failure")
	}
	remove()
}
