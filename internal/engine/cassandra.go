package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/blob"
	blobcassandra "github.com/pithos/pithos/blob/cassandra"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/keyadmin"
	"github.com/pithos/pithos/meta"
	metacassandra "github.com/pithos/pithos/meta/cassandra"
	"github.com/pithos/pithos/meta/regional"
	"github.com/pithos/pithos/schema"
)

// openCassandra opens the metadata of all regions and the configured master keys.
func openCassandra(ctx context.Context, op *opening) (err error) {
	if op.Ring, err = keyadmin.ConfiguredRing(op.cfg, op.log); err != nil {
		return err
	}
	op.Meta, err = op.openRegions(ctx)
	return err
}

// openRegions opens the metadata of all regions. Regions may share a metastore.
// Managing access keys needs only the default region.
func (op *opening) openRegions(ctx context.Context) (meta.Store, error) {
	cfg, first := op.cfg, op.cfg.Options.DefaultRegion
	home, err := op.openMetastore(ctx, first)
	if err != nil {
		return nil, err
	}
	op.AccessKeys = home
	if op.options.MetaOnly {
		return home, nil
	}
	open, alone := map[string]meta.Store{first: home}, true
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
		if open[name], err = op.openMetastore(ctx, name); err != nil {
			return nil, fmt.Errorf("region %s: %w", name, err)
		}
		alone = false
	}
	if alone {
		return home, nil
	}
	return regional.New(home, open), nil
}

// openMetastore opens the metadata of a region, with the buckets and access keys
// of the bucketstore.
func (op *opening) openMetastore(ctx context.Context, region string) (*metacassandra.Store, error) {
	metastore := op.cfg.Regions[region].Metastore
	objects, buckets := &metastore.Cassandra, &op.cfg.Bucketstore.Cassandra
	own, err := op.openKeyspace(ctx, objects)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	options := metacassandra.Options{
		Consistency: own.Consistency, Serial: own.Serial, Timeout: own.Timeout, Now: op.options.Now, Log: op.log.Named("meta"),
		ShardRows: metastore.ShardRows,
	}
	if !sameKeyspace(buckets, objects) {
		shared, err := op.openKeyspace(ctx, buckets)
		if err != nil {
			return nil, fmt.Errorf("bucketstore: %w", err)
		}
		options.Buckets = &shared
	}
	s, err := metacassandra.New(own.Session, own.Name, options)
	if err != nil {
		return nil, fmt.Errorf("%w: metadata: %w", config.ErrInvalid, err)
	}
	op.closeLater(s.Close)
	op.showListings(s)
	return s, nil
}

// sameKeyspace reports whether two stores are the same keyspace, over the same
// connection.
func sameKeyspace(a, b *config.Cassandra) bool {
	return a.Keyspace == b.Keyspace && reflect.DeepEqual(connection(a), connection(b))
}

// openKeyspace returns a keyspace that has the tables of the metadata.
func (op *opening) openKeyspace(ctx context.Context, c *config.Cassandra) (metacassandra.Keyspace, error) {
	k := metacassandra.Keyspace{Name: c.Keyspace, Timeout: c.Timeout}
	if err := k.Consistency.UnmarshalText([]byte(c.Consistency)); err != nil {
		return k, fmt.Errorf("%w: consistency %s: %w", config.ErrInvalid, c.Consistency, err)
	}
	if err := k.Serial.UnmarshalText([]byte(c.SerialConsistency)); err != nil {
		return k, fmt.Errorf("%w: serial-consistency %s: %w", config.ErrInvalid, c.SerialConsistency, err)
	}
	var err error
	k.Session, err = op.sessions.open(ctx, c, schema.Meta)
	return k, err
}

// openCassandraBlobs opens the blob store of a storage class in a keyspace.
func openCassandraBlobs(ctx context.Context, op *opening, class *config.StorageClass) (blob.Store, error) {
	session, err := op.sessions.open(ctx, &class.Cassandra, schema.Blob)
	if err != nil {
		return nil, err
	}
	s, err := blobcassandra.New(session, class.Keyspace, blobcassandra.Options{
		ChunkBytes: int(class.MaxChunk), BlockChunks: class.MaxBlockChunks, Log: op.log.Named("blob"),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", config.ErrInvalid, err)
	}
	return s, nil
}

// sessions has one session for each way to connect to a cluster. Statements name
// their keyspaces, so stores of several keyspaces share a session.
type sessions struct {
	log     *zap.Logger
	observe cassandra.Observer
	all     []openSession
}

type openSession struct {
	config  cassandra.Config
	session *gocql.Session
}

func newSessions(log *zap.Logger, observe cassandra.Observer) *sessions {
	return &sessions{log: log.Named("cassandra"), observe: observe}
}

// open returns a session for a keyspace whose schema is installed.
func (s *sessions) open(ctx context.Context, c *config.Cassandra, role schema.Role) (*gocql.Session, error) {
	session, err := s.connect(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := checkSchema(ctx, session, c.Keyspace, role); err != nil {
		return nil, err
	}
	warnOfDatacenters(s.log, session, c)
	return session, nil
}

func (s *sessions) connect(ctx context.Context, c *config.Cassandra) (*gocql.Session, error) {
	wanted := connection(c)
	for _, have := range s.all {
		if reflect.DeepEqual(have.config, wanted) {
			return have.session, nil
		}
	}
	logged := wanted
	logged.Log, logged.Observe = s.log, s.observe
	session, err := cassandra.Open(ctx, logged)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", connectError(err), err)
	}
	s.all = append(s.all, openSession{wanted, session})
	return session, nil
}

// connectError tells apart a cluster that may come back and settings that are
// wrong in any case, such as a certificate file that cannot be read.
func connectError(err error) error {
	var file *fs.PathError
	if errors.As(err, &file) {
		return config.ErrInvalid
	}
	return ErrUnavailable
}

// Close closes all sessions.
func (s *sessions) Close() error {
	for _, have := range s.all {
		have.session.Close()
	}
	s.all = nil
	return nil
}

// connection returns how to connect to the cluster of a store.
func connection(c *config.Cassandra) cassandra.Config {
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
