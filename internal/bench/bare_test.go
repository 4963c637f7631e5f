package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/cassandratest"
)

const (
	smallSize  = 4 << 10
	largeSize  = 64 << 20
	chunkSize  = 512 << 10 // as the blob store's
	blockSize  = 64
	inFlight   = 4 // chunks of a stream, as the blob store's
	pageKeys   = 1000
	listedKeys = 5000
	readKeys   = 500
)

// bare does by gocql alone what the others do through Pithos, on tables that
// have the options of Pithos' own.
type bare struct {
	session  *gocql.Session
	keyspace string
	data     []byte // of a large object
}

func newBare(b *testing.B) *bare {
	c := cassandratest.Start(b)
	s := &bare{keyspace: c.CreateKeyspace(b), data: content(largeSize)}
	var err error
	s.session, err = cassandra.Open(b.Context(), cassandra.Config{Hosts: c.Hosts, Port: c.Port})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.session.Close)
	const unified = `{'class': 'UnifiedCompactionStrategy', 'scaling_parameters': '%s'}`
	for _, ddl := range []string{
		"CREATE TABLE %s.object (k text PRIMARY KEY, v blob) WITH compaction = " + fmt.Sprintf(unified, "L10"),
		"CREATE TABLE %s.chunk (id blob, block int, chunk int, data blob, PRIMARY KEY ((id, block), chunk)) " +
			"WITH compression = {'enabled': false} AND compaction = " + fmt.Sprintf(unified, "T4"),
		"CREATE TABLE %s.listing (p int, k text, v blob, PRIMARY KEY (p, k)) WITH compaction = " + fmt.Sprintf(unified, "L10"),
	} {
		if err := s.session.Query(fmt.Sprintf(ddl, s.keyspace)).Exec(); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// content returns bytes that do not compress.
func content(n int) []byte {
	data := make([]byte, n)
	x := uint64(88172645463325252)
	for i := 0; i+8 <= n; i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(data[i:], x)
	}
	return data
}

func (s *bare) query(ctx context.Context, stmt string, args ...any) *gocql.Query {
	return s.session.Query(fmt.Sprintf(stmt, s.keyspace), args...).WithContext(ctx).Idempotent(true)
}

func key(n int64) string { return fmt.Sprintf("key/%019d", uint64(n)*0x9e3779b97f4a7c15>>1) }

func (s *bare) putSmall(ctx context.Context, n int64) error {
	return s.putKey(ctx, key(n))
}

func (s *bare) putKey(ctx context.Context, key string) error {
	applied, err := s.query(ctx, "INSERT INTO %s.object (k, v) VALUES (?, ?) IF NOT EXISTS", key, s.data[:smallSize]).
		MapScanCAS(map[string]any{})
	if err == nil && !applied {
		err = errors.New("a new key exists")
	}
	return err
}

func readKey(n int64) string { return fmt.Sprintf("read/%d", n%readKeys) }

func (s *bare) getSmall(ctx context.Context, n int64) error {
	var got []byte
	err := s.query(ctx, "SELECT v FROM %s.object WHERE k = ?", readKey(n)).Scan(&got)
	if err == nil && len(got) != smallSize {
		err = fmt.Errorf("%d bytes", len(got))
	}
	return err
}

func blobID(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// chunks calls do for each chunk of a large object.
func (s *bare) chunks(ctx context.Context, do func(ctx context.Context, chunk int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	for chunk := range largeSize / chunkSize {
		g.Go(func() error { return do(ctx, chunk) })
	}
	return g.Wait()
}

func (s *bare) putLarge(ctx context.Context, n int64) error {
	return s.chunks(ctx, func(ctx context.Context, i int) error {
		return s.query(ctx, "INSERT INTO %s.chunk (id, block, chunk, data) VALUES (?, ?, ?, ?)",
			blobID(n), i/blockSize, i%blockSize, s.data[i*chunkSize:(i+1)*chunkSize]).Exec()
	})
}

func (s *bare) getLarge(ctx context.Context, _ int64) error {
	return s.chunks(ctx, func(ctx context.Context, i int) error {
		var got []byte
		err := s.query(ctx, "SELECT data FROM %s.chunk WHERE id = ? AND block = ? AND chunk = ?",
			blobID(-1), i/blockSize, i%blockSize).Consistency(gocql.LocalOne).Scan(&got)
		if err == nil && len(got) != chunkSize {
			err = fmt.Errorf("%d bytes", len(got))
		}
		return err
	})
}

func listKey(n int) string { return fmt.Sprintf("folder/%06d.jpg", n) }

// startOf is the key that page n begins behind.
func startOf(n int64) string { return listKey(int(n*7919) % (listedKeys - pageKeys - 1)) }

// entrySize is about what Pithos keeps of an entry.
const entrySize = 130

func (s *bare) list(ctx context.Context, n int64) error {
	iter := s.query(ctx, "SELECT k, v FROM %s.listing WHERE p = 1 AND k > ? LIMIT ?", startOf(n), pageKeys+1).PageSize(pageKeys + 1).Iter()
	rows := make([]struct {
		key   string
		entry []byte
	}, pageKeys+1)
	i := 0
	for i < len(rows) && iter.Scan(&rows[i].key, &rows[i].entry) {
		i++
	}
	if err := iter.Close(); err != nil {
		return err
	}
	if i != pageKeys+1 {
		return fmt.Errorf("%d keys", i)
	}
	return nil
}

// loadSmall, loadLarge and loadList store what is read.
func (s *bare) loadSmall(b *testing.B) {
	each(b, readKeys, func(ctx context.Context, i int) error { return s.putKey(ctx, readKey(int64(i))) })
}

func (s *bare) loadLarge(b *testing.B) {
	if err := s.putLarge(b.Context(), -1); err != nil {
		b.Fatal(err)
	}
}

func (s *bare) loadList(b *testing.B) {
	each(b, listedKeys, func(ctx context.Context, i int) error {
		return s.query(ctx, "INSERT INTO %s.listing (p, k, v) VALUES (1, ?, ?)", listKey(i), s.data[:entrySize]).Exec()
	})
}

// each does something n times, by several at once.
func each(b *testing.B, n int, do func(ctx context.Context, i int) error) {
	b.Helper()
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(16)
	begin := time.Now()
	for i := range n {
		g.Go(func() error { return do(ctx, i) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d loaded in %v", n, time.Since(begin).Round(time.Millisecond))
}
