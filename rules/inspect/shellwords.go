package inspect

import (
	"strings"
	"unicode"

	"mvdan.cc/sh/v3/syntax"
)

// A shellWord is a word of a command: what it says if that is known before it
// runs, or else how it is written.
type shellWord struct {
	text  string
	known bool
	many  bool // it may turn out to be several words, or none
}

// word gives what w is without its quotes. It refuses quotes and expansions that
// bash and POSIX shells read differently.
func (r *shellReader) word(w *syntax.Word) shellWord {
	if w == nil {
		return shellWord{known: true}
	}
	var b strings.Builder
	known, many := true, false
	var bare strings.Builder // what is not in quotes, other parts as one sign
	for i, part := range w.Parts {
		switch p := part.(type) {
		case *syntax.Lit:
			text, plain := unquoted(p.Value)
			bare.WriteString(plain)
			if i == 0 && strings.HasPrefix(plain, "~") {
				known = false
			}
			b.WriteString(text)
		case *syntax.SglQuoted:
			if p.Dollar {
				refuseShell("it has a string in $'..', which POSIX shells read differently")
			}
			bare.WriteByte('x')
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			if p.Dollar {
				refuseShell(`it has a string in $"..", which POSIX shells read differently`)
			}
			bare.WriteByte('x')
			for _, inner := range p.Parts {
				if lit, ok := inner.(*syntax.Lit); ok {
					b.WriteString(unescaped(lit.Value, "$`\"\\\n"))
				} else {
					known = false
					many = many || severalQuoted(inner)
				}
			}
		default:
			bare.WriteByte('x')
			known = false
			many = many || !number(part)
		}
	}
	plain := bare.String()
	if strings.ContainsFunc(plain, func(c rune) bool { return c > 0x7f && (unicode.IsSpace(c) || unicode.Is(unicode.Cf, c)) }) {
		refuseShell("it has an invisible character outside of quotes")
	}
	if open := strings.IndexByte(plain, '{'); open >= 0 {
		if rest := plain[open:]; strings.Contains(rest, ",") || strings.Contains(rest, "..") {
			refuseShell("it has words in braces, which POSIX shells read differently; write them out")
		}
	}
	if strings.ContainsAny(plain, "*?[") && plain != "[" && plain != "[[" || strings.Contains(plain, "=~") || strings.Contains(plain, ":~") {
		known = false
		many = true
	}
	if !known {
		return shellWord{text: r.text(w), many: many}
	}
	return shellWord{text: b.String(), known: true}
}

// number says whether an expansion is a number, as $? is, and so one word.
func number(part syntax.WordPart) bool {
	switch p := part.(type) {
	case *syntax.ArithmExp:
		return true
	case *syntax.ParamExp:
		return p.Param != nil && p.Exp == nil && p.Repl == nil && p.Slice == nil && strings.Contains("#?$!", p.Param.Value)
	}
	return false
}

// severalQuoted says whether an expansion may be several words even in quotes.
func severalQuoted(part syntax.WordPart) bool {
	p, ok := part.(*syntax.ParamExp)
	return ok && (p.Index != nil || p.Names != 0 || p.Param != nil && p.Param.Value == "@")
}

// unquoted gives a part of a word that is not in quotes: what it says, and the
// same with an x for every sign that a backslash quotes.
func unquoted(s string) (text, plain string) {
	if !strings.Contains(s, `\`) {
		return s, s
	}
	var t, p strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			t.WriteByte(s[i])
			p.WriteByte(s[i])
			continue
		}
		if i++; s[i] != '\n' {
			t.WriteByte(s[i])
			p.WriteByte('x')
			// A backslash quotes a whole character, not its first byte.
			for i+1 < len(s) && s[i+1]&0xc0 == 0x80 {
				i++
				t.WriteByte(s[i])
			}
		}
	}
	return t.String(), p.String()
}

// unescaped takes away the backslashes before the signs that they quote; before
// a line's end both go.
func unescaped(s, quotes string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(quotes, s[i+1]) >= 0 {
			if i++; s[i] == '\n' {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
