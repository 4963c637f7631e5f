package clienttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/pithos/pithos/internal/s3test"
)

// Parts go in with each checksum, in any order, and come back by part and whole.
func TestSDKUploadsPartsWithEachChecksum(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		bucket, data := s.Bucket(t), noise(11*mib)
		c := s.Client(t, s3test.Alice)
		for _, algorithm := range types.ChecksumAlgorithm("").Values() {
			if !sdkComputes[algorithm] {
				continue
			}
			t.Run(string(algorithm), func(t *testing.T) {
				key := aws.String("parts " + string(algorithm))
				uploadParts(t, c, bucket, *key, algorithm, data)
				got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: key, ChecksumMode: types.ChecksumModeEnabled})
				if err != nil {
					t.Fatal(err)
				}
				sameBody(t, got.Body, data)
				part, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: key, PartNumber: aws.Int32(2)})
				if err != nil {
					t.Fatal(err)
				}
				if aws.ToInt32(part.PartsCount) != 3 {
					t.Errorf("%d parts, want 3", aws.ToInt32(part.PartsCount))
				}
				sameBody(t, part.Body, data[5*mib:10*mib])
			})
		}
	})
}

// sdkComputes are the checksums that the SDK computes by itself.
var sdkComputes = map[types.ChecksumAlgorithm]bool{
	types.ChecksumAlgorithmCrc32: true, types.ChecksumAlgorithmCrc32c: true, types.ChecksumAlgorithmCrc64nvme: true,
	types.ChecksumAlgorithmSha1: true, types.ChecksumAlgorithmSha256: true,
}

// uploadParts sends data as three parts, the last one first.
func uploadParts(t *testing.T, c *s3.Client, bucket, key string, algorithm types.ChecksumAlgorithm, data []byte) {
	t.Helper()
	u, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key, ChecksumAlgorithm: algorithm})
	if err != nil {
		t.Fatal(err)
	}
	parts := make([]types.CompletedPart, 3)
	for n := int32(3); n >= 1; n-- {
		from, to := int(n-1)*5*mib, min(int(n)*5*mib, len(data))
		p, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: u.UploadId, PartNumber: aws.Int32(n),
			Body: bytes.NewReader(data[from:to]), ChecksumAlgorithm: algorithm})
		if err != nil {
			t.Fatal(err)
		}
		parts[n-1] = types.CompletedPart{PartNumber: aws.Int32(n), ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32, ChecksumCRC32C: p.ChecksumCRC32C,
			ChecksumCRC64NVME: p.ChecksumCRC64NVME, ChecksumSHA1: p.ChecksumSHA1, ChecksumSHA256: p.ChecksumSHA256}
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: u.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	if err != nil {
		t.Fatal(err)
	}
}

func sameBody(t *testing.T, body io.ReadCloser, want []byte) {
	t.Helper()
	got, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes that differ from the %d expected", len(got), len(want))
	}
}

// TestSDKStreamsWhatItCannotHash sends a body that cannot be read twice, as
// an unsigned payload with a trailing checksum over TLS.
func TestSDKStreamsWhatItCannotHash(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		bucket, data := s.Bucket(t), noise(3*mib)
		c := s.Client(t, s3test.Alice, s.OverTLS)
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("stream"), Body: io.MultiReader(bytes.NewReader(data)),
			ContentLength: aws.Int64(int64(len(data))), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("stream"), ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(err)
		}
		if got.ChecksumCRC32 == nil {
			t.Error("the trailing checksum is not kept")
		}
		sameBody(t, got.Body, data)
	})
}

func TestSDKPresignsAndPages(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		bucket := s.Bucket(t)
		c := s.Client(t, s3test.Alice)
		signer := s3.NewPresignClient(c)
		for _, name := range odd {
			put, err := signer.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &name})
			if err != nil {
				t.Fatal(err)
			}
			if status, body := fetch(t, s, http.MethodPut, put.URL, []byte(name)); status != 200 {
				t.Errorf("PUT %s: %d %s", put.URL, status, body)
			}
			get, err := signer.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &name})
			if err != nil {
				t.Fatal(err)
			}
			if status, body := fetch(t, s, http.MethodGet, get.URL, nil); status != 200 || body != name {
				t.Errorf("GET %s: %d %s", get.URL, status, body)
			}
		}
		if got := listed(t.Context(), t, c, bucket); len(got) != len(odd) {
			t.Errorf("listed %q", got)
		}
		_, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("absent")})
		if e := smithy.APIError(nil); !errors.As(err, &e) || e.ErrorCode() != "NotFound" {
			t.Errorf("HEAD of an absent key: %v", err)
		}
	})
}

// listed returns all keys of a bucket, read in pages of two.
func listed(ctx context.Context, t *testing.T, c *s3.Client, bucket string) (keys []string) {
	t.Helper()
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	return keys
}
