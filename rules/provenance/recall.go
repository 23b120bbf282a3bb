package provenance

import "math"

// Texts repeat words: columns of a table, names, dates. What reading a word came to is kept
// for those that were read last, until something is sent: reading it again in the same place
// says nothing new.

const recallSize = 1 << 9

// A recall is what reading a word came to.
type recall struct {
	raw    uint64 // hash of the word as it is written in folded text
	hash   uint64 // of the form in which it is compared
	entry  uint32
	source uint16 // the last one that was credited, and
	kinds  uint8  // bits of the kinds for which it was,
	parts  uint8  // and of those for which its parts were, too
	fresh  fresh
	cuts   uint16 // that it took to find that it is fresh,
	all    uint16 // and its parts, too
}

// fresh says of a word that it is no echo.
type fresh uint8

const (
	unknown fresh = iota
	unsent        // it was not sent
	unlike        // nor is it like anything that was
)

// recall returns what is kept of a word, or begins with it. It is valid until the next.
func (m *Memory) recall(word []byte, has class) *recall {
	raw := m.hash(word)
	x := &m.recalls[raw%recallSize]
	if x.raw != raw {
		form, hash := canon(m.number[:0], word, has), raw
		if len(form) != len(word) || &form[0] != &word[0] {
			hash = m.hash(form)
		}
		*x = recall{raw: raw, hash: hash}
	}
	return x
}

// spend takes cuts from those that are left, if there are so many: what an observation may
// still find must not depend on what is recalled.
func (f *sentFilter) spend(cuts uint16) bool {
	if int(cuts) > max(f.cuts, 0) {
		return false
	}
	f.cuts -= int(cuts)
	return true
}

// credited reports whether r credited the word before.
func (x *recall) credited(r *reader) bool {
	return x.kinds>>r.kind&1 != 0 && x.source == r.source && !r.dry && !r.sent
}

// credit notes that r credited the word, for no less than its kind.
func (x *recall) credit(r *reader, entry uint32) {
	if x.source != r.source {
		x.source, x.kinds, x.parts, x.all = r.source, 0, 0, 0
	}
	x.entry = entry
	x.kinds |= 1 << r.kind
}

// read reports whether r read the word and its parts before.
func (x *recall) read(r *reader) bool {
	return x.parts>>r.kind&1 != 0 && r.depth == 0 && x.credited(r)
}

// readParts notes that r read the word and its parts, none of which was an echo, which took
// so many cuts.
func (x *recall) readParts(r *reader, cuts int) {
	// Where something was dropped, it may find room in another reader's share.
	if r.depth == 0 && !r.m.dropped && x.credited(r) && cuts <= math.MaxUint16 {
		x.parts |= 1 << r.kind
		x.all = max(x.all, uint16(cuts))
	}
}
