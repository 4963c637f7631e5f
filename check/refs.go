package check

import (
	"encoding/binary"
	"fmt"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/meta"
)

// The key of a reference's row is r, blob, kind, and what identifies a reference of
// that kind: the key's bucket, Seq and name; the upload and the part's number; the
// queue entry; the recorded Ref.
const (
	refVersion  = 'v'
	refPart     = 'p'
	refQueued   = 'q'
	refRecorded = 'r'
)

// ref is one reference to a blob, or the queue entry or record of one.
type ref struct {
	Kind byte    `cbor:"1,keyasint"`
	Blob meta.ID `cbor:"2,keyasint"`
	// Store is the name of the blob store.
	Store  string        `cbor:"3,keyasint,omitempty"`
	Bucket meta.BucketID `cbor:"4,keyasint"`
	Key    string        `cbor:"5,keyasint,omitempty"`
	Seq    int64         `cbor:"6,keyasint,omitempty"`
	Upload meta.UploadID `cbor:"7,keyasint,omitzero"`
	Part   int           `cbor:"8,keyasint,omitempty"`
	// Ref is that of a shared blob.
	Ref   meta.ID `cbor:"9,keyasint,omitzero"`
	Bytes int64   `cbor:"10,keyasint,omitempty"`
	Chunk int32   `cbor:"11,keyasint,omitempty"`
	Block int32   `cbor:"12,keyasint,omitempty"`
	Null  bool    `cbor:"13,keyasint,omitempty"` // the version is shown as "null"
}

// blobRef is the reference to read the blob with.
func (r *ref) blobRef() blob.Ref {
	return blob.Ref{ID: r.Blob, Size: r.Bytes, Chunk: r.Chunk, Block: r.Block}
}

// queued is the reference in the form of records and queue entries.
func (r *ref) queued() meta.QueuedBlob {
	return meta.QueuedBlob{Store: r.Store, Blob: r.Blob, Bucket: r.Bucket, Key: r.Key, Upload: r.Upload, Ref: r.Ref}
}

func segmentRef(kind byte, bucket meta.BucketID, key string, s *meta.Segment) ref {
	return ref{Kind: kind, Blob: s.Blob, Store: s.Store, Bucket: bucket, Key: key, Ref: s.Ref, Bytes: s.Bytes, Chunk: s.Chunk, Block: s.Block}
}

func queuedRef(kind byte, b *meta.QueuedBlob) ref {
	return ref{Kind: kind, Blob: b.Blob, Store: b.Store, Bucket: b.Bucket, Key: b.Key, Upload: b.Upload, Ref: b.Ref}
}

// note stores a reference's row under a name that identifies it.
func (r *ref) note(k *sink, name []byte) error {
	row, err := meta.Marshal(r)
	if err != nil {
		return err
	}
	key := append(blobKey(tableRef, r.Blob), r.Kind)
	return k.put(append(key, name...), row)
}

// storedKey is the key of the row of a block of a blob in a store.
func storedKey(id blob.ID, store, block int) []byte {
	key := binary.BigEndian.AppendUint16(blobKey(tableBlob, id), uint16(store))
	return binary.BigEndian.AppendUint32(key, uint32(block))
}

func (c *checker) noteQueued(k *sink, e meta.QueueEntry) error {
	r := queuedRef(refQueued, &e.Blob)
	return r.note(k, e.Entry[:])
}

func (c *checker) noteRecorded(k *sink, b meta.QueuedBlob) error {
	r := queuedRef(refRecorded, &b)
	return r.note(k, b.Ref[:])
}

func (c *checker) notePart(k *sink, u meta.Upload, p meta.Part) error {
	if !c.concerns(u.Bucket) {
		return nil
	}
	for i := range p.Segments {
		if p.Segments[i].Blob == (meta.ID{}) {
			continue // inline
		}
		r := segmentRef(refPart, u.Bucket, u.Key, &p.Segments[i])
		r.Upload, r.Part = u.ID, p.Number
		if err := r.note(k, binary.BigEndian.AppendUint32(u.ID[:], uint32(p.Number))); err != nil {
			return err
		}
	}
	return nil
}

// noteVersion stores the references of a version, and reports a version whose size
// and segments differ.
func (c *checker) noteVersion(k *sink, v *meta.VersionRow) error {
	var size int64
	for i := range v.Segments {
		s := &v.Segments[i]
		size += s.Size
		if s.Blob == (meta.ID{}) {
			continue // inline
		}
		r := segmentRef(refVersion, v.Bucket, v.Key, s)
		r.Seq, r.Null = v.Seq, v.Null
		name := binary.BigEndian.AppendUint64(append([]byte{}, v.Bucket[:]...), uint64(v.Seq))
		if err := r.note(k, append(append(name, s.Ref[:]...), v.Key...)); err != nil {
			return err
		}
	}
	if size == v.Size || v.DeleteMarker {
		return nil
	}
	f := c.about(Mismatched, v.Bucket, v.Key)
	f.Version = c.versionID(v.Bucket, &v.Version)
	f.Detail = fmt.Sprintf("the version has %d bytes, its segments have %d", v.Size, size)
	f.Advice = "the row of the version is damaged: restore the object, or delete the version"
	return c.found(f)
}
