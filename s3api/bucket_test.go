package s3api_test

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestBucketLife(t *testing.T) {
	s := newServer(t)
	alice, bob := s.client("alice"), s.client("bob")
	b := s.bucket(t)
	if _, err := bob.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b}); code(t, err) != "BucketAlreadyExists" {
		t.Errorf("another tenant's: %v", err)
	}
	if _, err := alice.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b}); err != nil {
		t.Errorf("again in us-east-1: %v", err)
	}
	if _, err := alice.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b, ACL: types.BucketCannedACLPublicRead}); code(t, err) != "BucketAlreadyExists" {
		t.Errorf("again with another ACL: %v", err)
	}
	s.put(t, b, "k")
	if _, err := alice.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &b}); code(t, err) != "BucketNotEmpty" {
		t.Errorf("not empty: %v", err)
	}
	if _, err := alice.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: aws.String("k")}); err != nil {
		t.Error(err)
	}
	if _, err := bob.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &b}); code(t, err) != "AccessDenied" {
		t.Errorf("another tenant's: %v", err)
	}
	if _, err := alice.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &b}); err != nil {
		t.Error(err)
	}
	if _, err := alice.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &b}); code(t, err) != "NotFound" {
		t.Errorf("gone: %v", err)
	}
}

func TestCreateBucketRefusals(t *testing.T) {
	s := newServer(t)
	config := func(inner string) string {
		return "<CreateBucketConfiguration>" + inner + "</CreateBucketConfiguration>"
	}
	for _, c := range []struct {
		uri, body string
		headers   []string
		status    int
		code      string
	}{
		{"/foo_bar", "", nil, 400, "InvalidBucketName"},
		{"/aa", "", nil, 400, "InvalidBucketName"},
		{"/192.168.5.123", "", nil, 400, "InvalidBucketName"},
		{"/good-name", "<x", nil, 400, "MalformedXML"},
		{"/good-name", config("<Other/>"), nil, 400, "MalformedXML"},
		{"/good-name", config("<Location><Name>a</Name><Type>b</Type></Location>"), nil, 501, "NotImplemented"},
		{"/good-name", "", []string{"X-Amz-Acl", "public-ready"}, 400, "InvalidArgument"},
		{"/good-name", "", []string{"X-Amz-Acl", "private", "X-Amz-Grant-Read", "id=bob"}, 400, "InvalidRequest"},
		{"/good-name", "", []string{"X-Amz-Grant-Read", "id=absent"}, 400, "InvalidArgument"},
		{"/good-name", "", []string{"X-Amz-Object-Ownership", "x"}, 400, "InvalidArgument"},
		{"/good-name", "", []string{"X-Amz-Object-Ownership", "BucketOwnerEnforced", "X-Amz-Acl", "public-read"}, 400, "InvalidBucketAclWithObjectOwnership"},
		{"/good-name", "", []string{"X-Amz-Bucket-Object-Lock-Enabled", "perhaps"}, 400, "InvalidArgument"},
		{"/good-name", strings.Repeat(" ", 70<<10), nil, 400, "MaxMessageLengthExceeded"},
		{"/good-name", "<x/>", []string{"Content-MD5", "rL0Y20xC+Fzt72VPzMSk2A=="}, 400, "BadDigest"},
		{"/good-name", "<x/>", []string{"Content-MD5", "x"}, 400, "InvalidDigest"},
	} {
		s.signed(t, "alice", "PUT", c.uri, c.body, c.headers...).want(t, c.status, c.code)
	}
	s.raw(t, "PUT", "/good-name", "").want(t, 403, "AccessDenied")
	s.signed(t, "alice", "HEAD", "/good-name", "").want(t, 404, "")
}

func TestListBucketsShowsOnesOwnInPages(t *testing.T) {
	s := newServer(t)
	var names []string
	for range 3 {
		names = append(names, s.bucket(t))
	}
	if _, err := s.client("bob").CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("bobs")}); err != nil {
		t.Fatal(err)
	}
	var found []string
	pages := s3.NewListBucketsPaginator(s.client("alice"), &s3.ListBucketsInput{MaxBuckets: aws.Int32(2), Prefix: aws.String("b-")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range page.Buckets {
			found = append(found, *b.Name)
		}
	}
	if !slices.Equal(found, names) {
		t.Errorf("%v, want %v", found, names)
	}
	for _, q := range []string{"max-buckets=0", "max-buckets=10001", "max-buckets=x", "continuation-token=x"} {
		s.signed(t, "alice", "GET", "/?"+q, "").want(t, 400, "InvalidArgument")
	}
}

