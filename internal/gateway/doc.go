// Package gateway puts a Pithos together from its configuration: the engine,
// the access keys, and what stands between net/http and package s3api.
//
// It is the wiring that the command and the tests over HTTP share; beside the
// command itself it is the only place that knows which engines there are.
//
//	httpconn → health → trusted proxies → admission → stall guard → gate (is the engine there?) → s3api
//
// A request is admitted twice. The first time, before anything is known of it,
// it gets a turn and a small constant amount of memory, and what is read of its
// body has a total time. When s3api has authorized it, s3api asks for what it
// needs by s3api.Options.Admit; only then memory is granted for the length that
// the client declares, and the total time becomes a least speed. See
// admission.go, pool.go (shares of addresses and tenants) and stall.go (pace).
//
// A [Server] answers from the moment it is made. Until [Server.Open] has
// given it an engine, every request is answered 503 with Retry-After, so that
// it may listen before its database does.
package gateway
