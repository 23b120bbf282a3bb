package config

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"go.yaml.in/yaml/v3"
)

// source is the text of the file and knows where its lines are. Lines end in
// \n or \r\n; [checkText] refuses every other character that YAML, an editor
// or a terminal may take for the end of one, so all count alike.
type source struct {
	name    string // as messages show it
	text    string
	lines   []int // offset of the first byte of each line
	secrets []*yaml.Node
	spans   []span // of the secrets; nil until the first is needed
	lax     bool   // no tree: secrets can only be guessed
}

// span is a range of bytes in the text.
type span struct{ from, to int }

// place is where a key and its value stand; key is nil for an item of a list.
type place struct {
	src        *source
	key, value *yaml.Node
}

func newSource(name, text string) *source {
	s := &source{name: name, text: text, lines: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// line returns the text of a line, counted from 1, without its end.
func (s *source) line(n int) string {
	from, to := s.lines[n-1], len(s.text)
	if n < len(s.lines) {
		to = s.lines[n] - 1
	}
	return strings.TrimSuffix(s.text[from:to], "\r")
}

// position returns the line and the column, in characters, of a byte.
func (s *source) position(offset int) (line, column int) {
	offset = min(max(offset, 0), len(s.text))
	for offset < len(s.text) && !utf8.RuneStart(s.text[offset]) && offset > 0 {
		offset-- // the character that the byte belongs to
	}
	line = sort.SearchInts(s.lines, offset+1)
	start := s.lines[line-1]
	column = utf8.RuneCountInString(s.text[start:offset]) + 1
	return line, min(column, utf8.RuneCountInString(s.line(line))+1)
}

// offset returns the byte at a line and column as the YAML parser counts them,
// or the nearest one that exists.
func (s *source) offset(line, column int) int {
	if line < 1 {
		return 0
	}
	if line > len(s.lines) {
		return len(s.text)
	}
	text := s.line(line)
	at := 0
	for ; column > 1 && at < len(text); column-- {
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return s.lines[line-1] + at
}

func (s *source) nodeOffset(n *yaml.Node) int { return s.offset(n.Line, n.Column) }

// endOf returns the byte behind a node and all that it holds, brackets aside.
func (s *source) endOf(n *yaml.Node) int {
	end := s.nodeOffset(n) + 1
	if n.Kind == yaml.ScalarNode {
		offsets := s.scalarOffsets(n)
		end = max(end, offsets[len(offsets)-1])
	}
	for _, child := range n.Content {
		end = max(end, s.endOf(child))
	}
	return end
}

// problemAt makes a problem at a byte of the text.
func (s *source) problemAt(offset int, message, suggestion string) Problem {
	line, column := s.position(offset)
	return Problem{
		File:       s.name,
		Line:       line,
		Column:     column,
		Source:     s.shown(line),
		Message:    message,
		Suggestion: suggestion,
	}
}

// shown returns a line as it may be printed, each character in its column:
// secrets are masked, and what a terminal would not print as one character
// is replaced.
func (s *source) shown(line int) string {
	text := []byte(s.line(line))
	start := s.lines[line-1]
	if s.spans == nil && len(s.secrets) > 0 {
		for _, n := range s.secrets {
			s.spans = append(s.spans, s.secretSpans(n)...)
		}
	}
	for _, sp := range s.spans {
		mask(text, sp.from-start, sp.to-start)
	}
	for _, m := range keyLike().FindAllIndex(text, -1) {
		if digits(text[m[0]:m[1]]) >= 3 {
			mask(text, m[0], m[1])
		}
	}
	for _, m := range userInfo().FindAllSubmatchIndex(text, -1) {
		mask(text, m[2], m[3])
	}
	if s.lax {
		for _, m := range nodeName().FindAllSubmatchIndex(text, -1) {
			mask(text, m[2], m[3])
		}
		if from := s.secretFrom(line); from >= 0 {
			for _, sp := range outsideReferences(string(text[from:])) {
				mask(text, from+sp.from, from+sp.to)
			}
		}
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == masked:
			return '*'
		case r != '\t' && visible.Hidden(r):
			return utf8.RuneError
		}
		return r
	}, string(text))
}

// A secret belongs in a reference, but some will stand in the file itself, and
// what a message shows ends up in logs. Where the tree tells which values are
// secret, they are masked; these find what looks like one anywhere else.
var (
	keyLike   = onuse.Regexp(`[A-Za-z0-9_+-]{20,}`)
	userInfo  = onuse.Regexp(`://([^/\s"']*)@`)
	nodeName  = onuse.Regexp(`(?:^|[\s\[{,])[*&!]([^\s,.\]}][^\s,]*)`) // of an alias, an anchor or a tag, or a text that lacks quotes; but no pattern
	keyBefore = onuse.Regexp(`(?:^|[\s\[{,])["']?[\w.*-]+["']?\s*:(?:\s|$)`)
	secretKey = onuse.Regexp(`(?i)(token|secret|passw|key|authorization|credential)[a-z0-9_-]*["']?\s*:\s+`)
)

// secretFrom guesses, without a tree, where in a line a secret begins: after a key that
// sounds like one, or at once if the line goes on with the value of such a key. It is -1 if
// there is none.
func (s *source) secretFrom(line int) int {
	text := s.line(line)
	if m := secretKey().FindStringIndex(text); m != nil {
		return m[1]
	}
	for ; line > 0 && !keyBefore().MatchString(text); line-- {
		if line > 1 {
			text = s.line(line - 1)
		}
		if secretKey().MatchString(text + " ") {
			return 0
		}
	}
	return -1
}

// masked stands for a masked byte until the line is complete: a control
// character, which the text cannot contain.
const masked = '\x01'

// mask replaces the bytes of a range, as far as it lies in the line, keeping
// the number of characters so that the caret stays right.
func mask(line []byte, from, to int) {
	for i := max(from, 0); i < min(to, len(line)); i++ {
		if utf8.RuneStart(line[i]) && line[i] != ' ' && line[i] != '"' && line[i] != '\'' {
			r, n := utf8.DecodeRune(line[i:])
			if r < utf8.RuneSelf || n == 1 {
				line[i] = masked
			} else { // as long as before, and no letter of the secret
				copy(line[i:i+n], wideMask[n])
			}
		}
	}
}

// wideMask holds a filler of two, three and four bytes.
var wideMask = map[int]string{2: "·", 3: "•", 4: "🞄"}

func digits(b []byte) (n int) {
	for _, c := range b {
		if c >= '0' && c <= '9' {
			n++
		}
	}
	return n
}

// secretSpans returns where a secret scalar stands, less the references in it,
// which are no secret and which people need to see.
func (s *source) secretSpans(n *yaml.Node) []span {
	if n.Kind == yaml.AliasNode { // what was meant may be a text that begins with *
		at := s.nodeOffset(n) + 1
		return []span{{at, at + len(n.Value)}}
	}
	offsets := s.scalarOffsets(n)
	_, spans := s.pastProperties(n) // and so may these
	for _, sp := range outsideReferences(n.Value) {
		spans = append(spans, span{offsets[sp.from], offsets[sp.to]})
	}
	return spans
}

// outsideReferences returns the ranges of a text that are not part of ${...}.
// A reference that is never closed reaches to the next space.
func outsideReferences(text string) []span {
	var spans []span
	for at := 0; at < len(text); {
		i := strings.Index(text[at:], "${")
		if i < 0 {
			return append(spans, span{at, len(text)})
		}
		if i > 0 {
			spans = append(spans, span{at, at + i})
		}
		at += i
		rest := strings.ReplaceAll(text[at:], userSubject, strings.Repeat("_", len(userSubject)))
		if end := strings.IndexAny(rest, "} \t\n"); end >= 0 {
			at += end + 1
		} else {
			at = len(text)
		}
	}
	return spans
}

// checkText finds what a configuration may not contain at all.
func (s *source) checkText() (Problem, bool) {
	for i := 0; i < len(s.text); {
		r, n := utf8.DecodeRuneInString(s.text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return s.problemAt(i, "this is not UTF-8: save the file as UTF-8", ""), false
		case r == '\n' || r == '\t' || r == '\r' && strings.HasPrefix(s.text[i+1:], "\n"):
		case visible.Hidden(r):
			return s.problemAt(i, fmt.Sprintf("the invisible character %+q may not stand here: write it as an escape in double quotes", string(r)), ""), false
		}
		i += n
	}
	return Problem{}, true
}
