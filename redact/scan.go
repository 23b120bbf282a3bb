package redact

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"time"
)

// Detector says what found something.
type Detector string

// The detectors.
const (
	DetectKnown  Detector = "known"  // a value that was added
	DetectSecret Detector = "secret" // package secrets
	DetectPII    Detector = "pii"    // package pii
	DetectCustom Detector = "custom" // a pattern of Options.Custom

	// What looks like a token but comes from a server, and base64 of a text that
	// holds finds. They are no finds of their own.
	detectLookAlike Detector = "look-alike"
	detectEncoded   Detector = "encoded"
)

// ErrTime is the error of a text that could not be looked at in its time. It
// must be withheld.
var ErrTime = errors.New("redact: the text took longer to look at than it may: it is withheld")

// wants says which detectors run.
type wants struct {
	secrets, pii, custom bool
	everything           bool // whatever happens to it in results
	lookAlikes           bool // texts of the form of a token
}

func (w *wants) any() bool { return w.secrets || w.pii || w.custom || w.lookAlikes }

// hit is what a detector found at [start:end] of the text that was to be looked
// at.
type hit struct {
	start, end int
	*decision
	value Span // in scan.values: what it is, as decoded
	own   *own // of what is no find of its own
}

// own says of what is no find of its own what stands there instead, and of base64 what was found
// within.
type own struct {
	with  string
	inner []Find
}

// decision is what happens to finds of a type, and what they are called in what stands for them.
// A text has many finds, but few types.
type decision struct {
	detector Detector
	rule     string // the type as the detector names it
	typ      string
	action   Action
}

var (
	encodedHit   = &decision{detector: detectEncoded, typ: "encoded", action: Tokenize}
	lookAlikeHit = &decision{detector: detectLookAlike, action: Tokenize}
)

// inner returns what was found within a hit.
func (h *hit) inner() []Find {
	if h.own == nil {
		return nil
	}
	return h.own.inner
}

// scan runs the detectors over a text and what it decodes to. In contrast to
// looker, which searches each string for known values, it hands a whole document
// to the detectors, decoded, because they need to see what stands around a value.
// Places are computed only once there is a find.
type scan struct {
	set    *settings
	scope  Scope
	wants  wants
	until  time.Time
	within int // base64 texts around this one

	verdict func(Detector, string) Verdict // for arguments; nil for results

	hits      []hit
	values    []byte // of the hits that something of their value stands for
	decisions []*decision
	tokenized []Restored
	found     []found
	list      []segment
	views     [maxDepth + 1]view
	escaped   []byte // JSON whose escapes were undone already, in the first view
	unescaped []byte
	runs      []byte // for base64
	nested    *scan
}

// view is a text that src was decoded to.
type view struct {
	by      decoder
	src     []byte
	buf     []byte
	steps   []step
	stepped bool
}

// maxWithin is how many base64 texts within each other are looked into.
const maxWithin = 2

var scans = sync.Pool{New: func() any { return new(scan) }}

// newScan returns a scan for what is wanted in a result. How long it may take is for the caller
// to say.
func newScan(set *settings, scope Scope) *scan {
	s := scans.Get().(*scan)
	s.begin(set, scope, set.wanted(scope.Tool), time.Time{}, 0)
	return s
}

func (s *scan) begin(set *settings, scope Scope, w wants, until time.Time, within int) {
	s.set, s.scope, s.wants, s.until, s.within, s.verdict = set, scope, w, until, within, nil
	s.clear()
}

// clear forgets what was found, values above all.
func (s *scan) clear() {
	clear(s.hits)
	clear(s.values)
	clear(s.decisions)
	s.hits, s.values, s.decisions, s.tokenized = s.hits[:0], s.values[:0], s.decisions[:0], nil
}

func (s *scan) release() {
	s.set, s.scope, s.verdict = nil, Scope{}, nil
	s.escaped, s.unescaped = nil, nil
	s.clear()
	for i := range s.views {
		v := &s.views[i]
		v.src = nil
		if cap(v.buf) > maxPooledView {
			v.buf = nil
		}
		if cap(v.steps) > maxPooled/32 {
			v.steps = nil
		}
	}
	if cap(s.runs) > maxPooledView {
		s.runs = nil
	}
	if cap(s.values) > maxPooledView {
		s.values = nil
	}
	if n := s.nested; n != nil {
		s.nested = nil
		n.release()
	}
	scans.Put(s)
}

// maxPooledView is the size in bytes up to which the buffer of a view is kept:
// that of a large result.
const maxPooledView = 1<<20 + 64<<10

// run looks at text. isJSON says that it is the JSON of a message.
func (s *scan) run(text []byte, isJSON bool) error {
	if !s.wants.any() {
		return nil
	}
	if err := s.look(text, 0, isJSON, true); err != nil {
		return err
	}
	sortHits(s.hits)
	return nil
}

