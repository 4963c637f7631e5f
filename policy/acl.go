package policy

import "fmt"

// A Permission is what a grant gives.
type Permission string

// The permissions of S3's ACLs.
const (
	Read        Permission = "READ"
	Write       Permission = "WRITE"
	ReadACP     Permission = "READ_ACP"
	WriteACP    Permission = "WRITE_ACP"
	FullControl Permission = "FULL_CONTROL"
)

// The types of grantee.
const (
	CanonicalUser = "CanonicalUser"
	Group         = "Group"
)

// Grant gives one permission to one grantee.
type Grant struct {
	Type       string // CanonicalUser or Group
	Grantee    string // canonical id, or the group's URI
	Permission Permission
}

// ACL is an access control list. The zero ACL is the default one: the owner
// has full control, and no other principal has any. An ACL with an owner and no
// grants grants nothing.
type ACL struct {
	Owner  string
	Grants []Grant
}

func (a ACL) isDefault() bool { return a.Owner == "" && len(a.Grants) == 0 }

// IsPublic reports whether the list grants anything to everyone, or to
// everyone with an account (user guide, "The meaning of public").
func (a ACL) IsPublic() bool {
	for _, g := range a.Grants {
		if g.public() {
			return true
		}
	}
	return false
}

func (g Grant) public() bool {
	return g.Type == Group && (g.Grantee == AllUsers || g.Grantee == AuthenticatedUsers)
}

func (g Grant) covers(want Permission) bool {
	return g.Permission == want || g.Permission == FullControl
}

func (g Grant) to(p Principal) bool {
	switch g.Type {
	case CanonicalUser:
		return p.is(g.Grantee)
	case Group:
		return p.in(g.Grantee)
	}
	return false
}

// grants returns the grant that gives p the permission. Public grants do not
// count where ignorePublic.
func (a ACL) grants(p Principal, owner string, want Permission, ignorePublic bool) (Grant, bool) {
	list := a.Grants
	if a.isDefault() {
		list = []Grant{{CanonicalUser, owner, FullControl}}
	}
	for _, g := range list {
		if ignorePublic && g.public() {
			continue
		}
		if g.covers(want) && g.to(p) {
			return g, true
		}
	}
	return Grant{}, false
}

// onBucket is what an action needs of the bucket's ACL (user guide, "Access
// control list overview: Mapping of ACL permissions and access policy
// permissions"). Uploads in parts are writing; WRITE deletes too, as the
// guide's table of permissions says.
var onBucket = map[string]Permission{
	"s3:ListBucket":                 Read,
	"s3:ListBucketVersions":         Read,
	"s3:ListBucketMultipartUploads": Read,
	"s3:PutObject":                  Write,
	"s3:DeleteObject":               Write,
	"s3:AbortMultipartUpload":       Write,
	"s3:ListMultipartUploadParts":   Write,
	"s3:GetBucketAcl":               ReadACP,
	"s3:PutBucketAcl":               WriteACP,
}

// onObject is what an action needs of the object's ACL.
var onObject = map[string]Permission{
	"s3:GetObject":           Read,
	"s3:GetObjectVersion":    Read,
	"s3:GetObjectTorrent":    Read,
	"s3:GetObjectAcl":        ReadACP,
	"s3:GetObjectVersionAcl": ReadACP,
	"s3:PutObjectAcl":        WriteACP,
	"s3:PutObjectVersionAcl": WriteACP,
}

// zaTeam is the canonical id of Amazon EC2, whom aws-exec-read lets read
// machine images.
const zaTeam = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"

// Canned expands a canned ACL (user guide, "Canned ACL") for something that
// owner owns, in a bucket of bucketOwner; for a bucket itself the two are the
// same, and bucket-owner-read and -full-control then mean private. Grants to
// groups come before the owner's. An unknown name is an error.
func Canned(name, owner, bucketOwner string) (ACL, error) {
	groups, ok := cannedGroups[name]
	if !ok {
		return ACL{}, fmt.Errorf("unknown canned ACL %q", name)
	}
	grants := append([]Grant(nil), groups...)
	grants = append(grants, Grant{CanonicalUser, owner, FullControl})
	if owner != bucketOwner {
		switch name {
		case "bucket-owner-read":
			grants = append(grants, Grant{CanonicalUser, bucketOwner, Read})
		case "bucket-owner-full-control":
			grants = append(grants, Grant{CanonicalUser, bucketOwner, FullControl})
		}
	}
	return ACL{Owner: owner, Grants: grants}, nil
}

// cannedGroups is what each canned ACL grants beyond owners.
var cannedGroups = map[string][]Grant{
	"private":                   nil,
	"public-read":               {{Group, AllUsers, Read}},
	"public-read-write":         {{Group, AllUsers, Read}, {Group, AllUsers, Write}},
	"authenticated-read":        {{Group, AuthenticatedUsers, Read}},
	"aws-exec-read":             {{CanonicalUser, zaTeam, Read}},
	"bucket-owner-read":         nil,
	"bucket-owner-full-control": nil,
	"log-delivery-write":        {{Group, LogDelivery, Write}, {Group, LogDelivery, ReadACP}},
}
