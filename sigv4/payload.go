package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
)

// Payload is the way in which the body is signed: the kinds of x-amz-content-sha256.
type Payload int

const (
	// PayloadUnsigned is UNSIGNED-PAYLOAD: the signature does not cover the body.
	PayloadUnsigned Payload = iota
	// PayloadHash is the hex SHA-256 of the body.
	PayloadHash
	// PayloadChunked is STREAMING-AWS4-HMAC-SHA256-PAYLOAD: each chunk is signed.
	PayloadChunked
	// PayloadChunkedTrailer is STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER:
	// chunks and trailer signed.
	PayloadChunkedTrailer
	// PayloadUnsignedTrailer is STREAMING-UNSIGNED-PAYLOAD-TRAILER: chunks
	// without signatures, and a trailer.
	PayloadUnsignedTrailer
)

var payloadNames = map[string]Payload{
	"UNSIGNED-PAYLOAD":                           PayloadUnsigned,
	"STREAMING-AWS4-HMAC-SHA256-PAYLOAD":         PayloadChunked,
	"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": PayloadChunkedTrailer,
	"STREAMING-UNSIGNED-PAYLOAD-TRAILER":         PayloadUnsignedTrailer,
}

// String returns the value of x-amz-content-sha256, or "hex SHA-256".
func (p Payload) String() string {
	for name, kind := range payloadNames {
		if kind == p {
			return name
		}
	}
	return "hex SHA-256"
}

// Streaming reports whether the body is in the aws-chunked encoding.
func (p Payload) Streaming() bool {
	return p == PayloadChunked || p == PayloadChunkedTrailer || p == PayloadUnsignedTrailer
}

// Signed reports whether each chunk carries a signature.
func (p Payload) Signed() bool { return p == PayloadChunked || p == PayloadChunkedTrailer }

// ParsePayload reads a value of x-amz-content-sha256. The ECDSA forms are
// refused with NotImplemented, anything unknown with InvalidArgument.
func ParsePayload(value string) (Payload, error) {
	if p, ok := payloadNames[value]; ok {
		return p, nil
	}
	if strings.HasPrefix(value, "STREAMING-AWS4-ECDSA-") {
		return 0, s3err.Newf(s3err.NotImplemented, messageECDSA).With("x-amz-content-sha256", value)
	}
	if raw, err := hex.DecodeString(value); err == nil && len(raw) == sha256.Size {
		return PayloadHash, nil
	}
	return 0, s3err.Newf(s3err.InvalidArgument, messageBadContentSHA256).
		With("ArgumentName", "x-amz-content-sha256").With("ArgumentValue", value)
}

// Body reads a request's payload and verifies it while reading.
type Body struct {
	io.Reader
	// Length is the number of payload bytes that the client declared for the
	// aws-chunked encoding, or -1 if Content-Length is the length of the payload.
	Length  int64
	chunked *ChunkedReader
}

// Trailer returns the trailer's fields after Read has returned io.EOF; nil before,
// and for bodies without a trailer.
func (b *Body) Trailer() http.Header {
	if b.chunked == nil {
		return nil
	}
	return b.chunked.Trailer()
}

// NewBody returns the reader with which the body of a verified request must be read,
// to io.EOF: see PayloadReader and ChunkedReader for its errors. It checks a hash
// that the presigned query or the header declares.
func NewBody(body io.Reader, h http.Header, auth *Auth, ctx *SigningContext) (*Body, error) {
	if body == nil {
		body = http.NoBody
	}
	switch {
	case auth.Payload.Streaming():
		o, err := ChunkedOptionsFromHeader(h, auth.Payload)
		if err != nil {
			return nil, err
		}
		o.Signing = ctx
		c, err := NewChunkedReader(body, o)
		if err != nil {
			return nil, err
		}
		return &Body{Reader: c, Length: o.DecodedLength, chunked: c}, nil
	case auth.Payload == PayloadHash:
		return &Body{Reader: NewPayloadReader(body, auth.PayloadValue), Length: -1}, nil
	}
	return &Body{Reader: body, Length: -1}, nil
}

// PayloadReader reads a body and compares its SHA-256 with the declared one. If they
// differ, Read returns XAmzContentSHA256Mismatch in place of io.EOF.
type PayloadReader struct {
	body io.Reader
	want string
	hash hash.Hash
	err  error
}

// NewPayloadReader returns a reader that checks body against a hex SHA-256. If the
// connection truncates the body, Read returns IncompleteBody.
func NewPayloadReader(body io.Reader, hexSHA256 string) *PayloadReader {
	return &PayloadReader{body: body, want: strings.ToLower(hexSHA256), hash: sha256.New()}
}

// Read implements io.Reader; its error is sticky.
func (p *PayloadReader) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.body.Read(b)
	p.hash.Write(b[:n])
	switch {
	case err == io.EOF:
		p.err = p.verdict()
	case errors.Is(err, io.ErrUnexpectedEOF):
		p.err = incomplete(err)
	default:
		p.err = err
	}
	return n, p.err
}

func (p *PayloadReader) verdict() error {
	got := hex.EncodeToString(p.hash.Sum(nil))
	if Equal(got, p.want) {
		return io.EOF
	}
	return s3err.New(s3err.XAmzContentSHA256Mismatch).
		With("ClientComputedContentSHA256", p.want).With("S3ComputedContentSHA256", got)
}
