package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/parser/operator"
)

// verdict evaluates one condition on one set of arguments: "yes", "no", or the
// reason why it failed.
func verdict(t *testing.T, when, args string) string {
	t.Helper()
	c, problem := compileCondition(when, onCall)
	if problem != nil {
		t.Fatalf("%s: %s", when, problem)
	}
	raw := []byte(args)
	if args == "" {
		raw = nil
	}
	got := outcome(c, raw)
	if c.direct != nil {
		if machine := outcome(&condition{text: c.text, program: c.program, readsArgs: c.readsArgs}, raw); machine != got {
			t.Errorf("%s on %s: %s, but the machine alone says %s", when, args, got, machine)
		}
	}
	reason, _, _ := strings.Cut(got, " at offset ")
	return reason
}

var (
	testEntry = &Entry{base: &Decision{Action: Allow}, name: "send", server: "mail", annotations: []byte(`{"title":"T","readOnlyHint":true,"destructiveHint":"no"}`)}
	testStart = time.Now().Add(-time.Hour)
)

func outcome(c *condition, args []byte) string {
	v := newEvaluation(testEntry, Call{Args: args, Session: Session{Labels: []string{"private"}, Calls: 3, Started: testStart}})
	defer v.release()
	ok, err := v.eval(c)
	switch {
	case err != nil:
		return fmt.Sprintf("%s at offset %d", err.Reason, err.Offset)
	case ok:
		return "yes"
	}
	return "no"
}

