package provenance

import "bytes"

// A reader reads text into a memory: as seen in a place, or as sent.
type reader struct {
	m      *Memory
	kind   kind
	source uint16
	sent   bool
	dry    bool // nothing is noted; only bounds are asked for
	depth  int  // of decoded text in text
	whole  bool // a leaf counts as a whole only; what is in it is of the kind around
	around kind
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
func (r *reader) vouched() bool { return !r.sent && !r.dry && r.kind <= trusted }

// vouches reports whether what is read makes a value better than a stranger's word does.
func (r *reader) vouches() bool { return r.kind == trusted || r.kind == neutral }

// wary reports whether what is read may be an echo that must not count.
func (r *reader) wary() bool { return r.vouches() && r.m.spelled.pieces.count > 0 }

// says reports whether what is read is the user's word.
func (r *reader) says() bool { return r.kind == said && !r.sent && !r.dry }

// lose notes that something was dropped.
func (r *reader) lose() {
	r.m.dropped = true
	r.m.lost = r.m.lost || r.kind == untrusted
}

// inside returns r as it reads what is in a leaf.
func (r *reader) inside() *reader {
	if !r.whole {
		return r
	}
	inner := *r
	inner.kind, inner.whole = r.around, false
	return &inner
}

// leaf reads a text that is a value of its own. Where a field vouches for its value, it
// does not vouch for each word: who may choose the name of a channel cannot make an address
// in it a trusted one.
func (r *reader) leaf(text []byte) {
	r.inside().text(text, true)
	if r.whole {
		r.entire(text)
	}
}

// entire reads a text that is one value.
func (r *reader) entire(text []byte) {
	r.text(text, false)
	m := r.m
	start := len(m.folded)
	m.folded = fold(m.folded, bytes.TrimSpace(text))
	value := m.folded[start:]
	if h, ok := m.joinedWhole(value); ok {
		r.note(h, value, digit, said)
	}
	if isURL(value) && !bytes.ContainsAny(value, " \n") {
		r.host(value)
	}
	m.folded = m.folded[:start]
}

// text reads one text: a leaf of JSON or prose. With keep, the order of its words is
// kept, so that any run of them is a value; else only the whole.
func (r *reader) text(text []byte, keep bool) {
	m := r.m
	if len(text) == 0 || !keep && len(text) > maxWhole && !r.sent {
		return
	}
	if r.sent && r.depth == 0 {
		if plain := unescaped(text); plain != nil {
			inner := *r
			inner.depth++
			inner.text(plain, keep)
		}
	}
	if keep {
		if len(text) > m.budget {
			text = text[:m.budget]
			r.lose()
		}
		m.budget -= len(text)
	}
	id := mix(mix(m.hash(text), uint64(r.source)), uint64(r.kind)<<2)
	switch {
	case r.sent:
		id ^= 1
	case !keep:
		id ^= 2
	}
	// What was read before says nothing new: a text counts most the first time.
	recent := &m.recent[id%uint64(len(m.recent))]
	if *recent == id || m.texts.has(id) {
		return
	}
	*recent = id
	if bytes.IndexByte(text, '.') > 0 {
		r.glued(text)
	}
	start := len(m.folded) // text within text is folded behind it
	m.folded = fold(m.folded, text)
	words := r.words(m.folded[start:], keep)
	m.folded = m.folded[:start]
	if words > 1 && m.texts.n < share(m.maxValues, neutral) {
		m.texts.add(id)
	}
}

// words reads the words of folded text and returns their number.
func (r *reader) words(folded []byte, keep bool) int {
	m := r.m
	l := newLexer(folded)
	first := m.places.n
	each := *r // reads the words
	each.dry = r.dry || !keep
	keep = keep && !r.sent
	var t token
	var whole, pending uint64 // hashes of all words, without and with the symbols behind
	var last uint64           // of the last word
	var before uint64         // the word before, if it is a solo
	words, joinedTo := 0, 0
	bound := said
	var recent window
	runs := r.sent && len(folded) <= maxRunText || r.wary()
	for l.next(&t) {
		if t.symbol && words == 0 {
			continue
		}
		h, e, limit := uint64(0), uint32(0), said
		if t.symbol {
			h = m.hash(t.text)
		} else {
			h, e, limit = each.word(&t)
			if t.at >= joinedTo {
				joinedTo = each.joined(folded, t.at)
			}
			if each.says() {
				each.phrase(folded, t.at)
			}
		}
		pair := h
		if t.solo && before != 0 {
			pair = mix(before, h)
		}
		if r.sent {
			m.sent.add(pair)
			if runs && !t.symbol && !t.solo {
				recent.push(t.text, -1, true)
				recent.runs(func(h head, _, words int) { m.spelled.add(recent.run(&m.spelled, h, words)) })
			}
		} else {
			sent := t.symbol
			if known := e != 0 && r.kind != said && pair == h; !known { // else it was not, or had got no entry
				sent = sent || m.sent.has(pair) || runs && e == 0 && !t.solo && !each.dry // an echo in another spelling
			}
			place := -1
			if keep {
				if keep = r.place(&t, h, e, first, sent, limit); keep {
					place = m.places.n - 1
				}
			}
			if runs && !t.symbol && !t.solo {
				recent.push(t.text, place, sent)
				recent.runs(func(h head, n, words int) {
					if recent.unsent > 0 && m.spelled.may(h, n) && m.spelled.pieces.has(recent.run(&m.spelled, h, words).finished()) {
						recent.sent(m, words)
					}
				})
			} else if !sent {
				recent.unsent++
			}
		}
		if t.brk && words > 0 {
			pending = mix(pending, 1)
		}
		pending = mix(pending, h)
		if !t.symbol {
			words, whole, last = words+1, pending, h
			bound = max(bound, limit)
		}
		if before = 0; t.solo {
			before = h
		}
	}
	if m.places.n > first {
		m.places.at(uint32(m.places.n - 1)).flags |= textEnd
	}
	if words < 2 {
		for m.places.n > first {
			m.drop()
		}
		if words == 1 && each.dry {
			r.note(last, nil, 0, bound)
		}
		return words
	}
	switch {
	case r.sent:
		m.sent.add(whole)
	case r.kind == said:
		r.credit(whole, said)
	case recent.unsent > 0 && !m.sent.has(whole):
		r.credit(whole, bound)
	}
	if !keep && !r.sent {
		m.longest = max(m.longest, words)
	}
	return words
}

// place keeps the place of a word, with its entry if it has one, of the text whose places start at first, and reports
// whether there was room. Sent says that the word was sent, or for a solo behind another
// that the two were.
func (r *reader) place(t *token, h uint64, e uint32, first int, sent bool, limit kind) bool {
	m := r.m
	if e == 0 {
		e = m.intern(h, r.kind)
	}
	if e == 0 {
		r.lose()
	}
	var flags placeFlags
	if r.kind != said {
		flags |= placeFlags(limit) << capShift
	}
	if t.solo {
		flags |= isSolo
	}
	if sent {
		flags |= wasSent
	}
	if last := m.places.n - 1; last >= first && t.brk {
		m.places.at(uint32(last)).flags |= breakAfter
	}
	if !m.put(e, r.source, r.kind, flags) {
		r.lose()
		return false
	}
	return true
}

// word reads a word and its parts. It returns its hash and entry and the kind that bounds
// what holds the word: that of the best place in which anything in it that was sent
// stood before.
func (r *reader) word(t *token) (h uint64, e uint32, bound kind) {
	f := &r.m.spelled
	cuts := f.cuts
	parts := t.has&(delim|slash|colon|at|percent|mark) != 0
	if parts {
		if x := r.m.recall(t.text, t.has); x.read(r) && f.spend(x.all) {
			return x.hash, x.entry, said
		}
		bound = r.parts(t.text, t.has)
	}
	if r.says() && t.has&(slash|sigil|digit|high|delim) != 0 {
		r.spoken(t.text, t.has)
	}
	if t.has&^(letter|high) == 0 && !r.wary() { // to recall it would take as long as to read it
		h = r.m.hash(t.text)
		e, bound = r.note(h, t.text, t.has, said)
		return h, e, bound
	}
	x := r.m.recall(t.text, t.has)
	e, limit := r.value(x, t.text, t.has, bound)
	if parts && bound == said && !r.says() {
		x.readParts(r, cuts-f.cuts)
	}
	return x.hash, e, max(bound, limit)
}

// canonical returns the hash of the form in which a folded word is compared.
func (m *Memory) canonical(word []byte, has class) uint64 {
	return m.hash(canon(m.number[:0], word, has))
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
	_, bound := r.value(r.m.recall(word, has), word, has, said)
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
		r.value(r.m.recall(host, classify(host)), host, 0, said)
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
			_, limit := r.value(r.m.recall(piece, classify(piece)), piece, at, said)
			bound = max(bound, limit)
		}
		if domain := piece[i+1:]; len(domain) > 0 {
			r.value(r.m.recall(domain, classify(domain)), domain, 0, said)
		}
	}
	return bound
}

