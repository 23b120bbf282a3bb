package rules

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// A Finding is something about a policy that shows only beside the tools that
// it speaks of. It is an error, because a rule fails on calls that are valid or
// never holds, unless Warning is set.
type Finding struct {
	Problem
	Warning bool
	Tools   []string // "server.tool", in order, that it is about
}

// Check holds every rule, limit and narrowing of the policy against the input
// schemas of the tools that it names. It finds
//
//   - arguments that a tool does not have, and comparisons that cannot hold on
//     what the schema allows: an error if that is so for every tool that the
//     rule names, and a warning if it is for some;
//   - uses that fail on arguments that are valid: of a value of the wrong type,
//     of an optional or nullable argument without a guard, of an element that a
//     list may not have. These are errors, since a rule that fails denies;
//   - uses that may fail on what the schema leaves open, and arguments that it
//     does not declare but allows: warnings;
//   - limits whose summand the schema allows to be negative: warnings;
//   - rules that can never decide anything: warnings.
//
// Not found is what depends on the values and not on their types: an overflow,
// a division by zero, an integer outside int64, a string that a helper cannot
// parse. Tools that the policy hides are left out, and other capabilities are
// ignored. Schemas that are nil or cannot be read are taken to say nothing.
func (p *Policy) Check(tools []Capability) []Finding {
	k := newChecking(p, tools)
	var found []Finding
	for i, r := range p.rules {
		found = append(found, k.rule(i, r)...)
	}
	for _, l := range p.limits {
		found = append(found, k.limit(l)...)
	}
	for _, n := range p.narrowings {
		for _, a := range n.args {
			if a.program == nil {
				continue // an input that is handed on
			}
			env := newTypeEnv("input", n.rawSchema)
			env.want = kindAll
			found = append(found, checkExpr(n.path+".args."+a.name, a.program.text, env, n.Server+"."+n.Name)...)
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		if d := len(a.Path) - len(b.Path); d != 0 && strings.HasPrefix(a.Path, "rules[") && strings.HasPrefix(b.Path, "rules[") {
			x, y, _ := strings.Cut(a.Path, "]")
			v, w, _ := strings.Cut(b.Path, "]")
			if x != v && y != w || len(x) != len(v) {
				return len(x) - len(v)
			}
		}
		if d := strings.Compare(a.Path, b.Path); d != 0 {
			return d
		}
		return a.Offset - b.Offset
	})
	return found
}

// limit checks the expressions of a limit.
func (k *checking) limit(l *limit) []Finding {
	var live []*checkedTool
	for _, t := range k.tools {
		if t.base != Deny && l.names(&t.sub) {
			live = append(live, t)
		}
	}
	if len(live) == 0 {
		return nil
	}
	var found []Finding
	check := func(field, text string, want kinds) {
		if x, err := parseExpression(text); err == nil {
			found = append(found, k.expression(l.path+"."+field, x, live, want, field == "sum")...)
		}
	}
	if l.when != nil {
		check("when", l.when.text, kindBool)
	}
	if l.sum != nil {
		check("sum", l.sum.text, kindNumber)
	}
	if l.by != nil {
		check("by", l.by.text, kindString|kindNumber)
	}
	return found
}

// A checking holds the expressions of a policy against tools.
type checking struct {
	policy *Policy
	tools  []*checkedTool
	ids    map[string]int // of what schemas say of an argument
}

// A checkedTool is a tool whose schema is read when an expression needs it.
type checkedTool struct {
	Capability
	sub  subject
	base Action
	full string // "server.tool"
	env  typeEnv

	plain  bool              // only properties, required and additionalProperties say what arguments there are
	others int               // identifies what is said of additional properties
	parts  map[string][]byte // the raw schemas of the arguments, if plain
	needed map[string]bool
	states map[string]int // by argument
}

func newChecking(p *Policy, tools []Capability) *checking {
	k := &checking{policy: p, ids: map[string]int{}}
	for _, c := range tools {
		if c.Kind != Tool {
			continue
		}
		t := &checkedTool{Capability: c, sub: newSubject(c.Server, c.Name), full: c.Server + "." + c.Name}
		t.base = p.tools.base(&t.sub).Action
		k.tools = append(k.tools, t)
	}
	return k
}

// types is what an expression about this tool can name.
func (t *checkedTool) types() typeEnv {
	if t.env.names == nil {
		t.env = newTypeEnv("args", t.InputSchema)
		t.env.names["tool"] = toolType(t.Server, t.Name)
		t.env.names["result"] = resultType // which the compiler lets only rules on results name
		if t.Open {
			args := t.env.names["args"]
			args.object.rest, args.object.open = func() *typ { return undeclared() }, true
		}
	}
	t.env.meter.left = max(t.env.meter.left, maxTypeWork/10) // one rule shall not use up what the next needs
	return t.env
}

