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

var topology = flag.Bool("faults.topology", false, "also test nodes that join, leave and are replaced, which takes minutes")

// changing is a ring that changes while clients write.
type changing struct {
	*cluster
	t       *testing.T
	gateway *gatewayProcess
	load    *traffic
}

// changeRing starts three nodes and the traffic.
func changeRing(t *testing.T) *changing {
	if !*topology {
		t.Skip("takes minutes: -faults.topology")
	}
	c := &changing{cluster: newCluster(t, cassandratest.StartRackedRing(t, 3)), t: t}
	c.gateway = startGateway(t, c.Cluster, c.keyspace, 0)
	makeBuckets(t, c.gateway)
	c.load = startTraffic(t, c.gateway.url, 4)
	pauseFor(t, 3*time.Second)
	return c
}

// step does something to the ring.
func (c *changing) step(what string, f func()) {
	from := time.Now()
	f()
	c.load.mu.Lock()
	defer c.load.mu.Unlock()
	c.t.Logf("%-30s %5.1f s; %d changes so far, %d failed", what, time.Since(from).Seconds(), c.load.asked, len(c.load.failed))
}

// settle ends the traffic, none of which has failed, and holds that every copy
// of every byte is in place.
func (c *changing) settle() {
	t := c.t
	c.WaitUp(t)
	c.step("repair of all", func() {
		for _, n := range c.Nodes {
			n.Nodetool(t, fromPage(t, "nodetool repair --full -pr <keyspace>", "<keyspace>", c.keyspace)...)
		}
	})
	c.load.end()
	t.Log(c.Nodes[0].Nodetool(t, "status", c.keyspace))
	c.gateway.kill()
	file := settings(t, c.Cluster, c.keyspace, freePort(t))
	out, err := runCheck(t, file, "--repair", "--deep")
	if err != nil || !strings.Contains(out, "nothing is wrong") {
		t.Errorf("check --deep: %v\n%s", err, out)
	}
	verify(t, startGateway(t, c.Cluster, c.keyspace, 0).url, c.load.settled())
}

// TestNodesJoinAndLeaveUnderTraffic and the next test carry out what
// docs/operations.md says of the ring's nodes.
func TestNodesJoinAndLeaveUnderTraffic(t *testing.T) {
	c := changeRing(t)
	c.step("a fourth node joins", func() { c.Join(t) })
	c.WaitUp(t)
	c.step("cleanup on the others", func() {
		for _, n := range c.Nodes[:3] {
			n.Nodetool(t, fromPage(t, "nodetool cleanup")...)
		}
	})
	fromPage(t, "nodetool decommission") // is what it leaves by
	c.step("the second node leaves", func() { c.Decommission(t, c.Nodes[1]) })
	c.settle()
}

func TestADeadNodeIsReplacedUnderTraffic(t *testing.T) {
	c := changeRing(t)
	dead := c.Nodes[1]
	dead.Kill()
	pauseFor(t, 2*time.Second)
	c.step("the others are repaired", func() {
		others := slices.DeleteFunc(slices.Clone(c.Nodes), func(n *cassandratest.Node) bool { return n == dead })
		for i, n := range others {
			n.Nodetool(t, fromPage(t, "nodetool repair --full -hosts <it> -hosts <another> <keyspace>",
				"<it>", n.Host, "<another>", others[(i+1)%len(others)].Host, "<keyspace>", c.keyspace)...)
		}
	})
	c.step("the dead node is replaced", func() { c.Replace(t, dead) })
	c.settle()
}
