package policy

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
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
		"StringEquals":           {build: newExact},
		"StringEqualsIgnoreCase": {build: newFolded},
		"StringLike":             {build: newGlob, wild: true},
		"ArnEquals":              {build: newARNs, wild: true, arn: true},
		"ArnLike":                {build: newARNs, wild: true, arn: true},
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
		ops["Numeric"+name] = operator{compile: ordered(parseNumber, (*operand).number, compareNumbers, "a number", accept)}
		ops["Date"+name] = operator{compile: ordered(parseDate, (*operand).time, time.Time.Compare, "a date as 2006-01-02T15:04:05Z, or seconds since 1970", accept)}
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

func compileBool(text string) (func(*operand) bool, string) {
	if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
		return nil, "true or false"
	}
	return func(v *operand) bool { return strings.EqualFold(v.text, text) }, ""
}

func compileBinary(text string) (func(*operand) bool, string) {
	want, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, "base64"
	}
	return func(v *operand) bool {
		got, err := v.binary()
		return err == nil && bytes.Equal(got, want)
	}, ""
}

func compileIP(text string) (func(*operand) bool, string) {
	prefix, ok := parsePrefix(text)
	if !ok {
		return nil, "an IP address or a range as 203.0.113.0/24"
	}
	return func(v *operand) bool {
		addr, err := v.addr()
		return err == nil && prefix.Contains(addr)
	}, ""
}

// operand is a value of a request. It is parsed once for each form that it is
// compared in: it can be long, and the policy can have thousands of values.
type operand struct {
	text    string
	numeric *parsed[number]
	date    *parsed[time.Time]
	ip      *parsed[netip.Addr]
	bytes   *parsed[[]byte]
}

type parsed[T any] struct {
	value T
	err   error
}

// once parses text unless it is parsed.
func once[T any](done **parsed[T], text string, parse func(string) (T, error)) (T, error) {
	if *done == nil {
		value, err := parse(text)
		*done = &parsed[T]{value, err}
	}
	return (*done).value, (*done).err
}

func (v *operand) number() (number, error)  { return once(&v.numeric, v.text, parseNumber) }
func (v *operand) time() (time.Time, error) { return once(&v.date, v.text, parseDate) }
func (v *operand) binary() ([]byte, error) {
	return once(&v.bytes, v.text, base64.StdEncoding.DecodeString)
}
func (v *operand) addr() (netip.Addr, error) { return once(&v.ip, v.text, parseAddr) }

func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	return addr.WithZone("").Unmap(), err
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
func ordered[T any](parse func(string) (T, error), of func(*operand) (T, error), compare func(T, T) int, want string, accept func(int) bool) func(string) (func(*operand) bool, string) {
	return func(text string) (func(*operand) bool, string) {
		bound, err := parse(text)
		if err != nil {
			return nil, want
		}
		return func(v *operand) bool {
			value, err := of(v)
			return err == nil && accept(compare(value, bound))
		}, ""
	}
}

// number is an integer, exactly, or any other number as nearly as a float is.
type number struct {
	whole   int64
	exact   bool
	nearest float64
}

var errNumber = errors.New("not a number")

func parseNumber(text string) (n number, err error) {
	if n.whole, err = strconv.ParseInt(text, 10, 64); err == nil {
		n.exact = true
	}
	n.nearest, err = strconv.ParseFloat(text, 64)
	if err == nil && (math.IsNaN(n.nearest) || math.IsInf(n.nearest, 0)) {
		err = errNumber
	}
	return n, err
}

func compareNumbers(a, b number) int {
	if a.exact && b.exact {
		return cmp.Compare(a.whole, b.whole)
	}
	return cmp.Compare(a.nearest, b.nearest)
}

// parseDate reads the forms of W3C's date profile that IAM takes, and seconds
// since 1970; without a zone it is UTC.
func parseDate(text string) (at time.Time, err error) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && len(text) > 4 {
		return time.Unix(seconds, 0), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if at, err = time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return at, err
}
