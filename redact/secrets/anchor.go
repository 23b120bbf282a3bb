package secrets

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// anchor is a row of sets of bytes that every match of some rules begins with.
type anchor struct {
	sets []set
	// lead says that sets[0] is not part of the match but before it, where the
	// beginning of the text will do as well.
	lead  bool
	rules []use
}

// use says what to do where an anchor is: try the rule there, or search for it
// nearby since the anchor is only one of its keywords.
type use struct {
	rule int
	near bool
}

const (
	maxAnchor  = 48  // sets of one anchor
	maxAnchors = 512 // anchors of one pattern
)

// draft is an anchor in the making; a closed one cannot be continued.
type draft struct {
	sets   []set
	lead   bool
	closed bool
}

// prefixes returns the anchors that all matches of re begin with, or nil if there
// are too many.
//
// Case folding is of ASCII only: that a "k" may also be the Kelvin sign is left
// out here.
func prefixes(re *syntax.Regexp) []draft {
	drafts := extend([]draft{{}}, re)
	if len(drafts) > maxAnchors {
		return nil
	}
	return drafts
}

func extend(drafts []draft, re *syntax.Regexp) []draft {
	if len(drafts) > maxAnchors || !slices.ContainsFunc(drafts, func(d draft) bool { return !d.closed }) {
		return drafts
	}
	if c, ok := newClass(re); ok {
		return appendClass(drafts, c)
	}
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			drafts = appendClass(drafts, literalClass(r, re.Flags&syntax.FoldCase != 0))
		}
		return drafts
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			drafts = extend(drafts, sub)
		}
		return drafts
	case syntax.OpCapture:
		return extend(drafts, re.Sub[0])
	case syntax.OpAlternate:
		var all []draft
		for _, sub := range re.Sub {
			all = append(all, extend(clone(drafts), sub)...)
		}
		return all
	case syntax.OpQuest:
		return append(extend(clone(drafts), re.Sub[0]), drafts...)
	case syntax.OpPlus:
		once := extend(drafts, re.Sub[0])
		return append(closed(extend(clone(once), re.Sub[0])), once...)
	case syntax.OpRepeat:
		for range min(re.Min, maxAnchor) {
			drafts = extend(drafts, re.Sub[0])
		}
		if re.Min != re.Max {
			return closed(drafts)
		}
		return drafts
	case syntax.OpWordBoundary:
		for i, d := range drafts {
			if len(d.sets) == 0 && !d.closed {
				// Every pattern with a border in front goes on with a word.
				drafts[i].sets, drafts[i].lead = []set{notWord()}, true
			}
		}
		return drafts
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpBeginLine, syntax.OpNoWordBoundary:
		return drafts
	}
	return closed(drafts)
}

func notWord() set {
	s := allBytes
	for b := range 128 {
		if isWord(byte(b)) {
			s[b>>6] &^= 1 << (b & 63)
		}
	}
	return s
}

func clone(drafts []draft) []draft {
	out := slices.Clone(drafts)
	for i := range out {
		out[i].sets = slices.Clone(out[i].sets)
	}
	return out
}

func closed(drafts []draft) []draft {
	for i := range drafts {
		drafts[i].closed = true
	}
	return drafts
}

func appendClass(drafts []draft, c *class) []draft {
	ascii := foldOnly(c)
	for i := range drafts {
		d := &drafts[i]
		switch {
		case d.closed:
		case len(d.sets) >= maxAnchor || !ascii:
			d.closed = true
		default:
			d.sets = append(d.sets, c.ascii)
		}
	}
	return drafts
}

// foldOnly reports whether a class holds no characters outside ASCII, but for the
// two that fold to ASCII letters.
func foldOnly(c *class) bool {
	for i := 0; i < len(c.wide); i += 2 {
		if lo, hi := c.wide[i], c.wide[i+1]; lo != hi || lo != 'ſ' && lo != '\u212a' {
			return false
		}
	}
	return true
}

// skipLead removes the optional run of characters that re begins with, such as
// the [\w.-]{0,50}? of many rules, and returns its class and greatest length: a
// match is sought from its fixed part on, and grows to the left afterwards.
func skipLead(re *syntax.Regexp) (*syntax.Regexp, *class, int) {
	if re.Op == syntax.OpConcat {
		first, lead, n := skipLead(re.Sub[0])
		if lead == nil {
			return re, nil, 0
		}
		out := *re
		out.Sub = slices.Clone(re.Sub)
		out.Sub[0] = first
		if first.Op == syntax.OpEmptyMatch {
			out.Sub = out.Sub[1:]
			rest, more, m := skipLead(&out)
			if more != nil {
				return rest, more, n + m
			}
		}
		return &out, lead, n
	}
	if re.Op == syntax.OpRepeat && re.Min == 0 && re.Max > 0 {
		if c, ok := newClass(re.Sub[0]); ok {
			return &syntax.Regexp{Op: syntax.OpEmptyMatch}, c, re.Max
		}
	}
	return re, nil, 0
}

// keywordDraft returns the anchor of a keyword, in any case.
func keywordDraft(word string) draft {
	var d draft
	for _, b := range []byte(strings.ToLower(word)) {
		var s set
		s.add(b)
		if 'a' <= b && b <= 'z' {
			s.add(b - 'a' + 'A')
		}
		d.sets = append(d.sets, s)
	}
	return d
}
