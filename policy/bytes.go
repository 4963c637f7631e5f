package policy

// Bytes is about how much memory the policy takes: as a text of 20 KB can be
// parsed into some megabytes, a cache counts these, not the text's.
func (p *Policy) Bytes() int {
	n := 256 + len(p.ID)
	for i := range p.Statements {
		s := &p.Statements[i]
		n += 512 + len(s.Sid)
		for _, list := range [][]string{s.principals.accounts, s.principals.arns, s.principals.canonical, s.principals.services} {
			for _, name := range list {
				n += 32 + len(name)
			}
		}
		for j := range s.resources {
			n += 64 + s.resources[j].bytes()
		}
		for j := range s.conditions {
			n += 256
			for k := range s.conditions[j].tests {
				t := &s.conditions[j].tests[k]
				n += 192 + len(t.text) + t.pattern.bytes()
			}
		}
	}
	return n
}

func (p *pattern) bytes() int {
	n := 64
	for _, piece := range p.pieces {
		n += 96 + 4*len(piece.runes) + len(piece.variable) + len(piece.fallback)
	}
	switch m := p.fixed.(type) {
	case exact:
		n += len(m)
	case folded:
		n += len(m)
	case glob:
		n += m.bytes()
	case arnGlobs:
		for _, g := range m {
			n += g.bytes()
		}
	}
	return n
}

func (g glob) bytes() (n int) {
	for i := range g.parts {
		p := &g.parts[i]
		n += 96 + len(p.text) + 4*len(p.wild)
		if p.seek != nil {
			n += 384 + 4*len(p.wild) + 64*len(p.seek.places) + 40*len(p.seek.others)
			for _, mask := range p.seek.masks {
				n += 8 * len(mask)
			}
		}
	}
	return n
}
