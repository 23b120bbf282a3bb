package rules

import (
	"errors"
	"sync"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
)

// An expression is parsed again, as it was written: what is compiled has guards in it.
type expression struct {
	text string
	node ast.Node
	// names are the arguments that it reads; whole says that it may read any.
	names map[string]bool
	whole bool
	tool  bool // it reads the name of the tool or of its server in another way than by the tests
	tests []func(server, name string) bool
	nodes int
}

// parseConfigs are what conditions are parsed with. One takes a while to make, and notes
// things in itself while it is used, so that each is for one goroutine at a time.
var parseConfigs = sync.Pool{New: func() any {
	config := conf.New(environment{})
	config.MaxNodes = maxConditionNodes
	return config
}}

func parseExpression(text string) (*expression, error) {
	config := parseConfigs.Get().(*conf.Config)
	defer parseConfigs.Put(config)
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
	switch n := n.(type) {
	case *ast.BinaryNode:
		if x.testsTool(n) {
			return
		}
	case *ast.MemberNode: // annotations are not looked at
		if ident, ok := n.Node.(*ast.IdentifierNode); ok && ident.Value == "tool" && isString(n.Property, "annotations") {
			return
		}
	}
	for _, child := range children(n) {
		x.footprint(child, n)
	}
}

func isString(n ast.Node, text string) bool {
	s, ok := n.(*ast.StringNode)
	return ok && s.Value == text
}

// testsTool notes what a comparison of the name of a tool, or of its server,
// with literals tells apart.
func (x *expression) testsTool(n *ast.BinaryNode) bool {
	m, ok := n.Left.(*ast.MemberNode)
	if !ok || !isString(m.Property, "name") && !isString(m.Property, "server") {
		return false
	}
	if ident, ok := m.Node.(*ast.IdentifierNode); !ok || ident.Value != "tool" {
		return false
	}
	test := textTestOf(n.Operator)
	var literals []ast.Node
	switch n.Operator {
	case "==", "!=":
		test, literals = func(s, part string) bool { return s == part }, []ast.Node{n.Right}
	case "in":
		if list, ok := n.Right.(*ast.ArrayNode); ok {
			test, literals = func(s, part string) bool { return s == part }, list.Nodes
		}
	default:
		literals = []ast.Node{n.Right}
	}
	if test == nil {
		return false
	}
	var tests []func(server, name string) bool
	for _, l := range literals {
		s, ok := l.(*ast.StringNode)
		if !ok {
			return false
		}
		tests = append(tests, func(server, name string) bool {
			if isString(m.Property, "server") {
				name = server
			}
			return test(name, s.Value)
		})
	}
	x.tests = append(x.tests, tests...)
	return true
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
