// Package faults holds what Pithos promises to the test of a cluster that
// fails: three Cassandra nodes, two gateways as processes of their own, one of
// them with a clock that is minutes ahead, clients that do not retry; and
// meanwhile nodes and gateways are stopped, killed and started again.
//
// Whatever the clients saw is a history, and porcupine decides whether there
// is an order of single steps that explains it. A request whose outcome the
// client did not learn (a 5xx, a cut connection) may have taken effect at any
// time after it was sent, or never. A copy reads one key and writes another; a
// rename is one step that two keys see; a key that keeps its versions is the
// list of them.
//
//	go test ./internal/faults                                   a short run
//	go test ./internal/faults -run Cluster/histories -faults.duration 1m -faults.runs 10 -timeout 1h
//
//	go test ./internal/faults -run RingIsRestored -faults.restore 3 -timeout 30m
//	go test ./internal/faults -run UnderTraffic -faults.topology -timeout 30m
//
// It has nothing but tests.
package faults
