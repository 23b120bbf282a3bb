package jsonrpc

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// call returns a tools/call with an argument of about n bytes of text.
func call(n int) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"echo","arguments":{"message":%q}}}`,
		strings.Repeat("the quick brown fox ", n/20+1)[:n])
}

// dense returns a result of about n bytes that is all structure: an array of small objects.
func dense(n int) []byte {
	b := []byte(`{"jsonrpc":"2.0","id":12,"result":{"structuredContent":[`)
	for i := 0; len(b) < n; i++ {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"id":%d,"ok":true,"tags":["a","b"],"price":%d.25,"name":"n%d"}`, i, i, i)
	}
	return append(b, "]}}"...)
}

// escaped returns a result of about n bytes whose text is a JSON document in a string, as
// many servers send it.
func escaped(n int) []byte {
	text := strings.Repeat("{\n  \"name\": \"value\"\n}", n/27)
	return NewResult([]byte("12"), append(append([]byte(`{"content":[{"type":"text","text":`), Quote(text)...), "}]}"...))
}

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"call/64", call(64)},
		{"call/16KiB", call(16 << 10)},
		{"call/1MiB", call(1 << 20)},
		{"escaped/16KiB", escaped(16 << 10)},
		{"escaped/1MiB", escaped(1 << 20)},
		{"dense/16KiB", dense(16 << 10)},
		{"dense/1MiB", dense(1 << 20)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(c.raw, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	raw := call(64)
	b.ReportAllocs()
	for b.Loop() {
		if !bytes.Equal(Get(raw, "params", "name"), []byte(`"echo"`)) {
			b.Fatal("not found")
		}
	}
}

func BenchmarkSplice(b *testing.B) {
	m, err := Parse(call(16<<10), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Splice(Edit{m.ID, []byte("4711")}, Set(m.Raw, m.Params, "_meta", []byte(`{}`)))
	}
}
