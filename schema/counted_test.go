package schema

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gocql/gocql"
)

func TestAMissingQuorumIsCounted(t *testing.T) {
	missing := &gocql.RequestErrUnavailable{Consistency: gocql.LocalQuorum, Required: 2, Alive: 1}
	err := counted(fmt.Errorf("read: %w", missing))
	if !errors.Is(err, missing) || !strings.Contains(err.Error(), "1 replicas are up and 2 are needed") {
		t.Errorf("got %v", err)
	}
	if err := counted(nil); err != nil {
		t.Errorf("got %v", err)
	}
}
