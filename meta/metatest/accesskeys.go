package metatest

import (
	"context"
	"strings"
	"testing"

	"github.com/pithos/pithos/meta"
)

// RunAccessKeys tests the access keys that open returns, one named subtest for
// each sentence of the contract.
func RunAccessKeys(t *testing.T, open func(t testing.TB) meta.AccessKeys) {
	keys := open(t)
	for _, c := range accessKeyContracts {
		t.Run("AccessKeys/"+c.name, func(t *testing.T) {
			c.test(&suite{T: t, ctx: t.Context()}, keys)
		})
	}
}

var accessKeyContracts = []struct {
	name string
	test func(*suite, meta.AccessKeys)
}{
	{"KeepsEveryFieldAndReplaces", func(s *suite, keys meta.AccessKeys) {
		k := full[meta.AccessKey]()
		k.ID = "AK" + meta.NewID().String()
		s.ok(keys.PutAccessKey(s.ctx, k))
		s.Cleanup(func() { _ = keys.DeleteAccessKey(context.Background(), k.ID) })
		got, err := keys.AccessKey(s.ctx, k.ID)
		s.ok(err)
		s.equal("access key", got, k)
		k = meta.AccessKey{ID: k.ID, Secret: []byte{0, 255, 1}, Tenant: "other", Created: 5}
		s.ok(keys.PutAccessKey(s.ctx, k))
		got, err = keys.AccessKey(s.ctx, k.ID)
		s.ok(err)
		s.equal("replaced access key", got, k)
	}},
	{"ListIsOrderedByID", func(s *suite, keys meta.AccessKeys) {
		prefix := "AK" + meta.NewID().String()
		for _, end := range []string{"c", "a", "B"} {
			s.ok(keys.PutAccessKey(s.ctx, meta.AccessKey{ID: prefix + end, Secret: []byte("s"), Tenant: "t"}))
			s.Cleanup(func() { _ = keys.DeleteAccessKey(context.Background(), prefix+end) })
		}
		all, err := keys.ListAccessKeys(s.ctx)
		s.ok(err)
		var ids []string
		for _, k := range all {
			if strings.HasPrefix(k.ID, prefix) {
				ids = append(ids, k.ID[len(prefix):])
			}
		}
		s.equal("order", ids, []string{"B", "a", "c"})
	}},
	{"NotFound", func(s *suite, keys meta.AccessKeys) {
		id := "AK" + meta.NewID().String()
		_, err := keys.AccessKey(s.ctx, id)
		s.is(err, meta.ErrNotFound)
		s.is(keys.DeleteAccessKey(s.ctx, id), meta.ErrNotFound)
		s.ok(keys.PutAccessKey(s.ctx, meta.AccessKey{ID: id, Secret: []byte("s"), Tenant: "t"}))
		s.ok(keys.DeleteAccessKey(s.ctx, id))
		_, err = keys.AccessKey(s.ctx, id)
		s.is(err, meta.ErrNotFound)
	}},
	{"IDsThatAreNotUTF8AreRefused", func(s *suite, keys meta.AccessKeys) {
		for _, bad := range badTexts {
			s.is(keys.PutAccessKey(s.ctx, meta.AccessKey{ID: bad, Tenant: "t"}), meta.ErrBadText)
			_, err := keys.AccessKey(s.ctx, bad)
			s.is(err, meta.ErrNotFound)
		}
	}},
}
