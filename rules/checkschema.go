package rules

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A schemaReader turns a JSON Schema into types. Of what it does not read
// (not, contains, propertyNames, dynamic references) a type says nothing, which
// leaves it larger than the schema's set of values and never smaller.
type schemaReader struct {
	meter
	root any
	// siblings says that keywords beside $ref count, as they do since 2019-09.
	siblings bool
	seen     map[string]*typ // by pointer, of references
}

// readSchema reads the input schema of a tool. Nil stands for no schema; what
// is no schema says nothing.
func readSchema(raw []byte) (*schemaReader, *typ) {
	r := &schemaReader{meter: meter{left: maxTypeWork}, siblings: true, seen: map[string]*typ{}}
	r.root = true
	if len(raw) > maxSchemaSize {
		r.left = 0
	} else if len(raw) > 0 {
		if v, err := decodeJSON(raw, &room{values: maxElements, bytes: maxDecoded}); err == nil {
			r.root = v
		}
	}
	if object, ok := r.root.(map[string]any); ok {
		if draft, ok := object["$schema"].(string); ok {
			r.siblings = !strings.Contains(draft, "draft-0")
		}
	}
	return r, r.read(r.root, 0)
}

func (r *schemaReader) read(schema any, depth int) *typ {
	switch s := schema.(type) {
	case bool:
		if !s {
			return nothing()
		}
	case map[string]any:
		if depth > maxTypeDepth || !r.spend(len(s)) {
			return undeclared()
		}
		if ref, ok := s["$ref"].(string); ok {
			t := r.reference(ref, depth)
			if !r.siblings {
				return t
			}
			return r.meet(t, r.keywords(s, depth))
		}
		return r.keywords(s, depth)
	}
	return undeclared()
}

// reference follows a local JSON pointer. Nothing is fetched: what another
// reference leads to is not known.
func (r *schemaReader) reference(ref string, depth int) *typ {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok || pointer != "" && pointer[0] != '/' {
		return undeclared()
	}
	if t, ok := r.seen[pointer]; ok {
		return t
	}
	r.seen[pointer] = undeclared() // for a reference that leads to itself
	at := r.root
	for token := range jsontext.Pointer(pointer).Tokens() {
		switch v := at.(type) {
		case map[string]any:
			at = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return undeclared()
			}
			at = v[i]
		default:
			return undeclared()
		}
	}
	t := r.read(at, depth+1)
	r.seen[pointer] = t
	return t
}

var schemaKinds = map[string]kinds{
	"null": kindNull, "boolean": kindBool, "integer": kindInt, "number": kindNumber,
	"string": kindString, "array": kindList, "object": kindObject,
}

func (r *schemaReader) keywords(s map[string]any, depth int) *typ {
	t := undeclared()
	var named kinds
	switch v := s["type"].(type) {
	case string:
		named = schemaKinds[v]
	case []any:
		for _, x := range v {
			name, _ := x.(string)
			named |= schemaKinds[name]
		}
	}
	if named != 0 {
		t = ofKinds(named)
	}
	r.scalars(t, s)
	r.list(t, s, depth)
	t.object = r.object(s, depth)
	if v, ok := s["const"]; ok {
		t = r.meet(t, r.oneOf([]any{v}))
	}
	if list, ok := s["enum"].([]any); ok {
		t = r.meet(t, r.oneOf(list))
	}
	for _, x := range schemas(s["allOf"]) {
		t = r.meet(t, r.read(x, depth+1))
	}
	for _, name := range []string{"anyOf", "oneOf"} {
		if list := schemas(s[name]); len(list) > 0 {
			some := nothing()
			for _, x := range list {
				some = r.join(some, r.read(x, depth+1))
			}
			t = r.meet(t, some)
		}
	}
	return r.conditional(t, s, depth)
}

func schemas(v any) []any {
	list, _ := v.([]any)
	return list
}

// conditional applies what holds only sometimes: the value is of one of the branches.
func (r *schemaReader) conditional(t *typ, s map[string]any, depth int) *typ {
	branches := [][]any{}
	if _, ok := s["if"]; ok {
		branches = append(branches, []any{orTrue(s["then"]), orTrue(s["else"])})
	}
	if dependent, ok := s["dependentSchemas"].(map[string]any); ok {
		for _, x := range dependent {
			branches = append(branches, []any{x, true})
		}
	}
	for _, b := range branches {
		t = r.meet(t, r.join(r.read(b[0], depth+1), r.read(b[1], depth+1)))
	}
	return t
}

