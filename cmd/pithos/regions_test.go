package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/pithos/pithos/internal/cassandratest"
)

// TestServeSeveralRegions takes the way of an operator and a client: two
// regions and their buckets, each in a keyspace of its own, made by bootstrap.
func TestServeSeveralRegions(t *testing.T) {
	c := cassandratest.Start(t)
	yaml := `
keystore: {keys: {REGIONSKEY000000001: {tenant: tenant, secret: secret-of-regions}}}
options: {default-region: here, enforce-region: true}
bucketstore: {cluster: ['` + strings.Join(c.Addrs(), "', '") + `'], keyspace: ` + c.Keyspace(t) + `}
regions:
  here: {metastore: {keyspace: ` + c.Keyspace(t) + `}, storage-classes: {standard: {keyspace: ` + c.Keyspace(t) + `}}}
  there: {metastore: {keyspace: ` + c.Keyspace(t) + `}, storage-classes: {standard: {keyspace: ` + c.Keyspace(t) + `}}}
`
	if code, out, errText := command("bootstrap", "-f", configured(t, yaml)); code != exitOK || strings.Count(out, "\n") < 5 {
		t.Fatalf("bootstrap: exit code %d, %s%s", code, out, errText)
	}
	p := startReady(t, yaml)
	client := p.client("REGIONSKEY000000001", "secret-of-regions")
	in := func(region string) func(*s3.Options) { return func(o *s3.Options) { o.Region = region } }
	create := func(bucket, region string) error {
		_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket,
			CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}}, in("here"))
		return err
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var api smithy.APIError
	if err := create("nowhere", "moon"); !errors.As(err, &api) || api.ErrorCode() != "InvalidLocationConstraint" {
		t.Errorf("a bucket in a region that is not configured: %v", err)
	}
	ok(create("here-it-is", "here"))
	ok(create("there-it-is", "there"))
	location, err := client.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: aws.String("there-it-is")}, in("there"))
	ok(err)
	if location.LocationConstraint != "there" {
		t.Errorf("the bucket is in %q", location.LocationConstraint)
	}
	body := strings.Repeat("0123456789", 100_000)
	_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("here-it-is"), Key: aws.String("k"), Body: strings.NewReader(body)}, in("here"))
	ok(err)
	_, err = client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("there-it-is"), Key: aws.String("copy"), CopySource: aws.String("here-it-is/k")}, in("there"))
	ok(err)
	got, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("there-it-is"), Key: aws.String("copy")}, in("there"))
	ok(err)
	data, err := io.ReadAll(got.Body)
	ok(errors.Join(err, got.Body.Close()))
	if string(data) != body {
		t.Errorf("the copy has %d bytes", len(data))
	}
	if _, err := client.ListBuckets(t.Context(), &s3.ListBucketsInput{}, in("moon")); !errors.As(err, &api) || api.ErrorCode() != "AuthorizationHeaderMalformed" {
		t.Errorf("a signature for a region that is not configured: %v", err)
	}
	if code := p.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
