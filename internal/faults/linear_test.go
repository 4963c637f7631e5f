//go:build unix

package faults

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/engine"
)

var (
	duration = flag.Duration("faults.duration", 10*time.Second, "how long a run of the clients and their troubles is")
	runs     = flag.Int("faults.runs", 1, "runs, one after another on the same ring")
	seedFlag = flag.Uint64("faults.seed", 0, "seed of the first run, others follow; 0: by chance")
	workers  = flag.Int("faults.workers", 8, "clients")
	keep     = flag.String("faults.keep", "", "folder for the picture of a history that is no good; default: a temporary one")
)

// judgeTime bounds the search for an order of one run's steps.
const judgeTime = 3 * time.Minute

// cluster is a ring with the schema installed.
type cluster struct {
	*cassandratest.Ring
	keyspace string
	cfg      *config.Config
}

// startCluster starts three nodes and installs the schema.
func startCluster(t testing.TB) *cluster {
	t.Helper()
	return newCluster(t, cassandratest.StartRing(t, 3))
}

// newCluster installs the schema on a ring, as bootstrap does with the options
// of [settings].
func newCluster(t testing.TB, ring *cassandratest.Ring, options ...string) *cluster {
	t.Helper()
	c := &cluster{Ring: ring, keyspace: ring.Keyspace(t)}
	c.bootstrap(t, options...)
	return c
}

func (c *cluster) bootstrap(t testing.TB, options ...string) {
	t.Helper()
	file := settings(t, c.Cluster, c.keyspace, "127.0.0.1:1", options...)
	cfg, err := config.Load(file, true, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	c.cfg = &cfg
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if err := engine.Bootstrap(ctx, c.cfg, nil); err != nil {
		t.Fatal(err)
	}
}

// TestClusterUnderFaults is one test, since all of it shares a ring.
func TestClusterUnderFaults(t *testing.T) {
	c := startCluster(t)
	gateways := []*gatewayProcess{
		startGateway(t, c.Cluster, c.keyspace, 0),
		startGateway(t, c.Cluster, c.keyspace, 7*time.Minute),
	}
	makeBuckets(t, gateways[0])
	t.Run("a node down costs no request", func(t *testing.T) { nodeDown(t, c, gateways[0]) })
	t.Run("a lost quorum is told and comes back", func(t *testing.T) { lostQuorum(t, c, gateways[0]) })
	t.Run("histories are linearizable", func(t *testing.T) { histories(t, c, gateways) })
}

func histories(t *testing.T, c *cluster, gateways []*gatewayProcess) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	for run := range *runs {
		ok := t.Run(fmt.Sprintf("seed %d", seed+uint64(run)), func(t *testing.T) {
			h := linearRun(t, gateways, seed+uint64(run), newNemesis(t, c, gateways, seed+uint64(run)))
			if !t.Failed() {
				c.keptWhole(t, client(h))
			}
		})
		if !ok {
			return
		}
	}
}

// linearRun has clients ask while n does what it does, and judges what they saw.
func linearRun(t *testing.T, gateways []*gatewayProcess, seed uint64, n *nemesis) *history {
	h := &history{begun: time.Now()}
	for _, g := range gateways {
		h.urls = append(h.urls, g.url)
	}
	n.begun = h.begun
	ctx, cancel := context.WithTimeout(t.Context(), min(*duration, cmp.Or(n.most, *duration)))
	defer cancel()
	var clients sync.WaitGroup
	for i := range *workers {
		w := newWorker(i, seed, h)
		clients.Go(func() { w.run(ctx) })
	}
	n.run(ctx)
	clients.Wait()
	last := time.Since(h.begun)
	h.readAll(t, last)
	if t.Failed() {
		return h
	}
	t.Logf("%d operations: %v; %d troubles; %v", len(h.ops), h.count(), len(n.told), h.kinds())
	h.judge(t)
	for _, err := range h.torn {
		t.Error(err)
	}
	if t.Failed() {
		for _, line := range n.told {
			t.Log(line)
		}
	}
	return h
}

func client(h *history) *s3.Client { return newClient(h.urls[0], 10) }

