package policy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// matcher compares a value of a request with one of a policy. Its time is
// linear in both lengths, but for parts with ? between two stars, which cost
// the product of the lengths divided by 64. What is spent goes to w; where
// nothing is left, the result is false and means nothing.
type matcher interface {
	match(value string, w *work) bool
}

// work is what deciding a request may still cost: about a step of the slowest
// algorithm here for each unit. nil is without limit.
type work struct{ left int }

// maxWork is far more than policies that people write cost, for a thousand
// keys, and a fraction of a second. A policy can have hundreds of patterns
// that each search the whole of each key.
const maxWork = 16 << 20

// spend reports whether n units were left.
func (w *work) spend(n int) bool {
	if w == nil {
		return true
	}
	w.left -= n
	return w.left >= 0
}

type (
	exact    string
	folded   string
	glob     struct{ parts []part }
	arnGlobs []glob
)

func newExact(pat []rune) matcher  { return exact(string(pat)) }
func newFolded(pat []rune) matcher { return folded(string(pat)) }

func (e exact) match(value string, _ *work) bool  { return string(e) == value }
func (f folded) match(value string, _ *work) bool { return strings.EqualFold(string(f), value) }

// glob is a pattern cut at its stars: the text begins with the first part,
// ends with the last, and has the others between them in their order. Without
// a star there is one part, which is the whole text. Parts between two stars
// are never empty, so that a row of stars costs what one does.
//
// A policy and the text that it is compared with can both be an attacker's.
// Backtracking, and sets of states, take quadratic time there.

func newGlob(pat []rune) matcher { return compileGlob(pat) }

func compileGlob(pat []rune) (g glob) {
	for first := true; ; first = false {
		star := slices.Index(pat, anyRun)
		if star < 0 {
			g.parts = append(g.parts, newPart(pat, false))
			return g
		}
		if star > 0 || first {
			g.parts = append(g.parts, newPart(pat[:star], !first))
		}
		pat = pat[star+1:]
	}
}

// atLeast is a lower bound of the bytes of a text that matches.
func (g glob) atLeast() (n int) {
	for i := range g.parts {
		n += g.parts[i].least
	}
	return n
}

func (g glob) match(text string, w *work) bool {
	if len(text) < g.atLeast() {
		return false
	}
	first, last := &g.parts[0], &g.parts[len(g.parts)-1]
	n, ok := first.prefix(text)
	if !ok || first == last {
		return ok && n == len(text)
	}
	text = text[n:]
	if n, ok = last.suffix(text); !ok {
		return false
	}
	text = text[:len(text)-n]
	// The leftmost match of each part leaves the most for the next ones.
	for i := 1; i < len(g.parts)-1; i++ {
		if n, ok = g.parts[i].find(text, w); !ok {
			return false
		}
		text = text[n:]
	}
	return true
}

// newARNs cuts a pattern of an ARN at its first five colons: a wildcard does
// not reach beyond a colon, except in the last part.
func newARNs(pat []rune) matcher {
	var parts arnGlobs
	for range 5 {
		colon := slices.Index(pat, ':')
		if colon < 0 {
			return arnGlobs(nil) // matches nothing
		}
		parts = append(parts, compileGlob(pat[:colon]))
		pat = pat[colon+1:]
	}
	return append(parts, compileGlob(pat))
}

func (a arnGlobs) match(value string, w *work) bool {
	values := strings.SplitN(value, ":", 6)
	if len(values) != 6 || len(a) != 6 || values[0] != "arn" {
		return false
	}
	for i, v := range values {
		if !a[i].match(v, w) {
			return false
		}
	}
	return true
}

// part is what stands between two stars.
type part struct {
	text  string    // where it has no ?
	wild  []rune    // where it has
	seek  *searcher // for a wild one between two stars
	least int       // the least bytes that it matches
}

func newPart(pat []rune, inner bool) part {
	if !slices.Contains(pat, anyOne) {
		text := string(pat)
		return part{text: text, least: len(text)}
	}
	p := part{wild: slices.Clone(pat), least: len(pat)}
	if inner {
		p.seek = newSearcher(p.wild)
	}
	return p
}

// prefix returns the length of the beginning of text that the part matches.
func (p *part) prefix(text string) (n int, ok bool) {
	if p.wild == nil {
		return len(p.text), strings.HasPrefix(text, p.text)
	}
	for _, want := range p.wild {
		r, size := utf8.DecodeRuneInString(text[n:])
		if size == 0 || want != anyOne && want != r {
			return 0, false
		}
		n += size
	}
	return n, true
}

