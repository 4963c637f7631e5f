package meta

import (
	"cmp"
	"time"

	"github.com/pithos/pithos/internal/ids"
)

// ID is a random identifier.
type ID = ids.ID

// BucketID identifies a bucket. A bucket that is created again under the name of
// a removed one has another ID.
type BucketID = ID

// UploadID identifies a multipart upload.
type UploadID = ID

// NewID returns a fresh random ID.
func NewID() ID { return ids.New() }

// ParseID reads what [ids.ID.String] wrote.
func ParseID(s string) (ID, error) { return ids.Parse(s) }

// BucketState says whether a bucket takes writes.
type BucketState string

// The states of a bucket.
const (
	BucketActive   BucketState = "active"
	BucketDeleting BucketState = "deleting"
)

// Bucket is one bucket.
type Bucket struct {
	Name    string
	ID      BucketID
	Rev     int64
	State   BucketState
	Owner   string
	Created time.Time // UTC, to the microsecond
	Config  BucketConfig
}

// Listed returns the fields that a listing of buckets shows, which never change.
func (b *Bucket) Listed() Bucket {
	return Bucket{Name: b.Name, ID: b.ID, Owner: b.Owner, Created: b.Created, Config: BucketConfig{Region: b.Config.Region, Location: b.Config.Location}}
}

// BucketConfig are the settings of a bucket. Its fields are stored under numbers
// that never change.
type BucketConfig struct {
	Region     string            `cbor:"1,keyasint,omitempty"`
	Versioning string            `cbor:"2,keyasint,omitempty"` // "", "Enabled" or "Suspended"
	ACL        ACL               `cbor:"3,keyasint,omitzero"`
	Lock       *LockConfig       `cbor:"4,keyasint,omitempty"`
	Encryption *EncryptionConfig `cbor:"5,keyasint,omitempty"`
	Tags       []Tag             `cbor:"6,keyasint,omitempty"`
	Ownership  string            `cbor:"7,keyasint,omitempty"` // object ownership
	// Documents are further configurations, by the name of their
	// sub-resource (cors, lifecycle, policy, ...), as the API layer encodes them.
	Documents map[string][]byte `cbor:"8,keyasint,omitempty"`
	// RegionRequested says that the region was asked for by a location constraint.
	RegionRequested bool `cbor:"9,keyasint,omitempty"`
	// Location is the location constraint of a bucket that is in Region and
	// shows another region: any is accepted if no regions are configured.
	Location string `cbor:"10,keyasint,omitempty"`
}

// ShownRegion is the region that clients are told. Region is the region that the
// bucket is in.
func (c *BucketConfig) ShownRegion() string { return cmp.Or(c.Location, c.Region) }

// LockConfig is a bucket's object lock; its presence means it is enabled.
type LockConfig struct {
	Mode  string `cbor:"1,keyasint,omitempty"` // default retention: "", GOVERNANCE or COMPLIANCE
	Days  int    `cbor:"2,keyasint,omitempty"`
	Years int    `cbor:"3,keyasint,omitempty"`
}

// EncryptionConfig is a bucket's default encryption, and which encryption
// uploads must not ask for.
type EncryptionConfig struct {
	Algorithm string `cbor:"1,keyasint"` // AES256 or aws:kms; "" has no default
	KMSKeyID  string `cbor:"2,keyasint,omitempty"`
	BucketKey bool   `cbor:"3,keyasint,omitempty"`
	// Blocked is the value of BlockedEncryptionTypes: SSE-C or NONE.
	Blocked []string `cbor:"4,keyasint,omitempty"`
}

// Tag is one tag.
type Tag struct {
	Key   string `cbor:"1,keyasint"`
	Value string `cbor:"2,keyasint,omitempty"`
}

// ACL is an access control list. The zero ACL grants the owner everything
// and others nothing.
type ACL struct {
	// Owner is the canonical id of the owner; "" means that of the row.
	Owner  string  `cbor:"1,keyasint,omitempty"`
	Grants []Grant `cbor:"2,keyasint,omitempty"`
}

// Grant gives one permission to one grantee.
type Grant struct {
	Type       string `cbor:"1,keyasint"` // CanonicalUser or Group
	Grantee    string `cbor:"2,keyasint"` // canonical id, or the group's URI
	Permission string `cbor:"3,keyasint"` // READ, WRITE, READ_ACP, WRITE_ACP or FULL_CONTROL
}

