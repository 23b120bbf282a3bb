package redact

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// BenchmarkJSON measures messages as they pass a firewall that knows twenty
// secrets. All but the last kind hold none.
func BenchmarkJSON(b *testing.B) {
	r := with(samples(20)...)
	short := with(append(samples(20), "p4ssw0rd")...)
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
		{"1MiB/quotes", r, fill(`The quick brown fox jumps over the lazy dog, and \"every\" line of it ends somewhere.\n`, 1<<20)},
		{"1MiB/json-in-json", r, fill(`{\"name\": \"fox\", \"size\": 12, \"tags\": [\"red\", \"quick\"]},\n`, 1<<20)},
		{"1MiB/percent", r, fill("https://example.com/a%20b%2Fc?q=fox ", 1<<20)},
		{"1MiB/base64", r, fill("VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgYW5k", 1<<20)},
		{"1MiB/finds", r, fill(prose+samples(1)[0]+`\n`, 1<<20)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := bench.r.Known(bench.raw); err != nil {
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
			r := with(samples(n)...)
			b.ReportAllocs()
			for b.Loop() {
				r.Add("vault:x", "another-secret")
				r.Text("x")
				r.Remove("vault:x", "another-secret")
			}
		})
	}
}

// BenchmarkAll measures messages with all detectors on, and twenty known values: with masks,
// and with tokens, for which what looks like one is looked for too.
func BenchmarkAll(b *testing.B) {
	const prose = "The quick brown fox jumps over the lazy dog, and 42 others do so as well; see the page on foxes for more. "
	const object = `{"id":48213,"name":"fox","tags":["red","quick"],"size":1.25,"at":"2025-03-04T10:11:12Z","done":false},`
	const finds = `Mail jane.doe@corp.example or call +44 20 7946 0958; card 4111 1111 1111 1111, key ghp_16C7e42F292c6912E7710c838347Ae178B4a. `
	flat := func(unit string, size int) func() []byte {
		return func() []byte { return []byte(`{"text":"` + strings.Repeat(unit, size/len(unit)+1)[:size] + `"}`) }
	}
	objects := func(size int) func() []byte {
		return func() []byte {
			return []byte("[" + strings.TrimSuffix(strings.Repeat(object, size/len(object)), ",") + "]")
		}
	}
	// A tool's answer that is one long text, with the escapes that a text of many lines has.
	result := func(size int) func() []byte {
		const line = `The quick brown fox jumps over the lazy dog, and \"every\" line of it ends somewhere.\n`
		return func() []byte {
			return []byte(`{"jsonrpc":"2.0","id":17,"result":{"content":[{"type":"text","text":"17 ` + strings.Repeat(line, size/len(line)) + `"}],"isError":false}}`)
		}
	}
	for _, bench := range []struct {
		name string
		raw  func() []byte
	}{
		{"flat/1KiB", flat(prose, 1<<10)},
		{"flat/1MiB", flat(prose, 1<<20)},
		{"flat/64MiB", flat(prose, 64<<20)},
		{"lines/1MiB", flat(prose[:40]+`\n`, 1<<20)},
		{"result/16KiB", result(16 << 10)},
		{"result/1MiB", result(1 << 20)},
		{"objects/1MiB", objects(1 << 20)},
		{"objects/64MiB", objects(64 << 20)},
		{"finds/1MiB", flat(finds, 1<<20)},
		{"picture/1MiB", flat(picture(96<<10), 1<<20)},
	} {
		for _, action := range []Action{Mask, Tokenize} {
			r := made(b, Options{Secrets: action, PII: map[string]Action{AnyType: action}})
			for i, v := range samples(20) {
				r.Add(fmt.Sprintf("vault:a#%d", i), v)
			}
			if err := r.Prepare(); err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%s", bench.name, action), func(b *testing.B) {
				session, raw := NewTokens(), bench.raw()
				b.SetBytes(int64(len(raw)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := r.JSON(raw, Scope{Tokens: session}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// picture returns base64 of what is no text.
func picture(size int) string {
	rng := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return base64.StdEncoding.EncodeToString(data)
}
