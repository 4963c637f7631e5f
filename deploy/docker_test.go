//go:build unix

package deploy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// section returns the lines of code below a heading of README.md.
func section(t *testing.T, heading string) []string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, "../README.md"), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	var lines []string
	for line := range strings.Lines(body) {
		if code, found := strings.CutPrefix(line, "    "); found {
			lines = append(lines, strings.TrimSpace(code))
		}
	}
	return lines
}

// headOf returns the commands in the comment at the head of a compose file, by
// block. Commands before the one with "compose" belong to its block.
func headOf(t *testing.T, file string) []string {
	t.Helper()
	var blocks []string
	for line := range strings.Lines(read(t, "../"+file)) {
		code, found := strings.CutPrefix(line, "#   ")
		if !found {
			if strings.HasPrefix(line, "#") {
				continue
			}
			break
		}
		if last := len(blocks) - 1; last >= 0 && !strings.Contains(blocks[last], "compose") {
			blocks[last] += "\n" + strings.TrimSpace(code)
			continue
		}
		blocks = append(blocks, strings.TrimSpace(code))
	}
	return blocks
}

func TestREADMERunsTheImageWithKeysAndBuckets(t *testing.T) {
	want := regexp.MustCompile(`^docker run -p 8080:8080 -v pithos:/data -e PITHOS_ACCESS_KEY=\S+ -e PITHOS_SECRET_KEY=\S+ -e PITHOS_BUCKETS=demo localhost/pithos$`)
	lines := section(t, "In containers")
	if lines[0] != "docker build -t localhost/pithos ." {
		t.Errorf("the first line is not the build of the image: %s", lines[0])
	}
	if !slices.ContainsFunc(lines, want.MatchString) {
		t.Errorf("no line is %s: %q", want, lines)
	}
	for _, file := range []string{"compose.yaml", "compose.cassandra.yaml"} {
		if got := headOf(t, file); len(got) == 0 {
			t.Errorf("%s does not say how to start it", file)
		}
	}
}

// docker skips the test without a Docker daemon, and fails it without the image.
func docker(t *testing.T, image string) {
	t.Helper()
	if os.Getenv("PITHOS_TEST_DOCKER") == "" {
		t.Skip("PITHOS_TEST_DOCKER is not set: with it, the Docker daemon that DOCKER_HOST names runs the documented commands on port 8080, and builds the image first where it is 'build'")
	}
	if out, err := exec.CommandContext(t.Context(), "docker", "image", "inspect", image).CombinedOutput(); err != nil {
		t.Fatalf("there must be an image %s: %v\n%s", image, err, out)
	}
}

// runUntilEnd runs a shell command until the test ends, then interrupts it as
// Ctrl-C does. The command must then exit without an error.
func runUntilEnd(t *testing.T, command string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command("bash", "-euc", command)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "..", &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		killer := time.AfterFunc(2*time.Minute, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		defer killer.Stop()
		if err := cmd.Wait(); err != nil && !slices.Contains(interrupted, cmd.ProcessState.ExitCode()) {
			t.Errorf("%s: %v", command, err)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", command, out.String())
		}
	})
}

// interrupted are the exit codes of programs that Ctrl-C stops: the shell itself
// ends by the signal if its child did.
var interrupted = []int{-1, 130}

// bash runs a shell command and returns its output.
func bash(t *testing.T, command string) string {
	t.Helper()
	cmd := exec.Command("bash", "-euc", command)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// eventually repeats a check until it succeeds.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for tick := time.NewTicker(200 * time.Millisecond); !check(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within five minutes", what)
		}
	}
}

func ready() bool {
	answer, err := http.Get("http://127.0.0.1:8080/-/ready")
	if err != nil {
		return false
	}
	defer func() { _ = answer.Body.Close() }()
	return answer.StatusCode == http.StatusOK
}

// putsAndGets puts and gets an object in the bucket demo, which the command has
// created.
func putsAndGets(t *testing.T, key, secret string) {
	t.Helper()
	eventually(t, "http://127.0.0.1:8080/-/ready", ready)
	endpoint, bucket, name := "http://127.0.0.1:8080", "demo", "object"
	client := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, "")})
	want := bytes.Repeat([]byte("pithos "), 1<<20)
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &name, Body: bytes.NewReader(want)}); err != nil {
		t.Fatal(err)
	}
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &name})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	if got, err := io.ReadAll(out.Body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("GET returned %d bytes, want %d: %v", len(got), len(want), err)
	}
}

func TestTheDocumentedContainerServes(t *testing.T) {
	lines := section(t, "In containers")
	if os.Getenv("PITHOS_TEST_DOCKER") == "build" {
		bash(t, lines[0])
	}
	docker(t, "localhost/pithos")
	for _, line := range lines {
		rest, found := strings.CutPrefix(line, "docker run ")
		if !found {
			continue
		}
		t.Run(line, func(t *testing.T) {
			id := filepath.Join(t.TempDir(), "id")
			// Runs after the container has stopped.
			t.Cleanup(func() { bash(t, "docker rm -fv $(cat "+id+")") })
			volume := fmt.Sprintf("pithos-test-%d", os.Getpid())
			t.Cleanup(func() { bash(t, "docker volume rm "+volume) })
			runUntilEnd(t, "docker run --cidfile "+id+" "+strings.Replace(rest, "-v pithos:", "-v "+volume+":", 1))
			value := func(name string) string {
				return regexp.MustCompile(name + `=(\S+)`).FindStringSubmatch(line)[1]
			}
			putsAndGets(t, value("PITHOS_ACCESS_KEY"), value("PITHOS_SECRET_KEY"))
			eventually(t, "health of the container", func() bool {
				return bash(t, "docker inspect -f '{{.State.Health.Status}}' $(cat "+id+")") == "healthy"
			})
		})
	}
}

func TestTheComposeFilesServe(t *testing.T) {
	for file, images := range map[string][]string{"compose.yaml": {"localhost/pithos"}, "compose.cassandra.yaml": {"localhost/pithos", "cassandra:5.0"}} {
		t.Run(file, func(t *testing.T) {
			for _, image := range images {
				docker(t, image)
			}
			project := fmt.Sprintf("pithos-test-%d", os.Getpid())
			t.Setenv("COMPOSE_PROJECT_NAME", project)
			commands := headOf(t, file)
			t.Cleanup(func() {
				bash(t, "PITHOS_ACCESS_KEY=x PITHOS_SECRET_KEY=x docker compose -f "+file+" down --volumes")
			})
			runUntilEnd(t, commands[len(commands)-1]) // the one with an access key
			putsAndGets(t, "demo", "demo-secret")
		})
	}
}
