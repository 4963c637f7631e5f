package policy

import (
	"fmt"
	"testing"
	"time"
)

// Possible may say yes where Evaluate refuses; it never says no where Evaluate
// allows, and says no to those who have no rule at all.
func TestPossibleCoversEvaluate(t *testing.T) {
	const all = `"Resource":"arn:aws:s3:::amzn-s3-demo-bucket/*"`
	deletes := []string{"s3:DeleteObject", "s3:DeleteObjectVersion"}
	everyone := []Principal{owner, other, third, akua, operatorKey, anonymous, logging, {}}
	public := ACL{Owner: owner.ID, Grants: []Grant{{Group, AllUsers, Write}}}
	for i, c := range []struct {
		facts BucketFacts
		may   []Principal // beside the owner and the operator
	}{
		{BucketFacts{}, nil},
		{BucketFacts{ACL: ACL{Owner: owner.ID}}, nil},
		{BucketFacts{ACL: public}, everyone},
		{BucketFacts{ACL: public, Ownership: BucketOwnerEnforced}, nil},
		{BucketFacts{ACL: public, PublicAccessBlock: PublicAccessBlock{IgnorePublicAcls: true}}, nil},
		{BucketFacts{ACL: ACL{Grants: []Grant{{CanonicalUser, other.ID, FullControl}}}}, []Principal{other}},
		{BucketFacts{ACL: ACL{Grants: []Grant{{CanonicalUser, other.ID, Read}}}}, nil},
		{policied(t, doc(`{"Effect":"Allow","Principal":"*","Action":"s3:Delete*",`+all+`}`)), everyone},
		{policied(t, doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",`+all+`}`)), nil},
		{policied(t, doc(`{"Effect":"Allow","Principal":"*","NotAction":"s3:GetObject",`+all+`}`)), everyone},
		{policied(t, doc(`{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"s3:DeleteObjectVersion","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/a/*"}`)), []Principal{other}},
		{policied(t, doc(`{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"s3:*",`+all+`,"Condition":{"StringEquals":{"aws:UserAgent":"x"}}}`)), []Principal{other}},
		{policied(t, doc(`{"Effect":"Deny","Principal":"*","Action":"s3:*",`+all+`}`)), nil},
	} {
		facts := c.facts
		facts.Name, facts.Owner = bucket, owner.ID
		for _, p := range everyone {
			got := Possible(Request{Principal: p, Bucket: facts}, deletes...)
			want := p.Master || p.ID == owner.ID
			for _, m := range c.may {
				want = want || fmt.Sprint(m) == fmt.Sprint(p)
			}
			if got != want {
				t.Errorf("%d: Possible for %+v: %v, want %v", i, p, got, want)
			}
			for _, action := range deletes {
				for _, key := range []string{"a/k", "k"} {
					d, err := Evaluate(Request{Principal: p, Action: action, Bucket: facts, Key: key, Time: time.Now(), Context: ctx("aws:UserAgent", "x")})
					if err != nil || d.Allowed && !got {
						t.Errorf("%d: Evaluate lets %+v %s %s (%v), Possible does not", i, p, action, key, err)
					}
				}
			}
		}
	}
	restricted := policied(t, doc(`{"Effect":"Allow","Principal":"*","Action":"s3:DeleteObject",`+all+`}`))
	restricted.PublicAccessBlock.RestrictPublicBuckets = true
	if Possible(Request{Principal: other, Bucket: restricted}, deletes...) {
		t.Error("a policy that RestrictPublicBuckets silences makes it possible")
	}
}
