package s3api_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/meta"
)

// remake deletes the empty bucket and creates it again, as through another gateway:
// the gateway under test still caches the old bucket.
func (x *apiTest) remake(owner string, edit func(*meta.BucketConfig)) {
	x.Helper()
	ctx, m := x.Context(), x.s.Gateway.Meta
	b, err := m.Bucket(ctx, x.bucket)
	assert.NoError(x, err)
	was := b.Rev
	b.Rev, b.State = meta.NextRev(was, time.Now()), meta.BucketDeleting
	assert.NoError(x, m.UpdateBucket(ctx, b, was))
	empty, err := m.Empty(ctx, b.ID)
	assert.NoError(x, err)
	if !empty {
		x.Fatal("the bucket is not empty")
	}
	assert.NoError(x, m.RemoveBucket(ctx, b))
	b.ID, b.Owner, b.State, b.Rev = meta.NewID(), owner, meta.BucketActive, meta.NextRev(0, time.Now())
	b.Config = meta.BucketConfig{Region: b.Config.Region}
	if edit != nil {
		edit(&b.Config)
	}
	_, err = m.CreateBucket(ctx, b)
	assert.NoError(x, err)
}

// remember makes the gateway cache the bucket as it is now. It sets the clock back, so
// that the entry does not expire during the test.
func (x *apiTest) remember() {
	x.Helper()
	x.s.Shift(x.T, -time.Hour)
	x.raw("GET", "?versioning", "").want(200, "")
}

// other stores a small object in the current bucket, as through another gateway, and
// returns its ETag.
func (x *apiTest) other(key, body string) string {
	x.Helper()
	ctx, m := x.Context(), x.s.Gateway.Meta
	b, err := m.Bucket(ctx, x.bucket)
	assert.NoError(x, err)
	sum := md5.Sum([]byte(body))
	rev := meta.NextRev(0, time.Now())
	v := meta.Version{Seq: rev, Null: true, Size: int64(len(body)), ETag: hex.EncodeToString(sum[:]), Modified: rev, Owner: b.Owner, Class: "STANDARD",
		Inline: true, Payload: []byte(body), Segments: []meta.Segment{{Bytes: int64(len(body)), Size: int64(len(body))}}}
	p, err := m.Begin(ctx, b.ID, key, rev, false)
	assert.NoError(x, err)
	assert.NoError(x, p.Commit(ctx, meta.Change{Rev: rev, ID: meta.NewID(), Put: []meta.Version{v}, NullSeq: rev, Entry: meta.EntryOf(key, &v)}))
	return `"` + v.ETag + `"`
}

// form sends a form of alice that stores the object up/upload.bin.
func (x *apiTest) form() *reply {
	x.Helper()
	body, contentType := browserForm(x.T, "body of the form", signedV4(s3test.Alice, x.bucket, 100)...)
	return x.as(s3test.Key{}, "POST", "/"+x.bucket, string(body), "Content-Type", contentType)
}

