package store_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metafault"
	"github.com/pithos/pithos/store"
)

// bodies are one that is kept in the row and one that is a blob.
var bodies = map[string][]byte{"inline": []byte("small"), "blob": random(300_000)}

// one holds that exactly one of two keys has the body, whichever way one
// looks, and returns that key.
func (g *twoGateways) one(b *meta.Bucket, what, from, to string, body []byte) string {
	g.Helper()
	atFrom, atTo, listed := g.get(b, from), g.get(b, to), g.keys(b)
	switch {
	case bytes.Equal(atFrom, body) && atTo == nil && seen(listed) == from:
		return from
	case bytes.Equal(atTo, body) && atFrom == nil && seen(listed) == to:
		return to
	}
	g.Fatalf("%s: %d bytes at the source, %d at the destination, listed are %q", what, len(atFrom), len(atTo), listed)
	return ""
}

func (g *twoGateways) rename(s *store.Store, b *meta.Bucket, from, to string) error {
	return s.Rename(g.Context(), b, to, store.RenameInput{From: from})
}

func TestRenameIsSeenAsOneChange(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		for name, body := range bodies {
			var b *meta.Bucket
			var moved bool
			g.steps(metafault.Rule{Do: func(context.Context) {
				at := g.one(b, name, "from", "to", body)
				if moved && at == "from" {
					g.Errorf("%s: it was at the destination before", name)
				}
				moved = at == "to"
			}}, func(what string) {
				b, moved = g.bucket(), false
				g.put(b, "from", body, store.EncryptionRequest{Type: store.AlgorithmAES256})
				before, err := g.healthy.Head(g.Context(), b, "from", store.GetInput{})
				assert.NoError(g, err)
				assert.NoError(g, g.rename(g.faulty, b, "from", "to"))
				if at := g.one(b, what, "from", "to", body); at != "to" {
					g.Fatalf("%s: acknowledged, and not done", what)
				}
				after, err := g.healthy.Head(g.Context(), b, "to", store.GetInput{})
				assert.NoError(g, err)
				if after.Version.Modified != before.Version.Modified || after.Version.ETag != before.Version.ETag {
					g.Errorf("%s: the time of modification or the ETag has changed", what)
				}
			})
		}
	})
}

