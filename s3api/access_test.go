package s3api_test

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestACLsOfBuckets(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.put(t, b, "k")
	s.raw(t, "GET", "/"+b, "").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "PUT", "/"+b+"?acl", "", "X-Amz-Acl", "public-read").want(t, 200, "")
	s.raw(t, "GET", "/"+b, "").want(t, 200, "")
	s.raw(t, "GET", "/"+b+"/k", "").want(t, 403, "AccessDenied")
	s.raw(t, "GET", "/"+b+"/missing", "").want(t, 404, "NoSuchKey")
	s.raw(t, "PUT", "/"+b+"/new", "x").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "PUT", "/"+b+"?acl", "", "X-Amz-Grant-Read-Acp", `id="bob"`, "X-Amz-Grant-Write", `emailAddress="bob@example.com", uri="http://acs.amazonaws.com/groups/global/AuthenticatedUsers"`).want(t, 200, "")
	a := s.signed(t, "bob", "GET", "/"+b+"?acl", "").want(t, 200, "")
	for _, want := range []string{
		`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>bob</ID><DisplayName>bob</DisplayName></Grantee><Permission>WRITE</Permission>`,
		`xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AuthenticatedUsers</URI></Grantee><Permission>WRITE</Permission>`,
		`</Grantee><Permission>READ_ACP</Permission>`,
	} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("%s, want %s in it", a.body, want)
		}
	}
	s.signed(t, "bob", "PUT", "/"+b+"/bobs", "x").want(t, 200, "")
	s.signed(t, "bob", "GET", "/"+b, "").want(t, 403, "AccessDenied")
	s.signed(t, "bob", "GET", "/"+b+"/missing", "").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "GET", "/"+b+"/bobs", "").want(t, 403, "AccessDenied")
	s.signed(t, "root", "GET", "/"+b+"/bobs", "").want(t, 200, "")
	// The answer of GET can be PUT again.
	back := s.signed(t, "alice", "GET", "/"+b+"?acl", "").want(t, 200, "")
	s.signed(t, "alice", "PUT", "/"+b+"?acl", string(back.body)).want(t, 200, "")
	if again := s.signed(t, "alice", "GET", "/"+b+"?acl", ""); string(again.body) != string(back.body) {
		t.Errorf("%s became %s", back.body, again.body)
	}
}

func TestACLDocumentsAreChecked(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	doc := func(owner, kind, who, permission string) string {
		return fmt.Sprintf(`<AccessControlPolicy><Owner><ID>%s</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="%s">%s</Grantee><Permission>%s</Permission></Grant></AccessControlList></AccessControlPolicy>`, owner, kind, who, permission)
	}
	for _, c := range []struct {
		doc    string
		status int
		code   string
	}{
		{doc("alice", "CanonicalUser", "<ID>bob</ID>", "READ"), 200, ""},
		{doc("alice", "AmazonCustomerByEmail", "<EmailAddress>bob@example.com</EmailAddress>", "READ"), 200, ""},
		{doc("alice", "AmazonCustomerByEmail", "<EmailAddress>x@example.com</EmailAddress>", "READ"), 400, "UnresolvableGrantByEmailAddress"},
		{doc("alice", "CanonicalUser", "<ID>_foo</ID>", "READ"), 400, "InvalidArgument"},
		{doc("alice", "Group", "<URI>http://example.com</URI>", "READ"), 400, "InvalidArgument"},
		{doc("alice", "Martian", "<ID>bob</ID>", "READ"), 400, "MalformedACLError"},
		{doc("alice", "CanonicalUser", "<ID>bob</ID>", "FLY"), 400, "MalformedACLError"},
		{doc("bob", "CanonicalUser", "<ID>bob</ID>", "READ"), 403, "AccessDenied"},
		{"<AccessControlPolicy/>", 400, "MalformedACLError"},
		{"", 400, "MissingSecurityHeader"},
	} {
		s.signed(t, "alice", "PUT", "/"+b+"?acl", c.doc).want(t, c.status, c.code)
	}
	s.signed(t, "alice", "PUT", "/"+b+"?acl", doc("alice", "CanonicalUser", "<ID>bob</ID>", "READ"), "X-Amz-Acl", "private").want(t, 400, "UnexpectedContent")
}

