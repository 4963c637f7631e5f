package cassandra

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gocql/gocql"
)

// Open connects to the cluster and returns a session, which the caller closes. It fails
// if no node responds: see [WaitFor].
func Open(ctx context.Context, cfg Config) (*gocql.Session, error) {
	g, err := cfg.cluster()
	if err != nil {
		return nil, err
	}
	dc := cfg.Datacenter
	if dc == "" {
		if dc, err = firstDatacenter(ctx, *g); err != nil {
			return nil, err
		}
	}
	g.HostFilter = gocql.DataCentreHostFilter(dc)
	w := newNodeMonitor(g.ConnectTimeout, g.SocketKeepalive, cfg.Log)
	g.Dialer, g.StreamObserver, g.FrameHeaderObserver = w, w, w
	g.PoolConfig.HostSelectionPolicy = &policy{monitor: w, HostSelectionPolicy: ReplicaPolicy(
		gocql.TokenAwareHostPolicy(gocql.DCAwareRoundRobinPolicy(dc), gocql.ShuffleReplicas()))}
	stopObserving := w.observe(g, cfg.Observe)
	s, err := create(ctx, *g)
	if err != nil {
		stopObserving()
	}
	switch {
	case err == nil:
		go func() {
			defer stopObserving()
			w.run(s.Closed, prober(s))
		}()
		return s, nil
	case errors.Is(err, gocql.ErrNoConnectionsStarted) && cfg.Keyspace != "":
		return nil, fmt.Errorf("cassandra: no node of datacenter %q at %v serves keyspace %q; does it exist? %w", dc, cfg.Hosts, cfg.Keyspace, err)
	}
	return nil, fmt.Errorf("cassandra: connect to %v in datacenter %q: %w", cfg.Hosts, dc, err)
}

// WaitFor returns when a node answers a query, or with an error when ctx ends or the
// configuration is unusable. Before each pause between two attempts it calls notify, if
// not nil, with the last error. The keyspace need not exist.
func WaitFor(ctx context.Context, cfg Config, notify func(err error)) error {
	g, err := cfg.cluster()
	if err != nil {
		return err
	}
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		_, err := firstDatacenter(ctx, *g)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("gave up waiting: %w (%w)", err, context.Cause(ctx))
		}
		if notify != nil {
			notify(err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting: %w (%w)", err, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// firstDatacenter asks all contact points for their datacenter, concurrently since one
// may hang, and returns the first answer.
func firstDatacenter(ctx context.Context, g gocql.ClusterConfig) (string, error) {
	type result struct {
		datacenter string
		err        error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(g.Hosts))
	for _, host := range g.Hosts {
		go func() {
			dc, err := datacenterOf(ctx, g, host)
			results <- result{dc, err}
		}()
	}
	var errs []error
	for range g.Hosts {
		r := <-results
		if r.err == nil {
			return r.datacenter, nil
		}
		errs = append(errs, r.err)
	}
	return "", errors.Join(errs...)
}

// datacenterOf asks a contact point for its datacenter.
func datacenterOf(ctx context.Context, g gocql.ClusterConfig, host string) (string, error) {
	g.Hosts = []string{host}
	g.Keyspace = ""
	g.NumConns = 1
	g.Consistency = gocql.One
	// The node is asked about itself, whatever it knows of other nodes.
	g.DisableInitialHostLookup = true
	g.PoolConfig.HostSelectionPolicy = gocql.SingleHostReadyPolicy(gocql.RoundRobinHostPolicy())
	s, err := create(ctx, g)
	if err != nil {
		return "", fmt.Errorf("cassandra: connect to %s: %w", host, err)
	}
	defer s.Close()
	var dc string
	err = s.Query("SELECT data_center FROM system.local WHERE key = 'local'").WithContext(ctx).Scan(&dc)
	if err != nil {
		return "", fmt.Errorf("cassandra: ask %s for its datacenter: %w", host, err)
	}
	return dc, nil
}

// create opens a session and gives up when ctx ends, which the driver would not do. A
// session that is opened after that is closed.
func create(ctx context.Context, g gocql.ClusterConfig) (*gocql.Session, error) {
	type result struct {
		s   *gocql.Session
		err error
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	done := make(chan result, 1)
	go func() {
		s, err := g.CreateSession()
		done <- result{s, err}
	}()
	select {
	case r := <-done:
		return r.s, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.s != nil {
				r.s.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}
