package store

import (
	"context"
	"io"
	"time"

	"github.com/pithos/pithos/meta"
)

// ClassStandard is the storage class of an object that names none.
const ClassStandard = "STANDARD"

// ClassReduced is a storage class that there always is.
const ClassReduced = "REDUCED_REDUNDANCY"

// Object lock modes.
const (
	ModeGovernance = "GOVERNANCE"
	ModeCompliance = "COMPLIANCE"
)

// Versioning states of a bucket; a bucket that never had any has "".
const (
	VersioningEnabled   = "Enabled"
	VersioningSuspended = "Suspended"
)

// Limits of S3, in bytes where not said otherwise. MaxMetadataBytes holds for
// user metadata, for the system headers, and for a website redirect each.
const (
	MaxKeyBytes      = 1024
	MaxPutBytes      = 5 << 30
	MaxObjectBytes   = MaxPartNumber * MaxPartBytes // AWS' "50 TB"
	MaxPartBytes     = 5 << 30
	MinPartBytes     = 5 << 20
	MaxPartNumber    = 10000
	MaxMetadataBytes = 2 << 10
)

// Attributes are what a writer says of an object beside its bytes.
type Attributes struct {
	// Owner is the canonical id of who writes.
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
	// Encryption as asked for; its zero value takes the bucket's default.
	Encryption EncryptionRequest
}

// EncryptionRequest says how to encrypt, or with which key to decrypt.
type EncryptionRequest struct {
	// Type is "", "AES256" or "aws:kms".
	Type      string
	KMSKeyID  string
	Context   string // base64 JSON as given, "" if none
	BucketKey bool
	// CustomerKey, 32 bytes, asks for SSE-C. Its MD5 was checked by the caller.
	CustomerKey    []byte
	CustomerKeyMD5 string // base64
}

// Conditions are the preconditions of a request. ETags are as the client gave
// them without quotes, "*" included; a nil slice or zero time is no condition.
type Conditions struct {
	IfMatch           []string
	IfNoneMatch       []string
	IfModifiedSince   time.Time
	IfUnmodifiedSince time.Time
	// For DELETE.
	IfMatchSize         *int64
	IfMatchLastModified time.Time
}

// ChecksumRequest asks for an additional checksum of a body.
type ChecksumRequest struct {
	// Algorithm is "", CRC32, CRC32C, CRC64NVME, SHA1 or SHA256.
	Algorithm string
	// Type is "", FULL_OBJECT or COMPOSITE: of a multipart upload.
	Type string
	// Expected returns the value that the client declares, base64, or "".
	// It is called after the whole body was read, for the sake of trailers.
	// nil declares none.
	Expected func() (string, error)
}

// PutInput is a PutObject. (PutObject in the S3 API reference.)
type PutInput struct {
	Attributes
	Body io.Reader
	// Size of Body in bytes; less than 0 where it is not known.
	Size       int64
	ContentMD5 []byte // 16 bytes; nil if not given
	Checksum   ChecksumRequest
	Conditions Conditions
	// Offset, if not nil, appends: it must be the object's size
	// (x-amz-write-offset-bytes).
	Offset *int64
	// Reauthorize is called where the bucket turns out to be another one than the
	// request was authorized for, after the body has been read. It authorizes the
	// request for the bucket that has the name now, and returns it with what the
	// request asks for there; the body is the Store's. Without it, the error is
	// ErrBucketRecreated.
	Reauthorize func(ctx context.Context) (*meta.Bucket, PutInput, error)
}

// PutResult is what a write has made.
type PutResult struct {
	ETag string // without quotes
	// VersionID is "" in a bucket that never was versioned.
	VersionID  string
	Size       int64
	Modified   time.Time
	Checksum   *meta.Checksum
	Encryption *meta.Encryption
}

