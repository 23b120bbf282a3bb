package provenance

import (
	"bytes"
	"html"
	"strconv"
	"unicode/utf8"
)

// A tool may give back what it was sent in another spelling, as a part of a longer word, or
// put together from several arguments. So of what is sent, skeletons are noted too: the
// letters and digits of words and of a few words that follow each other. A word of a result
// is an echo if its skeleton was sent, or can be cut into skeletons that were, or lies within
// one. Only results that would make a value better are looked at in this way.

const (
	maxSkeleton = 128     // letters and digits that are looked at
	minPiece    = 3       // letters and digits of the shortest skeleton
	gramSize    = 6       // of the pieces by which a skeleton is found in a longer one
	maxRun      = 4       // words that follow each other
	maxRunText  = 512     // bytes of a text up to which runs of its words are noted
	maxCuts     = 1 << 20 // lookups in one observation
)

// A sentFilter holds skeletons of what was sent.
type sentFilter struct {
	base   uint64                  // of the hashes, which are polynomials
	power  [maxSkeleton + 1]uint64 // of base
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

func (f *sentFilter) bytes() int { return f.pieces.bytes() + f.grams.bytes() }

// A skeleton is the letters and digits of a word, as the hashes of its beginnings.
type skeleton struct {
	begin [maxSkeleton + 1]uint64
	n     int
}

// read reads a word up to the length of a skeleton and returns what is left.
func (s *skeleton) read(f *sentFilter, word []byte) (rest []byte) {
	s.n = 0
	h := uint64(0)
	for i, c := range word {
		if classes[c]&(letter|digit) == 0 || c == '0' && h == 0 { // 007 is 7 in some tools
			continue
		}
		if s.n == maxSkeleton {
			return word[i:]
		}
		h = h*f.base + uint64(c) + 1
		s.n++
		s.begin[s.n] = h
	}
	return nil
}

// part returns the hash of the part from i to j.
func (s *skeleton) part(f *sentFilter, i, j int) uint64 {
	return finish(s.begin[j]-s.begin[i]*f.power[j-i], j-i)
}

// finish spreads the bits of a polynomial.
func finish(h uint64, n int) uint64 { return mix(h, uint64(n)) }

// note notes a word that was sent.
func (f *sentFilter) note(word []byte, has class) {
	s := &f.scratch
	rest := s.read(f, word)
	if rest == nil && s.n >= minPiece {
		f.pieces.add(s.part(f, 0, s.n))
	}
	if !strong(word, has) {
		return
	}
	if plus, at := bytes.IndexByte(word, '+'), bytes.LastIndexByte(word, '@'); 0 < plus && plus < at { // bob+news@ is bob@
		f.note(append(bytes.Clone(word[:plus]), word[at:]...), has)
		rest = s.read(f, word)
	}
	for {
		for i := 0; i+gramSize <= s.n; i++ {
			f.grams.add(s.part(f, i, i+gramSize))
		}
		if rest == nil {
			return
		}
		word = word[max(len(word)-len(rest)-2*gramSize, 1):] // so that no piece is lost between
		rest = s.read(f, word)
	}
}

// echo reports whether a word of a result is what was sent, in another spelling or put
// together.
func (f *sentFilter) echo(word []byte) bool {
	if f.pieces.count == 0 {
		return false
	}
	s := &f.scratch
	s.read(f, word)
	if s.n < minPiece {
		return false
	}
	if f.pieces.has(s.part(f, 0, s.n)) {
		return true
	}
	has := classify(word)
	return strong(word, has) && (f.cut(s) || f.within(s) && leads(word, has))
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
		for j := i + minPiece; j <= s.n; j++ {
			if !reached[j] {
				reached[j] = f.pieces.has(s.part(f, i, j))
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
		if !f.grams.has(s.part(f, i, i+gramSize)) {
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
	hash  uint64 // of its skeleton
	n     int    // letters and digits in it
	place int    // index, or -1
	sent  bool
}

// A window is the last words of a text.
type window struct {
	words  [maxRun]recentWord
	n      int
	unsent int // words so far that were not sent
}

// push adds a word to the window.
func (w *window) push(f *sentFilter, word []byte, place int, sent bool) {
	copy(w.words[1:], w.words[:maxRun-1])
	h, n := uint64(0), 0
	for _, c := range word {
		if classes[c]&(letter|digit) != 0 {
			h = h*f.base + uint64(c) + 1
			n++
		}
	}
	w.words[0] = recentWord{h, n, place, sent}
	w.n = min(w.n+1, maxRun)
	if !sent {
		w.unsent++
	}
}

// runs calls each with the hashes of the runs of several words that end with the last one,
// and their lengths in words.
func (w *window) runs(f *sentFilter, each func(hash uint64, words int)) {
	h, n := uint64(0), 0
	for i := range w.n {
		v := &w.words[i]
		if n+v.n > maxSkeleton {
			return
		}
		h, n = v.hash*f.power[n]+h, n+v.n
		if i > 0 && n >= minPiece {
			each(finish(h, n), i+1)
		}
	}
}

// sent marks the last words as sent.
func (w *window) sent(m *Memory, words int) {
	for i := range words {
		v := &w.words[i]
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
