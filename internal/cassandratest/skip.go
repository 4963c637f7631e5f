//go:build unix

package cassandratest

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// notShort skips the test under -short: with that flag no test starts or reaches
// a Cassandra, whatever this machine offers. Every function of this package that
// provides a server calls it first, so no test has to look at the flag itself.
func notShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no Cassandra is used")
	}
}

// unavailableError tells that this machine offers no way to a Cassandra. All
// other errors are failures of one that should have worked.
type unavailableError struct{ reason string }

func (e *unavailableError) Error() string { return e.reason }

// giveUp ends the test: skipped if the machine has no Cassandra to offer and
// none is required, failed otherwise.
func giveUp(t testing.TB, err error) {
	t.Helper()
	var unavailable *unavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("cassandratest: %v", err)
	}
	if os.Getenv(envRequired) == "1" {
		t.Fatalf("cassandratest: %s=1, but there is no Cassandra: %v", envRequired, err)
	}
	fmt.Fprintf(os.Stderr, "\n*** SKIPPED %s: NO CASSANDRA TO TEST AGAINST ***\n%v\n"+
		"Start Docker, install Java 17 and Maven, or set %s=host[:port].\n\n", t.Name(), err, envAddresses)
	t.Skipf("no Cassandra: %v", err)
}
