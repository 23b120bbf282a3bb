package pii

import (
	_ "embed"
	"encoding/binary"
	"math/bits"
	"sync"
)

// plansBin holds the number plans of all countries: the patterns of Google's
// libphonenumber (Apache-2.0), by way of github.com/nyaruka/phonenumbers (MIT),
// as one automaton over digits. A test builds it and says how it is laid out.
// It is read in place: nothing is parsed or copied.
//
//go:embed plans.bin
var plansBin string

// plan is the number plan of one country calling code.
type plan struct {
	start   uint16 // the automaton's state before the national number
	lengths uint32 // bit n: national numbers of n digits exist
}

// region is how a country writes its own numbers.
type region struct {
	code   uint16 // the country calling code
	prefix string // dialled before a national number, such as "0"; may be empty
}

type planTable struct {
	codes   [1000]plan
	regions map[string]region
	states  string // 6 bytes each: digits as a bit set, where the next states are
	next    string // 2 bytes each
}

var plans = sync.OnceValue(func() *planTable {
	t := &planTable{regions: map[string]region{}}
	b := plansBin
	take := func(n int) string { s := b[:n]; b = b[n:]; return s }
	for range u16(take(2)) {
		r := take(8)
		t.codes[u16(r)] = plan{start: u16(r[2:]), lengths: u32(r[4:])}
	}
	for range u16(take(2)) {
		r := take(8)
		n := 4
		for n < 8 && r[n] != 0 {
			n++
		}
		t.regions[r[:2]] = region{code: u16(r[2:]), prefix: r[4:n]}
	}
	n := int(u16(take(2)))
	t.states = take(6 * n)
	t.next = b
	return t
})

func u16(s string) uint16 { return binary.LittleEndian.Uint16([]byte(s[:2])) }
func u32(s string) uint32 { return binary.LittleEndian.Uint32([]byte(s[:4])) }

// possible says whether the plan has national numbers of n digits.
func (p plan) possible(n int) bool { return n < 32 && p.lengths>>n&1 == 1 }

// valid says whether the plan has the national number, given as ASCII digits.
func (t *planTable) valid(p plan, national []byte) bool {
	state := p.start
	if state == 0 {
		return false
	}
	for _, c := range national {
		s := t.states[6*int(state):]
		mask, d := u16(s), c-'0'
		if mask>>d&1 == 0 {
			return false
		}
		before := bits.OnesCount16(mask & (1<<d - 1))
		state = u16(t.next[2*(int(u32(s[2:]))+before):])
	}
	return u16(t.states[6*int(state):])>>15 == 1
}

// split takes the country calling code off an international number.
func (t *planTable) split(number []byte) (plan, []byte) {
	code := 0
	for i, c := range number[:min(3, len(number))] {
		code = 10*code + int(c-'0')
		if p := t.codes[code]; p.start != 0 {
			return p, number[i+1:]
		}
		if code == 0 {
			break
		}
	}
	return plan{}, nil
}
