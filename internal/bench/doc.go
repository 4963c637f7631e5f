// Package bench measures Pithos over Cassandra against the driver itself: the
// least that gocql could do to store or read the same thing is 1.0.
//
//	go test ./internal/bench -run '^$' -bench . -benchtime 7x
//
// Each benchmark has three sides: bare (gocql alone), store (package store in
// this process) and http (a signed request over TCP to a server in this
// process, so that the client's work is on the same processors). An iteration
// is a round, in which each side runs for the time that -round says, one after
// another and beginning with another one each time. What is reported is the
// median over the rounds of each side's rate, and of its ratio to bare in the
// same round.
//
// On a machine that is busy with other things, or where the clients leave no
// processor to the server, rates say little. With -server-pid the CPU time of
// an operation is reported too, of this process and of Cassandra together, and
// its ratio to bare's, and that of this process alone ("here").
//
// The server is the one that package internal/cassandratest provides.
package bench
