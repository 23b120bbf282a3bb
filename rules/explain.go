package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// This file says why a call is decided as it is. It decides nothing: each step comes from the
// evaluation that [Entry.Decide], [Entry.Charges] and [Entry.DecideResult] use.

// The kinds of a [Step].
const (
	StepPattern = "pattern"
	StepRule    = "rule"
	StepLimit   = "limit"
	StepResult  = "result rule"
)

// A Step is one pattern, rule or limit that speaks of a capability, and what it makes of a
// call.
type Step struct {
	Kind   string
	Name   string    // as in [Decision].Rule
	Text   string    // the pattern, the condition, or what the limit allows; empty for a rule without a condition
	Action Action    // where it holds, or the limit is exceeded
	Holds  bool      // the pattern matches; the condition is true; the limit counts the call
	Failed error     // why it cannot be evaluated, which denies
	Reads  []Reading // in the order of the text
	Names  []string  // what the expressions name, such as "args.amount", "session.labels" and "trusted()", in order
}

// A Reading is a part of an expression and the value that it had.
type Reading struct {
	Expr  string
	Value string // as JSON, of at most 64 KiB; it may hold anything that the call holds
	Error string // why there is no value; it holds no value of the call
}

// Decides is what the step decides by itself: Deny where it failed, Allow where it does not
// concern the call. The strictest of the steps is the decision. A limit decides only
// together with a store, so that one which was evaluated is Allow.
func (s Step) Decides() Action {
	switch {
	case s.Failed != nil:
		return Deny
	case s.Holds && s.Kind != StepLimit:
		return s.Action
	}
	return Allow
}

// Explain says what every pattern, rule and limit makes of a call. The first step is the
// pattern that decides, or the default. Rules and limits on a capability that the patterns
// deny are not among the steps, since nobody asks them.
func (e *Entry) Explain(c Call, who Owner) []Step { return e.steps(c, who, true) }

// Steps are those of [Entry.Explain] without what they read, which takes a compilation for each.
func (e *Entry) Steps(c Call, who Owner) []Step { return e.steps(c, who, false) }

func (e *Entry) steps(c Call, who Owner, read bool) []Step {
	steps := e.patterns()
	if e.base.Action == Deny {
		return steps
	}
	run := newEvaluation(e, c)
	defer run.release()
	for _, r := range e.rules {
		steps = append(steps, run.explainRule(r, StepRule, read))
	}
	for _, l := range e.limits {
		_, counts, err := l.chargeFor(run, who)
		s := Step{Kind: StepLimit, Name: l.name, Text: l.allows, Action: l.then, Holds: counts && err == nil}
		if err != nil {
			err.Rule = l.name
			s.Failed = err
		}
		x := explainer{run: run, on: onCall, namesOnly: !read}
		if l.when != nil {
			x.text(l.when.text)
		}
		for _, v := range []*value{l.sum, l.by} {
			if v != nil {
				x.text(v.text)
				x.read(v.text)
			}
		}
		s.Reads, s.Names = x.reads, x.sortedNames()
		steps = append(steps, s)
	}
	return steps
}

// ExplainResult says what every rule on results makes of one.
func (e *Entry) ExplainResult(c Call, result []byte) []Step { return e.resultSteps(c, result, true) }

// ResultSteps are those of [Entry.ExplainResult] without what they read.
func (e *Entry) ResultSteps(c Call, result []byte) []Step { return e.resultSteps(c, result, false) }

func (e *Entry) resultSteps(c Call, result []byte, read bool) []Step {
	var steps []Step
	run := newEvaluation(e, c)
	defer run.release()
	var err error
	run.result, err = readJudged(result)
	for _, r := range e.results {
		if err != nil {
			steps = append(steps, Step{Kind: StepResult, Name: r.name, Text: r.text(), Action: r.decision.Action,
				Failed: &RunError{Rule: r.name, Reason: "the result cannot be read"}})
			continue
		}
		steps = append(steps, run.explainRule(r, StepResult, read))
	}
	return steps
}

