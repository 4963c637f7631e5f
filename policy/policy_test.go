package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const bucket = "amzn-s3-demo-bucket"

var (
	owner       = Principal{ID: "111122223333", AccessKey: "AKIAOWNER"}
	other       = Principal{ID: "444455556666", AccessKey: "AKIAOTHER"}
	third       = Principal{ID: "777788889999"}
	akua        = Principal{ID: "111122223333", User: "Akua"}
	operatorKey = Principal{ID: "000000000000", Master: true}
	anonymous   = Principal{Anonymous: true}
	logging     = Principal{Service: LoggingService}
)

func mustParse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// doc is a policy of the given statements.
func doc(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// ctx is a context of keys and values by turns.
func ctx(pairs ...string) Context {
	c := Context{}
	for i := 0; i < len(pairs); i += 2 {
		c.Set(pairs[i], append(c[canonicalKey(pairs[i])], pairs[i+1])...)
	}
	return c
}

type ask struct {
	who    Principal
	action string
	key    string
	ctx    Context
	want   bool
}

func (a ask) run(t *testing.T, facts BucketFacts, object *ObjectFacts, at time.Time) {
	t.Helper()
	d, err := Evaluate(Request{
		Principal: a.who, Action: "s3:" + a.action, Bucket: facts, Key: a.key, Context: a.ctx, Time: at,
		Object: func() (*ObjectFacts, error) { return object, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if d.Allowed != a.want || d.Reason == "" {
		t.Errorf("%s may %s %q with %v: %v (%s), want %v", a.who.ID+"/"+a.who.User, a.action, a.key, a.ctx, d.Allowed, d.Reason, a.want)
	}
}

func policied(t testing.TB, text string) BucketFacts {
	t.Helper()
	p := mustParse(t, text)
	if err := p.Validate(bucket); err != nil {
		t.Fatal(err)
	}
	return BucketFacts{Name: bucket, Owner: owner.ID, Policy: p}
}

func TestOrderOfRules(t *testing.T) {
	denyAll := `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::amzn-s3-demo-bucket","arn:aws:s3:::amzn-s3-demo-bucket/*"]}`
	allowAll := strings.Replace(denyAll, "Deny", "Allow", 1)
	plain := BucketFacts{Name: bucket, Owner: owner.ID}
	denied, allowed := policied(t, doc(allowAll, denyAll)), policied(t, doc(allowAll))
	for name, c := range map[string]struct {
		facts BucketFacts
		asks  []ask
	}{
		"without anything": {plain, []ask{
			{owner, "GetObject", "k", nil, true}, {akua, "GetObject", "k", nil, true}, {owner, "DeleteBucket", "", nil, true},
			{operatorKey, "DeleteBucket", "", nil, true}, {other, "GetObject", "k", nil, false}, {other, "ListBucket", "", nil, false},
			{anonymous, "GetObject", "k", nil, false}, {Principal{}, "GetObject", "k", nil, false}, {logging, "PutObject", "k", nil, false},
			{other, "GetBucketPolicy", "", nil, false}, {Principal{Anonymous: true, Master: true, ID: owner.ID}, "GetObject", "k", nil, false},
		}},
		"deny beats allow and the owner, not a master key": {denied, []ask{
			{owner, "GetObject", "k", nil, false}, {owner, "ListBucket", "", nil, false}, {other, "GetObject", "k", nil, false},
			{operatorKey, "GetObject", "k", nil, true},
			{owner, "GetBucketPolicy", "", nil, true}, {owner, "PutBucketPolicy", "", nil, true}, {owner, "DeleteBucketPolicy", "", nil, true},
			{akua, "DeleteBucketPolicy", "", nil, false}, {other, "DeleteBucketPolicy", "", nil, false},
		}},
		"allow": {allowed, []ask{
			{other, "GetObject", "k", nil, true}, {anonymous, "PutObject", "k", nil, true}, {anonymous, "ListBucket", "", nil, true},
		}},
		"unknown action": {allowed, []ask{{owner, "Frobnicate", "k", nil, false}, {other, "getobject", "k", nil, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, a := range c.asks {
				a.run(t, c.facts, &ObjectFacts{}, time.Time{})
			}
		})
	}
}

func TestRequestsUponNoBucketNeedCredentials(t *testing.T) {
	for _, action := range []string{"ListAllMyBuckets", "CreateBucket"} {
		for _, name := range []string{"", bucket} {
			ask{other, action, "", nil, true}.run(t, BucketFacts{Name: name}, nil, time.Time{})
			ask{anonymous, action, "", nil, false}.run(t, BucketFacts{Name: name}, nil, time.Time{})
		}
	}
	ask{other, "GetObject", "k", nil, false}.run(t, BucketFacts{}, nil, time.Time{})
}

func TestObjectFactsAreLoadedOnlyWhereNeeded(t *testing.T) {
	tagged := doc(`{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:PutObjectTagging"],"Resource":"arn:aws:s3:::amzn-s3-demo-bucket/*","Condition":{"StringEquals":{"s3:ExistingObjectTag/security":"public"}}}`)
	enforced := BucketFacts{Name: bucket, Owner: owner.ID, Ownership: BucketOwnerEnforced}
	for name, c := range map[string]struct {
		facts  BucketFacts
		who    Principal
		action string
		loads  int
	}{
		"owner, enforced":              {enforced, owner, "s3:GetObject", 0},
		"other, enforced":              {enforced, other, "s3:GetObject", 0},
		"other's read by ACL":          {BucketFacts{Name: bucket, Owner: owner.ID}, other, "s3:GetObject", 1},
		"a write":                      {BucketFacts{Name: bucket, Owner: owner.ID}, other, "s3:PutObject", 0},
		"master":                       {policied(t, tagged), operatorKey, "s3:GetObject", 0},
		"tag condition":                {policied(t, tagged), other, "s3:GetObject", 1},
		"tag condition, not a read":    {policied(t, tagged), other, "s3:PutObjectTagging", 1},
		"tag condition, other action":  {policied(t, tagged), other, "s3:PutObject", 0},
		"owner's read, writer owns":    {BucketFacts{Name: bucket, Owner: owner.ID}, owner, "s3:GetObject", 1},
		"owner's tagging, writer owns": {BucketFacts{Name: bucket, Owner: owner.ID}, owner, "s3:GetObjectTagging", 0},
	} {
		loads := 0
		_, err := Evaluate(Request{Principal: c.who, Action: c.action, Bucket: c.facts, Key: "k",
			Object: func() (*ObjectFacts, error) { loads++; return &ObjectFacts{}, nil }})
		if err != nil || loads != c.loads {
			t.Errorf("%s: loaded %d times, want %d (%v)", name, loads, c.loads, err)
		}
	}
}

func TestFailureToLoadAnObjectIsNoAnswer(t *testing.T) {
	down := errors.New("down")
	deny := policied(t, doc(`{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/a":"b"}}}`))
	for _, c := range []struct {
		who    Principal
		action string
	}{{owner, "s3:GetObject"}, {other, "s3:GetObject"}, {owner, "s3:PutObject"}} {
		d, err := Evaluate(Request{Principal: c.who, Action: c.action, Bucket: deny, Key: "k",
			Object: func() (*ObjectFacts, error) { return nil, down }})
		if d.Allowed || !errors.Is(err, down) {
			t.Errorf("%v: %v, %v", c, d, err)
		}
	}
}

// Examples of the user guide, "Examples of Amazon S3 bucket policies",
// "Bucket policy examples using condition keys" and "Identity and access
// management in S3: example walkthroughs".
func TestUserGuideExamples(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const object, all = `"arn:aws:s3:::amzn-s3-demo-bucket/*"`, `["arn:aws:s3:::amzn-s3-demo-bucket","arn:aws:s3:::amzn-s3-demo-bucket/*"]`
	for name, c := range map[string]struct {
		policy string
		tags   map[string]string
		asks   []ask
	}{
		"requiring encryption": {doc(`{"Sid":"RequireSSEKMS","Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":` + object + `,
			"Condition":{"Null":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"true"}}}`), nil, []ask{
			{owner, "PutObject", "k", nil, false},
			{owner, "PutObject", "k", ctx("s3:x-amz-server-side-encryption-aws-kms-key-id", "key-1"), true},
			{owner, "GetObject", "k", nil, true},
		}},
		"canned ACL required": {doc(`{"Sid":"AddCannedAcl","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::444455556666:root","777788889999"]},
			"Action":["s3:PutObject","s3:PutObjectAcl"],"Resource":` + object + `,"Condition":{"StringEquals":{"s3:x-amz-acl":["public-read"]}}}`), nil, []ask{
			{other, "PutObject", "k", ctx("s3:x-amz-acl", "public-read"), true},
			{third, "PutObject", "k", ctx("S3:X-Amz-Acl", "public-read"), true},
			{other, "PutObject", "k", ctx("s3:x-amz-acl", "private"), false},
			{other, "PutObject", "k", nil, false},
			{anonymous, "PutObject", "k", ctx("s3:x-amz-acl", "public-read"), false},
		}},
		"managing by source address": {doc(`{"Sid":"SourceIP","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":` + all + `,
			"Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:DB8:1234:5678::/64"]}}}`), nil, []ask{
			{owner, "GetObject", "k", ctx("aws:SourceIp", "192.0.2.188"), true},
			{owner, "GetObject", "k", ctx("aws:SourceIp", "::ffff:192.0.2.188"), true},
			{owner, "GetObject", "k", ctx("aws:SourceIp", "2001:db8:1234:5678::1"), true},
			{owner, "GetObject", "k", ctx("aws:SourceIp", "203.0.113.9"), false},
			{owner, "GetObject", "k", nil, false},
		}},
		"mixed addresses, with an exception": {doc(`{"Sid":"AllowIPmix","Effect":"Allow","Principal":"*","Action":"s3:*","Resource":` + object + `,
			"Condition":{"IpAddress":{"aws:SourceIp":["192.0.2.0/24"]},"NotIpAddress":{"aws:SourceIp":["192.0.2.188/32"]}}}`), nil, []ask{
			{anonymous, "GetObject", "k", ctx("aws:SourceIp", "192.0.2.7"), true},
			{anonymous, "GetObject", "k", ctx("aws:SourceIp", "192.0.2.188"), false},
			{anonymous, "GetObject", "k", ctx("aws:SourceIp", "198.51.100.1"), false},
			{anonymous, "GetObject", "k", ctx("aws:SourceIp", "no address"), false},
		}},
		"HTTP referer": {doc(`{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":` + object + `,
			"Condition":{"StringLike":{"aws:Referer":["http://www.example.com/*","http://example.com/*"]}}}`), nil, []ask{
			{anonymous, "GetObject", "k", ctx("aws:Referer", "http://www.example.com/a"), true},
			{anonymous, "GetObject", "k", ctx("aws:Referer", "http://www.example.org/a"), false},
			{anonymous, "GetObject", "k", nil, false},
		}},
		"HTTPS only": {doc(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":` + all + `,"Condition":{"Bool":{"aws:SecureTransport":"false"}}}`), nil, []ask{
			{owner, "GetObject", "k", ctx("aws:SecureTransport", "false"), false},
			{owner, "GetObject", "k", ctx("aws:SecureTransport", "true"), true},
		}},
		"home folders": {doc(
			`{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::amzn-s3-demo-bucket"}`,
			`{"Effect":"Deny","Principal":"*","Action":"s3:*","NotResource":["arn:aws:s3:::amzn-s3-demo-bucket","arn:aws:s3:::amzn-s3-demo-bucket/home/${aws:userid}/*"]}`), nil, []ask{
			{akua, "GetObject", "home/111122223333:Akua/x", nil, true}, {akua, "GetObject", "home/111122223333:Akuax/x", nil, false},
			{akua, "ListBucket", "", nil, true}, {anonymous, "GetObject", "home//x", nil, false},
			{Principal{ID: owner.ID, User: "*"}, "GetObject", "home/111122223333:Akua/x", nil, false},
		}},
		"not one's own folder": {doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","NotResource":"arn:aws:s3:::amzn-s3-demo-bucket/${aws:userid}/*"}`), nil, []ask{
			{other, "GetObject", "Bob/x", nil, true},
			{other, "GetObject", "444455556666/x", nil, false},
			{anonymous, "GetObject", "Bob/x", nil, false}, // it has no id
		}},
		"listing under a prefix": {doc(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:root"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::amzn-s3-demo-bucket",
			"Condition":{"StringEquals":{"s3:prefix":"projects"},"NumericLessThanEquals":{"s3:max-keys":10}}}`), nil, []ask{
			{other, "ListBucket", "", ctx("s3:prefix", "projects", "s3:max-keys", "10"), true},
			{other, "ListBucket", "", ctx("s3:prefix", "projects", "s3:max-keys", "11"), false},
			{other, "ListBucket", "", ctx("s3:prefix", "projects", "s3:max-keys", "ten"), false},
			{other, "ListBucket", "", ctx("s3:prefix", "projects"), false},
			{other, "ListBucket", "", ctx("s3:max-keys", "1"), false},
		}},
		"copying from one folder only": {doc(`{"Effect":"Allow","Principal":{"CanonicalUser":"444455556666"},"Action":"s3:PutObject","Resource":`+object+`}`,
			`{"Effect":"Deny","Principal":{"AWS":"444455556666"},"Action":"s3:PutObject","Resource":`+object+`,"Condition":{"StringNotLike":{"s3:x-amz-copy-source":"amzn-s3-demo-bucket/public/*"}}}`), nil, []ask{
			{other, "PutObject", "k", ctx("s3:x-amz-copy-source", "amzn-s3-demo-bucket/public/a"), true},
			{other, "PutObject", "k", ctx("s3:x-amz-copy-source", "amzn-s3-demo-bucket/private/a"), false},
			{other, "PutObject", "k", nil, false},
		}},
		"reading by an object's tag": {doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":` + object + `,
			"Condition":{"StringEquals":{"s3:ExistingObjectTag/environment":"production"}}}`), map[string]string{"environment": "production"}, []ask{
			{anonymous, "GetObject", "k", nil, true}, {anonymous, "PutObject", "k", nil, false},
		}},
		"an object without the tag": {doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":` + object + `,
			"Condition":{"StringEquals":{"s3:ExistingObjectTag/Environment":"production"}}}`), map[string]string{"environment": "production"}, []ask{
			{anonymous, "GetObject", "k", ctx("s3:ExistingObjectTag/Environment", "production"), false},
		}},
		"only some tag keys": {doc(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:PutObjectTagging","Resource":` + object + `,
			"Condition":{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["Owner","CreationDate"]},"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":["Owner","Creation*"]}}}`), nil, []ask{
			{other, "PutObjectTagging", "k", ctx("s3:RequestObjectTagKeys", "Owner"), true},
			{other, "PutObjectTagging", "k", ctx("s3:RequestObjectTagKeys", "Owner", "s3:RequestObjectTagKeys", "CreationDate"), true},
			{other, "PutObjectTagging", "k", ctx("s3:RequestObjectTagKeys", "Owner", "s3:RequestObjectTagKeys", "Cost"), false},
			{other, "PutObjectTagging", "k", nil, false},
		}},
		"a tag of the request": {doc(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:PutObject","Resource":` + object + `,
			"Condition":{"StringEquals":{"s3:RequestObjectTag/Project":["X","Y"]}}}`), nil, []ask{
			{other, "PutObject", "k", ctx("s3:requestobjecttag/Project", "Y"), true},
			{other, "PutObject", "k", ctx("s3:RequestObjectTag/project", "Y"), false},
			{other, "PutObject", "k", ctx("s3:RequestObjectTag/Project", "Z"), false},
		}},
		"full control for the bucket's owner": {doc(`{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"s3:PutObject","Resource":` + object + `,
			"Condition":{"StringEquals":{"s3:x-amz-grant-full-control":"id=111122223333"}}}`), nil, []ask{
			{other, "PutObject", "k", ctx("s3:x-amz-grant-full-control", "id=111122223333"), true}, {other, "PutObject", "k", nil, false},
		}},
		"log delivery": {doc(`{"Sid":"S3PolicyStmt","Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/logs/*",
			"Condition":{"Bool":{"aws:PrincipalIsAWSService":"true"}}}`), nil, []ask{
			{logging, "PutObject", "logs/1", nil, true}, {logging, "PutObject", "k", nil, false}, {other, "PutObject", "logs/1", nil, false},
		}},
		// "Enforce conditional writes on Amazon S3 buckets".
		"conditional writes only": {doc(`{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":` + object + `,
			"Condition":{"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}}`), nil, []ask{
			{owner, "PutObject", "k", ctx("s3:ObjectCreationOperation", "true"), false},
			{owner, "PutObject", "k", ctx("s3:ObjectCreationOperation", "true", "s3:if-none-match", "*"), true},
			{owner, "PutObject", "k", ctx("s3:ObjectCreationOperation", "false"), true},
		}},
		// IAM user guide, "Denies access to AWS based on the source IP".
		"from one network, services aside": {doc(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":` + all + `,
			"Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24"]},"Bool":{"aws:ViaAWSService":"false","aws:PrincipalIsAWSService":"false"}}}`), nil, []ask{
			{owner, "GetObject", "k", ctx("aws:SourceIp", "192.0.2.1"), true},
			{owner, "GetObject", "k", ctx("aws:SourceIp", "198.51.100.1"), false},
			{owner, "GetObject", "k", ctx("aws:SourceIp", "198.51.100.1", "aws:ViaAWSService", "true", "aws:PrincipalIsAWSService", "true"), false},
		}},
		"within one account": {doc(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":`+all+`,
			"Condition":{"StringNotEquals":{"aws:PrincipalAccount":"${aws:ResourceAccount}","s3:ResourceAccount":"${aws:PrincipalAccount}"}}}`,
			`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":`+object+`}`), nil, []ask{
			{owner, "GetObject", "k", nil, true}, {akua, "GetObject", "k", nil, true}, {other, "GetObject", "k", nil, false}, {anonymous, "GetObject", "k", nil, false},
		}},
		"services are not everyone with an account": {doc(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:PutObject","Resource":` + object + `}`), nil, []ask{
			{logging, "PutObject", "k", nil, false}, {anonymous, "PutObject", "k", nil, true},
		}},
		"everyone but": {doc(`{"Effect":"Deny","NotPrincipal":{"AWS":["111122223333","arn:aws:iam::444455556666:user/dev/Ada"]},"Action":"s3:*","Resource":`+all+`}`,
			`{"Effect":"Allow","Principal":"*","Action":"s3:Get*","Resource":`+all+`}`), nil, []ask{
			{owner, "GetObject", "k", nil, true}, {akua, "GetObject", "k", nil, true},
			{Principal{ID: other.ID, User: "dev/Ada"}, "GetObject", "k", nil, true},
			{Principal{ID: other.ID, User: "Ada"}, "GetObject", "k", nil, false}, {other, "GetObject", "k", nil, false},
		}},
		"all but deleting": {doc(`{"Effect":"Allow","Principal":{"AWS":"444455556666"},"NotAction":["s3:Delete*","s3:PutBucketPolicy"],"Resource":` + all + `}`), nil, []ask{
			{other, "GetObject", "k", nil, true}, {other, "PutBucketCORS", "", nil, true}, {other, "DeleteObject", "k", nil, false},
			{other, "DeleteBucket", "", nil, false}, {other, "PutBucketPolicy", "", nil, false},
		}},
		"a resource of the other kind": {doc(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["s3:PutObject","s3:ListBucket"],"Resource":"arn:aws:s3:::amzn-s3-demo-bucket"}`), nil, []ask{
			{other, "PutObject", "k", nil, false}, {other, "ListBucket", "", nil, true},
		}},
		"between two dates": {doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":` + object + `,
			"Condition":{"DateGreaterThan":{"aws:CurrentTime":"2026-03-01T00:00:00Z"},"DateLessThan":{"aws:EpochTime":"1775000000"}}}`), nil, []ask{
			{anonymous, "GetObject", "k", nil, true},
		}},
		"too late": {doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":` + object + `,"Condition":{"DateLessThanEquals":{"aws:CurrentTime":"2026-02-28"}}}`), nil, []ask{
			{anonymous, "GetObject", "k", nil, false},
		}},
		"accounts only": {doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":` + object + `,"Condition":{"StringNotEquals":{"aws:PrincipalType":"Anonymous"}}}`), nil, []ask{
			{other, "GetObject", "k", nil, true}, {anonymous, "GetObject", "k", nil, false},
		}},
		"a wildcard within a key": {doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/taxdocs/*/sampledepartment/?.pdf"}`), nil, []ask{
			{anonymous, "GetObject", "taxdocs/2025/q1/sampledepartment/a.pdf", nil, true},
			{anonymous, "GetObject", "taxdocs/2025/sampledepartment/ab.pdf", nil, false},
			{anonymous, "GetObject", "taxdocs/2025/sampledepartment/ü.pdf", nil, true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			facts := policied(t, c.policy)
			for _, a := range c.asks {
				a.run(t, facts, &ObjectFacts{Tags: c.tags}, at)
			}
		})
	}
}

func TestMayListAsksForTheKeyAsPrefix(t *testing.T) {
	facts := policied(t, doc(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::amzn-s3-demo-bucket","Condition":{"StringLike":{"s3:prefix":"public/*"}}}`))
	for key, want := range map[string]bool{"public/object": true, "private/object": false} {
		given := ctx("aws:SourceIp", "192.0.2.1")
		d, err := MayList(Request{Principal: other, Action: "s3:GetObject", Bucket: facts, Key: key, Context: given})
		if err != nil || d.Allowed != want || len(given) != 1 {
			t.Errorf("%s: %v %v, %v", key, d, err, given)
		}
	}
}

func TestReasonsNameTheRule(t *testing.T) {
	facts := policied(t, doc(`{"Sid":"Keep","Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"*"}`, `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}`))
	for action, want := range map[string]string{
		"s3:DeleteObject": `denied by statement "Keep" of the bucket policy`,
		"s3:GetObject":    "allowed by statement 2 of the bucket policy",
		"s3:PutObject":    "no rule allows s3:PutObject on amzn-s3-demo-bucket/k, and the bucket's ACL does not grant WRITE",
	} {
		d, err := Evaluate(Request{Principal: other, Action: action, Bucket: facts, Key: "k"})
		if err != nil || d.Reason != want || d.Explicit != (action == "s3:DeleteObject") {
			t.Errorf("%s: %+v, %v", action, d, err)
		}
	}
}

func TestAnonymousCallersHaveNoOtherIdentity(t *testing.T) {
	facts := policied(t, doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*","Condition":{"Null":{"aws:userid":"false"}}}`))
	p := Principal{Anonymous: true, ID: owner.ID, User: "Akua", Master: true, Service: LoggingService}
	ask{p, "GetObject", "k", nil, false}.run(t, facts, &ObjectFacts{}, time.Time{})
	ask{other, "GetObject", "k", nil, true}.run(t, facts, &ObjectFacts{}, time.Time{})
}

func BenchmarkEvaluate(b *testing.B) {
	var statements []string
	for i := range 20 {
		statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Principal":"*","Action":"s3:Get*","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/%d/*/${aws:userid}/*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`, i))
	}
	request := Request{Principal: other, Action: "s3:GetObject", Key: "19/a/444455556666/object", Bucket: policied(b, doc(statements...)),
		Context: ctx("aws:SourceIp", "192.0.2.1")}
	b.ReportAllocs()
	for b.Loop() {
		if d, err := Evaluate(request); err != nil || !d.Allowed {
			b.Fatal(d, err)
		}
	}
}

func ExampleEvaluator() {
	policy, err := Parse([]byte(`{"Version": "2012-10-17", "Statement": {"Sid": "Website", "Effect": "Allow",
		"Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::site/*"}}`))
	if err != nil {
		panic(err)
	}
	bucket := BucketFacts{Name: "site", Owner: "acme", Policy: policy}
	request := NewEvaluator(Principal{Anonymous: true}, bucket, nil, time.Now())
	decision, err := request.Decide(Access{Action: "s3:GetObject", Key: "index.html"})
	fmt.Println(decision.Allowed, decision.Reason, err)
	// Output: true allowed by statement "Website" of the bucket policy <nil>
}
