package sigv4

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func exampleSigner() sigv4test.Signer {
	return sigv4test.Signer{AccessKey: exampleKey, Secret: exampleSecret, Time: exampleTime}
}

func exampleContext(seed string) *SigningContext {
	return &SigningContext{
		key:       SigningKey(exampleSecret, "20130524", "us-east-1", "s3"),
		seed:      seed,
		timestamp: "20130524T000000Z",
		scope:     "20130524/us-east-1/s3/aws4_request",
	}
}

const (
	chunkSeed   = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
	trailerSeed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
)

// awsChunked is the body of the example in "Signature calculations for the
// Authorization header: transferring payload in multiple chunks".
func awsChunked() string {
	return "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" +
		strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" +
		strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
}

// awsTrailer is the body of the example in "... including trailing headers".
func awsTrailer() string {
	return "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" +
		strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" +
		strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
		"x-amz-checksum-crc32c:sOO8/Q==\r\n" +
		"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
}

func chunkedOptions(seed string) ChunkedOptions {
	return ChunkedOptions{Payload: PayloadChunked, Signing: exampleContext(seed), DecodedLength: 66560, MinChunk: AWSMinChunk}
}

func trailerOptions(seed string) ChunkedOptions {
	o := chunkedOptions(seed)
	o.Payload, o.Trailers = PayloadChunkedTrailer, []string{"x-amz-checksum-crc32c"}
	return o
}

func unsignedOptions(n int64) ChunkedOptions {
	return ChunkedOptions{Payload: PayloadUnsignedTrailer, DecodedLength: n, Trailers: []string{"x-amz-checksum-crc32"}}
}

func decode(t testing.TB, body io.Reader, o ChunkedOptions) ([]byte, http.Header, error) {
	t.Helper()
	c, err := NewChunkedReader(body, o)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(c)
	if again, err2 := c.Read(make([]byte, 1)); again != 0 || err != nil && err2 != err || err == nil && err2 != io.EOF {
		t.Errorf("the error is not sticky: %v, then %v", err, err2)
	}
	return data, c.Trailer(), err
}

func code(err error) s3err.Code {
	var e *s3err.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err == nil {
		return "ok"
	}
	return s3err.Code(err.Error())
}

func TestChunkedReaderDecodesTheExamplesOfAWS(t *testing.T) {
	for name, c := range map[string]struct {
		body    string
		opts    ChunkedOptions
		trailer string
	}{
		"chunks":  {awsChunked(), chunkedOptions(chunkSeed), ""},
		"trailer": {awsTrailer(), trailerOptions(trailerSeed), "sOO8/Q=="},
	} {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"at once":     strings.NewReader(c.body),
				"in bytes":    iotest.OneByteReader(strings.NewReader(c.body)),
				"EOF at once": iotest.DataErrReader(strings.NewReader(c.body)),
			} {
				data, h, err := decode(t, r, c.opts)
				if err != nil || string(data) != strings.Repeat("a", 66560) {
					t.Errorf("%s: %d bytes, %v", how, len(data), err)
				}
				if got := h.Get("x-amz-checksum-crc32c"); got != c.trailer {
					t.Errorf("%s: trailer %q", how, got)
				}
			}
		})
	}
}

func TestChunkedReaderNeverAcceptsAPrefix(t *testing.T) {
	signer := exampleSigner()
	for _, payload := range []string{sigv4test.Chunked, sigv4test.ChunkedTrailer, sigv4test.UnsignedTrailer} {
		body := sigv4test.Body{Data: []byte("hello, world"), ChunkSize: 5}
		kind, _ := ParsePayload(payload)
		o := ChunkedOptions{Payload: kind, Signing: exampleContext(chunkSeed), DecodedLength: 12}
		if kind != PayloadChunked {
			body.Trailer = [][2]string{{"x-amz-checksum-crc32", "cgQOkQ=="}}
			o.Trailers = []string{"x-amz-checksum-crc32"}
		}
		whole := signer.Encode(payload, chunkSeed, body)
		if data, _, err := decode(t, bytes.NewReader(whole), o); err != nil || string(data) != "hello, world" {
			t.Fatalf("%s: %q %v", payload, data, err)
		}
		for n := range whole {
			_, h, err := decode(t, bytes.NewReader(whole[:n]), o)
			if code(err) != s3err.IncompleteBody || h != nil {
				t.Errorf("%s: %d of %d bytes: %v, trailer %v", payload, n, len(whole), err, h)
			}
		}
	}
}

