package inspect

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A sqlScanner goes over a text before any parser does. It refuses what a server
// could read otherwise than the parser because of its settings, its version or
// the client in between, and what would make a parser recurse too deep.
type sqlScanner struct {
	s       string
	pos     int
	dialect string // "" for all

	tokens   int
	nesting  int
	run      int  // how many prefix operators and opening words came in a row
	line     bool // no token yet on this line
	begun    bool // a token yet in this statement
	openings int  // CASE and its like, without their END
}

var (
	errNestedComment = errors.New("a comment begins inside a comment; databases disagree on where such a one ends")
	errUnclosed      = errors.New("a quote or comment is not closed")
)

// transactSQL are words that begin a statement in Transact-SQL, which needs no
// semicolon before it, and that pass as an alias elsewhere: `SELECT 1 FROM t
// SHUTDOWN`.
var transactSQL = words(`backup break bulk checkpoint close commit continue dbcc deallocate declare deny
	dump exec execute goto kill load open print raiserror readtext reconfigure restore return revert rollback
	save setuser shutdown throw truncate updatetext use waitfor while writetext`)

func words(s string) map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(s) {
		set[w] = true
	}
	return set
}

func scanSQL(s, dialect string) error {
	if len(s) > maxSQL {
		return fmt.Errorf("it is longer than %d KiB", maxSQL>>10)
	}
	if !utf8.ValidString(s) {
		return errors.New("it is not valid UTF-8")
	}
	for i, r := range s {
		switch {
		case r == '\t' || r == '\n' || r == '\r' && strings.HasPrefix(s[i:], "\r\n"):
		case r < ' ' || r == 0x7f || unicode.Is(unicode.Cc, r):
			return errors.New("it has a control character; databases disagree on what that is")
		case unicode.In(r, unicode.Zl, unicode.Zp) || r == 0xfeff || unicode.Is(unicode.Bidi_Control, r):
			return errors.New("it has an invisible character that changes how text is read; take it out")
		}
	}
	sc := &sqlScanner{s: s, dialect: dialect, line: true}
	for sc.pos < len(s) {
		if err := sc.next(); err != nil {
			return err
		}
		if sc.tokens > maxSQLTokens {
			return fmt.Errorf("it has more than %d words and signs", maxSQLTokens)
		}
	}
	return nil
}

func (sc *sqlScanner) at(i int) byte {
	if sc.pos+i < len(sc.s) {
		return sc.s[sc.pos+i]
	}
	return 0
}

// next passes over one token, space or comment.
func (sc *sqlScanner) next() error {
	c := sc.at(0)
	switch {
	case c == '\n':
		sc.line = true
		sc.pos++
		return nil
	case c == ' ' || c == '\t' || c == '\r':
		sc.pos++
		return nil
	case c == '/' && sc.at(1) == '*':
		return sc.blockComment()
	case c == '-' && sc.at(1) == '-':
		if sc.at(2) != 0 && !strings.ContainsRune(" \t\r\n", rune(sc.at(2))) {
			return errors.New("it has -- without a space after it, which is a comment in some databases only")
		}
		sc.lineComment()
		return nil
	case c == '#' && sc.dialect == "mysql":
		sc.lineComment()
		return nil
	case c == '#' && sc.dialect != "postgres":
		return errors.New("it has a #, which begins a comment in some databases only")
	}
	sc.tokens++
	line, begun := sc.line, sc.begun
	sc.line, sc.begun = false, c != ';'
	switch {
	case c == '\'' || c == '"' || c == '`':
		sc.run = 0
		return sc.quoted(c)
	case c == '\\':
		return errors.New("it has a backslash outside of quotes, which is a command to some clients")
	case c == '[' && sc.dialect != "postgres":
		return sc.bracketed()
	case c == '$':
		return sc.dollar()
	case isWord(c):
		return sc.word(line, begun)
	case line && (c == '.' || c == '!' || c == '@' || c == ':') && sc.dialect != "postgres":
		return errors.New("a line begins with a sign that is a command to some clients")
	}
	return sc.sign(c)
}

// sign counts the signs that make a parser recurse.
func (sc *sqlScanner) sign(c byte) error {
	sc.pos++
	switch c {
	case '(', '[', '{':
		sc.nesting++
		sc.run = 0
	case ')', ']', '}':
		sc.nesting = max(0, sc.nesting-1)
		sc.run = 0
	case ',', ';':
		sc.run = 0
	default:
		sc.run++
	}
	return sc.tooDeep()
}

func (sc *sqlScanner) tooDeep() error {
	if sc.nesting+sc.openings > maxSQLNesting || sc.run > maxSQLNesting {
		return fmt.Errorf("it is nested more than %d deep", maxSQLNesting)
	}
	return nil
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= utf8.RuneSelf
}

