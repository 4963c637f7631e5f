package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// matchNaively decides by a table of which beginnings of the pattern match
// which beginnings of the text.
func matchNaively(pat, text []rune) bool {
	row := make([]bool, len(text)+1)
	row[0] = true
	for _, p := range pat {
		next := make([]bool, len(text)+1)
		next[0] = p == anyRun && row[0]
		for i, r := range text {
			if p == anyRun {
				next[i+1] = row[i+1] || next[i]
			} else {
				next[i+1] = row[i] && (p == anyOne || p == r)
			}
		}
		row = next
	}
	return row[len(text)]
}

// wildcards are the runes of a pattern in which * and ? are wildcards.
func wildcards(text string) (runes []rune) {
	for _, r := range text {
		runes = append(runes, wildcard(r, true))
	}
	return runes
}

func mustAgree(t *testing.T, pat, text string) {
	t.Helper()
	runes := wildcards(pat)
	want := matchNaively(runes, []rune(text))
	if got := newGlob(runes).match(text, nil); got != want {
		t.Fatalf("%q against %q: %v", pat, text, got)
	}
	p, err := compile(pat, newGlob, true, false)
	if err != nil || p.fixed.match(text, nil) != want {
		t.Fatalf("%q against %q, compiled: %v, %v", pat, text, !want, err)
	}
	// The same with a part of the pattern in a variable.
	p, err = compile(pat+"${aws:Referer}", newGlob, true, true)
	if err != nil {
		return // the pattern has the beginning of a variable
	}
	lookUp := func(string) (string, bool) { return "a?*", true }
	if strings.Contains(pat, "${") {
		return
	}
	want = matchNaively(append(runes, []rune("a?*")...), []rune(text))
	if met, known := p.matches(text, nil, lookUp); met != want || !known {
		t.Fatalf("%q and a variable against %q: %v", pat, text, met)
	}
}