func TestChunkedReaderRefusesAnyChangedBit(t *testing.T) {
	body := sigv4test.Body{Data: []byte("hello, world"), ChunkSize: 5, Trailer: [][2]string{{"x-amz-checksum-crc32", "cgQOkQ=="}}}
	whole := exampleSigner().Encode(sigv4test.ChunkedTrailer, chunkSeed, body)
	o := trailerOptions(chunkSeed)
	o.DecodedLength, o.Trailers, o.MinChunk = 12, []string{"x-amz-checksum-crc32"}, 0
	for i := range whole {
		for bit := range 8 {
			changed := bytes.Clone(whole)
			changed[i] ^= 1 << bit
			data, h, err := decode(t, bytes.NewReader(changed), o)
			// Hex sizes and field names ignore case; every other change must be detected.
			if err == nil && !(bytes.EqualFold(changed, whole) && string(data) == "hello, world" && h.Get("x-amz-checksum-crc32") == "cgQOkQ==") {
				t.Errorf("bit %d of byte %d (%q) went unnoticed", bit, i, whole[i])
			}
		}
	}
}

func TestChunkedReaderRefusesWhatIsNotTheEncoding(t *testing.T) {
	const field = "x-amz-checksum-crc32:cgQOkQ==\r\n"
	for name, c := range map[string]struct {
		body     string
		want     s3err.Code
		minChunk int64
	}{
		"well-formed":                  {body: "5\r\nhello\r\n0\r\n" + field + "\r\n", want: "ok"},
		"well-formed, upper case":      {body: "5\r\nhello\r\n00\r\nX-AMZ-Checksum-CRC32: cgQOkQ== \r\n\r\n", want: "ok"},
		"as minio-go ends it":          {body: "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:cgQOkQ==\n\r\n\r\n", want: "ok"},
		"nothing":                      {body: "", want: s3err.IncompleteBody},
		"plain bytes":                  {body: "hello", want: s3err.IncompleteBody},
		"plain line":                   {body: "hello\r\n", want: s3err.InvalidRequest},
		"no size":                      {body: "\r\nhello\r\n0\r\n" + field + "\r\n", want: s3err.InvalidRequest},
		"negative size":                {body: "-5\r\nhello\r\n0\r\n" + field + "\r\n", want: s3err.InvalidRequest},
		"size with plus":               {body: "+5\r\nhello\r\n0\r\n" + field + "\r\n", want: s3err.InvalidRequest},
		"size beyond 63 bits":          {body: "ffffffffffffffff\r\nhello\r\n0\r\n", want: s3err.InvalidRequest},
		"endless header":               {body: strings.Repeat("0", 1<<20), want: s3err.InvalidRequest},
		"long header":                  {body: strings.Repeat("0", 200) + "5\r\nhello\r\n0\r\n", want: s3err.InvalidRequest},
		"LF for CRLF in header":        {body: "5\nhello\r\n0\r\n" + field + "\r\n", want: s3err.InvalidRequest},
		"no CRLF behind the chunk":     {body: "5\r\nhello0\r\n" + field + "\r\n", want: s3err.InvalidRequest},
		"extension":                    {body: "5;a=b\r\nhello\r\n0\r\n" + field + "\r\n", want: s3err.InvalidRequest},
		"empty extension":              {body: "5;\r\nhello\r\n0\r\n" + field + "\r\n", want: s3err.InvalidRequest},
		"more than declared":           {body: "6\r\nhello!\r\n0\r\n" + field + "\r\n", want: s3err.IncompleteBody},
		"less than declared":           {body: "4\r\nhell\r\n0\r\n" + field + "\r\n", want: s3err.IncompleteBody},
		"trailer missing":              {body: "5\r\nhello\r\n0\r\n\r\n", want: s3err.MalformedTrailerError},
		"trailer unannounced":          {body: "5\r\nhello\r\n0\r\n" + field + "x-amz-checksum-sha1:x\r\n\r\n", want: s3err.MalformedTrailerError},
		"trailer signature unasked":    {body: "5\r\nhello\r\n0\r\n" + field + "x-amz-trailer-signature:x\r\n\r\n", want: s3err.MalformedTrailerError},
		"trailer twice":                {body: "5\r\nhello\r\n0\r\n" + field + field + "\r\n", want: s3err.MalformedTrailerError},
		"trailer without colon":        {body: "5\r\nhello\r\n0\r\nx-amz-checksum-crc32\r\n\r\n", want: s3err.MalformedTrailerError},
		"trailer with control byte":    {body: "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:a\x00b\r\n\r\n", want: s3err.MalformedTrailerError},
		"trailer with bad name":        {body: "5\r\nhello\r\n0\r\nx amz:ab\r\n\r\n", want: s3err.MalformedTrailerError},
		"endless trailer":              {body: "5\r\nhello\r\n0\r\n" + strings.Repeat("x", 1<<20), want: s3err.MalformedTrailerError},
		"bytes behind the end":         {body: "5\r\nhello\r\n0\r\n" + field + "\r\nmore", want: s3err.IncompleteBody},
		"a line behind the end":        {body: "5\r\nhello\r\n0\r\n" + field + "\r\nmore:x\r\n\r\n", want: s3err.MalformedTrailerError},
		"empty lines without end":      {body: "5\r\nhello\r\n0\r\n" + field + "\r\n\r\n\r\n\r\n\r\n", want: s3err.MalformedTrailerError},
		"small chunk that is not last": {body: "1\r\nh\r\n4\r\nello\r\n0\r\n" + field + "\r\n", minChunk: 2, want: s3err.InvalidChunkSizeError},
		"small last chunk":             {body: "4\r\nhell\r\n1\r\no\r\n0\r\n" + field + "\r\n", minChunk: 2, want: "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			o := unsignedOptions(5)
			o.MinChunk = c.minChunk
			_, _, err := decode(t, strings.NewReader(c.body), o)
			if code(err) != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestChunkedReaderReadsTheSignedTrailerOfMinioGo(t *testing.T) {
	text := awsTrailer()
	text = strings.Replace(text, "sOO8/Q==\r\n", "sOO8/Q==\n\r\n", 1) + "\r\n"
	if _, h, err := decode(t, strings.NewReader(text), trailerOptions(trailerSeed)); err != nil || h.Get("x-amz-checksum-crc32c") != "sOO8/Q==" {
		t.Error(h, err)
	}
}

func TestChunkedReaderRefusesBytesBehindSignedChunks(t *testing.T) {
	for tail, want := range map[string]s3err.Code{"\r\n": "ok", "x": s3err.InvalidRequest, "\r\n0\r\n": s3err.InvalidRequest, "\n": s3err.InvalidRequest} {
		if _, _, err := decode(t, strings.NewReader(awsChunked()+tail), chunkedOptions(chunkSeed)); code(err) != want {
			t.Errorf("%q: got %v, want %s", tail, err, want)
		}
	}
}

func TestChunkedReaderRefusesMissingTrailerSignature(t *testing.T) {
	i := strings.Index(awsTrailer(), trailerSignature)
	if _, _, err := decode(t, strings.NewReader(awsTrailer()[:i]+"\r\n"), trailerOptions(trailerSeed)); code(err) != s3err.MalformedTrailerError {
		t.Error(err)
	}
}

func TestChunkedReaderPassesOnTheErrorOfTheBody(t *testing.T) {
	broken := errors.New("broken")
	body := io.MultiReader(strings.NewReader(awsChunked()[:66000]), iotest.ErrReader(broken))
	if _, _, err := decode(t, body, chunkedOptions(chunkSeed)); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestChunkedOptionsFromHeader(t *testing.T) {
	for name, c := range map[string]struct {
		h    http.Header
		p    Payload
		want s3err.Code
	}{
		"good":             {http.Header{"X-Amz-Decoded-Content-Length": {"7"}, "X-Amz-Trailer": {"X-Amz-Checksum-CRC32, x-amz-b"}}, PayloadUnsignedTrailer, "ok"},
		"no length":        {http.Header{}, PayloadChunked, s3err.MissingContentLength},
		"negative length":  {http.Header{"X-Amz-Decoded-Content-Length": {"-7"}}, PayloadChunked, s3err.InvalidArgument},
		"two lengths":      {http.Header{"X-Amz-Decoded-Content-Length": {"7", "7"}}, PayloadChunked, s3err.InvalidArgument},
		"trailer too much": {http.Header{"X-Amz-Decoded-Content-Length": {"7"}, "X-Amz-Trailer": {"a"}}, PayloadChunked, s3err.InvalidRequest},
	} {
		o, err := ChunkedOptionsFromHeader(c.h, c.p)
		if code(err) != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if c.want == "ok" && (o.DecodedLength != 7 || strings.Join(o.Trailers, " ") != "x-amz-checksum-crc32 x-amz-b") {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestNewChunkedReaderNeedsTheSigningContext(t *testing.T) {
	for _, o := range []ChunkedOptions{{Payload: PayloadChunked}, {Payload: PayloadUnsigned}, {Payload: PayloadUnsignedTrailer, DecodedLength: -1}} {
		if _, err := NewChunkedReader(strings.NewReader(""), o); err == nil {
			t.Errorf("%v: accepted", o.Payload)
		}
	}
}

func FuzzChunkedReader(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:cgQOkQ==\r\n\r\n"))
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:cgQOkQ==\n\r\n\r\n"))
	f.Add([]byte("2\r\nhe\r\n3\r\nllo\r\n00\r\nX-Amz-Checksum-CRC32: a\r\n\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		o := unsignedOptions(5)
		data, h, err := decode(t, bytes.NewReader(body), o)
		if err != nil {
			return
		}
		fields := [][2]string{{"x-amz-checksum-crc32", h.Get("x-amz-checksum-crc32")}}
		again := exampleSigner().Encode(sigv4test.UnsignedTrailer, "", sigv4test.Body{Data: data, Trailer: fields})
		data2, h2, err := decode(t, bytes.NewReader(again), o)
		if err != nil || !bytes.Equal(data, data2) || h2.Get("x-amz-checksum-crc32") != fields[0][1] || len(data) != 5 {
			t.Errorf("%q decodes to %q %v, encodes to %q, decodes to %q %v: %v", body, data, h, again, data2, h2, err)
		}
	})
}

func FuzzSignedChunksAreTheSigners(f *testing.F) {
	f.Add([]byte("hello, world"), uint8(5), []byte("x"), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, size uint8, patch []byte, at uint16) {
		fields := [][2]string{{"x-amz-checksum-crc32", "cgQOkQ=="}}
		whole := exampleSigner().Encode(sigv4test.ChunkedTrailer, chunkSeed, sigv4test.Body{Data: data, ChunkSize: int(size), Trailer: fields})
		copy(whole[min(int(at), len(whole)):], patch)
		o := trailerOptions(chunkSeed)
		o.DecodedLength, o.Trailers, o.MinChunk = int64(len(data)), []string{"x-amz-checksum-crc32"}, 0
		got, _, err := decode(t, bytes.NewReader(whole), o)
		if err == nil && !bytes.Equal(got, data) {
			t.Errorf("a forged body passed: %q", whole)
		}
	})
}
