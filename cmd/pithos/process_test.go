package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/config"
)

// asPithos makes the test binary be pithos: tests that kill it, or look at
// its memory, need a process of its own.
const asPithos = "PITHOS_TEST_AS_PITHOS"

func TestMain(m *testing.M) {
	if os.Getenv(asPithos) != "" {
		main()
		return
	}
	// No configuration of this machine shall reach the tests.
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PITHOS_") && !strings.HasPrefix(name, "PITHOS_TEST_") {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	code := m.Run()
	if err := removePrevious(); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// process is a running 'pithos serve'.
type process struct {
	cmd      *exec.Cmd
	endpoint string
	stdout   *bytes.Buffer
	log      *logLines
	ended    chan error // gets the process's end, once
}

// startServe runs 'pithos serve' with a configuration file and environment,
// on a port that the system chooses, and returns when it listens.
func startServe(t testing.TB, yaml string, env ...string) *process {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pithos.yaml")
	if err := os.WriteFile(path, []byte(yaml+"\nlogging: {level: debug, json: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "serve", "-f", path)
	cmd.Env = append([]string{"PITHOS_LISTEN=127.0.0.1:0"}, env...)
	return startProcess(t, cmd)
}

// startProcess runs a command line that is this test binary's, and returns
// when it listens.
func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, stdout: &bytes.Buffer{}, ended: make(chan error, 1)}
	p.cmd.Env = append(append(os.Environ(), asPithos+"=1"), cmd.Env...)
	p.cmd.Stdout = p.stdout
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.log = readLog(stderr)
	go func() {
		<-p.log.ended // Wait closes the pipe
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // unless it has ended
		<-p.log.ended
		if t.Failed() {
			t.Logf("log of serve:\n%s", p.log.all())
		}
	})
	line := p.log.await(t, "pithos listens")
	p.endpoint, _ = line["address"].(string)
	return p
}

// serving is startServe, which returns when requests can be served.
func startReady(t testing.TB, yaml string, env ...string) *process {
	t.Helper()
	p := startServe(t, yaml, env...)
	p.log.await(t, "pithos serves")
	return p
}

// stop ends the process as an operator does, and returns its exit code.
func (p *process) stop(t testing.TB) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.wait(t)
}

func (p *process) wait(t testing.TB) int {
	t.Helper()
	select {
	case err := <-p.ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(5 * time.Minute):
		t.Fatal("serve does not end")
		return -1
	}
}

// client is an SDK client for the process, without retries.
func (p *process) client(id string, secret config.Secret) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(p.endpoint), Region: "us-east-1", UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(id, secret.Reveal(), ""),
	})
}

// memory is a field of /proc/<pid>/status, in bytes: VmRSS or VmHWM.
func (p *process) memory(t testing.TB, field string) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s", field)
	return 0
}

// get is the status and body of a plain GET; 0 where the server does not answer.
func get(ctx context.Context, url string) (int, string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// logLines collects the lines of a log in JSON.
type logLines struct {
	ended chan struct{}

	mu    sync.Mutex
	more  sync.Cond
	lines []string
	read  bool // to its end
}

func readLog(in io.Reader) *logLines {
	l := &logLines{ended: make(chan struct{})}
	l.more.L = &l.mu
	go func() {
		defer close(l.ended)
		for s := bufio.NewScanner(in); s.Scan(); {
			l.add(s.Text(), false)
		}
		l.add("", true)
	}()
	return l
}

func (l *logLines) add(line string, read bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !read {
		l.lines = append(l.lines, line)
	}
	l.read = read
	l.more.Broadcast()
}

func (l *logLines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// await returns the first line with that message, waiting for it.
func (l *logLines) await(t testing.TB, message string) map[string]any {
	t.Helper()
	return l.awaitAfter(t, message, 0)
}

// awaitMore calls do and returns the next line with that message. Callers must
// have waited for all earlier lines with it.
func (l *logLines) awaitMore(t testing.TB, message string, do func()) map[string]any {
	t.Helper()
	before := strings.Count(l.all(), fmt.Sprintf(`"msg":%q`, message))
	do()
	return l.awaitAfter(t, message, before)
}

// awaitAfter returns the line with that message that comes after the first n.
func (l *logLines) awaitAfter(t testing.TB, message string, n int) map[string]any {
	t.Helper()
	stop := time.AfterFunc(5*time.Minute, func() { l.add("", true) })
	defer stop.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := 0; ; i++ {
		for i == len(l.lines) {
			if l.read {
				t.Fatalf("no line %q in the log:\n%s", message, strings.Join(l.lines, "\n"))
			}
			l.more.Wait()
		}
		var line map[string]any
		if json.Unmarshal([]byte(l.lines[i]), &line) != nil || line["msg"] != message {
			continue
		}
		if n--; n < 0 {
			return line
		}
	}
}
