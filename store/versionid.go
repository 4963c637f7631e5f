package store

import (
	"encoding/base32"
	"encoding/binary"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// nullVersion is the id of the version that a write makes without versioning.
const nullVersion = "null"

var versionEncoding = base32.HexEncoding.WithPadding(base32.NoPadding)

// FormatVersionID returns the id of the version seq that clients see. The ids of a
// key sort newest first, as its versions do.
func FormatVersionID(seq int64, null bool) string {
	if null {
		return nullVersion
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], ^uint64(seq))
	return versionEncoding.EncodeToString(b[:])
}

// parseVersionID parses what FormatVersionID returned; "null" has no seq.
// InvalidArgument.
func parseVersionID(id string) (seq int64, null bool, err error) {
	if id == nullVersion {
		return 0, true, nil
	}
	b, err := versionEncoding.DecodeString(id)
	if err != nil || len(b) != 8 || versionEncoding.EncodeToString(b) != id {
		return 0, false, fail(s3err.InvalidArgument, "Invalid version id specified")
	}
	seq = int64(^binary.BigEndian.Uint64(b))
	if seq <= 0 {
		return 0, false, fail(s3err.InvalidArgument, "Invalid version id specified")
	}
	return seq, false, nil
}

// VersionID returns the id of v as the bucket shows it: "" in a bucket that
// never was versioned.
func VersionID(b *meta.Bucket, v *meta.Version) string {
	if b.Config.Versioning == "" && v.Null {
		return ""
	}
	return FormatVersionID(v.Seq, v.Null)
}
