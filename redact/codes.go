package redact

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"unicode/utf8"
)

// references are the character references of HTML by name that stand for what values and
// finds are made of (HTML, section 13.5).
var references = map[string]rune{
	"amp": '&', "AMP": '&', "lt": '<', "LT": '<', "gt": '>', "GT": '>', "quot": '"', "QUOT": '"', "apos": '\'',
	"commat": '@', "sol": '/', "bsol": '\\', "equals": '=', "plus": '+', "lowbar": '_', "UnderBar": '_',
	"period": '.', "comma": ',', "colon": ':', "semi": ';', "num": '#', "percnt": '%', "dollar": '$', "excl": '!', "quest": '?',
	"ast": '*', "midast": '*', "lpar": '(', "rpar": ')', "lbrack": '[', "lsqb": '[', "rbrack": ']', "rsqb": ']',
	"lbrace": '{', "lcub": '{', "rbrace": '}', "rcub": '}', "vert": '|', "verbar": '|', "Hat": '^', "grave": '`',
	"hyphen": '-', "dash": '-', "minus": '-', "Tab": '\t', "NewLine": '\n', "nbsp": ' ',
}

// maxReference is the length of the longest reference that is undone, and minReference that
// of the shortest.
const (
	maxReference = 12
	minReference = 4
)

// reference returns what the character reference at the start of src stands for and its
// length, or 0.
func reference(src []byte) (r rune, n int) {
	end := bytes.IndexByte(src[:min(len(src), maxReference)], ';')
	if end < minReference-1 {
		return 0, 0
	}
	name := src[1:end]
	if name[0] != '#' {
		r, ok := references[string(name)]
		if !ok {
			return 0, 0
		}
		return r, end + 1
	}
	digits, base := string(name[1:]), 10
	if digits[0] == 'x' || digits[0] == 'X' {
		digits, base = digits[1:], 16
	}
	v, err := strconv.ParseUint(digits, base, 32)
	if err != nil || v > utf8.MaxRune {
		return 0, 0
	}
	return rune(v), end + 1
}

// code returns what is written as a code at the start of src, with its length: percent-encoding
// (RFC 3986, section 2.1) is of a byte, a character reference of a character. n is 0 for neither.
func code(dst, src []byte) (width, n int) {
	if src[0] == '&' {
		if r, n := reference(src); n > 0 {
			return utf8.EncodeRune(dst[:utf8.UTFMax], r), n
		}
		return 0, 0
	}
	v, ok := hexValue(src, 1, 2)
	if !ok {
		return 0, 0
	}
	dst[0] = byte(v)
	return 1, 3
}

// uncode undoes what characters are written as in URLs, HTML and XML. What is none of it stays.
func uncode(dst, src []byte, steps *[]step) []byte {
	o, i := 0, 0
	for {
		o, i = copyUntilCode(dst, src, o, i)
		if i == len(src) {
			return dst[:o]
		}
		width, n := code(dst[o:], src[i:])
		if n == 0 {
			dst[o] = src[i]
			width, n = 1, 1
		} else if steps != nil {
			*steps = append(*steps, step{i, i + n, o, o + width})
		}
		o += width
		i += n
	}
}

// copyUntilCode is copyUntil for what codes begin with.
func copyUntilCode(dst, src []byte, o, i int) (int, int) {
	for ; i+8 <= len(src); i, o = i+8, o+8 {
		w := binary.LittleEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(dst[o:], w)
		if code := zeros(w^'%'*ones) | zeros(w^'&'*ones); code != 0 {
			n := firstOf(code)
			return o + n, i + n
		}
	}
	for i < len(src) && src[i] != '%' && src[i] != '&' {
		dst[o] = src[i]
		i++
		o++
	}
	return o, i
}

// coded reports whether text holds what uncode undoes.
func coded(text []byte) bool {
	r := readCodes(text)
	_, ok := r.next(0)
	return ok
}

// codeReader finds the codes in a text, from its start to its end.
type codeReader struct {
	text               []byte
	percent, ampersand int // the next of each, or len(text)
}

func readCodes(text []byte) codeReader {
	return codeReader{text, indexByteFrom(text, 0, '%'), indexByteFrom(text, 0, '&')}
}

