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
	if err == nil {
		err = oneMetastore(cfg, &region)
	}
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
	return region, e.openMetastore(ctx, &region.Metastore.Cassandra, sessions, o)
}

func (e *Engine) openMetastore(ctx context.Context, c *config.Cassandra, sessions *sessions, o OpenOptions) error {
	session, err := sessions.ready(ctx, c, schema.Meta)
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	options := metacassandra.Options{Timeout: c.Timeout, Log: o.Log.Named("meta")}
	if err := options.Consistency.UnmarshalText([]byte(c.Consistency)); err != nil {
		return fmt.Errorf("%w: consistency %s: %w", ErrConfig, c.Consistency, err)
	}
	if err := options.Serial.UnmarshalText([]byte(c.SerialConsistency)); err != nil {
		return fmt.Errorf("%w: serial-consistency %s: %w", ErrConfig, c.SerialConsistency, err)
	}
	s, err := metacassandra.New(session, c.Keyspace, options)
	if err != nil {
		return fmt.Errorf("%w: metadata: %w", ErrConfig, err)
	}
	e.Meta = s
	e.opened(s.Close)
	return nil
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

// oneMetastore holds the configuration to what meta/cassandra can do: buckets
// and objects in one keyspace.
func oneMetastore(cfg *config.Config, region *config.Region) error {
	buckets, objects := reachedBy(&cfg.Bucketstore.Cassandra), reachedBy(&region.Metastore.Cassandra)
	if !reflect.DeepEqual(buckets, objects) || cfg.Bucketstore.Keyspace != region.Metastore.Keyspace {
		return fmt.Errorf("%w: bucketstore and regions.%s.metastore must be the same keyspace of the same cluster", ErrConfig, cfg.Options.DefaultRegion)
	}
	return nil
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
