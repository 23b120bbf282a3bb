package schema

import (
	"fmt"
	"strings"
	"testing"
)

func TestHeaderParams(t *testing.T) {
	for _, c := range []struct{ schema, want string }{
		{`{"type":"object"}`, "[]"},
		{``, "[]"},
		{`{"properties":{"region":{"type":"string","x-mcp-header":"Region"},"query":{"type":"string"}}}`, "[{Region [region]}]"},
		{`{"properties":{"b":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}},"a":{"type":["boolean","null"],"x-mcp-header":"A"}}}`, "[{A [a]} {N [b n]}]"},
		{`{"properties":{"a":{"type":"string","\u0078-mcp-header":"A"}}}`, "[{A [a]}]"},
		{`{"properties":{"x-mcp-header":{"type":"string"}}}`, "[]"},
		{`{"properties":{"a":{"type":"object","default":{"x-mcp-header":"A"},"enum":[{"x-mcp-header":"A"}]}}}`, "[]"},
		{`{"properties":{"a":{"type":"string","x-mcp-header":""}}}`, "not empty"},
		{`{"properties":{"a":{"type":"string","x-mcp-header":5}}}`, "not empty"},
		{`{"properties":{"a":{"type":"string","x-mcp-header":"A B"}}}`, "not a header name"},
		{`{"properties":{"a":{"type":"string","x-mcp-header":"A\r\nB"}}}`, "not a header name"},
		{`{"properties":{"a":{"type":"string","x-mcp-header":"Ä"}}}`, "not a header name"},
		{`{"properties":{"a":{"type":"string","x-mcp-header":"A:"}}}`, "not a header name"},
		{`{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}`, "second time"},
		{`{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}`, "whose type"},
		{`{"properties":{"a":{"type":["string","number"],"x-mcp-header":"A"}}}`, "whose type"},
		{`{"properties":{"a":{"type":"null","x-mcp-header":"A"}}}`, "whose type"},
		{`{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}`, "whose type"},
		{`{"properties":{"a":{"x-mcp-header":"A"}}}`, "whose type"},
		{`{"type":"string","x-mcp-header":"A"}`, "properties alone"},
		{`{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}`, "properties alone"},
		{`{"oneOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}`, "properties alone"},
		{`{"if":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}`, "properties alone"},
		{`{"$defs":{"a":{"type":"string","x-mcp-header":"A"}},"properties":{"a":{"$ref":"#/$defs/a"}}}`, "properties alone"},
		{`{"patternProperties":{"a":{"type":"string","x-mcp-header":"A"}}}`, "properties alone"},
		{`{"additionalProperties":{"type":"string","x-mcp-header":"A"}}`, "properties alone"},
		{`{"x-mcp-header":`, "not valid JSON"},
	} {
		params, err := HeaderParams([]byte(c.schema))
		got := fmt.Sprint(params)
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %s, want %s", c.schema, got, c.want)
		}
	}
}

func TestHeaderValue(t *testing.T) {
	for _, c := range []struct{ json, header, text string }{
		{`"us-west1"`, "us-west1", "us-west1"},
		{`"Hello, 世界"`, "=?base64?SGVsbG8sIOS4lueVjA==?=", "Hello, 世界"},
		{`" padded "`, "=?base64?IHBhZGRlZCA=?=", " padded "},
		{`"line1\nline2"`, "=?base64?bGluZTEKbGluZTI=?=", "line1\nline2"},
		{`"=?base64?literal?="`, "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", "=?base64?literal?="},
		{`"=?base64?="`, "=?base64?PT9iYXNlNjQ/PQ==?=", "=?base64?="},
		{`"=?BASE64?x?="`, "=?BASE64?x?=", "=?BASE64?x?="},
		{`"a\tb c"`, "a\tb c", "a\tb c"},
		{`"\ta"`, "=?base64?CWE=?=", "\ta"},
		{`"\u0000"`, "=?base64?AA==?=", "\x00"},
		{`"\u007f"`, "=?base64?fw==?=", "\x7f"},
		{`""`, "", ""},
		{`true`, "true", "true"},
		{` false `, "false", "false"},
		{`42`, "42", "42"},
		{`-7`, "-7", "-7"},
		{`42.0`, "42", "42"},
		{`1e2`, "100", "100"},
		{`-0`, "0", "0"},
		{`9007199254740991`, "9007199254740991", "9007199254740991"},
	} {
		got, err := HeaderValue([]byte(c.json))
		if err != nil || got != c.header {
			t.Errorf("%s: %q %v, want %q", c.json, got, err, c.header)
		}
		text, err := DecodeHeaderValue(got)
		if err != nil || text != c.text {
			t.Errorf("%s decoded: %q %v, want %q", c.json, text, err, c.text)
		}
		if !HeaderMatches(got, []byte(c.json)) {
			t.Errorf("%s does not match its own header", c.json)
		}
	}
	for _, bad := range []string{`null`, `1.5`, `9007199254740992`, `-9007199254740992`, `1e400`, `1e99999999999`, `[]`, `{}`, `"a" "b"`, ``, `tru`} {
		if got, err := HeaderValue([]byte(bad)); err == nil {
			t.Errorf("%s: %q", bad, got)
		}
	}
	for _, bad := range []string{"a\nb", "ä", "=?base64?=", "=?base64?@@@?=", "=?base64?YQ?=", "=?base64?/w==?=", "\x00"} {
		if got, err := DecodeHeaderValue(bad); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
	for _, c := range []struct {
		header, json string
		want         bool
	}{
		{"42.0", `42`, true}, {"42", `42.0`, true}, {"43", `42`, false}, {"84/2", `42`, false}, {"0x2a", `42`, false},
		{"42", `"42"`, true}, {"42.0", `"42"`, false}, {"true", `true`, true}, {"True", `true`, false}, {"null", `null`, false},
		{"YQ==", `"a"`, false}, {"=?base64?YQ==?=", `"a"`, true}, {"", `42`, false},
	} {
		if got := HeaderMatches(c.header, []byte(c.json)); got != c.want {
			t.Errorf("%q against %s: %v", c.header, c.json, got)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add("us-west1")
	f.Add("=?base64?YQ==?=")
	f.Add(" ä\n")
	f.Fuzz(func(t *testing.T, s string) {
		if text, err := DecodeHeaderValue(s); err == nil && !isPlain(s) {
			t.Errorf("%q decodes to %q", s, text)
		}
		quoted := quoteJSON(s)
		header, err := HeaderValue(quoted)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if !isPlain(header) || header != strings.TrimSpace(header) {
			t.Errorf("%q gives the header %q", s, header)
		}
		if text, err := DecodeHeaderValue(header); err != nil || text != strings.ToValidUTF8(s, "\uFFFD") {
			t.Errorf("%q comes back as %q, %v", s, text, err)
		}
		HeaderParams([]byte(s))
		HeaderValue([]byte(s))
		HeaderMatches(s, quoted)
	})
}
