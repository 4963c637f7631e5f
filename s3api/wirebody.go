package s3api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"

	"github.com/pithos/pithos/internal/s3err"
)

// wireBody is a request's body as the server reads it from the connection.
// Malformed framing (Transfer-Encoding: chunked, RFC 9112, section 7.1) is an error
// of the client, but net/http has no type for it. So every error of a chunked body
// of HTTP/1 is, unless it is an error of the connection or has a code.
type wireBody struct{ io.ReadCloser }

func newWireBody(r *http.Request) io.ReadCloser {
	if r.Body == nil || r.Body == http.NoBody || r.ProtoMajor != 1 || !slices.Contains(r.TransferEncoding, "chunked") {
		return r.Body
	}
	return wireBody{r.Body}
}

// Read implements io.Reader.
func (b wireBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF { //nolint:errorlint // as io.Reader has it
		return n, err
	}
	var (
		own  *s3err.Error
		big  *http.MaxBytesError
		conn net.Error
	)
	switch {
	case errors.As(err, &own), errors.As(err, &big), errors.As(err, &conn),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed),
		errors.Is(err, http.ErrBodyReadAfterClose), errors.Is(err, context.Canceled):
		return n, err
	}
	return n, &s3err.Error{Code: s3err.InvalidRequest, Message: "The chunked transfer encoding of the body is malformed.", Err: err}
}
