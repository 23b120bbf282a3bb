package schema

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// slowly is Check without a plan.
func slowly(s *Schema, args []byte, open bool) error {
	if name, clash := s.FoldClash(args); clash {
		return fmt.Errorf("clash of %q", name)
	}
	if extra := s.Undeclared(args); !open && len(extra) > 0 {
		return fmt.Errorf("undeclared: %q", extra)
	}
	return s.validate(args)
}

// differ holds the plan of a schema against the validator; it reports whether
// the plan alone accepted the value.
func differ(t *testing.T, s *Schema, instance []byte) (planned bool) {
	t.Helper()
	schema := s.raw
	if s.Err() != nil {
		if s.plan.surely(instance, true, true) || s.plan.surely(instance, false, true) {
			t.Errorf("%s: a schema that does not compile accepts %s", schema, instance)
		}
		return false
	}
	before := string(instance)
	for _, open := range []bool{false, true} {
		if s.plan.surely(instance, true, open) {
			planned = true
			if err := slowly(s, instance, open); err != nil {
				t.Errorf("the plan of %s accepts %s (open %v): %v", schema, instance, open, err)
			}
		}
		if got, want := s.Check(instance, open), slowly(s, instance, open); len(instance) > 0 && (got == nil) != (want == nil) {
			t.Errorf("%s on %s (open %v): %v, want %v", schema, instance, open, got, want)
		}
	}
	if s.plan.surely(instance, false, true) {
		planned = true
		if err := s.validate(instance); err != nil {
			t.Errorf("the plan of %s accepts %s: %v", schema, instance, err)
		}
	}
	if string(instance) != before {
		t.Errorf("%s: %q became %q", schema, before, instance)
	}
	return planned
}

