// Package jobs runs the background work of a gateway: what happens without a
// request, at intervals.
//
// A [Job] has a name, a period and one or more shards of work. [Start] runs jobs
// until they are stopped. Each run is counted (metrics pithos_job_*), logged if
// it fails, and stored in the row of its shard, where 'pithos jobs' and all
// gateways read it (package meta, [meta.Leases]).
//
// # Leases
//
// Gateways share the shards of a job by leases: a gateway works on a shard while
// the row names it as the holder.
//
//  1. Take. A gateway reads the rows of the job. A shard is free if its row names
//     no holder, or if the gateway has seen the same revision of the row for the
//     lease time (a minute), by its own clock. If the shard is free and due, the
//     gateway names itself as the holder, by compare-and-set on the row's
//     revision. That revision is the fencing number of the lease (Token): each
//     holder has a greater one than those before.
//  2. Renew. While the job runs, the holder raises the revision every third of
//     the lease time. [Run.Save] does so too, and stores how far the run has come.
//  3. Release. After the run the holder removes its name and stores the result.
//     If the run has ended without an error, its progress is removed. Otherwise
//     the next run, of any gateway, continues from it.
//
// A holder that dies stops renewing, and another gateway takes the shard after
// the lease time. A holder that is paused longer than that finds another
// revision when it comes back: the compare-and-set fails, and its run is
// cancelled. Until then two gateways may work on the shard.
//
// A run that saves no progress for [Job.MaxRun] counts as stuck: its context ends
// and its lease is not renewed. A panic in a job is a failed run. Neither takes a
// job from the other gateways, and stop waits for a stuck run for 30
// seconds at most.
//
// So a lease only avoids that work is done twice. What is true never depends on
// it: each action of a job is a conditional change, or may be repeated. Times of
// different clocks are compared only to decide when a job is due.
//
// # What is a job and what is not
//
// A job is work that any gateway can do at any time, and that has to be done even
// if no request comes. These run elsewhere, for a reason:
//
//   - The asynchronous index writer (meta/cassandra/internal/listing, asyncwriter.go) and the queue
//     of package store complete changes of this process' own requests, right after
//     their answers. What they have to write is only in this process' memory.
//   - The shard maintenance of listings (meta/cassandra/internal/listing, maintainer.go and
//     latewrites.go) is triggered by what requests of this gateway have just met.
//   - The compaction of the embedded engine (meta/embedded, compactRange) is
//     triggered by a scan that skipped many removed rows.
//   - The node monitor (internal/cassandra) follows the connections of this
//     process' driver.
//   - The reloader (cmd/pithos) follows the files of this process' configuration.
package jobs
