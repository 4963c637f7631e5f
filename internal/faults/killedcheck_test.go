//go:build unix

package faults

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestACheckThatIsKilledGoesOn kills pithos check again and again, each time
// after another while. In the end it has looked at all that one which was left
// in peace has looked at, and found the same.
func TestACheckThatIsKilledGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for some seconds")
	}
	folder := filepath.Join(t.TempDir(), "data")
	file := embeddedSettings(t, "max-requests: 64", folder)
	g := runEmbedded(t, file)
	makeBuckets(t, g)
	load := startTraffic(t, g.url, 4)
	pauseFor(t, 2*time.Second)
	load.end()
	victim := putLarge(t, g, folder) // not one of the traffic's: those may have been replaced
	g.kill()
	if err := os.Remove(victim); err != nil {
		t.Fatal(err)
	}
	want, from := tellAll(t, file), time.Now()
	whole := tellAll(t, file)
	took := time.Since(from)
	if whole != want {
		t.Fatalf("two checks say two things:\n%s\n%s", want, whole)
	}
	binary, err := pithosBinary()
	if err != nil {
		t.Fatal(err)
	}
	state, killed := filepath.Join(t.TempDir(), "state"), 0
	for range 12 {
		check := exec.Command(binary, "check", "-f", file, "--deep", "--json", "--state", state)
		if err := check.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- check.Wait() }()
		select {
		case <-ended: // it came to its end before
		case <-time.After(took/8 + rand.N(took*3/4)):
			_ = check.Process.Kill() // unless it has ended just now
			<-ended
			killed++
		}
	}
	t.Logf("killed %d times; a whole check takes %v", killed, took.Round(time.Millisecond))
	if got := tellAll(t, file, "--state", state); got != want {
		t.Errorf("after it was killed a check says\n%s\nand not\n%s", got, want)
	}
}

// tellAll is all that a deep check says, but for whether it went on.
func tellAll(t *testing.T, file string, args ...string) string {
	t.Helper()
	binary, err := pithosBinary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, append([]string{"check", "-f", file, "--deep", "--json"}, args...)...).Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 6 {
		t.Fatalf("check: %v, want exit code 6 for what is missing\n%s", err, out)
	}
	return regexp.MustCompile(`,"resumed":true`).ReplaceAllString(string(out), "")
}

// putLarge stores an object whose bytes lie in a file of their own, and returns
// the name of that file. No other client may write meanwhile.
func putLarge(t *testing.T, g *gatewayProcess, folder string) string {
	t.Helper()
	before := largeFiles(t, folder)
	_, err := newClient(g.url, 3).PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("to be lost"),
		Body: bytes.NewReader(make([]byte, 2<<20))})
	if err != nil {
		t.Fatal(err)
	}
	for path := range largeFiles(t, folder) {
		if !before[path] {
			return path
		}
	}
	t.Fatal("no file came with a large object")
	return ""
}

// largeFiles is the set of files that hold the bytes of one object each.
func largeFiles(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // collected meanwhile
		}
		if err == nil && !e.IsDir() && len(e.Name()) == 32 && filepath.Base(filepath.Dir(filepath.Dir(path))) == "large" {
			files[path] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
