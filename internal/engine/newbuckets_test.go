package engine

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/edge"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/store"
)

// onEachEngine runs a test on each engine, with a function that completes the
// settings of a configuration of that engine.
func onEachEngine(t *testing.T, test func(t *testing.T, complete func(yaml string) *config.Config)) {
	t.Run("embedded", func(t *testing.T) {
		dir := t.TempDir()
		test(t, func(yaml string) *config.Config { return configuration(t, yaml+"\nembedded: {directory: "+dir+"}\n") })
	})
	t.Run("cassandra", func(t *testing.T) {
		c, at := cluster(t)
		keyspace := c.Keyspace(t)
		test(t, func(yaml string) *config.Config {
			return installed(t, configuration(t, yaml+"\nbucketstore: {"+at+", keyspace: "+keyspace+"}\n"))
		})
	})
}

const aKey = "keystore: {keys: {NEWBUCKETSKEY000001: {tenant: tenant, secret: secret-of-tenant}}}\n"

func backend(e *Engine) edge.Backend { return edge.Backend{Store: e.Store, Keys: e.Keys, Ring: e.Ring} }

// clientOf is a client of a gateway with this configuration, until the test ends.
func clientOf(t *testing.T, cfg *config.Config, e *Engine) *s3.Client {
	t.Helper()
	h := edge.NewServer(cfg, zap.NewNop(), nil)
	if err := h.Use(backend(e)); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return s3.New(s3.Options{BaseEndpoint: aws.String(server.URL), UsePathStyle: true, Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("NEWBUCKETSKEY000001", "secret-of-tenant", "")})
}

func codeOf(t *testing.T, err error) string {
	t.Helper()
	var api smithy.APIError
	if err == nil {
		return ""
	}
	if !errors.As(err, &api) {
		t.Fatal(err)
	}
	return api.ErrorCode()
}

// The object ownership of a new bucket is the header's, else the setting's; a
// change of the setting changes no bucket.
func TestNewBucketsHaveTheConfiguredObjectOwnership(t *testing.T) {
	onEachEngine(t, func(t *testing.T, complete func(string) *config.Config) {
		var client *s3.Client
		closeLast := func() {}
		create := func(bucket string, ownership types.ObjectOwnership, acl types.BucketCannedACL) string {
			t.Helper()
			_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket, ObjectOwnership: ownership, ACL: acl})
			return codeOf(t, err)
		}
		shows := func(bucket, want string) {
			t.Helper()
			got := ""
			out, err := client.GetBucketOwnershipControls(t.Context(), &s3.GetBucketOwnershipControlsInput{Bucket: &bucket})
			if err == nil {
				got = string(out.OwnershipControls.Rules[0].ObjectOwnership)
			} else if c := codeOf(t, err); c != "OwnershipControlsNotFoundError" {
				t.Errorf("%s: %s", bucket, c)
			}
			if got != want {
				t.Errorf("the ownership of %s is %q, want %q", bucket, got, want)
			}
		}
		use := func(options string) {
			t.Helper()
			cfg := complete(aKey + "options: {" + options + "}\n")
			e, err := Open(t.Context(), cfg, OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.createBuckets(t.Context(), cfg, zap.NewNop()); err != nil {
				t.Fatal(err)
			}
			client = clientOf(t, cfg, e)
			closeLast = func() { _ = e.Close() }
		}
		defer func() { closeLast() }()
		use("")
		if got := create("silent", "", ""); got != "" {
			t.Fatal(got)
		}
		shows("silent", "")
		if got := create("open-acl", "", types.BucketCannedACLPublicRead); got != "" {
			t.Error(got)
		}
		closeLast()
		use("object-ownership: bucketownerenforced, buckets: [at-start]")
		shows("silent", "") // it was there before
		shows("at-start", "BucketOwnerEnforced")
		for bucket, c := range map[string]struct {
			header types.ObjectOwnership
			acl    types.BucketCannedACL
			code   string
			shown  string
		}{
			"enforced": {"", "", "", "BucketOwnerEnforced"}, "private": {"", types.BucketCannedACLPrivate, "", "BucketOwnerEnforced"},
			"public":  {"", types.BucketCannedACLPublicRead, "InvalidBucketAclWithObjectOwnership", ""},
			"writer":  {types.ObjectOwnershipObjectWriter, types.BucketCannedACLPublicRead, "", "ObjectWriter"},
			"prefers": {types.ObjectOwnershipBucketOwnerPreferred, "", "", "BucketOwnerPreferred"},
		} {
			if got := create(bucket, c.header, c.acl); got != c.code {
				t.Errorf("%s: %q, want %q", bucket, got, c.code)
			} else if got == "" {
				shows(bucket, c.shown)
			}
		}
		if _, err := client.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: aws.String("enforced"), ACL: types.BucketCannedACLPublicRead}); codeOf(t, err) != "AccessControlListNotSupported" {
			t.Errorf("an ACL in an enforced bucket: %v", err)
		}
		closeLast()
		use("object-ownership: BucketOwnerPreferred")
		shows("enforced", "BucketOwnerEnforced")
		if got := create("enforced", "", ""); got != "" && got != "BucketAlreadyOwnedByYou" {
			t.Errorf("again: %s", got)
		}
		if got := create("preferred", "", ""); got != "" {
			t.Error(got)
		}
		shows("preferred", "BucketOwnerPreferred")
	})
}

// A bucket that was created under any location constraint lies in the default
// region: it is found when regions are configured later.
func TestRegionsThatAreConfiguredLaterFindBucketsOfAnyLocation(t *testing.T) {
	onEachEngine(t, func(t *testing.T, complete func(string) *config.Config) {
		cfg := complete("options: {default-region: here}\n")
		e, err := Open(t.Context(), cfg, OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p := placeIn(t, e, "bucket", "moon")
		p.put("k", "body")
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		cfg = complete("options: {default-region: here}\nregions: {here: {}, moon: {}}\n")
		e = opened(t, cfg, OpenOptions{})
		p.Store = e.Store
		b, err := e.Store.Bucket(t.Context(), "bucket")
		if err != nil {
			t.Fatal(err)
		}
		p.bucket = b
		p.shows("k", "body")
		if b.Config.ShownRegion() != "moon" || b.Config.Region != "here" {
			t.Errorf("it is in %q and shows %q", b.Config.Region, b.Config.ShownRegion())
		}
		for region, want := range map[string]s3err.Code{"sun": s3err.InvalidLocationConstraint, "moon": ""} {
			_, err := e.Store.CreateBucket(t.Context(), store.CreateBucketInput{Name: "another-" + region, Owner: "tenant", Region: region})
			var refused *s3err.Error
			if errors.As(err, &refused); (err == nil) != (want == "") || err != nil && refused.Code != want {
				t.Errorf("a bucket in %s: %v", region, err)
			}
		}
	})
}

// Where signatures are held to the configured regions, so are buckets.
func TestEnforcedRegionsBoundLocations(t *testing.T) {
	e := opened(t, configuration(t, "options: {enforce-region: true}\nembedded: {directory: "+t.TempDir()+"}\n"), OpenOptions{})
	_, err := e.Store.CreateBucket(t.Context(), store.CreateBucketInput{Name: "bucket", Owner: "tenant", Region: "moon"})
	var refused *s3err.Error
	if !errors.As(err, &refused) || refused.Code != s3err.InvalidLocationConstraint {
		t.Errorf("got %v", err)
	}
}
