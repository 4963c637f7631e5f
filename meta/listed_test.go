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
		if !decodeListed(doc, &Entry{}) {
			t.Errorf("%+v takes the long way", v.ETag)
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

func FuzzDecodeListedAgreesWithTheGeneralDecoder(f *testing.F) {
	for _, v := range []Version{{}, {Null: true, Size: 5 << 40, ETag: "e", Owner: "o", Class: "c", Modified: 1 << 50, DeleteMarker: true},
		{Checksum: &Checksum{"a", "t", "v"}, Segments: make([]Segment, 3), Headers: map[string]string{"a": "b"}, Moving: &Move{Key: "k"}}, {Size: -1}} {
		b, err := Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xa1, 0x15, 0xf6})
	f.Add([]byte{0xa1, 0x0e, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		e := Entry{Key: "k", Seq: 7}
		if !decodeListed(b, &e) {
			return
		}
		var v listedVersion
		if err := decoding.Unmarshal(b, &v); err != nil {
			return // what is not wanted may be anything
		}
		want := EntryOf("k", &Version{Seq: 7, Null: v.Null, DeleteMarker: v.DeleteMarker, Size: v.Size, ETag: v.ETag, Modified: v.Modified,
			Owner: v.Owner, Class: v.Class, Checksum: v.Checksum, Moving: v.Moving})
		if e != *want {
			t.Errorf("%x: %+v, but in general %+v", b, e, *want)
		}
	})
}

func BenchmarkUnmarshalEntryOfManyParts(b *testing.B) {
	v := Version{Size: 1, ETag: "e", Segments: make([]Segment, 1000), Parts: make([]PartInfo, 1000)}
	for i := range v.Segments {
		v.Segments[i] = Segment{Store: "STANDARD", Blob: NewID(), Bytes: 5 << 20, Chunk: 512 << 10, Size: 5 << 20, Part: i + 1}
		v.Parts[i] = PartInfo{Number: i + 1, Size: 5 << 20, ETag: "9e107d9d372bb6826bd81d3542a419d6"}
	}
	doc, err := Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := UnmarshalEntryOf(doc, "k", 1); err != nil {
			b.Fatal(err)
		}
	}
}
