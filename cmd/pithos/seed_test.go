package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// pattern is n bytes that compress well, and differ by their name.
func pattern(name string, n int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%-16.16s", name)), n/16+1)[:n]
}

// did fails the test at an error.
func did[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var demo = aws.String("demo")

const largePart = 5 << 20 // the least that S3 takes

// seed fills a store with one of each kind of thing that it may hold.
func seed(t *testing.T, c *s3.Client) {
	t.Helper()
	ctx := t.Context()
	for key, n := range map[string]int{
		"empty": 0, "small": 100, "medium.bin": 20_000, "large.bin": 1_300_000,
		"folder/one": 1, "folder/two": 2, "folder/sub/three": 3,
	} {
		if err := put(t, c, key, pattern(key, n)); err != nil {
			t.Fatal(err)
		}
	}
	did[*s3.PutObjectOutput](t)(c.PutObject(ctx, &s3.PutObjectInput{
		Bucket: demo, Key: aws.String("odd name+ü%20&~/x y.txt"), Body: strings.NewReader("described"), ContentType: aws.String("text/x-odd"),
		CacheControl: aws.String("no-cache"), Metadata: map[string]string{"colour": "blue"}, Tagging: aws.String("a=1&b=2"),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	}))
	did[*s3.PutObjectOutput](t)(c.PutObject(ctx, &s3.PutObjectInput{
		Bucket: demo, Key: aws.String("encrypted"), Body: bytes.NewReader(pattern("encrypted", 20_000)), ServerSideEncryption: types.ServerSideEncryptionAes256,
	}))
	did[*s3.CopyObjectOutput](t)(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: demo, Key: aws.String("copied.bin"), CopySource: aws.String("demo/large.bin")}))
	finish(t, c, "parts", begin(t, c, "parts"))
	begin(t, c, "unfinished")
	seedSettings(t, c)
	seedVersions(t, c)
}

// begin uploads a large part.
func begin(t *testing.T, c *s3.Client, key string) *string {
	t.Helper()
	upload := did[*s3.CreateMultipartUploadOutput](t)(c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: demo, Key: &key}))
	did[*s3.UploadPartOutput](t)(c.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: demo, Key: &key, UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(pattern(key, largePart)),
	}))
	return upload.UploadId
}

// finish adds a small part and completes the upload.
func finish(t *testing.T, c *s3.Client, key string, upload *string) {
	t.Helper()
	did[*s3.UploadPartOutput](t)(c.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: demo, Key: &key, UploadId: upload, PartNumber: aws.Int32(2), Body: strings.NewReader("end"),
	}))
	parts := did[*s3.ListPartsOutput](t)(c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: demo, Key: &key, UploadId: upload}))
	var all types.CompletedMultipartUpload
	for _, p := range parts.Parts {
		all.Parts = append(all.Parts, types.CompletedPart{PartNumber: p.PartNumber, ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32})
	}
	did[*s3.CompleteMultipartUploadOutput](t)(c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: demo, Key: &key, UploadId: upload, MultipartUpload: &all}))
}

