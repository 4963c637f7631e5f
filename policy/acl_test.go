package policy

import (
	"slices"
	"testing"
	"time"
)

func canned(t testing.TB, name, owner string) ACL {
	t.Helper()
	acl, err := Canned(name, owner, "111122223333")
	if err != nil {
		t.Fatal(err)
	}
	return acl
}

func granting(owner string, p Permission, to string) ACL {
	return ACL{Owner: owner, Grants: []Grant{{CanonicalUser, to, p}}}
}

// The table of the user guide's "Mapping of ACL permissions and access policy
// permissions": what a grant gives to another tenant, and nothing more.
func TestGrantGivesWhatTheUserGuideSays(t *testing.T) {
	bucketActions := map[Permission][]string{
		Read:  {"ListBucket", "ListBucketVersions", "ListBucketMultipartUploads"},
		Write: {"PutObject", "DeleteObject", "AbortMultipartUpload", "ListMultipartUploadParts"}, ReadACP: {"GetBucketAcl"}, WriteACP: {"PutBucketAcl"},
	}
	objectActions := map[Permission][]string{
		Read: {"GetObject", "GetObjectVersion", "GetObjectTorrent"}, Write: nil,
		ReadACP: {"GetObjectAcl", "GetObjectVersionAcl"}, WriteACP: {"PutObjectAcl", "PutObjectVersionAcl"},
	}
	for _, granted := range []Permission{Read, Write, ReadACP, WriteACP, FullControl} {
		for _, action := range actionList {
			action = action[len("s3:"):]
			if slices.Contains(serviceActions, "s3:"+action) {
				continue
			}
			given := func(table map[Permission][]string) bool {
				for p, actions := range table {
					if (granted == p || granted == FullControl) && slices.Contains(actions, action) {
						return true
					}
				}
				return false
			}
			facts := BucketFacts{Name: bucket, Owner: owner.ID, ACL: granting(owner.ID, granted, other.ID)}
			ask{other, action, "k", nil, given(bucketActions)}.run(t, facts, &ObjectFacts{}, time.Time{})
			ask{third, action, "k", nil, false}.run(t, facts, &ObjectFacts{}, time.Time{})
			facts.ACL = ACL{}
			object := &ObjectFacts{ACL: granting(owner.ID, granted, other.ID)}
			ask{other, action, "k", nil, given(objectActions)}.run(t, facts, object, time.Time{})
			ask{third, action, "k", nil, false}.run(t, facts, object, time.Time{})
		}
	}
}

func TestCannedACLs(t *testing.T) {
	read, write, acp := "ListBucket", "PutObject", "GetBucketAcl"
	for name, may := range map[string]map[string][]string{
		"private":            {},
		"public-read":        {"other": {read}, "anonymous": {read}},
		"public-read-write":  {"other": {read, write}, "anonymous": {read, write}},
		"authenticated-read": {"other": {read}},
		"log-delivery-write": {"logging": {write, acp}, "member": {write, acp}},
		"aws-exec-read":      {"za-team": {read}},
		"bucket-owner-read":  {}, "bucket-owner-full-control": {},
	} {
		for who, p := range map[string]Principal{
			"other": other, "anonymous": anonymous, "logging": logging, "za-team": {ID: zaTeam},
			"member": {ID: "m", Groups: []string{LogDelivery}},
		} {
			allowed := may[who]
			if who != "anonymous" { // what any tenant may, they may all
				allowed = append(slices.Clone(may["other"]), may[who]...)
			}
			for _, action := range []string{read, write, acp} {
				facts := BucketFacts{Name: bucket, Owner: owner.ID, ACL: canned(t, name, owner.ID)}
				ask{p, action, "", nil, slices.Contains(allowed, action)}.run(t, facts, nil, time.Time{})
			}
		}
	}
	if _, err := Canned("public", "a", "b"); err == nil {
		t.Error("an unknown canned ACL was taken")
	}
}

func TestCannedACLNamesTheBucketsOwner(t *testing.T) {
	for name, want := range map[string][]Grant{
		"bucket-owner-read":         {{CanonicalUser, other.ID, FullControl}, {CanonicalUser, owner.ID, Read}},
		"bucket-owner-full-control": {{CanonicalUser, other.ID, FullControl}, {CanonicalUser, owner.ID, FullControl}},
		"public-read":               {{Group, AllUsers, Read}, {CanonicalUser, other.ID, FullControl}},
	} {
		if acl := canned(t, name, other.ID); acl.Owner != other.ID || !slices.Equal(acl.Grants, want) {
			t.Errorf("%s: %+v", name, acl)
		}
	}
	if acl := canned(t, "bucket-owner-read", owner.ID); len(acl.Grants) != 1 {
		t.Errorf("the owner is granted twice: %+v", acl)
	}
	acl := canned(t, "public-read", owner.ID)
	acl.Grants[0].Permission = Write
	if again := canned(t, "public-read", owner.ID); again.Grants[0].Permission != Read {
		t.Error("changing one ACL changed the canned one")
	}
}