// A bucket that was deleted and created again through another gateway accepts writes
// as if this gateway had not cached the old one.
func TestWritesGoIntoABucketThatWasCreatedAgain(t *testing.T) {
	large := random(3 << 20)
	writes := map[string]func(x *apiTest){
		"a small object": func(x *apiTest) {
			x.raw("PUT", "/k", "body", "X-Amz-Meta-A", "b", "X-Amz-Tagging", "a=b").want(200, "")
			assert.Equal(x, "object", x.raw("GET", "/k", "").has("X-Amz-Meta-A", "b").has("X-Amz-Tagging-Count", "1").body, "body")
		},
		"an empty object": func(x *apiTest) {
			x.raw("PUT", "/k", "").want(200, "")
			assert.Equal(x, "object", x.get("k"), "")
		},
		"a large object": func(x *apiTest) {
			sum := sha256.Sum256([]byte(large))
			x.raw("PUT", "/k", large, sumHeader("SHA256"), sumOf("SHA256", large)).want(200, "")
			got := sha256.Sum256([]byte(x.get("k")))
			assert.Equal(x, "sum of the object", hex.EncodeToString(got[:]), hex.EncodeToString(sum[:]))
		},
		"an encrypted object": func(x *apiTest) {
			x.raw("PUT", "/k", large, "X-Amz-Server-Side-Encryption", "AES256").want(200, "")
			assert.Equal(x, "object", x.get("k"), large)
		},
		"a new object": func(x *apiTest) {
			x.raw("PUT", "/k", "body", "If-None-Match", "*").want(200, "")
			assert.Equal(x, "object", x.get("k"), "body")
		},
		"a copy onto itself": func(x *apiTest) {
			x.other("k", "body")
			x.raw("PUT", "/k", "", "X-Amz-Copy-Source", x.bucket+"/k", "X-Amz-Metadata-Directive", "REPLACE", "X-Amz-Meta-A", "b").want(200, "")
			x.raw("HEAD", "/k", "").want(200, "").has("X-Amz-Meta-A", "b")
		},
		"an overwrite of what is there": func(x *apiTest) {
			etag := x.other("k", "old")
			x.raw("PUT", "/k", "body", "If-Match", etag).want(200, "")
			assert.Equal(x, "object", x.get("k"), "body")
		},
		"a deletion": func(x *apiTest) {
			x.other("k", "body")
			x.raw("DELETE", "/k", "").want(204, "")
			x.raw("GET", "/k", "").want(404, "NoSuchKey")
		},
		"a conditional deletion": func(x *apiTest) {
			etag := x.other("k", "body")
			x.raw("DELETE", "/k", "", "If-Match", etag).want(204, "")
			x.raw("GET", "/k", "").want(404, "NoSuchKey")
		},
		"deletions of several keys": func(x *apiTest) {
			x.other("k", "body")
			x.other("l", "body")
			doc := "<Delete><Object><Key>none</Key></Object><Object><Key>k</Key></Object><Object><Key>l</Key></Object></Delete>"
			x.raw("POST", "?delete", doc, sumHeader("CRC32"), sumOf("CRC32", doc)).want(200, "")
			if left := x.list(url.Values{}).items(); len(left) != 0 {
				x.Errorf("%q are left", left)
			}
		},
		"a rename": func(x *apiTest) {
			x.other("k", "body")
			x.raw("PUT", "/l?renameObject", "", "X-Amz-Rename-Source", "k").want(200, "")
			assert.Equal(x, "object", x.get("l"), "body")
		},
		"tags": func(x *apiTest) {
			x.other("k", "body")
			doc := "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
			x.raw("PUT", "/k?tagging", doc, sumHeader("CRC32"), sumOf("CRC32", doc)).want(200, "")
			x.raw("GET", "/k", "").has("X-Amz-Tagging-Count", "1")
		},
		"a multipart upload": func(x *apiTest) {
			up := x.upload("k")
			_, err := x.complete("k", up, x.part("k", up, 1, "body"))
			assert.NoError(x, err)
			assert.Equal(x, "object", x.get("k"), "body")
		},
		"a part of an upload": func(x *apiTest) {
			b, err := x.s.Gateway.Meta.Bucket(x.Context(), x.bucket)
			assert.NoError(x, err)
			now := time.Now()
			u := meta.Upload{ID: meta.NewID(), Bucket: b.ID, Key: "k", Rev: meta.NextRev(0, now), State: meta.UploadOpen,
				Doc: meta.UploadDoc{Initiated: now.UnixMicro(), Version: meta.Version{Class: "STANDARD"}}}
			assert.NoError(x, x.s.Gateway.Meta.CreateUpload(x.Context(), u))
			x.raw("PUT", "/k?partNumber=1&uploadId="+u.ID.String(), large).want(200, "")
			x.raw("DELETE", "/k?uploadId="+u.ID.String(), "").want(204, "")
		},
		"settings": func(x *apiTest) {
			x.versioning(types.BucketVersioningStatusEnabled)
			if !strings.Contains(x.raw("GET", "?versioning", "").body, "Enabled") {
				x.Error("versioning was not set")
			}
		},
		"its deletion": func(x *apiTest) {
			x.raw("DELETE", "", "").want(204, "")
			x.raw("GET", "?location", "").want(404, "NoSuchBucket")
		},
		"a form": func(x *apiTest) {
			if r := x.form(); r.resp.StatusCode != 204 {
				x.Errorf("%d: %s", r.resp.StatusCode, r.body)
			}
			assert.Equal(x, "object", x.get("up/upload.bin"), "body of the form")
		},
	}
	behaviour(t, func(x *apiTest) {
		before := len(x.blobs())
		for what, write := range writes {
			x.Run(what, func(t *testing.T) {
				in := &apiTest{T: t, s: x.s, c: x.c, bucket: x.s.Bucket(t)}
				in.remember()
				in.remake("alice", nil)
				write(in)
			})
		}
		if n := len(x.blobs()) - before; n != 0 { // their buckets are gone
			x.Errorf("%d blobs are left", n)
		}
	})
}