func TestConditions(t *testing.T) {
	for _, c := range []struct{ when, args, want string }{
		// What a rule can name.
		{`tool.name == "send" and tool.server == "mail"`, ``, "yes"},
		{`tool.annotations.readOnlyHint and tool.annotations.title == "T"`, ``, "yes"},
		{`tool.annotations.destructiveHint and tool.annotations.openWorldHint and not tool.annotations.idempotentHint`, ``, "yes"},
		{`"private" in session.labels and session.calls == 3`, ``, "yes"},
		{`now() - session.started > duration("30m")`, ``, "yes"},
		{`session.started + duration("30m") < now()`, ``, "yes"},
		{`session.started.Year() >= 2024 and (now() - session.started).Minutes() > 59`, ``, "yes"},
		{`args == {}`, ``, "yes"},

		// Numbers.
		{`args.amount > 5000`, `{"amount":5001}`, "yes"},
		{`args.amount > 5000`, `{"amount":5000.0}`, "no"},
		{`args.amount > 5000`, `{"amount":5.000001e3}`, "yes"},
		{`args.amount > 5000`, `{}`, "missing (nil)"},
		{`args.amount > 5000`, `{"amount":"9000"}`, "the left side is a string"},
		{`args.amount > 5000`, `{"amount":null}`, "missing (nil)"},
		{`args.amount > 5000`, `{"amount":9223372036854775808}`, "cannot be held exactly"},
		{`args.amount == 5000`, `{"amount":9223372036854775808}`, "cannot be held exactly"},
		{`args.amount != 5000`, `{"amount":1.0000000000000000001}`, "cannot be held exactly"},
		{`args.amount in [1, 2]`, `{"amount":1e400}`, "cannot be held exactly"},
		{`not (args.a in args.b)`, `{"a":1,"b":[9223372036854775808]}`, "cannot be held exactly"},
		{`args.amount == nil`, `{"amount":9223372036854775808}`, "no"},
		{`args.amount == 9223372036854775807`, `{"amount":9223372036854775807}`, "yes"},
		{`args.amount > 9007199254740993`, `{"amount":9007199254740992.5}`, "cannot be held exactly"},
		{`args.amount > 1152921504606846990`, `{"amount":1.5e18}`, "yes"},
		{`args.amount < 0.3`, `{"amount":0.1}`, "yes"},
		{`args.amount == 0.1`, `{"amount":0.10}`, "yes"},
		{`args.amount == 1e2`, `{"amount":100}`, "yes"},
		{`args.a * args.b > 5000`, `{"a":9223372036854775807,"b":2}`, "overflows"},
		{`args.a * args.b > 5000`, `{"a":-1,"b":-9223372036854775808}`, "overflows"},
		{`args.a + 1 > 0`, `{"a":9223372036854775807}`, "overflows"},
		{`args.a - 1 < 0`, `{"a":-9223372036854775808}`, "overflows"},
		{`-args.a < 0`, `{"a":-9223372036854775808}`, "overflows"},
		{`abs(args.a) > 0`, `{"a":-9223372036854775808}`, "overflows"},
		{`sum(args.list) > 0`, `{"list":[9223372036854775807,1]}`, "overflows"},
		{`sum(args.list, .n) == 6`, `{"list":[{"n":1},{"n":2},{"n":3}]}`, "yes"},
		{`sum(args.list, .n) > 6`, `{"list":[{"n":1},{}]}`, "missing (nil)"},
		{`args.a / args.b > 1`, `{"a":1,"b":0}`, "no finite result"},
		{`args.a % args.b == 0`, `{"a":1,"b":0}`, "division by zero"},
		{`args.a % 3 == 1`, `{"a":7}`, "yes"},
		{`args.a + 0.5 > 1`, `{"a":9007199254740993}`, "too large to be mixed"},
		{`args.a ** 2 == 49`, `{"a":7}`, "yes"},
		{`max(args.list) == 3 and min(args.list) == 0.5 and mean([1, 2]) == 1.5 and median([3, 1, 2]) == 2`, `{"list":[1,3,0.5]}`, "yes"},
		{`1 < args.a < 5`, `{"a":3}`, "yes"},
		{`1 < args.a < 5`, `{"a":5}`, "no"},
		{`1 < findLast(args.l, # < 5) < 4 and 0 < sum(args.l) + 1 < 9 and 1 < args.l[0 + 1] < 3`, `{"l":[1,2]}`, "yes"},
		{`bitshl(args.a, 62) > 0`, `{"a":4}`, "overflows"},
		{`round(args.a) == 3 and int("7") == 7 and float("0.5") == 0.5`, `{"a":2.6}`, "yes"},
		{`int(args.a) == 3`, `{"a":"three"}`, "not an integer"},

		// Texts.
		{`args.path startsWith "/srv/"`, `{"path":"/srv/x"}`, "yes"},
		{`args.path startsWith "/srv/"`, `{}`, "missing (nil)"},
		{`args.path startsWith args.root`, `{"path":"/srv/x"}`, "missing (nil)"},
		{`not (args.path startsWith "/srv/")`, `{"path":["/etc"]}`, "a list"},
		{`args.path contains ".."`, `{"path":7}`, "an integer"},
		{`args.path endsWith ".sh"`, `{"path":true}`, "true or false"},
		{`args.path matches "^/srv/[a-z]+$"`, `{"path":"/srv/x"}`, "yes"},
		{`args.path matches "^/srv/[a-z]+$"`, `{}`, "missing (nil)"},
		{`args.path matches args.re`, `{"path":"aaa","re":"^a+$"}`, "yes"},
		{`args.path matches args.re`, `{"path":"aaa","re":"("}`, "cannot be read"},
		{`args.path not matches "a"`, `{"path":"b"}`, "yes"},
		{`hasPrefix(args.path, "a")`, `{}`, "missing (nil)"},
		{`lower(args.a) == "abc" and upper("x") == "X" and trim(" x ") == "x" and trimPrefix("ab", "a") == "b"`, `{"a":"ABC"}`, "yes"},
		{`split("a,b", ",") == ["a", "b"] and join(["a", "b"], "-") == "a-b" and "a" + "b" == "ab"`, ``, "yes"},
		{`replace("aXa", "a", "b") == "bXb" and repeat("ab", 2) == "abab" and indexOf("abc", "c") == 2`, ``, "yes"},
		{`len(args.s) == 2 and args.s[0:1] == "a"`, `{"s":"ab"}`, "yes"},
		{`fromBase64(toBase64("x")) == "x" and fromJSON("{\"a\": 9223372036854775808}").a != nil`, ``, "yes"},
		{`fromJSON(args.s).a > 1`, `{"s":"{\"a\":9223372036854775808}"}`, "cannot be held exactly"},
		{`toJSON(args) contains "1"`, `{"s":9223372036854775808}`, "cannot be held exactly"},
		{`string(args.s) == "5"`, `{"s":5}`, "yes"},

		// Lists and objects.
		{`all(args.to, # endsWith "@example.com")`, `{"to":["a@example.com"]}`, "yes"},
		{`all(args.to, # endsWith "@example.com")`, `{"to":"a@example.com"}`, "the elements of a list"},
		{`any(args.to, # == "x")`, `{}`, "the elements of a list"},
		{`any(args.to, # == "x")`, `{"to":{"x":1}}`, "the elements of a list"},
		{`none(args.to, .a > 1) and one(args.to, .a == 1) and count(args.to, .a == 1) == 1`, `{"to":[{"a":1}]}`, "yes"},
		{`args.to == [] or all(args.to + (args.cc ?? []) + (args.bcc ?? []), # startsWith "a")`, `{"to":["a"],"cc":["ab"]}`, "yes"},
		{`args.to == [] or all(args.to + (args.cc ?? []) + (args.bcc ?? []), # startsWith "a")`, `{"to":["a"],"cc":["b"]}`, "no"},
		{`map(filter(args.to, .a > 1), .a) == [2, 3]`, `{"to":[{"a":1},{"a":2},{"a":3}]}`, "yes"},
		{`find(args.l, # > 1) == 2 and findIndex(args.l, # > 1) == 1 and findLast(args.l, # > 1) == 3 and findLastIndex(args.l, # > 1) == 2`, `{"l":[1,2,3]}`, "yes"},
		{`reduce(args.l, #acc + #, 0) == 6 and reduce(args.l, #acc * #) == 6`, `{"l":[1,2,3]}`, "yes"},
		{`map(sortBy(args.l, .n, "desc"), .n) == [3, 2, 1] and sort([3, 1, 2]) == [1, 2, 3]`, `{"l":[{"n":1},{"n":3},{"n":2}]}`, "yes"},
		{`len(groupBy(args.l, .k)["a"]) == 2`, `{"l":[{"k":"a"},{"k":"b"},{"k":"a"}]}`, "yes"},
		{`first(args.l) == 1 and last(args.l) == 3 and take(args.l, 2) == [1, 2] and reverse(args.l) == [3, 2, 1]`, `{"l":[1,2,3]}`, "yes"},
		{`uniq([1, 1.0, 2]) == [1, 2] and concat([1], [2]) == [1, 2] and flatten([1, [2, [3]]]) == [1, 2, 3]`, ``, "yes"},
		{`keys(args) == ["a", "b"] and values(args) == [1, 2] and fromPairs(toPairs(args)).b == 2`, `{"b":2,"a":1}`, "yes"},
		{`"a" in args and not ("b" in args) and args.a in 1..3`, `{"a":2}`, "yes"},
		{`args.x in args.y`, `{"x":"a"}`, "missing (nil)"},
		{`args.a.b.c == 1`, `{"a":{}}`, "read of a value that has none"},
		{`args.a?.b?.c == nil`, `{}`, "yes"},
		{`(args.a?.b ?? 1) == 1`, `{}`, "yes"},
		{`args.l[5] == 1`, `{"l":[1]}`, "fewer elements"},
		{`args.l[args.i] == 1`, `{"l":[1],"i":0.5}`, "an index has to be"},
		{`get(args, "a") == nil and get([1], 5) == nil`, ``, "yes"},
		{`let x = args.a; x > 1 ? x < 3 : false`, `{"a":2}`, "yes"},
		{`args.l | filter(# > 1) | len() == 1`, `{"l":[1,2]}`, "yes"},

		// Only true and false are conditions.
		{`args.flag`, `{"flag":true}`, "yes"},
		{`args.flag`, `{}`, "not true or false"},
		{`args.flag`, `{"flag":"true"}`, "not true or false"},
		{`not args.flag`, `{}`, "is not true or false"},
		{`args.flag and true`, `{"flag":1}`, "is not true or false"},
		{`any(args.l, #)`, `{"l":[1]}`, "is not true or false"},

		// Arguments that are no object.
		{`args.a == 1`, `[]`, "not a JSON object"},
		{`args.a == 1`, `{"a":1,"a":2}`, "not valid JSON"},
		{`args.a == 1`, `{"a":1}{}`, "not valid JSON"},
		{`args.a == 1`, `{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, "nested too deeply"},

		// Dates.
		{`date("2024-02-03") < date("03.02.2025", "02.01.2006")`, ``, "yes"},
		{`date("2024-02-03 12:00:00", "2006-01-02 15:04:05", "Europe/Rome") == date("2024-02-03T11:00:00Z")`, ``, "yes"},
		{`date(args.d).Weekday().String() == "Saturday" and int(date(args.d).Month()) == 2`, `{"d":"2024-02-03"}`, "yes"},
		{`now(timezone("UTC")).Year() > 2000`, ``, "yes"},
		{`date(args.d) < now()`, `{"d":"soon"}`, "not a date"},
	} {
		got := verdict(t, c.when, c.args)
		if ok := got == c.want || len(c.want) > 3 && strings.Contains(got, c.want); !ok {
			t.Errorf("%s on %s:\n  got  %s\n  want %s", c.when, c.args, got, c.want)
		}
	}
}

// TestBounds holds conditions that would take gigabytes or minutes if run as
// they stand.
func TestBounds(t *testing.T) {
	long := `{"s":"` + strings.Repeat("a", 1<<20) + `","l":[` + strings.Repeat("1,", 1<<16) + `1]}`
	for _, c := range []struct{ when, want string }{
		{`reduce(1..30, #acc + #acc, "xxxxxxxx") == ""`, "too much text"},
		{`reduce(1..30, [#acc, #acc], [1]) == reduce(1..30, [#acc, #acc], [1])`, "too many steps"},
		{`len(flatten(reduce(1..30, [#acc, #acc], [1]))) > 0`, "too"},
		{`len(toJSON(reduce(1..30, [#acc, #acc], [1]))) > 0`, "too"},
		{`len(reduce(1..30, concat(#acc, #acc), [1])) > 0`, "too"},
		{`len(reduce(1..30, #acc + #acc, [1])) > 0`, "too"},
		{`len(reduce(1..30, replace(#acc, "a", "aaaaaaaaaa"), "a")) > 0`, "too"},
		{`len(reduce(1..30, join([#acc, #acc]), "aaaaaaaa")) > 0`, "too"},
		{`len(reduce(1..30, repeat(#acc, 1000), "a")) > 0`, "too"},
		{`len(reduce(1..100000, [#acc], [1])) == 1 and reduce(1..1000, [#acc], [1]) == reduce(1..1000, [#acc], [1])`, "nested too deeply"},
		{`any(1..1000, any(1..1000, any(1..1000, # == 0)))`, "too many steps"},
		{`len(1..9000000000) > 0`, "too"},
		{`len(-9223372036854775807..9223372036854775807) > 0`, "too"},
		{`len(map(1..100000, map(1..100, [{"a": 1}]))) > 0`, "too many"},
		{`any(args.l, any(args.l, # == 2))`, "too many steps"},
		{`uniq(map(1..60000, #)) == []`, "too many steps"},
		{`any(1..1000, args.s matches "(a|aa)+$b")`, "too many steps"},
		{`any(1..100000, args.s contains "b")`, "too many steps"},
		{`any(1..100000, args.s != args.s + "")`, "too"},
		{`args.s matches args.s`, "longer than"},
		{`len(split(args.s, "")) > 0 and len(split(args.s, "")) > 0`, "too"},
	} {
		start := time.Now()
		got := verdict(t, c.when, long)
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.when, got, c.want)
		}
		// Generous, for a busy machine under the race detector; unbounded, none of them would end in minutes.
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%s took %v", c.when, d)
		}
	}
}

