package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/internal/pause"
	"github.com/pithos/pithos/meta"
)

// rows are leases in memory.
type rows struct {
	mu   sync.Mutex
	rows []meta.Lease
}

func (r *rows) put(l meta.Lease, ifRev int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.rows, func(o meta.Lease) bool { return o.Job == l.Job && o.Shard == l.Shard })
	switch {
	case l.Rev <= ifRev:
		return fmt.Errorf("revision %d does not follow %d", l.Rev, ifRev)
	case i < 0 && ifRev == 0:
		r.rows = append(r.rows, l)
	case i >= 0 && r.rows[i].Rev == ifRev:
		r.rows[i] = l
	default:
		return meta.ErrConflict
	}
	return nil
}

func (r *rows) list(job string) []meta.Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	var of []meta.Lease
	for _, l := range r.rows {
		if job == "" || l.Job == job {
			of = append(of, l)
		}
	}
	slices.SortFunc(of, func(a, b meta.Lease) int { return cmp.Or(cmp.Compare(a.Job, b.Job), a.Shard-b.Shard) })
	return of
}

// connection is how a gateway reaches the rows.
type connection struct {
	rows *rows

	mu      sync.Mutex
	paused  chan struct{} // if not nil, calls wait until it is closed
	dead    bool          // all calls fail
	unknown int           // every so many changes are made, but fail; 0: none
	changes int
}

func (c *connection) pass() error {
	c.mu.Lock()
	paused := c.paused
	c.mu.Unlock()
	if paused != nil {
		<-paused
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return meta.ErrUnavailable
	}
	return nil
}

// PutLease implements [meta.Leases].
func (c *connection) PutLease(_ context.Context, l meta.Lease, ifRev int64) error {
	if err := c.pass(); err != nil {
		return err
	}
	err := c.rows.put(l, ifRev)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes++; err == nil && c.unknown > 0 && c.changes%c.unknown == 0 {
		return meta.ErrUnknownOutcome
	}
	return err
}

// ListLeases implements [meta.Leases].
func (c *connection) ListLeases(_ context.Context, job string) ([]meta.Lease, error) {
	if err := c.pass(); err != nil {
		return nil, err
	}
	return c.rows.list(job), nil
}

func (c *connection) pause() (resume func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	paused := make(chan struct{})
	c.paused = paused
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.paused = nil
		close(paused)
	}
}

func (c *connection) die() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
}

// gateway is one of several that share rows.
type gateway struct {
	*connection
	name    string
	metrics *metrics.Metrics
}

func gateways(r *rows, names ...string) []*gateway {
	var all []*gateway
	for _, name := range names {
		all = append(all, &gateway{&connection{rows: r}, name, metrics.New(metrics.Options{})})
	}
	return all
}

func (g *gateway) start(jobs ...Job) (stop func()) {
	return Start(Options{Leases: g, Gateway: g.name, Metrics: g.metrics, Log: zap.NewNop()}, jobs...)
}

// A job that lasts half of its period, on three gateways: no two runs overlap,
// runs are about a period apart, and tokens grow.
func TestOneGatewayAtATimeWorksOnAShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &rows{}
		var mu sync.Mutex
		running, tokens := map[int]string{}, map[int][]int64{}
		for _, g := range gateways(table, "a", "b", "c") {
			g.unknown = 5
			stop := g.start(Job{Name: "j", Every: 10 * time.Minute, Shards: 2, Run: func(ctx context.Context, r *Run) (Result, error) {
				mu.Lock()
				if other := running[r.Shard]; other != "" {
					t.Errorf("%s and %s work on shard %d", other, g.name, r.Shard)
				}
				running[r.Shard] = g.name
				tokens[r.Shard] = append(tokens[r.Shard], r.Token)
				mu.Unlock()
				_ = pause.For(ctx, 5*time.Minute)
				mu.Lock()
				defer mu.Unlock()
				delete(running, r.Shard)
				return Result{Items: 1}, nil
			}})
			defer stop()
		}
		time.Sleep(24 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		for shard := range 2 {
			if n := len(tokens[shard]); n < 24*4 || n > 24*8 {
				t.Errorf("%d runs of shard %d in 24 hours", n, shard)
			}
			for i, token := range tokens[shard][1:] {
				if token <= tokens[shard][i] {
					t.Fatalf("token %d follows %d", token, tokens[shard][i])
				}
			}
		}
	})
}

