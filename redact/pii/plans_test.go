package pii

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

var updatePlans = flag.Bool("update-plans", false, "write plans.bin anew from the metadata of github.com/nyaruka/phonenumbers")

// TestPlansAreCurrent builds plans.bin from the metadata of the required
// version of phonenumbers and compares. The library itself is not linked into
// the firewall: it parses its metadata when the process starts, for 6 ms and
// 2.5 MB of heap.
func TestPlansAreCurrent(t *testing.T) {
	want := buildPlans(t)
	if *updatePlans {
		if err := os.WriteFile("plans.bin", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(want, []byte(plansBin)) {
		t.Error("plans.bin is not what the required version of phonenumbers says: run go test ./redact/pii -run TestPlansAreCurrent -update-plans")
	}
}

// automaton is the minimal acyclic automaton of all plans: equal states of
// different countries are one.
type automaton struct {
	ids    map[string]uint16
	states [][11]uint16 // the next state per digit, 0 for none, then 1 where a number may end
}

func (a *automaton) state(s [11]uint16) uint16 {
	key := fmt.Sprint(s)
	if id, ok := a.ids[key]; ok {
		return id
	}
	id := uint16(len(a.states))
	a.ids[key], a.states = id, append(a.states, s)
	return id
}

// add returns the state at which the numbers begin that any pattern matches.
func (a *automaton) add(t *testing.T, patterns []string) uint16 {
	re, err := syntax.Parse(strings.Join(patterns, "|"), syntax.Perl)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		t.Fatal(err)
	}
	closure := func(pcs []uint32) (set []uint32, match bool) {
		seen := map[uint32]bool{}
		for len(pcs) > 0 {
			pc := pcs[len(pcs)-1]
			pcs = pcs[:len(pcs)-1]
			if seen[pc] {
				continue
			}
			seen[pc] = true
			switch i := prog.Inst[pc]; i.Op {
			case syntax.InstAlt, syntax.InstAltMatch:
				pcs = append(pcs, i.Out, i.Arg)
			case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
				pcs = append(pcs, i.Out)
			case syntax.InstMatch:
				match = true
			case syntax.InstFail:
			default:
				set = append(set, pc)
			}
		}
		slices.Sort(set)
		return set, match
	}
	memo := map[string]uint16{}
	var walk func(pcs []uint32, depth int) uint16
	walk = func(pcs []uint32, depth int) uint16 {
		set, match := closure(pcs)
		if len(set) == 0 && !match {
			return 0
		}
		if depth > 17 {
			t.Fatal("a number plan has numbers of more than 17 digits")
		}
		key := fmt.Sprint(set, match)
		if id, ok := memo[key]; ok {
			return id
		}
		var s [11]uint16
		if match {
			s[10] = 1
		}
		for d := range 10 {
			var next []uint32
			for _, pc := range set {
				if prog.Inst[pc].MatchRune(rune('0' + d)) {
					next = append(next, prog.Inst[pc].Out)
				}
			}
			if next != nil {
				s[d] = walk(next, depth+1)
			}
		}
		if s == ([11]uint16{}) {
			memo[key] = 0
			return 0
		}
		memo[key] = a.state(s)
		return memo[key]
	}
	return walk([]uint32{uint32(prog.Start)}, 0)
}

func types(m *phonenumbers.PhoneMetadata) []*phonenumbers.PhoneNumberDesc {
	return []*phonenumbers.PhoneNumberDesc{m.FixedLine, m.Mobile, m.TollFree, m.PremiumRate, m.SharedCost,
		m.PersonalNumber, m.Voip, m.Pager, m.Uan, m.Voicemail}
}

// buildPlans writes: the number of calling codes; for each the code, the first
// state, the possible lengths as a bit set; the number of regions; for each
// its two letters, calling code, the national prefix padded to 4 bytes with
// NUL; then the states, each the digits it knows as a bit set, with bit 15
// where a number may end, and where the next states are; then the next states.
func buildPlans(t *testing.T) []byte {
	coll, err := phonenumbers.MetadataCollection()
	if err != nil {
		t.Fatal(err)
	}
	patterns, lengths := map[int][]string{}, map[int]uint32{}
	var regions []byte
	n := 0
	for _, m := range coll.GetMetadata() {
		cc := int(m.GetCountryCode())
		for _, d := range types(m) {
			if p := d.GetNationalNumberPattern(); p != "" && p != "NA" {
				patterns[cc] = append(patterns[cc], "(?:"+p+")")
			}
		}
		for _, l := range m.GetGeneralDesc().GetPossibleLength() {
			lengths[cc] |= 1 << l
		}
		if id := m.GetId(); len(id) == 2 {
			prefix := m.GetNationalPrefix()
			if len(prefix) > 4 {
				t.Fatal("a national prefix of more than 4 digits", id, prefix)
			}
			n++
			regions = append(regions, id...)
			regions = binary.LittleEndian.AppendUint16(regions, uint16(cc))
			regions = append(regions, (prefix + "\x00\x00\x00\x00")[:4]...)
		}
	}
	var codes []int
	for cc := range patterns {
		codes = append(codes, cc)
	}
	slices.Sort(codes)
	a := &automaton{ids: map[string]uint16{}}
	a.state([11]uint16{}) // 0 is no state
	out := binary.LittleEndian.AppendUint16(nil, uint16(len(codes)))
	for _, cc := range codes {
		out = binary.LittleEndian.AppendUint16(out, uint16(cc))
		out = binary.LittleEndian.AppendUint16(out, a.add(t, patterns[cc]))
		out = binary.LittleEndian.AppendUint32(out, lengths[cc])
	}
	out = binary.LittleEndian.AppendUint16(out, uint16(n))
	out = append(out, regions...)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(a.states)))
	var next []byte
	for _, s := range a.states {
		mask := s[10] << 15
		at := len(next) / 2
		for d, to := range s[:10] {
			if to != 0 {
				mask |= 1 << d
				next = binary.LittleEndian.AppendUint16(next, to)
			}
		}
		out = binary.LittleEndian.AppendUint16(out, mask)
		out = binary.LittleEndian.AppendUint32(out, uint32(at))
	}
	t.Logf("%d calling codes, %d regions, %d states, %d bytes", len(codes), n, len(a.states), len(out)+len(next))
	return append(out, next...)
}

