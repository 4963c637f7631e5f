package s3api

import (
	"net/http"

	"github.com/pithos/pithos/store"
)

// objectOperations are the rows that read and write objects.
func objectOperations() []Operation {
	return []Operation{
		{Name: "PutObject", Method: http.MethodPut, Scope: ScopeObject,
			Action: "s3:PutObject", MaxBody: store.MaxPutBytes, Body: BodyStream,
			Handler: putObject,
			Differs: "`x-amz-write-offset-bytes` appends in any bucket without versioning. Storage classes are those of the configuration, and REDUCED_REDUNDANCY, which is stored as STANDARD is. `aws:kms` takes keys of the local key ring, and its active key where none is named; `aws:kms:dsse` answers 501."},
		{Name: "GetObject", Method: http.MethodGet, Scope: ScopeObject,
			Action: "s3:GetObject", VersionAction: "s3:GetObjectVersion", Versioned: true, Params: []string{"partNumber"},
			Handler: getObject,
			Differs: "Several ranges are answered with the whole object, as on AWS."},
		{Name: "HeadObject", Method: http.MethodHead, Scope: ScopeObject,
			Action: "s3:GetObject", VersionAction: "s3:GetObjectVersion", Versioned: true, Params: []string{"partNumber"},
			Handler: headObject},
		{Name: "DeleteObject", Method: http.MethodDelete, Scope: ScopeObject,
			Action: "s3:DeleteObject", VersionAction: "s3:DeleteObjectVersion", Versioned: true,
			Resources: bypassResources, Handler: deleteObject},
		{Name: "DeleteObjects", Method: http.MethodPost, Scope: ScopeBucket, Query: with("delete"),
			NeedDigest: true, MaxBody: 2 << 20, Body: BodyDocument,
			Resources: deletedResources, Handler: deleteObjects},
		{Name: "CopyObject", Method: http.MethodPut, Scope: ScopeObject,
			Action: "s3:PutObject", Header: "X-Amz-Copy-Source",
			Resources: copiedResources, Handler: copyObject,
			Differs: "Up to 5 GiB. No byte is copied where encryption, storage class and checksum stay as they are: the copy refers to the same blobs, from 1 MiB on. Such a copy of a multipart object keeps its ETag and its parts."},
		{Name: "RenameObject", Method: http.MethodPut, Scope: ScopeObject, Query: with("renameObject"),
			Action:    "s3:PutObject",
			Resources: renamedResources, Handler: renameObject,
			Differs: "Works in any bucket without versioning."},
		{Name: "GetObjectAttributes", Method: http.MethodGet, Scope: ScopeObject, Query: with("attributes"),
			Action: "s3:GetObjectAttributes", VersionAction: "s3:GetObjectVersionAttributes", Versioned: true,
			Handler: getObjectAttributes,
			Differs: "Parts are listed also where they have no checksums."},
		{Name: "CreateMultipartUpload", Method: http.MethodPost, Scope: ScopeObject, Query: with("uploads"),
			Action:  "s3:PutObject",
			Handler: createMultipartUpload},
		{Name: "UploadPart", Method: http.MethodPut, Scope: ScopeObject, Query: with("partNumber", "uploadId"),
			Action: "s3:PutObject", MaxBody: store.MaxPartBytes, Body: BodyStream,
			Handler: uploadPart,
			Differs: "`x-amz-server-side-encryption` is taken where it is of the upload's type; the key stays the upload's. AWS refuses it."},
		{Name: "UploadPartCopy", Method: http.MethodPut, Scope: ScopeObject, Query: with("partNumber", "uploadId"),
			Action: "s3:PutObject", Header: "X-Amz-Copy-Source",
			Resources: copiedResources, Handler: uploadPartCopy,
			Differs: "The bytes are copied."},
		{Name: "CompleteMultipartUpload", Method: http.MethodPost, Scope: ScopeObject, Query: with("uploadId"),
			Action: "s3:PutObject", MaxBody: 4 << 20, Body: BodyDocument,
			ObjectChecksum: true, Handler: completeMultipartUpload,
			Differs: "The parts' checksums of a COMPOSITE upload may all be left out; AWS wants each."},
		{Name: "AbortMultipartUpload", Method: http.MethodDelete, Scope: ScopeObject, Query: with("uploadId"),
			Action:  "s3:AbortMultipartUpload",
			Handler: abortMultipartUpload},
		{Name: "ListParts", Method: http.MethodGet, Scope: ScopeObject, Query: with("uploadId"),
			Action:  "s3:ListMultipartUploadParts",
			Handler: listParts},
		{Name: "ListMultipartUploads", Method: http.MethodGet, Scope: ScopeBucket, Query: with("uploads"),
			Action:  "s3:ListBucketMultipartUploads",
			Handler: listMultipartUploads},
		{Name: "PostObject", Method: http.MethodPost, Scope: ScopeBucket,
			Action: "s3:PutObject", Body: BodyForm, Authenticate: authenticateForm, Handler: postObject,
			Differs: "Signatures of both versions. Fields that are not known answer 501 where they begin with `x-amz-`."},
	}
}
