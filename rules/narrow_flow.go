package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// A flow follows the inputs of a narrowing through the expression of one
// argument, and refuses an expression that pastes one of them into a text in
// which it could mean something. What it does not know how to follow counts as
// chosen by the agent.
type flow struct {
	text     string // the expression
	argument string // of the broad tool
	inputs   map[string]*narrowInput
	reads    map[string]bool // the inputs that it reads

	problem  *Problem
	whole    *wholeText // an argument that the agent would write whole
	steps    int
	vars     []flowVariable
	elements []frame // of the predicates that are being followed
}

type flowVariable struct {
	name  string
	value *abstract
}

// A frame is what # and #acc are.
type frame struct{ element, acc *abstract }

func newFlow(text, argument string, inputs map[string]*narrowInput) *flow {
	return &flow{text: text, argument: argument, inputs: inputs, reads: map[string]bool{}}
}

// check follows the whole expression.
func (f *flow) check(root ast.Node) *Problem {
	v := f.walk(root)
	f.sink(root, v, []string{f.argument})
	return f.problem
}

// passable says whether an input can be handed through as the argument of its name.
func passable(name string, in *narrowInput) (*Problem, *wholeText) {
	f := newFlow("", name, nil)
	f.sink(&ast.NilNode{}, ofSchema(in.doc, "input."+name, 0), []string{name})
	return f.problem, f.whole
}

func (f *flow) refuse(at ast.Node, format string, args ...any) {
	if f.problem == nil {
		f.problem = &Problem{Offset: byteOffset(f.text, at.Location().From), Message: fmt.Sprintf(format, args...)}
	}
}

// step is false when there is nothing more to be said.
func (f *flow) step(at ast.Node) bool {
	if f.steps++; f.steps > maxFlowSteps {
		f.refuse(at, "the expression is too complex: what becomes of the input cannot be followed")
	}
	return f.problem == nil
}

func (f *flow) walk(n ast.Node) *abstract {
	if !f.step(n) {
		return anyInput("", "")
	}
	switch n := n.(type) {
	case *ast.NilNode:
		return &abstract{kinds: shapeNil}
	case *ast.BoolNode:
		return truthOf()
	case *ast.IntegerNode:
		return &abstract{kinds: shapeNumber, texts: []text{{{literal: strconv.Itoa(n.Value), known: true}}}}
	case *ast.FloatNode:
		return &abstract{kinds: shapeNumber, texts: []text{{{}}}}
	case *ast.StringNode:
		return literalText(n.Value)
	case *ast.IdentifierNode:
		return f.identifier(n)
	case *ast.PointerNode:
		return f.pointer(n)
	case *ast.UnaryNode:
		v := f.walk(n.Node)
		if n.Operator == "not" || n.Operator == "!" {
			return truthOf()
		}
		return f.number(v)
	case *ast.BinaryNode:
		return f.binary(n)
	case *ast.ChainNode:
		return either(f.walk(n.Node), &abstract{kinds: shapeNil})
	case *ast.MemberNode:
		return f.member(n)
	case *ast.SliceNode:
		v := f.walk(n.Node)
		for _, bound := range []ast.Node{n.From, n.To} {
			if bound != nil {
				f.walk(bound)
			}
		}
		return f.cut(n, v)
	case *ast.BuiltinNode:
		return f.builtin(n)
	case *ast.PredicateNode:
		return f.walk(n.Node)
	case *ast.VariableDeclaratorNode:
		value := f.walk(n.Value)
		f.vars = append(f.vars, flowVariable{n.Name, value})
		v := f.walk(n.Expr)
		f.vars = f.vars[:len(f.vars)-1]
		return v
	case *ast.SequenceNode:
		var v *abstract
		for _, x := range n.Nodes {
			v = f.walk(x)
		}
		return v
	case *ast.ConditionalNode:
		f.walk(n.Cond)
		return f.bound(n, either(f.walk(n.Exp1), f.walk(n.Exp2)))
	case *ast.ArrayNode:
		v := &abstract{kinds: shapeList, list: []*abstract{}}
		for _, x := range n.Nodes {
			v.list = append(v.list, f.walk(x))
		}
		return v
	case *ast.MapNode:
		return f.object(n)
	case *ast.CallNode:
		var all []*abstract
		if m, ok := n.Callee.(*ast.MemberNode); ok {
			all = append(all, f.walk(m.Node))
		}
		for _, a := range n.Arguments {
			all = append(all, f.walk(a))
		}
		return f.opaque(n, "a call", anyValue, all...)
	}
	return anyInput("", "it cannot be followed")
}

