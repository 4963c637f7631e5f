package s3test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/sigv4/sigv4test"
	"github.com/pithos/pithos/store"
)

// Region is what clients sign for, and where buckets are.
const Region = "us-east-1"

// Client returns an SDK client that signs with key: path style, no retries.
// Options may change it.
func (s *Server) Client(t testing.TB, key Key, options ...func(*s3.Options)) *s3.Client {
	t.Helper()
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL),
		Region:       Region,
		UsePathStyle: true,
		HTTPClient:   s.HTTP,
		Retryer:      aws.NopRetryer{},
		Credentials:  credentials.NewStaticCredentialsProvider(key.ID, key.Secret, ""),
	}, options...)
}

// OverTLS is an option of [Server.Client].
func (s *Server) OverTLS(o *s3.Options) { o.BaseEndpoint = aws.String(s.TLSURL) }

var notInBucketName = regexp.MustCompile(`[^a-z0-9]+`)

// BucketName returns a fresh name that tells whose test it is of.
func BucketName(t testing.TB) string {
	name := notInBucketName.ReplaceAllString(strings.ToLower(t.Name()), "-")
	name = strings.Trim(name[:min(len(name), 40)], "-")
	return name + "-" + randomHex(12)
}

// Bucket makes a bucket of Alice's, which is emptied and removed when the
// test ends.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	name := BucketName(t)
	if _, err := s.Store.CreateBucket(t.Context(), store.CreateBucketInput{Name: name, Owner: Alice.Tenant}); err != nil {
		t.Fatalf("make bucket %s: %v", name, err)
	}
	t.Cleanup(func() { s.Remove(t, name) })
	return name
}

// Remove empties and removes a bucket, if it exists. Objects under retention
// in the mode COMPLIANCE stay, and so does their bucket.
func (s *Server) Remove(t testing.TB, name string) {
	t.Helper()
	ctx := context.Background() // the test's own has ended
	b, err := s.Store.Bucket(ctx, name)
	if err != nil {
		return // the test has removed it
	}
	for {
		uploads, err := s.Store.ListUploads(ctx, b, store.ListUploadsInput{Limit: 1000})
		if err != nil {
			t.Errorf("list uploads of %s: %v", name, err)
			return
		}
		for _, u := range uploads.Uploads {
			if err := s.Store.AbortUpload(ctx, b, u.Key, u.ID.String()); err != nil {
				t.Errorf("abort upload of %s/%s: %v", name, u.Key, err)
			}
		}
		if !uploads.Truncated || t.Failed() {
			break
		}
	}
	if !s.removeVersions(ctx, t, name) {
		return
	}
	if err := s.Store.DeleteBucket(ctx, b); err != nil {
		t.Errorf("remove bucket %s: %v", name, err)
	}
}

// removeVersions reports whether nothing is left.
func (s *Server) removeVersions(ctx context.Context, t testing.TB, name string) bool {
	b, err := s.Store.Bucket(ctx, name)
	if err != nil {
		t.Errorf("bucket %s: %v", name, err)
		return false
	}
	in := store.ListVersionsInput{Limit: 1000}
	for {
		page, err := s.Store.ListVersions(ctx, b, in)
		if err != nil {
			t.Errorf("list versions of %s: %v", name, err)
			return false
		}
		for _, v := range page.Versions {
			if b.Config.Lock != nil && !v.Version.DeleteMarker {
				if _, err := s.Store.SetLegalHold(ctx, b, v.Key, v.VersionID, false); err != nil {
					t.Errorf("lift the hold of %s/%s: %v", name, v.Key, err)
				}
			}
			_, err := s.Store.Delete(ctx, b, v.Key, store.DeleteInput{VersionID: v.VersionID, BypassGovernance: true})
			if err != nil {
				t.Logf("bucket %s is left: %s: %v", name, v.Key, err)
				return false
			}
		}
		if !page.Truncated {
			return true
		}
		in.KeyMarker, in.VersionMarker = page.NextKey, page.NextVersion
	}
}

// Do sends a request signed with key by signature version 4, or unsigned
// where key is zero, and returns the response with its whole body read.
// target is path and query as they go on the wire; header holds pairs of name
// and value, of which Host is the host to ask for.
func (s *Server) Do(t testing.TB, key Key, method, target string, body []byte, header ...string) (*http.Response, []byte) {
	t.Helper()
	r := s.Request(t, key, method, target, body, header...)
	resp, err := s.HTTP.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer func() { _ = resp.Body.Close() }() // it is read to its end
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read the answer: %v", method, target, err)
	}
	return resp, got
}

// Request makes the request that [Server.Do] sends.
func (s *Server) Request(t testing.TB, key Key, method, target string, body []byte, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if strings.EqualFold(header[i], "Host") {
			r.Host = header[i+1]
		} else {
			r.Header.Add(header[i], header[i+1])
		}
	}
	if key.ID != "" {
		sigv4test.Signer{AccessKey: key.ID, Secret: key.Secret, Region: Region}.SignHeader(r, sigv4test.Hash(body))
	}
	return r
}
