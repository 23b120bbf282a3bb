package rules

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// FuzzCheck looks for expressions and schemas on which the check panics or does not end.
func FuzzCheck(f *testing.F) {
	for _, when := range []string{
		`args.a > 1 and args.b.c[0] == "x"`, `all(args.a, {let x = #; x != nil and any(x, # == 1)})`, `reduce(args.a, #acc + #index, 0) ?? 1`, `args?.a?.b[1:2]?.c`,
		`let a = args; let b = a.a; b == nil or b.c > 1`, `get(get(args, "a"), 0) in args.a[#index]`, `1 < args.a < 2 != 3`, `map(args.a, {map(#, .x)}) | sort() | first()`,
		`session.started.In(timezone("UTC")).Hour() > 3`, `if args.a { 1 } else { "x" } == 1`, `{"a": 1, (args.b): 2}.a == 1`, `args.a.b().c`, `-args.a..args.b`, `groupBy(args.a, #).x[0]`,
	} {
		f.Add(when, checkSchema)
		f.Add(when, `{"properties":{"a":{"$ref":"#"},"b":{"anyOf":[{"$ref":"#/properties/b"},{"items":{"$ref":"#"}}]}},"allOf":[{"$ref":"#"}]}`)
	}
	f.Add(`args.a == 1`, `{"allOf":[`+strings.Repeat(`{"anyOf":[{"properties":{"a":{}}},`, 50)+`{}`+strings.Repeat(`]}`, 51)+`}`)
	f.Fuzz(func(t *testing.T, when, schema string) {
		x, err := parseExpression(when)
		if err != nil {
			return
		}
		k := newChecking(&Policy{tools: compilePatterns("tools", Patterns{Default: Allow}, func(Problem) {})},
			[]Capability{oneTool(schema), {Kind: Tool, Server: "s", Name: "two", InputSchema: []byte(schema)}})
		start := time.Now()
		for _, f := range k.expression("when", x, k.tools, kindBool, false) {
			if f.Offset > len(when) || f.Message == "" || len(f.Tools) == 0 {
				t.Errorf("%+v", f)
			}
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("it took %s", d)
		}
	})
}

// TestCheckIsBounded holds the check against schemas that grow when they are read.
func TestCheckIsBounded(t *testing.T) {
	var twice strings.Builder // each definition refers to the next twice
	twice.WriteString(`{"properties":{"a":{"$ref":"#/$defs/d0"}},"$defs":{`)
	for i := range 40 {
		if i > 0 {
			twice.WriteByte(',')
		}
		next := string(rune('0'+(i+1)/10)) + string(rune('0'+(i+1)%10))
		name := "d" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		if i == 0 {
			name = "d0"
		}
		twice.WriteString(`"` + name + `":{"anyOf":[{"properties":{"x":{"$ref":"#/$defs/d` + next + `"}}},{"properties":{"x":{"items":{"$ref":"#/$defs/d` + next + `"}},"y":{}}}]}`)
	}
	twice.WriteString(`}}`)
	var wide strings.Builder
	wide.WriteString(`{"anyOf":[`)
	for i := range 300 {
		if i > 0 {
			wide.WriteByte(',')
		}
		wide.WriteString(`{"properties":{`)
		for j := range 300 {
			if j > 0 {
				wide.WriteByte(',')
			}
			wide.WriteString(`"p` + string(rune('a'+rand.IntN(26))) + string(rune('a'+i%26)) + string(rune('a'+i/26)) + string(rune('a'+j%26)) + string(rune('a'+j/26)) + `":{}`)
		}
		wide.WriteString(`}}`)
	}
	wide.WriteString(`]}`)
	when := `args.a?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x?.x == 1 and ` + strings.Repeat(`(args.a != nil and args.b == nil) or `, 200) + `args.c > 1`
	for _, schema := range []string{twice.String(), wide.String(), `{"allOf":[{"$ref":"#"},{"$ref":"#"}]}`, strings.Repeat(`{"items":`, 100) + `1` + strings.Repeat(`}`, 100)} {
		start := time.Now()
		check(t, when, oneTool(schema))
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%.40s took %s", schema, d)
		}
	}
}
