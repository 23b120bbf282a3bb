package rules

import (
	"fmt"
	"strings"
	"testing"
)

func benchPolicy(b *testing.B, when string, matching int) *Policy {
	src := Source{Tools: Patterns{Allow: []string{"one.*"}}}
	for i := range 100 {
		tool := "other.*"
		if i < matching {
			tool = "one.*"
		}
		src.Rules = append(src.Rules, Rule{Name: fmt.Sprintf("rule %d", i), Tools: []string{tool}, When: fmt.Sprintf(when, 1000+i), Then: Deny})
	}
	return mustPolicy(b, src)
}

func BenchmarkDecide(b *testing.B) {
	small := `{"text":"` + strings.Repeat("x", 64) + `","n":3}`
	large := `{"text":"` + strings.Repeat("x", 16<<10) + `","n":3}`
	for _, c := range []struct {
		name, when, args string
		matching         int
	}{
		{"100 of 100", `(args.n ?? 0) > %d`, small, 100},
		{"10 of 100", `(args.n ?? 0) > %d`, small, 10},
		{"10 of 100, 16KiB", `(args.n ?? 0) > %d`, large, 10},
		{"10 of 100 on text", `args.text contains "y%d" or args.text in ["a", "b"] and tool.name == "x"`, small, 10},
		{"10 of 100 with a loop", `any([1, 2, 3], # + %d < args.n)`, small, 10},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := benchPolicy(b, c.when, c.matching).Bind(Capability{Kind: Tool, Server: "one", Name: "echo"})
			args := []byte(c.args)
			b.ReportAllocs()
			for b.Loop() {
				if d := e.Decide(Call{Args: args}); d.Action != Allow {
					b.Fatal(d)
				}
			}
		})
	}
}

// BenchmarkBind binds a list of 10,000 tools.
func BenchmarkBind(b *testing.B) {
	p := benchPolicy(b, `(args.n ?? 0) > %d`, 10)
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("tool_of_some_length_%d", i)
	}
	annotations := []byte(`{"title":"A tool","readOnlyHint":true,"openWorldHint":false}`)
	b.ReportAllocs()
	for b.Loop() {
		for _, name := range names {
			if p.Bind(Capability{Kind: Tool, Server: "one", Name: name, Annotations: annotations}).Hidden() {
				b.Fatal(name)
			}
		}
	}
}
