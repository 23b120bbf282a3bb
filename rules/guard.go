package rules

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
)

// A scanner goes over an expression as it was written. It refuses what has no
// place in a rule and bounds the size of the tree: expr shares nodes in
// comparisons such as a < b < c, and nested ones grow as powers of two for
// everything that walks them.
type scanner struct {
	text      string
	nodes     int
	on        phase
	readsArgs bool
	remembers bool // it reads what only a session with a memory knows
	traces    bool // it asks where values came from
	problem   *Problem
}

func (s *scanner) refuse(n ast.Node, format string, args ...any) {
	if s.problem == nil {
		s.problem = &Problem{Offset: byteOffset(s.text, n.Location().From), Message: fmt.Sprintf(format, args...)}
	}
}

func (s *scanner) visit(n ast.Node) {
	if s.nodes++; s.nodes > maxConditionNodes {
		s.refuse(n, "the expression is too complex")
	}
	if n == nil || s.problem != nil {
		return
	}
	switch n := n.(type) {
	case *ast.NilNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.PointerNode:
	case *ast.IdentifierNode:
		switch {
		case n.Value == "args":
			s.readsArgs = true
		case n.Value == "session":
			s.remembers = true
		case n.Value == "result" && s.on == onCall:
			s.refuse(n, "there is no result before the call: a rule that reads it says `on: result`")
		case n.Value == "$env":
			s.refuse(n, "$env is not available in rules")
		case builtin.Index[n.Value] > 0 || n.Value == builtin.Names[0]:
			s.refuse(n, "%s is a function and has to be called: %s(...)", n.Value, n.Value)
		}
	case *ast.UnaryNode:
		s.visit(n.Node)
	case *ast.BinaryNode:
		s.visit(n.Left)
		s.visit(n.Right)
	case *ast.ChainNode:
		s.visit(n.Node)
	case *ast.MemberNode:
		if base, ok := n.Node.(*ast.IdentifierNode); ok && base.Value == "session" {
			if field, ok := n.Property.(*ast.StringNode); ok && field.Value == "started" {
				return
			}
		}
		s.visit(n.Node)
		s.visit(n.Property)
	case *ast.SliceNode:
		s.visit(n.Node)
		if n.From != nil {
			s.visit(n.From)
		}
		if n.To != nil {
			s.visit(n.To)
		}
	case *ast.CallNode:
		s.call(n)
	case *ast.BuiltinNode:
		for _, a := range n.Arguments {
			s.visit(a)
		}
	case *ast.PredicateNode:
		s.visit(n.Node)
	case *ast.VariableDeclaratorNode:
		s.visit(n.Value)
		s.visit(n.Expr)
	case *ast.SequenceNode:
		for _, x := range n.Nodes {
			s.visit(x)
		}
	case *ast.ConditionalNode:
		s.visit(n.Cond)
		s.visit(n.Exp1)
		s.visit(n.Exp2)
	case *ast.ArrayNode:
		for _, x := range n.Nodes {
			s.visit(x)
		}
	case *ast.MapNode:
		for _, x := range n.Pairs {
			s.visit(x)
		}
	case *ast.PairNode:
		s.visit(n.Key)
		s.visit(n.Value)
	case *ast.BytesNode:
		s.refuse(n, "byte strings are not available in rules")
	default:
		s.refuse(n, "this is not available in rules")
	}
}

// call lets calls of a name pass, since the checker knows all of them, and
// calls of a method by its literal name.
func (s *scanner) call(n *ast.CallNode) {
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		s.traces = s.traces || tracing[callee.Value]
		s.visit(callee)
	case *ast.MemberNode:
		name, ok := callee.Property.(*ast.StringNode)
		if !ok {
			s.refuse(n, "only a method that is named literally can be called")
			return
		}
		if !methods[name.Value] && !testMethods[name.Value] {
			s.refuse(callee.Property, "there is no method %q for rules", name.Value)
			return
		}
		s.visit(callee.Node)
	default:
		s.refuse(n, "this cannot be called")
	}
	for _, a := range n.Arguments {
		s.visit(a)
	}
}

// A guard replaces every operator, function and method whose own form in expr
// is unbounded, or answers where it should fail, by a function of this package
// that draws on the budget of the evaluation. What stays with expr's machine
// is constants, names, fields, and, or, not, ??, ?:, let, literals and the
// loops themselves, over lists that were charged for.
type guard struct {
	text    string
	problem *Problem
}

