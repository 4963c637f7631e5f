// Package engine opens the engine that the configuration names: metadata store,
// blob stores, master keys, access keys, and package store above them; and it
// starts the background jobs (jobs.go). It is the only package besides commands and tests that knows which engines exist.
//
// Two tables say what can be opened:
//
//   - engines has an opener for each metadata engine (config.Engine);
//   - blobStores has an opener for each type of storage class (the key 'type').
//
// A new engine or blob store is a line in one of them. [Open] makes one attempt;
// [Await] repeats it while the database does not answer. [Bootstrap] installs the
// schema in Cassandra.
package engine

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/internal/keyadmin"
	"github.com/pithos/pithos/internal/observe"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// Errors of opening an engine, wrapped with details. An error of the
// configuration wraps [config.ErrInvalid].
var (
	// ErrUnavailable: the engine cannot be reached now. It may be later.
	ErrUnavailable = errors.New("the store cannot be reached")
	// ErrInUse: another process has the data directory open.
	ErrInUse = errors.New("the data directory is in use")
	// ErrSchemaMissing: 'pithos bootstrap' has not been run.
	ErrSchemaMissing = errors.New("the schema is not installed, or older than this pithos")
	// ErrSchemaNewer: a newer pithos has upgraded the schema or written the
	// data directory.
	ErrSchemaNewer = errors.New("what is stored is newer than this pithos")
)

// Engine is an open engine and the layers above it, without HTTP.
type Engine struct {
	Kind config.Engine
	Meta meta.Store
	// AccessKeys are the stored keys. Keys has those of the configuration too.
	AccessKeys meta.AccessKeys
	Store      *store.Store
	// Blobs are the blob stores that Store writes to, by name. One store may
	// have several names.
	Blobs map[string]blob.Store
	Ring  *crypt.Ring
	Keys  *keyadmin.Keys
	// FirstKey is the access key that the embedded engine generates if none is
	// configured; nil otherwise.
	FirstKey *keyadmin.FirstKey

	// sweep is the background work of the embedded engine; nil otherwise.
	sweep   func(context.Context) (removed int, err error)
	closers []func() error
}

var _ io.Closer = (*Engine)(nil)

// OpenOptions are settings that are not in the configuration.
type OpenOptions struct {
	Log *zap.Logger
	// Now is the clock of package store; nil is time.Now.
	Now func() time.Time
	// GCGrace, if not 0, replaces the configuration's gc.grace.
	GCGrace time.Duration
	// Observe, if not nil, counts and traces the calls of the engine.
	Observe *observe.Observer
	// Reserve, if not nil, grants memory for what is stored of an object: see
	// [store.Options]. A server has edge.Reserve.
	Reserve func(ctx context.Context, bytes int64) (release func(), err error)
	// WrapMeta, if not nil, decorates the metadata store and the access keys,
	// below everything that reads them. The cost test counts reads with it.
	WrapMeta func(meta.Store, meta.AccessKeys) (meta.Store, meta.AccessKeys)
	// MetaOnly opens only Meta, AccessKeys and Ring, which is what managing keys
	// needs.
	MetaOnly bool
}

// engines has an opener for each metadata engine. It sets Meta, AccessKeys
// and Ring of the engine that is being opened.
var engines = map[config.Engine]func(context.Context, *opening) error{
	config.EmbeddedEngine:  openEmbedded,
	config.CassandraEngine: openCassandra,
}

// blobStores has an opener for each type of storage class.
var blobStores = map[string]func(context.Context, *opening, *config.StorageClass) (blob.Store, error){
	"cassandra": openCassandraBlobs,
	"file":      openFileBlobs,
}

// opening is one attempt to open an engine.
type opening struct {
	*Engine
	cfg     *config.Config
	options OpenOptions
	log     *zap.Logger
	// sessions are the connections to clusters of Cassandra.
	sessions *sessions
	// directories are the blob stores in files, by directory.
	directories map[string]blob.Store
	// credentials is the file for the first access key; "" if this engine
	// generates none.
	credentials string
}

// openTimeout bounds one attempt to reach Cassandra and to check its schema.
const openTimeout = 30 * time.Second