// readAll reads every key of the run through each gateway, alone and by a
// listing, when all is well again: what was acknowledged is there.
func (h *history) readAll(t *testing.T, last time.Duration) {
	w := newWorker(*workers, 0, h)
	for round := time.Duration(0); round <= last; round += roundTime {
		keys := keysAt(round)
		for via := range w.gateways {
			in := input{via: fmt.Sprintf("gateway %d, when all is over", via)}
			for _, in.key = range []string{keys[0], keys[len(keys)-1]} { // one of each bucket
				await(t, "list", func() error {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					if !w.list(ctx, via, in, keys) {
						return fmt.Errorf("no answer")
					}
					return nil
				})
			}
			for _, key := range keys {
				in.key = key
				await(t, "get "+key, func() error {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					if !w.get(ctx, via, in) {
						return fmt.Errorf("no answer")
					}
					return nil
				})
			}
		}
	}
}

// judge looks for an order of steps that explains the history.
func (h *history) judge(t *testing.T) {
	begun := time.Now()
	for _, part := range byKey(h.ops) {
		if explained(part) {
			continue
		}
		verdict, info := porcupine.CheckOperationsVerbose(register, part, judgeTime)
		if verdict == porcupine.Ok {
			continue
		}
		folder := *keep
		if folder == "" {
			var err error
			if folder, err = os.MkdirTemp("", "pithos-history-*"); err != nil {
				t.Error(err)
			}
		}
		key := part[0].Input.(input).key
		file := filepath.Join(folder, fmt.Sprintf("history-%d-%s.html", h.begun.Unix(), strings.ReplaceAll(key, "/", "-")))
		if err := porcupine.VisualizePath(register, info, file); err != nil {
			t.Error(err)
		}
		if verdict == porcupine.Unknown {
			t.Errorf("key %s: no verdict within %v: %s", key, judgeTime, file)
			continue
		}
		t.Errorf("the history is not linearizable: see %s\n%s", file, shortest(part))
	}
	t.Logf("judged after %v", time.Since(begun).Round(time.Millisecond))
}

// explained reports whether a key's history can be explained without some of
// the changes whose outcome is unknown. They may all come last, where no read
// sees them: so it then can be explained with them too. If not, that says
// nothing, but mostly this is all it takes, and each of them doubles the search.
func explained(ops []porcupine.Operation) bool {
	seen := map[int]bool{}
	for _, op := range ops {
		in, out := op.Input.(input), op.Output.(output)
		seen[out.value], seen[in.see] = true, true
	}
	for _, deletions := range []bool{false, true} {
		part := slices.DeleteFunc(slices.Clone(ops), func(op porcupine.Operation) bool {
			in := op.Input.(input)
			if op.Output.(output).outcome != unknown {
				return false
			}
			return in.value > absent && !seen[in.value] || in.value <= absent && !deletions
		})
		if porcupine.CheckOperationsTimeout(register, part, judgeTime/6) == porcupine.Ok {
			return true
		}
	}
	return false
}

// shortest tells the beginning of a key's history up to the answer that makes
// it inexplicable.
func shortest(ops []porcupine.Operation) string {
	byReturn := slices.SortedFunc(slices.Values(ops), func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	i := sort.Search(len(byReturn), func(i int) bool { return !porcupine.CheckOperations(register, until(ops, byReturn[i].Return)) })
	part := until(ops, byReturn[min(i, len(ops)-1)].Return)
	slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var text strings.Builder
	fmt.Fprintf(&text, "key %s:\n", ops[0].Input.(input).key)
	for _, op := range part {
		to := "..."
		if op.Return != never {
			to = time.Duration(op.Return).Round(time.Millisecond).String()
		}
		fmt.Fprintf(&text, "%8s - %8s  client %2d: %s\n", time.Duration(op.Call).Round(time.Millisecond), to,
			op.ClientId, describe(op.Input.(input), op.Output.(output)))
	}
	return text.String()
}

// until is what was known of a history at a time.
func until(ops []porcupine.Operation, at int64) []porcupine.Operation {
	var part []porcupine.Operation
	for _, op := range ops {
		switch {
		case op.Call > at, op.Return > at && op.Input.(input).kind.reads():
			continue
		case op.Return > at:
			op.Return, op.Output = never, output{outcome: unknown}
		}
		part = append(part, op)
	}
	return part
}
