package rules

import (
	"fmt"
	"strings"
	"testing"
)

// inputsOf writes "name: schema" pairs as Narrow wants them.
func inputsOf(pairs ...string) map[string][]byte {
	m := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = []byte(pairs[i+1])
	}
	return m
}

func orderStatus() Narrow {
	return Narrow{
		Name: "get_order_status", From: "db.query", Description: "Status of one order.",
		Input: inputsOf("order_id", `{"type":"integer","minimum":1}`),
		Args:  map[string]string{"sql": "'SELECT status FROM orders WHERE id = $1'", "params": "[input.order_id]"},
	}
}

func tryNarrow(n Narrow) (*Narrowing, Problems) {
	var problems Problems
	c := compileNarrow("tools.narrow."+n.Name, n, func(p Problem) { problems = append(problems, p) })
	return c, problems
}

func mustNarrow(t testing.TB, n Narrow) *Narrowing {
	t.Helper()
	c, problems := tryNarrow(n)
	if len(problems) > 0 {
		t.Fatalf("compiling: %v", problems)
	}
	return c
}

const broadQuery = `{"name":"query","title":"Any SQL","description":"Runs SQL.","_meta":{"a":1},"icons":[{"src":"x"}],
	"annotations":{"title":"Any SQL","readOnlyHint":false,"destructiveHint":true,"note":"obey"},
	"outputSchema":{"type":"object"},"execution":{"taskSupport":"optional"},
	"inputSchema":{"type":"object","properties":{"sql":{"type":"string"},"params":{"type":"array","items":{"$ref":"#/$defs/p"}},"limit":{"type":"integer"}},
		"required":["sql"],"$defs":{"p":{"type":["integer","string"]}}}}`

func TestNarrowExample(t *testing.T) {
	src := orderStatus()
	src.Output = "result.json.rows[0].status"
	n := mustNarrow(t, src)
	if n.Server != "db" || n.Broad != "query" || n.Name != "get_order_status" {
		t.Errorf("the narrowing is %s, %s, %s", n.Server, n.Broad, n.Name)
	}
	got, err := n.Arguments([]byte(`{"order_id":42}`))
	if want := `{"params":[42],"sql":"SELECT status FROM orders WHERE id = $1"}`; err != nil || string(got) != want {
		t.Errorf("Arguments = %s, %v; want %s", got, err, want)
	}
	definition, err := n.Definition([]byte(broadQuery))
	want := `{"name":"get_order_status","description":"Status of one order.",` +
		`"inputSchema":{"type":"object","properties":{"order_id":{"minimum":1,"type":"integer"}},"required":["order_id"],"additionalProperties":false},` +
		`"annotations":{"readOnlyHint":false,"destructiveHint":true},"execution":{"taskSupport":"optional"}}`
	if err != nil || string(definition) != want {
		t.Errorf("Definition = %s, %v;\nwant %s", definition, err, want)
	}
	result, err := n.Result([]byte(`{"content":[{"type":"text","text":"{\"rows\":[{\"status\":\"shipped\",\"card\":\"4111\"}]}"}],"_meta":{"x":1}}`))
	if want := `{"content":[{"type":"text","text":"shipped"}]}`; err != nil || string(result) != want {
		t.Errorf("Result = %s, %v; want %s", result, err, want)
	}
}

// Schemas that the tables below name by a word.
var sampleInputs = inputsOf(
	"n", `{"type":"integer","minimum":0}`,
	"neg", `{"type":"integer"}`,
	"e", `{"enum":["asc","desc; --"]}`,
	"free", `{"type":"string"}`,
	"uuid", `{"type":"string","format":"uuid"}`,
	"word", `{"type":"string","pattern":"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"}`,
	"digits", `{"type":"string","pattern":"^[0-9]{1,9}$"}`,
	"obj", `{"type":"object","properties":{"n":{"type":"integer","minimum":0},"s":{"type":"string"}},"additionalProperties":false}`,
	"open", `{"type":"object"}`,
	"ids", `{"type":"array","items":{"type":"integer","minimum":0}}`,
	"names", `{"type":"array","items":{"type":"string"}}`,
	"any", `{"type":["string","integer","object"]}`,
	"b", `{"type":"boolean"}`,
)

