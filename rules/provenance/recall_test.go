package provenance

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestRecall compares a memory that recalls words with one that forgets them before each
// text. Where little fits, what one place has no room for may fit in another's share.
func TestRecall(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	places := []Observation{user, contacts, files, web, {Source: "crm.get", Trust: Untrusted, Fields: []Field{{"result", Trusted}}}}
	for range 150 {
		o := Options{MaxValues: []int{0, 16, 64}[rnd.IntN(3)]}
		a, b := New(o), New(o)
		b.seed = a.seed
		b.spelled.init(b.hash(nil))
		for i := range 12 {
			var text strings.Builder
			for range 1 + rnd.IntN(12) {
				fmt.Fprintf(&text, "%s%s", corpus[rnd.IntN(len(corpus))], []string{" ", "", ",", "/"}[rnd.IntN(4)])
			}
			fmt.Fprintf(&text, "\n%d", i) // or it would be known as a text
			s, o := text.String(), places[rnd.IntN(len(places))]
			if rnd.IntN(4) == 0 {
				s = fmt.Sprintf("[%q,%q]", s, s)
			}
			clear(b.recalls[:])
			if rnd.IntN(5) == 0 {
				a.Sent([]byte(s))
				b.Sent([]byte(s))
			} else {
				a.Text(o, s)
				b.Text(o, s)
			}
			if x, y := contents(a), contents(b); x != y {
				t.Fatalf("after %q:\n%s\nwithout recalling words:\n%s", s, x, y)
			}
			if x, y := a.spelled.cuts, b.spelled.cuts; x != y {
				t.Fatalf("after %q: %d cuts left, and %d without recalling words", s, x, y)
			}
		}
	}
}

// contents prints what a memory keeps of values.
func contents(m *Memory) string {
	var b strings.Builder
	for i := range uint32(m.entries.n) {
		fmt.Fprintln(&b, *m.entries.at(i))
	}
	for i := range uint32(m.places.n) {
		fmt.Fprintln(&b, *m.places.at(i))
	}
	fmt.Fprintln(&b, m.sent.count, m.spelled.pieces.count, m.dropped, m.lost)
	return b.String()
}

// TestEchoByStart compares the search for echoes with one that looks all pieces up.
func TestEchoByStart(t *testing.T) {
	rnd := rand.New(rand.NewPCG(13, 14))
	word := func(letters string, most int) []byte {
		b := make([]byte, 1+rnd.IntN(most))
		for i := range b {
			b[i] = letters[rnd.IntN(len(letters))]
		}
		return b
	}
	echoes := 0
	for range 200 {
		letters := []string{"ab", "abc0@.", "0123456789", "abcdefgh/.@-01"}[rnd.IntN(4)]
		m := New(Options{})
		f := &m.spelled
		for range 1 + rnd.IntN(30) {
			w := word(letters, 12)
			m.Sent(fmt.Appendf(nil, "[%q,%q]", w, word(letters, []int{6, 90}[rnd.IntN(2)])))
		}
		for range 300 {
			w := word(letters, []int{8, 30, 200}[rnd.IntN(3)])
			f.cuts = maxCuts
			got := f.echo(w)
			if want := slowEcho(f, w); got != want {
				t.Fatalf("%q is an echo: %v instead of %v", w, got, want)
			}
			if got {
				echoes++
			}
		}
	}
	if echoes < 300 {
		t.Errorf("only %d words were echoes", echoes)
	}
}

func slowEcho(f *sentFilter, word []byte) bool {
	s := &skeleton{}
	s.read(word)
	if f.pieces.count == 0 || s.n < minPiece {
		return false
	}
	has := func(i, j int) bool { return f.pieces.has(s.part(f, i, j).finished()) }
	if has(0, s.n) {
		return true
	}
	if !strong(word, classify(word)) {
		return false
	}
	reached := map[int]bool{0: true}
	for i := range s.n {
		for j := i + minPiece; reached[i] && j <= s.n; j++ {
			reached[j] = reached[j] || has(i, j)
		}
	}
	return reached[s.n] || f.within(s) && leads(word, classify(word))
}
