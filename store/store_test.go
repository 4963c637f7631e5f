package store_test

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/internal/storetest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// fixture is a store over the embedded engine, with shorthands for the calls
// that most tests make.
type fixture struct{ *storetest.Fixture }

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return &fixture{storetest.Open(t)}
}

func (w *fixture) bucket(t *testing.T, versioning string) *meta.Bucket {
	t.Helper()
	name := "b-" + meta.NewID().String()[:12]
	b, err := w.CreateBucket(t.Context(), store.CreateBucketInput{Name: name, Owner: "alice"})
	if err == nil && versioning != "" {
		b, err = w.UpdateBucket(t.Context(), b, func(c *meta.BucketConfig) error { c.Versioning = versioning; return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1, byte(n), byte(n >> 8), byte(n >> 16)})
	_, _ = r.Read(b)
	return b
}

func (w *fixture) put(t *testing.T, b *meta.Bucket, key string, body []byte, edit ...func(*store.PutInput)) *store.PutResult {
	t.Helper()
	in := store.PutInput{Attributes: store.Attributes{Owner: "alice"}, Body: bytes.NewReader(body), Size: int64(len(body))}
	for _, e := range edit {
		e(&in)
	}
	r, err := w.Put(t.Context(), b, key, in)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return r
}

func (w *fixture) get(t *testing.T, b *meta.Bucket, key string, in store.GetInput) []byte {
	t.Helper()
	o, err := w.Get(t.Context(), b, key, in)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	defer o.Body.Close()
	body, err := io.ReadAll(o.Body)
	if err != nil {
		t.Fatalf("read %q: %v", key, err)
	}
	if int64(len(body)) != o.Length {
		t.Fatalf("get %q: %d bytes, announced %d", key, len(body), o.Length)
	}
	return body
}

func wantCode(t *testing.T, err error, code s3err.Code) {
	t.Helper()
	if s3err.CodeOf(err) != code {
		t.Fatalf("got error %v, want %q", err, code)
	}
}

// wantRecreated checks that err asks for another authorization, and what clients
// get where that cannot be.
func wantRecreated(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrBucketRecreated) || s3err.CodeOf(err) != s3err.SlowDown {
		t.Fatalf("got error %v, want %v", err, store.ErrBucketRecreated)
	}
}

func TestBodiesOfEverySizeComeBack(t *testing.T) {
	w := newFixture(t)
	for _, enc := range []store.EncryptionRequest{{}, {Type: store.AlgorithmAES256}, {Type: store.AlgorithmKMS},
		{CustomerKey: random(32), CustomerKeyMD5: "x"}} {
		b := w.bucket(t, "")
		for _, n := range []int{0, 1, 4096, 64 << 10, 64<<10 + 1, 512<<10 - 1, 512 << 10, 3<<20 + 17} {
			body := random(n)
			key := fmt.Sprint("k", n)
			w.put(t, b, key, body, func(in *store.PutInput) { in.Encryption = enc })
			in := store.GetInput{CustomerKey: enc}
			if enc.CustomerKey == nil {
				in.CustomerKey = store.EncryptionRequest{}
			}
			if !bytes.Equal(w.get(t, b, key, in), body) {
				t.Fatalf("%d bytes with %q did not come back", n, enc.Type)
			}
			if n > 100 {
				in.Range = &store.Range{First: int64(n / 3), Last: int64(n/2) + 7}
				if !bytes.Equal(w.get(t, b, key, in), body[n/3:n/2+8]) {
					t.Fatalf("range of %d bytes with %q is wrong", n, enc.Type)
				}
				in.Range = &store.Range{First: -5, Last: -1}
				if !bytes.Equal(w.get(t, b, key, in), body[n-5:]) {
					t.Fatalf("last bytes of %d with %q are wrong", n, enc.Type)
				}
			}
		}
	}
}

func TestCustomerKeyIsNeeded(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	w.put(t, b, "k", random(100), func(in *store.PutInput) {
		in.Encryption = store.EncryptionRequest{CustomerKey: random(32), CustomerKeyMD5: "x"}
	})
	_, err := w.Get(t.Context(), b, "k", store.GetInput{})
	wantCode(t, err, s3err.InvalidRequest)
	wrong := random(33)[1:]
	_, err = w.Get(t.Context(), b, "k", store.GetInput{CustomerKey: store.EncryptionRequest{CustomerKey: wrong}})
	wantCode(t, err, s3err.InvalidRequest)
}

