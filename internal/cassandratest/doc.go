//go:build unix

// Package cassandratest gives tests a real Cassandra.
package cassandratest

const loopback = "127.0.0.1"
