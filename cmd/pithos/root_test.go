package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/pithos/pithos/config"
)

// command runs a command line and returns exit code, stdout and stderr.
func command(args ...string) (int, string, string) {
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// withVerb adds a verb for the time of a test.
func withVerb(t *testing.T, run func(cmd *cobra.Command, args []string) error) {
	t.Helper()
	before := verbs
	t.Cleanup(func() { verbs = before })
	verbs = append(verbs[:len(verbs):len(verbs)], func() *cobra.Command {
		cmd := &cobra.Command{Use: "trial <name>", Args: cobra.ExactArgs(1), RunE: run}
		cmd.Flags().Int("number", 0, "a number")
		return cmd
	})
}

func TestEveryVerbHelpsANewcomer(t *testing.T) {
	var started bool
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Name() == "completion" || c.Name() == "help" {
			return // cobra's own
		}
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s lacks a short text, a long text or examples", c.CommandPath())
		}
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit(newRootCommand(io.Discard, io.Discard, &started))
}

func TestHelpDocumentsExitCodesAndEnvironment(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {}} {
		code, out, _ := command(args...)
		if code != exitOK {
			t.Errorf("%v: exit code %d", args, code)
		}
		for _, m := range exitMeanings {
			if !strings.Contains(out, fmt.Sprintf("  %-4d %s\n", m.code, m.meaning)) {
				t.Errorf("%v: code %d is not documented", args, m.code)
			}
		}
		for _, variable := range environmentVariables(t) {
			if !strings.Contains(out, variable) {
				t.Errorf("%v: %s is not documented", args, variable)
			}
		}
	}
}

// environmentVariables reads the variables from the configuration's reference.
func environmentVariables(t *testing.T) []string {
	t.Helper()
	_, table, found := strings.Cut(config.Reference(), "## Environment")
	var names []string
	for _, line := range strings.Split(table, "\n") {
		if rest, ok := strings.CutPrefix(line, "| `PITHOS_"); ok {
			name, _, _ := strings.Cut(rest, "`")
			names = append(names, "PITHOS_"+name)
		}
	}
	if !found || len(names) < 10 {
		t.Fatalf("found only %v", names)
	}
	return names
}

func TestUsageMistakesExitWith2AndPointToHelp(t *testing.T) {
	withVerb(t, func(*cobra.Command, []string) error { return nil })
	cases := map[string][]string{
		"unknown verb":     {"nonsense"},
		"unknown flag":     {"version", "--nonsense"},
		"stray argument":   {"version", "stray"},
		"missing argument": {"trial"},
		"flag's type":      {"trial", "x", "--number", "many"},
		"flag's value":     {"version", "--config"},
	}
	for name, args := range cases {
		t.Run(name, func(t *testing.T) {
			code, out, errText := command(args...)
			if code != exitUsage || out != "" {
				t.Errorf("exit code %d, stdout %q", code, out)
			}
			if !strings.HasPrefix(errText, "pithos: ") || !strings.Contains(errText, "--help' for usage.") {
				t.Errorf("stderr %q", errText)
			}
		})
	}
}

func TestMisspelledVerbIsGuessed(t *testing.T) {
	if _, _, errText := command("versoin"); !strings.Contains(errText, "version") {
		t.Errorf("stderr %q", errText)
	}
}

func TestErrorsLeadToTheirExitCodes(t *testing.T) {
	cases := []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, exitOK},
		{"any", errors.New("x"), exitFailure},
		{"coded", withCode(exitUnavailable, errors.New("x")), exitUnavailable},
		{"coded and wrapped", fmt.Errorf("y: %w", withCode(exitSchema, errors.New("x"))), exitSchema},
		{"coded nil", withCode(exitSchema, nil), exitOK},
		{"configuration", config.Errors{{File: "f", Problem: "p"}}, exitConfig},
		{"cancelled", fmt.Errorf("y: %w", context.Canceled), exitInterrupted},
		{"code wins over kind", withCode(exitFailure, context.Canceled), exitFailure},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			withVerb(t, func(*cobra.Command, []string) error { return c.err })
			code, _, errText := command("trial", "x")
			if code != c.want {
				t.Errorf("exit code %d, want %d", code, c.want)
			}
			if (errText == "") != (c.err == nil) {
				t.Errorf("stderr %q", errText)
			}
		})
	}
}

func TestWrongConfigurationExitsWith3AndNamesEachMistake(t *testing.T) {
	withVerb(t, func(cmd *cobra.Command, _ []string) error {
		_, err := loadConfig(cmd)
		return err
	})
	path := filepath.Join(t.TempDir(), "pithos.yaml")
	if err := os.WriteFile(path, []byte("service:\n  prot: 1\n  hots: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{"before the verb": {"-f", path, "trial", "x"}, "after it": {"trial", "x", "--config=" + path}} {
		t.Run(name, func(t *testing.T) {
			code, _, errText := command(args...)
			if code != exitConfig {
				t.Errorf("exit code %d", code)
			}
			for _, want := range []string{"pithos: " + path + ":2: service.prot", "pithos: " + path + ":3: service.hots", "docs/configuration.md"} {
				if !strings.Contains(errText, want) {
					t.Errorf("%q is missing in %q", want, errText)
				}
			}
		})
	}
}

func TestConfigurationFromVariableWhereNoFlagIsGiven(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pithos.yaml")
	if err := os.WriteFile(path, []byte("service: {port: 4711}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PITHOS_CONFIGURATION", path)
	withVerb(t, func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		fmt.Fprint(cmd.OutOrStdout(), cfg.Service.Port)
		return err
	})
	if code, out, errText := command("trial", "x"); code != exitOK || out != "4711" {
		t.Errorf("exit code %d, %q, %q", code, out, errText)
	}
}

func TestCompletionForEveryShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, _ := command("completion", shell); code != exitOK || !strings.Contains(out, "pithos") {
			t.Errorf("%s: exit code %d, %d bytes", shell, code, len(out))
		}
	}
}

func TestVersion(t *testing.T) {
	code, out, _ := command("version")
	if code != exitOK || !strings.HasPrefix(out, "pithos ") {
		t.Errorf("exit code %d, %q", code, out)
	}
	_, short, _ := command("--version")
	if !strings.Contains(short, currentBuild().Version) {
		t.Errorf("--version says %q", short)
	}
	_, out, _ = command("version", "--json")
	var b build
	if err := json.Unmarshal([]byte(out), &b); err != nil || b != currentBuild() {
		t.Errorf("%q: %+v, %v", out, b, err)
	}
}

func TestBuildIsDescribedByReleaseThenModuleThenCommit(t *testing.T) {
	info := &debug.BuildInfo{
		Main: debug.Module{Version: "v1.0.0"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
		},
	}
	if b := describeBuild(info, "v2.0.0"); b.Version != "v2.0.0" {
		t.Errorf("release: %+v", b)
	}
	b := describeBuild(info, "")
	if b.Version != "v1.0.0" || b.Commit != "abc" || !b.Modified {
		t.Errorf("module: %+v", b)
	}
	var out bytes.Buffer
	if err := b.print(&out); err != nil || !strings.Contains(out.String(), "commit abc of 2026-01-02T03:04:05Z, with local changes\n") {
		t.Errorf("%q, %v", out.String(), err)
	}
	for _, v := range []string{"", "(devel)"} {
		if b := describeBuild(&debug.BuildInfo{Main: debug.Module{Version: v}}, ""); b.Version != "development" {
			t.Errorf("%q: %+v", v, b)
		}
	}
}
