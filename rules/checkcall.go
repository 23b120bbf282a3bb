package rules

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// call visits a call of a helper or of a method.
func (c *interpreter) call(n *ast.CallNode, f *facts) (*typ, *facts) {
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		if s, ok := helperTypes[callee.Value]; ok {
			return c.applySignature(callee.Value, s, n.Arguments, f)
		}
	case *ast.MemberNode:
		return c.method(n, callee, f)
	}
	_, f = c.values(n.Arguments, f)
	return unknown(kindAll), f
}

// applySignature visits the arguments of something that has a signature.
func (c *interpreter) applySignature(name string, s signature, args []ast.Node, f *facts) (*typ, *facts) {
	for i, n := range args {
		var t *typ
		t, f = c.value(n, f)
		if i >= len(s.params) && (!s.variadic || len(s.params) == 0) {
			continue
		}
		allowed := s.params[min(i, len(s.params)-1)]
		use := name + " takes " + describe(allowed)
		if allowed == anything || allowed&kindZone != 0 && allowed&kindNil == 0 && allowed&kindObject != 0 {
			use = name + " takes a value that is there"
		}
		_, f = c.require(n, t, f, allowed, use)
	}
	return s.result, f
}

func (c *interpreter) method(n *ast.CallNode, callee *ast.MemberNode, f *facts) (*typ, *facts) {
	base, f := c.value(callee.Node, f)
	name, ok := callee.Property.(*ast.StringNode)
	if !ok {
		return unknown(kindAll), f
	}
	ended := false
	if callee.Optional && base.can()&kindNil != 0 {
		ended = true
		base = base.only(^kindNil)
	}
	var methods map[string]signature
	switch {
	case base.can() == kindTime:
		methods = timeMethods
	case base.can() == kindDuration:
		methods = durationMethods
	case base.object != nil:
		methods = base.object.methods
	}
	s, ok := methods[name.Value]
	if !ok {
		if base.vague == 0 && !base.blamed && base.can()&kindNil == 0 {
			c.report(issue{
				class: issueFails, offset: byteOffset(c.text, name.Location().From), name: name.Value,
				message: fmt.Sprintf("%s has no %s(): it is %s", shown(callee.Node), name.Value, describe(base.can())),
				known:   func() []string { return slices.Collect(maps.Keys(methods)) },
			})
		} else if base.can()&kindNil != 0 {
			c.require(callee.Node, base, f, kindTime|kindDuration|kindObject, "."+name.Value+"() is a method")
		}
		_, f = c.values(n.Arguments, f)
		return unknown(kindAll), f
	}
	t, f := c.applySignature("."+name.Value+"()", s, n.Arguments, f)
	if ended {
		t = t.with(kindMissing)
	}
	return t, f
}

// builtin visits a call of one of expr's own functions.
func (c *interpreter) builtin(n *ast.BuiltinNode, f *facts) (*typ, *facts, *facts) {
	switch n.Name {
	case "all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "count", "sum", "groupBy", "sortBy", "reduce":
		return c.loop(n, f)
	case "get":
		t, f := c.get(n, f)
		path := c.path(n)
		if path != "" && t.can() == kindBool {
			return t, f.set(path, c.truth(t, true)), f.set(path, c.truth(t, false))
		}
		return t, f, f
	}
	if s, ok := builtinTypes[n.Name]; ok {
		t, f := c.applySignature(n.Name, s, n.Arguments, f)
		return t, f, f
	}
	t, f := c.lists(n, f)
	return t, f, f
}

func (c *interpreter) get(n *ast.BuiltinNode, f *facts) (*typ, *facts) {
	if len(n.Arguments) != 2 {
		return unknown(kindAll), f
	}
	base, f := c.value(n.Arguments[0], f)
	at, f := c.value(n.Arguments[1], f)
	absent := base.can()&kindNil != 0
	base, _ = c.require(n.Arguments[0], base, f, kindObject|kindList|kindNil, "get takes an object or a list")
	if base = base.only(^kindNil); base.empty() {
		return ofKinds(kindMissing), f
	}
	allowed := kinds(0)
	if base.can()&kindObject != 0 {
		allowed |= kindString
	}
	if base.can()&kindList != 0 {
		allowed |= kindInt
	}
	if base.sure == kindObject|kindList {
		c.say(issueFails, n, "%s may be a list or an object: get takes an index of one and a name of the other", shown(n.Arguments[0]))
	}
	_, f = c.require(n.Arguments[1], at, f, allowed, "get takes "+describe(allowed)+" to look up")
	name, literal := n.Arguments[1].(*ast.StringNode)
	t := nothing()
	switch {
	case base.can()&kindObject != 0 && literal:
		t = c.memberOf(n, name, n.Arguments[0], base, name.Value, f)
	case base.can()&kindObject != 0:
		t = unknown(kindAll)
		t.quiet = base.quiet
	}
	if base.can()&kindList != 0 {
		elem := base.element()
		if i, ok := literalOf(n.Arguments[1]); !ok || !within(i, base.minItems) {
			elem = elem.with(kindMissing)
		}
		t = c.meter.join(t, elem)
	}
	if known := f.lookup(c.path(n)); known != nil {
		return known, f
	}
	if absent {
		t = t.with(kindMissing)
	}
	return t, f
}

