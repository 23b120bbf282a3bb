package redact

import (
	"bytes"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// A value that is spelled with something between its parts, or in other letters, is found
// by its skeleton: its letters and digits of ASCII, in lower case. Spaces, line breaks with
// what comments, quotations and listings put before a line, quotation marks and plus signs,
// characters of no width, tags and colours are no part of it, and wide letters are as
// narrow ones.

// letters maps a byte to what it is in a skeleton: a lower-case letter, a digit, 0 for
// nothing, or special.
var letters = func() (table [256]byte) {
	for c := range table {
		switch c := byte(c); {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z':
			table[c] = c
		case 'A' <= c && c <= 'Z':
			table[c] = c + 'a' - 'A'
		}
	}
	for _, c := range []byte{'\n', escape, '<', wide} {
		table[c] = special
	}
	return table
}()

const (
	special = 0x80 // may begin what is longer than a byte
	escape  = 0x1B // begins the colours of terminals
	wide    = 0xEF // begins the UTF-8 of full-width characters

	// inSkeleton is the place of the bit that letters and digits have in letters, and nothing else.
	inSkeleton = 5
)

// squeeze writes the skeleton of src.
func squeeze(dst, src []byte, steps *[]step) []byte {
	o, i := 0, 0
	for i < len(src) {
		if steps == nil {
			if o, i = squeezeFast(dst, src, o, i); i == len(src) {
				break
			}
		}
		c, n := letters[src[i]], 1
		if c == special {
			c, n = separator(src[i:])
		}
		if c != 0 {
			dst[o] = c
			if n > 1 && steps != nil {
				*steps = append(*steps, step{i, i + n, o, o + 1})
			}
			o++
		} else if steps != nil {
			if k := len(*steps) - 1; k >= 0 && (*steps)[k].to == i && (*steps)[k].out == o {
				(*steps)[k].to = i + n
			} else {
				*steps = append(*steps, step{i, i + n, o, o})
			}
		}
		i += n
	}
	return dst[:o]
}

// squeezeFast squeezes src[i:] to dst[o:], eight bytes at a time, up to eight that hold a
// special one or the last few, and returns where it came.
func squeezeFast(dst, src []byte, o, i int) (int, int) {
	for i+8 <= len(src) {
		w := binary.LittleEndian.Uint64(src[i:])
		a, b, c, d := letters[byte(w)], letters[byte(w>>8)], letters[byte(w>>16)], letters[byte(w>>24)]
		e, f, g, h := letters[byte(w>>32)], letters[byte(w>>40)], letters[byte(w>>48)], letters[w>>56]
		if (a|b|c|d|e|f|g|h)&special != 0 {
			break
		}
		// What is no letter is written over by the next one.
		out := dst[o : o+8 : o+8]
		n := 0
		out[n&7] = a
		n += int(a >> inSkeleton & 1)
		out[n&7] = b
		n += int(b >> inSkeleton & 1)
		out[n&7] = c
		n += int(c >> inSkeleton & 1)
		out[n&7] = d
		n += int(d >> inSkeleton & 1)
		out[n&7] = e
		n += int(e >> inSkeleton & 1)
		out[n&7] = f
		n += int(f >> inSkeleton & 1)
		out[n&7] = g
		n += int(g >> inSkeleton & 1)
		out[n&7] = h
		n += int(h >> inSkeleton & 1)
		o += n
		i += 8
	}
	return o, i
}

// separator returns the length of what the special byte at the start of src begins, and
// the letter that it is, or 0.
func separator(src []byte) (letter byte, n int) {
	switch src[0] {
	case '\n':
		return 0, 1 + lineNumber(src[1:])
	case escape:
		return 0, colour(src)
	case '<':
		return 0, tag(src)
	}
	if len(src) >= 3 {
		switch v := int(src[1])<<6 + int(src[2]) - 0xBC<<6 - 0x80; {
		case src[1] != 0xBC && src[1] != 0xBD || src[2]&0xC0 != 0x80:
		case '!' <= v+' ' && v+' ' <= '~':
			return letters[byte(v+' ')] &^ special, 3
		}
	}
	return 0, 1
}

// lineNumber returns the length of the number that a listing puts before a line, with what
// separates it from the line.
func lineNumber(src []byte) int {
	const longest = 16
	i := 0
	for i < len(src) && i < longest && (src[i] == ' ' || src[i] == '\t') {
		i++
	}
	digits := i
	for i < len(src) && i < longest && '0' <= src[i] && src[i] <= '9' {
		i++
	}
	if i == digits {
		return 0
	}
	for i < len(src) && i < longest && src[i] == ' ' {
		i++
	}
	rest := src[i:]
	for _, mark := range [...]string{"|", "\t", ": ", "→"} {
		if len(rest) >= len(mark) && string(rest[:len(mark)]) == mark {
			return i
		}
	}
	return 0
}

// colour returns the length of the control sequence at the start of src (ECMA-48, 5.4).
func colour(src []byte) int {
	const longest = 32
	if len(src) < 2 || src[1] != '[' {
		return 1
	}
	for i, c := range src[2:min(len(src), longest)] {
		if '@' <= c && c <= '~' {
			return i + 3
		}
	}
	return 1
}

// tag returns the length of the tag of HTML at the start of src, or 1.
func tag(src []byte) int {
	const longest = 128
	if len(src) < 3 || kind(src[1]) > 1 && src[1] != '/' {
		return 1
	}
	end := bytes.IndexAny(src[1:min(len(src), longest)], "<>")
	if end < 0 || src[end+1] == '<' {
		return 1
	}
	return end + 2
}

// skeletons returns the patterns of one value in what squeeze makes of a text: of the value,
// and of what it is in the encodings that have letters and digits.
func skeletons(value string) []pattern {
	var list []pattern
	seen := map[string]bool{}
	add := func(p pattern) {
		if p.text = skeleton(p.text); telling(p.text) && !seen[p.text] {
			seen[p.text] = true
			list = append(list, p)
		}
	}
	for _, part := range parts(value) {
		add(pattern{text: part})
		for _, s := range append(utf16Spellings(part), part) {
			for _, p := range append(base64Forms(s), base32Forms(s)...) {
				add(p)
			}
			add(pattern{text: hex.EncodeToString([]byte(s))})
		}
		for _, format := range []string{"0x%02x", "x%02x", "%d"} {
			var b strings.Builder
			for i := range len(part) {
				fmt.Fprintf(&b, format, part[i])
			}
			add(pattern{text: b.String()})
		}
		for _, p := range base64Forms(part) {
			add(pattern{text: hex.EncodeToString([]byte(p.text))})
		}
	}
	return list
}

// base32Forms is base64Forms for base32, of groups of five bytes.
func base32Forms(s string) []pattern {
	var list []pattern
	for before := range 5 {
		for _, enc := range []*base32.Encoding{base32.StdEncoding, base32.HexEncoding} {
			encoded := enc.WithPadding(base32.NoPadding).EncodeToString([]byte("\x00\x00\x00\x00"[:before] + s))
			list = append(list, pattern{
				text:   encoded[(8*before+4)/5 : 8*(before+len(s))/5],
				before: before != 0,
				after:  (before+len(s))%5 != 0,
			})
		}
	}
	return list
}

// skeleton is squeeze for short texts.
func skeleton(s string) string {
	return string(squeeze(make([]byte, len(s)+slop), []byte(s), nil))
}

// telling reports whether a skeleton says enough to be looked for: other text may hold a
// short one, of letters alone or digits alone, by chance.
func telling(skeleton string) bool {
	const long = 16
	if len(skeleton) < minLength {
		return false
	}
	digits := 0
	for i := range len(skeleton) {
		if skeleton[i] <= '9' {
			digits++
		}
	}
	return len(skeleton) >= long || 0 < digits && digits < len(skeleton)
}
