package embedded

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/pithos/pithos/meta"
)

// The rows, by the first byte of their keys. Object keys sort by their UTF-8
// bytes: they are raw at the end of a row's key, else escaped and followed by
// 0x00 0x01.
//
//	m format                           the version of this layout
//	m floor                            see the package comment
//	b name                             a bucket
//	i id                               a bucket's state
//	o escaped owner, name              an owner's bucket
//	h bucket, key                      the head of a key that has versions
//	g bucket, key                      the revision of a key that has none
//	v bucket, escaped key, ^seq        a version
//	p bucket, escaped key, ^seq        its payload, separate so that lists of versions do not load it
//	s bucket, escaped key, ^seq, page  some of its segments, where it has many
//	c bucket, key                      the listing entry of a key with a visible current version
//	u id                               an upload
//	l bucket, escaped key, id          an open upload
//	f time, id                         an upload to drop at that time
//	t upload, number                   a part
//	q due, entry                       a queue entry
//	a id                               an access key
//	r blob, ref                        a reference to a blob that several keys refer to
//	k id                               a hold of a backup
//	j escaped job, shard               a lease of a background job
const (
	formatKey = "mformat"
	floorKey  = "mfloor"

	tableBucket  = 'b'
	tableState   = 'i'
	tableOwner   = 'o'
	tableHead    = 'h'
	tableGone    = 'g'
	tableVersion = 'v'
	tablePayload = 'p'
	tablePages   = 's'
	tableCurrent = 'c'
	tableUpload  = 'u'
	tableOpen    = 'l'
	tableForget  = 'f'
	tablePart    = 't'
	tableQueue   = 'q'
	tableAccess  = 'a'

	tableReference = 'r'
	tableHold      = 'k'
	tableLease     = 'j'
)

const idLen = len(meta.ID{})

// rowKey is the key of a row that ends with a string.
func rowKey(table byte, id meta.ID, key string) []byte {
	b := make([]byte, 0, 1+idLen+len(key))
	b = append(b, table)
	b = append(b, id[:]...)
	return append(b, key...)
}

// nameKey is the key of a row named by a string alone.
func nameKey(table byte, name string) []byte {
	return append([]byte{table}, name...)
}

// idKey is the key of a row named by an id alone.
func idKey(table byte, id meta.ID) []byte {
	return append([]byte{table}, id[:]...)
}

// escaped appends s in a form whose order does not depend on what follows.
func escaped(b []byte, s string) []byte {
	for i := range len(s) {
		if b = append(b, s[i]); s[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0, 1)
}

// keyPrefix is the prefix of the rows of a key, if more follows the key.
func keyPrefix(table byte, id meta.ID, key string) []byte {
	return escaped(rowKey(table, id, ""), key)
}

// withSeq completes the key of a version, so that a later Seq sorts first.
func withSeq(prefix []byte, seq int64) []byte {
	return binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], ^(uint64(seq) ^ 1<<63))
}

func seqOf(key []byte) int64 {
	return int64(^binary.BigEndian.Uint64(key[len(key)-8:]) ^ 1<<63)
}

func versionKey(id meta.ID, key string, seq int64) []byte {
	return withSeq(keyPrefix(tableVersion, id, key), seq)
}

func payloadKey(id meta.ID, key string, seq int64) []byte {
	return withSeq(keyPrefix(tablePayload, id, key), seq)
}

// pagesKey is what the keys of a version's pages begin with.
func pagesKey(id meta.ID, key string, seq int64) []byte {
	return withSeq(keyPrefix(tablePages, id, key), seq)
}

// pageKey is the key of a page: prefix is what pagesKey returns.
func pageKey(prefix []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(prefix[:len(prefix):len(prefix)], uint32(n))
}

// timeKey is the key of a row ordered by a time, to the microsecond.
func timeKey(table byte, t time.Time, id meta.ID) []byte {
	b := binary.BigEndian.AppendUint64([]byte{table}, uint64(t.UnixMicro())^1<<63)
	return append(b, id[:]...)
}

func timeOf(key []byte) (time.Time, meta.ID) {
	us := int64(binary.BigEndian.Uint64(key[1:]) ^ 1<<63)
	return time.UnixMicro(us).UTC(), meta.ID(key[9:])
}

// after returns the first key that sorts after all keys with prefix; nil if there
// is none.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// keyRange returns the bounds of the rows of a table for the keys of a bucket
// from from on and before to, or to the end if to is "".
func keyRange(table byte, id meta.ID, from, to string) (lo, hi []byte) {
	lo = rowKey(table, id, from)
	if to == "" {
		return lo, after(rowKey(table, id, ""))
	}
	return lo, rowKey(table, id, to)
}