// within reports whether a list of n elements has the index.
func within(index any, n int) bool {
	i, ok := index.(int)
	return ok && (i >= 0 && i < n || i < 0 && -i <= n)
}

// lists visits calls whose result depends on what they get.
func (c *interpreter) lists(n *ast.BuiltinNode, f *facts) (*typ, *facts) {
	types, f := c.values(n.Arguments, f)
	need := func(i int, allowed kinds) *typ {
		if i >= len(types) {
			return unknown(allowed)
		}
		types[i], f = c.require(n.Arguments[i], types[i], f, allowed, n.Name+" takes "+describe(allowed)+" here")
		return types[i]
	}
	// of every element of a list that has some
	each := func(t *typ, allowed kinds) *typ {
		elem := c.meter.elementOf(t)
		if !elem.empty() {
			c.require(&elementsNode{Node: n.Arguments[0]}, elem, f, allowed, n.Name+" takes a list of which each is "+describe(allowed))
		}
		return elem
	}
	switch n.Name {
	case "first", "last":
		t := need(0, kindList)
		elem := c.meter.elementOf(t)
		if t.minItems == 0 {
			elem = elem.with(kindMissing)
		}
		return elem, f
	case "take":
		t := need(0, kindList)
		count := need(1, kindInt)
		if count.max < 0 || len(count.consts) == 1 && compareNegative(count.consts[0]) {
			c.say(issueFails, n.Arguments[1], "take takes a count of zero or more")
		}
		out := listOf(t.element())
		return out, f
	case "reverse", "uniq", "sort":
		t := need(0, kindList)
		if n.Name == "sort" {
			c.sortable(n, each(t, kindNumber|kindString|kindTime|kindDuration))
		}
		out := listOf(t.element())
		out.minItems = min(t.minItems, 1)
		return out, f
	case "concat":
		elem, items := nothing(), 0
		for i := range types {
			t := need(i, kindList)
			elem = c.meter.join(elem, c.meter.elementOf(t))
			items += t.minItems
		}
		out := listOf(elem)
		out.minItems = items
		return out, f
	case "flatten":
		need(0, kindList)
		return listOf(unknown(kindAll)), f
	case "join":
		each(need(0, kindList), kindString)
		need(1, kindString)
		return ofKinds(kindString), f
	case "split", "splitAfter":
		need(0, kindString)
		need(1, kindString)
		if len(types) > 2 {
			need(2, kindInt)
		}
		out := listOf(ofKinds(kindString))
		if len(types) == 2 {
			if sep, ok := n.Arguments[1].(*ast.StringNode); ok && sep.Value != "" {
				out.minItems = 1
			}
		}
		return out, f
	case "values":
		need(0, kindObject)
		return listOf(unknown(kindAll)), f
	case "toPairs":
		need(0, kindObject)
		pair := listOf(unknown(kindAll))
		pair.minItems, pair.maxItems = 2, 2
		return listOf(pair), f
	case "fromPairs":
		need(0, kindList)
		t := ofKinds(kindObject)
		return t, f
	case "max", "min":
		out := ofKinds(kindNumber)
		some := false
		for i := range types {
			t := need(i, kindNumber|kindDuration|kindList)
			some = some || t.can()&kindList == 0 || t.minItems > 0
			if n.Name == "max" && t.can()&^kindNumber == 0 && !t.belowZero() {
				out.min = 0
			}
			if t.can()&kindList != 0 {
				each(t, kindNumber|kindDuration|kindList)
			}
		}
		if !some {
			out = out.with(kindMissing)
		}
		return out, f
	}
	return unknown(kindAll), f
}

func compareNegative(v any) bool {
	i, ok := v.(int)
	return ok && i < 0
}

// sortable reports elements that cannot be compared with each other.
func (c *interpreter) sortable(n *ast.BuiltinNode, t *typ) {
	found := 0
	for _, k := range orderable {
		if t.sure&k != 0 {
			found++
		}
	}
	if found > 1 && !t.blamed {
		c.say(issueFails, n, "%s may get %s, which do not compare with each other", n.Name, describe(t.sure))
	}
}

// elementsNode stands for the elements of a list in messages.
type elementsNode struct{ ast.Node }

func (n *elementsNode) String() string { return "each of " + shown(n.Node) }

