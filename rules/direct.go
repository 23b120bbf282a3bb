package rules

import (
	"errors"
	"reflect"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// A direct evaluates a part of a condition without expr's machine, which costs
// several times as much for the few comparisons that most rules are. It calls
// the same guarded functions, and it only ever gives a value that the machine
// would give too: on any error the whole condition is left to the machine,
// whose word on what is wrong, and where, is the only one. A fuzz test holds
// the two against each other.
type direct func(*evaluation) (any, error)

// What a direct evaluation may use before the machine takes over, with a
// budget of its own.
const (
	directSteps = 64 << 10
	directBytes = 1 << 20
)

var (
	errMachine = errors.New("this is left to the machine")
	errChained = errors.New("a value in an optional chain is nil") // ends at the chain's node
)

// compileDirect compiles a guarded tree; it returns nil for what only the
// machine evaluates, such as loops and variables.
func compileDirect(n ast.Node) direct {
	switch n := n.(type) {
	case *ast.NilNode, *ast.BoolNode, *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.ConstantNode, *ast.ArrayNode:
		v, ok := literal(n)
		if !ok {
			return nil
		}
		return func(*evaluation) (any, error) { return v, nil }
	case *ast.IdentifierNode:
		if n.Value == "args" {
			return func(e *evaluation) (any, error) { return e.allArgs(), nil }
		}
	case *ast.ChainNode:
		if in := compileDirect(n.Node); in != nil {
			return func(e *evaluation) (any, error) {
				v, err := in(e)
				if err == errChained {
					return nil, nil
				}
				return v, err
			}
		}
	case *ast.MemberNode:
		return directMember(n)
	case *ast.UnaryNode:
		if in := compileDirect(n.Node); in != nil && (n.Operator == "not" || n.Operator == "!") {
			return func(e *evaluation) (any, error) {
				is, err := in.truth(e)
				return !is, err
			}
		}
	case *ast.BinaryNode:
		return directBinary(n)
	case *ast.ConditionalNode:
		condition, yes, no := compileDirect(n.Cond), compileDirect(n.Exp1), compileDirect(n.Exp2)
		if condition != nil && yes != nil && no != nil {
			return func(e *evaluation) (any, error) {
				is, err := condition.truth(e)
				if err != nil {
					return nil, err
				}
				if is {
					return yes(e)
				}
				return no(e)
			}
		}
	case *ast.CallNode:
		return directCall(n)
	}
	return nil
}

// literal is the value of a literal, or of a list of them. Nothing changes a
// list in place, so that one serves every evaluation.
func literal(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.NilNode:
		return nil, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode:
		return n.Value, n.Type() == nil || n.Type().Kind() == reflect.Int
	case *ast.FloatNode:
		return n.Value, n.Type() == nil || n.Type().Kind() == reflect.Float64
	case *ast.ConstantNode:
		return n.Value, true
	case *ast.ArrayNode:
		list := make([]any, len(n.Nodes))
		for i, x := range n.Nodes {
			v, ok := literal(x)
			if !ok {
				return nil, false
			}
			list[i] = v
		}
		return list, true
	}
	return nil, false
}

// truth evaluates what has to be true or false.
func (d direct) truth(e *evaluation) (bool, error) {
	v, err := d(e)
	if err != nil {
		return false, err
	}
	is, ok := v.(bool)
	if !ok {
		return false, errMachine
	}
	return is, nil
}

