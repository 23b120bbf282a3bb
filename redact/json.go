package redact

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

var errNotJSON = errors.New("redact: not valid JSON")

// An edit is a part of a text that became another: text[from:to] has length bytes now.
type edit struct{ from, to, length int }

// origins finds where in a text that was edited something was before.
type origins struct {
	edits []edit
	moved []int // by edit: how much longer the text before it became
}

func newOrigins(edits []edit) *origins {
	o := &origins{edits: edits, moved: make([]int, len(edits)+1)}
	for i, e := range edits {
		o.moved[i+1] = o.moved[i] + e.length - (e.to - e.from)
	}
	return o
}

// of returns where the byte at i was.
func (o *origins) of(i int) int {
	if len(o.edits) == 0 {
		return i
	}
	n := sort.Search(len(o.edits), func(n int) bool { return i < o.edits[n].from+o.moved[n] })
	if n > 0 {
		if e := o.edits[n-1]; i < e.from+o.moved[n-1]+e.length {
			return e.from
		}
	}
	return i - o.moved[n]
}

// maskJSON masks the secrets in raw, token by token. edits says what became of it.
func (t *table) maskJSON(raw []byte) (out []byte, edits []edit, finds []Find, err error) {
	// A secret may itself be JSON, and so reach over several tokens. Then each
	// value that it reaches is masked whole.
	spans := merge(t.all(nil, raw))
	// spanning returns the secret whose span covers part of the token
	// raw[from:to] and reaches out of it.
	spanning := func(from, to int) (secret int, ok bool) {
		for len(spans) > 0 && spans[0].end <= from {
			spans = spans[1:]
		}
		if len(spans) == 0 || spans[0].start >= to || from <= spans[0].start && spans[0].end <= to {
			return 0, false
		}
		return spans[0].secret, true
	}

	last := 0
	replace := func(from, to int, with ...[]byte) {
		if out == nil {
			out = make([]byte, 0, len(raw)+64)
		}
		out = append(out, raw[last:from]...)
		for _, part := range with {
			out = append(out, part...)
		}
		last = to
	}
	// found notes a find, and that length bytes stand there now.
	found := func(from, to, secret, length int) {
		finds = append(finds, Find{DetectKnown, t.typeOf(secret), from, to, Mask})
		edits = append(edits, edit{from, to, length})
	}
	quote := []byte{'"'}
	names := false // an object name was masked
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '"':
			end := stringEnd(raw, i)
			if end < 0 {
				return nil, nil, nil, errNotJSON
			}
			isName := nameAt(raw, end)
			if secret, ok := spanning(i, end); ok && !isName {
				replace(i, end, quote, []byte(t.masks[secret]), quote)
				found(i, end, secret, len(t.masks[secret])+2)
			} else if t.suspect(raw[i+1:end-1], true) {
				masked, within := t.maskText(raw[i+1:end-1], true)
				if len(within) > 0 {
					replace(i, end, quote, masked, quote)
					names = names || isName
				}
				for _, f := range within {
					found(i+1+f.start, i+1+f.end, f.secret, len(t.masks[f.secret]))
				}
			}
			i = end
		case c == '-' || '0' <= c && c <= '9':
			end := i + 1
			for end < len(raw) && inNumber(raw[end]) {
				end++
			}
			secret, ok := spanning(i, end)
			if !ok {
				if within := t.all(nil, raw[i:end]); len(within) > 0 {
					secret, ok = merge(within)[0].secret, true
				}
			}
			if ok {
				replace(i, end, quote, []byte(t.masks[secret]), quote)
				found(i, end, secret, len(t.masks[secret])+2)
			}
			i = end
		default:
			i++
		}
	}
	if len(finds) == 0 {
		return raw, nil, nil, nil
	}
	out = append(out, raw[last:]...)
	if names {
		if out, err = distinctNames(out); err != nil {
			return nil, nil, nil, err
		}
	}
	return out, edits, finds, nil
}

// typeOf returns where a secret came from, as its mask shows it.
func (t *table) typeOf(secret int) string {
	source, ok := strings.CutPrefix(t.masks[secret], "[redacted:")
	if !ok {
		return "value"
	}
	return strings.TrimSuffix(source, "]")
}

// stringEnd returns the position after the string that begins at raw[start], or
// -1 where it does not end.
func stringEnd(raw []byte, start int) int {
	for i := start + 1; ; {
		n := bytes.IndexByte(raw[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		backslashes := 0
		for raw[i-1-backslashes] == '\\' {
			backslashes++
		}
		i++
		if backslashes%2 == 0 {
			return i
		}
	}
}

// nameAt reports whether the string that ends at raw[end] is an object's name.
func nameAt(raw []byte, end int) bool {
	for end < len(raw) && (raw[end] == ' ' || raw[end] == '\t' || raw[end] == '\n' || raw[end] == '\r') {
		end++
	}
	return end < len(raw) && raw[end] == ':'
}

func inNumber(c byte) bool {
	return '0' <= c && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}

// distinctNames puts numbers behind object names that became equal because their
// secrets were masked; an object with equal names would be refused by a strict
// reader and lose members with a lax one.
func distinctNames(raw []byte) ([]byte, error) {
	var (
		out   []byte
		last  int
		depth []map[string]int // of each object or array, the names so far and the last number behind each
	)
	dec := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		before := dec.StackDepth()
		tok, err := dec.ReadToken()
		if err != nil {
			if dec.StackDepth() == 0 && int(dec.InputOffset()) > last {
				return append(out, raw[last:]...), nil
			}
			return nil, fmt.Errorf("%w after masking", errNotJSON)
		}
		switch tok.Kind() {
		case '{', '[':
			depth = append(depth, nil)
			continue
		case '}', ']':
			depth = depth[:before-1]
			continue
		}
		kind, n := dec.StackIndex(dec.StackDepth())
		if kind != '{' || n%2 == 0 {
			continue
		}
		seen := depth[before-1]
		if seen == nil {
			seen = map[string]int{}
			depth[before-1] = seen
		}
		name := tok.String()
		for n := seen[name]; n > 0; {
			n++
			suffix := " " + strconv.Itoa(n)
			if seen[name+suffix] > 0 {
				continue
			}
			seen[name] = n // where to go on, for the next one
			name += suffix
			end := int(dec.InputOffset()) - 1 // before the closing quote
			out = append(append(out, raw[last:end]...), suffix...)
			last = end
			break
		}
		seen[name] = max(seen[name], 1)
	}
}