func TestACLsOfObjects(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.put(t, b, "k")
	s.signed(t, "alice", "PUT", "/"+b+"/k?acl", "", "X-Amz-Acl", "public-read").want(t, 200, "")
	s.raw(t, "GET", "/"+b+"/k", "").want(t, 200, "")
	s.raw(t, "GET", "/"+b+"/k?acl", "").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "GET", "/"+b+"/missing?acl", "").want(t, 404, "NoSuchKey")
	// Under BucketOwnerEnforced, ACLs have no effect and cannot be set.
	s.signed(t, "alice", "PUT", "/"+b+"?ownershipControls", "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>").want(t, 200, "")
	s.raw(t, "GET", "/"+b+"/k", "").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "PUT", "/"+b+"/k?acl", "", "X-Amz-Acl", "private").want(t, 400, "AccessControlListNotSupported")
	s.signed(t, "alice", "PUT", "/"+b+"?acl", "", "X-Amz-Acl", "private").want(t, 400, "AccessControlListNotSupported")
	s.signed(t, "alice", "PUT", "/"+b+"/l", "x", "X-Amz-Acl", "private").want(t, 400, "AccessControlListNotSupported")
	s.signed(t, "alice", "PUT", "/"+b+"/l", "x", "X-Amz-Acl", "bucket-owner-full-control").want(t, 200, "")
}

func TestPublicAccessBlock(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.put(t, b, "k")
	s.signed(t, "alice", "PUT", "/"+b+"/k?acl", "", "X-Amz-Acl", "public-read").want(t, 200, "")
	s.signed(t, "alice", "PUT", "/"+b+"?publicAccessBlock", "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy></PublicAccessBlockConfiguration>").want(t, 200, "")
	s.raw(t, "GET", "/"+b+"/k", "").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "PUT", "/"+b+"?acl", "", "X-Amz-Acl", "public-read").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "PUT", "/"+b+"/l", "x", "X-Amz-Acl", "public-read").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "PUT", "/"+b+"?policy", allowAll(b, "s3:GetObject", "")).want(t, 403, "AccessDenied")
}

func allowAll(bucket, action, condition string) string {
	return statement("Allow", bucket, action, condition)
}

