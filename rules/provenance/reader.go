package provenance

import "bytes"

// A reader reads text into a memory: as seen in a place, or as sent.
type reader struct {
	m      *Memory
	kind   kind
	source uint16
	sent   bool
	depth  int // of decoded text in text
}

// reader returns the reader for an observation.
func (m *Memory) reader(o Observation) *reader {
	return &reader{m: m, kind: kindOf(o.Source, o.Trust), source: m.source(o.Source)}
}

func kindOf(source string, t Trust) kind {
	switch {
	case t == Untrusted:
		return untrusted
	case source == "user" || source == "config":
		return said
	case t == Trusted:
		return trusted
	}
	return neutral
}

// vouched reports whether what is read may become trusted, so that parts count only
// where they surely are values.
func (r *reader) vouched() bool { return !r.sent && r.kind <= trusted }

// lose notes that something was dropped.
func (r *reader) lose() {
	r.m.dropped = true
	r.m.lost = r.m.lost || r.kind == untrusted
}

// text reads one text: a leaf of JSON or prose. With keep, the order of its words is
// kept, so that any run of them is a value; else only the whole.
func (r *reader) text(text []byte, keep bool) {
	m := r.m
	if len(text) == 0 || !keep && len(text) > maxWhole && !r.sent {
		return
	}
	if keep {
		if len(text) > m.budget {
			text = text[:m.budget]
			r.lose()
		}
		m.budget -= len(text)
	}
	if len(text) > 2 && bytes.IndexByte(text, '.') > 0 {
		r.glued(text)
	}
	start := len(m.folded) // text within text is folded behind it
	m.folded = fold(m.folded, text)
	folded := m.folded[start:]
	defer func() { m.folded = m.folded[:start] }()

	id := mix(mix(m.hash(folded), uint64(r.source)), uint64(r.kind)<<1)
	if !r.sent && keep {
		if _, known := m.texts[id]; known {
			return // it says nothing new, since every text counts from the first time on
		}
	}
	if words := r.words(folded, keep && !r.sent); words > 1 && keep && !r.sent {
		if len(m.texts) < share(m.maxValues, neutral) {
			m.texts[id] = struct{}{}
		}
	}
}

// words reads the words of folded text and returns their number.
func (r *reader) words(folded []byte, keep bool) int {
	m := r.m
	l := newLexer(folded)
	first := len(m.places)
	var t token
	var whole, pending uint64 // hashes of all words, without and with the symbols behind
	var before uint64         // the word before, if it is a solo
	words, joinedTo := 0, 0
	bound, allSent := said, true
	for l.next(&t) {
		if t.symbol && words == 0 {
			continue
		}
		h, limit := uint64(0), said
		if t.symbol {
			h = m.hash(t.text)
		} else {
			h, limit = r.word(&t)
			if t.at >= joinedTo {
				joinedTo = r.joined(folded, t.at)
			}
		}
		pair := h
		if t.solo && before != 0 {
			pair = mix(before, h)
		}
		if r.sent {
			m.sent.add(pair)
		} else {
			sent := t.symbol || m.sent.has(pair)
			allSent = allSent && sent
			if keep {
				keep = r.place(&t, h, first, sent, limit)
			}
		}
		pending = mix(pending, h)
		if !t.symbol {
			words, whole = words+1, pending
			bound = max(bound, limit)
		}
		if before = 0; t.solo {
			before = h
		}
	}
	if len(m.places) > first {
		m.places[len(m.places)-1].flags |= textEnd
	}
	if words < 2 {
		for len(m.places) > first {
			m.drop()
		}
		return words
	}
	switch {
	case r.sent:
		m.sent.add(whole)
	case r.kind == said:
		r.credit(whole, said)
	case !allSent && !m.sent.has(whole):
		r.credit(whole, bound)
	}
	if !keep && !r.sent {
		m.longest = max(m.longest, words)
	}
	return words
}

// place keeps the place of a word of the text whose places start at first, and reports
// whether there was room. Sent says that the word was sent, or for a solo behind another
// that the two were.
func (r *reader) place(t *token, h uint64, first int, sent bool, limit kind) bool {
	m := r.m
	p := place{entry: m.intern(h, r.kind), source: r.source, kind: r.kind}
	if p.entry == 0 {
		r.lose()
	}
	if r.kind != said {
		p.flags |= placeFlags(limit) << capShift
	}
	if t.solo {
		p.flags |= isSolo
	}
	if sent {
		p.flags |= wasSent
	}
	if last := len(m.places) - 1; last >= first && t.brk {
		m.places[last].flags |= breakAfter
	}
	if !m.put(p) {
		r.lose()
		return false
	}
	return true
}

