// Package queue keeps the queue of blobs to collect (tables gc and gc_slot).
//
// Entries are in partitions by due time: a time bucket of five minutes has 16 of
// them. An index lists the time buckets that may have entries (timebuckets.go), so
// that Due reads no others.
//
// A queue entry is written once, claimed once and dropped once, at timestamps
// that follow its due time: a dropped entry stays dropped, whatever arrives late.
//
// A commit names the entries of its blobs as guards (CheckGuards), which are read after
// its head was read. The collector claims an entry before it fences the key, so either
// the commit sees the claim, or its compare-and-set fails. Package store describes the
// garbage collector.
package queue
