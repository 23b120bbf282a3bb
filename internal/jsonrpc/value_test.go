package jsonrpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// random returns a random JSON value, with all the freedom of spelling that JSON has.
func random(r *rand.Rand, depth int) string {
	space := func() string { return strings.Repeat([]string{"", " ", "\t", "\n", "\r"}[r.IntN(5)], r.IntN(2)) }
	text := func() string {
		pieces := []string{"a", "key", `\n`, `\"`, `\\`, `\u0041`, `\ud83d\ude00`, "é", "😀", "}", "]", ",", ":", "{", "[", " ", strings.Repeat("long", 12)}
		s := ""
		for range r.IntN(5) {
			s += pieces[r.IntN(len(pieces))]
		}
		return `"` + s + `"`
	}
	var v string
	switch k := r.IntN(10); {
	case depth > 0 && k < 3:
		var members []string
		for i := range r.IntN(6) {
			name := strings.Replace(text(), `"`, fmt.Sprintf(`"%d`, i), 1) // no duplicates
			members = append(members, space()+name+space()+":"+random(r, depth-1))
		}
		v = "{" + strings.Join(members, ",") + space() + "}"
	case depth > 0 && k < 6:
		var elements []string
		for range r.IntN(6) {
			elements = append(elements, random(r, depth-1))
		}
		v = "[" + strings.Join(elements, ",") + space() + "]"
	case k < 8:
		v = text()
	default:
		v = []string{"0", "-1", "12345678901234567890", "1.50", "-2e+7", "true", "false", "null"}[r.IntN(8)]
	}
	return space() + v + space()
}

func whole(raw []byte) Span { return Span{0, len(raw)} }

// reference reads the members of an object, or the elements of an array under "", with
// jsontext, as pairs of decoded name and raw value.
func reference(t testing.TB, raw []byte) (pairs [][2]string) {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	open, err := d.ReadToken()
	if err != nil {
		t.Fatal(err)
	}
	if k := open.Kind(); k != '{' && k != '[' {
		return nil
	}
	for d.PeekKind() != '}' && d.PeekKind() != ']' {
		name := ""
		if open.Kind() == '{' {
			n, err := d.ReadToken()
			if err != nil {
				t.Fatal(err)
			}
			name = n.String()
		}
		v, err := d.ReadValue()
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, [2]string{name, string(v)})
	}
	return pairs
}

// walked reads the same with Members or Elements.
func walked(raw []byte) (pairs [][2]string) {
	for n, v := range Members(raw, whole(raw)) {
		pairs = append(pairs, [2]string{String(raw[n.Start:n.End]), string(raw[v.Start:v.End])})
	}
	for v := range Elements(raw, whole(raw)) {
		pairs = append(pairs, [2]string{"", string(raw[v.Start:v.End])})
	}
	return pairs
}

func TestWalk(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		raw := []byte(random(r, 5))
		if err := CheckValue(raw, Limits{}); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		got, want := walked(raw), reference(t, raw)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\ngot  %q\nwant %q", raw, got, want)
		}
		for n, v := range Members(raw, whole(raw)) {
			name := String(raw[n.Start:n.End])
			if found := Find(raw, whole(raw), name); found != v {
				t.Fatalf("%s: Find(%q) = %v, want %v", raw, name, found, v)
			}
			// A walk within the larger value sees what a walk over the value alone sees.
			alone := raw[v.Start:v.End]
			for n2, v2 := range Members(raw, v) {
				want := string(raw[v2.Start:v2.End])
				if got := string(Get(alone, String(raw[n2.Start:n2.End]))); got != want {
					t.Fatalf("%s: within %s got %s, want %s", raw, alone, got, want)
				}
			}
		}
	}
}

func TestGet(t *testing.T) {
	raw := []byte(`{"a":{"b\u0063":[1,{"x":2}],"s":"\u00e9"},"n":null,"i":-42}`)
	for _, c := range []struct {
		path []string
		want string
	}{
		{nil, string(raw)},
		{[]string{"a", "bc"}, `[1,{"x":2}]`},
		{[]string{"a", "s"}, `"\u00e9"`},
		{[]string{"n"}, "null"},
		{[]string{"i"}, "-42"},
		{[]string{"A"}, ""},
		{[]string{"a", "b"}, ""},
		{[]string{"n", "x"}, ""},
		{[]string{"a", "bc", "x"}, ""},
		{[]string{""}, ""},
	} {
		got := Get(raw, c.path...)
		if string(got) != c.want || (got == nil) != (c.want == "") {
			t.Errorf("Get(%q) = %s, want %s", c.path, got, c.want)
		}
	}
	if s, ok := GetString(raw, "a", "s"); s != "é" || !ok {
		t.Errorf("GetString = %q, %v", s, ok)
	}
	for _, path := range []string{"n", "i", "a", "missing"} {
		if s, ok := GetString(raw, path); ok {
			t.Errorf("GetString(%s) = %q", path, s)
		}
	}
	if n, ok := Int(Get(raw, "i")); n != -42 || !ok {
		t.Errorf("Int = %d, %v", n, ok)
	}
	for _, not := range []string{"1.0", "1e3", `"1"`, "9223372036854775808", ""} {
		if n, ok := Int([]byte(not)); ok {
			t.Errorf("Int(%s) = %d", not, n)
		}
	}
	// Appending to what Get returns must not write into the message.
	got := Get(raw, "a", "s")
	_ = append(got, "overwritten"...)
	if !json.Valid(raw) {
		t.Error("an append to a value changed the message")
	}
}

