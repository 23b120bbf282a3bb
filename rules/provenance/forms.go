package provenance

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxStrips is how often a word is freed from what may stand before it.
const maxStrips = 4

// canon returns the form of a folded word in which it is compared. It may use buf.
func canon(buf, word []byte, has class) []byte {
	if has&(at|slash|sigil|colon) != 0 {
		bare := word
		for range maxStrips {
			next := strip(bare)
			if len(next) == len(bare) {
				word = bare
				break
			}
			bare = next
		}
	}
	if has&dash != 0 && bytes.Contains(word, []byte("xn--")) {
		word = decodeIDN(word)
	}
	if has&digit != 0 && len(word) > 0 {
		if n, ok := appendNumber(buf[:0], word); ok {
			return n
		}
	}
	return word
}

// strip takes off a word what it can be written with or without: the sign before a
// name, mailto: or http://, a slash at the end.
func strip(word []byte) []byte {
	if len(word) < 2 {
		return word
	}
	last := len(word) - 1
	switch {
	case word[0] == '#' || word[0] == '@':
		if classify(word[1:])&^(letter|high|digit|dot|soft|dash|mark) == 0 {
			return word[1:]
		}
	case bytes.HasPrefix(word, []byte("mailto:")):
		return word[len("mailto:"):] // with its query, which can name others in cc, bcc, to and body
	case isURL(word):
		return canonURL(word, bytes.IndexByte(word, ':'))
	case len(word) > 3 && word[0] == '.' && word[1] == '/' && classes[word[2]]&(letter|digit) != 0: // ./README.md
		return word[2:]
	case word[last] == '/' && word[last-1] != '/' && word[last-1] != ':':
		return word[:last]
	}
	return word
}