// The holder dies after it has saved its progress. Another gateway continues
// from there, with a greater token, within three minutes.
func TestAnotherGatewayContinuesTheRunOfADeadHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &rows{}
		both := gateways(table, "a", "b")
		dead := make(chan *Run, 1)
		block := make(chan struct{})
		stop := both[0].start(Job{Name: "j", Every: time.Hour, Run: func(ctx context.Context, r *Run) (Result, error) {
			if err := r.Save(ctx, []byte("half")); err != nil {
				t.Error(err)
			}
			both[0].die()
			dead <- r
			<-block // as a process that is gone
			return Result{}, nil
		}})
		defer stop()
		defer close(block)
		first := <-dead
		died := time.Now()
		continued := make(chan Run, 1)
		stopB := both[1].start(Job{Name: "j", Every: time.Hour, Run: func(_ context.Context, r *Run) (Result, error) {
			continued <- *r
			return Result{Items: 7, Errors: 2, Backlog: 3, Lag: time.Second}, nil
		}})
		second := <-continued
		if string(second.Progress) != "half" || second.Token <= first.Token {
			t.Errorf("continued from %q with token %d after %d", second.Progress, second.Token, first.Token)
		}
		if took := time.Since(died); took > 4*time.Minute {
			t.Errorf("it was continued after %s", took)
		}
		stopB()
		row := table.list("j")[0]
		row.LastRun.Started, row.LastRun.Succeeded, row.LastRun.Took = 0, 0, 0
		want := meta.JobRun{Gateway: "b", Items: 7, Errors: 2, Backlog: 3, Lag: time.Second}
		if row.Holder != "" || len(row.Progress) > 0 || row.LastRun != want {
			t.Errorf("the row is %+v", row)
		}
	})
}

// A holder is paused for longer than the lease time. When it comes back its run
// is cancelled, and the row stays as the next holder has left it.
func TestAPausedHolderDoesNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &rows{}
		both := gateways(table, "a", "b")
		started, ended := make(chan func(), 1), make(chan error, 1)
		stop := both[0].start(Job{Name: "j", Every: time.Hour, Run: func(ctx context.Context, r *Run) (Result, error) {
			started <- both[0].pause()
			err := r.Save(ctx, []byte("late"))
			<-ctx.Done()
			ended <- errors.Join(err, context.Cause(ctx))
			return Result{Items: 1}, nil
		}})
		defer stop()
		resume := <-started
		ran := make(chan struct{})
		stopB := both[1].start(Job{Name: "j", Every: time.Hour, Run: func(ctx context.Context, r *Run) (Result, error) {
			close(ran)
			return Result{Items: 2}, r.Save(ctx, []byte("b"))
		}})
		<-ran
		stopB()
		before := table.list("j")
		resume()
		if err := <-ended; !errors.Is(err, ErrLost) {
			t.Errorf("the paused run ended by %v", err)
		}
		synctest.Wait()
		if after := table.list("j"); !slices.EqualFunc(after, before, func(a, b meta.Lease) bool { return a.Rev == b.Rev }) || after[0].LastRun.Items != 2 {
			t.Errorf("the row was %+v and is %+v", before, after)
		}
	})
}

