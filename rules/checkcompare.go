package rules

import (
	"strings"

	"github.com/expr-lang/expr/ast"
)

// The kinds that < and its like take two of.
var orderable = []kinds{kindNumber, kindString, kindTime, kindDuration}

var orders = []operation{
	{left: kindNumber, right: kindNumber}, {left: kindString, right: kindString},
	{left: kindTime, right: kindTime}, {left: kindDuration, right: kindDuration},
}

func (c *interpreter) order(n *ast.BinaryNode, a, b *typ, f *facts) (*typ, *facts, *facts) {
	const all = kindNumber | kindString | kindTime | kindDuration
	use := n.Operator + " takes two numbers, strings, times or durations"
	var allowed [2]kinds
	wrong := false
	for _, k := range orderable {
		if a.can()&k != 0 {
			allowed[1] |= k
		}
		if b.can()&k != 0 {
			allowed[0] |= k
		}
	}
	for i, k := range allowed {
		if k == 0 {
			allowed[i] = all
		} else if k != all {
			use = n.Operator + " compares it with " + describe(k)
		}
		if i == 0 {
			wrong = a.can()&k == 0 && k != 0
			a, f = c.require(n.Left, a, f, allowed[i], use)
		} else if !wrong { // which was said
			b, f = c.require(n.Right, b, f, allowed[i], use)
		}
		use = n.Operator + " takes two numbers, strings, times or durations"
	}
	if a.vague|b.vague == 0 && !mixes(orders, a.sure, b.sure) {
		c.say(issueFails, n, "%s may get %s on the left with %s on the right", n.Operator, describe(a.sure), describe(b.sure))
	}
	yes, no := f, f
	for i, s := range [2]struct {
		n, other ast.Node
		t        *typ
	}{{n.Left, n.Right, a}, {n.Right, n.Left, b}} {
		v, ok := literalOf(s.other)
		if !ok {
			continue
		}
		operator := n.Operator
		if i == 1 {
			operator = mirrored[operator]
		}
		if !possible(s.t, operator, v) && s.t.can()&^(kindNumber|kindString) == 0 && !s.t.blamed {
			c.never(n, operator, s.n, s.other, f)
			return ofKinds(kindBool), dead, f
		}
		holds := func(d any) bool {
			is, err := compareConstants(operator, d, v)
			return is && err
		}
		yes, no = c.sides(s.n, holds, yes, no)
		yes, no = c.lengthTest(s.n, operator, v, yes, no)
	}
	return ofKinds(kindBool), yes, no
}

var mirrored = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<="}

func compareConstants(operator string, x, y any) (holds, ok bool) {
	out, err := functions[operator](&budget{steps: 1 << 20, bytes: 1 << 20}, []any{x, y})
	is, _ := out.(bool)
	return is, err == nil
}

// possible reports whether a value of the type can be in an order with a constant.
func possible(t *typ, operator string, v any) bool {
	if t.consts != nil {
		for _, w := range t.consts {
			if is, ok := compareConstants(operator, w, v); is || !ok {
				return true
			}
		}
		return false
	}
	f, ok, err := toFloat(v)
	if !ok || err != nil || t.can()&kindNumber == 0 {
		return true
	}
	switch operator {
	case "<":
		return t.min < f
	case "<=":
		return t.min < f || t.min == f && !t.above
	case ">":
		return t.max > f
	}
	return t.max > f || t.max == f && !t.below
}

func (c *interpreter) textTest(n *ast.BinaryNode, a, b *typ, f *facts) (*typ, *facts, *facts) {
	use := n.Operator + " takes two strings"
	if n.Operator == "contains" && a.can()&kindList != 0 {
		use += "; of a list, write ... in " + shown(n.Left)
	}
	a, f = c.require(n.Left, a, f, kindString, use)
	_, f = c.require(n.Right, b, f, kindString, use)
	part, ok := n.Right.(*ast.StringNode)
	if !ok {
		return ofKinds(kindBool), f, f
	}
	test := textTestOf(n.Operator)
	if test == nil {
		p, err := compilePattern(part.Value, maxLiteralPattern)
		if err != nil { // which the compiler reports
			return ofKinds(kindBool), f, f
		}
		test = func(s, _ string) bool { return p.re.MatchString(s) }
	}
	holds := func(v any) bool {
		s, ok := v.(string)
		return ok && test(s, part.Value)
	}
	yes := c.narrow(n.Left, a, f, func(t *typ) *typ { return t.where(holds) })
	no := c.narrow(n.Left, a, f, func(t *typ) *typ { return t.where(func(v any) bool { return !holds(v) }) })
	if a.consts != nil && !a.blamed && a.where(holds).empty() {
		class, why := issueNever, "it is one of "+quoteList(a.consts)
		if strings.HasPrefix(c.path(n.Left), "tool.") {
			class, why = issueOther, "no tool that the rule names has it so"
		}
		if base := c.silent(n.Left, nil).only(^kindNil).where(holds); base.empty() { // and not only because of a guard
			c.say(class, n.Right, "%s %s %s can never be: %s", shown(n.Left), n.Operator, quoteShort(part.Value), why)
		}
		return ofKinds(kindBool), dead, no
	}
	yes, no = c.sides(n.Left, holds, yes, no)
	return ofKinds(kindBool), yes, no
}