// canonURL takes the scheme and the default port off a URL of the web whose scheme ends
// at colon, if it has no user information or backslashes, which would make it another
// when the scheme is gone.
func canonURL(word []byte, colon int) []byte {
	rest := word[colon+3:]
	end := 0
	for end < len(rest) && rest[end] != '/' && rest[end] != '?' && rest[end] != '#' {
		end++
	}
	authority := rest[:end]
	if len(authority) == 0 || bytes.ContainsAny(authority, `@\`) {
		return word
	}
	port := []byte(":443")
	if colon == len("http") {
		port = []byte(":80")
	}
	host := bytes.TrimSuffix(authority, port)
	host = bytes.TrimSuffix(host, []byte("."))
	if len(host) == len(authority) {
		return rest
	}
	return append(append(make([]byte, 0, len(rest)), host...), rest[end:]...)
}

// decodeIDN decodes the punycode labels of a word that holds a host name.
func decodeIDN(word []byte) []byte {
	start, end := 0, len(word)
	if i := bytes.LastIndexByte(word, '@'); i >= 0 {
		start = i + 1
	} else if i := bytes.Index(word, []byte("://")); i >= 0 {
		start = i + 3
	}
	if i := bytes.IndexAny(word[start:], "/?#:"); i >= 0 {
		end = start + i
	}
	host, err := idna.Punycode.ToUnicode(string(word[start:end]))
	if err != nil {
		return word
	}
	decoded := fold(nil, []byte(host))
	if classify(decoded)&^(letter|high|digit|dot|soft|dash) != 0 || bytes.Contains(decoded, []byte("xn--")) {
		return word
	}
	out := append(make([]byte, 0, len(word)+8), word[:start]...)
	out = append(out, decoded...)
	return append(out, word[end:]...)
}

// maxDigits is how many digits a number may have to be compared as one, and maxNumber
// how many bytes.
const (
	maxDigits = 40
	maxNumber = 64
)

// appendNumber appends the canonical form of a decimal number: its digits without zeros
// at the ends, e, and the exponent. It reports whether word is a number: with a sign, a
// currency sign at either end, thousands grouped by commas or apostrophes, or by dots
// before a decimal comma, and an exponent. What starts with more zeros than a number
// does is an identifier and none.
func appendNumber(dst, word []byte) ([]byte, bool) {
	if len(word) > maxNumber {
		return dst, false
	}
	if c := word[0]; classes[c]&(digit|high) == 0 && c != '-' && c != '+' && c != '.' && c != '$' {
		return dst, false
	}
	word = trimCurrency(word)
	if len(word) > 1 && word[0] == '0' && classes[word[1]]&digit != 0 {
		return dst, false
	}
	negative := false
	if len(word) > 0 && (word[0] == '-' || word[0] == '+') {
		negative = word[0] == '-'
		word = trimCurrency(word[1:])
	}
	mantissa, exponent := word, 0
	apostrophe, comma, point := -1, -1, -1 // the first of each
scan:
	for i, c := range word {
		switch {
		case '0' <= c && c <= '9':
		case c == '.':
			if point < 0 {
				point = i
			}
		case c == ',':
			if comma < 0 {
				comma = i
			}
		case c == '\'':
			if apostrophe < 0 {
				apostrophe = i
			}
		case c == 'e' && len(word)-i <= 5:
			e, err := strconv.Atoi(string(word[i+1:]))
			if err != nil {
				return dst, false
			}
			mantissa, exponent = word[:i], e
			break scan
		default:
			return dst, false
		}
	}
	group, at := byte(0), point // at is where the fraction starts
	switch {
	case apostrophe >= 0:
		group = '\''
	case comma < 0:
	case point >= 0 && point < comma:
		group, at = '.', comma
	default:
		group = ','
	}
	whole, fraction := mantissa, mantissa[:0]
	if at >= 0 {
		whole, fraction = mantissa[:at], mantissa[at+1:]
	}
	if at >= 0 && len(fraction) == 0 || len(whole)+len(fraction) == 0 {
		return dst, false
	}
	var digits [maxDigits]byte
	n, run := 0, 0
	for i, c := range whole {
		switch {
		case '0' <= c && c <= '9' && n < maxDigits:
			digits[n] = c
			n, run = n+1, run+1
		case c == group && group != 0 && i > 0 && (run == 3 || n == run && run < 3 && run > 0):
			run = 0
		default:
			return dst, false
		}
	}
	if group != 0 && n != run && run != 3 || len(whole) > 1 && whole[0] == '0' {
		return dst, false
	}
	for _, c := range fraction {
		if c < '0' || c > '9' || n == maxDigits {
			return dst, false
		}
		digits[n] = c
		n++
	}
	exponent -= len(fraction)
	d := digits[:n]
	for len(d) > 0 && d[len(d)-1] == '0' {
		d, exponent = d[:len(d)-1], exponent+1
	}
	for len(d) > 0 && d[0] == '0' {
		d = d[1:]
	}
	if len(d) == 0 {
		return append(dst, '0'), true
	}
	if negative {
		dst = append(dst, '-')
	}
	dst = append(dst, d...)
	dst = append(dst, 'e')
	return strconv.AppendInt(dst, int64(exponent), 10), true
}

// trimCurrency takes a currency sign off one end of a word.
func trimCurrency(word []byte) []byte {
	if len(word) == 0 {
		return word
	}
	if c := word[0]; c == '$' || c >= utf8.RuneSelf {
		if r, size := utf8.DecodeRune(word); unicode.Is(unicode.Sc, r) {
			return word[size:]
		}
	}
	if c := word[len(word)-1]; c == '$' || c >= utf8.RuneSelf {
		if r, size := utf8.DecodeLastRune(word); unicode.Is(unicode.Sc, r) {
			return word[:len(word)-size]
		}
	}
	return word
}

// hostOf returns the host in a folded URL, with a scheme or without, or nil.
func hostOf(word []byte) []byte {
	rest := word
	scheme := false
	if i := bytes.Index(word, []byte("//")); i == 0 || i > 0 && word[i-1] == ':' {
		rest, scheme = word[i+2:], true
	}
	end := 0
	for end < len(rest) && rest[end] != '/' && rest[end] != '?' && rest[end] != '#' && rest[end] != '\\' {
		end++
	}
	if end < len(rest) {
		rest = rest[:end]
	} else if !scheme {
		if bytes.IndexByte(rest, ':') < 0 {
			return nil // a bare host is the whole word
		}
	}
	if i := bytes.LastIndexByte(rest, '@'); i >= 0 {
		if !scheme {
			return nil
		}
		rest = rest[i+1:]
	}
	if i := bytes.LastIndexByte(rest, ':'); i >= 0 && rest[0] != '[' {
		rest = rest[:i]
	}
	rest = bytes.TrimSuffix(rest, []byte("."))
	last := rest[bytes.LastIndexByte(rest, '.')+1:]
	if len(rest) == 0 || !scheme && (len(last) == len(rest) || len(last) < 2) {
		return nil
	}
	if classify(rest)&^(letter|high|digit|dot|soft|dash) != 0 || !scheme && classify(last)&^(letter|high) != 0 {
		return nil
	}
	return rest
}

// The shapes of account numbers and of card and phone numbers, in characters.
const (
	minIBAN, maxIBAN     = 15, 34
	minJoined, maxJoined = 7, 19
)

// startsIBAN reports whether text starts as an IBAN does that is written in groups.
func startsIBAN(text []byte) bool {
	return len(text) > 5 && classes[text[0]]&(letter|high) == letter && classes[text[1]]&(letter|high) == letter &&
		classes[text[2]]&digit != 0 && classes[text[3]]&digit != 0 && (text[4] == ' ' || text[4] == '-')
}

// joinIBAN calls found with each account number that is written in groups of four at
// the start of text, without its spaces, and with the length of its text.
func (m *Memory) joinIBAN(text []byte, found func(joined []byte, length int)) {
	joined := &m.joined
	n := copy(joined[:], text[:4])
	for i := 4; i+1 < len(text) && (text[i] == ' ' || text[i] == '-') && n < maxIBAN; {
		group, digits := 0, 0
		for i++; i < len(text) && classes[text[i]]&(letter|digit) != 0 && classes[text[i]]&high == 0; i++ {
			if group++; group > 4 || n == maxIBAN {
				return
			}
			if classes[text[i]]&digit != 0 {
				digits++
			}
			joined[n] = text[i]
			n++
		}
		if group == 0 || digits == 0 && n > 8 { // the second group is a bank's code
			return
		}
		if n >= minIBAN {
			found(joined[:n], i)
		}
		if group < 4 {
			return
		}
	}
}

// groupsDigits reports whether text starts with digits and may go on with more behind a
// separator.
func groupsDigits(text []byte) bool {
	i := 0
	for i < len(text) && (classes[text[i]]&digit != 0 || text[i] == '+') {
		i++
	}
	if i+1 >= len(text) {
		return false
	}
	next := classes[text[i+1]]
	switch text[i] {
	case '.':
		return i == 3 && next&digit != 0
	case ' ', '-':
		return next&digit != 0 || text[i+1] == '('
	case '(', ')':
		return true
	}
	return false
}

// joinDigits calls found with each card or phone number at the start of text that is
// written in groups, as its digits alone, and with the length of its text.
func (m *Memory) joinDigits(text []byte, found func(joined []byte, length int)) {
	joined := &m.joined
	lead := text[0] == '+' || text[0] == '(' || text[0] == '0'
	n, groups, inGroup := 0, 0, 0
	fours, spaced, dotted := true, false, false
	var sizes uint32 // of the groups, four bits each
	for i := 0; i <= len(text); i++ {
		var c byte = ' '
		if i < len(text) {
			c = text[i]
		}
		if classes[c]&digit != 0 {
			if n == maxJoined {
				return
			}
			joined[n] = c
			n, inGroup = n+1, inGroup+1
			continue
		}
		if inGroup > 0 {
			fours = fours && inGroup == 4
			sizes = sizes<<4 | uint32(min(inGroup, 15))
			groups, inGroup = groups+1, 0
		}
		ends := i == len(text) || classes[c]&(space|soft|hard) != 0
		// 555 123 4567 and 555.123.4567 cannot be amounts or IP addresses.
		if ends && n >= minJoined && groups > 1 &&
			(sizes == 0x334 || !dotted && (lead || groups > 2 && (!spaced || fours))) {
			found(joined[:n], i)
		}
		switch c {
		case ' ':
			spaced = true
			fallthrough
		case '-', '(', ')':
			if text[0] == '+' && bytes.HasPrefix(text[i:], []byte("(0)")) { // +49 (0)30: not dialled behind the country
				i += len("(0")
			}
			if i > 0 && classes[text[i-1]]&space != 0 && c == ' ' {
				return
			}
		case '.':
			dotted = true
			if i+1 >= len(text) || classes[text[i+1]]&digit == 0 {
				return
			}
		case '+':
			if i > 0 {
				return
			}
		default:
			return
		}
	}
}

// joinedWhole returns the hash of the number that text is if that is all that it is, in
// groups.
func (m *Memory) joinedWhole(text []byte) (h uint64, ok bool) {
	text = bytes.TrimFunc(text, func(r rune) bool { return r == ' ' || r == '\n' })
	found := func(joined []byte, length int) {
		if length == len(text) {
			h, ok = m.canonical(joined, classify(joined)), true
		}
	}
	switch {
	case len(text) == 0 || len(text) > 2*maxIBAN:
	case startsIBAN(text):
		m.joinIBAN(text, found)
	case classes[text[0]]&digit != 0 || text[0] == '+' || text[0] == '(':
		m.joinDigits(text, found)
	}
	return h, ok
}