func (f *flow) identifier(n *ast.IdentifierNode) *abstract {
	for i := len(f.vars) - 1; i >= 0; i-- {
		if f.vars[i].name == n.Value {
			return f.vars[i].value
		}
	}
	if n.Value != "input" {
		return anyInput(n.Value, "it cannot be followed")
	}
	for name := range f.inputs {
		f.reads[name] = true
	}
	return f.root()
}

// root is the whole input.
func (f *flow) root() *abstract {
	v := &abstract{kinds: shapeObject, fields: map[string]*abstract{}, path: "input"}
	for name := range f.inputs {
		v.fields[name] = f.input(name)
	}
	return v
}

func (f *flow) input(name string) *abstract {
	in := f.inputs[name]
	v := ofSchema(in.doc, "input."+name, 0)
	if in.optional && !in.hasDefault {
		v = either(v, &abstract{kinds: shapeNil})
	}
	return v
}

func (f *flow) pointer(n *ast.PointerNode) *abstract {
	if len(f.elements) == 0 {
		return anyInput("", "it cannot be followed")
	}
	top := f.elements[len(f.elements)-1]
	switch n.Name {
	case "":
		return top.element
	case "acc":
		if top.acc != nil {
			return top.acc
		}
	case "index":
		return &abstract{kinds: shapeNumber, texts: []text{{{level: levelNumber, name: "#index"}}}}
	}
	return anyInput("#"+n.Name, "it cannot be followed")
}

// member reads a field or an element.
func (f *flow) member(n *ast.MemberNode) *abstract {
	name, named := n.Property.(*ast.StringNode)
	if root, ok := n.Node.(*ast.IdentifierNode); ok && root.Value == "input" && named && !f.shadowed("input") {
		if f.inputs[name.Value] == nil {
			return f.unknown(n, "input", name.Value, sortedNames(f.inputs))
		}
		f.reads[name.Value] = true
		return f.input(name.Value)
	}
	v := f.walk(n.Node)
	if named {
		return f.field(n, v, name.Value)
	}
	f.walk(n.Property)
	return f.element(v, n.Property)
}

func (f *flow) shadowed(name string) bool {
	for _, v := range f.vars {
		if v.name == name {
			return true
		}
	}
	return false
}

func (f *flow) unknown(at ast.Node, path, name string, known []string) *abstract {
	if f.problem == nil {
		f.refuse(at, "%s has no %q", path, name)
		f.problem.Suggestion = nearest(name, known)
	}
	return anyInput("", "")
}

func (f *flow) field(at ast.Node, v *abstract, name string) *abstract {
	if field, ok := v.fields[name]; ok {
		return field
	}
	if v.any || v.rest != nil {
		return v.inside()
	}
	if v.path != "" && v.kinds&^shapeNil == shapeObject {
		return f.unknown(at, v.path, name, sortedNames(v.fields))
	}
	return v.inside()
}

func (f *flow) element(v *abstract, index ast.Node) *abstract {
	if i, ok := index.(*ast.IntegerNode); ok && v.list != nil && 0 <= i.Value && i.Value < len(v.list) {
		return v.list[i.Value]
	}
	return v.inside()
}

func (f *flow) object(n *ast.MapNode) *abstract {
	v := &abstract{kinds: shapeObject, fields: map[string]*abstract{}}
	for _, x := range n.Pairs {
		pair, ok := x.(*ast.PairNode)
		if !ok {
			return anyInput("", "it cannot be followed")
		}
		value := f.walk(pair.Value)
		if key, ok := pair.Key.(*ast.StringNode); ok {
			v.fields[key.Value] = either(v.fields[key.Value], value)
			continue
		}
		key := f.walk(pair.Key)
		if f.tainted(pair.Key, key) {
			f.refuse(pair.Key, "the agent would choose a name in this object: names are written out, or one of an enum")
		}
		v.rest = either(v.rest, value)
	}
	return v
}

