package policy

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// met evaluates one condition, as text in braces, for an Allow or a Deny.
func met(t *testing.T, condition string, c Context, deny bool) bool {
	t.Helper()
	effect := "Allow"
	if deny {
		effect = "Deny"
	}
	p := mustParse(t, doc(fmt.Sprintf(`{"Effect":%q,"Principal":"*","Action":"s3:*","Resource":"*","Condition":%s}`, effect, condition)))
	d, err := Evaluate(Request{Principal: anonymous, Action: "s3:ListBucket", Context: c,
		Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Bucket: BucketFacts{Name: "b", Owner: "o", Policy: p}})
	if err != nil {
		t.Fatal(err)
	}
	if deny {
		return d.Explicit
	}
	return d.Allowed
}

func TestOperators(t *testing.T) {
	for _, c := range []struct {
		operator, value string
		yes, no         []string
		negated         string // the operator for which yes and no change places
	}{
		{"StringEquals", `["a","b*"]`, []string{"a", "b*"}, []string{"A", "b", "bc", ""}, "StringNotEquals"},
		{"StringEqualsIgnoreCase", `"Straße"`, []string{"straße", "STRAßE"}, []string{"strasse"}, "StringNotEqualsIgnoreCase"},
		{"StringLike", `["a*c","?","","${*}x"]`, []string{"ac", "abc", "ü", "", "*x"}, []string{"ab", "yx", "Abc"}, "StringNotLike"},
		{"ArnLike", `"arn:aws:*:*:1234?:topic/*"`, []string{"arn:aws:sns:eu:12345:topic/a:b", "arn:aws:::12345:topic/"},
			[]string{"arn:aws:sns:12345:topic/a", "arn:aws:sns:eu:x:12345:topic/a", "arn:aws:sns:eu:123456:topic/a", "sns", ""}, "ArnNotLike"},
		{"ArnEquals", `"arn:aws:s3:::b*"`, []string{"arn:aws:s3:::b", "arn:aws:s3:::bc:d"}, []string{"arn:aws:s3:::c"}, "ArnNotEquals"},
		{"NumericEquals", `[10,"2.5"]`, []string{"10", "10.0", "+10", "2.50"}, []string{"9", "", "x", "10x"}, "NumericNotEquals"},
		{"NumericEquals", `"9007199254740993"`, []string{"9007199254740993"}, []string{"9007199254740992"}, "NumericNotEquals"},
		{"NumericLessThan", `10`, []string{"9.9", "-1"}, []string{"10", "11", "x", "NaN"}, ""},
		{"NumericLessThanEquals", `10`, []string{"9", "10"}, []string{"10.5"}, ""},
		{"NumericGreaterThan", `10`, []string{"11"}, []string{"10", "9", "Inf"}, ""},
		{"NumericGreaterThanEquals", `10`, []string{"10", "11"}, []string{"9"}, ""},
		{"DateEquals", `"2026-03-01T00:00:00Z"`, []string{"2026-03-01", "2026-03-01T01:00:00+01:00", "1772323200"}, []string{"2026-03-02", "x"}, "DateNotEquals"},
		{"DateLessThan", `"2026-03-01T00:00:00Z"`, []string{"2026-02-28T23:59:59.999Z"}, []string{"2026-03-01", "2027", "x"}, ""},
		{"DateLessThanEquals", `"2026-03-01"`, []string{"2026-03-01", "2025"}, []string{"2026-03-01T00:00:01"}, ""},
		{"DateGreaterThan", `"2026-03-01"`, []string{"2026-04"}, []string{"2026-03-01"}, ""},
		{"DateGreaterThanEquals", `1772323200`, []string{"2026-03-01", "2026-03-01T00:00Z"}, []string{"2026-02"}, ""},
		{"Bool", `true`, []string{"true", "TRUE"}, []string{"false", "1", ""}, ""},
		{"BinaryEquals", `"QUI="`, []string{"QUI="}, []string{"QUM=", "*"}, ""},
		{"IpAddress", `["203.0.113.0/24","2001:db8::/32","192.0.2.1","::ffff:198.51.100.0/120"]`,
			[]string{"203.0.113.7", "2001:db8::1", "192.0.2.1", "::ffff:203.0.113.7", "198.51.100.255"},
			[]string{"203.0.114.1", "192.0.2.2", "2001:db9::", "x", ""}, "NotIpAddress"},
	} {
		try := func(operator, value string, want bool) {
			condition := fmt.Sprintf(`{%q:{"aws:Referer":%s}}`, operator, c.value)
			for _, deny := range []bool{false, true} {
				if got := met(t, condition, ctx("aws:Referer", value), deny); got != want {
					t.Errorf("%s with %q, deny %v: %v", condition, value, deny, got)
				}
			}
		}
		for _, v := range c.yes {
			try(c.operator, v, true)
			if c.negated != "" {
				try(c.negated, v, false)
			}
		}
		for _, v := range c.no {
			try(c.operator, v, false)
			if c.negated != "" {
				try(c.negated, v, true)
			}
		}
	}
}

