package rules

import (
	"fmt"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

// BenchmarkDecideProvenance decides by 1,000 rules, of which 5 speak of the tool and ask
// where a value came from, in a session that has seen 10,000 values.
func BenchmarkDecideProvenance(b *testing.B) {
	src := Source{Tools: Patterns{Default: Allow}}
	for i := range 1000 {
		tool := "other.*"
		if i < 5 {
			tool = "mail.send"
		}
		src.Rules = append(src.Rules, Rule{Name: fmt.Sprintf("rule %d", i), Tools: []string{tool}, When: `args.to != nil and not trusted(args.to) or tainted(args.subject)`, Then: Deny})
	}
	memory := provenance.New(provenance.Options{})
	for i := range 10_000 {
		memory.Text(provenance.Observation{Source: "crm.find", Trust: provenance.Trusted}, fmt.Sprintf("person%d@example.com", i))
	}
	e := mustPolicy(b, src).Bind(Capability{Kind: Tool, Server: "mail", Name: "send"})
	call := Call{Args: []byte(`{"to":"person4711@example.com","subject":"Lunch"}`), Parsed: true, Knowledge: Knowledge{Memory: memory}}
	b.ReportAllocs()
	for b.Loop() {
		if d := e.Decide(call); d.Action != Allow {
			b.Fatal(d)
		}
	}
}
