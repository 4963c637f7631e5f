package check

import (
	"bytes"
	"testing"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/storetest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metatest"
	"github.com/pithos/pithos/store"
)

// rewrite commits a change to a key that says of it what want makes of the
// truth: that is how listings go wrong.
func (w *fixture) rewrite(b *meta.Bucket, key string, want func(c *meta.Change)) {
	w.Helper()
	h := w.head(b, key)
	c := meta.Change{IfRev: h.Rev, Rev: meta.NextRev(h.Rev, w.Clock.Now()), ID: meta.NewID(), NullSeq: h.NullSeq, History: len(h.Versions) > 1, RemovesKey: len(h.Versions) == 0}
	if v := h.Current(); v != nil && !v.DeleteMarker {
		c.Entry = meta.EntryOf(key, v)
	}
	want(&c)
	p, err := w.Meta.Begin(w.Context(), b.ID, key, c.Rev, c.History)
	assert.NoError(w, err)
	assert.NoError(w, p.Commit(w.Context(), c))
	assert.NoError(w, w.Meta.Flush(w.Context()))
}

// stray stores a blob that nothing refers to.
func (w *fixture) stray(n int) {
	w.Helper()
	bw, err := w.blobs.Create(w.Context(), blob.NewID())
	assert.NoError(w, err)
	_, err = bw.Write(body("stray", n))
	assert.NoError(w, err)
	_, err = bw.Commit()
	assert.NoError(w, err)
}

func (w *fixture) unblob(seg meta.Segment) {
	w.Helper()
	assert.NoError(w, w.blobs.Delete(w.Context(), seg.Blob))
}

func TestACleanStoreHasNoFindings(t *testing.T) {
	engines(t, func(w *fixture) {
		b, v := w.bucket("plain", ""), w.bucket("versioned", store.VersioningEnabled)
		for _, n := range []int{0, tiny, small, large} {
			w.put(b, string(rune('a'+n%7)), n)
			for range 3 {
				w.put(v, "k", n)
			}
		}
		_, err := w.Store.Delete(w.Context(), v, "k", store.DeleteInput{})
		assert.NoError(w, err)
		_, err = w.Store.Copy(w.Context(), b, "copied", store.CopyInput{Source: v, SourceKey: "k", SourceVersion: store.VersionID(v, &w.head(v, "k").Versions[1]), Attributes: store.Attributes{Owner: "owner"}})
		assert.NoError(w, err)
		w.upload(b, "under way")
		u := w.upload(b, "done")
		p := w.part(b, u, 2)
		_, err = w.Store.CompleteUpload(w.Context(), b, u.Key, store.CompleteInput{UploadID: u.ID.String(), Parts: []store.CompletedPart{{Number: 2, ETag: p.ETag}}})
		assert.NoError(w, err)
		_, err = w.Store.Put(w.Context(), b, "sealed", store.PutInput{Body: bytes.NewReader(body("x", large)), Size: large,
			Attributes: store.Attributes{Owner: "owner", Encryption: store.EncryptionRequest{Type: store.AlgorithmAES256}}})
		assert.NoError(w, err)
		assert.NoError(w, w.Store.Flush(w.Context()))
		for _, o := range []Options{{Deep: true}, {Deep: true, Exclusive: true}, {Bucket: "versioned", Deep: true}, {Repair: true, Deep: true}} {
			found, summary := w.checked(o)
			w.expect("clean", found)
			if summary.Verified < large || summary.Versions == 0 || summary.Listed == 0 && o.Bucket == "" {
				w.Errorf("%+v: looked at %+v", o, summary)
			}
		}
	})
}

// Keys of every character, as bounds of the parts that are compared.
func TestKeysOfEveryCharacterAreChecked(t *testing.T) {
	defer func(was int) { rangeKeys = was }(rangeKeys)
	rangeKeys = 1
	engines(t, func(w *fixture) {
		b, v := w.bucket("plain", ""), w.bucket("versioned", store.VersioningEnabled)
		var wrong []string
		for i, c := range metatest.Characters() {
			key := "p" + string(c)
			w.put(b, string(c)+"\U0010ffff", tiny)
			w.put(b, key, tiny)
			w.put(v, key, tiny)
			if i%4 == 0 {
				w.put(v, key, tiny)
				w.rewrite(b, key, func(c *meta.Change) { c.Entry.Size++ })
				wrong = append(wrong, "mismatched plain/"+key+": it is listed as…")
			}
			if i%4 == 1 {
				w.upload(b, key)
			}
		}
		w.expect("check", w.check(Options{Deep: true}), wrong...)
		w.check(Options{Repair: true})
		w.expect("after the repair", w.check(Options{Deep: true, Exclusive: true}))
	})
}

