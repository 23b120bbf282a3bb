package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

func TestExplain(t *testing.T) {
	policy := mustPolicy(t, Source{
		Tools: Patterns{Allow: []string{"mail.*"}, Ask: []string{"mail.send*"}},
		Rules: []Rule{
			{Name: "people", Tools: []string{"mail.send"}, When: `not all(args.to + (args.cc ?? []), trusted(#))`, Then: Deny},
			{Name: "size", Tools: []string{"mail.*"}, When: `let n = len(args.body); n > 10 and user.subject != "root"`, Then: Ask},
			{Name: "host", Tools: []string{"mail.send"}, When: `url(args.link).host == "example.com"`, Then: Ask},
			{Name: "always", Tools: []string{"*"}, Then: Ask},
			{Name: "other", Tools: []string{"web.*"}, Then: Deny},
			{Name: "shown", Tools: []string{"mail.*"}, On: "result", When: `result.text contains "x"`, Then: Deny},
		},
		Limits: []Limit{{Name: "bytes", Tools: []string{"mail.send"}, When: "args.body != nil", Sum: "len(args.body)", Max: "100", Per: "1h", Then: Ask}},
	})
	memory := provenance.New(provenance.Options{})
	memory.Text(provenance.Observation{Source: "user"}, "write to ann@example.com")
	call := Call{Args: []byte(`{"to":["ann@example.com","eve@evil.example"],"body":"hello \u202e you","link":"no link"}`),
		User: User{Subject: "ann"}, Knowledge: Knowledge{Memory: memory}}
	entry := policy.Bind(Capability{Kind: Tool, Server: "mail", Name: "send"})
	got := map[string]string{}
	for _, s := range entry.Explain(call, Owner{Principal: "ann"}) {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %q %s holds=%t failed=%t %s\n", s.Kind, s.Text, s.Action, s.Holds, s.Failed != nil, strings.Join(s.Names, " "))
		for _, r := range s.Reads {
			fmt.Fprintf(&b, "%s = %s\n", r.Expr, r.Short(60))
		}
		got[s.Name] = b.String()
	}
	want := map[string]string{
		"tools.ask: mail.send*": "pattern \"mail.send*\" ask holds=true failed=false \n",
		"tools.allow: mail.*":   "pattern \"mail.*\" allow holds=true failed=false \n",
		"people": `rule "not all(args.to + (args.cc ?? []), trusted(#))" deny holds=true failed=false args.cc args.to trusted()
map(args.to + args.cc ?? [], trusted(#)) = [true,false]
args.to = ["ann@example.com","eve@evil.example"]
args.cc = null
`,
		"size": `rule "let n = len(args.body); n > 10 and user.subject != \"root\"" ask holds=true failed=false args.body user.subject
args.body = "hello \u{202e} you"
user.subject = "ann"
`,
		"host": `rule "url(args.link).host == \"example.com\"" ask holds=false failed=true args.link url()
url(args.link).host = (url(): not a URL that everybody reads alike: it contains a space or a backslash)
args.link = "no link"
`,
		"always": "rule \"\" ask holds=true failed=false \n",
		"bytes": `limit "100 per 1h for you" ask holds=true failed=false args.body
args.body = "hello \u{202e} you"
len(args.body) = 11
`,
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s:\n%s\nwant\n%s", name, got[name], text)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("there is a step of %q", name)
	}

	steps := entry.ExplainResult(call, []byte(`{"content":[{"type":"text","text":"xyz"}]}`))
	if len(steps) != 1 || steps[0].Kind != StepResult || !steps[0].Holds || len(steps[0].Reads) != 1 || steps[0].Reads[0].Value != `"xyz"` {
		t.Errorf("the steps on a result are %+v", steps)
	}
	denied := policy.Bind(Capability{Kind: Tool, Server: "web", Name: "get"}).Explain(call, Owner{})
	if len(denied) != 1 || denied[0].Name != "tools.default" || denied[0].Decides() != Deny {
		t.Errorf("what the patterns deny has the steps %+v", denied)
	}
}

