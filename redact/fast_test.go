package redact

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// FuzzDecode holds that decoders write the same with and without steps: without, some take
// another way through the text.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "a", "Abc-1 2.3_4", "\n  12| secret\n\t7\tvalue\n 8→x\n9: y", "\x1b[31mred\x1b[0m \x1b(", "<b>bold</b> a < b <i", "\uff21\uff42\uff01\uff5e\u3000\u00e4",
		strings.Repeat("0123456789abcdef", 9) + "\\n\\u0041" + strings.Repeat(" x", 99) + `\"`, "\x10\x19@[`{\x7f\x80\xb0\xe1", "a%41b&amp;c=3D=\r\nd",
	} {
		f.Add([]byte(seed))
	}
	decoders := []decoder{squeeze, unescape, uncode, uncodeWords, unprintable, unwrap, unbreak, refill, unbase64, narrow}
	f.Fuzz(func(t *testing.T, src []byte) {
		for i, by := range decoders {
			fast := slices.Clone(by(make([]byte, len(src)+slop), src, nil))
			if plain := by(make([]byte, len(src)+slop), src, &[]step{}); !bytes.Equal(fast, plain) {
				t.Errorf("decoder %d makes %q of %q, and %q with steps", i, fast, src, plain)
			}
		}
	})
}

// TestTable holds that a pattern is found wherever it lies, and that its core alone makes a text
// suspect.
func TestTable(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 20, 500} {
		values := samples(n)
		tables := []*table{with(values...).current(), with(append(values, "p4ssw0rd")...).current()}
		for range 200 {
			for _, of := range tables {
				for _, tb := range []*table{of, of.skeletons} {
					p := tb.patterns[rng.IntN(len(tb.patterns))].text
					text := []byte(strings.Repeat("-", rng.IntN(20)) + p + strings.Repeat(".", rng.IntN(20)))
					if !tb.any(text) {
						t.Errorf("%q is not found in %q", p, text)
					}
					if len(tb.all(nil, text)) == 0 {
						t.Errorf("%q has no place in %q", p, text)
					}
				}
			}
		}
		if tables[0].any([]byte(strings.Repeat("no secret here. ", 99))) {
			t.Error("a secret is found where there is none")
		}
	}
}

// FuzzRuns holds that runs of base64 are found as they are defined: as long as they can be.
func FuzzRuns(f *testing.F) {
	for _, seed := range []string{"", "word of 16 letters: abcdefghijklmnop", "a+b-c/d_e,f.g:h 0123456789_-+/ABCDEFGHIJKLMNOPQRSTUVWXYZ`{@[", "\x80\xab\xdf____________________\x7f"} {
		f.Add([]byte(seed))
	}
	for c := range 256 {
		f.Add([]byte("0123456789" + string([]byte{byte(c)}) + "0123456789abcdefghij"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, least := range []int{shortRun, minRun} {
			var want, got [][2]int
			for i := 0; i < len(text); i++ {
				start := i
				for i < len(text) && base64Char[text[i]] {
					i++
				}
				if i-start >= least {
					want = append(want, [2]int{start, i})
				}
			}
			for i := 0; ; {
				start, end, ok := nextRun(text, i, least)
				if !ok {
					break
				}
				got = append(got, [2]int{start, end})
				i = end
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q has runs at %v, not %v", text, want, got)
			}
		}
	})
}