// newTypeEnv is what an expression can name whose arguments go by a name, args
// or input, and follow a schema.
func newTypeEnv(name string, schema []byte) typeEnv {
	reader, t := readSchema(schema)
	names := maps.Clone(environmentTypes)
	names[name] = arguments(t, reader.root)
	return typeEnv{names: names, meter: &reader.meter}
}

// checkExpr checks an expression that stands on its own, such as an argument
// of a narrowing, for a tool: "server.tool".
func checkExpr(path, text string, env typeEnv, tool string) []Finding {
	x, err := parseExpression(text)
	if err != nil {
		return nil // the compiler says what is wrong
	}
	return collect(path, []string{tool}, []*findings{look(x, env)}, env.want == kindBool)
}

// arguments is the type of a tool's arguments: an object, and one without
// names that its schema does not declare, unless it says so; the firewall
// refuses others.
func arguments(t *typ, root any) *typ {
	u := *t
	u.sure, u.vague = kindObject, 0
	anything := root == true
	if object, ok := root.(map[string]any); ok {
		anything = len(object) == 0
	}
	o := &objectType{}
	if t.object != nil {
		*o = *t.object
	}
	switch {
	case anything:
		o.rest, o.open = func() *typ { return undeclared() }, true
	case !o.open:
		o.rest = nil
	}
	u.object = o
	return &u
}

func toolType(server, name string) *typ {
	t := *environmentTypes["tool"]
	o := *t.object
	o.fields = maps.Clone(o.fields)
	for field, v := range map[string]string{"server": server, "name": name} {
		c := constant(v)
		f := o.fields[field]
		f.typ = func() *typ { return c }
		o.fields[field] = f
	}
	t.object = &o
	return &t
}

// state identifies what the schema says of an argument: tools that agree on
// all that an expression reads give the same findings.
func (k *checking) state(t *checkedTool, name string) int {
	if t.states == nil {
		t.index(k)
	}
	id, ok := t.states[name]
	if !ok {
		key := fmt.Sprintf("\x00%t", t.needed[name])
		if raw, ok := t.parts[name]; ok {
			key += string(raw)
			if bytes.Contains(raw, []byte(`"$ref"`)) { // which means something else in another schema
				key += "\x00" + t.full
			}
		}
		id = k.id(key)
		t.states[name] = id
	}
	return id
}

func (k *checking) id(key string) int {
	id, ok := k.ids[key]
	if !ok {
		id = len(k.ids) + 1
		k.ids[key] = id
	}
	return id
}

// plainKeywords may stand beside properties in a schema whose arguments can be
// told apart without reading it whole.
var plainKeywords = map[string]bool{
	"type": true, "properties": true, "required": true, "$schema": true, "title": true, "description": true,
	"$defs": true, "definitions": true,
}

func (t *checkedTool) index(k *checking) {
	t.states, t.parts, t.needed = map[string]int{}, map[string][]byte{}, map[string]bool{}
	raw := bytes.Clone(t.InputSchema) // which the check may change
	if len(raw) == 0 || len(raw) > maxSchemaSize || jsonrpc.CheckValue(raw, jsonrpc.Limits{}) != nil {
		return
	}
	t.plain = true
	for name, value := range jsonrpc.Members(raw, jsonrpc.Span{End: len(raw)}) {
		v := raw[value.Start:value.End]
		switch key := jsonrpc.String(raw[name.Start:name.End]); key {
		case "properties":
			for n, p := range jsonrpc.Members(raw, value) {
				t.parts[jsonrpc.String(raw[n.Start:n.End])] = raw[p.Start:p.End]
			}
		case "required":
			for e := range jsonrpc.Elements(raw, value) {
				t.needed[jsonrpc.String(raw[e.Start:e.End])] = true
			}
		case "additionalProperties":
			others := string(v)
			if bytes.Contains(v, []byte(`"$ref"`)) {
				others += "\x00" + t.full
			}
			t.others = k.id("\x01" + others)
		default:
			t.plain = t.plain && plainKeywords[key]
		}
	}
}

// findings is what one look at an expression gave.
type findings struct {
	issues []issue
	never  bool // the condition cannot be true
}

