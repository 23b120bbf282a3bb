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
}

func newGlob(text string, ignoreCase bool) glob {
	s := text
	if ignoreCase {
		s = foldCase(s)
	}
	return glob{text: text, fold: ignoreCase, pieces: strings.Split(s, "*")}
}

// A subject is what patterns are matched with, in both spellings.
type subject struct{ exact, folded string }

func newSubject(server, name string) subject {
	s := server + "." + name
	return subject{exact: s, folded: foldCase(s)}
}

func (g glob) match(sub subject) bool {
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
	for i := 0; ; i++ {
		if i == len(s) {
			return s
		}
		if c := s[i]; c >= utf8.RuneSelf || 'a' <= c && c <= 'z' {
			break
		}
	}
	return strings.Map(func(r rune) rune {
		low := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			low = min(low, next)
		}
		return low
	}, s)
}

// A patternSet holds the patterns of one kind of capability.
type patternSet struct {
	section          string
	fallback         Action
	deny, ask, allow []glob
}

func compilePatterns(section string, src Patterns, report func(Problem)) patternSet {
	set := patternSet{section: section, fallback: src.Default}
	switch {
	case src.Default == 0:
		set.fallback = Deny
	case src.Default > Deny:
		report(Problem{Path: section + ".default", Message: "it is allow, ask or deny"})
	}
	set.allow = compileGlobs(section+".allow", src.Allow, false, report)
	set.ask = compileGlobs(section+".ask", src.Ask, false, report)
	set.deny = compileGlobs(section+".deny", src.Deny, true, report)
	return set
}

// compileGlobs sorts what it returns, so that the pattern that is reported
// with a decision does not depend on the order in the file.
func compileGlobs(path string, texts []string, ignoreCase bool, report func(Problem)) []glob {
	globs := make([]glob, 0, len(texts))
	for i, text := range texts {
		if problem, ok := checkPattern(text); !ok {
			problem.Path = fmt.Sprintf("%s[%d]", path, i)
			report(problem)
			continue
		}
		g := newGlob(text, ignoreCase)
		g.index = i
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
func (s *patternSet) base(sub subject) Decision {
	for _, class := range []struct {
		action Action
		globs  []glob
	}{{Deny, s.deny}, {Ask, s.ask}, {Allow, s.allow}} {
		for _, g := range class.globs {
			if g.match(sub) {
				return newDecision(class.action, s.section+"."+class.action.String()+": "+g.text, "")
			}
		}
	}
	return newDecision(s.fallback, s.section+".default", "")
}
