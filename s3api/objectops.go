package s3api

import (
	"net/http"

	"github.com/pithos/pithos/store"
)

// objectOperations are the rows that read and write objects.
func objectOperations() []Operation {
	return []Operation{
		{Name: "PutObject", Method: http.MethodPut, Scope: ScopeObject,
			Action: "s3:PutObject", MaxBody: store.MaxPutBytes, Body: BodyStream},
		{Name: "GetObject", Method: http.MethodGet, Scope: ScopeObject,
			Action: "s3:GetObject", VersionAction: "s3:GetObjectVersion", Versioned: true, Params: []string{"partNumber"}},
		{Name: "HeadObject", Method: http.MethodHead, Scope: ScopeObject,
			Action: "s3:GetObject", VersionAction: "s3:GetObjectVersion", Versioned: true, Params: []string{"partNumber"}},
		{Name: "DeleteObject", Method: http.MethodDelete, Scope: ScopeObject,
			Action: "s3:DeleteObject", VersionAction: "s3:DeleteObjectVersion", Versioned: true},
		{Name: "DeleteObjects", Method: http.MethodPost, Scope: ScopeBucket, Query: with("delete"),
			NeedDigest: true, MaxBody: 2 << 20, Body: BodyDocument},
		{Name: "CopyObject", Method: http.MethodPut, Scope: ScopeObject,
			Action: "s3:PutObject", Header: "X-Amz-Copy-Source"},
		{Name: "RenameObject", Method: http.MethodPut, Scope: ScopeObject, Query: with("renameObject"),
			Action: "s3:PutObject"},
		{Name: "GetObjectAttributes", Method: http.MethodGet, Scope: ScopeObject, Query: with("attributes"),
			Action: "s3:GetObjectAttributes", VersionAction: "s3:GetObjectVersionAttributes", Versioned: true},
		{Name: "CreateMultipartUpload", Method: http.MethodPost, Scope: ScopeObject, Query: with("uploads"),
			Action: "s3:PutObject"},
		{Name: "UploadPart", Method: http.MethodPut, Scope: ScopeObject, Query: with("partNumber", "uploadId"),
			Action: "s3:PutObject", MaxBody: store.MaxPartBytes, Body: BodyStream},
		{Name: "UploadPartCopy", Method: http.MethodPut, Scope: ScopeObject, Query: with("partNumber", "uploadId"),
			Action: "s3:PutObject", Header: "X-Amz-Copy-Source"},
		{Name: "CompleteMultipartUpload", Method: http.MethodPost, Scope: ScopeObject, Query: with("uploadId"),
			Action: "s3:PutObject", MaxBody: 4 << 20, Body: BodyDocument},
		{Name: "AbortMultipartUpload", Method: http.MethodDelete, Scope: ScopeObject, Query: with("uploadId"),
			Action: "s3:AbortMultipartUpload"},
		{Name: "ListParts", Method: http.MethodGet, Scope: ScopeObject, Query: with("uploadId"),
			Action: "s3:ListMultipartUploadParts"},
		{Name: "ListMultipartUploads", Method: http.MethodGet, Scope: ScopeBucket, Query: with("uploads"),
			Action: "s3:ListBucketMultipartUploads"},
		{Name: "PostObject", Method: http.MethodPost, Scope: ScopeBucket,
			Action: "s3:PutObject", Body: BodyForm},
	}
}
