package jsonrpc

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Bounds of what plain decides by itself. Beyond them package jsontext decides.
const (
	plainNames  = 32  // names of one object, which are compared with each other
	plainDigits = 200 // digits and sign of one number without its exponent
	plainExp    = 2   // digits of an exponent: 200 digits and e99 still fit a float64
)

// outline is what plain notes on its way about the outermost object.
type outline struct {
	members [8]member
	n       int // members of the object; if they are more than members holds, the rest is not noted
}

type member struct{ name, value Span }

// What plain expects next, white space aside.
const (
	value      = iota
	firstValue // or the end of an empty array
	name
	firstName // or the end of an empty object
	colon
	comma // or the end of what is open
)

// plain reports whether raw surely is one JSON value that Parse accepts, and notes the
// members if it is an object. It knows what nearly all messages consist of and reads them
// several times as fast as package jsontext does. False means only that it does not know:
// an error, or something rare such as an escape in a name, a very large object or a very
// large number. Then jsontext decides, so that what is refused and why has one source; a
// fuzz test holds that plain accepts nothing which jsontext does not.
func plain(raw []byte, maxDepth int, o *outline) bool {
	var (
		frames [DefaultMaxDepth]int32 // per open container the index of its first name, -1 for an array
		few    [plainNames]Span
		names  = few[:0] // of all open objects, the innermost one's last
		depth  = 0
		expect = value
		i, end = 0, 0  // end is where the last value ended
		high   = false // a string has bytes beyond ASCII
	)
	maxDepth = min(maxDepth, len(frames))
	for {
		if i = skipSpace(raw, i); i == len(raw) {
			return expect == comma && depth == 0 && (!high || utf8.Valid(raw))
		}
		c := raw[i]
		switch expect {
		case firstValue:
			if c == ']' {
				expect = comma
				continue
			}
			fallthrough
		case value:
			if depth == 1 && 0 < o.n && o.n <= len(o.members) {
				o.members[o.n-1].value.Start = i
			}
			switch c {
			case '{', '[':
				if depth == maxDepth {
					return false
				}
				if i++; c == '{' {
					frames[depth] = int32(len(names))
					expect = firstName
				} else {
					frames[depth] = -1
					expect = firstValue
				}
				depth++
				continue
			case '"':
				var h bool
				i, _, h = skipPlain(raw, i)
				high = high || h
			case 't', 'f', 'n':
				i = plainLiteral(raw, i)
			default:
				i = plainNumber(raw, i)
			}
			if i < 0 {
				return false
			}
			end = i
			expect = comma
		case firstName:
			if c == '}' {
				expect = comma
				continue
			}
			fallthrough
		case name:
			if c != '"' {
				return false
			}
			n := Span{Start: i}
			var escaped, h bool
			if i, escaped, h = skipPlain(raw, i); i < 0 || escaped {
				return false
			}
			high = high || h
			n.End = i
			siblings := names[frames[depth-1]:]
			if len(siblings) == plainNames {
				return false
			}
			for _, s := range siblings {
				if s.End-s.Start == n.End-n.Start && string(raw[s.Start:s.End]) == string(raw[n.Start:n.End]) {
					return false
				}
			}
			names = append(names, n)
			if depth == 1 {
				if o.n < len(o.members) {
					o.members[o.n].name = n
				}
				o.n++
			}
			expect = colon
		case colon:
			if c != ':' {
				return false
			}
			i++
			expect = value
		case comma:
			if depth == 0 {
				return false
			}
			first := frames[depth-1]
			if depth == 1 && 0 < o.n && o.n <= len(o.members) {
				o.members[o.n-1].value.End = end
			}
			switch {
			case c == ',' && first >= 0:
				expect = name
				i++
				continue
			case c == ',':
				expect = value
				i++
				continue
			case c == '}' && first >= 0:
				names = names[:first]
			case c == ']' && first < 0:
			default:
				return false
			}
			depth--
			i++
			end = i
		}
	}
}

// skipPlain returns the offset after the string that starts at raw[i], and whether it has
// escapes and bytes beyond ASCII. The offset is -1 if the string is not surely right.
func skipPlain(raw []byte, i int) (end int, escaped, high bool) {
	const low, top = 0x0101010101010101, 0x8080808080808080
	var seen uint64
	for i++; ; {
		for len(raw)-i >= 8 {
			v := binary.LittleEndian.Uint64(raw[i:])
			seen |= v
			// The top bit of the first byte that is a quote, a backslash or a control character.
			if hit := ((v ^ low*'"' - low) | (v ^ low*'\\' - low) | (v - low*' ')) &^ v & top; hit != 0 {
				i += bits.TrailingZeros64(hit) / 8
				break
			}
			i += 8
		}
		for i < len(raw) && !special[raw[i]] {
			seen |= uint64(raw[i])
			i++
		}
		if i == len(raw) {
			return -1, escaped, false
		}
		switch c := raw[i]; c {
		case '"':
			return i + 1, escaped, seen&top != 0
		case '\\':
			n := 2
			if i+1 == len(raw) || unescaped[raw[i+1]] == 0 {
				if n = plainEscape(raw[i:]); n == 0 {
					return -1, true, false
				}
			}
			escaped = true
			i += n
		default:
			return -1, escaped, false
		}
	}
}

// special holds the bytes that end a run of text in a string.
var special = func() (t [256]bool) {
	for c := range byte(' ') {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// plainEscape returns the length of the escape of a character's number at the start of s, or 0
// if it is wrong or that of a lone surrogate.
func plainEscape(s []byte) int {
	if len(s) < 6 || s[1] != 'u' || hex4(s[2:6]) < 0 {
		return 0
	}
	if n, ok := escapeSize(s); ok {
		return n
	}
	return 0
}

// plainLiteral returns the offset after the literal at raw[i], or -1.
func plainLiteral(raw []byte, i int) int {
	s := raw[i:]
	switch {
	case len(s) >= 4 && (string(s[:4]) == "true" || string(s[:4]) == "null"):
		return i + 4
	case len(s) >= 5 && string(s[:5]) == "false":
		return i + 5
	}
	return -1
}

// plainNumber returns the offset after the number at raw[i], or -1 if it is wrong or might
// not fit a float64.
func plainNumber(raw []byte, i int) int {
	start := i
	if raw[i] == '-' {
		i++
	}
	if i < len(raw) && raw[i] == '0' {
		i++
	} else if n := digits(raw, i); n > 0 {
		i += n
	} else {
		return -1
	}
	if i < len(raw) && raw[i] == '.' {
		n := digits(raw, i+1)
		if n == 0 {
			return -1
		}
		i += 1 + n
	}
	if i-start > plainDigits {
		return -1
	}
	if i < len(raw) && raw[i]|0x20 == 'e' {
		i++
		if i < len(raw) && (raw[i] == '+' || raw[i] == '-') {
			i++
		}
		n := digits(raw, i)
		if n == 0 || n > plainExp {
			return -1
		}
		i += n
	}
	return i
}

// digits returns how many decimal digits stand at raw[i].
func digits(raw []byte, i int) int {
	start := i
	for i < len(raw) && '0' <= raw[i] && raw[i] <= '9' {
		i++
	}
	return i - start
}
