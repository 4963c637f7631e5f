package cqltest

import (
	"context"
	"strings"
	"sync"

	"github.com/gocql/gocql"
)

// StatementCount counts statements by kind: those of an operation, which carry
// its context, apart from those that the store sends asynchronously.
type StatementCount struct {
	mu    sync.Mutex
	own   StatementKinds
	async StatementKinds
}

// StatementKinds are the statements of an operation, by kind.
type StatementKinds struct{ Reads, Writes, CAS int }

// Total returns the number of all statements.
func (n *StatementKinds) Total() int { return n.Reads + n.Writes + n.CAS }

type countedKey struct{}

// Counted marks the context of an operation whose statements are counted.
func Counted(ctx context.Context) context.Context {
	return context.WithValue(ctx, countedKey{}, true)
}

func (c *StatementCount) add(ctx context.Context, stmt string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &c.async
	if ctx.Value(countedKey{}) != nil {
		n = &c.own
	}
	switch {
	case strings.HasPrefix(stmt, "SELECT"):
		n.Reads++
	case strings.Contains(stmt, " IF "):
		n.CAS++
	default:
		n.Writes++
	}
}

// ObserveQuery implements gocql.QueryObserver.
func (c *StatementCount) ObserveQuery(ctx context.Context, q gocql.ObservedQuery) {
	c.add(ctx, q.Statement)
}

// ObserveBatch implements gocql.BatchObserver.
func (c *StatementCount) ObserveBatch(ctx context.Context, b gocql.ObservedBatch) {
	c.add(ctx, b.Statements[0])
}

// Take returns the counts and begins again at zero.
func (c *StatementCount) Take() (own, async StatementKinds) {
	c.mu.Lock()
	defer c.mu.Unlock()
	own, async = c.own, c.async
	c.own, c.async = StatementKinds{}, StatementKinds{}
	return own, async
}

// MostReads returns how many reads do makes with the context that it gets: the
// most of several times.
func (c *StatementCount) MostReads(ctx context.Context, do func(context.Context)) (most int) {
	for range 5 {
		c.Take()
		do(Counted(ctx))
		own, _ := c.Take()
		most = max(most, own.Reads)
	}
	return most
}

// Observe is an option of NewSession.
func (c *StatementCount) Observe(cfg *gocql.ClusterConfig) {
	cfg.QueryObserver, cfg.BatchObserver = c, c
}