// look looks at a text that is at the given depth, and at its decodings. plain
// says that it was decoded by undoing backslashes only, if at all.
func (s *scan) look(text []byte, depth int, isJSON, plain bool) error {
	escaped := bytes.IndexByte(text, '\\') >= 0
	deeper := depth < maxDepth && escaped
	var below []byte
	if deeper {
		if depth == 0 && len(s.escaped) == len(text) && &s.escaped[0] == &text[0] {
			below = s.unescaped
		} else {
			below = s.decode(unescape, text, depth)
		}
		deeper = len(below) < len(text)
	}
	if !isJSON || !deeper {
		if err := s.detect(text, depth, deeper); err != nil {
			return err
		}
		if plain && s.within < maxWithin {
			if err := s.base64(text, depth); err != nil {
				return err
			}
		}
	}
	if deeper {
		if err := s.look(below, depth+1, false, plain); err != nil {
			return err
		}
	}
	if depth < maxDepth && bytes.IndexByte(text, 0) >= 0 {
		if decoded := s.decode(narrow, text, depth); len(decoded) < len(text) {
			if err := s.look(decoded, depth+1, false, false); err != nil {
				return err
			}
		}
	}
	if depth < maxDepth && (!isJSON || !deeper) && coded(text) {
		if decoded := s.decode(uncodeWords, text, depth); len(decoded) > 0 {
			return s.look(decoded, depth+1, false, false)
		}
	}
	return nil
}

// suspect reports whether raw, which is JSON, may hold a known value. Where detectors search it
// too, its escapes are undone here, once for both. What is known is then looked for as in a text
// that came without them: that says yes wherever it would with them, if not more often.
func (s *scan) suspect(t *table, raw []byte) bool {
	if len(t.patterns) == 0 || !s.wants.any() || bytes.IndexByte(raw, '\\') < 0 {
		return t.suspect(raw, true)
	}
	s.escaped, s.unescaped = raw, s.decode(unescape, raw, 0)
	return t.suspect(s.unescaped, false)
}

// decode decodes text, which is at the given depth, into that depth's view.
func (s *scan) decode(by decoder, text []byte, depth int) []byte {
	v := &s.views[depth]
	v.by, v.src, v.stepped = by, text, false
	return into(&v.buf, by, text, nil)
}

// detect runs the detectors over a text. deeper says that its escapes are undone
// one level below, where the rest of what they cut is found.
func (s *scan) detect(text []byte, depth int, deeper bool) error {
	var err error
	s.found, err = s.set.detectors.append(s.found[:0], text, s)
	if err != nil {
		return err
	}
	s.hits = slices.Grow(s.hits, len(s.found))
	for i := range s.found {
		f := &s.found[i]
		start, end := f.start, f.end
		d := f.decision
		if d.action == Allow || s.set.listed(text[start:end]) {
			continue
		}
		if deeper && startsInEscape(text, start) {
			continue
		}
		if deeper && odd(text[:end]) && end < len(text) {
			end--
		}
		if start < end {
			var value Span
			if d.action == Tokenize || d.action == Hash {
				value = s.keepValue(text[start:end])
			}
			s.add(d, value, nil, text, start, end, depth)
		}
	}
	if s.wants.lookAlikes {
		tokens := readTokens(text)
		for n := 1; ; n++ {
			t, ok := tokens.next()
			if !ok {
				break
			}
			if n%1024 == 0 && time.Now().After(s.until) {
				return ErrTime
			}
			// The mark goes before the first character of what makes it a token.
			with := &own{with: escapeMark + string(text[t.body])}
			s.add(lookAlikeHit, Span{}, with, text, t.body, t.body+1, depth)
		}
	}
	return nil
}

// decide returns what happens to the finds of a type.
func (s *scan) decide(detector Detector, typ string) *decision {
	for _, d := range s.decisions {
		if d.rule == typ && d.detector == detector {
			return d
		}
	}
	action := Mask
	switch {
	case s.verdict != nil:
		if !checks(s.verdict(detector, typ)) {
			action = Allow
		}
	case !s.wants.everything:
		action = s.set.action(s.scope.Tool, detector, typ)
	}
	d := &decision{detector, typ, typeName(typ), action}
	s.decisions = append(s.decisions, d)
	return d
}

// keepValue keeps a value in values, since what it is decoded to does not last.
func (s *scan) keepValue(value []byte) Span {
	from := len(s.values)
	s.values = append(s.values, value...)
	return Span{from, len(s.values)}
}

func (s *scan) value(h *hit) []byte { return s.values[h.value.Start:h.value.End] }

// startsInEscape reports whether text[start] is part of a backslash escape that
// unescape undoes.
func startsInEscape(text []byte, start int) bool {
	if odd(text[:start]) {
		c := text[start]
		return oneChar[c] != 0 || c == 'u' || c == 'U' || c == 'x'
	}
	from, _ := wholeEscapes(text, start, start)
	return from != start
}

// add appends a hit at text[start:end], which is at the given depth, with its
// place in the text at depth 0.
func (s *scan) add(d *decision, value Span, own *own, text []byte, start, end, depth int) {
	start, end = wholeEscapes(text, start, end)
	for above := depth - 1; above >= 0; above-- {
		v := &s.views[above]
		if !v.stepped {
			v.stepped = true
			v.steps = v.steps[:0]
			into(&v.buf, v.by, v.src, &v.steps) // what is there already, again
		}
		start, end = source(v.steps, start, end)
		start, end = wholeEscapes(v.src, start, end)
	}
	s.hits = append(s.hits, hit{start, end, d, value, own})
}