func TestConditionProblems(t *testing.T) {
	deep := "1" + strings.Repeat(" < (1 < (1", 60) + strings.Repeat(" < 2) < 2)", 60)
	for _, c := range []struct {
		when       string
		offset     int
		message    string
		suggestion string
	}{
		{`args.amount >`, 12, "unexpected", ""},
		{`arg.amount > 1`, 0, `unknown name "arg"`, "args"},
		{`"ü" == tol.name`, 8, `unknown name "tol"`, "tool"},
		{`tool.nam == "x"`, 5, `tool has no "nam"`, "name"},
		{`session.lables == []`, 8, `session has no "lables"`, "labels"},
		{`tool.annotations.readonlyHint`, 17, `tool.annotations has no "readonlyHint"`, "readOnlyHint"},
		{`statsWith(args.a, "x")`, 0, `unknown name "statsWith"`, ""},
		{`lenn(args.a) > 1`, 0, `unknown name "lenn"`, "len"},
		{`args.a matches "("`, 0, "missing closing", ""},
		{`args.a matches "(a{1000}){10}"`, 0, "", ""},
		{`1 + 1`, 0, "not a condition", ""},
		{`"a"`, 0, "not a condition", ""},
		{`tool.name > 1`, 10, "mismatched types", ""},
		{`$env.args == 1`, 0, "$env is not available", ""},
		{`b"x" == b"x"`, 0, "byte strings", ""},
		{`len == 1`, 0, "has to be called", ""},
		{`now().Format(args.s) == ""`, 6, `no method "Format"`, ""},
		{`date(args.d, "2006", args.zone) < now()`, 0, "has to be a literal", ""},
		{`now(timezone("Nowhere/Land")) > now()`, 13, "no time zone", ""},
		{deep, -1, "too complex", ""},
		{strings.Repeat("x", 20000), 0, "longer than", ""},
		{"\xff", 0, "UTF-8", ""},
	} {
		_, p := compileCondition(c.when, onCall)
		if p == nil {
			t.Errorf("%.60q: compiled", c.when)
			continue
		}
		if c.offset >= 0 && p.Offset != c.offset && c.message != "missing closing" && c.message != "" || !strings.Contains(p.Message, c.message) || p.Suggestion != c.suggestion {
			t.Errorf("%.60q: got %d %q %q, want %d %q %q", c.when, p.Offset, p.Message, p.Suggestion, c.offset, c.message, c.suggestion)
		}
		for _, leak := range []string{"rules.", "interface {}", "file."} {
			if strings.Contains(p.Message, leak) {
				t.Errorf("%.60q: the message shows %q: %s", c.when, leak, p.Message)
			}
		}
	}
}

