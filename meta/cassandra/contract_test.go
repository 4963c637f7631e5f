package cassandra

import (
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
	"github.com/pithos/pithos/meta/metafault"
	"github.com/pithos/pithos/meta/metatest"
)

// storeOpener opens gateways of one keyspace.
func storeOpener(t *testing.T, o Options) metatest.Open {
	c, keyspace := cqltest.NewKeyspace(t)
	session := cqltest.NewSession(t, c, keyspace)
	return func(t testing.TB) meta.Store { return newStore(t, session, keyspace, o) }
}

func TestContract(t *testing.T) {
	open := storeOpener(t, Options{})
	metatest.Run(t, open)
	metatest.RunAccessKeys(t, func(t testing.TB) meta.AccessKeys { return open(t).(*Store) })
}

// splitOpener opens gateways whose buckets and access keys are in a keyspace of their own.
// The keyspace of the objects does not have these tables.
func splitOpener(t *testing.T, o Options) metatest.Open {
	c, objects := cqltest.NewKeyspace(t)
	buckets := cqltest.Install(t, c)
	session := cqltest.NewSession(t, c, objects)
	for keyspace, tables := range map[string][]string{
		objects: {"bucket", "bucket_by_owner", "bucket_by_id", "access_key"},
		buckets: {"object", "listing", "listing_map", "upload", "upload_by_bucket", "gc", "gc_slot"},
	} {
		for _, table := range tables {
			cqltest.Must(t, session.Query("DROP TABLE "+keyspace+"."+table).Exec())
		}
	}
	o.Buckets = &Keyspace{Session: cqltest.NewSession(t, c, buckets), Name: buckets}
	return func(t testing.TB) meta.Store { return newStore(t, session, objects, o) }
}

func TestContractWithBucketsInAnotherKeyspace(t *testing.T) {
	open := splitOpener(t, Options{})
	metatest.Run(t, open)
	metatest.Random(t, open, 4, 200)
	metatest.RunAccessKeys(t, func(t testing.TB) meta.AccessKeys { return open(t).(*Store) })
}

// TestContractWhileEveryPendingRowIsRepaired repairs pending rows while their changes are
// running: the changes must succeed nevertheless.
func TestContractWhileEveryPendingRowIsRepaired(t *testing.T) {
	open := storeOpener(t, Options{RepairAfter: time.Second / 2})
	metatest.Random(t, open, 1, 300)
}

func TestRandomCallsMatchTheModel(t *testing.T) {
	open := storeOpener(t, Options{})
	metatest.Random(t, open, 2, 500)
}

func TestRandomCallsMatchTheModelThroughFaults(t *testing.T) {
	open := storeOpener(t, Options{RepairAfter: time.Second / 2})
	metatest.Random(t, func(t testing.TB) meta.Store {
		return metafault.Wrap(open(t), 1,
			metafault.Rule{Op: meta.OpCommit, Fault: metafault.Before, Chance: 0.15},
			metafault.Rule{Op: meta.OpCommit, Fault: metafault.After, Chance: 0.15},
			metafault.Rule{Op: meta.OpCancel, Fault: metafault.Before, Chance: 0.5})
	}, 3, 500)
}
