package s3api_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metafault"
	"github.com/pithos/pithos/store"
)

// before has do run before the next calls of op to the metadata store, count
// times at most. It returns how often that was so far.
func (x *story) before(op metafault.Op, count int, do func(ctx context.Context) error) (ran func() int) {
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

// overwrite stores an object with a tag, if that is not "", as another request
// does that comes in the middle of one.
func (x *story) overwrite(ctx context.Context, bucket, key, body, tag string) error {
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

// A request that is repeated for a bucket that was created again takes over what
// the repeated authorization has found, not what the first has.
func TestARepeatedRequestTakesOverNothingOfTheFirst(t *testing.T) {
	behaviour(t, func(x *story) {
		source := x.s.Bucket(x.T)
		x.must(x.overwrite(x.Context(), source, "from", "tagged", "old"))
		x.remember()
		x.remake("alice", nil)
		ran := x.before(metafault.Begin, 1, func(ctx context.Context) error { return x.overwrite(ctx, source, "from", "plain", "") })
		x.raw("PUT", "/k", "", "X-Amz-Copy-Source", source+"/from").want(200, "")
		if ran() != 1 {
			x.Error("the source was not overwritten")
		}
		r := x.raw("GET", "/k", "").want(200, "")
		x.same("copy", r.body, "plain")
		x.same("count of tags", r.header("X-Amz-Tagging-Count"), "")
	})
}
