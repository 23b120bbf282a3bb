package rules

import (
	"strings"

	"github.com/expr-lang/expr/ast"
)

// builtin follows a call of one of expr's own functions.
func (f *flow) builtin(n *ast.BuiltinNode) *abstract {
	if len(n.Arguments) == 0 {
		return unknownFixed().of(shapeOther) // now()
	}
	if v, ok := f.loop(n); ok {
		return v
	}
	if n.Name == "get" && len(n.Arguments) == 2 {
		m := &ast.MemberNode{Node: n.Arguments[0], Property: n.Arguments[1]}
		m.SetLocation(n.Location())
		return either(f.member(m), &abstract{kinds: shapeNil})
	}
	args := make([]*abstract, len(n.Arguments))
	for i, a := range n.Arguments {
		args[i] = f.walk(a)
	}
	if f.problem != nil {
		return anyInput("", "")
	}
	v := args[0]
	switch n.Name {
	case "hasPrefix", "hasSuffix":
		return truthOf()
	case "len":
		size := f.number(args...)
		size.texts[0][0].negative = false
		return size
	case "abs":
		if v.kinds == shapeNumber {
			size := f.number(args...)
			size.texts[0][0].negative = false
			return size
		}
		return f.number(args...)
	case "int", "float", "ceil", "floor", "round", "indexOf", "lastIndexOf",
		"bitand", "bitor", "bitxor", "bitnand", "bitnot", "bitshl", "bitshr", "bitushr":
		return f.number(args...)
	case "sum", "mean", "median", "max", "min":
		for _, a := range args {
			if !numeric(a, 0) {
				return f.opaque(n, n.Name+"()", anyValue&^(shapeText|shapeList|shapeObject), args...)
			}
		}
		return f.number(args...)
	case "type":
		return unknownFixed().of(shapeText)
	case "string":
		return f.spell(n, v)
	case "upper", "lower":
		if f.settle(n, v); v.any {
			return v
		}
		if n.Name == "upper" {
			return eachLiteral(v, strings.ToUpper)
		}
		return eachLiteral(v, strings.ToLower)
	case "trim", "trimPrefix", "trimSuffix":
		return f.cut(n, v)
	case "split", "splitAfter":
		return &abstract{kinds: shapeList, rest: f.cut(n, v)}
	case "replace":
		return f.replace(n, args)
	case "repeat":
		if f.tainted(n, v) {
			return f.paste(n, v, v)
		}
		return unknownFixed().of(shapeText)
	case "join":
		return f.joined(n, args)
	case "concat":
		out := args[0]
		for _, a := range args[1:] {
			out = f.plus(n, out.of(shapeList), a.of(shapeList))
		}
		return out
	case "first":
		if len(v.list) > 0 {
			return v.list[0]
		}
		return v.inside()
	case "last":
		if len(v.list) > 0 {
			return v.list[len(v.list)-1]
		}
		return v.inside()
	case "take", "sort", "reverse", "uniq", "values":
		return &abstract{kinds: shapeList, rest: v.inside()}
	case "flatten":
		return &abstract{kinds: shapeList, rest: f.leaves(n, v)}
	case "keys", "toPairs":
		key := unknownFixed().of(shapeText)
		if v.any || v.rest != nil {
			key = anyInput(v.path, "it is a name in an object that the agent gives")
		}
		if n.Name == "keys" {
			return &abstract{kinds: shapeList, rest: key}
		}
		return &abstract{kinds: shapeList, rest: &abstract{kinds: shapeList, list: []*abstract{key, v.inside()}}}
	case "fromPairs":
		if f.tainted(n, v) {
			f.refuse(n, "what fromPairs() makes of an input cannot be followed: write the object out, as {\"name\": input.x}")
		}
		return &abstract{kinds: shapeObject, rest: unknownFixed()}
	case "toJSON":
		return f.opaque(n, n.Name+"()", shapeText, args...)
	case "toBase64", "fromBase64":
		return f.opaque(n, n.Name+"()", shapeText, args...)
	case "date", "duration", "timezone", "now":
		return f.opaque(n, n.Name+"()", shapeOther, args...)
	}
	return f.opaque(n, n.Name+"()", anyValue, args...)
}

// numeric reports whether only numbers are added up, and no durations.
func numeric(v *abstract, depth int) bool {
	if depth > 16 || v.any || v.kinds&shapeOther != 0 {
		return depth <= 16 && v.any && v.kinds&shapeOther == 0
	}
	for _, e := range v.list {
		if !numeric(e, depth+1) {
			return false
		}
	}
	return v.rest == nil || numeric(v.rest, depth+1)
}

