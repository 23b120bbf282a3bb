package schema

import (
	"strings"
	"testing"
)

// BenchmarkArguments is what every tools/call costs here: all three checks of its arguments.
func BenchmarkArguments(b *testing.B) {
	const declared = `{"type":"object","properties":{"path":{"type":"string"},"text":{"type":"string","description":"x"},"limit":{"type":"integer","minimum":1},` +
		`"mode":{"enum":["fast","slow"]},"tag":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}},"required":["path"],"additionalProperties":false}`
	for _, c := range []struct{ name, schema, args string }{
		{"64B", declared, `{"path":"/srv/data/a.txt","limit":50,"mode":"fast","tag":null}`},
		{"16KiB", declared, `{"path":"/srv/data/a.txt","text":"` + strings.Repeat("x", 16<<10) + `"}`},
		{"16KiB escapes", declared, `{"path":"/srv/data/a.txt","text":"` + strings.Repeat(`some text of a line, \"quoted\"\n`, 512) + `"}`},
		{"64B anything", ``, `{"path":"/srv/data/a.txt","limit":50,"mode":"fast","tag":null}`},
		{"64B combinators", `{"type":"object","properties":{"path":true},"allOf":[{"properties":{"limit":{"type":"integer"},"mode":true,"tag":true}}]}`, `{"path":"/srv/data/a.txt","limit":50,"mode":"fast","tag":null}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := mustCompile(b, c.schema)
			args := []byte(c.args)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Check(args, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