func TestSplice(t *testing.T) {
	const raw = "0123456789"
	for _, c := range []struct {
		edits []Edit
		want  string
	}{
		{nil, raw},
		{[]Edit{{Span{2, 4}, []byte("ab")}}, "01ab456789"},
		{[]Edit{{Span{2, 4}, nil}}, "01456789"},
		{[]Edit{{Span{3, 3}, []byte("+")}}, "012+3456789"},
		{[]Edit{{Span{0, 0}, []byte("<")}, {Span{10, 10}, []byte(">")}}, "<0123456789>"},
		{[]Edit{{Span{8, 9}, []byte("B")}, {Span{1, 2}, []byte("A")}, {Span{5, 5}, []byte("_")}}, "0A234_567B9"},
		{[]Edit{{Span{5, 8}, []byte("x")}, {Span{5, 5}, []byte("y")}}, "01234yx89"},
		{[]Edit{{Span{3, 5}, []byte("x")}, {Span{5, 5}, []byte("y")}}, "012xy56789"},
		{[]Edit{{Span{5, 5}, []byte("1")}, {Span{5, 5}, []byte("2")}}, "012341256789"},
		{[]Edit{{Span{0, 10}, []byte("all")}}, "all"},
	} {
		in := []byte(raw)
		if got := string(Splice(in, c.edits...)); got != c.want {
			t.Errorf("Splice(%v) = %s, want %s", c.edits, got, c.want)
		}
		if string(in) != raw {
			t.Errorf("Splice(%v) changed its input", c.edits)
		}
	}
}

