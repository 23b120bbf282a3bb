package secrets

import (
	"regexp/syntax"
	"unicode"
	"unicode/utf8"
)

// set is a set of bytes.
type set [4]uint64

func (s *set) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }
func (s *set) add(b byte)      { s[b>>6] |= 1 << (b & 63) }

func (s *set) or(o *set) {
	for i := range s {
		s[i] |= o[i]
	}
}

// apart reports whether no byte is in both sets.
func (s *set) apart(o *set) bool {
	return s[0]&o[0]|s[1]&o[1]|s[2]&o[2]|s[3]&o[3] == 0
}

// wideBytes are the bytes of characters outside ASCII.
var (
	wideBytes = set{0, 0, ^uint64(0), ^uint64(0)}
	allBytes  = set{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
)

// class is a class of characters.
type class struct {
	ascii set
	wide  []rune // pairs of first and last
}

// width returns how many bytes the character at text[i] takes if it is in the
// class, or 0. i must be in the text.
func (c *class) width(text []byte, i int) int {
	b := text[i]
	if b < utf8.RuneSelf {
		return int(c.ascii[b>>6] >> (b & 63) & 1)
	}
	if len(c.wide) == 0 {
		return 0
	}
	r, n := utf8.DecodeRune(text[i:])
	for k := 0; k < len(c.wide); k += 2 {
		if c.wide[k] <= r && r <= c.wide[k+1] {
			return n
		}
	}
	return 0
}

// first returns the bytes that a character of the class can begin with.
func (c *class) first() set {
	s := c.ascii
	if len(c.wide) > 0 {
		s.or(&wideBytes)
	}
	return s
}

func (c *class) addRange(lo, hi rune) {
	for r := lo; r <= hi && r < utf8.RuneSelf; r++ {
		c.ascii.add(byte(r))
	}
	if hi >= utf8.RuneSelf {
		c.wide = append(c.wide, max(lo, utf8.RuneSelf), hi)
	}
}

// newClass returns what re matches if that is always one character.
func newClass(re *syntax.Regexp) (*class, bool) {
	c := &class{}
	switch re.Op {
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			c.addRange(re.Rune[i], re.Rune[i+1])
		}
	case syntax.OpAnyChar:
		c.addRange(0, unicode.MaxRune)
	case syntax.OpAnyCharNotNL:
		c.addRange(0, '\n'-1)
		c.addRange('\n'+1, unicode.MaxRune)
	case syntax.OpLiteral:
		if len(re.Rune) != 1 {
			return nil, false
		}
		return literalClass(re.Rune[0], re.Flags&syntax.FoldCase != 0), true
	default:
		return nil, false
	}
	return c, true
}

func literalClass(r rune, fold bool) *class {
	c := &class{}
	c.addRange(r, r)
	if fold {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			c.addRange(f, f)
		}
	}
	return c
}

func isWord(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_'
}

// wordAt reports whether there is a word's border at text[i], as \b means it.
func wordAt(text []byte, i int) bool {
	return (i > 0 && isWord(text[i-1])) != (i < len(text) && isWord(text[i]))
}
