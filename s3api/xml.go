package s3api

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	namespace  = "http://s3.amazonaws.com/doc/2006-03-01/"
	xsi        = "http://www.w3.org/2001/XMLSchema-instance"
	timeFormat = "2006-01-02T15:04:05.000Z"
)

// text is character data in an answer. Characters that XML 1.0 does not allow
// are written as references, as S3 does.
type text string

// MarshalXML implements xml.Marshaler.
func (t text) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return e.EncodeElement(struct {
		Text string `xml:",innerxml"`
	}{escapeXML(string(t))}, start)
}

func escapeXML(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r == utf8.RuneError && size == 1:
			b.WriteRune(utf8.RuneError)
		case r < 0x20 && r != '\t' && r != '\n', r == 0x7f, r == 0xfffe, r == 0xffff:
			fmt.Fprintf(&b, "&#x%x;", r)
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

// stamp is a time in an answer: UTC, to the millisecond.
type stamp time.Time

// MarshalText implements encoding.TextMarshaler.
func (t stamp) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(timeFormat)), nil
}

// micros returns the stamp of a time in µs since 1970.
func micros(µs int64) stamp { return stamp(time.UnixMicro(µs)) }

// encodeXML returns v as a document in S3's namespace, which the XMLName of v
// names: `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Root"`.
func encodeXML(v any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	if err := xml.NewEncoder(&b).Encode(v); err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return b.Bytes(), nil
}

// writeXML answers 200 with v, encoded by encodeXML.
func writeXML(w http.ResponseWriter, v any) error {
	b, err := encodeXML(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", itoa(len(b)))
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(b)
	return err
}

// httpTime formats a time for headers such as Last-Modified.
func httpTime(t time.Time) string { return t.UTC().Format(http.TimeFormat) }
