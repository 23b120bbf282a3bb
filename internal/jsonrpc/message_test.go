package jsonrpc

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		raw    string
		kind   Kind
		method string
		id     string
		params string
		result string
		err    string
	}{
		{raw: `{"jsonrpc":"2.0","id":1,"method":"ping"}`, kind: Request, method: "ping", id: "1"},
		{raw: `{"jsonrpc":"2.0","id":"a\u0062","method":"tools\/call","params":{"x":[1]}}`, kind: Request, method: "tools/call", id: `"a\u0062"`, params: `{"x":[1]}`},
		{raw: `{"params":{},"method":"m","id":-0,"jsonrpc":"2\u002e0"}`, kind: Request, method: "m", id: "-0", params: "{}"},
		{raw: `{"jsonrpc":"2.0","method":"n"}`, kind: Notification, method: "n"},
		{raw: `{"jsonrpc":"2.0","id":12345678901234567890123,"result":null}`, kind: Result, id: "12345678901234567890123", result: "null"},
		{raw: `{"jsonrpc":"2.0","id":1.50,"result":[ 1 ]  }`, kind: Result, id: "1.50", result: "[ 1 ]"},
		{raw: `{"jsonrpc":"2.0","id":"","error":{"code":-1,"message":""}}`, kind: Failure, id: `""`, err: `{"code":-1,"message":""}`},
		{raw: `{"jsonrpc":"2.0","id":null,"error":{}}`, kind: Failure, err: "{}"},
		{raw: `{"jsonrpc":"2.0","error":{}}`, kind: Failure, err: "{}"},
		{raw: `{"jsonrpc":"2.0","id":1,"method":"","x":1,"y":2}`, kind: Request, id: "1"},
		{raw: `{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"jsonrpc":"2.0","id":1,"method":"m"}`, kind: Request, method: "m", id: "1"},
		{raw: `{"\u006asonrpc":"2.0","\u0069d":1,"m\u0065thod":"m"}`, kind: Request, method: "m", id: "1"},
	} {
		m, err := Parse([]byte(c.raw), Limits{})
		if err != nil {
			t.Errorf("Parse(%s): %v", c.raw, err)
			continue
		}
		got := []string{m.Kind.String(), m.Method, string(m.At(m.ID)), string(m.At(m.Params)), string(m.At(m.Result)), string(m.At(m.Error))}
		want := []string{c.kind.String(), c.method, c.id, c.params, c.result, c.err}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("Parse(%s) = %q, want %q", c.raw, got, want)
		}
		if string(m.Raw) != c.raw {
			t.Errorf("Parse(%s) changed it to %s", c.raw, m.Raw)
		}
	}
}