func TestListingsGiveEveryKeyOnceInPages(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	keys := []string{"a", "a/b", "a/c", "b+ c", "d//e", "d/f\x01", "é"}
	s.put(t, b, keys...)
	client := s.client("alice")
	var found []string
	in := &s3.ListObjectsV2Input{Bucket: &b, MaxKeys: aws.Int32(1), EncodingType: types.EncodingTypeUrl}
	for pages := s3.NewListObjectsV2Paginator(client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			key, err := url.PathUnescape(*o.Key)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, key)
		}
	}
	if !slices.Equal(found, keys) {
		t.Errorf("%q, want %q", found, keys)
	}
	var groups []string
	marker := ""
	for {
		page, err := client.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: &b, MaxKeys: aws.Int32(1), Delimiter: aws.String("/"), Marker: &marker})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			groups = append(groups, *o.Key)
		}
		for _, p := range page.CommonPrefixes {
			groups = append(groups, *p.Prefix)
		}
		if !*page.IsTruncated {
			break
		}
		marker = *page.NextMarker
	}
	if want := []string{"a", "a/", "b+ c", "d/", "é"}; !slices.Equal(groups, want) {
		t.Errorf("%q, want %q", groups, want)
	}
}

func TestListingParameters(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.put(t, b, "k")
	for query, want := range map[string]string{
		"max-keys=x": "InvalidArgument", "max-keys=-1": "InvalidArgument", "max-keys=2147483648": "InvalidArgument",
		"encoding-type=base64": "InvalidArgument", "list-type=2&continuation-token=x": "InvalidArgument",
		"allow-unordered=true&delimiter=/": "InvalidArgument", "versions&version-id-marker=x": "InvalidArgument",
		"prefix=%FF": "InvalidURI", "prefix=%zz": "InvalidURI",
	} {
		s.signedOrRaw(t, b, query).want(t, 400, want)
	}
	for query, want := range map[string]string{
		"max-keys=0":                           "<MaxKeys>0</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>",
		"max-keys=5000":                        "<MaxKeys>1000</MaxKeys>",
		"list-type=2&continuation-token=":      "<ContinuationToken></ContinuationToken>",
		"list-type=2&fetch-owner=true":         "<Owner><ID>alice</ID><DisplayName>alice</DisplayName></Owner>",
		"list-type=2&start-after=k":            "<StartAfter>k</StartAfter><KeyCount>0</KeyCount>",
		"delimiter=%2F&encoding-type=url":      "<Delimiter>/</Delimiter><EncodingType>url</EncodingType>",
		"marker=%0A":                           "<Marker>\n</Marker>",
		"versions":                             "<VersionId>null</VersionId><IsLatest>true</IsLatest>",
		"allow-unordered=true&list-type=2":     "<Key>k</Key>",
		"list-type=2&prefix=%01%20x&max-keys=": "<Prefix>&#x1; x</Prefix>",
	} {
		a := s.signedOrRaw(t, b, query).want(t, 200, "")
		if !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s, want %s in it", query, a.body, want)
		}
	}
}

// signedOrRaw sends a listing signed by version 2, which does not sign its query.
func (s *server) signedOrRaw(t *testing.T, bucket, query string) *answer {
	t.Helper()
	r := s.request(t, "GET", "/"+bucket+"?"+query, "")
	resource := "/" + bucket
	if strings.HasPrefix(query, "versions") {
		resource += "?versions"
	}
	signV2(r, s.keys["AK-alice"], resource)
	return s.do(t, r)
}

