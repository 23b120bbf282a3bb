package rules

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// inputScope is what an argument's expression can name.
type inputScope struct {
	Input  map[string]any `expr:"input"`
	Budget *budget        `expr:"@budget"`
}

// resultScope is what an output's expression can name.
type resultScope struct {
	Result resultValue `expr:"result"`
	Budget *budget     `expr:"@budget"`
}

type resultValue struct {
	Text    string `expr:"text"`
	JSON    any    `expr:"json"`
	IsError bool   `expr:"isError"`
}

// scopeNames are the names in a scope, and the fields of the one that is not
// checked otherwise.
func scopeNames(scope any) (root string, fields []string) {
	if _, ok := scope.(resultScope); ok {
		return "result", []string{"text", "json", "isError"}
	}
	return "input", nil
}

// A compiledValue is an expression with its tree as it was written.
type compiledValue struct {
	*valueProgram
	tree ast.Node
}

// compileValue compiles an expression of any type over a scope, guarded like a
// condition. Look, if not nil, may refuse the tree as it was written.
func compileValue(text string, scope any, look func(ast.Node) *Problem) (*compiledValue, *Problem) {
	if len(text) > maxConditionBytes {
		return nil, &Problem{Message: fmt.Sprintf("the expression is longer than %d bytes", maxConditionBytes)}
	}
	if !utf8.ValidString(text) {
		return nil, &Problem{Message: "the expression is not valid UTF-8"}
	}
	parse := func() (*parser.Tree, *Problem) {
		config := conf.New(scope)
		config.MaxNodes = maxConditionNodes
		tree, err := parser.ParseWithConfig(text, config)
		if err != nil {
			return nil, valueProblem(text, err, scope)
		}
		scan := &scanner{text: text, on: onResult} // the scope says what there is
		if scan.visit(tree.Node); scan.problem != nil {
			return nil, scan.problem
		}
		if _, err := new(checker.Checker).Check(tree, config); err != nil {
			return nil, valueProblem(text, err, scope)
		}
		return tree, nil
	}
	written, problem := parse()
	if problem != nil {
		return nil, problem
	}
	if look != nil {
		if problem := look(written.Node); problem != nil {
			return nil, problem
		}
	}
	tree, problem := parse() // once more: the guard changes the tree in place
	if problem != nil {
		return nil, problem
	}
	guard := &guard{text: text}
	if ast.Walk(&tree.Node, guard); guard.problem != nil {
		return nil, guard.problem
	}
	config := conf.New(scope)
	config.Functions = guardedFunctions
	config.Optimize = false // it would undo the guards
	if _, err := new(checker.Checker).Check(tree, config); err != nil {
		return nil, valueProblem(text, err, scope)
	}
	program, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, &Problem{Message: "the expression does not compile"}
	}
	return &compiledValue{&valueProgram{text: text, program: program}, written.Node}, nil
}

// valueProblem is exprProblem with suggestions for this scope.
func valueProblem(text string, err error, scope any) *Problem {
	p := exprProblem(text, err)
	p.Message = strings.ReplaceAll(p.Message, "rules.resultValue", "result")
	var at *file.Error
	if !errors.As(err, &at) {
		return p
	}
	root, fields := scopeNames(scope)
	if m := unknownName().FindStringSubmatch(at.Message); m != nil {
		p.Suggestion = nearest(m[1], append(builtinNames(), root))
	} else if m := unknownField().FindStringSubmatch(at.Message); m != nil && fields != nil {
		p.Message = fmt.Sprintf("%s has no %q", root, m[2])
		p.Suggestion = nearest(m[2], fields)
	}
	return p
}

// run evaluates the expression in a scope, whose budget it draws on. The error
// holds no value.
func (p *valueProgram) run(scope any) (any, error) {
	machine := vm.VM{MemoryBudget: maxElements}
	v, err := machine.Run(p.program, scope)
	if err == nil {
		return v, nil
	}
	reason := "a value is missing or of a type that cannot be used here"
	var at *file.Error
	if errors.As(err, &at) { // texts of the machine itself can hold values and are not passed on
		var fault *fault
		var conversion *runtime.TypeAssertionError
		switch {
		case errors.As(at.Prev, &fault):
			reason = fault.reason
		case errors.As(at.Prev, &conversion):
			reason = "a value is not true or false, as it has to be here"
		case strings.HasPrefix(at.Message, "cannot fetch"):
			reason = "a field or element is read of a value that has none"
		case strings.HasPrefix(at.Message, "index out of range"):
			reason = "a list has fewer elements"
		case strings.HasPrefix(at.Message, "memory budget"):
			reason = "it builds too many values"
		}
	}
	return nil, &fault{reason: reason}
}

