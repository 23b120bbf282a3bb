package rules

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
)

// An operation is one way to use an arithmetic operator.
type operation struct{ left, right, result kinds }

var arithmetic = map[string][]operation{
	"+": {
		{kindNumber, kindNumber, kindNumber}, {kindString, kindString, kindString}, {kindList, kindList, kindList},
		{kindTime, kindDuration, kindTime}, {kindDuration, kindTime, kindTime}, {kindDuration, kindDuration, kindDuration},
	},
	"-": {
		{kindNumber, kindNumber, kindNumber}, {kindTime, kindTime, kindDuration}, {kindTime, kindDuration, kindTime},
		{kindDuration, kindDuration, kindDuration},
	},
	"*":  {{kindNumber, kindNumber, kindNumber}, {kindDuration, kindNumber, kindDuration}, {kindNumber, kindDuration, kindDuration}},
	"/":  {{kindNumber, kindNumber, kindFloat}},
	"%":  {{kindInt, kindInt, kindInt}},
	"**": {{kindNumber, kindNumber, kindFloat}},
	"^":  {{kindNumber, kindNumber, kindFloat}},
	"..": {{kindInt, kindInt, kindList}},
}

// arithmetic requires of each side what the operator takes beside every kind
// that the other side can be.
func (c *interpreter) arithmetic(n *ast.BinaryNode, a, b *typ, f *facts) (*typ, *facts) {
	table, ok := arithmetic[n.Operator]
	if !ok {
		return unknown(kindAll), f
	}
	var left, right, result kinds
	for _, o := range table {
		if b.can()&o.right != 0 {
			left |= o.left
		}
		if a.can()&o.left != 0 {
			right |= o.right
		}
		if a.can()&o.left != 0 && b.can()&o.right != 0 {
			result |= o.result
		}
	}
	var all [2]kinds
	for _, o := range table {
		all[0] |= o.left
		all[1] |= o.right
	}
	if _, literal := literalOf(n.Left); literal && a.can()&all[0] != 0 && a.can()&left == 0 {
		left = all[0] // the other side is to blame
	}
	if left == 0 {
		left = all[0]
	}
	if right == 0 {
		right = all[1]
	}
	quiet := a.quiet || b.quiet || a.blamed || b.blamed
	was := [2]*typ{a, b}
	a, f = c.require(n.Left, a, f, left, fmt.Sprintf("%s takes %s on the left", n.Operator, describe(left)))
	if was[0].can()&left == 0 && was[0].can() != 0 { // which was said
		return unknown(kindAll), f
	}
	b, f = c.require(n.Right, b, f, right, fmt.Sprintf("%s takes %s on the right", n.Operator, describe(right)))
	if was[0] == a && was[1] == b && a.vague|b.vague == 0 && !mixes(table, a.sure, b.sure) {
		c.say(issueFails, n, "%s may get %s on the left with %s on the right", n.Operator, describe(a.sure), describe(b.sure))
	}
	if result == 0 {
		return unknown(kindAll), f
	}
	t := ofKinds(result)
	if result == kindNumber && (a.can()|b.can())&kindFloat == 0 {
		t.sure = kindInt
	}
	if (n.Operator == "+" || n.Operator == "*") && result&^kindNumber == 0 && !a.belowZero() && !b.belowZero() {
		t.min = 0
	}
	if a.vague|b.vague != 0 || quiet {
		t.sure, t.vague, t.quiet = 0, result, quiet
	}
	if result&kindList != 0 {
		t.elem = lazy(func() *typ { return c.meter.join(c.meter.elementOf(a), c.meter.elementOf(b)) })
		t.minItems = a.minItems + b.minItems
		if n.Operator == ".." {
			t.elem, t.minItems = func() *typ { return ofKinds(kindInt) }, 0
		}
	}
	return t, f
}

// mixes reports whether the operator takes every pair of kinds of the two sides.
func mixes(table []operation, a, b kinds) bool {
	for x := kinds(1); x <= a; x <<= 1 {
		for y := kinds(1); y <= b; y <<= 1 {
			if a&x == 0 || b&y == 0 {
				continue
			}
			ok := false
			for _, o := range table {
				ok = ok || o.left&x != 0 && o.right&y != 0
			}
			if !ok {
				return false
			}
		}
	}
	return true
}
