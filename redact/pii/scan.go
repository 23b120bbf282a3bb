package pii

import (
	"encoding/binary"
	"math/bits"
	"time"
	"unicode/utf8"
)

// scanner looks through one text.
type scanner struct {
	d     *Detector
	text  []byte
	finds []Find
	// emailFinds is for merge.
	emailFinds []Find
	chain      chain
	words      words // the context of the chain, once it was asked for
	known      bool  // words holds it
	// The same for what stands behind the chain.
	wordsBehind words
	knownBehind bool

	glued int // where a number begins that letters are joined to; -1 for none
}

// chain is a number as people write it: groups of digits with separators
// between. It is of a fixed size, so that a table full of numbers costs no
// more per byte than a text with one.
type chain struct {
	groups [maxGroups]group
	n      int
	digits [maxDigits]byte // of all groups, as ASCII
	more   bool            // the text goes on with further groups
}

const (
	maxGroups = 24
	maxDigits = 64
	maxWindow = 16 // groups of one find; more than any way of writing has, but "4 1 1 1 ..."
)

type group struct {
	start, end int  // in the text
	at, n      int  // in the chain's digits
	sep        byte // what stands before: a space, '-', '.', '/', '(' for anything with parentheses, '?' for a mix
}

// slice is how many bytes are looked at between two looks at the clock.
const slice = 64 << 10

// numbers finds everything that has digits.
func (s *scanner) numbers(until time.Time) error {
	next := slice
	for i := nextDigit(s.text, 0); i < len(s.text); i = nextDigit(s.text, i) {
		if i >= next {
			if time.Now().After(until) {
				return ErrTime
			}
			next = i + slice
		}
		end := s.number(i)
		if end <= i { // a digit outside ASCII ends the words that wordEnd knows
			_, n := digitAt(s.text, i)
			end = i + n
		}
		i = end
	}
	return nil
}

// nextDigit returns where the next digit of any script that people use to
// slip by begins, from i on, or the end of the text.
func nextDigit(text []byte, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(text); i += 8 {
		x := binary.LittleEndian.Uint64(text[i:])
		low := x &^ high
		// Bit 7 of each byte: at least '0', and not at least '9'+1.
		digit := (low + (0x80-'0')*ones) &^ (low + (0x80-'9'-1)*ones) &^ x & high
		if x&high == 0 {
			if digit != 0 {
				return i + bits.TrailingZeros64(digit)/8
			}
			continue
		}
		for m := (digit | x&(x<<1)) & high; m != 0; m &= m - 1 {
			at := i + bits.TrailingZeros64(m)/8
			if class[text[at]]&leadsDigit == 0 {
				continue
			}
			if _, n := digitAt(text, at); n > 0 {
				return at
			}
		}
	}
	for ; i < len(text); i++ {
		if _, n := digitAt(text, i); n > 0 {
			return i
		}
	}
	return len(text)
}

// class says what a byte is.
var class = func() (t [256]uint8) {
	for c := range 256 {
		b := byte(c)
		if isDigit(b) || isLetter(b) || b == '_' {
			t[c] |= wordByte
		}
		if isLetter(b) || b >= 0x80 {
			t[c] |= letterByte
		}
		if isDigit(b) || b|0x20-'a' < 6 {
			t[c] |= hexByte
		}
		switch b {
		case 0xd9, 0xdb, 0xe0, 0xef, 0xf0:
			t[c] |= leadsDigit
		case ' ', '-', '.', '/', '(', ')', '+', ':':
			t[c] |= goesOn
		}
		if isDigit(b) {
			t[c] |= leadsDigit
		}
		if b >= 0x80 || t[c]&wordByte != 0 {
			t[c] |= goesOn
		}
	}
	return t
}()

const (
	wordByte   = 1 << iota // of an ASCII word
	hexByte                // a hexadecimal digit
	letterByte             // a letter, or a part of one outside ASCII
	leadsDigit             // may begin a digit
	goesOn                 // a number may go on with it
)