func TestObjectsOfOthersAreTheirs(t *testing.T) {
	open := policied(t, doc(`{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}`))
	theirs := &ObjectFacts{Owner: other.ID}
	shared := &ObjectFacts{Owner: other.ID, ACL: canned(t, "bucket-owner-full-control", other.ID)}
	readable := &ObjectFacts{Owner: other.ID, ACL: canned(t, "bucket-owner-read", other.ID)}
	emptied := &ObjectFacts{Owner: other.ID, ACL: ACL{Owner: other.ID}}
	for _, c := range []struct {
		object *ObjectFacts
		ask    ask
	}{
		{theirs, ask{owner, "GetObject", "k", nil, false}}, {theirs, ask{owner, "GetObjectAcl", "k", nil, false}},
		{theirs, ask{owner, "DeleteObject", "k", nil, true}}, {theirs, ask{owner, "PutObject", "k", nil, true}},
		{theirs, ask{third, "GetObject", "k", nil, false}}, {theirs, ask{anonymous, "GetObject", "k", nil, false}},
		{theirs, ask{other, "GetObject", "k", nil, true}}, {theirs, ask{other, "PutObjectAcl", "k", nil, true}},
		{shared, ask{owner, "GetObject", "k", nil, true}}, {shared, ask{owner, "PutObjectAcl", "k", nil, true}},
		{readable, ask{owner, "GetObject", "k", nil, true}}, {readable, ask{owner, "GetObjectAcl", "k", nil, false}},
		{emptied, ask{other, "GetObject", "k", nil, false}}, {emptied, ask{other, "GetObjectAcl", "k", nil, true}},
		{&ObjectFacts{Owner: owner.ID}, ask{third, "GetObject", "k", nil, true}},
		{nil, ask{owner, "GetObject", "k", nil, true}}, {nil, ask{third, "GetObject", "k", nil, true}},
	} {
		for _, ownership := range []Ownership{"", ObjectWriter, BucketOwnerPreferred} {
			open.Ownership = ownership
			c.ask.run(t, open, c.object, time.Time{})
		}
		open.Ownership = BucketOwnerEnforced
		c.ask.want = true // all objects are the bucket owner's, and the policy is open
		c.ask.run(t, open, c.object, time.Time{})
	}
}

func TestBucketOwnerEnforcedDisablesACLs(t *testing.T) {
	facts := BucketFacts{Name: bucket, Owner: owner.ID, ACL: canned(t, "public-read-write", owner.ID)}
	object := &ObjectFacts{Owner: other.ID, ACL: canned(t, "public-read", other.ID)}
	for _, action := range []string{"ListBucket", "PutObject", "GetObject"} {
		ask{third, action, "k", nil, true}.run(t, facts, object, time.Time{})
		facts := facts
		facts.Ownership = BucketOwnerEnforced
		ask{third, action, "k", nil, false}.run(t, facts, object, time.Time{})
		ask{other, action, "k", nil, false}.run(t, facts, object, time.Time{})
		ask{owner, action, "k", nil, true}.run(t, facts, object, time.Time{})
	}
}

func TestIgnorePublicAclsLeavesTheOtherGrants(t *testing.T) {
	acl := canned(t, "public-read", owner.ID)
	acl.Grants = append(acl.Grants, Grant{Group, AuthenticatedUsers, Read}, Grant{CanonicalUser, other.ID, Read}, Grant{Group, "urn:staff", Read})
	facts := BucketFacts{Name: bucket, Owner: owner.ID, ACL: acl}
	staff := Principal{ID: "s", Groups: []string{"urn:staff"}}
	for _, ignore := range []bool{false, true} {
		facts.PublicAccessBlock.IgnorePublicAcls = ignore
		for _, action := range []string{"ListBucket", "GetObject"} {
			object := &ObjectFacts{ACL: acl}
			ask{other, action, "k", nil, true}.run(t, facts, object, time.Time{})
			ask{staff, action, "k", nil, true}.run(t, facts, object, time.Time{})
			ask{third, action, "k", nil, !ignore}.run(t, facts, object, time.Time{})
			ask{anonymous, action, "k", nil, !ignore}.run(t, facts, object, time.Time{})
		}
	}
}

func TestRestrictPublicBucketsKeepsPublicPoliciesWithinTheAccount(t *testing.T) {
	toOther := `{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"s3:GetObject","Resource":"*"}`
	toAll := `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}`
	for name, c := range map[string]struct {
		policy                  string
		anonymous, other, owner bool
	}{
		"public":               {doc(toAll), false, false, true},
		"public and delegated": {doc(toAll, toOther), false, false, true},
		"delegated only":       {doc(toOther), false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			facts := policied(t, c.policy)
			facts.PublicAccessBlock.RestrictPublicBuckets = true
			ask{anonymous, "GetObject", "k", nil, c.anonymous}.run(t, facts, nil, time.Time{})
			ask{other, "GetObject", "k", nil, c.other}.run(t, facts, nil, time.Time{})
			ask{akua, "GetObject", "k", nil, c.owner}.run(t, facts, nil, time.Time{})
			ask{logging, "GetObject", "k", nil, c.policy != doc(toOther)}.run(t, facts, nil, time.Time{})
			shared := &ObjectFacts{ACL: granting(owner.ID, Read, other.ID)}
			ask{other, "GetObject", "k", nil, true}.run(t, facts, shared, time.Time{})
		})
	}
}

func TestPublicAccessBlockAdmits(t *testing.T) {
	public := mustParse(t, doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}`))
	private := mustParse(t, doc(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::s3tenant1:root"},"Action":"s3:GetObject","Resource":"*"}`))
	for _, block := range []bool{false, true} {
		b := PublicAccessBlock{BlockPublicAcls: block, BlockPublicPolicy: block}
		for name, isPublic := range map[string]bool{"private": false, "public-read": true, "public-read-write": true, "authenticated-read": true, "log-delivery-write": false} {
			if got := b.AdmitsACL(canned(t, name, "o")); got != (!block || !isPublic) {
				t.Errorf("block %v: admits %s: %v", block, name, got)
			}
		}
		if b.AdmitsPolicy(public) == block || !b.AdmitsPolicy(private) || !b.AdmitsPolicy(nil) {
			t.Errorf("block %v: public %v, private %v", block, b.AdmitsPolicy(public), b.AdmitsPolicy(private))
		}
	}
}
