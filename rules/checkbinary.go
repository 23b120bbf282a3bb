package rules

import (
	"strings"

	"github.com/expr-lang/expr/ast"
)

func (c *interpreter) unary(n *ast.UnaryNode, f *facts) (*typ, *facts, *facts) {
	t, yes, no := c.visit(n.Node, f)
	if n.Operator == "not" || n.Operator == "!" {
		yes, no = c.condition(n.Node, t, yes, no)
		return ofKinds(kindBool), no, yes
	}
	f = c.join(yes, no)
	t, f = c.require(n.Node, t, f, kindNumber, n.Operator+" takes a number")
	if v, ok := literalOf(n); ok {
		t = constant(v)
	} else {
		t = t.loose()
	}
	return t, f, f
}

func (c *interpreter) binary(n *ast.BinaryNode, f *facts) (*typ, *facts, *facts) {
	switch n.Operator {
	case "and", "&&", "or", "||":
		return c.logical(n, f)
	case "??":
		return c.coalesce(n, f)
	}
	a, f := c.value(n.Left, f)
	b, f := c.value(n.Right, f)
	if f == dead {
		return ofKinds(kindBool), f, f
	}
	switch n.Operator {
	case "==":
		return c.equals(n, a, b, f)
	case "!=":
		t, yes, no := c.equals(n, a, b, f)
		return t, no, yes
	case "in":
		return c.in(n, a, b, f)
	case "<", "<=", ">", ">=":
		return c.order(n, a, b, f)
	case "contains", "startsWith", "endsWith", "matches":
		return c.textTest(n, a, b, f)
	}
	t, f := c.arithmetic(n, a, b, f)
	return t, f, f
}

func (c *interpreter) logical(n *ast.BinaryNode, f *facts) (*typ, *facts, *facts) {
	use := "and and or take conditions, which are true or false"
	a, yes, no := c.visit(n.Left, f)
	if after := c.join(yes, no); after != dead {
		c.require(n.Left, a, after, kindBool, use)
	}
	next := &yes
	if n.Operator[0] == 'o' || n.Operator[0] == '|' {
		next = &no
	}
	start := *next
	b, yes2, no2 := c.visit(n.Right, start)
	if start != dead {
		if after := c.join(yes2, no2); after != dead {
			c.require(n.Right, b, after, kindBool, use)
		}
	}
	if next == &yes {
		return ofKinds(kindBool), yes2, c.join(no, no2)
	}
	return ofKinds(kindBool), c.join(yes, yes2), no2
}

func (c *interpreter) coalesce(n *ast.BinaryNode, f *facts) (*typ, *facts, *facts) {
	a, yes, no := c.visit(n.Left, f)
	after := c.join(yes, no)
	missing := dead
	if a.can()&kindNil != 0 || a.can() == 0 {
		missing = c.narrow(n.Left, a, after, func(t *typ) *typ { return t.only(kindNil) })
	}
	present := c.present(n.Left, a, after)
	b, yes2, no2 := c.visit(n.Right, missing)
	t := a.only(^kindNil)
	if a.blamed {
		t = unknown(kindAll &^ kindNil)
	}
	if missing != dead {
		t = c.meter.join(t, b)
	}
	if path := c.path(n.Left); path != "" && a.only(^kindNil).can() == kindBool && present != dead {
		// What is true or false where it is there says so of the value itself.
		known := present.lookup(path)
		if known == nil {
			known = a.only(^kindNil)
		}
		yes = present.set(path, c.truth(known, true))
		no = present.set(path, c.truth(known, false))
		return t, c.join(yes, yes2), c.join(no, no2)
	}
	after = c.join(present, c.join(yes2, no2))
	return t, after, after
}

// defaulted splits p ?? d, where d is a literal that says on which side of a
// comparison a missing p is.
func defaulted(n ast.Node) (p ast.Node, d any, ok bool) {
	b, is := n.(*ast.BinaryNode)
	if !is || b.Operator != "??" {
		return nil, nil, false
	}
	d, ok = literalOf(b.Right)
	return b.Left, d, ok
}

