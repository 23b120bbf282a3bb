package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/edit"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// Problem is one thing that is wrong in the file, with its place.
type Problem struct {
	File       string // as the file was named when it was read
	Line       int    // from 1; 0 when there is no place to show
	Column     int    // in characters, from 1
	Source     string // the line, with secrets masked and control characters replaced
	Message    string
	Suggestion string // what was probably meant, or ""
	Warning    bool   // the configuration can be used nevertheless
}

// maxShown bounds the characters of a source line that are printed.
const maxShown = 120

// String formats the problem for people: the place and the message, the source
// line with a caret, and the suggestion, over several lines without a final one.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	} else if p.File != "" {
		fmt.Fprintf(&b, "%s: ", p.File)
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(visible.Text(p.Message)) // it may hold names of the file
	if p.Line > 0 && p.Source != "" {
		number := fmt.Sprint(p.Line)
		line, caret := p.excerpt()
		fmt.Fprintf(&b, "\n  %s | %s", number, line)
		fmt.Fprintf(&b, "\n  %s | %s^", strings.Repeat(" ", len(number)), caret)
	}
	if p.Suggestion != "" {
		fmt.Fprintf(&b, "\ndid you mean %s?", whole(p.Suggestion))
	}
	return b.String()
}

// excerpt returns the part of the source line around the column, and what has
// to stand before the caret to bring it below the column.
func (p Problem) excerpt() (line, caret string) {
	runes := []rune(p.Source)
	at := min(max(p.Column-1, 0), len(runes))
	from := 0
	if at > maxShown*3/4 {
		from = at - maxShown/2
	}
	to := min(len(runes), from+maxShown)
	before, after := "", ""
	if from > 0 {
		before = "…"
	}
	if to < len(runes) {
		after = "…"
	}
	var pad strings.Builder
	pad.WriteString(strings.Repeat(" ", len([]rune(before))))
	for _, r := range runes[from:at] {
		if r != '\t' { // a tab is as wide below as above only as a tab
			r = ' '
		}
		pad.WriteRune(r)
	}
	return before + string(runes[from:to]) + after, pad.String()
}

// Problems is everything that is wrong in one file, in the order of the lines.
type Problems []Problem

// maxPrinted bounds how many problems Error prints: a file of another kind
// altogether would otherwise fill the screen.
const maxPrinted = 100

// Error prints all problems, each as [Problem.String] does.
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i == maxPrinted {
			fmt.Fprintf(&b, "\nand %d more problems", len(ps)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// Sorted returns the problems in the order of their places, each once.
func (ps Problems) Sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(ps)
}

// nearest returns the word that is most like the given one, or "" if none is
// like enough to be what was meant.
func nearest(word string, words []string) string {
	word = strings.ToLower(word)
	if len(word) > 64 {
		return "" // no key is that long, and the distance costs the product of the lengths
	}
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, w := range words {
		if d := edit.Distance(word, strings.ToLower(w), bestDistance); d < bestDistance {
			best, bestDistance = w, d
		}
	}
	if best != "" {
		return best
	}
	for _, w := range words { // an abbreviation, or a plural that grew
		if len(word) >= 3 && (strings.HasPrefix(w, word) || strings.HasPrefix(word, w)) {
			return w
		}
	}
	return ""
}

// quote prints a word of the file in a message: bounded, and with what cannot
// be seen written out.
func quote(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return whole(s)
}

// whole is quote without a bound.
func whole(s string) string {
	if q := strconv.Quote(s); !strings.ContainsFunc(q, visible.Hidden) {
		return q
	}
	return strconv.QuoteToASCII(s)
}
