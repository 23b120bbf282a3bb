package provenance

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// readPython returns what a text is that is a list or dict as Python prints it, or nil. YAML
// reads most of them alike, but not the quotes: Python prints 'it\'s "so"' where YAML has
// 'it”s "so"'. Only what repr prints is taken, so that no text can be read in two ways: of
// the two quotes the one that it chooses, escapes that it needs, no name twice.
func readPython(text []byte) *yaml.Node {
	p := pythonReader{text: string(text)}
	if p.text == "" || p.text[0] != '{' && p.text[0] != '[' {
		return nil
	}
	root := p.value(0)
	if p.space(); root == nil || p.at < len(p.text) {
		return nil
	}
	return root
}

// quotesLikePython reports whether a text starts as a list or dict with single quotes does and
// has escapes, which YAML would read otherwise.
func quotesLikePython(text []byte) bool {
	inner := bytes.TrimLeft(text, "{[( \n")
	return len(inner) < len(text) && bytes.HasPrefix(inner, []byte("'")) && bytes.IndexByte(inner, '\\') >= 0
}

type pythonReader struct {
	text string
	at   int
}

func (p *pythonReader) space() {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\n') {
		p.at++
	}
}

// next skips white space and takes a byte if it is there.
func (p *pythonReader) next(c byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// value reads a value, or returns nil.
func (p *pythonReader) value(depth int) *yaml.Node {
	if depth > maxDepth {
		return nil
	}
	switch {
	case p.next('['):
		return p.sequence(']', depth)
	case p.next('('):
		return p.sequence(')', depth)
	case p.next('{'):
		return p.dict(depth)
	}
	return p.scalar()
}

func (p *pythonReader) sequence(end byte, depth int) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for !p.next(end) {
		if len(n.Content) > 0 && !p.next(',') {
			return nil
		}
		if end == ')' && len(n.Content) == 1 && p.next(end) {
			return n // (1,)
		}
		v := p.value(depth + 1)
		if v == nil {
			return nil
		}
		n.Content = append(n.Content, v)
	}
	return n
}

func (p *pythonReader) dict(depth int) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	names := map[string]bool{}
	for !p.next('}') {
		if len(n.Content) > 0 && !p.next(',') {
			return nil
		}
		name := p.scalar()
		if name == nil || names[name.Value] || !p.next(':') {
			return nil
		}
		names[name.Value] = true
		v := p.value(depth + 1)
		if v == nil {
			return nil
		}
		n.Content = append(n.Content, name, v)
	}
	return n
}

// scalar reads a string, a number, True, False or None.
func (p *pythonReader) scalar() *yaml.Node {
	p.space()
	if p.at == len(p.text) {
		return nil
	}
	if c := p.text[p.at]; c == '\'' || c == '"' {
		s, ok := p.quoted(c)
		if !ok {
			return nil
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	}
	end := p.at
	for end < len(p.text) && (classes[p.text[end]]&(letter|digit) != 0 || strings.IndexByte("+-.", p.text[end]) >= 0) {
		end++
	}
	word := p.text[p.at:end]
	p.at = end
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: word}
	switch word {
	case "None":
		n.Tag = "!!null"
	case "True", "False":
		n.Tag = "!!bool"
	default:
		if _, err := strconv.ParseFloat(word, 64); err != nil || strings.ContainsAny(word, "xXpP_") {
			return nil
		}
		n.Tag = "!!float"
	}
	return n
}

// quoted reads a string in the given quotes.
func (p *pythonReader) quoted(quote byte) (s string, ok bool) {
	var b strings.Builder
	escapedQuote := false
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == quote:
			p.at++
			s = b.String()
			// repr takes double quotes for what has single ones and no double ones, and
			// escapes single ones only where there are both.
			single, double := strings.IndexByte(s, '\'') >= 0, strings.IndexByte(s, '"') >= 0
			if quote == '"' {
				return s, single && !double
			}
			return s, escapedQuote == single && (!single || double)
		case c < ' ' || c == 0x7f:
			return "", false
		case c != '\\':
			b.WriteByte(c)
		default:
			r, isQuote, ok := p.escape(quote)
			if !ok {
				return "", false
			}
			escapedQuote = escapedQuote || isQuote
			b.WriteRune(r)
		}
	}
	return "", false
}

// escape reads what stands behind a backslash up to its last byte.
func (p *pythonReader) escape(quote byte) (r rune, isQuote, ok bool) {
	if p.at++; p.at == len(p.text) {
		return 0, false, false
	}
	digits := 0
	switch c := p.text[p.at]; c {
	case '\\':
		return '\\', false, true
	case '\'':
		return '\'', true, quote == '\''
	case 'n':
		return '\n', false, true
	case 'r':
		return '\r', false, true
	case 't':
		return '\t', false, true
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	}
	if digits == 0 || p.at+digits >= len(p.text) {
		return 0, false, false
	}
	n, err := strconv.ParseUint(p.text[p.at+1:p.at+1+digits], 16, 32)
	if err != nil || n > utf8.MaxRune || n >= ' ' && n < 0x7f { // which repr prints as they are
		return 0, false, false
	}
	p.at += digits
	return rune(n), false, true
}
