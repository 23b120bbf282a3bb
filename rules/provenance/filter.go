package provenance

// A filter is a Bloom filter of hashes, which grows in three steps. Its last step holds
// about 200,000 hashes with one in a hundred others taken for one of them, and 500,000
// with one in seven.
type filter struct {
	steps [3][]uint64
	count int
}

// The sizes of the steps in bits, and how many hashes a step takes before the next.
var (
	filterBits = [3]uint32{1 << 16, 1 << 19, 1 << 21}
	filterLoad = [3]int{6 << 10, 48 << 10, 1 << 62}
)

const filterProbes = 4

// add notes a hash.
func (f *filter) add(hash uint64) {
	if f.has(hash) {
		return
	}
	step := 0
	for f.count >= filterLoad[step] {
		step++
	}
	if f.steps[step] == nil {
		f.steps[step] = make([]uint64, filterBits[step]/64)
	}
	f.count++
	at, stride := probes(hash)
	for range filterProbes {
		bit := at & (filterBits[step] - 1)
		f.steps[step][bit/64] |= 1 << (bit % 64)
		at += stride
	}
}

// has reports whether a hash was added, or seems so.
func (f *filter) has(hash uint64) bool { return f.count > 0 && f.search(hash) }

// search is has for a filter that holds something.
func (f *filter) search(hash uint64) bool {
	for step := range f.steps {
		bits := f.steps[step]
		if bits == nil {
			return false
		}
		// Bits are looked at in pairs, as no processor can guess at which single one to stop.
		mask := filterBits[step] - 1
		at, stride := probes(hash)
		found := true
		for i := 0; i < filterProbes && found; i += 2 {
			a, b := at&mask, (at+stride)&mask
			found = bits[a/64]>>(a%64)&(bits[b/64]>>(b%64))&1 != 0
			at += 2 * stride
		}
		if found {
			return true
		}
	}
	return false
}

// probes returns the first bit of a hash, of which each step takes as many digits as it has
// room for, and what to add for each of the others.
func probes(hash uint64) (at, stride uint32) { return uint32(hash >> 32), uint32(hash) | 1 }

func (f *filter) bytes() int {
	n := 0
	for _, bits := range f.steps {
		n += 8 * len(bits)
	}
	return n
}
