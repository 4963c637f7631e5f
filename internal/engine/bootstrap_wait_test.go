package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pithos/pithos/schema"
)

// waits cancels when Bootstrap says that it waits.
type waits struct {
	cancel context.CancelFunc
	why    []error
}

func (w *waits) Waiting(_ []string, why error) {
	w.why = append(w.why, why)
	w.cancel()
}

func (w *waits) Applied(string, schema.Role, schema.Report) {}

func TestBootstrapWaitsForAsManyNodesAsTheReplicationNeeds(t *testing.T) {
	c, at := cluster(t)
	cfg := configuration(t, `bucketstore: {`+at+`, keyspace: `+c.Keyspace(t)+`, replication: {strategy: SimpleStrategy, factor: 3}}`)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	w := &waits{cancel: cancel}
	err := Bootstrap(ctx, cfg, w)
	if !errors.Is(err, ErrUnavailable) || len(w.why) == 0 {
		t.Fatalf("with one node of three: %v, told of %d waits", err, len(w.why))
	}
}
