package listing

import (
	"context"
	"errors"
	"testing"

	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

// TestDeadNodeOfThreeChangesNoResult kills a node under writers, and splits shards while
// it is down.
func TestDeadNodeOfThreeChangesNoResult(t *testing.T) {
	ring := cassandratest.StartRing(t, 3)
	keyspace := cqltest.Install(t, ring.Cluster)
	var stores []*gateway
	for range 2 {
		stores = append(stores, openGateway(t, cqltest.NewSession(t, ring.Cluster, keyspace), keyspace, Options{}))
	}
	b := newBucket(t, stores[0], "bucket")
	churn(t, stores, b, func(ctx context.Context) error {
		ring.Nodes[2].Kill()
		for i, at := range []string{"k05", "k09"} {
			err := retryUnavailable(ctx, func() error { return stores[i].split(ctx, b.ID, at, at) })
			if err != nil && !errors.Is(err, errKeyOutside) { // the first attempt was applied
				return err
			}
		}
		return nil
	})
}
