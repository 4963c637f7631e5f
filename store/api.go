package store

import (
	"context"
	"io"
	"time"

	"github.com/pithos/pithos/meta"
)

// ClassStandard is the storage class of an object that names none.
const ClassStandard = "STANDARD"

// ClassReduced is a storage class that always exists.
const ClassReduced = "REDUCED_REDUNDANCY"

// Object lock modes.
const (
	ModeGovernance = "GOVERNANCE"
	ModeCompliance = "COMPLIANCE"
)

// Versioning states of a bucket. "" is that of a bucket that never was versioned.
const (
	VersioningEnabled   = "Enabled"
	VersioningSuspended = "Suspended"
)

// Limits of S3, in bytes unless the name says otherwise. MaxMetadataBytes applies
// to user metadata, to system headers, and to a website redirect, each.
const (
	MaxKeyBytes      = 1024
	MaxPutBytes      = 5 << 30
	MaxObjectBytes   = MaxPartNumber * MaxPartBytes // AWS' "50 TB"
	MaxPartBytes     = 5 << 30
	MinPartBytes     = 5 << 20
	MaxPartNumber    = 10000
	MaxMetadataBytes = 2 << 10
)

// Attributes are what a client sets of an object besides its bytes.
type Attributes struct {
	// Owner is the canonical id of the writer.
	Owner string
	// Class is the storage class; "" is STANDARD.
	Class string
	// Headers are Content-Type, Cache-Control, Content-Disposition,
	// Content-Encoding, Content-Language, Expires and
	// X-Amz-Website-Redirect-Location, under these names.
	Headers map[string]string
	// Metadata is x-amz-meta-*, lower case, without the prefix.
	Metadata  map[string]string
	Tags      []meta.Tag
	ACL       meta.ACL
	Retention *meta.Retention
	LegalHold bool
	// LegalHoldReleased: the legal hold is said to be off, which GetObjectLegalHold
	// tells from one that never was set.
	LegalHoldReleased bool
	// Encryption as requested; its zero value means the bucket's default.
	Encryption EncryptionRequest
}

// EncryptionRequest says how to encrypt, or with which key to decrypt.
type EncryptionRequest struct {
	// Type is "", "AES256" or "aws:kms".
	Type      string
	KMSKeyID  string
	Context   string // base64 JSON as given, "" if none
	BucketKey bool
	// CustomerKey, 32 bytes, requests SSE-C. The caller has checked its MD5.
	CustomerKey    []byte
	CustomerKeyMD5 string // base64
}

// Conditions are the preconditions of a request. ETags are the client's, without
// quotes; "*" is one of them. A nil slice and a zero time mean no condition.
type Conditions struct {
	IfMatch           []string
	IfNoneMatch       []string
	IfModifiedSince   time.Time
	IfUnmodifiedSince time.Time
	// For DELETE.
	IfMatchSize         *int64
	IfMatchLastModified time.Time
}

// ChecksumRequest requests an additional checksum of a body.
type ChecksumRequest struct {
	// Algorithm is "", CRC32, CRC32C, CRC64NVME, SHA1 or SHA256.
	Algorithm string
	// Type is "", FULL_OBJECT or COMPOSITE: of a multipart upload.
	Type string
	// Expected returns the value that the client declares, in base64, or "". It is
	// called after the whole body is read, since a trailer may declare it. nil
	// means that the client declares none.
	Expected func() (string, error)
}

// PutInput is a PutObject. (PutObject in the S3 API reference.)
type PutInput struct {
	Attributes
	Body io.Reader
	// Size of Body in bytes; less than 0 where it is not known.
	Size       int64
	ContentMD5 []byte // 16 bytes; nil if the client sent none
	Checksum   ChecksumRequest
	Conditions Conditions
	// Offset, if not nil, appends: it must be the object's size
	// (x-amz-write-offset-bytes).
	Offset *int64
	// Reauthorize is called after the body is read, if the bucket that the request
	// was authorized for was deleted and created again. It authorizes the request
	// for the bucket that has the name now, and returns that bucket with the input
	// for it, whose Body is ignored. If it is nil, Put returns
	// ErrBucketRecreated.
	Reauthorize func(ctx context.Context) (*meta.Bucket, PutInput, error)
}

// PutResult describes the version that a write has made.
type PutResult struct {
	ETag string // without quotes
	// VersionID is "" in a bucket that never was versioned.
	VersionID  string
	Size       int64
	Modified   time.Time
	Checksum   *meta.Checksum
	Encryption *meta.Encryption
}

// GetInput is a GetObject or HeadObject.
type GetInput struct {
	VersionID string // "" is the current one
	Range     *Range
	// RangeIf, if not nil, reports whether Range applies to the version that was
	// found (If-Range). If not, the whole object is returned.
	RangeIf func(v *meta.Version) bool
	// PartNumber, if not 0, selects that part of a multipart object.
	PartNumber  int
	Conditions  Conditions
	CustomerKey EncryptionRequest // only CustomerKey and its MD5 are used
	// Found, if not nil, is what Find has returned for the same key and
	// VersionID: the key is not read again.
	Found *Found
}

// Range is one byte range as requested: from First to Last, inclusive. Last less
// than 0 means the end. First less than 0 means the last -First bytes.
type Range struct{ First, Last int64 }

// Object is an object as it was when its key was read. Body must be closed.
type Object struct {
	Key       string
	Version   meta.Version
	VersionID string // "" in a bucket that never was versioned
	// Offset and Length say, in bytes, which part of the object Body has.
	Offset, Length int64
	// Partial: a range or a part was requested.
	Partial bool
	// PartsCount is the number of parts that the object was uploaded in; 0 if it was
	// not uploaded in parts.
	PartsCount int
	// Part is the part requested by its number; nil otherwise.
	Part *meta.PartInfo
	Body io.ReadCloser
}

