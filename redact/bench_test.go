package redact

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkJSON measures messages as they pass a firewall that knows twenty
// secrets. All but the last kind hold none.
func BenchmarkJSON(b *testing.B) {
	r := with(secrets(20)...)
	short := with(append(secrets(20), "p4ssw0rd")...)
	const prose = "The quick brown fox jumps over the lazy dog, and 42 others do so as well; see https://example.com/fox?id=7. "
	fill := func(unit string, size int) []byte {
		return []byte(`{"text":"` + strings.Repeat(unit, size/len(unit)+1)[:size/len(unit)*len(unit)] + `"}`)
	}
	for _, bench := range []struct {
		name string
		r    *Redactor
		raw  []byte
	}{
		{"64B", r, []byte(`{"jsonrpc":"2.0","id":17,"result":{"content":[],"isError":false}}`)},
		{"1KiB", r, fill(prose, 1<<10)},
		{"1KiB/lines", r, fill(prose[:40]+`\n`, 1<<10)},
		{"16KiB", r, fill(prose, 16<<10)},
		{"1MiB", r, fill(prose, 1<<20)},
		{"1MiB/short-secret", short, fill(prose, 1<<20)},
		{"1MiB/lines", r, fill(prose[:40]+`\n`, 1<<20)},
		{"1MiB/json-in-json", r, fill(`{\"name\": \"fox\", \"size\": 12, \"tags\": [\"red\", \"quick\"]},\n`, 1<<20)},
		{"1MiB/percent", r, fill("https://example.com/a%20b%2Fc?q=fox ", 1<<20)},
		{"1MiB/base64", r, fill("VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgYW5k", 1<<20)},
		{"1MiB/finds", r, fill(prose+secrets(1)[0]+`\n`, 1<<20)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := bench.r.JSON(bench.raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAdd measures a change together with the first look after it.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{20, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := with(secrets(n)...)
			b.ReportAllocs()
			for b.Loop() {
				r.Add("vault:x", "another-secret")
				r.Text("x")
				r.Remove("vault:x", "another-secret")
			}
		})
	}
}
