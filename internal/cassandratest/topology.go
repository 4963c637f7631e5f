//go:build unix

package cassandratest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// toolTimeout bounds one command of nodetool.
const toolTimeout = 20 * time.Minute

// StartDatacenters starts a ring over several datacenters, called dc1, dc2 and
// on, with so many nodes in each of them.
func StartDatacenters(t testing.TB, nodes ...int) *Ring {
	t.Helper()
	var of []string
	for i, n := range nodes {
		of = append(of, slices.Repeat([]string{"dc" + strconv.Itoa(i+1)}, n)...)
	}
	return startRing(t, "GossipingPropertyFileSnitch", of...)
}

// writeRack tells the snitch that reads a file where the node is.
func writeRack(cfg nodeConfig) error {
	if cfg.Datacenter == "" {
		return nil
	}
	text := fmt.Sprintf("dc=%s\nrack=rack1\n", cfg.Datacenter)
	return os.WriteFile(filepath.Join(cfg.Dir, "cassandra-rackdc.properties"), []byte(text), 0o644)
}

// joining are the arguments for how a node joins the ring, and for who is to
// manage it.
func (c nodeConfig) joining() []string {
	var args []string
	if !c.Bootstrap {
		args = append(args, "-Dcassandra.consistent.rangemovement=false") // nodes that start empty may start at once
	}
	if c.Replaces != "" {
		args = append(args, "-Dcassandra.replace_address_first_boot="+c.Replaces)
	}
	if c.JMXPort != 0 {
		args = append(args, "-Dcassandra.jmx.local.port="+strconv.Itoa(c.JMXPort))
	}
	return args
}

// Join adds a node to the ring as in production: it takes its share of the
// data from the others. It returns when the node serves.
func (r *Ring) Join(t testing.TB) *Node {
	t.Helper()
	return r.join(t, "")
}

// Replace adds a node in the place of one that was killed.
func (r *Ring) Replace(t testing.TB, dead *Node) *Node {
	t.Helper()
	r.forget(dead)
	return r.join(t, dead.Host)
}

func (r *Ring) join(t testing.TB, replaces string) *Node {
	t.Helper()
	like := r.Nodes[0].p.cfg
	return r.start(t, nodeConfig{Snitch: like.Snitch, Datacenter: like.Datacenter, Bootstrap: true, Replaces: replaces})
}

// Decommission has a node hand its data to the others and leave, and ends it.
func (r *Ring) Decommission(t testing.TB, n *Node) {
	t.Helper()
	n.Nodetool(t, "decommission")
	r.forget(n)
	n.Kill()
}

// forget takes a node that has left off the list.
func (r *Ring) forget(n *Node) {
	r.Nodes = slices.DeleteFunc(r.Nodes, func(o *Node) bool { return o == n })
	r.Hosts = slices.DeleteFunc(r.Hosts, func(h string) bool { return h == n.Host })
}

// Nodetool runs Cassandra's nodetool on the node and returns what it says.
func (n *Node) Nodetool(t testing.TB, args ...string) string {
	t.Helper()
	out, err := n.tool(t.Context(), "org.apache.cassandra.tools.NodeTool",
		append([]string{"-h", loopback, "-p", strconv.Itoa(n.p.cfg.JMXPort)}, args...)...)
	if err != nil {
		t.Fatalf("cassandratest: nodetool %s on %s: %v\n%s", strings.Join(args, " "), n.Host, err, out)
	}
	return out
}

// Load runs Cassandra's sstableloader: it sends the tables that lie in folder,
// whose path ends in keyspace/table, to the ring that the node belongs to.
func (n *Node) Load(t testing.TB, folder string) string {
	t.Helper()
	cfg := n.p.cfg
	out, err := n.tool(t.Context(), "org.apache.cassandra.tools.BulkLoader", "-f", filepath.Join(cfg.Dir, "cassandra.yaml"),
		"-d", cfg.Address, "-p", strconv.Itoa(cfg.Port), "-sp", strconv.Itoa(cfg.StoragePort), folder)
	if err != nil {
		t.Fatalf("cassandratest: sstableloader %s: %v\n%s", folder, err, out)
	}
	return out
}

// DataDir is where the node's keyspaces lie.
func (n *Node) DataDir() string { return filepath.Join(n.p.cfg.Dir, "data", "data") }

// tool runs one of Cassandra's programs.
func (n *Node) tool(ctx context.Context, class string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	options, err := jvmOptions()
	if err != nil {
		return "", err
	}
	dir := n.p.cfg.Dir
	options = append(options, older(n.rt.classPath)...)
	options = append(options, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Duser.home="+dir, "-Dcassandra.storagedir="+filepath.Join(dir, "tool"),
		"-Dlogback.configurationFile="+filepath.Join(dir, "logback.xml"),
		"-cp", dir+string(filepath.ListSeparator)+n.rt.classPath, class)
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, n.rt.java, append(options, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	err = cmd.Run()
	return out.String(), err
}

// PID is the id of the node's process.
func (n *Node) PID() int { return n.p.cmd.Process.Pid }
