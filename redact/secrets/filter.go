package secrets

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
)

// filter finds anchors in a text.
//
// Every second position of a text is looked at: the three bytes there, a gram,
// with bit 5 of each set so that letters of both cases are the same, are looked up
// in a small set. Of each anchor the set holds all grams that can be at an even and at
// an odd offset; which offset is free to choose, so the rarest is. Nearly all of
// a clean text is passed over that way, and no look-up waits for the one before.
type filter struct {
	grams   *[1 << setBits]uint8 // set of hashed grams, eight bits for each upper part of a hash
	lists   []uint32             // entries[lists[h]:lists[h+1]], by the hash's first listBits
	entries []entry
	anchors []anchor
}

// entry says that a gram is at an offset in an anchor.
type entry struct {
	anchor uint16
	offset uint8
}

const (
	setBits  = 15
	listBits = 14
	// maxGrams bounds how many grams one stretch of an anchor can be.
	maxGrams = 1 << 13
	foldGram = 0x20202000
)

// gramHash hashes the lower three bytes of g<<8.
func gramHash(g uint32) uint32 { return (g | foldGram) * 0x9E3779B1 }

func bit(h uint32) uint8 { return 1 << (h >> (32 - setBits - 3) & 7) }

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
// are looked for: it returns the grams and how often one of them is met.
func (p placer) place(sets []set, parity int) (offset int, grams []uint32, cost float64) {
	cost = math.Inf(1)
	var best [3][]byte
	var all [maxAnchor + 2]folded
	for k := range sets {
		all[k] = p.fold(&sets[k])
	}
	all[len(sets)], all[len(sets)+1] = p.fold(&allBytes), p.fold(&allBytes)
	for o := parity; o < len(sets); o += 2 {
		x, y, z := &all[o], &all[o+1], &all[o+2]
		c := x.frequency * y.frequency * z.frequency
		if len(x.bytes)*len(y.bytes)*len(z.bytes) <= maxGrams && c < cost {
			offset, best, cost = o, [3][]byte{x.bytes, y.bytes, z.bytes}, c
		}
	}
	for _, a := range best[0] {
		for _, b := range best[1] {
			for _, c := range best[2] {
				grams = append(grams, uint32(a)<<8|uint32(b)<<16|uint32(c)<<24)
			}
		}
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

func newFilter(anchors []anchor, p placer) *filter {
	f := &filter{grams: new([1 << setBits]uint8), anchors: anchors, lists: make([]uint32, 1<<listBits+1)}
	byHash := map[uint32][]entry{}
	for i := range anchors {
		for parity := range 2 {
			offset, grams, _ := p.place(anchors[i].sets, parity)
			e := entry{uint16(i), uint8(offset)}
			for _, g := range grams {
				h := gramHash(g)
				f.grams[h>>(32-setBits)] |= bit(h)
				if list := h >> (32 - listBits); !slices.Contains(byHash[list], e) {
					byHash[list] = append(byHash[list], e)
				}
			}
		}
	}
	at := uint32(0)
	for _, list := range slices.Sorted(maps.Keys(byHash)) {
		for ; at <= list; at++ {
			f.lists[at] = uint32(len(f.entries))
		}
		f.entries = append(f.entries, byHash[list]...)
	}
	for ; int(at) < len(f.lists); at++ {
		f.lists[at] = uint32(len(f.entries))
	}
	return f
}

// next returns the first even position from i on, up to end, whose gram is in
// the set, and the gram's hash, or -1.
func (f *filter) next(text []byte, i, end int) (int, uint32) {
	set := f.grams
	for {
		// Four at a time: their look-ups do not depend on each other.
		for ; i+10 <= end; i += 8 {
			x := binary.LittleEndian.Uint64(text[i : i+10])
			y := binary.LittleEndian.Uint32(text[i+6 : i+10])
			a := gramHash(uint32(x) << 8)
			b := gramHash(uint32(x>>8) &^ 0xff)
			c := gramHash(uint32(x>>24) &^ 0xff)
			d := gramHash(y << 8)
			if set[a>>(32-setBits)]&bit(a)|set[b>>(32-setBits)]&bit(b)|
				set[c>>(32-setBits)]&bit(c)|set[d>>(32-setBits)]&bit(d) != 0 {
				break
			}
		}
		for range 4 {
			if i >= end {
				return -1, 0
			}
			var g uint32
			if i+3 <= len(text) {
				g = uint32(text[i])<<8 | uint32(text[i+1])<<16 | uint32(text[i+2])<<24
			} else if g = uint32(text[i]) << 8; i+2 <= len(text) {
				g |= uint32(text[i+1]) << 16
			}
			if h := gramHash(g); set[h>>(32-setBits)]&bit(h) != 0 {
				return i, h
			}
			i += 2
		}
	}
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