// digitAt returns the digit at i as ASCII and its size in bytes, 0 where there
// is none. It knows the digits of ASCII, Arabic, Persian and Devanagari, the
// full-width and the mathematical ones.
func digitAt(text []byte, i int) (byte, int) {
	if i >= len(text) {
		return 0, 0
	}
	c := text[i]
	if c-'0' < 10 {
		return c, 1
	}
	if c < 0xd9 {
		return 0, 0
	}
	switch c {
	case 0xd9: // U+0660
		if i+1 < len(text) && text[i+1]-0xa0 < 10 {
			return '0' + text[i+1] - 0xa0, 2
		}
	case 0xdb: // U+06F0
		if i+1 < len(text) && text[i+1]-0xb0 < 10 {
			return '0' + text[i+1] - 0xb0, 2
		}
	case 0xe0: // U+0966
		if i+2 < len(text) && text[i+1] == 0xa5 && text[i+2]-0xa6 < 10 {
			return '0' + text[i+2] - 0xa6, 3
		}
	case 0xef: // U+FF10
		if i+2 < len(text) && text[i+1] == 0xbc && text[i+2]-0x90 < 10 {
			return '0' + text[i+2] - 0x90, 3
		}
	case 0xf0: // U+1D7CE
		if i+3 < len(text) && text[i+1] == 0x9d && text[i+2] == 0x9f && text[i+3]-0x8e < 50 {
			return '0' + (text[i+3]-0x8e)%10, 4
		}
	}
	return 0, 0
}

// number looks at the number or word with digits around i, where the first
// digit is, and returns where to go on.
func (s *scanner) number(i int) int {
	text := s.text
	switch {
	case i >= 3 && text[i-1] == ' ' && text[i-2]-'A' < 26:
		if end := s.behindLetters(i); end > 0 {
			return end
		}
	case i >= 16 && text[i-1] == '-' && text[i-6] == '/':
		if end := s.cnpj(i - 16); end > 0 {
			return end
		}
	}
	if end := s.quick(i); end > 0 {
		return end
	}
	start := i
	for start > 0 && i-start < 8 && isWord(text[start-1]) {
		start--
	}
	if start > 0 && isWord(text[start-1]) {
		if text[i-3] == '_' {
			if end := s.iban(i - 2); end > 0 {
				return end
			}
		}
		return wordEnd(text, i) // a long word with digits: an identifier, base64
	}
	if end := s.address6(start, i); end > i {
		return end
	}
	if end := s.bareCNPJ(start); end > 0 {
		return end
	}
	if start < i {
		return s.word(start, i)
	}
	if end := uuidEnd(text, i); end > 0 {
		return end
	}
	s.known, s.knownBehind = false, false
	end := s.gather(i)
	c := &s.chain
	if c.n == 0 {
		return end
	}
	last := c.groups[c.n-1]
	if c.n == 1 && last.n < 6 {
		// The most frequent case. What has few digits and then letters is
		// still to be looked at as a word.
		if end < len(text) && isWord(text[end]) {
			return wordEnd(text, end)
		}
		return end
	}
	return s.windows(end)
}

// gather fills the chain with the groups that begin at i and returns where
// they end.
func (s *scanner) gather(i int) int {
	c := &s.chain
	c.n, c.more = 0, false
	nd, sep := 0, byte(0)
	for {
		// In place: the group is read again at once, and in other widths than it would be copied in.
		g := &c.groups[c.n]
		g.start, g.at, g.sep = i, nd, sep
		end := i
		for {
			if i < len(s.text) && isDigit(s.text[i]) && nd < maxDigits {
				c.digits[nd] = s.text[i]
				nd++
				i++
				end = i
				continue
			}
			d, n := digitAt(s.text, i)
			if n == 0 {
				z := zeroWidths(s.text, i)
				if z == 0 {
					break
				}
				if _, n := digitAt(s.text, i+z); n == 0 {
					break
				}
				i += z
				continue
			}
			if nd == maxDigits {
				// Longer than anything here: not a number of a person. Groups
				// before it are looked at.
				if g.at == 0 {
					c.n = 0
					return wordEnd(s.text, i)
				}
				c.more = true
				return g.start
			}
			c.digits[nd] = d
			nd++
			i += n
			end = i
		}
		g.end, g.n = end, nd-g.at
		c.n++
		next, class := separator(s.text, end)
		if next == 0 {
			return end
		}
		if c.n == maxGroups {
			c.more = true
			return end
		}
		i, sep = next, class
	}
}

