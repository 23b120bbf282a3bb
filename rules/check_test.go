package rules

import (
	"fmt"
	"strings"
	"testing"
)

// checkSchema has one of everything.
const checkSchema = `{
	"$schema": "http://json-schema.org/draft-07/schema#",
	"type": "object",
	"required": ["amount", "to", "state", "id", "items", "meta", "tags", "any"],
	"properties": {
		"amount": {"type": "number", "minimum": 0, "maximum": 10000},
		"whole": {"type": "integer"},
		"id": {"type": "string", "minLength": 3, "maxLength": 8, "pattern": "^[a-z]+$"},
		"state": {"enum": ["open", "closed", "draft"]},
		"fixed": {"const": "v1"},
		"note": {"type": "string"},
		"nullable": {"type": ["string", "null"]},
		"to": {"type": ["string", "array"], "items": {"type": "string"}},
		"cc": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
		"tags": {"type": "array", "items": {"type": "string"}},
		"two": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
		"force": {"type": "boolean"},
		"items": {"type": "array", "items": {"$ref": "#/definitions/item"}},
		"node": {"$ref": "#/definitions/node"},
		"meta": {"type": "object", "properties": {"owner": {"type": "string"}, "size": {"type": "integer"}}, "required": ["owner"], "additionalProperties": false},
		"loose": {"type": "object", "properties": {"a": {"type": "string"}}},
		"map": {"type": "object", "additionalProperties": {"type": "integer"}},
		"free": {"type": "object"},
		"any": {},
		"all": {"allOf": [{"type": "integer", "minimum": 0}, {"type": "number", "maximum": 50}]},
		"parent": {"oneOf": [
			{"type": "object", "properties": {"page": {"type": "string"}}, "required": ["page"], "additionalProperties": false},
			{"type": "object", "properties": {"db": {"type": "string"}, "page": {"type": "integer"}}, "required": ["db"], "additionalProperties": false}]}
	},
	"definitions": {
		"item": {"type": "object", "properties": {"price": {"type": "number"}, "name": {"type": "string"}}, "required": ["price"], "additionalProperties": false},
		"node": {"type": "object", "properties": {"name": {"type": "string"}, "next": {"$ref": "#/definitions/node"}}, "required": ["name"], "additionalProperties": false}
	}
}`

func check(t testing.TB, when string, tools ...Capability) []Finding {
	t.Helper()
	p, err := Compile(Source{Tools: Patterns{Default: Allow}, Rules: []Rule{{Name: "r", Tools: []string{"s.*"}, When: when, Then: Deny}}})
	if err == nil {
		return p.Check(tools)
	}
	// What is not in the environment yet is checked alone.
	x, err := parseExpression(when)
	if err != nil {
		t.Fatalf("%s: %s", when, err)
	}
	k := newChecking(&Policy{tools: compilePatterns("tools", Patterns{Default: Allow}, func(Problem) {})}, tools)
	return k.expression("rules[0].when", x, k.tools, kindBool, false)
}

func oneTool(schema string) Capability {
	return Capability{Kind: Tool, Server: "s", Name: "one", InputSchema: []byte(schema)}
}

