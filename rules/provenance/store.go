package provenance

import (
	"hash/maphash"
	"math"
	"slices"
	"strings"
)

// A kind is how good the word of a place is, the best first.
type kind uint8

const (
	said      kind = iota // the user or the configuration
	trusted               // a result that is labelled so
	neutral               // any other result
	untrusted             // a result that holds text of strangers
	nowhere               // an echo of what was sent, which is no place at all
)

const (
	maxSources = 1 << 12 // distinct source names; the rest goes by the name of none
	maxSets    = 1 << 12 // distinct sets of sources
	maxPerSet  = 16      // sources kept for one value
	maxWalk    = 256     // places looked at for one run of words and chain
)

// A store keeps hashes of values with the kinds and sources of the places where they
// stood, and the order of words in texts.
type store struct {
	seed    maphash.Seed
	entries pages[entry] // without a value at 0
	index   []uint64     // open addressing: the upper half of an entry's hash, and the entry; 0 is free
	places  pages[place]

	maxValues  int
	values     [nowhere]int // entries by the kind that made them
	words      [nowhere]int // places by kind
	dropped    bool
	sourceIDs  map[string]uint16
	sources    []string
	sets       []sourceSet
	setIDs     map[string]uint16
	transition map[uint32]uint16 // set and source to the set with that source
	last       [8]transition     // that were made last
}

// An entry is a value.
type entry struct {
	hash    uint64
	newest  [3]uint32 // 1 + the last place of the value in a chain, 0 for none
	count   [3]uint16 // places in the chain; MaxUint16 stands for that many or more
	sources uint16
	kinds   uint8 // bits of the kinds of places where it stood
}

// A place is where a word stood in a text of several words. Words that follow each
// other have places that do.
type place struct {
	entry  uint32
	before uint32 // 1 + the place before in the same chain
	source uint16
	kind   kind
	flags  placeFlags
}

type placeFlags uint8

const (
	breakAfter placeFlags = 1 << iota // the next word belongs to another field
	textEnd
	wasSent      // the word was sent earlier, or need not be counted
	isSolo       // a word of one character, for which wasSent speaks of it and the one before
	capShift = 4 // the bits above hold a kind: the run counts as no better; 0 is no bound
)

// A transition says which set a step leads to.
type transition struct {
	step uint32 // a set and the source that is added
	set  uint16
}

// A sourceSet is a set of source ids, sorted by name.
type sourceSet struct {
	ids   []uint16
	names []string
}

func (s *store) init(maxValues int) {
	s.seed = maphash.MakeSeed()
	s.maxValues = min(maxValues, math.MaxInt32/8)
	s.entries.push()
	s.index = make([]uint64, 1<<10)
	s.sourceIDs, s.setIDs, s.transition = map[string]uint16{}, map[string]uint16{}, map[uint32]uint16{}
	s.sets = make([]sourceSet, 1)
	for i := range s.last {
		s.last[i].step = math.MaxUint32 // no step
	}
}

func (s *store) bytes() int {
	return s.entries.bytes() + s.places.bytes() + 8*len(s.index)
}

// share returns how much of a total is for places of kind k.
func share(total int, k kind) int {
	if k <= trusted {
		return max(1, total/8)
	}
	return max(1, total*3/8)
}

func (s *store) hash(word []byte) uint64 { return maphash.Bytes(s.seed, word) }

// find returns the entry of a hash, 0 if there is none.
func (s *store) find(hash uint64) uint32 {
	e, _ := s.slot(hash)
	return e
}

// slot returns the entry of a hash, or 0 and the place in the index where it belongs.
func (s *store) slot(hash uint64) (e uint32, at uint64) {
	mask := uint64(len(s.index) - 1)
	tag := hash >> 32
	for at = tag & mask; ; at = (at + 1) & mask {
		x := s.index[at]
		if x == 0 || x>>32 == tag && s.entries.at(uint32(x)).hash == hash {
			return uint32(x), at
		}
	}
}

// intern returns the entry of a hash and makes it if there is room in the share of k,
// or else returns 0.
func (s *store) intern(hash uint64, k kind) uint32 {
	e, at := s.slot(hash)
	if e != 0 || s.values[k] >= share(s.maxValues, k) {
		return e
	}
	s.values[k]++
	e = uint32(s.entries.n)
	s.entries.push().hash = hash
	s.index[at] = hash>>32<<32 | uint64(e)
	if s.entries.n*4 > len(s.index)*3 {
		s.grow()
	}
	return e
}

// grow makes room in the index, a small one four times as much, or a session's first results
// would mostly be moved around.
func (s *store) grow() {
	old, times := s.index, 2
	if len(old) < 1<<14 {
		times = 4
	}
	s.index = make([]uint64, times*len(old))
	mask := uint64(len(s.index) - 1)
	for _, x := range old {
		if x == 0 {
			continue
		}
		at := x >> 32 & mask
		for s.index[at] != 0 {
			at = (at + 1) & mask
		}
		s.index[at] = x
	}
}

// credit notes that a value stood in a place.
func (s *store) credit(e uint32, k kind, source uint16) {
	if e == 0 || k >= nowhere {
		return
	}
	v := s.entries.at(e)
	v.kinds |= 1 << k
	v.sources = s.with(v.sources, source)
}

// standing returns the best kind of place where a value stood.
func (s *store) standing(e uint32) kind {
	k := said
	for e != 0 && k < nowhere && s.entries.at(e).kinds&(1<<k) == 0 {
		k++
	}
	if e == 0 {
		return nowhere
	}
	return k
}

