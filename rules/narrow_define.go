package rules

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/schema"
)

// Definition makes the definition of the specific tool, as a list of tools
// holds it, from that of the broad one. Name, texts and input schema are the
// narrowing's own. Of the broad tool's it keeps the hints among the annotations,
// which can only tighten a decision, how it runs as a task ("execution"), and
// its output schema where the result stays whole; icons and _meta are dropped.
//
// The error is [Problems]: what the broad tool's schema shows to be wrong with
// the narrowing, with paths as in the configuration.
func (n *Narrowing) Definition(broad []byte) ([]byte, error) {
	broad = bytes.Clone(broad) // checking may replace line ends
	if err := jsonrpc.CheckValue(broad, jsonrpc.Limits{}); err != nil {
		return nil, fmt.Errorf("reading the definition of the broad tool: %w", err)
	}
	if name, ok := jsonrpc.GetString(broad, "name"); !ok || name != n.Broad {
		return nil, fmt.Errorf("the definition is not that of the tool %q", n.Broad)
	}
	if problems := append(n.against(jsonrpc.Get(broad, "inputSchema")), n.statements(broad)...); len(problems) > 0 {
		return nil, problems
	}
	out := append([]byte(`{"name":`), jsonrpc.Quote(n.Name)...)
	if n.title != "" {
		out = append(append(out, `,"title":`...), jsonrpc.Quote(n.title)...)
	}
	out = append(append(out, `,"description":`...), jsonrpc.Quote(n.description)...)
	out = append(append(out, `,"inputSchema":`...), n.rawSchema...)
	if output := jsonrpc.Get(broad, "outputSchema"); n.output == nil && len(output) > 0 {
		out = append(append(out, `,"outputSchema":`...), output...)
	}
	if hints := hintsOf(jsonrpc.Get(broad, "annotations")); len(hints) > 2 {
		out = append(append(out, `,"annotations":`...), hints...)
	}
	if execution := jsonrpc.Get(broad, "execution"); len(execution) > 0 {
		out = append(append(out, `,"execution":`...), execution...)
	}
	return append(out, '}'), nil
}

// hintsOf keeps what is true or false; a title is that of the broad tool.
func hintsOf(annotations []byte) []byte {
	out := []byte{'{'}
	for name, value := range jsonrpc.Members(annotations, jsonrpc.Span{End: len(annotations)}) {
		v := annotations[value.Start:value.End]
		if v[0] != 't' && v[0] != 'f' {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, annotations[name.Start:name.End]...), ':'), v...)
	}
	return append(out, '}')
}

// against holds the narrowing against the input schema of the broad tool, as
// far as this can be done before a call.
func (n *Narrowing) against(broad []byte) Problems {
	var problems Problems
	whole, err := schema.Compile(broad)
	if err != nil {
		return Problems{{Path: n.path + ".from", Message: fmt.Sprintf("the schema of the broad tool cannot be used: %v", err)}}
	}
	names := []byte{'{'}
	for i, a := range n.args {
		if i > 0 {
			names = append(names, ',')
		}
		names = append(append(appendQuoted(names, a.name), ':'), "null"...)
	}
	names = append(names, '}')
	if clash, ok := whole.FoldClash(names); ok {
		return Problems{{Path: n.path + ".args", Message: fmt.Sprintf("the name of the argument %q equals one of the tool %q but for upper and lower case", clash, n.Broad)}}
	}
	undeclared := whole.Undeclared(names)
	properties := memberNames(jsonrpc.Get(broad, "properties"))
	for _, a := range n.args {
		path := n.path + ".args." + a.name
		if a.program == nil {
			path = n.path + ".input." + a.name
		}
		if slices.Contains(undeclared, a.name) {
			p := Problem{Path: path, Message: fmt.Sprintf("the tool %q has no argument %q", n.Broad, a.name), Suggestion: nearest(a.name, properties)}
			if a.program == nil {
				p.Message = fmt.Sprintf("no expression of args reads the input %q, and the tool %q has no argument of this name that it could be handed through as", a.name, n.Broad)
			}
			problems = append(problems, p)
			continue
		}
		property := jsonrpc.Get(broad, "properties", a.name)
		if len(property) == 0 {
			continue
		}
		if err := n.fits(a, broad, property); err != nil {
			problems = append(problems, Problem{Path: path, Message: fmt.Sprintf("the argument %q of the tool %q does not take this: %v", a.name, n.Broad, err)})
		}
	}
	return append(problems, n.missing(broad, properties)...)
}

// missing finds the arguments that the broad tool needs and does not get.
func (n *Narrowing) missing(broad []byte, properties []string) (problems Problems) {
	required := jsonrpc.Get(broad, "required")
	for item := range jsonrpc.Elements(required, jsonrpc.Span{End: len(required)}) {
		name := jsonrpc.String(required[item.Start:item.End])
		i := slices.IndexFunc(n.args, func(a narrowArg) bool { return a.name == name })
		if i < 0 {
			problems = append(problems, Problem{Path: n.path + ".args", Message: fmt.Sprintf("the tool %q needs the argument %q", n.Broad, name)})
			continue
		}
		if in := n.inputs[n.args[i].input]; in != nil && in.optional && !in.hasDefault {
			problems = append(problems, Problem{Path: n.path + ".input." + n.args[i].input,
				Message: fmt.Sprintf("the input is optional, but the tool %q needs the argument %q: give it a default", n.Broad, name)})
		}
	}
	return problems
}

// fits holds a fixed value, or the types of an input that is handed through,
// against the schema of an argument.
func (n *Narrowing) fits(a narrowArg, broad, property []byte) error {
	if a.literal != nil {
		s, err := schema.Compile(withDefinitions(broad, property))
		if err != nil {
			return nil // it refers to elsewhere in the whole schema; the call is checked
		}
		return s.Validate(a.literal)
	}
	in := n.inputs[a.input]
	if in == nil {
		return nil
	}
	given, taken := typesOf(in.doc), rawTypes(jsonrpc.Get(property, "type"))
	if len(given) == 0 || len(taken) == 0 {
		return nil
	}
	for _, g := range given {
		for _, t := range taken {
			if g == t || g == "integer" && t == "number" || g == "number" && t == "integer" {
				return nil
			}
		}
	}
	return errors.New("it takes " + strings.Join(taken, " or ") + ", the input is " + strings.Join(given, " or "))
}

// withDefinitions gives the schema of an argument what references in it lead to.
func withDefinitions(broad, property []byte) []byte {
	if len(property) == 0 || property[0] != '{' {
		return property
	}
	out := []byte{'{'}
	for name, value := range jsonrpc.Members(property, jsonrpc.Span{End: len(property)}) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, property[name.Start:name.End]...), ':'), property[value.Start:value.End]...)
	}
	for _, name := range []string{"$schema", "$defs", "definitions"} {
		value := jsonrpc.Get(broad, name)
		if len(value) == 0 || len(jsonrpc.Get(property, name)) > 0 {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(appendQuoted(out, name), ':'), value...)
	}
	return append(out, '}')
}

func rawTypes(raw []byte) []string {
	if len(raw) > 0 && raw[0] == '"' {
		return []string{jsonrpc.String(raw)}
	}
	var types []string
	for item := range jsonrpc.Elements(raw, jsonrpc.Span{End: len(raw)}) {
		types = append(types, jsonrpc.String(raw[item.Start:item.End]))
	}
	return types
}

func memberNames(obj []byte) []string {
	var names []string
	for name := range jsonrpc.Members(obj, jsonrpc.Span{End: len(obj)}) {
		names = append(names, jsonrpc.String(obj[name.Start:name.End]))
	}
	return names
}
