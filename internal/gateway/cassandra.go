package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/blob"
	blobcassandra "github.com/pithos/pithos/blob/cassandra"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/meta"
	metacassandra "github.com/pithos/pithos/meta/cassandra"
	"github.com/pithos/pithos/meta/regional"
	"github.com/pithos/pithos/schema"
)

// openTimeout bounds one attempt to reach Cassandra and look at its schema.
const openTimeout = 30 * time.Second

func openCassandra(ctx context.Context, cfg *config.Config, o OpenOptions) (_ *Engine, err error) {
	e := &Engine{Kind: config.CassandraEngine}
	defer e.closeAfter(&err)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	sessions := &sessions{log: o.Log.Named("cassandra"), observe: o.driver()}
	e.opened(sessions.Close)
	keys, err := configuredKeys(cfg, o.Log)
	if err != nil {
		return nil, err
	}
	if e.Ring, err = newRing(keys); err != nil {
		return nil, err
	}
	if e.Meta, err = e.openRegions(ctx, cfg, sessions, o); err != nil || o.MetaOnly {
		return e, err
	}
	c, err := e.cassandraClasses(ctx, cfg, sessions, o)
	if err != nil {
		return nil, err
	}
	e.Meta, e.AccessKeys = o.wrapMeta(e.Meta, e.AccessKeys)
	e.Keys = newKeys(cfg.Keystore.Keys, cfg.Options.MasterkeyAccess, e.AccessKeys, e.Ring)
	return e, e.finish(cfg, c, o)
}

// openRegions opens the metadata of all regions. Regions may share a
// metastore; access keys need but the default region.
func (e *Engine) openRegions(ctx context.Context, cfg *config.Config, sessions *sessions, o OpenOptions) (meta.Store, error) {
	buckets, home := &cfg.Bucketstore.Cassandra, cfg.Options.DefaultRegion
	first, err := e.openMetastore(ctx, buckets, cfg.Regions[home], sessions, o)
	if err != nil {
		return nil, err
	}
	e.AccessKeys = first
	if o.MetaOnly {
		return first, nil
	}
	open, alone := map[string]meta.Store{home: first}, true
	for _, name := range slices.Sorted(maps.Keys(cfg.Regions)) {
		for _, other := range slices.Sorted(maps.Keys(open)) {
			a, b := cfg.Regions[name].Metastore.Cassandra, cfg.Regions[other].Metastore.Cassandra
			if sameKeyspace(&a, &b) {
				open[name] = open[other]
			}
		}
		if open[name] != nil {
			continue
		}
		if open[name], err = e.openMetastore(ctx, buckets, cfg.Regions[name], sessions, o); err != nil {
			return nil, fmt.Errorf("region %s: %w", name, err)
		}
		alone = false
	}
	if alone {
		return first, nil
	}
	return regional.New(first, open), nil
}

// cassandraClasses opens the blob stores of all regions' storage classes.
func (e *Engine) cassandraClasses(ctx context.Context, cfg *config.Config, sessions *sessions, o OpenOptions) (*classes, error) {
	c := newClasses(cfg)
	for _, region := range slices.Sorted(maps.Keys(cfg.Regions)) {
		for name, class := range cfg.Regions[region].StorageClasses {
			s, err := e.openClass(ctx, &class, sessions, o)
			if err == nil {
				err = c.add(region, name, s)
			}
			if err != nil {
				return nil, fmt.Errorf("storage class %s of region %s: %w", name, region, err)
			}
		}
	}
	return c, nil
}

// openMetastore opens the metadata of a region, with the buckets and access
// keys of the bucketstore.
func (e *Engine) openMetastore(ctx context.Context, buckets *config.Cassandra, region config.Region, sessions *sessions, o OpenOptions) (*metacassandra.Store, error) {
	objects := &region.Metastore.Cassandra
	own, err := openKeyspace(ctx, objects, sessions)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	options := metacassandra.Options{
		Consistency: own.Consistency, Serial: own.Serial, Timeout: own.Timeout, Now: o.Now, Log: o.Log.Named("meta"),
		ShardRows: region.Metastore.ShardRows,
	}
	if !sameKeyspace(buckets, objects) {
		shared, err := openKeyspace(ctx, buckets, sessions)
		if err != nil {
			return nil, fmt.Errorf("bucketstore: %w", err)
		}
		options.Buckets = &shared
	}
	s, err := metacassandra.New(own.Session, own.Name, options)
	if err != nil {
		return nil, fmt.Errorf("%w: metadata: %w", ErrConfig, err)
	}
	e.opened(s.Close)
	e.opened(o.showMeta(s))
	return s, nil
}