func TestCheckAccepts(t *testing.T) {
	for _, when := range []string{
		`args.amount > 5000`, `args.amount in [1, 2.5]`, `args["amount"] >= 10000`, `args.amount * 2 + 1 > 10 ** 2`,
		`args.state == "open"`, `args.state in ["open", "draft"]`, `args.state != "closed"`, `args.state matches "^o"`,
		// Guards.
		`(args.note ?? "") contains "x"`, `args.note != nil and args.note contains "x"`, `args.note == nil or args.note contains "x"`,
		`not (args.note == nil) and args.note startsWith "x"`, `nil != args.note && len(args.note) > 3`,
		`"note" in args and args.note contains "x"`, `not ("note" in args) or args.note contains "x"`, `"note" not in args or args.note contains "x"`,
		`args.note == nil ? false : args.note contains "x"`, `if args.note != nil { args.note contains "x" } else { false }`,
		`if "note" in args { args.note != "x" and args.note endsWith "y" } else if args.force ?? false { true } else { args.amount > 3 }`,
		`let n = args.note; n != nil and n contains "x"`, `let n = args.note; n != nil and args.note contains "x"`,
		`let has = args.note != nil; has and args.note contains "x"`, `let n = args.note ?? ""; n contains "x"`,
		`let has = "note" in args; not has or args.note contains "x"`,
		`get(args, "note") != nil and args.note contains "x"`, `(get(args, "note") ?? "") contains "x"`,
		`args?.note != nil and args.note contains "x"`, `(args?.note ?? "x") contains "x"`,
		`args.note == "x" and len(args.note) > 0`, `args.note in ["a", "b"] and args.note + "x" == "ax"`, `(args.note ?? "") != "" and args.note contains "x"`,
		`len(args.note ?? "") > 0`, `(args.whole ?? 0) > 5 and args.whole % 2 == 0`, `(args.note ?? "") startsWith "a" and args.note endsWith "b"`,
		`type(args.note) == "string" and args.note contains "x"`, `args.note != nil and (args.nullable != nil and args.nullable + args.note == "x")`,
		`(args.note != nil or args.nullable != nil) and (args.note == nil or args.note contains "x")`,
		`args.note != nil ? args.note contains "x" : args.nullable != nil ? args.nullable contains "x" : false`,
		`args.note == nil ? true : (args.force == nil ? true : args.force and args.note contains "x")`,
		`(args.force ?? false) and args.force`, `args.force == true`, `args.note == "x"`, `args.note != "x"`, `args.note == args.nullable`,
		`"nullable" in args and args.nullable != nil and args.nullable contains "x"`,
		// String or list.
		`type(args.to) == "string" ? args.to endsWith "@x" : all(args.to, # endsWith "@x")`,
		`type(args.to) == "array" and any(args.to, # endsWith "@x")`, `args.to == "x"`, `args.to != []`,
		`args.cc == nil or type(args.cc) == "string" or len(args.cc) < 3`, `type(args.cc) in ["string", "nil"] or all(args.cc, # == "x")`,
		`type(args.cc) != "string" or args.cc contains "x"`,
		// Lists and nested values.
		`all(args.tags, # endsWith "x")`, `any(args.items, .price > 3)`, `any(args.items, #.name != nil and .name contains "x")`,
		`sum(args.items, .price) > 100`, `sum(map(args.items, #.price)) > 3`, `len(args.tags) > 0 and args.tags[0] == "x"`, `args.tags != [] and args.tags[0] == "x"`,
		`args.two != nil and args.two[1] > 3 and args.two[-2] > 3`, `get(args.tags, 0) == "x"`, `first(args.tags) == "x"`, `(first(args.tags) ?? "") contains "x"`,
		`len(args.items) == 2 and args.items[1].price > 3`, `filter(args.items, .name != nil) | all(.name contains "x")`, `count(args.items, .price > 3) > 2`,
		`any(args.tags, # == "x") and args.tags[0] == "x"`, `find(args.items, .price > 3)?.price == 4`, `reduce(args.items, #acc + #.price, 0) > 100`,
		`args.meta.owner == "x"`, `(args.meta.size ?? 0) > 3`, `args.meta?.size != nil and args.meta.size > 3`, `"size" in args.meta and args.meta.size > 3`,
		`args.node != nil and args.node.name == "x"`, `args.node?.next?.next?.name == "x"`, `args.node?.next?.name != nil and args.node.next.name contains "x"`,
		`(args.node?.next?.name ?? "") startsWith "x"`, `args.loose != nil and (args.loose.a ?? "") contains "x"`, `get(get(args, "loose") ?? {}, "a") == "x"`,
		`args.map != nil and "k" in args.map and args.map.k > 3`, `args.map != nil and any(values(args.map), # > 3)`,
		`args.all != nil and args.all % 2 == 1`, `args.parent != nil and args.parent.page != nil and args.parent.page == "x"`,
		`args.parent != nil and type(args.parent.page) == "int" and args.parent.page > 3`, `args.free != nil and args.free.x != nil`,
		`args.any == 3`, `type(args.any) == "string" and args.any contains "x"`, `all(args.tags + ["x"], len(#) > 0)`, `split(args.id, "-")[0] == "abc"`,
		`groupBy(args.items, .price > 3 ? "dear" : "cheap")?.dear != nil`, `sortBy(args.items, .price) != []`, `args.tags | map(upper(#)) | any(# == "X")`,
		// The rest of the environment.
		`tool.name == "one" and tool.server startsWith "s"`, `"private" in session.labels and session.calls > 3`, `now() - session.started > duration("1h")`,
		`tool.annotations.readOnlyHint`, `user.subject == "x" and "admins" in user.groups`, `client.name == "claude"`, `user.claims.role == "x"`,
		`url(args.id).private or url(args.id).in("10.0.0.0/8")`, `email(args.id).domain in ["example.com"]`, `path(args.id).within("/srv")`, `all(emails(args.id), .domain == "x")`,
		`any(leaves(args), .path matches "(?i)id$" and type(.value) == "string" and .value != "" and tainted(.value))`, `len(leaves(args.note)) == 0`,
		`trusted(args.id) and not tainted(args.amount)`, `"user" in sources(args.id)`, `calls("mail.*", "1h") > 3`, `sql(args.id).kind != "select"`, `any(shell(args.id).commands, .name == "rm" or .dynamic)`,
		`true`, `session.started.Hour() >= 8`, `not all(args.tags + (args.note != nil ? [args.note] : []), trusted(#))`,
	} {
		for _, f := range check(t, when, oneTool(checkSchema)) {
			t.Errorf("%s\n\t%+v", when, f)
		}
	}
}

