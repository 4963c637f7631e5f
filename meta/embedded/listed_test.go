package embedded

import (
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pithos/pithos/meta"
)

// What an older program wrote is listed as what this one writes is.
func TestRowsOfOlderProgramsAreListed(t *testing.T) {
	s := openMem(t, vfs.NewMem(), Options{})
	b := newBucket(t, s)
	u := meta.Upload{ID: meta.NewID(), Bucket: b.ID, Key: "k", Rev: 1, State: meta.UploadOpen, Doc: meta.UploadDoc{Initiated: 9, Version: meta.Version{Owner: "o", Metadata: map[string]string{"a": "b"}}}}
	if err := s.CreateUpload(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	list := func() []any {
		t.Helper()
		buckets, err := s.ListBuckets(t.Context(), b.Owner, "", 10)
		if err != nil || len(buckets) != 1 {
			t.Fatalf("%v, %v", buckets, err)
		}
		uploads, err := s.ListUploads(t.Context(), b.ID, "", "", meta.UploadID{}, 10)
		if err != nil || len(uploads) != 1 {
			t.Fatalf("%v, %v", uploads, err)
		}
		return []any{buckets, uploads}
	}
	want := list()
	err := s.applySync(nil, func(batch *pebble.Batch) error {
		if err := batch.Set(ownerKey(b.Owner, b.Name), nil, nil); err != nil {
			return err
		}
		return setRow(batch, openKey(b.ID, "k", u.ID), uploadRow{b.ID, "k", u.Rev, u.State, u.Doc})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := list(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
