package clienttest

import (
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

// AWS reads a plus sign in x-amz-copy-source as a space, and clients rely on
// it: s5cmd encodes as in a form, rclone sends every plus sign as %2B.
func TestPlusInACopySourceIsASpace(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		bucket := s.Bucket(t)
		for target, body := range map[string]string{"a%20b": "space", "a%2Bb": "plus"} {
			if r, answer := s.Do(t, s3test.Alice, "PUT", "/"+bucket+"/"+target, []byte(body)); r.StatusCode != 200 {
				t.Fatalf("put: %d %s", r.StatusCode, answer)
			}
		}
		for source, want := range map[string]string{"a+b": "space", "a%20b": "space", "a%2Bb": "plus", "a%2bb": "plus"} {
			r, answer := s.Do(t, s3test.Alice, "PUT", "/"+bucket+"/copy", nil, "X-Amz-Copy-Source", bucket+"/"+source)
			if r.StatusCode != 200 {
				t.Errorf("copy of %s: %d %s", source, r.StatusCode, answer)
			}
			if _, got := s.Do(t, s3test.Alice, "GET", "/"+bucket+"/copy", nil); string(got) != want {
				t.Errorf("copy of %s: got %q, want %q", source, got, want)
			}
		}
	})
}