func TestVersionsAndDeleteMarkersAreListed(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	client := s.client("alice")
	_, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, b, "k", "k", "l")
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: aws.String("k")}); err != nil {
		t.Fatal(err)
	}
	var got []string
	in := &s3.ListObjectVersionsInput{Bucket: &b, MaxKeys: aws.Int32(1)}
	for pages := s3.NewListObjectVersionsPaginator(client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			got = append(got, fmt.Sprint(*v.Key, " ", *v.IsLatest))
		}
		for _, v := range page.DeleteMarkers {
			got = append(got, fmt.Sprint("-", *v.Key, " ", *v.IsLatest))
		}
	}
	if want := []string{"-k true", "k false", "k false", "l true"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A setting is returned after it is set, and absent after it is deleted.
func TestBucketSettings(t *testing.T) {
	s := newServer(t)
	locked := s.bucket(t, func(in *s3.CreateBucketInput) { in.ObjectLockEnabledForBucket = aws.Bool(true) })
	const lock = `<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>`
	for _, c := range []struct {
		sub, root, doc string
		absent         string // code before it is set, and after DELETE
		put, deleted   int    // statuses; deleted 0 where there is no DELETE
		code           string // of the PUT
	}{
		{"tagging", "Tagging", "<TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet>", "NoSuchTagSet", 200, 204, ""},
		{"tagging", "Tagging", "<TagSet><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>a</Key><Value>b</Value></Tag></TagSet>", "", 400, 0, "InvalidTag"},
		{"tagging", "Tagging", "<TagSet><Tag><Key>aws:a</Key><Value>b</Value></Tag></TagSet>", "", 400, 0, "InvalidTag"},
		{"tagging", "Tagging", "<TagSet>" + strings.Repeat("<Tag><Key>a</Key><Value>b</Value></Tag>", 51) + "</TagSet>", "", 400, 0, "InvalidTag"},
		{"encryption", "ServerSideEncryptionConfiguration", "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule>", "ServerSideEncryptionConfigurationNotFoundError", 200, 204, ""},
		{"encryption", "ServerSideEncryptionConfiguration", "", "", 400, 0, "MalformedXML"},
		{"publicAccessBlock", "PublicAccessBlockConfiguration", "<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets>", "NoSuchPublicAccessBlockConfiguration", 200, 204, ""},
		{"publicAccessBlock", "PublicAccessBlockConfiguration", "<BlockPublicAcls>perhaps</BlockPublicAcls>", "", 400, 0, "MalformedXML"},
		{"ownershipControls", "OwnershipControls", "<Rule><ObjectOwnership>BucketOwnerPreferred</ObjectOwnership></Rule>", "OwnershipControlsNotFoundError", 200, 204, ""},
		{"ownershipControls", "OwnershipControls", "<Rule><ObjectOwnership>Unknown</ObjectOwnership></Rule>", "", 400, 0, "MalformedXML"},
		{"cors", "CORSConfiguration", "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>", "NoSuchCORSConfiguration", 200, 204, ""},
		{"cors", "CORSConfiguration", "<CORSRule><AllowedOrigin>*.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>", "", 400, 0, "InvalidRequest"},
		{"cors", "CORSConfiguration", "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod></CORSRule>", "", 400, 0, "InvalidRequest"},
		{"versioning", "VersioningConfiguration", "<Status>Enabled</Status>", "", 200, 0, ""},
		{"versioning", "VersioningConfiguration", "<Status>Suspended</Status>", "", 409, 0, "InvalidBucketState"},
		{"versioning", "VersioningConfiguration", "<Status>Off</Status>", "", 400, 0, "MalformedXML"},
		{"versioning", "VersioningConfiguration", "", "", 400, 0, "IllegalVersioningConfigurationException"},
		{"versioning", "VersioningConfiguration", "<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", "", 501, 0, "NotImplemented"},
		{"object-lock", "ObjectLockConfiguration", lock, "", 200, 0, ""},
		{"object-lock", "ObjectLockConfiguration", strings.Replace(lock, "<Days>1", "<Years>1</Years><Days>1", 1), "", 400, 0, "MalformedXML"},
		{"object-lock", "ObjectLockConfiguration", strings.Replace(lock, "<Days>1", "<Days>0", 1), "", 400, 0, "InvalidRetentionPeriod"},
		{"object-lock", "ObjectLockConfiguration", strings.Replace(lock, "GOVERNANCE", "governance", 1), "", 400, 0, "MalformedXML"},
		{"requestPayment", "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>", "", 200, 0, ""},
		{"requestPayment", "RequestPaymentConfiguration", "<Payer>Requester</Payer>", "", 501, 0, "NotImplemented"},
		{"notification", "NotificationConfiguration", "", "", 501, 0, "NotImplemented"},
		{"lifecycle", "LifecycleConfiguration", "", "", 501, 0, "NotImplemented"},
	} {
		uri := "/" + locked + "?" + c.sub
		if c.absent != "" {
			s.signed(t, "alice", "GET", uri, "").want(t, 404, c.absent)
		}
		s.signed(t, "alice", "PUT", uri, "<"+c.root+">"+c.doc+"</"+c.root+">").want(t, c.put, c.code)
		s.signed(t, "bob", "PUT", uri, "<"+c.root+">"+c.doc+"</"+c.root+">")
		if c.code != "" {
			continue
		}
		if a := s.signed(t, "alice", "GET", uri, "").want(t, 200, ""); !strings.Contains(string(a.body), c.doc) {
			t.Errorf("%s: %s, want %s in it", c.sub, a.body, c.doc)
		}
		s.signed(t, "bob", "GET", uri, "").want(t, 403, "AccessDenied")
		if c.deleted != 0 {
			s.signed(t, "bob", "DELETE", uri, "").want(t, 403, "AccessDenied")
			s.signed(t, "alice", "DELETE", uri, "").want(t, c.deleted, "")
			s.signed(t, "alice", "DELETE", uri, "").want(t, c.deleted, "")
			s.signed(t, "alice", "GET", uri, "").want(t, 404, c.absent)
		}
	}
}

func TestBucketsAreListedWithTheirARN(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	arn := "arn:aws:s3:::" + b
	if a := s.signed(t, "alice", "GET", "/", "").want(t, 200, ""); !strings.Contains(string(a.body), "<BucketRegion>us-east-1</BucketRegion><BucketArn>"+arn+"</BucketArn></Bucket>") {
		t.Errorf("%s", a.body)
	}
	for _, method := range []string{"PUT", "HEAD"} {
		if got := s.signed(t, "alice", method, "/"+b, "").want(t, 200, "").Header.Get("X-Amz-Bucket-Arn"); got != arn {
			t.Errorf("%s: %q", method, got)
		}
	}
}

func TestBucketNamespace(t *testing.T) {
	s := newServer(t)
	for value, want := range map[string]struct {
		status int
		code   string
	}{
		"": {200, ""}, "global": {200, ""}, "account-regional": {501, "NotImplemented"},
		"Global": {400, "InvalidArgument"}, "other": {400, "InvalidArgument"},
	} {
		a := s.signed(t, "alice", "PUT", "/namespace-test", "", "X-Amz-Bucket-Namespace", value).want(t, want.status, want.code)
		if want.status == 501 && !strings.Contains(string(a.body), "<Header>x-amz-bucket-namespace</Header>") {
			t.Errorf("%s", a.body)
		}
		if want.status == 200 {
			s.signed(t, "alice", "DELETE", "/namespace-test", "").want(t, 204, "")
		}
		s.signed(t, "alice", "HEAD", "/namespace-test", "").want(t, 404, "")
	}
}

func TestDefaultsAreShown(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	for sub, want := range map[string]string{
		"notification": "NotificationConfiguration", "logging": "BucketLoggingStatus", "accelerate": "AccelerateConfiguration",
		"requestPayment": "<Payer>BucketOwner</Payer>", "location": "LocationConstraint", "versioning": "VersioningConfiguration",
	} {
		if a := s.signed(t, "alice", "GET", "/"+b+"?"+sub, "").want(t, 200, ""); !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s", sub, a.body)
		}
	}
}