// TestPlanKnows holds that ordinary calls of ordinary tools do not need the validator.
func TestPlanKnows(t *testing.T) {
	const tool = `{"type":"object","properties":{"path":{"type":"string","minLength":1,"maxLength":9,"pattern":"^/","format":"path"},"n":{"type":"integer","minimum":1,"exclusiveMaximum":9},
		"x":{"type":"number"},"mode":{"enum":["a","b",null,1]},"kind":{"const":"k","default":"k"},"tag":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null},
		"list":{"type":"array","items":{"type":"string"},"minItems":1,"maxItems":2},"deep":{"$ref":"#/$defs/deep"},"map":{"type":"object","additionalProperties":{"type":"integer"}},
		"flag":{"type":["boolean","null"]},"any":{},"odd":{"uniqueItems":true}},"required":["path"],"additionalProperties":false,
		"$defs":{"deep":{"type":"object","properties":{"a":{"oneOf":[{"type":"integer"},{"type":"object","properties":{"b":true},"required":["b"]}]}}}}}`
	for _, c := range []struct {
		schema, args string
		open, want   bool
	}{
		{tool, `{"path":"/a"}`, false, true},
		{tool, ` {"path" : "/a" , "n" : 8 } `, false, true},
		{tool, `{"path":"/äöüäöüäö","n":1,"x":1.5,"mode":"b","kind":"k","tag":null,"list":["a","\n"],"flag":true}`, false, true},
		{tool, `{"path":"/a","map":{"A":1,"a":2},"any":{"b":[{"c":[null,"\"",-1.5]}],"d":1},"flag":null,"tag":"t"}`, false, true},
		{tool, `{"path":"/a","deep":{"a":{"b":1,"c":2},"z":1}}`, false, true},
		{tool, `{"path":"/a","deep":{"a":5}}`, false, true},
		{tool, `{"path":"/a","extra":1}`, false, false},
		{tool, `{}`, false, false},
		{tool, `{"path":"\/a"}`, false, false},          // an escape
		{tool, `{"path":"/a","odd":[1]}`, false, false}, // a keyword that the plan does not know
		{tool, "{\"path\":\"/a\"\n}", false, false},
		{`{"type":"object","properties":{"a":{}}}`, `{"a":1,"b":1,"c":1}`, true, true},
		{`{"type":"object","properties":{"a":{}}}`, `{"a":1,"b":1,"B":1}`, true, false},
		{`{"type":"object","properties":{"a":{}}}`, `{"a":1,"b":1}`, false, false},
		{`{"type":"object","properties":{"a":{}},"additionalProperties":true}`, `{"a":1,"b":1}`, false, true},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"type":"array","items":{"type":"number","minimum":0}}}}`, `{"a":[1,2]}`, false, true},
		{``, `{"a":{"B":1,"c":1}}`, false, true},
		{``, `{"a":{"B":1,"b":1}}`, false, false},
		{``, `{"a":1,"A":1}`, false, false},
		{`{"$ref":"#"}`, `{}`, false, false},
	} {
		s := mustCompile(t, c.schema)
		if got := s.plan.surely([]byte(c.args), true, c.open); got != c.want {
			t.Errorf("%s on %s: the plan says %v, want %v", c.schema, c.args, got, c.want)
		}
		differ(t, s, []byte(c.args))
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	s := mustCompile(t, `{"type":"object","properties":{"path":{"type":"string"},"n":{"type":"integer","minimum":1},"tag":{"anyOf":[{"type":"string"},{"type":"null"}]}},"required":["path"]}`)
	args := []byte(`{"path":"/srv/data/file.txt","n":50,"tag":null}`)
	if n := testing.AllocsPerRun(100, func() {
		if err := s.Check(args, false); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCheckSays(t *testing.T) {
	const schema = `{"type":"object","properties":{"name":{"type":"string"}}}`
	for _, c := range []struct {
		args, want string
		open       bool
	}{
		{`{"Name":"x"}`, `an argument's name equals "Name" but for upper and lower case: use the names of the tool's schema`, false},
		{`{"b":1,"a\u0007":2}`, `the tool declares no argument "b\", \"a": use only the arguments of its schema`, false},
		{`{"name":1,"b":2}`, "the arguments do not fit the tool's schema: /name is of type number, but has to be string", true},
		{`[]`, "the arguments do not fit the tool's schema: the value is of type array, but has to be object", false},
		{`{"name":"x","name":"y"}`, "the arguments do not fit the tool's schema: the value cannot be checked", false},
		{``, "", false},
	} {
		err := mustCompile(t, schema).Check([]byte(c.args), c.open)
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
}

// parts are what random schemas and values are made of. Most fit somewhere.
var (
	schemaParts = []string{`{}`, `true`, `false`, `{"type":"string"}`, `{"type":"integer"}`, `{"type":"number","minimum":0.5}`, `{"type":["integer","null"],"maximum":3}`, `{"enum":["a","b",1,null]}`,
		`{"const":"a"}`, `{"enum":[1,2]}`, `{"type":"string","minLength":1,"maxLength":2}`, `{"pattern":"^a"}`, `{"type":"string","pattern":"(?=a)a"}`, `{"$ref":"#/$defs/d"}`, `{"$ref":"#"}`,
		`{"type":"boolean"}`, `{"multipleOf":2}`, `{"exclusiveMinimum":1,"exclusiveMaximum":3}`, `{"type":"null"}`}
	schemaShapes = []string{`{"type":"object","properties":{"a":%s,"b":%s},"required":["a"]}`, `{"properties":{"a":%s},"additionalProperties":%s}`, `{"type":"array","items":%s,"minItems":1,"description":"%.0s"}`,
		`{"anyOf":[%s,%s]}`, `{"oneOf":[%s,%s]}`, `{"allOf":[%s,%s]}`, `{"type":"object","additionalProperties":%s,"maxProperties":2,"title":"%.0s"}`, `{"properties":{"a":%s,"A":%s}}`,
		`{"not":%s,"properties":{"a":%s}}`, `{"type":"object","properties":{"a":%s,"c":%s},"additionalProperties":false,"minProperties":1}`, `{"anyOf":[%s,{"type":"null"}],"title":"%.0s"}`,
		`{"items":%s,"maxItems":2,"properties":{"b":%s}}`, `{"$schema":"http://json-schema.org/draft-07/schema#","items":[%s],"properties":{"a":%s}}`}
	valueParts  = []string{`1`, `2.0`, `2.5`, `-3`, `1e0`, `9007199254740993`, `0.` + strings.Repeat("1", 1100), `"a"`, `"\u0061"`, `"ab"`, `"abc"`, `"ä"`, `""`, `null`, `true`, `{}`, `[]`}
	valueShapes = []string{`{"a":%s,"b":%s}`, `{"a":%s,"A":%s}`, `{"a":%s,"c":%s}`, `[%s,%s]`, `{"a":%s,"x":%s}`, `[%s]%.0s`, `{"a":%s}%.0s`, `{"x":%s,"X":%s}`, `{"b":%s,"\u0061":%s}`, `{"K":%s,"` + "\u212a" + `":%s}`}
)

func random(r *rand.Rand, parts, shapes []string, depth int) string {
	if depth == 0 || r.IntN(4) == 0 {
		return parts[r.IntN(len(parts))]
	}
	return fmt.Sprintf(shapes[r.IntN(len(shapes))], random(r, parts, shapes, depth-1), random(r, parts, shapes, depth-1))
}

// TestPlanAgrees holds plans against the validator on random schemas and values.
func TestPlanAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	planned := 0
	for range 2000 {
		schema := random(r, schemaParts, schemaShapes, 3)
		if strings.HasPrefix(schema, "{") {
			schema = strings.TrimSuffix(schema, "}") + `,"$defs":{"d":` + random(r, schemaParts[:13], schemaShapes, 1) + `}}`
			schema = strings.Replace(schema, "{,", "{", 1)
		}
		s := Lazy([]byte(schema))
		for range 10 {
			if differ(t, s, []byte(random(r, valueParts, valueShapes, 3))) {
				planned++
			}
		}
	}
	t.Logf("%d of 20000 values were accepted by a plan", planned)
	if planned < 800 {
		t.Errorf("only %d values were accepted by a plan", planned)
	}
}

func FuzzPlan(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 60 {
		f.Add([]byte(random(r, schemaParts, schemaShapes, 3)), []byte(random(r, valueParts, valueShapes, 3)))
	}
	f.Add([]byte(`{"type":"object","properties":{"a":{"type":"array","items":{"enum":["a","b","c","d","e","f"]}}}}`), []byte(`{"a":["a","f"]}`))
	f.Fuzz(func(t *testing.T, schema, instance []byte) { differ(t, Lazy(schema), instance) })
}