// sides narrows p in p ?? d, where the comparison holds for d or does not: on
// the other side p is there.
func (c *interpreter) sides(n ast.Node, holds func(d any) bool, yes, no *facts) (*facts, *facts) {
	p, d, ok := defaulted(n)
	if !ok {
		return yes, no
	}
	there := &yes
	if holds(d) {
		there = &no
	}
	if *there != dead {
		*there = c.present(p, c.silent(p, *there), *there)
	}
	return yes, no
}

func (c *interpreter) equals(n *ast.BinaryNode, a, b *typ, f *facts) (*typ, *facts, *facts) {
	left, right := n.Left, n.Right
	if _, ok := left.(*ast.NilNode); ok {
		left, right, a, b = right, left, b, a
	}
	if _, ok := right.(*ast.NilNode); ok {
		yes := dead
		if a.can()&kindNil != 0 {
			yes = c.narrow(left, a, f, func(t *typ) *typ { return t.only(kindNil) })
		}
		if a.can()&^kindNil == 0 && a.can() != 0 {
			return ofKinds(kindBool), yes, dead
		}
		return ofKinds(kindBool), yes, c.present(left, a, f)
	}
	if !a.blamed && !b.blamed && a.can() != 0 && b.can() != 0 && !overlaps(a, b) {
		c.never(n, n.Operator, n.Left, n.Right, f)
		return ofKinds(kindBool), dead, f
	}
	yes, no := f, f
	for _, s := range []struct {
		n, other ast.Node
		t, with  *typ
	}{{left, right, a, b}, {right, left, b, a}} {
		if s.with.can()&kindNil == 0 && s.with.can() != 0 && yes != dead {
			if s.t.can()&kindNil != 0 {
				yes = c.present(s.n, s.t, yes)
			}
			yes = c.narrow(s.n, s.t, yes, func(t *typ) *typ { return c.equalTo(t, s.with) })
		}
		if v, ok := literalOf(s.other); ok {
			if no != dead {
				no = c.narrow(s.n, s.t, no, func(t *typ) *typ {
					return t.where(func(w any) bool { return !sameConstant(v, w) })
				})
			}
			yes, no = c.sides(s.n, func(d any) bool { return sameConstant(d, v) }, yes, no)
			yes, no = c.typeTest(s.n, []any{v}, yes, no)
			yes, no = c.lengthTest(s.n, "==", v, yes, no)
		}
		if list, ok := s.other.(*ast.ArrayNode); ok && len(list.Nodes) == 0 {
			no = c.nonEmpty(s.n, s.t, no)
		}
	}
	return ofKinds(kindBool), yes, no
}

// equalTo is what is left of a type where it equals a value of the other.
func (c *interpreter) equalTo(t, other *typ) *typ {
	u := t.only(groups(other.can()))
	if other.consts == nil || other.can()&^kindScalar != 0 {
		return u
	}
	if u.consts != nil {
		return u.where(other.has)
	}
	if other.can()&kindNumber != 0 { // 5 and 5.0 are equal
		return u
	}
	v := *u
	v.consts = other.consts
	return v.trim()
}

// never reports a comparison that cannot hold. What only cannot hold because
// of a guard before it is not worth a word.
func (c *interpreter) never(n *ast.BinaryNode, operator string, left, right ast.Node, f *facts) {
	if _, ok := literalOf(left); ok && operator != "in" {
		left, right = right, left
		if m, ok := mirrored[operator]; ok {
			operator = m
		}
	}
	a, b := c.silent(left, nil), c.silent(right, nil)
	if a.can() == 0 {
		a = c.silent(left, f)
	}
	v, literal := literalOf(right)
	other := b
	if operator == "in" {
		other = b.element()
	}
	switch operator {
	case "==", "!=", "in":
		if overlaps(a.only(^kindNil), other) {
			return
		}
	default:
		if possible(a, operator, v) {
			return
		}
	}
	i := issue{class: issueNever, offset: byteOffset(c.text, right.Location().From)}
	for _, side := range []ast.Node{left, right} {
		if strings.HasPrefix(c.path(side), "tool.") {
			i.class = issueOther
		}
	}
	a = a.only(^kindNil)
	why := "it is " + describe(a.can())
	switch {
	case i.class == issueOther:
		why = "no tool that the rule names has it so"
	case literal && len(a.consts) == 1:
		why = "it is always " + quoteShort(a.consts[0])
	case literal && groups(a.can())&kindOf(v) != 0 && len(a.consts) > 0:
		why = "it is one of " + quoteList(a.consts)
	case literal && (operator[0] == '<' || operator[0] == '>'):
		why = "its schema does not allow it"
	case literal && groups(a.can())&kindOf(v) != 0:
		why = "its schema allows no such value"
	case operator == "in":
		why += ", and the list has none: each of it is " + describe(other.can())
	case !literal:
		why += ", and the other side is " + describe(b.can())
	}
	i.message = shown(left) + " " + operator + " " + shownValue(right) + " can never be: " + why
	if operator == "!=" {
		i.message = shown(left) + " " + operator + " " + shownValue(right) + " is always so: " + why
	}
	if s, ok := v.(string); ok {
		i.name = s
		i.known = func() (out []string) {
			for _, w := range a.consts {
				if s, ok := w.(string); ok {
					out = append(out, s)
				}
			}
			return out
		}
	}
	c.report(i)
}

