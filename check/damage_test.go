package check

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metatest"
	"github.com/pithos/pithos/store"
)

// rewrite commits a change to a key that says of it what want makes of the
// truth: that is how listings go wrong.
func (w *world) rewrite(b *meta.Bucket, key string, want func(c *meta.Change)) {
	w.Helper()
	h := w.head(b, key)
	c := meta.Change{IfRev: h.Rev, Rev: meta.NextRev(h.Rev, w.now()), ID: meta.NewID(), NullSeq: h.NullSeq, History: len(h.Versions) > 1, RemovesKey: len(h.Versions) == 0}
	if v := h.Current(); v != nil && !v.DeleteMarker {
		c.Entry = meta.EntryOf(key, v)
	}
	want(&c)
	p, err := w.meta.Begin(w.Context(), b.ID, key, c.Rev, c.History)
	w.ok(err)
	w.ok(p.Commit(w.Context(), c))
	w.ok(w.meta.Flush(w.Context()))
}

// unhistory makes listings take a key's current version for its only one.
func (w *world) unhistory(b *meta.Bucket, key string) {
	w.Helper()
	w.rewrite(b, key, func(c *meta.Change) { c.History = false })
	if w.session != nil {
		w.ok(w.session.Query("DELETE FROM "+w.keyspace+".listing USING TIMESTAMP ? WHERE bucket_id = ? AND shard_id = ? AND kind = 1 AND key = ?",
			w.now().UnixMicro(), b.ID[:], make([]byte, 16), key).Exec())
	}
}

