package meta

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestNextRevGrowsWhateverTheClockSays(t *testing.T) {
	now := time.UnixMicro(1000)
	for _, c := range []struct{ prev, want int64 }{{0, 1000}, {997, 1000}, {998, 1000}, {999, 1001}, {1000, 1002}, {5000, 5002}} {
		if got := NextRev(c.prev, now); got != c.want {
			t.Errorf("NextRev(%d) at 1000 µs is %d, want %d", c.prev, got, c.want)
		}
	}
}

func TestCurrentIsTheNewestVersion(t *testing.T) {
	var h Head
	if h.Current() != nil {
		t.Fatal("a head without versions has a current one")
	}
	h.Versions = []Version{{Seq: 2}, {Seq: 1}}
	if h.Current().Seq != 2 {
		t.Fatalf("current version is %d", h.Current().Seq)
	}
}

func TestEntryOfShowsWhatListingsNeed(t *testing.T) {
	v := Version{Seq: 1, Null: true, Size: 2, ETag: "e", Modified: 3, Owner: "o", Class: "c", Checksum: &Checksum{Algorithm: "SHA256", Type: "FULL_OBJECT", Value: "x"}}
	want := Entry{Key: "k", Seq: 1, Null: true, Size: 2, ETag: "e", Modified: 3, Owner: "o", Class: "c", Checksum: "SHA256", SumType: "FULL_OBJECT"}
	if got := *EntryOf("k", &v); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	v.Checksum = nil
	want.Checksum, want.SumType = "", ""
	if got := *EntryOf("k", &v); got != want {
		t.Fatalf("without checksum: got %+v, want %+v", got, want)
	}
}

func TestRowsKeepEveryByteOfAString(t *testing.T) {
	// Headers and user metadata may be Latin-1 or worse: what was accepted
	// must be readable for ever.
	for _, s := range []string{"", "plain", "é\U0010ffff", "\x00", "caf\xe9", "\xff\xfe", "\xed\xa0\x80"} {
		in := Version{ETag: s, Metadata: map[string]string{"k" + s: s}}
		b, err := Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out Version
		if err := Unmarshal(b, &out); err != nil {
			t.Errorf("%q cannot be read again: %v", s, err)
		} else if !reflect.DeepEqual(in, out) {
			t.Errorf("%q came back as %+v", s, out)
		}
	}
}

func TestRowsKeepExtremes(t *testing.T) {
	in := Version{Size: math.MaxInt64, Modified: math.MinInt64, Segments: make([]Segment, 20000), Parts: make([]PartInfo, 10000)}
	b, err := Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out Version
	if err := Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	for i := range out.Segments {
		if len(out.Segments[i].Nonce) == 0 {
			out.Segments[i].Nonce = nil
		}
	}
	if !reflect.DeepEqual(in, out) {
		t.Fatal("a version of the greatest size came back otherwise")
	}
}

func TestRowsOfNewerBinariesAreReadable(t *testing.T) {
	type newer struct {
		ETag string         `cbor:"4,keyasint"`
		New  map[string]int `cbor:"1000,keyasint"`
	}
	b, err := Marshal(newer{"e", map[string]int{"a": 1}})
	if err != nil {
		t.Fatal(err)
	}
	var v Version
	if err := Unmarshal(b, &v); err != nil || v.ETag != "e" {
		t.Fatalf("read %+v, %v", v, err)
	}
}

func TestSmallRowsAreSmall(t *testing.T) {
	b, err := Marshal(Version{Size: 1, ETag: strings.Repeat("e", 32), Modified: 1 << 50, Inline: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 64 {
		t.Fatalf("a plain version takes %d bytes: fields that are not set are stored", len(b))
	}
}

func TestUnmarshalSaysWhatItCouldNotDecode(t *testing.T) {
	err := Unmarshal([]byte{0xff}, &Version{})
	if err == nil || !strings.Contains(err.Error(), "Version") {
		t.Fatalf("error %v", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, row := range []any{Version{ETag: "e", Tags: []Tag{{Key: "a"}}}, Part{Size: 1}, BucketConfig{Region: "r"}, Entry{Seq: 1}, UploadDoc{Initiated: 1}} {
		b, err := Marshal(row)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v Version
		if err := Unmarshal(b, &v); err != nil {
			return
		}
		again, err := Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var w Version
		if err := Unmarshal(again, &w); err != nil {
			t.Fatalf("what was read as %+v cannot be read again: %v", v, err)
		}
	})
}