// readsField reports whether an expression reads a field of a name in its
// scope, or the whole of it.
func readsField(n ast.Node, root, field string) bool {
	r := &fieldReader{root: root, field: field}
	ast.Walk(&n, r)
	return r.all > r.others
}

// fieldReader counts where the root stands, and where a field other than the
// one in question is read of it.
type fieldReader struct {
	root, field string
	all, others int
}

func (r *fieldReader) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		if n.Value == r.root {
			r.all++
		}
	case *ast.MemberNode:
		root, ok := n.Node.(*ast.IdentifierNode)
		name, named := n.Property.(*ast.StringNode)
		if ok && named && root.Value == r.root && name.Value != r.field {
			r.others++
		}
	}
}

// A numeral is a JSON number that neither int64 nor float64 holds exactly, as
// it was written. It can be handed on; like [inexact], every operator and
// function fails on it.
type numeral string

// decodeExact reads one JSON value, keeping every number that is within the
// range of float64: parsers disagree about what the others are.
func decodeExact(raw []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw)) // which is read in place, and not written to
	v, err := decodeValue(d, 0, func(text string) any {
		v := decodeNumber(text)
		if _, err := strconv.ParseFloat(text, 64); v == any(inexact{}) && err == nil {
			return numeral(text)
		}
		return v
	}, &room{values: maxValues, bytes: maxDecoded})
	if err == errTooLarge {
		return nil, failf("it holds more than %d values", maxValues)
	}
	if err != nil {
		return nil, failf("it is not valid JSON, or nested too deeply")
	}
	if rest := bytes.TrimLeft(raw[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, failf("there is more than one JSON value")
	}
	return v, nil
}

// appendValue writes a value that an expression gave as JSON, names in order,
// as long as no more than max bytes are written in all.
func appendValue(dst []byte, v any, max int) ([]byte, error) {
	w := valueWriter{out: dst, max: max}
	err := w.value(v, 0)
	return w.out, err
}

type valueWriter struct {
	out []byte
	max int
}

func (w *valueWriter) value(v any, depth int) error {
	if len(w.out) > w.max {
		return failf("the value is longer than %d bytes", w.max)
	}
	if depth >= maxJSON {
		return failf("the value is nested too deeply")
	}
	switch v := plain(v).(type) {
	case nil:
		w.out = append(w.out, "null"...)
	case bool:
		w.out = strconv.AppendBool(w.out, v)
	case int:
		w.out = strconv.AppendInt(w.out, int64(v), 10)
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return failf("a number is not finite")
		}
		w.out = append(w.out, jsontext.Float(v).String()...)
	case numeral:
		w.out = append(w.out, v...)
	case string:
		if !utf8.ValidString(v) { // part of a character, or decoded Base64
			return failf("a text is not valid UTF-8")
		}
		if len(v) > w.max-len(w.out) {
			return failf("the value is longer than %d bytes", w.max)
		}
		w.out = appendQuoted(w.out, v)
	case map[string]any:
		w.out = append(w.out, '{')
		for i, name := range sortedNames(v) {
			if !utf8.ValidString(name) {
				return failf("a name is not valid UTF-8")
			}
			if i > 0 {
				w.out = append(w.out, ',')
			}
			w.out = append(appendQuoted(w.out, name), ':')
			if err := w.value(v[name], depth+1); err != nil {
				return err
			}
		}
		w.out = append(w.out, '}')
	default:
		n, ok := length(v)
		if !ok {
			return failf("the value is %s, which has no form in JSON", typeName(v))
		}
		w.out = append(w.out, '[')
		for i := range n {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			if err := w.value(element(v, i), depth+1); err != nil {
				return err
			}
		}
		w.out = append(w.out, ']')
	}
	return nil
}

func appendQuoted(dst []byte, s string) []byte { return jsonrpc.AppendQuote(dst, s) }
