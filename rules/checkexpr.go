package rules

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// An issue is what is wrong with an expression for one tool.
type issue struct {
	class   issueClass
	offset  int // in bytes
	message string
	name    string          // what is not declared
	known   func() []string // of which it is perhaps a misspelling
}

type issueClass uint8

const (
	issueFails      issueClass = iota // the evaluation fails on arguments that are valid
	issueUndeclared                   // an argument that the tool does not have
	issueNever                        // a comparison that cannot hold
	issueOther                        // one that cannot hold for this tool, which is named in it
	issueOpen                         // an argument that is not declared, though it can be there
	issueVague                        // the evaluation may fail on what the schema leaves open
)

// A typeEnv is what an expression can name, and what it has to give.
type typeEnv struct {
	names map[string]*typ // with args, input or result beside what is always there
	want  kinds
	sums  bool // what it gives is a limit's summand
	meter *meter
}

// check reports what is wrong with an expression for values of the types of
// the environment. It returns whether a condition can be true at all, and
// the type of what the expression gives.
func (x *expression) check(env typeEnv, report func(issue)) (holds bool, t *typ) {
	c := &interpreter{text: x.text, env: env.names, meter: env.meter, report: report}
	t, yes, no := c.visit(x.node, nil)
	t, _ = c.require(x.node, t, c.join(yes, no), env.want, "the expression has to give "+describe(env.want))
	if env.sums && t.belowZero() {
		c.say(issueVague, x.node, "%s may be negative, and such a call is denied: a limit counts what is at least 0", shown(x.node))
	}
	return yes != dead, t
}

// An interpreter evaluates an expression over types instead of values.
type interpreter struct {
	text   string
	env    map[string]*typ
	meter  *meter
	report func(issue)
	vars   []variable
	loops  []loop
	chains []bool // whether an optional chain, from the outermost in, may have ended
	ids    int
}

// A variable is what a let declares.
type variable struct {
	name, path     string
	typ            *typ
	since, yes, no *facts // what is known before it, and where it is true, and false
}

// A loop is what # stands for.
type loop struct {
	path string
	elem *typ
	acc  *typ
}

func (c *interpreter) variable(name string) *variable {
	for i := len(c.vars) - 1; i >= 0; i-- {
		if c.vars[i].name == name {
			return &c.vars[i]
		}
	}
	return nil
}

func (c *interpreter) say(class issueClass, n ast.Node, format string, args ...any) {
	c.report(issue{class: class, offset: byteOffset(c.text, n.Location().From), message: fmt.Sprintf(format, args...)})
}

// shown is a node as a person wrote it, more or less.
func shown(n ast.Node) string {
	if m, ok := n.(*ast.MemberNode); ok {
		if p, ok := m.Node.(*ast.PointerNode); ok && p.Name == "" {
			if s, ok := m.Property.(*ast.StringNode); ok {
				return "." + s.Value
			}
		}
	}
	switch n.(type) {
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode, *ast.PointerNode, *ast.BuiltinNode, *ast.CallNode, *ast.IntegerNode, *ast.StringNode:
		if s := n.String(); len(s) <= 60 {
			return s
		}
	}
	return "the value"
}

// require restricts a value to the kinds that its use takes, and reports it
// where the value can be of another.
func (c *interpreter) require(n ast.Node, t *typ, f *facts, allowed kinds, use string) (*typ, *facts) {
	if f == dead {
		return t, f
	}
	good, bad := t.can()&allowed, t.sure&^allowed
	switch {
	case t.blamed, t.can() == 0:
	case good == 0:
		c.say(issueFails, n, "%s is %s: %s", shown(n), describe(t.can()), use)
	case bad&kindNil != 0 && bad&^kindNil == 0:
		may := "may be missing"
		if bad == kindNull {
			may = "may be null"
		}
		if c.path(n) == "" {
			c.say(issueFails, n, "%s %s here, which makes the rule fail: %s", shown(n), may, use)
		} else {
			c.say(issueFails, n, "%s %s, which makes the rule fail: guard it, as in (%s ?? ...) or %[1]s != nil and ...", shown(n), may, shown(n))
		}
	case bad != 0:
		c.say(issueFails, n, "%s may be %s: %s", shown(n), describe(bad), use)
	case t.vague&^allowed != 0 && !t.quiet:
		c.say(issueVague, n, "the schema leaves open what %s is: where it is %s, the rule fails, which denies (%s)", shown(n), describe(t.vague&^allowed), use)
	}
	u := t.only(allowed)
	if u.empty() {
		u = unknown(allowed)
	}
	if u != t {
		f = f.set(c.path(n), u)
	}
	return u, f
}

// value visits a node of which it does not matter whether it is true.
func (c *interpreter) value(n ast.Node, f *facts) (*typ, *facts) {
	t, yes, no := c.visit(n, f)
	return t, c.join(yes, no)
}

// values visits nodes one after the other.
func (c *interpreter) values(nodes []ast.Node, f *facts) ([]*typ, *facts) {
	types := make([]*typ, len(nodes))
	for i, n := range nodes {
		types[i], f = c.value(n, f)
	}
	return types, f
}

