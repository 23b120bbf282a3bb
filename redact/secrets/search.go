package secrets

import (
	"math"
	"regexp/syntax"
	"slices"
)

// search reports whether p matches anywhere in text.
func (p *pattern) search(m *machine, text []byte) bool {
	if p.atStart {
		if len(text) > 1 && p.pairs != nil && !p.pairs.has(text[0], text[1]) {
			return false
		}
		return p.match(m, text, 0)
	}
	for i, b := range text {
		if p.pairs != nil && i+1 < len(text) {
			if !p.pairs.has(b, text[i+1]) {
				continue
			}
		} else if !p.first.has(b) {
			continue
		}
		if p.match(m, text, i) {
			return true
		}
	}
	return p.match(m, text, len(text))
}

// pairs are two bytes in a row: by the first, which set has the second.
type pairs struct {
	of   [256]uint8
	sets []set // the first one is empty
}

func (p *pairs) has(first, second byte) bool { return p.sets[p.of[first]].has(second) }

// newPairs returns the pairs of bytes that matches of re begin with, or nil if they
// are not known. Like anchors, it folds ASCII only.
func newPairs(re *syntax.Regexp) *pairs {
	drafts := prefixes(re)
	if len(drafts) == 0 {
		return nil
	}
	var seconds [256]set
	for _, d := range drafts {
		if len(d.sets) == 0 || d.lead {
			return nil
		}
		second := &allBytes
		if len(d.sets) > 1 {
			second = &d.sets[1]
		}
		for b := range 256 {
			if d.sets[0].has(byte(b)) {
				seconds[b].or(second)
			}
		}
	}
	p := &pairs{sets: make([]set, 1)}
	for b, s := range seconds {
		at := slices.Index(p.sets, s)
		if at < 0 {
			if at = len(p.sets); at > math.MaxUint8 {
				return nil
			}
			p.sets = append(p.sets, s)
		}
		p.of[b] = uint8(at)
	}
	return p
}

func beginsText(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText:
		return true
	case syntax.OpConcat, syntax.OpCapture:
		return beginsText(re.Sub[0])
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !beginsText(s) })
	}
	return false
}
