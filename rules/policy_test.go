package rules

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

func mustPolicy(t testing.TB, src Source) *Policy {
	t.Helper()
	p, err := Compile(src)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPatterns(t *testing.T) {
	p := mustPolicy(t, Source{
		Tools:     Patterns{Allow: []string{"github.get_*", "mail.*", "crm.find.by-*.x"}, Ask: []string{"github.get_secret*", "*.create_*"}, Deny: []string{"*.delete_*", "mail.*İ*"}},
		Resources: Patterns{Default: Allow, Deny: []string{"docs.file:///etc/*"}, Ask: []string{"docs.file:///srv/*"}},
		Prompts:   Patterns{Default: Ask, Allow: []string{"*.help"}},
	})
	for _, c := range []struct {
		kind         Kind
		server, name string
		action       Action
		by           string
	}{
		{Tool, "github", "get_issue", Allow, "tools.allow: github.get_*"},
		{Tool, "github", "get_", Allow, "tools.allow: github.get_*"},
		{Tool, "github", "Get_issue", Deny, "tools.default"},
		{Tool, "github", "get_secrets", Ask, "tools.ask: github.get_secret*"},
		{Tool, "github", "create_issue", Ask, "tools.ask: *.create_*"},
		{Tool, "mail", "delete_all", Deny, "tools.deny: *.delete_*"},
		{Tool, "mail", "DELETE_all", Deny, "tools.deny: *.delete_*"},
		{Tool, "mail", "ſend", Allow, "tools.allow: mail.*"},
		{Tool, "crm", "find.by-name.x", Allow, "tools.allow: crm.find.by-*.x"},
		{Tool, "crm", "find.by-.x", Allow, "tools.allow: crm.find.by-*.x"},
		{Tool, "crm", "find.by-x", Deny, "tools.default"},
		{Resource, "docs", "file:///srv/a/b.txt", Ask, "resources.ask: docs.file:///srv/*"},
		{Resource, "docs", "file:///ETC/passwd", Deny, "resources.deny: docs.file:///etc/*"},
		{Template, "docs", "file:///srv/{path}", Ask, "resources.ask: docs.file:///srv/*"},
		{Resource, "docs", "https://x", Allow, "resources.default"},
		{Prompt, "docs", "help", Allow, "prompts.allow: *.help"},
		{Prompt, "docs", "x", Ask, "prompts.default"},
	} {
		e := p.Bind(Capability{Kind: c.kind, Server: c.server, Name: c.name})
		if d := e.Base(); d.Action != c.action || d.Rule != c.by || e.Hidden() != (c.action == Deny) || (d.Message == "") != (c.action == Allow) {
			t.Errorf("%s %s.%s: %+v, want %s by %s", c.kind, c.server, c.name, d, c.action, c.by)
		}
		if d := e.Decide(Call{}); d != e.Base() {
			t.Errorf("%s.%s: decided %+v", c.server, c.name, d)
		}
	}
}

func TestDeniedKelvin(t *testing.T) {
	p := mustPolicy(t, Source{Tools: Patterns{Default: Allow, Deny: []string{"*.kill"}}})
	if !p.Bind(Capability{Server: "s", Name: "\u212Aill"}).Hidden() {
		t.Error("a tool that a server matches without case gets past a deny pattern")
	}
}

// TestGlob holds the matcher against the definition of a pattern.
func TestGlob(t *testing.T) {
	var slow func(p, s string) bool
	slow = func(p, s string) bool {
		switch {
		case p == "":
			return s == ""
		case p[0] == '*':
			return slow(p[1:], s) || s != "" && slow(p, s[1:])
		}
		return s != "" && s[0] == p[0] && slow(p[1:], s[1:])
	}
	r := rand.New(rand.NewPCG(1, 2))
	word := func(letters string, n int) string {
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		return string(b)
	}
	matched := 0
	for range 50000 {
		p, s := word("ab*.", 8), word("ab.", 10)
		want := slow(p, s)
		if got := newGlob(p, false).match(subject{exact: s}); got != want {
			t.Fatalf("%q on %q: %v", p, s, got)
		}
		if want {
			matched++
		}
	}
	if matched < 1000 {
		t.Errorf("only %d matches", matched)
	}
}

func TestRules(t *testing.T) {
	src := Source{
		Tools: Patterns{Allow: []string{"pay.*", "mail.*"}, Ask: []string{"crm.*"}},
		Rules: []Rule{
			{Name: "large", Tools: []string{"pay.*"}, When: "args.amount > 100", Then: Ask, Message: "Large payments need a person."},
			{Name: "huge", Tools: []string{"pay.*"}, When: "args.amount > 1000", Then: Deny},
			{Name: "never on mail", Tools: []string{"MAIL.send"}, Then: Deny, Message: "No."},
			{Name: "crm writes", Tools: []string{"crm.write"}, When: `"untrusted" in session.labels`, Then: Ask, Message: "The session read untrusted text."},
			{Name: "currency", Tools: []string{"pay.*"}, When: `args.currency == "XXX"`, Then: Deny},
		},
	}
	p := mustPolicy(t, src)
	for _, c := range []struct {
		server, name, args string
		labels             []string
		action             Action
		by, message        string
		failed             bool
	}{
		{"pay", "x", `{"amount":1}`, nil, Allow, "tools.allow: pay.*", "", false},
		{"pay", "x", `{"amount":101}`, nil, Ask, "large", "Large payments need a person.", false},
		{"pay", "x", `{"amount":1001}`, nil, Deny, "huge", "The policy does not allow this call", false},
		{"pay", "x", `{"amount":1001,"currency":"XXX"}`, nil, Deny, "currency", "", false},
		{"pay", "x", `{"currency":"EUR"}`, nil, Deny, "huge", `The policy rule "huge" could not be evaluated`, true},
		{"pay", "x", ``, nil, Deny, "huge", "could not be evaluated", true},
		{"pay", "x", `[`, nil, Deny, "currency", "could not be evaluated", true},
		{"mail", "send", ``, nil, Deny, "never on mail", "No.", false},
		{"mail", "read", ``, nil, Allow, "tools.allow: mail.*", "", false},
		{"crm", "write", ``, nil, Ask, "tools.ask: crm.*", "approval of a person", false},
		{"crm", "write", ``, []string{"untrusted"}, Ask, "crm writes", "untrusted text", false},
		{"other", "x", ``, nil, Deny, "tools.default", "", false},
	} {
		var args []byte
		if c.args != "" {
			args = []byte(c.args)
		}
		d := p.Bind(Capability{Server: c.server, Name: c.name}).Decide(Call{Args: args, Session: Session{Labels: c.labels}})
		var failed *RunError
		if d.Action != c.action || d.Rule != c.by || !strings.Contains(d.Message, c.message) || errors.As(d.Failed, &failed) != c.failed {
			t.Errorf("%s.%s %s: %+v, want %s by %s", c.server, c.name, c.args, d, c.action, c.by)
		}
		if failed != nil && failed.Rule != c.by {
			t.Errorf("%s.%s %s: failed %q", c.server, c.name, c.args, failed.Rule)
		}
	}
	// A hidden tool stays hidden, whatever the rules say; one that a rule denies is not hidden.
	if e := p.Bind(Capability{Server: "mail", Name: "send"}); e.Hidden() {
		t.Error("a rule hides a tool")
	}
}

func TestCompileReportsEverything(t *testing.T) {
	_, err := Compile(Source{
		Tools:     Patterns{Default: 9, Allow: []string{"", "get_x"}, Deny: []string{".x", "git_hub.x"}},
		Resources: Patterns{Ask: []string{"\xff."}},
		Rules: []Rule{
			{Tools: []string{"*"}, Then: Deny},
			{Name: "a", Tools: []string{"delete"}, Then: Allow},
			{Name: "a", When: "arg.x", Then: 0},
			{Name: "b", Tools: []string{"*"}, When: `args.x == "ü" and tol.name`, Then: Ask},
		},
	})
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("%v", err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%s@%d %s", p.Path, p.Offset, p.Suggestion))
		if !strings.Contains(err.Error(), p.Message) {
			t.Errorf("the error lacks %q", p.Message)
		}
	}
	want := []string{
		"tools.default@0 ", "tools.allow[0]@0 ", "tools.allow[1]@0 *.get_x", "tools.deny[0]@0 *.x", "tools.deny[1]@3 *.git_hub.x",
		"resources.ask[0]@0 ",
		"rules[0]@0 ",
		"rules[1].tools[0]@0 *.delete", "rules[1].then@0 ",
		"rules[2].name@0 ", "rules[2].tools@0 ", "rules[2].then@0 ", "rules[2].when@0 args",
		"rules[3].when@19 tool",
	}
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
}

func TestUnmatched(t *testing.T) {
	p := mustPolicy(t, Source{
		Tools:     Patterns{Allow: []string{"github.get_isue", "github.*", "gihub.get_*"}, Deny: []string{"*.DELETE_*", "*.drop_*"}},
		Resources: Patterns{Allow: []string{"docs.file:///x", "wiki.page"}},
		Rules:     []Rule{{Name: "r", Tools: []string{"github.get_issue", "stripe.create_refnud"}, Then: Ask}},
	})
	got := p.Unmatched([]Capability{
		{Kind: Tool, Server: "github", Name: "get_issue"}, {Kind: Tool, Server: "github", Name: "delete_x"}, {Kind: Tool, Server: "stripe", Name: "create_refund"},
		{Kind: Template, Server: "docs", Name: "file:///{path}"}, {Kind: Prompt, Server: "wiki", Name: "page"},
	})
	var lines []string
	for _, g := range got {
		lines = append(lines, g.Path+" "+g.Suggestion)
	}
	want := []string{"resources.allow[1] ", "rules[0].tools[1] stripe.create_refund", "tools.allow[0] github.get_issue", "tools.allow[2] github.get_issue", "tools.deny[1] "}
	if a, b := strings.Join(lines, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
}

// pool are rules and patterns that random policies are drawn from; some of the
// conditions fail on some calls.
var pool = struct{ patterns, conditions, args []string }{
	[]string{"*", "a.*", "*.x", "a.x", "b.y*", "*.*y", "A.X"},
	[]string{"", "args.n > 1", "args.n < 2", `args.s startsWith "a"`, "len(args.l) > 1", "any(args.l, # == 1)", "true", "false", "args.n * args.n > 5", `"p" in session.labels`},
	[]string{`{}`, `{"n":1,"s":"abc","l":[1,2]}`, `{"n":3,"s":"b","l":[]}`, `{"n":"x","l":5}`, `{"n":9223372036854775807,"s":"a"}`, `{"n":99999999999999999999}`, `[]`, `{`},
}

func randomSource(r *rand.Rand) Source {
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	some := func(list []string, most int) (out []string) {
		for range r.IntN(most + 1) {
			out = append(out, pick(list))
		}
		return out
	}
	src := Source{Tools: Patterns{Default: Action(r.IntN(4)), Allow: some(pool.patterns, 3), Ask: some(pool.patterns, 2), Deny: some(pool.patterns, 1)}}
	for i := range r.IntN(5) {
		src.Rules = append(src.Rules, Rule{Name: fmt.Sprintf("r%d", i), Tools: append(some(pool.patterns, 1), pick(pool.patterns)), When: pick(pool.conditions), Then: Ask + Action(r.IntN(2))})
	}
	return src
}

func randomCall(r *rand.Rand) (Capability, Call) {
	c := Call{Args: []byte(pool.args[r.IntN(len(pool.args))])}
	if r.IntN(2) == 0 {
		c.Session.Labels = []string{"p"}
	}
	return Capability{Server: string("ab"[r.IntN(2)]), Name: []string{"x", "y", "Y", "X"}[r.IntN(4)]}, c
}

// plainly makes a decision comparable.
func plainly(d Decision) string {
	return fmt.Sprint(d.Action, d.Rule, d.Message, d.Failed)
}

func TestAddingNeverLoosensAndOrderNeverMatters(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	seen := map[Action]int{}
	for range 1500 {
		src := randomSource(r)
		p := mustPolicy(t, src)
		more := src
		extra := randomSource(r)
		for i := range extra.Rules {
			extra.Rules[i].Name = "extra " + extra.Rules[i].Name
		}
		more.Rules = append(append([]Rule{}, src.Rules...), extra.Rules...)
		more.Tools.Deny = append(append([]string{}, src.Tools.Deny...), extra.Tools.Deny...)
		tightened := mustPolicy(t, more)

		shuffled := src
		shuffled.Rules = append([]Rule{}, src.Rules...)
		r.Shuffle(len(shuffled.Rules), func(i, j int) {
			shuffled.Rules[i], shuffled.Rules[j] = shuffled.Rules[j], shuffled.Rules[i]
		})
		for _, list := range []*[]string{&shuffled.Tools.Allow, &shuffled.Tools.Ask, &shuffled.Tools.Deny} {
			*list = append([]string{}, *list...)
			r.Shuffle(len(*list), func(i, j int) { (*list)[i], (*list)[j] = (*list)[j], (*list)[i] })
		}
		reordered := mustPolicy(t, shuffled)
		for range 5 {
			capability, call := randomCall(r)
			d := p.Bind(capability).Decide(call)
			seen[d.Action]++
			if e := tightened.Bind(capability).Decide(call); e.Action < d.Action {
				t.Fatalf("adding %+v to %+v loosens %s to %s for %+v %s", extra, src, plainly(d), plainly(e), capability, call.Args)
			}
			if e := reordered.Bind(capability).Decide(call); plainly(e) != plainly(d) {
				t.Fatalf("another order of %+v decides %s, not %s", src, plainly(e), plainly(d))
			}
		}
	}
	for _, a := range []Action{Allow, Ask, Deny} {
		if seen[a] < 300 {
			t.Errorf("only %d decisions %s", seen[a], a)
		}
	}
}

func TestNoRulesNoAllocation(t *testing.T) {
	e := mustPolicy(t, Source{Tools: Patterns{Allow: []string{"a.*"}}}).Bind(Capability{Server: "a", Name: "x"})
	call := Call{Args: []byte(`{"a":1}`)}
	if n := testing.AllocsPerRun(100, func() { e.Decide(call) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestArgumentsAreDecodedOnlyWhenRead(t *testing.T) {
	e := mustPolicy(t, Source{Tools: Patterns{Default: Allow}, Rules: []Rule{
		{Name: "r", Tools: []string{"*"}, When: `tool.name == "args"`, Then: Deny},
	}}).Bind(Capability{Server: "a", Name: "x"})
	if d := e.Decide(Call{Args: []byte(`{`)}); d.Action != Allow {
		t.Errorf("%+v", d)
	}
}

func TestConcurrent(t *testing.T) {
	e := mustPolicy(t, Source{Tools: Patterns{Default: Allow}, Rules: []Rule{
		{Name: "r", Tools: []string{"*"}, When: `sum(map(args.l, # * 2)) > 10`, Then: Deny},
	}}).Bind(Capability{Server: "a", Name: "x"})
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for j := range 200 {
				want := Allow
				args := `{"l":[1,2]}`
				if (i+j)%2 == 0 {
					want, args = Deny, `{"l":[5,6]}`
				}
				if d := e.Decide(Call{Args: []byte(args)}); d.Action != want {
					t.Errorf("%s: %+v", args, d)
				}
			}
		}()
	}
	for range 8 {
		<-done
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{`args.amount > 5000`, `reduce(1..30, #acc + #acc, "x") == ""`, `all(args.to, # endsWith "@x")`, `let a = args.n; a < 1 < 2 ? a?.b : [a][0:1] != {"a": nil}`,
		`map(sortBy(args.l, -#), {# ** 2}) | filter(not (# in 1..3)) | len() > 0`, `now().Add(duration("1h")) > session.started`, `groupBy(args.l, string(#))["1"] == nil`,
		`findLast(args.l, # > 1) ?? 1 < 2`, "args.s matches `^a+$` and toJSON(args) contains \"x\"", `if args.n > 1 {true} else {false}`, `get(args, "n") == 1; args.n == 1`} {
		f.Add(s)
	}
	args := []string{`{}`, `{"n":3,"s":"aaaa","l":[3,1,2],"to":["a@x"],"amount":9e3}`, `{"n":9223372036854775808,"s":7,"l":{"a":1},"to":null}`}
	f.Fuzz(func(t *testing.T, when string) {
		p, err := Compile(Source{Tools: Patterns{Default: Allow}, Rules: []Rule{{Name: "r", Tools: []string{"*"}, When: when, Then: Ask}}})
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Offset < 0 || problems[0].Offset > len(when) {
				t.Fatalf("%q: %v", when, err)
			}
			return
		}
		e := p.Bind(Capability{Server: "s", Name: "n"})
		for _, a := range args {
			start := time.Now()
			d := e.Decide(Call{Args: []byte(a)})
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%q on %s took %v", when, a, took)
			}
			if d.Action < Allow || d.Action > Deny || (d.Failed != nil) != (d.Action == Deny) {
				t.Errorf("%q on %s: %+v", when, a, d)
			}
		}
	})
}

func FuzzDecideArgs(f *testing.F) {
	for _, s := range pool.args {
		f.Add([]byte(s))
	}
	f.Add([]byte(`{"n":1.0000000000000000000001,"s":"\ud800","l":[[[]]]}`))
	f.Add([]byte(`{"n":-0.0e-5,"n2":1E+2,"s":"a","l":[1e400]}`))
	src := Source{Tools: Patterns{Default: Allow}}
	for i, c := range pool.conditions {
		src.Rules = append(src.Rules, Rule{Name: fmt.Sprint(i), Tools: []string{"*"}, When: c, Then: Ask})
	}
	var entries []*Entry
	for _, r := range src.Rules {
		entries = append(entries, mustPolicy(f, Source{Tools: src.Tools, Rules: []Rule{r}}).Bind(Capability{Server: "s", Name: "n"}))
	}
	all := mustPolicy(f, src).Bind(Capability{Server: "s", Name: "n"})
	f.Fuzz(func(t *testing.T, args []byte) {
		strictest := Allow
		for i, e := range entries {
			d := e.Decide(Call{Args: args})
			strictest = max(strictest, d.Action)
			if again := e.Decide(Call{Args: args}); plainly(again) != plainly(d) {
				t.Errorf("rule %d on %q: %s, then %s", i, args, plainly(d), plainly(again))
			}
		}
		if d := all.Decide(Call{Args: args}); d.Action != strictest {
			t.Errorf("%q: %s together, %s one by one", args, d.Action, strictest)
		}
	})
}

// FuzzDirect holds what is evaluated without the machine against the machine,
// and arguments that are read one by one against all of them.
func FuzzDirect(f *testing.F) {
	conditions := []string{`(args.n ?? 0) > 1`, `args.s contains "a" and not (args.n == 1) or tool.name == "send"`, `args.o?.x?.y == 1`, `(args.o?.x.y ?? args.n) in [1, "a", nil]`,
		`args.l[0] == 1 ? args.s matches "^a" : len(args) > args.n`, `args["n"] + 1 < 3 * (args.o.x - 1)`, `args == {"n": 1}`, `"n" in args and args.l[args.n] != nil`,
		`session.calls > 2 and "private" in session.labels`, `tool.annotations.readOnlyHint and session.started < now()`, `split(args.s, "", 0) ?? true`, `args.s[0:1] == "a"`,
		`args.n < args.n2 <= 1e3`, `get(args, "n") == 1`, `upper(args.s) + string(args.n) == "A1"`, `args.f and args.g`, `args.o?.f(1) == 1`, `date(args.s)?.Year() == 1`}
	calls := append([]string{`{"\u006e":1}`, `{"n":1.0,"n2":12345678901234567890,"s":"a\u0062","l":[1,[2]],"o":{"x":{"y":1}},"f":true,"g":false}`, ` {"n" : -1.5e3 } `, "{\"n\":\n1}", ``,
		`{"o":null,"n":1e400}`, `{"` + strings.Repeat(`a":1,"b`, 40) + `":1}`, `{"n":1,"n":2}`, `{"l":` + strings.Repeat("[", 128) + strings.Repeat("]", 128) + `}`}, pool.args...)
	for i, c := range append(conditions, pool.conditions[1:]...) {
		f.Add(c, []byte(calls[i%len(calls)]))
	}
	for i, c := range calls {
		f.Add(conditions[i%len(conditions)], []byte(c))
	}
	f.Fuzz(func(t *testing.T, when string, args []byte) {
		c, problem := compileCondition(when, onCall)
		if problem != nil || strings.Count(when, "now") > 1 { // two evaluations see two times
			return
		}
		machine := *c
		machine.direct = nil
		want := outcome(&machine, args)
		if got := outcome(c, args); got != want {
			t.Errorf("%s on %q: %s, but the machine says %s", when, args, got, want)
		}
		all, err := decodeArgs(args, &room{values: maxElements, bytes: maxDecoded})
		v := newEvaluation(testEntry, Call{Args: args})
		defer v.release()
		if v.check(); v.invalid != "" || err != nil {
			if err == nil || v.invalid != err.Error() {
				t.Errorf("%q: %q, want %v", args, v.invalid, err)
			}
			return
		}
		for name, value := range all {
			if got := v.arg(name); !reflect.DeepEqual(got, value) {
				t.Errorf("%q: %s is %#v, want %#v", args, name, got, value)
			}
		}
		if got := v.allArgs(); !reflect.DeepEqual(got, all) {
			t.Errorf("%q is %#v, want %#v", args, got, all)
		}
	})
}

func benchmarkEntry(b *testing.B, total, matching int) *Entry {
	src := Source{Tools: Patterns{Allow: []string{"stripe.*"}}}
	for i := range total {
		r := Rule{Name: fmt.Sprint("r", i), Tools: []string{fmt.Sprintf("server%d.*", i)}, When: "args.amount > 100000", Then: Ask}
		if i%(total/matching) == 0 {
			r.Tools = []string{"stripe.create_*"}
		}
		src.Rules = append(src.Rules, r)
	}
	return mustPolicy(b, src).Bind(Capability{Server: "stripe", Name: "create_refund"})
}

func benchmarkDecide(b *testing.B, total, matching int) {
	e := benchmarkEntry(b, total, matching)
	call := Call{Args: []byte(`{"amount":5000,"currency":"eur","charge":"ch_123"}`)}
	b.ReportAllocs()
	for b.Loop() {
		if d := e.Decide(call); d.Action != Allow {
			b.Fatalf("%+v", d)
		}
	}
}

func BenchmarkDecide1000Rules5Matching(b *testing.B)  { benchmarkDecide(b, 1000, 5) }
func BenchmarkDecide100Rules100Matching(b *testing.B) { benchmarkDecide(b, 100, 100) }
func BenchmarkDecideNoRules(b *testing.B) {
	e := mustPolicy(b, Source{Tools: Patterns{Allow: []string{"a.*"}}}).Bind(Capability{Server: "a", Name: "x"})
	b.ReportAllocs()
	for b.Loop() {
		e.Decide(Call{})
	}
}

// BenchmarkBind10000 binds a list of 10,000 tools under 100 rules.
func BenchmarkBind10000(b *testing.B) {
	src := Source{Tools: Patterns{Allow: []string{"*.get_*", "*.tool*"}, Ask: []string{"*.create_*"}, Deny: []string{"*.delete_*", "*.drop_*"}}}
	for i := range 100 {
		src.Rules = append(src.Rules, Rule{Name: fmt.Sprint("r", i), Tools: []string{fmt.Sprintf("server%d.tool_%d*", i, i)}, When: "args.n > 1", Then: Ask})
	}
	p := mustPolicy(b, src)
	caps := make([]Capability, 10000)
	for i := range caps {
		caps[i] = Capability{Server: fmt.Sprint("server", i%100), Name: fmt.Sprintf("tool_%d_of_many", i)}
	}
	for b.Loop() {
		for _, c := range caps {
			p.Bind(c)
		}
	}
}
