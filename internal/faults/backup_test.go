//go:build unix

package faults

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// ground is an engine, through one gateway or two.
type ground struct {
	*testing.T
	gateways []*keeper
	bucket   *meta.Bucket
}

// grounds opens both engines.
func grounds(t *testing.T, test func(*ground)) {
	t.Run("embedded", func(t *testing.T) {
		cfg := loaded(t, embeddedSettings(t, "max-requests: 64", filepath.Join(t.TempDir(), "data")))
		test(openGround(t, cfg, 1))
	})
	t.Run("cassandra", func(t *testing.T) {
		c := cassandratest.Start(t)
		cfg := loaded(t, settings(t, c, c.Keyspace(t), "127.0.0.1:1"))
		if err := engine.Bootstrap(t.Context(), cfg, nil); err != nil {
			t.Fatal(err)
		}
		test(openGround(t, cfg, 2))
	})
}

func loaded(t *testing.T, file string) *config.Config {
	t.Helper()
	cfg, err := config.Load(file, true, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return &cfg
}

func openGround(t *testing.T, cfg *config.Config, n int) *ground {
	t.Helper()
	g := &ground{T: t}
	for range n {
		k := &keeper{}
		var err error
		if k.Engine, err = engine.Open(t.Context(), cfg, engine.OpenOptions{Now: k.now}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		})
		g.gateways = append(g.gateways, k)
	}
	var err error
	if g.bucket, err = g.gateways[0].Store.CreateBucket(t.Context(), store.CreateBucketInput{Name: "backup", Owner: "alice"}); err != nil {
		t.Fatal(err)
	}
	return g
}

// change makes one change of a few keys. It may fail: the collectors' clocks
// run ahead, so a body on its way can outlive the grace time.
func (g *ground) change(ctx context.Context, s *store.Store, r *rand.Rand) {
	key, attributes := fmt.Sprintf("k%d", r.IntN(8)), store.Attributes{Owner: "alice"}
	data := body(r.IntN(1000))
	switch r.IntN(5) {
	case 0, 1:
		_, _ = s.Put(ctx, g.bucket, key, store.PutInput{Attributes: attributes, Body: bytes.NewReader(data), Size: int64(len(data))})
	case 2:
		_, _ = s.Delete(ctx, g.bucket, key, store.DeleteInput{})
	case 3:
		_, _ = s.Copy(ctx, g.bucket, key, store.CopyInput{Source: g.bucket, SourceKey: fmt.Sprintf("k%d", r.IntN(8)), Attributes: attributes})
	case 4:
		u, err := s.CreateUpload(ctx, g.bucket, key, store.CreateUploadInput{Attributes: attributes})
		if err != nil {
			return
		}
		id := u.ID.String()
		_, _ = s.UploadPart(ctx, g.bucket, key, store.PartInput{UploadID: id, Number: 1, Body: bytes.NewReader(data), Size: int64(len(data))})
		_ = s.AbortUpload(ctx, g.bucket, key, id)
	}
}

// referred is what the metadata refer to, as a copy of them would.
func (g *ground) referred(m meta.Store) map[meta.ID]meta.Segment {
	g.Helper()
	refs := map[meta.ID]meta.Segment{}
	note := func(segments []meta.Segment) {
		for _, seg := range segments {
			if seg.Blob != (meta.ID{}) {
				refs[seg.Blob] = seg
			}
		}
	}
	all := meta.Share{Of: 1}
	err := m.Walk(g.Context(), all, meta.Visitor{Version: func(r meta.VersionRow) error { note(r.Segments); return nil }})
	if err == nil {
		err = m.Walk(g.Context(), all, meta.Visitor{Upload: func(u meta.Upload, parts []meta.Part) error {
			if u.State == meta.UploadOpen || u.State == meta.UploadCompleting {
				for _, p := range parts {
					note(p.Segments)
				}
			}
			return nil
		}})
	}
	if err != nil {
		g.Fatal(err)
	}
	return refs
}

