//go:build unix

package faults

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/check"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/engine"
)

var restoreNodes = flag.Int("faults.restore", 0, "nodes of a ring that is backed up and restored, which takes minutes; 0: none is")

// traffic is clients that change objects of their own, and remember what each
// of them must be.
type traffic struct {
	t    testing.TB
	url  string
	stop context.CancelFunc
	all  sync.WaitGroup

	mu     sync.Mutex
	acked  map[string]int // the value of a key as it was acknowledged, negative: deleted
	asked  int
	failed []error
}

// startTraffic has n clients put, get and delete until end is called.
func startTraffic(t testing.TB, url string, n int) *traffic {
	ctx, cancel := context.WithCancel(t.Context())
	l := &traffic{t: t, url: url, stop: cancel, acked: map[string]int{}}
	t.Cleanup(func() { cancel(); l.all.Wait() })
	for i := range n {
		client := newClient(url, 0) // as it comes: three attempts
		l.all.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				l.one(client, fmt.Sprintf("traffic/%d/%03d", i, n%400), 1+i+8*n)
			}
		})
	}
	return l
}

// one changes a key that no other client uses, and reads it.
func (l *traffic) one(client *s3.Client, key string, value int) {
	ctx := context.Background()
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(body(value))})
	if err == nil && value%5 == 0 {
		_, err = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key})
		value = -value
	}
	if err == nil {
		l.mu.Lock()
		l.acked[key] = value
		l.mu.Unlock()
		err = expect(client, key, value)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if err != nil {
		l.failed = append(l.failed, fmt.Errorf("%s: %w", key, err))
	}
}

// expect reads a key and compares it with the value that it must have.
func expect(client *s3.Client, key string, value int) error {
	got, err := client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if value < 0 && statusOf(err) == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	data, err := io.ReadAll(got.Body)
	_ = got.Body.Close() // read to its end, or useless
	if err == nil && (value < 0 || !bytes.Equal(data, body(value))) {
		return fmt.Errorf("%d bytes, not those of value %d", len(data), value)
	}
	return err
}

// end stops the clients, waits for their last answers, and holds that none of
// them failed.
func (l *traffic) end() {
	l.t.Helper()
	l.stop()
	l.all.Wait()
	l.t.Logf("traffic: %d changes, %d failed", l.asked, len(l.failed))
	for _, err := range l.failed[:min(len(l.failed), 5)] {
		l.t.Error(err)
	}
}

// settled returns what was acknowledged, of all that is not changing now.
func (l *traffic) settled() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acked)
}

// verify reads all keys of a map through a gateway.
func verify(t testing.TB, url string, want map[string]int) {
	t.Helper()
	client := newClient(url, 3)
	for key, value := range want {
		if err := expect(client, key, value); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	t.Logf("%d keys are as they were acknowledged", len(want))
}

// runCheck runs pithos check and returns what it says.
func runCheck(t testing.TB, file string, args ...string) (string, error) {
	t.Helper()
	binary, err := pithosBinary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binary, append([]string{"check", "-f", file}, args...)...).CombinedOutput()
	return string(out), err
}

