package redact

import (
	"bytes"
	"cmp"
	"slices"
	"sync"
	"unicode/utf8"
)

// maxDepth is how many decoding steps deep a text is looked into.
const maxDepth = 3

// looker looks for secrets in a text and in everything that the text may be
// decoded to. It walks the tree of decodings depth first, so that one buffer for
// each level is enough.
type looker struct {
	t      *table
	exact  bool // collect finds with their places, not only whether there is one
	finds  []find
	levels [maxDepth + 1]level
	joined [maxDepth + 1][]byte // for quick: skeletons, and texts without their line breaks
}

// level is a text decoded from that of the level above, and how.
type level struct {
	buf   []byte
	steps []step
}

// lookers keeps lookers and their buffers, so that clean text allocates nothing.
var lookers = sync.Pool{New: func() any { return new(looker) }}

// maxPooled is the size in bytes up to which a looker's buffer is kept.
const maxPooled = 256 << 10

func (l *looker) release() {
	l.t = nil
	l.finds = l.finds[:0]
	for i := range l.levels {
		if cap(l.levels[i].buf) > maxPooled {
			l.levels[i].buf = nil
		}
		if cap(l.joined[i]) > maxPooled {
			l.joined[i] = nil
		}
		if cap(l.levels[i].steps) > maxPooled/32 {
			l.levels[i].steps = nil
		}
	}
	lookers.Put(l)
}

// A long text is first looked at in chunks, which keeps the buffers small and in
// the processor's cache. Neighbours overlap by enough for the core of a pattern in
// its longest encoding: every byte a \u escape, three deep.
const (
	chunkSize    = 128 << 10
	chunkOverlap = coreSize * 6 * 6 * 6
)

// suspect reports whether text may hold a secret. It errs on the side of yes,
// and says no at memory speed: raw JSON is decoded as a whole here, without
// regard to where its strings begin and end.
func (t *table) suspect(text []byte, isJSON bool) bool {
	if len(t.patterns) == 0 {
		return false
	}
	l := lookers.Get().(*looker)
	l.t, l.exact = t, false
	defer l.release()
	for start := 0; ; {
		end := min(len(text), start+chunkSize+chunkOverlap)
		if t.fragile && l.look(text[start:end], 0, isJSON) || !t.fragile && l.quick(text[start:end], 0, isJSON) {
			return true
		}
		if end == len(text) {
			return false
		}
		start += chunkSize
		// Not between a backslash and what it escapes.
		for n := 0; n < chunkOverlap && text[start-1] == '\\'; n++ {
			start--
		}
	}
}

// look looks at text, which is at the given depth, and at its decodings, and
// reports whether there was a find; unless exact, it stops at the first.
// isJSON says that text is still the JSON of a message, or of one of its strings:
// line breaks do not count there, and what has escapes means nothing before they
// are undone.
func (l *looker) look(text []byte, depth int, isJSON bool) bool {
	escaped := bytes.IndexByte(text, '\\') >= 0
	scan := !isJSON || !escaped
	found := scan && l.scan(text, depth)
	try := func(when func([]byte) bool, by decoder) {
		if (!found || l.exact) && (when == nil || when(text)) {
			found = l.deeper(by, text, depth) || found
		}
	}
	if depth < maxDepth {
		if escaped {
			try(nil, unescape)
		}
		if scan {
			try(coded, uncode)
			try(quotedPrintable, unprintable)
			try(nil, unbase64)
		}
	}
	if scan && l.t.skeletons != nil && (!found || l.exact) {
		found = l.match(l.t.skeletons, l.decode(squeeze, text, depth), depth+1) || found
	}
	if !isJSON && bytes.IndexByte(text, '\n') >= 0 {
		for i, join := range [...]decoder{unwrap, unbreak, refill} {
			if (i == 0 || l.t.fragile) && (!found || l.exact) {
				joined := l.decode(join, text, depth)
				found = l.scan(joined, depth+1) || found
				if i == 0 && depth+1 < maxDepth {
					found = l.deeper(unbase64, joined, depth+1) || found
				}
			}
		}
	}
	return found
}

// deeper looks at what text is decoded to, unless that is the same.
func (l *looker) deeper(by decoder, text []byte, depth int) bool {
	decoded := l.decode(by, text, depth)
	return 0 < len(decoded) && len(decoded) != len(text) && l.look(decoded, depth+1, false)
}

// quick is look for a table that is not fragile, when only whether there is a
// find is wanted. As no pattern needs a line break, or a space that a line break
// may replace, every text is looked at once, without its line breaks.
func (l *looker) quick(text []byte, depth int, isJSON bool) bool {
	escaped := bytes.IndexByte(text, '\\') >= 0
	scan := !isJSON || !escaped
	if scan && l.squeezed(text, depth) {
		return true
	}
	whole := text
	if !isJSON && bytes.IndexByte(text, '\n') >= 0 {
		text = into(&l.joined[depth], unwrap, text, nil)
	}
	if scan && l.t.any(text) {
		return true
	}
	if depth == maxDepth {
		return false
	}
	if escaped {
		decoded := l.decode(unescape, whole, depth)
		if len(decoded) != len(whole) && l.quick(decoded, depth+1, false) {
			return true
		}
	}
	if !scan {
		return false
	}
	if coded(text) && l.quick(l.decode(uncode, text, depth), depth+1, false) {
		return true
	}
	if quotedPrintable(whole) && l.quick(l.decode(unprintable, whole, depth), depth+1, false) {
		return true
	}
	within := l.decode(unbase64, text, depth)
	return len(within) > 0 && l.quick(within, depth+1, false)
}

