package rules

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"

	"github.com/mcpfirewall/mcpfirewall/internal/schema"
)

// A narrowInput is one argument of a specific tool.
type narrowInput struct {
	raw        []byte         // its schema, as the agent sees it
	doc        map[string]any // the same, decoded
	optional   bool
	hasDefault bool
	fallback   any
}

func checkInputName(name string) *Problem {
	if name == "" || len(name) > 64 {
		return &Problem{Message: "the name of an input has 1 to 64 characters"}
	}
	for i, r := range name {
		if r != '_' && !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') && (i == 0 || !('0' <= r && r <= '9' || r == '-' || r == '.')) {
			return &Problem{Message: "the name of an input is of letters, digits, _, - and ., and begins with a letter or _"}
		}
	}
	return nil
}

func compileInput(raw []byte) (*narrowInput, *Problem) {
	v, err := decodeExact(raw)
	doc, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil, &Problem{Message: "an input is described by a JSON Schema, which is an object"}
	}
	in := &narrowInput{doc: doc}
	if optional, ok := doc["optional"]; ok {
		if in.optional, ok = optional.(bool); !ok {
			return nil, &Problem{Message: `"optional" is true or false`}
		}
		delete(doc, "optional")
	}
	if problem := checkKeywords(doc, 0); problem != nil {
		return nil, problem
	}
	if !typed(doc) {
		return nil, &Problem{Message: `the schema has to say "type", "enum" or "const": without, the agent could give an object or a list where a text is expected`}
	}
	if in.raw, err = appendValue(nil, doc, maxBytes); err != nil {
		return nil, &Problem{Message: err.Error()}
	}
	if in.fallback, in.hasDefault = doc["default"]; in.hasDefault {
		text, err := appendValue(nil, in.fallback, maxBytes)
		if err == nil {
			err = schema.Lazy(in.raw).Validate(text)
		}
		if err != nil {
			return nil, &Problem{Message: fmt.Sprintf("the default is not what the schema allows: %v", err)}
		}
	}
	return in, nil
}

// compileSchema compiles the schemas of the inputs as one, and each by itself
// only to say which of them is wrong.
func (n *Narrowing) compileSchema(fail func(Problem, string)) {
	n.rawSchema = n.buildSchema()
	var err error
	if n.schema, err = schema.Compile(n.rawSchema); err == nil {
		return
	}
	below := ".input"
	for _, name := range n.names {
		if _, wrong := schema.Compile(n.inputs[name].raw); wrong != nil {
			below, err = ".input."+name, wrong
			break
		}
	}
	fail(Problem{Message: err.Error()}, below)
}

// typed reports whether a schema limits the JSON types of a value.
func typed(doc map[string]any) bool {
	for _, keyword := range []string{"type", "enum", "const"} {
		if _, ok := doc[keyword]; ok {
			return true
		}
	}
	for _, keyword := range []string{"anyOf", "oneOf"} {
		if list, ok := doc[keyword].([]any); ok && len(list) > 0 {
			return !slices.ContainsFunc(list, func(v any) bool {
				branch, ok := v.(map[string]any)
				return !ok || !typed(branch)
			})
		}
	}
	return false
}

// shape is what stands under a keyword of JSON Schema.
type shape uint8

const (
	plainShape  shape = iota + 1 // no schema
	schemaShape                  // one
	listShape                    // a list of them
	namedShape                   // an object of them
)

// keywords are those of draft 2020-12 that make sense in an input. A misspelt
// one would restrict nothing, and JSON Schema would not say so.
var keywords = map[string]shape{
	"type": plainShape, "enum": plainShape, "const": plainShape, "default": plainShape,
	"title": plainShape, "description": plainShape, "examples": plainShape, "deprecated": plainShape,
	"readOnly": plainShape, "writeOnly": plainShape, "$comment": plainShape, "format": plainShape,
	"multipleOf": plainShape, "minimum": plainShape, "maximum": plainShape, "exclusiveMinimum": plainShape, "exclusiveMaximum": plainShape,
	"minLength": plainShape, "maxLength": plainShape, "pattern": plainShape,
	"minItems": plainShape, "maxItems": plainShape, "uniqueItems": plainShape, "minContains": plainShape, "maxContains": plainShape,
	"minProperties": plainShape, "maxProperties": plainShape, "required": plainShape, "dependentRequired": plainShape,
	"items": schemaShape, "contains": schemaShape, "additionalProperties": schemaShape, "propertyNames": schemaShape,
	"not": schemaShape, "if": schemaShape, "then": schemaShape, "else": schemaShape,
	"unevaluatedProperties": schemaShape, "unevaluatedItems": schemaShape,
	"allOf": listShape, "anyOf": listShape, "oneOf": listShape, "prefixItems": listShape,
	"properties": namedShape, "patternProperties": namedShape, "dependentSchemas": namedShape,
}

