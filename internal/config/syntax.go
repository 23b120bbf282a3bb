package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
	"go.yaml.in/yaml/v3"
)

// parseYAML returns the tree of the only document, nil if there is none.
func parseYAML(src *source) (*yaml.Node, *Problem) {
	dec := yaml.NewDecoder(strings.NewReader(src.text))
	root, err := nextDocument(dec)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, syntaxProblem(src, err)
	}
	second, err := nextDocument(dec)
	switch {
	case errors.Is(err, io.EOF):
		return root, nil
	case err != nil:
		return nil, syntaxProblem(src, err)
	}
	src.lax = true
	p := src.problemAt(src.nodeOffset(second), "a second YAML document begins here: the file must hold one", "")
	return nil, &p
}

// nextDocument reads one document. The parser is written for files that are
// well meant and has panicked on others; that too is only a syntax error.
func nextDocument(dec *yaml.Decoder) (root *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	var document yaml.Node
	if err := dec.Decode(&document); err != nil {
		return nil, err
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, errors.New("yaml: no document")
	}
	return document.Content[0], nil
}

// syntaxErrors explains the parser's messages to people who write a
// configuration, not a parser, and says how the place of each is found, since
// the parser gives only a line, and that not always rightly.
var syntaxErrors = []struct {
	message string // as the parser's begins
	find    locator
	mark    string // one of these begins what the message is about, in the parser's line
	explain string
}{
	{"did not find expected alphabetic or numeric character", byPrefix, "", "a text that begins with * or & must be in quotes"},
	{"unknown anchor", byPrefix, "", "a text that begins with * must be in quotes"},
	{"found character that cannot start any token", byPrefix, "", "a text cannot begin with this character: put it in quotes; only spaces, no tabs, can indent"},
	{"found a tab character", byPrefix, "", "a tab cannot indent a line: use spaces"},
	{"mapping values are not allowed in this context", byPrefix, "", `this colon begins a value where none can stand: a text with ": " in it must be in quotes, keys that belong together begin in the same column, and each has its colon`},
	{"could not find expected ':'", byLine, "", `this is neither a key with a colon and a space after it nor part of the value above`},
	{"did not find expected key", byPrefix, "", "a key is expected here: keys that belong together begin in the same column, and a text that goes on after its closing quote must be in quotes as a whole"},
	{"did not find expected '-' indicator", byPrefix, "", `an item of the list is expected here, with "- " before it`},
	{"block sequence entries are not allowed in this context", byPrefix, "", `an item of a list ("- ") cannot stand here: it needs a line of its own`},
	{"did not find expected ',' or ']'", byContext, "[", "the list that begins with [ in this line is not closed, or a comma is missing in it"},
	{"did not find expected ',' or '}'", byContext, "{", "the mapping that begins with { in this line is not closed, or a comma is missing in it"},
	{"did not find expected node content", byPrefix, "", "a value is expected here"},
	{"found unexpected end of stream", byLine, `"'`, "a quote that is opened in this line is never closed"},
	{"found unexpected document indicator", byLine, `"'`, "a quote that is opened in this line is never closed"},
	{"found unknown escape character", byPrefix, "", `in double quotes a \ begins an escape: write \\, or use single quotes`},
}

// locator is a way to the place of a syntax error.
type locator int

const (
	byPrefix  locator = iota // the shortest beginning of the file that has the same error
	byLine                   // the parser's line is right
	byContext                // the parser's line is the one before
)

var yamlError = onuse.Regexp(`^yaml: (?:line (\d+): )?`)

// syntaxProblem translates an error of the parser and finds its place.
func syntaxProblem(src *source, err error) *Problem {
	src.lax = true
	message := yamlError().ReplaceAllString(err.Error(), "")
	way, explain, category, mark := byLine, "this is not valid YAML: "+message, message, ""
	for _, e := range syntaxErrors {
		if strings.HasPrefix(message, e.message) {
			way, explain, category, mark = e.find, e.explain, e.message, e.mark
			break
		}
	}
	offset := 0
	if way == byPrefix {
		offset = shortestFailing(src, category)
	} else {
		// The parser says nothing about the first line, so it gets another
		// before it, which makes its lines count from 0.
		line := 1
		if m := yamlError().FindStringSubmatch(syntaxError("\n" + src.text)); m != nil && m[1] != "" {
			line, _ = strconv.Atoi(m[1])
		}
		if way == byLine {
			line--
		}
		line = min(max(line, 1), len(src.lines))
		text := src.line(line)
		at := strings.IndexAny(text, mark)
		if at < 0 {
			at = len(text) - len(strings.TrimLeft(text, " "))
		}
		offset = src.lines[line-1] + at
	}
	p := src.problemAt(offset, explain, "")
	return &p
}

// syntaxError returns the parser's message for a text, "" if it has none.
func syntaxError(text string) string {
	dec := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	for {
		if _, err := nextDocument(dec); errors.Is(err, io.EOF) {
			return ""
		} else if err != nil {
			return err.Error()
		}
	}
}

// shortestFailing returns the place of the last character of the shortest
// beginning of the text that has an error of the category. The parser reads
// from front to back, so whole lines up to the error fail and fewer do not.
func shortestFailing(src *source, category string) int {
	fails := func(end int) bool {
		return strings.HasPrefix(yamlError().ReplaceAllString(syntaxError(src.text[:end]), ""), category)
	}
	lo, hi := 1, len(src.lines) // the number of whole lines
	for lo < hi {
		mid := (lo + hi) / 2
		if fails(src.lines[mid]) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	start := src.lines[lo-1]
	line := src.line(lo)
	indent := start + len(line) - len(strings.TrimLeft(line, " "))
	if len(line) > 500 || len(src.text) > 64<<10 {
		return indent // not worth hundreds of attempts
	}
	for i := 0; i < len(line); {
		_, n := utf8.DecodeRuneInString(line[i:])
		// A colon counts as one only before a blank, which the end of a
		// beginning would feign.
		feigned := line[i] == ':' && i+1 < len(line) && line[i+1] != ' '
		if !feigned && fails(start+i+n) {
			return start + i
		}
		i += n
	}
	return indent
}
