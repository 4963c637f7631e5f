package s3test_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/internal/s3test"
)

func TestMain(m *testing.M) { s3test.Main(m) }

func TestObjectGoesInAndComesOut(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		bucket := s.Bucket(t)
		for name, options := range map[string][]func(*s3.Options){"plain": nil, "TLS": {s.OverTLS}} {
			client := s.Client(t, s3test.Alice, options...)
			body := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
			if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("a/ü + b"), Body: bytes.NewReader(body)}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("a/ü + b")})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			data, err := io.ReadAll(got.Body)
			if err != nil || !bytes.Equal(data, body) {
				t.Errorf("%s: %d bytes, %v", name, len(data), err)
			}
		}
	})
}

func TestRawRequestsAreSignedOrAnonymous(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		bucket := s.Bucket(t)
		if r, body := s.Do(t, s3test.Alice, "PUT", "/"+bucket+"/k", []byte("x")); r.StatusCode != 200 {
			t.Fatalf("put: %d %s", r.StatusCode, body)
		}
		if r, body := s.Do(t, s3test.Alice2, "GET", "/k", nil, "Host", bucket+"."+s3test.ServiceURI); string(body) != "x" {
			t.Errorf("virtual host: %d %s", r.StatusCode, body)
		}
		for key, want := range map[s3test.Key]int{{}: 403, s3test.Bob: 403, s3test.Root: 200} {
			if r, body := s.Do(t, key, "GET", "/"+bucket+"/k", nil); r.StatusCode != want {
				t.Errorf("%s: %d %s", key.Tenant, r.StatusCode, body)
			}
		}
	})
}

func TestCollectRemovesWhatWasOverwritten(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		bucket := s.Bucket(t)
		for range 2 {
			if r, body := s.Do(t, s3test.Alice, "PUT", "/"+bucket+"/k", bytes.Repeat([]byte("x"), 1<<20)); r.StatusCode != 200 {
				t.Fatalf("put: %d %s", r.StatusCode, body)
			}
		}
		if done := s.Collect(t); done.Deleted < 1 {
			t.Errorf("got %+v", done)
		}
		if _, body := s.Do(t, s3test.Alice, "GET", "/"+bucket+"/k", nil); len(body) != 1<<20 {
			t.Errorf("%d bytes are left", len(body))
		}
	})
}

func TestBucketsAreRemovedWithAllTheyHold(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		var name string
		t.Run("test", func(t *testing.T) {
			name = s.Bucket(t)
			if !strings.HasPrefix(name, "testbuckets") {
				t.Errorf("the name %s does not tell the test", name)
			}
			client := s.Client(t, s3test.Alice)
			if _, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &name, Key: aws.String("open")}); err != nil {
				t.Error(err)
			}
			s.Do(t, s3test.Alice, "PUT", "/"+name+"/k", []byte("x"))
		})
		if _, err := s.Store.Bucket(t.Context(), name); err == nil {
			t.Errorf("bucket %s is left", name)
		} else if s3err.CodeOf(err) != s3err.NoSuchBucket {
			t.Error(err)
		}
	})
}