func TestAbsentKeys(t *testing.T) {
	for condition, want := range map[string]bool{
		`{"StringEquals":{"aws:Referer":"a"}}`: false, `{"StringNotEquals":{"aws:Referer":"a"}}`: true, `{"StringLike":{"aws:Referer":"*"}}`: false,
		`{"NumericLessThan":{"aws:Referer":1}}`: false, `{"NumericNotEquals":{"aws:Referer":1}}`: true, `{"Bool":{"aws:Referer":false}}`: false,
		`{"NotIpAddress":{"aws:Referer":"::/0"}}`: true, `{"StringLikeIfExists":{"aws:Referer":"a"}}`: true, `{"BoolIfExists":{"aws:Referer":"true"}}`: true,
		`{"ForAllValues:StringEquals":{"aws:Referer":"a"}}`: true, `{"ForAllValues:StringNotEquals":{"aws:Referer":"a"}}`: true,
		`{"ForAnyValue:StringEquals":{"aws:Referer":"a"}}`: false, `{"ForAnyValue:StringNotEquals":{"aws:Referer":"a"}}`: false,
		`{"ForAnyValue:StringEqualsIfExists":{"aws:Referer":"a"}}`: true,
		`{"Null":{"aws:Referer":"true"}}`:                          true, `{"Null":{"aws:Referer":"FALSE"}}`: false,
	} {
		if got := met(t, condition, nil, true); got != want {
			t.Errorf("%s: %v", condition, got)
		}
	}
	for condition, want := range map[string]bool{
		`{"StringLikeIfExists":{"aws:Referer":"a"}}`: false, `{"Null":{"aws:Referer":"true"}}`: false, `{"Null":{"aws:Referer":false}}`: true,
	} {
		if got := met(t, condition, ctx("aws:Referer", "b"), true); got != want {
			t.Errorf("%s with the key: %v", condition, got)
		}
	}
}

func TestSeveralValues(t *testing.T) {
	for _, c := range []struct {
		operator string
		values   []string
		want     bool
	}{
		{"ForAllValues:StringEquals", []string{"a", "b"}, true}, {"ForAllValues:StringEquals", []string{"a", "x"}, false},
		{"ForAnyValue:StringEquals", []string{"x", "b"}, true}, {"ForAnyValue:StringEquals", []string{"x", "y"}, false},
		{"ForAllValues:StringNotEquals", []string{"x", "y"}, true}, {"ForAllValues:StringNotEquals", []string{"x", "a"}, false},
		{"ForAnyValue:StringNotEquals", []string{"a", "x"}, true}, {"ForAnyValue:StringNotEquals", []string{"a", "b"}, false},
		{"StringEquals", []string{"x", "a"}, true}, {"StringNotEquals", []string{"x", "a"}, false}, {"StringNotEquals", []string{"x", "y"}, true},
	} {
		context := Context{}
		context.Set("aws:Referer", c.values...)
		if got := met(t, fmt.Sprintf(`{%q:{"aws:Referer":["a","b"]}}`, c.operator), context, false); got != c.want {
			t.Errorf("%s of %v: %v", c.operator, c.values, got)
		}
	}
}