func TestSeededDamageIsFoundNamedAndRepaired(t *testing.T) {
	engines(t, func(w *fixture) {
		b, v := w.bucket("plain", ""), w.bucket("versioned", store.VersioningEnabled)
		for _, key := range []string{"fine", "hidden", "deleted", "wrong"} {
			w.put(b, key, small)
		}
		w.unblob(w.put(b, "lost", small).Segments[0])
		w.unblob(w.put(b, "lost large", large).Segments[0])
		w.engine.flip(w, blob.ID(w.put(b, "flipped", large).Segments[0].Blob))
		w.put(v, "old", tiny)
		w.put(v, "old", tiny)
		w.unblob(w.put(v, "under", small).Segments[0])
		w.put(v, "under", tiny)
		w.stray(small)
		w.stray(large)
		u := w.upload(b, "upload")
		parts, err := w.Meta.Parts(w.Context(), u.ID, 0, 10)
		assert.NoError(w, err)
		w.unblob(parts[0].Segments[0])

		w.rewrite(b, "hidden", func(c *meta.Change) { c.Entry = nil })
		w.rewrite(b, "wrong", func(c *meta.Change) { c.Entry.Size++ })
		w.engine.dropHistory(w, v, "old")
		w.engine.addEntry(w, b, meta.EntryOf("phantom", &meta.Version{Seq: 1, Size: 5, ETag: "e"}))
		w.strayRecord(b)

		// Findings that cannot be repaired, and those that a repair removes.
		lost := []string{
			"missing plain/lost:… bytes are missing", "missing plain/lost large:… bytes are missing",
			"missing plain/upload part 1:… bytes are missing",
			"missing versioned/under " + store.VersionID(v, &w.head(v, "under").Versions[1]) + ":… bytes are missing",
		}
		flipped := "corrupt plain/flipped:…"
		found := w.check(Options{Deep: true})
		w.expect("check", found, append(append(lost, flipped),
			"leftover plain/fine:…is recorded (",
			"mismatched plain/hidden: the object exists, and is not listed", "mismatched plain/wrong: it is listed as…",
			"mismatched plain/phantom: it is listed, and the object does not exist",
			"mismatched versioned/old: it has more versions than are listed",
			"unreferenced /: nothing refers to 10240 bytes", "unreferenced /: nothing refers to 307200 bytes")...)

		found = w.check(Options{Deep: true, Repair: true, Exclusive: true})
		w.expect("repair", found, append(append(lost, flipped),
			"leftover plain/fine:…(repaired)",
			"mismatched plain/hidden:…(repaired)", "mismatched plain/wrong:…(repaired)",
			"mismatched plain/phantom:…(repaired)",
			"mismatched versioned/old:…(repaired)",
			"unreferenced /: nothing refers to 10240 bytes (repaired)", "unreferenced /: nothing refers to 307200 bytes (repaired)")...)

		w.Clock.Advance(2 * storetest.Grace)
		_, err = w.Store.Collect(w.Context())
		assert.NoError(w, err)
		w.expect("after the repair", w.check(Options{Deep: true}), append(lost, flipped)...)
		w.expect("of one bucket", w.check(Options{Bucket: "versioned"}), lost[3])

		for _, key := range []string{"lost", "lost large", "flipped"} {
			_, err := w.Store.Delete(w.Context(), b, key, store.DeleteInput{})
			assert.NoError(w, err)
		}
		_, err = w.Store.Delete(w.Context(), v, "under", store.DeleteInput{VersionID: store.VersionID(v, &w.head(v, "under").Versions[1])})
		assert.NoError(w, err)
		assert.NoError(w, w.Store.AbortUpload(w.Context(), b, "upload", u.ID.String()))
		assert.NoError(w, w.Store.Flush(w.Context()))
		w.expect("once the lost ones are deleted", w.check(Options{Deep: true}))
	})
}

// strayRecord records a reference to a shared blob that no key has.
func (w *fixture) strayRecord(b *meta.Bucket) {
	w.Helper()
	seg := w.head(b, "fine").Current().Segments[0]
	queued := meta.QueuedBlob{Store: seg.Store, Blob: seg.Blob, Bucket: b.ID, Key: "fine", Ref: meta.NewID()}
	e := meta.QueueEntry{Due: w.Clock.Now().UTC(), Entry: meta.NewID(), Kind: meta.QueueFresh, Blob: queued}
	home := queued
	home.Ref = meta.ID{}
	assert.NoError(w, w.Meta.Enqueue(w.Context(), e))
	assert.NoError(w, w.Meta.AddReferences(w.Context(), []meta.QueueEntry{e}, []meta.QueuedBlob{home}))
	assert.NoError(w, w.Meta.Drop(w.Context(), e))
}
