package cql

import "testing"

func TestTombstoneWarningsAreParsed(t *testing.T) {
	for text, want := range map[string]int{
		"Read 10 live rows and 1234 tombstone cells for query SELECT": 1234,
		"2 nodes scanned over 5000 tombstones and issued warnings":    5000,
		"tombstone_warn_threshold was passed":                         1000,
		"Batch is too large":                                          0,
	} {
		if got := tombstonesIn([]string{text}); got != want {
			t.Errorf("%q tells of %d tombstones, want %d", text, got, want)
		}
	}
}