// textTestOf is what an operator tests of two strings, except for matches.
func textTestOf(operator string) func(s, part string) bool {
	switch operator {
	case "contains":
		return strings.Contains
	case "startsWith":
		return strings.HasPrefix
	case "endsWith":
		return strings.HasSuffix
	}
	return nil
}

// typeTest narrows p where type(p) is one of some names.
func (c *interpreter) typeTest(n ast.Node, names []any, yes, no *facts) (*facts, *facts) {
	call, ok := n.(*ast.BuiltinNode)
	if !ok || call.Name != "type" || len(call.Arguments) != 1 || c.path(call.Arguments[0]) == "" {
		return yes, no
	}
	var k kinds
	for _, name := range names {
		s, _ := name.(string)
		k |= typeKinds[s]
	}
	p := call.Arguments[0]
	if yes != dead {
		t := c.silent(p, yes)
		if k&kindNil == 0 {
			yes = c.present(p, t, yes)
		}
		yes = c.narrow(p, t, yes, func(t *typ) *typ { return t.only(k) })
	}
	if no != dead {
		no = c.narrow(p, c.silent(p, no), no, func(t *typ) *typ { return t.only(^k) })
		if k&kindNil == kindNil && no != dead {
			no = c.present(p, c.silent(p, no), no)
		}
	}
	return yes, no
}

// typeKinds are the names that type gives.
var typeKinds = map[string]kinds{
	"nil": kindNil, "bool": kindBool, "int": kindInt, "float": kindFloat, "string": kindString,
	"map": kindObject, "array": kindList, "time.Time": kindTime, "time.Duration": kindDuration,
}

// lengthTest narrows p where len(p), or len(p ?? []), is compared with a number.
func (c *interpreter) lengthTest(n ast.Node, operator string, v any, yes, no *facts) (*facts, *facts) {
	call, ok := n.(*ast.BuiltinNode)
	k, whole := v.(int)
	if !ok || !whole || call.Name != "len" || len(call.Arguments) != 1 {
		return yes, no
	}
	p := call.Arguments[0]
	atLeast := func(f *facts, n int) *facts {
		if n <= 0 || f == dead {
			return f
		}
		return c.atLeast(p, n, f)
	}
	switch operator {
	case ">":
		yes = atLeast(yes, k+1)
	case ">=":
		yes = atLeast(yes, k)
	case "<":
		no = atLeast(no, k)
	case "<=":
		no = atLeast(no, k+1)
	case "==":
		yes = atLeast(yes, k)
		if k == 0 {
			no = atLeast(no, 1)
		}
	}
	return yes, no
}

// atLeast notes that a list has so many elements. One that could be missing
// and would then have been taken for an empty one is there.
func (c *interpreter) atLeast(n ast.Node, items int, f *facts) *facts {
	if b, ok := n.(*ast.BinaryNode); ok && b.Operator == "??" {
		if list, ok := b.Right.(*ast.ArrayNode); !ok || len(list.Nodes) >= items {
			return f
		}
		n = b.Left
		f = c.present(n, c.silent(n, f), f)
	}
	if f == dead {
		return f
	}
	return c.narrow(n, c.silent(n, f), f, func(t *typ) *typ {
		if t.can()&kindList == 0 || t.minItems >= items {
			return t
		}
		u := *t
		u.minItems = items
		return &u
	})
}

// nonEmpty is what is known where a node is not [].
func (c *interpreter) nonEmpty(n ast.Node, t *typ, f *facts) *facts {
	if f == dead {
		return f
	}
	return c.atLeast(n, 1, f)
}
