package meta

// Listings decode only the fields that they show of rows that are stored whole:
// the general decoder skips fields that a type does not have.

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

// UnmarshalEntryOf returns EntryOf of an encoded Version.
func UnmarshalEntryOf(version []byte, key string, seq int64) (Entry, error) {
	e := Entry{Key: key, Seq: seq}
	version = versionFields(version)
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

// ListedUploadDoc has the fields of an UploadDoc that a listing shows.
type ListedUploadDoc struct {
	Initiated         int64         `cbor:"1,keyasint"`
	Initiator         string        `cbor:"2,keyasint,omitempty"`
	Version           listedVersion `cbor:"3,keyasint"`
	ChecksumAlgorithm string        `cbor:"4,keyasint,omitempty"`
	ChecksumType      string        `cbor:"5,keyasint,omitempty"`
}

// Doc returns what [UploadDoc.Listed] returns of the whole document.
func (d *ListedUploadDoc) Doc() UploadDoc {
	return UploadDoc{Initiated: d.Initiated, Initiator: d.Initiator, ChecksumAlgorithm: d.ChecksumAlgorithm, ChecksumType: d.ChecksumType,
		Version: Version{Owner: d.Version.Owner, Class: d.Version.Class}}
}
