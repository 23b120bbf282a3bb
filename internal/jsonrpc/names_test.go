package jsonrpc

import (
	"strings"
	"testing"
	"unicode"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("long", 30)
	s := NewNames("name", "task", "é", long)
	for _, c := range []struct{ quoted, find, fold string }{
		{`"name"`, "name", ""},
		{`"n\u0061me"`, "name", ""},
		{`"Name"`, "", "name"},
		{`"\u004eAME"`, "", "name"},
		{`"tas\u212a"`, "", "task"},
		{`"ta` + "\u017f" + `k"`, "", "task"},
		{`"É"`, "", "é"},
		{`"` + long + `"`, long, ""},
		{`"` + strings.ToUpper(long) + `"`, "", long},
		{`"other"`, "", ""},
		{`""`, "", ""},
		{`"` + strings.Repeat("x", 1000) + `"`, "", ""},
	} {
		if got := s.Find([]byte(c.quoted)); got != c.find {
			t.Errorf("Find(%s) = %q, want %q", c.quoted, got, c.find)
		}
		if got := s.Fold([]byte(c.quoted)); got != c.fold {
			t.Errorf("Fold(%s) = %q, want %q", c.quoted, got, c.fold)
		}
	}
}

func TestClash(t *testing.T) {
	s := NewNames("name", "arguments")
	for _, c := range []struct{ obj, want string }{
		{`{}`, ""},
		{`[]`, ""},
		{`{"name":"get","arguments":{"Name":1}}`, ""},
		{`{"name":"get","Name":"delete_all"}`, "name"},
		{`{"Name":"delete_all"}`, "name"},
		{`{"argument` + "\u017f" + `":{}}`, "arguments"},
		{`{"other":1,"OTHER":2}`, "OTHER"},
		{`{"k":1,"\u212a":2}`, "\u212a"},
		{`{` + manyNames(40) + `}`, ""},
		{`{` + manyNames(40) + `,"N7":1}`, "N7"},
		{`{"x":1,` + manyNames(40) + `,"X":1}`, "X"},
		{`{` + manyNames(40) + `,"NAME":1}`, "name"},
	} {
		if got := s.Clash([]byte(c.obj), Span{0, len(c.obj)}); got != c.want {
			t.Errorf("Clash(%.80s) = %q, want %q", c.obj, got, c.want)
		}
	}
}

// Fold must be the relation that strings.EqualFold is, for every character.
func TestFold(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if 0xd800 <= r && r <= 0xdfff {
			continue
		}
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			if a, b := Fold("x"+string(r)), Fold("X"+string(f)); a != b {
				t.Fatalf("Fold of %U is %q, of %U %q", r, a, f, b)
			}
		}
		if f := Fold(string(r)); !strings.EqualFold(f, string(r)) {
			t.Fatalf("Fold(%U) = %q", r, f)
		}
	}
}