// word reads a word and its parts. It returns the word's hash and the kind that bounds
// what holds the word: that of the best place in which anything in it that was sent
// stood before.
func (r *reader) word(t *token) (h uint64, bound kind) {
	m := r.m
	if t.has&(delim|slash|colon|at|percent|mark) != 0 {
		bound = r.parts(t.text, t.has)
	}
	m.word = canonInto(m.word, t.text, t.has)
	h = m.hash(m.word)
	bound = max(bound, r.value(h, t.text, t.has, bound))
	return h, bound
}

// canonInto is canon that leaves its result in the buffer.
func canonInto(buf, word []byte, has class) []byte {
	return append(buf[:0], canon(buf, word, has)...)
}

// value notes one value, which counts for no more than bound, and returns the bound
// that it sets itself.
func (r *reader) value(h uint64, word []byte, has class, bound kind) kind {
	m := r.m
	switch {
	case r.sent:
		m.sent.add(h)
	case r.kind == said:
		r.credit(h, said)
	case !m.sent.has(h):
		r.credit(h, bound)
	case strong(word, has):
		return m.standing(m.find(h))
	}
	return said
}

// credit notes that a value stood where r reads, for no more than bound.
func (r *reader) credit(h uint64, bound kind) {
	k := max(r.kind, bound)
	if k == nowhere {
		return
	}
	e := r.m.intern(h, r.kind)
	if e == 0 {
		r.lose()
		return
	}
	r.m.credit(e, k, r.source)
}

// part reads a part of a word as a value of its own and returns the bound that it sets.
func (r *reader) part(word []byte) kind {
	for len(word) > 0 && classes[word[0]]&(soft|hard|mark) != 0 && !(word[0] == '.' && len(word) > 1) {
		word = word[1:]
	}
	for len(word) > 0 && classes[word[len(word)-1]]&(soft|hard|mark) != 0 {
		word = word[:len(word)-1]
	}
	if len(word) == 0 {
		return said
	}
	has := classify(word)
	m := r.m
	m.word = canonInto(m.word, word, has)
	bound := r.value(m.hash(m.word), word, has, said)
	if has&(slash|colon) != 0 {
		r.host(word)
	}
	if has&at != 0 && !r.vouched() {
		bound = max(bound, r.address(word, has))
	}
	return bound
}

// host notes the host of a URL.
func (r *reader) host(word []byte) {
	if host := hostOf(word); host != nil {
		m := r.m
		m.word = canonInto(m.word, host, classify(host))
		r.value(m.hash(m.word), host, 0, said)
	}
}

// address notes what may be an address in a word that nobody vouches for: between
// slashes, and the domain.
func (r *reader) address(word []byte, has class) (bound kind) {
	for len(word) > 0 {
		piece := word
		if i := bytes.IndexByte(word, '/'); i >= 0 {
			piece, word = word[:i], word[i+1:]
		} else {
			word = nil
		}
		i := bytes.LastIndexByte(piece, '@')
		if i < 0 {
			continue
		}
		if has&slash != 0 {
			r.m.word = canonInto(r.m.word, piece, classify(piece))
			bound = max(bound, r.value(r.m.hash(r.m.word), piece, at, said))
		}
		if domain := piece[i+1:]; len(domain) > 0 {
			r.m.word = canonInto(r.m.word, domain, classify(domain))
			r.value(r.m.hash(r.m.word), domain, 0, said)
		}
	}
	return bound
}

// parts notes the parts of a word that are values too, and returns the bound that they
// set for the whole.
func (r *reader) parts(word []byte, has class) (bound kind) {
	if has&percent != 0 && !r.vouched() {
		bound = r.decoded(word)
	}
	if has&(slash|colon) != 0 {
		r.host(word)
	}
	if has&at != 0 && !r.vouched() {
		bound = max(bound, r.address(word, has))
	}
	if bytes.HasSuffix(word, []byte("'s")) {
		r.part(word[:len(word)-2])
	}
	if c := classes[word[0]] | classes[word[len(word)-1]]; c&mark != 0 {
		bound = max(bound, r.part(bytes.Trim(word, "*_~`")))
	}
	if has&delim == 0 || numeric(word, has) || r.vouched() && isURL(word) {
		return bound
	}
	start := 0
	for i := 0; i < len(word); i++ {
		if classes[word[i]]&delim == 0 {
			continue
		}
		skip := 1
		switch word[i] {
		case '\'': // don't
			if i > 0 && i+1 < len(word) && classes[word[i-1]]&classes[word[i+1]]&letter != 0 {
				continue
			}
		case '\\': // a line break that was printed as \n; else as in C:\new
			if i+1 == len(word) || bytes.IndexByte([]byte("nrt"), word[i+1]) < 0 {
				continue
			}
			skip = 2
		case ':': // from:a@b.c, but neither https:// nor 10:30 nor C:\
			if i-start < 2 || classify(word[start:i])&^letter != 0 || bytes.HasPrefix(word[i:], []byte("://")) || i+1 == len(word) {
				continue
			}
		case '?', '!':
			if i+1 == len(word) {
				continue
			}
		case '*': // **/*.go
			if has&slash != 0 {
				continue
			}
		}
		bound = max(bound, r.part(word[start:i]))
		start = i + skip
	}
	if start > 0 && start < len(word) {
		bound = max(bound, r.part(word[start:]))
	}
	return bound
}