// Version is one version of a key, or a delete marker. Its fields are stored
// under numbers that never change; a driver stores Seq and Payload separately.
type Version struct {
	// Seq orders the versions of a key. It is the revision of the change
	// that made the version.
	Seq int64 `cbor:"-"`
	// Payload is the body if it is stored in the row; only a Read that asks
	// for it returns it.
	Payload []byte `cbor:"-"`

	Null         bool              `cbor:"1,keyasint,omitempty"` // shown as version "null"
	DeleteMarker bool              `cbor:"2,keyasint,omitempty"`
	Size         int64             `cbor:"3,keyasint,omitempty"` // of the body as the user sees it, bytes
	ETag         string            `cbor:"4,keyasint,omitempty"` // without quotes
	Modified     int64             `cbor:"5,keyasint,omitempty"` // µs since 1970, UTC
	Owner        string            `cbor:"6,keyasint,omitempty"`
	Class        string            `cbor:"7,keyasint,omitempty"` // storage class as shown
	Headers      map[string]string `cbor:"8,keyasint,omitempty"` // Content-Type and its like, canonical names
	Metadata     map[string]string `cbor:"9,keyasint,omitempty"` // x-amz-meta-*, lower case, without prefix
	Tags         []Tag             `cbor:"10,keyasint,omitempty"`
	ACL          ACL               `cbor:"11,keyasint,omitzero"`
	Checksum     *Checksum         `cbor:"12,keyasint,omitempty"`
	// Inline says that the body is the Payload.
	Inline bool `cbor:"13,keyasint,omitempty"`
	// Segments are the blobs that the body consists of, in order; a
	// completed multipart upload has one or more for each part.
	Segments []Segment `cbor:"14,keyasint,omitempty"`
	// Parts describes the parts of a completed multipart upload.
	Parts      []PartInfo  `cbor:"15,keyasint,omitempty"`
	Encryption *Encryption `cbor:"16,keyasint,omitempty"`
	Retention  *Retention  `cbor:"17,keyasint,omitempty"`
	LegalHold  bool        `cbor:"18,keyasint,omitempty"`
	// Upload is the multipart upload that made the version.
	Upload UploadID `cbor:"19,keyasint,omitzero"`
	// Appends counts the appends that the body consists of.
	Appends int `cbor:"20,keyasint,omitempty"`
	// Moving says that the version is being renamed to the key Moving.Key. When
	// that key has a version with Moved of the same ID, this version counts as
	// removed.
	Moving *Move `cbor:"21,keyasint,omitempty"`
	// Moved says that the version was renamed from the key Moved.Key; Key is ""
	// if the rename is complete.
	Moved *Move `cbor:"22,keyasint,omitempty"`
	// LegalHoldReleased says that the legal hold was set to OFF, not just never set.
	LegalHoldReleased bool `cbor:"23,keyasint,omitempty"`
	// Pages is the index of Segments and Parts where these are apart from the
	// rest: then both are empty. It is nil otherwise. See [Whole].
	Pages *Pages `cbor:"-"`
}

// Move is one attempt to rename a version.
type Move struct {
	ID  ID     `cbor:"1,keyasint"`
	Key string `cbor:"2,keyasint,omitempty"` // the other key, of the same bucket
	// Began is the time of the attempt, in µs since 1970.
	Began int64 `cbor:"3,keyasint,omitempty"`
	// Token is the client's idempotency token.
	Token string `cbor:"4,keyasint,omitempty"`
}

// Checksum is an additional checksum of a body.
type Checksum struct {
	Algorithm string `cbor:"1,keyasint"` // CRC32, CRC32C, CRC64NVME, SHA1, SHA256
	Type      string `cbor:"2,keyasint"` // FULL_OBJECT or COMPOSITE
	Value     string `cbor:"3,keyasint"` // base64, with -N where COMPOSITE
}

// Segment is one blob of a body.
type Segment struct {
	Store string `cbor:"1,keyasint,omitempty"` // the blob store's name
	Blob  ID     `cbor:"2,keyasint"`
	Bytes int64  `cbor:"3,keyasint"` // stored size
	Chunk int32  `cbor:"4,keyasint,omitempty"`
	Block int32  `cbor:"5,keyasint,omitempty"`
	Size  int64  `cbor:"6,keyasint"` // of the body's bytes in it, as the user sees them
	// Nonce makes the key of an encrypted segment unique.
	Nonce []byte `cbor:"7,keyasint,omitempty"`
	// Part is the number of the part that it belongs to, in a multipart upload.
	Part int `cbor:"8,keyasint,omitempty"`
	// Ref identifies this reference to a blob that was written for another key:
	// see [References]. It is zero if the blob was written for this key.
	Ref ID `cbor:"9,keyasint,omitzero"`
}

