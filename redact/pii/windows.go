package pii

import (
	"unicode/utf8"
)

// window is a part of the chain that is looked at as one number.
type window struct {
	first, last int // groups
	start, end  int // in the text
	digits      []byte
	shape       uint64 // the sizes of the groups, a hexadecimal digit each
	left, right bound
}

// bound says how well a number is set off from what stands beside it.
type bound uint8

const (
	inside bound = iota // part of something longer: never a find
	joined              // a find only where a word near it says so
	apart
)

// window returns the groups first to last.
func (s *scanner) window(first, last int) window {
	c := &s.chain
	a, b := &c.groups[first], &c.groups[last]
	w := window{first: first, last: last, start: a.start, end: b.end, digits: c.digits[a.at : b.at+b.n]}
	for _, g := range c.groups[first : last+1] {
		w.shape = w.shape<<4 | uint64(min(g.n, 15))
	}
	w.left, w.right = s.left(w.start), s.right(w.end)
	// 5678 9012 3456 within 1234 5678 9012 3456 is no number of its own: one
	// ends where the groups change, but for a card, behind which is a date.
	if first > 0 && c.groups[first-1].n == a.n && (first == last || a.sep == c.groups[first+1].sep) {
		w.left = inside
	}
	if last+1 < c.n && w.shape != 0x4444 && c.groups[last+1].n == b.n && (first == last || b.sep == c.groups[last+1].sep) {
		w.right = inside
	}
	return w
}

// seps says whether the groups are separated as in want, such as "..-".
func (s *scanner) seps(w *window, want string) bool {
	for i, g := range s.chain.groups[w.first+1 : w.last+1] {
		if i >= len(want) || g.sep != want[i] {
			return false
		}
	}
	return true
}

// uniform returns the one separator between the groups, or '?'.
func (s *scanner) uniform(w *window) byte {
	sep := byte(0)
	for _, g := range s.chain.groups[w.first+1 : w.last+1] {
		if sep != 0 && g.sep != sep {
			return '?'
		}
		sep = g.sep
	}
	return sep
}

// left judges what stands before a number at i.
func (s *scanner) left(i int) bound {
	if i == 0 || i == s.glued {
		return apart
	}
	text := s.text
	switch c := text[i-1]; c {
	case '.', '-', '/', ':', ',':
		if i >= 2 && isDigit(text[i-2]) {
			switch n := digitsEnd(text, i) - i; {
			case c == ',' && n == 3 && !isDigit(text[max(0, i-5)]):
				return joined // thousands
			case c == ',', c == ':' && n > 5: // a list
				return apart
			}
			return inside
		}
		if (c == '-' || c == '.') && i >= 2 && (isWord(text[i-2]) || text[i-2] == c) || c == '/' {
			return joined
		}
		return apart
	case '%', '@', '\\':
		return inside
	case '+', '$', '&', '~', '^', '*':
		return joined
	default:
		if isWord(c) {
			return inside
		}
		if c >= 0x80 {
			if z := zeroWidthsBefore(text, i); z > 0 {
				if i -= z; i == 0 || text[i-1] < 0x80 {
					return s.left(i)
				}
			}
			for n := 2; n <= 4 && n <= i; n++ {
				if _, size := digitAt(text, i-n); size == n {
					return inside
				}
			}
		}
		return apart
	}
}

// right judges what stands behind a number that ends at i.
func (s *scanner) right(i int) bound {
	text := s.text
	if i >= len(text) {
		return apart
	}
	switch c := text[i]; c {
	case '.', '-', '/', ':', ',':
		if i+1 >= len(text) {
			return apart
		}
		if isDigit(text[i+1]) {
			long := i >= 6 && digitsEnd(text, i-6) == i // and no time, date or amount
			switch {
			case c == '.' || c == '-':
				return inside
			case long, c == ',' && digitsEnd(text, i+1)-i-1 != 3:
				return apart
			}
			return joined
		}
		if c != ',' && c != ':' && isWord(text[i+1]) || c == '/' {
			return joined
		}
		return apart
	case '@', '%':
		return inside
	case '=', '+', '^', '~', '$':
		return joined
	default:
		if isWord(c) {
			return inside
		}
		if z := zeroWidths(text, i); z > 0 && i+z < len(text) && text[i+z] < 0x80 {
			return s.right(i + z)
		}
		return apart
	}
}

// zeroWidthsBefore is zeroWidths for what stands before i.
func zeroWidthsBefore(text []byte, i int) int {
	size := 0
	for range 16 {
		_, n := utf8.DecodeLastRune(text[:i-size])
		if n == 0 || zeroWidth(text, i-size-n) != n {
			break
		}
		size += n
	}
	return size
}

