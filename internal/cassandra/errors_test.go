package cassandra

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gocql/gocql"
)

// answer is an error that a server sends.
type answer int

func (a answer) Code() int       { return int(a) }
func (a answer) Message() string { return fmt.Sprintf("error %#x", int(a)) }
func (a answer) Error() string   { return a.Message() }

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Class
	}{
		{nil, OK},
		{gocql.ErrNoConnections, Unavailable},
		{fmt.Errorf("read: %w", gocql.ErrNoConnections), Unavailable},
		{gocql.ErrNoStreams, Unavailable},
		{gocql.ErrSessionClosed, Unavailable},
		{answer(gocql.ErrCodeUnavailable), Unavailable},
		{answer(gocql.ErrCodeOverloaded), Unavailable},
		{answer(gocql.ErrCodeBootstrapping), Unavailable},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, Unavailable},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, Unknown},
		{gocql.ErrTimeoutNoResponse, Unknown},
		{gocql.ErrConnectionClosed, Unknown},
		{answer(gocql.ErrCodeWriteTimeout), Unknown}, // of any write type, CAS too
		{answer(gocql.ErrCodeWriteFailure), Unknown},
		{answer(gocql.ErrCodeCASWriteUnknown), Unknown},
		{answer(gocql.ErrCodeReadTimeout), Unknown}, // sent by the read phase of a conditional write
		{answer(gocql.ErrCodeServer), Unknown},
		{answer(0x7fff), Unknown},
		{answer(gocql.ErrCodeSyntax), Rejected},
		{answer(gocql.ErrCodeInvalid), Rejected},
		{answer(gocql.ErrCodeUnauthorized), Rejected},
		{answer(gocql.ErrCodeAlreadyExists), Rejected},
		{context.Canceled, Other},
		{errors.New("can not marshal string into bigint"), Other},
	} {
		if got := Classify(c.err); got != c.want {
			t.Errorf("Classify(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestOverloadedIsOnlyForLackOfCapacity(t *testing.T) {
	for _, err := range []error{answer(gocql.ErrCodeOverloaded), gocql.ErrNoStreams, fmt.Errorf("read: %w", answer(gocql.ErrCodeOverloaded))} {
		if !Overloaded(err) {
			t.Errorf("%v is none", err)
		}
	}
	for _, err := range []error{nil, answer(gocql.ErrCodeUnavailable), gocql.ErrNoConnections, gocql.ErrTimeoutNoResponse, context.Canceled} {
		if Overloaded(err) {
			t.Errorf("%v is one", err)
		}
	}
}

func TestPortDefaultsToThatOfAContactPoint(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want int
	}{
		{Config{Hosts: []string{"a"}}, 9042},
		{Config{Hosts: []string{"a", "b:19042"}}, 19042},
		{Config{Hosts: []string{"a:1", "b"}, Port: 7}, 7},
		{Config{Hosts: []string{"[::1]:5"}}, 5},
	} {
		if got, err := c.cfg.port(); err != nil || got != c.want {
			t.Errorf("%v: port %d, %v; want %d", c.cfg, got, err, c.want)
		}
	}
}

func TestPrintedConfigHidesThePassword(t *testing.T) {
	c := Config{Hosts: []string{"a"}, Username: "u", Password: "s3cret"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, c); strings.Contains(s, "s3cret") {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}
