package rules

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
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

// An expression is parsed again, as it was written: what is compiled has guards in it.
type expression struct {
	text string
	node ast.Node
	// names are the arguments that it reads; whole says that it may read any.
	names map[string]bool
	whole bool
	tool  bool // it reads what is particular to a tool
	nodes int
}

func parseExpression(text string) (*expression, error) {
	config := conf.New(environment{})
	config.MaxNodes = maxConditionNodes
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		return nil, err
	}
	x := &expression{text: text, node: tree.Node, names: map[string]bool{}}
	if x.footprint(tree.Node, nil); x.nodes > maxConditionNodes {
		return nil, errors.New("the expression is too complex")
	}
	return x, nil
}

// footprint notes what of a tool an expression depends on, so that tools that
// do not differ in it are looked at once.
func (x *expression) footprint(n, parent ast.Node) {
	if x.nodes++; x.nodes > maxConditionNodes { // expr shares nodes, so that trees can be larger than their texts
		return
	}
	if ident, ok := n.(*ast.IdentifierNode); ok {
		switch ident.Value {
		case "args", "input":
			x.whole = x.whole || !x.reads(parent, n)
		case "tool":
			x.tool = true
		}
	}
	for _, child := range children(n) {
		x.footprint(child, n)
	}
}

// reads notes the argument that a node reads of args, if it is named literally.
func (x *expression) reads(n, args ast.Node) bool {
	var name ast.Node
	switch n := n.(type) {
	case *ast.MemberNode:
		if n.Node == args {
			name = n.Property
		}
	case *ast.BinaryNode:
		if n.Operator == "in" && n.Right == args {
			name = n.Left
		}
	case *ast.BuiltinNode:
		if n.Name == "get" && len(n.Arguments) == 2 && n.Arguments[0] == args {
			name = n.Arguments[1]
		}
	}
	s, ok := name.(*ast.StringNode)
	if ok {
		x.names[s.Value] = true
	}
	return ok
}

func children(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.MemberNode:
		return []ast.Node{n.Node, n.Property}
	case *ast.SliceNode:
		list := []ast.Node{n.Node}
		for _, bound := range []ast.Node{n.From, n.To} {
			if bound != nil {
				list = append(list, bound)
			}
		}
		return list
	case *ast.CallNode:
		return append([]ast.Node{n.Callee}, n.Arguments...)
	case *ast.BuiltinNode:
		return n.Arguments
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.VariableDeclaratorNode:
		return []ast.Node{n.Value, n.Expr}
	case *ast.SequenceNode:
		return n.Nodes
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		return n.Pairs
	case *ast.PairNode:
		return []ast.Node{n.Key, n.Value}
	}
	return nil
}

// A typeEnv is what an expression can name, and what it has to give.
type typeEnv struct {
	names map[string]*typ // with args, input or result beside what is always there
	want  kinds
	meter *meter
}