// phantom lists a key that does not exist.
func (w *world) phantom(b *meta.Bucket, key string) {
	w.Helper()
	entry := meta.EntryOf(key, &meta.Version{Seq: 1, Size: 5, ETag: "e"})
	if w.session != nil {
		w.rewrite(b, key, func(c *meta.Change) { c.Entry = entry })
		return
	}
	row, err := meta.Marshal(entry)
	w.ok(err)
	w.close()
	db, err := pebble.Open(filepath.Join(w.dir, "meta"), &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	w.ok(err)
	w.ok(db.Set(append(append([]byte{'c'}, b.ID[:]...), key...), row, pebble.Sync))
	w.ok(db.Close())
	w.open()
}

// flip changes a byte of a stored blob.
func (w *world) flip(seg meta.Segment) {
	w.Helper()
	id := seg.Blob
	if w.session != nil {
		var data []byte
		w.ok(w.session.Query("SELECT data FROM "+w.keyspace+".chunk WHERE blob_id = ? AND block = 0 AND chunk = 0", id[:]).Scan(&data))
		data[len(data)/2] ^= 1
		w.ok(w.session.Query("UPDATE "+w.keyspace+".chunk USING TIMESTAMP 5 SET data = ? WHERE blob_id = ? AND block = 0 AND chunk = 0", data, id[:]).Exec())
		return
	}
	path := filepath.Join(w.dir, "blobs", "large", id.String()[:2], id.String())
	data, err := os.ReadFile(path)
	w.ok(err)
	data[len(data)/2] ^= 1
	w.ok(os.WriteFile(path, data, 0o600))
}

// stray stores a blob that nothing refers to.
func (w *world) stray(n int) {
	w.Helper()
	bw, err := w.blobs.Create(w.Context(), blob.NewID())
	w.ok(err)
	_, err = bw.Write(body("stray", n))
	w.ok(err)
	_, err = bw.Commit()
	w.ok(err)
}

func (w *world) unblob(seg meta.Segment) {
	w.Helper()
	w.ok(w.blobs.Delete(w.Context(), seg.Blob))
}

func TestACleanStoreHasNoFindings(t *testing.T) {
	engines(t, func(w *world) {
		b, v := w.bucket("plain", ""), w.bucket("versioned", store.VersioningEnabled)
		for _, n := range []int{0, tiny, small, large} {
			w.put(b, string(rune('a'+n%7)), n)
			for range 3 {
				w.put(v, "k", n)
			}
		}
		_, err := w.store.Delete(w.Context(), v, "k", store.DeleteInput{})
		w.ok(err)
		_, err = w.store.Copy(w.Context(), b, "copied", store.CopyInput{Source: v, SourceKey: "k", SourceVersion: store.VersionID(v, &w.head(v, "k").Versions[1]), Attributes: store.Attributes{Owner: "owner"}})
		w.ok(err)
		w.upload(b, "under way")
		u := w.upload(b, "done")
		p := w.part(b, u, 2)
		_, err = w.store.CompleteUpload(w.Context(), b, u.Key, store.CompleteInput{UploadID: u.ID.String(), Parts: []store.CompletedPart{{Number: 2, ETag: p.ETag}}})
		w.ok(err)
		_, err = w.store.Put(w.Context(), b, "sealed", store.PutInput{Body: bytes.NewReader(body("x", large)), Size: large,
			Attributes: store.Attributes{Owner: "owner", Encryption: store.EncryptionRequest{Type: store.AlgorithmAES256}}})
		w.ok(err)
		w.ok(w.store.Flush(w.Context()))
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
	engines(t, func(w *world) {
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
	engines(t, func(w *world) {
		b, v := w.bucket("plain", ""), w.bucket("versioned", store.VersioningEnabled)
		for _, key := range []string{"fine", "hidden", "deleted", "wrong"} {
			w.put(b, key, small)
		}
		w.unblob(w.put(b, "lost", small).Segments[0])
		w.unblob(w.put(b, "lost large", large).Segments[0])
		w.flip(w.put(b, "flipped", large).Segments[0])
		w.put(v, "old", tiny)
		w.put(v, "old", tiny)
		w.unblob(w.put(v, "under", small).Segments[0])
		w.put(v, "under", tiny)
		w.stray(small)
		w.stray(large)
		u := w.upload(b, "upload")
		parts, err := w.meta.Parts(w.Context(), u.ID, 0, 10)
		w.ok(err)
		w.unblob(parts[0].Segments[0])

		w.rewrite(b, "hidden", func(c *meta.Change) { c.Entry = nil })
		w.rewrite(b, "wrong", func(c *meta.Change) { c.Entry.Size++ })
		w.unhistory(v, "old")
		w.phantom(b, "phantom")
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

		w.later(2 * grace)
		_, err = w.store.Collect(w.Context())
		w.ok(err)
		w.expect("after the repair", w.check(Options{Deep: true}), append(lost, flipped)...)
		w.expect("of one bucket", w.check(Options{Bucket: "versioned"}), lost[3])

		for _, key := range []string{"lost", "lost large", "flipped"} {
			_, err := w.store.Delete(w.Context(), b, key, store.DeleteInput{})
			w.ok(err)
		}
		_, err = w.store.Delete(w.Context(), v, "under", store.DeleteInput{VersionID: store.VersionID(v, &w.head(v, "under").Versions[1])})
		w.ok(err)
		w.ok(w.store.AbortUpload(w.Context(), b, "upload", u.ID.String()))
		w.ok(w.store.Flush(w.Context()))
		w.expect("once the lost ones are deleted", w.check(Options{Deep: true}))
	})
}

// strayRecord records a reference to a shared blob that no key has.
func (w *world) strayRecord(b *meta.Bucket) {
	w.Helper()
	seg := w.head(b, "fine").Current().Segments[0]
	queued := meta.QueuedBlob{Store: seg.Store, Blob: seg.Blob, Bucket: b.ID, Key: "fine", Ref: meta.NewID()}
	e := meta.QueueEntry{Due: w.now().UTC(), Entry: meta.NewID(), Kind: meta.QueueFresh, Blob: queued}
	home := queued
	home.Ref = meta.ID{}
	w.ok(w.meta.Enqueue(w.Context(), e))
	w.ok(w.meta.AddReferences(w.Context(), []meta.QueueEntry{e}, []meta.QueuedBlob{home}))
	w.ok(w.meta.Drop(w.Context(), e))
}

// forgetReference loses the record of a reference, and leaves no tombstone
// that outlives rows that are written again.
func (w *world) forgetReference(seg meta.Segment) {
	w.Helper()
	if w.session != nil {
		var home []byte
		none := make([]byte, 16)
		w.ok(w.session.Query("SELECT doc FROM "+w.keyspace+".blob_ref WHERE blob_id = ? AND ref = ?", seg.Blob[:], none).Scan(&home))
		w.ok(w.session.Query("TRUNCATE " + w.keyspace + ".blob_ref").Exec())
		w.ok(w.session.Query("INSERT INTO "+w.keyspace+".blob_ref (blob_id, ref, doc) VALUES (?, ?, ?) USING TIMESTAMP 1", seg.Blob[:], none, home).Exec())
		return
	}
	w.ok(w.meta.RemoveReference(w.Context(), meta.QueuedBlob{Blob: seg.Blob, Ref: seg.Ref}))
}