// cut fails like a connection that is cut in the middle of a body.
type cut struct{ left int }

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := min(len(p), c.left)
	c.left -= n
	return n, nil
}

func TestCutConnectionLeavesTheOldObject(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	old := random(2 << 20)
	w.put(t, b, "k", old)
	for _, at := range []int{0, 100, 1 << 20, 2<<20 - 1} {
		_, err := w.Put(t.Context(), b, "k", store.PutInput{Body: &cut{at}, Size: 2 << 20})
		wantCode(t, err, s3err.IncompleteBody)
	}
	if !bytes.Equal(w.get(t, b, "k", store.GetInput{}), old) {
		t.Fatal("the old object is gone")
	}
	w.nothingLeaks(t, 1)
}

// nothingLeaks lets the grace time pass, collects, and counts blobs.
func (w *fixture) nothingLeaks(t *testing.T, want int) {
	t.Helper()
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * storetest.Grace)
	if _, err := w.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := w.stored(t)
	if n != want {
		t.Fatalf("%d blobs are stored, want %d", n, want)
	}
}

func TestOverwriteAndDeleteFreeBlobs(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	for range 5 {
		w.put(t, b, "k", random(1<<20))
	}
	w.nothingLeaks(t, 1)
	if _, err := w.Delete(t.Context(), b, "k", store.DeleteInput{}); err != nil {
		t.Fatal(err)
	}
	w.nothingLeaks(t, 0)
}

func TestPutIfNoneMatchHasOneWinner(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	var won sync.Map
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := w.Put(t.Context(), b, "k", store.PutInput{Body: strings.NewReader(fmt.Sprint(i)), Size: -1,
				Conditions: store.Conditions{IfNoneMatch: []string{"*"}}})
			if err == nil {
				won.Store(i, true)
			} else {
				wantCodeErr(t, err, s3err.PreconditionFailed)
			}
		})
	}
	wg.Wait()
	winners := 0
	won.Range(func(k, _ any) bool {
		winners++
		if got := string(w.get(t, b, "k", store.GetInput{})); got != fmt.Sprint(k) {
			t.Errorf("winner %v, but the object is %s", k, got)
		}
		return true
	})
	if winners != 1 {
		t.Fatalf("%d winners", winners)
	}
}

func wantCodeErr(t *testing.T, err error, code s3err.Code) {
	if s3err.CodeOf(err) != code {
		t.Errorf("got error %v, want %q", err, code)
	}
}

