// Package file stores blobs in a directory of the local file system. It is the
// blob store of the embedded engine.
//
//	<dir>/format       the version of this layout; directories without it have version 1
//	<dir>/small/       a Pebble database with the blobs up to Options.SmallBytes
//	<dir>/large/ab/ID  one file a larger blob, by the first two digits of its ID
//	<dir>/tmp/ID       large blobs that are still being written
//
// # Durability
//
// Commit returns once the blob is on disk. Small blobs go through Pebble's
// write-ahead log, whose group commit lets many writers share one fsync. A
// large blob is written to tmp, fsync'd and renamed; then its directory is
// fsync'd, once for all renames that wait for it. The next [Open] removes the
// files that a crash leaves in tmp.
//
// # Format
//
// A blob is stored as an image: chunks of 128 KiB (the last one may be
// shorter), each followed by four bytes, big endian: the CRC32C of the chunk's
// bytes, the blob's ID and the chunk's number (eight bytes, big endian). So a
// reader detects a chunk that was swapped with another one as well as a flipped
// bit, and computes the offset of a chunk from its number. The image of a small
// blob is a value in Pebble under the blob's ID, that of a large one is the
// file. An empty blob has an empty image and is not stored.
//
// # Memory
//
// A writer has a buffer that grows with the blob from 4 KiB to at most the
// larger of 256 KiB and Options.SmallBytes; a reader of a large blob has one
// chunk, that of a small blob the chunks it was asked for and one more. The
// buffers are pooled. Pebble uses Options.CacheBytes and up to four times
// Options.MemTableBytes.
//
// # A full disk
//
// Pebble ends the process when it cannot write its log. So the store refuses
// writes with [blob.ErrFull] while less than Options.ReserveBytes are free;
// blobs can still be read and deleted.
package file
