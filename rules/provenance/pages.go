package provenance

import "unsafe"

// pageSize is how many elements a page holds: so few that a short session takes little
// memory.
const pageSize = 512

// pages is a list in pieces: while it grows nothing is copied, and no room is left over but
// in the last piece.
type pages[T any] struct {
	all []*[pageSize]T
	n   int // elements
}

func (p *pages[T]) at(i uint32) *T { return &p.all[i/pageSize][i%pageSize] }

// push adds an element and returns it: the zero value, or what was dropped there.
func (p *pages[T]) push() *T {
	i := p.n
	if i == len(p.all)*pageSize {
		p.all = append(p.all, new([pageSize]T))
	}
	p.n++
	return p.at(uint32(i))
}

// pop drops the last element. Its page stays for the next.
func (p *pages[T]) pop() { p.n-- }

func (p *pages[T]) bytes() int {
	return len(p.all)*int(unsafe.Sizeof([pageSize]T{})) + cap(p.all)*int(unsafe.Sizeof(p))
}