// numeric reports whether a word is one number, which has no parts: 12 is not in
// 12,50.
func numeric(word []byte, has class) bool {
	return has&(letter|digit) == digit && bytes.Count(word, []byte(",")) < 2 ||
		has&digit != 0 && isNumber(word)
}

func isNumber(word []byte) bool {
	var buf [maxDigits + 8]byte
	_, ok := appendNumber(buf[:0], word)
	return ok
}

func isURL(word []byte) bool {
	return bytes.HasPrefix(word, []byte("http://")) || bytes.HasPrefix(word, []byte("https://"))
}

// decoded reads what a word says without percent-encoding.
func (r *reader) decoded(word []byte) kind {
	if r.depth > 0 {
		return said
	}
	plain := make([]byte, 0, len(word))
	for i := 0; i < len(word); i++ {
		if word[i] == '%' && i+2 < len(word) {
			if hi, lo := unhex(word[i+1]), unhex(word[i+2]); hi >= 0 && lo >= 0 {
				plain = append(plain, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		plain = append(plain, word[i])
	}
	if len(plain) == len(word) {
		return said
	}
	r.depth++
	defer func() { r.depth-- }()
	return r.loose(plain)
}

// loose reads words that are in no order.
func (r *reader) loose(text []byte) (bound kind) {
	m := r.m
	start := len(m.folded)
	m.folded = fold(m.folded, text)
	l := newLexer(m.folded[start:])
	for t := (token{}); l.next(&t); {
		if !t.symbol {
			_, b := r.word(&t)
			bound = max(bound, b)
		}
	}
	m.folded = m.folded[:start]
	return bound
}

// glued reads the words on both sides of a full stop that lacks its space, as in
// "see www.example.com.They are".
func (r *reader) glued(text []byte) {
	start, open := 0, false // of what is not yet read of a word
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case classes[c]&space != 0 || c < ' ':
			if open {
				r.loose(text[start:i])
			}
			start, open = i, false
		case c == '.' && i+2 < len(text) && isLower(text[i-1]) && 'A' <= text[i+1] && text[i+1] <= 'Z' && isLower(text[i+2]):
			r.loose(text[start:i])
			start, open = i+1, true
		}
	}
	if open {
		r.loose(text[start:])
	}
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// joined notes the numbers that are written in groups from at on, and returns where
// they end.
func (r *reader) joined(text []byte, at int) int {
	rest, end := text[at:], at
	found := func(joined []byte, length int) {
		m := r.m
		m.word = canonInto(m.word, joined, classify(joined))
		r.value(m.hash(m.word), joined, digit, said)
		end = at + length
	}
	switch {
	case startsIBAN(rest):
		joinIBAN(rest, found)
	case classes[rest[0]]&digit != 0 || rest[0] == '+':
		if at > 0 && text[at-1] == '(' {
			rest, at = text[at-1:], at-1
		}
		joinDigits(rest, found)
	}
	return end
}

// lookupText adds the value of text to f. The text is in the memory's scratch space.
func (m *Memory) lookupText(text []byte, f *finding) {
	m.raw = text
	m.folded = fold(m.folded[:0], text)
	if joined, ok := joinedWhole(m.word, m.folded); ok {
		m.word = canonInto(m.word, joined, classify(joined))
		e := &m.entries[m.find(m.hash(m.word))]
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
			m.word = canonInto(m.word, t.text, t.has)
			h = m.hash(m.word)
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
		e := &m.entries[m.query[0].entry]
		kinds, sources = e.kinds, e.sources
	case words > 1:
		e := &m.entries[m.find(whole)]
		kinds, sources = e.kinds, e.sources
		if known {
			k, s, walkedOut := m.walk(m.query[:end])
			kinds, sources, more = kinds|k, m.union(sources, s), walkedOut
		}
	}
	f.leaf(kinds, m.lost || more)
	f.sources = m.union(f.sources, sources)
}

// mix returns a hash of two hashes whose order counts.
func mix(a, b uint64) uint64 {
	a = (a ^ b) * 0x9e3779b97f4a7c15
	return (a ^ a>>29) + b*0xbf58476d1ce4e5b9
}
