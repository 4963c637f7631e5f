package meta

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func someEntries() []Entry {
	return []Entry{
		{},
		{Seq: 1},
		{Seq: math.MaxInt64, Null: true, Size: 5 << 40, ETag: strings.Repeat("0", 32), Modified: 1785000000000000,
			Owner: "owner", Class: "STANDARD", Checksum: "CRC64NVME", SumType: "FULL_OBJECT", HasOlderVersions: true, Moving: true, DeleteMarker: true},
		{Seq: 255, Size: 23, Modified: 24, ETag: strings.Repeat("e", 300), Owner: "caf\xe9"},
		{Seq: -5, Size: -1},
	}
}

func TestEntriesAreReadAsTheyAreWritten(t *testing.T) {
	var e Entry
	fields := reflect.TypeOf(e).NumField()
	if fields != 13 {
		t.Errorf("Entry has %d fields: teach decodeEntry the new ones", fields)
	}
	for _, want := range someEntries() {
		b, err := Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := Entry{Key: "kept", ETag: "stale", HasOlderVersions: !want.HasOlderVersions}
		if want.Seq >= 0 && !decodeEntry(b, &got) {
			t.Errorf("%+v takes the long way", want)
		}
		if err := Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if want.Key = "kept"; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func FuzzDecodeEntryAgreesWithTheGeneralDecoder(f *testing.F) {
	for _, e := range someEntries() {
		b, err := Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xa1, 0x0d, 0x00})
	f.Add([]byte{0xa2, 0x01, 0x01, 0x01, 0x02})
	f.Fuzz(func(t *testing.T, b []byte) {
		var fast, slow Entry
		if !decodeEntry(b, &fast) {
			return
		}
		if err := decoding.Unmarshal(b, &slow); err != nil || fast != slow {
			t.Errorf("%x: %+v, but in general %+v, %v", b, fast, slow, err)
		}
	})
}

func BenchmarkUnmarshalEntry(b *testing.B) {
	row, err := Marshal(someEntries()[2])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var e Entry
		if err := Unmarshal(row, &e); err != nil {
			b.Fatal(err)
		}
	}
}