// separator reads what people put between the groups of a number, at most
// three signs, and returns where the next group begins, or 0.
func separator(text []byte, i int) (next int, class byte) {
	for n := 0; n < 4; n++ {
		i += zeroWidths(text, i)
		if i >= len(text) {
			return 0, 0
		}
		var c byte
		size := 1
		switch b := text[i]; {
		case b-'0' < 10:
			if n == 0 {
				return 0, 0
			}
			return i, class
		case b == ' ' || b == '-' || b == '.' || b == '/':
			c = b
		case b == '(' || b == ')':
			c = '('
		case b < 0x80:
			return 0, 0
		default:
			if _, d := digitAt(text, i); d > 0 {
				if n == 0 {
					return 0, 0
				}
				return i, class
			}
			if c, size = wideSeparator(text, i); size == 0 {
				return 0, 0
			}
		}
		switch {
		case class == 0, class == ' ' && c != '(':
			class = c
		case c == '(' || class == '(':
			class = '('
		case c != ' ' && c != class:
			return 0, 0
		case c != ' ' && c == class:
			return 0, 0 // "1--2", "1..2"
		}
		i += size
	}
	return 0, 0
}

// wideSeparator knows the spaces, dashes and full-width signs outside ASCII.
func wideSeparator(text []byte, i int) (class byte, size int) {
	r, n := utf8.DecodeRune(text[i:])
	switch {
	case r == 0xa0, r >= 0x2000 && r <= 0x200a, r == 0x202f, r == 0x205f, r == 0x3000:
		return ' ', n
	case r >= 0x2010 && r <= 0x2015, r == 0x2212, r == 0xfe58, r == 0xfe63, r == 0xff0d:
		return '-', n
	case r == 0xb7, r == 0x2024, r == 0xff0e:
		return '.', n
	case r == 0x2044, r == 0xff0f:
		return '/', n
	case r == 0xff08, r == 0xff09:
		return '(', n
	}
	return 0, 0
}

// zeroWidth returns the size of a character that cannot be seen, 0 for others.
func zeroWidth(text []byte, i int) int {
	if i >= len(text) || text[i] < 0xc2 {
		return 0
	}
	r, n := utf8.DecodeRune(text[i:])
	switch {
	case r == 0xad, r == 0x34f, r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e,
		r >= 0x2060 && r <= 0x2064, r == 0xfeff, r == 0x180e:
		return n
	}
	return 0
}

// zeroWidths returns the size of at most 16 characters that cannot be seen.
func zeroWidths(text []byte, i int) int {
	if i >= len(text) || text[i] < 0xc2 {
		return 0
	}
	size := 0
	for range 16 {
		z := zeroWidth(text, i+size)
		if z == 0 {
			break
		}
		size += z
	}
	return size
}

func isWord(c byte) bool { return class[c]&wordByte != 0 }

func isLetter(c byte) bool { return c|0x20-'a' < 26 }

func isDigit(c byte) bool { return c-'0' < 10 }

func isHex(c byte) bool { return class[c]&hexByte != 0 }

// wordEnd returns where the ASCII word at i ends.
func wordEnd(text []byte, i int) int {
	for i < len(text) && isWord(text[i]) {
		i++
	}
	return i
}

// uuidEnd returns the end of the UUID that begins at i, or 0.
func uuidEnd(text []byte, i int) int {
	if i+36 > len(text) || text[i+8] != '-' || text[i+13] != '-' || text[i+18] != '-' || text[i+23] != '-' {
		return 0
	}
	for k, c := range text[i : i+36] {
		if !isHex(c) && (c != '-' || k != 8 && k != 13 && k != 18 && k != 23) {
			return 0
		}
	}
	if i+36 < len(text) && isWord(text[i+36]) {
		return 0
	}
	return i + 36
}