func (f *flow) binary(n *ast.BinaryNode) *abstract {
	x, y := f.walk(n.Left), f.walk(n.Right)
	switch n.Operator {
	case "+":
		return f.plus(n, x, y)
	case "-", "*", "/", "%", "**", "^":
		if (x.kinds|y.kinds)&shapeOther != 0 && !x.any && !y.any {
			return f.opaque(n, n.Operator, anyValue, x, y)
		}
		out := f.number(x, y)
		if n.Operator == "*" || n.Operator == "/" || n.Operator == "%" {
			out.texts[0][0].negative = negative(x) || negative(y)
		}
		return out
	case "??":
		return f.bound(n, either(x.of(x.kinds&^shapeNil), y))
	case "..":
		return &abstract{kinds: shapeList, rest: f.number(x, y)}
	}
	return truthOf() // and, or, comparisons, tests
}

// plus adds numbers, appends lists or pastes texts.
func (f *flow) plus(n ast.Node, x, y *abstract) *abstract {
	both := x.kinds & y.kinds
	out := &abstract{}
	if both&shapeText != 0 {
		out = either(out, f.paste(n, x, y))
	}
	if both&shapeNumber != 0 {
		sum := f.number(x, y)
		sum.texts[0][0].negative = negative(x) || negative(y)
		out = either(out, sum)
	}
	if both&shapeList != 0 {
		if x.list != nil && y.list != nil && len(x.list)+len(y.list) <= maxTexts {
			out = either(out, &abstract{kinds: shapeList, list: append(append([]*abstract{}, x.list...), y.list...)})
		} else {
			out = either(out, &abstract{kinds: shapeList, rest: either(x.inside(), y.inside())})
		}
	}
	if (x.kinds|y.kinds)&shapeOther != 0 && !x.any && !y.any {
		out = either(out, f.opaque(n, "+", shapeOther, x, y))
	}
	if out.kinds == 0 {
		switch text, number := x, y; {
		case y.kinds&shapeText != 0:
			text, number = y, x
			fallthrough
		default:
			if text.kinds&shapeText != 0 && number.kinds&shapeNumber != 0 {
				f.refuse(n, "a text and a number cannot be added: write string(...) around the number")
			} else {
				f.refuse(n, "these two cannot be added")
			}
		}
		return anyInput("", "")
	}
	return f.bound(n, out)
}

// negative reports whether a number may be below zero.
func negative(v *abstract) bool {
	for _, t := range v.texts {
		for _, p := range t {
			switch {
			case p.level > levelNumber, p.negative, p.known && strings.HasPrefix(p.literal, "-"), p.level == levelFixed && !p.known:
				return true
			}
		}
	}
	return false
}

// number is a number that is made of others, or any that fails.
func (f *flow) number(of ...*abstract) *abstract {
	p := piece{negative: true}
	for _, v := range of {
		if w := f.worst(v); w.level > levelFixed {
			p.level, p.name = levelNumber, w.name
		}
	}
	return &abstract{kinds: shapeNumber, texts: []text{{p}}}
}

// opaque is what a function makes of values, of which only is known whether
// the agent has a say in any.
func (f *flow) opaque(at ast.Node, what string, kinds shapes, of ...*abstract) *abstract {
	var worst piece
	for _, v := range of {
		f.settle(at, v)
		if w := f.worst(v); w.level > worst.level {
			worst = w
		}
	}
	if worst.level == levelFixed {
		v := unknownFixed().of(kinds)
		if kinds&(shapeList|shapeObject) != 0 {
			v.rest = unknownFixed()
		}
		return v
	}
	v := anyInput(worst.name, fmt.Sprintf("what %s makes of it may be any text", what))
	v.kinds, v.any = kinds, kinds&(shapeList|shapeObject) != 0
	return v
}

