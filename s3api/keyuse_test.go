package s3api_test

import (
	"testing"

	"github.com/pithos/pithos/s3api"
)

// A tenant cannot name a master key of other tenants: not for an object, an upload or
// a copy, and not as a bucket's default.
func TestMasterKeysOfOtherTenantsAreRefused(t *testing.T) {
	s := newServer(t, func(o *s3api.Options) {
		o.MayUseKey = func(tenant, keyID string) bool { return tenant == "bob" && keyID != "" }
	})
	b := s.bucket(t)
	s.put(t, b, "source")
	named := []string{"X-Amz-Server-Side-Encryption", "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "secret"}
	s.signed(t, "alice", "PUT", "/"+b+"/k", "body", named...).want(t, 403, "AccessDenied")
	s.signed(t, "alice", "POST", "/"+b+"/k?uploads", "", named...).want(t, 403, "AccessDenied")
	s.signed(t, "alice", "PUT", "/"+b+"/k", "", append(named, "X-Amz-Copy-Source", b+"/source")...).want(t, 403, "AccessDenied")
	rule := "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>" +
		"<KMSMasterKeyID>secret</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
	s.signed(t, "alice", "PUT", "/"+b+"?encryption", rule).want(t, 403, "AccessDenied")
	s.signed(t, "alice", "GET", "/"+b+"?encryption", "").want(t, 404, "ServerSideEncryptionConfigurationNotFoundError")
	s.signed(t, "alice", "PUT", "/"+b+"/k", "body", named[:2]...).want(t, 200, "") // the key of those who name none
	// The rule does not apply to an operator's key: it gets the error for a missing key.
	s.signed(t, "root", "PUT", "/"+b+"/k", "body", named...).want(t, 400, "KMS.NotFoundException")
}
