package httpconn

import (
	"bytes"
	"io"
	"math"
	"strconv"
	"strings"
)

// framer reads requests of HTTP/1 and tells header sections from bodies. It lets
// through what it reads, except as the package's comment says.
type framer struct {
	source    io.Reader
	maxHeader int
	refuse    func(*Refusal)
	// header is told when a header section has begun to arrive, and when it is
	// complete.
	header func(begun bool)

	state   state
	raw     []byte // read, and not looked at yet
	out     []byte // a header section to be returned
	skipped bool   // the empty line before a request
	begun   bool   // a header section is in raw
	scanned int    // bytes of raw in which the section does not end
	left    int64  // bytes of the body or chunk
	size    uint64 // of the chunk, as far as it was read
	digits  int    // of size
	line    int    // bytes of the line of the trailer, or of the end of a chunk
}

type state int

const (
	inHeader state = iota
	inBody
	inChunkSize
	inChunkExtension
	inChunkData
	inChunkEnd
	inTrailer
	ended // net/http has got what it is to refuse; nothing after it is let through
)

// Read implements io.Reader.
func (f *framer) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if len(f.out) > 0 {
			n := copy(p, f.out)
			if f.out = f.out[n:]; len(f.out) == 0 {
				f.out = nil
			}
			return n, nil
		}
		switch f.state {
		case ended:
			return 0, io.EOF
		case inHeader:
			if err := f.readHeader(p); err != nil {
				return 0, err
			}
		case inBody:
			n, err := f.next(p[:min(int64(len(p)), f.left)])
			if f.left -= int64(n); f.left == 0 {
				f.state = inHeader
			}
			return n, err
		default:
			n, err := f.next(p)
			used := f.chunked(p[:n])
			if used < n { // of the next request
				f.raw = append(bytes.Clone(p[used:n]), f.raw...)
			}
			return used, err
		}
	}
	return 0, nil
}

// next reads bytes of a body.
func (f *framer) next(p []byte) (int, error) {
	if len(f.raw) == 0 {
		return f.source.Read(p)
	}
	n := copy(p, f.raw)
	if f.raw = f.raw[n:]; len(f.raw) == 0 {
		f.raw = nil
	}
	return n, nil
}

// readHeader reads a header section into out. A connection that waits for one
// has no memory for it yet: the first bytes go by scratch.
func (f *framer) readHeader(scratch []byte) error {
	for {
		if !f.skipped && bytes.HasPrefix(f.raw, []byte("\r\n")) {
			f.skipped, f.raw = true, f.raw[2:]
		}
		if len(f.raw) > 0 && !f.begun {
			f.begun = true
			f.header(true)
		}
		end := headerEnd(f.raw, f.scanned)
		if end > 0 || len(f.raw) > f.maxHeader {
			f.header(false)
			f.skipped, f.begun, f.scanned = false, false, 0
			if end == 0 { // too large: net/http says so
				f.out, f.raw, f.state = f.raw, nil, ended
				return nil
			}
			section := f.raw[:end:end]
			if f.raw = f.raw[end:]; len(f.raw) == 0 {
				f.raw = nil
			}
			f.out = f.frame(section)
			return nil
		}
		f.scanned = max(0, len(f.raw)-3)
		if len(f.raw) == 0 {
			n, err := f.source.Read(scratch)
			f.raw = append(f.raw, scratch[:n]...)
			if err != nil && n == 0 {
				return err
			}
			continue
		}
		if cap(f.raw)-len(f.raw) < 512 {
			f.raw = append(make([]byte, 0, max(2*cap(f.raw), 2048)), f.raw...)
		}
		n, err := f.source.Read(f.raw[len(f.raw):cap(f.raw)])
		f.raw = f.raw[:len(f.raw)+n]
		if err != nil && n == 0 {
			return err
		}
	}
}

