//go:build unix

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/cassandratest"
)

// nemesis brings about what a cluster suffers, by chance.
type nemesis struct {
	t        testing.TB
	random   *rand.Rand
	ring     *cassandratest.Ring // nil: there are no nodes
	gateways []*gatewayProcess
	begun    time.Time
	idle     bool          // it leaves all in peace
	most     time.Duration // of a run; 0: as long as the flag says

	mu   sync.Mutex
	told []string
}

func newNemesis(t testing.TB, c *cluster, gateways []*gatewayProcess, seed uint64) *nemesis {
	return &nemesis{t: t, random: rand.New(rand.NewPCG(seed, 0)), ring: c.Ring, gateways: gateways}
}

func (n *nemesis) tell(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, fmt.Sprintf("%5.1fs ", time.Since(n.begun).Seconds())+fmt.Sprintf(format, args...))
}

// some is a time up to d, and at least an eighth of it.
func some(r *rand.Rand, d time.Duration) time.Duration { return d/8 + rand.N(d*7/8) }

// pause waits, and reports whether ctx still holds.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// run troubles nodes and gateways until ctx ends, and leaves all of them
// running. It is called by the goroutine of the test.
func (n *nemesis) run(ctx context.Context) {
	if n.idle {
		<-ctx.Done()
		return
	}
	var others sync.WaitGroup
	random := rand.New(rand.NewPCG(n.random.Uint64(), 1))
	others.Go(func() {
		for pause(ctx, some(random, 3*time.Second)) {
			n.troubleGateway(ctx, random)
		}
	})
	if n.ring != nil {
		for pause(ctx, some(n.random, 2*time.Second)) {
			n.troubleNode(ctx)
		}
		n.ring.WaitUp(n.t)
	}
	others.Wait()
	for _, g := range n.gateways {
		g.awaitReady(n.t)
	}
}

func (n *nemesis) troubleNode(ctx context.Context) {
	i := n.random.IntN(len(n.ring.Nodes))
	node := n.ring.Nodes[i]
	switch k := n.random.IntN(10); {
	case k < 5:
		n.tell("node %d stops", i)
		node.Pause(n.t)
		pause(ctx, some(n.random, 7*time.Second))
		n.tell("node %d goes on", i)
		node.Resume(n.t)
	case k < 7:
		other := n.ring.Nodes[(i+1)%len(n.ring.Nodes)]
		n.tell("node %d and the next stop", i)
		node.Pause(n.t)
		other.Pause(n.t)
		pause(ctx, some(n.random, 3*time.Second))
		n.tell("node %d and the next go on", i)
		node.Resume(n.t)
		other.Resume(n.t)
	default:
		n.tell("node %d is killed", i)
		node.Kill()
		pause(ctx, some(n.random, 3*time.Second))
		node.Restart(n.t)
		n.tell("node %d is back", i)
	}
}

func (n *nemesis) troubleGateway(ctx context.Context, random *rand.Rand) {
	i := random.IntN(len(n.gateways))
	g := n.gateways[i]
	if random.IntN(2) == 0 {
		n.tell("gateway %d stops", i)
		if err := g.signal(syscall.SIGSTOP); err != nil {
			n.t.Error(err)
		}
		pause(ctx, some(random, 5*time.Second))
		n.tell("gateway %d goes on", i)
		if err := g.signal(syscall.SIGCONT); err != nil {
			n.t.Error(err)
		}
		return
	}
	n.tell("gateway %d is killed", i)
	g.kill()
	pause(ctx, some(random, 2*time.Second))
	if err := g.start(); err != nil {
		n.t.Error(err)
	}
	n.tell("gateway %d is back", i)
}
