package policy

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// In a matcher these runes, which no text holds, are the wildcards.
const (
	anyRun rune = -1 // * : any run of characters, also none
	anyOne rune = -2 // ? : one character
)

// pattern is text with wildcards and policy variables.
type pattern []piece

// piece is a run of runes and wildcards, or a variable.
type piece struct {
	runes    []rune
	variable string // condition key; "" where the piece is runes
	fallback string // the variable's default
	defaults bool   // it has one
}

var errVariable = errors.New("a policy variable is not closed, or has no name: want ${key} or ${key, 'default'}")

// compile reads a pattern. Wildcards count where wild is set, variables and
// the escapes ${*}, ${?} and ${$} where variables is set.
func compile(text string, wild, variables bool) (pattern, error) {
	var out pattern
	var run []rune
	for text != "" {
		if !variables || !strings.HasPrefix(text, "${") {
			r, size := utf8.DecodeRuneInString(text)
			run = append(run, wildcard(r, wild))
			text = text[size:]
			continue
		}
		body, rest, closed := strings.Cut(text[len("${"):], "}")
		if !closed {
			return nil, errVariable
		}
		text = rest
		if body == "*" || body == "?" || body == "$" {
			run = append(run, rune(body[0]))
			continue
		}
		v, err := parseVariable(body)
		if err != nil {
			return nil, err
		}
		out = append(out, piece{runes: run}, v)
		run = nil
	}
	return append(out, piece{runes: run}), nil
}

func wildcard(r rune, wild bool) rune {
	switch {
	case wild && r == '*':
		return anyRun
	case wild && r == '?':
		return anyOne
	}
	return r
}

func parseVariable(body string) (piece, error) {
	key, fallback, has := strings.Cut(body, ",")
	key = strings.TrimSpace(key)
	if key == "" {
		return piece{}, errVariable
	}
	if !has {
		return piece{variable: canonicalKey(key)}, nil
	}
	fallback = strings.TrimSpace(fallback)
	if len(fallback) < 2 || fallback[0] != '\'' || fallback[len(fallback)-1] != '\'' {
		return piece{}, errVariable
	}
	return piece{variable: canonicalKey(key), fallback: fallback[1 : len(fallback)-1], defaults: true}, nil
}

// constant reports whether the pattern has no variables.
func (p pattern) constant() bool { return len(p) == 1 }

// expand puts the variables' values in, where wildcards mean themselves. It
// returns false where a variable has no value.
func (p pattern) expand(value func(key string) (string, bool)) ([]rune, bool) {
	if p.constant() {
		return p[0].runes, true
	}
	var out []rune
	for _, piece := range p {
		if piece.variable == "" {
			out = append(out, piece.runes...)
			continue
		}
		v, ok := value(piece.variable)
		if !ok && !piece.defaults {
			return nil, false
		}
		if !ok {
			v = piece.fallback
		}
		out = append(out, []rune(v)...)
	}
	return out, true
}

// loose is the pattern with every variable as a *.
func (p pattern) loose() []rune {
	var out []rune
	for _, piece := range p {
		if piece.variable != "" {
			out = append(out, anyRun)
		}
		out = append(out, piece.runes...)
	}
	return out
}

// match reports whether the whole text matches. It takes time proportional to
// the product of both lengths at most.
func match(pat []rune, text string) bool {
	runes := []rune(text)
	p, t := 0, 0
	star, mark := -1, 0 // the last * seen, and where it has eaten up to
	for t < len(runes) {
		switch {
		case p < len(pat) && pat[p] == anyRun:
			star, mark = p, t
			p++
		case p < len(pat) && (pat[p] == anyOne || pat[p] == runes[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pat) && pat[p] == anyRun {
		p++
	}
	return p == len(pat)
}

// mayMatchWithin reports whether the pattern matches the bucket's name, or
// that name, a slash and something.
func mayMatchWithin(pat []rune, bucket string) bool {
	states := closure(pat, map[int]bool{0: true})
	for _, r := range bucket {
		states = step(pat, states, r)
	}
	return states[len(pat)] || len(step(pat, states, '/')) > 0
}

// step is the set of places in pat after it has read r.
func step(pat []rune, states map[int]bool, r rune) map[int]bool {
	next := map[int]bool{}
	for i := range states {
		if i == len(pat) {
			continue
		}
		switch pat[i] {
		case anyRun:
			next[i] = true
		case anyOne, r:
			next[i+1] = true
		}
	}
	return closure(pat, next)
}

// closure adds the places that a * reaches by eating nothing.
func closure(pat []rune, states map[int]bool) map[int]bool {
	for i := range states {
		for i < len(pat) && pat[i] == anyRun {
			i++
			states[i] = true
		}
	}
	return states
}
