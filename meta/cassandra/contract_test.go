package cassandra

import (
	"testing"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metatest"
)

// opener opens gateways of one keyspace.
func opener(t *testing.T, o Options) metatest.Open {
	c, keyspace := newKeyspace(t)
	session := newSession(t, c, keyspace)
	return func(t testing.TB) meta.Store { return newStore(t, session, keyspace, o) }
}

func TestContract(t *testing.T) {
	metatest.Run(t, opener(t, Options{}))
}