func statement(effect, bucket, action, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":%q,"Principal":"*","Action":%q,"Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]%s}]}`,
		effect, action, bucket, bucket, condition)
}

func TestBucketPolicies(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.put(t, b, "k")
	s.signed(t, "alice", "GET", "/"+b+"?policy", "").want(t, 404, "NoSuchBucketPolicy")
	s.signed(t, "alice", "PUT", "/"+b+"?policy", "{").want(t, 400, "MalformedPolicy")
	s.signed(t, "alice", "PUT", "/"+b+"?policy", allowAll("other-bucket", "s3:GetObject", "")).want(t, 400, "MalformedPolicy")
	doc := allowAll(b, "s3:GetObject", "")
	s.signed(t, "alice", "PUT", "/"+b+"?policy", doc).want(t, 204, "")
	if a := s.signed(t, "alice", "GET", "/"+b+"?policy", "").want(t, 200, ""); string(a.body) != doc {
		t.Errorf("%s", a.body)
	}
	if a := s.signed(t, "alice", "GET", "/"+b+"?policyStatus", "").want(t, 200, ""); !strings.Contains(string(a.body), "<IsPublic>true</IsPublic>") {
		t.Errorf("%s", a.body)
	}
	s.raw(t, "GET", "/"+b+"/k", "").want(t, 200, "")
	s.raw(t, "GET", "/"+b+"/missing", "").want(t, 403, "AccessDenied")
	s.raw(t, "DELETE", "/"+b+"/k", "").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "PUT", "/"+b+"?policy", statement("Deny", b, "s3:*", "")).want(t, 204, "")
	s.signed(t, "alice", "GET", "/"+b+"/k", "").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "DELETE", "/"+b+"?policy", "").want(t, 204, "")
	s.signed(t, "alice", "GET", "/"+b+"/k", "").want(t, 200, "")
}

func TestPolicyConditions(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.put(t, b, "k")
	tagging := "<Tagging><TagSet><Tag><Key>color</Key><Value>red</Value></Tag></TagSet></Tagging>"
	for _, c := range []struct {
		action, condition string
		try               func(tenant string) *answer
		status            int
	}{
		{"s3:ListBucket", `{"StringEquals":{"s3:prefix":"a/"}}`, func(who string) *answer { return s.signed(t, who, "GET", "/"+b+"?prefix=a%2F", "") }, 200},
		{"s3:ListBucket", `{"StringEquals":{"s3:prefix":"a/"}}`, func(who string) *answer { return s.signed(t, who, "GET", "/"+b+"?prefix=b%2F", "") }, 403},
		{"s3:GetObject", `{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`, func(who string) *answer { return s.signed(t, who, "GET", "/"+b+"/k", "") }, 200},
		{"s3:GetObject", `{"Bool":{"aws:SecureTransport":"true"}}`, func(who string) *answer { return s.signed(t, who, "GET", "/"+b+"/k", "") }, 403},
		{"s3:GetObject", `{"StringLike":{"aws:Referer":"http://here/*"}}`, func(who string) *answer { return s.signed(t, who, "GET", "/"+b+"/k", "", "Referer", "http://here/x") }, 200},
		{"s3:GetObject", `{"StringEquals":{"s3:authType":"REST-QUERY-STRING"}}`, func(who string) *answer { return s.signed(t, who, "GET", "/"+b+"/k", "") }, 403},
		{"s3:PutObjectTagging", `{"StringEquals":{"s3:RequestObjectTag/color":"red"}}`, func(who string) *answer { return s.signed(t, who, "PUT", "/"+b+"/k?tagging", tagging) }, 200},
		{"s3:PutObjectTagging", `{"StringEquals":{"s3:RequestObjectTag/color":"blue"}}`, func(who string) *answer { return s.signed(t, who, "PUT", "/"+b+"/k?tagging", tagging) }, 403},
		{"s3:GetObjectTagging", `{"StringEquals":{"s3:ExistingObjectTag/color":"red"}}`, func(who string) *answer { return s.signed(t, who, "GET", "/"+b+"/k?tagging", "") }, 200},
		{"s3:PutObject", `{"StringEquals":{"s3:x-amz-server-side-encryption":"AES256"}}`, func(who string) *answer { return s.signed(t, who, "PUT", "/"+b+"/l", "x") }, 403},
	} {
		s.signed(t, "alice", "PUT", "/"+b+"?policy", allowAll(b, c.action, c.condition)).want(t, 204, "")
		if a := c.try("bob"); a.StatusCode != c.status {
			t.Errorf("%s if %s: %d, want %d: %s", c.action, c.condition, a.StatusCode, c.status, a.body)
		}
	}
}

func TestCORS(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.put(t, b, "k")
	s.raw(t, "OPTIONS", "/"+b+"/k", "", "Origin", "http://a", "Access-Control-Request-Method", "GET").want(t, 403, "AccessForbidden")
	config := `<CORSConfiguration><CORSRule><AllowedOrigin>http://*.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds></CORSRule><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule></CORSConfiguration>`
	s.signed(t, "alice", "PUT", "/"+b+"?cors", config).want(t, 200, "")
	for _, c := range []struct {
		method, origin, ask, headers string
		status                       int
		code, allowed, methods       string
	}{
		{"OPTIONS", "", "", "", 400, "BadRequest", "", ""},
		{"OPTIONS", "http://a.example.com", "", "", 400, "BadRequest", "", ""},
		{"OPTIONS", "http://a.example.com", "PATCH", "", 400, "BadRequest", "", ""},
		{"OPTIONS", "http://a.example.com", "GET", "X-Amz-Date, x-amz-acl", 200, "", "http://a.example.com", "GET, PUT"},
		{"OPTIONS", "http://a.example.com", "GET", "Content-Type", 403, "AccessForbidden", "", ""},
		{"OPTIONS", "http://a.example.org", "GET", "", 403, "AccessForbidden", "", ""},
		{"OPTIONS", "http://a.example.org", "HEAD", "", 200, "", "*", "HEAD"},
		{"GET", "http://a.example.com", "", "", 403, "AccessDenied", "http://a.example.com", "GET, PUT"},
		{"GET", "http://a.example.org", "", "", 403, "AccessDenied", "", ""},
		{"PUT", "http://a.example.com", "DELETE", "", 403, "AccessDenied", "", ""},
	} {
		var headers []string
		for _, h := range [][2]string{{"Origin", c.origin}, {"Access-Control-Request-Method", c.ask}, {"Access-Control-Request-Headers", c.headers}} {
			if h[1] != "" {
				headers = append(headers, h[0], h[1])
			}
		}
		a := s.raw(t, c.method, "/"+b+"/k", "", headers...).want(t, c.status, c.code)
		if a.Header.Get("Access-Control-Allow-Origin") != c.allowed || a.Header.Get("Access-Control-Allow-Methods") != c.methods {
			t.Errorf("%+v: %v", c, a.Header)
		}
	}
}

