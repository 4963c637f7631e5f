package main

import (
	"os"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/cassandratest"
)

// TestHoldsOfBackupsAreManaged tests an engine without a running server, one that
// another process has open, and Cassandra.
func TestHoldsOfBackupsAreManaged(t *testing.T) {
	data, err := os.MkdirTemp("", "pithos-backup-") // the names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	t.Run("embedded", func(t *testing.T) {
		t.Setenv("PITHOS_DATA", data)
		holdsAreManaged(t, "")
	})
	t.Run("beside serve", func(t *testing.T) {
		t.Setenv("PITHOS_DATA", data)
		p := startReady(t, "", rootEnv...)
		holdsAreManaged(t, "")
		if code := p.stop(t); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("cassandra", func(t *testing.T) {
		c := cassandratest.Start(t)
		yaml := "bucketstore: {keyspace: " + c.Keyspace(t) + "}\n"
		bootstrapped(t, yaml, []string{"PITHOS_CASSANDRA_HOST=" + strings.Join(c.Addrs(), ","), "PITHOS_MASTER_KEY=" + testMasterKey})
		holdsAreManaged(t, yaml)
	})
}

func holdsAreManaged(t *testing.T, yaml string) {
	t.Helper()
	path := configured(t, yaml)
	backup := func(wantCode int, want string, args ...string) string {
		t.Helper()
		code, out, errText := command(append(append([]string{"backup"}, args...), "-f", path)...)
		if code != wantCode || !strings.Contains(out+errText, want) {
			t.Fatalf("backup %q: exit code %d, want %d\n%s%s", args, code, wantCode, out, errText)
		}
		return strings.TrimSpace(out)
	}
	const reason = "nightly \n \u202e text"
	hold := backup(exitOK, "", "begin", "--for", "6h", "--reason", reason)
	second := backup(exitOK, "", "begin")
	if len(hold) != 32 || hold == second {
		t.Fatalf("two holds: %q, %q", hold, second)
	}
	status := backup(exitOK, hold, "status")
	if !strings.Contains(status, "6h0m0s") || !strings.Contains(status, "24h0m0s") || strings.Contains(status, "\u202e") {
		t.Errorf("status:\n%s", status)
	}
	backup(exitOK, `"left_seconds":21600`, "status", "--json")
	if _, out, errText := command("check", "-f", path); !strings.Contains(out+errText, "backup") {
		t.Errorf("check does not say that a backup holds blobs:\n%s%s", out, errText)
	}
	backup(exitOK, "", "renew", hold, "--for", "720h")
	backup(exitOK, "720h0m0s", "status")
	backup(exitOK, "", "end", hold)
	const again = "take the backup again"
	backup(exitFailure, again, "end", hold)
	backup(exitFailure, again, "renew", hold)
	for _, id := range []string{"../keys", "%", "a/b?c", strings.Repeat("f", 32), strings.Repeat("0", 10_000)} {
		backup(exitFailure, again, "end", id)
	}
	for _, args := range [][]string{
		{"end"}, {"end", hold, "--all"}, {"renew"}, {"begin", "--for", "1s"}, {"begin", "--for", "-1h"}, {"begin", "--for", "721h"}, {"status", "x"},
	} {
		backup(exitUsage, "", args...)
	}
	backup(exitOK, second, "end", "--all")
	if status := backup(exitOK, "", "status"); strings.Count(status, "\n") != 0 {
		t.Errorf("after the end of all:\n%s", status)
	}
}
