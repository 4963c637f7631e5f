package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// What came before this version. There is no release yet: testdata/upgrade/previous
// names the last commit before the newest migration of the schema. A release
// puts the commit of the release before it there, and then the data directory
// that it writes:
//
//	go test ./cmd/pithos -run DataDirectoryOfThePreviousVersion -update
const (
	previousCommit    = "testdata/upgrade/previous"
	previousDirectory = "testdata/upgrade/data.tar.gz"
	previousAnswers   = "testdata/upgrade/answers.txt"
)

var (
	builtOnce sync.Once
	built     string // the binary of the previous version
	errBuild  error
)

// previousBinary builds the pithos of before, once. Without the history of
// the repository the test is skipped, and says so.
func previousBinary(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: the previous version is not built")
	}
	commit := strings.TrimSpace(readFile(t, previousCommit))
	if exec.Command("git", "cat-file", "-e", commit+"^{commit}").Run() != nil {
		t.Skipf("the commit %s is not in this clone: the previous version cannot be built", commit)
	}
	builtOnce.Do(func() { built, errBuild = buildPrevious(commit) })
	if errBuild != nil {
		t.Fatal(errBuild)
	}
	return built
}

// buildPrevious returns the binary in a folder of its own, which TestMain's
// process leaves to removePrevious.
func buildPrevious(commit string) (string, error) {
	folder, err := os.MkdirTemp("", "pithos-previous-")
	if err != nil {
		return "", err
	}
	source, binary := filepath.Join(folder, "source.tar"), filepath.Join(folder, "pithos")
	for _, step := range []*exec.Cmd{
		exec.Command("git", "-C", "../..", "archive", "-o", source, commit),
		exec.Command("tar", "-x", "-C", folder, "-f", source),
		exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/pithos"),
	} {
		if step.Args[0] == "go" {
			step.Dir = folder
		}
		if out, err := step.CombinedOutput(); err != nil {
			return "", errors.Join(err, errors.New(string(out)), os.RemoveAll(folder))
		}
	}
	return binary, nil
}

func removePrevious() error {
	if built == "" {
		return nil
	}
	return os.RemoveAll(filepath.Dir(built))
}

// startBinary is startReady for another binary than this one.
func startBinary(t *testing.T, binary, yaml string, env ...string) *process {
	t.Helper()
	cmd := exec.Command(binary, "serve", "-f", configured(t, yaml+"\nlogging: {level: debug, json: true}\n"))
	cmd.Env = append([]string{"PITHOS_LISTEN=127.0.0.1:0"}, env...)
	p := startProcess(t, cmd)
	p.log.await(t, "pithos serves")
	return p
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestDataDirectoryOfThePreviousVersionIsServed opens what the version before
// has written: every answer is as it was then, and all can be changed.
func TestDataDirectoryOfThePreviousVersionIsServed(t *testing.T) {
	if *update {
		recordPrevious(t)
	}
	data := filepath.Join(t.TempDir(), "data")
	unpack(t, previousDirectory, data)
	env := append([]string{"PITHOS_DATA=" + data}, rootEnv...)
	p := startReady(t, "", env...)
	client := p.client("demo", "demo-secret")
	if got, want := answers(t, client), readFile(t, previousAnswers); got != want {
		t.Fatalf("the answers have changed. Now:\n%s\nThen:\n%s", got, want)
	}
	goOn(t, client)
	after := answers(t, client)
	if code := p.stop(t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	p = startReady(t, "", env...)
	if got := answers(t, p.client("demo", "demo-secret")); got != after {
		t.Errorf("after a restart:\n%s\nbefore it:\n%s", got, after)
	}
	if code := p.stop(t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	checked(t, "", env)
}

// TestPreviousVersionServesWhatThisOneWrote goes back, which holds for as
// long as the format of the directory is the same.
func TestPreviousVersionServesWhatThisOneWrote(t *testing.T) {
	previous := previousBinary(t)
	env := append([]string{"PITHOS_DATA=" + filepath.Join(t.TempDir(), "data")}, rootEnv...)
	p := startReady(t, "", env...)
	seed(t, p.client("demo", "demo-secret"))
	want := answers(t, p.client("demo", "demo-secret"))
	if code := p.stop(t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	p = startBinary(t, previous, "", env...)
	if got := answers(t, p.client("demo", "demo-secret")); got != want {
		t.Errorf("the version before answers\n%s\nthis one\n%s", got, want)
	}
	goOn(t, p.client("demo", "demo-secret"))
	if code := p.stop(t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	checked(t, "", env)
}

// checked fails the test unless 'pithos check' finds nothing.
func checked(t *testing.T, yaml string, env []string) {
	t.Helper()
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	if code, out, errText := command("check", "--deep", "-f", configured(t, yaml)); code != exitOK {
		t.Errorf("check: exit code %d\n%s%s", code, out, errText)
	}
}

// recordPrevious has the previous version write a data directory, and keeps it
// with the answers that it gives.
func recordPrevious(t *testing.T) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "recorded")
	p := startBinary(t, previousBinary(t), "", append([]string{"PITHOS_DATA=" + data}, rootEnv...)...)
	seed(t, p.client("demo", "demo-secret"))
	then := answers(t, p.client("demo", "demo-secret"))
	if code := p.stop(t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	if err := errors.Join(os.WriteFile(previousAnswers, []byte(then), 0o644), pack(data, previousDirectory)); err != nil {
		t.Fatal(err)
	}
}

func pack(folder, file string) error {
	var packed bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zipped)
	if err := archive.AddFS(os.DirFS(folder)); err != nil {
		return err
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		return err
	}
	return os.WriteFile(file, packed.Bytes(), 0o644)
}

func unpack(t *testing.T, file, folder string) {
	t.Helper()
	packed, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }() // only read
	zipped, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	root := mustRoot(t, folder)
	defer func() { _ = root.Close() }()
	for archive := tar.NewReader(zipped); ; {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = unpackOne(root, entry, archive)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func mustRoot(t *testing.T, folder string) *os.Root {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func unpackOne(root *os.Root, entry *tar.Header, content io.Reader) error {
	name := strings.TrimSuffix(entry.Name, "/")
	if entry.Typeflag == tar.TypeDir {
		if err := root.Mkdir(name, 0o700); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// tried runs a verb of another binary, and returns exit code and all output.
func tried(t *testing.T, binary, yaml string, env []string, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append(args, "-f", configured(t, yaml))...)
	cmd.Env = append(append(os.Environ(), "PITHOS_LISTEN=127.0.0.1:0"), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func ran(t *testing.T, binary, yaml string, env []string, args ...string) {
	t.Helper()
	if code, out := tried(t, binary, yaml, env, args...); code != exitOK {
		t.Fatalf("%v: exit code %d\n%s", args, code, out)
	}
}