func (sc *sqlScanner) word(line, begun bool) error {
	start := sc.pos
	for sc.pos < len(sc.s) && (isWord(sc.s[sc.pos]) || sc.s[sc.pos] == '$') {
		sc.pos++
	}
	word := strings.ToLower(sc.s[start:sc.pos])
	for _, r := range word {
		if r >= utf8.RuneSelf && !unicode.In(r, unicode.L, unicode.M, unicode.Nd) {
			return errors.New("it has a sign outside of ASCII that is not in quotes")
		}
	}
	switch word {
	case "case", "begin":
		sc.openings++
	case "end":
		sc.openings = max(0, sc.openings-1)
	case "not", "explain", "binary", "prior", "distinct", "all", "join", "union", "except", "intersect", "interval", "collate", "as":
		// These follow one another without bound, or each opens one more level.
		if word != "join" && word != "union" && word != "except" && word != "intersect" {
			sc.run++
		}
	case "delimiter", "go", "source", "system":
		if line && sc.dialect != "postgres" {
			return errors.New("a line begins with a word that is a command to some clients")
		}
		sc.run = 0
	default:
		sc.run = 0
	}
	if sc.dialect == "" && begun && transactSQL[word] {
		return errors.New("it has a word that begins a statement of its own in some databases")
	}
	if next := sc.at(0); sc.dialect == "" && (word == "e" && next == '\'' || word == "u" && next == '&') {
		return errors.New("it has a string with a prefix that only some databases know")
	}
	return sc.tooDeep()
}

// quoted passes over a string or a quoted name. A doubled quote continues it in
// every dialect; a quote after a backslash ends it or does not, as the server is set.
func (sc *sqlScanner) quoted(quote byte) error {
	for sc.pos++; sc.pos < len(sc.s); sc.pos++ {
		switch c := sc.s[sc.pos]; {
		case c == '\\' && quote != '`' && sc.dialect == "":
			return errors.New("it has a backslash in quotes, which databases read differently")
		case c == '\\' && quote != '`' && sc.dialect != "sqlite":
			if sc.at(1) == quote {
				return errors.New("it has a quote after a backslash, which databases read differently; double the quote instead")
			}
			if sc.at(1) == '\\' {
				sc.pos++
			}
		case c == quote && sc.at(1) == quote:
			sc.pos++
		case c == quote:
			sc.pos++
			return nil
		}
	}
	return errUnclosed
}

// bracketed passes over a name in brackets, as SQLite has it.
func (sc *sqlScanner) bracketed() error {
	end := strings.IndexByte(sc.s[sc.pos:], ']')
	if end < 0 {
		return errUnclosed
	}
	if name := sc.s[sc.pos+1 : sc.pos+end]; sc.dialect != "sqlite" || strings.ContainsAny(name, "'\"`[\n") || strings.Contains(name, "--") || strings.Contains(name, "/*") {
		return errors.New("it has a name in brackets, which databases read differently")
	}
	sc.pos += end + 1
	return nil
}

// dollar passes over a parameter or, in PostgreSQL, a string between $tag$ and $tag$.
func (sc *sqlScanner) dollar() error {
	if sc.dialect == "" {
		return errors.New("it has a dollar sign, which databases read differently")
	}
	rest := sc.s[sc.pos+1:]
	n := 0
	for n < len(rest) && isWord(rest[n]) {
		n++
	}
	if n == len(rest) || rest[n] != '$' {
		sc.pos += 1 + n
		return nil
	}
	tag := sc.s[sc.pos : sc.pos+n+2]
	if sc.dialect != "postgres" {
		return errors.New("it has a string between dollar signs, which only some databases know")
	}
	if n > 0 && rest[0] >= '0' && rest[0] <= '9' {
		return errors.New("it has a dollar sign after a parameter")
	}
	end := strings.Index(sc.s[sc.pos+len(tag):], tag)
	if end < 0 {
		return errUnclosed
	}
	sc.pos += 2*len(tag) + end
	return nil
}

func (sc *sqlScanner) lineComment() {
	end := strings.IndexByte(sc.s[sc.pos:], '\n')
	if end < 0 {
		sc.pos = len(sc.s)
		return
	}
	sc.pos += end
}

func (sc *sqlScanner) blockComment() error {
	body := sc.s[sc.pos+2:]
	if strings.HasPrefix(body, "!") || strings.HasPrefix(body, "M!") || strings.HasPrefix(body, "T!") || strings.HasPrefix(body, "+") {
		return errors.New("it has a comment that some databases run, or take as a hint")
	}
	end := strings.Index(body, "*/")
	if end < 0 {
		return errUnclosed
	}
	// In "/*/" the slash that ends one comment would begin another.
	if strings.Contains(body[:end], "/*") || strings.HasPrefix(body, "/") {
		return errNestedComment
	}
	sc.pos += 2 + end + 2
	return nil
}
