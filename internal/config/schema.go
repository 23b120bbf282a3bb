package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// schemaID names the schema, and is where the committed one can be fetched.
const schemaID = "https://raw.githubusercontent.com/mcpfirewall/mcpfirewall/main/mcpfirewall.schema.json"

// Schema returns the JSON Schema (2020-12) of the file, with which editors
// complete and check it. It accepts every file that [Parse] accepts, and some
// more, since not everything can be said in a schema.
func Schema() []byte {
	root := schemaOf(reflect.TypeFor[Config]())
	out := append(members{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", schemaID},
		{"title", "mcpfirewall configuration"},
	}, root...)
	data, err := json.Marshal(out, jsontext.WithIndent("  "))
	if err != nil {
		panic("config: writing the schema: " + err.Error())
	}
	return append(data, '\n')
}

// members is a JSON object that keeps its order.
type members []member

type member struct {
	name  string
	value any
}

// MarshalJSONTo implements [json.MarshalerTo].
func (m members) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, e := range m {
		if err := enc.WriteToken(jsontext.String(e.name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, e.value); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// schemaOf returns the schema of a section.
func schemaOf(section reflect.Type) members {
	var properties, dependent members
	var required []string
	for _, f := range fieldsOf(section) {
		properties = append(properties, member{f.key, schemaOfKey(f)})
		if f.required {
			required = append(required, f.key)
		}
		if f.with != "" {
			dependent = append(dependent, member{f.key, []string{f.with}})
		}
	}
	var others any = false
	if section == labelsType {
		others = schemaOfValue(ownLabel("")) // the names are checked by Parse
	}
	s := members{{"type", "object"}, {"properties", properties}, {"additionalProperties", others}}
	if required != nil {
		s = append(s, member{"required", required})
	}
	if dependent != nil {
		s = append(s, member{"dependentRequired", dependent})
	}
	if section == reflect.TypeFor[Server]() {
		s = append(s, member{"oneOf", []members{
			{{"required", []string{"command"}}},
			{{"required", []string{"url"}}},
		}})
	}
	return s
}

// schemaOfKey returns the schema of one key, with its texts.
func schemaOfKey(f field) members {
	doc := docOf(f)
	about := members{{"description", doc.text}}
	if f.deflt != "" {
		about = append(about, member{"default", defaultOf(f)})
	}
	if doc.example != "" {
		about = append(about, member{"examples", []any{exampleOf(doc)}})
	}
	return append(about, schemaOfValue(f)...)
}

func schemaOfValue(f field) members {
	c := checks[f.check]
	text := members{{"type", "string"}}
	switch {
	case f.kind == kindTexts && f.enum != nil:
		text = append(text, member{"enum", f.enum})
	case f.kind != kindTextMap && c.pattern != "":
		text = append(text, member{"pattern", c.pattern})
	case f.nonempty && f.kind == kindText:
		text = append(text, member{"pattern", `\S`})
	case f.as == "path":
		text = append(text, member{"minLength", 1})
	}
	list := members{{"type", "array"}, {"items", text}}
	if f.nonempty {
		list = append(list, member{"minItems", 1})
	}

	switch f.kind {
	case kindText:
		return text
	case kindNumber:
		return members{{"const", 1}}
	case kindBool:
		return members{{"type", "boolean"}}
	case kindChoice:
		return members{{"enum", f.enum}}
	case kindDuration:
		return members{{"type", "string"}, {"pattern", `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)`}}
	case kindSize:
		return members{{"oneOf", []members{
			{{"type", "string"}, {"pattern", `^[0-9]+(B|KB|MB|GB|KiB|MiB|GiB)?$`}},
			{{"type", "integer"}, {"minimum", 0}},
		}}}
	case kindDecimal:
		return members{{"oneOf", []members{
			{{"type", "string"}, {"pattern", decimal().String()}},
			{{"type", "number"}, {"exclusiveMinimum", 0}},
		}}}
	case kindPeriod:
		return members{{"type", "string"}, {"pattern", "^(" + strings.Join(calendars, "|") + `|[0-9]{1,4}d|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h).*)$`}}
	case kindInputs:
		return members{
			{"type", "object"},
			{"propertyNames", members{{"pattern", c.pattern}}},
			{"additionalProperties", members{{"type", "object"}}},
		}
	case kindInject:
		return members{
			{"type", "object"},
			{"additionalProperties", members{{"anyOf", []members{
				{{"type", "string"}},
				{{"type", "object"}, {"additionalProperties", members{{"type", "string"}}}},
			}}}},
		}
	case kindTexts, kindLabel:
		return list
	case kindTextMap:
		return members{
			{"type", "object"},
			{"propertyNames", members{{"pattern", c.pattern}}},
			{"additionalProperties", text},
		}
	case kindWordMap:
		names := members{{"pattern", c.pattern}}
		if c.names != nil {
			names = members{{"enum", c.names}}
		}
		words := members{
			{"type", "object"},
			{"propertyNames", names},
			{"additionalProperties", members{{"enum", f.enum}}},
		}
		if f.as == "any" {
			return members{{"anyOf", []members{{{"enum", f.enum}}, words}}}
		}
		return words
	case kindArguments:
		return members{{"oneOf", []members{{{"enum", argumentWords}}, list}}}
	case kindSection:
		return schemaOf(f.elem)
	case kindSections:
		return members{{"type", "array"}, {"items", schemaOf(f.elem)}}
	case kindNamedSections:
		return members{
			{"type", "object"},
			{"propertyNames", members{{"pattern", c.pattern}}},
			{"additionalProperties", schemaOf(f.elem)},
		}
	}
	panic("config: no schema for " + f.key)
}

// defaultOf returns a default as it stands in JSON.
func defaultOf(f field) any {
	switch f.kind {
	case kindBool:
		return f.deflt == "true"
	case kindTexts:
		return []string{f.deflt}
	}
	return f.deflt
}

// exampleOf returns an example as it stands in JSON.
func exampleOf(doc keyDoc) any {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(doc.example), &n); err != nil {
		panic(fmt.Sprintf("config: the example %q: %v", doc.example, err))
	}
	return toJSON(n.Content[0])
}

// toJSON turns the YAML of an example into JSON in the same order.
func toJSON(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		var m members
		for i := 0; i+1 < len(n.Content); i += 2 {
			m = append(m, member{n.Content[i].Value, toJSON(n.Content[i+1])})
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			list = append(list, toJSON(item))
		}
		return list
	}
	if n.Tag == "!!bool" || n.Tag == "!!int" {
		return jsontext.Value(n.Value)
	}
	return n.Value
}
