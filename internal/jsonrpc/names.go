package jsonrpc

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names is a set of member names that a reader knows. Readers such as Go's
// encoding/json match names without case, so a name that equals a known one only under
// Unicode case folding would be read by them and not by us.
type Names struct {
	exact  map[string]string
	folded map[string]string
	maxLen int
}

// NewNames returns the set of the given names.
func NewNames(names ...string) *Names {
	s := &Names{exact: make(map[string]string, len(names)), folded: make(map[string]string, len(names))}
	for _, n := range names {
		s.exact[n] = n
		s.folded[Fold(n)] = n
		// Folding can shorten a name's bytes at most threefold (U+212A KELVIN SIGN to k).
		s.maxLen = max(s.maxLen, 3*len(n))
	}
	return s
}

// Find returns the known name that the quoted JSON string equals, or "".
func (s *Names) Find(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner = []byte(String(quoted))
	}
	return s.exact[string(inner)]
}

// Fold returns the known name that the quoted JSON string equals under Unicode case
// folding but not exactly, or "".
func (s *Names) Fold(quoted []byte) string {
	name := String(quoted)
	if len(name) > s.maxLen {
		return ""
	}
	if n, ok := s.folded[Fold(name)]; ok && n != name {
		return n
	}
	return ""
}

// Clash returns a name of the object at s that equals a known name or a sibling only
// under Unicode case folding, or "" if there is none.
func (s *Names) Clash(raw []byte, obj Span) string {
	return s.Walk(raw, obj, func(string, Span) {})
}

// Walk is Clash, and calls visit on its way for each member with the known name that it has, or
// "", and its value: values may be large, and so passing over them twice takes its time. It ends
// at the first clash.
func (s *Names) Walk(raw []byte, obj Span, visit func(known string, value Span)) (clash string) {
	var few [16]string
	seen := few[:0]
	var many map[string]bool // the names of an object with more than a few
	for n, value := range Members(raw, obj) {
		known := s.Find(raw[n.Start:n.End])
		visit(known, value)
		if known != "" {
			continue // whatever equals it but for case is found by being unknown
		}
		name := String(raw[n.Start:n.End])
		folded := Fold(name)
		if len(name) <= s.maxLen {
			if known, ok := s.folded[folded]; ok && known != name {
				return known
			}
		}
		if many == nil && len(seen) == len(few) {
			many = make(map[string]bool, 2*len(few))
			for _, s := range seen {
				many[s] = true
			}
		}
		if many != nil {
			if many[folded] {
				return name
			}
			many[folded] = true
			continue
		}
		if slices.Contains(seen, folded) {
			return name
		}
		seen = append(seen, folded)
	}
	return ""
}

// siblings returns a name of the object that equals another of its names under Unicode
// case folding, or "".
func siblings(raw []byte, obj Span) string { return new(Names).Clash(raw, obj) }

// Fold returns s in a form that is equal for strings equal under Unicode simple case
// folding, the one that strings.EqualFold and Go's encoding/json use.
func Fold(s string) string {
	lower := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			lower = false
			break
		}
	}
	if lower {
		return s
	}
	return strings.Map(foldRune, s)
}

// foldRune returns the least rune of r's folding orbit, in lower case for ASCII.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if 'A' <= least && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}