// TestPlansAgree compares with phonenumbers' own judgement, on its example
// numbers and on numbers made from them.
func TestPlansAgree(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	n, differ := 0, 0
	// In order, so that the numbers are the same each time: of others, about one in a million is judged differently.
	for _, region := range slices.Sorted(maps.Keys(phonenumbers.GetSupportedRegions())) {
		for typ := phonenumbers.FIXED_LINE; typ <= phonenumbers.VOICEMAIL; typ++ {
			example := phonenumbers.GetExampleNumberForType(region, typ)
			if example == nil {
				continue
			}
			cc := int(example.GetCountryCode())
			national := []byte(phonenumbers.GetNationalSignificantNumber(example))
			for i := range 20 {
				if i > 0 {
					national[rnd.IntN(len(national))] = '0' + byte(rnd.IntN(10))
				}
				num, err := phonenumbers.Parse("+"+strconv.Itoa(cc)+string(national), "ZZ")
				if err != nil || phonenumbers.GetNationalSignificantNumber(num) != string(national) {
					continue // the library took off a prefix
				}
				n++
				if plans().valid(plans().codes[cc], national) != phonenumbers.IsValidNumber(num) {
					if differ++; differ < 10 {
						t.Logf("+%d %s: %v, the library says %v", cc, national, plans().valid(plans().codes[cc], national), phonenumbers.IsValidNumber(num))
					}
				}
				if !plans().codes[cc].possible(len(national)) && phonenumbers.IsValidNumber(num) {
					t.Errorf("+%d %s is valid but not possible", cc, national)
				}
			}
		}
	}
	if n < 10000 {
		t.Errorf("only %d numbers were compared", n)
	}
	if differ > 0 {
		t.Errorf("%d of %d numbers are judged differently", differ, n)
	}
}