// PartInfo describes a part of a completed upload.
type PartInfo struct {
	Number   int       `cbor:"1,keyasint"`
	Size     int64     `cbor:"2,keyasint"`
	ETag     string    `cbor:"3,keyasint,omitempty"`
	Checksum *Checksum `cbor:"4,keyasint,omitempty"`
}

// Encryption says how a body is encrypted. It never has a plaintext key.
type Encryption struct {
	Type       string `cbor:"1,keyasint"`           // SSE-S3, SSE-KMS or SSE-C
	KeyID      string `cbor:"2,keyasint,omitempty"` // which master key wrapped DataKey
	DataKey    []byte `cbor:"3,keyasint,omitempty"` // wrapped
	KMSKeyID   string `cbor:"4,keyasint,omitempty"` // as the user named it
	Context    string `cbor:"5,keyasint,omitempty"` // encryption context, as given
	KeyMD5     string `cbor:"6,keyasint,omitempty"` // SSE-C: base64 MD5 of the customer's key, as S3 shows it
	BucketKey  bool   `cbor:"7,keyasint,omitempty"`
	KeyCheck   []byte `cbor:"8,keyasint,omitempty"` // SSE-C: salted MAC that verifies the customer's key
	KeySalt    []byte `cbor:"9,keyasint,omitempty"`
	FrameBytes int32  `cbor:"10,keyasint,omitempty"` // plaintext bytes per authenticated frame
}

// Retention is a version's object lock retention.
type Retention struct {
	Mode  string `cbor:"1,keyasint"` // GOVERNANCE or COMPLIANCE
	Until int64  `cbor:"2,keyasint"` // µs since 1970
}

// Entry is a listing entry: what a listing shows of a key's current version.
type Entry struct {
	Key      string `cbor:"-"`
	Seq      int64  `cbor:"1,keyasint"`
	Null     bool   `cbor:"2,keyasint,omitempty"`
	Size     int64  `cbor:"3,keyasint,omitempty"`
	ETag     string `cbor:"4,keyasint,omitempty"`
	Modified int64  `cbor:"5,keyasint,omitempty"` // µs since 1970
	Owner    string `cbor:"6,keyasint,omitempty"`
	Class    string `cbor:"7,keyasint,omitempty"`
	Checksum string `cbor:"8,keyasint,omitempty"` // algorithm
	SumType  string `cbor:"9,keyasint,omitempty"`
	// HasOlderVersions says that the key has, or may have, noncurrent versions
	// or a delete marker. A driver may keep it in its rows; Scan returns it
	// only in a scan of all keys: see [ScanOptions].
	HasOlderVersions bool `cbor:"10,keyasint,omitempty"`
	// Moving says that the version is being renamed: see [Version.Moving].
	Moving bool `cbor:"11,keyasint,omitempty"`
	// DeleteMarker is set in lists of versions only.
	DeleteMarker bool `cbor:"12,keyasint,omitempty"`
}

// EntryOf returns the listing entry of the version v of key. A listing reads
// only these fields of a version: the others may be many times as large.
func EntryOf(key string, v *Version) *Entry {
	e := &Entry{Key: key, Seq: v.Seq, Null: v.Null, Size: v.Size, ETag: v.ETag, Modified: v.Modified, Owner: v.Owner, Class: v.Class, Moving: v.Moving != nil, DeleteMarker: v.DeleteMarker}
	if v.Checksum != nil {
		e.Checksum, e.SumType = v.Checksum.Algorithm, v.Checksum.Type
	}
	return e
}

// UploadState is the state of a multipart upload. It goes from open to completing
// to done, or from open to aborted.
type UploadState string

// The states of an upload.
const (
	UploadOpen       UploadState = "open"
	UploadCompleting UploadState = "completing"
	UploadDone       UploadState = "done"
	UploadAborted    UploadState = "aborted"
)

// Upload is a multipart upload.
type Upload struct {
	ID     UploadID
	Bucket BucketID
	Key    string
	Rev    int64
	State  UploadState
	Doc    UploadDoc
}

