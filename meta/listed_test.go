package meta

import (
	"reflect"
	"testing"
)

// A row that is decoded for a listing shows what the whole row would.
func TestListedRowsShowWhatTheWholeWould(t *testing.T) {
	many := make([]Segment, 1000)
	for i := range many {
		many[i] = Segment{Store: "s", Blob: NewID(), Part: i}
	}
	for _, v := range []Version{
		{}, {DeleteMarker: true, Owner: "o", Modified: 1}, {Null: true, Size: 5 << 40, ETag: "e-10000", Class: "COLD"},
		{Checksum: &Checksum{"CRC32", "COMPOSITE", "v-3"}, Segments: many, Parts: make([]PartInfo, 1000), Headers: map[string]string{"Content-Type": "\xff"}},
		{Moving: &Move{ID: NewID(), Key: "k"}, Moved: &Move{}, Tags: []Tag{{"k", "v"}}, Inline: true, Encryption: &Encryption{Type: "SSE-S3"}, Retention: &Retention{}},
	} {
		doc, err := Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		v.Seq = 7
		got, err := UnmarshalEntryOf(doc, "key", 7)
		if want := *EntryOf("key", &v); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
		u := UploadDoc{Initiated: 3, Initiator: "i", Version: v, ChecksumAlgorithm: "CRC32", ChecksumType: "COMPOSITE", Completed: "c", CompletedSeq: 4}
		if doc, err = Marshal(u); err != nil {
			t.Fatal(err)
		}
		var listed ListedUploadDoc
		if err := Unmarshal(doc, &listed); err != nil || !reflect.DeepEqual(listed.Doc(), u.Listed()) {
			t.Errorf("%+v, %v, want %+v", listed.Doc(), err, u.Listed())
		}
		short, err := Marshal(u.Listed())
		var again UploadDoc
		if err != nil || Unmarshal(short, &again) != nil || !reflect.DeepEqual(again, u.Listed()) || len(short) > 200 {
			t.Errorf("%d bytes: %+v, %v", len(short), again, err)
		}
	}
}