func withArg(argument, expression string) Narrow {
	n := Narrow{Name: "t", From: "s.broad", Description: "d", Input: sampleInputs, Args: map[string]string{argument: expression}}
	// A second argument reads everything, so that no input is handed through.
	n.Args["all"] = "[input]"
	return n
}

func TestNarrowPasting(t *testing.T) {
	const sel = `"SELECT a FROM t WHERE b = `
	for _, test := range []struct {
		argument, expression string
		refused              string // a part of the message; empty if it compiles
	}{
		// Parameters, constants and whole values.
		{"params", "[input.free]", ""},
		{"params", "[input.free, 'x', input.any]", ""},
		{"to", "input.free", ""},
		{"to", "'' + input.free", ""},
		{"sql", sel + `" + "$1"`, ""},
		{"body", "{'subject': input.free}", ""},
		{"body", "toJSON({'subject': input.free})", ""},
		{"sql", `input.b ? "SELECT 1" : "SELECT 2"`, ""},
		{"sql", `input.free == "a" ? "SELECT 1" : "SELECT 2"`, ""},
		{"sql", `{"a": "SELECT 1"}[input.e] ?? "SELECT 2"`, ""},

		// Enumerations and numbers may be pasted.
		{"sql", `"SELECT a FROM t ORDER BY a " + input.e`, ""},
		{"sql", sel + `" + string(input.n)`, ""},
		{"sql", sel + `" + string(len(input.free))`, ""},
		{"sql", sel + `" + string(abs(int(input.free)))`, ""},
		{"sql", sel + `" + input.digits`, ""},
		{"sql", `"SELECT a FROM t WHERE b IN (" + join(map(input.ids, string(#)), ",") + ")"`, ""},
		{"sql", `replace("SELECT a FROM t WHERE b = :b", ":b", string(input.n))`, ""},
		{"sql", sel + `" + string(input.neg)`, "minimum of 0"},
		{"sql", sel + `" + string(int(input.free))`, "minimum of 0"},
		{"sql", sel + `" + string(input.n - 5)`, "minimum of 0"},

		// Words may be pasted where they are no names.
		{"path", `"/orders/" + input.word`, ""},
		{"path", `"/orders/" + upper(input.word) + "/items"`, ""},
		{"query", `"label:" + input.word`, ""},
		{"sql", sel + `'" + input.word + "'"`, ""},
		{"sql", sel + `" + input.word`, "a word can be a name"},
		{"sql", sel + `'x'" + input.word + "'y'"`, "a word can be a name"},
		{"query", `"project = X AND reporter = " + input.word`, "a word can be a name"},
		{"x", `"delete from t where id = " + input.word`, "a word can be a name"},
		{"url", `"https://api.example.com" + input.word`, "host of a URL"},
		{"url", `"https://" + input.word + ".example.com/"`, "host of a URL"},
		{"url", `"https://api.example.com/" + input.word`, ""},

		// Free text never is.
		{"sql", sel + `'" + input.free + "'"`, "pasted into a longer text"},
		{"x", `"hello " + input.free`, "pasted into a longer text"},
		{"x", `input.free + " hello"`, "pasted into a longer text"},
		{"x", `input.free + input.word`, "pasted into a longer text"},
		{"x", `"hello " + input.uuid`, "format"},
		{"x", `"hello " + input.any`, "pasted into a longer text"},
		{"x", `"hello " + input.obj.s`, "pasted into a longer text"},
		{"x", `"hello " + input.open.s`, "pasted into a longer text"},
		{"x", `"hello " + input["free"]`, "pasted into a longer text"},
		{"x", `"hello " + input?.free`, "pasted into a longer text"},
		{"x", `"hello " + get(input, "free")`, "pasted into a longer text"},
		{"x", `"hello " + input["fr" + "ee"]`, "pasted into a longer text"},
		{"x", `"hello " + (input.b ? input.free : "x")`, "pasted into a longer text"},
		{"x", `if input.b { "hello " + input.free } else { "x" }`, "pasted into a longer text"},
		{"x", `let s = input.free; "hello " + s`, "pasted into a longer text"},
		{"x", `let i = input; "hello " + i.free`, "pasted into a longer text"},
		{"x", `let input2 = {"a": input.free}; "hello " + input2.a`, "pasted into a longer text"},
		{"x", `let l = [input.free]; "hello " + l[0]`, "pasted into a longer text"},
		{"x", `"hello " + (input.free ?? "x")`, "pasted into a longer text"},
		{"x", `"hello " + string(input.free)`, "pasted into a longer text"},
		{"x", `"hello " + upper(input.free)`, "pasted into a longer text"},
		{"x", `"hello " + trim(input.word, "a")`, "pasted into a longer text"},
		{"x", `"hello " + input.word[1:]`, "pasted into a longer text"},
		{"x", `"hello " + split(input.free, ",")[0]`, "pasted into a longer text"},
		{"x", `"hello " + replace(input.free, "'", "''")`, "pasted into a longer text"},
		{"x", `replace("hello NAME", "NAME", input.free)`, "pasted into a longer text"},
		{"x", `replace("hello NAME", upper("name"), input.free)`, "pasted into a longer text"},
		{"x", `replace("hello", input.free, "x")`, "pasted into a longer text"},
		{"x", `replace(input.free, input.free, "SELECT")`, "pasted into a longer text"},
		{"x", `join(["hello", input.free], " ")`, "pasted into a longer text"},
		{"x", `join(["a", "b"], input.free)`, "pasted into a longer text"},
		{"x", `join(input.names, " OR ")`, "pasted into a longer text"},
		{"x", `join(map(input.names, "'" + # + "'"), ",")`, "pasted into a longer text"},
		{"x", `map(input.names, {{"n": "hello " + #}})`, "pasted into a longer text"},
		{"x", `join(map(["a", "b"], # + input.free))`, "pasted into a longer text"},
		{"x", `join(flatten([["hello"], [[input.free]]]))`, "pasted into a longer text"},
		{"x", `join(sort(["hello", input.free]))`, "pasted into a longer text"},
		{"x", `join(concat(["hello"], input.names))`, "pasted into a longer text"},
		{"x", `join((input.names ?? []) + (input.names ?? ["hello"]))`, "pasted into a longer text"},
		{"x", `join(values({"a": "hello", "b": input.free}))`, "pasted into a longer text"},
		{"x", `join(keys(input.open), ",")`, "pasted into a longer text"},
		{"x", `reduce(input.names, #acc + #, "hello")`, "pasted into a longer text"},
		{"x", `reduce(["a"], #acc + input.free, "hello")`, "pasted into a longer text"},
		{"x", `"hello " + toJSON(input.free)`, "pasted into a longer text"},
		{"x", `"hello " + toBase64(input.free)`, "pasted into a longer text"},
		{"x", `"hello " + fromBase64(toBase64(input.free))`, "pasted into a longer text"},
		{"x", `"hello " + fromJSON(input.free)`, "pasted into a longer text"},
		{"x", `"hello " + string(fromJSON(input.free))`, "pasted into a longer text"},
		{"x", `fromJSON('{"a":"' + input.free + '"}')`, "pasted into a longer text"},
		{"x", `repeat(input.free, 2)`, "pasted into a longer text"},
		{"x", `"hello " + first(input.names)`, "pasted into a longer text"},
		{"x", `"hello " + find(input.names, # != "")`, "pasted into a longer text"},
		{"x", `"hello " + string(max(input.names))`, ""}, // which gives a number or fails
		{"x", `"hello " + (input.free | upper())`, "pasted into a longer text"},
		{"x", `{"a": [{"b": "hello " + input.free}]}`, "pasted into a longer text"},

		// Other ways to say what was not written.
		{"sql", "input.free", "narrows nothing"},
		{"command", "input.free", "narrows nothing"},
		{"x", "{'sql': input.free}", "narrows nothing"},
		{"sql", "input.any", "narrows nothing"},
		{"sql", "input.e", ""},
		{"x", "{(input.free): 1}", "choose a name"},
		{"x", "{(input.e): 1}", ""},
		{"x", "fromPairs([[input.free, 1]])", "cannot be followed"},
		{"args", "['git', 'log', input.free]", "taken for an option"},
		{"args", "['git', 'log', '--', input.free]", ""},
		{"args", "['git', 'log', input.word]", ""},
		{"args", "['sh', '-c', input.word]", "is a script"},
		{"args", "input.names", "taken for an option"},
		{"x", `"n is " + input.n`, "string(...)"},
		{"x", "input.fre", "has no"},
		{"x", "input.obj.m", "has no"},
		{"x", "tool.name", "unknown name"},
		{"command", `"kill " + string(input.neg)`, "minimum of 0"},
		{"command", `"kill " + string(input.n)`, ""},
		{"command", `"git log " + input.word`, ""},
		{"command", `"git log " + input.free`, "pasted into a longer text"},
		{"argv", `["kill", string(input.neg)]`, "taken for an option"},
		{"argv", `["kill", string(input.n)]`, ""},
		{"argv", `concat(["git", "log"], input.names)`, "taken for an option"},
		{"argv", `["log", "--" + input.word]`, ""},
		{"query", `"repo:a/b " + input.word`, "stand alone"},
		{"query", `input.word + " repo:a/b"`, "stand alone"},
		{"x", `replace("'" + input.word + "'", "'", "")`, "replace()"},
		{"x", `("'" + input.word + "'")[1:]`, "cut afterwards"},
		{"sql", `let q = input.b ? "SELECT a FROM t WHERE b = " + input.word : input.open; q`, "a word can be a name"},
		{"sql", sel + `'" + input.word + "' AND c = '" + input.word + "'"`, ""},
		{"sql", sel + `'" + input.word + "' AND c = " + input.word + ""`, "a word can be a name"},
		{"sql", sel + `" + string(input.n + 1)`, ""},
		{"sql", sel + `" + string(input.n * -1)`, "minimum of 0"},
	} {
		_, problems := tryNarrow(withArg(test.argument, test.expression))
		switch {
		case test.refused == "" && len(problems) > 0:
			t.Errorf("%s: %s: refused: %v", test.argument, test.expression, problems)
		case test.refused != "" && (len(problems) == 0 || !strings.Contains(problems.Error(), test.refused)):
			t.Errorf("%s: %s: %v; want a problem with %q", test.argument, test.expression, problems, test.refused)
		}
		for _, p := range problems {
			if p.Offset < 0 || p.Offset > len(test.expression) || !strings.HasPrefix(p.Path, "tools.narrow.t.args.") {
				t.Errorf("%s: the problem is at %s, %d", test.expression, p.Path, p.Offset)
			}
		}
	}
}

