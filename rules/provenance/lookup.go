package provenance

import (
	"bytes"
	"strconv"
	"strings"
)

// A finding is an Origin in the making.
type finding struct {
	started                bool
	seen, trusted, tainted bool
	sources                uint16
}

// leaf adds a leaf with the given kinds to f.
func (f *finding) leaf(bits uint8, lost bool) {
	seen := bits != 0
	vouched := bits&(1<<said|1<<trusted) != 0
	tainted := bits == 1<<untrusted || !seen && lost
	f.tainted = f.tainted || tainted
	if !f.started {
		f.started, f.seen, f.trusted = true, seen, vouched
		return
	}
	f.seen, f.trusted = f.seen && seen, f.trusted && vouched
}

// lookup adds the leaves of v to f. It reports whether there were any.
func (m *Memory) lookup(v any, f *finding, depth int) bool {
	if depth > maxDepth {
		f.leaf(0, true)
		return true
	}
	switch v := v.(type) {
	case nil:
		return false
	case string:
		m.lookupText(append(m.raw[:0], v...), f)
	case bool:
		m.lookupText(strconv.AppendBool(m.raw[:0], v), f)
	case int:
		m.lookupText(strconv.AppendInt(m.raw[:0], int64(v), 10), f)
	case int64:
		m.lookupText(strconv.AppendInt(m.raw[:0], v, 10), f)
	case float64:
		m.lookupText(strconv.AppendFloat(m.raw[:0], v, 'g', -1, 64), f)
	case []string:
		for _, e := range v {
			m.lookupText(append(m.raw[:0], e...), f)
		}
		return len(v) > 0
	case []any:
		any := false
		for _, e := range v {
			any = m.lookup(e, f, depth+1) || any
		}
		return any
	case map[string]any:
		any := false
		for _, e := range v {
			any = m.lookup(e, f, depth+1) || any
		}
		return any
	default: // a number that no int and no float64 holds, or no JSON at all
		f.leaf(0, true)
	}
	return true
}

// lookupText adds the value of text to f. The text is in the memory's scratch space.
func (m *Memory) lookupText(text []byte, f *finding) {
	m.raw = text
	m.folded = fold(m.folded[:0], text)
	if h, ok := m.joinedWhole(m.folded); ok {
		e := m.entries.at(m.find(h))
		f.leaf(e.kinds, m.lost)
		f.sources = m.union(f.sources, e.sources)
		return
	}
	l := newLexer(m.folded)
	m.query = m.query[:0]
	var t token
	var whole, pending uint64
	words, end := 0, 0
	known := true
	for l.next(&t) {
		if t.symbol && words == 0 {
			continue
		}
		var h uint64
		if t.symbol {
			h = m.hash(t.text)
		} else {
			h = m.canonical(t.text, t.has)
		}
		if t.brk && words > 0 {
			pending = mix(pending, 1)
		}
		pending = mix(pending, h)
		if known {
			e := m.find(h)
			m.query = append(m.query, queryWord{entry: e, brk: t.brk})
			known = e != 0 || t.symbol
		}
		if !t.symbol {
			words, whole, end = words+1, pending, len(m.query)
		}
		if !known && words > max(1, m.longest) {
			break // neither a run nor a whole that is known
		}
	}
	var kinds uint8
	var sources uint16
	more := false
	switch {
	case words == 1:
		e := m.entries.at(m.query[0].entry)
		kinds, sources = e.kinds, e.sources
		if rest, ok := bytes.CutPrefix(m.folded, []byte("mailto:")); ok && kinds == 0 {
			kinds, sources = m.recipients(rest)
		}
	case words > 1:
		e := m.entries.at(m.find(whole))
		kinds, sources = e.kinds, e.sources
		if known {
			k, s, walkedOut := m.walk(m.query[:end])
			kinds, sources, more = kinds|k, m.union(sources, s), walkedOut
		}
	}
	if kinds&(1<<said|1<<trusted) == 0 {
		k, s := m.moment(m.folded)
		kinds, sources = kinds|k, m.union(sources, s)
	}
	f.leaf(kinds, m.lost || more)
	f.sources = m.union(f.sources, sources)
}

// recipients returns untrusted and the sources if a mailto link that was not seen as a whole
// leads to somebody who is tainted, and else nothing.
func (m *Memory) recipients(link []byte) (kinds uint8, sources uint16) {
	for part := range bytes.FieldsFuncSeq(link, func(r rune) bool { return strings.ContainsRune("?&=,;", r) }) {
		if e := m.entries.at(m.find(m.canonical(part, classify(part)))); e.kinds == 1<<untrusted {
			kinds, sources = e.kinds, m.union(sources, e.sources)
		}
	}
	return kinds, sources
}

// mix returns a hash of two hashes whose order counts.
func mix(a, b uint64) uint64 {
	a = (a ^ b) * 0x9e3779b97f4a7c15
	return (a ^ a>>29) + b*0xbf58476d1ce4e5b9
}
