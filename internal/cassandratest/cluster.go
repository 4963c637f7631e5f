//go:build unix

// Package cassandratest gives tests a real Cassandra.
//
// Start returns a server that all test processes of the machine share, so
// that the packages of one "go test ./..." wait for one start between them:
//
//	c := cassandratest.Start(t)
//	session := c.Session(t)
//	keyspace := c.Keyspace(t) // a fresh name; the test creates it
//
// Where the server comes from, in this order:
//
//  1. PITHOS_TEST_CASSANDRA names one: host[:port], comma-separated.
//  2. Docker, when its daemon answers and the image can be had:
//     cassandra:5.0, or the image in PITHOS_TEST_CASSANDRA_IMAGE.
//  3. Java 17 and Maven, which resolves Cassandra's own jars: 5.0.9, or the
//     version in PITHOS_TEST_CASSANDRA_VERSION.
//
// With none of these the test is skipped, or fails if
// PITHOS_TEST_CASSANDRA_REQUIRED=1 is set, as in CI. With the flag -short every
// test that asks this package for a server is skipped, and none is started.
//
// The shared server belongs to a supervisor process. Each test process holds
// a lock on a lease file until it ends, in whatever way; when no process has held
// one for PITHOS_TEST_CASSANDRA_IDLE (default 3m), the supervisor ends the
// server, removes its data and ends itself.
//
// StartRing, StartDatacenters and StartOwn start servers for one test alone,
// which it may pause, kill and restart, and whose ring it may change; nodetool
// and sstableloader come from the same jars. They need Java 17 and Maven.
package cassandratest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gocql/gocql"
)

const (
	loopback    = "127.0.0.1"
	defaultPort = 9042

	envAddresses = "PITHOS_TEST_CASSANDRA"
	envImage     = "PITHOS_TEST_CASSANDRA_IMAGE"
	envRequired  = "PITHOS_TEST_CASSANDRA_REQUIRED"
	envIdle      = "PITHOS_TEST_CASSANDRA_IDLE"
)

// Cluster says where a Cassandra listens. All hosts share the port.
type Cluster struct {
	Hosts []string
	Port  int

	ownedByTest bool // gone with the test: nothing to clean up in it
}

// Addrs returns the contact points as host:port.
func (c Cluster) Addrs() []string {
	addrs := make([]string, len(c.Hosts))
	for i, h := range c.Hosts {
		addrs[i] = net.JoinHostPort(h, strconv.Itoa(c.Port))
	}
	return addrs
}

// Session returns a small session bound to no keyspace, closed when the test
// ends. Its consistency is ONE; DDL through it awaits schema agreement.
func (c Cluster) Session(t testing.TB) *gocql.Session {
	t.Helper()
	s, err := connect(c.Hosts, c.Port, "")
	if err != nil {
		t.Fatalf("cassandratest: connect to %s: %v", strings.Join(c.Addrs(), ","), err)
	}
	t.Cleanup(s.Close)
	return s
}

// Keyspace returns a fresh, unique keyspace name. The keyspace does not exist
// yet; if it does when the test ends, it is dropped.
func (c Cluster) Keyspace(t testing.TB) string {
	t.Helper()
	b := make([]byte, 8)
	rand.Read(b) // never fails
	name := "test_" + hex.EncodeToString(b)
	if c.ownedByTest {
		return name
	}
	t.Cleanup(func() { c.drop(t, name) })
	return name
}

// CreateKeyspace creates a keyspace as Keyspace names it, with one replica
// per host, and drops it when the test ends.
func (c Cluster) CreateKeyspace(t testing.TB) string {
	t.Helper()
	name := c.Keyspace(t)
	ddl := fmt.Sprintf("CREATE KEYSPACE %s WITH replication = {'class': 'SimpleStrategy', 'replication_factor': %d}",
		name, min(3, len(c.Hosts)))
	if err := c.Session(t).Query(ddl).Exec(); err != nil {
		t.Fatalf("cassandratest: create keyspace: %v", err)
	}
	return name
}

func (c Cluster) drop(t testing.TB, keyspace string) {
	s, err := connect(c.Hosts, c.Port, "")
	if err != nil {
		t.Logf("cassandratest: keyspace %s stays behind: %v", keyspace, err)
		return
	}
	defer s.Close()
	if err := s.Query("DROP KEYSPACE IF EXISTS " + keyspace).Exec(); err != nil {
		t.Logf("cassandratest: keyspace %s stays behind: %v", keyspace, err)
	}
}

// started remembers this process's shared server.
var started struct {
	sync.Mutex
	cluster *Cluster
}

// Start returns the Cassandra that tests share, starting it if need be. It
// skips the test, or fails it, where there is none to be had; under -short it
// always skips.
func Start(t testing.TB) Cluster {
	t.Helper()
	notShort(t)
	started.Lock()
	defer started.Unlock()
	if started.cluster != nil {
		return *started.cluster
	}
	var c Cluster
	var err error
	if addrs := os.Getenv(envAddresses); addrs != "" {
		c, err = external(t, addrs)
	} else {
		c, err = shared()
	}
	if err != nil {
		giveUp(t, err)
	}
	started.cluster = &c
	return c
}

func external(t testing.TB, addrs string) (Cluster, error) {
	c, err := parseAddrs(addrs)
	if err != nil {
		return Cluster{}, fmt.Errorf("%s: %w", envAddresses, err)
	}
	if err := ping(t.Context(), c.Hosts[0], c.Port); err != nil {
		return Cluster{}, fmt.Errorf("%s=%s does not answer: %w", envAddresses, addrs, err)
	}
	return c, nil
}

// parseAddrs reads host[:port], comma-separated. One port serves all hosts.
func parseAddrs(addrs string) (Cluster, error) {
	c := Cluster{}
	for addr := range strings.SplitSeq(addrs, ",") {
		addr = strings.TrimSpace(addr)
		host, port := addr, defaultPort
		if h, p, err := net.SplitHostPort(addr); err == nil {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil || n == 0 {
				return Cluster{}, fmt.Errorf("%q: the port must be a number from 1 to 65535", addr)
			}
			host, port = h, int(n)
		}
		if host == "" {
			return Cluster{}, fmt.Errorf("%q has an empty host", addrs)
		}
		if c.Port != 0 && c.Port != port {
			return Cluster{}, fmt.Errorf("%q: all hosts must share one port", addrs)
		}
		c.Hosts, c.Port = append(c.Hosts, host), port
	}
	return c, nil
}
