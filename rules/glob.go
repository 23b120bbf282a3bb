package rules

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A glob is a compiled pattern: literal pieces with any run of characters
// between them.
type glob struct {
	text   string // as written
	index  int    // its place in the list that it is from
	fold   bool   // pieces are folded, and so is what they are matched with
	pieces []string

	decision *Decision // of a pattern of a section; nil for one of a rule
}

func newGlob(text string, ignoreCase bool) glob {
	s := text
	if ignoreCase {
		s = foldCase(s)
	}
	return glob{text: text, fold: ignoreCase, pieces: strings.Split(s, "*")}
}

// A subject is what patterns are matched with, in both spellings.
type subject struct {
	exact, folded string
	server        string // folded
}

func newSubject(server, name string) subject {
	n := len(server) + 1 + len(name)
	if !isASCII(server) || !isASCII(name) {
		exact := server + "." + name
		return subject{exact: exact, folded: foldCase(exact), server: foldCase(server)}
	}
	var b strings.Builder // both spellings in one, since lists of thousands of tools are bound
	b.Grow(2 * n)
	b.WriteString(server)
	b.WriteByte('.')
	b.WriteString(name)
	for _, c := range []byte(b.String()) {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		b.WriteByte(c)
	}
	both := b.String()
	return subject{exact: both[:n], folded: both[n:], server: both[n : n+len(server)]}
}

func (g glob) match(sub subject) bool { return g.matches(&sub) }

func (g *glob) matches(sub *subject) bool {
	s := sub.exact
	if g.fold {
		s = sub.folded
	}
	first, last := g.pieces[0], g.pieces[len(g.pieces)-1]
	if len(g.pieces) == 1 {
		return s == first
	}
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	// Taking each middle piece where it first occurs leaves the most for the rest.
	for _, piece := range g.pieces[1 : len(g.pieces)-1] {
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s = s[i+len(piece):]
	}
	return true
}

// foldCase maps strings that are equal under Unicode simple case folding to
// the same string, as [strings.EqualFold] compares them.
func foldCase(s string) string {
	if isASCII(s) { // the least of K, k and U+212A is K
		return strings.ToUpper(s)
	}
	return strings.Map(func(r rune) rune {
		low := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			low = min(low, next)
		}
		return low
	}, s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// A patternSet holds the patterns of one kind of capability.
type patternSet struct {
	section          string
	fallback         Decision // where no pattern matches
	deny, ask, allow []glob
}

func compilePatterns(section string, src Patterns, report func(Problem)) patternSet {
	fallback := src.Default
	switch {
	case fallback == 0:
		fallback = Deny
	case fallback > Deny:
		report(Problem{Path: section + ".default", Message: "it is allow, ask or deny"})
	}
	return patternSet{
		section:  section,
		fallback: newDecision(fallback, section+".default", ""),
		allow:    compileGlobs(section, Allow, src.Allow, report),
		ask:      compileGlobs(section, Ask, src.Ask, report),
		deny:     compileGlobs(section, Deny, src.Deny, report), // which ignore case
	}
}

// compileGlobs sorts what it returns, so that the pattern that is reported
// with a decision does not depend on the order in the file.
func compileGlobs(section string, action Action, texts []string, report func(Problem)) []glob {
	path := section + "." + action.String()
	globs := make([]glob, 0, len(texts))
	for i, text := range texts {
		if problem, ok := checkPattern(text); !ok {
			problem.Path = fmt.Sprintf("%s[%d]", path, i)
			report(problem)
			continue
		}
		g := newGlob(text, action == Deny)
		g.index = i
		decision := newDecision(action, path+": "+text, "")
		g.decision = &decision
		globs = append(globs, g)
	}
	slices.SortFunc(globs, func(a, b glob) int { return strings.Compare(a.text, b.text) })
	return globs
}

// checkPattern finds patterns that can match nothing.
func checkPattern(text string) (Problem, bool) {
	if text == "" {
		return Problem{Message: `an empty pattern matches nothing; patterns are written SERVER.NAME, such as "github.get_*"`}, false
	}
	if !utf8.ValidString(text) {
		return Problem{Message: "the pattern is not valid UTF-8"}, false
	}
	i := strings.IndexAny(text, ".*")
	if i < 0 {
		return Problem{
			Message:    "the pattern can match nothing: it names no server; patterns are written SERVER.NAME",
			Suggestion: "*." + text,
		}, false
	}
	if text[i] == '.' && i == 0 {
		return Problem{Message: "the pattern can match nothing: no server has an empty name", Suggestion: "*" + text}, false
	}
	for j, r := range text[:i] {
		if r != '-' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)) {
			return Problem{
				Offset:     j,
				Message:    fmt.Sprintf("the pattern can match nothing: the name of a server has no %q; patterns are written SERVER.NAME", r),
				Suggestion: "*." + text,
			}, false
		}
	}
	return Problem{}, true
}

// base is the decision of the strictest matching pattern.
func (s *patternSet) base(sub *subject) *Decision {
	for _, globs := range [...][]glob{s.deny, s.ask, s.allow} {
		for i := range globs {
			if globs[i].matches(sub) {
				return globs[i].decision
			}
		}
	}
	return &s.fallback
}
