package rules

import (
	"fmt"
	"sync"
	"testing"
)

// TestConcurrentPolicies holds, with the race detector, that policies are compiled, checked and used
// side by side: each session does so.
func TestConcurrentPolicies(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			p, err := Compile(Source{Tools: Patterns{Default: Allow}, Rules: []Rule{{Name: "r", Tools: []string{"*"},
				When: fmt.Sprintf(`url(args.u).host == "h%d.example" or lower(args.u ?? "") == "x"`, i), Then: Ask}}})
			if err != nil {
				t.Error(err)
				return
			}
			c := Capability{Kind: Tool, Server: "s", Name: "t", InputSchema: []byte(`{"type":"object","properties":{"u":{"type":"string"}},"required":["u"]}`)}
			if found := p.Check([]Capability{c}); len(found) != 0 {
				t.Errorf("%v", found)
			}
			call := Call{Args: fmt.Appendf(nil, `{"u":"https://h%d.example/"}`, i)}
			if d := p.Bind(c).Decide(call); d.Action != Ask {
				t.Errorf("%v", d)
			}
			p.Bind(c).Explain(call, Owner{})
		})
	}
	wg.Wait()
}
