package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/embedded"
	"github.com/pithos/pithos/meta/metafault"
)

func exported(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// items is how many items the job of the fault test works on.
const items = 20

// moveItems works on the items from the saved progress on. Each is a bucket to
// create, which can be done once only.
func moveItems(m meta.Store) func(context.Context, *Run) (Result, error) {
	return func(ctx context.Context, r *Run) (done Result, err error) {
		first := byte(0)
		if len(r.Progress) > 0 {
			first = r.Progress[0]
		}
		for i := first; i < items; i++ {
			_, err := m.CreateBucket(ctx, meta.Bucket{Name: fmt.Sprintf("item-%d", i), ID: meta.NewID(), Owner: "t", Rev: 1})
			if err != nil && !errors.Is(err, meta.ErrExists) {
				return done, err
			}
			done.Items++
			if err := r.Save(ctx, []byte{i + 1}); err != nil {
				return done, err
			}
		}
		return done, nil
	}
}

// A gateway dies before or after each of its changes of the lease. Another
// gateway ends the work, and does again at most the item that was not saved.
func TestJobsEndWhereverAGatewayDies(t *testing.T) {
	for _, fault := range []metafault.Fault{metafault.CrashBefore, metafault.CrashAfter} {
		for _, skip := range []int{0, 1, 2, items - 1, items, items + 1} {
			t.Run(fmt.Sprintf("fault %d of change %d", fault, skip), func(t *testing.T) {
				store, err := embedded.Open(t.TempDir(), embedded.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = store.Close() }()
				dying := metafault.Wrap(store, 1, metafault.Rule{Op: meta.OpPutLease, Skip: skip, Count: 1, Fault: fault})
				start := func(name string, m meta.Store) (stop func()) {
					return Start(Options{Leases: m, Gateway: name, LeaseTime: 150 * time.Millisecond, Metrics: metrics.New(metrics.Options{}), Log: zap.NewNop()},
						Job{Name: "j", Every: 20 * time.Millisecond, Run: moveItems(m)})
				}
				stopDying := start("dying", dying)
				waitFor(t, "the death", dying.Dead)
				stopDying()
				stop := start("other", store)
				waitFor(t, "the end of the work", func() bool {
					rows, err := store.ListLeases(t.Context(), "j")
					return err == nil && len(rows) == 1 && rows[0].LastRun.Gateway == "other" && rows[0].LastRun.Error == "" && len(rows[0].Progress) == 0
				})
				stop()
				all, err := store.ListBuckets(t.Context(), "", "", 1000)
				if err != nil || len(all) != items {
					t.Errorf("%d items were moved, %v", len(all), err)
				}
			})
		}
	}
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