// visit finds the type of a node, and what is known after its evaluation where
// it gave true and where it gave false.
func (c *interpreter) visit(n ast.Node, f *facts) (t *typ, yes, no *facts) {
	if f == dead || !c.meter.spend(1) {
		return unknown(kindAll), f, f
	}
	switch n := n.(type) {
	case *ast.BoolNode:
		if n.Value {
			return constant(true), f, dead
		}
		return constant(false), dead, f
	case *ast.UnaryNode:
		return c.unary(n, f)
	case *ast.BinaryNode:
		return c.binary(n, f)
	case *ast.ConditionalNode:
		t, yes, no := c.visit(n.Cond, f)
		yes, no = c.condition(n.Cond, t, yes, no)
		a, yes1, no1 := c.visit(n.Exp1, yes)
		b, yes2, no2 := c.visit(n.Exp2, no)
		switch {
		case yes == dead:
			return b, yes2, no2
		case no == dead:
			return a, yes1, no1
		}
		return c.meter.join(a, b), c.join(yes1, yes2), c.join(no1, no2)
	case *ast.IdentifierNode:
		if v := c.variable(n.Value); v != nil && v.yes != v.no {
			return v.typ, c.apply(f, v.yes, v.since), c.apply(f, v.no, v.since)
		}
	case *ast.VariableDeclaratorNode:
		return c.declare(n, f)
	case *ast.SequenceNode:
		for _, x := range n.Nodes[:len(n.Nodes)-1] {
			_, f = c.value(x, f)
		}
		return c.visit(n.Nodes[len(n.Nodes)-1], f)
	case *ast.BuiltinNode:
		return c.builtin(n, f)
	case *ast.PredicateNode:
		return c.visit(n.Node, f)
	}
	t, f = c.simple(n, f)
	path := c.path(n)
	if path != "" && t.can() == kindBool {
		yes = f.set(path, c.truth(t, true))
		no = f.set(path, c.truth(t, false))
		return t, yes, no
	}
	return t, f, f
}

func (c *interpreter) truth(t *typ, is bool) *typ {
	u := t.only(kindBool)
	if u.consts != nil {
		return u.where(func(v any) bool { return v == is })
	}
	if u.empty() {
		return u
	}
	return constant(is)
}

// condition requires of a value that it is true or false.
func (c *interpreter) condition(n ast.Node, t *typ, yes, no *facts) (*facts, *facts) {
	if t.can()&^kindBool == 0 {
		return yes, no
	}
	f := yes
	if f == dead {
		f = no
	}
	c.require(n, t, f, kindBool, "it has to be true or false here")
	return yes, no
}

// simple visits a node that is not itself a condition.
func (c *interpreter) simple(n ast.Node, f *facts) (*typ, *facts) {
	switch n := n.(type) {
	case *ast.NilNode:
		return ofKinds(kindNull), f
	case *ast.IntegerNode:
		return constant(n.Value), f
	case *ast.FloatNode:
		return constant(n.Value), f
	case *ast.StringNode:
		return constant(n.Value), f
	case *ast.IdentifierNode:
		return c.identifier(n, f), f
	case *ast.PointerNode:
		return c.pointer(n, f), f
	case *ast.ChainNode:
		c.chains = append(c.chains, false)
		t, after := c.simple(n.Node, f)
		ended := c.chains[len(c.chains)-1]
		c.chains = c.chains[:len(c.chains)-1]
		if !ended { // or else what was learned on the way holds only where it went on
			f = after
		}
		if known := f.lookup(c.path(n)); known != nil {
			return known, f
		}
		if ended {
			t = t.with(kindMissing)
		}
		return t, f
	case *ast.MemberNode:
		return c.memberNode(n, f)
	case *ast.SliceNode:
		return c.slice(n, f)
	case *ast.CallNode:
		return c.call(n, f)
	case *ast.ArrayNode:
		types, f := c.values(n.Nodes, f)
		elem := nothing()
		for _, t := range types {
			elem = c.meter.join(elem, t)
		}
		t := listOf(elem)
		t.minItems, t.maxItems = len(types), len(types)
		return t, f
	case *ast.MapNode:
		return c.object(n, f)
	}
	return unknown(kindAll), f
}

func (c *interpreter) identifier(n *ast.IdentifierNode, f *facts) *typ {
	t := unknown(kindAll)
	if v := c.variable(n.Value); v != nil {
		t = v.typ
	} else if known, ok := c.env[n.Value]; ok {
		t = known
	}
	if known := f.lookup(c.path(n)); known != nil {
		return known
	}
	return t
}

func (c *interpreter) pointer(n *ast.PointerNode, f *facts) *typ {
	if len(c.loops) == 0 {
		return unknown(kindAll)
	}
	l := c.loops[len(c.loops)-1]
	switch n.Name {
	case "index":
		t := ofKinds(kindInt)
		t.min = 0
		return t
	case "acc":
		if l.acc != nil {
			return l.acc
		}
		return unknown(kindAll)
	}
	if known := f.lookup(l.path); known != nil {
		return known
	}
	return l.elem
}

func (c *interpreter) declare(n *ast.VariableDeclaratorNode, f *facts) (*typ, *facts, *facts) {
	path := c.path(n.Value)
	if path == "" {
		c.ids++
		path = n.Name + "@" + strconv.Itoa(c.ids)
	}
	t, yes, no := c.visit(n.Value, f)
	after := c.join(yes, no)
	c.vars = append(c.vars, variable{name: n.Name, path: path, typ: t, since: f, yes: yes, no: no})
	t, yes, no = c.visit(n.Expr, after)
	c.vars = c.vars[:len(c.vars)-1]
	return t, yes, no
}

// literalOf is the value of a node that is a literal.
func literalOf(n ast.Node) (any, bool) {
	if u, ok := n.(*ast.UnaryNode); ok && u.Operator == "-" {
		switch x := u.Node.(type) {
		case *ast.IntegerNode:
			return -x.Value, true
		case *ast.FloatNode:
			return -x.Value, true
		}
	}
	switch n := n.(type) {
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.FloatNode:
		return n.Value, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.BoolNode:
		return n.Value, true
	}
	return nil, false
}

func quoteShort(v any) string {
	s := fmt.Sprint(v)
	if text, ok := v.(string); ok {
		s = strconv.Quote(text)
	}
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:57], "") + "..."
	}
	return s
}