func seedSettings(t *testing.T, c *s3.Client) {
	t.Helper()
	ctx := t.Context()
	did[*s3.PutBucketTaggingOutput](t)(c.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: demo, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("team"), Value: aws.String("storage")}}}}))
	did[*s3.PutBucketCorsOutput](t)(c.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: demo, CORSConfiguration: &types.CORSConfiguration{
		CORSRules: []types.CORSRule{{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"*"}}},
	}}))
	did[*s3.PutBucketPolicyOutput](t)(c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: demo, Policy: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::demo/folder/*"}]}`)}))
}

// seedVersions makes a bucket with versions, markers and the version of before
// there were any.
func seedVersions(t *testing.T, c *s3.Client) {
	t.Helper()
	ctx, bucket, key := t.Context(), aws.String("versioned"), aws.String("key")
	did[*s3.CreateBucketOutput](t)(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))
	for i := range 3 {
		did[*s3.PutObjectOutput](t)(c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(pattern(fmt.Sprint("version ", i), 10_000*i+1))}))
		did[*s3.PutBucketVersioningOutput](t)(c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: bucket,
			VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}))
	}
	did[*s3.DeleteObjectOutput](t)(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key}))
	did[*s3.PutObjectOutput](t)(c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("other"), Body: strings.NewReader("o")}))
}

// answers asks for all that seed has made, and writes the answers down.
func answers(t *testing.T, c *s3.Client) string {
	t.Helper()
	var b strings.Builder
	buckets := did[*s3.ListBucketsOutput](t)(c.ListBuckets(t.Context(), &s3.ListBucketsInput{}))
	for _, bucket := range buckets.Buckets {
		fmt.Fprintf(&b, "bucket %s\n", *bucket.Name)
		observeSettings(t, c, &b, bucket.Name)
		observeListing(t, c, &b, bucket.Name)
		observeVersions(t, c, &b, bucket.Name)
		observeUploads(t, c, &b, bucket.Name)
	}
	return b.String()
}

func observeSettings(t *testing.T, c *s3.Client, b *strings.Builder, bucket *string) {
	t.Helper()
	ctx := t.Context()
	v := did[*s3.GetBucketVersioningOutput](t)(c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: bucket}))
	fmt.Fprintf(b, "  versioning %q\n", v.Status)
	if *bucket != "demo" {
		return
	}
	tags := did[*s3.GetBucketTaggingOutput](t)(c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: bucket}))
	cors := did[*s3.GetBucketCorsOutput](t)(c.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: bucket}))
	policy := did[*s3.GetBucketPolicyOutput](t)(c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: bucket}))
	fmt.Fprintf(b, "  tags %s=%s, origins %v, policy %s\n", *tags.TagSet[0].Key, *tags.TagSet[0].Value, cors.CORSRules[0].AllowedOrigins, *policy.Policy)
}

func observeListing(t *testing.T, c *s3.Client, b *strings.Builder, bucket *string) {
	t.Helper()
	page := did[*s3.ListObjectsV2Output](t)(c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket, Delimiter: aws.String("/")}))
	for _, o := range page.Contents {
		fmt.Fprintf(b, "  listed %s %d %s\n", *o.Key, *o.Size, *o.ETag)
	}
	for _, p := range page.CommonPrefixes {
		fmt.Fprintf(b, "  prefix %s\n", *p.Prefix)
	}
}

func observeVersions(t *testing.T, c *s3.Client, b *strings.Builder, bucket *string) {
	t.Helper()
	page := did[*s3.ListObjectVersionsOutput](t)(c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: bucket}))
	for _, v := range page.Versions {
		fmt.Fprintf(b, "  version %s %s latest=%t %s\n", *v.Key, *v.VersionId, *v.IsLatest, v.LastModified.UTC())
		got := did[*s3.GetObjectOutput](t)(c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: v.Key, VersionId: v.VersionId}))
		body := did[[]byte](t)(io.ReadAll(got.Body))
		_ = got.Body.Close() // it was read to its end
		fmt.Fprintf(b, "    %d bytes %x %s %s %q", len(body), sha256.Sum256(body), *got.ETag, aws.ToString(got.ContentType), got.ServerSideEncryption)
		for _, name := range slices.Sorted(maps.Keys(got.Metadata)) {
			fmt.Fprintf(b, " %s=%s", name, got.Metadata[name])
		}
		tags := did[*s3.GetObjectTaggingOutput](t)(c.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: bucket, Key: v.Key, VersionId: v.VersionId}))
		for _, tag := range tags.TagSet {
			fmt.Fprintf(b, " tag %s=%s", *tag.Key, *tag.Value)
		}
		fmt.Fprintln(b)
	}
	for _, m := range page.DeleteMarkers {
		fmt.Fprintf(b, "  marker %s %s latest=%t\n", *m.Key, *m.VersionId, *m.IsLatest)
	}
}

func observeUploads(t *testing.T, c *s3.Client, b *strings.Builder, bucket *string) {
	t.Helper()
	uploads := did[*s3.ListMultipartUploadsOutput](t)(c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: bucket}))
	for _, u := range uploads.Uploads {
		fmt.Fprintf(b, "  upload of %s %s\n", *u.Key, *u.UploadId)
		parts := did[*s3.ListPartsOutput](t)(c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: bucket, Key: u.Key, UploadId: u.UploadId}))
		for _, p := range parts.Parts {
			fmt.Fprintf(b, "    part %d %d %s\n", *p.PartNumber, *p.Size, *p.ETag)
		}
	}
}

// goOn changes what seed has made, as users do after an upgrade.
func goOn(t *testing.T, c *s3.Client) {
	t.Helper()
	ctx := t.Context()
	uploads := did[*s3.ListMultipartUploadsOutput](t)(c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: demo}))
	if len(uploads.Uploads) != 1 {
		t.Fatalf("%d uploads", len(uploads.Uploads))
	}
	finish(t, c, "unfinished", uploads.Uploads[0].UploadId)
	head := did[*s3.HeadObjectOutput](t)(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: demo, Key: aws.String("small")}))
	did[*s3.PutObjectOutput](t)(c.PutObject(ctx, &s3.PutObjectInput{Bucket: demo, Key: aws.String("small"), Body: strings.NewReader("changed"), IfMatch: head.ETag}))
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: demo, Key: aws.String("small"), Body: strings.NewReader("late"), IfMatch: head.ETag}); err == nil {
		t.Error("an object was replaced that had changed")
	}
	for _, key := range []string{"medium.bin", "large.bin", "folder/one"} {
		did[*s3.DeleteObjectOutput](t)(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: demo, Key: &key}))
		if _, err := fetch(t, c, key); err == nil {
			t.Errorf("%s is still there", key)
		}
	}
	for key, want := range map[string][]byte{
		"copied.bin": pattern("large.bin", 1_300_000), "small": []byte("changed"), "unfinished": append(pattern("unfinished", largePart), "end"...),
	} {
		if got, err := fetch(t, c, key); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d, %v", key, len(got), len(want), err)
		}
	}
	did[*s3.PutObjectOutput](t)(c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("versioned"), Key: aws.String("key"), Body: strings.NewReader("after the marker")}))
}