// patterns are the steps of the patterns that match, the one that decides first.
func (e *Entry) patterns() []Step {
	sub := newSubject(e.server, e.name)
	var steps []Step
	for _, globs := range [...][]glob{e.section.deny, e.section.ask, e.section.allow} {
		for i := range globs {
			if g := &globs[i]; g.matches(&sub) {
				steps = append(steps, Step{Kind: StepPattern, Name: g.decision.Rule, Text: g.text, Action: g.decision.Action, Holds: true})
			}
		}
	}
	if len(steps) == 0 {
		steps = append(steps, Step{Kind: StepPattern, Name: e.base.Rule, Action: e.base.Action, Holds: true})
	}
	return steps
}

func (r *rule) text() string {
	if r.when == nil {
		return ""
	}
	return r.when.text
}

func (v *evaluation) explainRule(r *rule, kind string, read bool) Step {
	s := Step{Kind: kind, Name: r.name, Text: r.text(), Action: r.decision.Action}
	holds, err := v.judge(r)
	s.Holds = holds
	if err != nil {
		s.Failed = err
	}
	x := explainer{run: v, on: r.on, namesOnly: !read}
	x.text(s.Text)
	s.Reads, s.Names = x.reads, x.sortedNames()
	return s
}

// An explainer reads the parts of an expression that say why it is what it is: what it names,
// what helpers and methods say, and what a loop finds of each element.
type explainer struct {
	run   *evaluation
	on    phase
	reads []Reading
	names map[string]bool

	namesOnly bool
}

// Bounds of an explanation.
const (
	maxReadings = 64
	maxReading  = 64 << 10 // bytes of a value
)

// text reads the parts of an expression that has been compiled.
func (x *explainer) text(text string) {
	if text == "" {
		return
	}
	if tree, err := parseRead(text); err == nil { // it is: the text was compiled
		x.visit(tree.Node)
	}
}

func parseRead(text string) (*parser.Tree, error) {
	config := conf.New(environment{})
	config.MaxNodes = maxConditionNodes
	config.Functions = declaredHelpers
	return parser.ParseWithConfig(text, config)
}

// read adds the value of an expression.
func (x *explainer) read(text string) {
	if x.namesOnly || len(x.reads) >= maxReadings || slices.ContainsFunc(x.reads, func(r Reading) bool { return r.Expr == text }) {
		return
	}
	compiled, problem := compileOperandOn(x.on, text, "")
	if problem != nil {
		return // a part that makes no sense alone
	}
	r := Reading{Expr: text}
	v, failed := x.run.evalValue(compiled)
	if failed != nil {
		r.Error = failed.Reason
	} else if raw, err := appendValue(nil, v, maxReading); err == nil {
		r.Value = string(raw)
	} else {
		r.Error = "it is " + typeName(v) + " that cannot be shown"
	}
	x.reads = append(x.reads, r)
}

// node adds the value of a part. One that depends on an element of a loop or on a variable
// does not compile alone, and is left out; so is one that reads otherwise than it prints.
func (x *explainer) node(n ast.Node) {
	if x.namesOnly {
		return
	}
	text := n.String()
	if tree, err := parseRead(text); err == nil && ast.Dump(tree.Node) == ast.Dump(n) {
		x.read(text)
	}
}

func (x *explainer) name(name string) {
	if x.names == nil {
		x.names = map[string]bool{}
	}
	x.names[name] = true
}

func (x *explainer) sortedNames() []string { return sortedNames(x.names) }

