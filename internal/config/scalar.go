package config

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// scalarOffsets maps the bytes of a scalar's value to bytes of the file: the
// result has an entry for every byte of the value and one for its end. A
// problem at a place inside an expression is so shown at the right character,
// whatever quotes and line folds the expression is written with.
func (s *source) scalarOffsets(n *yaml.Node) []int {
	start, _ := s.pastProperties(n)
	var offsets []int
	var end int
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		offsets, end = s.blockOffsets(start, n.Value)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		offsets, end = s.flowOffsets(start+1, n.Value, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		offsets, end = s.flowOffsets(start+1, n.Value, '\'')
	default:
		offsets, end = s.flowOffsets(start, n.Value, 0)
	}
	for len(offsets) <= len(n.Value) {
		offsets = append(offsets, min(end, len(s.text)))
	}
	return offsets
}

// pastProperties returns where the value of a node begins, behind its anchor and tag
// (YAML 1.2, 6.9), and where the names of those stand.
func (s *source) pastProperties(n *yaml.Node) (at int, names []span) {
	at = s.nodeOffset(n)
	for at < len(s.text) && (n.Anchor != "" && s.text[at] == '&' || n.Style&yaml.TaggedStyle != 0 && s.text[at] == '!') && len(names) < 2 {
		end := len(s.text)
		if i := strings.IndexAny(s.text[at:], " \t\r\n"); i >= 0 {
			end = at + i
		}
		for end > at+1 && n.Value == "" && strings.IndexByte(",]}", s.text[end-1]) >= 0 {
			end-- // of the collection around it: nothing follows the name
		}
		names = append(names, span{at + 1, end})
		for at = end; ; {
			at += len(s.text[at:]) - len(strings.TrimLeft(s.text[at:], " \t\r\n"))
			if at == len(s.text) || s.text[at] != '#' || at == end {
				break
			}
			at += strings.IndexByte(s.text[at:]+"\n", '\n')
		}
	}
	return at, names
}

// flowOffsets walks a plain or quoted scalar (YAML 1.2, 7.3): escapes are
// written out, and line breaks with the blanks around them are folded.
func (s *source) flowOffsets(at int, value string, quote byte) (offsets []int, end int) {
	emit := func(from, n int) {
		for range n {
			offsets = append(offsets, from)
		}
	}
	for at < len(s.text) && len(offsets) < len(value) {
		c := s.text[at]
		switch {
		case c == '\\' && quote == '"':
			size, n := escape(s.text[at:])
			if n == 0 { // an escaped line break: the break and the blanks after it vanish
				size += len(s.text[at+size:]) - len(strings.TrimLeft(s.text[at+size:], " \t"))
			}
			emit(at, n)
			at += size
		case c == '\'' && quote == '\'':
			emit(at, 1) // written twice
			at += 2
		case strings.IndexByte(" \t\r\n", c) >= 0:
			run := s.text[at : len(s.text)-len(strings.TrimLeft(s.text[at:], " \t\r\n"))]
			breaks := strings.Count(run, "\n")
			switch breaks {
			case 0:
				for i := range len(run) {
					emit(at+i, 1)
				}
			case 1:
				emit(at, 1)
			default:
				emit(at, breaks-1)
			}
			at += len(run)
		default:
			emit(at, 1)
			at++
		}
	}
	return offsets[:min(len(offsets), len(value))], at
}

// escape returns how many bytes of the file an escape sequence takes and how
// many bytes of the value it makes (YAML 1.2, 5.7).
func escape(text string) (size, n int) {
	if len(text) < 2 {
		return len(text), 0
	}
	width := 0
	switch text[1] {
	case '\n':
		return 2, 0
	case '\r':
		return min(3, len(text)), 0
	case 'N', '_':
		return 2, 2
	case 'L', 'P':
		return 2, 3
	case 'x':
		width = 2
	case 'u':
		width = 4
	case 'U':
		width = 8
	default:
		return 2, 1
	}
	end := min(2+width, len(text))
	var r rune
	for _, c := range []byte(text[2:end]) {
		r <<= 4
		switch {
		case c >= '0' && c <= '9':
			r |= rune(c - '0')
		case c >= 'a' && c <= 'f':
			r |= rune(c-'a') + 10
		case c >= 'A' && c <= 'F':
			r |= rune(c-'A') + 10
		}
	}
	return end, max(utf8.RuneLen(r), 1)
}

// blockOffsets walks a literal or folded scalar. Both only drop and change
// blanks, so that the other characters of the value stand in the file in the
// same order: it is enough to find each of them again.
func (s *source) blockOffsets(at int, value string) (offsets []int, end int) {
	if i := strings.IndexByte(s.text[at:], '\n'); i >= 0 {
		at += i + 1 // the header: | or > with its indicators
	}
	for i := range len(value) {
		blank := strings.IndexByte(" \t\r\n", value[i]) >= 0
		if !blank {
			at += len(s.text[at:]) - len(strings.TrimLeft(s.text[at:], " \t\r\n"))
		}
		offsets = append(offsets, min(at, len(s.text)))
		if at < len(s.text) && (!blank || strings.IndexByte(" \t\r\n", s.text[at]) >= 0) {
			at++
		}
	}
	return offsets, at
}
