package policy

import (
	"net/netip"
	"strings"
)

// PublicAccessBlock is a bucket's public access block (PutPublicAccessBlock).
// [Evaluator.Decide] honours IgnorePublicAcls and RestrictPublicBuckets; the
// other two apply when an ACL or a policy is put.
type PublicAccessBlock struct {
	BlockPublicAcls       bool
	IgnorePublicAcls      bool
	BlockPublicPolicy     bool
	RestrictPublicBuckets bool
}

// AdmitsACL reports whether the ACL may be put, on the bucket or on an object.
func (b PublicAccessBlock) AdmitsACL(acl ACL) bool { return !b.BlockPublicAcls || !acl.IsPublic() }

// AdmitsPolicy reports whether the policy may be put on the bucket.
func (b PublicAccessBlock) AdmitsPolicy(p *Policy) bool {
	return !b.BlockPublicPolicy || !p.IsPublic()
}

// IsPublic reports whether the policy allows anything to more than fixed
// principals or fixed values of the conditions that tell requesters apart
// (user guide, "Blocking public access", "The meaning of public"). Deny
// statements do not count. A nil policy is not public.
func (p *Policy) IsPublic() bool { return p != nil && p.public }

func (s *Statement) public() bool {
	if !s.principals.all && !s.principals.anyone {
		return false
	}
	for i := range s.conditions {
		if s.conditions[i].confines() {
			return false
		}
	}
	return true
}

// confining are the keys whose fixed values make a policy non-public. Those of
// VPCs, organizations, sources and access points, which AWS counts too, no
// request carries here.
var confining = map[string]bool{
	"aws:principalarn": true, "aws:principalaccount": true, "aws:userid": true,
	"s3:x-amz-server-side-encryption-aws-kms-key-id": true,
}

// confines reports whether the condition, met, leaves fixed requesters only.
func (c *condition) confines() bool {
	if c.undecidable || c.op.negate || c.ifExists || c.set == "ForAllValues" {
		return false
	}
	for _, t := range c.tests {
		if !c.op.confines(c.key, t) {
			return false
		}
	}
	return true
}

func (op operator) confines(key string, t test) bool {
	switch {
	case op.base == "IpAddress":
		prefix, ok := parsePrefix(t.text)
		return key == "aws:sourceip" && ok && narrow(prefix)
	case op.build == nil:
		return false
	}
	return confining[key] && t.pattern.constant() && !strings.ContainsAny(t.text, "*?")
}

// narrow reports whether a range is no broader than S3 takes as fixed: /8 of
// IPv4, /32 of IPv6, or private.
func narrow(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() >= 8
	}
	return p.Bits() >= 32 || (p.Addr().IsPrivate() && p.Bits() >= 7)
}
