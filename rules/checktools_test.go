package rules

import (
	"strings"
	"testing"
)

func TestCheckSeveralTools(t *testing.T) {
	tool := func(name, schema string) Capability {
		return Capability{Kind: Tool, Server: "s", Name: name, InputSchema: []byte(schema)}
	}
	send := tool("send", `{"type":"object","properties":{"to":{"type":"string"},"amount":{"type":"number"}},"required":["to","amount"]}`)
	draft := tool("draft", `{"type":"object","properties":{"to":{"type":"string"},"kind":{"enum":["a","b"]}}}`)
	list := tool("list", `{"type":"object","properties":{"limit":{"type":"integer","maximum":100}},"additionalProperties":false}`)
	open := tool("open", `{"type":"object","properties":{"q":{"type":"string"}},"additionalProperties":true}`)
	typed := tool("typed", `{"type":"object","properties":{"q":{"type":"string"}},"additionalProperties":{"type":"integer"}}`)
	none := Capability{Kind: Tool, Server: "s", Name: "none"}
	empty := tool("empty", `{"type":"object"}`)
	mail := tool("mail", `{"type":"object","properties":{"to":{"type":"array","items":{"type":"string"}},"cc":{"type":"array","items":{"type":"string"}},"bcc":{"type":"array","items":{"type":"string"}}},"required":["to"]}`)
	prompt := Capability{Kind: Prompt, Server: "s", Name: "p"}
	for _, c := range []struct {
		when  string
		tools []Capability
		want  []string
	}{
		{`args.to == "x"`, []Capability{send, list, prompt}, []string{`warning 5: there is no argument "to" in s.list, though there is in 1 of the 2 tools that the rule names`}},
		{`args.amount > 3`, []Capability{send, list}, []string{`warning 5: there is no argument "amount" in s.list`}},
		{`args.too == "x"`, []Capability{send, draft, list}, []string{`error 5: there is no argument "too" in s.send, s.draft, s.list (did you mean "to"?)`}},
		{`args.too == "x"`, []Capability{empty}, []string{`error 5: there is no argument "too" in s.empty`}},
		{`args.to contains "x"`, []Capability{send, draft}, []string{`error 5: args.to may be missing, which makes the rule fail: guard it, as in (args.to ?? ...) or args.to != nil and ... (s.draft)`}},
		{`tool.name == "list" and (args.limit ?? 0) > 50 or tool.name == "send" and args.amount > 3`, []Capability{send, list}, nil},
		{`tool.name in ["list", "send"] and args.to == "x"`, []Capability{send, draft}, []string{`error 14: tool.name == "list" can never be`}},
		{`"limit" in args and args.limit > 100`, []Capability{list, tool("list2", `{"properties":{"limit":{"type":"integer"}}}`)}, []string{`warning 33: args.limit > 100 can never be: its schema does not allow it (s.list)`}},
		{`args.x == "x"`, []Capability{open}, []string{`warning 5: there is no argument "x" that the schema declares, though it allows others`}},
		{`args.x contains "x"`, []Capability{open}, []string{`warning 5: there is no argument "x" that`}},
		{`(args.x ?? 0) > 3`, []Capability{typed}, []string{`warning 6: there is no argument "x" that`}},
		{`(args.x ?? "") contains "x"`, []Capability{typed}, []string{`warning 6: there is no argument "x" that`, `error 8: `}},
		{`args.x > 3`, []Capability{none}, []string{`warning 5: the schema leaves open what args.x is`}},
		{`type(args.x) in ["int", "float"] and args.x > 3`, []Capability{none}, nil},
		{`(args.kind ?? "") == "c"`, []Capability{draft}, []string{`error 21: `}},
		{`all(keys(args), # in ["to", "limit"])`, []Capability{send, list, none}, nil},
		{`args.q == "x"`, []Capability{open, typed}, nil},
		{`args.to == [] or not all(args.to + (args.cc ?? []) + (args.bcc ?? []), trusted(#))`, []Capability{mail}, nil},
	} {
		found := check(t, c.when, c.tools...)
		for i, f := range found {
			if i >= len(c.want) || !strings.HasPrefix(findingText(f), c.want[i]) {
				t.Errorf("%s: %s", c.when, findingText(f))
			}
		}
		if len(found) < len(c.want) {
			t.Errorf("%s: %d findings, want %q", c.when, len(found), c.want)
		}
	}
}