func TestCheckFinds(t *testing.T) {
	for _, c := range []struct{ when, want string }{
		{`args.amuont > 5`, `error 5: there is no argument "amuont" in s.one (did you mean "amount"?)`},
		{`get(args, "amuont") == 5`, `error 10: there is no argument "amuont" in s.one (did you mean "amount"?)`},
		{`"amuont" in args`, `error 0: there is no argument "amuont" in s.one (did you mean "amount"?)`},
		{`args?.amuont == 5`, `error 6: there is no argument "amuont" in s.one (did you mean "amount"?)`},
		{`args["amuont"] == 5`, `error 5: there is no argument "amuont" in s.one (did you mean "amount"?)`},
		{`(args.amuont ?? 0) > 5`, `error 6: there is no argument "amuont" in s.one (did you mean "amount"?)`},
		{`args.meta.ower == "x"`, `error 10: args.meta has no "ower" in s.one (did you mean "owner"?)`},
		{`any(leaves(args), .val == 3)`, `error 19: # has no "val" in s.one`},
		{`any(args.items, .prize > 3)`, `error 17: # has no "prize" in s.one (did you mean "price"?)`},
		{`args.loose != nil and args.loose.b == "x"`, `warning 33: args.loose has no "b" that the schema declares, though it allows others (did you mean "a"?)`},

		{`args.note contains "x"`, `error 5: args.note may be missing, which makes the rule fail: guard it, as in (args.note ?? ...) or args.note != nil and ...`},
		{`args.note contains "x" and args.note contains "y"`, `error 5: args.note may be missing`},
		{`"nullable" in args and args.nullable contains "x"`, `error 28: args.nullable may be null`},
		{`args.note != nil or args.note contains "x"`, `error 25: args.note is missing: contains takes two strings`},
		{`args.force and args.amount > 3`, `error 5: args.force may be missing`},
		{`not args.force`, `error 9: args.force may be missing`},
		{`args.force`, `error 5: args.force may be missing`},
		{`args.force ? true : false`, `error 5: args.force may be missing`},
		{`args.note == nil ? args.note contains "x" : true`, `error 24: args.note is missing`},
		{`let n = args.note; n contains "x"`, `error 19: n may be missing`},
		{`args.node.name == "x"`, `error 5: args.node may be missing`},
		{`args.node != nil and args.node.next.name == "x"`, `error 31: args.node.next may be missing`},
		{`args.node?.next.name == "x"`, `error 11: args.node?.next may be missing`},
		{`(args.node.name ?? "") == "x"`, `error 6: args.node may be missing`},
		{`any(args.cc ?? [], # == "x")`, `error`},
		{`all(args.two, # > 3)`, `error 9: args.two may be missing`},
		{`args.whole in args.two`, `error 19: args.two may be missing`},
		{`args.note in ["x"] or args.note contains "y"`, `error`},
		{`any(args.items, .name contains "x")`, `error 17: .name may be missing`},

		{`args.amount == "5"`, `error 15: args.amount == "5" can never be: it is a number`},
		{`args.id == 5`, `error 11: args.id == 5 can never be: it is a string`},
		{`args.note == 5`, `error 13: args.note == 5 can never be`},
		{`args.state == "opne"`, `error 14: args.state == "opne" can never be: it is one of "open", "closed", "draft" (did you mean "open"?)`},
		{`args.state != "opne"`, `error 14: args.state != "opne" is always so: it is one of "open", "closed", "draft" (did you mean "open"?)`},
		{`args.state in ["open", "clsoed"]`, `error 23: args.state == "clsoed" can never be: it is one of "open", "closed", "draft" (did you mean "closed"?)`},
		{`args.state matches "^x"`, `error 19: args.state matches "^x" can never be`},
		{`args.state startsWith "x"`, `error 22: args.state startsWith "x" can never be`},
		{`args.fixed == "v2"`, `error 14: args.fixed == "v2" can never be: it is always "v1"`},
		{`args.amount > 10000`, `error 14: args.amount > 10000 can never be`},
		{`20000 < args.amount`, `error 0: args.amount > 20000 can never be`},
		{`args.amount == 10001`, `error 15: args.amount == 10001 can never be: its schema allows no such value`},
		{`args.id == "Abc"`, `error 11: args.id == "Abc" can never be: its schema allows no such value`},
		{`args.id == "ab"`, `error 11: args.id == "ab" can never be: its schema allows no such value`},
		{`args.id == args.amount`, `error 16: args.id == args.amount can never be: it is a string, and the other side is a number`},
		{`5 in args.tags`, `error`},
		{`args.meta == "x"`, `error`},
		{`tool.name == "two"`, `error 13: tool.name == "two" can never be: no tool that the rule names has it so`},
		{`args.whole == 2.5`, `error`},

		{`len(args.amount) > 3`, `error 9: args.amount is a number: len takes a string, a list or an object`},
		{`args.amount contains "5"`, `error 5: args.amount is a number: contains takes two strings`},
		{`args.tags contains "x"`, `error 5: args.tags is a list: contains takes two strings; of a list, write ... in args.tags`},
		{`args.id > 5`, `error`},
		{`args.amount % 2 == 0`, `error 5: args.amount may be a fraction: % takes an integer on the left`},
		{`args.amount + "x" == "x"`, `error`},
		{`args.to contains "@"`, `error 5: args.to may be a list: contains takes two strings; of a list, write ... in args.to`},
		{`all(args.to, # contains "@")`, `error 9: args.to may be a string: all goes over a list; if it may be a string too, test type(...) first`},
		{`all(args.tags, # > 3)`, `error 15: # is a string: > compares it with a number`},
		{`args.items.price > 3`, `error 5: args.items is a list: only an object has .price; of a list, say which element, as in any(args.items, .price ...)`},
		{`args.items[0].price > 3`, `error 10: args.items may have fewer elements`},
		{`args.two != nil and args.two[2] > 3`, `error 28: args.two may have fewer elements`},
		{`args.tags[0] == "x"`, `error`},
		{`split(args.id, "-")[1] == "x"`, `error`},
		{`args.parent != nil and args.parent.page contains "x"`, `error`},
		{`args.amount`, `error 5: args.amount is a number: the expression has to give true or false`},
		{`args.amount and true`, `error`},
		{`url(args.amount).private`, `error 9: args.amount is a number: url takes a string`},
		{`url(args.id).privat`, `error 13: url(args.id) has no "privat" in s.one (did you mean "private"?)`},
		{`sort(args.items) == []`, `error`},
		{`all(args.meta, # == 1)`, `error 9: args.meta is an object: all goes over a list`},
		{`args.any contains "x"`, `warning 5: the schema leaves open what args.any is`},
		{`reduce(args.items, #acc + #.price) > 3`, `error`},
		{`false and args.amount > 3`, `warning 0: the condition is never true`},
	} {
		found := check(t, c.when, oneTool(checkSchema))
		if len(found) == 0 {
			t.Errorf("%s: nothing is found", c.when)
			continue
		}
		got := findingText(found[0])
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s:\n\t%s, want\n\t%s", c.when, got, c.want)
		}
		if len(found) > 1 && c.want != "error" {
			t.Errorf("%s: more is found than %s: %s", c.when, got, findingText(found[1]))
		}
	}
}

func findingText(f Finding) string {
	kind := "error"
	if f.Warning {
		kind = "warning"
	}
	s := fmt.Sprintf("%s %d: %s", kind, f.Offset, f.Message)
	if f.Suggestion != "" {
		s += fmt.Sprintf(" (did you mean %q?)", f.Suggestion)
	}
	return s
}
