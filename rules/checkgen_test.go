package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// recordedTools are the tools of the recorded servers.
func recordedTools(t testing.TB) []Capability {
	t.Helper()
	dir := os.Getenv("MCPFIREWALL_SHARED")
	if dir == "" {
		t.Skip("MCPFIREWALL_SHARED is not set: the recorded servers are not at hand")
	}
	files, err := filepath.Glob(filepath.Join(dir, "data", "mcp-servers", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no recorded servers", err)
	}
	var tools []Capability
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list := jsonrpc.Get(raw, "tools")
		server := strings.NewReplacer("_", "-", ".", "-").Replace(strings.TrimSuffix(filepath.Base(file), ".json"))
		for e := range jsonrpc.Elements(list, jsonrpc.Span{End: len(list)}) {
			tool := list[e.Start:e.End]
			name, _ := jsonrpc.GetString(tool, "name")
			tools = append(tools, Capability{Kind: Tool, Server: server, Name: name, InputSchema: jsonrpc.Get(tool, "inputSchema"), Annotations: jsonrpc.Get(tool, "annotations")})
		}
	}
	return tools
}

// A maker makes values that a schema allows, most of the time: who uses them
// holds them against the schema with another program.
type maker struct {
	*rand.Rand
	root any
}

func newMaker(schema []byte, r *rand.Rand) *maker {
	root, err := decodeJSON(schema, &room{values: maxElements, bytes: maxDecoded})
	if err != nil {
		root = true
	}
	return &maker{Rand: r, root: root}
}

// resolve merges what a schema says in several places, taking one of each choice.
func (m *maker) resolve(schema any, depth int) map[string]any {
	s, ok := schema.(map[string]any)
	if !ok || depth > 20 {
		return map[string]any{}
	}
	out := map[string]any{}
	merge := func(x map[string]any) {
		for k, v := range x {
			a, okA := out[k].(map[string]any)
			b, okB := v.(map[string]any)
			if k == "properties" && okA && okB {
				both := map[string]any{}
				for n, p := range a {
					both[n] = p
				}
				for n, p := range b {
					both[n] = p
				}
				v = both
			}
			if list, ok := out[k].([]any); ok && k == "required" {
				v = append(slices.Clone(list), v.([]any)...)
			}
			out[k] = v
		}
	}
	for k, v := range s {
		if k != "anyOf" && k != "oneOf" && k != "allOf" && k != "$ref" {
			out[k] = v
		}
	}
	if ref, ok := s["$ref"].(string); ok {
		at := m.root
		for token := range jsontext.Pointer(strings.TrimPrefix(ref, "#")).Tokens() {
			switch v := at.(type) {
			case map[string]any:
				at = v[token]
			case []any:
				i, _ := strconv.Atoi(token)
				at = v[i]
			}
		}
		merge(m.resolve(at, depth+1))
	}
	for _, k := range []string{"anyOf", "oneOf"} {
		if list, ok := s[k].([]any); ok && len(list) > 0 {
			merge(m.resolve(list[m.IntN(len(list))], depth+1))
		}
	}
	if list, ok := s["allOf"].([]any); ok {
		for _, x := range list {
			merge(m.resolve(x, depth+1))
		}
	}
	return out
}

var someStrings = []string{"", "a", "abc", "US", "x y", "a@example.com", "https://example.com/a", "2025-01-02T03:04:05Z", "2025-01-02", "0123456789abcdef0123456789abcdef", "id-1", "é", "123", "00000000-0000-4000-8000-000000000000"}

