// Package gateway puts a Pithos together from its configuration: the engine,
// the access keys, and what stands between net/http and package s3api.
//
// It is the wiring that the command and the tests over HTTP share; beside the
// command itself it is the only place that knows which engines there are.
//
//	listener → health → gate (is the engine there?) → admission → stall guard → s3api
//
// A [Server] answers from the moment it is made. Until [Server.Open] has
// given it an engine, every request is answered 503 with Retry-After, so that
// it may listen before its database does.
package gateway
