// Package visible makes text that others wrote fit to be read by people: in a question, on
// a terminal, in an error. What such a text holds must neither be out of sight nor look
// like something else.
package visible

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Hidden reports whether r shows as nothing or as a space that it is not, breaks a line or
// changes the order in which others are seen. That includes line ends and tabs, but not the
// ASCII space.
func Hidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return r == 0x2800 || // Braille pattern without a dot
		unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Text returns s with the hidden characters but line ends and tabs written out as \u{...}.
func Text(s string) string {
	if !strings.ContainsFunc(s, Hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r != '\n' && r != '\t' && Hidden(r) {
			fmt.Fprintf(&b, `\u{%x}`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Name returns the start of a name for use in a message, without hidden characters.
func Name(s string) string {
	return Cut(strings.Map(func(r rune) rune {
		if Hidden(r) {
			return -1
		}
		return r
	}, s), 80)
}

// Cut returns the first n bytes of a longer s, without half a character at the end, and an
// ellipsis.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return Start(s, n) + "…"
}

// Start returns at most the first n bytes of s, without half a character at the end.
func Start(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
