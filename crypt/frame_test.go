package crypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

var testSalt = []byte("0123456789abcdef")

func testKey() DataKey { return DataKey{keyOf(5).hidden} }

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// encrypt writes plain in writes of step bytes.
func encrypt(t testing.TB, plain []byte, frame, step int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, testKey(), testSalt, frame)
	for rest := plain; len(rest) > 0; rest = rest[min(step, len(rest)):] {
		n := min(step, len(rest))
		if got, err := w.Write(rest[:n]); got != n || err != nil {
			t.Fatalf("Write: %d, %v", got, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// stored opens ranges of a ciphertext and records them.
type stored struct {
	bytes  []byte
	opened []string
	closed int
}

func (s *stored) open(offset, length int64) (io.ReadCloser, error) {
	s.opened = append(s.opened, fmt.Sprintf("%d+%d", offset, length))
	offset = min(offset, int64(len(s.bytes)))
	part := s.bytes[offset:min(offset+length, int64(len(s.bytes)))]
	return closer{bytes.NewReader(part), &s.closed}, nil
}

type closer struct {
	io.Reader
	n *int
}

func (c closer) Close() error { *c.n++; return nil }

func decrypt(sealed []byte, frame int, size, offset, length int64) ([]byte, error) {
	s := &stored{bytes: sealed}
	r, err := NewRangeReader(s.open, testKey(), testSalt, frame, size, offset, length)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestEveryRangeReadsWhatWasWritten(t *testing.T) {
	const frame = 4
	for size := 0; size <= 3*frame+1; size++ {
		plain := pattern(size)
		sealed := encrypt(t, plain, frame, 3)
		if int64(len(sealed)) != CipherSize(int64(size), frame) {
			t.Fatalf("size %d: %d stored, CipherSize says %d", size, len(sealed), CipherSize(int64(size), frame))
		}
		for from := 0; from <= size; from++ {
			for to := from; to <= size; to++ {
				got, err := decrypt(sealed, frame, int64(size), int64(from), int64(to-from))
				if err != nil || !bytes.Equal(got, plain[from:to]) {
					t.Fatalf("size %d, range %d to %d: %x, %v", size, from, to, got, err)
				}
			}
		}
	}
}

func TestRangeOpensOnlyItsFrames(t *testing.T) {
	const frame, size = 10, 35 // stored as 26, 26, 26 and 21 bytes
	sealed := encrypt(t, pattern(size), frame, size)
	for _, c := range []struct {
		offset, length int64
		opened         string
	}{
		{0, 35, "0+99"}, {0, 10, "0+26"}, {10, 10, "26+26"}, {9, 2, "0+52"}, {9, 1, "0+26"},
		{29, 1, "52+26"}, {30, 5, "78+21"}, {34, 1, "78+21"}, {19, 12, "26+73"}, {7, 0, ""}, {35, 0, ""},
	} {
		s := &stored{bytes: sealed}
		r, err := NewRangeReader(s.open, testKey(), testSalt, frame, size, c.offset, c.length)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, pattern(size)[c.offset:c.offset+c.length]) {
			t.Errorf("%d+%d: %x, %v", c.offset, c.length, got, err)
		}
		if strings.Join(s.opened, " ") != c.opened {
			t.Errorf("%d+%d opened %q, want %q", c.offset, c.length, s.opened, c.opened)
		}
		if err := r.Close(); err != nil || r.Close() != nil || s.closed != len(s.opened) {
			t.Errorf("%d+%d: closed %d times, %v", c.offset, c.length, s.closed, err)
		}
	}
}

func TestReaderBehavesAsAReader(t *testing.T) {
	plain := pattern(3*FrameBytes + 17)
	sealed := encrypt(t, plain, FrameBytes, 10_000)
	r, err := NewRangeReader((&stored{bytes: sealed}).open, testKey(), testSalt, FrameBytes, int64(len(plain)), 5, int64(len(plain)-5))
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(r, plain[5:]); err != nil {
		t.Error(err)
	}
}

func TestReorderedMissingOrChangedFramesAreRefused(t *testing.T) {
	const frame, size = 8, 20 // frames of 24, 24 and 20 bytes
	plain := pattern(size)
	sealed := encrypt(t, plain, frame, size)
	f1, f2, f3 := sealed[:24], sealed[24:48], sealed[48:]
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct {
		sealed []byte
		size   int64
	}{
		"last frame dropped":           {join(f1, f2), 20},
		"last frame dropped, size too": {join(f1, f2), 16},
		"cut in the last frame":        {sealed[:60], 20},
		"cut in the last tag":          {sealed[:67], 20},
		"cut in it, size too":          {sealed[:67], 19},
		"last byte dropped, size too":  {join(f1, f2, f3[:3], f3[4:]), 19},
		"frames swapped":               {join(f2, f1, f3), 20},
		"frame repeated":               {join(f1, f1, f3), 20},
		"first frame dropped":          {join(f2, f3), 12},
		"frame added, size too":        {join(f1, f2, f3, f3), 28},
		"size larger":                  {join(sealed, []byte{0}), 21},
		"emptied":                      {nil, 20},
		"emptied, size too":            {make([]byte, 16), 0},
	} {
		got, err := decrypt(c.sealed, frame, c.size, 0, c.size)
		if !errors.Is(err, ErrAuthentication) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.HasPrefix(plain, got) {
			t.Errorf("%s: returned %x, which was never written", name, got)
		}
	}
	for bit := range len(sealed) * 8 {
		flipped := bytes.Clone(sealed)
		flipped[bit/8] ^= 1 << (bit % 8)
		got, err := decrypt(flipped, frame, size, 0, size)
		if !errors.Is(err, ErrAuthentication) || len(got) != bit/8/24*frame {
			t.Fatalf("bit %d: %d bytes, %v", bit, len(got), err)
		}
	}
}

func TestSourceThatGoesOnIsNoticed(t *testing.T) {
	sealed := encrypt(t, pattern(8), 8, 8)
	for name, c := range map[string]struct {
		tail io.Reader
		want error
	}{
		"more bytes":          {strings.NewReader("x"), ErrAuthentication},
		"an error at its end": {iotest.ErrReader(io.ErrClosedPipe), io.ErrClosedPipe},
	} {
		open := func(int64, int64) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(sealed), c.tail)), nil
		}
		r, err := NewRangeReader(open, testKey(), testSalt, 8, 8, 0, 8)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); !errors.Is(err, c.want) || len(got) != 0 {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

func TestAnotherKeySaltOrFrameDoesNotDecrypt(t *testing.T) {
	sealed := encrypt(t, pattern(8), 8, 8)
	other := DataKey{keyOf(6).hidden}
	for name, c := range map[string]struct {
		key   DataKey
		salt  []byte
		frame int
	}{
		"key":   {other, testSalt, 8},
		"salt":  {testKey(), NewSalt(), 8},
		"frame": {testKey(), testSalt, 9},
	} {
		r, err := NewRangeReader((&stored{bytes: sealed}).open, c.key, c.salt, c.frame, 8, 0, 8)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); !errors.Is(err, ErrAuthentication) {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

func TestReaderErrorsStay(t *testing.T) {
	sealed := encrypt(t, pattern(8), 8, 8)
	sealed[0] ^= 1
	r, err := NewRangeReader((&stored{bytes: sealed}).open, testKey(), testSalt, 8, 8, 0, 8)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	_, first := r.Read(buf)
	_, second := r.Read(buf)
	if first == nil || first != second {
		t.Errorf("%v, then %v", first, second)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if n, err := r.Read(buf); n != 0 || err == nil || err == io.EOF {
		t.Errorf("Read after Close: %d, %v", n, err)
	}
}

func TestErrorsOfTheSourceAreReturned(t *testing.T) {
	gone := errors.New("gone")
	fail := func(int64, int64) (io.ReadCloser, error) { return nil, gone }
	if _, err := NewRangeReader(fail, testKey(), testSalt, 8, 8, 0, 8); !errors.Is(err, gone) {
		t.Errorf("open: %v", err)
	}
	broken := func(int64, int64) (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(gone)), nil }
	r, err := NewRangeReader(broken, testKey(), testSalt, 8, 8, 0, 8)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, gone) || errors.Is(err, ErrAuthentication) {
		t.Errorf("read: %v", err)
	}
}

func TestBadArgumentsAreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		key            DataKey
		salt           []byte
		frame          int
		size, off, len int64
	}{
		"no key":          {DataKey{}, testSalt, 8, 8, 0, 8},
		"no salt":         {testKey(), nil, 8, 8, 0, 8},
		"no frame":        {testKey(), testSalt, 0, 8, 0, 8},
		"huge frame":      {testKey(), testSalt, MaxFrameBytes + 1, 8, 0, 8},
		"negative size":   {testKey(), testSalt, 8, -1, 0, 0},
		"huge size":       {testKey(), testSalt, 8, math.MaxInt64, 0, 8},
		"negative offset": {testKey(), testSalt, 8, 8, -1, 1},
		"negative length": {testKey(), testSalt, 8, 8, 1, -1},
		"beyond":          {testKey(), testSalt, 8, 8, 1, 8},
		"far beyond":      {testKey(), testSalt, 8, 8, math.MaxInt64, math.MaxInt64},
	} {
		if _, err := NewRangeReader((&stored{}).open, c.key, c.salt, c.frame, c.size, c.off, c.len); err == nil {
			t.Errorf("%s: no error", name)
		}
		if c.size == 8 && c.off == 0 {
			w := NewWriter(io.Discard, c.key, c.salt, c.frame)
			_, werr := w.Write([]byte("x"))
			if cerr := w.Close(); werr == nil || cerr == nil {
				t.Errorf("%s: the writer took it (%v, %v)", name, werr, cerr)
			}
		}
	}
}

func TestCipherSize(t *testing.T) {
	for _, c := range []struct {
		plain int64
		frame int
		want  int64
	}{
		{0, FrameBytes, 16}, {1, FrameBytes, 17}, {FrameBytes, FrameBytes, FrameBytes + 16},
		{FrameBytes + 1, FrameBytes, FrameBytes + 33}, {5 << 40, FrameBytes, 5<<40 + 5<<24*16},
		{-1, 8, -1}, {1, 0, -1}, {1, MaxFrameBytes + 1, -1}, {math.MaxInt64, MaxFrameBytes, -1}, {math.MaxInt64, 1, -1},
	} {
		if got := CipherSize(c.plain, c.frame); got != c.want {
			t.Errorf("CipherSize(%d, %d) = %d, want %d", c.plain, c.frame, got, c.want)
		}
	}
}

func TestWriterErrorsStay(t *testing.T) {
	full := errors.New("disk full")
	w := NewWriter(failing{full}, testKey(), testSalt, 4)
	if _, err := w.Write(pattern(4)); err != nil {
		t.Fatalf("a held back frame: %v", err)
	}
	n, err := w.Write(pattern(1))
	if n != 0 || !errors.Is(err, full) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := w.Write(pattern(1)); !errors.Is(err, full) {
		t.Errorf("again: %v", err)
	}
	if err := w.Close(); !errors.Is(err, full) {
		t.Errorf("Close: %v", err)
	}
	ok := NewWriter(io.Discard, testKey(), testSalt, 4)
	if err := ok.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ok.Write(pattern(1)); err == nil {
		t.Error("Write after Close was taken")
	}
	if err := ok.Close(); err == nil {
		t.Error("a second Close wrote a second last frame")
	}
	if err := NewWriter(failing{nil}, testKey(), testSalt, 4).Close(); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("short write: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// The format must stay the one in the package comment: stored bodies must remain
// readable.
func TestFormatIsTheDocumentedOne(t *testing.T) {
	plain := []byte("attack at dawn")
	key := bytes.Repeat([]byte{5}, KeyBytes)
	segment, err := hkdf.Key(sha256.New, key, testSalt, "pithos body v1 frame 8", 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(segment)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	want := gcm.Seal(nil, make([]byte, 12), plain[:8], nil)
	want = gcm.Seal(want, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, plain[8:], nil)
	got := encrypt(t, plain, 8, 5)
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	const golden = "7a7a29abf2c19bcb7eb70782c2911f027d53b1db2d69ed30c1c13b9122e5897d2c924adf5f84a875f93bd1d00491"
	if hex.EncodeToString(got) != golden {
		t.Errorf("got %x", got)
	}
}

func TestReadingAndWritingFramesAllocatesNothing(t *testing.T) {
	plain := pattern(FrameBytes)
	w := NewWriter(io.Discard, testKey(), testSalt, FrameBytes)
	if n := testing.AllocsPerRun(20, func() { _, _ = w.Write(plain) }); n != 0 {
		t.Errorf("%v allocations a frame written", n)
	}
	sealed := encrypt(t, pattern(40*FrameBytes), FrameBytes, FrameBytes)
	r, err := NewRangeReader((&stored{bytes: sealed}).open, testKey(), testSalt, FrameBytes, 40*FrameBytes, 0, 40*FrameBytes)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(20, func() { _, err = io.ReadFull(r, plain) }); n != 0 || err != nil {
		t.Errorf("%v allocations a frame read, %v", n, err)
	}
}

func FuzzRoundTripAtEveryRange(f *testing.F) {
	f.Add([]byte("hello, world"), uint16(5), uint16(3), uint16(4), uint16(2))
	f.Add([]byte{}, uint16(1), uint16(1), uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, plain []byte, frame16, step, offset16, length16 uint16) {
		frame := int(frame16)%100 + 1
		sealed := encrypt(t, plain, frame, int(step)+1)
		offset := int64(offset16) % int64(len(plain)+1)
		length := int64(length16) % (int64(len(plain)) - offset + 1)
		got, err := decrypt(sealed, frame, int64(len(plain)), offset, length)
		if err != nil || !bytes.Equal(got, plain[offset:offset+length]) {
			t.Fatalf("%d+%d: %x, %v", offset, length, got, err)
		}
	})
}

func FuzzChangesAreNoticed(f *testing.F) {
	sealed := encrypt(f, pattern(20), 8, 20)
	f.Add(sealed, uint8(20))
	f.Add(sealed[:48], uint8(16))
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, changed []byte, size uint8) {
		got, err := decrypt(changed, 8, int64(size), 0, int64(size))
		if !bytes.HasPrefix(pattern(20), got) {
			t.Fatalf("returned %x, which was never written", got)
		}
		genuine := size == 20 && bytes.HasPrefix(changed, sealed) // open asks for no more
		if genuine != (err == nil) || (err != nil && !errors.Is(err, ErrAuthentication)) {
			t.Fatalf("genuine %v: %v", genuine, err)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			plain := pattern(size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				w := NewWriter(io.Discard, testKey(), testSalt, FrameBytes)
				_, _ = w.Write(plain)
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := &stored{bytes: encrypt(b, pattern(size), FrameBytes, size)}
			out := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				r, err := NewRangeReader(s.open, testKey(), testSalt, FrameBytes, int64(size), 0, int64(size))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(r, out); err != nil {
					b.Fatal(err)
				}
				_ = r.Close()
			}
		})
	}
}