func shownValue(n ast.Node) string {
	if v, ok := literalOf(n); ok {
		return quoteShort(v)
	}
	return shown(n)
}

func quoteList(list []any) string {
	var parts []string
	for i, v := range list {
		if i == 8 && len(list) > 9 {
			parts = append(parts, "...")
			break
		}
		parts = append(parts, quoteShort(v))
	}
	return strings.Join(parts, ", ")
}

func (c *interpreter) in(n *ast.BinaryNode, a, b *typ, f *facts) (*typ, *facts, *facts) {
	allowed := kindList | kindObject
	if a.can()&kindString == 0 && a.can() != 0 && !a.blamed {
		allowed = kindList
	}
	b, f = c.require(n.Right, b, f, allowed, "in takes "+describe(allowed)+" on the right")
	if b.can()&kindObject != 0 && b.can()&kindList == 0 {
		_, f = c.require(n.Left, a, f, kindString, "the name of a member is a string")
		if name, ok := n.Left.(*ast.StringNode); ok {
			t := c.memberOf(nil, name, n.Right, b, name.Value, f)
			path := c.step(n.Right, name)
			if known := f.lookup(path); known != nil {
				t = known
			}
			if path == "" {
				return ofKinds(kindBool), f, f
			}
			there := t.only(^kindMissing)
			yes, no := f.set(path, there), dead
			if t.can()&kindMissing != 0 {
				no = f.set(path, t.only(kindMissing))
			}
			return ofKinds(kindBool), yes, no
		}
		return ofKinds(kindBool), f, f
	}
	if b.can()&kindObject != 0 {
		return ofKinds(kindBool), f, f
	}
	elem := b.element()
	yes, no := f, f
	if list, ok := n.Right.(*ast.ArrayNode); ok {
		for _, x := range list.Nodes {
			v, ok := literalOf(x)
			if ok && !a.blamed && a.can() != 0 && !overlaps(a, constant(v)) {
				c.never(n, "==", n.Left, x, f)
			}
		}
		if values, all := literals(list); all {
			no = c.narrow(n.Left, a, no, func(t *typ) *typ {
				return t.where(func(w any) bool {
					for _, v := range values {
						if sameConstant(v, w) {
							return false
						}
					}
					return true
				})
			})
			holds := func(d any) bool {
				for _, v := range values {
					if sameConstant(v, d) {
						return true
					}
				}
				return false
			}
			yes, no = c.sides(n.Left, holds, yes, no)
			yes, no = c.typeTest(n.Left, values, yes, no)
		}
	} else if !a.blamed && !b.blamed && a.can() != 0 && elem.can() != 0 && !overlaps(a, elem) {
		c.never(n, "in", n.Left, n.Right, f)
		return ofKinds(kindBool), dead, f
	}
	if elem.can()&kindNil == 0 && elem.can() != 0 && yes != dead {
		if a.can()&kindNil != 0 {
			yes = c.present(n.Left, a, yes)
		}
		yes = c.narrow(n.Left, a, yes, func(t *typ) *typ { return c.equalTo(t, elem) })
	}
	return ofKinds(kindBool), yes, no
}

func literals(list *ast.ArrayNode) ([]any, bool) {
	out := make([]any, len(list.Nodes))
	for i, x := range list.Nodes {
		v, ok := literalOf(x)
		if !ok {
			return nil, false
		}
		out[i] = v
	}
	return out, true
}