func TestTagsOfObjects(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.put(t, b, "k")
	client := s.client("alice")
	tags := func(n, key, value int) *types.Tagging {
		var set []types.Tag
		for i := range n {
			set = append(set, types.Tag{Key: aws.String(strings.Repeat("k", key-1) + string(rune('a'+i))), Value: aws.String(strings.Repeat("v", value))})
		}
		return &types.Tagging{TagSet: set}
	}
	for _, c := range []struct {
		tags *types.Tagging
		want string
	}{{tags(10, 128, 256), ""}, {tags(11, 1, 1), "InvalidTag"}, {tags(1, 129, 1), "InvalidTag"}, {tags(1, 1, 257), "InvalidTag"}} {
		_, err := client.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: &b, Key: aws.String("k"), Tagging: c.tags})
		if code(t, err) != c.want {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	out, err := client.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &b, Key: aws.String("k")})
	if err != nil || len(out.TagSet) != 10 {
		t.Errorf("%v, %v", out, err)
	}
	s.signed(t, "alice", "DELETE", "/"+b+"/k?tagging", "").want(t, 204, "")
	if a := s.signed(t, "alice", "GET", "/"+b+"/k?tagging", "").want(t, 200, ""); !strings.Contains(string(a.body), "<TagSet></TagSet>") {
		t.Errorf("%s", a.body)
	}
}

func TestRetentionAndLegalHold(t *testing.T) {
	s := newServer(t)
	plain := s.bucket(t)
	s.put(t, plain, "k")
	s.signed(t, "alice", "GET", "/"+plain+"/k?retention", "").want(t, 400, "InvalidRequest")
	s.signed(t, "alice", "GET", "/"+plain+"?object-lock", "").want(t, 404, "ObjectLockConfigurationNotFoundError")
	b := s.bucket(t, func(in *s3.CreateBucketInput) { in.ObjectLockEnabledForBucket = aws.Bool(true) })
	s.put(t, b, "k")
	retention := func(mode string, in time.Duration) string {
		return "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + time.Now().Add(in).UTC().Format(time.RFC3339) + "</RetainUntilDate></Retention>"
	}
	uri := "/" + b + "/k?retention"
	s.signed(t, "alice", "GET", uri, "").want(t, 404, "NoSuchObjectLockConfiguration")
	s.signed(t, "alice", "PUT", uri, retention("governance", time.Hour)).want(t, 400, "MalformedXML")
	s.signed(t, "alice", "PUT", uri, retention("GOVERNANCE", -time.Hour)).want(t, 400, "InvalidArgument")
	s.signed(t, "alice", "PUT", uri, retention("GOVERNANCE", 2*time.Hour)).want(t, 200, "")
	s.signed(t, "alice", "PUT", uri, retention("GOVERNANCE", time.Hour)).want(t, 403, "AccessDenied")
	s.signed(t, "alice", "PUT", uri, retention("GOVERNANCE", time.Hour), "X-Amz-Bypass-Governance-Retention", "true").want(t, 200, "")
	if a := s.signed(t, "alice", "GET", uri, "").want(t, 200, ""); !strings.Contains(string(a.body), "<Mode>GOVERNANCE</Mode>") {
		t.Errorf("%s", a.body)
	}
	hold := "/" + b + "/k?legal-hold"
	for _, status := range []string{"ON", "OFF"} {
		s.signed(t, "alice", "PUT", hold, "<LegalHold><Status>"+status+"</Status></LegalHold>").want(t, 200, "")
		if a := s.signed(t, "alice", "GET", hold, "").want(t, 200, ""); !strings.Contains(string(a.body), "<Status>"+status+"</Status>") {
			t.Errorf("%s", a.body)
		}
	}
	s.signed(t, "alice", "PUT", hold, "<LegalHold><Status>abc</Status></LegalHold>").want(t, 400, "MalformedXML")
}

