package observe

import (
	"context"

	"github.com/pithos/pithos/meta"
)

const metaStore = "meta"

// Meta observes the calls of a metadata store that requests and the collector
// make. Other calls, such as walks over the whole store, are not counted.
func (o *Observer) Meta(s meta.Store) meta.Store {
	return meta.Intercept(s, func(ctx context.Context, op meta.Op, call func(context.Context) error) error {
		switch op {
		case meta.OpFlush, meta.OpDropListing,
			meta.OpWalkVersions, meta.OpWalkUploads, meta.OpWalkQueue, meta.OpWalkReferences, meta.OpWalkListings:
			return call(ctx)
		}
		return o.call(ctx, metaStore, string(op), call)
	})
}
