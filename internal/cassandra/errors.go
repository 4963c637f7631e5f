package cassandra

import (
	"errors"
	"net"

	"github.com/gocql/gocql"
)

// Class says what the error of a statement means for its effect.
type Class int

const (
	// OK is the class of no error.
	OK Class = iota
	// Unavailable: no effect; the cluster, or enough of it, cannot be reached or
	// is overloaded. The same statement may succeed later.
	Unavailable
	// Unknown: the statement may have taken effect, or may still do so. For a
	// read it only means that there is no result.
	Unknown
	// Rejected: no effect, and repeating the statement will not help.
	Rejected
	// Other: not an error of the cluster. Whether the statement had an effect is
	// unknown: a context may have ended while it was being sent.
	Other
)

// String returns the class's name, for logs.
func (c Class) String() string {
	switch c {
	case OK:
		return "ok"
	case Unavailable:
		return "unavailable"
	case Unknown:
		return "unknown outcome"
	case Rejected:
		return "rejected"
	}
	return "other"
}

// Classify returns the class of a driver's error. The codes are defined in CQL's
// native protocol v4, section 9.
func Classify(err error) Class {
	if err == nil {
		return OK
	}
	var request gocql.RequestError
	if errors.As(err, &request) {
		return classifyCode(request.Code())
	}
	for _, unsent := range []error{gocql.ErrNoConnections, gocql.ErrNoStreams, gocql.ErrSessionClosed,
		gocql.ErrNoConnectionsStarted, gocql.ErrUnavailable} {
		if errors.Is(err, unsent) {
			return Unavailable
		}
	}
	for _, unanswered := range []error{gocql.ErrTimeoutNoResponse, gocql.ErrConnectionClosed, gocql.ErrTooManyTimeouts} {
		if errors.Is(err, unanswered) {
			return Unknown
		}
	}
	var network *net.OpError
	if errors.As(err, &network) {
		if network.Op == "dial" {
			return Unavailable
		}
		return Unknown
	}
	return Other
}

// Overloaded reports that a statement was refused for lack of capacity, by a node or,
// if no connection has a free stream, by the driver: the caller should send less. The
// error's class says whether the statement took effect.
func Overloaded(err error) bool {
	var request gocql.RequestError
	if errors.As(err, &request) {
		return request.Code() == gocql.ErrCodeOverloaded
	}
	return errors.Is(err, gocql.ErrNoStreams)
}

func classifyCode(code int) Class {
	switch code {
	case gocql.ErrCodeUnavailable, gocql.ErrCodeOverloaded, gocql.ErrCodeBootstrapping:
		return Unavailable
	case gocql.ErrCodeSyntax, gocql.ErrCodeInvalid, gocql.ErrCodeConfig, gocql.ErrCodeUnauthorized,
		gocql.ErrCodeProtocol, gocql.ErrCodeCredentials, gocql.ErrCodeAlreadyExists, gocql.ErrCodeUnprepared,
		gocql.ErrCodeFunctionFailure:
		return Rejected
	}
	// Server errors, timeouts and failures of reads and writes (including the stages
	// of a conditional write), of CDC and truncation, and future codes: a replica may
	// have applied the statement.
	return Unknown
}
