package provenance

import (
	"encoding/binary"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxFolds is how often text is folded until it stays the same: folding case can
// uncover a composition, and that another fold.
const maxFolds = 4

// fold appends text to dst in the form in which it is compared: NFKC, case folded,
// without invisible characters, white space as ' ' or '\n', quotes and dashes as in
// ASCII.
func fold(dst, text []byte) []byte {
	if folded, ok := appendFolded(dst, text); ok {
		return folded
	}
	start := len(dst)
	for range maxFolds {
		// Invisible characters go first: one between a letter and its accent
		// would keep these from being composed.
		dst = foldRunes(dst[:start], text)
		if norm.NFKC.IsNormal(dst[start:]) {
			break
		}
		text = norm.NFKC.Bytes(dst[start:])
	}
	return dst
}

// Eight bytes with the same value each.
const (
	eachOne  = 0x0101010101010101
	eachHigh = 0x80 * eachOne
)

// appendFolded is fold for text that is all ASCII, which it reports. It takes eight
// characters at a time as long as none of them is a control character.
func appendFolded(dst, text []byte) ([]byte, bool) {
	start := len(dst)
	dst = append(dst, text...)
	b := dst[start:]
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		if x&eachHigh != 0 {
			return dst[:start], false
		}
		// The high bit of a byte of these sums says that it is at least the character.
		if printable := (x + (0x80-' ')*eachOne) &^ (x + (0x80-0x7f)*eachOne); printable&eachHigh != eachHigh {
			foldBytes(b[:8])
			continue
		}
		upper := (x + (0x80-'A')*eachOne) &^ (x + (0x80-'Z'-1)*eachOne) & eachHigh
		binary.LittleEndian.PutUint64(b, x|upper>>2) // 'a' is 'A' with this bit
	}
	return dst, foldBytes(b)
}

// foldBytes folds characters in place and reports whether all are ASCII.
func foldBytes(b []byte) bool {
	high := byte(0)
	for i, c := range b {
		high |= c
		b[i] = foldASCII[c]
	}
	return high < utf8.RuneSelf
}

// foldASCII is the fold of each ASCII character.
var foldASCII = func() (t [256]byte) {
	for i := range t {
		c := byte(i)
		switch {
		case c == '\n':
		case c < ' ' || c == 0x7f:
			c = ' '
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		t[i] = c
	}
	return t
}()

func foldRunes(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			dst = append(dst, foldASCII[c])
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		i += size
		if invisible(r) {
			continue
		}
		dst = utf8.AppendRune(dst, foldRune(r))
	}
	return dst
}

// invisible reports whether r is ignored by what renders text, as in Unicode's
// Default_Ignorable_Code_Point, or directs it.
func invisible(r rune) bool {
	switch {
	case r == 0xad, r == 0x34f, r == 0x61c, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5,
		0x180b <= r && r <= 0x180f, 0x200b <= r && r <= 0x200f, 0x202a <= r && r <= 0x202e,
		0x2060 <= r && r <= 0x206f, r == 0x3164, 0xfe00 <= r && r <= 0xfe0f, r == 0xfeff,
		r == 0xffa0, 0xfff0 <= r && r <= 0xfff8, 0x1bca0 <= r && r <= 0x1bca3,
		0x1d173 <= r && r <= 0x1d17a, 0xe0000 <= r && r <= 0xe0fff:
		return true
	}
	return false
}

// foldRune folds a rune outside ASCII.
func foldRune(r rune) rune {
	switch r {
	case '‘', '’', '‚', '‛', '′', '‹', '›', 'ʼ':
		return '\''
	case '“', '”', '„', '‟', '″', '«', '»', '「', '」', '『', '』':
		return '"'
	case '‐', '‑', '‒', '–', '—', '―', '−':
		return '-'
	case '。', '｡':
		return '.'
	case '、', '､', '，':
		return ','
	case '…':
		return '.'
	case 0x85, 0x2028, 0x2029:
		return '\n'
	}
	if r >= 0x2e80 && r < 0xa640 || 0xac00 <= r && r < 0xd7b0 {
		if r == 0x3000 {
			return ' '
		}
		return r // scripts without case
	}
	if unicode.IsSpace(r) {
		return ' '
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

// solo reports whether r is of a script that is written without spaces, so that each
// character is taken for a word.
func solo(r rune) bool {
	return 0x0e00 <= r && r < 0x1000 || // Thai, Lao, Tibetan
		0x1000 <= r && r < 0x10a0 || 0x1780 <= r && r < 0x1800 || // Burmese, Khmer
		0x2e80 <= r && r < 0xa640 || 0xac00 <= r && r < 0xd7b0 || // Han, Kana, Hangul
		0xf900 <= r && r < 0xfb00 || 0x20000 <= r && r < 0x40000
}
