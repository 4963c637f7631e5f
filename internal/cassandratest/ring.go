//go:build unix

package cassandratest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/internal/freeport"
)

// Ring is a cluster that one test has to itself.
type Ring struct {
	Cluster
	Nodes []*Node

	rt    javaRuntime
	ports [2]int // CQL, and between nodes
	dir   string

	started int // nodes, ever
}

// Node is one server of a Ring.
type Node struct {
	Host string

	rt javaRuntime
	p  *process
}

// StartOwn starts a single server that the test has to itself.
func StartOwn(t testing.TB) *Ring {
	t.Helper()
	return StartRing(t, 1)
}

// StartRing starts a ring of n servers on 127.0.0.1, 127.0.0.2 and on, and
// returns when each sees all others up. They end with the test. It needs
// Java 17 and Maven, and on systems other than Linux the addresses beyond
// 127.0.0.1 have to be configured.
func StartRing(t testing.TB, n int) *Ring {
	t.Helper()
	return startRing(t, "", make([]string, n)...)
}

// StartRackedRing is StartRing with a snitch as production has it: a node that
// is asked for a row which it has answers with its own. (SimpleSnitch always
// asks the same replica.) The datacenter is called 0.
func StartRackedRing(t testing.TB, n int) *Ring {
	t.Helper()
	return startRing(t, "RackInferringSnitch", make([]string, n)...)
}

// startRing starts a node for each of the datacenters named, of which the
// snitch may take no notice.
func startRing(t testing.TB, snitch string, datacenters ...string) *Ring {
	t.Helper()
	notShort(t)
	ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout)
	defer cancel()
	rt, err := resolveJava(ctx)
	if errors.Is(err, errNoJava) {
		giveUp(t, &unavailableError{"a server of the test's own needs Java: " + err.Error()})
	}
	if err != nil {
		t.Fatal(err)
	}
	var hosts []string
	for i := range datacenters {
		hosts = append(hosts, "127.0.0."+strconv.Itoa(i+1))
	}
	ports, err := freeport.Find(2, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	// The directory is made before the Cleanups that stop nodes are registered:
	// they run in reverse order, so it goes when its writers have gone.
	r := &Ring{Cluster: Cluster{Port: ports[0], ownedByTest: true}, rt: rt, ports: [2]int(ports), dir: t.TempDir()}
	for _, dc := range datacenters {
		r.start(t, nodeConfig{Snitch: snitch, Datacenter: dc})
	}
	r.WaitUp(t)
	return r
}

// start starts one more node, of which cfg says what is particular.
func (r *Ring) start(t testing.TB, cfg nodeConfig) *Node {
	t.Helper()
	number := r.started + 1
	r.started = number
	cfg.Address = "127.0.0." + strconv.Itoa(number)
	cfg.Seed = cfg.Address
	if len(r.Hosts) > 0 {
		cfg.Seed = r.Hosts[0]
	}
	cfg.Port, cfg.StoragePort, cfg.HeapMiB, cfg.MemtableMiB = r.ports[0], r.ports[1], 512, 48
	cfg.Dir = filepath.Join(r.dir, fmt.Sprintf("node%d", number))
	jmx, err := freeport.Find(1, loopback)
	if err != nil {
		t.Fatal(err)
	}
	cfg.JMXPort = jmx[0]
	n := r.startNode(t, r.rt, cfg)
	r.Hosts = append(r.Hosts, cfg.Address)
	return n
}

func (r *Ring) startNode(t testing.TB, rt javaRuntime, cfg nodeConfig) *Node {
	t.Helper()
	n := &Node{Host: cfg.Address, rt: rt, p: startHeard(t, rt, cfg)}
	t.Cleanup(func() { n.p.kill() })
	r.Nodes = append(r.Nodes, n)
	return n
}

// Pause stops the node in its tracks: connections stay open, nothing answers.
func (n *Node) Pause(t testing.TB) { t.Helper(); n.send(t, syscall.SIGSTOP) }

// Resume lets a paused node go on.
func (n *Node) Resume(t testing.TB) { t.Helper(); n.send(t, syscall.SIGCONT) }

func (n *Node) send(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := n.p.signal(s); err != nil {
		t.Fatalf("cassandratest: %v to %s: %v", s, n.Host, err)
	}
}

// Kill ends the node at once, paused or not, and returns when it is gone.
func (n *Node) Kill() { n.p.kill() }

// Restart starts a killed node on its old data and address, and returns when
// it answers. Other nodes may need a moment to see it: see Ring.WaitUp.
func (n *Node) Restart(t testing.TB) {
	t.Helper()
	n.p.kill()
	n.p = startHeard(t, n.rt, n.p.cfg)
}

// unheard is what a node says that ends since no other has answered it. With
// the short ring delay of tests it waits for a second or two, which nodes of a
// busy machine may not keep.
const unheard = "Unable to gossip with any peers"

// startHeard starts a server and returns when it answers; one that ended
// unheard is started again.
func startHeard(t testing.TB, rt javaRuntime, cfg nodeConfig) *process {
	t.Helper()
	for try := 1; ; try++ {
		p, err := startProcess(rt, cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = p.waitReady(t.Context())
		if err == nil {
			return p
		}
		p.kill()
		if try == 5 || !strings.Contains(err.Error(), unheard) {
			t.Fatal(err)
		}
	}
}

// WaitUp returns when every node sees every other up.
func (r *Ring) WaitUp(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(startTimeout)
	for _, h := range r.Hosts {
		for {
			err := r.seesAll(h)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("cassandratest: %s does not see the whole ring: %v", h, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// seesAll asks one node for rows at consistency ALL, in a keyspace that every
// server has with three replicas; enough of them to involve each node.
func (r *Ring) seesAll(host string) error {
	s, err := connect([]string{host}, r.Port, "")
	if err != nil {
		return err
	}
	defer s.Close()
	if len(r.Hosts) == 1 {
		return nil // RF 3 has no ALL on one node
	}
	var peers int
	if err := s.Query("SELECT count(*) FROM system.peers_v2").Scan(&peers); err != nil {
		return err
	}
	if peers != len(r.Hosts)-1 {
		return fmt.Errorf("%d peers of %d", peers, len(r.Hosts)-1)
	}
	for i := range 8 * len(r.Hosts) {
		q := "SELECT status FROM system_distributed.view_build_status WHERE keyspace_name = ? AND view_name = 'probe'"
		err := s.Query(q, strconv.Itoa(i)).Consistency(gocql.All).Iter().Close()
		if err != nil {
			return err
		}
	}
	return nil
}