// UploadDoc is what CreateMultipartUpload has set.
type UploadDoc struct {
	Initiated int64  `cbor:"1,keyasint"` // µs since 1970
	Initiator string `cbor:"2,keyasint,omitempty"`
	// Version has owner, class, headers, metadata, tags, ACL, encryption,
	// retention and legal hold of the object that the upload will make.
	Version           Version `cbor:"3,keyasint"`
	ChecksumAlgorithm string  `cbor:"4,keyasint,omitempty"`
	ChecksumType      string  `cbor:"5,keyasint,omitempty"`
	// Completed is the ETag, and CompletedSeq the version, of the object that the
	// upload made: a repeated CompleteMultipartUpload answers with them.
	Completed    string `cbor:"6,keyasint,omitempty"`
	CompletedSeq int64  `cbor:"7,keyasint,omitempty"`
}

// Listed returns the fields that a listing of uploads shows; of its version, owner
// and class.
func (d *UploadDoc) Listed() UploadDoc {
	return UploadDoc{Initiated: d.Initiated, Initiator: d.Initiator, ChecksumAlgorithm: d.ChecksumAlgorithm, ChecksumType: d.ChecksumType,
		Version: Version{Owner: d.Version.Owner, Class: d.Version.Class}}
}

// Part is one uploaded part.
type Part struct {
	Number   int       `cbor:"-"`
	Size     int64     `cbor:"1,keyasint"`
	ETag     string    `cbor:"2,keyasint"`
	Modified int64     `cbor:"3,keyasint"` // µs since 1970
	Checksum *Checksum `cbor:"4,keyasint,omitempty"`
	Segments []Segment `cbor:"5,keyasint,omitempty"`
	// CRC64 is the CRC64NVME of the body, 8 bytes, if the upload asks for no
	// checksum: from those of its parts the object's is computed.
	CRC64 []byte `cbor:"6,keyasint,omitempty"`
}

// QueueKind says why the collector is to check a blob.
type QueueKind string

// The kinds of queue entries.
const (
	// QueueFresh: the blob was about to be written for a key, or for a part
	// of an upload of it. It may be that nothing refers to it.
	QueueFresh QueueKind = "fresh"
	// QueueFreed: a change was about to remove a reference to the blob.
	QueueFreed QueueKind = "freed"
)

// QueueEntry tells the collector to check a blob at or after Due, and to delete
// it if nothing refers to it then.
type QueueEntry struct {
	// Due is in UTC, to the microsecond. (Due, Entry) names the entry.
	Due   time.Time
	Entry ID
	Kind  QueueKind
	// Claimed says that the collector has claimed the entry; Enqueue ignores it.
	Claimed bool
	Blob    QueuedBlob
}

// QueuedBlob is the blob of a queue entry, with the key or upload that may refer
// to it.
type QueuedBlob struct {
	Store  string   `cbor:"1,keyasint,omitempty"`
	Blob   ID       `cbor:"2,keyasint"`
	Bucket BucketID `cbor:"3,keyasint"`
	Key    string   `cbor:"4,keyasint"`
	Upload UploadID `cbor:"5,keyasint,omitzero"`
	// Ref is that of the segment: see [Segment.Ref].
	Ref ID `cbor:"6,keyasint,omitzero"`
	// Source is, for a fresh entry with a Ref, the holder that the blob was
	// shared from.
	Source Holder `cbor:"7,keyasint,omitzero"`
}

// Holder is a key that refers to a blob.
type Holder struct {
	Bucket BucketID `cbor:"1,keyasint"`
	Key    string   `cbor:"2,keyasint"`
	Upload UploadID `cbor:"3,keyasint,omitzero"`
	Ref    ID       `cbor:"4,keyasint,omitzero"`
}

// Hold keeps all gateways from deleting blobs while a backup is taken.
type Hold struct {
	ID  ID    `cbor:"-"`
	Rev int64 `cbor:"-"` // grows with every change of the row
	// Left is how much longer the hold lasts unless it is renewed. Gateways
	// subtract the time that they have measured: clocks of two machines are
	// never compared.
	Left time.Duration `cbor:"1,keyasint"`
	// Reason is the operator's description.
	Reason string `cbor:"2,keyasint,omitempty"`
	Began  int64  `cbor:"3,keyasint"` // µs since 1970; for display only
}

// AccessKey is one access key.
type AccessKey struct {
	ID string `cbor:"-"`
	// Secret is encrypted, bound to ID.
	Secret  []byte   `cbor:"1,keyasint"`
	KeyID   string   `cbor:"2,keyasint,omitempty"` // the master key that encrypted it
	Tenant  string   `cbor:"3,keyasint"`
	Master  bool     `cbor:"4,keyasint,omitempty"`
	Groups  []string `cbor:"5,keyasint,omitempty"`
	Created int64    `cbor:"6,keyasint"` // µs since 1970
}