func orTrue(schema any) any {
	if schema == nil {
		return true
	}
	return schema
}

// oneOf is the type of a value out of an enumeration.
func (r *schemaReader) oneOf(list []any) *typ {
	t := ofKinds(0)
	if len(list) > maxConstants || !r.spend(len(list)) {
		return undeclared()
	}
	t.consts = []any{}
	for _, v := range list {
		k := kindOf(v)
		if k == 0 { // a number that cannot be held exactly
			return undeclared()
		}
		t.sure |= k
		if k&kindScalar != 0 {
			t.consts = append(t.consts, v)
		}
	}
	return t
}

func (r *schemaReader) scalars(t *typ, s map[string]any) {
	bound := func(name string) (float64, bool) {
		f, ok, err := toFloat(s[name])
		return f, ok && err == nil
	}
	if f, ok := bound("minimum"); ok {
		t.min = f
		t.above, _ = s["exclusiveMinimum"].(bool) // of draft 4
	}
	if f, ok := bound("maximum"); ok {
		t.max = f
		t.below, _ = s["exclusiveMaximum"].(bool)
	}
	if f, ok := bound("exclusiveMinimum"); ok && f >= t.min {
		t.min, t.above = f, true
	}
	if f, ok := bound("exclusiveMaximum"); ok && f <= t.max {
		t.max, t.below = f, true
	}
	t.minLen, t.maxLen = count(s["minLength"], 0), count(s["maxLength"], math.MaxInt)
	if text, ok := s["pattern"].(string); ok {
		if re := r.pattern(text); re != nil {
			t.patterns = []*regexp.Regexp{re}
		}
	}
}

// pattern compiles a regular expression if it means the same here as it does in
// ECMA-262; of any other nothing is known.
func (r *schemaReader) pattern(text string) *regexp.Regexp {
	if strings.ContainsAny(text, `\.$`) { // classes, line ends and boundaries differ
		for i := 0; i+1 < len(text); i++ {
			if text[i] == '\\' && strings.IndexByte(`dDwW.-/+*?()[]{}^$|\`, text[i+1]) < 0 {
				return nil
			} else if text[i] == '\\' {
				i++
			}
		}
	}
	if !isASCII(text) || !r.spend(len(text)) {
		return nil
	}
	p, err := compilePattern(text, maxLiteralPattern)
	if err != nil {
		return nil
	}
	return p.re
}

func count(v any, otherwise int) int {
	if n, ok := v.(int); ok && n >= 0 {
		return n
	}
	return otherwise
}

func (r *schemaReader) list(t *typ, s map[string]any, depth int) {
	t.minItems, t.maxItems = count(s["minItems"], 0), count(s["maxItems"], math.MaxInt)
	first, rest := schemas(s["prefixItems"]), s["items"]
	if list, ok := rest.([]any); ok { // to draft 2019-09
		first, rest = list, s["additionalItems"]
	}
	if len(first) == 0 && rest == nil {
		return
	}
	if rest == false {
		t.maxItems = min(t.maxItems, len(first))
	}
	t.elem = lazy(func() *typ {
		elem := nothing()
		if len(first) == 0 || rest != false {
			elem = r.read(orTrue(rest), 0)
		}
		for _, x := range first {
			elem = r.join(elem, r.read(x, 0))
		}
		return elem
	})
}

// object reads what is said of members. It returns nil if nothing is.
func (r *schemaReader) object(s map[string]any, depth int) *objectType {
	properties, declares := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	required := schemas(s["required"])
	additional, restricted := s["additionalProperties"]
	if !declares && len(patterns) == 0 && len(required) == 0 && !restricted || !r.spend(len(properties)+len(patterns)+len(required)) {
		return nil
	}
	o := &objectType{fields: make(map[string]field, len(properties)), declares: len(properties) > 0}
	for name, x := range properties {
		o.fields[name] = field{typ: lazy(func() *typ { return r.read(x, 0) })}
	}
	for text, x := range patterns {
		o.patterns = append(o.patterns, patternField{re: r.pattern(text), typ: lazy(func() *typ { return r.read(x, 0) })})
	}
	if additional != false {
		o.open = restricted
		o.rest = lazy(func() *typ { return r.read(orTrue(additional), 0) })
	}
	for _, v := range required {
		if name, ok := v.(string); ok {
			f := o.member(name)
			o.fields[name] = field{typ: f.typ, required: true}
		}
	}
	return o
}
