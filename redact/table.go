package redact

import (
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// table finds any of many patterns in a text. It is immutable.
//
// Only every stride-th position of a text is looked at: the four bytes there, a
// gram, are looked up in a small set. For each pattern the set holds the grams
// at stride neighbouring offsets, so wherever a pattern lies, one of its grams
// lies on a position that is looked at. Nearly all of a clean text is passed over
// that way, and no look-up waits for the one before. Which stretch of a pattern
// the grams come from is free to choose, so the rarest is.
type table struct {
	patterns []pattern
	secrets  []int    // index in masks, by pattern
	masks    []string // by secret

	stride  int
	grams   *[1 << setBits]uint64 // set of hashed grams, a bit for each
	slots   []slot                // hash table of grams, open addressing, power of two
	entries []entry

	// fragile says that undoing line breaks, by unwrap, may hide a secret.
	fragile bool

	skeletons *table // finds the same secrets in what squeeze makes of a text; nil if none has a skeleton
}

// slot holds the entries of one gram: entries[first : first+n].
type slot struct {
	gram     uint32
	first, n uint32
}

// entry says that a gram is at offset in a pattern.
type entry struct {
	pattern, offset uint32
}

const (
	gramSize  = 4
	maxStride = 8
	// coreSize is how many bytes of a pattern, from the first gram on, make a
	// text suspect. It bounds what neighbouring chunks of a text must share.
	coreSize = 32
)

// setBits makes a set that the processor's cache holds, and in which the grams of some tens of
// values are one bit in fifty or less.
const setBits = 13

func hash(gram uint32) uint64 { return uint64(gram) * 0x9E3779B97F4A7C15 }

// in returns in bit 0 whether a hash is in a set of grams.
func in(set *[1 << setBits]uint64, hash uint64) uint64 {
	return set[hash>>(64-setBits)] >> (hash >> (64 - setBits - 6) & 63)
}

// newTable returns the table for the values that are known now.
func newTable(values map[string]*known) *table {
	t, skeletons := &table{}, &table{}
	seen, seenSkeletons := map[string]bool{}, map[string]bool{}
	order := slices.Sorted(maps.Keys(values))
	for i, value := range order {
		t.add(i, values[value].patterns, seen)
		skeletons.add(i, values[value].skeletons, seenSkeletons)
	}
	if len(t.patterns) == 0 {
		return t
	}
	if len(skeletons.patterns) > 0 {
		skeletons.index()
		t.skeletons = skeletons
	}
	masks := map[string]string{}
	for _, value := range order {
		source, _, _ := strings.Cut(values[value].names[0], ":")
		if masks[source] == "" {
			masks[source] = t.mask(source)
		}
		t.masks = append(t.masks, masks[source])
	}
	t.index()
	return t
}

// add adds the patterns of a secret, but for those that were seen.
func (t *table) add(secret int, patterns []pattern, seen map[string]bool) {
	for _, p := range patterns {
		if !seen[p.text] {
			seen[p.text] = true
			t.patterns = append(t.patterns, p)
			t.secrets = append(t.secrets, secret)
		}
	}
}

// mask returns the text that stands for secrets from source. It needs no escaping
// at any depth, and holds no secret itself.
func (t *table) mask(source string) string {
	plain := source != "" && len(source) <= 32 && strings.Trim(source, base64Alphabet) == "" &&
		!strings.ContainsAny(source, "+/")
	candidates := []string{"[redacted]", "[masked]"}
	if plain {
		candidates = slices.Insert(candidates, 0, "[redacted:"+source+"]")
	}
	for _, c := range candidates {
		if !t.holds(c) && (t.skeletons == nil || !t.skeletons.holds(skeleton(c))) {
			return c
		}
	}
	return "****" // shorter than any pattern
}

// holds reports whether a pattern is in s.
func (t *table) holds(s string) bool {
	return slices.ContainsFunc(t.patterns, func(p pattern) bool { return strings.Contains(s, p.text) })
}

// index fills everything that is derived from the patterns.
func (t *table) index() {
	shortest := len(t.patterns[0].text)
	for _, p := range t.patterns {
		shortest = min(shortest, len(p.text))
		t.fragile = t.fragile || t.isFragile(p.text)
	}
	t.stride = min(shortest-gramSize+1, maxStride)

	byGram := map[uint32][]entry{}
	for i, p := range t.patterns {
		start := t.rarest(p.text)
		for off := start; off < start+t.stride; off++ {
			g := gramAt(p.text, off)
			byGram[g] = append(byGram[g], entry{uint32(i), uint32(off)})
		}
	}

	t.grams = new([1 << setBits]uint64)
	t.slots = make([]slot, 1<<bits.Len(uint(2*len(byGram))))
	for g, list := range byGram {
		h := hash(g)
		t.grams[h>>(64-setBits)] |= 1 << (h >> (64 - setBits - 6) & 63)
		at := t.slotOf(g)
		t.slots[at] = slot{gram: g, first: uint32(len(t.entries)), n: uint32(len(list))}
		t.entries = append(t.entries, list...)
	}
}

// isFragile reports whether a pattern can be in a text whose line breaks were
// taken out by unwrap, and not be found there: one that has line breaks and is
// too short without them to be a pattern, or one whose spaces line breaks may
// replace and that holds no other pattern which has none.
func (t *table) isFragile(s string) bool {
	if len(joinLines(s)) < minLength {
		return true
	}
	return strings.Contains(s, " ") && !slices.ContainsFunc(t.patterns, func(p pattern) bool {
		return !strings.ContainsAny(p.text, " \n") && strings.Contains(s, p.text)
	})
}

// rarest returns the offset of the stretch of grams in s that is least likely to
// be met in other text, by a guess: letters are common, most of all lower-case
// ones; digits, a change of kind and other bytes are not.
func (t *table) rarest(s string) int {
	cost := func(off int) int {
		n := 0
		for i := off; i < off+gramSize; i++ {
			switch c := s[i]; {
			case 'a' <= c && c <= 'z', c == ' ':
				n += 3
			case 'A' <= c && c <= 'Z', c == '_', c == '-', c == '/', c == '.':
				n += 2
			case '0' <= c && c <= '9':
				n++
			}
			if i > off && kind(s[i]) != kind(s[i-1]) {
				n--
			}
		}
		return n
	}
	sum := 0
	for off := range t.stride {
		sum += cost(off)
	}
	best, least := 0, sum
	for off := 1; off+t.stride+gramSize-1 <= len(s); off++ {
		sum += cost(off+t.stride-1) - cost(off-1)
		if sum < least {
			best, least = off, sum
		}
	}
	return best
}

func kind(c byte) int {
	switch {
	case 'a' <= c && c <= 'z':
		return 0
	case 'A' <= c && c <= 'Z':
		return 1
	case '0' <= c && c <= '9':
		return 2
	}
	return 3
}

func gramAt(s string, i int) uint32 {
	return uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
}

// slotOf returns the index of gram's slot, or of the free one where it would be.
func (t *table) slotOf(gram uint32) uint32 {
	mask := uint32(len(t.slots) - 1)
	at := uint32(hash(gram)>>7) & mask
	for t.slots[at].n != 0 && t.slots[at].gram != gram {
		at = (at + 1) & mask
	}
	return at
}

// sample returns the first position from i on, in steps of the stride, whose
// gram is in the set, or -1.
func (t *table) sample(text []byte, i int) int {
	stride, set := t.stride, t.grams
	for {
		// Four at a time: their look-ups do not depend on each other.
		for ; i+3*stride+gramSize <= len(text); i += 4 * stride {
			a := hash(binary.LittleEndian.Uint32(text[i:]))
			b := hash(binary.LittleEndian.Uint32(text[i+stride:]))
			c := hash(binary.LittleEndian.Uint32(text[i+2*stride:]))
			d := hash(binary.LittleEndian.Uint32(text[i+3*stride:]))
			if (in(set, a)|in(set, b)|in(set, c)|in(set, d))&1 != 0 {
				break
			}
		}
		for range 4 {
			if i+gramSize > len(text) {
				return -1
			}
			if in(set, hash(binary.LittleEndian.Uint32(text[i:])))&1 != 0 {
				return i
			}
			i += stride
		}
	}
}

// any reports whether the core of a pattern is in text.
func (t *table) any(text []byte) bool {
	for i := t.sample(text, 0); i >= 0; i = t.sample(text, i+t.stride) {
		s := t.slots[t.slotOf(binary.LittleEndian.Uint32(text[i:]))]
		for _, e := range t.entries[s.first : s.first+s.n] {
			p := t.patterns[e.pattern].text
			// The core is centred on the gram as far as the pattern allows.
			from := max(0, int(e.offset)-coreSize/2)
			core := p[from:min(len(p), from+coreSize)]
			start := i - int(e.offset) + from
			if start >= 0 && start+len(core) <= len(text) && string(text[start:start+len(core)]) == core {
				return true
			}
		}
	}
	return false
}

// find is an appearance of a pattern at text[start:end].
type find struct {
	start, end int
	secret     int
}

// all appends every appearance of a pattern in text to finds.
func (t *table) all(finds []find, text []byte) []find {
	first := len(finds)
	for i := t.sample(text, 0); i >= 0; i = t.sample(text, i+t.stride) {
		s := t.slots[t.slotOf(binary.LittleEndian.Uint32(text[i:]))]
		for _, e := range t.entries[s.first : s.first+s.n] {
			p := &t.patterns[e.pattern]
			start := i - int(e.offset)
			end := start + len(p.text)
			if start < 0 || end > len(text) || string(text[start:end]) != p.text {
				continue
			}
			if p.before && start > 0 && inBase64(text[start-1]) {
				start--
			}
			if p.after {
				if end < len(text) && inBase64(text[end]) {
					end++
				}
				for end < len(text) && text[end] == '=' {
					end++
				}
			}
			// One find for a run of overlapping ones: of a secret such as 00000000
			// in a long row of zeros there would be one at every byte.
			secret := t.secrets[e.pattern]
			if n := len(finds); n > first && finds[n-1].secret == secret && start < finds[n-1].end && finds[n-1].start < end {
				finds[n-1].start = min(finds[n-1].start, start)
				finds[n-1].end = max(finds[n-1].end, end)
				continue
			}
			finds = append(finds, find{start, end, secret})
		}
	}
	return finds
}

func inBase64(c byte) bool {
	return kind(c) != 3 || c == '+' || c == '/' || c == '-' || c == '_'
}
