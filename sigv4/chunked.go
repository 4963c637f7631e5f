package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
)

const (
	// AWSMinChunk is the minimum size that AWS accepts for a chunk other than the last.
	AWSMinChunk = 8192

	chunkBuffer    = 32 << 10
	maxChunkHeader = 128 // 16 hex digits, ";chunk-signature=", 64 hex digits, CRLF: 99
	chunkExtension = "chunk-signature="
)

// ChunkedOptions describe the body that a ChunkedReader expects.
type ChunkedOptions struct {
	Payload       Payload         // one of the three streaming kinds
	Signing       *SigningContext // from Verify; needed when chunks are signed
	DecodedLength int64           // x-amz-decoded-content-length, in bytes
	Trailers      []string        // the names in x-amz-trailer, lower case
	MinChunk      int64           // minimum size of a chunk that is not the last; 0 for none, AWS has AWSMinChunk
}

// ChunkedOptionsFromHeader reads x-amz-decoded-content-length and
// x-amz-trailer. It is also for anonymous and version 2 requests, whose body may
// be STREAMING-UNSIGNED-PAYLOAD-TRAILER. Errors: MissingContentLength,
// InvalidArgument, InvalidRequest.
func ChunkedOptionsFromHeader(h http.Header, p Payload) (ChunkedOptions, error) {
	o := ChunkedOptions{Payload: p}
	lengths := h.Values("X-Amz-Decoded-Content-Length")
	if len(lengths) == 0 {
		return o, s3err.Newf(s3err.MissingContentLength, "You must provide the x-amz-decoded-content-length HTTP header.")
	}
	n, err := strconv.ParseUint(lengths[0], 10, 63)
	if err != nil || len(lengths) > 1 {
		return o, s3err.Newf(s3err.InvalidArgument, "x-amz-decoded-content-length must be a single number of bytes.").
			With("ArgumentName", "x-amz-decoded-content-length").With("ArgumentValue", strings.Join(lengths, ", "))
	}
	o.DecodedLength = int64(n)
	for name := range strings.SplitSeq(strings.Join(h.Values("X-Amz-Trailer"), ","), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			o.Trailers = append(o.Trailers, name)
		}
	}
	if len(o.Trailers) > 0 && p == PayloadChunked {
		return o, s3err.Newf(s3err.InvalidRequest, "x-amz-trailer needs an x-amz-content-sha256 that ends in -TRAILER.")
	}
	return o, nil
}

// ChunkedReader decodes a body in the aws-chunked encoding:
//
//	size in hex [;chunk-signature=…] CRLF  bytes CRLF
//
// for each chunk, a chunk of size 0, and the trailer. Chunks are streamed, not
// buffered: Read returns bytes before it has verified their signature. If the body
// is invalid, Read returns an error in place of io.EOF, so the bytes must not be
// committed before io.EOF. Memory is one buffer of 32 KiB and the trailer.
//
// The errors are *s3err.Error: SignatureDoesNotMatch, IncompleteBody (truncated, or
// not of the declared length), InvalidChunkSizeError, InvalidRequest (not in
// the encoding), MalformedTrailerError. An error of the body itself is
// returned unchanged.
type ChunkedReader struct {
	opts     ChunkedOptions
	in       *bufio.Reader
	left     int64 // remaining bytes of the current chunk
	decoded  int64 // bytes returned
	last     int64 // size of the previous chunk; -1 at the start
	previous string
	declared string // the current chunk's signature
	hash     hash.Hash
	inChunk  bool
	trailer  http.Header
	err      error
}

// NewChunkedReader returns a reader that decodes body. It refuses contradictory
// options, such as signed chunks without a signing context.
func NewChunkedReader(body io.Reader, o ChunkedOptions) (*ChunkedReader, error) {
	switch {
	case !o.Payload.Streaming():
		return nil, s3err.Newf(s3err.InvalidRequest, "the payload %s is not in the aws-chunked encoding.", o.Payload)
	case o.Payload.Signed() && o.Signing == nil:
		return nil, s3err.Newf(s3err.InvalidRequest, "%s needs a request signed with %s.", o.Payload, Algorithm)
	case o.DecodedLength < 0:
		return nil, s3err.Newf(s3err.MissingContentLength, "You must provide the x-amz-decoded-content-length HTTP header.")
	}
	c := &ChunkedReader{opts: o, in: bufio.NewReaderSize(body, chunkBuffer), last: -1, hash: sha256.New()}
	if o.Signing != nil {
		c.previous = o.Signing.seed
	}
	return c, nil
}

// Trailer returns the trailer's fields after Read has returned io.EOF, and nil
// before. They do not include the trailer signature.
func (c *ChunkedReader) Trailer() http.Header {
	if c.err != io.EOF {
		return nil
	}
	return c.trailer
}

