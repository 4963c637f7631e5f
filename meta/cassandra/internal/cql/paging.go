package cql

import (
	"context"
	"errors"
	"math"
	"math/bits"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

// walkPage is how many rows a walk reads per page: manifests of large objects take a
// megabyte each.
const walkPage = 500

// tokens returns the part of the ring that a share covers: above low, up to high.
func tokens(s meta.Share) (low, high int64) {
	at := func(part int) int64 {
		if part == s.Of {
			return math.MaxInt64
		}
		// part/Of of 2^64, counted from the lowest token.
		quotient, _ := bits.Div64(uint64(part), 0, uint64(s.Of))
		return int64(quotient ^ 1<<63)
	}
	return at(s.Part), at(s.Part + 1) // no row has the lowest token
}

// QueryPage implements Database.
func (d *cluster) QueryPage(ctx context.Context, c gocql.Consistency, size int, state []byte, row func(gocql.Scanner) error, stmt string, args ...any) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	iter := d.query(limited, stmt, args...).Consistency(c).PageSize(size).PageState(state).Idempotent(true).RetryPolicy(retryOnce).Iter()
	next, rows := iter.PageState(), iter.NumRows() // read here: scanning further would fetch the next page
	scanner := iter.Scanner()
	for range rows {
		if !scanner.Next() {
			break
		}
		if err := row(scanner); err != nil {
			scanner.Err() // releases the query
			return nil, err
		}
	}
	return next, classify(ctx, scanner.Err())
}

// WalkTable calls row for each row of a share of a table. Between pages it holds no
// resources.
func (d DB) WalkTable(ctx context.Context, share meta.Share, row func(gocql.Scanner) error, stmt string) error {
	low, high := tokens(share)
	for try, state := 0, []byte(nil); ; {
		next, err := d.QueryPage(ctx, d.Consistency, walkPage, state, row, stmt, low, high)
		switch {
		case err == nil && len(next) == 0:
			return nil
		case err == nil:
			state, try = next, 0
			continue
		case !errors.Is(err, meta.ErrUnavailable) || try == walkTries:
			return err
		}
		// The page is read again, and its rows are visited again.
		if err := Backoff(ctx, 8+try); err != nil {
			return err
		}
		try++
	}
}

// walkTries is how often a failed page is read again.
const walkTries = 5
