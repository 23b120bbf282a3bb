package rules

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
	"github.com/mcpfirewall/mcpfirewall/internal/schema"
)

// Narrow makes a specific tool out of a broad one, as it is written in the
// configuration. The agent sees and calls the specific one; the broad one is
// hidden and cannot be called.
//
//	Narrow{
//		Name: "get_order_status", From: "db.query", Description: "Status of one order.",
//		Input:  map[string][]byte{"order_id": []byte(`{"type":"integer","minimum":1}`)},
//		Args:   map[string]string{"sql": "'SELECT status FROM orders WHERE id = $1'", "params": "[input.order_id]"},
//		Output: "result.json.rows[0].status",
//	}
//
// The agent chooses the input. It reaches the broad tool as a value of its own,
// or not at all: an expression that pastes an input into a longer text, where
// it could become a part of a statement, a command, a path or a URL that the
// author did not write, does not compile, unless the input can only be one of
// an enumeration, a number, or a text of a pattern without any character that
// means something.
type Narrow struct {
	Name               string // letters, digits, _ and -; in patterns the tool goes by SERVER.Name
	From               string // "SERVER.TOOL": the broad tool
	Title, Description string // for the agent; the description is needed, the title is not

	// Input holds a JSON Schema for each argument of the specific tool. Each
	// says what type it is of, or lists its values. An input has to be given
	// unless its schema has a "default", which then stands in, or says
	// "optional": true, which is no word of JSON Schema and not shown. "format"
	// is not checked by anything.
	Input map[string][]byte

	// Args holds an expression over input for each argument of the broad tool.
	// An argument whose expression gives nil is not sent, but for an input that
	// is null and handed on alone. An input that no expression reads is handed
	// through as the argument of the same name, as is: its schema is how it is
	// restricted. No other argument is sent.
	Args map[string]string

	// Output is an expression over result (result.text, result.json,
	// result.isError); its value is all that the agent sees. Empty means the
	// whole result.
	Output string
}

// A Narrowing is a compiled [Narrow]. It is safe for concurrent use.
type Narrowing struct {
	Name   string // of the specific tool
	Server string
	Broad  string // the server's name for the broad tool

	path               string // in the configuration
	title, description string
	inputs             map[string]*narrowInput
	names              []string // of inputs, sorted
	args               []narrowArg
	wholes             []wholeText
	output             *valueProgram
	readsError         bool // the output looks at result.isError
	schema             *schema.Schema
	rawSchema          []byte
}

// narrowArg is one argument of the broad tool, in the order of their names.
type narrowArg struct {
	name    string
	program *valueProgram
	input   string // the one input that it is, if it is one alone
	literal []byte // its value, if it never changes
}

// valueProgram is an expression that gives a value.
type valueProgram struct {
	text    string
	program *vm.Program
}

var narrowName = onuse.Regexp(`^[A-Za-z0-9_-]{1,64}$`)

// compileNarrows compiles all narrowings of a policy.
func compileNarrows(src []Narrow, report func(Problem)) []*Narrowing {
	var all []*Narrowing
	taken := map[string]bool{}
	for _, n := range src {
		path := "tools.narrow." + n.Name
		c := compileNarrow(path, n, report)
		if c == nil {
			continue
		}
		key := foldCase(c.Server + "." + c.Name)
		if taken[key] {
			report(Problem{Path: path, Message: fmt.Sprintf("another narrowed tool of server %q has this name already", c.Server)})
		}
		taken[key] = true
		all = append(all, c)
	}
	return all
}

