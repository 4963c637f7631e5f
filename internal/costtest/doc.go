// Package costtest holds the law that every request has a bounded cost
// (docs/security.md, "Bounds"): CPU time, memory and reads are bounded by the
// size of the request and of its answer, independent of its sender and of whatever
// policies, CORS rules, headers or metadata others have stored. Before
// authorization the bound is small.
//
// The package has tests only. Its table lists the worst requests that are
// known. A case has two parts:
//
//  1. The setup, through the S3 API: settings and objects as bad as the API
//     accepts. Where the size that is accepted is a matter of the code under
//     test, [fixture.largest] finds it.
//  2. The attack: requests, made in advance as bytes, which are sent over TCP
//     to a gateway that is opened as `pithos serve` opens it.
//
// Measured are the CPU time of the process (getrusage), the bytes that it
// allocates (runtime.MemStats) and the rows that the metadata store returns. The
// client is in the same process, but does nothing except to write and read
// bytes. Each attack is made several times. Of CPU time the least counts, so that
// other work of the machine does not; of memory and rows the first, when nothing
// is cached. The bounds are about ten times what an honest implementation needs,
// and ten times more CPU time is allowed under the race detector. No wall-clock
// time is asserted.
//
// Further tests hold what many different requests leave behind: memory, series of
// metrics, goroutines, and what unfinished headers hold.
//
// A case that fails says what was used, what is allowed, and the rule. To add a
// case: write its function in one of the cases_*_test.go files, add its line to
// the table there, and run
//
//	go test ./internal/costtest -run 'TestCost/embedded/NAME' -v
//
// which prints what it uses.
package costtest