func checkKeywords(v any, depth int) *Problem {
	doc, ok := v.(map[string]any)
	if !ok || depth > 32 {
		return nil // true, false, or what the compiler of schemas refuses
	}
	for _, name := range sortedNames(doc) {
		switch keywords[name] {
		case schemaShape:
			if problem := checkKeywords(doc[name], depth+1); problem != nil {
				return problem
			}
		case listShape:
			list, _ := doc[name].([]any)
			for _, item := range list {
				if problem := checkKeywords(item, depth+1); problem != nil {
					return problem
				}
			}
		case namedShape:
			named, _ := doc[name].(map[string]any)
			for _, key := range sortedNames(named) {
				if problem := checkKeywords(named[key], depth+1); problem != nil {
					return problem
				}
			}
		case plainShape:
		default:
			if strings.HasPrefix(name, "x-") && !strings.HasPrefix(name, "x-mcp-") { // which make headers of arguments
				continue
			}
			p := &Problem{Message: fmt.Sprintf("a schema has no %q here", name), Suggestion: nearest(name, sortedNames(keywords))}
			if strings.HasPrefix(name, "$") {
				p.Message = fmt.Sprintf("%q cannot be used in the schema of an input: write out what is referred to", name)
				p.Suggestion = ""
			}
			return p
		}
	}
	return nil
}

// buildSchema is the input schema of the specific tool.
func (n *Narrowing) buildSchema() []byte {
	out := []byte(`{"type":"object","properties":{`)
	required := []byte{}
	for i, name := range n.names {
		in := n.inputs[name]
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(appendQuoted(out, name), ':'), in.raw...)
		if !in.optional && !in.hasDefault {
			if len(required) > 0 {
				required = append(required, ',')
			}
			required = appendQuoted(required, name)
		}
	}
	out = append(out, '}')
	if len(required) > 0 {
		out = append(append(append(out, `,"required":[`...), required...), ']')
	}
	return append(out, `,"additionalProperties":false}`...)
}

// ofSchema is what a value of a schema can be. All keywords of a schema hold at
// once, so that looking at some of them errs on the safe side.
func ofSchema(v any, name string, depth int) *abstract {
	doc, ok := v.(map[string]any)
	if !ok || depth > 32 {
		return anyInput(name, "its schema allows anything")
	}
	if _, ok := doc["const"]; ok {
		return ofEnum([]any{doc["const"]}, name)
	}
	if values, ok := doc["enum"].([]any); ok {
		return ofEnum(values, name)
	}
	types := typesOf(doc)
	if types == nil {
		for _, keyword := range []string{"anyOf", "oneOf"} {
			if list, ok := doc[keyword].([]any); ok && len(list) > 0 {
				out := &abstract{}
				for _, branch := range list {
					out = either(out, ofSchema(branch, name, depth+1))
				}
				return out
			}
		}
		return anyInput(name, "its schema does not say its type")
	}
	out := &abstract{}
	for _, t := range types {
		switch t {
		case "null":
			out.kinds |= shapeNil
		case "boolean":
			out = either(out, truthOf())
		case "integer", "number":
			out = either(out, &abstract{kinds: shapeNumber, texts: []text{{{level: levelNumber, name: name, negative: !positive(doc)}}}})
		case "string":
			out = either(out, ofText(doc, name))
		case "array":
			items, ok := doc["items"]
			if _, prefixed := doc["prefixItems"]; prefixed || !ok {
				items = true
			}
			out = either(out, &abstract{kinds: shapeList, rest: ofSchema(items, name+"[]", depth+1)})
		case "object":
			out = either(out, ofObject(doc, name, depth))
		default:
			return anyInput(name, "its schema does not say its type")
		}
	}
	return out
}

func ofObject(doc map[string]any, name string, depth int) *abstract {
	out := &abstract{kinds: shapeObject, fields: map[string]*abstract{}, path: name}
	properties, _ := doc["properties"].(map[string]any)
	for key, p := range properties {
		out.fields[key] = ofSchema(p, name+"."+key, depth+1)
	}
	_, patterned := doc["patternProperties"]
	if closed, ok := doc["additionalProperties"].(bool); !ok || closed || patterned {
		out.rest = anyInput(name, "its schema does not close it")
	}
	return out
}

func ofEnum(values []any, name string) *abstract {
	out := &abstract{}
	for _, v := range values {
		one := &abstract{texts: []text{{{level: levelFixed, name: name}}}}
		switch v.(type) {
		case nil:
			one = &abstract{kinds: shapeNil}
		case string:
			one.kinds = shapeText
		case bool:
			one.kinds = shapeBool
		case int, float64, numeral:
			one.kinds = shapeNumber
		case []any:
			one.kinds, one.rest = shapeList, unknownFixed()
		default:
			one.kinds, one.rest = shapeObject, unknownFixed()
		}
		out = either(out, one)
	}
	return out
}

func typesOf(doc map[string]any) []string {
	switch t := doc["type"].(type) {
	case string:
		return []string{t}
	case []any:
		types := []string{}
		for _, v := range t {
			s, _ := v.(string)
			types = append(types, s)
		}
		return types
	}
	return nil
}

