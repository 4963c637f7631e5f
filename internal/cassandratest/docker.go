//go:build unix

package cassandratest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

const (
	defaultImage = "cassandra:5.0"
	// probeTimeout is how long a Docker daemon may take to show that it lives.
	probeTimeout = 2 * time.Second
	// pullTimeout bounds fetching the image and starting it.
	pullTimeout = 5 * time.Minute
)

// dockerEnv makes the official image start quickly and stay small.
var dockerEnv = map[string]string{
	"MAX_HEAP_SIZE": "1024M",
	"HEAP_NEWSIZE":  "256M",
	"JVM_EXTRA_OPTS": "-Dcassandra.ring_delay_ms=1000 -Dcassandra.skip_wait_for_gossip_to_settle=0 " +
		"-Dcassandra.superuser_setup_delay_ms=0",
}

// startDocker starts a server in a container. Any error means that Docker is
// no way here.
func startDocker(ctx context.Context) (*sharedServer, error) {
	if err := probeDocker(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	c, err := testcontainers.Run(ctx, image(),
		testcontainers.WithExposedPorts("9042/tcp"),
		testcontainers.WithEnv(dockerEnv),
		testcontainers.WithWaitStrategyAndDeadline(startTimeout, wait.ForListeningPort("9042/tcp")),
	)
	stop := func() {
		if err := testcontainers.TerminateContainer(c); err != nil {
			fmt.Fprintln(os.Stderr, "remove the container:", err)
		}
	}
	if err != nil {
		stop()
		return nil, err
	}
	srv, err := dockerServer(ctx, c)
	if err != nil {
		stop()
		return nil, err
	}
	srv.stop = stop
	return srv, nil
}

func image() string {
	if img := os.Getenv(envImage); img != "" {
		return img
	}
	return defaultImage
}

// dockerServer waits until the container answers CQL: its port is open a
// while before that.
func dockerServer(ctx context.Context, c testcontainers.Container) (*sharedServer, error) {
	host, err := c.Host(ctx)
	if err != nil {
		return nil, err
	}
	port, err := c.MappedPort(ctx, "9042/tcp")
	if err != nil {
		return nil, err
	}
	n := int(port.Num())
	for {
		if err = ping(ctx, host, n); err == nil {
			return &sharedServer{hosts: []string{host}, port: n}, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the container does not answer CQL: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// probeDocker finds out quickly whether a daemon answers, where the
// environment or the usual sockets say it is. testcontainers would look in
// more places and take its time over it.
func probeDocker(ctx context.Context) error {
	var errs []error
	for _, host := range dockerHosts() {
		err := pingDocker(ctx, host)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func dockerHosts() []string {
	if h := os.Getenv("DOCKER_HOST"); h != "" {
		return []string{h}
	}
	hosts := []string{"unix:///var/run/docker.sock"}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		hosts = append(hosts, "unix://"+dir+"/docker.sock")
	}
	if home, err := os.UserHomeDir(); err == nil {
		hosts = append(hosts, "unix://"+home+"/.docker/run/docker.sock", "unix://"+home+"/.docker/desktop/docker.sock")
	}
	return hosts
}

// pingDocker asks for the daemon's /_ping over a unix socket. A daemon behind
// tcp:// or ssh:// only has to accept a connection: TLS is testcontainers'.
func pingDocker(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	network, addr, ok := strings.Cut(host, "://")
	if !ok {
		return fmt.Errorf("docker host %q has no scheme", host)
	}
	var d net.Dialer
	switch network {
	case "tcp", "http", "https":
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	case "unix":
	default:
		return nil
	}
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", addr)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", nil)
	if err != nil {
		return err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("docker at %s answers %s", host, resp.Status)
	}
	return nil
}