// TestRenameThatDiesIsDoneOrNot kills a rename after each of its steps, and
// then does to either key what a user might.
func TestRenameThatDiesIsDoneOrNot(t *testing.T) {
	next := map[string]func(g *twoGateways, b *meta.Bucket, at string, body []byte){
		"nothing": func(g *twoGateways, b *meta.Bucket, at string, body []byte) {},
		"overwrite the source": func(g *twoGateways, b *meta.Bucket, at string, body []byte) {
			g.put(b, "from", []byte("new"), store.EncryptionRequest{})
			g.want(b, "from", []byte("new"))
			if at == "to" {
				g.want(b, "to", body)
			} else if g.get(b, "to") != nil {
				g.Fatal("a rename that was not made was made by an overwrite")
			}
			g.remove(b, "from")
		},
		"delete the source": func(g *twoGateways, b *meta.Bucket, at string, body []byte) {
			g.remove(b, "from")
			if got := g.get(b, "to"); (at == "to") != (got != nil) {
				g.Fatalf("it was at %q, and after a deletion of the source it is there: %v", at, got != nil)
			}
		},
		"overwrite the destination": func(g *twoGateways, b *meta.Bucket, at string, body []byte) {
			g.put(b, "to", []byte("new"), store.EncryptionRequest{})
			g.want(b, "to", []byte("new"))
			if got := g.get(b, "from"); (at == "from") != (got != nil) {
				g.Fatalf("it was at %q, and after the destination was overwritten the source is there: %v", at, got != nil)
			}
		},
		"delete the destination": func(g *twoGateways, b *meta.Bucket, at string, body []byte) {
			g.remove(b, "to")
			if got := g.get(b, "from"); (at == "from") != (got != nil) {
				g.Fatalf("it was at %q, and after the destination was deleted the source is there: %v", at, got != nil)
			}
		},
		"tag either": func(g *twoGateways, b *meta.Bucket, at string, body []byte) {
			_, _, err := g.healthy.UpdateVersion(g.Context(), b, at, "", func(v *meta.Version) error {
				v.Tags = []meta.Tag{{Key: "a"}}
				return nil
			})
			assert.NoError(g, err)
			g.one(b, "tagged", "from", "to", body)
		},
		"rename on": func(g *twoGateways, b *meta.Bucket, at string, body []byte) {
			assert.NoError(g, g.rename(g.healthy.Store, b, at, "third"))
			g.want(b, "third", body)
			if keys := g.keys(b); !slices.Equal(keys, []string{"third"}) {
				g.Fatalf("renamed on, and there are %q", keys)
			}
		},
		"rename it again": func(g *twoGateways, b *meta.Bucket, at string, body []byte) {
			if at == "from" {
				assert.NoError(g, g.rename(g.healthy.Store, b, "from", "to"))
			} else {
				wantCode(g.T, g.rename(g.healthy.Store, b, "from", "to"), s3err.NoSuchKey)
			}
			g.want(b, "to", body)
		},
		"delete the bucket": func(g *twoGateways, b *meta.Bucket, at string, body []byte) {
			wantCode(g.T, g.healthy.DeleteBucket(g.Context(), b), s3err.BucketNotEmpty)
			g.remove(b, at)
			assert.NoError(g, g.healthy.DeleteBucket(g.Context(), b))
		},
	}
	onEngines(t, func(g *twoGateways) {
		body := bodies["blob"]
		for name, then := range next {
			g.steps(metafault.Rule{Fault: metafault.CrashAfter}, func(what string) {
				b := g.bucket()
				g.put(b, "from", body, store.EncryptionRequest{})
				err := g.rename(g.faulty, b, "from", "to")
				assert.NoError(g, flushed(g.faulty))
				what += ", then " + name
				at := g.one(b, what, "from", "to", body)
				if err == nil && at != "to" {
					g.Fatalf("%s: acknowledged, and not done", what)
				}
				then(g, b, at, body)
				for _, key := range []string{"from", "to", "third"} {
					if name != "delete the bucket" {
						g.remove(b, key)
					}
				}
			})
		}
		g.wantBlobs("at the end", 0)
	})
}

// TestRenameOvertaken does something to either key at each moment of a rename.
func TestRenameOvertaken(t *testing.T) {
	body := bodies["blob"]
	newer := []byte("newer")
	meanwhile := map[string]func(g *twoGateways, b *meta.Bucket){
		"source overwritten":      func(g *twoGateways, b *meta.Bucket) { g.put(b, "from", newer, store.EncryptionRequest{}) },
		"source deleted":          func(g *twoGateways, b *meta.Bucket) { g.remove(b, "from") },
		"destination overwritten": func(g *twoGateways, b *meta.Bucket) { g.put(b, "to", newer, store.EncryptionRequest{}) },
		"destination deleted":     func(g *twoGateways, b *meta.Bucket) { g.remove(b, "to") },
		"collected":               func(g *twoGateways, b *meta.Bucket) { g.collect() },
	}
	onEngines(t, func(g *twoGateways) {
		for name, change := range meanwhile {
			var b *meta.Bucket
			var at string
			g.steps(metafault.Rule{Do: func(context.Context) {
				at = g.one(b, name, "from", "to", body)
				change(g, b)
			}}, func(what string) {
				b, at = g.bucket(), ""
				g.put(b, "from", body, store.EncryptionRequest{})
				err := g.rename(g.faulty, b, "from", "to")
				assert.NoError(g, flushed(g.faulty))
				g.holdsAfter(b, name+" "+what, at, err, body, newer)
				g.remove(b, "from")
				g.remove(b, "to")
			})
		}
		g.wantBlobs("at the end", 0)
	})
}

