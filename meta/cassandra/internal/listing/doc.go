// Package listing keeps the listings of buckets (tables listing and listing_map).
//
// This comment is the listing protocol: numbered steps, and the invariants that
// they keep. Comments in the code refer to the numbers. docs/design.md has the
// motives and the rejected alternatives. The package needs of the heads of keys only
// an interface, Heads; the rules H1 to H6 of package head hold there.
//
// # Listing rows (table listing)
//
// A bucket's listing is an ordered set of rows, kept in shards. A shard is one
// partition (bucket_id, shard_id) and covers a range of keys; rows cluster by
// (kind, key). A row has the revision of the change it describes, a state and,
// where it is live, what ListObjects shows (meta.Entry).
//
//   - kind 0, visible: the key has a current object.
//   - kind 1, history: the key has, or may have, noncurrent versions or delete
//     markers. A hint, always resolved at the head; removed when the key has no
//     version left.
//   - kinds -1 and -2 describe the shard itself: its seal, and what it replaces.
//
// States: pending (read the head), live (shown as it stands), deleted (no row),
// gone (deleted, but a row remains; see S7). A pending row is written at timestamp
// rev; a live row or a deletion at rev + 1. Of equal timestamps Cassandra keeps
// the greater value, and pending is the greater state: it is always safe.
//
// # The write protocol
//
// A change of a key (pending.go, Announce and Commit):
//
//	W1. Write the pending row, and the history row where the key will have
//	    one, into the shard that the shard cache names. The row needs neither
//	    size nor ETag, so this runs while the body still arrives.
//	W2. Then read the shard's seal, the bucket's state, and the guards of the
//	    blobs. If the shard is sealed, repeat W1 in the child that covers the
//	    key, and W2 there. If the bucket is being deleted, fail.
//	W3. Then compare-and-set the head. Never concurrently with W2: a GET could
//	    see what a LIST does not show yet.
//	W4. Answer.
//	W5. Asynchronously, write the final row (live, or deleted) into the shard
//	    where the pending row was written last (asyncwriter.go). A live row goes
//	    nowhere else; a deletion may follow the key (S6).
//
// A crash between W1 and W5 leaves a pending row: listings read that key's head
// once more; their results stay correct.
//
// # Why no write is lost
//
// The two-sided argument is used wherever two parties must not miss each other:
// each writes its own mark first and then reads the other's. The writer writes
// its row (W1) and then reads the seal (W2); the splitter seals the shard (S1)
// and then reads the rows (S2). With quorums that overlap, either the writer
// sees the seal, and writes into the child too before it answers; or the
// splitter sees the row, and copies it. The same holds for the bucket's state
// against Empty (empty.go), and for a claimed queue entry against a commit that
// names it as its guard (Steps).
//
// # Reading a listing
//
//	R1. A page is read from the shard that covers its first key. The seal comes
//	    with the page, or is read after it.
//	R2. Not sealed: the rows stand. Sealed and copied: follow the signpost.
//	    Sealed and not copied: read the child too, merge by timestamp, and read
//	    the parent's seal once more; if it is copied by then, start again.
//	R3. A pending row is resolved by a SERIAL read of the key's head.
//	R4. Visible rows are read before history rows. A key that both reads miss
//	    had no version at some moment in between.
//	R5. A pending row that is old (Options.RepairAfter) is repaired: fence the
//	    head above the row's revision, so that a delayed writer's W3 fails,
//	    then write the row that the head implies at the fence's rev + 1
//	    (repair.go).
//
// # Replacing shards
//
// A shard that is too full or has too many tombstones is replaced by fresh
// partitions: two that meet at a key (split), or one (rewrite), which may replace
// several neighbours (merge). Any gateway may start, repeat or finish it:
//
//	S1. Seal: a compare-and-set on the shard's static columns names the split
//	    key and the children. The first seal wins; the children that a losing
//	    seal names are never seen.
//	S2. Copy the rows, pending ones too, into the children with their own
//	    timestamps. A copier stops at the first page that says copied.
//	S3. Mark the shard copied.
//	S4. Delete its rows at the highest timestamp, which also removes rows that
//	    arrive late. The static columns stay, as a signpost.
//	S5. A shard is not replaced before everything that it replaces is copied
//	    into it.
//	S6. Only pending rows and deletions follow a seal into the child (W2, and
//	    forwardDeletes in finalize.go). A live row never does: there may have
//	    been a later deletion whose trace is only in the old shard. A gateway
//	    that learns that its live row came too late repairs it by R5
//	    (latewrites.go).
//	S7. While a parent is not copied, a deletion in the child leaves a row in
//	    state gone, so that a reader that merges both (R2) does not show
//	    the parent's live row. Gone rows are not copied.
//
// A merge writes down which shards the new one replaces (kind -2) before it
// seals the first. The shards are sealed from left to right; one that is already
// sealed to something else ends the run, so that the new shard covers no gap.
//
// An in-place split is a split whose right child keeps the partition and whose
// left child gets the rows below the key. It costs the live rows on the left:
// none, where deletions left only tombstones. The last two bytes of a shard's id
// count how often its partition was split in place; left_id names the shard that
// owns the partition, and changes in the same conditional batch as the seal. The
// rows below the split key are deleted before S3 (inplacesplit.go).
//
// The shard cache in memory and the directory (table listing_map) say where to
// begin with a key. They are hints: a stale one costs reads, and never changes a
// result.
//
// # Deleting a bucket
//
// The bucket's state is set to deleting; then Empty reads every row of the
// listing, resolves the rows that are not live, and fences each key that has no
// version; then the bucket's row is removed, each step conditional on the
// bucket's revision. A change whose pending row Empty did not see sees the state (W2) and
// fails; one whose row it saw is fenced and fails (W3).
//
// # Invariants
//
//	I1. Whether a listing shows a key is explained by a state that the key's
//	    head had between the listing's start and its end.
//	I2. Every acknowledged change has a row (pending or later) in each shard
//	    that a reader of the key may read, until a newer row replaces it.
//	I3. Once a shard is marked copied, its children have every row that is still
//	    current.
//	I4. Only pending rows and deletions reach a child late (S6). So a live row
//	    that was replaced or removed never comes back.
//	I5. A seal is never taken back, and a shard has one.
//
// How they are tested: random schedules of this package's own code with crashes
// and clocks that disagree (schedule_test.go), each rule of rules.go
// broken once (rules_test.go; two of them only with -broken-schedules), a crash after every statement (replace_test.go), a filled
// bucket under concurrent listings (load_test.go), and nodes and gateways killed
// under clients whose histories are checked (internal/faults).
package listing
