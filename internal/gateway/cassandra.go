package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"time"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/blob"
	blobcassandra "github.com/pithos/pithos/blob/cassandra"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/meta"
	metacassandra "github.com/pithos/pithos/meta/cassandra"
	"github.com/pithos/pithos/schema"
)

// openTimeout bounds one attempt to reach Cassandra and look at its schema.
const openTimeout = 30 * time.Second

func openCassandra(ctx context.Context, cfg *config.Config, o OpenOptions) (_ *Engine, err error) {
	e := &Engine{Kind: config.CassandraEngine}
	defer e.closeAfter(&err)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	sessions := &sessions{log: o.Log.Named("cassandra")}
	e.opened(sessions.Close)
	region, err := e.openCassandraMeta(ctx, cfg, sessions, o)
	if err != nil || o.MetaOnly {
		return e, err
	}
	blobs, classes := map[string]blob.Store{}, map[string]string{}
	for name, class := range region.StorageClasses {
		if blobs[name], err = e.openClass(ctx, name, &class, sessions, o.Log); err != nil {
			return nil, fmt.Errorf("storage class %s: %w", name, err)
		}
		classes[className(name)] = name
	}
	e.Keys = newKeys(cfg.Keystore.Keys, cfg.Options.MasterkeyAccess, e.Meta, e.Ring)
	return e, e.finish(cfg, blobs, classes, o)
}

// openCassandraMeta opens the keys and the metadata of the region it returns.
func (e *Engine) openCassandraMeta(ctx context.Context, cfg *config.Config, sessions *sessions, o OpenOptions) (config.Region, error) {
	region, err := theRegion(cfg)
	if err != nil {
		return region, err
	}
	keys, err := configuredKeys(cfg, o.Log)
	if err != nil {
		return region, err
	}
	if e.Ring, err = newRing(keys); err != nil {
		return region, err
	}
	e.Meta, err = e.openMetastore(ctx, &cfg.Bucketstore.Cassandra, &region.Metastore.Cassandra, sessions, o)
	return region, err
}

// openMetastore opens the metadata of a region, with the buckets and access
// keys of the bucketstore.
func (e *Engine) openMetastore(ctx context.Context, buckets, objects *config.Cassandra, sessions *sessions, o OpenOptions) (meta.Store, error) {
	own, err := openKeyspace(ctx, objects, sessions)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	options := metacassandra.Options{
		Consistency: own.Consistency, Serial: own.Serial, Timeout: objects.Timeout, Log: o.Log.Named("meta"),
	}
	if !samePlace(buckets, objects) {
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
	return s, nil
}

// samePlace tells whether two stores are one keyspace, reached in one way.
func samePlace(a, b *config.Cassandra) bool {
	return a.Keyspace == b.Keyspace && reflect.DeepEqual(reachedBy(a), reachedBy(b))
}

// openKeyspace returns a keyspace that has the tables of the metadata.
func openKeyspace(ctx context.Context, c *config.Cassandra, sessions *sessions) (metacassandra.Keyspace, error) {
	k := metacassandra.Keyspace{Name: c.Keyspace}
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
func (e *Engine) openClass(ctx context.Context, name string, class *config.StorageClass, sessions *sessions, log *zap.Logger) (blob.Store, error) {
	if class.Type != "cassandra" {
		return e.openFiles(class.Directory, log.Named("blob"))
	}
	session, err := sessions.ready(ctx, &class.Cassandra, schema.Blob)
	if err != nil {
		return nil, err
	}
	s, err := blobcassandra.New(session, class.Keyspace, blobcassandra.Options{
		ChunkBytes: int(class.MaxChunk), BlockChunks: class.MaxBlockChunks,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return s, nil
}

// sessions keeps one session for each way of reaching a cluster. Statements
// name their keyspaces, so that stores of several keyspaces share it.
type sessions struct {
	log  *zap.Logger
	open []openSession
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
	return session, checkSchema(ctx, session, c.Keyspace, role)
}

func (s *sessions) session(ctx context.Context, c *config.Cassandra) (*gocql.Session, error) {
	to := reachedBy(c)
	for _, have := range s.open {
		if reflect.DeepEqual(have.to, to) {
			return have.session, nil
		}
	}
	logged := to
	logged.Log = s.log
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
