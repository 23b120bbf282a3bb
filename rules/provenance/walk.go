package provenance

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

const (
	maxDepth  = 128 // of JSON
	maxNested = 3   // JSON in a string in JSON in a string
)

// document reads what may be JSON, or a text. A scope names parts whose trust differs.
func (m *Memory) document(r *reader, text []byte, s scope) {
	trimmed := bytes.TrimSpace(text)
	switch {
	case len(trimmed) == 0:
	case len(trimmed) <= m.budget && structured(trimmed):
		r.json(trimmed, s.values(), 0)
		s.values().least(r).text(trimmed, false)
	default:
		m.dump(r, text, trimmed, s)
	}
}

// dump reads a text that is no JSON: prose, or values in another form.
func (m *Memory) dump(r *reader, text, trimmed []byte, s scope) {
	var root *yaml.Node
	if !r.sent && (s.kind == trusted || s.parts(s.least(r).kind)) {
		root = readDump(trimmed)
	}
	if root != nil && !sentence(root) || list(trimmed) {
		s = s.values()
	}
	least := s.least(r)
	least.text(text, true)
	if s.whole {
		s.reader(r).entire(trimmed)
	}
	if root != nil {
		least.yamlNode(root, s)
	}
}

// structured reports whether text is one JSON object or array.
func structured(text []byte) bool {
	first, last := text[0], text[len(text)-1]
	if first != '{' || last != '}' {
		if first != '[' || last != ']' {
			return false
		}
	}
	return valid(text)
}

// valid reports whether text is one JSON value that cannot be read in two ways.
func valid(text []byte) bool {
	return jsonrpc.CheckValue(text, jsonrpc.Limits{MaxDepth: maxDepth}) == nil
}

// json reads the leaves of valid JSON. Nested counts the strings around it.
func (r *reader) json(raw []byte, s scope, nested int) {
	w := walker{r: *r, raw: raw, nested: nested}
	w.value(s)
}

// A walker goes over valid JSON once.
type walker struct {
	r      reader
	raw    []byte
	at     int
	nested int
	skip   func(name []byte) bool // members not to be read
}

// space skips white space and returns the byte behind it.
func (w *walker) space() byte {
	for w.at < len(w.raw) {
		switch c := w.raw[w.at]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			w.at++
		default:
			return c
		}
	}
	return 0
}

func (w *walker) value(s scope) {
	switch w.space() {
	case '{':
		w.at++
		for w.space() == '"' {
			name := w.unquoted()
			if w.skip != nil && w.skip(name) {
				w.discard()
				continue
			}
			w.name(name, s)
			w.value(s.member(name))
		}
		w.at++
	case '[':
		w.at++
		for c := w.space(); c != ']' && c != 0; c = w.space() {
			w.value(s.element())
		}
		w.at++
	case '"':
		w.leaf(w.unquoted(), s)
	case 0:
	default:
		start := w.at
		for w.at < len(w.raw) && !endsLiteral[w.raw[w.at]] {
			w.at++
		}
		if literal := w.raw[start:w.at]; string(literal) != "null" {
			s.reader(&w.r).leaf(literal)
		}
	}
}

// endsLiteral says what stands behind true, false, null or a number.
var endsLiteral = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, ',': true, ']': true, '}': true}

// discard skips a value.
func (w *walker) discard() {
	depth := 0
	for {
		switch c := w.space(); c {
		case 0:
			return
		case '"':
			w.unquoted()
		case '{', '[':
			depth++
			w.at++
		case '}', ']':
			depth--
			w.at++
		default:
			for w.at < len(w.raw) && bytes.IndexByte([]byte(" \t\r\n,:]}"), w.raw[w.at]) < 0 {
				w.at++
			}
		}
		if depth == 0 {
			return
		}
	}
}

// unquoted reads a string.
func (w *walker) unquoted() []byte {
	start := w.at
	escaped := false
	for w.at++; w.at < len(w.raw) && w.raw[w.at] != '"'; w.at++ {
		if w.raw[w.at] == '\\' {
			escaped = true
			w.at++
		}
	}
	w.at++
	quoted := w.raw[start:min(w.at, len(w.raw))]
	if !escaped {
		return quoted[1 : len(quoted)-1]
	}
	plain, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return quoted
	}
	return plain
}

// name reads the name of a member, which is never trusted: it is the server's word for
// a value, if not a value of its own.
func (w *walker) name(name []byte, s scope) {
	r := *s.reader(&w.r)
	if r.kind == trusted {
		r.kind = neutral
	}
	r.whole = false
	r.text(name, true)
}

// leaf reads a string, and JSON that it may hold.
func (w *walker) leaf(text []byte, s scope) {
	r := s.reader(&w.r)
	inner := bytes.TrimSpace(text)
	if len(inner) < 2 || w.nested >= maxNested || !structured(inner) {
		r.leaf(text)
		return
	}
	r.inside().json(inner, scope{}, w.nested+1)
	r.text(text, false)
}

// result reads an MCP result.
func (m *Memory) result(o Observation, raw []byte) {
	trimmed := bytes.TrimSpace(raw)
	if len(trimmed) == 0 || !structured(trimmed) {
		m.document(m.reader(o), raw, newScope(o))
		return
	}
	if v := jsonrpc.Get(trimmed, "isError"); len(v) > 0 && string(v) != "false" {
		o = withoutTrust(o)
	}
	r, s := m.reader(o), newScope(o)
	least := s.least(r)
	all := jsonrpc.Span{End: len(trimmed)}
	for name, value := range jsonrpc.Members(trimmed, all) {
		v := trimmed[value.Start:value.End]
		switch jsonrpc.String(trimmed[name.Start:name.End]) {
		case "_meta", "isError", "resultType":
		case "structuredContent":
			if len(v) > m.budget {
				least.lose()
				continue
			}
			r.json(v, s.values(), 0)
		case "content":
			for block := range jsonrpc.Elements(v, jsonrpc.Span{End: len(v)}) {
				m.block(r, least, v[block.Start:block.End], s)
			}
		default:
			w := walker{r: *least, raw: v, skip: valueless}
			w.value(scope{})
		}
	}
}

// block reads a content block: the text of one that is plain text by the fields, all
// else without.
func (m *Memory) block(r, least *reader, raw []byte, s scope) {
	if kind, _ := jsonrpc.GetString(raw, "type"); kind == "text" {
		if text, ok := jsonrpc.GetString(raw, "text"); ok {
			m.document(r, []byte(text), s)
		}
		w := walker{r: *least, raw: raw, skip: func(name []byte) bool {
			return string(name) == "text" || string(name) == "type" || string(name) == "_meta"
		}}
		w.value(scope{})
		return
	}
	w := walker{r: *least, raw: raw, skip: valueless}
	w.value(scope{})
}

// valueless reports whether a member of a content block or resource holds no values: a
// kind of block, or encoded data.
func valueless(name []byte) bool {
	switch string(name) {
	case "_meta", "type", "data", "blob":
		return true
	}
	return false
}

// withoutTrust returns o with nothing trusted.
func withoutTrust(o Observation) Observation {
	if o.Trust == Trusted {
		o.Trust = Neutral
	}
	var fields []Field
	for _, f := range o.Fields {
		if f.Trust == Trusted {
			f.Trust = Neutral
		}
		fields = append(fields, f)
	}
	o.Fields = fields
	return o
}