func (x *explainer) visit(n ast.Node) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		if slices.Contains(topLevel, n.Value) {
			x.name(n.Value)
			x.node(n)
		}
	case *ast.ChainNode:
		x.member(n, n.Node)
	case *ast.MemberNode:
		x.member(n, n)
	case *ast.CallNode:
		x.call(n)
	case *ast.BuiltinNode:
		x.builtin(n)
	case *ast.VariableDeclaratorNode:
		x.visit(n.Value)
		x.visit(n.Expr)
	case *ast.UnaryNode:
		x.visit(n.Node)
	case *ast.BinaryNode:
		x.visit(n.Left)
		x.visit(n.Right)
	case *ast.ConditionalNode:
		x.visit(n.Cond)
		x.visit(n.Exp1)
		x.visit(n.Exp2)
	case *ast.SliceNode:
		for _, part := range []ast.Node{n.Node, n.From, n.To} {
			if part != nil {
				x.visit(part)
			}
		}
	case *ast.ArrayNode:
		for _, part := range n.Nodes {
			x.visit(part)
		}
	case *ast.SequenceNode:
		for _, part := range n.Nodes {
			x.visit(part)
		}
	case *ast.MapNode:
		for _, part := range n.Pairs {
			x.visit(part)
		}
	case *ast.PairNode:
		x.visit(n.Key)
		x.visit(n.Value)
	case *ast.PredicateNode:
		x.visit(n.Node)
	}
}

// member reads a field, whole is the chain that it is the end of.
func (x *explainer) member(whole, n ast.Node) {
	x.node(whole)
	var path []string
	for {
		switch in := n.(type) {
		case *ast.ChainNode:
			n = in.Node
			continue
		case *ast.MemberNode:
			if name, ok := in.Property.(*ast.StringNode); ok {
				path = append(path, name.Value)
			} else {
				x.visit(in.Property)
				path = nil // what lies below an element is that of the list
			}
			n = in.Node
			continue
		case *ast.IdentifierNode:
			if !slices.Contains(topLevel, in.Value) {
				return
			}
			if len(path) == 0 {
				x.name(in.Value)
				return
			}
			x.name(in.Value + "." + path[len(path)-1])
		case *ast.CallNode:
			x.inside(in)
		default:
			x.visit(n)
		}
		return
	}
}

// call reads what a helper or a method says.
func (x *explainer) call(n *ast.CallNode) {
	x.node(n)
	if name, ok := n.Callee.(*ast.IdentifierNode); ok && len(n.Arguments) == 1 {
		switch name.Value {
		case "seen", "trusted", "tainted":
			sources := &ast.CallNode{Callee: &ast.IdentifierNode{Value: "sources"}, Arguments: n.Arguments}
			x.node(sources)
		}
	}
	x.inside(n)
}

// inside visits what a call is made of.
func (x *explainer) inside(n *ast.CallNode) {
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		x.name(callee.Value + "()")
	case *ast.MemberNode:
		if made, ok := callee.Node.(*ast.CallNode); ok {
			x.inside(made)
		} else {
			x.visit(callee.Node)
		}
	}
	for _, a := range n.Arguments {
		x.visit(a)
	}
}

// builtin reads what a loop finds of each element.
func (x *explainer) builtin(n *ast.BuiltinNode) {
	if n.Name == "now" {
		x.name("now()")
	}
	switch n.Name {
	case "all", "any", "none", "one", "count", "filter", "find", "findIndex", "findLast", "findLastIndex":
		if len(n.Arguments) == 2 {
			x.node(&ast.BuiltinNode{Name: "map", Arguments: n.Arguments})
		}
	}
	for _, a := range n.Arguments {
		x.visit(a)
	}
}

// Short is a value as it can be shown on a line: control and invisible characters are
// escaped, and what is longer than max bytes is cut.
func (r Reading) Short(max int) string {
	if r.Error != "" {
		return "(" + r.Error + ")"
	}
	var b strings.Builder
	for _, c := range r.Value {
		if strconv.IsPrint(c) {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, "\\u{%x}", c)
		}
		if b.Len() > max {
			break
		}
	}
	return visible.Cut(b.String(), max)
}
