package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pithos/pithos/check"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/engine"
)

func TestCheckFindsNothingAndThenWhatWasLost(t *testing.T) {
	onEachEngine(t, func(t *testing.T, yaml string, env []string) {
		for _, variable := range env {
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
		}
		path := configured(t, yaml)
		p := startReady(t, yaml, env...)
		client := p.client("demo", "demo-secret")
		for _, key := range []string{"kept", "lost"} {
			if err := put(t, client, key, bytes.Repeat([]byte(key), 100_000)); err != nil {
				t.Fatal(err)
			}
		}
		code, out, errText := command("check", "-f", path)
		if strings.Contains(strings.Join(env, " "), "CASSANDRA") {
			if code != exitOK || !strings.Contains(out, "nothing is wrong") {
				t.Errorf("beside a server: exit code %d, %s%s", code, out, errText)
			}
		} else if code != exitUnavailable || !strings.Contains(errText, "stopped") {
			t.Errorf("beside a server: exit code %d, %s%s", code, out, errText)
		}
		if code := p.stop(t); code != exitOK {
			t.Errorf("serve: exit code %d", code)
		}
		code, out, errText = command("check", "-f", path, "--deep", "--repair", "--state", filepath.Join(t.TempDir(), "state"))
		if code != exitOK || !strings.Contains(out, "nothing is wrong") || !strings.Contains(out, "2 versions") || !strings.Contains(out, "read 800000 bytes") {
			t.Errorf("exit code %d, %s%s", code, out, errText)
		}

		lose(t, path, "lost")
		code, out, errText = command("check", "-f", path, "--bucket", "demo")
		if code != exitFindings || !strings.Contains(out, `"lost" in bucket demo`) || !strings.Contains(out, "restore") || strings.Contains(out, "kept") {
			t.Errorf("with a blob lost: exit code %d, %s%s", code, out, errText)
		}
		code, out, errText = command("check", "-f", path, "--json")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		var found struct{ Finding check.Finding }
		var last struct{ Summary check.Summary }
		if len(lines) != 2 {
			t.Fatalf("exit code %d, %s%s", code, out, errText)
		}
		err := errors.Join(json.Unmarshal([]byte(lines[0]), &found), json.Unmarshal([]byte(lines[1]), &last))
		if err != nil || code != exitFindings || found.Finding.Key != "lost" || found.Finding.Kind != check.Missing || last.Summary.Versions != 2 {
			t.Errorf("exit code %d, %v, %s%s", code, err, out, errText)
		}
		if code, _, errText := command("check", "-f", path, "--bucket", "no-such-bucket"); code != exitFailure || !strings.Contains(errText, "no-such-bucket") {
			t.Errorf("unknown bucket: exit code %d, %s", code, errText)
		}
	})
}

// lose deletes the blobs of an object behind the store's back.
func lose(t *testing.T, path, key string) {
	t.Helper()
	cfg, err := config.Load(path, true, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(t.Context(), &cfg, engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.Store.Bucket(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	found, err := e.Store.Find(t.Context(), b, key, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, seg := range found.Version.Segments {
		err = errors.Join(err, e.Blobs[seg.Store].Delete(t.Context(), seg.Blob))
	}
	if err := errors.Join(err, e.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestCheckRefusesWhatCannotBe(t *testing.T) {
	if code, _, errText := command("check", "--workers", "0"); code != exitUsage || !strings.Contains(errText, "--workers") {
		t.Errorf("no workers: exit code %d, %s", code, errText)
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	path := configured(t, "embedded: {directory: "+nowhere+"}")
	if code, _, errText := command("check", "-f", path); code != exitUnavailable || !strings.Contains(errText, nowhere) {
		t.Errorf("no store: exit code %d, %s", code, errText)
	}
}

func TestProgressIsALineNowAndThenWhereThereIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	for n := range 100 {
		p.show(check.Progress{Phase: "versions", Done: n, Of: 100, Rows: int64(n)})
	}
	p.show(check.Progress{Phase: "compare", Of: 7})
	p.clear()
	if want := "versions: 0 of 100 parts\ncompare: 0 of 7 parts\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	p.terminal = true
	out.Reset()
	p.show(check.Progress{Phase: "listings", Done: 1, Of: 2, Rows: 5})
	p.clear()
	if text := out.String(); !strings.HasPrefix(text, "\rlistings") || !strings.Contains(text, "50%, 5 rows") || !strings.HasSuffix(text, "\r") {
		t.Errorf("%q", text)
	}
}