// compileNarrow returns nil if anything is wrong, and reports all of it.
func compileNarrow(path string, src Narrow, report func(Problem)) *Narrowing {
	failed := false
	fail := func(p Problem, below string) {
		failed = true
		p.Path = path + below
		report(p)
	}
	n := &Narrowing{Name: src.Name, path: path, title: src.Title, description: src.Description, inputs: map[string]*narrowInput{}}
	if !narrowName().MatchString(src.Name) {
		fail(Problem{Message: "the name of a narrowed tool is of 1 to 64 letters, digits, _ and -"}, "")
	}
	var ok bool
	if n.Server, n.Broad, ok = strings.Cut(src.From, "."); !ok || n.Server == "" || n.Broad == "" || strings.Contains(src.From, "*") {
		fail(Problem{Message: `it names one tool of one server: "SERVER.TOOL"`}, ".from")
	}
	if strings.TrimSpace(src.Description) == "" {
		fail(Problem{Message: "a narrowed tool needs a description: that of the broad tool would promise too much"}, ".description")
	}
	for _, name := range sortedNames(src.Input) {
		in, problem := compileInput(src.Input[name])
		if problem == nil {
			problem = checkInputName(name)
		}
		if problem != nil {
			fail(*problem, ".input."+name)
			continue
		}
		n.inputs[name] = in
		n.names = append(n.names, name)
	}
	if clash := foldedTwice(n.names); clash != "" {
		fail(Problem{Message: fmt.Sprintf("two inputs are named %q but for upper and lower case", clash)}, ".input")
	}
	if failed {
		return nil // what the expressions read is not known
	}
	n.compileSchema(fail)
	n.compileArgs(src.Args, fail)
	if src.Output != "" {
		output, problem := compileValue(src.Output, resultScope{}, nil)
		if problem != nil {
			fail(*problem, ".output")
		} else {
			n.output = output.valueProgram
			n.readsError = readsField(output.tree, "result", "isError")
		}
	}
	if failed {
		return nil
	}
	return n
}

// compileArgs compiles what is sent, and adds the inputs that no expression reads.
func (n *Narrowing) compileArgs(args map[string]string, fail func(Problem, string)) {
	read := map[string]bool{}
	for _, name := range sortedNames(args) {
		flow := newFlow(args[name], name, n.inputs)
		value, problem := compileValue(args[name], inputScope{}, flow.check)
		if problem == nil && name == "" {
			problem = &Problem{Message: "an argument needs a name"}
		}
		if w := flow.whole; problem == nil && w != nil {
			w.path = ".args." + name
			problem = n.whole(*w)
		}
		if problem != nil {
			fail(*problem, ".args."+name)
		}
		for in := range flow.reads {
			read[in] = true
		}
		if problem != nil {
			continue
		}
		a := narrowArg{name: name, program: value.valueProgram, input: inputAlone(value.tree)}
		if isConstant(value.tree) {
			v, err := a.program.run(&inputScope{Input: map[string]any{}, Budget: &budget{steps: maxSteps, bytes: maxBytes}})
			if err == nil {
				a.literal, err = appendValue(nil, v, maxBytes)
			}
			if err != nil {
				fail(Problem{Message: err.Error()}, ".args."+name)
			}
		}
		n.args = append(n.args, a)
	}
	for _, name := range n.names {
		_, computed := args[name]
		switch {
		case read[name]:
		case computed:
			fail(Problem{Message: fmt.Sprintf("the input is not used: the argument of this name is computed by args.%s, which does not read it", name)}, ".input."+name)
		default:
			problem, w := passable(name, n.inputs[name])
			if problem == nil && w != nil {
				w.path = ".input." + name
				problem = n.whole(*w)
			}
			if problem != nil {
				fail(*problem, ".input."+name)
			}
			n.args = append(n.args, narrowArg{name: name, input: name})
		}
	}
	slices.SortFunc(n.args, func(a, b narrowArg) int { return strings.Compare(a.name, b.name) })
	names := make([]string, len(n.args))
	for i := range n.args {
		names[i] = n.args[i].name
	}
	if clash := foldedTwice(names); clash != "" {
		fail(Problem{Message: fmt.Sprintf("two arguments are named %q but for upper and lower case: a server may take one for the other", clash)}, ".args")
	}
}