func TestDeniedBypassHoldsForEachKeyOfAMultiDelete(t *testing.T) {
	s := newServer(t)
	b := "bypass-of-many"
	s.signed(t, "alice", "PUT", "/"+b, "", "X-Amz-Bucket-Object-Lock-Enabled", "true").want(t, 200, "")
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	doc := "<Delete>"
	for _, key := range []string{"open/k", "closed/k"} {
		a := s.signed(t, "alice", "PUT", "/"+b+"/"+key, "x", "X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date", until, "Content-Md5", md5Of("x")).want(t, 200, "")
		doc += "<Object><Key>" + key + "</Key><VersionId>" + a.Header.Get("X-Amz-Version-Id") + "</VersionId></Object>"
	}
	doc += "</Delete>"
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:BypassGovernanceRetention","Resource":"arn:aws:s3:::` + b + `/closed/*"}]}`
	s.signed(t, "alice", "PUT", "/"+b+"?policy", policy).want(t, 204, "")
	sum := md5.Sum([]byte(doc))
	a := s.signed(t, "alice", "POST", "/"+b+"?delete", doc, "Content-Md5", base64.StdEncoding.EncodeToString(sum[:]),
		"X-Amz-Bypass-Governance-Retention", "true").want(t, 200, "")
	if body := string(a.body); !strings.Contains(body, "<Deleted><Key>open/k</Key>") || !strings.Contains(body, "<Error><Key>closed/k</Key>") {
		t.Errorf("%s", body)
	}
}

func TestHeadersOfAWriteNeedWhatTheySet(t *testing.T) {
	s := newServer(t)
	b := "headers-of-writes"
	s.signed(t, "alice", "PUT", "/"+b, "", "X-Amz-Bucket-Object-Lock-Enabled", "true", "X-Amz-Grant-Write", `id="bob"`).want(t, 200, "")
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	lock := []string{"X-Amz-Object-Lock-Mode", "COMPLIANCE", "X-Amz-Object-Lock-Retain-Until-Date", until}
	s.signed(t, "bob", "PUT", "/"+b+"/k", "x", "X-Amz-Acl", "bucket-owner-full-control").want(t, 200, "")
	s.signed(t, "bob", "PUT", "/"+b+"/k", "x", lock...).want(t, 403, "AccessDenied")
	s.signed(t, "bob", "POST", "/"+b+"/k?uploads", "", lock...).want(t, 403, "AccessDenied")
	s.signed(t, "bob", "PUT", "/"+b+"/k", "x", "X-Amz-Object-Lock-Legal-Hold", "ON").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "PUT", "/"+b+"/k", "x", append(lock, "Content-Md5", md5Of("x"))...).want(t, 200, "")
	for action, header := range map[string][]string{
		"s3:PutObjectAcl":     {"X-Amz-Acl", "public-read"},
		"s3:PutObjectTagging": {"X-Amz-Tagging", "a=b"},
	} {
		s.signed(t, "alice", "PUT", "/"+b+"?policy", statement("Deny", b, action, "")).want(t, 204, "")
		s.signed(t, "alice", "PUT", "/"+b+"/k", "x", header...).want(t, 403, "AccessDenied")
		s.signed(t, "alice", "PUT", "/"+b+"/k", "x").want(t, 200, "")
	}
}