// headerEnd is the length of the header section that raw begins with; 0 if it
// is not complete. It does not end before from.
func headerEnd(raw []byte, from int) int {
	for i := from; ; {
		n := bytes.IndexByte(raw[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n + 1
		switch rest := raw[i:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return i + 1
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return i + 2
		}
	}
}

// frame finds out what follows a header section, and returns what net/http is
// to see of it.
func (f *framer) frame(section []byte) []byte {
	request, rest, _ := bytes.Cut(section, []byte("\n"))
	var lengths, codings []string
	framing, folded := false, false
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			folded = folded || framing
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		framing = true
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			lengths = append(lengths, strings.Trim(string(value), " \t"))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			codings = append(codings, strings.Trim(string(value), " \t"))
		default:
			framing = false
		}
	}
	old := bytes.HasSuffix(bytes.TrimRight(request, "\r"), []byte(" HTTP/1.0"))
	switch {
	case len(codings) > 0 && len(lengths) > 0:
		return f.refused(request, &Refusal{Code: "InvalidRequest", Message: "A request has either Transfer-Encoding or Content-Length."})
	case len(codings) > 0 && old:
		return f.refused(request, &Refusal{Code: "InvalidRequest", Message: "HTTP/1.0 has no Transfer-Encoding."})
	}
	f.follow(lengths, codings, folded)
	return section
}

// follow sets what follows a header section. Where net/http refuses it, nothing
// does.
func (f *framer) follow(lengths, codings []string, folded bool) {
	f.state = ended
	switch {
	case folded:
	case len(codings) > 0:
		if len(codings) == 1 && strings.EqualFold(codings[0], "chunked") {
			f.state, f.size, f.digits = inChunkSize, 0, 0
		}
	case len(lengths) > 0:
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		for _, other := range lengths[1:] {
			if other != lengths[0] {
				return
			}
		}
		if err != nil {
			return
		}
		if f.left = int64(n); n == 0 {
			f.state = inHeader
		} else {
			f.state = inBody
		}
	default:
		f.state = inHeader
	}
}

// refused has the handler refuse the request: net/http sees one that is well
// formed and has no body.
func (f *framer) refused(request []byte, why *Refusal) []byte {
	f.refuse(why)
	f.state = ended
	return append(append([]byte(nil), bytes.TrimRight(request, "\r")...), "\r\nHost: refused\r\nConnection: close\r\n\r\n"...)
}

// chunked follows a chunked body, and returns how many bytes of p are of it.
func (f *framer) chunked(p []byte) int {
	for i := 0; i < len(p); {
		c := p[i]
		switch f.state {
		case inChunkSize:
			i++
			v, hex := hexDigit(c)
			switch {
			case hex && f.digits < 16:
				f.size, f.digits = f.size<<4|v, f.digits+1
			case f.digits == 0 || hex || c != ';' && c != ' ' && c != '\t' && c != '\r' && c != '\n':
				f.state = ended
				return i
			case c == '\n':
				f.beginChunk()
			default:
				f.state = inChunkExtension
			}
		case inChunkExtension:
			if i++; c == '\n' {
				f.beginChunk()
			}
		case inChunkData:
			n := min(f.left, int64(len(p)-i))
			i += int(n)
			if f.left -= n; f.left == 0 {
				f.state, f.line = inChunkEnd, 0
			}
		case inChunkEnd:
			if i++; c != "\r\n"[f.line] {
				f.state = ended
				return i
			}
			if f.line++; f.line == 2 {
				f.state, f.size, f.digits = inChunkSize, 0, 0
			}
		case inTrailer:
			i++
			switch {
			case c == '\n' && f.line == 0:
				f.state = inHeader
				return i
			case c == '\n':
				f.line = 0
			case c != '\r':
				f.line++
			}
		default: // ended
			return i
		}
	}
	return len(p)
}

func (f *framer) beginChunk() {
	switch {
	case f.size == 0:
		f.state, f.line = inTrailer, 0
	case f.size > math.MaxInt64:
		f.state = ended
	default:
		f.state, f.left = inChunkData, int64(f.size)
	}
}

func hexDigit(c byte) (uint64, bool) {
	switch {
	case '0' <= c && c <= '9':
		return uint64(c - '0'), true
	case 'a' <= c && c <= 'f':
		return uint64(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return uint64(c-'A') + 10, true
	}
	return 0, false
}