// with returns a valid request whose params hold the value.
func with(value string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"m","params":{"v":` + value + `}}`
}

func TestParseRefuses(t *testing.T) {
	nested := func(depth int) string { // of the whole message, whose params are the second level
		return with(strings.Repeat("[", depth-2) + strings.Repeat("]", depth-2))
	}
	if _, err := Parse([]byte(nested(128)), Limits{}); err != nil {
		t.Errorf("depth 128: %v", err)
	}
	if _, err := Parse([]byte(nested(400)), Limits{MaxDepth: 400}); err != nil {
		t.Errorf("depth 400 with that limit: %v", err)
	}
	for _, c := range []struct {
		name, raw string
		code      int
		reason    string
		id        string
	}{
		{"nothing", "", CodeParse, "JSON", ""},
		{"white space", " \t\r\n", CodeParse, "JSON", ""},
		{"text", "hello", CodeParse, "not valid JSON at byte 0", ""},
		{"a scalar", `"x"`, CodeInvalidRequest, "object", ""},
		{"a batch", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, CodeInvalidRequest, "batch", ""},
		{"a batch after a line end", "\n[]", CodeInvalidRequest, "batch", ""},
		{"an object in pieces", `{"jsonrpc":"2.0","id":1,`, CodeParse, "JSON", ""},
		{"a trailing comma", `{"jsonrpc":"2.0","id":1,"method":"m",}`, CodeParse, "JSON", ""},
		{"a comment", `{"jsonrpc":"2.0",/**/"id":1,"method":"m"}`, CodeParse, "JSON", ""},
		{"single quotes", with(`'x'`), CodeParse, "JSON", ""},
		{"NaN", with("NaN"), CodeParse, "JSON", ""},
		{"a leading zero", with("01"), CodeParse, "JSON", ""},
		{"a plus sign", with("+1"), CodeParse, "JSON", ""},
		{"a bare point", with("1."), CodeParse, "JSON", ""},
		{"a bare minus", with("-"), CodeParse, "JSON", ""},
		{"a bare exponent", with("1e"), CodeParse, "JSON", ""},
		{"an upper case literal", with("True"), CodeParse, "JSON", ""},
		{"brackets crossed", with("[}]"), CodeParse, "JSON", ""},
		{"two values", with("1 2"), CodeParse, "JSON", ""},
		{"trailing text", with("1") + "x", CodeParse, "JSON", ""},
		{"a second message", with("1") + with("1"), CodeParse, "JSON", ""},
		{"a NUL behind", with("1") + "\x00", CodeParse, "JSON", ""},
		{"a byte order mark", "\ufeff" + with("1"), CodeParse, "JSON", ""},
		{"a no-break space before", "\u00a0" + with("1"), CodeParse, "JSON", ""},
		{"U+0085 behind", with("1") + "\u0085", CodeParse, "JSON", ""},
		{"a form feed between", with("\f1"), CodeParse, "JSON", ""},
		{"a vertical tab before", "\v" + with("1"), CodeParse, "JSON", ""},
		{"a line separator between", with("\u20281"), CodeParse, "JSON", ""},
		{"a tab in a string", with("\"a\tb\""), CodeParse, "JSON", ""},
		{"a line end in a string", with("\"a\nb\""), CodeParse, "JSON", ""},
		{"a line end in a long string", with(`"` + strings.Repeat("x", 100) + "\n" + strings.Repeat("x", 100) + `"`), CodeParse, "JSON", ""},
		{"an unknown escape", with(`"\x41"`), CodeParse, "JSON", ""},
		{"a short escape", with(`"\u00"`), CodeParse, "JSON", ""},
		{"a signed escape", with(`"\u+041"`), CodeParse, "JSON", ""},
		{"invalid UTF-8", with("\"\xff\""), CodeParse, "JSON", ""},
		{"invalid UTF-8 in a name", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"\xc3\":1}", CodeParse, "JSON", ""},
		{"an overlong slash", with("\"\xc0\xaf\""), CodeParse, "JSON", ""},
		{"a surrogate in UTF-8", with("\"\xed\xa0\x80\""), CodeParse, "JSON", ""},
		{"a high surrogate alone", with(`"\ud83d"`), CodeParse, "JSON", ""},
		{"a low surrogate alone", with(`"\ude00"`), CodeParse, "JSON", ""},
		{"surrogates the wrong way round", with(`"\ude00\ud83d"`), CodeParse, "JSON", ""},
		{"a lone surrogate in a name", with(`{"\ud83d":1}`), CodeParse, "JSON", ""},
		{"a lone surrogate deep in a long string", with(`"` + strings.Repeat("y", 100) + `\ud83d` + strings.Repeat("y", 100) + `"`), CodeParse, "JSON", ""},

		{"the same name twice", `{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}`, CodeParse, "duplicate name", ""},
		{"the same name by escapes", with(`{"name":1,"n\u0061me":2}`), CodeParse, "duplicate name", ""},
		{"the same name by two escapes", with(`{"\u006eame":1,"n\u0061me":2}`), CodeParse, "duplicate name", ""},
		{"the same name by upper and lower hex", with(`{"\u00e9":1,"\u00E9":2}`), CodeParse, "duplicate name", ""},
		{"the same name raw and escaped", with(`{"é":1,"\u00e9":2}`), CodeParse, "duplicate name", ""},
		{"the same slash", with(`{"a/b":1,"a\/b":2}`), CodeParse, "duplicate name", ""},
		{"the same emoji", with(`{"😀":1,"\ud83d\ude00":2}`), CodeParse, "duplicate name", ""},
		{"the empty name twice", with(`{"":1,"":2}`), CodeParse, "duplicate name", ""},
		{"the same name deep", with(`[[{"a":{"b":1,"c":2,"b":3}}]]`), CodeParse, "duplicate name", ""},
		{"the same name after many", with(`{` + manyNames(100) + `,"n17":1}`), CodeParse, "duplicate name", ""},
		{"the same name around an object", with(`{"a":{"x":{"y":1}},"a":1}`), CodeParse, "duplicate name", ""},

		{"depth 129", nested(129), CodeInvalidRequest, "nested deeper than 128", ""},
		{"depth a million", strings.Repeat("[{\"a\":", 1e6)[1:], CodeInvalidRequest, "nested deeper than 128", ""},
		{"1e999", with("1e999"), CodeParse, "outside the range of a float64", ""},
		{"-1e999", with("-1e999"), CodeParse, "outside the range of a float64", ""},
		{"1E+400", with("1E+400"), CodeParse, "outside the range of a float64", ""},
		{"0.1e310", with("0.1e310"), CodeParse, "outside the range of a float64", ""},
		{"an integer of 400 digits", with(strings.Repeat("9", 400)), CodeParse, "outside the range of a float64", ""},
		{"250 digits and e99", with(strings.Repeat("9", 250) + "e99"), CodeParse, "outside the range of a float64", ""},
		{"an id out of range", `{"jsonrpc":"2.0","id":1e999,"method":"m"}`, CodeParse, "outside the range", ""},

		{"no version", `{"id":1,"method":"m"}`, CodeInvalidRequest, "jsonrpc", "1"},
		{"version 1.0", `{"jsonrpc":"1.0","id":1,"method":"m"}`, CodeInvalidRequest, "jsonrpc", "1"},
		{"the version as a number", `{"jsonrpc":2.0,"id":1,"method":"m"}`, CodeInvalidRequest, "jsonrpc", "1"},
		{"a null id", `{"jsonrpc":"2.0","id":null,"method":"m"}`, CodeInvalidRequest, "id", ""},
		{"a null id of a result", `{"jsonrpc":"2.0","id":null,"result":{}}`, CodeInvalidRequest, "id", ""},
		{"a bool as id", `{"jsonrpc":"2.0","id":true,"method":"m"}`, CodeInvalidRequest, "id", ""},
		{"an object as id", `{"jsonrpc":"2.0","id":{},"method":"m"}`, CodeInvalidRequest, "id", ""},
		{"an array as id", `{"jsonrpc":"2.0","id":[1],"method":"m"}`, CodeInvalidRequest, "id", ""},
		{"a result without an id", `{"jsonrpc":"2.0","result":{}}`, CodeInvalidRequest, "id", ""},
		{"no method", `{"jsonrpc":"2.0","id":1}`, CodeInvalidRequest, "exactly one", "1"},
		{"method and result", `{"jsonrpc":"2.0","id":"x","method":"m","result":{}}`, CodeInvalidRequest, "exactly one", `"x"`},
		{"result and error", `{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`, CodeInvalidRequest, "exactly one", "1"},
		{"a method that is no string", `{"jsonrpc":"2.0","id":1,"method":["m"]}`, CodeInvalidRequest, "method", "1"},
		{"positional params", `{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}`, CodeInvalidRequest, "params", "1"},
		{"null params", `{"jsonrpc":"2.0","id":1,"method":"m","params":null}`, CodeInvalidRequest, "params", "1"},
		{"an error that is no object", `{"jsonrpc":"2.0","id":1,"error":"x"}`, CodeInvalidRequest, "error", "1"},

		{"a twin of method", `{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`, CodeInvalidRequest, `"method"`, "1"},
		{"method in upper case only", `{"jsonrpc":"2.0","id":1,"METHOD":"ping"}`, CodeInvalidRequest, `"method"`, "1"},
		{"a twin by an escape", `{"jsonrpc":"2.0","id":1,"method":"m","\u0050arams":{}}`, CodeInvalidRequest, `"params"`, "1"},
		{"a twin by U+017F", `{"jsonrpc":"2.0","id":1,"method":"m","param\u017f":{}}`, CodeInvalidRequest, `"params"`, "1"},
		{"a twin by a raw U+017F", `{"jsonrpc":"2.0","id":1,"method":"m","jſonrpc":"2.0"}`, CodeInvalidRequest, `"jsonrpc"`, "1"},
		{"unknown twins", `{"jsonrpc":"2.0","id":1,"method":"m","trace":1,"Trace":2}`, CodeInvalidRequest, "equal but for upper and lower case", "1"},
		{"unknown twins by U+212A", `{"jsonrpc":"2.0","id":1,"method":"m","key":1,"\u212aey":2}`, CodeInvalidRequest, "equal but for upper and lower case", "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.raw), Limits{})
			var e *ParseError
			if !errors.As(err, &e) {
				t.Fatalf("accepted, error %v", err)
			}
			if e.Code != c.code || !strings.Contains(e.Reason, c.reason) || string(e.ID) != c.id {
				t.Errorf("code %d, reason %q, id %q; want %d, %q, %q", e.Code, e.Reason, e.ID, c.code, c.reason, c.id)
			}
		})
	}
}

// manyNames returns n members n0 to n(n-1).
func manyNames(n int) string {
	var s []string
	for i := range n {
		s = append(s, fmt.Sprintf(`"n%d":%d`, i, i))
	}
	return strings.Join(s, ",")
}

// What is unusual but right passes, and comes out as it went in.
func TestParseKeeps(t *testing.T) {
	for _, value := range []string{
		"12345678901234567890", "-9223372036854775809", "1.0", "1.10", "1E5", "1e-999", "-0", "-0.0e-0",
		strings.Repeat("9", 300), strings.Repeat("1", 150) + "e99", "1e308", "0." + strings.Repeat("3", 500),
		`"\ud83d\ude00"`, `"😀"`, `"\/\b\f\n\r\t\"\\\u0000\uFFFF"`, `"\\ud83d"`, `"` + "\u2028\u2029\u007f\u0085" + `"`, `"\ufffd"`,
		`{"a":1,"A":2,"\u212a":3,"k":4}`, `{}`, `[]`, `[[],{},[{}]]`, `{"":""}`, `{` + manyNames(300) + `}`, `{"x\u0079":1,"xz":2}`,
		"[ 1\t,2 ]", `"` + strings.Repeat(`long text \n`, 1000) + `"`, `"` + strings.Repeat("ü", 100) + `"`, `"` + strings.Repeat("a", 31) + `"`, `"` + strings.Repeat("a", 32) + `"`,
	} {
		raw := with(value)
		m, err := Parse([]byte(raw), Limits{})
		if err != nil {
			t.Errorf("Parse(%.100s): %v", raw, err)
			continue
		}
		if got := string(Get(m.At(m.Params), "v")); got != value || string(m.Raw) != raw {
			t.Errorf("%.100s became %.100s", value, got)
		}
	}
}

// A message in several lines, which HTTP allows, is one line afterwards: else the second
// line here would be a message of its own to a server on stdio.
func TestParseJoinsLines(t *testing.T) {
	raw := "\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\"}\r\n}\n"
	want := `{"jsonrpc":"2.0","id":1,"method":"m","params": {"jsonrpc":"2.0","id":2,"method":"tools/call"}  }`
	for _, more := range []string{"", `,"\u0078":"` + strings.Repeat("x", 100) + `"`} { // the second takes jsontext's way
		m, err := Parse([]byte(strings.Replace(raw, "\r\n}\n", more+"\r\n}\n", 1)), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Replace(want, "  }", more+"  }", 1); string(m.Raw) != want {
			t.Errorf("got  %s\nwant %s", m.Raw, want)
		}
	}
	value := []byte("{\n\"a\":\r[1,\n2]}")
	if err := CheckValue(value, Limits{}); err != nil || bytes.ContainsAny(value, "\r\n") {
		t.Errorf("CheckValue: %v, %q", err, value)
	}
}

func TestParseRepairs(t *testing.T) {
	for in, want := range map[string]string{
		`"\ud83d"`:                 `"\ufffd"`,
		`"cut \uD83D..."`:          `"cut \ufffd..."`,
		`"\ude00\ud83d"`:           `"\ufffd\ufffd"`,
		`"\ud83d\ud83d\ude00"`:     `"\ufffd\ud83d\ude00"`,
		`"\ud83d\u0041"`:           `"\ufffd\u0041"`,
		`"\\ud83d"`:                `"\\ud83d"`,
		`"\\\ud83d"`:               `"\\\ufffd"`,
		`{"\udfff":[" \udc00\n"]}`: `{"\ufffd":[" \ufffd\n"]}`,
	} {
		m, err := Parse([]byte(with(in)), Limits{Repair: true})
		if err != nil {
			t.Errorf("%s: %v", in, err)
		} else if string(m.Raw) != with(want) {
			t.Errorf("%s became %s, want %s", in, m.Raw, with(want))
		}
	}
	for _, bad := range []string{`"\ud83"`, `"\ud83g"`, `"\ud83d\u"`, `{"\ud800":1,"\udfff":2}`, `{"\ud800":1,"\ufffd":2}`, "\"\xed\xa0\xbd\""} {
		if m, err := Parse([]byte(with(bad)), Limits{Repair: true}); err == nil {
			t.Errorf("%s was accepted as %s", bad, m.Raw)
		}
	}
}

func TestParseSize(t *testing.T) {
	raw := with(`"` + strings.Repeat("x", 100) + `"`)
	if _, err := Parse([]byte(raw), Limits{MaxBytes: len(raw)}); err != nil {
		t.Error(err)
	}
	_, err := Parse([]byte(raw), Limits{MaxBytes: len(raw) - 1})
	var e *ParseError
	if !errors.As(err, &e) || e.Code != CodeInvalidRequest || !strings.Contains(e.Reason, fmt.Sprintf("above the limit of %d", len(raw)-1)) {
		t.Errorf("one byte too many: %v", err)
	}
	if err := CheckValue([]byte(`"abc"`), Limits{MaxBytes: 4}); err == nil {
		t.Error("CheckValue: one byte too many was accepted")
	}
	if _, err := Parse(bytes.Repeat([]byte(" "), DefaultMaxBytes+1), Limits{}); err == nil || !strings.Contains(err.Error(), "above the limit") {
		t.Errorf("default limit: %v", err)
	}
}

func TestCheckValue(t *testing.T) {
	for _, ok := range []string{"1", ` "a" `, "[[]]", "{}", "null"} {
		if err := CheckValue([]byte(ok), Limits{}); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "1 1", "1e999", `{"a":1,"\u0061":1}`, `"\ud800"`, "nul"} {
		if CheckValue([]byte(bad), Limits{}) == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if CheckValue([]byte("[[1]]"), Limits{MaxDepth: 1}) == nil || CheckValue([]byte("[1]"), Limits{MaxDepth: 1}) != nil {
		t.Error("depth limit is not kept")
	}
}

func TestIDKey(t *testing.T) {
	key := func(id string) string {
		m, err := Parse([]byte(`{"jsonrpc":"2.0","id":`+id+`,"result":{}}`), Limits{})
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		return m.IDKey()
	}
	for _, same := range [][2]string{{`"a"`, `"\u0061"`}, {`"/"`, `"\/"`}, {"1", "1"}, {`"😀"`, `"\ud83d\ude00"`}} {
		if key(same[0]) != key(same[1]) {
			t.Errorf("%s and %s have different keys", same[0], same[1])
		}
	}
	for _, other := range [][2]string{{`1`, `"1"`}, {`"a"`, `"A"`}, {"9007199254740993", "9007199254740992"}, {`""`, "0"}, {`"1"`, `"\"1"`}} {
		if key(other[0]) == key(other[1]) {
			t.Errorf("%s and %s have the same key", other[0], other[1])
		}
	}
	m, err := Parse([]byte(`{"jsonrpc":"2.0","method":"n"}`), Limits{})
	if err != nil || m.IDKey() != "" {
		t.Errorf("a notification has the key %q, error %v", m.IDKey(), err)
	}
}

// Reasons go to logs and to the other side: they must not repeat what came.
func TestReasonsQuoteNothing(t *testing.T) {
	const secret = "hunter2"
	for _, raw := range []string{
		secret, `{"` + secret + `":1,"` + secret + `":2}`, `{"jsonrpc":"` + secret + `"}`, with(`"` + secret + `\x"`), with(`"` + secret + "\xff\""),
		`{"jsonrpc":"2.0","id":["` + secret + `"],"method":"m"}`, `{"jsonrpc":"2.0","id":1,"method":"m","` + secret + `":1,"` + strings.ToUpper(secret) + `":2}`,
		`{"jsonrpc":"2.0","id":1,"error":"` + secret + `"}`,
	} {
		_, err := Parse([]byte(raw), Limits{})
		if err == nil || strings.Contains(strings.ToLower(err.Error()), secret) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestKindString(t *testing.T) {
	got := fmt.Sprint(Kind(0), Request, Notification, Result, Failure, Kind(200))
	if want := "invalid request notification result error error"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