func TestRunErrorHoldsNoValues(t *testing.T) {
	const secret = "hunter2-hunter2"
	args := `{"s":"` + secret + `","l":[1],"o":{"` + secret + `":1}}`
	for _, when := range []string{
		`args.l[args.s] == 1`, `args.s.x == 1`, `int(args.s) == 1`, `date(args.s) < now()`, `duration(args.s) > duration("1s")`,
		`args.s > 1`, `args.s`, `args.o[args.s][args.s] == 1`, `fromJSON(args.s) == 1`, `args.s matches args.s + "("`,
		`sort([1], args.s) == []`, `float(args.s) > 1`, `fromBase64(args.s) == ""`, `tool[args.s] == 1`, `session[args.s] == 1`,
	} {
		if _, problem := compileCondition(when, onCall); problem != nil {
			continue // refused earlier, which is as good
		}
		p := mustPolicy(t, Source{Tools: Patterns{Default: Allow}, Rules: []Rule{{Name: "r", Tools: []string{"*"}, When: when, Then: Ask}}})
		d := p.Bind(Capability{Server: "s", Name: "n"}).Decide(Call{Args: []byte(args)})
		var e *RunError
		if d.Action != Deny || !errors.As(d.Failed, &e) || e.Rule != "r" {
			t.Errorf("%s: %+v", when, d)
			continue
		}
		if strings.Contains(e.Error()+d.Message, secret) {
			t.Errorf("%s: the error quotes the call: %v", when, e)
		}
	}
}

