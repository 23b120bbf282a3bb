package rules

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

// Kind says what a [Capability] is.
type Kind uint8

const (
	Tool     Kind = iota // a tool
	Resource             // a resource; its name is its URI
	Template             // a resource template; its name is its URI template
	Prompt               // a prompt
)

func (k Kind) String() string {
	switch k {
	case Tool:
		return "tool"
	case Resource:
		return "resource"
	case Template:
		return "resource template"
	case Prompt:
		return "prompt"
	}
	return "unknown"
}

// A Capability is something that a server offers, under the server's own name for it.
type Capability struct {
	Kind        Kind
	Server      string
	Name        string // the URI for a resource, the URI template for a template
	Annotations []byte // a tool's annotations: a raw JSON object, or nil
	InputSchema []byte // a tool's input schema: raw JSON, or nil; only [Policy.Check] reads it
	Open        bool   // arguments that the schema does not declare pass; only [Policy.Check] reads it
	Dir         string // the server's working folder, where relative paths start; "" where it is unknown
}

// A Call is one use of a capability.
type Call struct {
	Args    []byte // the arguments: a raw JSON object, or nil for none
	Parsed  bool   // Args stand in a message that jsonrpc.Parse has read, and need no second look
	Session Session
	User    User
	Client  Client
	Knowledge
}

// Session is what rules may know of the session that a call belongs to.
type Session struct {
	Labels  []string
	Calls   int // that passed so far
	Started time.Time

	// Forgetful says that it is a session for one request alone: rules that read Labels or
	// Calls deny.
	Forgetful bool
}

// A Decision is what becomes of a call, and why.
type Decision struct {
	Action  Action
	Rule    string // what made it: "tools.deny: *.delete_*", "tools.default", or the name of a rule
	Message string // for the agent; it quotes neither arguments nor third-party text; empty for Allow
	Failed  error  // a [*RunError] if a rule failed while running, which denies
}

func newDecision(a Action, by, message string) Decision {
	if message == "" {
		switch a {
		case Ask:
			message = "This call needs the approval of a person (policy: " + by + ")."
		case Deny:
			message = "The policy does not allow this call (policy: " + by + ")."
		}
	}
	return Decision{Action: a, Rule: by, Message: message}
}

// A RunError says which rule failed and why. It holds no values of the call.
type RunError struct {
	Rule   string
	Offset int // in bytes, into the rule's When
	Reason string
}

func (e *RunError) Error() string {
	return fmt.Sprintf("rule %q failed at offset %d: %s", e.Rule, e.Offset, e.Reason)
}

// A rule is a compiled [Rule].
type rule struct {
	path     string // "rules[2]"
	name     string
	on       phase
	globs    []glob // in the order of the file
	when     *condition
	decision Decision // when the condition holds
	failed   Decision // when it fails, but for Failed
}

func compileRule(path string, src Rule, report func(Problem)) *rule {
	r := &rule{path: path, name: src.Name}
	switch src.On {
	case "", "call":
	case "result":
		r.on = onResult
	default:
		report(Problem{Path: path + ".on", Message: "it is call or result"})
	}
	if len(src.Tools) == 0 {
		report(Problem{Path: path + ".tools", Message: `the rule names no tools; "*" names all of them`})
	}
	for i, text := range src.Tools {
		if problem, ok := checkPattern(text); !ok {
			problem.Path = fmt.Sprintf("%s.tools[%d]", path, i)
			report(problem)
		}
		// A rule only tightens, so matching more than a server would is the safe side.
		g := newGlob(text, true)
		g.index = i
		r.globs = append(r.globs, g)
	}
	switch src.Then {
	case Ask, Deny:
	case Allow:
		report(Problem{Path: path + ".then", Message: "a rule can only tighten a decision: it is ask or deny; what is allowed is said by the patterns under tools.allow"})
	default:
		report(Problem{Path: path + ".then", Message: "it is missing or unknown: it is ask or deny"})
	}
	if src.When != "" {
		when, problem := compileCondition(src.When, r.on)
		if problem != nil {
			problem.Path = path + ".when"
			report(*problem)
		}
		r.when = when
	}
	r.decision = newDecision(src.Then, src.Name, src.Message)
	r.failed = newDecision(Deny, src.Name, fmt.Sprintf("The policy rule %q could not be evaluated for this call, so the call is refused.", src.Name))
	return r
}