// TestExplainIsDecide holds the steps against the decisions that they explain.
func TestExplainIsDecide(t *testing.T) {
	whens := []string{"", "args.n > 5", "args.n > 50", "args.s contains 'a'", "args.none.x == 1", "trusted(args.s)", "len(session.labels) > 0", "args.n * args.n > 100",
		"any(args.list, # == args.s)", "calls('a.*', '1h') > 0", "url(args.s).private"}
	results := []string{"", "result.isError", "result.text contains args.s", "result.json.n > 3", "trusted(result.text)"}
	patterns := []string{"*", "a.*", "a.x", "b.*", "*.x"}
	seen := map[Action]int{}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 7))
		pick := func(list []string) string { return list[r.IntN(len(list))] }
		some := func() (list []string) {
			for range r.IntN(3) {
				list = append(list, pick(patterns))
			}
			return list
		}
		src := Source{Tools: Patterns{Default: Action(1 + r.IntN(3)), Allow: some(), Ask: some()}}
		if r.IntN(4) == 0 {
			src.Tools.Deny = some()
		}
		for i := range r.IntN(5) {
			src.Rules = append(src.Rules, Rule{Name: fmt.Sprintf("r%d", i), Tools: []string{pick(patterns)}, When: pick(whens), Then: Action(2 + r.IntN(2))})
		}
		for i := range r.IntN(3) {
			src.Rules = append(src.Rules, Rule{Name: fmt.Sprintf("o%d", i), Tools: []string{pick(patterns)}, On: "result", When: pick(results), Then: Action(2 + r.IntN(2))})
		}
		for i := range r.IntN(3) {
			src.Limits = append(src.Limits, Limit{Name: fmt.Sprintf("l%d", i), Tools: []string{pick(patterns)}, Sum: pick([]string{"", "args.n", "args.s"}), Max: "10", Per: "1h", Then: Ask})
		}
		entry := mustPolicy(t, src).Bind(Capability{Kind: Tool, Server: pick([]string{"a", "b"}), Name: pick([]string{"x", "y"})})
		call := Call{Args: fmt.Appendf(nil, `{"n":%d,"s":%q,"list":["a","b"]}`, r.IntN(100), pick([]string{"a", "b", "http://10.0.0.1"})), Knowledge: Knowledge{History: new(History)}}
		if r.IntN(2) == 0 {
			call.Memory = provenance.New(provenance.Options{})
			call.Memory.Text(provenance.Observation{Source: "user"}, "a")
		}
		who := Owner{Principal: "p", Session: "s"}

		steps := entry.Explain(call, who)
		check := func(what string, d Decision, of func(Step) bool) {
			t.Helper()
			strictest, named := Allow, false
			for _, s := range steps {
				if of(s) {
					strictest = max(strictest, s.Decides())
				}
			}
			for _, s := range steps {
				named = named || of(s) && s.Name == d.Rule && s.Decides() == d.Action && (s.Failed != nil) == (d.Failed != nil)
			}
			if strictest != d.Action || !named && d.Rule != "" {
				t.Fatalf("%s of seed %d: the strictest step is %s, the decision %s by %q\n%+v", what, seed, strictest, d.Action, d.Rule, steps)
			}
			seen[d.Action]++
		}
		check("the call", entry.Decide(call), func(s Step) bool { return s.Kind != StepLimit })
		if entry.Hidden() {
			continue
		}
		_, charged := entry.Charges(call, who)
		check("the charges", charged, func(s Step) bool { return s.Kind == StepLimit })
		for _, result := range []string{`{"content":[{"type":"text","text":"a"}],"structuredContent":{"n":4}}`, `{"content":[],"isError":true}`, `[]`} {
			steps = entry.ExplainResult(call, []byte(result))
			check("the result", entry.DecideResult(call, []byte(result)), func(Step) bool { return true })
		}
	}
	if seen[Allow] < 100 || seen[Ask] < 100 || seen[Deny] < 100 {
		t.Errorf("the policies decide one-sidedly: %v", seen)
	}
}

func TestExplainIsBounded(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	policy := mustPolicy(t, Source{Tools: Patterns{Default: Allow}, Rules: []Rule{{Name: "r", Tools: []string{"*"}, When: `args.s == "" or args.t == ""`, Then: Deny}}})
	entry := policy.Bind(Capability{Kind: Tool, Server: "a", Name: "x"})
	for _, s := range entry.Explain(Call{Args: fmt.Appendf(nil, `{"s":%q,"t":"short"}`, long)}, Owner{}) {
		for _, r := range s.Reads {
			if len(r.Value) > maxReading || len(r.Short(100)) > 110 {
				t.Errorf("%s has a value of %d bytes", r.Expr, len(r.Value))
			}
		}
		if s.Kind == StepRule && !slices.ContainsFunc(s.Reads, func(r Reading) bool { return r.Value == `"short"` }) {
			t.Error("what is too long hides what is not")
		}
	}
}

// TestNow holds the clock of a call.
func TestNow(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	history := new(History)
	history.Add("a", "x", at.Add(-90*time.Minute))
	policy := mustPolicy(t, Source{Tools: Patterns{Default: Allow}, Rules: []Rule{
		{Name: "r", Tools: []string{"*"}, When: `now().Hour() != 9 or now(timezone("Europe/Berlin")).Hour() != 10 or calls("a.*", "1h") != 0 or calls("a.*", "2h") != 1`, Then: Deny}}})
	d := policy.Bind(Capability{Kind: Tool, Server: "a", Name: "x"}).Decide(Call{Knowledge: Knowledge{History: history, Now: func() time.Time { return at }}})
	if d.Action != Allow {
		t.Errorf("the decision is %+v", d)
	}
}