func TestGlobsAgreeWithANaiveMatcher(t *testing.T) {
	for _, pat := range []string{"", "*", "?", "**", "*?", "?*", "a", "a*", "*a", "*a*", "a*b?c*d", "*a?c*", "*??*", "?a?", "a*a", "aa*aa", "*ab*ab*", "ü*?é", "*\U0001F600?*", "a?*", "\uFFFD*"} {
		for _, text := range []string{"", "a", "b", "aa", "ab", "aba", "abab", "axxbyczd", "aXc", "ü\U0001F600é", "\uFFFD", "a?*", "aa?*", strings.Repeat("a", 70), strings.Repeat("ab", 70)} {
			mustAgree(t, pat, text)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	letters := []rune("aab?**é\U00010FFFF")
	word := func(n int, from []rune) string {
		out := make([]rune, r.IntN(n+1))
		for i := range out {
			out[i] = from[r.IntN(len(from))]
		}
		return string(out)
	}
	for range 20000 {
		mustAgree(t, word(12, letters), word(16, letters))
	}
	// Parts longer than a word of bits, with rare and frequent runes.
	for range 300 {
		text := word(400, []rune("ab"))
		part := []rune(text)
		if len(part) > 150 {
			part = part[20:150]
		}
		for range r.IntN(4) {
			if len(part) > 0 {
				part[r.IntN(len(part))] = '?'
			}
		}
		mustAgree(t, "*"+string(part)+"*", text)
		mustAgree(t, "*"+string(part)+"b*a?*", text)
	}
	// More distinct runes than have small numbers, before runes of ASCII.
	var many strings.Builder
	for i := range 300 {
		many.WriteRune(rune(0x4E00 + i))
	}
	for _, end := range []string{"xx", "xyx", "x?x", "aza"} {
		mustAgree(t, "*"+many.String()+"?"+end+"*", "a"+many.String()+"b"+end+"c")
		mustAgree(t, "*"+many.String()+"?"+end+"*", "a"+many.String()+"b"+end[1:]+"c")
	}
}

func TestARNsMatchPartByPart(t *testing.T) {
	for _, c := range []struct {
		pat, value string
		want       bool
	}{
		{"arn:aws:iam::1:user/*", "arn:aws:iam::1:user/a:b", true},
		{"arn:*:1:user/x", "arn:aws:iam::1:user/x", false},
		{"arn:aws:*::1:user/x", "arn:aws:iam::1:user/x", true},
		{"arn:aws:*:1:user/x", "arn:aws:iam::1:user/x", false},
		{"*:*:*:*:*:*", "arn:aws:iam::1:x", true},
		{"*:*:*:*:*:*", "urn:aws:iam::1:x", false},
		{"*", "arn:aws:iam::1:x", false},
	} {
		if got := newARNs(wildcards(c.pat)).match(c.value, nil); got != c.want {
			t.Errorf("%s against %s: %v", c.pat, c.value, got)
		}
	}
}

// What a policy of 20 KB and a header of 64 KB can ask for. Where time or
// memory is quadratic, this test does not end within the test's time.
func TestHostilePatternsCostLittle(t *testing.T) {
	texts := []string{strings.Repeat("a", 64<<10), strings.Repeat("ab", 32<<10), strings.Repeat("é", 32<<10), strings.Repeat("a", 1024)}
	distinct := make([]rune, 6000)
	for i := range distinct {
		distinct[i] = rune(0x4e00 + i)
	}
	patterns := []string{
		strings.Repeat("*", MaxBytes), strings.Repeat("?*", MaxBytes/2), strings.Repeat("*a", MaxBytes/2), strings.Repeat("a*", MaxBytes/2) + "b",
		"*" + strings.Repeat("a", MaxBytes-3) + "b*", "*" + strings.Repeat("a", 9000) + "?" + strings.Repeat("a", 9000) + "b*", "*" + strings.Repeat("?a", 9000) + "b*",
		strings.Repeat("*a?b", 5000), "*" + string(distinct) + "?*", strings.Repeat("?", MaxBytes), "*" + strings.Repeat("?", MaxBytes-3) + "b*",
	}
	for i, pat := range patterns {
		for _, text := range texts {
			p, err := compile(pat, newGlob, true, true)
			if err != nil {
				t.Fatal(err)
			}
			if p.fixed.match(text, nil) && strings.Contains(pat, "b") && !strings.Contains(text, "b") {
				t.Errorf("pattern %d matches a text without its b", i)
			}
		}
	}
}

// A variable that is named often costs no more than the text that it is
// compared with.
func TestExpansionStopsAtTheTextsLength(t *testing.T) {
	long := strings.Repeat("a", 48<<10)
	p, err := compile("b/"+strings.Repeat("${aws:UserAgent}", 1100), newGlob, true, true)
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	value := func(string) (string, bool) { looked++; return long, true }
	if met, known := p.matches("b/k", nil, value); met || !known || looked == 0 {
		t.Errorf("%v, %v", met, known)
	}
	if out, known, fits := p.expand(value, 100); !known || fits || cap(out) > 1000 {
		t.Errorf("%d runes, %v, %v", cap(out), known, fits)
	}
	// A variable without a value counts after the others have grown too long.
	p, err = compile(strings.Repeat("${aws:UserAgent}", 3)+"${aws:Referer}", newGlob, true, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, known := p.matches("x", nil, func(key string) (string, bool) { return long, key == "aws:useragent" }); known {
		t.Error("a variable without a value is known")
	}
	// The limit is exact, in bytes of the text and in runes of the pattern.
	for _, v := range []string{"", "a", "é", "\U0001F600", strings.Repeat("\U0001F600", 300)} {
		p, err = compile("${aws:Referer}*", newGlob, true, true)
		if err != nil {
			t.Fatal(err)
		}
		if met, _ := p.matches(v, nil, func(string) (string, bool) { return v, true }); !met {
			t.Errorf("%q does not match itself", v)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add("*a*a*a*", "aaaaaaab")
	f.Add("*a?a*", "aaba")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, pat, text string) {
		if len(pat)*len(text) > 1<<16 || strings.ContainsRune(pat, '\uFFFD') || !utf8.ValidString(pat) {
			t.Skip()
		}
		if !utf8.ValidString(text) { // as a header can be
			newGlob(wildcards(pat)).match(text, nil)
			return
		}
		mustAgree(t, pat, text)
	})
}

// FuzzReach compares mayReach with a pattern that is extended by every way.
func FuzzReach(f *testing.F) {
	f.Add("b*", "b")
	f.Add("*/x", "bucket")
	f.Fuzz(func(t *testing.T, pat, bucket string) {
		if len(pat) > 40 || len(bucket) > 20 || !utf8.ValidString(pat) || !utf8.ValidString(bucket) || strings.ContainsAny(bucket, "/") {
			t.Skip()
		}
		p, err := compile(pat, newGlob, true, false)
		if err != nil {
			t.Fatal(err)
		}
		// The pattern reaches into the bucket if some beginning of it matches
		// the name and a slash: whatever follows, some key has it.
		runes := wildcards(pat)
		want := matchNaively(runes, []rune(bucket))
		for i := 0; i <= len(runes); i++ {
			want = want || matchNaively(runes[:i], []rune(bucket+"/"))
		}
		if got := p.mayReach(bucket); got != want {
			t.Fatalf("%q reaches %q: %v", pat, bucket, got)
		}
	})
}

func TestHostileDocumentsAreReadInLinearTime(t *testing.T) {
	name := strings.Repeat("n", 8000)
	var fields []string
	for i := range 1200 {
		fields = append(fields, fmt.Sprintf(`"%x":1`, i))
	}
	for label, text := range map[string]string{
		"stars in a resource":    with("Resource", `"arn:aws:s3:::b/`+strings.Repeat("*", 19800)+`"`),
		"stars and letters":      with("Resource", `"arn:aws:s3:::b/`+strings.Repeat("*a?", 6600)+`"`),
		"stars in an action":     with("Action", `"s3:`+strings.Repeat("*", 19800)+`"`),
		"many actions":           with("Action", `[`+strings.Repeat(`"s3:*",`, 2800)+`"s3:Get*"]`),
		"many variables":         with("Resource", `"arn:aws:s3:::b/`+strings.Repeat("${aws:Referer}", 1400)+`"`),
		"many values":            with("Condition", `{"NumericEquals":{"aws:EpochTime":[`+strings.Repeat("1,", 9900)+`1]}}`),
		"a long name above many": with("Condition", `{"`+name+`":{`+strings.Join(fields, ",")+`}}`),
		"deep":                   strings.Repeat(`{"a":`, 3000) + "1" + strings.Repeat("}", 3000),
		"lists":                  with("Sid", strings.Repeat("[", 9000)),
		"spaces":                 with("Sid", strings.Repeat(" ", 19000)+"1"),
		"colons":                 with("Principal", `{"AWS":"`+strings.Repeat(":", 19000)+`"}`),
	} {
		p, err := Parse([]byte(text))
		if err == nil {
			err = p.Validate("b")
		}
		if err != nil && len(err.Error()) > 3*MaxBytes {
			t.Errorf("%s: the error has %d bytes", label, len(err.Error()))
		}
	}
}
