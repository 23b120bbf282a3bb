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
		var inert bool
		dst, inert = foldRunes(dst[:start], text)
		if inert || norm.NFKC.IsNormal(dst[start:]) {
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

// foldRunes folds each character, and reports whether what they make is surely NFKC.
func foldRunes(dst, text []byte) (folded []byte, inert bool) {
	inert = true
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			dst = append(dst, foldASCII[c])
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		i += size
		if r < rune(len(lowFolds)) {
			f := lowFolds[r]
			inert = inert && f.inert
			dst = append(dst, f.text[:f.n]...)
			continue
		}
		if invisible(r) {
			continue
		}
		r = foldRune(r)
		inert = inert && r < utf8.RuneSelf
		dst = utf8.AppendRune(dst, r)
	}
	return dst, inert
}

// A lowFold is the fold of a character.
type lowFold struct {
	text  [2]byte
	n     uint8 // bytes of it, 0 for what is invisible
	inert bool  // NFKC leaves it as it is, whatever stands around it
}

// lowFolds are the folds of the alphabets with two bytes a letter, such as Latin, Greek,
// Cyrillic, Hebrew and Arabic.
var lowFolds = func() (t [0x800]lowFold) {
	for r := rune(utf8.RuneSelf); r < rune(len(t)); r++ {
		f := &t[r]
		if f.inert = true; invisible(r) {
			continue
		}
		text := string(foldRune(r))
		f.n = uint8(copy(f.text[:], text))
		// Text that consists of such characters has no two that compose or change places.
		f.inert = norm.NFKC.IsNormalString(text) && norm.NFKC.PropertiesString(text).BoundaryBefore()
	}
	return t
}()

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

// maySolo is the least byte with which a solo can start: that of the characters with three.
const maySolo = 0xe0

// solo reports whether r is of a script that is written without spaces, so that each
// character is taken for a word.
func solo(r rune) bool {
	return 0x0e00 <= r && r < 0x1000 || // Thai, Lao, Tibetan
		0x1000 <= r && r < 0x10a0 || 0x1780 <= r && r < 0x1800 || // Burmese, Khmer
		0x2e80 <= r && r < 0xa640 || 0xac00 <= r && r < 0xd7b0 || // Han, Kana, Hangul
		0xf900 <= r && r < 0xfb00 || 0x20000 <= r && r < 0x40000
}
