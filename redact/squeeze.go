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
	for _, c := range specialBytes {
		table[c] = special
	}
	return table
}()

const (
	special = 0x80 // may begin what is longer than a byte
	escape  = 0x1B // begins the colours of terminals
	wide    = 0xEF // begins the UTF-8 of full-width characters
)

// squeeze writes the skeleton of src.
func squeeze(dst, src []byte, steps *[]step) []byte {
	if steps == nil {
		return squeezeFast(dst, src)
	}
	o, i := 0, 0
	for i < len(src) {
		c, n := letters[src[i]], 1
		if c == special {
			c, n = separator(src[i:])
		}
		if c != 0 {
			dst[o] = c
			if n > 1 {
				*steps = append(*steps, step{i, i + n, o, o + 1})
			}
			o++
		} else {
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

// squeezeFast is squeeze without steps: all text is squeezed so, and nearly none of it holds
// anything.
func squeezeFast(dst, src []byte) []byte {
	o, i := 0, 0
	for specials := readSpecials(src); i < len(src); {
		at := specials.next(i)
		words := i + (at-i)&^7
		o += squeezeWords(dst[o:], src[i:words])
		if words < at {
			var rest [8]byte
			copy(rest[:], src[words:at])
			o += squeezeWords(dst[o:], rest[:])
		}
		if i = at; i < len(src) {
			c, n := separator(src[i:])
			dst[o] = c
			if c != 0 {
				o++
			}
			i += n
		}
	}
	return dst[:o]
}

// squeezeWords writes the skeleton of src, which is a multiple of eight bytes long and has no
// special ones, and returns its length. It writes up to eight bytes more.
func squeezeWords(dst, src []byte) int {
	const low, high = 0x7F * ones, 0x80 * ones
	o := 0
	for i := 0; i+8 <= len(src); i += 8 {
		word := binary.LittleEndian.Uint64(src[i : i+8])
		// Bit 7 of each byte: at least the first, and not at least what comes behind the last.
		w, folded := word&low, word&low|0x20*ones
		digit := (w + (0x80-'0')*ones) &^ (w + (0x80-'9'-1)*ones)
		letter := (folded + (0x80-'a')*ones) &^ (folded + (0x80-'z'-1)*ones)
		stay := (digit | letter) &^ word & high >> 7
		m := &moves[stay*0x0102040810204080>>56]
		x := folded & (stay * 0xFF)
		t := x & m.one
		x = x ^ t | t>>8
		t = x & m.two
		x = x ^ t | t>>16
		t = x & m.four
		x = x ^ t | t>>32
		binary.LittleEndian.PutUint64(dst[o:o+8], x)
		o += int(m.length)
	}
	return o
}

// moves says, by which bytes of a word stay, how these are moved together: which of them go one
// place down, and of the outcome which two, and which four.
var moves = func() (table [256]struct{ one, two, four, length uint64 }) {
	for stay := range table {
		m := &table[stay]
		for i := range 8 {
			if stay>>i&1 == 0 {
				continue
			}
			// The distance is that to go still, and the place that where it is.
			place, distance := i, i-int(m.length)
			m.length++
			if distance&1 != 0 {
				m.one |= 0xFF << (8 * place)
				place--
			}
			if distance&2 != 0 {
				m.two |= 0xFF << (8 * place)
				place -= 2
			}
			if distance&4 != 0 {
				m.four |= 0xFF << (8 * place)
			}
		}
	}
	return table
}()

// specialReader finds the special bytes of a text that do begin something longer than a byte,
// from its start to its end.
type specialReader struct {
	text []byte
	at   [4]int // the next of each, or len(text)
}

var specialBytes = [...]byte{'\n', escape, '<', wide}

func readSpecials(text []byte) specialReader {
	r := specialReader{text: text}
	for k, c := range specialBytes {
		r.at[k] = indexByteFrom(text, 0, c)
	}
	return r
}

// next returns the place of the next one from i on, or len(text).
func (r *specialReader) next(i int) int {
	for k, c := range specialBytes {
		for r.at[k] < len(r.text) && (r.at[k] < i || !r.begins(r.at[k])) {
			r.at[k] = indexByteFrom(r.text, max(i, r.at[k]+1), c)
		}
	}
	return min(r.at[0], r.at[1], r.at[2], r.at[3])
}

// begins reports whether the special byte at i begins something longer than itself.
func (r *specialReader) begins(i int) bool {
	if i+1 < len(r.text) && r.text[i] == '\n' && r.text[i+1] > '9' {
		return false // by far the most
	}
	_, n := separator(r.text[i:])
	return n > 1
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