func (g *guard) refuse(n ast.Node, message string) {
	if g.problem == nil {
		g.problem = &Problem{Offset: byteOffset(g.text, n.Location().From), Message: message}
	}
}

// guarded is a call of one of guardedFunctions. Their names begin with "@",
// which expr's lexer cannot read: no rule can call one itself.
func guarded(at ast.Node, name string, args ...ast.Node) *ast.CallNode {
	callee, run := &ast.IdentifierNode{Value: "@" + name}, &ast.IdentifierNode{Value: "@budget"}
	call := &ast.CallNode{Callee: callee, Arguments: append([]ast.Node{run}, args...)}
	for _, n := range []ast.Node{callee, run, call} {
		n.SetLocation(at.Location())
	}
	return call
}

// isGuarded recognises a call that was already replaced: a node that expr
// shares is visited once for each of its places.
func isGuarded(n ast.Node) bool {
	call, ok := n.(*ast.CallNode)
	if !ok {
		return false
	}
	callee, ok := call.Callee.(*ast.IdentifierNode)
	return ok && callee.Value[0] == '@'
}

func (g *guard) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.UnaryNode:
		if n.Operator == "-" || n.Operator == "+" {
			*node = guarded(n, "unary"+n.Operator, n.Node)
		}
	case *ast.BinaryNode:
		g.binary(node, n)
	case *ast.MemberNode:
		if _, literal := n.Property.(*ast.StringNode); !literal && !isGuarded(n.Property) {
			n.Property = guarded(n.Property, "index", n.Property)
		}
	case *ast.SliceNode:
		for _, bound := range []*ast.Node{&n.From, &n.To} {
			if *bound != nil && !isGuarded(*bound) {
				*bound = guarded(*bound, "index", *bound)
			}
		}
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok && helpers[callee.Value].call != nil {
			*node = guarded(n, callee.Value, n.Arguments...)
		}
		if callee, ok := n.Callee.(*ast.MemberNode); ok {
			name := callee.Property
			optional := &ast.BoolNode{Value: callee.Optional}
			*node = guarded(n, "method", append([]ast.Node{callee.Node, name, optional}, n.Arguments...)...)
		}
	case *ast.BuiltinNode:
		g.builtin(node, n)
	}
}

func (g *guard) binary(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "and", "&&", "or", "||", "??":
		return
	case "!=":
		not := &ast.UnaryNode{Operator: "not", Node: guarded(n, "==", n.Left, n.Right)}
		not.SetLocation(n.Location())
		*node = not
		return
	case "^":
		*node = guarded(n, "**", n.Left, n.Right)
		return
	case "matches":
		if literal, ok := n.Right.(*ast.StringNode); ok {
			p, err := compilePattern(literal.Value, maxLiteralPattern)
			if err != nil {
				g.refuse(n.Right, err.Error())
				return
			}
			*node = guarded(n, "matches", n.Left, &ast.ConstantNode{Value: p})
			return
		}
	}
	*node = guarded(n, n.Operator, n.Left, n.Right)
}

// builtin guards a call of one of expr's own functions. Loops stay with the
// machine, over a list that was looked at; what they add up, group or sort is
// handed to functions of this package.
func (g *guard) builtin(node *ast.Node, n *ast.BuiltinNode) {
	switch n.Name {
	case "all", "none", "any", "one", "filter", "map", "find", "findIndex", "count", "reduce":
		g.loop(n)
	case "findLast": // expr 1.17.8 leaves values on its stack when it loops backwards
		filter := &ast.BuiltinNode{Name: "filter", Arguments: append([]ast.Node(nil), n.Arguments...)}
		filter.SetLocation(n.Location())
		g.loop(filter)
		*node = guarded(n, "last", filter)
	case "findLastIndex":
		*node = guarded(n, "lastTrue", g.pairs(n, false))
	case "sum":
		if len(n.Arguments) == 1 {
			*node = guarded(n, "sum", n.Arguments[0])
			return
		}
		*node = guarded(n, "sum", g.pairs(n, false))
	case "groupBy":
		*node = guarded(n, "groupBy", g.pairs(n, true))
	case "sortBy":
		*node = guarded(n, "sortBy", append([]ast.Node{g.pairs(n, true)}, n.Arguments[2:]...)...)
	case "timezone", "date":
		g.zone(node, n)
	default:
		*node = guarded(n, n.Name, n.Arguments...)
	}
}

