package policy

import "strings"

// actionNumbers are the actions of S3 that a policy may name (service
// authorization reference, "Actions, resources, and condition keys for Amazon
// S3"), by their names in lower case, numbered in the order of actionList.
var actionNumbers = func() map[string]int {
	known := map[string]int{}
	for i, name := range actionList {
		known[strings.ToLower(name)] = i
	}
	return known
}()

var actionList = func() (all []string) {
	for name := range strings.FieldsSeq(actionNames) {
		all = append(all, "s3:"+name)
	}
	return all
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

// actionSet is a set of actions, by their numbers.
type actionSet [4]uint64

func (s *actionSet) add(number int)      { s[number/64] |= 1 << (number % 64) }
func (s *actionSet) has(number int) bool { return s[number/64]&(1<<(number%64)) != 0 }

func (s actionSet) union(other actionSet) actionSet {
	for i := range s {
		s[i] |= other[i]
	}
	return s
}

func (s actionSet) without(other actionSet) actionSet {
	for i := range s {
		s[i] &^= other[i]
	}
	return s
}

func (s actionSet) meets(other actionSet) bool {
	for i := range s {
		if s[i]&other[i] != 0 {
			return true
		}
	}
	return false
}

func allActions() (all actionSet) {
	for i := range actionList {
		all.add(i)
	}
	return all
}

// compileAction returns the actions that a name with wildcards matches. Names
// of actions know no case.
func compileAction(text string) (matched actionSet) {
	pat, err := compile(strings.ToLower(text), newGlob, true, false)
	if err != nil {
		return actionSet{}
	}
	for name, number := range actionNumbers {
		if pat.fixed.match(name, nil) {
			matched.add(number)
		}
	}
	return matched
}

// actionNumber finds an action by its exact name, as "s3:GetObject".
func actionNumber(name string) (int, bool) {
	number, ok := actionNumbers[strings.ToLower(name)]
	return number, ok && actionList[number] == name
}

// KnownAction reports whether S3 has an action of that name, as "s3:GetObject",
// written exactly so.
func KnownAction(name string) bool {
	_, ok := actionNumber(name)
	return ok
}