// GetInput asks for an object or a part of it.
type GetInput struct {
	VersionID string // "" is the current one
	Range     *Range
	// RangeIf, if not nil, says whether Range counts for the version that was
	// found (If-Range); otherwise the whole object is the answer.
	RangeIf func(v *meta.Version) bool
	// PartNumber, if not 0, asks for that part of a multipart object.
	PartNumber  int
	Conditions  Conditions
	CustomerKey EncryptionRequest // only CustomerKey and its MD5 count
	// Found, if not nil, is what Find has returned for the same key and
	// VersionID: it is taken instead of being looked up.
	Found *Found
}

// Range is one byte range as asked for: from First to Last, inclusive; Last
// less than 0 is the end; First less than 0 asks for the last -First bytes.
type Range struct{ First, Last int64 }

// Object is an object as it was when it was looked up. Body must be closed.
type Object struct {
	Key       string
	Version   meta.Version
	VersionID string // "" in a bucket that never was versioned
	// Offset and Length are what Body holds of the object, in bytes.
	Offset, Length int64
	// Partial says that a range or a part was asked for.
	Partial bool
	// PartsCount is how many parts the object was uploaded in; 0 if not in parts.
	PartsCount int
	// Part is the part asked for by its number; nil otherwise.
	Part *meta.PartInfo
	Body io.ReadCloser
}

// Modified is when the version was made, UTC.
func (o *Object) Modified() time.Time { return time.UnixMicro(o.Version.Modified).UTC() }

// DeleteInput is a DeleteObject.
type DeleteInput struct {
	VersionID  string
	Conditions Conditions
	// BypassGovernance: the caller may, and wants to, pass over GOVERNANCE retention.
	BypassGovernance bool
	// Owner is who deletes: the owner of a delete marker.
	Owner string
}

// DeleteResult says what a DELETE has done.
type DeleteResult struct {
	// VersionID is that of the version deleted, or of the delete marker made;
	// "" in a bucket that never was versioned.
	VersionID string
	// DeleteMarker: a delete marker was made, or the version deleted was one.
	DeleteMarker bool
	// Nothing says that there was nothing to delete, as far as the bucket is the
	// one of its name: see [Store.ConfirmBucket].
	Nothing bool
}

// CopyInput is a CopyObject.
type CopyInput struct {
	Source           *meta.Bucket
	SourceKey        string
	SourceVersion    string
	SourceConditions Conditions
	SourceKeySSEC    EncryptionRequest // to decrypt the source
	// SourceFound, if not nil, is what Find has returned for the source: that
	// version is copied, or none; see [Store.Copy].
	SourceFound *Found
	// ReplaceMetadata, ReplaceTags: take Attributes' instead of the source's.
	ReplaceMetadata, ReplaceTags bool
	Attributes
	Checksum   ChecksumRequest // Algorithm only
	Conditions Conditions      // on the destination
}

// CopyResult is what a copy has made.
type CopyResult struct {
	PutResult
	SourceVersionID string
}

// ListInput is a ListObjects, either version of it.
type ListInput struct {
	Prefix, Delimiter string
	// After: only keys and common prefixes that follow it.
	After string
	Limit int // keys and prefixes together; 0 returns none
}

// ListResult is one page of a listing.
type ListResult struct {
	Objects  []meta.Entry
	Prefixes []string
	// Truncated: more follows; Next is what to give as After for it.
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
// no more than [meta.EntryOf] returns.
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
	Size        int64 // less than 0 where it is not known
	ContentMD5  []byte
	Checksum    ChecksumRequest
	CustomerKey EncryptionRequest
	// Sent: a client sent the body, and must say its checksum where the
	// upload's is one of the parts' checksums.
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
	Range            *Range // both ends given; nil is the whole object
	CustomerKey      EncryptionRequest
}

// PartResult is what UploadPart has stored.
type PartResult struct {
	ETag            string
	Modified        time.Time
	Checksum        *meta.Checksum
	Encryption      *meta.Encryption
	SourceVersionID string
}

// CompletedPart is a part as a CompleteMultipartUpload names it.
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
