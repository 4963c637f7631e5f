package policy

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// In a matcher these runes, which no text holds, are the wildcards.
const (
	anyRun rune = -1 // * : any run of characters, also none
	anyOne rune = -2 // ? : one character
)

// pattern is a value of a policy: text with wildcards and policy variables.
type pattern struct {
	build  func([]rune) matcher
	fixed  matcher // where it has no variables
	pieces []piece // where it has
}

// piece is a run of runes and wildcards, or a variable.
type piece struct {
	runes    []rune
	variable string // condition key; "" where the piece is runes
	fallback string // the variable's default
	defaults bool   // it has one
}

var errVariable = errors.New("a policy variable is not closed, or has no name: want ${key} or ${key, 'default'}")

// compile reads a pattern for what build makes of it. Wildcards count where
// wild is set, variables and the escapes ${*}, ${?} and ${$} where variables
// is set.
func compile(text string, build func([]rune) matcher, wild, variables bool) (pattern, error) {
	var pieces []piece
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
			return pattern{}, errVariable
		}
		text = rest
		if body == "*" || body == "?" || body == "$" {
			run = append(run, rune(body[0]))
			continue
		}
		v, err := parseVariable(body)
		if err != nil {
			return pattern{}, err
		}
		pieces = append(pieces, piece{runes: run}, v)
		run = nil
	}
	if len(pieces) == 0 {
		return pattern{build: build, fixed: build(run)}, nil
	}
	return pattern{build: build, pieces: append(pieces, piece{runes: run})}, nil
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
func (p *pattern) constant() bool { return p.fixed != nil }

// own reports whether the pattern depends on a key that is Own.
func (p *pattern) own() bool {
	return slices.ContainsFunc(p.pieces, func(v piece) bool {
		k := findKey(v.variable)
		return k != nil && k.Own
	})
}

// matches compares a value with the pattern. known is false where a variable
// has no value: then there is nothing to compare with.
func (p *pattern) matches(value string, w *work, variable func(key string) (string, bool)) (met, known bool) {
	if p.fixed != nil {
		return p.fixed.match(value, w), true
	}
	runes, known, fits := p.expand(variable, len(value))
	return known && fits && w.spend(len(runes)) && p.build(runes).match(value, w), known
}

// expand puts the variables' values in, where wildcards mean themselves. known
// is false where a variable has no value. fits is false where nothing of at
// most limit bytes can match: values of variables are as long as the requester
// likes, and can be named often, so that expansion stops there.
func (p *pattern) expand(value func(key string) (string, bool), limit int) (out []rune, known, fits bool) {
	fits = true
	for _, piece := range p.pieces {
		runes := piece.runes
		if piece.variable != "" {
			v, ok := value(piece.variable)
			if !ok && !piece.defaults {
				return nil, false, false
			}
			if !ok {
				v = piece.fallback
			}
			// A rune has at most UTFMax bytes, and matches at least one.
			if fits = fits && len(v)/utf8.UTFMax <= limit; fits {
				runes = []rune(v)
			}
		}
		if !fits {
			continue // is there a variable without a value?
		}
		for _, r := range runes {
			if r != anyRun {
				limit--
			}
		}
		if fits = limit >= 0; fits {
			out = append(out, runes...)
		}
	}
	return out, true, fits
}

// mayReach reports whether the pattern, of a resource, matches the bucket's
// name, or that name, a slash and something. A variable may be anything.
func (p *pattern) mayReach(bucket string) bool {
	var g glob
	open := false
	if p.fixed != nil {
		g = p.fixed.(glob)
	} else {
		g, open = compileGlob(p.pieces[0].runes), true
	}
	open = open || len(g.parts) > 1
	// Only what comes before the first star or variable can contradict.
	head := g.parts[0].wild
	if head == nil {
		head = []rune(g.parts[0].text)
	}
	name := []rune(bucket + "/")
	for i, r := range head {
		if i == len(name) {
			return true
		}
		if r != anyOne && r != name[i] {
			return false
		}
	}
	return open || len(head) >= len(name)-1
}
