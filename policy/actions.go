package policy

import "strings"

// knownActions are the actions of S3 that a policy may name (service
// authorization reference, "Actions, resources, and condition keys for Amazon
// S3"), by their names in lower case.
var knownActions = func() map[string]string {
	known := map[string]string{}
	for name := range strings.FieldsSeq(actionNames) {
		known[strings.ToLower("s3:"+name)] = "s3:" + name
	}
	return known
}()

const actionNames = `
AbortMultipartUpload BypassGovernanceRetention CreateBucket
CreateBucketMetadataTableConfiguration CreateSession
DeleteBucket DeleteBucketMetadataTableConfiguration DeleteBucketOwnershipControls
DeleteBucketPolicy DeleteBucketWebsite DeleteObject DeleteObjectAnnotation DeleteObjectTagging
DeleteObjectVersion DeleteObjectVersionTagging
GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAbac GetBucketAcl
GetBucketCORS GetBucketLocation GetBucketLogging
GetBucketMetadataTableConfiguration GetBucketNotification
GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy
GetBucketPolicyStatus GetBucketPublicAccessBlock GetBucketRequestPayment
GetBucketTagging GetBucketVersioning GetBucketWebsite
GetEncryptionConfiguration GetIntelligentTieringConfiguration
GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration
GetObject GetObjectAcl GetObjectAnnotation GetObjectAttributes GetObjectLegalHold GetObjectRetention
GetObjectTagging GetObjectTorrent GetObjectVersion GetObjectVersionAcl
GetObjectVersionAttributes GetObjectVersionForReplication
GetObjectVersionTagging GetObjectVersionTorrent GetReplicationConfiguration
InitiateReplication
ListAllMyBuckets ListBucket ListBucketMultipartUploads ListBucketVersions
ListMultipartUploadParts ListObjectAnnotations ListTagsForResource
ObjectOwnerOverrideToBucketOwner
PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAbac PutBucketAcl
PutBucketCORS PutBucketLogging PutBucketNotification
PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy
PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging
PutBucketVersioning PutBucketWebsite PutEncryptionConfiguration
PutIntelligentTieringConfiguration PutInventoryConfiguration
PutLifecycleConfiguration PutMetricsConfiguration
PutObject PutObjectAcl PutObjectAnnotation PutObjectLegalHold PutObjectRetention PutObjectTagging
PutObjectVersionAcl PutObjectVersionTagging PutReplicationConfiguration
RenameObject ReplicateDelete ReplicateObject ReplicateTags RestoreObject
TagResource UntagResource UpdateBucketMetadataAnnotationTableConfiguration
UpdateBucketMetadataInventoryTableConfiguration
UpdateBucketMetadataJournalTableConfiguration UpdateObjectEncryption
`

// compileAction reads an action with wildcards; it returns false where that
// matches no action of S3. Names of actions know no case.
func compileAction(text string) (pattern, bool) {
	pat, err := compile(strings.ToLower(text), true, false)
	if err != nil {
		return nil, false
	}
	for name := range knownActions {
		if match(pat[0].runes, name) {
			return pat, true
		}
	}
	return nil, false
}

// KnownAction reports whether S3 has an action of that name, as "s3:GetObject",
// written exactly so.
func KnownAction(name string) bool { return knownActions[strings.ToLower(name)] == name }
