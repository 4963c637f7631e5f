package policy

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// operators are those of IAM's policy language, without the prefixes and
// suffix that all of them take.
var operators = func() map[string]operator {
	ops := map[string]operator{
		"StringEquals":           {compare: equal},
		"StringEqualsIgnoreCase": {compare: equalFold},
		"StringLike":             {compare: match, wild: true},
		"ArnEquals":              {compare: matchARN, wild: true, arn: true},
		"ArnLike":                {compare: matchARN, wild: true, arn: true},
		"IpAddress":              {compile: compileIP},
		"BinaryEquals":           {compile: compileBinary},
		"Bool":                   {compile: compileBool},
		null:                     {compile: compileBool},
	}
	for name, not := range map[string]string{
		"StringEquals": "StringNotEquals", "StringEqualsIgnoreCase": "StringNotEqualsIgnoreCase",
		"StringLike": "StringNotLike", "ArnEquals": "ArnNotEquals", "ArnLike": "ArnNotLike", "IpAddress": "NotIpAddress",
	} {
		op := ops[name]
		op.negate = true
		ops[not] = op
	}
	for name, accept := range map[string]func(int) bool{
		"Equals":            func(c int) bool { return c == 0 },
		"LessThan":          func(c int) bool { return c < 0 },
		"LessThanEquals":    func(c int) bool { return c <= 0 },
		"GreaterThan":       func(c int) bool { return c > 0 },
		"GreaterThanEquals": func(c int) bool { return c >= 0 },
	} {
		ops["Numeric"+name] = operator{compile: ordered(parseNumber, "a number", accept)}
		ops["Date"+name] = operator{compile: ordered(parseDate, "a date as 2006-01-02T15:04:05Z, or seconds since 1970", accept)}
	}
	for _, kind := range []string{"Numeric", "Date"} {
		op := ops[kind+"Equals"]
		op.negate = true
		ops[kind+"NotEquals"] = op
	}
	for name, op := range ops {
		op.base = name
		ops[name] = op
	}
	return ops
}()

func equal(pat []rune, value string) bool { return string(pat) == value }

func equalFold(pat []rune, value string) bool { return strings.EqualFold(string(pat), value) }

// matchARN matches the six parts of an ARN, each for itself: a wildcard does
// not reach beyond a colon, but for the last part.
func matchARN(pat []rune, value string) bool {
	values := strings.SplitN(value, ":", 6)
	if len(values) != 6 || values[0] != "arn" {
		return false
	}
	for i, v := range values {
		part, rest, more := cutRune(pat, ':')
		if i == len(values)-1 {
			part, more = pat, true
		}
		if !more || !match(part, v) {
			return false
		}
		pat = rest
	}
	return true
}

func cutRune(s []rune, sep rune) (before, after []rune, found bool) {
	for i, r := range s {
		if r == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, nil, false
}

func compileBool(text string) (func(string) bool, string) {
	if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
		return nil, "true or false"
	}
	return func(value string) bool { return strings.EqualFold(value, text) }, ""
}

func compileBinary(text string) (func(string) bool, string) {
	want, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, "base64"
	}
	return func(value string) bool {
		got, err := base64.StdEncoding.DecodeString(value)
		return err == nil && bytes.Equal(got, want)
	}, ""
}

func compileIP(text string) (func(string) bool, string) {
	prefix, ok := parsePrefix(text)
	if !ok {
		return nil, "an IP address or a range as 203.0.113.0/24"
	}
	return func(value string) bool {
		addr, err := netip.ParseAddr(value)
		return err == nil && prefix.Contains(addr.WithZone("").Unmap())
	}, ""
}

// parsePrefix reads an address or a CIDR range; IPv4 within IPv6 is IPv4.
func parsePrefix(text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, false
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), true
}

// ordered compiles a test that compares what parse makes of both sides. A
// value that cannot be parsed meets no test.
func ordered[T any](parse func(string) (T, func(T) int, bool), want string, accept func(int) bool) func(string) (func(string) bool, string) {
	return func(text string) (func(string) bool, string) {
		bound, _, ok := parse(text)
		if !ok {
			return nil, want
		}
		return func(value string) bool {
			_, compare, ok := parse(value)
			return ok && accept(compare(bound))
		}, ""
	}
}

// number is an integer, exactly, or any other number as nearly as a float is.
type number struct {
	whole   int64
	exact   bool
	nearest float64
}

func parseNumber(text string) (number, func(number) int, bool) {
	var n number
	var err error
	if n.whole, err = strconv.ParseInt(text, 10, 64); err == nil {
		n.exact = true
	}
	n.nearest, err = strconv.ParseFloat(text, 64)
	ok := err == nil && !math.IsNaN(n.nearest) && !math.IsInf(n.nearest, 0)
	return n, func(other number) int {
		if n.exact && other.exact {
			return cmp.Compare(n.whole, other.whole)
		}
		return cmp.Compare(n.nearest, other.nearest)
	}, ok
}

// parseDate reads the forms of W3C's date profile that IAM takes, and seconds
// since 1970; without a zone it is UTC.
func parseDate(text string) (time.Time, func(time.Time) int, bool) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && len(text) > 4 {
		at := time.Unix(seconds, 0)
		return at, at.Compare, true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, at.Compare, true
		}
	}
	return time.Time{}, nil, false
}
