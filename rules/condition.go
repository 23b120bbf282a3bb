package rules

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
)

// Bounds of what a condition may be.
const (
	maxConditionBytes = 16 << 10
	maxConditionNodes = 4000
)

// environment is what a condition can name. The field for the budget goes by a
// name that expr's lexer cannot read, so no condition can reach it.
type environment struct {
	Tool    toolEnv        `expr:"tool"`
	Args    map[string]any `expr:"args"`
	Session sessionEnv     `expr:"session"`
	User    User           `expr:"user"`
	Client  Client         `expr:"client"`
	Result  resultValue    `expr:"result"` // in rules on results
	Budget  *budget        `expr:"@budget"`
}

type toolEnv struct {
	Name        string         `expr:"name"`
	Server      string         `expr:"server"`
	Labels      []string       `expr:"labels"`
	Annotations annotationsEnv `expr:"annotations"`
}

// annotationsEnv is what a server says about its own tool. A hint that is
// absent, or not a boolean, has the value that the specification gives to an
// absent one (schema of 2025-03-26 on, ToolAnnotations), which is the warier.
type annotationsEnv struct {
	Title           string `expr:"title"`
	ReadOnlyHint    bool   `expr:"readOnlyHint"`
	DestructiveHint bool   `expr:"destructiveHint"`
	IdempotentHint  bool   `expr:"idempotentHint"`
	OpenWorldHint   bool   `expr:"openWorldHint"`
}

func readAnnotations(raw []byte) annotationsEnv {
	a := annotationsEnv{DestructiveHint: true, OpenWorldHint: true}
	left := fullRoom
	fields, err := decodeArgs(raw, &left)
	if err != nil {
		return a
	}
	if s, ok := fields["title"].(string); ok {
		a.Title = s
	}
	for name, hint := range map[string]*bool{
		"readOnlyHint": &a.ReadOnlyHint, "destructiveHint": &a.DestructiveHint,
		"idempotentHint": &a.IdempotentHint, "openWorldHint": &a.OpenWorldHint,
	} {
		if b, ok := fields[name].(bool); ok {
			*hint = b
		}
	}
	return a
}

type sessionEnv struct {
	Labels  []string  `expr:"labels"`
	Calls   int       `expr:"calls"`
	Started time.Time `expr:"started"`
}

// A condition is a compiled When.
type condition struct {
	text      string
	program   *vm.Program
	readsArgs bool
	remembers bool   // it reads session.labels or session.calls
	traces    bool   // it calls seen, trusted, tainted or sources
	direct    direct // nil if only the machine evaluates it
}

func compileCondition(text string, on phase) (*condition, *Problem) {
	c, problem := compileGuarded(text, on, func(kind, shown string) *Problem {
		if kind == "bool" || kind == "interface" {
			return nil
		}
		return &Problem{Message: fmt.Sprintf("the expression is not a condition: it gives %s, not true or false", shown)}
	})
	if problem != nil {
		return nil, problem
	}
	c.direct = compileDirect(c.guarded)
	return &c.condition, nil
}

// compiled is an expression of any type, and its tree with the guards.
type compiled struct {
	condition
	guarded ast.Node
}

// writtenConfigs and guardedConfigs are what an expression is checked with as it was written
// and as it is compiled. One takes longer to make than most expressions take to compile, and
// notes types in itself while it is used, so that each is for one goroutine at a time.
var (
	writtenConfigs = sync.Pool{New: func() any {
		config := conf.New(environment{})
		config.MaxNodes = maxConditionNodes
		config.Functions = declaredHelpers
		return config
	}}
	guardedConfigs = sync.Pool{New: func() any {
		config := conf.New(environment{})
		config.Functions = guardedFunctions
		config.Optimize = false // it would undo the guards: it folds and fuses loops
		return config
	}}
)

// compileGuarded checks an expression as expr does, so that its messages speak of what was
// written; then replaces everything in it that could run without bound or give a silent
// wrong answer, and compiles the result. Accept says what is wrong with its type: the kind is
// that of reflect.
func compileGuarded(text string, on phase, accept func(kind, shown string) *Problem) (*compiled, *Problem) {
	if len(text) > maxConditionBytes {
		return nil, &Problem{Message: fmt.Sprintf("the expression is longer than %d bytes", maxConditionBytes)}
	}
	if !utf8.ValidString(text) {
		return nil, &Problem{Message: "the expression is not valid UTF-8"}
	}
	written := writtenConfigs.Get().(*conf.Config)
	defer writtenConfigs.Put(written)
	tree, err := parser.ParseWithConfig(text, written)
	if err != nil {
		return nil, exprProblem(text, err)
	}
	scan := &scanner{text: text, on: on}
	scan.visit(tree.Node)
	if scan.problem != nil {
		return nil, scan.problem
	}
	result, err := new(checker.Checker).Check(tree, written)
	if err != nil {
		return nil, exprProblem(text, err)
	}
	if problem := accept(result.Kind().String(), plainTypes(result.String())); problem != nil {
		return nil, problem
	}

	guard := &guard{text: text}
	ast.Walk(&tree.Node, guard)
	if guard.problem != nil {
		return nil, guard.problem
	}
	guarded := guardedConfigs.Get().(*conf.Config)
	defer guardedConfigs.Put(guarded)
	if _, err := new(checker.Checker).Check(tree, guarded); err != nil {
		return nil, exprProblem(text, err)
	}
	program, err := compiler.Compile(tree, guarded)
	if err != nil {
		return nil, &Problem{Message: "the expression does not compile"}
	}
	return &compiled{condition{text: text, program: program, readsArgs: scan.readsArgs, remembers: scan.remembers, traces: scan.traces}, tree.Node}, nil
}

