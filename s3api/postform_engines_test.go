package s3api_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/sigv2"
	"github.com/pithos/pithos/sigv4"
)

// browserForm returns a form and its Content-Type; the file is its last part.
func browserForm(t *testing.T, file string, fields ...string) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		if err := w.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("file", "upload.bin")
	if err == nil {
		_, err = io.WriteString(part, file)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}

// signedV4 returns the fields of a form for keys that begin with "up/" and files of
// 4 to limit bytes, signed now.
func signedV4(key s3test.Key, bucket string, limit int) []string {
	now := time.Now().UTC()
	date, stamp := now.Format("20060102"), now.Format(sigv4.TimeFormat)
	credential := key.ID + "/" + date + "/" + s3test.Region + "/s3/aws4_request"
	doc := fmt.Sprintf(`{"expiration":%q,"conditions":[{"bucket":%q},["starts-with","$key","up/"],{"x-amz-credential":%q},
		{"x-amz-algorithm":"AWS4-HMAC-SHA256"},{"x-amz-date":%q},["content-length-range",4,%d]]}`,
		now.Add(time.Hour).Format(time.RFC3339), bucket, credential, stamp, limit)
	policy := base64.StdEncoding.EncodeToString([]byte(doc))
	signing := sigv4.SigningKey(key.Secret, date, s3test.Region, "s3")
	return []string{"key", "up/${filename}", "x-amz-algorithm", sigv4.Algorithm, "x-amz-credential", credential,
		"x-amz-date", stamp, "policy", policy, "x-amz-signature", sigv4.SignString(signing, policy)}
}

func signedV2(key s3test.Key, bucket string, limit int) []string {
	doc := fmt.Sprintf(`{"expiration":%q,"conditions":[{"bucket":%q},["starts-with","$key","up/"],["content-length-range",4,%d]]}`,
		time.Now().UTC().Add(time.Hour).Format("2006-01-02T15:04:05.000Z"), bucket, limit)
	policy := base64.StdEncoding.EncodeToString([]byte(doc))
	return []string{"key", "up/${filename}", "AWSAccessKeyId", key.ID, "policy", policy, "signature", sigv2.SignString(key.Secret, policy)}
}

func TestPostOnBothEngines(t *testing.T) {
	const limit = 3 << 20
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		for version, sign := range map[string]func(s3test.Key, string, int) []string{"v2": signedV2, "v4": signedV4} {
			t.Run(version, func(t *testing.T) {
				bucket := s.Bucket(t)
				object := "/" + bucket + "/up/upload.bin"
				for _, c := range []struct {
					name, file string
					who        s3test.Key
					status     int
					code       string
				}{
					{"a small file", "small", s3test.Alice, 204, ""},
					{"a file as large as may be", strings.Repeat("abc", limit/3), s3test.Alice, 204, ""},
					{"a file too large", strings.Repeat("x", limit+1), s3test.Alice, 400, "EntityTooLarge"},
					{"a file too small", "x", s3test.Alice, 400, "EntityTooSmall"},
					{"of a stranger", "strange", s3test.Bob, 403, "AccessDenied"},
				} {
					t.Run(c.name, func(t *testing.T) {
						before, _ := s.Do(t, s3test.Alice, http.MethodHead, object, nil)
						body, contentType := browserForm(t, c.file, sign(c.who, bucket, limit)...)
						res, answer := s.Do(t, s3test.Key{}, http.MethodPost, "/"+bucket, body, "Content-Type", contentType)
						if res.StatusCode != c.status || !bytes.Contains(answer, []byte(c.code)) {
							t.Fatalf("got %d %s, want %d %s", res.StatusCode, answer, c.status, c.code)
						}
						after, got := s.Do(t, s3test.Alice, http.MethodGet, object, nil)
						if c.status == 204 && string(got) != c.file {
							t.Fatalf("%d bytes are stored, want %d", len(got), len(c.file))
						}
						if c.status != 204 && after.Header.Get("Etag") != before.Header.Get("Etag") {
							t.Fatal("the refused form has changed the object")
						}
					})
				}
			})
		}
	})
}

func TestPostBySingleBytesOnBothEngines(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		bucket := s.Bucket(t)
		file := strings.Repeat("0123456789", 2000)
		body, contentType := browserForm(t, file, signedV4(s3test.Alice, bucket, 1<<20)...)
		// Of unknown length, so it comes in chunks of one byte.
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/"+bucket, iotest.OneByteReader(bytes.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		res, err := s.HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNoContent {
			t.Fatalf("got %s", res.Status)
		}
		if _, got := s.Do(t, s3test.Alice, http.MethodGet, "/"+bucket+"/up/upload.bin", nil); string(got) != file {
			t.Fatalf("%d bytes are stored, want %d", len(got), len(file))
		}
	})
}

func TestPostUnderObjectLockNeedsADigest(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.locked()
		x.raw("PUT", "?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>").want(200, "")
		x.raw("PUT", "?acl", "", "X-Amz-Acl", "public-read-write").want(200, "")
		post := func(fields ...string) *reply {
			x.Helper()
			body, contentType := browserForm(x.T, "file", append([]string{"key", "k"}, fields...)...)
			return x.as(s3test.Key{}, http.MethodPost, "/"+x.bucket, string(body), "Content-Type", contentType)
		}
		post().want(400, "InvalidRequest").says("Object Lock parameters")
		post("content-md5", md5Of("other")).want(400, "BadDigest")
		post("content-md5", md5Of("file")).want(204, "")
		post("x-amz-checksum-sha256", sumOf("SHA256", "file")).want(204, "")
	})
}