// suffix returns the length of the end of text that the part matches.
func (p *part) suffix(text string) (n int, ok bool) {
	if p.wild == nil {
		return len(p.text), strings.HasSuffix(text, p.text)
	}
	for _, want := range slices.Backward(p.wild) {
		r, size := utf8.DecodeLastRuneInString(text[:len(text)-n])
		if size == 0 || want != anyOne && want != r {
			return 0, false
		}
		n += size
	}
	return n, true
}

// find returns where the leftmost match within text ends.
func (p *part) find(text string, w *work) (end int, ok bool) {
	if p.wild == nil {
		if !w.spend(1 + len(text)/16) {
			return 0, false
		}
		i := strings.Index(text, p.text)
		return i + len(p.text), i >= 0
	}
	if !w.spend(len(text) * len(p.seek.masks[0])) {
		return 0, false
	}
	return p.seek.find(text)
}

// searcher finds text with ? in it by the algorithm Shift-And: bit i of the
// state says that the first i+1 runes match what was read last. Its memory is
// linear in the length of what it searches for.
type searcher struct {
	length int
	// The runes of the pattern have numbers from 1; 0 are all others.
	ascii  [utf8.RuneSelf]uint8
	others map[rune]int
	// masks has the places of a rune and those of ? as bits. Of a pattern
	// longer than a word, only runes of many places have one.
	masks  [][]uint64
	places [][]int32
}

func newSearcher(pat []rune) *searcher {
	s := &searcher{length: len(pat), others: map[rune]int{}, places: make([][]int32, 1)}
	for i, r := range pat {
		if r != anyOne {
			n := s.number(r)
			s.places[n] = append(s.places[n], int32(i))
		}
	}
	words := (len(pat) + 63) / 64
	unknown := make([]uint64, words)
	for i, r := range pat {
		if r == anyOne {
			unknown[i/64] |= 1 << (i % 64)
		}
	}
	s.masks = make([][]uint64, len(s.places))
	s.masks[0] = unknown
	for n := 1; n < len(s.places); n++ {
		if words > 1 && len(s.places[n]) <= words {
			continue // there is room for at most 64 long masks in linear memory
		}
		s.masks[n] = slices.Clone(unknown)
		for _, i := range s.places[n] {
			s.masks[n][i/64] |= 1 << (i % 64)
		}
		s.places[n] = nil
	}
	return s
}

// number gives a rune its number.
func (s *searcher) number(r rune) int {
	n := len(s.places)
	switch {
	case r < utf8.RuneSelf && s.ascii[r] != 0:
		return int(s.ascii[r])
	case s.others[r] != 0: // also of ASCII, once the small numbers are used up
		return s.others[r]
	case r < utf8.RuneSelf && n <= 255:
		s.ascii[r] = uint8(n)
	default:
		s.others[r] = n
	}
	s.places = append(s.places, nil)
	return n
}

// next reads a rune of the text and returns its number.
func (s *searcher) next(text string) (number, size int) {
	if c := text[0]; c < utf8.RuneSelf && s.ascii[c] != 0 {
		return int(s.ascii[c]), 1
	}
	r, size := utf8.DecodeRuneInString(text)
	return s.others[r], size
}

func (s *searcher) find(text string) (end int, ok bool) {
	if len(s.masks[0]) > 1 {
		return s.findLong(text)
	}
	var state uint64
	last := uint64(1) << (s.length - 1)
	for end < len(text) {
		n, size := s.next(text[end:])
		end += size
		if state = (state<<1 | 1) & s.masks[n][0]; state&last != 0 {
			return end, true
		}
	}
	return 0, false
}

func (s *searcher) findLong(text string) (end int, ok bool) {
	words, last := len(s.masks[0]), s.length-1
	buffer := make([]uint64, 2*words)
	state, shifted := buffer[:words], buffer[words:]
	for end < len(text) {
		n, size := s.next(text[end:])
		end += size
		carry := uint64(1)
		mask := s.masks[n]
		if mask == nil {
			mask = s.masks[0]
		}
		for w, bits := range state {
			shifted[w] = bits<<1 | carry
			carry = bits >> 63
			state[w] = shifted[w] & mask[w]
		}
		for _, i := range s.places[n] {
			state[i/64] |= shifted[i/64] & (1 << (i % 64))
		}
		if state[last/64]&(1<<(last%64)) != 0 {
			return end, true
		}
	}
	return 0, false
}