// expression checks one expression for several tools.
func (k *checking) expression(path string, x *expression, tools []*checkedTool, want kinds, sums bool) []Finding {
	seen := map[string]*findings{}
	per := make([]*findings, len(tools))
	names := slices.Sorted(maps.Keys(x.names))
	var key []byte
	for i, t := range tools {
		key = key[:0]
		if t.states == nil {
			t.index(k)
		}
		if x.whole || !t.plain || x.tool {
			key = fmt.Appendf(key, "%d", i)
		} else {
			for _, name := range names {
				id := k.state(t, name)
				key = append(key, byte(id), byte(id>>8), byte(id>>16), byte(id>>24))
			}
			for _, test := range x.tests {
				if test(t.Server, t.Name) {
					key = append(key, '1')
				} else {
					key = append(key, '0')
				}
			}
			key = append(key, byte(t.others), byte(t.others>>8), byte(t.others>>16), ':')
			if len(t.parts) == 0 {
				key = append(key, 'e') // it declares nothing, of which it takes a word less
			}
		}
		f, ok := seen[string(key)]
		if !ok {
			env := t.types()
			env.want, env.sums = want, sums
			f = look(x, env)
			seen[string(key)] = f
		}
		per[i] = f
	}
	full := make([]string, len(tools))
	for i, t := range tools {
		full[i] = t.full
	}
	return collect(path, full, per, want == kindBool)
}

func look(x *expression, env typeEnv) *findings {
	f := &findings{}
	type place struct {
		class   issueClass
		offset  int
		message string
	}
	known := map[place]bool{}
	holds, _ := x.check(env, func(i issue) {
		if p := (place{i.class, i.offset, i.message}); !known[p] {
			known[p] = true
			f.issues = append(f.issues, i)
		}
	})
	f.never = !holds
	if env.meter.left == 0 {
		f.issues = append(f.issues, issue{class: issueVague, message: "the schema is too large or too involved to hold the rule against all of it"})
	}
	return f
}

// collect makes one finding of what is the same for several tools.
func collect(path string, tools []string, per []*findings, condition bool) []Finding {
	type place struct {
		class   issueClass
		offset  int
		message string
	}
	type group struct {
		issue
		tools []string
		known []func() []string
	}
	groups := map[place]*group{}
	var order []*group
	for i, f := range per {
		for _, found := range f.issues {
			p := place{found.class, found.offset, found.message}
			if found.class == issueNever || found.class == issueOther { // which say why for this tool
				p.message = ""
			}
			g := groups[p]
			if g == nil {
				g = &group{issue: found}
				groups[p] = g
				order = append(order, g)
			}
			g.tools = append(g.tools, tools[i])
			if found.known != nil && len(g.known) < 32 {
				g.known = append(g.known, found.known)
			}
		}
	}
	var out []Finding
	never := condition && len(tools) > 0
	for _, f := range per {
		never = never && f.never
	}
	for _, g := range order {
		every := len(g.tools) == len(tools)
		if g.class == issueOther && !every {
			continue
		}
		f := Finding{Problem: Problem{Path: path, Offset: g.offset, Message: g.message}, Tools: g.tools}
		f.Warning = g.class == issueOpen || g.class == issueVague || !every && g.class != issueFails
		if g.class == issueUndeclared {
			f.Message += " in " + some(g.tools)
			if !every {
				f.Message += fmt.Sprintf(", though there is in %d of the %d tools that the rule names", len(tools)-len(g.tools), len(tools))
			}
		} else if len(tools) > 1 && g.class != issueOther {
			f.Message += " (" + some(g.tools) + ")"
		}
		if g.name != "" && (g.class != issueUndeclared || every) {
			var names []string
			for _, known := range g.known {
				names = append(names, known()...)
			}
			slices.Sort(names)
			f.Suggestion = nearest(g.name, slices.Compact(names))
		}
		out = append(out, f)
	}
	if never && len(out) == 0 {
		out = append(out, Finding{
			Problem: Problem{Path: path, Message: "the condition is never true: the rule decides nothing"},
			Warning: true, Tools: tools,
		})
	}
	return out
}

// some names tools, but not hundreds of them.
func some(tools []string) string {
	const most = 3
	list := make([]string, 0, most)
	for i, t := range tools {
		if i == most {
			return strings.Join(list, ", ") + fmt.Sprintf(" and %d more", len(tools)-most)
		}
		list = append(list, printableName(t))
	}
	return strings.Join(list, ", ")
}

// printableName is a name of a server's choice as it can be shown on a terminal.
func printableName(s string) string {
	short := visible.Start(s, 80)
	q := fmt.Sprintf("%+q", short)
	q = q[1 : len(q)-1]
	if len(short) < len(s) {
		q += "..."
	}
	return q
}