func (m *maker) value(schema any, depth int) any {
	s := m.resolve(schema, 0)
	if v, ok := s["const"]; ok {
		return v
	}
	if list, ok := s["enum"].([]any); ok && len(list) > 0 {
		return list[m.IntN(len(list))]
	}
	kind, _ := s["type"].(string)
	if list, ok := s["type"].([]any); ok && len(list) > 0 {
		kind, _ = list[m.IntN(len(list))].(string)
	}
	if kind == "" {
		kind = []string{"null", "boolean", "integer", "number", "string", "array", "object"}[m.IntN(7)]
		if s["properties"] != nil {
			kind = "object"
		}
	}
	switch kind {
	case "null":
		return nil
	case "boolean":
		return m.IntN(2) == 0
	case "integer", "number":
		low, high := -20.0, 20.0
		if f, ok, _ := toFloat(s["minimum"]); ok {
			low, high = f, f+20
		}
		if f, ok, _ := toFloat(s["exclusiveMinimum"]); ok {
			low, high = f+1, f+20
		}
		if f, ok, _ := toFloat(s["maximum"]); ok {
			high = f
		}
		n := math.Ceil(low + m.Float64()*(high-low))
		if kind == "number" && m.IntN(2) == 0 && n+0.5 <= high {
			return n + 0.5
		}
		return int(n)
	case "string":
		text := someStrings[m.IntN(len(someStrings))]
		for n := count(s["minLength"], 0); len(text) < n; {
			text += "abcdefgh"
		}
		if n := count(s["maxLength"], 1000); len(text) > n {
			text = text[:n]
		}
		return text
	case "array":
		n := count(s["minItems"], 0) + m.IntN(3)
		if n = min(n, count(s["maxItems"], 100)); depth > 6 {
			n = min(n, count(s["minItems"], 0))
		}
		list := make([]any, n)
		for i := range list {
			list[i] = m.value(s["items"], depth+1)
		}
		return list
	}
	object := map[string]any{}
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	names := []string{}
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	few := m.IntN(3)
	for _, name := range names {
		if slices.Contains(required, any(name)) || depth < 6 && m.IntN(3) < few {
			object[name] = m.value(properties[name], depth+1)
		}
	}
	for _, name := range required {
		if _, ok := object[name.(string)]; !ok {
			object[name.(string)] = m.value(properties[name.(string)], depth+1)
		}
	}
	if more, ok := s["additionalProperties"]; more != false && m.IntN(4) == 0 && (depth > 0 || ok) {
		object["another"+strconv.Itoa(m.IntN(3))] = m.value(more, depth+1)
	}
	return object
}

func (m *maker) args() []byte {
	v := m.value(m.root, 0)
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return raw
}

// A writer writes random expressions about arguments, most of which guard what they use.
type writer struct {
	*maker
	top   map[string]any
	names []string
}

func newWriter(m *maker) *writer {
	w := &writer{maker: m}
	w.top, _ = m.resolve(m.root, 0)["properties"].(map[string]any)
	for name := range w.top {
		w.names = append(w.names, name)
	}
	slices.Sort(w.names)
	return w
}

// place is a random path into the arguments, or into an element of a loop, and
// what its schema says.
func (w *writer) place(inner string, innerSchema any) (string, any) {
	path, schema := "args", any(map[string]any{"properties": w.top, "type": "object"})
	if inner != "" && w.IntN(4) > 0 {
		path, schema = inner, innerSchema
		if w.IntN(3) > 0 {
			return path, schema
		}
	}
	for steps := 1 + w.IntN(2); steps > 0; steps-- {
		s := w.resolve(schema, 0)
		if items := s["items"]; items != nil && w.IntN(2) == 0 {
			switch w.IntN(3) {
			case 0:
				path = fmt.Sprintf("%s[%d]", path, w.IntN(2))
			case 1:
				path = fmt.Sprintf("get(%s, 0)", path)
			default:
				path = fmt.Sprintf("first(%s)", path)
			}
			schema = items
			continue
		}
		properties, _ := s["properties"].(map[string]any)
		var names []string
		for name := range properties {
			if isName(name) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			break
		}
		slices.Sort(names)
		name := names[w.IntN(len(names))]
		schema = properties[name]
		switch w.IntN(6) {
		case 0:
			path += "?." + name
		case 1:
			path = fmt.Sprintf("get(%s, %q)", path, name)
		case 2:
			path = fmt.Sprintf("%s[%q]", path, name)
		default:
			path += "." + name
		}
	}
	return path, schema
}

func isName(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != "" && !slices.Contains([]string{"not", "in", "and", "or", "let", "if", "else", "matches", "contains", "startsWith", "endsWith", "nil", "true", "false"}, s)
}

func (w *writer) literal(schema any) string {
	switch v := w.value(schema, 5).(type) {
	case bool, int:
		return fmt.Sprint(v)
	case float64:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case string:
		return strconv.Quote(v)
	}
	return []string{"1", "2.5", `"a"`, "true", "[]"}[w.IntN(5)]
}

// condition is a random condition.
func (w *writer) condition(depth int, inner string, innerSchema any) string {
	if depth > 0 {
		a := func() string { return w.condition(depth-1, inner, innerSchema) }
		switch w.IntN(8) {
		case 0:
			return "(" + a() + " and " + a() + ")"
		case 1:
			return "(" + a() + " or " + a() + ")"
		case 2:
			return "not (" + a() + ")"
		case 3:
			return "(" + a() + " ? " + a() + " : " + a() + ")"
		case 4:
			return "(" + a() + ") == (" + a() + ")"
		}
	}
	path, schema := w.place(inner, innerSchema)
	use := w.use(depth, path, schema)
	switch w.IntN(8) {
	case 0:
		return fmt.Sprintf("(%s != nil and %s)", path, use)
	case 1:
		return fmt.Sprintf("(%s == nil or %s)", path, use)
	case 2:
		return strings.ReplaceAll(use, path, fmt.Sprintf("(%s ?? %s)", path, w.literal(schema)))
	case 3:
		return fmt.Sprintf("(type(%s) == %q and %s)", path, []string{"string", "int", "array", "map", "float", "bool"}[w.IntN(6)], use)
	case 4:
		if isName(strings.TrimPrefix(path, "args.")) {
			return fmt.Sprintf("(%q in args and %s)", strings.TrimPrefix(path, "args."), use)
		}
		return fmt.Sprintf("(len(%s ?? []) > %d and %s)", path, w.IntN(3), use)
	case 5:
		return fmt.Sprintf("(let v = %s; v != nil and %s)", path, strings.ReplaceAll(use, path, "v"))
	}
	return use
}

