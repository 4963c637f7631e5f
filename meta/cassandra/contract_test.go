package cassandra

import (
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metafault"
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

// TestContractWhileEveryPendingRowIsRepaired repairs eagerly, under the feet
// of the writers: they must go on.
func TestContractWhileEveryPendingRowIsRepaired(t *testing.T) {
	open := opener(t, Options{RepairAfter: time.Second / 2})
	metatest.Random(t, open, 1, 300)
}

func TestRandomCallsMatchTheModel(t *testing.T) {
	open := opener(t, Options{})
	metatest.Random(t, open, 2, 500)
}

func TestRandomCallsMatchTheModelThroughFaults(t *testing.T) {
	open := opener(t, Options{RepairAfter: time.Second / 2})
	metatest.Random(t, func(t testing.TB) meta.Store {
		return metafault.Wrap(open(t), 1,
			metafault.Rule{Op: metafault.Commit, Fault: metafault.Before, Chance: 0.15},
			metafault.Rule{Op: metafault.Commit, Fault: metafault.After, Chance: 0.15},
			metafault.Rule{Op: metafault.Cancel, Fault: metafault.Before, Chance: 0.5})
	}, 3, 500)
}
