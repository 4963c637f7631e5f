package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/internal/jobs"
	"github.com/pithos/pithos/meta"
)

// TestJobsAreShown of an engine that no process serves, of one that another
// process serves from, and on Cassandra.
func TestJobsAreShown(t *testing.T) {
	data, err := os.MkdirTemp("", "pithos-jobs-") // the names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	t.Run("embedded", func(t *testing.T) {
		t.Setenv("PITHOS_DATA", data)
		recordRun(t, configured(t, ""))
		jobsAreShown(t, "")
	})
	t.Run("while serve runs", func(t *testing.T) {
		t.Setenv("PITHOS_DATA", data)
		p := startReady(t, "", rootEnv...)
		jobsAreShown(t, "")
		if code := p.stop(t); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("cassandra", func(t *testing.T) {
		c := cassandratest.Start(t)
		yaml := "bucketstore: {cluster: '" + strings.Join(c.Addrs(), "', '") + "', keyspace: " + c.Keyspace(t) + "}\n"
		bootstrapped(t, yaml, nil)
		recordRun(t, configured(t, yaml))
		jobsAreShown(t, yaml)
	})
}

// recordRun stores the result of a run, as a gateway does.
func recordRun(t *testing.T, path string) {
	t.Helper()
	cfg, err := config.Load(path, true, os.Getenv)
	assert.NoError(t, err)
	e, err := engine.Open(t.Context(), &cfg, engine.OpenOptions{MetaOnly: true})
	assert.NoError(t, err)
	assert.NoError(t, e.Meta.PutLease(t.Context(), meta.Lease{Job: "tested", Shard: 7, Rev: 1, Holder: "other:1", LastRun: meta.JobRun{
		Started: time.Now().UnixMicro(), Took: 1500 * time.Millisecond, Items: 12, Errors: 3, Backlog: 45, Lag: time.Minute, Error: "no \x1b[31m space",
	}}, 0))
	assert.NoError(t, e.Close())
}

func jobsAreShown(t *testing.T, yaml string) {
	t.Helper()
	path := configured(t, yaml)
	code, out, errText := command("jobs", "-f", path)
	if code != exitOK {
		t.Fatalf("exit code %d, %s%s", code, out, errText)
	}
	for _, want := range []string{"BACKLOG", "tested", "1.5s", "45", "1m0s", "other:1", "failed: "} {
		if !strings.Contains(out, want) {
			t.Errorf("the table has no %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("the table has control characters")
	}
	code, out, errText = command("jobs", "-f", path, "--json")
	var all []jobs.Status
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v, %s%s", code, err, out, errText)
	}
	for _, s := range all {
		if s.Job == "tested" && s.Shard == 7 && s.Holder == "other:1" && s.Items == 12 && s.Errors == 3 && s.Duration == 1.5 && !s.LastRun.IsZero() {
			return
		}
	}
	t.Errorf("the job is not listed: %s", out)
}
