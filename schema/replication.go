package schema

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gocql/gocql"
)

// Replication is how a new keyspace is replicated; one that exists is left as
// it is. The zero value asks for NetworkTopologyStrategy with three replicas
// in the local datacenter, or as many as it has nodes if these are fewer.
type Replication struct {
	// Strategy is SimpleStrategy or NetworkTopologyStrategy (if empty).
	Strategy string
	// Factor is the number of replicas: of the whole ring for
	// SimpleStrategy, in each datacenter for NetworkTopologyStrategy.
	Factor int
	// Datacenters has the number of replicas by datacenter, for
	// NetworkTopologyStrategy, in place of Factor.
	Datacenters map[string]int
}

const (
	simple          = "SimpleStrategy"
	networkTopology = "NetworkTopologyStrategy"
	defaultFactor   = 3
)

// options returns the value of CREATE KEYSPACE's replication.
func (r Replication) options(ctx context.Context, session *gocql.Session) (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	if r.Factor == 0 && len(r.Datacenters) == 0 {
		dc, nodes, err := localDatacenter(ctx, session)
		if err != nil {
			return "", err
		}
		r.Factor = min(defaultFactor, nodes)
		if r.Strategy != simple {
			r.Datacenters = map[string]int{dc: r.Factor}
		}
	}
	if r.Strategy == simple {
		return fmt.Sprintf("{'class': '%s', 'replication_factor': %d}", simple, r.Factor), nil
	}
	if len(r.Datacenters) == 0 {
		return fmt.Sprintf("{'class': '%s', 'replication_factor': %d}", networkTopology, r.Factor), nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{'class': '%s'", networkTopology)
	for _, dc := range slices.Sorted(maps.Keys(r.Datacenters)) {
		fmt.Fprintf(&b, ", '%s': %d", strings.ReplaceAll(dc, "'", "''"), r.Datacenters[dc])
	}
	return b.String() + "}", nil
}

func (r Replication) check() error {
	switch {
	case r.Strategy != "" && r.Strategy != simple && r.Strategy != networkTopology:
		return fmt.Errorf("schema: replication strategy %q: want %s or %s", r.Strategy, simple, networkTopology)
	case r.Strategy == simple && len(r.Datacenters) > 0:
		return fmt.Errorf("schema: %s knows no datacenters: use %s", simple, networkTopology)
	case r.Factor < 0:
		return fmt.Errorf("schema: replication factor %d: want 1 or more", r.Factor)
	case r.Factor > 0 && len(r.Datacenters) > 0:
		return fmt.Errorf("schema: a replication factor and one by datacenter exclude each other")
	}
	return nil
}

// localDatacenter returns the datacenter of the node that answers, and how
// many nodes it has.
func localDatacenter(ctx context.Context, session *gocql.Session) (dc string, nodes int, err error) {
	err = session.Query("SELECT data_center FROM system.local WHERE key = 'local'").WithContext(ctx).Scan(&dc)
	if err != nil {
		return "", 0, fmt.Errorf("schema: ask for the local datacenter: %w", err)
	}
	// Two queries may reach two nodes; within a datacenter, which is where
	// sessions stay, both count the same.
	nodes = 1
	var peer string
	iter := session.Query("SELECT data_center FROM system.peers").WithContext(ctx).Iter()
	for iter.Scan(&peer) {
		if peer == dc {
			nodes++
		}
	}
	if err := iter.Close(); err != nil {
		return "", 0, fmt.Errorf("schema: count the nodes of %s: %w", dc, err)
	}
	return dc, nodes, nil
}