// A run is stopped with its gateway: the lease is free at once, the last result
// stays, and the progress too.
func TestStopReleasesTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &rows{}
		g := gateways(table, "a")[0]
		runs := 0
		saved := make(chan struct{}, 1)
		stop := g.start(Job{Name: "j", Every: time.Minute, Run: func(ctx context.Context, r *Run) (Result, error) {
			if runs++; runs == 1 {
				return Result{Items: 5}, nil
			}
			if err := r.Save(ctx, []byte("half")); err != nil {
				t.Error(err)
			}
			saved <- struct{}{}
			<-ctx.Done()
			return Result{Items: 1}, ctx.Err()
		}})
		<-saved
		time.Sleep(10 * time.Minute) // the lease is renewed
		stop()
		row := table.list("j")[0]
		if row.Holder != "" || string(row.Progress) != "half" || row.LastRun.Items != 5 || row.LastRun.Error != "" {
			t.Errorf("the row is %+v", row)
		}
	})
}

// A failed run is stored with its error and keeps its progress; the start of the
// last run without an error stays.
func TestFailedRunsAreStoredAndRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &rows{}
		g := gateways(table, "a")[0]
		var seen []string
		done := make(chan struct{})
		stop := g.start(Job{Name: "j", Every: time.Minute, Run: func(ctx context.Context, r *Run) (Result, error) {
			seen = append(seen, string(r.Progress))
			switch len(seen) {
			case 2:
				return Result{}, errors.Join(r.Save(ctx, []byte("half")), errors.New("disk full"))
			case 3:
				row := table.list("j")[0]
				if row.LastRun.Error != "disk full" || row.LastRun.Succeeded == 0 || row.LastRun.Succeeded >= row.LastRun.Started {
					t.Errorf("after the failure the row is %+v", row)
				}
			case 4:
				close(done)
			}
			return Result{}, nil
		}})
		<-done
		stop()
		if got := strings.Join(seen[:4], ","); got != ",,half," {
			t.Errorf("the runs began at %q", got)
		}
	})
}

// A job of each gateway needs no lease; the row has the last run of any of them.
func TestEachGatewayRunsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &rows{}
		var mu sync.Mutex
		ran := map[string]int{}
		for _, g := range gateways(table, "a", "b") {
			stop := g.start(Job{Name: "j", Every: 10 * time.Minute, EachGateway: true, Run: func(ctx context.Context, r *Run) (Result, error) {
				if err := r.Save(ctx, nil); err == nil {
					t.Error("progress was saved without a lease")
				}
				mu.Lock()
				defer mu.Unlock()
				ran[g.name]++
				return Result{Items: 1}, nil
			}})
			defer stop()
		}
		time.Sleep(10 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"a", "b"} {
			if n := ran[name]; n < 45 || n > 85 {
				t.Errorf("%s ran it %d times in 10 hours", name, n)
			}
		}
		if row := table.list("j")[0]; row.LastRun.Items != 1 || row.LastRun.Gateway == "" || row.Holder != "" {
			t.Errorf("the row is %+v", row)
		}
	})
}

// Whichever gateway ran a job, all of them show its last run.
func TestAllGatewaysShowTheLastRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &rows{}
		both := gateways(table, "a", "b")
		shown := make(chan meta.JobRun, 100)
		stop := both[0].start(Job{Name: "j", Every: time.Hour, Run: func(context.Context, *Run) (Result, error) {
			return Result{Items: 4, Errors: 1, Backlog: 9, Lag: 90 * time.Second}, nil
		}})
		defer stop()
		time.Sleep(5 * time.Minute)
		stopB := both[1].start(Job{Name: "j", Every: time.Hour,
			Run:  func(context.Context, *Run) (Result, error) { t.Error("it is not due"); return Result{}, nil },
			Show: func(_ int, last meta.JobRun) { shown <- last },
		})
		time.Sleep(5 * time.Minute)
		stopB()
		if last := <-shown; last.Backlog != 9 || last.Gateway != "a" {
			t.Errorf("shown is %+v", last)
		}
		for i, wants := range [][]string{
			{`pithos_job_runs_total{job="j",result="done"} 1`, `pithos_job_items_total{job="j"} 4`, `pithos_job_errors_total{job="j"} 1`, `pithos_job_backlog{job="j"} 9`},
			{`pithos_job_runs_total{job="j",result="done"} 0`, `pithos_job_backlog{job="j"} 9`, `pithos_job_lag_seconds{job="j"} 90`},
		} {
			for _, want := range wants {
				if text := exported(t, both[i].metrics); !strings.Contains(text, want) {
					t.Errorf("%s has no %s", both[i].name, want)
				}
			}
		}
		all, err := Stored{both[1]}.ListJobs(t.Context())
		if err != nil || len(all) != 1 || all[0].Job != "j" || all[0].Items != 4 || all[0].Lag != 90 || all[0].LastRun.IsZero() {
			t.Errorf("listed are %+v, %v", all, err)
		}
	})
}