// Read implements io.Reader; its error is sticky.
func (c *ChunkedReader) Read(p []byte) (int, error) {
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	if !c.inChunk {
		if c.err = c.startChunk(); c.err != nil {
			return 0, c.err
		}
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.left)])
	if c.opts.Payload.Signed() {
		c.hash.Write(p[:n])
	}
	c.left -= int64(n)
	c.decoded += int64(n)
	switch {
	case c.left == 0:
		c.err = c.endChunk()
	case err != nil:
		c.err = cut(err)
	}
	return n, c.err
}

// startChunk reads a chunk's header. At the last chunk it reads to the end of the
// body and returns io.EOF if everything is valid.
func (c *ChunkedReader) startChunk() error {
	size, err := c.readHeader()
	if err != nil {
		return err
	}
	if c.last >= 0 && c.last < c.opts.MinChunk && size > 0 {
		return s3err.Newf(s3err.InvalidChunkSizeError, "Only the last chunk is allowed to have a size less than %d bytes", c.opts.MinChunk).
			With("BadChunkSize", strconv.FormatInt(c.last, 10))
	}
	if size > c.opts.DecodedLength-c.decoded {
		return incomplete(errors.New("more bytes than x-amz-decoded-content-length declares"))
	}
	c.left, c.last, c.inChunk = size, size, true
	if size > 0 {
		return nil
	}
	return c.finish()
}

func (c *ChunkedReader) finish() error {
	if err := c.checkSignature(); err != nil {
		return err
	}
	if c.decoded != c.opts.DecodedLength {
		return incomplete(errors.New("fewer bytes than x-amz-decoded-content-length declares"))
	}
	if err := c.readTrailer(); err != nil {
		return err
	}
	return io.EOF
}

// endChunk checks the CRLF and the signature after a chunk's bytes.
func (c *ChunkedReader) endChunk() error {
	var crlf [2]byte
	if _, err := io.ReadFull(c.in, crlf[:]); err != nil {
		return cut(err)
	}
	if string(crlf[:]) != "\r\n" {
		return notChunked("a chunk does not end in CRLF")
	}
	c.inChunk = false
	return c.checkSignature()
}

// readHeader reads "size[;chunk-signature=…]CRLF".
func (c *ChunkedReader) readHeader() (int64, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return 0, cut(err)
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || len(line) > maxChunkHeader {
		return 0, notChunked("a chunk's header is too long or does not end in CRLF")
	}
	digits, extension, _ := strings.Cut(string(line), ";")
	if c.declared, err = c.parseExtension(extension, len(digits) == len(line)); err != nil {
		return 0, err
	}
	size, err := strconv.ParseUint(digits, 16, 63)
	if err != nil || digits[0] == '+' {
		return 0, notChunked("a chunk's size is not a hexadecimal number")
	}
	return int64(size), nil
}

func (c *ChunkedReader) parseExtension(extension string, none bool) (signature string, err error) {
	if !c.opts.Payload.Signed() {
		if none {
			return "", nil
		}
		return "", notChunked("a chunk has an extension where chunks are unsigned")
	}
	signature, ok := strings.CutPrefix(extension, chunkExtension)
	if !ok {
		return "", notChunked("a chunk has no chunk-signature")
	}
	return signature, nil
}

// checkSignature checks the finished chunk's signature and prepares the next.
func (c *ChunkedReader) checkSignature() error {
	if !c.opts.Payload.Signed() {
		return nil
	}
	sum := hex.EncodeToString(c.hash.Sum(nil))
	c.hash.Reset()
	return c.chain("AWS4-HMAC-SHA256-PAYLOAD", c.declared, emptySHA256, sum)
}

// chain checks the next signature of a chain that starts with the request's
// signature: each signature covers the previous one.
func (c *ChunkedReader) chain(algorithm, declared string, hashes ...string) error {
	s := c.opts.Signing
	sts := strings.Join(append([]string{algorithm, s.timestamp, s.scope, c.previous}, hashes...), "\n")
	if !Equal(SignString(s.key, sts), declared) {
		e := s3err.New(s3err.SignatureDoesNotMatch).With("SignatureProvided", declared)
		e.Details = append(e.Details, s3err.Detail{Name: "StringToSign", Value: sts}) // not clipped
		return e
	}
	c.previous = declared
	return nil
}

// cut returns the error for a body that ended too early, or the error with which
// reading failed.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return incomplete(io.ErrUnexpectedEOF)
	}
	return err
}

func notChunked(what string) error {
	return s3err.Newf(s3err.InvalidRequest, "The body is not in the aws-chunked encoding: %s.", what)
}