// sortRules puts first what may end the evaluation soonest. The order is total
// and does not depend on the order in the file, nor then does which of several
// rules is reported.
func sortRules(rules []*rule) {
	slices.SortFunc(rules, func(a, b *rule) int {
		if a.decision.Action != b.decision.Action {
			return int(b.decision.Action) - int(a.decision.Action)
		}
		if (a.when == nil) != (b.when == nil) {
			if a.when == nil {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
}

// index groups the rules by the servers that they name, so that binding a list
// of thousands of tools does not try every rule on each.
func (p *Policy) index() {
	p.byServer = map[string][]int{}
	for i, r := range p.rules {
		literal := true
		for _, g := range r.globs {
			literal = literal && strings.Contains(g.pieces[0], ".")
		}
		if !literal {
			p.anyServer = append(p.anyServer, i)
			continue
		}
		for _, g := range r.globs {
			server, _, _ := strings.Cut(g.pieces[0], ".")
			if list := p.byServer[server]; len(list) == 0 || list[len(list)-1] != i {
				p.byServer[server] = append(list, i)
			}
		}
	}
}

// An Entry is everything in a policy that speaks of one capability. It never
// changes and is safe for concurrent use.
type Entry struct {
	base    *Decision
	section *patternSet // that base is from
	rules   []*rule     // on calls
	results []*rule     // on results
	limits  []*limit
	labels  []string
	seen    provenance.Observation

	name, server string
	dir          string
	annotations  []byte
	once         sync.Once
	tool         toolEnv // once it was asked for: most tools of most servers are never called
}

func (e *Entry) toolEnv() toolEnv {
	e.once.Do(func() {
		e.tool = toolEnv{Name: e.name, Server: e.server, Labels: e.labels, Annotations: readAnnotations(e.annotations)}
	})
	return e.tool
}

// Bind looks up everything that speaks of a capability. The capability's raw
// JSON must not be changed afterwards.
func (p *Policy) Bind(c Capability) *Entry {
	sub := newSubject(c.Server, c.Name)
	e := &Entry{base: p.of(c.Kind).base(&sub), section: p.of(c.Kind), name: c.Name, server: c.Server, dir: c.Dir, annotations: c.Annotations}
	e.labels, e.seen = p.labelsOf(c, &sub)
	if c.Kind != Tool || e.base.Action == Deny {
		return e
	}
	for _, l := range p.limits {
		if l.names(&sub) {
			e.limits = append(e.limits, l)
		}
	}
	var few [32]int
	matching := few[:0]
	for _, list := range [][]int{p.byServer[sub.server], p.anyServer} {
		for _, i := range list {
			if p.rules[i].names(&sub) {
				matching = append(matching, i)
			}
		}
	}
	if len(matching) == 0 {
		return e
	}
	slices.Sort(matching)
	e.rules = make([]*rule, 0, len(matching))
	for _, i := range matching {
		if p.rules[i].on == onResult {
			e.results = append(e.results, p.rules[i])
		} else {
			e.rules = append(e.rules, p.rules[i])
		}
	}
	return e
}

// names reports whether the rule speaks of a tool.
func (r *rule) names(sub *subject) bool {
	for i := range r.globs {
		if r.globs[i].matches(sub) {
			return true
		}
	}
	return false
}

// Base is the decision of the patterns alone.
func (e *Entry) Base() Decision { return *e.base }

// Hidden reports whether the capability is removed from its list: the patterns
// deny it whatever the call.
func (e *Entry) Hidden() bool { return e.base.Action == Deny }

// Decide decides on one call. It evaluates within fixed bounds of steps and
// memory and returns only once everything that it started has ended.
func (e *Entry) Decide(c Call) Decision {
	if e.base.Action == Deny || len(e.rules) == 0 {
		return *e.base
	}
	run := newEvaluation(e, c)
	defer run.release()
	return e.tighten(run, *e.base, e.rules)
}

// Charges is what the limits take for a call that the patterns and rules let pass, or ask
// about. The decision is Deny where a limit cannot be evaluated, and Allow otherwise.
func (e *Entry) Charges(c Call, who Owner) (Charges, Decision) {
	if len(e.limits) == 0 {
		return Charges{}, Decision{Action: Allow}
	}
	run := newEvaluation(e, c)
	defer run.release()
	return chargesOf(run, e.limits, who)
}

// Judges reports whether there are rules on this capability's results.
func (e *Entry) Judges() bool { return len(e.results) > 0 }

// DecideResult decides on what a call brought, an MCP result object: Allow relays it, Deny
// withholds it, Ask lets a person decide.
func (e *Entry) DecideResult(c Call, result []byte) Decision {
	allow := Decision{Action: Allow}
	if len(e.results) == 0 {
		return allow
	}
	run := newEvaluation(e, c)
	defer run.release()
	var err error
	if run.result, err = readJudged(result); err != nil {
		failed := e.results[0].failed
		failed.Failed = &RunError{Rule: failed.Rule, Reason: "the result cannot be read"}
		return failed
	}
	return e.tighten(run, allow, e.results)
}

// tighten evaluates rules.
func (e *Entry) tighten(run *evaluation, decision Decision, rules []*rule) Decision {
	byRule := false
	// Rules that deny come first. The ones that ask are all evaluated, even once
	// one of them holds: if another fails, that denies.
	for _, r := range rules {
		holds, err := run.judge(r)
		if err != nil {
			failed := r.failed
			failed.Failed = err
			return failed
		}
		if !holds {
			continue
		}
		if r.decision.Action == Deny {
			return r.decision
		}
		if !byRule { // a rule that asks says more than a pattern that does
			decision, byRule = r.decision, true
		}
	}
	return decision
}

// judge evaluates one rule.
func (v *evaluation) judge(r *rule) (holds bool, err *RunError) {
	if r.when == nil {
		return true, nil
	}
	if holds, err = v.eval(r.when); err != nil {
		err.Rule = r.name
	}
	return holds, err
}