// parts notes the parts of a word that are values too, and returns the bound that they
// set for the whole.
func (r *reader) parts(word []byte, has class) (bound kind) {
	if has&(slash|colon) != 0 {
		r.host(word)
	}
	if has&(at|percent) != 0 || isURL(word) {
		// What may be read in more ways than one counts against the whole, but
		// becomes a value only where nobody vouches for it.
		if r.kind == said && isURL(word) && !r.sent {
			return said
		}
		all := *r
		all.dry = r.dry || r.vouched()
		bound = all.address(word, has)
		if has&percent != 0 {
			bound = max(bound, all.decoded(word))
		}
		if isURL(word) {
			return max(bound, all.split(word, has))
		}
	}
	if bytes.HasSuffix(word, []byte("'s")) {
		r.part(word[:len(word)-2])
	}
	if c := classes[word[0]] | classes[word[len(word)-1]]; c&mark != 0 {
		bound = max(bound, r.part(bytes.Trim(word, "*_~`")))
	}
	if has&delim != 0 && !numeric(word, has) {
		bound = max(bound, r.split(word, has))
	}
	return bound
}

// split notes the parts of a word between delimiters.
func (r *reader) split(word []byte, has class) (bound kind) {
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
		if rest := word[start:]; isURL(rest) { // [page](https://x.example/?a=b): = and ? are its own
			if end := bytes.IndexAny(rest, "()[]{}<>|\"'`"); end >= 0 {
				rest = rest[:end]
			}
			bound = max(bound, r.part(rest))
		}
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
	return len(word) >= len("http://") && word[0] == 'h' && string(word[:4]) == "http" &&
		(string(word[4:7]) == "://" || len(word) >= len("https://") && string(word[4:8]) == "s://")
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
	folded := m.folded[start:]
	l := newLexer(folded)
	joinedTo := 0
	for t := (token{}); l.next(&t); {
		if t.symbol {
			continue
		}
		_, _, b := r.word(&t)
		bound = max(bound, b)
		if t.at >= joinedTo {
			joinedTo = r.joined(folded, t.at)
		}
	}
	m.folded = m.folded[:start]
	return bound
}

