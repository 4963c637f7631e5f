package policy

import "strings"

// Context is what is known of a request beside who asks for what: condition
// keys and their values. [Context.Set] fills it. A key that does not apply is
// absent, not empty.
type Context map[string][]string

// Set gives a condition key its values. The key's case does not matter, but
// for what follows a slash (the name of a tag). Setting no values at all
// leaves the key absent.
func (c Context) Set(key string, values ...string) {
	if len(values) > 0 {
		c[canonicalKey(key)] = values
	}
}

// canonicalKey is a key in lower case up to its first slash.
func canonicalKey(key string) string {
	prefix, tag, slash := strings.Cut(key, "/")
	if !slash {
		return strings.ToLower(key)
	}
	return strings.ToLower(prefix) + "/" + tag
}

// existingTag is the prefix of the keys that ask for an object's tags.
const existingTag = "s3:existingobjecttag/"

// knownKeys are the condition keys of S3, in canonical form (service
// authorization reference, "Condition keys for Amazon S3"); those of aws: are
// taken as they come.
var knownKeys = func() map[string]bool {
	known := map[string]bool{}
	for key := range strings.FieldsSeq(keyNames) {
		known["s3:"+key] = true
	}
	return known
}()

const keyNames = `
accessgrantsinstancearn accesspointnetworkorigin accesspointtag authtype
dataaccesspointaccount dataaccesspointarn delimiter if-match if-none-match
inventoryaccessibleoptionalfields locationconstraint max-keys
object-lock-legal-hold object-lock-mode
object-lock-remaining-retention-days object-lock-retain-until-date
objectcreationoperation prefix requestobjecttagkeys resourceaccount
signatureage signatureversion tlsversion versionid
x-amz-acl x-amz-bucket-namespace x-amz-content-sha256 x-amz-copy-source
x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp
x-amz-grant-write x-amz-grant-write-acp x-amz-metadata-directive
x-amz-object-ownership x-amz-server-side-encryption
x-amz-server-side-encryption-aws-kms-key-id
x-amz-server-side-encryption-customer-algorithm x-amz-storage-class
x-amz-website-redirect-location
`

// knownKey reports whether a canonical condition key may be in a policy.
func knownKey(key string) bool {
	for _, tags := range []string{existingTag, "s3:requestobjecttag/", "s3:buckettag/"} {
		if tag, ok := strings.CutPrefix(key, tags); ok {
			return tag != ""
		}
	}
	name, global := strings.CutPrefix(key, "aws:")
	return knownKeys[key] || (global && name != "")
}
