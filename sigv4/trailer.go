package sigv4

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
)

const (
	maxTrailer       = 16 << 10 // bytes, of all fields together
	trailerSignature = "x-amz-trailer-signature"
)

// readTrailer reads everything after the last chunk's header to the end of the body.
func (c *ChunkedReader) readTrailer() error {
	rest, err := io.ReadAll(io.LimitReader(c.in, maxTrailer+1))
	if err != nil {
		return cut(err)
	}
	if len(rest) > maxTrailer {
		return badTrailer("it is too long, or the body goes on after its end")
	}
	if c.opts.Payload == PayloadChunked {
		return noTrailer(string(rest))
	}
	t, err := parseTrailer(string(rest), c.opts.Payload.Signed())
	if err != nil {
		return err
	}
	if err := c.checkTrailer(t); err != nil {
		return err
	}
	c.trailer = t.header()
	return nil
}

// noTrailer requires the CRLF that ends the last chunk. minio-go writes up to two
// more.
func noTrailer(rest string) error {
	switch rest {
	case "\r\n", "\r\n\r\n", "\r\n\r\n\r\n":
		return nil
	case "", "\r":
		return incomplete(io.ErrUnexpectedEOF)
	}
	return notChunked("bytes follow the last chunk")
}

type trailer struct {
	fields    []param // names in lower case, in the order sent
	signature string
	signed    bool // the trailer had a signature
}

// parseTrailer parses lines "name:value". Lines end in CRLF and an empty line
// ends the trailer. The form of minio-go, which ends a field with LF and puts an
// empty line before the signature, is accepted too.
func parseTrailer(rest string, wantSignature bool) (t trailer, err error) {
	if rest != "\r\n" && !strings.HasSuffix(rest, "\n\r\n") {
		return t, incomplete(io.ErrUnexpectedEOF)
	}
	var blank, extra int
	for line := range strings.SplitSeq(strings.TrimSuffix(rest, "\n"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		switch {
		case line == "" && t.signed:
			extra++
		case line == "":
			blank++
		case t.signed || blank > 0 && (!wantSignature || !strings.HasPrefix(line, trailerSignature+":")):
			return t, badTrailer("it goes on after its end")
		default:
			if err := t.add(line, wantSignature); err != nil {
				return t, err
			}
		}
	}
	if blank > 2 || extra > 2 {
		return t, badTrailer("too many empty lines follow it")
	}
	return t, nil
}

func (t *trailer) add(line string, wantSignature bool) error {
	name, value, ok := strings.Cut(line, ":")
	name, value = strings.ToLower(name), strings.Trim(value, " ")
	if !ok || name == "" || strings.ContainsFunc(name, notToken) || strings.ContainsFunc(value, isControl) {
		return badTrailer("a line is not of the form name:value")
	}
	if name == trailerSignature && wantSignature {
		t.signature, t.signed = value, true
		return nil
	}
	if slices.ContainsFunc(t.fields, func(p param) bool { return p.name == name }) {
		return badTrailer("the field " + clip(name) + " occurs twice")
	}
	t.fields = append(t.fields, param{name, value})
	return nil
}

func notToken(c rune) bool {
	return !(isUnreserved(byte(c)) && c < 0x80 || strings.ContainsRune("!#$%&'*+^`|", c))
}

func isControl(c rune) bool { return c < 0x20 || c == 0x7f }

func (t trailer) header() http.Header {
	h := http.Header{}
	for _, f := range t.fields {
		h.Set(f.name, f.value)
	}
	return h
}

// checkTrailer requires exactly the announced fields, and the signature over them
// if the payload is signed.
func (c *ChunkedReader) checkTrailer(t trailer) error {
	for _, f := range t.fields {
		if !slices.Contains(c.opts.Trailers, f.name) {
			return badTrailer("the field " + clip(f.name) + " was not announced in x-amz-trailer")
		}
	}
	for _, name := range c.opts.Trailers {
		if !slices.ContainsFunc(t.fields, func(f param) bool { return f.name == name }) {
			return badTrailer("the field " + clip(name) + " was announced in x-amz-trailer and is missing")
		}
	}
	if !c.opts.Payload.Signed() {
		return nil
	}
	if !t.signed {
		return badTrailer("the field " + trailerSignature + " is missing")
	}
	var canonical strings.Builder
	for _, f := range t.fields {
		canonical.WriteString(f.name + ":" + f.value + "\n")
	}
	return c.chain("AWS4-HMAC-SHA256-TRAILER", t.signature, hexSHA256(canonical.String()))
}

func badTrailer(what string) error {
	return s3err.Newf(s3err.MalformedTrailerError, s3err.MalformedTrailerError.Message()+" In the trailer: %s.", what)
}
