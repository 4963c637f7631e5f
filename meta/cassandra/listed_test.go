package cassandra

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

// Rows of older programs have no columns for listings. They are listed like the rows of
// this one.
func TestRowsOfOlderProgramsAreListed(t *testing.T) {
	cluster, keyspace := cqltest.NewKeyspace(t)
	session := cqltest.NewSession(t, cluster, keyspace)
	s := newStore(t, session, keyspace, Options{})
	b := meta.Bucket{Name: "old", ID: meta.NewID(), Rev: 1, State: meta.BucketActive, Owner: "owner", Created: time.UnixMicro(5).UTC(),
		Config: meta.BucketConfig{Region: "here", Versioning: "Enabled", Documents: map[string][]byte{"cors": make([]byte, 1000)}}}
	if _, err := s.CreateBucket(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	var rev int64 = 1000
	for range 3 {
		p, err := s.Begin(t.Context(), b.ID, "k", rev+1000, true)
		if err != nil {
			t.Fatal(err)
		}
		v := meta.Version{Seq: rev + 1000, Size: 3, ETag: fmt.Sprint(rev), Owner: "o", Headers: map[string]string{"Content-Type": "a/b"}}
		was := rev
		if was == 1000 {
			was = 0
		}
		if err := p.Commit(t.Context(), meta.Change{IfRev: was, Rev: rev + 1000, ID: meta.NewID(), Put: []meta.Version{v}, Entry: meta.EntryOf("k", &v), History: true}); err != nil {
			t.Fatal(err)
		}
		rev += 1000
	}
	upload := meta.Upload{ID: meta.NewID(), Bucket: b.ID, Key: "k", Rev: 1, State: meta.UploadOpen, Doc: meta.UploadDoc{Initiated: 9, Initiator: "i", Version: meta.Version{Owner: "o", Metadata: map[string]string{"a": "b"}}}}
	if err := s.CreateUpload(t.Context(), upload); err != nil {
		t.Fatal(err)
	}
	list := func() (all []any) {
		t.Helper()
		versions, err := s.ListVersions(t.Context(), b.ID, "k", 0, 10)
		if err != nil || len(versions) != 3 {
			t.Fatalf("%v, %v", versions, err)
		}
		uploads, err := s.ListUploads(t.Context(), b.ID, "", "", meta.UploadID{}, 10)
		if err != nil || len(uploads) != 1 {
			t.Fatalf("%v, %v", uploads, err)
		}
		buckets, err := s.ListBuckets(t.Context(), "owner", "", 10)
		if err != nil || len(buckets) != 1 {
			t.Fatalf("%v, %v", buckets, err)
		}
		return []any{versions, uploads, buckets}
	}
	want := list()
	for _, stmt := range []string{
		fmt.Sprintf(`UPDATE %q.object SET listed = null WHERE bucket_id = 0x%s AND key = 'k' AND seq = 3000 IF rev = 4000`, keyspace, b.ID),
		fmt.Sprintf(`UPDATE %q.upload SET listed = null WHERE upload_id = 0x%s IF rev = 1`, keyspace, upload.ID),
		fmt.Sprintf(`UPDATE %q.bucket SET region = null WHERE name = 'old' IF rev = 1`, keyspace),
	} {
		if applied, err := session.Query(stmt).MapScanCAS(map[string]any{}); err != nil || !applied {
			t.Fatalf("%s: %v, %v", stmt, applied, err)
		}
	}
	if got := list(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A page of uploads reads one row per upload that it returns, however many there are.
func TestPageOfUploadsReadsNoMoreUploads(t *testing.T) {
	cluster, keyspace := cqltest.NewKeyspace(t)
	count := &cqltest.StatementCount{}
	session := cqltest.NewSession(t, cluster, keyspace, count.Observe)
	s := newStore(t, session, keyspace, Options{})
	b := meta.Bucket{Name: "uploads", ID: meta.NewID(), Rev: 1, State: meta.BucketActive, Owner: "owner"}
	if _, err := s.CreateBucket(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		u := meta.Upload{ID: meta.NewID(), Bucket: b.ID, Key: fmt.Sprintf("k%02d", i), Rev: 1, State: meta.UploadOpen}
		if err := s.CreateUpload(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{1, 2, 10} {
		reads := count.MostReads(t.Context(), func(ctx context.Context) {
			if page, err := s.ListUploads(ctx, b.ID, "", "", meta.UploadID{}, limit); err != nil || len(page) != limit {
				t.Fatalf("%d uploads, %v", len(page), err)
			}
		})
		if want := uploadPartitions + limit; reads > want {
			t.Errorf("a page of %d costs %d reads, want %d", limit, reads, want)
		}
	}
}
