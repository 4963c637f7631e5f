//go:build linux

package cassandra

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/cassandratest"
)

// BenchmarkCompression compares settings of the chunks' table: what Cassandra's
// processors take to write 64 MiB of chunks to the disk and to read them from
// there, and what they take on it. Each round writes and reads all of them.
//
//	go test ./blob/cassandra -run '^$' -bench Compression -benchtime 5x
func BenchmarkCompression(b *testing.B) {
	ring := cassandratest.StartOwn(b)
	session := connect(b, ring.Cluster)
	bodies := map[string][]byte{"random": random(chunkBytes), "text": text(chunkBytes)}
	for _, what := range []string{"random", "text"} {
		for _, setting := range []string{"none", "LZ4-16", "LZ4-64", "LZ4-256"} {
			b.Run(what+"/"+setting, func(b *testing.B) {
				compression(b, ring.Nodes[0], session, createCompressed(b, ring, session, setting), bodies[what])
			})
		}
	}
}

const (
	chunkBytes = 512 << 10
	chunkCount = 128
)

// compression measures one setting. The first round, whose code is cold, is not
// counted.
func compression(b *testing.B, node *cassandratest.Node, session *gocql.Session, keyspace string, data []byte) {
	t := newCQL(session, keyspace, gocql.LocalOne)
	var write, read time.Duration
	rounds := 0
	for b.Loop() {
		id := blob.NewID()
		begun := processorTime(b, node)
		forChunks(b, func(at position) error { return t.insert(b.Context(), id, at, 0, data) })
		node.Nodetool(b, "flush", keyspace)
		written := processorTime(b, node)
		forChunks(b, func(at position) error {
			_, got, err := t.read(b.Context(), id, at, false)
			if err == nil && !bytes.Equal(got, data) {
				err = fmt.Errorf("chunk %v is not what was written", at)
			}
			return err
		})
		if rounds++; rounds > 1 || b.N == 1 {
			write += written - begun
			read += processorTime(b, node) - written
		}
	}
	counted := float64(max(1, rounds-1))
	b.ReportMetric(write.Seconds()*1000/counted, "cpu-ms/write")
	b.ReportMetric(read.Seconds()*1000/counted, "cpu-ms/read")
	stored := float64(chunkBytes*chunkCount) * float64(rounds)
	b.ReportMetric(float64(onDisk(b, filepath.Join(node.DataDir(), keyspace)))/stored, "disk/byte")
}

// forChunks does something for each chunk, as many at a time as the writer has
// in flight.
func forChunks(b *testing.B, do func(position) error) {
	b.Helper()
	var g errgroup.Group
	g.SetLimit(4)
	for n := range chunkCount {
		g.Go(func() error { return do(positionOf(int64(n), 64)) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// createCompressed makes the table, with "none" or LZ4 in blocks of so many KiB.
func createCompressed(b *testing.B, ring *cassandratest.Ring, session *gocql.Session, setting string) (keyspace string) {
	b.Helper()
	keyspace = createTable(b, ring.Cluster, session)
	if kib, ok := strings.CutPrefix(setting, "LZ4-"); ok {
		err := session.Query("ALTER TABLE " + keyspace + ".chunk WITH compression = {'class': 'LZ4Compressor', 'chunk_length_in_kb': " + kib + "}").Exec()
		if err != nil {
			b.Fatal(err)
		}
	}
	return keyspace
}

func random(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // never fails
	return data
}

// text shrinks as logs do, to about a fifth.
func text(n int) []byte {
	var out bytes.Buffer
	r := rand.New(rand.NewPCG(1, 2))
	for out.Len() < n {
		fmt.Fprintf(&out, "2026-11-21T%02d:%02d:%02d INFO request GET /bucket/photos/%06d.jpg status=200 bytes=%d\n",
			r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6), r.IntN(1e7))
	}
	return out.Bytes()[:n]
}

// processorTime is what the node has used so far. (proc(5), /proc/[pid]/stat.)
func processorTime(b *testing.B, node *cassandratest.Node) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", node.PID()))
	if err != nil {
		b.Fatal(err)
	}
	var sum time.Duration
	for _, f := range bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])[11:13] { // user and system time
		n, err := strconv.Atoi(string(f))
		if err != nil {
			b.Fatalf("%s: %v", stat, err)
		}
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}

// onDisk is the size of the data files below a directory.
func onDisk(b *testing.B, dir string) (bytes int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(e.Name(), "-Data.db") {
			return err
		}
		info, err := e.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}
