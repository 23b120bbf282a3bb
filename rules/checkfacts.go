package rules

import (
	"strconv"

	"github.com/expr-lang/expr/ast"
)

// facts are what is known at some point of an evaluation beyond the types of
// the environment: a guard that was passed says more of what it looked at. They
// are a list that only grows at its head, so that branches share what they have
// in common.
type facts struct {
	parent *facts
	depth  int
	path   string
	typ    *typ
}

// dead are the facts where no evaluation comes.
var dead = &facts{}

func (f *facts) lookup(path string) *typ {
	if path == "" {
		return nil
	}
	for ; f != nil; f = f.parent {
		if f.path == path {
			return f.typ
		}
	}
	return nil
}

// set adds what is known of a path. Of a value that cannot be, there is no evaluation.
func (f *facts) set(path string, t *typ) *facts {
	if f == dead {
		return dead
	}
	if t.empty() {
		return dead
	}
	if path == "" {
		return f
	}
	depth := 1
	if f != nil {
		depth += f.depth
	}
	return &facts{parent: f, depth: depth, path: path, typ: t}
}

// join is what is known where two branches meet again: of what both speak of.
func (c *interpreter) join(a, b *facts) *facts {
	switch {
	case a == b || b == dead:
		return a
	case a == dead:
		return b
	}
	common, x, y := a, a, b
	var left []*facts
	for x != y {
		if y == nil || x != nil && x.depth >= y.depth {
			left = append(left, x)
			x = x.parent
		} else {
			y = y.parent
		}
		c.meter.spend(0)
	}
	common = x
	joined := common
	done := map[string]bool{}
	for _, l := range left { // the newest first
		if done[l.path] {
			continue
		}
		done[l.path] = true
		for r := b; r != common; r = r.parent {
			if r.path == l.path {
				joined = joined.set(l.path, c.meter.join(l.typ, r.typ))
				break
			}
		}
	}
	return joined
}

// apply adds what was learned between two points to other facts.
func (c *interpreter) apply(f, learned, since *facts) *facts {
	if learned == dead || f == dead {
		return dead
	}
	var steps []*facts
	for ; learned != since && learned != nil; learned = learned.parent {
		steps = append(steps, learned)
	}
	for i := len(steps) - 1; i >= 0; i-- {
		t := steps[i].typ
		if known := f.lookup(steps[i].path); known != nil {
			t = c.meter.meet(known, t)
		}
		f = f.set(steps[i].path, t)
	}
	return f
}

// path names what a node reads, if facts can be kept of it: args.x, args["x"],
// args?.x and get(args, "x") are one. It is empty for anything else.
func (c *interpreter) path(n ast.Node) string {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		if v := c.variable(n.Value); v != nil {
			return v.path
		}
		if _, ok := c.env[n.Value]; ok {
			return n.Value
		}
	case *ast.PointerNode:
		if n.Name == "" && len(c.loops) > 0 {
			return c.loops[len(c.loops)-1].path
		}
	case *ast.ChainNode:
		return c.path(n.Node)
	case *ast.MemberNode:
		return c.step(n.Node, n.Property)
	case *ast.BuiltinNode:
		if n.Name == "get" && len(n.Arguments) == 2 {
			return c.step(n.Arguments[0], n.Arguments[1])
		}
	}
	return ""
}

func (c *interpreter) step(base, property ast.Node) string {
	from := c.path(base)
	if from == "" {
		return ""
	}
	switch p := property.(type) {
	case *ast.StringNode:
		return member(from, p.Value)
	case *ast.IntegerNode:
		return from + "[" + strconv.Itoa(p.Value) + "]"
	}
	return ""
}

func member(base, name string) string {
	return base + "." + strconv.Quote(name)
}

// narrow keeps what keep leaves of the type of a node.
func (c *interpreter) narrow(n ast.Node, t *typ, f *facts, keep func(*typ) *typ) *facts {
	path := c.path(n)
	if path == "" || f == dead {
		if f != dead && keep(t).empty() {
			return dead
		}
		return f
	}
	if known := f.lookup(path); known != nil {
		t = known
	}
	u := keep(t)
	if u == t {
		return f
	}
	return f.set(path, u)
}

// present is what is known where a node gave something other than nil: neither
// it nor what its optional chain goes through is nil.
func (c *interpreter) present(n ast.Node, t *typ, f *facts) *facts {
	notNil := func(t *typ) *typ { return t.only(^kindNil) }
	f = c.narrow(n, t, f, notNil)
	for {
		switch m := n.(type) {
		case *ast.ChainNode:
			n = m.Node
		case *ast.MemberNode:
			if known := f.lookup(c.path(m.Node)); known != nil {
				f = c.narrow(m.Node, known, f, notNil)
			} else if m.Optional && c.path(m.Node) != "" {
				base := c.silent(m.Node, f)
				f = c.narrow(m.Node, base, f, notNil)
			}
			n = m.Node
		case *ast.BuiltinNode:
			if m.Name != "get" || len(m.Arguments) != 2 || c.path(m.Arguments[0]) == "" {
				return f
			}
			f = c.narrow(m.Arguments[0], c.silent(m.Arguments[0], f), f, notNil)
			n = m.Arguments[0]
		default:
			return f
		}
	}
}

// silent is the type of a node that was visited, and reported on, already.
func (c *interpreter) silent(n ast.Node, f *facts) *typ {
	report := c.report
	c.report = func(issue) {}
	defer func() { c.report = report }()
	chains := c.chains
	c.chains = append(chains[:len(chains):len(chains)], false)
	t, _ := c.value(n, f)
	c.chains = chains
	return t
}
