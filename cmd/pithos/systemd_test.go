package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// listening returns a listener of this machine and its file.
func listening(t *testing.T) (net.Listener, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(f.Close(), l.Close()) })
	return l, f
}

// TestSocketActivation hands two sockets over, as systemd does, and listens to
// what the process tells systemd.
func TestSocketActivation(t *testing.T) {
	folder := t.TempDir()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notify.Close() })
	public, publicFile := listening(t)
	admin, adminFile := listening(t)
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" serve`, os.Args[0])
	cmd.ExtraFiles = []*os.File{adminFile, publicFile}
	cmd.Env = append([]string{
		"LISTEN_FDS=2", "LISTEN_FDNAMES=admin:pithos.socket", "NOTIFY_SOCKET=" + filepath.Join(folder, "notify"),
		"PITHOS_DATA=" + filepath.Join(folder, "data"), "PITHOS_CONFIGURATION=" + configured(t, "logging: {json: true}"),
	}, rootEnv...)
	p := startProcess(t, cmd)
	if want := "http://" + public.Addr().String(); p.endpoint != want {
		t.Errorf("listens on %s, want %s", p.endpoint, want)
	}
	p.log.await(t, "pithos serves")
	if err := put(t, p.client("demo", "demo-secret"), "k", []byte("x")); err != nil {
		t.Error(err)
	}
	if code, _ := get(t.Context(), "http://"+admin.Addr().String()+"/metrics"); code != 200 {
		t.Errorf("metrics at the socket named admin: %d", code)
	}
	if code := p.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	var told []string
	for len(told) == 0 || !strings.Contains(told[len(told)-1], "STOPPING=1") {
		message := make([]byte, 1024)
		n, err := notify.Read(message)
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, string(message[:n]))
	}
	if len(told) != 3 || !strings.HasPrefix(told[0], "READY=1") || told[1] != "STATUS=serving" {
		t.Errorf("systemd was told %q", told)
	}
}

// TestJournalGetsNoSecret starts for the first time as systemd starts it: with
// an output that it says is the journal's.
func TestJournalGetsNoSecret(t *testing.T) {
	for name, journal := range map[string]bool{"to the journal": true, "elsewhere": false} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			out := filepath.Join(folder, "out")
			writeFile(t, out, "")
			info, err := os.Stat(out)
			if err != nil {
				t.Fatal(err)
			}
			stat := info.Sys().(*syscall.Stat_t)
			stream := fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
			if !journal {
				stream = fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1)
			}
			cmd := exec.Command("/bin/sh", "-c", `exec "$0" serve >`+out, os.Args[0])
			cmd.Env = []string{"JOURNAL_STREAM=" + stream, "PITHOS_LISTEN=127.0.0.1:0", "PITHOS_DATA=" + filepath.Join(folder, "data"),
				"PITHOS_CONFIGURATION=" + configured(t, "logging: {json: true}")}
			p := startProcess(t, cmd)
			line := p.log.await(t, "no access key is configured; using the first one in the data directory")
			if code := p.stop(t); code != exitOK {
				t.Fatalf("exit code %d", code)
			}
			id, secret := printedKey(readFile(t, out))
			if journal != (secret == "") || !journal && id != line["access key"] {
				t.Errorf("printed %q %q, the key is %v", id, secret, line["access key"])
			}
		})
	}
}

func TestSocketsOfOthersAreLeftAlone(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	cases := []struct {
		name, pid, fds, want string
	}{
		{"none", "", "", ""},
		{"for another process", "1", "1", ""},
		{"no number", pid, "many", "want a number"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			public, admin, err := activated(func(name string) string {
				return map[string]string{"LISTEN_PID": c.pid, "LISTEN_FDS": c.fds}[name]
			})
			if public != nil || admin != nil || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v, %v", public, admin, err)
			}
		})
	}
}
