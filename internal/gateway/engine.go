package gateway

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
	"github.com/pithos/pithos/internal/observe"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// Errors of opening an engine, wrapped with what happened.
var (
	// ErrUnavailable: the engine cannot be reached now; it may be later.
	ErrUnavailable = errors.New("the store cannot be reached")
	// ErrInUse: another process has the data directory.
	ErrInUse = errors.New("the data directory is in use")
	// ErrSchemaMissing: 'pithos bootstrap' has not been run.
	ErrSchemaMissing = errors.New("the schema is not installed, or older than this pithos")
	// ErrSchemaNewer: a newer pithos has upgraded the schema, or written the
	// data directory.
	ErrSchemaNewer = errors.New("what is stored is newer than this pithos")
	// ErrConfig: the configuration asks for what cannot be had.
	ErrConfig = errors.New("configuration")
)

// Engine is an open engine with everything above it but HTTP.
type Engine struct {
	Kind config.Engine
	Meta meta.Store
	// AccessKeys are the stored ones; Keys has those of the configuration too.
	AccessKeys meta.AccessKeys
	Store      *store.Store
	// Blobs are the blob stores that Store writes to, by name; one may have
	// several names.
	Blobs map[string]blob.Store
	Ring  *crypt.Ring
	Keys  *Keys
	// FirstKey is the access key that the embedded engine keeps where none
	// is configured; nil otherwise.
	FirstKey *FirstKey

	files   map[string]blob.Store // by directory
	closers []func() error
}

// OpenOptions are what a configuration does not say.
type OpenOptions struct {
	Log *zap.Logger
	// Now is the clock of package store; nil is time.Now.
	Now func() time.Time
	// GCGrace, if not 0, wins over the configuration's.
	GCGrace time.Duration
	// Observe, if not nil, counts and traces what the engine does.
	Observe *observe.Observer
	// WrapMeta, if not nil, is put around the metadata store and the access
	// keys, below everything that reads them. The cost test counts reads with it.
	WrapMeta func(meta.Store, meta.AccessKeys) (meta.Store, meta.AccessKeys)
	// MetaOnly opens what is needed to manage keys: Meta, AccessKeys and Ring
	// alone.
	MetaOnly bool
}

// Open opens the engine that the configuration chooses. Of the errors,
// ErrUnavailable and ErrSchemaMissing may pass by themselves; others do not.
func Open(ctx context.Context, cfg *config.Config, o OpenOptions) (*Engine, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if cfg.Engine() == config.CassandraEngine {
		return openCassandra(ctx, cfg, o)
	}
	return openEmbedded(cfg, o)
}

// finish makes the store above the metadata and the blob stores.
func (e *Engine) finish(cfg *config.Config, c *classes, o OpenOptions) error {
	grace := cfg.GC.Grace
	if o.GCGrace > 0 {
		grace = o.GCGrace
	}
	e.Blobs = c.blobs
	options := store.Options{
		Meta: o.meta(e.Meta), Blobs: o.blobs(c.blobs), Classes: c.names[c.home], Ring: e.Ring,
		Region: cfg.Options.DefaultRegion, Regions: slices.Sorted(maps.Keys(cfg.Regions)),
		GCGrace: grace, Reserve: reserve, Now: o.Now, Log: o.Log.Named("store"),
	}
	if cfg.AnyLocation {
		options.Regions = nil
	}
	if o := cfg.Options.ObjectOwnership; o != "ObjectWriter" { // which a bucket has that says nothing
		options.Ownership = o
	}
	if c.several {
		options.RegionClasses = c.names
	}
	var err error
	e.Store, err = store.New(options)
	return err
}

// opened notes what Close must close; the last one opened is closed first.
func (e *Engine) opened(close func() error) { e.closers = append(e.closers, close) }

// Flush waits for what answered requests have left to be done behind them.
func (e *Engine) Flush(ctx context.Context) error {
	if e.Store == nil {
		return nil
	}
	return e.Store.Flush(ctx)
}

// Close closes the engine; no request may be running any more.
func (e *Engine) Close() error {
	var errs []error
	for _, close := range slices.Backward(e.closers) {
		errs = append(errs, close())
	}
	e.closers = nil
	return errors.Join(errs...)
}

// closeAfter closes an engine that could not be opened as a whole.
func (e *Engine) closeAfter(err *error) {
	if *err != nil {
		*err = errors.Join(*err, e.Close())
	}
}

// Admin manages the engine's access keys.
func (e *Engine) Admin(cfg *config.Config) KeyAdmin {
	return KeyAdmin{Meta: e.AccessKeys, Ring: e.Ring, Configured: cfg.Keystore.Keys}
}

var _ io.Closer = (*Engine)(nil)