func TestSet(t *testing.T) {
	for _, c := range []struct{ obj, name, v, want string }{
		{`{}`, "a", "1", `{"a":1}`},
		{` { } `, "a", "1", ` {"a":1 } `},
		{``, "a", "1", `{"a":1}`},
		{`{"b":2}`, "a", "1", `{"b":2,"a":1}`},
		{`{ "b" : [2] , "c":{} }`, "a", `"x"`, `{ "b" : [2] , "c":{},"a":"x" }`},
		{`{"a":{"a":1},"b":1.50}`, "a", "null", `{"a":null,"b":1.50}`},
		{`{"\u0061" : 1}`, "a", "2", `{"\u0061" : 2}`},
		{`{"A":1}`, "a", "2", `{"A":1,"a":2}`},
		{`{"x":{"a":1}}`, "a", "2", `{"x":{"a":1},"a":2}`},
		{`{}`, "\"\n", "1", `{"\"\n":1}`},
	} {
		if got := string(SetMember([]byte(c.obj), c.name, []byte(c.v))); got != c.want {
			t.Errorf("SetMember(%s, %s) = %s, want %s", c.obj, c.name, got, c.want)
		}
	}
	// An object within a message: everything else stays.
	m, err := Parse([]byte(`{"jsonrpc":"2.0", "id":1e0,"method":"m","params":{"_meta":{"k" : 1.0}},"z":[1 ]}`), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	meta := Find(m.Raw, m.Params, "_meta")
	got := string(m.Splice(Set(m.Raw, meta, "t", []byte("7")), Edit{m.ID, []byte(`"n"`)}))
	if want := `{"jsonrpc":"2.0", "id":"n","method":"m","params":{"_meta":{"k" : 1.0,"t":7}},"z":[1 ]}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Random edits against a reference: the members of the result are those of the input with
// the one change, raw values included.
func TestSetAndDropRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		raw := []byte(random(r, 3))
		before := reference(t, raw)
		if bytes.TrimSpace(raw)[0] != '{' {
			continue
		}
		name := "new"
		want := append([][2]string{}, before...)
		if len(before) > 0 && r.IntN(2) == 0 {
			i := r.IntN(len(before))
			name = before[i][0]
			want[i][1] = "4711"
		} else {
			want = append(want, [2]string{name, "4711"})
		}
		if got := reference(t, SetMember(raw, name, []byte("4711"))); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s with %q\ngot  %q\nwant %q", raw, name, got, want)
		}

		gone := map[string]bool{}
		var left [][2]string
		for _, p := range before {
			if r.IntN(2) == 0 {
				gone[p[0]] = true
			} else {
				left = append(left, p)
			}
		}
		dropped := DropMembers(raw, func(name string) bool { return gone[name] })
		if got := reference(t, dropped); !reflect.DeepEqual(got, left) {
			t.Fatalf("%s without %v\ngot  %q\nwant %q", raw, gone, got, left)
		}
		if len(gone) == 0 && !bytes.Equal(dropped, raw) {
			t.Fatalf("%s became %s although nothing was dropped", raw, dropped)
		}
	}
}

func TestDropMembers(t *testing.T) {
	got := string(DropMembers([]byte(`{ "a" : 1 , "b\u0062":[ 2 ],"c": 3.0 }`), func(name string) bool { return name == "a" }))
	if want := `{"b\u0062":[ 2 ],"c": 3.0}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := string(DropMembers([]byte(`{"bb":1}`), func(name string) bool { return name == "bb" })); got != "{}" {
		t.Errorf("got %s, want {}", got)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"":              `""`,
		"a\"\\\n\x00é😀": `"a\"\\\n\u0000é😀"`,
		"\xff\xed\xa0":  `"` + "\ufffd" + `"`,
		"<&>":           `"<&>"`,
	} {
		if got := string(Quote(in)); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		b := make([]byte, r.IntN(40))
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		quoted := Quote(string(b))
		if err := CheckValue(quoted, Limits{}); err != nil {
			t.Fatalf("Quote(%q) = %s: %v", b, quoted, err)
		}
		if got, want := String(quoted), strings.ToValidUTF8(string(b), "\ufffd"); got != want {
			t.Fatalf("String(Quote(%q)) = %q, want %q", b, got, want)
		}
	}
	for _, none := range []string{"", "1", "null", `"`, "{}"} {
		if got := String([]byte(none)); got != "" {
			t.Errorf("String(%s) = %q", none, got)
		}
	}
}

func TestBuild(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{string(NewRequest([]byte("1"), "a/b", []byte(`{"x":1}`))), `{"jsonrpc":"2.0","id":1,"method":"a/b","params":{"x":1}}`},
		{string(NewRequest([]byte(`"i"`), "quote\"", nil)), `{"jsonrpc":"2.0","id":"i","method":"quote\""}`},
		{string(NewNotification("n", nil)), `{"jsonrpc":"2.0","method":"n"}`},
		{string(NewNotification("n", []byte("{}"))), `{"jsonrpc":"2.0","method":"n","params":{}}`},
		{string(NewResult([]byte("1.0"), []byte("[]"))), `{"jsonrpc":"2.0","id":1.0,"result":[]}`},
		{string(NewError([]byte("1"), -32601, "no\n", nil)), `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no\n"}}`},
		{string(NewError(nil, CodeParse, "", []byte(`{"a":1}`))), `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"","data":{"a":1}}}`},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
		if _, err := Parse([]byte(c.got), Limits{}); err != nil {
			t.Errorf("%s: %v", c.got, err)
		}
	}
}

// TestLinear: walking past a long text full of escapes takes time in proportion to it.
func TestLinear(t *testing.T) {
	steps := func(n int) time.Duration {
		raw := []byte(`{"text":"` + strings.Repeat(`a line of a file\n`, n) + `","id":1}`)
		start := time.Now()
		if got := Get(raw, "id"); string(got) != "1" {
			t.Fatalf("Get = %s", got)
		}
		return time.Since(start)
	}
	steps(1000)
	// The quadratic walk took minutes for this; the bound only tells the two apart.
	if d := steps(1 << 18); d > 5*time.Second {
		t.Errorf("%s for 4 MiB of escapes", d)
	}
}

// String decodes the usual escapes by itself; package jsontext has the say on what it makes of them.
func FuzzString(f *testing.F) {
	for _, s := range []string{`""`, `"a"`, `"\n"`, `"a\"b\\\/c\b\f\n\r\t"`, `"\u0041\n"`, `"\ud83d\ude00 x\ty"`, `"\\\\\""`, `"é\n日"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !jsontext.Value(raw).IsValid() || raw[0] != '"' || raw[len(raw)-1] != '"' {
			return
		}
		want, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := String(raw); got != string(want) {
			t.Errorf("%s is decoded to %q, want %q", raw, got, want)
		}
		if end := skipString(append(raw, `,"next"`...), 0); end != len(raw) {
			t.Errorf("%s ends at %d, want %d", raw, end, len(raw))
		}
	})
}
