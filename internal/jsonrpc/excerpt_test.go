package jsonrpc

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestExcerpt(t *testing.T) {
	x := strings.Repeat("x", 500)
	for name, test := range map[string]struct{ in, want string }{
		"white space goes":            {" { \"a\" : [ 1 ,\r\n 2 ] , \"b c\" : \" d \" }\n", `{"a":[1,2],"b c":" d "}`},
		"the middle of the longest":   {`{"to":"evil","body":"` + x + `","n":1}`, `{"to":"evil","body":"` + x[:85] + "…(373 bytes left out)…" + x[:42] + `","n":1}`},
		"a long number":               {`[0.` + strings.Repeat("0", 400) + `7]`, `["0.` + strings.Repeat("0", 100) + "…(250 bytes left out)…" + strings.Repeat("0", 50) + `7"]`},
		"shares":                      {`["` + x + `","` + x[:70] + `","` + x + `"]`, ""},
		"no escape is torn":           {`["` + strings.Repeat(`\ud83d\ude00`, 50) + `"]`, `["` + strings.Repeat(`\ud83d\ude00`, 8) + "…(444 bytes left out)…" + strings.Repeat(`\ud83d\ude00`, 5) + `"]`},
		"nor a character":             {`["` + strings.Repeat("€", 150) + `"]`, ""},
		"a cut name would be another": {`{"` + x + `":1}`, "none"},
		"too many":                    {`[` + strings.Repeat("1,", 200) + `1]`, "none"},
		"too many long ones":          {`["` + x + `","` + x + `","` + x + `","` + x + `"]`, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			const most = 200
			got, whole := Excerpt([]byte(test.in), most)
			if test.want == "none" {
				if got != nil {
					t.Fatalf("got %s, want nothing", got)
				}
				return
			}
			if test.want != "" && string(got) != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if cut := bytes.Contains(got, []byte("left out")); whole == cut {
				t.Errorf("whole is %v: %s", whole, got)
			}
			if err := CheckValue(got, Limits{}); err != nil || len(got) > most+12 {
				t.Errorf("%d bytes, %v: %s", len(got), err, got)
			}
		})
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add([]byte(`{"a":"`+strings.Repeat(`\ud83d\ude00\\n€`, 40)+`","b":[1e5,true,null,{}]}`), 120)
	f.Fuzz(func(t *testing.T, raw []byte, most int) {
		if most = min(max(most, 0), 1<<12); CheckValue(raw, Limits{}) != nil {
			return
		}
		got, _ := Excerpt(raw, most)
		if got == nil {
			return
		}
		if err := CheckValue(got, Limits{}); err != nil || len(got) > most+24 || bytes.IndexByte(got, '\n') >= 0 {
			t.Fatalf("%d of %d bytes, %v: %s", len(got), most, err, got)
		}
		if a, b := shape(raw), shape(got); a != b {
			t.Fatalf("%s\nhas names and values %s, not %s", got, b, a)
		}
	})
}

// shape is JSON without its values.
func shape(raw []byte) string {
	var b strings.Builder
	for t := range tokens(raw) {
		if t.leaf {
			b.WriteByte('v')
		} else {
			b.Write(t.text)
		}
	}
	return b.String()
}

func BenchmarkExcerpt(b *testing.B) {
	for _, plain := range []string{"lorem ipsum ", `lorem\nipsum `} {
		raw := []byte(fmt.Sprintf(`{"a":1,"text":"%s"}`, strings.Repeat(plain, 16<<10/len(plain))))
		b.Run(fmt.Sprint(len(raw)), func(b *testing.B) {
			for b.Loop() {
				Excerpt(raw, 4096)
			}
		})
	}
}

// boundary looks only at what stands near the place; going through all before it finds the same.
func TestBoundary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", `\n`, `\\`, `\"`, `\u0041`, `\ud83d\ude00`, `\\u0041`, "é", "😀", "text of some length"}
	for range 300 {
		var s []byte
		var starts []bool // where an escape or a character begins
		for len(s) < 200 {
			p := pieces[r.IntN(len(pieces))]
			for rest := p; len(rest) > 0; {
				size := len(string([]rune(rest)[:1]))
				if rest[0] == '\\' {
					size, _ = escapeSize([]byte(rest))
				}
				starts = append(append(starts, true), make([]bool, size-1)...)
				rest = rest[size:]
			}
			s = append(s, p...)
		}
		for n := range len(s) {
			want := n
			for !starts[want] {
				want--
			}
			if got := boundary(s, n); got != want {
				t.Fatalf("%s: the boundary at or before %d is %d, want %d", s, n, got, want)
			}
		}
	}
}