func TestExpectedBucketOwner(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.signed(t, "alice", "GET", "/"+b, "", "X-Amz-Expected-Bucket-Owner", "alice").want(t, 200, "")
	s.signed(t, "alice", "GET", "/"+b, "", "X-Amz-Expected-Bucket-Owner", "bob").want(t, 403, "AccessDenied")
}

func TestDocumentsNeedTheirDigest(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.put(t, b, "k")
	body := "<Delete><Object><Key>k</Key></Object></Delete>"
	sum := md5.Sum([]byte(body))
	s.signed(t, "alice", "POST", "/"+b+"?delete", body).want(t, 400, "InvalidRequest")
	s.signed(t, "alice", "POST", "/"+b+"?delete", body, "X-Amz-Checksum-Crc32", "AAAAAA==").want(t, 400, "BadDigest")
	s.signed(t, "alice", "POST", "/"+b+"?delete", body, "Content-MD5", base64.StdEncoding.EncodeToString(sum[:])).want(t, 200, "")
	s.signed(t, "alice", "HEAD", "/"+b+"/k", "").want(t, 404, "")
}

func TestErrorsOfHeadHaveNoBody(t *testing.T) {
	s := newServer(t)
	a := s.signed(t, "alice", "HEAD", "/missing-bucket", "").want(t, 404, "")
	if len(a.body) > 0 || a.Header.Get("Content-Type") != "" {
		t.Errorf("%v %s", a.Header, a.body)
	}
}