// holdsAfter holds that the keys are as they must be where, while the body was
// at the key at, something was done to them, and the rename ended with err.
func (g *twoGateways) holdsAfter(b *meta.Bucket, what, at string, err error, body, newer []byte) {
	g.Helper()
	var e *s3err.Error
	if err != nil && !errors.As(err, &e) {
		g.Fatalf("%s: %v", what, err)
	}
	from, to := g.get(b, "from"), g.get(b, "to")
	state := func(v []byte) string {
		switch {
		case v == nil:
			return "-"
		case bytes.Equal(v, body):
			return "body"
		case bytes.Equal(v, newer):
			return "newer"
		}
		return "torn"
	}
	got := state(from) + " " + state(to)
	var want []string
	switch event, _, _ := cutWords(what, 2); {
	case at == "": // the rename was over
		want = []string{"- body"}
	case event == "source overwritten" && at == "from":
		want = []string{"- newer"} // the newer object is what was renamed
	case event == "source overwritten":
		want = []string{"newer body"}
	case event == "source deleted" && at == "from":
		want = []string{"- -"}
		if err == nil {
			g.Fatalf("%s: acknowledged, and nothing was there to rename", what)
		}
	case event == "destination overwritten" && at == "to":
		want = []string{"- newer"}
	case event == "destination deleted" && at == "to":
		want = []string{"- -"}
	default:
		want = []string{"- body"}
		if e != nil && e.Code == s3err.SlowDown { // what it had borrowed was collected
			want = []string{"body -"}
		}
	}
	if !slices.Contains(want, got) {
		g.Fatalf("%s, while it was at %q: ended with %v and %q, want %q", what, at, err, got, want)
	}
}

// cutWords returns the first n words of s.
func cutWords(s string, n int) (first, rest string, ok bool) {
	for i := range s {
		if s[i] == ' ' {
			if n--; n == 0 {
				return s[:i], s[i+1:], true
			}
		}
	}
	return s, "", false
}

func TestRenamesAtTheSameTimeKeepOneObject(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		for name, body := range bodies {
			b := g.bucket()
			keys := []string{"a", "b", "c"}
			g.put(b, "a", body, store.EncryptionRequest{})
			other := g.healthy.Gateway(g.T)
			var failed atomic.Value
			var done atomic.Int64
			race(4, func(i int) {
				s := []*store.Store{g.healthy.Store, other}[i%2]
				for n := range 10 {
					err := g.rename(s, b, keys[(i+n)%3], keys[(i+n+1+n%2)%3])
					var e *s3err.Error
					switch {
					case err == nil:
						done.Add(1)
					case !errors.As(err, &e) || e.Code != s3err.NoSuchKey && e.Code != s3err.OperationAborted:
						failed.Store(err)
					}
				}
			})
			assert.NoError(g, other.Flush(g.Context()))
			if err := failed.Load(); err != nil {
				g.Fatal(err)
			}
			if done.Load() == 0 {
				g.Errorf("%s: no rename was made", name)
			}
			listed := g.keys(b)
			if len(listed) != 1 {
				g.Fatalf("%s: after %d renames of one object there are %q", name, done.Load(), listed)
			}
			g.want(b, listed[0], body)
			g.remove(b, listed[0])
		}
		g.wantBlobs("at the end", 0)
	})
}

func TestRenameSaidAgainIsDoneOnce(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		g.put(b, "from", []byte("first"), store.EncryptionRequest{})
		in := store.RenameInput{From: "from", Token: "t-1"}
		for range 2 {
			assert.NoError(g, g.healthy.Rename(g.Context(), b, "to", in))
		}
		g.want(b, "to", []byte("first"))
		in.Token = "t-2"
		wantCode(g.T, g.healthy.Rename(g.Context(), b, "to", in), s3err.NoSuchKey)
	})
}