// squeezed reports whether the core of a skeleton is in text, which is at the given depth.
func (l *looker) squeezed(text []byte, depth int) bool {
	s := l.t.skeletons
	return s != nil && s.any(into(&l.joined[depth], squeeze, text, nil))
}

type decoder func(dst, src []byte, steps *[]step) []byte

// decode decodes text, which is at the given depth, into that depth's level.
func (l *looker) decode(by decoder, text []byte, depth int) []byte {
	below := &l.levels[depth]
	if !l.exact {
		return into(&below.buf, by, text, nil)
	}
	below.steps = below.steps[:0]
	return into(&below.buf, by, text, &below.steps)
}

// into decodes text into buf, which grows where it must.
func into(buf *[]byte, by decoder, text []byte, steps *[]step) []byte {
	if len(*buf) < len(text)+slop {
		*buf = make([]byte, len(text)+slop)
	}
	return by(*buf, text, steps)
}

// scan looks for the patterns in text as it is.
func (l *looker) scan(text []byte, depth int) bool { return l.match(l.t, text, depth) }

// match looks for the patterns of t in text.
func (l *looker) match(t *table, text []byte, depth int) bool {
	if !l.exact {
		return t.any(text)
	}
	first := len(l.finds)
	l.finds = t.all(l.finds, text)
	for i := range l.finds[first:] {
		f := &l.finds[first+i]
		f.start, f.end = wholeEscapes(text, f.start, f.end)
		for d := depth - 1; d >= 0; d-- {
			f.start, f.end = source(l.levels[d].steps, f.start, f.end)
		}
	}
	return len(l.finds) > first
}

// wholeEscapes widens text[start:end] so that it cuts no backslash escape in two,
// for text that has them: JSON in a string stays JSON.
func wholeEscapes(text []byte, start, end int) (int, int) {
	if odd(text[:end]) && end < len(text) {
		end++
	}
	if odd(text[:start]) {
		return start - 1, end
	}
	// Among the digits of \uXXXX.
	for i := start - 1; i > 0 && i > start-5; i-- {
		if text[i] == 'u' && odd(text[:i]) {
			return i - 1, end
		}
		if hexDigit[text[i]] == notHex {
			break
		}
	}
	return start, end
}

// odd reports whether text ends in an odd number of backslashes. It counts so
// many and no more; nothing real is escaped that often.
func odd(text []byte) bool {
	text = text[max(0, len(text)-256):]
	n := len(text)
	for n > 0 && text[n-1] == '\\' {
		n--
	}
	return (len(text)-n)%2 == 1
}

// maskText returns text with its secrets masked, and the places of the masks in it as
// it was. text is plain text, or with isJSON the inside of a JSON string.
func (t *table) maskText(text []byte, isJSON bool) ([]byte, []find) {
	l := lookers.Get().(*looker)
	l.t, l.exact = t, true
	defer l.release()
	if !l.look(text, 0, isJSON) {
		return text, nil
	}
	finds := slices.Clone(merge(l.finds))
	out := make([]byte, 0, len(text))
	last := 0
	for i := range finds {
		f := &finds[i]
		// A secret that is not UTF-8 must not cut a character in two.
		for f.start > last && !utf8.RuneStart(text[f.start]) {
			f.start--
		}
		for f.end < len(text) && !utf8.RuneStart(text[f.end]) {
			f.end++
		}
		out = append(out, text[last:max(last, f.start)]...)
		out = append(out, t.masks[f.secret]...)
		last = max(last, f.end)
	}
	out = append(out, text[last:]...)

	// What is left must hold nothing, whatever the masks and their neighbours
	// now spell together.
	if t.suspect(out, isJSON) {
		l.finds = l.finds[:0]
		if l.look(out, 0, isJSON) {
			return []byte(t.masks[finds[0].secret]), finds
		}
	}
	return out, finds
}

// merge sorts finds and makes one of those that overlap, in the name of the
// longest.
func merge(finds []find) []find {
	slices.SortFunc(finds, func(a, b find) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end), cmp.Compare(a.secret, b.secret))
	})
	merged := finds[:0]
	longest := 0
	for _, f := range finds {
		if n := len(merged); n > 0 && f.start < merged[n-1].end {
			whole := &merged[n-1]
			if f.end-f.start > longest {
				longest, whole.secret = f.end-f.start, f.secret
			}
			whole.end = max(whole.end, f.end)
			continue
		}
		longest = f.end - f.start
		merged = append(merged, f)
	}
	return merged
}