// worst is the piece, anywhere in a value, that the agent has most say in.
func (f *flow) worst(v *abstract) piece {
	var worst piece
	if f.steps++; v == nil || f.steps > maxFlowSteps {
		worst.level = levelFree // and what asks for it next is refused
		if v == nil {
			worst.level = levelFixed
		}
		return worst
	}
	take := func(p piece) {
		if p.level > worst.level {
			worst = p
		}
	}
	for _, t := range v.texts {
		take(t.worst())
	}
	for _, e := range v.list {
		take(f.worst(e))
	}
	for _, name := range sortedNames(v.fields) {
		take(f.worst(v.fields[name]))
	}
	if v.rest != nil {
		take(f.worst(v.rest))
	}
	if v.any && worst.level < levelFree {
		worst.level = levelFree
	}
	return worst
}

func (f *flow) tainted(at ast.Node, v *abstract) bool {
	return f.step(at) && f.worst(v).level > levelFixed
}

// bound keeps a value from becoming too many texts.
func (f *flow) bound(at ast.Node, v *abstract) *abstract {
	if v == nil || len(v.texts) <= maxTexts {
		return v
	}
	w := *v
	if w.texts = distinct(slices.Clone(v.texts)); len(w.texts) > maxTexts {
		f.refuse(at, "the expression can give more than %d different texts: what becomes of the input cannot be followed", maxTexts)
		w.texts = w.texts[:maxTexts]
	}
	return &w
}

// paste puts texts beside each other, in order.
func (f *flow) paste(at ast.Node, parts ...*abstract) *abstract {
	all := []text{{}}
	for _, v := range parts {
		texts := v.texts
		if len(texts) == 0 {
			texts = []text{{}} // no scalar: it fails
		}
		var next []text
		for _, before := range all {
			for _, t := range texts {
				if !f.step(at) {
					return anyInput("", "")
				}
				pasted := append(append(text{}, before...), t...)
				if len(pasted) > maxPieces {
					f.refuse(at, "the text has more than %d pieces: what becomes of the input cannot be followed", maxPieces)
					return anyInput("", "")
				}
				next = append(next, pasted)
			}
		}
		all = next
		if len(all) > maxTexts {
			all = f.bound(at, &abstract{texts: all}).texts
		}
	}
	for i, t := range all {
		all[i] = compact(t)
		f.pasted(at, all[i])
	}
	return &abstract{kinds: shapeText, texts: all}
}

// compact joins literals that stand beside each other and drops empty ones.
func compact(t text) text {
	var out text
	for _, p := range t {
		switch last := len(out) - 1; {
		case p.known && p.literal == "":
		case p.known && last >= 0 && out[last].known:
			out[last].literal += p.literal
		default:
			out = append(out, p)
		}
	}
	if out == nil {
		out = text{{known: true}}
	}
	return out
}

// cut is a part of a text, or of a list.
func (f *flow) cut(at ast.Node, v *abstract) *abstract {
	out := &abstract{kinds: v.kinds & (shapeText | shapeList | shapeNil), any: v.any}
	if v.kinds&shapeText != 0 {
		for _, t := range v.texts {
			p := t.worst()
			switch {
			case p.level == levelFixed:
				p = piece{}
			case len(t) > 1:
				f.refuse(at, "%s is pasted into a text that is cut afterwards: what becomes of it cannot be followed", orInput(p.name))
			default:
				p = piece{level: levelFree, name: p.name, why: "a part of it may begin with any character of it, or be empty"}
			}
			out.texts = append(out.texts, text{p})
		}
	}
	if v.kinds&shapeList != 0 {
		out.rest = v.inside()
	}
	return out
}

// eachLiteral changes the literals of a text, piece by piece.
func eachLiteral(v *abstract, change func(string) string) *abstract {
	out := &abstract{kinds: v.kinds & (shapeText | shapeNil), texts: make([]text, len(v.texts))}
	for i, t := range v.texts {
		out.texts[i] = append(text{}, t...)
		for j := range t {
			out.texts[i][j].literal = change(t[j].literal)
		}
	}
	return out
}

// splitLiteral replaces a literal by a value in a text that is a literal itself.
func (f *flow) splitLiteral(at ast.Node, template, old string, n int, value *abstract) *abstract {
	var parts []*abstract
	for i, s := range strings.SplitN(template, old, n) {
		if i > 0 {
			parts = append(parts, value)
		}
		parts = append(parts, literalText(s))
	}
	return f.paste(at, parts...)
}
