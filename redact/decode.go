package redact

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// The decoders below write the decoded src to dst and return what they wrote.
// None makes text longer; dst has slop bytes more than src, because they copy
// eight bytes at a time. Where steps is not nil they note there what they did.

const slop = 8

// step is one thing that a decoder did: src[from:to] became dst[out:outEnd].
// Between steps, bytes were copied.
type step struct {
	from, to, out, outEnd int
}

// source returns the span in the decoder's source that became dst[start:end],
// which is not empty.
func source(steps []step, start, end int) (from, to int) {
	before := func(out int) (step, bool) {
		i, _ := slices.BinarySearchFunc(steps, out+1, func(s step, out int) int { return s.out - out })
		if i == 0 {
			return step{}, false
		}
		return steps[i-1], true
	}
	from, to = start, end
	if s, ok := before(start); ok {
		if start < s.outEnd {
			from = s.from
		} else {
			from = s.to + start - s.outEnd
		}
	}
	if s, ok := before(end - 1); ok {
		if end-1 < s.outEnd {
			to = s.to
		} else {
			to = s.to + end - s.outEnd
		}
	}
	return from, to
}

const ones = 0x0101010101010101

// zeros has bit 7 of each byte set that is zero in w, up to the first, and none if there is none.
// So whether there is one is a branch that is nearly always the same, and the next eight bytes
// need not wait for where it is.
func zeros(w uint64) uint64 { return (w - ones) &^ w & (0x80 * ones) }

// firstOf returns the index of the lowest byte of which bit 7 is set.
func firstOf(high uint64) int { return bits.TrailingZeros64(high) / 8 }

// copyUntil copies src[i:] to dst[o:] up to the first byte c, and returns the
// positions of that byte, or the ends.
func copyUntil(dst, src []byte, o, i int, c byte) (int, int) {
	// Where c is not near, it is likely to be far: then all before it is copied at once.
	const near = 16
	want := ones * uint64(c)
	for end := min(len(src), i+near); i+8 <= len(src); i, o = i+8, o+8 {
		if i >= end {
			n := indexByteFrom(src, i, c) - i
			copy(dst[o:], src[i:i+n])
			return o + n, i + n
		}
		w := binary.LittleEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(dst[o:], w)
		if zero := zeros(w ^ want); zero != 0 {
			n := firstOf(zero)
			return o + n, i + n
		}
	}
	for i < len(src) && src[i] != c {
		dst[o] = src[i]
		i++
		o++
	}
	return o, i
}

// oneChar maps the byte behind a backslash to what the two stand for, or to 0.
var oneChar = func() (table [256]byte) {
	for c := byte('!'); c <= '~'; c++ {
		if kind(c) == 3 { // punctuation stands for itself
			table[c] = c
		}
	}
	table['b'], table['f'], table['n'], table['r'], table['t'] = '\b', '\f', '\n', '\r', '\t'
	return table
}()

// unescape undoes backslash escapes: those of JSON, and \x, \101, \', \U and the like
// as other languages, shells and Markdown have them, and takes out escaped line
// breaks. A backslash that begins none of them stays.
func unescape(dst, src []byte, steps *[]step) []byte {
	o, i := 0, 0
	for {
		o, i = copyUntil(dst, src, o, i, '\\')
		if i+1 >= len(src) {
			return dst[:o+copy(dst[o:], src[i:])]
		}
		c := oneChar[src[i+1]]
		if c == 0 {
			o, i = longEscape(dst, src, o, i, steps)
			continue
		}
		dst[o] = c
		if steps != nil {
			*steps = append(*steps, step{i, i + 2, o, o + 1})
		}
		o++
		i += 2
	}
}

// longEscape undoes the escape at src[i:] that is none of two characters, or
// copies its backslash, and returns where to go on.
func longEscape(dst, src []byte, o, i int, steps *[]step) (int, int) {
	r, n := rune(0), 0
	width := 0
	switch src[i+1] {
	case 'u':
		r, n = escapedRune(src[i:])
	case 'U':
		if v, ok := hexValue(src, i+2, 8); ok {
			r, n = rune(v), 10
		}
	case 'x':
		// A byte, not a character, so that UTF-8 in \x escapes is read as such.
		if v, ok := hexValue(src, i+2, 2); ok {
			dst[o] = byte(v)
			n, width = 4, 1
		}
	case '0', '1', '2', '3':
		if v, ok := octalByte(src[i+1:]); ok {
			dst[o] = v
			n, width = 4, 1
		}
	case '\n':
		// A shell's way to go on in the next line.
		if steps != nil {
			*steps = append(*steps, step{i, i + 2, o, o})
		}
		return o, i + 2
	}
	if n == 0 {
		dst[o] = '\\'
		return o + 1, i + 1
	}
	if width == 0 {
		width = utf8.EncodeRune(dst[o:o+utf8.UTFMax], r)
	}
	if steps != nil {
		*steps = append(*steps, step{i, i + n, o, o + width})
	}
	return o + width, i + n
}

