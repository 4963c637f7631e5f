//go:build unix

package faults

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/cassandratest"
)

var topology = flag.Bool("faults.topology", false, "also test nodes that join, leave and are replaced: six nodes, some minutes")

// TestNodesJoinLeaveAndAreReplacedUnderTraffic carries out what
// docs/operations.md says of the ring's nodes, while clients write: none of
// them sees a failure, and in the end every copy of every byte is in place.
func TestNodesJoinLeaveAndAreReplacedUnderTraffic(t *testing.T) {
	if !*topology {
		t.Skip("takes minutes: -faults.topology")
	}
	c := newCluster(t, cassandratest.StartRackedRing(t, 3))
	g := startGateway(t, c.Cluster, c.keyspace, 0)
	makeBuckets(t, g)
	load := startTraffic(t, g.url, 4)
	step := func(what string, f func()) {
		from := time.Now()
		f()
		c.WaitUp(t)
		load.mu.Lock()
		defer load.mu.Unlock()
		t.Logf("%-30s %5.1f s; %d changes so far, %d failed", what, time.Since(from).Seconds(), load.asked, len(load.failed))
	}
	pauseFor(t, 3*time.Second)
	step("a fourth node joins", func() { c.Join(t) })
	step("cleanup on the others", func() {
		for _, n := range c.Nodes[:3] {
			n.Nodetool(t, "cleanup", c.keyspace)
		}
	})
	step("the second node leaves", func() { c.Decommission(t, c.Nodes[1]) })
	dead := c.Nodes[1]
	dead.Kill()
	pauseFor(t, 2*time.Second)
	others := slices.DeleteFunc(slices.Clone(c.Nodes), func(n *cassandratest.Node) bool { return n == dead })
	for i, n := range others {
		n.Nodetool(t, "repair", "--full", "-hosts", n.Host, "-hosts", others[(i+1)%len(others)].Host, c.keyspace)
	}
	step("a dead node is replaced", func() { c.Replace(t, dead) })
	step("repair of all", func() {
		for _, n := range c.Nodes {
			n.Nodetool(t, "repair", "--full", "-pr", c.keyspace)
		}
	})
	load.end()
	t.Log(c.Nodes[0].Nodetool(t, "status", c.keyspace))
	g.kill()
	file := settings(t, c.Cluster, c.keyspace, freePort(t))
	out, err := runCheck(t, file, "--repair", "--deep")
	if err != nil || !strings.Contains(out, "nothing is wrong") {
		t.Errorf("check --deep: %v\n%s", err, out)
	}
	g = startGateway(t, c.Cluster, c.keyspace, 0)
	verify(t, g.url, load.settled())
}
