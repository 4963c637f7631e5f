package cql

import (
	"context"
	"errors"
	"fmt"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/meta"
)

// ErrNotApplied marks errors of conditional changes that certainly had no effect.
var ErrNotApplied = errors.New("change was not applied")

// classifyCAS classifies the error of a conditional change.
func classifyCAS(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	// A coordinator may return these two codes after a round of Paxos has begun:
	// Unavailable, if replicas fail between the rounds and have accepted a
	// proposal that another coordinator may commit; Overloaded, if it holds too
	// many hints for a replica that must learn of the commit.
	var answer gocql.RequestError
	if errors.As(err, &answer) && (answer.Code() == gocql.ErrCodeUnavailable || answer.Code() == gocql.ErrCodeOverloaded) {
		return classify(ctx, err)
	}
	if class := cassandra.Classify(err); class == cassandra.Unavailable || class == cassandra.Rejected || isCodecError(err) {
		return fmt.Errorf("%w: %w", ErrNotApplied, classify(ctx, err))
	}
	return classify(ctx, err)
}

// isCodecError reports an error of encoding or decoding values: an error of this
// package, not of the cluster.
func isCodecError(err error) bool {
	var in gocql.MarshalError
	var out gocql.UnmarshalError
	return errors.As(err, &in) || errors.As(err, &out)
}

// classify turns an error of the driver into one of package meta. If ctx (the
// caller's, not the time limit of one statement) has ended, its cause is returned.
func classify(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w (%v)", context.Cause(ctx), err)
	case isCodecError(err) || cassandra.Classify(err) == cassandra.Rejected:
		return err
	case cassandra.Overloaded(err):
		return fmt.Errorf("%w: %w", meta.ErrOverloaded, err)
	}
	return fmt.Errorf("%w: %w", meta.ErrUnavailable, err)
}

// Wrap adds the name of the operation to an error.
func Wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