// run evaluates the condition. Only true and false are answers: expr itself
// would take nil for false.
func (c *condition) run(machine *vm.VM, env *environment) (bool, *RunError) {
	env.Budget.fill(maxSteps, maxBytes)
	machine.MemoryBudget = maxElements
	out, err := machine.Run(c.program, env)
	if err == nil {
		if b, ok := out.(bool); ok {
			return b, nil
		}
		return false, &RunError{Reason: "the condition is " + typeName(out) + ", not true or false"}
	}
	return false, runError(c.text, err)
}

// runError says what the machine's error is, without a value of the call.
func runError(text string, err error) *RunError {
	e := &RunError{Reason: "a value is missing or of a type that cannot be used here"}
	var at *file.Error
	if errors.As(err, &at) {
		e.Offset = byteOffset(text, at.From)
		// Texts of the machine itself can hold values of the call and are not passed on.
		var fault *fault
		var conversion *runtime.TypeAssertionError
		switch {
		case errors.As(at.Prev, &fault):
			e.Reason = fault.reason
		case errors.As(at.Prev, &conversion):
			e.Reason = "a value is not true or false, as it has to be here"
		case strings.HasPrefix(at.Message, "cannot fetch"):
			e.Reason = "a field or element is read of a value that has none"
		case strings.HasPrefix(at.Message, "index out of range"):
			e.Reason = "a list has fewer elements"
		case strings.HasPrefix(at.Message, "memory budget"):
			e.Reason = "it builds too many values"
		}
	}
	return e
}

// byteOffset turns expr's offset, in runes, into one in bytes.
func byteOffset(text string, runes int) int {
	for i := range text {
		if runes == 0 {
			return i
		}
		runes--
	}
	return len(text)
}

var (
	unknownName  = onuse.Regexp(`^unknown name (\S+)`)
	unknownField = onuse.Regexp(`^type (\S+) has no (?:field|method) (\S+)`)
)

// topLevel and fields are the names that a suggestion is taken from.
var (
	topLevel = []string{"tool", "args", "session", "user", "client", "result"}
	fields   = map[string][]string{
		"tool":             {"name", "server", "labels", "annotations"},
		"user":             {"subject", "groups", "claims"},
		"client":           {"name", "version"},
		"result":           {"text", "json", "isError"},
		"tool.annotations": {"title", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"},
		"session":          {"labels", "calls", "started"},
	}
)

// exprProblem puts an error of expr's parser or checker into the words of a
// person who has not read this program.
func exprProblem(text string, err error) *Problem {
	p := &Problem{Message: err.Error()}
	var at *file.Error
	if !errors.As(err, &at) {
		p.Message = plainTypes(p.Message)
		return p
	}
	p.Offset = byteOffset(text, at.From)
	p.Message = plainTypes(at.Message)
	if m := unknownName().FindStringSubmatch(at.Message); m != nil {
		p.Message = fmt.Sprintf("unknown name %q", m[1])
		p.Suggestion = nearest(m[1], append(append(builtinNames(), helperNames()...), topLevel...))
	} else if m := unknownField().FindStringSubmatch(p.Message); m != nil {
		p.Message = fmt.Sprintf("%s has no %q", m[1], m[2])
		p.Suggestion = nearest(m[2], fields[m[1]])
	}
	return p
}

var plainTypeNames = strings.NewReplacer(
	"rules.User", "user", "rules.Client", "client", "rules.resultValue", "result",
	"*inspect.URL", "url", "*inspect.IP", "ip", "*inspect.Email", "email", "[]inspect.Email", "emails", "*inspect.Path", "path", "*inspect.SQL", "sql",
	"*inspect.Shell", "shell", "inspect.URL", "url", "inspect.IP", "ip", "inspect.Email", "email", "inspect.Path", "path", "inspect.SQLStatement", "statement",
	"inspect.SQL", "sql", "inspect.ShellCommand", "command", "inspect.Shell", "shell", "rules.toolEnv", "tool", "rules.annotationsEnv", "tool.annotations", "rules.sessionEnv", "session",
	"[]rules.leaf", "leaves", "rules.leaf", "leaf",
	"map[string]interface {}", "object", "[]interface {}", "list", "interface {}", "any value",
	"[]string", "list of strings", "[]int", "list of integers", "time.Time", "time", "time.Duration", "duration",
)

func plainTypes(s string) string { return plainTypeNames.Replace(s) }
