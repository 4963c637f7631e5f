//go:build unix

package test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// node is a pod of Cassandra as start.sh finds it. All addresses are of the
// loopback network; no process listens there on Cassandra's ports.
type node struct {
	serving, all string // addresses of the two services, one a line
	joined       bool
	// onLine, if set, is called with each line that the script prints. It may
	// change the addresses of the services: files in dir.
	onLine func(dir, line string)
}

const fakeGetent = `#!/bin/sh
[ "$1" = ahosts ] && cat "$FAKE/$2" | while read -r a; do echo "$a STREAM $2"; echo "$a DGRAM"; done
`

const fakeEntrypoint = `#!/bin/sh
echo "started: $* with seeds $CASSANDRA_SEEDS"
`

// start runs start.sh as 127.9.0.5 until it becomes Cassandra.
func (n node) start(t *testing.T) string {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash on this machine")
	}
	dir := t.TempDir()
	script := find[*corev1.ConfigMap](t, plain(t), "cassandra-start").Data["start.sh"]
	write(t, filepath.Join(dir, "start.sh"), script)
	write(t, filepath.Join(dir, "getent"), fakeGetent)
	write(t, filepath.Join(dir, "docker-entrypoint.sh"), fakeEntrypoint)
	write(t, filepath.Join(dir, "cassandra"), n.serving)
	write(t, filepath.Join(dir, "cassandra-nodes"), n.all)
	write(t, filepath.Join(dir, "cassandra.yaml"), "cluster_name: c\n")
	if n.joined {
		write(t, filepath.Join(dir, "joined"), "")
	}
	cmd := exec.CommandContext(t.Context(), bash, filepath.Join(dir, "start.sh"))
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "FAKE=" + dir, "CASSANDRA_DATA=" + dir, "CASSANDRA_CONF=" + dir,
		"POD_IP=127.9.0.5", "FOUNDER_WAIT=1", "TURN_WAIT=1", "STEP=1"}
	// The loop that waits for the clients' port outlives the script. It is
	// killed with the process group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	var text strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if n.onLine != nil {
			n.onLine(dir, lines.Text())
		}
		if strings.HasPrefix(lines.Text(), "started: ") {
			break
		}
	}
	conf, err := os.ReadFile(filepath.Join(dir, "cassandra.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(conf), "\npaxos_variant: v2\n") != 1 {
		t.Errorf("cassandra.yaml is\n%s", conf)
	}
	return text.String()
}

func TestNodesFindTheirRing(t *testing.T) {
	for name, c := range map[string]struct {
		node  node
		seeds string
	}{
		"a single node founds the ring":               {node{all: "127.9.0.5\n"}, "127.9.0.5"},
		"a new node takes the serving nodes as seeds": {node{serving: "127.9.0.3\n127.9.0.7\n", all: "127.9.0.3\n127.9.0.5\n127.9.0.7\n"}, "127.9.0.3,127.9.0.7"},
		"a new node is never its own seed":            {node{serving: "127.9.0.5\n127.9.0.7\n", all: "127.9.0.5\n127.9.0.7\n"}, "127.9.0.7"},
		"three seeds are enough":                      {node{serving: "127.9.0.1\n127.9.0.2\n127.9.0.3\n127.9.0.4\n", all: "127.9.0.1\n127.9.0.2\n127.9.0.3\n127.9.0.4\n127.9.0.5\n"}, "127.9.0.1,127.9.0.2,127.9.0.3"},
		"the lowest of several new nodes founds":      {node{all: "127.9.0.5\n127.9.0.7\n"}, "127.9.0.5"},
		"a new node does not wait for ever":           {node{serving: "127.9.0.7\n", all: "127.9.0.1\n127.9.0.5\n127.9.0.7\n"}, "127.9.0.7"},
		"a joined node starts though no node serves":  {node{all: "127.9.0.3\n127.9.0.5\n", joined: true}, "127.9.0.5,127.9.0.3"},
		"a joined node starts alone":                  {node{all: "127.9.0.5\n", joined: true}, "127.9.0.5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := "started: cassandra -f with seeds " + c.seeds + "\n"
			if got := c.node.start(t); !strings.HasSuffix(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestOnlyTheLowestOfSeveralFoundsTheRing(t *testing.T) {
	t.Parallel()
	waited := 0
	n := node{all: "127.9.0.3\n127.9.0.5\n"}
	n.onLine = func(dir, line string) {
		if strings.Contains(line, "founding") {
			t.Error("the node founds a second ring")
		}
		if waited++; waited == 4 { // three times FOUNDER_WAIT
			write(t, filepath.Join(dir, "cassandra"), "127.9.0.3\n")
		}
	}
	if got := n.start(t); !strings.HasSuffix(got, "with seeds 127.9.0.3\n") || waited < 4 {
		t.Errorf("after %d lines: %q", waited, got)
	}
}

func TestAllNodesStartByTheSameScript(t *testing.T) {
	want := find[*corev1.ConfigMap](t, plain(t), "cassandra-start").Data["start.sh"]
	if text(t, chartDir+"/files/start.sh") != want {
		t.Error("charts/pithos/files/start.sh differs from the script in k8s/cassandra/cassandra-controller.yaml")
	}
}

func TestScriptsParse(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash on this machine")
	}
	for _, script := range []string{"../e2e.sh", "../e2e-docs.sh", "../e2e-existing.sh", "../e2e-guards.sh", chartDir + "/files/start.sh"} {
		if out, err := exec.CommandContext(t.Context(), bash, "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
}
