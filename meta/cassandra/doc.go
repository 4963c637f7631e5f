// Package cassandra keeps metadata in Apache Cassandra (4.1 and 5.0).
//
// Store is the [meta.Store]. It has the buckets, access keys, uploads, references,
// holds and leases, and puts the parts together. Each part's package comment is its
// manual:
//
//   - internal/head: the head of a key, changed by Paxos (H1 to H6).
//   - internal/listing: the listings of buckets: the write protocol (W1 to W5),
//     reading (R1 to R5), replacing shards (S1 to S7), invariants (I1 to I5).
//   - internal/queue: the queue of the garbage collector.
//   - internal/cql: statements, pages, errors; knows no table.
//
// Arrows point one way: Store imports all of them, of the project they import only meta
// and cql.
//
// # Consistency
//
// Decisions are compare-and-set (Paxos) in one partition: the head of a key, a
// bucket's row, the state of an upload, the seal of a shard, a hold, a lease, a
// time bucket of the queue. Every other write is a plain write at a quorum whose
// timestamp follows from what it replaces (a revision, the time at which an entry
// is due, a constant), never from the clock at the time of the write, so that
// replays and reordering converge.
//
// A plain read at a quorum sees every change that was acknowledged before the
// read began. A head is read by Paxos (SERIAL) only where a change may be
// decided and not yet visible: for a pending listing row, and after an unknown
// outcome.
//
// # Changes of keys
//
// Begin announces a change in the listing, and Commit makes it (change.go). The
// listing runs the steps in their order; Store provides those that other parts do:
// the bucket's state, the guards of the queue, and the compare-and-set of the head.
//
// # Deleting a bucket
//
// The bucket's state is set to deleting; then Empty (package listing) decides whether
// the bucket is empty and makes every change fail that began before; then the bucket's
// row is removed. Each step is conditional on the bucket's revision.
//
// # Uploads
//
// An upload's state (open, completing, done, aborted) moves by compare-and-set. A part
// counts only if the upload was open after the part's row was written: so Complete sees
// every part that was acknowledged. This is the two-sided argument of package listing:
// PutPart writes the part and then reads the state, Complete sets the state and then
// reads the parts.
//
// The tables upload and bucket have columns with what listings show (listed, region),
// as table object has. Rows of older programs have no such columns and are read whole.
package cassandra