// checkExpr reports what is wrong with an expression for values of the types
// of the environment. It returns whether a condition can be true at all, and
// the type of what the expression gives.
func (x *expression) check(env typeEnv, report func(issue)) (holds bool, t *typ) {
	c := &interpreter{text: x.text, env: env.names, meter: env.meter, report: report}
	t, yes, no := c.visit(x.node, nil)
	c.require(x.node, t, c.join(yes, no), env.want, "the expression has to give "+describe(env.want))
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
	path     string
	elem     *typ
	acc      *typ
	maxIndex int
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

func (c *interpreter) object(n *ast.MapNode, f *facts) (*typ, *facts) {
	t := ofKinds(kindObject)
	t.object = &objectType{fields: map[string]field{}}
	for _, p := range n.Pairs {
		pair, ok := p.(*ast.PairNode)
		if !ok {
			continue
		}
		var key, v *typ
		key, f = c.value(pair.Key, f)
		v, f = c.value(pair.Value, f)
		if name, ok := pair.Key.(*ast.StringNode); ok {
			t.object.fields[name.Value] = field{typ: func() *typ { return v }, required: true}
			continue
		}
		_, f = c.require(pair.Key, key, f, kindString, "the name of a member has to be a string")
		t.object.rest = func() *typ { return unknown(kindAll) }
	}
	return t, f
}

func (c *interpreter) memberNode(n *ast.MemberNode, f *facts) (*typ, *facts) {
	base, f := c.value(n.Node, f)
	if n.Optional && base.can()&kindNil != 0 && len(c.chains) > 0 {
		c.chains[len(c.chains)-1] = true
		if base = base.only(^kindNil); base.empty() {
			return ofKinds(kindMissing), f
		}
	}
	name, literal := n.Property.(*ast.StringNode)
	if !literal {
		return c.element(n, base, f)
	}
	use := fmt.Sprintf("only an object has .%s", name.Value)
	if base.can()&kindList != 0 {
		use += "; of a list, say which element, as in any(" + shown(n.Node) + ", ." + name.Value + " ...)"
	}
	if n.Optional {
		base, _ = c.require(n.Node, base, f, kindObject, use) // what holds inside the chain does not hold after it
	} else {
		base, f = c.require(n.Node, base, f, kindObject, use)
	}
	return c.memberOf(n, n.Property, n.Node, base, name.Value, f), f
}

// memberOf is the type of a member, of an object, that is named literally.
func (c *interpreter) memberOf(n, at, from ast.Node, base *typ, name string, f *facts) *typ {
	if known := f.lookup(c.path(n)); known != nil {
		return known
	}
	return c.declared(at, from, base, name)
}

func (c *interpreter) declared(at, from ast.Node, base *typ, name string) *typ {
	o := base.object
	if o == nil {
		t := unknown(kindAll)
		t.quiet = base.quiet
		return t
	}
	m := o.member(name)
	t := m.typ()
	if o.declared(name) && t.can() != 0 {
		if !m.required {
			t = t.with(kindMissing)
		}
		return t
	}
	what := fmt.Sprintf("%s has no %q", shown(from), name)
	if path := c.path(from); path == "args" || path == "input" {
		what = fmt.Sprintf("there is no argument %q", name)
	}
	known := func() []string {
		names := make([]string, 0, len(o.fields))
		for k := range o.fields {
			names = append(names, k)
		}
		return names
	}
	offset := byteOffset(c.text, at.Location().From)
	if t.can() == 0 {
		c.report(issue{class: issueUndeclared, offset: offset, message: what, name: name, known: known})
		t = ofKinds(kindMissing)
		t.blamed = true
		return t
	}
	if o.declares {
		c.report(issue{class: issueOpen, offset: offset, message: what + " that the schema declares, though it allows others", name: name, known: known})
		u := *t
		u.quiet = true
		t = &u
	}
	if t.sure != 0 {
		return t.with(kindMissing)
	}
	u := *t
	u.vague |= kindMissing
	return &u
}

// element is what [ ] gives for an index or a name that is computed, or an integer.
func (c *interpreter) element(n *ast.MemberNode, base *typ, f *facts) (*typ, *facts) {
	index, f := c.value(n.Property, f)
	allowed := kindList | kindObject
	switch {
	case index.can()&(kindInt|kindString) == 0:
	case index.can()&kindInt == 0:
		allowed = kindObject
	case index.can()&kindString == 0:
		allowed = kindList
	}
	if n.Optional {
		base, _ = c.require(n.Node, base, f, allowed, "it takes "+describe(allowed))
	} else {
		base, f = c.require(n.Node, base, f, allowed, "[ ] takes "+describe(allowed)+" here")
	}
	allowed = kindInt
	if base.can()&kindObject != 0 {
		allowed = kindString
		if base.can()&kindList != 0 {
			allowed |= kindInt
		}
	}
	index, f = c.require(n.Property, index, f, allowed, "an index of "+describe(base.can())+" has to be "+describe(allowed))
	known := f.lookup(c.path(n))
	if known != nil && known.can()&kindNil == 0 { // it is there
		return known, f
	}
	t := nothing()
	if base.can()&kindObject != 0 {
		t = unknown(kindAll)
		t.quiet = base.quiet
	}
	if base.can()&kindList != 0 {
		c.bounds(n, base, index)
		t = c.meter.join(t, base.element())
	}
	if known != nil { // of what get gave
		return known, f
	}
	return t, f
}

// bounds reports an index that a list may not have.
func (c *interpreter) bounds(n *ast.MemberNode, base, index *typ) {
	if len(index.consts) != 1 {
		if index.can()&kindInt != 0 && !base.quiet && !index.quiet {
			c.say(issueVague, n, "%s may have fewer elements: the rule fails then, which denies; get(%[1]s, ...) gives nil instead", shown(n.Node))
		}
		return
	}
	i, ok := index.consts[0].(int)
	if !ok {
		return
	}
	need := i + 1
	if i < 0 {
		need = -i
	}
	switch {
	case base.vague != 0 && base.quiet:
	case base.maxItems < need:
		c.say(issueFails, n, "%s never has so many elements", shown(n.Node))
	case base.minItems < need && base.sure&kindList == 0:
		c.say(issueVague, n, "%s may have fewer elements: the rule fails then, which denies; get(%[1]s, %d) gives nil instead", shown(n.Node), i)
	case base.minItems < need:
		c.say(issueFails, n, "%s may have fewer elements, which makes the rule fail: guard it, as in len(%[1]s) > %d and ..., or use get(%[1]s, %d)", shown(n.Node), need-1, i)
	}
}

func (c *interpreter) slice(n *ast.SliceNode, f *facts) (*typ, *facts) {
	t, f := c.value(n.Node, f)
	t, f = c.require(n.Node, t, f, kindList|kindString, "a part can be taken of a list or a string")
	for _, bound := range []ast.Node{n.From, n.To} {
		if bound == nil {
			continue
		}
		var b *typ
		b, f = c.value(bound, f)
		_, f = c.require(bound, b, f, kindInt, "the bounds of a part have to be integers")
	}
	part := ofKinds(t.sure)
	part.vague, part.quiet, part.elem, part.maxItems, part.maxLen = t.vague, t.quiet, t.elem, t.maxItems, math.MaxInt
	return part, f
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
