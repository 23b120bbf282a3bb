// Package rules is the policy: a call goes in, a decision comes out.
//
// A policy is compiled once from patterns (what may be used at all) and rules
// written in the expr language (when a use is asked about or denied). Each
// capability that a server offers is then bound to it, once, when the server's
// list is learned; the [Entry] that comes of it holds everything in the policy
// that speaks of this capability, so that a call costs one look-up and the
// evaluation of its own rules:
//
//	policy, err := rules.Compile(rules.Source{
//		Tools: rules.Patterns{Allow: []string{"stripe.*"}, Deny: []string{"*.delete_*"}},
//		Rules: []rules.Rule{{
//			Name: "large refunds need a person", Tools: []string{"stripe.create_refund"},
//			When: "args.amount > 5000", Then: rules.Ask,
//		}},
//	})
//	entry := policy.Bind(rules.Capability{Kind: rules.Tool, Server: "stripe", Name: "create_refund"})
//	decision := entry.Decide(rules.Call{Args: []byte(`{"amount":9000}`)})
//
// The strictest matching pattern decides, or the default where none matches.
// A matching rule can only tighten that. The order of patterns and rules means
// nothing. A rule that fails while running (a missing value, a wrong type, an
// integer that overflows, an exhausted budget) denies.
//
// The package knows nothing of transports, configuration files or secrets.
package rules

import (
	"fmt"
	"strings"
)

// Action is what becomes of a call, from the most to the least permissive.
// The zero value is none of them: as a [Patterns] default it means Deny, in a
// [Rule] it is an error.
type Action uint8

const (
	Allow Action = iota + 1 // the call goes on
	Ask                     // a person decides
	Deny                    // the call ends here
)

func (a Action) String() string {
	switch a {
	case Allow:
		return "allow"
	case Ask:
		return "ask"
	case Deny:
		return "deny"
	}
	return "unset"
}

// ParseAction reads "allow", "ask" or "deny".
func ParseAction(s string) (Action, error) {
	switch s {
	case "allow":
		return Allow, nil
	case "ask":
		return Ask, nil
	case "deny":
		return Deny, nil
	}
	return 0, fmt.Errorf("unknown action %q: it is allow, ask or deny", s)
}

// Patterns decide what is offered at all. Each is matched against
// "SERVER.NAME", where NAME is the name of a tool or prompt, or the URI of a
// resource: "github.get_*", "docs.file:///srv/*". "*" stands for any run of
// characters, dots and slashes included; no other character is special.
// Deny patterns ignore case, because a server may; the others are exact.
type Patterns struct {
	Default          Action // where no pattern matches; unset means Deny
	Allow, Ask, Deny []string
}

// A Rule tightens the decision for the tools that it names when its condition
// holds.
type Rule struct {
	Name    string   // unique; reported with the decision
	Tools   []string // patterns as in [Patterns]; they ignore case, since a rule only tightens
	On      string   // "call", also if empty, or "result": then it judges what a call brought
	When    string   // an expr expression of type bool; empty means always
	Then    Action   // Ask or Deny
	Message string   // for the agent; a general one is used where this is empty
}

// Source is a policy as it is written.
type Source struct {
	Tools     Patterns
	Resources Patterns // for resources and resource templates
	Prompts   Patterns
	Rules     []Rule
	Limits    []Limit
	Narrow    []Narrow
	Labels    []Label
}

// A phase is when a rule is judged.
type phase uint8

const (
	onCall phase = iota
	onResult
)

// A Problem is one thing that is wrong with a [Source].
type Problem struct {
	Path       string // where: "rules[2].when", "tools.allow[0]"
	Offset     int    // in bytes, into the text at Path
	Message    string
	Suggestion string // what was perhaps meant; may be empty
}

func (p Problem) String() string {
	s := p.Path + ": " + p.Message
	if p.Suggestion != "" {
		s += fmt.Sprintf(" (did you mean %q?)", p.Suggestion)
	}
	return s
}

// Problems is everything that is wrong with a [Source]. It is the error of [Compile].
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// A Policy is compiled from a [Source] and never changes. It is safe for
// concurrent use.
type Policy struct {
	tools, resources, prompts patternSet
	rules                     []*rule  // in the order in which they are evaluated
	limits                    []*limit // likewise
	narrowings                []*Narrowing
	labels                    []label
	byServer                  map[string][]int // indexes of rules that name this server (folded) literally
	anyServer                 []int            // indexes of rules that may match several
}

// Compile checks and compiles a policy. Its error, if any, is [Problems] and
// holds every problem, not only the first.
func Compile(src Source) (*Policy, error) {
	var problems Problems
	report := func(p Problem) { problems = append(problems, p) }

	p := &Policy{
		tools:     compilePatterns("tools", src.Tools, report),
		resources: compilePatterns("resources", src.Resources, report),
		prompts:   compilePatterns("prompts", src.Prompts, report),
	}
	named := make(map[string]int, len(src.Rules))
	for i, r := range src.Rules {
		path := fmt.Sprintf("rules[%d]", i)
		if r.Name == "" {
			report(Problem{Path: path, Message: "a rule needs a name: decisions are reported by it"})
		} else if first, ok := named[r.Name]; ok {
			report(Problem{Path: path + ".name", Message: fmt.Sprintf("the name is taken by rules[%d]: names are unique, because decisions are reported by them", first)})
		} else {
			named[r.Name] = i
		}
		p.rules = append(p.rules, compileRule(path, r, report))
	}
	for i, l := range src.Limits {
		path := fmt.Sprintf("limits[%d]", i)
		if l.Name == "" {
			report(Problem{Path: path, Message: "a limit needs a name: decisions are reported by it"})
		} else if _, ok := named[l.Name]; ok {
			report(Problem{Path: path + ".name", Message: "the name is taken by a rule or another limit: names are unique, because decisions are reported by them"})
		} else {
			named[l.Name] = i
		}
		p.limits = append(p.limits, compileLimit(path, l, report))
	}
	p.narrowings = compileNarrows(src.Narrow, report)
	p.labels = compileLabels(src.Labels, report)
	if len(problems) > 0 {
		return nil, problems
	}
	sortRules(p.rules)
	sortLimits(p.limits)
	p.index()
	return p, nil
}

// of returns the patterns that speak of a kind.
func (p *Policy) of(k Kind) *patternSet {
	switch k {
	case Tool:
		return &p.tools
	case Prompt:
		return &p.prompts
	}
	return &p.resources
}
