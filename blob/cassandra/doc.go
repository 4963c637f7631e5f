// Package cassandra stores blobs in a Cassandra table.
//
//	chunk(blob_id blob, block int, chunk int, sum bigint, data blob,
//	      PRIMARY KEY ((blob_id, block), chunk))
//
// A blob is cut into chunks of Options.ChunkBytes (the last may be shorter),
// and Options.BlockChunks of them share a partition. Both numbers are in the
// [blob.Ref], so they may change between runs. An empty blob has no row.
//
// # Checksums
//
// sum has the chunk's length in its upper 32 bits, so that [Store.Walk] learns
// sizes without reading data, and in its lower 32 the CRC32C of the data, the
// blob's ID and the chunk's number, which detects a chunk in the wrong row.
//
// # Consistency
//
// Chunks are written at the session's consistency (a quorum) and read at
// Options.ReadConsistency (one replica), which is safe since they never change:
//
//   - A chunk that one replica does not have is read at the session's
//     consistency. If that returns none either, the chunk is missing.
//   - A chunk with a wrong checksum is read twice more from one replica, perhaps
//     another one; then at the session's consistency; and finally from each
//     replica: among equal timestamps a quorum read prefers the larger value,
//     not the right one. For the same reason the table should have
//     read_repair = 'NONE'.
//   - If some copies are good and some are wrong, a good one is written again, at
//     a timestamp above those of the wrong ones: the chunk is healed.
//     [Store.Verify] reads every copy, and also writes those that are missing.
//
// # Timestamps
//
// Every chunk is written USING TIMESTAMP 1, rewritten at a timestamp that is one
// higher each time, and deleted at one that is higher than all of these. An ID is
// written once, so no clock is needed to order the writes, and a row that a slow
// writer, or one whose clock is ahead, writes after the deletion stays deleted.
//
// # Memory
//
// A writer has Options.Window+1 chunks in memory, and gocql a copy of each chunk
// that it sends: 2*Window+1. A reader has Options.ReadAhead+1, in the memory in
// which gocql has received them.
package cassandra
