package provenance

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var corpus = []string{
	"alice@x.com", "12 Elm Street", "https://good.example/a?b=c", "1,000.00", "GB29 NWBK 6016 1331 9268 19", "Zoë",
	"(see)", "張偉", "a=b;c", "'s", "-", "www.a.example.They", "{\"a\":\"b c\"}", "- x: y", "\n", "the", "\u200b", "%40", "**b**",
}

// TestOrder shows that the order of observations does not matter, and that only what is
// not untrusted takes a taint away.
func TestOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	places := []Observation{user, contacts, files, web, {Source: "mail.read", Trust: Untrusted}}
	for range 200 {
		type seen struct {
			o    Observation
			text string
		}
		var all []seen
		for range 1 + rnd.IntN(8) {
			var b strings.Builder
			for range 1 + rnd.IntN(6) {
				b.WriteString(corpus[rnd.IntN(len(corpus))])
				b.WriteByte(' ')
			}
			all = append(all, seen{places[rnd.IntN(len(places))], b.String()})
		}
		a, b := New(Options{}), New(Options{})
		values := append([]string{"Elm Street alice@x.com", "x.com", "unseen"}, corpus...)
		for _, s := range all {
			values = append(values, s.text)
			var before []Origin
			for _, v := range values {
				before = append(before, a.Lookup(v))
			}
			a.Text(s.o, s.text)
			for j, v := range values {
				after := a.Lookup(v)
				if before[j].Trusted && !after.Trusted || before[j].Seen && !after.Seen {
					t.Errorf("%q was forgotten", v)
				}
				if s.o.Trust == Untrusted && (before[j].Tainted && !after.Tainted || !before[j].Trusted && after.Trusted) {
					t.Errorf("%q became better by what is untrusted", v)
				}
			}
		}
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, s := range all {
			b.Text(s.o, s.text)
		}
		for _, v := range values {
			if x, y := a.Lookup(v), b.Lookup(v); fmt.Sprint(x) != fmt.Sprint(y) {
				t.Errorf("%q: %+v in one order, %+v in another", v, x, y)
			}
		}
	}
}

// TestFoldASCII compares the fold of eight characters at a time with that of each.
func TestFoldASCII(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		text := make([]byte, rnd.IntN(40))
		for i := range text {
			text[i] = byte(rnd.IntN(128))
		}
		if rnd.IntN(8) == 0 && len(text) > 0 {
			text[rnd.IntN(len(text))] = 0x80
		}
		want := bytes.Clone(text)
		ascii := foldBytes(want)
		got, ok := appendFolded([]byte("x"), text)
		if ok != ascii || ok && string(got) != "x"+string(want) {
			t.Fatalf("%q folds to %q, %v instead of %q, %v", text, got, ok, want, ascii)
		}
	}
}

// TestFoldRunes compares the fold of characters with two bytes with that of any.
func TestFoldRunes(t *testing.T) {
	slow := func(text []byte) []byte {
		var dst []byte
		for range maxFolds {
			dst = dst[:0]
			for _, r := range string(text) {
				if r < utf8.RuneSelf {
					dst = append(dst, foldASCII[r])
				} else if !invisible(r) {
					dst = utf8.AppendRune(dst, foldRune(r))
				}
			}
			if norm.NFKC.IsNormal(dst) {
				break
			}
			text = norm.NFKC.Bytes(dst)
		}
		return dst
	}
	for r := range lowFolds {
		for _, around := range []string{"", "e", "\u0301", "\u05b0", "\u1161"} {
			text := []byte(around + string(rune(r)) + around)
			if got, want := fold(nil, text), slow(text); !bytes.Equal(got, want) {
				t.Errorf("%q folds to %q instead of %q", text, got, want)
			}
		}
	}
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 50_000 {
		var text []byte
		for range rnd.IntN(12) {
			text = utf8.AppendRune(text, rune(rnd.IntN([]int{0x80, 0x180, 0x370, 0x800, 0x3000, 0x20000}[rnd.IntN(6)])))
		}
		if got, want := fold(nil, text), slow(text); !bytes.Equal(got, want) {
			t.Fatalf("%q folds to %q instead of %q", text, got, want)
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range append(corpus, "K\u212a\u0345\u0300", "\xff\u00a8\ufdfa", "İıſẞ") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1<<12 {
			return
		}
		once := fold(nil, []byte(s))
		if twice := fold(nil, once); !bytes.Equal(once, twice) {
			t.Errorf("%q folds to %q and that to %q", s, once, twice)
		}
		l := newLexer(once)
		for tok := (token{}); l.next(&tok); {
			if tok.symbol {
				continue
			}
			c := bytes.Clone(canon(make([]byte, 0, maxNumber), tok.text, tok.has))
			if len(c) == 0 {
				continue
			}
			if d := canon(make([]byte, 0, maxNumber), c, classify(c)); !bytes.Equal(c, d) {
				t.Errorf("%q has the form %q and that %q", tok.text, c, d)
			}
		}
	})
}

// FuzzMemory reads anything as text, JSON, result and arguments, and finds what was
// said.
func FuzzMemory(f *testing.F) {
	for i, s := range corpus {
		f.Add(s, corpus[(i+1)%len(corpus)])
	}
	f.Add(`{"content":[{"type":"text","text":"a b"}],"structuredContent":{"a":[1]},"isError":true}`, `{"a":"b c"}`)
	f.Add("- a: b\n- a: c", "[[]]")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 1<<12 {
			return
		}
		m := New(Options{MaxValues: 1 << 10})
		o := web
		o.Fields = []Field{{"result[].a", Trusted}, {"result.b.*", Neutral}}
		m.Text(o, a)
		m.JSON(o, []byte(a))
		m.Result(o, []byte(a))
		m.Sent([]byte(b))
		m.Text(files, b)
		for _, v := range []string{a, b, a + b} {
			if origin := m.Lookup(v); origin.Trusted && origin.Tainted {
				t.Errorf("%q is both trusted and tainted", v)
			}
		}
		if s := m.Stats(); s.Values > 1<<10 || s.Words > 4<<10 {
			t.Errorf("%+v is more than the bound", s)
		}

		m = New(Options{})
		m.Sent([]byte(b))
		m.Text(contacts, b)
		m.JSON(contacts, []byte(b))
		if o := m.Lookup(b); o.Seen {
			t.Errorf("%q was sent, echoed and then seen: %+v", b, o)
		}
	})
}
