package rules

import (
	"fmt"
	"testing"
)

// BenchmarkCheck holds 1,000 rules against all recorded tools.
func BenchmarkCheck(b *testing.B) {
	tools := recordedTools(b)
	for _, c := range []struct{ name, pattern, when string }{
		{"every tool, one argument", "*", `(args.query ?? "") contains "x%d"`},
		{"every tool, its name too", "*", `tool.name startsWith "get" and "url" in args and args.url == "x%d"`},
		{"one server each", "", `(args.query ?? "") contains "x%d" or (args.limit ?? 0) > 5`},
	} {
		b.Run(c.name, func(b *testing.B) {
			src := Source{Tools: Patterns{Default: Allow}}
			for i := range 1000 {
				pattern := c.pattern
				if pattern == "" {
					pattern = tools[i*7%len(tools)].Server + ".*"
				}
				src.Rules = append(src.Rules, Rule{Name: fmt.Sprint("rule ", i), Tools: []string{pattern}, When: fmt.Sprintf(c.when, i), Then: Deny})
			}
			p := mustPolicy(b, src)
			b.ReportAllocs()
			for b.Loop() {
				if len(p.Check(tools)) == 0 {
					b.Fatal("nothing is found")
				}
			}
		})
	}
}