func TestAllOperatorsAndKeysMustHold(t *testing.T) {
	condition := `{"StringEquals":{"aws:Referer":"1","aws:UserAgent":"2"},"Bool":{"aws:SecureTransport":true}}`
	if !met(t, condition, ctx("aws:Referer", "1", "aws:UserAgent", "2", "aws:SecureTransport", "true"), false) {
		t.Error("all hold")
	}
	for _, c := range []Context{ctx("aws:Referer", "1", "aws:UserAgent", "2"), ctx("aws:Referer", "1", "aws:SecureTransport", "true"), ctx("aws:UserAgent", "2", "aws:SecureTransport", "true")} {
		if met(t, condition, c, false) {
			t.Errorf("%v was enough", c)
		}
	}
}

func TestVariablesInConditions(t *testing.T) {
	like, not := `{"StringLike":{"s3:prefix":"home/${aws:Referer}/*"}}`, `{"StringNotLike":{"s3:prefix":"home/${aws:Referer}/*"}}`
	for _, c := range []struct {
		condition string
		context   Context
		deny      bool
		want      bool
	}{
		{like, ctx("s3:prefix", "home/a/x", "aws:referer", "a"), false, true},
		{like, ctx("s3:prefix", "home/a/x", "aws:referer", "b"), false, false},
		{like, ctx("s3:prefix", "home/a/x", "aws:referer", "*"), false, false},
		{like, ctx("s3:prefix", "home//x"), false, false},
		{not, ctx("s3:prefix", "home/a/x", "aws:referer", "b"), false, true},
		// Without a value, what a variable leaves open goes against the requester.
		{not, ctx("s3:prefix", "home/a/x"), false, false},
		{not, ctx("s3:prefix", "home/a/x"), true, true},
		{like, ctx("s3:prefix", "home/a/x", "aws:referer", "a", "aws:referer", "b"), false, false},
		{`{"StringEquals":{"s3:prefix":"${aws:Referer, 'none'}"}}`, ctx("s3:prefix", "none"), false, true},
		{`{"StringEquals":{"s3:prefix":"${aws:Referer, 'none'}"}}`, ctx("s3:prefix", "none", "aws:referer", "x"), false, false},
		{`{"StringEquals":{"s3:prefix":"${$}{aws:Referer}"}}`, ctx("s3:prefix", "${aws:Referer}"), false, true},
		{`{"ArnEquals":{"aws:UserAgent":"arn:aws:s3:::${aws:Referer}"}}`, ctx("aws:UserAgent", "arn:aws:s3:::b", "aws:Referer", "b"), false, true},
	} {
		if got := met(t, c.condition, c.context, c.deny); got != c.want {
			t.Errorf("%s with %v, deny %v: %v", c.condition, c.context, c.deny, got)
		}
	}
}

func TestKeysOfThePrincipal(t *testing.T) {
	for _, c := range []struct {
		who  Principal
		want map[string]string
	}{
		{owner, map[string]string{"aws:PrincipalType": "Account", "aws:userid": owner.ID, "aws:PrincipalAccount": owner.ID, "aws:PrincipalArn": "arn:aws:iam::111122223333:root"}},
		{akua, map[string]string{"aws:PrincipalType": "User", "aws:userid": owner.ID + ":Akua", "aws:PrincipalAccount": owner.ID, "aws:PrincipalArn": "arn:aws:iam::111122223333:user/Akua"}},
		{anonymous, map[string]string{"aws:PrincipalType": "Anonymous"}},
		{logging, map[string]string{"aws:PrincipalType": "Service"}},
	} {
		// A request's context does not speak for its principal.
		e := NewEvaluator(c.who, BucketFacts{}, ctx("aws:principalaccount", "0", "aws:userid", "0", "aws:PrincipalArn", "0"), time.Time{})
		for _, key := range []string{"aws:PrincipalType", "aws:userid", "aws:PrincipalAccount", "aws:PrincipalArn"} {
			var want []string
			if v, ok := c.want[key]; ok {
				want = []string{v}
			}
			if got := e.valuesOf(canonicalKey(key)); !slices.Equal(got, want) {
				t.Errorf("%+v: %s is %q, want %q", c.who, key, got, want)
			}
		}
	}
}

func TestContextSetLeavesEmptyKeysAbsent(t *testing.T) {
	c := Context{}
	c.Set("s3:RequestObjectTagKeys")
	c.Set("S3:RequestObjectTag/Team", "x")
	if len(c) != 1 || c["s3:requestobjecttag/Team"] == nil {
		t.Errorf("%v", c)
	}
}