// Modified is the time when the version was made, in UTC.
func (o *Object) Modified() time.Time { return time.UnixMicro(o.Version.Modified).UTC() }

// DeleteInput is a DeleteObject.
type DeleteInput struct {
	VersionID  string
	Conditions Conditions
	// BypassGovernance: the caller is allowed to ignore GOVERNANCE retention, and
	// asks for it.
	BypassGovernance bool
	// Owner is the canonical id of the caller: the owner of a delete marker.
	Owner string
}

// DeleteResult describes what a DELETE has done.
type DeleteResult struct {
	// VersionID is the id of the version deleted, or of the delete marker made; ""
	// in a bucket that never was versioned.
	VersionID string
	// DeleteMarker: a delete marker was made, or the version deleted was one.
	DeleteMarker bool
	// Nothing: there was nothing to delete, provided that the bucket is current:
	// see [Store.ConfirmBucket].
	Nothing bool
}

// CopyInput is a CopyObject.
type CopyInput struct {
	Source           *meta.Bucket
	SourceKey        string
	SourceVersion    string
	SourceConditions Conditions
	SourceKeySSEC    EncryptionRequest // to decrypt the source
	// SourceFound, if not nil, is what Find has returned for the source: only that
	// version is copied; see [Store.Copy].
	SourceFound *Found
	// ReplaceMetadata, ReplaceTags: use those of Attributes instead of the source's.
	ReplaceMetadata, ReplaceTags bool
	Attributes
	Checksum   ChecksumRequest // Algorithm only
	Conditions Conditions      // on the destination
}

// CopyResult describes the version that a copy has made.
type CopyResult struct {
	PutResult
	SourceVersionID string
}

// ListInput is a ListObjects or ListObjectsV2.
type ListInput struct {
	Prefix, Delimiter string
	// After is exclusive: only keys and common prefixes that follow it are listed.
	After string
	Limit int // of keys and prefixes together; 0 returns none
}

// ListResult is one page of a listing.
type ListResult struct {
	Objects  []meta.Entry
	Prefixes []string
	// Truncated: more follows; Next is the After of the next page.
	Truncated bool
	Next      string
}

// ListVersionsInput is a ListObjectVersions.
type ListVersionsInput struct {
	Prefix, Delimiter        string
	KeyMarker, VersionMarker string
	Limit                    int
}

// ListedVersion is one version or delete marker in a listing. Its Version has
// only the fields that [meta.EntryOf] copies.
type ListedVersion struct {
	Key       string
	VersionID string
	IsLatest  bool
	Version   meta.Version
}

// ListVersionsResult is one page of versions.
type ListVersionsResult struct {
	Versions             []ListedVersion
	Prefixes             []string
	Truncated            bool
	NextKey, NextVersion string
}

// CreateUploadInput is a CreateMultipartUpload.
type CreateUploadInput struct {
	Attributes
	Checksum ChecksumRequest // Algorithm and Type only
}

// PartInput is an UploadPart.
type PartInput struct {
	UploadID    string
	Number      int
	Body        io.Reader
	Size        int64 // less than 0 if it is not known
	ContentMD5  []byte
	Checksum    ChecksumRequest
	CustomerKey EncryptionRequest
	// Sent: a client sent the body. It must declare a checksum if the upload's
	// checksum is computed from the parts' checksums.
	Sent bool
}

// PartCopyInput is an UploadPartCopy.
type PartCopyInput struct {
	UploadID         string
	Number           int
	Source           *meta.Bucket
	SourceKey        string
	SourceVersion    string
	SourceConditions Conditions
	SourceKeySSEC    EncryptionRequest
	SourceFound      *Found // as in CopyInput
	Range            *Range // with both ends; nil is the whole object
	CustomerKey      EncryptionRequest
}

// PartResult describes the part that UploadPart has stored.
type PartResult struct {
	ETag            string
	Modified        time.Time
	Checksum        *meta.Checksum
	Encryption      *meta.Encryption
	SourceVersionID string
}

// CompletedPart is a part in the list of a CompleteMultipartUpload.
type CompletedPart struct {
	Number   int
	ETag     string // without quotes
	Checksum *meta.Checksum
}

// CompleteInput is a CompleteMultipartUpload.
type CompleteInput struct {
	UploadID    string
	Parts       []CompletedPart
	Conditions  Conditions
	Checksum    *meta.Checksum // of the whole object, if declared
	ObjectSize  *int64         // x-amz-mp-object-size
	CustomerKey EncryptionRequest
}

// ListPartsResult is one page of parts.
type ListPartsResult struct {
	Upload    meta.Upload
	Parts     []meta.Part
	Truncated bool
	Next      int // the part-number marker of the next page
}

// ListUploadsInput is a ListMultipartUploads.
type ListUploadsInput struct {
	Prefix, Delimiter         string
	KeyMarker, UploadIDMarker string
	Limit                     int
}

// ListUploadsResult is one page of uploads.
type ListUploadsResult struct {
	Uploads               []meta.Upload
	Prefixes              []string
	Truncated             bool
	NextKey, NextUploadID string
}

// CreateBucketInput is a CreateBucket.
type CreateBucketInput struct {
	Name        string
	Owner       string
	Region      string // the location constraint; "" is the store's own region
	ACL         meta.ACL
	LockEnabled bool
	Ownership   string
	Tags        []meta.Tag
}
