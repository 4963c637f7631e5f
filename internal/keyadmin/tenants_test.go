package keyadmin

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/meta"
)

// listedKeys counts how often all keys are read.
type listedKeys struct {
	meta.AccessKeys
	rows  []meta.AccessKey
	err   error
	lists int
}

func (l *listedKeys) ListAccessKeys(context.Context) ([]meta.AccessKey, error) {
	l.lists++
	return l.rows, l.err
}

func TestTenantsAreReadOncePerSecondWhateverIsAsked(t *testing.T) {
	table := &listedKeys{rows: []meta.AccessKey{{ID: "a", Tenant: "alice"}, {ID: "m", Tenant: "mail@example.com"}}}
	keys := NewKeys(map[string]config.Key{"FIXED": {Tenant: "fixed"}}, true, table, nil)
	now := time.Now()
	keys.now = func() time.Time { return now }
	ask := func(name, want string) {
		t.Helper()
		if got, err := keys.Tenant(t.Context(), name); got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", name, got, err, want)
		}
	}
	lists := func(want int) {
		t.Helper()
		if table.lists != want {
			t.Errorf("all keys were read %d times, want %d", table.lists, want)
		}
	}
	ask("fixed", "fixed")
	lists(0)
	for i := range 1000 {
		ask("alice", "alice")
		ask("mail@example.com", "mail@example.com")
		ask(fmt.Sprint("absent", i), "")
	}
	lists(1)
	table.rows = []meta.AccessKey{{ID: "b", Tenant: "bob"}}
	now = now.Add(tenantsPause)
	ask("alice", "alice") // remembered
	lists(1)
	ask("bob", "bob")
	ask("alice", "")
	lists(2)
	now = now.Add(tenantsTTL)
	table.err = errors.New("down")
	if _, err := keys.Tenant(t.Context(), "bob"); !errors.Is(err, table.err) {
		t.Errorf("while the store is down: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	keys.tenants.reading <- struct{}{}
	if _, err := keys.Tenant(ended, "carol"); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that has ended waits: %v", err)
	}
}
