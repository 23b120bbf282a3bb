package config

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
)

// inputs decodes the arguments of a narrowed tool, each a JSON Schema.
func (d *decoder) inputs(f field, n *yaml.Node, path string) []Input {
	var inputs []Input
	for _, e := range d.entries(n, true) {
		if wrong, suggestion := checks[f.check].test(e.name); wrong != "" {
			d.failNode(e.key, suggestion, "the name %s %s", quote(e.name), wrong)
		}
		at := join(path, e.name)
		d.put(at, e.key, e.value)
		in := Input{Name: e.name}
		switch {
		case refused(e.value):
		case isNull(e.value):
			d.failNode(e.key, "{}", "%s has no value: write a JSON Schema, or {} for any value", at)
		case d.want(e.value, yaml.MappingNode, at):
			d.schema(e.value, at)
			var ok bool
			in.Schema, ok = d.json(nil, e.value, at)
			if ok {
				in.Default = jsonrpc.Get(in.Schema, "default")
			}
		}
		inputs = append(inputs, in)
	}
	return inputs
}

// indexOf returns where a key of a mapping stands in its content, -1 if nowhere.
func indexOf(n *yaml.Node, key string) int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// shape is what stands after a keyword of JSON Schema.
type shape int

const (
	isData    shape = iota + 1 // any value, which is no schema
	isSchema                   // a schema
	isSchemas                  // a list of schemas
	isNamed                    // a mapping of name to schema
	isRefused                  // what an input cannot use
)

// keywords are those of JSON Schema 2020-12 (core, applicator, unevaluated,
// validation, metadata, format and content). A schema ignores keywords that it
// does not know, so a misspelt one would restrict nothing and say nothing. The
// schema of an input becomes part of a larger one and has no place for
// references.
var keywords = map[string]shape{
	"type": isData, "enum": isData, "const": isData, "default": isData, "examples": isData,
	"title": isData, "description": isData, "$comment": isData, "deprecated": isData, "readOnly": isData, "writeOnly": isData,
	"minimum": isData, "maximum": isData, "exclusiveMinimum": isData, "exclusiveMaximum": isData, "multipleOf": isData,
	"minLength": isData, "maxLength": isData, "pattern": isData, "format": isData,
	"contentEncoding": isData, "contentMediaType": isData,
	"minItems": isData, "maxItems": isData, "uniqueItems": isData, "minContains": isData, "maxContains": isData,
	"minProperties": isData, "maxProperties": isData, "required": isData, "dependentRequired": isData,

	"items": isSchema, "contains": isSchema, "additionalProperties": isSchema, "propertyNames": isSchema,
	"not": isSchema, "if": isSchema, "then": isSchema, "else": isSchema,
	"unevaluatedItems": isSchema, "unevaluatedProperties": isSchema,
	"allOf": isSchemas, "anyOf": isSchemas, "oneOf": isSchemas, "prefixItems": isSchemas,
	"properties": isNamed, "patternProperties": isNamed, "dependentSchemas": isNamed,

	"$ref": isRefused, "$dynamicRef": isRefused, "$defs": isRefused, "definitions": isRefused, "$id": isRefused,
	"$schema": isRefused, "$anchor": isRefused, "$dynamicAnchor": isRefused, "$vocabulary": isRefused,
	"contentSchema": isRefused, "dependencies": isRefused, "additionalItems": isRefused,
}

// schema checks the keywords of a schema. Whether it compiles is checked by
// those who use it.
func (d *decoder) schema(n *yaml.Node, path string) {
	if n.Kind != yaml.MappingNode || refused(n) {
		return // true, false, or something that does not compile
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		switch keywords[key.Value] {
		case isSchema:
			d.schema(value, at)
		case isSchemas:
			for _, item := range value.Content {
				d.schema(item, at)
			}
		case isNamed:
			for j := 1; j < len(value.Content); j += 2 {
				d.schema(value.Content[j], at)
			}
		case isRefused:
			d.failNode(key, "", "%s cannot be used here: write out what it stands for", at)
		case isData:
			if key.Value == "format" && indexOf(n, "pattern") < 0 && indexOf(n, "enum") < 0 && indexOf(n, "const") < 0 {
				d.failNode(key, "", "%s restricts nothing, because servers disagree on formats: write a pattern beside it", at)
			}
		default:
			if key.Kind == yaml.ScalarNode && !refused(key) {
				d.failNode(key, nearest(key.Value, keywordNames), "%s is not a keyword of JSON Schema", at)
			}
		}
	}
}

var keywordNames = func() []string {
	var names []string
	for name, s := range keywords {
		if s != isRefused {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}()

// jsonNumber matches a number as JSON writes it (RFC 8259, section 6).
var jsonNumber = onuse.Regexp(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// json appends a value as JSON: in the same order, with numbers as they are
// written. What YAML reads otherwise than JSON is a problem.
func (d *decoder) json(b []byte, n *yaml.Node, path string) (_ jsontext.Value, ok bool) {
	if refused(n) {
		return b, false
	}
	ok = true
	var good bool
	switch n.Kind {
	case yaml.MappingNode:
		b = append(b, '{')
		for i, e := range d.entries(n, true) {
			if i > 0 {
				b = append(b, ',')
			}
			at := join(path, e.name)
			d.put(at, e.key, e.value)
			b, good = d.jsonText(b, e.key, e.name, at)
			ok = ok && good
			b = append(b, ':')
			b, good = d.json(b, e.value, at)
			ok = ok && good
		}
		return append(b, '}'), ok
	case yaml.SequenceNode:
		b = append(b, '[')
		for i, item := range n.Content {
			if i > 0 {
				b = append(b, ',')
			}
			at := path + "[" + strconv.Itoa(i) + "]"
			d.put(at, nil, item)
			b, good = d.json(b, item, at)
			ok = ok && good
		}
		return append(b, ']'), ok
	}
	wrong := ""
	switch n.Tag {
	case "!!str":
		return d.jsonText(b, n, n.Value, path)
	case "!!bool":
		if n.Value != "true" && n.Value != "false" {
			wrong = "must be written true or false, or in quotes if it is a text"
		}
	case "!!null":
		if n.Value != "null" {
			wrong = "has no value: write one, null if that is meant, or remove the key"
		}
	case "!!int", "!!float":
		if f, err := strconv.ParseFloat(n.Value, 64); !jsonNumber().MatchString(n.Value) || err != nil || math.IsInf(f, 0) {
			wrong = "must be a number as JSON writes it, such as 10, -0.5 or 1e6, or in quotes if it is a text"
		}
	default:
		wrong = "is " + describe(n) + " in YAML: put it in quotes"
	}
	if wrong != "" {
		d.failNode(n, "", "%s %s", path, wrong)
		return b, false
	}
	return append(b, n.Value...), true
}

func (d *decoder) jsonText(b []byte, n *yaml.Node, text, path string) (_ jsontext.Value, ok bool) {
	if reference().MatchString(text) {
		d.failNode(n, "", "%s cannot hold a reference: ${...} works %s", path, refHomes)
		return b, false
	}
	quoted, err := jsontext.AppendQuote(b, text)
	if err != nil || strings.IndexByte(text, 0) >= 0 {
		d.failNode(n, "", "%s must be text without zero bytes", path)
		return b, false
	}
	return quoted, true
}