// sameKeyspace tells whether two stores are one keyspace, reached in one way.
func sameKeyspace(a, b *config.Cassandra) bool {
	return a.Keyspace == b.Keyspace && reflect.DeepEqual(reachedBy(a), reachedBy(b))
}

// openKeyspace returns a keyspace that has the tables of the metadata.
func openKeyspace(ctx context.Context, c *config.Cassandra, sessions *sessions) (metacassandra.Keyspace, error) {
	k := metacassandra.Keyspace{Name: c.Keyspace, Timeout: c.Timeout}
	if err := k.Consistency.UnmarshalText([]byte(c.Consistency)); err != nil {
		return k, fmt.Errorf("%w: consistency %s: %w", ErrConfig, c.Consistency, err)
	}
	if err := k.Serial.UnmarshalText([]byte(c.SerialConsistency)); err != nil {
		return k, fmt.Errorf("%w: serial-consistency %s: %w", ErrConfig, c.SerialConsistency, err)
	}
	var err error
	k.Session, err = sessions.ready(ctx, c, schema.Meta)
	return k, err
}

// openClass opens the blob store of a storage class.
func (e *Engine) openClass(ctx context.Context, class *config.StorageClass, sessions *sessions, o OpenOptions) (blob.Store, error) {
	if class.Type != "cassandra" {
		return e.openFiles(class.Directory, o)
	}
	session, err := sessions.ready(ctx, &class.Cassandra, schema.Blob)
	if err != nil {
		return nil, err
	}
	s, err := blobcassandra.New(session, class.Keyspace, blobcassandra.Options{
		ChunkBytes: int(class.MaxChunk), BlockChunks: class.MaxBlockChunks, Log: o.Log.Named("blob"),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return s, nil
}

// sessions keeps one session for each way of reaching a cluster. Statements
// name their keyspaces, so that stores of several keyspaces share it.
type sessions struct {
	log     *zap.Logger
	observe cassandra.Observer
	open    []openSession
}

type openSession struct {
	to      cassandra.Config
	session *gocql.Session
}

// ready returns a session for a store whose schema is installed.
func (s *sessions) ready(ctx context.Context, c *config.Cassandra, role schema.Role) (*gocql.Session, error) {
	session, err := s.session(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := checkSchema(ctx, session, c.Keyspace, role); err != nil {
		return nil, err
	}
	warnOfDatacenters(s.log, session, c)
	return session, nil
}

func (s *sessions) session(ctx context.Context, c *config.Cassandra) (*gocql.Session, error) {
	to := reachedBy(c)
	for _, have := range s.open {
		if reflect.DeepEqual(have.to, to) {
			return have.session, nil
		}
	}
	logged := to
	logged.Log, logged.Observe = s.log, s.observe
	session, err := cassandra.Open(ctx, logged)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", unreachable(err), err)
	}
	s.open = append(s.open, openSession{to, session})
	return session, nil
}

// unreachable tells a cluster that may come back from settings that are wrong
// whatever happens, such as a certificate that cannot be read.
func unreachable(err error) error {
	var file *fs.PathError
	if errors.As(err, &file) {
		return ErrConfig
	}
	return ErrUnavailable
}

// Close closes every session.
func (s *sessions) Close() error {
	for _, have := range s.open {
		have.session.Close()
	}
	s.open = nil
	return nil
}

// reachedBy is how a store's cluster is reached, whatever its keyspace.
func reachedBy(c *config.Cassandra) cassandra.Config {
	to := cassandra.Config{
		Port: c.Port, Username: c.Username, Password: c.Password.Reveal(), Datacenter: c.Datacenter,
		Consistency: c.Consistency, SerialConsistency: c.SerialConsistency,
		ConnectTimeout: c.ConnectTimeout, Timeout: c.Timeout, Connections: c.Connections,
	}
	for _, host := range c.Cluster {
		to.Hosts = append(to.Hosts, host.String())
	}
	if t := c.TLS; t.Enabled {
		to.TLS = &cassandra.TLS{CA: t.CA, Cert: t.Certificate, Key: t.Key, ServerName: t.ServerName, SkipVerify: !t.Verify}
	}
	return to
}
