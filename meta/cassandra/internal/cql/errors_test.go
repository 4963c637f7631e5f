package cql

import (
	"context"
	"errors"
	"testing"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

// refusal is an error that a coordinator sends.
type refusal int

func (r refusal) Code() int       { return int(r) }
func (r refusal) Message() string { return "refused" }
func (r refusal) Error() string   { return r.Message() }

func TestOnlyStatementsThatCannotHaveBegunAreNotApplied(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"no connection":            {gocql.ErrNoConnections, true},
		"no stream":                {gocql.ErrNoStreams, true},
		"refused as invalid":       {refusal(gocql.ErrCodeInvalid), true},
		"unavailable in a round":   {refusal(gocql.ErrCodeUnavailable), false},
		"overloaded with hints":    {refusal(gocql.ErrCodeOverloaded), false},
		"timed out":                {refusal(gocql.ErrCodeWriteTimeout), false},
		"unknown to the server":    {refusal(gocql.ErrCodeCASWriteUnknown), false},
		"no answer":                {gocql.ErrTimeoutNoResponse, false},
		"the connection was cut":   {gocql.ErrConnectionClosed, false},
		"the statement's time out": {context.DeadlineExceeded, false},
	} {
		err := classifyCAS(t.Context(), c.err)
		if errors.Is(err, ErrNotApplied) != c.want {
			t.Errorf("%s: %v, counted as not applied: %v", name, err, !c.want)
		}
		if name != "refused as invalid" && !errors.Is(err, meta.ErrUnavailable) {
			t.Errorf("%s: %v is not ErrUnavailable", name, err)
		}
		if overloaded := name == "no stream" || name == "overloaded with hints"; errors.Is(err, meta.ErrOverloaded) != overloaded {
			t.Errorf("%s: %v is ErrOverloaded: %v", name, err, !overloaded)
		}
	}
}
