package s3api

import (
	"net/http"
)

// objectConfigOperations are the rows of an object's ACL, tags and lock.
func objectConfigOperations() []Operation {
	return []Operation{
		{Name: "GetObjectAcl", Method: http.MethodGet, Scope: ScopeObject, Query: with("acl"),
			Action: "s3:GetObjectAcl", VersionAction: "s3:GetObjectVersionAcl", Versioned: true, Handler: getObjectACL},
		{Name: "PutObjectAcl", Method: http.MethodPut, Scope: ScopeObject, Query: with("acl"),
			Action: "s3:PutObjectAcl", VersionAction: "s3:PutObjectVersionAcl", Versioned: true, Honours: SetACL, Body: BodyDocument, Handler: putObjectACL},
		{Name: "GetObjectTagging", Method: http.MethodGet, Scope: ScopeObject, Query: with("tagging"),
			Action: "s3:GetObjectTagging", VersionAction: "s3:GetObjectVersionTagging", Versioned: true, Handler: getObjectTagging},
		{Name: "PutObjectTagging", Method: http.MethodPut, Scope: ScopeObject, Query: with("tagging"),
			Action: "s3:PutObjectTagging", VersionAction: "s3:PutObjectVersionTagging", Versioned: true, Body: BodyDocument, Handler: putObjectTagging},
		{Name: "DeleteObjectTagging", Method: http.MethodDelete, Scope: ScopeObject, Query: with("tagging"),
			Action: "s3:DeleteObjectTagging", VersionAction: "s3:DeleteObjectVersionTagging", Versioned: true, Handler: deleteObjectTagging},
		{Name: "GetObjectRetention", Method: http.MethodGet, Scope: ScopeObject, Query: with("retention"),
			Action: "s3:GetObjectRetention", Versioned: true, Handler: getObjectRetention},
		{Name: "PutObjectRetention", Method: http.MethodPut, Scope: ScopeObject, Query: with("retention"),
			Action: "s3:PutObjectRetention", Versioned: true, Honours: Bypass, Resources: bypassResources, Body: BodyDocument, Handler: putObjectRetention},
		{Name: "GetObjectLegalHold", Method: http.MethodGet, Scope: ScopeObject, Query: with("legal-hold"),
			Action: "s3:GetObjectLegalHold", Versioned: true, Handler: getObjectLegalHold},
		{Name: "PutObjectLegalHold", Method: http.MethodPut, Scope: ScopeObject, Query: with("legal-hold"),
			Action: "s3:PutObjectLegalHold", Versioned: true, Body: BodyDocument, Handler: putObjectLegalHold},
		{Name: "OptionsObject", Method: http.MethodOptions, Scope: ScopeObject,
			Public: true, Handler: preflight},
	}
}

// objectFeatureOperations are the rows of object features that Pithos does not
// have. Rows with Absent answer that the object has none, the others 501.
func objectFeatureOperations() []Operation {
	return []Operation{
		{Name: "GetObjectTorrent", Method: http.MethodGet, Scope: ScopeObject, Query: with("torrent"),
			Action: "s3:GetObjectTorrent", Handler: getObjectTorrent,
			Differs: "No object has a torrent: 404, as S3 has it since it gave up BitTorrent."},
		{Name: "RestoreObject", Method: http.MethodPost, Scope: ScopeObject, Query: with("restore"),
			Action: "s3:RestoreObject", Versioned: true, Body: BodyDocument},
		{Name: "SelectObjectContent", Method: http.MethodPost, Scope: ScopeObject, Query: []Selector{{"select", ""}, {"select-type", "2"}},
			Action: "s3:GetObject", Body: BodyDocument},
		{Name: "UpdateObjectEncryption", Method: http.MethodPut, Scope: ScopeObject, Query: with("encryption"),
			Action: "s3:UpdateObjectEncryption", Versioned: true, Body: BodyDocument},
		{Name: "ListObjectAnnotations", Method: http.MethodGet, Scope: ScopeObject, Query: with("annotation"),
			Action: "s3:ListObjectAnnotations", Versioned: true, Handler: listAnnotations, Absent: true},
		{Name: "GetObjectAnnotation", Method: http.MethodGet, Scope: ScopeObject, Query: with("annotation", "annotationName"),
			Action: "s3:GetObjectAnnotation", Versioned: true, Handler: getAnnotation, Absent: true},
		{Name: "PutObjectAnnotation", Method: http.MethodPut, Scope: ScopeObject, Query: with("annotation"),
			Action: "s3:PutObjectAnnotation", Versioned: true, Body: BodyStream},
		{Name: "DeleteObjectAnnotation", Method: http.MethodDelete, Scope: ScopeObject, Query: with("annotation"),
			Action: "s3:DeleteObjectAnnotation", Versioned: true},
	}
}
