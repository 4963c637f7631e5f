package meta

// Rows that were stored whole are decoded for listings without what these do
// not show: the decoder passes over fields that a type does not have.

type listedVersion struct {
	Null         bool      `cbor:"1,keyasint,omitempty"`
	DeleteMarker bool      `cbor:"2,keyasint,omitempty"`
	Size         int64     `cbor:"3,keyasint,omitempty"`
	ETag         string    `cbor:"4,keyasint,omitempty"`
	Modified     int64     `cbor:"5,keyasint,omitempty"`
	Owner        string    `cbor:"6,keyasint,omitempty"`
	Class        string    `cbor:"7,keyasint,omitempty"`
	Checksum     *Checksum `cbor:"12,keyasint,omitempty"`
	Moving       *Move     `cbor:"21,keyasint,omitempty"`
}

// UnmarshalEntryOf decodes what EntryOf returns of an encoded Version.
func UnmarshalEntryOf(version []byte, key string, seq int64) (Entry, error) {
	e := Entry{Key: key, Seq: seq}
	if decodeListed(version, &e) {
		return e, nil
	}
	var v listedVersion
	if err := Unmarshal(version, &v); err != nil {
		return Entry{}, err
	}
	return *EntryOf(key, &Version{Seq: seq, Null: v.Null, DeleteMarker: v.DeleteMarker, Size: v.Size, ETag: v.ETag, Modified: v.Modified,
		Owner: v.Owner, Class: v.Class, Checksum: v.Checksum, Moving: v.Moving}), nil
}

// decodeListed decodes b, a Version as Marshal writes it, into e, and tells
// whether it could. The general decoder looks at each byte twice and takes 1 ms
// for a version of 1,000 parts; this one passes over what it does not want.
func decodeListed(b []byte, e *Entry) bool {
	at, fields, ok := cborHead(b, 0, 5)
	if !ok {
		return false
	}
	kept := *e
	last := uint64(0)
	for ; fields > 0; fields-- {
		var field uint64
		if at, field, ok = cborHead(b, at, 0); !ok || field <= last { // in order, and once
			return false
		}
		last = field
		end, ok := cborSkip(b, at)
		if !ok || !e.listed(field, b[at:end]) {
			return false
		}
		at = end
	}
	e.Key, e.Seq = kept.Key, kept.Seq
	return at == len(b)
}

// listed takes the encoded field of a Version.
func (e *Entry) listed(field uint64, value []byte) (ok bool) {
	switch field {
	case 1, 2, 3, 4, 5, 6, 7:
		d := entryDecoder{text: string(value)}
		switch field {
		case 1:
			e.Null, ok = d.truth()
		case 2:
			e.DeleteMarker, ok = d.truth()
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
		}
		return ok && d.at == len(value)
	case 12:
		d := entryDecoder{text: string(value)}
		if fields, ok := d.head(5); !ok || fields != 3 {
			return false
		}
		var sum string
		for i, to := range []*string{&e.Checksum, &e.SumType, &sum} {
			if field, ok := d.head(0); !ok || field != uint64(i+1) {
				return false
			}
			if *to, ok = d.string(); !ok {
				return false
			}
		}
		return d.at == len(value)
	case 21:
		e.Moving = true
		return value[0]>>5 == 5
	}
	return true
}

// cborHead reads the head of an item of a major type at b[at:], and returns
// where it ends and its argument. (RFC 8949, section 3.)
func cborHead(b []byte, at int, major byte) (end int, n uint64, ok bool) {
	if at >= len(b) || b[at]>>5 != major {
		return 0, 0, false
	}
	info := b[at] & 0x1f
	at++
	if info < 24 {
		return at, uint64(info), true
	}
	size := 1 << (info - 24)
	if info > 27 || len(b)-at < size {
		return 0, 0, false
	}
	for _, c := range b[at : at+size] {
		n = n<<8 | uint64(c)
	}
	return at + size, n, true
}

// cborSkip returns where the item at b[at:] ends, with all that is in it.
func cborSkip(b []byte, at int) (end int, ok bool) {
	for left := 1; left > 0; left-- {
		if at >= len(b) {
			return 0, false
		}
		major := b[at] >> 5
		var n uint64
		if at, n, ok = cborHead(b, at, major); !ok || n > uint64(len(b)) && major >= 2 && major <= 5 {
			return 0, false
		}
		switch major {
		case 2, 3:
			if at += int(n); at > len(b) {
				return 0, false
			}
		case 4:
			left += int(n)
		case 5:
			left += 2 * int(n)
		case 6:
			left++
		}
	}
	return at, true
}

// ListedUploadDoc is an UploadDoc to decode for a listing.
type ListedUploadDoc struct {
	Initiated         int64         `cbor:"1,keyasint"`
	Initiator         string        `cbor:"2,keyasint,omitempty"`
	Version           listedVersion `cbor:"3,keyasint"`
	ChecksumAlgorithm string        `cbor:"4,keyasint,omitempty"`
	ChecksumType      string        `cbor:"5,keyasint,omitempty"`
}

// Doc is what [UploadDoc.Listed] returns of the whole.
func (d *ListedUploadDoc) Doc() UploadDoc {
	return UploadDoc{Initiated: d.Initiated, Initiator: d.Initiator, ChecksumAlgorithm: d.ChecksumAlgorithm, ChecksumType: d.ChecksumType,
		Version: Version{Owner: d.Version.Owner, Class: d.Version.Class}}
}
