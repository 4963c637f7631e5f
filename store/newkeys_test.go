package store_test

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/store"
)

func TestAKeyTakenForNewIsWrittenAsAnyOther(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		body := func(version, size int) []byte { return bytes.Repeat([]byte{byte(version)}, size) }
		const large = 2 << 20
		g.put(b, "over", body(1, large), store.EncryptionRequest{})
		g.put(b, "removed", body(1, 10), store.EncryptionRequest{})
		g.remove(b, "removed")
		among := func(turn string) {
			for i := range 40 { // more than it takes to guess
				g.put(b, fmt.Sprintf("new/%s/%02d", turn, i), body(0, 10), store.EncryptionRequest{})
			}
		}
		among("a")
		g.put(b, "over", body(2, large), store.EncryptionRequest{})
		g.want(b, "over", body(2, large))
		among("b")
		g.put(b, "removed", body(2, 10), store.EncryptionRequest{})
		g.want(b, "removed", body(2, 10))
		among("c")
		g.collect()
		g.wantBlobs("each version but the last is collected", 1)

		// One of several that come at once is the newest.
		var all errgroup.Group
		for i := range 4 {
			all.Go(func() error {
				_, err := g.healthy.Put(g.Context(), b, "race", store.PutInput{Body: bytes.NewReader(body(i, large)), Size: large})
				return err
			})
		}
		assert.NoError(g, all.Wait())
		if got := g.get(b, "race"); len(got) != large || !bytes.Equal(got, body(int(got[0]), large)) {
			g.Errorf("%d bytes, from %v", len(got), got[:min(4, len(got))])
		}
		g.collect()
		g.wantBlobs("of those that raced one is left", 2)
		if keys := g.keys(b); len(keys) != 3*40+3 {
			g.Errorf("%d keys are listed", len(keys))
		}
	})
}