// windows looks at the chain, which ends at end, and returns where to go on.
// What may be most kinds of number is the one with the strictest test.
func (s *scanner) windows(end int) int {
	c := &s.chain
	if c.n >= 2 && c.groups[c.n-1].n == 2 && c.groups[c.n-2].n == 4 && s.text[c.groups[c.n-1].start-1] == '-' {
		if end := s.cnpj(c.groups[c.n-2].start - 11); end > 0 {
			return end
		}
	}
	if s.plain(end) {
		if end < len(s.text) && isWord(s.text[end]) {
			return wordEnd(s.text, end)
		}
		return end
	}
	// A chain cut short may hold the begin of a number in its last groups.
	limit := c.n
	if c.more {
		limit = max(1, c.n-7)
		if g := c.groups[c.n-1]; 2*(g.at+g.n) < 3*c.n {
			return c.groups[limit].start // "1 2 3 4 ..." goes on
		}
	}
	for first := 0; first < limit; {
		last, upTo := s.from(first)
		switch {
		case upTo > c.groups[c.n-1].end:
			return upTo
		case last >= first:
			first = last + 1
		default:
			first++
		}
	}
	if limit < c.n {
		return c.groups[limit].start
	}
	if end < len(s.text) && isWord(s.text[end]) {
		return wordEnd(s.text, end)
	}
	return end
}

// plain says that the chain, which ends at end, is surely nothing: most numbers
// in data are ids, times and decimal fractions.
func (s *scanner) plain(end int) bool {
	c := &s.chain
	n := c.groups[0].n
	switch {
	case c.n == 2 && c.groups[1].sep == '.':
		return n != 3 || c.groups[1].n != 4 // but 555.0143
	case c.n > 1:
		return false
	case n > 19:
		return true
	case end < len(s.text) && isWord(s.text[end]):
		switch s.text[end] | 0x20 {
		case 'x', 'e', 'p', 'd', 'i', 'r': // of an extension
			return false
		}
		return n != 6 && n != 7 && n != 8 && n != 17
	case n == 11 || n == 13 && c.digits[0] == '7' || n == 14 && c.digits[0] == '3' || n >= 15 || s.hasPlus(0) || end+1 < len(s.text) && (s.text[end] == '-' || s.text[end] == ' ' || s.text[end] == '+') && isWord(s.text[end+1]):
		return false
	}
	return (s.near()|s.behind())&^(notPersonal|reachedAt|exampleWord|versionWord) == 0 && (c.groups[0].start == 0 || s.text[c.groups[0].start-1] != '(')
}

// from looks for a number that begins with the group first. It returns its
// last group, or -1, and where in the text it ends.
func (s *scanner) from(first int) (last, end int) {
	c := &s.chain
	if n := s.date(first); n > 0 {
		return first + n - 1, 0
	}
	if end := s.address4(first); end > 0 {
		return first + 3, end
	}
	international := s.hasPlus(first)
	if !international {
		last := min(c.n, first+maxWindow) - 1
		shape := uint64(0)
		for _, g := range c.groups[first : last+1] {
			shape = shape<<4 | uint64(min(g.n, 15))
		}
		for ; last >= first; last, shape = last-1, shape>>4 {
			n, k := c.groups[last].at+c.groups[last].n-c.groups[first].at, last-first+1
			if n < 6 {
				break
			}
			if n > 19 || k > 2 && n < 2*k && (k < c.n || k < 12) {
				continue
			}
			if n < 12 && n != 6 && n != 7 && !known(n, shape) {
				continue
			}
			w := s.window(first, last)
			if end := s.suffixed(&w); end > 0 {
				return last, end
			}
			if w.left == inside || w.right == inside {
				continue
			}
			if s.card(&w) || k <= 7 && s.id(&w) {
				return last, w.end
			}
		}
	}
	return s.phone(first, international)
}

// date says how many groups from first on are a calendar date, 0 if none.
func (s *scanner) date(first int) int {
	c := &s.chain
	if first+2 >= c.n {
		return 0
	}
	a, b, d := c.groups[first], c.groups[first+1], c.groups[first+2]
	if b.sep != d.sep || b.sep != '-' && b.sep != '.' && b.sep != '/' || b.n > 2 {
		return 0
	}
	v := func(g group) int {
		n := 0
		for _, x := range c.digits[g.at : g.at+g.n] {
			n = 10*n + int(x-'0')
		}
		return n
	}
	year, day := a, d
	if a.n != 4 {
		year, day = d, a
	}
	if year.n != 4 || day.n > 2 || v(year) < 1800 || v(year) > 2200 {
		return 0
	}
	if m, n := v(b), v(day); m < 1 || n < 1 || m > 31 || n > 31 || m > 12 && n > 12 {
		return 0
	}
	return 3
}

// add records a find, unless its type is not wanted.
func (s *scanner) add(start, end int, t kind) bool {
	if s.d.types>>t&1 == 0 {
		return false
	}
	s.finds = append(s.finds, Find{Start: start, End: end, Type: kinds[t].Name})
	return true
}
