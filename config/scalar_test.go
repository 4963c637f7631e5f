package config

import (
	"math"
	"testing"
	"time"
)

func TestSizesCountIn1024s(t *testing.T) {
	good := map[string]Size{"0": 0, "1": 1, "128k": 128 << 10, "128K": 128 << 10, "1M": 1 << 20, "5 G": 5 << 30,
		"10GB": 10 << 30, "1GiB": 1 << 30, "2t": 2 << 40, "7b": 7, "1P": 1 << 50}
	for text, want := range good {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "k", "-1", "1.5M", "1X", "1 kk", "9999999999G", "99999999999999999999", "1e3", "M1"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestSizePrintsAsItIsWritten(t *testing.T) {
	for _, s := range []Size{0, 1, 1000, 1 << 10, 128 << 10, 5 << 30, 1<<20 + 1, math.MaxInt64} {
		if got, err := parseSize(s.String()); err != nil || got != s {
			t.Errorf("%d prints as %s and reads as %d, %v", s, s, got, err)
		}
	}
}

func TestDurationsNeedAUnit(t *testing.T) {
	good := map[string]time.Duration{"30s": 30 * time.Second, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "0s": 0, " 5m ": 5 * time.Minute}
	for text, want := range good {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "30", "-1s", "1.5d", "d", "1w", "99999d", "forever"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestNearestFindsTyposAndNothingElse(t *testing.T) {
	candidates := []string{"service-uri", "default-region", "port", "host", "ca"}
	cases := map[string]string{"servcie-uri": "service-uri", "service_uri": "service-uri", "defaultregion": "default-region",
		"prot": "port", "HOST": "host", "zzzzzz": "", "": "", "xx": "", "service-uriservice-uriservice-uri": ""}
	for word, want := range cases {
		if got := nearest(word, candidates); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestDistanceCountsSwapsAsOne(t *testing.T) {
	cases := []struct {
		a, b string
		want int
	}{{"", "abc", 3}, {"abc", "abc", 0}, {"prot", "port", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}}
	for _, c := range cases {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != got {
			t.Errorf("%q to %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