// chain returns the chain for places of kind k: a flood of places in one hides none in
// another.
func chain(k kind) int { return int(min(k, neutral)) }

// put adds a place and reports whether there was room.
func (s *store) put(e uint32, source uint16, k kind, flags placeFlags) bool {
	if s.words[k] >= share(4*s.maxValues, k) {
		return false
	}
	s.words[k]++
	v, c := s.entries.at(e), chain(k)
	p := s.places.push()
	p.entry, p.before, p.source, p.kind, p.flags = e, v.newest[c], source, k, flags
	v.newest[c] = uint32(s.places.n)
	if v.count[c] < math.MaxUint16 {
		v.count[c]++
	}
	return true
}

// drop takes the last place back.
func (s *store) drop() {
	p := s.places.at(uint32(s.places.n - 1))
	v, c := s.entries.at(p.entry), chain(p.kind)
	v.newest[c] = p.before
	if v.count[c] < math.MaxUint16 {
		v.count[c]--
	}
	s.words[p.kind]--
	s.places.pop()
}

// A queryWord is a word of a value that is looked up.
type queryWord struct {
	entry uint32
	brk   bool // it begins another field
}

// walk looks for the places where words stand in this order and returns the kinds and
// sources of those that it found, and whether there may be more.
func (s *store) walk(words []queryWord) (kinds uint8, sources uint16, more bool) {
	for _, w := range words {
		if w.entry == 0 {
			return 0, 0, false
		}
	}
	for c := range 3 {
		rarest := 0
		for i, w := range words {
			if s.entries.at(w.entry).count[c] < s.entries.at(words[rarest].entry).count[c] {
				rarest = i
			}
		}
		steps := 0
		for p := s.entries.at(words[rarest].entry).newest[c]; p != 0; p = s.places.at(p - 1).before {
			if steps++; steps > maxWalk {
				more = true
				break
			}
			start := int(p) - 1 - rarest
			if start < 0 || start+len(words) > s.places.n {
				continue
			}
			if k := s.match(uint32(start), words); k < nowhere {
				kinds |= 1 << k
				sources = s.with(sources, s.places.at(uint32(start)).source)
			}
		}
	}
	return kinds, sources, more
}

// match returns the kind of the places from start on if they hold the words.
func (s *store) match(start uint32, words []queryWord) kind {
	last := len(words) - 1
	allSent := true
	worst := said
	for i := range words {
		p := s.places.at(start + uint32(i))
		if p.entry != words[i].entry {
			return nowhere
		}
		if i < last && (p.flags&textEnd != 0 || p.flags&breakAfter != 0 != words[i+1].brk) {
			return nowhere
		}
		worst = max(worst, p.kind, kind(p.flags>>capShift))
		allSent = allSent && (p.flags&wasSent != 0 || i == 0 && p.flags&isSolo != 0)
	}
	if allSent && s.places.at(start).kind != said {
		return nowhere
	}
	return worst
}

// source returns the id of a source.
func (s *store) source(name string) uint16 {
	if id, ok := s.sourceIDs[name]; ok {
		return id
	}
	if len(s.sources) >= maxSources {
		name = ""
		if id, ok := s.sourceIDs[name]; ok {
			return id
		}
	}
	id := uint16(len(s.sources))
	s.sources = append(s.sources, strings.Clone(name))
	s.sourceIDs[s.sources[id]] = id
	return id
}

// names returns the sorted names of a set of sources.
func (s *store) names(set uint16) []string { return s.sets[set].names }

// with returns the set with one more source. What it leaves out depends on the names
// alone, so the order in which they came does not matter.
func (s *store) with(set, source uint16) uint16 {
	step := uint32(set)<<16 | uint32(source)
	last := &s.last[(set^source)%uint16(len(s.last))]
	if last.step == step {
		return last.set
	}
	next, ok := s.transition[step]
	if !ok {
		next = s.extended(set, source)
		if len(s.transition) < 4*maxSets {
			s.transition[step] = next
		}
	}
	*last = transition{step, next}
	return next
}

// extended is with, worked out.
func (s *store) extended(set, source uint16) uint16 {
	ids := slices.Clone(s.sets[set].ids)
	at, found := slices.BinarySearchFunc(ids, s.sources[source], func(id uint16, name string) int {
		return strings.Compare(s.sources[id], name)
	})
	if found || at >= maxPerSet {
		return set
	}
	ids = slices.Insert(ids, at, source)
	return s.set(ids[:min(len(ids), maxPerSet)], set)
}

// union returns the set with the sources of both.
func (s *store) union(a, b uint16) uint16 {
	for _, id := range s.sets[b].ids {
		a = s.with(a, id)
	}
	return a
}

// set returns the id of a set, or otherwise if there are too many.
func (s *store) set(ids []uint16, otherwise uint16) uint16 {
	key := make([]byte, 0, 2*maxPerSet)
	for _, id := range ids {
		key = append(key, byte(id), byte(id>>8))
	}
	if id, ok := s.setIDs[string(key)]; ok {
		return id
	}
	if len(s.sets) >= maxSets {
		return otherwise
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = s.sources[id]
	}
	id := uint16(len(s.sets))
	s.sets = append(s.sets, sourceSet{ids, names})
	s.setIDs[string(key)] = id
	return id
}
