package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
)

func TestConsoleLinesAreForPeople(t *testing.T) {
	var out bytes.Buffer
	l, err := newLogs(config.Logging{Level: "info", Console: true}, &out)
	if err != nil {
		t.Fatal(err)
	}
	l.Debug("hidden")
	l.Named("gc").Warn("late", zap.Int("rows", 3))
	want := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  WARN  gc  late  \{"rows": 3\}\n$`)
	if !want.MatchString(out.String()) {
		t.Errorf("got %q", out.String())
	}
}

func TestLevelsLetThroughWhatTheyName(t *testing.T) {
	cases := map[string]string{"debug": "diwe", "trace": "diwe", "all": "diwe", "info": "iwe", "warn": "we", "error": "e", "fatal": "", "off": ""}
	for level, want := range cases {
		var out bytes.Buffer
		l, err := newLogs(config.Logging{Level: level, Console: true, JSON: true}, &out)
		if err != nil {
			t.Fatal(err)
		}
		l.Debug("d")
		l.Info("i")
		l.Warn("w")
		l.Error("e")
		var got string
		for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
			var entry struct{ Msg string }
			if line != "" && json.Unmarshal([]byte(line), &entry) != nil {
				t.Fatalf("not JSON: %q", line)
			}
			got += entry.Msg
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", level, got, want)
		}
	}
}

func TestLevelCanBeChangedWhileLogging(t *testing.T) {
	var out bytes.Buffer
	l, err := newLogs(config.Logging{Level: "info", Console: true}, &out)
	if err != nil {
		t.Fatal(err)
	}
	l.Level.SetLevel(zap.DebugLevel)
	if l.Debug("shown"); !strings.Contains(out.String(), "shown") {
		t.Errorf("got %q", out.String())
	}
}

func TestFilesAreAppendedTo(t *testing.T) {
	folder := t.TempDir()
	text, machine := filepath.Join(folder, "text.log"), filepath.Join(folder, "json.log")
	var console bytes.Buffer
	for range 2 {
		l, err := newLogs(config.Logging{Level: "info", Files: []config.LogFile{{Path: text}, {Path: machine, JSON: true}}}, &console)
		if err != nil {
			t.Fatal(err)
		}
		l.Info("started")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{text: "INFO  started", machine: `"msg":"started"`} {
		data, err := os.ReadFile(path)
		if err != nil || strings.Count(string(data), want) != 2 {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
	if console.Len() > 0 {
		t.Errorf("console: false, but it shows %q", console.String())
	}
}

func TestUnusableLogFileIsAMistakeOfTheConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "x.log")
	_, err := newLogs(config.Logging{Level: "info", Files: []config.LogFile{{Path: path}}}, &bytes.Buffer{})
	if err == nil || exitCode(err) != exitConfig || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

// loaded is the configuration that a file's text gives.
func loaded(t *testing.T, text string) config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pithos.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, true, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestOperatorIsWarned(t *testing.T) {
	example := "keystore: {keys: {AKIAIOSFODNN7EXAMPLE: {tenant: t, secret: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}}}\n"
	own := "keystore: {keys: {OWN: {tenant: t, secret: own-secret}}}\n"
	cases := []struct {
		name, file, want string
		warned           bool
	}{
		{"example key on every interface", example + "service: {host: 0.0.0.0}", "AKIAIOSFODNN7EXAMPLE", true},
		{"example key on loopback", example, "AKIAIOSFODNN7EXAMPLE", false},
		{"own key on every interface", own + "service: {host: 0.0.0.0}", "OWN", false},
		{"key without effect", "options: {reporting: true}", "options.reporting", true},
		{"unchecked certificates", "bucketstore: {cluster: a, tls: {enabled: true, verify: false}}", "bucketstore.tls.verify", true},
		{"checked certificates", "bucketstore: {cluster: a, tls: true}", "tls.verify", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := loaded(t, c.file)
			var out bytes.Buffer
			l, err := newLogs(config.Logging{Level: "warn", Console: true}, &out)
			if err != nil {
				t.Fatal(err)
			}
			logConfig(l.Logger, &cfg)
			if got := strings.Contains(out.String(), c.want); got != c.warned {
				t.Errorf("warned %v: %s", got, out.String())
			}
			if strings.Contains(out.String(), "wJalr") || strings.Contains(out.String(), "own-secret") {
				t.Errorf("a secret is logged: %s", out.String())
			}
		})
	}
}