// glued reads the words on both sides of a full stop that lacks its space, as in
// "see www.example.com.They are".
func (r *reader) glued(text []byte) {
	isGlue := func(i int) bool {
		return text[i] == '.' && i > 0 && i+2 < len(text) &&
			isLower(text[i-1]) && 'A' <= text[i+1] && text[i+1] <= 'Z' && isLower(text[i+2])
	}
	read := 0
	for i := 0; ; {
		next := bytes.IndexByte(text[i:], '.')
		if next < 0 {
			return
		}
		if i += next; !isGlue(i) {
			i++
			continue
		}
		start, end := i, i+1
		for start > read && text[start-1] > ' ' {
			start--
		}
		for end < len(text) && text[end] > ' ' && !isGlue(end) {
			end++
		}
		r.loose(text[start:i])
		r.loose(text[i+1 : end])
		i, read = end, end
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
	if classes[rest[0]]&digit == 0 && rest[0] != '+' {
		if !startsIBAN(rest) {
			return end
		}
	} else if !groupsDigits(rest) {
		return end
	}
	found := func(joined []byte, length int) {
		r.value(r.m.recall(joined, classify(joined)), joined, digit, said)
		end = at + length
	}
	switch {
	case classes[rest[0]]&letter != 0:
		r.m.joinIBAN(rest, found)
	default:
		if at > 0 && text[at-1] == '(' {
			rest, at = text[at-1:], at-1
		}
		r.m.joinDigits(rest, found)
	}
	return end
}