// TestEverythingIsGuarded fails if expr gains a function or operator that this
// package does not know, or if one gets past the guard.
func TestEverythingIsGuarded(t *testing.T) {
	native := map[string]bool{"all": true, "none": true, "any": true, "one": true, "filter": true, "map": true, "find": true, "findIndex": true,
		"findLast": true, "findLastIndex": true, "count": true, "reduce": true, "timezone": true}
	for _, f := range builtin.Builtins {
		if !native[f.Name] && functions[f.Name] == nil {
			t.Errorf("%s has no guarded form", f.Name)
		}
	}
	for op := range operator.Binary {
		switch op {
		case "and", "&&", "or", "||", "??", "|", "!=", "^", ";":
		default:
			if functions[op] == nil {
				t.Errorf("%s has no guarded form", op)
			}
		}
	}
	native = map[string]bool{"all": true, "none": true, "any": true, "one": true, "filter": true, "map": true, "find": true, "findIndex": true, "count": true, "reduce": true}
	for _, when := range []string{
		`1 < args.a + -args.b * 2 / 3 ** 5 < 9 && args.b % 2 == 1 and args.a[args.b] not in [+1..2] or args.s[1:args.n] not matches "x" and (args.s ?? "") != "a"`,
		`sum(args.l, # + 1) > len(sortBy(args.l, -#)) and findLast(args.l, # > 1) == 1 and findLastIndex(args.l, # > 1) == 1 and len(groupBy(args.l, # + 1)) == 0`,
		`args.l | map(# + 1) | filter(# > 1) | any(# == 1) and now().Add(duration("1s")).Year() > 1 and date(args.d, "2006", "UTC") > now(timezone("UTC"))`,
		`let x = args.a - 1; x > 1 ? x startsWith "a" : all(args.l, {# contains "a"; none(args.l, # endsWith "b")})`,
	} {
		c, problem := compileCondition(when, onCall)
		if problem != nil {
			t.Errorf("%s: %s", when, problem)
			continue
		}
		root := c.program.Node()
		ast.Walk(&root, visitor(func(n ast.Node) {
			switch n := n.(type) {
			case *ast.BinaryNode:
				if !slices.Contains([]string{"and", "&&", "or", "||", "??"}, n.Operator) {
					t.Errorf("%s: %s is not guarded", when, n.Operator)
				}
			case *ast.UnaryNode:
				if n.Operator != "not" {
					t.Errorf("%s: unary %s is not guarded", when, n.Operator)
				}
			case *ast.BuiltinNode:
				if !native[n.Name] || !isGuarded(n.Arguments[0]) {
					t.Errorf("%s: %s is not guarded", when, n.Name)
				}
			case *ast.CallNode:
				if !isGuarded(n) {
					t.Errorf("%s: %s is not guarded", when, n)
				}
			case *ast.MemberNode:
				if _, literal := n.Property.(*ast.StringNode); !literal && !isGuarded(n.Property) {
					t.Errorf("%s: %s is not guarded", when, n)
				}
			}
		}))
	}
}

type visitor func(ast.Node)

func (v visitor) Visit(n *ast.Node) { v(*n) }
