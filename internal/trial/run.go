package trial

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/state"
	"github.com/mcpfirewall/mcpfirewall/internal/state/sqlite"
	"github.com/mcpfirewall/mcpfirewall/rules"
	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

// Options say how a suite is run.
type Options struct {
	Run   *regexp.Regexp // the names of the tests to run; nil means all
	Cover *Coverage      // notes what they reach; may be nil
}

// A Report is the outcome of a suite.
type Report struct {
	Path  string
	Tests []TestReport
}

// A TestReport is the outcome of one test.
type TestReport struct {
	Name     string
	Line     int
	Failures []Failure
}

// A Failure is a step that did not go as it was expected to.
type Failure struct {
	Line          int
	What          string // the call, or the result of it
	Expected, Got string
	Rule, Message string   // of the decision
	Why           []string // what spoke of it, line by line
}

// Failed counts the tests that failed.
func (r *Report) Failed() (n int) {
	for _, t := range r.Tests {
		if len(t.Failures) > 0 {
			n++
		}
	}
	return n
}

// firstMoment is when a test begins that says no time: a Monday morning.
var firstMoment = time.Date(2026, time.January, 5, 9, 0, 0, 0, time.UTC)

// Run runs the tests against a policy. The error is [config.Problems] where a test names
// what does not exist.
func (s *Suite) Run(ctx context.Context, p *Policy, o Options) (*Report, error) {
	tools := &toolbox{policy: p, lists: s.lists, known: map[string]*tool{}}
	if s.file.Schemas == "none" && len(s.lists) == 0 {
		tools.lists = nil
	}
	if problems := s.unknown(tools); len(problems) > 0 {
		return nil, problems
	}
	report := &Report{Path: s.Path}
	for i := range s.Tests {
		if o.Run != nil && !o.Run.MatchString(s.Tests[i].Name) {
			continue
		}
		tested, err := s.runTest(ctx, tools, i, o.Cover)
		if err != nil {
			return nil, err
		}
		report.Tests = append(report.Tests, tested)
	}
	return report, nil
}

// A toolbox looks tools up once for all tests of a file: what is compiled for one stays.
type toolbox struct {
	policy *Policy
	lists  map[string]*toolList
	known  map[string]*tool
}

// tool returns the tool that a step calls by SERVER.TOOL.
func (b *toolbox) tool(call string) (*tool, error) {
	if t := b.known[call]; t != nil {
		return t, nil
	}
	server, name, _ := strings.Cut(call, ".")
	t, err := b.policy.tool(server, name, b.lists)
	if err == nil {
		b.known[call] = t
	}
	return t, err
}

func (s *Suite) runTest(ctx context.Context, tools *toolbox, i int, cover *Coverage) (TestReport, error) {
	p := tools.policy
	r := &runner{suite: s, policy: p, tools: tools, cover: cover, test: &s.Tests[i], at: fmt.Sprintf("tests[%d]", i), sessions: map[[2]string]*session{}}
	if p.rules.Limited() {
		store := sqlite.New(sqlite.Options{Volatile: true})
		defer store.Close()
		r.store = store
	}
	if err := r.run(ctx); err != nil {
		return TestReport{}, fmt.Errorf("%s: %q: %w", s.Path, r.test.Name, err)
	}
	return TestReport{Name: r.test.Name, Line: s.line(r.at), Failures: r.failures}, nil
}

func (s *Suite) line(at string) int { return s.doc.Problem(at, 0, "", "").Line }

// unknown reports the calls of tools that do not exist.
func (s *Suite) unknown(tools *toolbox) (problems config.Problems) {
	for i, t := range s.Tests {
		for j, step := range t.Steps {
			if step.Call == "" {
				continue
			}
			if _, err := tools.tool(step.Call); err != nil {
				suggestion := ""
				if u, ok := err.(*unknownTool); ok {
					suggestion = u.suggestion
				}
				problems = append(problems, s.doc.Problem(fmt.Sprintf("tests[%d].steps[%d].call", i, j), 0, err.Error(), suggestion))
			}
		}
	}
	return problems
}

// A runner runs one test.
type runner struct {
	suite    *Suite
	policy   *Policy
	tools    *toolbox
	store    state.Store // nil if nothing is counted
	cover    *Coverage
	test     *Test
	at       string
	now      time.Time
	sessions map[[2]string]*session
	failures []Failure
}

