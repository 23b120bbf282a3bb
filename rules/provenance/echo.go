package provenance

import (
	"bytes"
	"html"
	"math/bits"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// A tool may give back what it was sent in another spelling, as a part of a longer word, or
// put together from several arguments. So of what is sent, skeletons are noted too: the
// letters and digits of words and of a few words that follow each other. A word of a result
// is an echo if its skeleton was sent, or can be cut into skeletons that were, or lies within
// one. Only results that would make a value better are looked at in this way.

const (
	maxSkeleton = 128     // letters and digits that are looked at
	minPiece    = 3       // letters and digits of the shortest skeleton
	startBits   = 12      // of the table by how skeletons start
	gramSize    = 6       // of the pieces by which a skeleton is found in a longer one
	maxRun      = 4       // words that follow each other
	maxRunText  = 512     // bytes of a text up to which runs of its words are noted
	maxCuts     = 1 << 20 // lookups in one observation
)

// A sentFilter holds skeletons of what was sent.
type sentFilter struct {
	base   uint64                  // of the hashes, which are polynomials
	power  [maxSkeleton + 1]uint64 // of base
	starts *[1 << startBits]uint32 // by the first letters of pieces, the lengths of these as bits
	pieces filter
	grams  filter // of words that lead somewhere

	scratch skeleton
	cuts    int // that the current observation may still look up
}

func (f *sentFilter) init(seed uint64) {
	f.base = seed | 1
	f.power[0] = 1
	for i := range maxSkeleton {
		f.power[i+1] = f.power[i] * f.base
	}
}

func (f *sentFilter) bytes() int {
	n := f.pieces.bytes() + f.grams.bytes()
	if f.starts != nil {
		n += int(unsafe.Sizeof(*f.starts))
	}
	return n
}

// A piece is a skeleton that is noted or looked up as one.
type piece struct {
	hash uint64 // a polynomial
	head head
	n    int // letters and digits
}

// A head is the first minPiece letters and digits of a skeleton.
type head uint32

// then returns the head of two skeletons, the first of which has h and n letters and digits.
func (h head) then(n int, next head) head {
	if n >= minPiece {
		return h
	}
	return h | next>>(8*n)
}

// with returns the head with a letter or digit in a place.
func (h head) with(place int, c byte) head { return h | head(c)<<(8*(minPiece-1-place)) }

// lengths returns the lengths, less minPiece, of the pieces with a head as bits, of which
// the last stands for all from there on. Most skeletons are known not to have been sent by
// this alone.
func (f *sentFilter) lengths(h head) *uint32 {
	return &f.starts[uint64(h)*f.base>>(64-startBits)]
}

const lastLength = 31

func (f *sentFilter) add(p piece) {
	if f.starts == nil {
		f.starts = new([1 << startBits]uint32)
	}
	*f.lengths(p.head) |= 1 << min(p.n-minPiece, lastLength)
	f.pieces.add(p.finished())
}

// may reports whether a piece with this head and length may have been sent. Some must have
// been.
func (f *sentFilter) may(h head, n int) bool {
	return *f.lengths(h)>>min(n-minPiece, lastLength)&1 != 0
}

// finished spreads the bits of the polynomial.
func (p piece) finished() uint64 { return mix(p.hash, uint64(p.n)) }

// A skeleton is the letters and digits of a word, with the hashes of its beginnings where
// these are needed.
type skeleton struct {
	text   [maxSkeleton]byte
	n      int
	has    class // of the word
	begin  [maxSkeleton + 1]uint64
	hashed bool
}

// read reads a word up to the length of a skeleton and returns what is left.
func (s *skeleton) read(word []byte) (rest []byte) {
	s.n, s.has, s.hashed = 0, 0, false
	for i, c := range word {
		k := classes[c]
		s.has |= k
		if k&(letter|digit) == 0 || c == '0' && s.n == 0 { // 007 is 7 in some tools
			continue
		}
		if s.n == maxSkeleton {
			s.has |= classify(word[i:])
			return word[i:]
		}
		s.text[s.n] = c
		s.n++
	}
	return nil
}

// part returns the part from i to j.
func (s *skeleton) part(f *sentFilter, i, j int) piece {
	if !s.hashed {
		s.hashed = true
		for i, c := range s.text[:s.n] {
			s.begin[i+1] = s.begin[i]*f.base + uint64(c) + 1
		}
	}
	return piece{s.begin[j] - s.begin[i]*f.power[j-i], s.head(i), j - i}
}

// head returns the head of what starts at i.
func (s *skeleton) head(i int) head {
	return head(s.text[i])<<16 | head(s.text[i+1])<<8 | head(s.text[i+2])
}

// note notes a word that was sent.
func (f *sentFilter) note(word []byte, has class) {
	s := &f.scratch
	rest := s.read(word)
	if rest == nil && s.n >= minPiece {
		f.add(s.part(f, 0, s.n))
	}
	if !strong(word, has) {
		return
	}
	if plus, at := bytes.IndexByte(word, '+'), bytes.LastIndexByte(word, '@'); 0 < plus && plus < at { // bob+news@ is bob@
		f.note(append(bytes.Clone(word[:plus]), word[at:]...), has)
		rest = s.read(word)
	}
	for {
		for i := 0; i+gramSize <= s.n; i++ {
			f.grams.add(s.part(f, i, i+gramSize).finished())
		}
		if rest == nil {
			return
		}
		word = word[max(len(word)-len(rest)-2*gramSize, 1):] // so that no piece is lost between
		rest = s.read(word)
	}
}

// echo reports whether a word of a result is what was sent, in another spelling or put
// together.
func (f *sentFilter) echo(word []byte) bool {
	if f.pieces.count == 0 {
		return false
	}
	s := &f.scratch
	s.read(word)
	if s.n < minPiece {
		return false
	}
	if f.may(s.head(0), s.n) && f.pieces.has(s.part(f, 0, s.n).finished()) {
		return true
	}
	return strong(word, s.has) && (f.cut(s) || f.within(s) && leads(word, s.has))
}

// cut reports whether a skeleton consists of such that were sent, or the work that one
// observation may take for this is done.
func (f *sentFilter) cut(s *skeleton) bool {
	var reached [maxSkeleton + 1]bool
	reached[0] = true
	for i := 0; i+minPiece <= s.n; i++ {
		if !reached[i] {
			continue
		}
		lengths := *f.lengths(s.head(i))
		if lengths == 0 {
			continue
		}
		for most := s.n - i - minPiece; lengths != 0; lengths &= lengths - 1 {
			length := bits.TrailingZeros32(lengths)
			last := length
			if length == lastLength {
				last = most
			}
			for ; length <= min(last, most); length++ {
				if j := i + minPiece + length; !reached[j] {
					reached[j] = f.pieces.has(s.part(f, i, j).finished())
				}
			}
		}
		if f.cuts -= s.n - i; f.cuts < 0 {
			return true
		}
		if reached[s.n] {
			return true
		}
	}
	return false
}

// within reports whether a skeleton seems to lie in a longer one that was sent.
func (f *sentFilter) within(s *skeleton) bool {
	for i := 0; i+gramSize <= s.n; i++ {
		if !f.grams.has(s.part(f, i, i+gramSize).finished()) {
			return false
		}
	}
	return s.n > gramSize
}

// leads reports whether a word is a destination by itself: an address, a number, or a host, but
// not a name in a path, which is often listed after the path was used.
func leads(word []byte, has class) bool {
	return has&slash == 0 && (has&at != 0 || has&(dot|letter) != dot|letter || hostName(word))
}

// A recentWord is one of the last words of a text that is read.
type recentWord struct {
	text   []byte
	head   head // of its skeleton
	n      int  // letters and digits in it
	hash   uint64
	hashed bool
	place  int // index, or -1
	sent   bool
}

// A window is the last words of a text.
type window struct {
	words  [maxRun]recentWord // the newest at n-1, modulo maxRun
	n      int
	unsent int // words so far that were not sent
}

// last returns the word before so many others.
func (w *window) last(others int) *recentWord { return &w.words[(w.n-1-others)%maxRun] }

// push adds a word to the window.
func (w *window) push(word []byte, place int, sent bool) {
	w.n++
	v := w.last(0)
	*v = recentWord{text: word, place: place, sent: sent}
	for _, c := range word {
		if classes[c]&(letter|digit) != 0 {
			if v.n < minPiece {
				v.head = v.head.with(v.n, c)
			}
			v.n++
		}
	}
	if !sent {
		w.unsent++
	}
}

// runs calls each with the head and length of the runs of several words that end with the
// last one, and their lengths in words.
func (w *window) runs(each func(h head, n, words int)) {
	n, h := 0, head(0)
	for i := range min(w.n, maxRun) {
		v := w.last(i)
		if n+v.n > maxSkeleton {
			return
		}
		n, h = n+v.n, v.head.then(v.n, h)
		if i > 0 && n >= minPiece {
			each(h, n, i+1)
		}
	}
}

// run returns the last words as one piece.
func (w *window) run(f *sentFilter, h head, words int) piece {
	run := piece{head: h}
	for i := range words {
		v := w.last(i)
		if !v.hashed {
			v.hashed = true
			for _, c := range v.text {
				if classes[c]&(letter|digit) != 0 {
					v.hash = v.hash*f.base + uint64(c) + 1
				}
			}
		}
		run.hash += v.hash * f.power[run.n]
		run.n += v.n
	}
	return run
}

// sent marks the last words as sent.
func (w *window) sent(m *Memory, words int) {
	for i := range words {
		v := w.last(i)
		if v.sent {
			continue
		}
		v.sent = true
		w.unsent--
		if v.place >= 0 {
			m.places.at(uint32(v.place)).flags |= wasSent
		}
	}
}

// unescaped returns what a text says without HTML entities and the escapes of programming
// languages, or nil if it has none.
func unescaped(text []byte) []byte {
	entities := bytes.IndexByte(text, '&') >= 0 && bytes.IndexByte(text, ';') >= 0
	if !entities && bytes.IndexByte(text, '\\') < 0 {
		return nil
	}
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[i+1]]
			if end := i + 2 + digits; digits > 0 && end <= len(text) {
				if c, err := strconv.ParseUint(string(text[i+2:end]), 16, 32); err == nil {
					plain = utf8.AppendRune(plain, rune(c))
					i = end - 1
					continue
				}
			}
		}
		plain = append(plain, text[i])
	}
	if entities {
		plain = []byte(html.UnescapeString(string(plain)))
	}
	if bytes.Equal(plain, text) {
		return nil
	}
	return plain
}
