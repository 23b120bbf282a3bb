package rules

import (
	"fmt"
	"math"

	"github.com/expr-lang/expr/ast"
)

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