// loop charges for a list times the size of what is done with each element.
func (g *guard) loop(n *ast.BuiltinNode) {
	if isGuarded(n.Arguments[0]) && n.Arguments[0].(*ast.CallNode).Callee.(*ast.IdentifierNode).Value == "@each" {
		return
	}
	size := new(counter)
	for i := range n.Arguments[1:] {
		ast.Walk(&n.Arguments[1+i], size)
	}
	n.Arguments[0] = guarded(n.Arguments[0], "each", n.Arguments[0], &ast.IntegerNode{Value: 1 + int(*size)})
}

type counter int

func (c *counter) Visit(*ast.Node) { *c++ }

// pairs maps a list to what a predicate gives for each element, with the
// element itself before it where keep is set.
func (g *guard) pairs(n *ast.BuiltinNode, keep bool) ast.Node {
	predicate := n.Arguments[1]
	if p, ok := predicate.(*ast.PredicateNode); ok && keep {
		predicate = &ast.PredicateNode{Node: &ast.ArrayNode{Nodes: []ast.Node{&ast.PointerNode{}, p.Node}}}
	}
	m := &ast.BuiltinNode{Name: "map", Arguments: []ast.Node{n.Arguments[0], predicate}}
	m.SetLocation(n.Location())
	g.loop(m)
	return m
}

// zone resolves the names of time zones at load: looking one up reads files,
// which no argument of a call shall steer.
func (g *guard) zone(node *ast.Node, n *ast.BuiltinNode) {
	at := 0
	if n.Name == "date" {
		at = len(n.Arguments) - 1
		if at < 2 {
			*node = guarded(n, "date", n.Arguments...)
			return
		}
		if _, ok := n.Arguments[0].(*ast.ConstantNode); ok && at == 2 { // date(timezone(...), s, layout)
			*node = guarded(n, "date", n.Arguments...)
			return
		}
	}
	literal, ok := n.Arguments[at].(*ast.StringNode)
	if !ok {
		g.refuse(n, "the name of a time zone has to be a literal")
		return
	}
	zone, err := time.LoadLocation(literal.Value)
	if err != nil {
		g.refuse(n.Arguments[at], fmt.Sprintf("there is no time zone %q", literal.Value))
		return
	}
	constant := &ast.ConstantNode{Value: zone}
	constant.SetLocation(n.Location())
	if n.Name == "timezone" {
		*node = constant
		return
	}
	args := append([]ast.Node{}, n.Arguments[:at]...)
	*node = guarded(n, "date", append([]ast.Node{constant}, args...)...)
}

// guardedFunctions are the functions that a guard puts in place, as expr takes them.
var guardedFunctions conf.FunctionsTable

func makeFunctions() conf.FunctionsTable {
	table := make(conf.FunctionsTable)
	for name, f := range functions {
		table["@"+name] = &builtin.Function{
			Name: "@" + name,
			Func: func(params ...any) (any, error) {
				b := params[0].(*budget)
				if err := b.charge(1); err != nil {
					return nil, err
				}
				return f(b, params[1:])
			},
		}
	}
	return table
}

// builtinNames are the functions that a rule can call.
func builtinNames() []string { return append([]string(nil), builtin.Names...) }

// A pattern is a compiled regular expression and its size in instructions,
// which bounds the cost of a match per byte.
type pattern struct {
	re   *regexp.Regexp
	size int
}

// Bounds of regular expressions: of those written in a rule, which are
// compiled once, and of those that come out of a call.
var (
	maxLiteralPattern = patternLimits{bytes: 4 << 10, size: 10_000}
	maxDynamicPattern = patternLimits{bytes: 256, size: 2_000}
)

type patternLimits struct{ bytes, size int }

func compilePattern(text string, limits patternLimits) (*pattern, error) {
	if len(text) > limits.bytes {
		return nil, failf("a regular expression is longer than %d bytes", limits.bytes)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, failf("a regular expression cannot be read")
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(prog.Inst) > limits.size {
		return nil, failf("a regular expression is too complex")
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, failf("a regular expression cannot be read")
	}
	return &pattern{re: re, size: len(prog.Inst)}, nil
}
