package secrets

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
)

// filter finds anchors in a text.
//
// Every second position of a text is looked at: the four bytes there, a gram,
// with bit 5 of each set so that letters of both cases are the same, are looked up
// in a small set. Of each anchor the set holds all grams that can be at an even and at
// an odd offset; which offset is free to choose, so the rarest is. Nearly all of
// a clean text is passed over that way, and no look-up waits for the one before.
type filter struct {
	grams   *[1 << setBits]uint64 // Bloom filter of grams, both bits of one in one word
	lists   []uint32              // entries[lists[h]:lists[h+1]], by the hash's first listBits
	entries []entry
	anchors []anchor
}

// entry says that a gram, of whose hash there is a part, is at an offset in an anchor.
type entry struct {
	anchor uint16
	offset int8
	check  uint8
}

func check(h uint64) uint8 { return uint8(h >> 31) }

const (
	setBits  = 13
	listBits = 14
	// maxGrams bounds how many grams one stretch of an anchor can be.
	maxGrams = 1 << 13
	foldGram = 0x20202020
	gramSize = 4
)

func gramHash(g uint32) uint64 { return uint64(g|foldGram) * 0x9E3779B97F4A7C15 }

// A gram with hash h is in the set if two bits of a word are set; word and bits
// are chosen by separate parts of the hash.
func word(h uint64) uint64   { return h >> (64 - setBits) }
func first(h uint64) uint64  { return 1 << (h >> 45 & 63) }
func second(h uint64) uint64 { return 1 << (h >> 39 & 63) }

// frequency estimates how often a byte, folded, is met in a thousand of ordinary JSON.
var frequency = func() (f [256]float64) {
	for i := range f {
		f[i] = 0.3
		if i >= 128 {
			f[i] = 0.05
		}
	}
	for b, n := range map[byte]float64{
		' ': 130, 'e': 90, 't': 70, 'a': 60, 'i': 58, 'o': 58, 'n': 55, 's': 55, 'r': 52, 'l': 36, 'd': 34, 'h': 32,
		'c': 32, 'u': 25, 'p': 23, 'm': 22, '"': 45, ',': 14, ':': 14, 'f': 18, 'g': 17, 'y': 15, 'w': 12, 'b': 13, 'v': 9,
		'k': 6, '.': 9, '-': 6, '/': 6, 0x7f: 6, '0': 9, '1': 9, '2': 8, '3': 6, '4': 6, '5': 6, '6': 6, '7': 6, '8': 6, '9': 6,
		'x': 3, '{': 5, '}': 5, '*': 4, '=': 2, 'q': 1.5, 'j': 2, 'z': 1.5,
	} {
		f[b] = n
	}
	return f
}()

// folded is the bytes of a set with bit 5 set, and how often one of them is met.
type folded struct {
	bytes     []byte
	frequency float64
}

func fold(s *set) (f folded) {
	for b := range 256 {
		if b&0x20 != 0 && (s.has(byte(b)) || s.has(byte(b&^0x20))) {
			f.bytes = append(f.bytes, byte(b))
			f.frequency += frequency[b] / 1000
		}
	}
	return f
}

// placer places anchors. Most of them are of the same few sets.
type placer map[set]folded

func (p placer) fold(s *set) folded {
	f, ok := p[*s]
	if !ok {
		f = fold(s)
		p[*s] = f
	}
	return f
}

// place chooses the offset, of the given parity, at which grams of an anchor
// are looked for: it returns the grams and how often one of them is met. A short
// anchor's grams reach beyond it, at most one byte to the left, where there always
// is one: an anchor at the first position has the other parity.
func (p placer) place(sets []set, parity int) (offset int, grams []uint32, cost float64) {
	cost = math.Inf(1)
	var best [gramSize][]byte
	var all [1 + maxAnchor + gramSize - 1]folded
	for k := range all {
		if 1 <= k && k <= len(sets) {
			all[k] = p.fold(&sets[k-1])
		} else {
			all[k] = p.fold(&allBytes)
		}
	}
	for o := -parity; o < len(sets); o += 2 {
		n, c := 1, 1.0
		for _, f := range all[o+1 : o+1+gramSize] {
			n *= len(f.bytes)
			c *= f.frequency
		}
		// Each gram in the set also makes false hits.
		if c += float64(n) / (256 << setBits); n <= maxGrams && c < cost {
			offset, cost = o, c
			for k := range best {
				best[k] = all[o+1+k].bytes
			}
		}
	}
	grams = []uint32{0}
	for k, bytes := range best {
		var longer []uint32
		for _, g := range grams {
			for _, b := range bytes {
				longer = append(longer, g|uint32(b)<<(8*k))
			}
		}
		grams = longer
	}
	return offset, grams, cost
}

