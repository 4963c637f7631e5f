package cql

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/gocql/gocql"
)

// QueryCountingTombstones implements Database. Cassandra warns of a page that
// scanned more than tombstone_warn_threshold tombstones, 1,000 by default.
func (d *cluster) QueryCountingTombstones(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) (tombstones int, err error) {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	iter := d.query(limited, stmt, args...).Consistency(c).PageSize(min(max(page, 1), MaxPageRows)).
		Idempotent(true).RetryPolicy(retryOnce).Iter()
	tombstones = tombstonesIn(iter.Warnings())
	scanner := iter.Scanner()
	for scanner.Next() {
		if err := row(scanner); err != nil {
			scanner.Err() // releases the query
			return tombstones, err
		}
	}
	return tombstones, classify(ctx, scanner.Err())
}

var countedTombstones = regexp.MustCompile(`(\d+) tombstone`)

// tombstonesIn reads the number of tombstones from the warnings of a response.
// The text differs between releases of Cassandra: a warning that names tombstones
// and no number counts as the default threshold.
func tombstonesIn(warnings []string) int {
	most := 0
	for _, w := range warnings {
		if !strings.Contains(w, "tombstone") {
			continue
		}
		n := 1000
		if m := countedTombstones.FindStringSubmatch(w); m != nil {
			if counted, err := strconv.Atoi(m[1]); err == nil && counted > 0 {
				n = counted
			}
		}
		most = max(most, n)
	}
	return most
}
