package rules

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// Whatever the agent gives, what is sent is one JSON object with the statement
// that was written and nothing else in its place.
func FuzzNarrowArguments(f *testing.F) {
	n := mustNarrow(f, Narrow{
		Name: "orders", From: "db.query", Description: "d",
		Input: inputsOf(
			"id", `{"type":"integer"}`,
			"name", `{"type":"string"}`,
			"word", `{"type":"string","pattern":"^[A-Za-z0-9_][A-Za-z0-9_.-]*$","default":"x"}`,
			"order", `{"enum":["asc","desc"],"default":"asc"}`,
			"code", `{"type":"string","pattern":"^[0-9]+$","default":"1"}`,
			"extra", `{"type":["array","object","number","string","null"],"optional":true}`,
		),
		Args: map[string]string{
			"sql":    `"SELECT a FROM t WHERE b = $1 AND c = $2 AND d = '" + input.word + "' AND e = " + input.code + " ORDER BY a " + input.order`,
			"params": "[input.id, input.name]",
			"all":    "{'all': [input], 'same': input.extra}",
		},
	})
	statement := regexp.MustCompile(`^SELECT a FROM t WHERE b = \$1 AND c = \$2 AND d = '[A-Za-z0-9_][A-Za-z0-9_.-]*' AND e = [0-9]+ ORDER BY a (asc|desc)$`)
	for _, seed := range []string{
		`{"id":1,"name":"x"}`, `{"id":12345678901234567890,"name":"'; DROP TABLE t; --"}`,
		`{"id":1,"name":"x","word":"a' OR '1'='1"}`, `{"id":1,"name":"x","word":"a\n"}`, `{"id":1,"name":"x","order":"asc; DROP"}`,
		`{"id":"1 OR 1=1","name":"x"}`, `{"id":1,"name":{"sql":"x"}}`, `{"id":1,"name":"x","sql":"DROP"}`, `{"id":1,"name":"x","code":"١"}`,
		`{"id":1,"name":"x","extra":[1e400,{"a":0.10}]}`, `{"id":1,"name":"x","extra":{"":null}}`, `{"id":1,"name":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		before := bytes.Clone(input)
		out, err := n.Arguments(input)
		if !bytes.Equal(before, input) {
			t.Fatalf("the input was written to: %q", input)
		}
		if err != nil {
			if out != nil {
				t.Fatalf("%v, and yet %s", err, out)
			}
			return
		}
		if err := jsonrpc.CheckValue(bytes.Clone(out), jsonrpc.Limits{MaxDepth: 200}); err != nil {
			t.Fatalf("%s is no JSON: %v", out, err)
		}
		if sql, ok := jsonrpc.GetString(out, "sql"); !ok || !statement.MatchString(sql) {
			t.Fatalf("the statement is %q", sql)
		}
		got := memberNames(out)
		if strings.Join(got, " ") != "all params sql" {
			t.Fatalf("the arguments are %q", got)
		}
	})
}

// An expression that compiles never puts free text beside a literal in one
// string. The literals are made of capitals here, the free texts of none.
func FuzzNarrowFlow(f *testing.F) {
	for _, seed := range []string{
		`"AB" + input.free`, `"AB"`, `input.free`, `[input.free, "AB"]`, `{"a": input.free, "b": "AB"}`, `"AB" + input.word`,
		`let x = input.free; x + "AB"`, `join(["AB", input.free], "C")`, `join(input.names, "AB")`,
		`map(input.names, # + "AB")`, `reduce(input.names, #acc + #, "AB")`, `input.n > 3 ? input.free : "AB"`,
		`(input.n > 3 ? input.free : "AB") + (input.free ?? "C")`, `upper("AB" + input.word) + string(input.n)`, `values({"a": "AB", "b": input.free})`,
		`flatten([["AB"], [input.free]])`, `join(flatten([["AB"], input.names]))`, `concat(["AB"], input.names)`, `repeat("AB", input.n)`,
		`input.names[0] + "AB"`, `input.names | map(upper(#)) | join("AB")`, `trim("AB" + input.word, "A")`, `split("AB" + input.word, "B")[1] + "C"`,
		`string(input.n) + "AB" + string(input.n)`, `sortBy(input.names, #)`, `toPairs(input.obj)`, `keys(input.obj)[0] + "A"`, `get(input.obj, "s") + "A"`,
		`input.obj.s + "A"`, `{(input.word): "A"}`, `groupBy(input.names, #)`, `first(filter(input.names, # != "A")) + "B"`, `findLast(input.names, true) + "A"`,
		`let f = [input.free, "A"]; f[0] + f[1]`, `let f = [input.free, "A"]; join(f)`, `(input?.free ?? "A") + "B"`, `input[input.free] ?? "A"`,
		`("A" + input.word)[0:3]`, `"A" + input.free[0:1]`, `max(input.names)`, `"AB" matches input.free ? "A" : "B"`, `take(input.names, 1)[0] + "A"`,
		`reduce(["A", "B"], #acc + #, input.free)`, `map(1..3, "A" + input.names[#])`, `if input.n > 3 { input.free } else { "A" }`,
	} {
		f.Add(seed)
	}
	inputs := inputsOf("free", `{"type":"string"}`, "n", `{"type":"integer","minimum":0}`, "word", `{"type":"string","pattern":"^[a-z]+$"}`,
		"names", `{"type":"array","items":{"type":"string"}}`, "obj", `{"type":"object","properties":{"s":{"type":"string"}}}`)
	f.Fuzz(func(t *testing.T, expression string) {
		if regexp.MustCompile(`(?i)json|base64|now|date|duration|type|lower|upper|replace`).MatchString(expression) {
			return // which make other texts of texts
		}
		c, problems := tryNarrow(Narrow{Name: "t", From: "s.b", Description: "d", Input: inputs, Args: map[string]string{"x": expression, "y": "[input]"}})
		if c == nil {
			for _, p := range problems {
				if p.Offset < 0 || p.Offset > len(expression) {
					t.Fatalf("%q: offset %d", expression, p.Offset)
				}
			}
			return
		}
		for _, input := range []string{
			`{"free":"\u2620'; \u2620","n":4,"word":"abc","names":["\u2620a","b\u2620","\u2620"],"obj":{"s":"\u2620","\u2620k":"\u2620"}}`,
			`{"free":"\u2620","n":1,"word":"a","names":["\u2620"],"obj":{"\u2620":1}}`,
			`{"free":"","n":0,"word":"s","names":[],"obj":{}}`,
		} {
			out, err := c.Arguments([]byte(input))
			if err != nil {
				continue
			}
			v, err := decodeExact(out)
			if err != nil {
				t.Fatalf("%q gives %s", expression, out)
			}
			if s := mixed(v.(map[string]any)["x"]); s != "" {
				t.Fatalf("%q gives %q", expression, s)
			}
		}
	})
}

// mixed finds a string with free text and a capital.
func mixed(v any) string {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "\u2620") && strings.ContainsAny(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			return v
		}
	case []any:
		for _, e := range v {
			if s := mixed(e); s != "" {
				return s
			}
		}
	case map[string]any:
		for name, e := range v {
			if s := mixed(name) + mixed(e); s != "" {
				return s
			}
		}
	}
	return ""
}