func TestVersionsOfAKey(t *testing.T) {
	w := newFixture(t)
	plain := w.bucket(t, "")
	w.put(t, plain, "k", []byte("null one"))
	b, err := w.UpdateBucket(t.Context(), plain, func(c *meta.BucketConfig) error { c.Versioning = store.VersioningEnabled; return nil })
	if err != nil {
		t.Fatal(err)
	}
	one := w.put(t, b, "k", []byte("one"))
	marker, err := w.Delete(t.Context(), b, "k", store.DeleteInput{Owner: "alice"})
	if err != nil || !marker.DeleteMarker {
		t.Fatalf("delete: %+v, %v", marker, err)
	}
	_, err = w.Get(t.Context(), b, "k", store.GetInput{})
	wantCode(t, err, s3err.NoSuchKey)
	list := func() string {
		r, err := w.ListVersions(t.Context(), b, store.ListVersionsInput{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		var s []string
		for _, v := range r.Versions {
			s = append(s, fmt.Sprintf("%v/%v/%v", v.VersionID == "null", v.IsLatest, v.Version.DeleteMarker))
		}
		return strings.Join(s, " ")
	}
	if got := list(); got != "false/true/true false/false/false true/false/false" {
		t.Fatal(got)
	}
	if got := string(w.get(t, b, "k", store.GetInput{VersionID: "null"})); got != "null one" {
		t.Fatal(got)
	}
	if _, err := w.Delete(t.Context(), b, "k", store.DeleteInput{VersionID: marker.VersionID}); err != nil {
		t.Fatal(err)
	}
	if got := string(w.get(t, b, "k", store.GetInput{})); got != "one" {
		t.Fatal(got)
	}
	b, _ = w.UpdateBucket(t.Context(), b, func(c *meta.BucketConfig) error { c.Versioning = store.VersioningSuspended; return nil })
	w.put(t, b, "k", []byte("null two"))
	if got := list(); got != "true/true/false false/false/false" {
		t.Fatal(got)
	}
	if got := string(w.get(t, b, "k", store.GetInput{VersionID: one.VersionID})); got != "one" {
		t.Fatal(got)
	}
}

func TestRemovingTheNewestOfManyVersionsLeavesTheOthersListed(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, store.VersioningEnabled)
	for left := 5; left > 0; left-- {
		w.put(t, b, "k", []byte("x"))
	}
	for left := 4; left >= 0; left-- {
		o, err := w.Head(t.Context(), b, "k", store.GetInput{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Delete(t.Context(), b, "k", store.DeleteInput{VersionID: o.VersionID}); err != nil {
			t.Fatal(err)
		}
		r, err := w.ListVersions(t.Context(), b, store.ListVersionsInput{Limit: 100})
		if err != nil || len(r.Versions) != left {
			t.Fatalf("%d versions are listed, want %d: %v", len(r.Versions), left, err)
		}
	}
}

func TestReducedRedundancyIsAlwaysThere(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	w.put(t, b, "k", random(1<<20), func(in *store.PutInput) { in.Class = store.ClassReduced })
	o, err := w.Head(t.Context(), b, "k", store.GetInput{})
	if err != nil || o.Version.Class != store.ClassReduced {
		t.Fatalf("%+v, %v", o, err)
	}
	_, err = w.Put(t.Context(), b, "k", store.PutInput{Attributes: store.Attributes{Class: "GLACIER"}, Body: strings.NewReader("x"), Size: 1})
	wantCode(t, err, s3err.InvalidStorageClass)
}

func TestListingWithDelimiterIsTheSameInPagesOfOne(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	for _, k := range []string{"a", "a/b", "a/b/c", "a/c", "b", "b//x", "b/y", "c/", "c/d", "d-e", "d/e", "é", "\U0010ffff", "z/\U0010ffff/1", "z/\U0010ffff/2"} {
		w.put(t, b, k, []byte(k))
	}
	for _, prefix := range []string{"", "a", "a/", "b/", "z/", "nothing"} {
		for _, delimiter := range []string{"", "/", "b"} {
			whole := w.list(t, b, prefix, delimiter, 1000)
			for limit := 1; limit < 4; limit++ {
				if got := w.list(t, b, prefix, delimiter, limit); got != whole {
					t.Errorf("prefix %q delimiter %q: pages of %d give\n%s, want\n%s", prefix, delimiter, limit, got, whole)
				}
			}
		}
	}
	if got, want := w.list(t, b, "", "/", 1000), "a (a/) b (b/) (c/) d-e (d/) (z/) é \U0010ffff "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// list gathers all pages; prefixes are in parentheses and come in order.
func (w *fixture) list(t *testing.T, b *meta.Bucket, prefix, delimiter string, limit int) string {
	var items []string
	after := ""
	for range 100 {
		r, err := w.List(t.Context(), b, store.ListInput{Prefix: prefix, Delimiter: delimiter, After: after, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		var page []string
		for _, o := range r.Objects {
			page = append(page, o.Key+" ")
		}
		for _, p := range r.Prefixes {
			page = append(page, p+")")
		}
		slicesSort(page)
		for _, p := range page {
			if k, ok := strings.CutSuffix(p, ")"); ok {
				items = append(items, "("+k+") ")
			} else {
				items = append(items, p)
			}
		}
		if !r.Truncated {
			return strings.Join(items, "")
		}
		after = r.Next
	}
	t.Fatal("the listing does not end")
	return ""
}

func slicesSort(s []string) {
	for i := range s {
		for j := i; j > 0 && strings.TrimRight(s[j], " )") < strings.TrimRight(s[j-1], " )"); j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
}

func (w *fixture) upload(t *testing.T, b *meta.Bucket, key string, parts ...[]byte) (string, []store.CompletedPart) {
	t.Helper()
	u, err := w.CreateUpload(t.Context(), b, key, store.CreateUploadInput{Attributes: store.Attributes{Owner: "alice"}})
	if err != nil {
		t.Fatal(err)
	}
	var done []store.CompletedPart
	for i, p := range parts {
		r, err := w.UploadPart(t.Context(), b, key, store.PartInput{UploadID: u.ID.String(), Number: i + 1, Body: bytes.NewReader(p), Size: int64(len(p))})
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, store.CompletedPart{Number: i + 1, ETag: r.ETag})
	}
	return u.ID.String(), done
}

func TestMultipartFromStartToEnd(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	one, two, again := random(5<<20), random(1<<20), random(5<<20+1)
	id, parts := w.upload(t, b, "k", one, two)
	r, err := w.UploadPart(t.Context(), b, "k", store.PartInput{UploadID: id, Number: 1, Body: bytes.NewReader(again), Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.CompleteUpload(t.Context(), b, "k", store.CompleteInput{UploadID: id, Parts: parts})
	wantCode(t, err, s3err.InvalidPart)
	parts[0].ETag = r.ETag
	first, err := w.CompleteUpload(t.Context(), b, "k", store.CompleteInput{UploadID: id, Parts: parts})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Flush(t.Context())
	second, err := w.CompleteUpload(t.Context(), b, "k", store.CompleteInput{UploadID: id, Parts: parts})
	if err != nil || second.ETag != first.ETag {
		t.Fatalf("repeated complete: %+v, %v", second, err)
	}
	if !bytes.Equal(w.get(t, b, "k", store.GetInput{}), append(append([]byte(nil), again...), two...)) {
		t.Fatal("wrong body")
	}
	if !bytes.Equal(w.get(t, b, "k", store.GetInput{PartNumber: 2}), two) {
		t.Fatal("wrong part")
	}
	w.nothingLeaks(t, 2) // and the part that was replaced is gone
	up, err := w.ListUploads(t.Context(), b, store.ListUploadsInput{Limit: 10})
	if err != nil || len(up.Uploads) != 0 {
		t.Fatalf("still listed: %+v, %v", up, err)
	}
}

func TestAbortFreesParts(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	id, _ := w.upload(t, b, "k", random(5<<20), random(100))
	if err := w.AbortUpload(t.Context(), b, "k", id); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.AbortUpload(t.Context(), b, "k", id), s3err.NoSuchUpload)
	w.nothingLeaks(t, 0)
}

func TestPartsWaitWhileTheirUploadGoesOn(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	body := random(5 << 20)
	id, parts := w.upload(t, b, "k", body)
	w.nothingLeaks(t, 1)
	w.nothingLeaks(t, 1)
	if _, err := w.CompleteUpload(t.Context(), b, "k", store.CompleteInput{UploadID: id, Parts: parts}); err != nil {
		t.Fatal(err)
	}
	w.nothingLeaks(t, 1)
	if !bytes.Equal(w.get(t, b, "k", store.GetInput{}), body) {
		t.Fatal("wrong body")
	}
}

func TestUploadThatOutlivesTheGraceTimeIsRefused(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	body := &slow{data: random(1 << 20), before: func() {
		w.Clock.Advance(2 * storetest.Grace)
		if _, err := w.Collect(t.Context()); err != nil {
			t.Error(err)
		}
	}}
	_, err := w.Put(t.Context(), b, "k", store.PutInput{Body: body, Size: 1 << 20})
	wantCode(t, err, s3err.SlowDown)
	w.nothingLeaks(t, 0)
}

// slow calls before when half of data was read.
type slow struct {
	data   []byte
	before func()
	n      int
}

func (s *slow) Read(p []byte) (int, error) {
	if s.n >= len(s.data) {
		return 0, io.EOF
	}
	if s.n > len(s.data)/2 && s.before != nil {
		s.before()
		s.before = nil
	}
	n := copy(p[:min(len(p), 64<<10)], s.data[s.n:])
	s.n += n
	return n, nil
}

func TestCopies(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	big, small := random(2<<20), []byte("small")
	w.put(t, b, "big", big, func(in *store.PutInput) { in.Metadata = map[string]string{"a": "1"} })
	w.put(t, b, "small", small)
	if _, err := w.Copy(t.Context(), b, "big", store.CopyInput{Source: b, SourceKey: "small"}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(w.get(t, b, "big", store.GetInput{}), small) {
		t.Fatal("a small object over a large one is not the small one")
	}
	w.put(t, b, "big", big)
	_, err := w.Copy(t.Context(), b, "big", store.CopyInput{Source: b, SourceKey: "big"})
	wantCode(t, err, s3err.InvalidRequest)
	in := store.CopyInput{Source: b, SourceKey: "big", ReplaceMetadata: true}
	in.Metadata = map[string]string{"new": "2"}
	if _, err := w.Copy(t.Context(), b, "big", in); err != nil {
		t.Fatal(err)
	}
	o, err := w.Head(t.Context(), b, "big", store.GetInput{})
	if err != nil || o.Version.Metadata["new"] != "2" {
		t.Fatalf("%+v, %v", o, err)
	}
	if !bytes.Equal(w.get(t, b, "big", store.GetInput{}), big) {
		t.Fatal("wrong body after a copy onto itself")
	}
	w.nothingLeaks(t, 1)
	if !bytes.Equal(w.get(t, b, "big", store.GetInput{}), big) {
		t.Fatal("wrong body after collection")
	}
}

func TestAppend(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	var want []byte
	for _, n := range []int{10, 10, 70 << 10, 1 << 20, 5} {
		piece, offset := random(n), int64(len(want))
		w.put(t, b, "log", piece, func(in *store.PutInput) { in.Offset = &offset })
		want = append(want, piece...)
		if !bytes.Equal(w.get(t, b, "log", store.GetInput{}), want) {
			t.Fatalf("wrong body after %d bytes", len(want))
		}
	}
	_, err := w.Put(t.Context(), b, "log", store.PutInput{Body: strings.NewReader("x"), Size: 1, Offset: new(int64)})
	wantCode(t, err, s3err.InvalidWriteOffset)
	w.nothingLeaks(t, 3)
	if !bytes.Equal(w.get(t, b, "log", store.GetInput{}), want) {
		t.Fatal("wrong body after collection")
	}
}

func TestDeletedAndRemadeBucketShowsNothingOld(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	w.put(t, b, "k", []byte("old"))
	wantCode(t, w.DeleteBucket(t.Context(), b), s3err.BucketNotEmpty)
	w.put(t, b, "k2", []byte("the bucket takes writes again"))
	for _, k := range []string{"k", "k2"} {
		if _, err := w.Delete(t.Context(), b, k, store.DeleteInput{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.DeleteBucket(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	fresh, err := w.CreateBucket(t.Context(), store.CreateBucketInput{Name: b.Name, Owner: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Put(t.Context(), b, "k", store.PutInput{Body: strings.NewReader("late"), Size: 4})
	wantRecreated(t, err)
	if got := w.list(t, fresh, "", "", 10); got != "" {
		t.Fatalf("the new bucket shows %q", got)
	}
}

func TestLocksHold(t *testing.T) {
	w := newFixture(t)
	b, err := w.CreateBucket(t.Context(), store.CreateBucketInput{Name: "locked-" + meta.NewID().String()[:8], Owner: "alice", LockEnabled: true})
	if err != nil {
		t.Fatal(err)
	}
	until := w.Clock.Now().Add(24 * time.Hour).UnixMicro()
	r := w.put(t, b, "k", []byte("x"), func(in *store.PutInput) {
		in.Retention = &meta.Retention{Mode: store.ModeCompliance, Until: until}
		sum := md5.Sum([]byte("x"))
		in.ContentMD5 = sum[:]
	})
	_, err = w.Delete(t.Context(), b, "k", store.DeleteInput{VersionID: r.VersionID, BypassGovernance: true})
	wantCode(t, err, s3err.AccessDenied)
	_, err = w.SetRetention(t.Context(), b, "k", r.VersionID, &meta.Retention{Mode: store.ModeGovernance, Until: until}, true)
	wantCode(t, err, s3err.AccessDenied)
	w.Clock.Advance(48 * time.Hour)
	if _, err := w.SetLegalHold(t.Context(), b, "k", r.VersionID, true); err != nil {
		t.Fatal(err)
	}
	_, err = w.Delete(t.Context(), b, "k", store.DeleteInput{VersionID: r.VersionID})
	wantCode(t, err, s3err.AccessDenied)
	if _, err := w.SetLegalHold(t.Context(), b, "k", r.VersionID, false); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Delete(t.Context(), b, "k", store.DeleteInput{VersionID: r.VersionID}); err != nil {
		t.Fatal(err)
	}
}