func (r *runner) run(ctx context.Context) error {
	user := rules.User{Groups: r.test.Groups}
	if len(r.test.Claims) > 0 {
		if err := json.Unmarshal(r.test.Claims, &user.Claims); err != nil {
			return fmt.Errorf("reading the claims: %w", err)
		}
	}
	r.now, _ = parseAt(r.test.At, firstMoment) // which Load has checked, like those below
	for i := range r.test.Steps {
		step, at := &r.test.Steps[i], fmt.Sprintf("%s.steps[%d]", r.at, i)
		next, _ := parseAt(step.At, r.now.Add(step.After))
		if next.Before(r.now) {
			return config.Problems{r.suite.doc.Problem(at+".at", 0, "the clock of a test does not go back", "")}
		}
		r.now = next
		s := r.session(step)
		if step.Prompt != "" {
			s.memory.Text(provenance.Observation{Source: "user"}, step.Prompt)
		}
		if step.Call != "" {
			if err := r.call(ctx, step, at, s, user); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *runner) session(step *Step) *session {
	user, name := r.test.User, r.test.Session
	if step.User != "" {
		user = step.User
	}
	if step.Session != "" {
		name = step.Session
	}
	key := [2]string{user, name}
	if r.sessions[key] == nil {
		r.sessions[key] = r.policy.newSession(user, name, r.now)
	}
	return r.sessions[key]
}

func (r *runner) fail(at, key string, f Failure) {
	f.Line = r.suite.line(at + "." + key)
	r.failures = append(r.failures, f)
}

func (r *runner) call(ctx context.Context, step *Step, at string, s *session, user rules.User) error {
	t, err := r.tools.tool(step.Call)
	if err != nil {
		return err
	}
	if s.user != r.test.User {
		user = rules.User{} // another user's groups and claims are not known
	}
	v := r.policy.judge(ctx, r.store, t, step.Args, s, user, r.test.Client, r.now)
	r.cover.call(t, &v)
	why := func() []string {
		if v.Invalid != "" {
			return nil
		}
		return explanation(t.entry.Explain(v.call, s.owner()), v.Standings)
	}
	if step.Hidden {
		if t.hidden == "" {
			r.fail(at, "hidden", Failure{What: step.Call, Expected: "hidden", Got: "offered to the agent", Rule: t.entry.Base().Rule, Why: why()})
		}
		return nil
	}
	expected, _ := rules.ParseAction(step.Expect)
	failure := Failure{What: step.Call, Expected: describe(expected, step.Rule), Got: describe(v.Action, v.Rule), Rule: v.Rule, Message: v.Message}
	switch {
	case v.Invalid != "" && step.Rule != schemaRule:
		// Else a test of a denial would pass for the slip of a pen.
		failure.Got += ": the arguments do not fit the tool (a test that means this says `rule: schema`)"
		r.fail(at, "expect", failure)
	case v.Action != expected:
		failure.Why = why()
		r.fail(at, "expect", failure)
	case step.Rule != "" && step.Rule != v.Rule:
		failure.Why = why()
		r.fail(at, "rule", failure)
	}
	approved := v.Action == rules.Ask && step.Approved
	if v.Action == rules.Deny || v.Action == rules.Ask && !approved {
		return nil
	}
	if !v.charges.Empty() {
		if d := v.charges.Reserve(ctx, r.store, r.now, at, approved); d.Action != rules.Allow {
			return fmt.Errorf("counting the call of line %d: %s", r.suite.line(at), d.Message)
		}
	}
	s.sends(t, v.Sent, r.now)
	if len(step.Result) > 0 {
		r.result(step, at, s, t, &v)
	}
	return nil
}

// result takes a result the way back to the agent.
func (r *runner) result(step *Step, at string, s *session, t *tool, v *Verdict) {
	expected := rules.Allow
	if step.Relayed != "" {
		expected, _ = rules.ParseAction(step.Relayed)
	}
	raw := toolResult(step.Result, step.Error)
	failure := Failure{What: "the result of " + step.Call, Expected: describe(expected, "")}
	key := "result"
	if step.Relayed != "" {
		key = "relayed"
	}
	if t.narrowing != nil {
		var err error
		if raw, err = t.narrowing.Result(raw); err != nil {
			if expected != rules.Deny {
				failure.Got, failure.Rule, failure.Message = describe(rules.Deny, "output"), "output", err.Error()
				r.fail(at, key, failure)
			}
			return
		}
	}
	v.call.Session = r.policy.call(s, nil, rules.User{}, "", r.now).Session
	r.cover.steps(t.entry.ResultSteps(v.call, raw), nil)
	d := t.entry.DecideResult(v.call, raw)
	if d.Action != expected {
		failure.Got, failure.Rule, failure.Message, failure.Why = describe(d.Action, d.Rule), d.Rule, d.Message, explanation(t.entry.ExplainResult(v.call, raw), nil)
		r.fail(at, key, failure)
	}
	if d.Action == rules.Allow || d.Action == rules.Ask && step.Approved {
		s.memory.Result(t.entry.Observation(), raw)
	}
}

func describe(a rules.Action, rule string) string {
	if rule == "" {
		return a.String()
	}
	return a.String() + " by " + fmt.Sprintf("%q", rule)
}

// toolResult makes the result of a tool of what a test says: a text; the whole of an MCP
// result; or JSON, which comes as structured content and as text.
func toolResult(said jsontext.Value, isError bool) []byte {
	if said[0] == '{' && isResult(said) {
		if isError {
			return jsonrpc.SetMember(said, "isError", []byte("true"))
		}
		return said
	}
	text := string(said)
	if said[0] == '"' {
		text = jsonrpc.String(said)
	}
	out := append(jsonrpc.AppendQuote([]byte(`{"content":[{"type":"text","text":`), text), "}]"...)
	if said[0] == '{' {
		out = append(append(out, `,"structuredContent":`...), said...)
	}
	if isError {
		out = append(out, `,"isError":true`...)
	}
	return append(out, '}')
}

// isResult reports whether an object is the result of a tool as MCP writes it.
func isResult(object []byte) bool {
	content := jsonrpc.Get(object, "content")
	if len(content) == 0 || content[0] != '[' {
		return false
	}
	for el := range jsonrpc.Elements(content, jsonrpc.Span{End: len(content)}) {
		if _, ok := jsonrpc.GetString(content[el.Start:el.End], "type"); !ok {
			return false
		}
	}
	return true
}
