package jsonrpc

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The functions of this file walk over JSON that Parse has checked. They do not
// validate it again, and none of them may be used on anything else.

// Members yields the spans of name (quotes included) and value of each member of the
// object at s. It yields nothing if the value is no object.
func Members(raw []byte, s Span) iter.Seq2[Span, Span] {
	return func(yield func(name, value Span) bool) {
		i := skipSpace(raw, s.Start)
		if i >= s.End || raw[i] != '{' {
			return
		}
		for i = skipSpace(raw, i+1); i < s.End && raw[i] == '"'; i = skipSpace(raw, i+1) {
			name := Span{i, skipString(raw, i)}
			start := skipSpace(raw, skipSpace(raw, name.End)+1)
			value := Span{start, skipValue(raw, start)}
			if !yield(name, value) {
				return
			}
			if i = skipSpace(raw, value.End); raw[i] != ',' {
				return
			}
		}
	}
}

// Elements yields the spans of the elements of the array at s, nothing if it is none.
func Elements(raw []byte, s Span) iter.Seq[Span] {
	return func(yield func(Span) bool) {
		i := skipSpace(raw, s.Start)
		if i >= s.End || raw[i] != '[' {
			return
		}
		for i = skipSpace(raw, i+1); i < s.End && raw[i] != ']'; i = skipSpace(raw, i+1) {
			value := Span{i, skipValue(raw, i)}
			if !yield(value) {
				return
			}
			if i = skipSpace(raw, value.End); raw[i] != ',' {
				return
			}
		}
	}
}

// Find returns the span of the member that path leads to from the object at s.
func Find(raw []byte, s Span, path ...string) Span {
	for _, want := range path {
		found := Span{}
		for name, value := range Members(raw, s) {
			if nameIs(raw[name.Start:name.End], want) {
				found = value
				break
			}
		}
		if !found.Present() {
			return Span{}
		}
		s = found
	}
	return s
}

// Get returns the bytes of the member of obj that path leads to, or nil.
func Get(obj []byte, path ...string) []byte {
	s := Find(obj, Span{0, len(obj)}, path...)
	if !s.Present() {
		return nil
	}
	return obj[s.Start:s.End:s.End]
}

// GetString returns the member of obj that path leads to if it is a string.
func GetString(obj []byte, path ...string) (string, bool) {
	v := Get(obj, path...)
	if len(v) == 0 || v[0] != '"' {
		return "", false
	}
	return String(v), true
}

func nameIs(quoted []byte, want string) bool {
	if inner := quoted[1 : len(quoted)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner) == want
	}
	return String(quoted) == want
}

// String decodes the JSON string raw; it returns "" for any other value.
func String(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	inner := raw[1 : len(raw)-1]
	n := bytes.IndexByte(inner, '\\')
	if n < 0 {
		return string(inner)
	}
	var b strings.Builder
	b.Grow(len(inner))
	for rest := inner; ; {
		b.Write(rest[:n])
		if rest = rest[n:]; len(rest) == 0 {
			return b.String()
		}
		if len(rest) < 2 || unescaped[rest[1]] == 0 { // one of the rare escapes, or none
			s, err := jsontext.AppendUnquote(nil, raw)
			if err != nil {
				return ""
			}
			return string(s)
		}
		b.WriteByte(unescaped[rest[1]])
		rest = rest[2:]
		if n = bytes.IndexByte(rest, '\\'); n < 0 {
			n = len(rest)
		}
	}
}

// unescaped are the characters that the escapes of two bytes stand for.
var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// Quote returns s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func Quote(s string) []byte { return AppendQuote(make([]byte, 0, len(s)+2), s) }

// AppendQuote appends s as a JSON string to dst.
func AppendQuote(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	dst, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		panic(err) // valid UTF-8 always quotes
	}
	return dst
}

// Int returns raw as an int64 if it is an integer in its range.
func Int(raw []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}

func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\t' || raw[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the offset after the string that starts at raw[i]. Only the quotes are
// searched for, since there are fewer of them than of escapes: one ends the string unless an
// odd number of backslashes stands before it.
func skipString(raw []byte, i int) int {
	for i++; ; {
		n := bytes.IndexByte(raw[i:], '"')
		if n < 0 {
			return len(raw)
		}
		quote := i + n
		first := quote // of the backslashes
		for first > i && raw[first-1] == '\\' {
			first--
		}
		if i = quote + 1; (quote-first)%2 == 0 {
			return i
		}
	}
}

// skipValue returns the offset after the value that starts at raw[i].
func skipValue(raw []byte, i int) int {
	depth := 0
	for i < len(raw) {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\n', '\t', '\r':
			i++
			continue
		default: // a number or literal
			for i < len(raw) && raw[i] > ' ' && raw[i] != ',' && raw[i] != ']' && raw[i] != '}' {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
	return i
}

// Edit replaces a span of a message by other bytes. A span with End == Start inserts.
type Edit struct {
	Span
	New []byte
}

// before says which of two edits is made first: an insertion precedes the replacement of
// what stands behind it.
func (e Edit) before(other Edit) bool {
	return e.Start < other.Start || e.Start == other.Start && e.End < other.End
}

// Splice returns a copy of the message's bytes with the edits made; the spans must not
// overlap, their order does not matter.
func (m *Message) Splice(edits ...Edit) []byte { return Splice(m.Raw, edits...) }

// Splice returns a copy of raw with the edits made; the spans must not overlap, their
// order does not matter.
func Splice(raw []byte, edits ...Edit) []byte {
	size := len(raw)
	for i := range edits {
		size += len(edits[i].New) - (edits[i].End - edits[i].Start)
		for j := i; j > 0 && edits[j].before(edits[j-1]); j-- {
			edits[j], edits[j-1] = edits[j-1], edits[j]
		}
	}
	out := make([]byte, 0, size+1) // room for the newline of stdio
	at := 0
	for _, e := range edits {
		out = append(out, raw[at:e.Start]...)
		out = append(out, e.New...)
		at = e.End
	}
	return append(out, raw[at:]...)
}

// Set returns an edit that gives the member name of the object at s the value v: the
// old value is replaced where it stands, a new member is added at the end.
func Set(raw []byte, s Span, name string, v []byte) Edit {
	last := Span{}
	for n, value := range Members(raw, s) {
		if nameIs(raw[n.Start:n.End], name) {
			return Edit{value, v}
		}
		last = value
	}
	member := make([]byte, 0, len(name)+len(v)+4)
	at := last.End
	if last.Present() {
		member = append(member, ',')
	} else {
		at = skipSpace(raw, s.Start) + 1
	}
	member = AppendQuote(member, name)
	member = append(member, ':')
	return Edit{Span{at, at}, append(member, v...)}
}

// SetMember returns obj, an object, with the member name set to v.
func SetMember(obj []byte, name string, v []byte) []byte {
	if len(obj) == 0 {
		obj = []byte("{}")
	}
	return Splice(obj, Set(obj, Span{0, len(obj)}, name, v))
}

// DropMembers returns obj without the members for whose names drop is true. It returns
// obj itself if there is none.
func DropMembers(obj []byte, drop func(name string) bool) []byte {
	var kept []Edit
	dropped := false
	for n, v := range Members(obj, Span{0, len(obj)}) {
		if drop(String(obj[n.Start:n.End])) {
			dropped = true
			continue
		}
		kept = append(kept, Edit{Span{n.Start, v.End}, nil})
	}
	if !dropped {
		return obj
	}
	out := append(make([]byte, 0, len(obj)), '{')
	for i, k := range kept {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, obj[k.Start:k.End]...)
	}
	return append(out, '}')
}
