package meta

// A page of a listing is a thousand entries, and decoding them by reflection
// took longer than reading them. decodeEntry knows the one form that Marshal
// writes; what looks in any way different is left to the general decoder.

// decodeEntry decodes b into e, and tells whether it could. Where it could
// not, e may have been changed. The strings of e share memory.
func decodeEntry(b []byte, e *Entry) bool {
	if len(b) == 0 || b[0]&0xe0 != 0xa0 || b[0] > 0xb7 { // a map of up to 23 pairs
		return false
	}
	d := entryDecoder{text: string(b), at: 1}
	*e = Entry{Key: e.Key}
	last := uint64(0)
	for range b[0] & 0x1f {
		field, ok := d.head(0)
		if !ok || field <= last { // in order, and once
			return false
		}
		last = field
		if !d.field(e, field) {
			return false
		}
	}
	return d.at == len(d.text)
}

// entryDecoder reads CBOR (RFC 8949, section 3) that is as short as it can be.
type entryDecoder struct {
	text string
	at   int
}

func (d *entryDecoder) field(e *Entry, field uint64) (ok bool) {
	switch field {
	case 1:
		e.Seq, ok = d.number()
	case 2:
		e.Null, ok = d.truth()
	case 3:
		e.Size, ok = d.number()
	case 4:
		e.ETag, ok = d.string()
	case 5:
		e.Modified, ok = d.number()
	case 6:
		e.Owner, ok = d.string()
	case 7:
		e.Class, ok = d.string()
	case 8:
		e.Checksum, ok = d.string()
	case 9:
		e.SumType, ok = d.string()
	case 10:
		e.HasOlderVersions, ok = d.truth()
	case 11:
		e.Moving, ok = d.truth()
	case 12:
		e.DeleteMarker, ok = d.truth()
	}
	return ok
}

// head reads the head of an item of a major type, and returns its argument.
func (d *entryDecoder) head(major byte) (n uint64, ok bool) {
	if d.at >= len(d.text) || d.text[d.at]>>5 != major {
		return 0, false
	}
	short := d.text[d.at] & 0x1f
	d.at++
	if short < 24 {
		return uint64(short), true
	}
	if short > 27 {
		return 0, false
	}
	size := 1 << (short - 24)
	if len(d.text)-d.at < size {
		return 0, false
	}
	for range size {
		n = n<<8 | uint64(d.text[d.at])
		d.at++
	}
	return n, true
}

func (d *entryDecoder) number() (int64, bool) {
	n, ok := d.head(0)
	return int64(n), ok && int64(n) >= 0
}

func (d *entryDecoder) string() (string, bool) {
	n, ok := d.head(3)
	if !ok || n > uint64(len(d.text)-d.at) {
		return "", false
	}
	s := d.text[d.at : d.at+int(n)]
	d.at += int(n)
	return s, true
}

func (d *entryDecoder) truth() (bool, bool) {
	n, ok := d.head(7)
	return n == 21, ok && (n == 20 || n == 21)
}
