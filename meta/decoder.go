package meta

// A page of a listing is a thousand rows. To decode them by reflection took
// longer than to read them, and a version of 1,000 parts takes 1 ms. A decoder
// knows the one form that Marshal writes, and passes over what is not asked for.
// What differs in any way is left to the general decoder.

// decoder reads one CBOR map with numbered fields (RFC 8949, section 3). Of a
// string it returns strings that share its memory; of bytes, copies.
//
//	for d.begin(); d.next(); {
//		switch d.field {
//		case 1:
//			e.Seq = d.number()
//		default:
//			d.skip()
//		}
//	}
//	return d.end()
type decoder[T string | []byte] struct {
	in     T
	at     int
	left   uint64 // fields of the map
	field  uint64 // number of the field whose value follows
	failed bool   // the input is not what Marshal writes
}

// begin reads the head of the map.
func (d *decoder[T]) begin() {
	d.left = d.head(5)
	d.field = 0
}

// next reads the number of the next field. Fields are in order, each once.
func (d *decoder[T]) next() bool {
	if d.failed || d.left == 0 {
		return false
	}
	d.left--
	last := d.field
	d.field = d.head(0)
	if d.field <= last {
		d.failed = true
	}
	return !d.failed
}

// end reports whether the map was read, and is all of the input.
func (d *decoder[T]) end() bool { return !d.failed && d.at == len(d.in) }

// head reads the head of an item of a major type, and returns its argument.
func (d *decoder[T]) head(major byte) uint64 {
	if d.at < len(d.in) {
		if n := d.in[d.at] ^ major<<5; n < 24 {
			d.at++
			return uint64(n)
		}
	}
	return d.longHead(major)
}

// longHead is head where the argument follows the first byte.
func (d *decoder[T]) longHead(major byte) uint64 {
	if d.at >= len(d.in) || d.in[d.at]>>5 != major {
		d.failed = true
		return 0
	}
	info := d.in[d.at] & 0x1f
	size := 1 << (info - 24)
	if info > 27 || len(d.in)-d.at-1 < size {
		d.failed = true
		return 0
	}
	n := uint64(0)
	for i := range size {
		n = n<<8 | uint64(d.in[d.at+1+i])
	}
	d.at += 1 + size
	return n
}

func (d *decoder[T]) number() int64 {
	n := int64(d.head(0))
	if n < 0 {
		d.failed = true
	}
	return n
}

func (d *decoder[T]) boolean() bool {
	n := d.head(7)
	if n != 20 && n != 21 {
		d.failed = true
	}
	return n == 21
}

func (d *decoder[T]) text() string {
	n := d.head(3)
	if d.failed || n > uint64(len(d.in)-d.at) {
		d.failed = true
		return ""
	}
	start := d.at
	d.at += int(n)
	return string(d.in[start:d.at])
}

// skip passes over an item with all that is in it.
func (d *decoder[T]) skip() {
	for left := uint64(1); left > 0; left-- {
		if d.at >= len(d.in) {
			d.failed = true
			return
		}
		major, n := d.in[d.at]>>5, uint64(d.in[d.at]&0x1f)
		if n < 24 {
			d.at++
		} else if n = d.longHead(major); d.failed {
			return
		}
		if major < 2 || major == 7 {
			continue
		}
		if n > uint64(len(d.in)-d.at) && major != 6 {
			d.failed = true
			return
		}
		switch major {
		case 2, 3:
			d.at += int(n)
		case 4:
			left += n
		case 5:
			left += 2 * n
		case 6:
			left++
		}
	}
}

// decodeEntry decodes b into e, and tells whether it could. Where it could
// not, e may have been changed.
func decodeEntry(b []byte, e *Entry) bool {
	*e = Entry{Key: e.Key}
	d := decoder[string]{in: string(b)}
	for d.begin(); d.next(); {
		switch d.field {
		case 1:
			e.Seq = d.number()
		case 2:
			e.Null = d.boolean()
		case 3:
			e.Size = d.number()
		case 4:
			e.ETag = d.text()
		case 5:
			e.Modified = d.number()
		case 6:
			e.Owner = d.text()
		case 7:
			e.Class = d.text()
		case 8:
			e.Checksum = d.text()
		case 9:
			e.SumType = d.text()
		case 10:
			e.HasOlderVersions = d.boolean()
		case 11:
			e.Moving = d.boolean()
		case 12:
			e.DeleteMarker = d.boolean()
		default:
			return false
		}
	}
	return d.end()
}

// decodeListed decodes b, a Version as Marshal writes it, into e, and tells
// whether it could. Where it could not, e may have been changed.
func decodeListed(b []byte, e *Entry) bool {
	d := decoder[[]byte]{in: b}
	for d.begin(); d.next(); {
		switch d.field {
		case 1:
			e.Null = d.boolean()
		case 2:
			e.DeleteMarker = d.boolean()
		case 3:
			e.Size = d.number()
		case 4:
			e.ETag = d.text()
		case 5:
			e.Modified = d.number()
		case 6:
			e.Owner = d.text()
		case 7:
			e.Class = d.text()
		case 12: // a map of algorithm, type and value
			whole := d.head(5) == 3 && d.head(0) == 1
			e.Checksum = d.text()
			whole = whole && d.head(0) == 2
			e.SumType = d.text()
			whole = whole && d.head(0) == 3
			d.text()
			d.failed = d.failed || !whole
		case 21:
			e.Moving = d.at < len(b) && b[d.at]>>5 == 5
			d.failed = !e.Moving
			d.skip()
		default:
			d.skip()
		}
	}
	return d.end()
}
