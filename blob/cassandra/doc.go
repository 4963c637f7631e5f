// Package cassandra keeps blobs in a Cassandra table.
//
//	chunk(blob_id blob, block int, chunk int, sum bigint, data blob,
//	      PRIMARY KEY ((blob_id, block), chunk))
//
// A blob is cut into chunks of Options.ChunkBytes (the last may be shorter),
// and Options.BlockChunks of them share a partition. Both numbers are recorded
// in the [blob.Ref], so that they may change between runs. An empty blob has no
// row.
//
// # Checksums
//
// sum has the chunk's length in its upper 32 bits, so that [Store.Walk] learns
// sizes without reading data, and in its lower 32 the CRC32C of the data, the
// blob's ID and the chunk's number: a chunk in the wrong place is noticed.
//
// # Consistency
//
// Chunks are written at the session's consistency (a quorum) and read at
// Options.ReadConsistency (one replica), which is safe since they never change:
//
//   - A chunk that one replica does not have is read at the session's
//     consistency. If that has none either, it is not there.
//   - A chunk with a wrong checksum is read from one replica twice more, which
//     may be others, then at the session's consistency, and at last from each
//     replica by itself: among equal timestamps a quorum read prefers the larger
//     value, not the right one. For the same reason the table should have
//     read_repair = 'NONE'.
//   - Where a good copy was found beside a wrong one it is written anew, at a
//     timestamp above the wrong one's: the chunk is healed. [Store.Verify] looks
//     at every copy, and also fills in those that are missing.
//
// # Timestamps
//
// Every chunk is written USING TIMESTAMP 1, written anew at one that is higher
// by one each time, and deleted at one that is higher than any. An ID is
// written once, so no clock is needed to tell which came last, and the row of a
// writer that was slow, or whose clock is ahead, cannot outlive a delete.
//
// # Memory
//
// A writer holds Options.Window+1 chunks, and gocql a copy of each chunk that
// is on its way: 2*Window+1. A reader holds Options.ReadAhead+1, in the memory
// that gocql has received them in.
package cassandra
