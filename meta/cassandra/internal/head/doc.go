// Package head reads and changes the heads of keys (table object) by Paxos.
//
// Partition (bucket_id, key); one row per version, newest first by seq. Static
// columns hold the head: rev (the revision), null_seq, and commit_id, the id of
// the last change.
//
//	H1. Every change of a key is one conditional statement or batch on its partition,
//	    IF rev = <the revision that was read>, which sets the new revision,
//	    adds and removes version rows. No plain write touches the partition.
//	H2. A new revision is max(previous + 2, now in microseconds): it grows
//	    whatever clocks say. rev + 1 is free for the listing row that the
//	    change writes afterwards.
//	H3. After the last version is removed the revision stays for ten days, so
//	    that a key that is created again continues from it.
//	H4. The writer whose compare-and-set was applied knows exactly which
//	    versions it replaced: each freed blob is queued by exactly one writer.
//	H5. After an unknown outcome (time-out, lost coordinator) the writer reads
//	    the head by Paxos and looks for its own commit_id, and sends the same
//	    batch again where the revision is unchanged: at most one of the two is
//	    applied (cas.go).
//	H6. A fence is a compare-and-set that only raises rev. It leaves commit_id,
//	    so that H5 still works. Every change based on an earlier revision fails
//	    from then on (head.go).
//
// A version with more than meta.PageSegments segments has these in the column
// segments, a map whose elements are pages: doc has their index, and a read of the
// head reads no page. An append adds an element, or replaces the last one, in the
// batch of H1; whatever else changes the version leaves the column as it is. Pages
// are read with doc, and by Paxos if they do not fit its index (Keys.Pages).
//
// A version row has the whole version in doc and, in listed, what listings show
// of it (meta.Entry): a page of versions reads only that column. Rows
// of older programs have no such column and are read whole.
package head
