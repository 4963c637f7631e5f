//go:build unix

package cassandratest

import (
	"testing"
	"time"

	"github.com/gocql/gocql"
)

func TestStartAnswersAndKeyspacesAreFresh(t *testing.T) {
	c := Start(t)
	a, b := c.CreateKeyspace(t), c.CreateKeyspace(t)
	if a == b {
		t.Fatalf("two keyspaces share the name %s", a)
	}
	s := c.Session(t)
	if err := s.Query("CREATE TABLE " + a + ".x (k int PRIMARY KEY, v blob)").Exec(); err != nil {
		t.Fatal(err)
	}
	if err := s.Query("INSERT INTO "+a+".x (k, v) VALUES (1, ?)", make([]byte, 1<<20)).Exec(); err != nil {
		t.Fatalf("a chunk of 1 MiB: %v", err)
	}
	if err := s.Query("INSERT INTO " + b + ".x (k) VALUES (1)").Exec(); err == nil {
		t.Error("a table of one keyspace shows in the other")
	}
}

func TestKeyspaceIsDroppedWithItsTest(t *testing.T) {
	c := Start(t)
	var name string
	t.Run("user", func(t *testing.T) { name = c.CreateKeyspace(t) })
	var n int
	err := c.Session(t).Query("SELECT count(*) FROM system_schema.keyspaces WHERE keyspace_name = ?", name).Scan(&n)
	if err != nil || n != 0 {
		t.Errorf("%d keyspaces named %s left behind (%v)", n, name, err)
	}
}

func TestRingSurvivesAKilledNode(t *testing.T) {
	r := StartRing(t, 3)
	ks := r.CreateKeyspace(t)
	s := r.Session(t)
	if err := s.Query("CREATE TABLE " + ks + ".x (k int PRIMARY KEY)").Exec(); err != nil {
		t.Fatal(err)
	}
	r.Nodes[2].Kill()
	insert := func(k int, c gocql.Consistency) error {
		return s.Query("INSERT INTO "+ks+".x (k) VALUES (?)", k).Consistency(c).Exec()
	}
	if err := insert(1, gocql.Quorum); err != nil {
		t.Errorf("two nodes of three are a quorum: %v", err)
	}
	if err := insert(1, gocql.All); err == nil {
		t.Error("a write to ALL succeeded without the third node")
	}
	r.Nodes[2].Restart(t)
	r.WaitUp(t)
	if err := insert(2, gocql.All); err != nil {
		t.Errorf("the restarted node does not take part: %v", err)
	}
}

func TestOwnServerPausesAndResumes(t *testing.T) {
	r := StartOwn(t)
	n := r.Nodes[0]
	n.Pause(t)
	// A paused server accepts connections (the kernel does) but never answers.
	probe := gocql.NewCluster(r.Hosts...)
	probe.Port, probe.Logger = r.Port, silent{}
	if s, err := probe.CreateSession(); err == nil {
		s.Close()
		t.Error("a paused server answered")
	}
	n.Resume(t)
	for end := time.Now().Add(startTimeout); ; time.Sleep(100 * time.Millisecond) {
		err := ping(t.Context(), n.Host, r.Port)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("a resumed server does not answer: %v", err)
		}
	}
}

func TestParseAddrs(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string
		bad  bool
	}{
		{in: "db", want: "db:9042"},
		{in: "127.0.0.1:19042", want: "127.0.0.1:19042"},
		{in: "a:7, b:7", want: "a:7 b:7"},
		{in: "[::1]:9", want: "[::1]:9"},
		{in: "a:7,b:8", bad: true},
		{in: "a,", bad: true},
		{in: "a:0", bad: true},
		{in: "a:70000", bad: true},
	} {
		got, err := parseAddrs(c.in)
		if (err != nil) != c.bad {
			t.Errorf("parseAddrs(%q): %v", c.in, err)
			continue
		}
		var joined string
		for i, a := range got.Addrs() {
			if i > 0 {
				joined += " "
			}
			joined += a
		}
		if !c.bad && joined != c.want {
			t.Errorf("parseAddrs(%q) = %s, want %s", c.in, joined, c.want)
		}
	}
}