func directMember(n *ast.MemberNode) direct {
	name, named := n.Property.(*ast.StringNode)
	if ident, ok := n.Node.(*ast.IdentifierNode); ok && named {
		switch ident.Value {
		case "args":
			return func(e *evaluation) (any, error) { return e.arg(name.Value), nil }
		case "tool", "session":
			return directField(ident.Value + "." + name.Value)
		}
	}
	if base, ok := n.Node.(*ast.MemberNode); ok && named {
		if ident, ok := base.Node.(*ast.IdentifierNode); ok && ident.Value == "tool" {
			return directField("tool.annotations." + name.Value) // the only object there
		}
	}
	base, property := compileDirect(n.Node), compileDirect(n.Property)
	if base == nil || property == nil {
		return nil
	}
	return func(e *evaluation) (any, error) {
		from, err := base(e)
		if err != nil {
			return nil, err
		}
		if n.Optional && runtime.IsNil(from) {
			return nil, errChained
		}
		p, err := property(e)
		if err != nil {
			return nil, err
		}
		switch from := from.(type) {
		case map[string]any:
			if name, ok := p.(string); ok {
				return from[name], nil
			}
		case []any:
			if i, ok := p.(int); ok && 0 <= i && i < len(from) {
				return from[i], nil
			}
		}
		return nil, errMachine
	}
}

// directField reads what is known of every call; nil if there is no such field.
func directField(path string) direct {
	read := directFields[path]
	if read == nil {
		return nil
	}
	return func(e *evaluation) (any, error) { return read(e.environment()), nil }
}

var directFields = map[string]func(*environment) any{
	"tool.name":                        func(e *environment) any { return e.Tool.Name },
	"tool.server":                      func(e *environment) any { return e.Tool.Server },
	"tool.annotations.title":           func(e *environment) any { return e.Tool.Annotations.Title },
	"tool.annotations.readOnlyHint":    func(e *environment) any { return e.Tool.Annotations.ReadOnlyHint },
	"tool.annotations.destructiveHint": func(e *environment) any { return e.Tool.Annotations.DestructiveHint },
	"tool.annotations.idempotentHint":  func(e *environment) any { return e.Tool.Annotations.IdempotentHint },
	"tool.annotations.openWorldHint":   func(e *environment) any { return e.Tool.Annotations.OpenWorldHint },
	"session.labels":                   func(e *environment) any { return e.Session.Labels },
	"session.calls":                    func(e *environment) any { return e.Session.Calls },
	"session.started":                  func(e *environment) any { return e.Session.Started },
}

func directBinary(n *ast.BinaryNode) direct {
	left, right := compileDirect(n.Left), compileDirect(n.Right)
	if left == nil || right == nil {
		return nil
	}
	switch n.Operator {
	case "and", "&&":
		return func(e *evaluation) (any, error) {
			if is, err := left.truth(e); !is || err != nil {
				return false, err
			}
			return right(e)
		}
	case "or", "||":
		return func(e *evaluation) (any, error) {
			if is, err := left.truth(e); is || err != nil {
				return true, err
			}
			return right(e)
		}
	case "??":
		return func(e *evaluation) (any, error) {
			v, err := left(e)
			if err != nil {
				return nil, err
			}
			switch v.(type) {
			case bool, int, float64, string, map[string]any:
				return v, nil
			}
			if !runtime.IsNil(v) {
				return v, nil
			}
			return right(e)
		}
	}
	return nil
}

// directCall calls a guarded function as makeFunctions does.
func directCall(n *ast.CallNode) direct {
	if !isGuarded(n) {
		return nil
	}
	f := functions[n.Callee.(*ast.IdentifierNode).Value[1:]]
	args := make([]direct, len(n.Arguments)-1)
	for i, a := range n.Arguments[1:] { // the first is the budget
		if args[i] = compileDirect(a); args[i] == nil {
			return nil
		}
	}
	if f == nil {
		return nil
	}
	return func(e *evaluation) (any, error) {
		base := len(e.stack)
		for _, arg := range args {
			v, err := arg(e)
			if err != nil {
				e.stack = e.stack[:base]
				return nil, errMachine
			}
			e.stack = append(e.stack, v)
		}
		if err := e.budget.charge(1); err != nil {
			return nil, err
		}
		v, err := f(&e.budget, e.stack[base:len(e.stack):len(e.stack)])
		e.stack = e.stack[:base]
		return v, err
	}
}