// next returns the place of the next code from i on.
func (r *codeReader) next(i int) (at int, ok bool) {
	for {
		if r.percent < i {
			r.percent = indexByteFrom(r.text, i, '%')
		}
		if r.ampersand < i {
			r.ampersand = indexByteFrom(r.text, i, '&')
		}
		if at = min(r.percent, r.ampersand); at == len(r.text) {
			return 0, false
		}
		var buf [utf8.UTFMax]byte
		if _, n := code(buf[:], r.text[at:]); n > 0 {
			return at, true
		}
		i = at + 1
	}
}

// indexByteFrom returns the place of the next c in text from i on, or len(text).
func indexByteFrom(text []byte, i int, c byte) int {
	if n := bytes.IndexByte(text[i:], c); n >= 0 {
		return i + n
	}
	return len(text)
}

// uncodeWords decodes the words of src that hold codes, one per line. The rest was looked at
// before.
func uncodeWords(dst, src []byte, steps *[]step) []byte {
	o, last := 0, 0
	codes := readCodes(src)
	for {
		at, ok := codes.next(last)
		if !ok {
			return dst[:o]
		}
		from := at
		for from > last && at-from < maxWord && !isBreak[src[from-1]] {
			from--
		}
		to := at
		for to < len(src) && !isBreak[src[to]] {
			to++
		}
		if o > 0 || from > 0 {
			dst[o] = '\n'
			if steps != nil {
				*steps = append(*steps, step{last, from, o, o + 1})
			}
			o++
		}
		// The decoder writes behind what it decodes.
		first := 0
		if steps != nil {
			first = len(*steps)
		}
		word := uncode(dst[o:], src[from:to], steps)
		if steps != nil {
			for k := first; k < len(*steps); k++ {
				st := &(*steps)[k]
				*st = step{st.from + from, st.to + from, st.out + o, st.outEnd + o}
			}
		}
		o += len(word)
		last = to
	}
}

// maxWord bounds how far before a code a word begins.
const maxWord = 1 << 10

// isBreak holds what ends a word.
var isBreak = func() (table [256]bool) {
	for _, c := range []byte(" \t\r\n\"'<>`\x00") {
		table[c] = true
	}
	return table
}()

// unprintable undoes quoted-printable (RFC 2045, section 6.7): escapes in upper case, and line
// breaks behind an equals sign.
func unprintable(dst, src []byte, steps *[]step) []byte {
	o, i := 0, 0
	for {
		o, i = copyUntil(dst, src, o, i, '=')
		if i == len(src) {
			return dst[:o]
		}
		width, n := 0, quotedAt(src, i)
		switch {
		case n == 0:
			dst[o] = '='
			o++
			i++
			continue
		case src[i+1] != '\r' && src[i+1] != '\n':
			dst[o] = hexDigit[src[i+1]]<<4 | hexDigit[src[i+2]]
			width = 1
		}
		if steps != nil {
			*steps = append(*steps, step{i, i + n, o, o + width})
		}
		o += width
		i += n
	}
}

// quotedAt returns the length of the quoted-printable escape or line break at src[i:], or 0.
func quotedAt(src []byte, i int) int {
	switch rest := src[i+1:]; {
	case len(rest) >= 1 && rest[0] == '\n':
		return 2
	case len(rest) >= 2 && rest[0] == '\r' && rest[1] == '\n':
		return 3
	case len(rest) >= 2 && isUpperHex(rest[0]) && isUpperHex(rest[1]):
		return 3
	}
	return 0
}

func isUpperHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

// quotedPrintable reports whether text is likely to hold what unprintable undoes: an equals
// sign or a line break that is escaped, or two escapes in a row. Otherwise too many equations
// would.
func quotedPrintable(text []byte) bool {
	for i := 0; ; i++ {
		n := bytes.IndexByte(text[i:], '=')
		if n < 0 {
			return false
		}
		i += n
		switch n := quotedAt(text, i); {
		case n == 0:
		case text[i+1] == '\n', text[i+1] == '\r', text[i+1] == '3' && text[i+2] == 'D':
			return true
		case i+n < len(text) && text[i+n] == '=' && quotedAt(text, i+n) > 0:
			return true
		}
	}
}