// positive reports whether a number cannot be below zero.
func positive(doc map[string]any) bool {
	for _, keyword := range []string{"minimum", "exclusiveMinimum"} {
		switch v := doc[keyword].(type) {
		case int:
			if v >= 0 {
				return true
			}
		case float64:
			if v >= 0 {
				return true
			}
		}
	}
	return false
}

// ofText is what a text of a schema can be, by its pattern.
func ofText(doc map[string]any, name string) *abstract {
	p := piece{level: levelFree, name: name, why: "it may be any text"}
	if pattern, ok := doc["pattern"].(string); ok {
		p.restricted = restricts(pattern)
		p.level, p.negative, p.why = ofPattern(pattern)
		if least, ok := doc["minLength"].(int); ok && least > 0 && p.why == whyEmpty {
			p.level, p.why = levelWord, ""
		}
	} else if _, ok := doc["format"]; ok {
		p.why = `it may be any text ("format" is not checked by anything)`
	}
	return &abstract{kinds: shapeText, texts: []text{{p}}}
}

const whyEmpty = "its pattern allows an empty text"

// ofPattern says what the texts of a JSON Schema pattern can be pasted into,
// and if nowhere, why. The expression is one of Go's package regexp, which is
// what arguments are held against; one that only another engine can read is
// not followed.
func ofPattern(text string) (l level, negative bool, why string) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return levelFree, false, "its pattern cannot be followed"
	}
	parsed = parsed.Simplify()
	if !edge(parsed, syntax.OpBeginText, true) || !edge(parsed, syntax.OpEndText, false) {
		return levelFree, false, "its pattern is not anchored with ^ and $, so that anything may stand around what it describes"
	}
	prog, err := syntax.Compile(parsed)
	if err != nil || len(prog.Inst) > maxLiteralPattern.size {
		return levelFree, false, "its pattern cannot be followed"
	}
	return followPattern(prog)
}

// edge reports whether every match begins, or ends, with an assertion.
func edge(re *syntax.Regexp, op syntax.Op, first bool) bool {
	switch re.Op {
	case op:
		return true
	case syntax.OpCapture:
		return edge(re.Sub[0], op, first)
	case syntax.OpConcat:
		if len(re.Sub) == 0 {
			return false
		}
		if first {
			return edge(re.Sub[0], op, first)
		}
		return edge(re.Sub[len(re.Sub)-1], op, first)
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !edge(sub, op, first) })
	}
	return false
}

// followPattern goes over everything that a match can consist of, as if every
// assertion within it held.
func followPattern(prog *syntax.Prog) (l level, negative bool, why string) {
	type state struct {
		pc    uint32
		begun bool
	}
	digits, empty := true, false
	seen := map[state]bool{}
	todo := []state{{pc: uint32(prog.Start)}}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[s] {
			continue
		}
		seen[s] = true
		switch inst := &prog.Inst[s.pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			todo = append(todo, state{inst.Out, s.begun}, state{inst.Arg, s.begun})
		case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
			todo = append(todo, state{inst.Out, s.begun})
		case syntax.InstMatch:
			empty = empty || !s.begun
		case syntax.InstFail:
		default:
			if beyondASCII(inst) {
				return levelFree, false, "its pattern allows characters beyond ASCII"
			}
			for r := rune(0); r < unicode.MaxASCII+1; r++ {
				if !inst.MatchRune(r) {
					continue
				}
				word := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
				switch {
				case '0' <= r && r <= '9':
				case r == '-' && !s.begun:
					negative = true
				case word, s.begun && (r == '-' || r == '.' || r == '@'):
					digits = false
				case r == '.' || r == '@':
					return levelFree, false, fmt.Sprintf("its pattern allows a %q at the beginning", r)
				default:
					return levelFree, false, fmt.Sprintf("its pattern allows the character %q", r)
				}
			}
			todo = append(todo, state{inst.Out, true})
		}
	}
	switch {
	case negative && !digits:
		return levelFree, false, `its pattern allows a "-" at the beginning`
	case empty && !negative:
		return levelFree, false, whyEmpty
	case empty:
		return levelFree, false, "its pattern allows an empty text or a \"-\""
	case digits:
		return levelNumber, negative, ""
	}
	return levelWord, false, ""
}

// beyondASCII reports whether an instruction matches any other character, by
// its ranges or by case folding (the Kelvin sign is a k).
func beyondASCII(inst *syntax.Inst) bool {
	if inst.Op == syntax.InstRuneAny || inst.Op == syntax.InstRuneAnyNotNL {
		return true
	}
	for _, r := range inst.Rune {
		if r > unicode.MaxASCII {
			return true
		}
	}
	if len(inst.Rune) == 1 && syntax.Flags(inst.Arg)&syntax.FoldCase != 0 {
		for r := unicode.SimpleFold(inst.Rune[0]); r != inst.Rune[0]; r = unicode.SimpleFold(r) {
			if r > unicode.MaxASCII {
				return true
			}
		}
	}
	return false
}