// A run that ignores the end of its context, as a read of a file system that does
// not answer, keeps neither the shard from other gateways nor its own process
// from ending. A run that saves progress may last longer than MaxRun.
func TestAStuckRunKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &rows{}
		both := gateways(table, "a", "b")
		block := make(chan struct{})
		var cause error
		stop := both[0].start(Job{Name: "j", Every: time.Hour, MaxRun: 20 * time.Minute, Run: func(ctx context.Context, r *Run) (Result, error) {
			for range 5 {
				_ = pause.For(ctx, 15*time.Minute)
				if err := r.Save(ctx, []byte("some")); err != nil {
					t.Error(err)
				}
			}
			<-block
			cause = context.Cause(ctx)
			return Result{}, nil
		}})
		time.Sleep(2 * time.Minute)
		ran := make(chan time.Time, 1)
		stopB := both[1].start(Job{Name: "j", Every: 24 * time.Hour, Run: func(context.Context, *Run) (Result, error) {
			ran <- time.Now()
			return Result{Items: 2}, nil
		}})
		began := time.Now()
		if took := (<-ran).Sub(began); took < 75*time.Minute || took > 110*time.Minute {
			t.Errorf("the other gateway ran it after %s", took)
		}
		stopB()
		began = time.Now()
		stop()
		if took := time.Since(began); took > time.Minute {
			t.Errorf("stopping took %s", took)
		}
		close(block)
		synctest.Wait()
		if !errors.Is(cause, errStuck) {
			t.Errorf("the run was ended by %v", cause)
		}
		if row := table.list("j")[0]; row.LastRun.Items != 2 || row.Holder != "" {
			t.Errorf("the row is %+v", row)
		}
	})
}

// A panic of a job is a failed run: the process goes on, and so does the job.
func TestAPanicIsAFailedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, each := range []bool{false, true} {
			table := &rows{}
			g := gateways(table, "a")[0]
			runs, done := 0, make(chan struct{})
			stop := g.start(Job{Name: "j", Every: time.Minute, EachGateway: each, Run: func(context.Context, *Run) (Result, error) {
				switch runs++; runs {
				case 1:
					panic("damaged row")
				case 2:
					if row := table.list("j")[0]; !strings.Contains(row.LastRun.Error, "damaged row") || row.LastRun.Succeeded != 0 {
						t.Errorf("after the panic the row is %+v", row)
					}
					close(done)
				}
				return Result{}, nil
			}})
			<-done
			stop()
		}
	})
}

// A job of each gateway runs while the rows cannot be read.
func TestEachGatewayRunsWithoutRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gateways(&rows{}, "a")[0]
		g.die()
		ran := make(chan struct{}, 100)
		stop := g.start(Job{Name: "j", Every: time.Minute, EachGateway: true, Run: func(context.Context, *Run) (Result, error) {
			ran <- struct{}{}
			return Result{}, nil
		}})
		defer stop()
		<-ran
		<-ran
	})
}