// TestCheckOtherSchemas holds the reader of schemas against odd ones.
func TestCheckOtherSchemas(t *testing.T) {
	for _, c := range []struct{ schema, when, want string }{
		{`true`, `args.x == 3`, ""},
		{`{}`, `args.x == 3`, ""},
		{`false`, `args.x == 3`, `error 5: there is no argument "x"`},
		{`not JSON`, `args.x == 3`, ""},
		{`{"properties":{"x":true}}`, `args.x == 3`, ""},
		{`{"properties":{"x":false}}`, `args.x == 3`, `error 5: there is no argument "x"`},
		{`{"properties":{"x":{"type":"string"}},"required":["x"],"patternProperties":{"^n_":{"type":"integer"}}}`, `"n_a" in args and args.n_a > 3`, ""},
		{`{"patternProperties":{"^n_":{"type":"integer"}}}`, `(args.n_a ?? 0) > 3`, ""},
		{`{"patternProperties":{"^n_":{"type":"integer"}}}`, `(args.m_a ?? 0) > 3`, `error 6: there is no argument "m_a"`},
		{`{"allOf":[{"properties":{"x":{"type":"integer"}},"required":["x"]},{"properties":{"y":{"type":"string"}}}]}`, `args.x > 3 and args.y != "x"`, ""},
		{`{"allOf":[{"properties":{"x":{"type":"integer"}},"required":["x"]},{"properties":{"x":{"maximum":5}}}]}`, `args.x > 5`, "error"},
		{`{"anyOf":[{"properties":{"x":{"type":"integer"}},"required":["x"]},{"properties":{"y":{"type":"string"}},"required":["y"]}]}`, `args.x != nil and args.x == 3`, ""},
		{`{"properties":{"x":{"type":"integer"}},"anyOf":[{"required":["x"]},{"required":["y"]}]}`, `args.x > 3`, "error 5: args.x may be missing"},
		{`{"properties":{"x":{"type":"integer"}},"anyOf":[{"required":["x"]}]}`, `args.x > 3`, ""},
		{`{"properties":{"k":{"type":"string"}},"if":{"properties":{"k":{"const":"a"}}},"then":{"properties":{"x":{"type":"integer"}},"required":["x"]},"else":{}}`, `args.x != nil and args.x == 3`, ""},
		{`{"properties":{"k":{"type":"string"}},"dependentSchemas":{"k":{"properties":{"x":{"type":"integer"}}}}}`, `args.x == 3`, ""},
		{`{"properties":{"x":{"$ref":"#/$defs/a"}},"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"type":"string"}},"required":["x"]}`, `args.x contains "x"`, ""},
		{`{"properties":{"x":{"$ref":"#/$defs/a"}},"$defs":{"a":{"$ref":"#/$defs/a"}},"required":["x"]}`, `args.x == 1`, ""},
		{`{"properties":{"x":{"$ref":"https://example.com/a"}},"required":["x"]}`, `args.x == 1`, ""},
		{`{"properties":{"x":{"$ref":"#/$defs/a","maximum":5}},"$defs":{"a":{"type":"integer"}},"required":["x"]}`, `args.x > 5`, "error"},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"x":{"$ref":"#/$defs/a","maximum":5}},"$defs":{"a":{"type":"integer"}},"required":["x"]}`, `args.x > 5`, ""},
		{`{"properties":{"x":{"type":"integer","exclusiveMaximum":5}},"required":["x"]}`, `args.x >= 5`, "error"},
		{`{"$schema":"http://json-schema.org/draft-04/schema#","properties":{"x":{"type":"integer","maximum":5,"exclusiveMaximum":true}},"required":["x"]}`, `args.x >= 5`, "error"},
		{`{"properties":{"x":{"type":"number","enum":[1,2.5,null]}},"required":["x"]}`, `args.x == 2.5`, ""},
		{`{"properties":{"x":{"enum":[1.0,2]}},"required":["x"]}`, `args.x == 1 and args.x % 2 == 1`, ""},
		{`{"properties":{"x":{"type":"integer"}},"required":["x"]}`, `args.x == 1.0`, ""},
		{`{"properties":{"x":{"prefixItems":[{"type":"string"},{"type":"integer"}],"items":false,"type":"array"}},"required":["x"]}`, `"a" in args.x or 3 in args.x`, ""},
		{`{"properties":{"x":{"type":"array","items":[{"type":"string"}],"additionalItems":false}},"required":["x"]}`, `3 in args.x`, "error"},
		{`{"properties":{"x":{"enum":["` + strings.Repeat(`a","`, 9000) + `b"]}},"required":["x"]}`, `args.x == "c"`, ""},
		{`{"properties":{"x":{"type":["string","array","nonsense"]}},"required":["x","zz"]}`, `args.x == "c"`, ""},
	} {
		found := check(t, c.when, oneTool(c.schema))
		switch {
		case c.want == "" && len(found) > 0:
			t.Errorf("%s: %s: %s", c.schema[:min(len(c.schema), 300)], c.when, findingText(found[0]))
		case c.want != "" && (len(found) == 0 || !strings.HasPrefix(findingText(found[0]), c.want)):
			t.Errorf("%s: %s: %+v, want %s", c.schema, c.when, found, c.want)
		}
	}
}

func TestCheckShadowed(t *testing.T) {
	p := mustPolicy(t, Source{
		Tools: Patterns{Allow: []string{"pay.*"}, Ask: []string{"crm.*"}, Deny: []string{"*.delete_*"}},
		Rules: []Rule{
			{Name: "all of pay", Tools: []string{"pay.*"}, Then: Deny},
			{Name: "part of pay", Tools: []string{"pay.send"}, When: `args.x == 1`, Then: Ask},
			{Name: "hidden", Tools: []string{"*.delete_all"}, When: `args.zz == 1`, Then: Deny},
			{Name: "asked already", Tools: []string{"crm.*"}, When: `args.x == 1`, Then: Ask},
			{Name: "asked with a message", Tools: []string{"crm.*"}, When: `args.x == 2`, Then: Ask, Message: "Look at x."},
			{Name: "wider", Tools: []string{"*.send"}, When: `args.x == 1`, Then: Deny},
			{Name: "narrower", Tools: []string{"crm.send"}, When: `args.x == 1`, Then: Ask, Message: "Look."},
			{Name: "twice", Tools: []string{"crm.send"}, When: `args.x == 1`, Then: Ask, Message: "Look again."},
			{Name: "nothing", Tools: []string{"other.*"}, When: `args.x == 1`, Then: Deny},
		},
	})
	schema := []byte(`{"properties":{"x":{"type":"integer"}}}`)
	var tools []Capability
	for _, name := range []string{"pay.send", "pay.list", "crm.send", "crm.list", "crm.delete_all"} {
		server, name, _ := strings.Cut(name, ".")
		tools = append(tools, Capability{Server: server, Name: name, InputSchema: schema})
	}
	want := []string{
		`rules[1]: the rule never decides anything: the rule "all of pay" always decides first`,
		`rules[2]: the rule never decides anything: the patterns hide every tool that it names`,
		`rules[3]: the rule changes nothing: the patterns ask about every tool that it names already, and it has no message of its own`,
		`rules[6]: the rule never decides anything: the rule "wider" always decides first`,
		`rules[7]: the rule never decides anything: the rule "wider" always decides first`,
	}
	var got []string
	for _, f := range p.Check(tools) {
		got = append(got, f.String())
		if !f.Warning || len(f.Tools) == 0 {
			t.Errorf("%+v", f)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestCheckExpr checks expressions that are no conditions, over an input.
func TestCheckExpr(t *testing.T) {
	for _, c := range []struct {
		text string
		want kinds
		find string
	}{
		{`[input.id]`, kindAll, ""},
		{`"SELECT * FROM t LIMIT " + string(input.limit ?? 10)`, kindString, ""},
		{`input.id * 2`, kindNumber, ""},
		{`input.limit`, kindNumber, "error 6: input.limit may be missing"},
		{`"id = " + input.id`, kindString, "error 16: input.id is an integer: + takes a string on the right"},
		{`input.idd`, kindAll, `error 6: there is no argument "idd" in s.narrow (did you mean "id"?)`},
		{`input.id`, kindString, "error 6: input.id is an integer: the expression has to give a string"},
	} {
		env := newTypeEnv("input", []byte(`{"type":"object","properties":{"id":{"type":"integer"},"limit":{"type":"integer"}},"required":["id"]}`))
		env.want = c.want
		found := checkExpr("narrow", c.text, env, "s.narrow")
		if c.find == "" && len(found) > 0 || c.find != "" && (len(found) != 1 || !strings.HasPrefix(findingText(found[0]), c.find)) {
			t.Errorf("%s: %+v, want %s", c.text, found, c.find)
		}
	}
}
