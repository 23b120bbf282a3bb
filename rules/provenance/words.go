package provenance

import (
	"bytes"
	"unicode/utf8"
)

// class is what a byte of folded text is to words. Bytes outside ASCII are letters.
type class uint16

const (
	space   class = 1 << iota
	soft          // punctuation that is dropped at the ends of words
	hard          // punctuation that is a word of its own at the ends of words
	delim         // divides a word into parts
	digit         //
	letter        //
	dot           // .
	slash         // /
	colon         // :
	at            // @
	percent       // %
	mark          // * _ ~ ` which enclose words in Markdown
	sigil         // # before a name
	dash          // -
	high          // outside ASCII
)

var classes = func() (t [256]class) {
	for c := range 256 {
		switch {
		case c >= utf8.RuneSelf:
			t[c] = letter | high
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			t[c] = letter
		case '0' <= c && c <= '9':
			t[c] = digit
		}
	}
	for c, k := range map[byte]class{
		' ': space, '\n': space,
		'"': soft | delim, '\'': soft | delim, '`': soft | delim | mark,
		',': soft | delim, '.': soft | dot, ':': soft | colon | delim, '!': soft | delim, '?': soft | delim,
		';': hard | delim, '(': hard | delim, ')': hard | delim, '[': hard | delim, ']': hard | delim,
		'{': hard | delim, '}': hard | delim, '<': hard | delim, '>': hard | delim, '|': hard | delim,
		'=': delim, '&': delim, '\\': delim, '*': mark | delim, '_': mark, '~': mark,
		'/': slash, '@': at, '%': percent, '#': sigil, '-': dash,
	} {
		t[c] = k
	}
	return t
}()

// A token is a word of folded text or a piece of punctuation that counts as one.
type token struct {
	text   []byte
	at     int // where it starts
	has    class
	symbol bool
	solo   bool
	brk    bool // it begins another field
}

// A lexer divides folded text into tokens. Each chunk between spaces is some
// punctuation, a word, and some punctuation.
type lexer struct {
	text               []byte
	at                 int
	core, coreEnd, end int // of the current chunk
	has                class
	solo               bool
	brk                bool
	colons             bool
	key                int // the colon after the name with which the line starts, or -1
}

func newLexer(text []byte) lexer {
	return lexer{text: text, colons: bytes.IndexByte(text, ':') >= 0, key: -1}
}

// next reads the next token and reports whether there was one.
func (l *lexer) next(t *token) bool {
	for {
		switch {
		case l.at == l.core && l.core < l.coreEnd:
			*t = token{text: l.text[l.core:l.coreEnd], at: l.core, has: l.has, solo: l.solo, brk: l.brk}
			l.at, l.brk = l.coreEnd, false
			return true
		case l.at < l.end:
			c := l.at
			l.at++
			if classes[l.text[c]]&hard != 0 {
				*t = token{text: l.text[c : c+1], at: c, symbol: true, brk: l.brk}
				l.brk = false
				return true
			}
		case !l.chunk():
			return false
		}
	}
}

// chunk finds the next chunk and reports whether there is one.
func (l *lexer) chunk() bool {
	text, i := l.text, l.at
	newLine := i == 0
	for i < len(text) && classes[text[i]]&space != 0 {
		newLine = newLine || text[i] == '\n'
		i++
	}
	if l.key >= 0 && i > l.key {
		l.key, l.brk = -1, true
	}
	if newLine {
		i = l.line(i)
	}
	if i >= len(text) {
		return false
	}
	l.at, l.solo = i, false
	if text[i] >= maySolo {
		if r, size := utf8.DecodeRune(text[i:]); solo(r) {
			l.core, l.coreEnd, l.end, l.has, l.solo = i, i+size, i+size, letter|high, true
			return true
		}
	}
	j := i
	var has class
	for j < len(text) {
		k := classes[text[j]]
		if k&(space|high) != 0 {
			if k&space != 0 {
				break
			}
			if text[j] >= maySolo {
				if r, _ := utf8.DecodeRune(text[j:]); solo(r) {
					break
				}
			}
		}
		has |= k
		j++
	}
	l.core, l.coreEnd, l.end, l.has = i, j, j, has
	if has&(soft|hard) != 0 {
		l.trim()
	}
	return true
}

// trim moves the punctuation at both ends of the current chunk out of its word.
func (l *lexer) trim() {
	text, core, end := l.text, l.core, l.coreEnd
	for core < end && classes[text[core]]&(soft|hard) != 0 && !l.pointed(core) {
		core++
	}
	for end > core && classes[text[end-1]]&(soft|hard) != 0 {
		end--
	}
	if core != l.core || end != l.coreEnd {
		l.core, l.coreEnd, l.has = core, end, classify(text[core:end])
	}
}

// pointed reports whether the chunk has a dot at i, behind nothing but punctuation, that
// belongs to the word: .env, .5, ../x.
func (l *lexer) pointed(i int) bool {
	if l.text[i] != '.' || i > l.at && l.text[i-1] == '.' { // an ellipsis
		return false
	}
	rest := l.text[i+1 : l.end]
	return len(rest) > 0 && (classes[rest[0]]&(soft|hard) == 0 || len(rest) > 1 && rest[0] == '.' && rest[1] == '/')
}

// line looks at the start of a line, after white space, and returns where its first
// word starts. A list's item and a name with a colon begin another field.
func (l *lexer) line(i int) int {
	for i+1 < len(l.text) && (l.text[i] == '-' || l.text[i] == '*' || l.text[i] == '+') && l.text[i+1] == ' ' {
		l.brk = true
		for i++; i < len(l.text) && l.text[i] == ' '; i++ {
		}
	}
	const longest = 48
	for j := i; l.colons && j < len(l.text) && j < i+longest; j++ {
		c := l.text[j]
		if c == ':' && j > i && (j+1 == len(l.text) || classes[l.text[j+1]]&space != 0) {
			l.key, l.brk = j, true
			break
		}
		if classes[c]&(letter|digit|dash|mark|dot) == 0 && c != ' ' && c != '\'' && c != '"' {
			break
		}
	}
	return i
}

func classify(word []byte) (has class) {
	for _, c := range word {
		has |= classes[c]
	}
	return has
}

// strong reports whether a word is one that leads somewhere, such as an address, a
// path or an account number, rather than one of a language.
func strong(word []byte, has class) bool {
	if has&(at|slash|colon) != 0 || has&dot != 0 && has&letter != 0 {
		return true
	}
	digits := 0
	for _, c := range word {
		if classes[c]&digit != 0 {
			digits++
		}
	}
	return digits >= 5
}