// loop visits a call that does something with every element of a list.
func (c *interpreter) loop(n *ast.BuiltinNode, f *facts) (*typ, *facts, *facts) {
	list, f := c.value(n.Arguments[0], f)
	use := n.Name + " goes over a list"
	if list.can()&kindString != 0 {
		use += "; if it may be a string too, test type(...) first"
	}
	list, f = c.require(n.Arguments[0], list, f, kindList, use)
	c.ids++
	l := loop{path: "#" + strconv.Itoa(c.ids), elem: c.meter.elementOf(list)}
	start := f
	if l.elem.empty() { // the body never runs
		start = dead
	}
	var body ast.Node = &ast.PointerNode{}
	body.SetLocation(n.Location())
	if len(n.Arguments) > 1 {
		body = n.Arguments[1]
	}
	if n.Name == "reduce" {
		return c.reduce(n, list, l, body, f, start)
	}
	c.loops = append(c.loops, l)
	t, yes, no := c.visit(body, start)
	after := c.join(yes, no)
	need := func(allowed kinds, use string) *typ {
		if after == dead {
			return t
		}
		u, _ := c.require(body, t, after, allowed, use)
		return u
	}
	const condition = "the condition has to be true or false"
	out, some := ofKinds(kindBool), false
	switch n.Name {
	case "all", "none", "one", "any":
		need(kindBool, condition)
		some = n.Name == "any" || n.Name == "one"
	case "filter":
		need(kindBool, condition)
		out = listOf(c.kept(l, yes, start))
		out.maxItems = list.maxItems
	case "map":
		out = listOf(t)
		out.minItems, out.maxItems = list.minItems, list.maxItems
	case "find", "findLast":
		need(kindBool, condition)
		out = c.kept(l, yes, start).with(kindMissing)
	case "findIndex", "findLastIndex":
		need(kindBool, condition)
		out = atLeastZero().with(kindMissing)
	case "count":
		need(kindBool, condition)
		out = atLeastZero()
	case "sum":
		u := need(kindNumber|kindDuration|kindList, "sum adds numbers")
		out = ofKinds(kindNumber)
		if u.can()&kindDuration != 0 {
			out = unknown(kindNumber | kindDuration)
		} else if u.can()&^kindInt == 0 {
			out = ofKinds(kindInt)
		}
		if u.can()&^kindNumber == 0 && !u.belowZero() {
			out.min = 0
		}
	case "groupBy":
		need(kindString|kindInt|kindBool, "groups go by a string, an integer, or true or false")
		group := listOf(l.elem)
		group.minItems = 1
		out = ofKinds(kindObject)
		out.object = &objectType{rest: func() *typ { return group }, open: true}
	case "sortBy":
		c.sortable(n, need(kindNumber|kindString|kindTime|kindDuration, "sortBy compares numbers, strings, times or durations"))
		out = listOf(l.elem)
		out.minItems, out.maxItems = list.minItems, list.maxItems
	}
	c.loops = c.loops[:len(c.loops)-1]
	yes, no = f, f
	if some {
		yes = c.atLeast(n.Arguments[0], 1, f)
	}
	if n.Name == "all" || n.Name == "none" { // these are true of an empty list, and so not of none
		no = c.atLeast(n.Arguments[0], 1, f)
	}
	return out, yes, no
}

// kept is the type of the elements for which a condition holds.
func (c *interpreter) kept(l loop, yes, start *facts) *typ {
	if yes == dead {
		return l.elem
	}
	elem := l.elem
	if known := yes.lookup(l.path); known != nil {
		elem = known
	}
	fields := map[string]field{}
	for learned := yes; learned != start && learned != nil; learned = learned.parent {
		quoted, ok := strings.CutPrefix(learned.path, l.path+".")
		name, err := strconv.Unquote(quoted)
		if _, newer := fields[name]; !ok || err != nil || newer { // of a member of a member nothing is kept
			continue
		}
		t := learned.typ
		fields[name] = field{typ: func() *typ { return t.only(^kindMissing) }, required: t.can()&kindMissing == 0}
	}
	if len(fields) == 0 || elem.object == nil {
		return elem
	}
	t, o := *elem, *elem.object
	o.fields = maps.Clone(elem.object.fields)
	if o.fields == nil {
		o.fields = map[string]field{}
	}
	maps.Copy(o.fields, fields)
	t.object = &o
	return &t
}

// reduce assumes that the accumulator stays of the kinds that it starts with,
// and says so where it does not.
func (c *interpreter) reduce(n *ast.BuiltinNode, list *typ, l loop, body ast.Node, f, start *facts) (*typ, *facts, *facts) {
	if len(n.Arguments) > 2 {
		l.acc, f = c.value(n.Arguments[2], f)
	} else {
		l.acc = l.elem
		if list.minItems == 0 && !list.quiet {
			c.say(issueFails, n, "%s may be empty, of which reduce makes nothing: give a third argument to start with", shown(n.Arguments[0]))
		}
	}
	l.acc = l.acc.loose()
	if start != dead {
		start = f
	}
	c.loops = append(c.loops, l)
	t, _ := c.value(body, start)
	c.loops = c.loops[:len(c.loops)-1]
	if start == dead {
		return l.acc, f, f
	}
	if t.can()&^l.acc.can() != 0 && !t.quiet && !t.blamed {
		u := ofKinds(0)
		u.vague = t.can() | l.acc.can()
		if t.sure&^l.acc.can() != 0 {
			c.say(issueVague, n, "what reduce gives becomes %s, though it starts as %s", describe(t.can()), describe(l.acc.can()))
		}
		return u, f, f
	}
	out := l.acc
	out.minItems, out.maxItems = 0, math.MaxInt
	out.elem = nil
	return out, f, f
}
