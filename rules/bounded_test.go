package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

// Whatever a rule does with whatever arguments ends soon, on a machine that does other things
// as well, and denies.
func TestEvaluationIsBounded(t *testing.T) {
	shared := "let a0 = [args.s, args.s]; "
	for i := range 60 {
		shared += fmt.Sprintf("let a%d = [a%d, a%[2]d]; ", i+1, i)
	}
	folders := `{"x":["/tmp/a` + strings.Repeat(`","/tmp/some/folder`, 20_000) + `"]}`
	for _, test := range []struct {
		name, when, args, want string
	}{
		{"parts that are one value", shared + "seen(a60)", `{"s":"x"}`, "too many steps"},
		{"parts that are one value, trusted", shared + "trusted(a60) or tainted(a60)", `{"s":"x"}`, "too many steps"},
		{"a long list", "len(args.x) > 3", `{"x":[` + strings.Repeat("1,", 8<<20) + `1]}`, "too large for a rule"},
		{"empty lists", "len(args.x) > 3", `{"x":[` + strings.Repeat("[],", 4<<20) + `[]]}`, "too large for a rule"},
		{"many members", `args.x != nil`, `{"x":{` + manyMembers(300_000) + `}}`, "too large for a rule"},
		{"many arguments", `args.x != nil`, `{"x":1,` + manyMembers(300_000) + `}`, "too large for a rule"},
		{"several lists", "args.x == args.y or args.z == args.x", `{"x":[` + strings.Repeat("1,", 150_000) + `1],"y":[` + strings.Repeat("1,", 150_000) + `2],"z":3}`, "too large for a rule"},
		{"many folders", `any(1..20, path("/tmp/a").within(args.x))`, folders, "too many steps"},
		{"many networks", `any(1..2000, ip("192.0.2.1").in(args.x))`, `{"x":["192.0.2.2` + strings.Repeat(`","192.0.2.2`, 20_000) + `"]}`, "too many steps"},
	} {
		p := mustPolicy(t, Source{Tools: Patterns{Default: Allow}, Rules: []Rule{{Name: "r", Tools: []string{"*"}, When: test.when, Then: Ask}}})
		e := p.Bind(Capability{Kind: Tool, Server: "s", Name: "t"})
		began := time.Now()
		d := e.Decide(Call{Args: []byte(test.args), Parsed: true, Knowledge: Knowledge{Memory: provenance.New(provenance.Options{})}})
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: it took %s", test.name, took)
		}
		if d.Action != Deny || d.Failed == nil || !strings.Contains(d.Failed.Error(), test.want) {
			t.Errorf("%s: %s, %v", test.name, d.Action, d.Failed)
		}
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"m%d":0,`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// What a rule does not read may be as large as a message.
func TestLargeArgumentsThatNoRuleReads(t *testing.T) {
	p := mustPolicy(t, Source{Tools: Patterns{Default: Allow}, Rules: []Rule{{Name: "r", Tools: []string{"*"}, When: "args.n > 3", Then: Ask}}})
	e := p.Bind(Capability{Kind: Tool, Server: "s", Name: "t"})
	list := `{"n":1,"x":[` + strings.Repeat("1,", 1<<20) + `1]}`
	if d := e.Decide(Call{Args: []byte(list)}); d.Action != Allow {
		t.Errorf("%s: %v", d.Action, d.Failed)
	}
	long := mustPolicy(t, Source{Tools: Patterns{Default: Allow}, Rules: []Rule{{Name: "r", Tools: []string{"*"}, When: "len(args.x) == 7", Then: Ask}}})
	text := `{"x":"` + strings.Repeat("x", 16<<20) + `"}`
	if d := long.Bind(Capability{Kind: Tool, Server: "s", Name: "t"}).Decide(Call{Args: []byte(text)}); d.Action != Allow {
		t.Errorf("a long text: %s: %v", d.Action, d.Failed)
	}
}