// InputSchema is the schema of the specific tool's arguments: raw JSON, closed
// to any that it does not name. It must not be changed.
func (n *Narrowing) InputSchema() []byte { return n.rawSchema }

// Fingerprint tells the narrowing from another whose definition is the same, but which makes
// something else of the input or of the result. Who approved the one did not approve the other.
func (n *Narrowing) Fingerprint() string {
	var b strings.Builder
	for _, a := range n.args {
		fmt.Fprintf(&b, "%q %q %q", a.name, a.input, a.literal)
		if a.program != nil {
			fmt.Fprintf(&b, " %q", a.program.text)
		}
		b.WriteByte('\n')
	}
	if n.output != nil {
		fmt.Fprintf(&b, "%q", n.output.text)
	}
	return b.String()
}

// Projects reports whether Result changes results.
func (n *Narrowing) Projects() bool { return n.output != nil }

// Arguments makes the arguments of the broad tool from those that the agent
// gave for the specific one, which it holds against [Narrowing.InputSchema]
// first; nil stands for none. The result is one JSON object with its names in
// order. Numbers are those that were given, whatever their size. The error is
// for the agent and quotes no value.
func (n *Narrowing) Arguments(input []byte) ([]byte, error) {
	if len(bytes.TrimSpace(input)) == 0 {
		input = []byte("{}")
	}
	if err := n.schema.Check(input, false); err != nil {
		return nil, err
	}
	given, err := decodeExact(input)
	if err != nil {
		return nil, fmt.Errorf("the arguments cannot be read: %w", err)
	}
	values, ok := given.(map[string]any)
	if !ok {
		return nil, failf("the arguments are not a JSON object")
	}
	for name, in := range n.inputs {
		if _, ok := values[name]; !ok && in.hasDefault {
			values[name] = in.fallback
		}
	}

	scope := &inputScope{Input: values, Budget: &budget{steps: maxSteps, bytes: maxBytes}}
	room := maxBytes + len(input)
	out := []byte{'{'}
	for _, a := range n.args {
		v, send := values[a.input]
		switch {
		case a.literal != nil:
			send = true
		case a.input == "":
			if v, err = a.program.run(scope); err != nil {
				return nil, fmt.Errorf("computing the argument %q of the tool behind this one: %w", a.name, err)
			}
			send = v != nil
		}
		if !send {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(appendQuoted(out, a.name), ':')
		if a.literal != nil {
			out = append(out, a.literal...)
		} else if out, err = appendValue(out, v, room); err != nil {
			return nil, fmt.Errorf("computing the argument %q of the tool behind this one: %w", a.name, err)
		}
	}
	return append(out, '}'), nil
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// foldedTwice finds a name that equals another one but for case.
func foldedTwice(names []string) string {
	seen := map[string]bool{}
	for _, name := range names {
		folded := foldCase(name)
		if seen[folded] {
			return name
		}
		seen[folded] = true
	}
	return ""
}

// inputAlone is the name in an expression that is input.NAME and nothing else.
func inputAlone(n ast.Node) string {
	m, ok := n.(*ast.MemberNode)
	if !ok {
		return ""
	}
	root, ok := m.Node.(*ast.IdentifierNode)
	name, named := m.Property.(*ast.StringNode)
	if !ok || !named || root.Value != "input" {
		return ""
	}
	return name.Value
}

// isConstant reports whether an expression is made of literals.
func isConstant(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.NilNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.StringNode:
		return true
	case *ast.UnaryNode:
		return isConstant(n.Node)
	case *ast.BinaryNode:
		return isConstant(n.Left) && isConstant(n.Right)
	case *ast.ArrayNode:
		return !slices.ContainsFunc(n.Nodes, func(x ast.Node) bool { return !isConstant(x) })
	case *ast.MapNode:
		return !slices.ContainsFunc(n.Pairs, func(x ast.Node) bool { return !isConstant(x) })
	case *ast.PairNode:
		return isConstant(n.Key) && isConstant(n.Value)
	}
	return false
}