func TestNarrowPatterns(t *testing.T) {
	for pattern, free := range map[string]bool{
		`^[a-z]+$`:                   false,
		`^(?:[a-z]+|[A-Z][0-9.]*)$`:  false,
		`^(a|b)$`:                    false,
		`^a$|^b$`:                    false,
		`^\d{4}-\d{2}$`:              false,
		`^\w+$`:                      false,
		`^-?\d+$`:                    false,
		`^[a-z0-9]([a-z0-9.@-]*)$`:   false,
		`[a-z]+`:                     true,
		`^[a-z]+`:                    true,
		`[a-z]+$`:                    true,
		`^a$|b`:                      true,
		`^a|b$`:                      true,
		`(^a|b)$`:                    true,
		`(?m)^[a-z]+$`:               true,
		`(?s)^.+$`:                   true,
		`^.+$`:                       true,
		`^[a-z]*$`:                   true, // it may be empty
		`^[a-z ]+$`:                  true,
		`^[a-z']+$`:                  true,
		`^[a-z/]+$`:                  true,
		`^[^';]+$`:                   true,
		`^\S+$`:                      true,
		`^\p{L}+$`:                   true,
		`^[a-zé]+$`:                  true,
		`^(?i)[a-z]+$`:               true, // the Kelvin sign
		`(?i)^k$`:                    true,
		`^[a-z.-]+$`:                 true, // .. and --
		`^[.][a-z]$`:                 true,
		`^-[a-z]$`:                   true,
		`^@[a-z]$`:                   true,
		`^(?=[a-z]+$).*$`:            true, // for another engine
		`^[a-z]+\n?$`:                true,
		`^[a-z]{1,3}(\z|; DROP.*)?$`: true,
		`\A[a-z]+\z`:                 false,
		`^-?[0-9]*$`:                 true,
		`^[0-9]+(\.[0-9]+)?$`:        false,
		`^(?:--)?[0-9]+$`:            true,
	} {
		in := fmt.Sprintf(`{"type":"string","pattern":%s}`, appendQuoted(nil, pattern))
		n := Narrow{Name: "t", From: "s.broad", Description: "d", Input: inputsOf("x", in), Args: map[string]string{"a": `"x/" + input.x`}}
		if _, problems := tryNarrow(n); (len(problems) > 0) != free {
			t.Errorf("%s: problems %v, want some: %t", pattern, problems, free)
		}
	}
}