// price estimates in how many of a text's places anchors make work; an anchor
// that cannot be looked for has an infinite price.
func (p placer) price(drafts []draft) float64 {
	if len(drafts) == 0 {
		return math.Inf(1)
	}
	sum := 0.0
	for _, d := range drafts {
		for parity := range 2 {
			_, _, c := p.place(d.sets, parity)
			sum += c
		}
	}
	return sum
}

// pack moves the sets of the anchors next to each other, without the room that they grew in.
func pack(anchors []anchor) {
	n := 0
	for _, a := range anchors {
		n += len(a.sets)
	}
	all := make([]set, 0, n)
	for i := range anchors {
		from := len(all)
		all = append(all, anchors[i].sets...)
		anchors[i].sets = all[from:len(all):len(all)]
	}
}

func newFilter(anchors []anchor, p placer) *filter {
	f := &filter{grams: new([1 << setBits]uint64), anchors: anchors, lists: make([]uint32, 1<<listBits+1)}
	byHash := map[uint64][]entry{}
	for i := range anchors {
		for parity := range 2 {
			offset, grams, _ := p.place(anchors[i].sets, parity)
			for _, g := range grams {
				h := gramHash(g)
				f.grams[word(h)] |= first(h) | second(h)
				list, e := h>>(64-listBits), entry{uint16(i), int8(offset), check(h)}
				if !slices.Contains(byHash[list], e) {
					byHash[list] = append(byHash[list], e)
				}
			}
		}
	}
	at := uint64(0)
	for _, list := range slices.Sorted(maps.Keys(byHash)) {
		for ; at <= list; at++ {
			f.lists[at] = uint32(len(f.entries))
		}
		f.entries = append(f.entries, byHash[list]...)
	}
	for ; int(at) < len(f.lists); at++ {
		f.lists[at] = uint32(len(f.entries))
	}
	f.entries = slices.Clip(slices.Clone(f.entries))
	pack(anchors)
	return f
}

// next returns the first even position from i on, up to end, whose gram is in
// the set, and the gram's hash, or -1.
func (f *filter) next(text []byte, i, end int) (int, uint64) {
	set := f.grams
	// Four at a time: their look-ups do not depend on each other. The first bit
	// settles nearly all; the second spares most of the rest a way out.
	for ; i+10 <= end; i += 8 {
		x := binary.LittleEndian.Uint64(text[i : i+10])
		h := gramHash(uint32(x))
		if w := set[word(h)]; w&first(h) != 0 && w&second(h) != 0 {
			return i, h
		}
		h = gramHash(uint32(x >> 16))
		if w := set[word(h)]; w&first(h) != 0 && w&second(h) != 0 {
			return i + 2, h
		}
		h = gramHash(uint32(x >> 32))
		if w := set[word(h)]; w&first(h) != 0 && w&second(h) != 0 {
			return i + 4, h
		}
		h = gramHash(binary.LittleEndian.Uint32(text[i+6 : i+10]))
		if w := set[word(h)]; w&first(h) != 0 && w&second(h) != 0 {
			return i + 6, h
		}
	}
	for ; i < end; i += 2 {
		var g uint32
		for k, b := range text[i:min(len(text), i+gramSize)] {
			g |= uint32(b) << (8 * k)
		}
		h := gramHash(g)
		if w := set[word(h)]; w&first(h) != 0 && w&second(h) != 0 {
			return i, h
		}
	}
	return -1, 0
}

// at reports whether anchor a begins at text[i]; i is -1 if what leads is the
// text's beginning.
func (a *anchor) at(text []byte, i int) bool {
	if i < 0 && !(a.lead && i == -1) || i+len(a.sets) > len(text) {
		return false
	}
	for k := range a.sets {
		if i+k >= 0 && !a.sets[k].has(text[i+k]) {
			return false
		}
	}
	return true
}
