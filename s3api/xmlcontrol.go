package s3api

import (
	"bytes"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Keys may have characters that XML 1.0 cannot represent. S3 and its clients write
// them anyway, as character references, as in XML 1.1, or directly; encoding/xml
// refuses both. So they are replaced by characters of the private use area before a
// document is parsed, and replaced back afterwards.
const (
	shift     = '\uf8ff' // begins such a pair; twice, it stands for itself
	shiftBase = '\ue000' // + the character's low byte
)

// decodeKeysXML is decodeXML for documents with keys: it accepts characters that
// XML 1.0 forbids, as references and directly.
func decodeKeysXML(data []byte, v any, roots ...string) error {
	if !mayShift(data) {
		return decodeXML(data, v, roots...)
	}
	if err := decodeXML(shiftControls(data), v, roots...); err != nil {
		return err
	}
	unshiftStrings(reflect.ValueOf(v))
	return nil
}

// forbidden reports whether XML 1.0 cannot represent c.
// (Extensible Markup Language 1.0, production 2.)
func forbidden(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xfffe || c == 0xffff
}

// mayShift reports whether shiftControls may have to replace something in a
// document.
func mayShift(data []byte) bool {
	for i, c := range data {
		switch {
		case c < ' ' && c != '\t' && c != '\n' && c != '\r':
			return true
		case c == '&' && i+1 < len(data) && data[i+1] == '#':
			return true
		case c == 0xef: // the first byte of U+F8FF, U+FFFE and U+FFFF
			return true
		}
	}
	return false
}

// shiftControls replaces all forbidden characters in a document. It reads each byte
// a bounded number of times.
func shiftControls(data []byte) []byte {
	out := make([]byte, 0, len(data)+len(data)/8)
	for i := 0; i < len(data); {
		if section := cdata(data[i:]); section != nil {
			out = appendShifted(out, section) // & does not begin a reference there
			i += len(section)
			continue
		}
		if c, size := reference(data[i:]); size > 0 {
			switch {
			case !utf8.ValidRune(c): // encoding/xml would replace it by another character
				out = append(out, "&#0;"...)
			case forbidden(c) || c == shift:
				out = shiftRune(out, c)
			default:
				out = append(out, data[i:i+size]...)
			}
			i += size
			continue
		}
		_, size := utf8.DecodeRune(data[i:])
		out = appendShifted(out, data[i:i+size])
		i += size
	}
	return out
}

// cdata returns the CDATA section at the start of data, or nil. A section without
// an end is all of data: it contains no references, and it is not searched again
// for an end.
func cdata(data []byte) []byte {
	const begin, end = "<![CDATA[", "]]>"
	if !bytes.HasPrefix(data, []byte(begin)) {
		return nil
	}
	n := bytes.Index(data, []byte(end))
	if n < 0 {
		return data
	}
	return data[:n+len(end)]
}

// reference parses the character reference at the start of data; size is 0 if there
// is none.
func reference(data []byte) (c rune, size int) {
	const longest = len("&#x0010ffff;") + 4
	if !bytes.HasPrefix(data, []byte("&#")) {
		return 0, 0
	}
	end := bytes.IndexByte(data[:min(len(data), longest)], ';')
	if end < 0 {
		return 0, 0
	}
	digits, base := string(data[2:end]), 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if err != nil {
		return 0, 0
	}
	return rune(n), end + 1
}

func appendShifted(out, data []byte) []byte {
	for len(data) > 0 {
		c, size := utf8.DecodeRune(data)
		if (forbidden(c) || c == shift) && (c != utf8.RuneError || size > 1) {
			out = shiftRune(out, c)
		} else {
			out = append(out, data[:size]...)
		}
		data = data[size:]
	}
	return out
}

func shiftRune(out []byte, c rune) []byte {
	out = utf8.AppendRune(out, shift)
	if c == shift {
		return utf8.AppendRune(out, shift)
	}
	return utf8.AppendRune(out, shiftBase+c&0xff)
}

// unshift restores the characters.
func unshift(s string) string {
	if !strings.ContainsRune(s, shift) {
		return s
	}
	var b strings.Builder
	shifted := false
	for _, c := range s {
		switch {
		case !shifted && c == shift:
			shifted = true
			continue
		case shifted && c >= shiftBase+0xfe && c <= shiftBase+0xff:
			c += 0xff00 - shiftBase
		case shifted && c != shift:
			c -= shiftBase
		}
		b.WriteRune(c)
		shifted = false
	}
	return b.String()
}

// unshiftStrings applies unshift to every string of a decoded document.
func unshiftStrings(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			unshiftStrings(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			unshiftStrings(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			unshiftStrings(v.Index(i))
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(unshift(v.String()))
		}
	}
}
