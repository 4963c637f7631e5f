//go:build unix

package cassandratest

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/gocql/gocql"
)

//go:embed conf
var confFS embed.FS

var yamlTemplate = template.Must(template.ParseFS(confFS, "conf/cassandra.yaml.tmpl"))

// startTimeout bounds one server's start: 5 s on an idle machine, far more on
// one that compiles and tests at the same time.
const startTimeout = 10 * time.Minute

// fetchTimeout bounds finding a server's jars, which may have to be downloaded.
const fetchTimeout = 10 * time.Minute

// joinTimeout bounds the start of a server that takes its data from others: a
// minute of it is Cassandra's own patience.
const joinTimeout = 20 * time.Minute

// nodeConfig says how one server process runs.
type nodeConfig struct {
	// More are lines for the end of cassandra.yaml, and access lets the
	// harness in where these keep it out.
	More   string
	access func(*gocql.ClusterConfig)

	Address     string // loopback address to bind to
	Seed        string // address of the ring's first node
	Port        int    // CQL
	StoragePort int    // between nodes
	HeapMiB     int
	MemtableMiB int
	Dir         string // data, configuration and log
	FullJIT     bool   // slower to start, faster in the long run
	Snitch      string // how replicas are ordered; "" is SimpleSnitch

	Datacenter string // for GossipingPropertyFileSnitch
	JMXPort    int    // for nodetool, on 127.0.0.1; 0: none
	Bootstrap  bool   // it takes its data from the others before it serves
	Replaces   string // address of the dead node whose place it takes
}

// process is one running server.
type process struct {
	cfg  nodeConfig
	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone
	err  error         // its exit, once done is closed
}

// startProcess writes the configuration into cfg.Dir, starts a server on it
// and returns at once: see waitReady.
func startProcess(rt javaRuntime, cfg nodeConfig) (*process, error) {
	args, err := writeConf(rt, cfg)
	if err != nil {
		return nil, fmt.Errorf("cassandratest: write configuration: %w", err)
	}
	log, err := os.OpenFile(cfg.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cassandratest: %w", err)
	}
	defer log.Close()
	p := &process{cfg: cfg, cmd: exec.Command(rt.java, args...), done: make(chan struct{})}
	p.cmd.Dir = cfg.Dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = childAttr()
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cassandratest: start %s: %w", rt.java, err)
	}
	return p, nil
}

// run starts the process and waits for its end on one thread of its own: on
// Linux the process dies with the thread that started it (see childAttr).
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

func (c nodeConfig) logFile() string { return filepath.Join(c.Dir, "cassandra.log") }

func writeConf(rt javaRuntime, cfg nodeConfig) (args []string, err error) {
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, err
	}
	var yaml bytes.Buffer
	if err := yamlTemplate.Execute(&yaml, cfg); err != nil {
		return nil, err
	}
	yamlFile, logback := filepath.Join(cfg.Dir, "cassandra.yaml"), filepath.Join(cfg.Dir, "logback.xml")
	if err := os.WriteFile(yamlFile, yaml.Bytes(), 0o644); err != nil {
		return nil, err
	}
	logbackXML, err := confFS.ReadFile("conf/logback.xml")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(logback, logbackXML, 0o644); err != nil {
		return nil, err
	}
	if err := writeRack(cfg); err != nil {
		return nil, err
	}
	args, err = jvmOptions()
	if err != nil {
		return nil, err
	}
	args = append(args, cfg.joining()...)
	args = append(args, older(rt.classPath)...)
	if !cfg.FullJIT {
		args = append(args, "-XX:TieredStopAtLevel=1")
	}
	return append(args,
		"-Xms"+strconv.Itoa(cfg.HeapMiB/4)+"m", "-Xmx"+strconv.Itoa(cfg.HeapMiB)+"m",
		"-XX:MaxDirectMemorySize="+strconv.Itoa(cfg.HeapMiB)+"m",
		"-Dcassandra.config=file://"+yamlFile,
		"-Dcassandra.storagedir="+filepath.Join(cfg.Dir, "data"),
		"-Dcassandra.logdir="+cfg.Dir,
		"-Dlogback.configurationFile="+logback,
		"-cp", cfg.Dir+string(filepath.ListSeparator)+rt.classPath, "org.apache.cassandra.service.CassandraDaemon"), nil
}

func jvmOptions() ([]string, error) {
	b, err := confFS.ReadFile("conf/jvm.options")
	if err != nil {
		return nil, err
	}
	var args []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			args = append(args, line)
		}
	}
	return args, nil
}

// waitReady returns once the server answers a query, or with the end of its
// log when it dies or takes too long.
func (p *process) waitReady(ctx context.Context) error {
	wait := startTimeout
	if p.cfg.Bootstrap {
		wait = joinTimeout // it takes its data before
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		err := ping(ctx, p.cfg.Address, p.cfg.Port, p.cfg.access)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("cassandratest: server on %s exited while starting: %v\n%s", p.addr(), p.err, p.logTail())
		case <-ctx.Done():
			return fmt.Errorf("cassandratest: server on %s does not answer: %v\n%s", p.addr(), err, p.logTail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *process) addr() string { return net.JoinHostPort(p.cfg.Address, strconv.Itoa(p.cfg.Port)) }

func (p *process) logTail() []byte {
	b, err := os.ReadFile(p.cfg.logFile())
	if err != nil {
		return []byte(err.Error())
	}
	return tail(b, 4000)
}

// signal sends s to the process; one that is gone already is no error.
func (p *process) signal(s syscall.Signal) error {
	err := p.cmd.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL) // fails only when it is gone already
	<-p.done
}

// ping asks one server for its release version, past no other server.
func ping(ctx context.Context, host string, port int, access ...func(*gocql.ClusterConfig)) error {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	c.Close()
	s, err := connect([]string{host}, port, "", access...)
	if err != nil {
		return err
	}
	defer s.Close()
	var version string
	return s.Query("SELECT release_version FROM system.local").WithContext(ctx).Scan(&version)
}

// connect opens a small session that speaks to the named hosts only.
func connect(hosts []string, port int, keyspace string, access ...func(*gocql.ClusterConfig)) (*gocql.Session, error) {
	cfg := gocql.NewCluster(hosts...)
	cfg.Port = port
	cfg.Keyspace = keyspace
	cfg.ProtoVersion = 4
	cfg.NumConns = 1
	cfg.DisableInitialHostLookup = len(hosts) == 1
	cfg.Consistency = gocql.One
	cfg.ConnectTimeout = 10 * time.Second
	cfg.Timeout = 60 * time.Second // DDL on a busy machine
	cfg.MaxWaitSchemaAgreement = 5 * time.Minute
	cfg.Logger = silent{}
	for _, let := range access {
		if let != nil {
			let(cfg)
		}
	}
	return cfg.CreateSession()
}

// silent keeps the driver's complaints about servers that tests kill out of
// the tests' output; errors still reach the callers.
type silent struct{}

func (silent) Print(...any)          {}
func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}