// The new bucket may belong to another tenant. Permissions in the old bucket do not
// apply to it.
func TestABucketThatAnotherTenantCreatedAgainIsAuthorizedAgain(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		before := len(x.blobs())
		doc := "<Delete><Object><Key>k</Key></Object></Delete>"
		enabled := "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
		for i, send := range []func() *reply{
			func() *reply { return x.raw("PUT", "/k", "alice's") },
			func() *reply { return x.raw("PUT", "/k", random(3<<20)) },
			func() *reply { return x.raw("PUT", "/k", "", "X-Amz-Copy-Source", x.bucket+"/k") },
			func() *reply { return x.raw("POST", "/k?uploads", "") },
			func() *reply { return x.raw("DELETE", "/k", "") },
			func() *reply { return x.raw("DELETE", "/k", "", "If-Match", "*") },
			func() *reply { return x.raw("PUT", "/k?acl", "", "X-Amz-Acl", "public-read") },
			func() *reply { return x.raw("PUT", "?acl", "", "X-Amz-Acl", "public-read-write") },
			func() *reply { return x.raw("PUT", "?versioning", enabled) },
			func() *reply { return x.raw("PUT", "?policy", policyOf(x.bucket)) },
			func() *reply { return x.raw("GET", "/k", "") },
			func() *reply { return x.raw("GET", "", "") },
			func() *reply { return x.raw("GET", "?uploads", "") },
			func() *reply { return x.raw("DELETE", "", "") },
			x.form,
			func() *reply { return x.raw("POST", "?delete", doc, sumHeader("CRC32"), sumOf("CRC32", doc)) },
		} {
			func() {
				bucket := x.bucket
				defer func() { x.bucket = bucket }()
				x.bucket = x.s.Bucket(x.T)
				x.remember()
				x.remake("bob", nil)
				mine := x.other("k", "bob's")
				r := send()
				refused := r.resp.StatusCode == 403 && r.Code == "AccessDenied" || strings.Contains(r.body, "<Code>AccessDenied</Code>")
				if !refused {
					x.Errorf("request %d: %d %s", i, r.resp.StatusCode, r.body)
				}
				now, err := x.s.Gateway.Meta.Bucket(x.Context(), x.bucket)
				assert.NoError(x, err)
				if now.Config.Versioning != "" || len(now.Config.ACL.Grants) > 0 || len(now.Config.Documents) > 0 || now.State != meta.BucketActive {
					x.Errorf("request %d has changed bob's bucket: %+v", i, now)
				}
				h := x.as(s3test.Bob, "HEAD", "/"+x.bucket+"/k", "").want(200, "")
				h.has("Etag", mine)
			}()
		}
		if n := len(x.blobs()) - before; n != 0 {
			x.Errorf("%d blobs are left", n)
		}
	})
}

// The new bucket decides what the client may do, and who owns the object.
func TestAWriterIntoABucketCreatedAgainOwnsWhatTheBucketSays(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.remember()
		x.remake("bob", func(c *meta.BucketConfig) {
			c.Ownership = "BucketOwnerEnforced"
			c.Documents = map[string][]byte{"policy": []byte(fmt.Sprintf(
				`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"alice"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::%s/*"}]}`, x.bucket))}
		})
		x.raw("PUT", "/k", "alice's").want(200, "")
		b, err := x.s.Gateway.Meta.Bucket(x.Context(), x.bucket)
		assert.NoError(x, err)
		h, err := x.s.Gateway.Meta.Read(x.Context(), b.ID, "k", meta.ReadOptions{})
		assert.NoError(x, err)
		if v := h.Current(); v == nil || v.Owner != "bob" {
			x.Errorf("got %+v", v)
		}
	})
}

// A read is allowed by the policy of the bucket that has the name now, though
// the same tenant owned both.
func TestABucketThatItsOwnerCreatedAgainIsReadByItsOwnPolicy(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.policy(fmt.Sprintf(`{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket","s3:ListBucketMultipartUploads","s3:ListBucketVersions"],"Resource":["arn:aws:s3:::%[1]s","arn:aws:s3:::%[1]s/*"]}`, x.bucket))
		x.other("gone", "public")
		x.as(anonymous, "GET", "/"+x.bucket+"/gone", "").want(200, "")
		x.raw("DELETE", "/gone", "").want(204, "")
		for _, target := range []string{"/k", "", "?list-type=2", "?versions", "?uploads"} {
			x.remember()
			x.as(anonymous, "GET", "/"+x.bucket+"?list-type=2", "").want(200, "")
			policy := x.raw("GET", "?policy", "").want(200, "").body
			x.remake("alice", nil)
			x.other("k", "private")
			x.as(anonymous, "GET", "/"+x.bucket+target, "").want(403, "AccessDenied")
			x.raw("DELETE", "/k", "").want(204, "")
			x.raw("PUT", "?policy", policy).want(204, "")
		}
	})
}

// The token of the first page belongs to the bucket of that page.
func TestListingsOfABucketCreatedAgainGoOn(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.remember()
		x.remake("alice", nil)
		for _, key := range []string{"a", "b", "c"} {
			x.other(key, "body")
		}
		assert.Equal(x, "keys", strings.Join(x.pages("v2", 1, url.Values{}), " "), "a b c")
	})
}
