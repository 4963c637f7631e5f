package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/pause"
	"github.com/pithos/pithos/schema"
)

// checkSchema returns nil if the tables of a role are current.
func checkSchema(ctx context.Context, session *gocql.Session, keyspace string, role schema.Role) error {
	status, err := schema.Check(ctx, session, keyspace, role)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case status.State == schema.Current:
		return nil
	case status.State == schema.Missing, status.State == schema.Older:
		return fmt.Errorf("%w: %s", ErrSchemaMissing, status)
	}
	return fmt.Errorf("%w: %s", ErrSchemaNewer, status)
}

// keyspace is a keyspace of a cluster and the roles that its tables have.
type keyspace struct {
	to          cassandra.Config
	name        string
	roles       []schema.Role
	replication config.Replication
}

// keyspaces lists each keyspace of a configuration once: that of the bucketstore,
// and those of the metastores and storage classes of all regions.
func keyspaces(cfg *config.Config) []keyspace {
	var all []keyspace
	add := func(c *config.Cassandra, role schema.Role) {
		to := connection(c)
		for i := range all {
			if reflect.DeepEqual(all[i].to, to) && all[i].name == c.Keyspace {
				if !slices.Contains(all[i].roles, role) {
					all[i].roles = append(all[i].roles, role)
				}
				return
			}
		}
		all = append(all, keyspace{to: to, name: c.Keyspace, roles: []schema.Role{role}, replication: c.Replication})
	}
	add(&cfg.Bucketstore.Cassandra, schema.Meta)
	for _, name := range slices.Sorted(maps.Keys(cfg.Regions)) {
		region := cfg.Regions[name]
		add(&region.Metastore.Cassandra, schema.Meta)
		for _, class := range slices.Sorted(maps.Keys(region.StorageClasses)) {
			if store := region.StorageClasses[class]; store.Type == "cassandra" {
				add(&store.Cassandra, schema.Blob)
			}
		}
	}
	return all
}

// Progress is notified of what Bootstrap does: it waits for a cluster, or it has
// upgraded a keyspace.
type Progress interface {
	Waiting(hosts []string, why error)
	Applied(keyspace string, role schema.Role, report schema.Report)
}

// Bootstrap waits until every cluster of the configuration answers, and installs
// or upgrades the schema of all keyspaces. It may be repeated, and run
// concurrently. It returns ErrSchemaNewer if a newer pithos has upgraded the
// schema, ErrUnavailable if ctx ends before Cassandra answers. progress may be
// nil.
func Bootstrap(ctx context.Context, cfg *config.Config, progress Progress) error {
	if progress == nil {
		progress = noProgress{}
	}
	for _, k := range keyspaces(cfg) {
		if err := bootstrap(ctx, k, progress); err != nil {
			return fmt.Errorf("keyspace %s at %v: %w", k.name, k.to.Hosts, err)
		}
	}
	return nil
}

func bootstrap(ctx context.Context, k keyspace, progress Progress) error {
	err := cassandra.WaitFor(ctx, k.to, func(why error) { progress.Waiting(k.to.Hosts, why) })
	if err != nil {
		return fmt.Errorf("%w: %w", connectError(err), err)
	}
	session, err := cassandra.Open(ctx, k.to)
	if err != nil {
		return fmt.Errorf("%w: %w", connectError(err), err)
	}
	defer session.Close()
	for _, role := range k.roles {
		report, err := apply(ctx, session, k, role, progress)
		switch {
		case errors.Is(err, schema.ErrNewer), errors.Is(err, schema.ErrEdited):
			return fmt.Errorf("%w: %w", ErrSchemaNewer, err)
		case err != nil:
			return err
		}
		progress.Applied(k.name, role, report)
	}
	return nil
}

// applyPause is the time between two attempts to install a schema.
const applyPause = 2 * time.Second

// apply installs the tables of a role. It waits if Cassandra answers but has
// fewer nodes up than the replication needs: they may still be starting.
func apply(ctx context.Context, session *gocql.Session, k keyspace, role schema.Role, progress Progress) (schema.Report, error) {
	for {
		report, err := schema.Apply(ctx, session, k.name, role, schema.Replication(k.replication))
		if c := cassandra.Classify(err); err == nil || c != cassandra.Unavailable && c != cassandra.Unknown {
			return report, err
		}
		progress.Waiting(k.to.Hosts, err)
		if pause.For(ctx, applyPause) != nil {
			return report, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

type noProgress struct{}

func (noProgress) Waiting([]string, error)                    {}
func (noProgress) Applied(string, schema.Role, schema.Report) {}