// Open opens the engine that the configuration names. ErrUnavailable and
// ErrSchemaMissing may pass without a change of the configuration; other errors
// do not.
func Open(ctx context.Context, cfg *config.Config, o OpenOptions) (_ *Engine, err error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	e := &Engine{Kind: cfg.Engine()}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	op := &opening{
		Engine: e, cfg: cfg, options: o, log: o.Log,
		sessions: newSessions(o.Log, o.driverObserver()), directories: map[string]blob.Store{},
	}
	e.closeLater(op.sessions.Close)
	if err := engines[e.Kind](ctx, op); err != nil {
		return nil, err
	}
	if o.WrapMeta != nil {
		e.Meta, e.AccessKeys = o.WrapMeta(e.Meta, e.AccessKeys)
	}
	if o.MetaOnly {
		return e, nil
	}
	classes, err := op.openClasses(ctx)
	if err != nil {
		return nil, err
	}
	if err := op.openStore(classes); err != nil {
		return nil, err
	}
	return e, op.openKeys()
}

// openStore creates package store above the metadata and the blob stores.
func (op *opening) openStore(c *classes) (err error) {
	cfg, o := op.cfg, &op.options
	grace := cfg.GC.Grace
	if o.GCGrace > 0 {
		grace = o.GCGrace
	}
	op.Blobs = c.blobs
	options := store.Options{
		Meta: o.observedMeta(op.Meta), Blobs: o.observedBlobs(c.blobs), Classes: c.names[c.defaultRegion], Ring: op.Ring,
		Region: cfg.Options.DefaultRegion, Regions: slices.Sorted(maps.Keys(cfg.Regions)),
		GCGrace: grace, Reserve: o.Reserve, Now: o.Now, Log: op.log.Named("store"),
	}
	if cfg.AnyLocation {
		options.Regions = nil
	}
	if ownership := cfg.Options.ObjectOwnership; ownership != "ObjectWriter" { // the default of a bucket
		options.Ownership = ownership
	}
	if c.severalRegions {
		options.RegionClasses = c.names
	}
	op.Store, err = store.New(options)
	return err
}

// openKeys gives the engine its access keys: those of the configuration, or the
// first key if there are none.
func (op *opening) openKeys() (err error) {
	if op.credentials != "" && len(op.cfg.Keystore.Keys) == 0 {
		if op.FirstKey, err = keyadmin.LoadFirstKey(op.credentials); err != nil {
			return err
		}
	}
	op.Keys = keyadmin.NewKeys(op.configuredKeys(op.cfg), op.cfg.Options.MasterkeyAccess, op.AccessKeys, op.Ring)
	return nil
}

// configuredKeys are the keys of the configuration; if it has none, the first
// key, if there is one.
func (e *Engine) configuredKeys(cfg *config.Config) map[string]config.Key {
	if first := e.FirstKey; len(cfg.Keystore.Keys) == 0 && first != nil {
		return map[string]config.Key{first.ID: {Tenant: config.RootTenant, Secret: first.Secret, Master: true}}
	}
	return cfg.Keystore.Keys
}

// SetKeys replaces the configured keys by those of a reloaded configuration.
// Requests that have been authenticated continue.
func (e *Engine) SetKeys(cfg *config.Config) { e.Keys.SetConfigured(e.configuredKeys(cfg)) }

// Admin manages the engine's access keys.
func (e *Engine) Admin(cfg *config.Config) keyadmin.Admin {
	return keyadmin.Admin{Meta: e.AccessKeys, Ring: e.Ring, Configured: cfg.Keystore.Keys}
}

// Flush waits for the asynchronous writes that answered requests have left.
func (e *Engine) Flush(ctx context.Context) error {
	if e.Store == nil {
		return nil
	}
	return e.Store.Flush(ctx)
}

// closeLater registers a step of Close. The last one registered runs first.
func (e *Engine) closeLater(step func() error) { e.closers = append(e.closers, step) }

// Close closes the engine. No request may be running.
func (e *Engine) Close() error {
	var errs []error
	for _, step := range slices.Backward(e.closers) {
		errs = append(errs, step())
	}
	e.closers = nil
	return errors.Join(errs...)
}