func (w *writer) use(depth int, path string, schema any) string {
	s := w.resolve(schema, 0)
	kind, _ := s["type"].(string)
	if list, ok := s["type"].([]any); ok && len(list) > 0 {
		kind, _ = list[w.IntN(len(list))].(string)
	}
	if w.IntN(12) == 0 {
		kind = "any"
	}
	operator := func(list ...string) string { return list[w.IntN(len(list))] }
	switch kind {
	case "string":
		return operator(
			fmt.Sprintf(`%s %s %s`, path, operator("contains", "startsWith", "endsWith", "==", "!=", "<", ">="), w.literal(schema)),
			fmt.Sprintf(`len(%s) > %d`, path, w.IntN(5)), fmt.Sprintf(`%s matches "^[a-z]"`, path), fmt.Sprintf(`upper(%s) + "x" == "AX"`, path),
			fmt.Sprintf(`%s in [%s, "zz"]`, path, w.literal(schema)), fmt.Sprintf(`split(%s, "@")[0] == "a"`, path), fmt.Sprintf(`(split(%s, "@")[1] ?? "") == "a"`, path),
			fmt.Sprintf(`%s[0:2] == "ab"`, path), fmt.Sprintf(`indexOf(%s, "a") > 0`, path), fmt.Sprintf(`trim(%s) == ""`, path),
		)
	case "number", "integer":
		return operator(
			fmt.Sprintf(`%s %s %s`, path, operator("<", "<=", ">", ">=", "==", "!="), w.literal(schema)), fmt.Sprintf(`%s * 2 + 1 > 3`, path),
			fmt.Sprintf(`%s %% 2 == 0`, path), fmt.Sprintf(`-%s < 4`, path), fmt.Sprintf(`max(%s, 3) > 4`, path), fmt.Sprintf(`%s in [%s, 3]`, path, w.literal(schema)),
			fmt.Sprintf(`round(%s) == %s`, path, path), fmt.Sprintf(`%s in 1..5`, path), fmt.Sprintf(`string(%s) == "3"`, path),
		)
	case "boolean":
		return operator(path, "not "+path, path+" == true", path+" ? true : false")
	case "array":
		each := w.condition(max(depth-1, 0), "#", s["items"])
		return operator(
			fmt.Sprintf(`%s(%s, %s)`, operator("all", "any", "none", "one"), path, each), fmt.Sprintf(`len(%s) > 1`, path), fmt.Sprintf(`%s != [] and len(%s[0]) > 1`, path, path),
			fmt.Sprintf(`count(%s, %s) > 1`, path, each), fmt.Sprintf(`%s in %s`, w.literal(s["items"]), path), fmt.Sprintf(`len(filter(%s, %s)) > 1`, path, each),
			fmt.Sprintf(`find(%s, %s) != nil`, path, each), fmt.Sprintf(`join(%s, ",") == ""`, path), fmt.Sprintf(`len(%s + ["a"]) > 2`, path), fmt.Sprintf(`any(reverse(%s), %s)`, path, each),
			fmt.Sprintf(`filter(%s, # != nil) | all(len(#) > 1)`, path), fmt.Sprintf(`sum(%s) > 3`, path), fmt.Sprintf(`sort(%s) != []`, path), fmt.Sprintf(`uniq(%s) == %s`, path, path),
			fmt.Sprintf(`reduce(%s, #acc + 1, 0) > 1`, path), fmt.Sprintf(`map(%s, # ?? 1) == []`, path), fmt.Sprintf(`first(%s) == last(%s)`, path, path),
		)
	case "object":
		return operator(
			fmt.Sprintf(`len(%s) > 1`, path), fmt.Sprintf(`"a" in %s`, path), fmt.Sprintf(`all(keys(%s), # != "a")`, path), fmt.Sprintf(`%s == {}`, path), fmt.Sprintf(`len(values(%s)) > 1`, path),
			fmt.Sprintf(`%s != nil`, path),
		)
	}
	return operator(path+" == 3", path+` != "a"`, path+" == nil", fmt.Sprintf(`type(%s) == "string"`, path), fmt.Sprintf("len(%s) > 1", path), path+" > 3", path+` contains "a"`)
}
