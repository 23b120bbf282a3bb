package schema

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

func quoteJSON(s string) []byte {
	b, _ := jsontext.AppendQuote(nil, strings.ToValidUTF8(s, "\uFFFD"))
	return b
}

// TestRecordedServers compiles every schema that public servers were seen to
// offer, and holds a minimal instance against each.
func TestRecordedServers(t *testing.T) {
	shared := os.Getenv("MCPFIREWALL_SHARED")
	if shared == "" {
		t.Skip("MCPFIREWALL_SHARED is not set: the recorded tool lists are not here")
	}
	files, err := filepath.Glob(filepath.Join(shared, "data", "mcp-servers", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded tool lists: %v", err)
	}
	schemas, slowest := 0, time.Duration(0)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var recorded struct {
			Tools []struct {
				Name         string
				InputSchema  json.RawMessage
				OutputSchema json.RawMessage
			}
		}
		if err := json.Unmarshal(raw, &recorded); err != nil {
			t.Fatal(err)
		}
		for _, tool := range recorded.Tools {
			for _, text := range []json.RawMessage{tool.InputSchema, tool.OutputSchema} {
				if text == nil {
					continue
				}
				schemas++
				name := filepath.Base(file) + " " + tool.Name
				start := time.Now()
				s, err := Compile(text)
				slowest = max(slowest, time.Since(start))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				var doc any
				if err := json.Unmarshal(text, &doc); err != nil {
					t.Fatal(err)
				}
				m := minimal{root: doc}
				instance, err := json.Marshal(m.value(doc, 0))
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Validate(instance); err != nil {
					t.Errorf("%s: the minimal instance %s: %v", name, instance, err)
				}
				if names := s.Undeclared(instance); len(names) > 0 {
					t.Errorf("%s: %v are not declared", name, names)
				}
				if clash, ok := s.FoldClash(instance); ok {
					t.Errorf("%s: %s clashes", name, clash)
				}
				if _, err := HeaderParams(text); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if object, ok := doc.(map[string]any); ok && object["type"] == "object" && s.Validate([]byte(`[]`)) == nil {
					t.Errorf("%s: a list is valid", name)
				}
			}
		}
	}
	t.Logf("%d schemas, the slowest took %v to compile", schemas, slowest)
	if schemas < 800 {
		t.Errorf("only %d schemas", schemas)
	}
}

// minimal makes the smallest instance of the simple schemas that tools have.
type minimal struct{ root any }

func (m minimal) value(schema any, depth int) any {
	s, ok := schema.(map[string]any)
	if !ok || depth > 20 {
		return nil
	}
	if ref, ok := s["$ref"].(string); ok {
		target := m.root
		for _, step := range strings.Split(strings.TrimPrefix(ref, "#"), "/")[1:] {
			step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
			switch t := target.(type) {
			case map[string]any:
				target = t[step]
			case []any:
				target = t[len(step)-1] // only single digits occur
				if i := slices.Index([]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, step); i >= 0 {
					target = t[i]
				}
			}
		}
		return m.value(target, depth+1)
	}
	if v, ok := s["const"]; ok {
		return v
	}
	if list, ok := s["enum"].([]any); ok {
		return list[0]
	}
	for _, keyword := range []string{"anyOf", "oneOf", "allOf"} {
		if list, ok := s[keyword].([]any); ok && len(list) > 0 && s["type"] == nil {
			return m.value(list[0], depth+1)
		}
	}
	kind, _ := s["type"].(string)
	if list, ok := s["type"].([]any); ok {
		kind, _ = list[0].(string)
	}
	switch kind {
	case "object":
		out := map[string]any{}
		properties, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		if list, ok := s["anyOf"].([]any); ok { // of which one has to hold beside the type
			if alternative, ok := list[0].(map[string]any); ok {
				more, _ := alternative["required"].([]any)
				required = append(slices.Clone(required), more...)
			}
		}
		for _, name := range required {
			out[name.(string)] = m.value(properties[name.(string)], depth+1)
		}
		return out
	case "array":
		out := []any{}
		least, _ := s["minItems"].(float64)
		for range int(least) {
			out = append(out, m.value(s["items"], depth+1))
		}
		return out
	case "string":
		return m.text(s)
	case "integer", "number":
		n := 0.0
		if v, ok := s["minimum"].(float64); ok {
			n = v
		}
		if v, ok := s["exclusiveMinimum"].(float64); ok {
			n = v + 1
		}
		if v, ok := s["maximum"].(float64); ok {
			n = min(n, v)
		}
		return n
	case "boolean":
		return false
	case "null":
		return nil
	}
	return map[string]any{}
}

// text tries strings that the recorded patterns are about.
func (m minimal) text(s map[string]any) string {
	least, _ := s["minLength"].(float64)
	pattern, _ := s["pattern"].(string)
	candidates := []string{strings.Repeat("a", max(1, int(least))), "12px", "1:1", "a=b", "2024-01-01", "2024-01-01T00:00:00Z", "00:00:00",
		"PT1H", "a@b.example", "#ffffff", "ffffff", "90deg", "a.example", "aa", "00000000-0000-4000-8000-000000000000"}
	check, err := Compile([]byte(`{"pattern":` + string(quoteJSON(pattern)) + `}`))
	for _, c := range candidates {
		if len(c) >= int(least) && err == nil && check.Validate(quoteJSON(c)) == nil {
			return c
		}
	}
	return candidates[0]
}

func FuzzSchema(f *testing.F) {
	for _, c := range hostile(6) {
		f.Add([]byte(c[0]), []byte(c[1]))
	}
	f.Add([]byte(`{"properties":{"a":{"$ref":"#"}},"unevaluatedProperties":false}`), []byte(`{"a":{"A":1}}`))
	f.Add([]byte(`{"$schema":"http://json-schema.org/draft-04/schema#","id":"x","dependencies":{"a":["b"]}}`), []byte(`{"a":1}`))
	f.Add([]byte(`{"$id":"https://example.com/a","$anchor":"x","$defs":{"b":{"$id":"b","$ref":"#x"}},"enum":[1e3,{"a":[null]}]}`), []byte(`1000`))
	f.Add([]byte(`{"patternProperties":{"(?=a)b":{"multipleOf":1e-3}},"propertyNames":{"maxLength":1}}`), []byte(`{"\u212a":1e300}`))
	f.Fuzz(func(t *testing.T, schema, instance []byte) {
		start := time.Now()
		s, err := Compile(schema)
		if err == nil {
			err = s.Validate(instance)
			if err != nil && len(err.Error()) > 4000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		} else if s.Validate(instance) == nil {
			t.Error("a schema that does not compile accepts a value")
		}
		s.Undeclared(instance)
		s.FoldClash(instance)
		HeaderParams(schema)
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}