// TestARingIsRestoredFromSnapshots carries out what docs/operations.md says of
// backup and restore: snapshots of the metadata, then of the chunks, while
// clients write; a new ring; sstableloader; repair; check.
func TestARingIsRestoredFromSnapshots(t *testing.T) {
	if *restoreNodes == 0 {
		t.Skip("takes minutes: -faults.restore 3")
	}
	c := newCluster(t, cassandratest.StartRackedRing(t, *restoreNodes))
	g := startGateway(t, c.Cluster, c.keyspace, 0)
	makeBuckets(t, g)
	load := startTraffic(t, g.url, 4)
	pauseFor(t, 3*time.Second)
	before := load.settled()
	file := settings(t, c.Cluster, c.keyspace, "127.0.0.1:1")
	hold := backedUp(t, file, "begin", "--reason", "test")
	backup := t.TempDir()
	c.snapshot(t, backup, func(table string) bool { return table != "chunk" })
	// Between the two, far more than the grace time passes for a gateway whose
	// clock is ahead: it collects what is deleted at once, if nothing holds it.
	late := startGateway(t, c.Cluster, c.keyspace, 7*time.Minute)
	pauseFor(t, 10*time.Second)
	c.snapshot(t, backup, func(table string) bool { return table == "chunk" })
	backedUp(t, file, "end", hold)
	load.end()
	g.kill()
	late.kill()
	for _, n := range c.Nodes {
		n.Kill()
	}

	aside := &cluster{Ring: cassandratest.StartRackedRing(t, *restoreNodes), keyspace: c.keyspace}
	aside.bootstrap(t)
	folders, err := filepath.Glob(filepath.Join(backup, "*", c.keyspace, "*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("nothing to restore: %v", err)
	}
	for _, folder := range folders {
		aside.Nodes[0].Load(t, folder)
	}
	aside.Nodes[0].Nodetool(t, "repair", "--full", aside.keyspace)
	file = settings(t, aside.Cluster, aside.keyspace, freePort(t))
	if ended := backedUp(t, file, "end", "--all"); !strings.Contains(ended, hold) {
		t.Errorf("the backup has not its own hold: %q", ended)
	}
	out, err := runCheck(t, file, "--repair")
	t.Logf("check --repair: %v: %s", err, out[max(0, len(out)-500):])
	for _, kind := range []check.Kind{check.Missing, check.Corrupt} {
		if strings.Contains(out, string(kind)) {
			t.Errorf("the backup has %s objects", kind)
		}
	}
	aside.dropUnreferenced(t)
	if out, err := runCheck(t, file, "--deep"); err != nil {
		t.Errorf("check --deep: %v\n%s", err, out)
	}
	restored := startGateway(t, aside.Cluster, aside.keyspace, 0)
	verify(t, restored.url, unchanged(before, load.settled()))
}

// dropUnreferenced runs check --repair twice, a grace time apart: what was
// written between the snapshots goes, and all else is in order.
func (c *cluster) dropUnreferenced(t *testing.T) {
	t.Helper()
	k := &keeper{}
	var err error
	if k.Engine, err = engine.Open(t.Context(), c.cfg, engine.OpenOptions{Now: k.now}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.Close() }() // nothing is under way
	state := t.TempDir()
	for run := range 2 {
		s, err := check.Run(t.Context(), check.Options{
			Store: k.Store, Meta: k.Meta, Blobs: k.Blobs, Shares: 8, Now: k.now, Repair: true, State: state,
			Found: func(f check.Finding) error {
				if f.Kind != check.Unreferenced || f.Repaired != (run == 1) {
					t.Errorf("check --repair, run %d: %+v", run+1, f)
				}
				return nil
			},
		})
		if err != nil {
			t.Fatalf("check: %v", err)
		}
		t.Logf("check --repair, run %d: %v", run+1, s.Found)
		k.ahead.Add(int64(time.Hour))
	}
}

// unchanged are the keys that have one value before and after.
func unchanged(before, after map[string]int) map[string]int {
	same := map[string]int{}
	for key, value := range before {
		if after[key] == value {
			same[key] = value
		}
	}
	return same
}

// snapshot takes a snapshot of those tables on all nodes, one after another,
// and copies it into folder as sstableloader wants it:
// <node>/<keyspace>/<table>.
func (c *cluster) snapshot(t testing.TB, folder string, of func(table string) bool) {
	t.Helper()
	var tables []string
	found := c.Session(t).Query("SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?", c.keyspace).Iter()
	for table := ""; found.Scan(&table); {
		if of(table) {
			tables = append(tables, c.keyspace+"."+table)
		}
	}
	if err := found.Close(); err != nil {
		t.Fatal(err)
	}
	name := "backup-" + strings.TrimPrefix(tables[0], c.keyspace+".")
	for _, n := range c.Nodes {
		n.Nodetool(t, "snapshot", "-t", name, "-kt", strings.Join(tables, ","))
		taken, err := filepath.Glob(filepath.Join(n.DataDir(), c.keyspace, "*", "snapshots", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range taken {
			table, _, _ := strings.Cut(filepath.Base(filepath.Dir(filepath.Dir(from))), "-")
			copyFolder(t, from, filepath.Join(folder, n.Host, c.keyspace, table))
		}
	}
}

func copyFolder(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		case !e.Type().IsRegular(): // the socket that takes orders, which no copy needs
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, 0o600)
	})
	if err != nil {
		t.Error(err) // stopped processes have to continue
	}
}

// makeBuckets makes the bucket, and the one that keeps versions.
func makeBuckets(t testing.TB, g *gatewayProcess) {
	t.Helper()
	client := newClient(g.url, 10)
	for _, name := range []string{bucket, versionedBucket} {
		if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: aws.String(versionedBucket),
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	if err != nil {
		t.Fatal(err)
	}
}

// pauseFor lets the clients work for a while.
func pauseFor(t testing.TB, d time.Duration) { pause(t.Context(), d) }

// TestADirectoryIsRestoredFromACopy restores the embedded engine from a copy
// that was taken at one moment, as a snapshot of the file system is, while
// clients wrote: with the process stopped, nothing changes.
func TestADirectoryIsRestoredFromACopy(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a gateway for some seconds")
	}
	folder := filepath.Join(t.TempDir(), "data")
	g := runEmbedded(t, embeddedSettings(t, "max-requests: 64", folder))
	makeBuckets(t, g)
	load := startTraffic(t, g.url, 4)
	pauseFor(t, 2*time.Second)
	before := load.settled()
	g.pause(t)
	backup := t.TempDir()
	copyFolder(t, folder, backup)
	if err := g.signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	pauseFor(t, time.Second)
	load.end()
	g.kill()
	verifyFolder(t, backup, unchanged(before, load.settled()))
	verifyFolder(t, folder, load.settled()) // as a crash has left it
}

// verifyFolder checks and serves a directory of the embedded engine.
func verifyFolder(t *testing.T, folder string, want map[string]int) {
	t.Helper()
	file := embeddedSettings(t, "max-requests: 64", folder)
	for _, args := range [][]string{{"--repair"}, {"--deep"}} {
		out, err := runCheck(t, file, args...)
		if err != nil || strings.Contains(out, "missing") {
			t.Errorf("check %v: %v\n%s", args, err, out)
		}
	}
	g := runEmbedded(t, file)
	verify(t, g.url, want)
	g.kill()
}