func FuzzNarrowResult(f *testing.F) {
	src := orderStatus()
	src.Output = `result.isError ? result.text : {"status": result.json.rows[0].status, "n": len(result.text)}`
	n := mustNarrow(f, src)
	for _, seed := range []string{
		`{"content":[{"type":"text","text":"{\"rows\":[{\"status\":\"x\"}]}"}]}`, `{"content":[],"structuredContent":{"rows":[{"status":[1e400]}]}}`,
		`{"content":[],"isError":true}`, `{"content":[{"type":"text","text":"\ud800"}]}`, `{"content":[{"type":"text"}],"resultType":"complete"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, result []byte) {
		out, err := n.Result(result)
		if err != nil {
			return
		}
		if err := jsonrpc.CheckValue(bytes.Clone(out), jsonrpc.Limits{MaxDepth: 200}); err != nil {
			t.Fatalf("%s is no JSON: %v", out, err)
		}
		for _, name := range memberNames(out) {
			if !strings.Contains(" content structuredContent isError resultType ", " "+name+" ") {
				t.Fatalf("the result has %q: %s", name, out)
			}
		}
	})
}

// FuzzNarrowPattern holds the analysis of patterns against what they match.
func FuzzNarrowPattern(f *testing.F) {
	for _, pattern := range []string{`^[a-z]+$`, `^a|b$`, `(?i)^k$`, `^-?\d+$`, `^[a-z]*$`, `^(a$|b)$`, `^\w[\w.]*$`, `^(?:a|-)b$`, `^a\b.$`} {
		for _, s := range []string{"a", "b\n", "\u212a", "-5", "", "a.b", "'", "-b", "a ", "a..b"} {
			f.Add(pattern, s)
		}
	}
	word := regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]*$`)
	number := regexp.MustCompile(`^(-?[0-9]+|-)$`)
	f.Fuzz(func(t *testing.T, pattern, s string) {
		l, negative, _ := ofPattern(pattern)
		if l == levelFree {
			return
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			t.Fatalf("%q is followed, but cannot be compiled", pattern)
		}
		if !re.MatchString(s) {
			return
		}
		if l == levelWord && !word.MatchString(s) || l == levelNumber && (!number.MatchString(s) || !negative && s[0] == '-') {
			t.Errorf("%q matches %q", pattern, s)
		}
	})
}

// The hints of the broad tool hold for the narrowed one, its texts do not.
func TestNarrowAnnotations(t *testing.T) {
	definition, err := mustNarrow(t, orderStatus()).Definition([]byte(broadQuery))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := Compile(Source{
		Tools: Patterns{Allow: []string{"db.get_order_status"}},
		Rules: []Rule{{Name: "what destroys is asked about", Tools: []string{"*"}, When: "tool.annotations.destructiveHint and tool.annotations.title == ''", Then: Ask}},
	})
	if err != nil {
		t.Fatal(err)
	}
	entry := policy.Bind(Capability{Kind: Tool, Server: "db", Name: "get_order_status", Annotations: jsonrpc.Get(definition, "annotations")})
	if d := entry.Decide(Call{}); d.Action != Ask {
		t.Errorf("the decision is %v", d)
	}
}

func BenchmarkNarrowArguments(b *testing.B) {
	n := mustNarrow(b, orderStatus())
	input := []byte(`{"order_id":42}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Arguments(input); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNarrowResult(b *testing.B) {
	src := orderStatus()
	src.Output = "result.json.rows[0].status"
	n := mustNarrow(b, src)
	text := `{"rows":[` + strings.Repeat(`{"status":"shipped","id":12345,"note":"a few words of text"},`, 1600) + `{"status":"x"}]}`
	result := fmt.Appendf(nil, `{"content":[{"type":"text","text":%s}]}`, appendQuoted(nil, text))
	b.SetBytes(int64(len(result)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Result(result); err != nil {
			b.Fatal(err)
		}
	}
}