// TestABackupHoldsEverythingThatItsMetadataReferTo takes many backups while
// clients change keys and collectors run whose clock jumps over the grace time
// each round: whatever the metadata refer to after the begin of a hold is
// there until its end. When all is over, nothing is left.
func TestABackupHoldsEverythingThatItsMetadataReferTo(t *testing.T) {
	grounds(t, func(g *ground) {
		ctx, stop := context.WithCancel(g.Context())
		var all sync.WaitGroup
		defer func() { stop(); all.Wait() }()
		var rounds, changes, deleted atomic.Int64
		for i, k := range g.gateways {
			for j := range 3 {
				r := rand.New(rand.NewPCG(uint64(i), uint64(j)))
				all.Go(func() {
					for ctx.Err() == nil {
						g.change(ctx, k.Store, r)
						changes.Add(1)
					}
				})
			}
			all.Go(func() {
				for ctx.Err() == nil {
					k.ahead.Add(int64(2 * k.Store.Grace()))
					done, err := k.Store.Collect(ctx)
					if err != nil && ctx.Err() == nil {
						g.Logf("collect: %v", err)
					}
					deleted.Add(int64(done.Deleted))
					rounds.Add(1)
				}
			})
		}
		k := g.gateways[0]
		admin := store.HoldAdmin{Meta: k.Meta}
		for backup := range 8 {
			await(g, "deletions between two backups", func() error {
				if deleted.Load() <= int64(backup) {
					return fmt.Errorf("%d blobs deleted", deleted.Load())
				}
				return nil
			})
			hold, err := admin.Begin(g.Context(), time.Hour, "test")
			if err != nil {
				g.Fatal(err)
			}
			refs := g.referred(k.Meta)
			atRound, atChange := rounds.Load(), changes.Load()
			await(g, "rounds of the collectors", func() error {
				if rounds.Load() < atRound+6 || changes.Load() < atChange+50 {
					return fmt.Errorf("%d rounds, %d changes", rounds.Load()-atRound, changes.Load()-atChange)
				}
				return nil
			})
			for id, seg := range refs {
				ref := blob.Ref{ID: id, Size: seg.Bytes, Chunk: seg.Chunk, Block: seg.Block}
				size, err := blob.Inspect(k.Blobs[seg.Store]).Stat(g.Context(), ref)
				if err != nil || size != seg.Bytes {
					g.Errorf("backup %d: of %d bytes of blob %s %d are there: %v", backup, seg.Bytes, id, size, err)
				}
			}
			if err := admin.End(g.Context(), hold.ID); err != nil {
				g.Fatal(err)
			}
		}
		stop()
		all.Wait()
		for range 3 {
			k.collect(g.T)
		}
		k.check(g.T)
	})
}

// backedUp is a command that pithos runs while g serves, and what it prints.
func backedUp(t *testing.T, file string, args ...string) string {
	t.Helper()
	binary, err := pithosBinary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binary, append(append([]string{"backup"}, args...), "-f", file)...).Output()
	if err != nil {
		t.Fatalf("pithos backup %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestADirectoryIsRestoredFromCopiesOfTwoMoments has metadata and bytes on two
// file systems, whose snapshots are further apart than the grace time, while
// clients delete what the first one refers to.
func TestADirectoryIsRestoredFromCopiesOfTwoMoments(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a gateway for some seconds")
	}
	folder, bytesFolder := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "bytes")
	write := func(folder, bytesFolder string) string {
		file := embeddedSettings(t, "max-requests: 64", folder)
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = fmt.Fprintf(f, "regions: {us-east-1: {storage-classes: {STANDARD: {type: file, directory: %s}}}}\n", bytesFolder)
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
		return file
	}
	file := write(folder, bytesFolder)
	g := runGateway(t, "http://"+loaded(t, file).ListenAddress(), func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), asGateway+"="+file, clockAhead+"=0s", shortGrace+"=1s")
		return cmd
	})
	makeBuckets(t, g)
	load := startTraffic(t, g.url, 4)
	pauseFor(t, 2*time.Second)
	hold := backedUp(t, file, "begin", "--for", "10m", "--reason", "test")
	before := load.settled()
	backup, backupBytes := t.TempDir(), t.TempDir()
	g.pause(t)
	copyFolder(t, folder, backup)
	if err := g.signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	pauseFor(t, 2*time.Second)
	load.end()
	client := newClient(g.url, 3)
	for key := range before { // all that the copied metadata refer to
		remove(t, client, bucket, &key, nil)
	}
	pauseFor(t, 10*time.Second) // of which the collector has three rounds
	g.pause(t)
	copyFolder(t, bytesFolder, backupBytes)
	if err := g.signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	backedUp(t, file, "end", hold)
	await(t, "the collection of what was deleted", func() error {
		if n := countFiles(t, bytesFolder); n >= countFiles(t, backupBytes) {
			return fmt.Errorf("%d files are there", n)
		}
		return nil
	})
	g.kill()

	restored := write(backup, backupBytes)
	if ended := backedUp(t, restored, "end", "--all"); !strings.Contains(ended, hold) {
		t.Errorf("the backup has not its own hold: %q", ended)
	}
	for _, args := range [][]string{{"--repair"}, {"--deep"}} {
		if out, err := runCheck(t, restored, args...); err != nil || strings.Contains(out, "missing") {
			t.Errorf("check %v: %v\n%s", args, err, out)
		}
	}
	r := runEmbedded(t, restored)
	verify(t, r.url, unchanged(before, load.settled()))
}

func countFiles(t *testing.T, folder string) (n int) {
	t.Helper()
	err := filepath.WalkDir(folder, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			n++
		}
		if os.IsNotExist(err) {
			return nil // deleted meanwhile
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
