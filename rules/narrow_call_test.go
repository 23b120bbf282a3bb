package rules

import (
	"strings"
	"testing"
)

func TestNarrowArguments(t *testing.T) {
	n := mustNarrow(t, Narrow{
		Name: "t", From: "s.broad", Description: "d",
		Input: inputsOf(
			"id", `{"type":"integer"}`,
			"amount", `{"type":"number","optional":true}`,
			"note", `{"type":["string","null"],"optional":true}`,
			"limit", `{"type":"integer","minimum":1,"maximum":100,"default":10}`,
			"status", `{"enum":["open","closed"],"default":"open"}`,
			"code", `{"type":"string","pattern":"^[0-9]{1,4}$","optional":true}`,
			"meta", `{"type":"object","optional":true}`,
		),
		Args: map[string]string{
			"params": "[input.id, input.amount]",
			"max":    "input.limit + 1",
			"label":  `"status:" + input.status`,
			"code":   `input.code == nil ? nil : "C" + input.code`,
			"fixed":  `{"b": [1, 2.5, true, nil], "a": "x"}`,
			"sum":    "input.amount",
		},
	})
	for _, test := range []struct{ input, want, wrong string }{
		{`{"id":1}`, `{"fixed":{"a":"x","b":[1,2.5,true,null]},"label":"status:open","max":11,"params":[1,null]}`, ""},
		// Numbers stay as they were written where they fit nothing.
		{`{"id":12345678901234567890123,"amount":0.12345678901234567891}`,
			`{"fixed":{"a":"x","b":[1,2.5,true,null]},"label":"status:open","max":11,"params":[12345678901234567890123,0.12345678901234567891],"sum":0.12345678901234567891}`, ""},
		{`{"id":9007199254740993,"amount":0.1}`,
			`{"fixed":{"a":"x","b":[1,2.5,true,null]},"label":"status:open","max":11,"params":[9007199254740993,0.1],"sum":0.1}`, ""},
		// What no expression reads is handed through, null too.
		{`{"id":1,"note":null,"meta":{"z":1,"a":[12345678901234567890123]}}`,
			`{"fixed":{"a":"x","b":[1,2.5,true,null]},"label":"status:open","max":11,"meta":{"a":[12345678901234567890123],"z":1},"note":null,"params":[1,null]}`, ""},
		{`{"id":1,"note":"a\u0027\n\u2028","code":"42"}`,
			`{"code":"C42","fixed":{"a":"x","b":[1,2.5,true,null]},"label":"status:open","max":11,"note":"a'\n` + "\u2028" + `","params":[1,null]}`, ""},
		{` {"status":"closed","limit":100,"id":-0} `, `{"fixed":{"a":"x","b":[1,2.5,true,null]},"label":"status:closed","max":101,"params":[0,null]}`, ""},

		{``, "", "do not fit"},
		{`{}`, "", "do not fit"},
		{`null`, "", "do not fit"},
		{`[]`, "", "do not fit"},
		{`{"id":1`, "", "e"},
		{`{"id":1}{"id":2}`, "", "e"},
		{`{"id":1,"id":2}`, "", "e"},
		{`{"id":"1"}`, "", "do not fit"},
		{`{"id":1.5}`, "", "do not fit"},
		{`{"id":true}`, "", "do not fit"},
		{`{"id":[1]}`, "", "do not fit"},
		{`{"id":{"$ne":null}}`, "", "do not fit"},
		{`{"id":1e999}`, "", "e"},
		{`{"id":1,"limit":101}`, "", "do not fit"},
		{`{"id":1,"limit":"5"}`, "", "do not fit"},
		{`{"id":1,"status":"Open"}`, "", "do not fit"},
		{`{"id":1,"status":["open"]}`, "", "do not fit"},
		{`{"id":1,"Limit":5}`, "", "upper and lower case"},
		{`{"id":1,"\u017ftatus":"open"}`, "", "upper and lower case"}, // a long s
		{`{"id":1,"sql":"DROP TABLE t"}`, "", "declares no argument"},
		{`{"id":1,"params":["x"]}`, "", "declares no argument"},
		{`{"id":1,"__proto__":{}}`, "", "declares no argument"},
		{`{"id":1,"code":"1\n"}`, "", "do not fit"},
		{`{"id":1,"code":"\n1"}`, "", "do not fit"},
		{`{"id":1,"code":"` + "\u0661" + `"}`, "", "do not fit"}, // an Arabic digit one
		{`{"id":1,"code":"` + "\uff11" + `"}`, "", "do not fit"}, // a wide one
		{`{"id":1,"code":"1\u0000"}`, "", "do not fit"},
		{`{"id":1,"code":"12345"}`, "", "do not fit"},
		{`{"id":1,"code":12}`, "", "do not fit"},
		{`{"id":1,"code":"` + "\xff" + `"}`, "", "e"},
		{`{"id":1,"code":"\ud800"}`, "", "e"},
		{`{"id":1,"meta":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, "", "e"},
	} {
		got, err := n.Arguments([]byte(test.input))
		switch {
		case test.wrong == "" && (err != nil || string(got) != test.want):
			t.Errorf("%s:\n got %s, %v\nwant %s", test.input, got, err, test.want)
		case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)):
			t.Errorf("%s: %s, %v; want an error with %q", test.input, got, err, test.wrong)
		case err != nil && strings.Contains(err.Error(), "DROP"):
			t.Errorf("%s: the error quotes the value: %v", test.input, err)
		}
	}
	if _, err := mustNarrow(t, Narrow{Name: "t", From: "s.b", Description: "d"}).Arguments(nil); err != nil {
		t.Errorf("no arguments for no inputs: %v", err)
	}
}

// What fails while it runs sends nothing.
func TestNarrowArgumentsFail(t *testing.T) {
	for expression, input := range map[string]string{
		`input.n + 1`:                         `{"n":12345678901234567890123}`,
		`input.n + 1 `:                        `{"n":9223372036854775807}`,
		`input.n > 5`:                         `{"n":12345678901234567890123}`,
		`string(input.n)`:                     `{"n":12345678901234567890123}`,
		`toJSON(input.n)`:                     `{"n":12345678901234567890123}`,
		`[input.n] == [1]`:                    `{"n":12345678901234567890123}`,
		`input.names[3]`:                      `{"names":["a"]}`,
		`date(input.free)`:                    `{"free":"2024-01-01"}`,
		`map(1..100000, input.free)`:          `{"free":"` + strings.Repeat("x", 1000) + `"}`,
		`map(1..input.n, map(1..input.n, #))`: `{"n":100000}`,
		`fromBase64(input.free)`:              `{"free":"//8="}`,
		`input.n / input.m`:                   `{"n":1,"m":0}`,
		`input.free ? 1 : 2`:                  `{"free":"x"}`,
	} {
		n := mustNarrow(t, Narrow{Name: "t", From: "s.b", Description: "d", Args: map[string]string{"x": expression, "y": "[input]"},
			Input: inputsOf("n", `{"type":"integer","optional":true}`, "m", `{"type":"integer","optional":true}`, "free", `{"type":"string","optional":true}`,
				"names", `{"type":"array","items":{"type":"string"},"optional":true}`)})
		got, err := n.Arguments([]byte(input))
		if err == nil || got != nil {
			t.Errorf("%s gives %.100s", expression, got)
		} else if !strings.Contains(err.Error(), `"x"`) || strings.Contains(err.Error(), "1234567890") {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

func TestNarrowResult(t *testing.T) {
	rows := func(text string) string {
		return `{"content":[{"type":"text","text":` + string(appendQuoted(nil, text)) + `}]}`
	}
	for _, test := range []struct{ output, result, want, wrong string }{
		{"", `anything at all`, `anything at all`, ""},
		{"result.json.rows[0].status", rows(`{"rows":[{"status":"shipped"}]}`), `{"content":[{"type":"text","text":"shipped"}]}`, ""},
		{"result.json.rows[0].status", rows(`{"rows":[]}`), "", "fewer elements"},
		{"result.json.rows[0].status", rows(`{"rows":[{}]}`), "", "no value (nil)"},
		{"result.json.rows[0].status", rows(`{"rows":[{"status":null}]}`), "", "no value (nil)"},
		{"result.json.rows[0].status", rows(`{"rows":null}`), "", "read of a value that has none"},
		{"result.json.rows[0].status", rows(`not JSON`), "", "read of a value that has none"},
		{"result.json.rows[0].status", rows(`{"rows":[{"status":1}],"rows":[{"status":2}]}`), "", "read of a value that has none"},
		{"result.json.rows[0].status ?? 'none'", rows(`{"rows":[{}]}`), `{"content":[{"type":"text","text":"none"}]}`, ""},
		{"len(result.json.rows) > 0 ? result.json.rows[0].id : 'none'", rows(`{"rows":[{"id":12345678901234567890123}]}`),
			`{"content":[{"type":"text","text":"12345678901234567890123"}]}`, ""},
		{"{'status': result.json.s, 'n': 1}", rows(`{"s":"a\"b"}`),
			`{"content":[{"type":"text","text":"{\"n\":1,\"status\":\"a\\\"b\"}"}],"structuredContent":{"n":1,"status":"a\"b"}}`, ""},
		{"map(result.json.rows, .id)", rows(`{"rows":[{"id":1,"card":"x"},{"id":2}]}`), `{"content":[{"type":"text","text":"[1,2]"}]}`, ""},
		{"result.json.s", `{"content":[{"type":"text","text":"{\"s\":1}"}],"structuredContent":{"s":2},"_meta":{"secret":1},"resultType":"complete"}`,
			`{"content":[{"type":"text","text":"2"}],"resultType":"complete"}`, ""},
		{"result.text", `{"content":[{"type":"text","text":"a"},{"type":"image","data":"x"},{"type":"text","text":"b"}]}`, `{"content":[{"type":"text","text":"a\nb"}]}`, ""},
		{"result.text", `{"content":[]}`, `{"content":[{"type":"text","text":""}]}`, ""},

		// Errors.
		{"result.json.s", `{"content":[{"type":"text","text":"no table"},{"type":"resource","resource":{}}],"structuredContent":{"s":2},"isError":true,"_meta":{}}`,
			`{"content":[{"type":"text","text":"no table"}],"isError":true}`, ""},
		{"result.text", `{"content":[{"type":"text","text":"` + strings.Repeat("\u00e9", 2000) + `"}],"isError":true}`,
			`{"content":[{"type":"text","text":"` + strings.Repeat("\u00e9", 512) + "\u2026" + `"}],"isError":true}`, ""},
		{"result.isError ? 'it failed' : result.json.s", `{"content":[{"type":"text","text":"private"}],"isError":true}`,
			`{"content":[{"type":"text","text":"it failed"}],"isError":true}`, ""},

		// What is no result.
		{"result.text", `{"isError":false}`, "", "no list of content"},
		{"result.text", `{"content":[{"type":"text","text":1}]}`, "", "a text that is none"},
		{"result.text", `{"content":["x"]}`, "", "not made of objects"},
		{"result.text", `{"content":[],"isError":"false"}`, "", "isError"},
		{"result.text", `{"content":[],"resultType":"input_required"}`, "", "not the result of a call that is complete"},
		{"result.text", `{"content":[],"content":[]}`, "", "not valid JSON"},
		{"result.text", `[]`, "", "not a JSON object"},
		{"result.text", ``, "", "not valid JSON"},
		{"repeat(result.text, 100000)", rows(strings.Repeat("x", 1000)), "", "too much text"},
		{"now()", rows("x"), "", "no form in JSON"},
	} {
		src := orderStatus()
		src.Output = test.output
		got, err := mustNarrow(t, src).Result([]byte(test.result))
		switch {
		case test.wrong == "" && (err != nil || string(got) != test.want):
			t.Errorf("%s of %.200s:\n got %.300s, %v\nwant %.300s", test.output, test.result, got, err, test.want)
		case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong) || !strings.Contains(err.Error(), "withheld")):
			t.Errorf("%s of %.200s: %.100s, %v; want an error with %q", test.output, test.result, got, err, test.wrong)
		}
	}
}

func TestNarrowDefinition(t *testing.T) {
	change := func(do func(*Narrow)) Narrow {
		n := orderStatus()
		n.Input, n.Args = inputsOf("order_id", `{"type":"integer","minimum":1}`), map[string]string{"sql": n.Args["sql"], "params": n.Args["params"]}
		do(&n)
		return n
	}
	for _, test := range []struct {
		narrow Narrow
		wrong  []string
	}{
		{change(func(n *Narrow) {}), nil},
		{change(func(n *Narrow) { n.Title = "Order"; n.Args["limit"] = "10" }), nil},
		{change(func(n *Narrow) { n.Args["parms"] = n.Args["params"]; delete(n.Args, "params") }), []string{`has no argument "parms"`, `did you mean "params"`}},
		{change(func(n *Narrow) { delete(n.Args, "sql") }), []string{`needs the argument "sql"`}},
		{change(func(n *Narrow) { n.Args["sql"] = "5" }), []string{"args.sql", "does not take this"}},
		{change(func(n *Narrow) { n.Args["params"] = "[1.5]"; n.Args["limit"] = "input.order_id" }), []string{"args.params", "does not take this"}},
		{change(func(n *Narrow) { n.Args["limit"] = "'10'" }), []string{"args.limit", "does not take this"}},
		{change(func(n *Narrow) { n.Args["SQL"] = "'x'"; delete(n.Args, "sql") }), []string{"upper and lower case"}},
		{change(func(n *Narrow) { n.Input["limit"] = []byte(`{"type":"integer","maximum":5}`) }), nil},
		{change(func(n *Narrow) { n.Input["limit"] = []byte(`{"type":"string"}`) }), []string{"input.limit", "it takes integer, the input is string"}},
		{change(func(n *Narrow) { n.Input["limt"] = []byte(`{"type":"integer"}`) }), []string{"input.limt", "no expression of args reads", `did you mean "limit"`}},
		{change(func(n *Narrow) {
			delete(n.Args, "sql")
			n.Input["sql"] = []byte(`{"enum":["SELECT 1"],"optional":true}`)
		}), []string{"input.sql", "give it a default"}},
	} {
		n := mustNarrow(t, test.narrow)
		got, err := n.Definition([]byte(broadQuery))
		if len(test.wrong) == 0 && err != nil {
			t.Errorf("%v: %v", test.narrow.Args, err)
		}
		for _, part := range test.wrong {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%v: %s, %v; want an error with %q", test.narrow.Args, got, err, part)
			}
		}
	}
	// The result stays whole: so does its schema. The broad name and text do not show.
	got, err := mustNarrow(t, change(func(n *Narrow) { n.Title = "Order" })).Definition([]byte(broadQuery))
	if err != nil || !strings.Contains(string(got), `"outputSchema":{"type":"object"}`) || !strings.Contains(string(got), `"title":"Order"`) {
		t.Errorf("the definition is %s, %v", got, err)
	}
	for _, dropped := range []string{"Any SQL", "_meta", "icons", "obey", `"query"`} {
		if strings.Contains(string(got), dropped) {
			t.Errorf("the definition shows %s: %s", dropped, got)
		}
	}
	for _, broad := range []string{``, `{`, `[]`, `{"name":"other"}`, `{"name":"query","inputSchema":{"type":5}}`, `{"name":"query","inputSchema":{"$ref":"https://x.example/s"}}`} {
		if got, err := mustNarrow(t, orderStatus()).Definition([]byte(broad)); err == nil {
			t.Errorf("of %s it makes %s", broad, got)
		}
	}
}

func TestNarrowProblems(t *testing.T) {
	for _, test := range []struct {
		change func(*Narrow)
		path   string
		wrong  string
	}{
		{func(n *Narrow) { n.Name = "get.order" }, "", "letters, digits"},
		{func(n *Narrow) { n.Name = "" }, "", "letters, digits"},
		{func(n *Narrow) { n.From = "query" }, ".from", "one tool of one server"},
		{func(n *Narrow) { n.From = "db.*" }, ".from", "one tool of one server"},
		{func(n *Narrow) { n.Description = " " }, ".description", "needs a description"},
		{func(n *Narrow) { n.Input = inputsOf("x y", `{"type":"string"}`) }, ".input.x y", "name of an input"},
		{func(n *Narrow) { n.Input = inputsOf("x", `"string"`) }, ".input.x", "JSON Schema"},
		{func(n *Narrow) { n.Input = inputsOf("x", `{"type":"strin"}`) }, ".input.x", "JSON Schema"},
		{func(n *Narrow) { n.Input = inputsOf("x", `{}`) }, ".input.x", `has to say "type"`},
		{func(n *Narrow) { n.Input = inputsOf("x", `{"pattern":"^a$"}`) }, ".input.x", `has to say "type"`},
		{func(n *Narrow) { n.Input = inputsOf("x", `{"anyOf":[{"type":"string"},{}]}`) }, ".input.x", `has to say "type"`},
		{func(n *Narrow) { n.Input = inputsOf("x", `{"type":"string","patern":"^a$"}`) }, ".input.x", `did you mean "pattern"`},
		{func(n *Narrow) { n.Input = inputsOf("x", `{"type":"array","items":{"type":"integer","minimun":1}}`) }, ".input.x", `did you mean "minimum"`},
		{func(n *Narrow) { n.Input = inputsOf("x", `{"$ref":"#/x","type":"string"}`) }, ".input.x", "write out"},
		{func(n *Narrow) {
			n.Input = inputsOf("x", `{"$schema":"http://json-schema.org/draft-07/schema#","type":"string"}`)
		}, ".input.x", "write out"},
		{func(n *Narrow) { n.Input = inputsOf("x", `{"type":"string","x-mcp-header":"Secret"}`) }, ".input.x", "has no"},
		{func(n *Narrow) { n.Input = inputsOf("x", `{"type":"integer","default":"a"}`) }, ".input.x", "the default"},
		{func(n *Narrow) { n.Input = inputsOf("x", `{"type":"integer","optional":"yes"}`) }, ".input.x", "true or false"},
		{func(n *Narrow) { n.Input = inputsOf("x", `{"type":"string"}`, "X", `{"type":"string"}`) }, ".input", "upper and lower case"},
		{func(n *Narrow) { n.Args = map[string]string{"a": "input.order_id", "A": "1"} }, ".args", "upper and lower case"},
		{func(n *Narrow) { n.Args["order_id"] = "5"; n.Args["params"] = "[]" }, ".input.order_id", "not used"},
		{func(n *Narrow) { n.Args["sql"] = "input.oder_id" }, ".args.sql", `did you mean "order_id"`},
		{func(n *Narrow) { n.Args["sql"] = "inptu.order_id" }, ".args.sql", `did you mean "input"`},
		{func(n *Narrow) { n.Args["sql"] = "input.order_id +" }, ".args.sql", "unexpected"},
		{func(n *Narrow) { n.Args["sql"] = "" }, ".args.sql", ""},
		{func(n *Narrow) { n.Args["sql"] = "$env" }, ".args.sql", "$env"},
		{func(n *Narrow) { n.Args["sql"] = "result.text" }, ".args.sql", "unknown name"},
		{func(n *Narrow) { n.Args["sql"] = "now() + 1 == now() ? 1 : b'x'" }, ".args.sql", ""},
		{func(n *Narrow) { n.Input["sql"] = []byte(`{"type":"string"}`); delete(n.Args, "sql") }, ".input.sql", "narrows nothing"},
		{func(n *Narrow) { n.Output = "result.jsn.x" }, ".output", `did you mean "json"`},
		{func(n *Narrow) { n.Output = "input.order_id" }, ".output", "unknown name"},
	} {
		src := orderStatus()
		test.change(&src)
		c, problems := tryNarrow(src)
		if c != nil || len(problems) == 0 {
			t.Errorf("%+v compiles", src)
			continue
		}
		if p := problems[0]; p.Path != "tools.narrow."+src.Name+test.path || !strings.Contains(p.String(), test.wrong) {
			t.Errorf("%v\nwant one at %s with %q", problems, test.path, test.wrong)
		}
	}
	twice := orderStatus()
	var problems Problems
	if all := compileNarrows([]Narrow{twice, twice}, func(p Problem) { problems = append(problems, p) }); len(all) != 2 || len(problems) != 1 {
		t.Errorf("two of one name: %d, %v", len(all), problems)
	}
}
