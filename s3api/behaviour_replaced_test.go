package s3api_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metafault"
	"github.com/pithos/pithos/store"
)

// before calls do before the next calls of op on the metadata store, at most count
// times. The returned function reports how often it did so far.
func (x *apiTest) before(op meta.Op, count int, do func(ctx context.Context) error) (ran func() int) {
	x.Helper()
	fault, ok := x.s.Gateway.Meta.(*metafault.Store)
	if !ok {
		x.Fatalf("the metadata store is a %T", x.s.Gateway.Meta)
	}
	var n atomic.Int64
	var busy atomic.Bool
	fault.SetRules(metafault.Rule{Op: op, Do: func(ctx context.Context) {
		if n.Load() == int64(count) || !busy.CompareAndSwap(false, true) {
			return // or a call that do makes
		}
		defer busy.Store(false)
		n.Add(1)
		if err := do(ctx); err != nil {
			x.Errorf("before %s: %v", op, err)
		}
	}})
	x.Cleanup(func() { fault.SetRules() })
	return func() int { return int(n.Load()) }
}

// overwrite stores an object with a tag, if that is not "", as a concurrent request
// would.
func (x *apiTest) overwrite(ctx context.Context, bucket, key, body, tag string) error {
	b, err := x.s.Store.Bucket(ctx, bucket)
	if err != nil {
		return err
	}
	in := store.PutInput{Body: strings.NewReader(body), Size: int64(len(body)), Attributes: store.Attributes{Owner: b.Owner}}
	if tag != "" {
		in.Tags = []meta.Tag{{Key: "kind", Value: tag}}
	}
	_, err = x.s.Store.Put(ctx, b, key, in)
	return err
}

// A request that is retried for a bucket that was created again uses the results of
// the second authorization, not of the first.
func TestARepeatedRequestTakesOverNothingOfTheFirst(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		source := x.s.Bucket(x.T)
		assert.NoError(x, x.overwrite(x.Context(), source, "from", "tagged", "old"))
		x.remember()
		x.remake("alice", nil)
		ran := x.before(meta.OpBegin, 1, func(ctx context.Context) error { return x.overwrite(ctx, source, "from", "plain", "") })
		x.raw("PUT", "/k", "", "X-Amz-Copy-Source", source+"/from").want(200, "")
		if ran() != 1 {
			x.Error("the source was not overwritten")
		}
		r := x.raw("GET", "/k", "").want(200, "")
		assert.Equal(x, "copy", r.body, "plain")
		assert.Equal(x, "count of tags", r.header("X-Amz-Tagging-Count"), "")
	})
}

// The source of a copy may be overwritten between the authorization and the copy.
// Then the copy has an authorized version with its own tags, or it fails.
func TestACopyOfASourceThatIsReplacedMeanwhileIsAuthorizedAgain(t *testing.T) {
	old, replaced := random(2<<20), random(2<<20+1)
	behaviour(t, func(x *apiTest) {
		x.policy(x.rule("Allow", "bob", "", `{"StringLike":{"s3:ExistingObjectTag/kind":"public*"}}`, "s3:GetObject"),
			x.rule("Allow", "bob", "", "", "s3:PutObject", "s3:GetObjectTagging", "s3:PutObjectTagging"))
		for name, c := range map[string]struct {
			to, directive string
			op            meta.Op
		}{
			"shared":      {"/k", "COPY", meta.OpAddReferences},
			"onto itself": {"/from", "REPLACE", meta.OpBegin},
		} {
			send := func() *reply {
				return x.as(s3test.Bob, "PUT", "/"+x.bucket+c.to, "", "X-Amz-Copy-Source", x.bucket+"/from",
					"X-Amz-Metadata-Directive", c.directive, "X-Amz-Meta-A", "b")
			}
			overwrite := func(tag string) func(ctx context.Context) error {
				return func(ctx context.Context) error { return x.overwrite(ctx, x.bucket, "from", replaced, tag) }
			}
			prepare := func() {
				assert.NoError(x, x.overwrite(x.Context(), x.bucket, "from", old, "public"))
				x.raw("DELETE", "/k", "").want(204, "")
			}
			x.Run(name, func(t *testing.T) {
				in := &apiTest{T: t, s: x.s, c: x.c, bucket: x.bucket}
				prepare()
				ran := in.before(c.op, 1, overwrite("private"))
				if r := send(); r.resp.StatusCode != 403 || ran() != 1 {
					in.Errorf("by a private version: %d %s, after %d", r.resp.StatusCode, r.Code, ran())
				}
				if c.to == "/k" {
					in.raw("HEAD", "/k", "").want(404, "")
				}
				prepare()
				ran = in.before(c.op, 1, overwrite("public-too"))
				if r := send(); r.resp.StatusCode != 200 || ran() != 1 {
					in.Errorf("by a public version: %d %s, after %d", r.resp.StatusCode, r.Code, ran())
				}
				if in.as(s3test.Bob, "GET", "/"+x.bucket+c.to, "").want(200, "").body != replaced {
					in.Error("the copy is not one of the new version")
				}
				in.as(s3test.Bob, "GET", "/"+x.bucket+c.to+"?tagging", "").want(200, "").says("<Value>public-too</Value>")
				prepare()
				ran = in.before(c.op, 1<<20, overwrite("public"))
				if r := send(); r.resp.StatusCode != 503 || r.Code != "SlowDown" || ran() > 100 {
					in.Errorf("by one version after another: %d %s, after %d", r.resp.StatusCode, r.Code, ran())
				}
				in.before(c.op, 0, nil)
				prepare()
				ran = in.before(c.op, 1, func(ctx context.Context) error {
					b, err := in.s.Store.Bucket(ctx, in.bucket)
					if err == nil {
						_, err = in.s.Store.Delete(ctx, b, "from", store.DeleteInput{})
					}
					return err
				})
				if r := send(); r.resp.StatusCode/100 != 4 || ran() != 1 {
					in.Errorf("deleted: %d %s, after %d", r.resp.StatusCode, r.Code, ran())
				}
			})
		}
	})
}
