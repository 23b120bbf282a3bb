package provenance

// A hashSet is a set of hashes with open addressing. 0 stands for 1, and marks what is free.
type hashSet struct {
	slots []uint64
	n     int
}

func (s *hashSet) bytes() int { return 8 * len(s.slots) }

func (s *hashSet) has(h uint64) bool { return s.n > 0 && s.slots[s.slot(h)] != 0 }

func (s *hashSet) add(h uint64) {
	if s.n*4 >= len(s.slots)*3 {
		s.grow()
	}
	if at := s.slot(h); s.slots[at] == 0 {
		s.slots[at] = max(h, 1)
		s.n++
	}
}

// slot returns where a hash is, or else the free place where it belongs.
func (s *hashSet) slot(h uint64) uint64 {
	h = max(h, 1)
	mask := uint64(len(s.slots) - 1)
	at := h & mask
	for s.slots[at] != 0 && s.slots[at] != h {
		at = (at + 1) & mask
	}
	return at
}

func (s *hashSet) grow() {
	old := s.slots
	s.slots = make([]uint64, max(1<<8, 2*len(old)))
	for _, h := range old {
		if h != 0 {
			s.slots[s.slot(h)] = h
		}
	}
}
