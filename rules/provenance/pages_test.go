package provenance

import "testing"

func TestPages(t *testing.T) {
	var p pages[int]
	for i := range 3 * pageSize {
		*p.push() = i
	}
	for range pageSize + 1 {
		p.pop()
	}
	for i := p.n; i < 3*pageSize; i++ {
		*p.push() = -i
	}
	for i := range uint32(p.n) {
		want := int(i)
		if i >= 2*pageSize-1 {
			want = -want
		}
		if got := *p.at(i); got != want {
			t.Errorf("element %d is %d", i, got)
		}
	}
	if p.n != 3*pageSize || len(p.all) != 3 {
		t.Errorf("%d elements in %d pages", p.n, len(p.all))
	}
}

func TestHashSet(t *testing.T) {
	var s hashSet
	if s.has(0) || s.has(1) {
		t.Error("an empty set has something")
	}
	for h := range uint64(3000) {
		s.add(h << 40)
		s.add(h << 40)
	}
	for h := range uint64(6000) {
		if got := s.has(h << 40); got != (h < 3000) {
			t.Errorf("has %d: %v", h, got)
		}
	}
	if s.n != 3000 {
		t.Errorf("%d hashes", s.n)
	}
}