// loop follows the functions that take a predicate.
func (f *flow) loop(n *ast.BuiltinNode) (*abstract, bool) {
	switch n.Name {
	case "all", "none", "any", "one", "filter", "map", "find", "findLast", "findIndex", "findLastIndex", "count", "groupBy", "sortBy", "reduce":
	case "sum":
		if len(n.Arguments) < 2 {
			return nil, false
		}
	default:
		return nil, false
	}
	list := f.walk(n.Arguments[0])
	if n.Name == "reduce" {
		return f.reduce(n, list), true
	}
	if n.Name == "map" && list.list != nil && len(list.list) <= maxTexts && len(n.Arguments) > 1 {
		out := &abstract{kinds: shapeList, list: []*abstract{}}
		for _, e := range list.list {
			out.list = append(out.list, f.predicate(n.Arguments[1], e, nil))
		}
		return out, true
	}
	element := elementOf(list)
	given := truthOf()
	if len(n.Arguments) > 1 {
		given = f.predicate(n.Arguments[1], element, nil)
	}
	for _, a := range n.Arguments[min(2, len(n.Arguments)):] {
		f.walk(a)
	}
	switch n.Name {
	case "filter", "sortBy":
		return &abstract{kinds: shapeList, rest: element}, true
	case "map":
		return &abstract{kinds: shapeList, rest: given}, true
	case "find", "findLast":
		return either(element, &abstract{kinds: shapeNil}), true
	case "findIndex", "findLastIndex", "count":
		v := f.number(list)
		v.texts[0][0].negative = false
		return v, true
	case "sum":
		if !numeric(given, 0) {
			return f.opaque(n, "sum()", anyValue&^(shapeText|shapeList|shapeObject), given), true
		}
		return f.number(list, given), true
	case "groupBy":
		if f.tainted(n, given) {
			f.refuse(n, "the agent would choose a name in the object that groupBy() makes")
		}
		return &abstract{kinds: shapeObject, rest: &abstract{kinds: shapeList, rest: element}}, true
	}
	return truthOf(), true
}

// elementOf is what # can be in a loop over a list.
func elementOf(list *abstract) *abstract {
	if list.any {
		return list
	}
	out := list.rest
	for _, e := range list.list {
		out = either(out, e)
	}
	if out == nil {
		return &abstract{kinds: shapeNil}
	}
	return out
}

func (f *flow) predicate(n ast.Node, element, acc *abstract) *abstract {
	f.elements = append(f.elements, frame{element, acc})
	v := f.walk(n)
	f.elements = f.elements[:len(f.elements)-1]
	return v
}

// reduce takes what was built up so far for anything, unless the inputs have
// no part in it.
func (f *flow) reduce(n *ast.BuiltinNode, list *abstract) *abstract {
	acc := anyInput("#acc", "what reduce() builds up cannot be followed")
	if len(n.Arguments) > 2 {
		f.walk(n.Arguments[2])
	}
	return f.predicate(n.Arguments[1], elementOf(list), acc)
}

// leaves is anything in lists in lists.
func (f *flow) leaves(at ast.Node, v *abstract) *abstract {
	if v.any || !f.step(at) {
		return v
	}
	in := elementOf(v)
	if in.kinds&shapeList == 0 {
		return in
	}
	out := in.of(in.kinds &^ shapeList)
	out.list = nil
	return either(out, f.leaves(at, in))
}

// spell is string(v).
func (f *flow) spell(at ast.Node, v *abstract) *abstract {
	out := &abstract{kinds: shapeText, texts: v.texts}
	if v.kinds&shapeOther != 0 && f.tainted(at, v) {
		return f.opaque(at, "string()", shapeText, v)
	}
	if len(out.texts) == 0 {
		out.texts = []text{{{}}}
	}
	return out
}

// joined follows join(list, glue).
func (f *flow) joined(n *ast.BuiltinNode, args []*abstract) *abstract {
	list, glue := args[0], literalText("")
	if len(args) > 1 {
		glue = args[1]
	}
	if list.list != nil && !list.any {
		var parts []*abstract
		for i, e := range list.list {
			if i > 0 {
				parts = append(parts, glue)
			}
			parts = append(parts, e)
		}
		return f.paste(n, parts...)
	}
	// Of a list of any length, two elements show every neighbourhood.
	e := elementOf(list)
	pasted := f.paste(n, e, glue, e)
	out := either(literalText(""), e.of(shapeText))
	out.any = false
	return f.bound(n, either(out, pasted))
}

// replace follows replace(text, old, new), which is a way to fill in a template.
func (f *flow) replace(n *ast.BuiltinNode, args []*abstract) *abstract {
	source, old, fresh := args[0], args[1], args[2]
	if !f.tainted(n, source) && !f.tainted(n, old) && !f.tainted(n, fresh) {
		return unknownFixed().of(shapeText)
	}
	template, isLiteral := onlyLiteral(source)
	what, known := onlyLiteral(old)
	if isLiteral && known && what != "" && len(args) == 3 {
		return f.splitLiteral(n, template, what, -1, fresh)
	}
	whole := len(source.texts) == 1 && len(source.texts[0]) == 1 && source.texts[0][0].level > levelFixed
	if whole && !f.tainted(n, old) && !f.tainted(n, fresh) {
		return f.opaque(n, "replace()", shapeText, source)
	}
	for _, t := range source.texts {
		if w := t.worst(); len(t) > 1 && w.level > levelFixed {
			f.refuse(n, "%s is pasted into a text that replace() changes afterwards: what becomes of it cannot be followed", orInput(w.name))
		}
	}
	f.paste(n, source, fresh, old) // refused if any of them is free
	return f.opaque(n, "replace()", shapeText, args...)
}

func onlyLiteral(v *abstract) (string, bool) {
	if v.any || len(v.texts) != 1 || len(v.texts[0]) != 1 {
		return "", false
	}
	p := v.texts[0][0]
	return p.literal, p.known
}
