// Package s3test runs tests over HTTP against both engines.
//
//	func TestMain(m *testing.M) { s3test.Main(m) }
//
//	func TestPutThenGet(t *testing.T) {
//		s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
//			bucket := s.Bucket(t)
//			client := s.Client(t, s3test.Alice)
//			...
//		})
//	}
//
// A server is the real thing on a port of 127.0.0.1: the whole of
// internal/engine and internal/edge above a temporary directory, or above a keyspace of its own
// in the Cassandra that internal/cassandratest provides. Each engine is started
// once in a test process, by the first test that asks for it; tests keep out
// of each other's way by using buckets of their own.
package s3test