// octalByte returns the value of the three octal digits at the start of src.
func octalByte(src []byte) (v byte, ok bool) {
	if len(src) < 3 {
		return 0, false
	}
	for _, c := range src[:3] {
		if c < '0' || c > '7' {
			return 0, false
		}
		v = v<<3 | (c - '0')
	}
	return v, true
}

// escapedRune decodes \uXXXX, a surrogate pair of two, or \u{X...} at the start
// of src, and returns the length too, or 0 for none of these.
func escapedRune(src []byte) (r rune, n int) {
	if len(src) > 2 && src[2] == '{' {
		end := bytes.IndexByte(src[:min(len(src), 11)], '}')
		if end < 0 {
			return 0, 0
		}
		v, ok := hexValue(src, 3, end-3)
		if !ok || end == 3 {
			return 0, 0
		}
		return rune(v), end + 1
	}
	hi, ok := hexValue(src, 2, 4)
	if !ok {
		return 0, 0
	}
	if 0xD800 <= hi && hi < 0xDC00 && len(src) >= 12 && src[6] == '\\' && src[7] == 'u' {
		if lo, ok := hexValue(src, 8, 4); ok && 0xDC00 <= lo && lo < 0xE000 {
			return rune((hi-0xD800)<<10|(lo-0xDC00)) + 0x10000, 12
		}
	}
	return rune(hi), 6 // EncodeRune makes a lone surrogate U+FFFD
}

// narrow makes ASCII of UTF-16, and leaves what is none.
func narrow(dst, src []byte, steps *[]step) []byte {
	o := 0
	for i := 0; i < len(src); o++ {
		if order := utf16Order(src[i:]); order != nil {
			dst[o] = src[i] | src[i+1]
			if steps != nil {
				*steps = append(*steps, step{i, i + 2, o, o + 1})
			}
			i += 2
			continue
		}
		dst[o] = src[i]
		i++
	}
	return dst[:o]
}

// utf16Order returns the byte order of the character of ASCII in UTF-16 at the start of src, or
// nil if there is none.
func utf16Order(src []byte) binary.AppendByteOrder {
	switch {
	case len(src) < 2 || src[0] == 0 == (src[1] == 0):
		return nil
	case src[0] == 0:
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// unwrap takes out line breaks, with the indentation that follows them.
func unwrap(dst, src []byte, steps *[]step) []byte {
	return joined(dst, src, steps, true, "")
}

// unbreak takes out line breaks only, for a secret with spaces that was cut into
// lines of a fixed length.
func unbreak(dst, src []byte, steps *[]step) []byte {
	return joined(dst, src, steps, false, "")
}

// refill makes line breaks, with the indentation that follows them, spaces, for a
// secret with spaces in text that was filled.
func refill(dst, src []byte, steps *[]step) []byte {
	return joined(dst, src, steps, true, " ")
}

func joined(dst, src []byte, steps *[]step, indentation bool, with string) []byte {
	o, i := 0, 0
	for {
		o, i = copyUntil(dst, src, o, i, '\n')
		if i == len(src) {
			return dst[:o]
		}
		from := i
		if o > 0 && i > 0 && src[i-1] == '\r' {
			o--
			from--
		}
		i++
		for indentation && i < len(src) && (src[i] == ' ' || src[i] == '\t') {
			i++
		}
		out := o
		o += copy(dst[o:], with)
		if steps != nil {
			*steps = append(*steps, step{from, i, out, o})
		}
	}
}

// hexValue returns the value of the n hexadecimal digits at src[at:].
func hexValue(src []byte, at, n int) (v uint32, ok bool) {
	if at+n > len(src) {
		return 0, false
	}
	for _, c := range src[at : at+n] {
		digit := hexDigit[c]
		if digit == notHex {
			return 0, false
		}
		v = v<<4 | uint32(digit)
	}
	return v, true
}

const notHex = 0xFF

var hexDigit = func() (table [256]byte) {
	for i := range table {
		table[i] = notHex
	}
	for i, c := range "0123456789abcdef" {
		table[c] = byte(i)
	}
	for i, c := range "ABCDEF" {
		table[c] = byte(10 + i)
	}
	return table
}()
