package downstream

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/schema"
)

func parse(t testing.TB, raw string) *jsonrpc.Message {
	t.Helper()
	m, err := jsonrpc.Parse([]byte(raw), jsonrpc.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return m
}

// headers builds a Header from "Name: value" lines.
func headers(lines ...string) http.Header {
	h := http.Header{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return h
}

func TestCheckStandard(t *testing.T) {
	tests := []struct {
		name, method, params string
		headers              []string
		bad                  string
	}{
		{"list", "tools/list", `{}`, []string{"mcp-method: tools/list"}, ""},
		{"no method", "tools/list", `{}`, nil, "missing"},
		{"other method", "tools/list", `{}`, []string{"Mcp-Method: tools/call"}, "does not match"},
		{"other case", "tools/list", `{}`, []string{"Mcp-Method: Tools/List"}, "does not match"},
		{"two methods", "tools/list", `{}`, []string{"Mcp-Method: tools/list", "Mcp-Method: tools/list"}, "2 Mcp-Method"},
		{"call", "tools/call", `{"name":"a"}`, []string{"Mcp-Method: tools/call", "Mcp-Name: a"}, ""},
		{"white space around", "tools/call", `{"name":"a"}`, []string{"Mcp-Method: tools/call", "Mcp-Name:   a \t"}, ""},
		{"escapes in the body", "tools/call", `{"name":"\u0061"}`, []string{"Mcp-Method: tools/call", "Mcp-Name: a"}, ""},
		{"call without name header", "tools/call", `{"name":"a"}`, []string{"Mcp-Method: tools/call"}, "missing"},
		{"call without names", "tools/call", `{}`, []string{"Mcp-Method: tools/call"}, ""},
		{"call without name", "tools/call", `{}`, []string{"Mcp-Method: tools/call", "Mcp-Name: a"}, "does not match"},
		{"other name", "tools/call", `{"name":"a"}`, []string{"Mcp-Method: tools/call", "Mcp-Name: b"}, "does not match"},
		{"two names", "tools/call", `{"name":"a"}`, []string{"Mcp-Method: tools/call", "Mcp-Name: a", "Mcp-Name: b"}, "2 Mcp-Name"},
		{"base64", "tools/call", `{"name":"Hello, 世界"}`, []string{"Mcp-Method: tools/call", "Mcp-Name: =?base64?SGVsbG8sIOS4lueVjA==?="}, ""},
		{"bad base64", "tools/call", `{"name":"Hello"}`, []string{"Mcp-Method: tools/call", "Mcp-Name: =?base64?SGVsbG8?="}, "malformed"},
		{"raw UTF-8", "tools/call", `{"name":"世界"}`, []string{"Mcp-Method: tools/call", "Mcp-Name: 世界"}, "invalid characters"},
		{"resource", "resources/read", `{"uri":"file:///a"}`, []string{"Mcp-Method: resources/read", "Mcp-Name: file:///a"}, ""},
		{"other resource", "resources/read", `{"uri":"file:///a","name":"x"}`, []string{"Mcp-Method: resources/read", "Mcp-Name: x"}, "does not match"},
		{"prompt", "prompts/get", `{"name":"p"}`, []string{"Mcp-Method: prompts/get", "Mcp-Name: q"}, "does not match"},
		{"task", "tasks/get", `{"taskId":"t"}`, []string{"Mcp-Method: tasks/get", "Mcp-Name: t"}, ""},
		{"other task", "tasks/get", `{"taskId":"t"}`, []string{"Mcp-Method: tasks/get", "Mcp-Name: u"}, "does not match"},
		{"task without header", "tasks/get", `{"taskId":"t"}`, []string{"Mcp-Method: tasks/get"}, ""},
		{"name where none belongs", "tools/list", `{}`, []string{"Mcp-Method: tools/list", "Mcp-Name: x"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, `{"jsonrpc":"2.0","id":1,"method":"`+tt.method+`","params":`+tt.params+`}`)
			err := checkStandard(headers(tt.headers...), m)
			if tt.bad == "" && err != nil || tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad)) {
				t.Errorf("got %v, want %q", err, tt.bad)
			}
		})
	}
}

func TestCheckParams(t *testing.T) {
	declared := []schema.HeaderParam{
		{Header: "Region", Path: []string{"region"}},
		{Header: "Count", Path: []string{"deep", "count"}},
		{Header: "dry_run", Path: []string{"dry"}},
	}
	tests := []struct {
		name, args string
		headers    []string
		bad        string
	}{
		{"nothing", `{}`, nil, ""},
		{"undeclared", `{}`, []string{"Mcp-Param-Other: x", "Mcp-Param-Other: y"}, ""},
		{"string", `{"region":"us-west1"}`, []string{"Mcp-Param-Region: us-west1"}, ""},
		{"other string", `{"region":"us-west1"}`, []string{"Mcp-Param-Region: us-west2"}, "does not match"},
		{"missing", `{"region":"us-west1"}`, nil, "missing"},
		{"empty string", `{"region":""}`, []string{"Mcp-Param-Region: "}, ""},
		{"empty string missing", `{"region":""}`, nil, "missing"},
		{"null", `{"region":null}`, nil, ""},
		{"null with header", `{"region":null}`, []string{"Mcp-Param-Region: null"}, "no counterpart"},
		{"absent with header", `{}`, []string{"Mcp-Param-Region: x"}, "no counterpart"},
		{"two", `{"region":"a"}`, []string{"Mcp-Param-Region: a", "Mcp-Param-Region: a"}, "2 Mcp-Param-Region"},
		{"base64", `{"region":" padded "}`, []string{"Mcp-Param-Region: =?base64?IHBhZGRlZCA=?="}, ""},
		{"base64 of another", `{"region":"padded"}`, []string{"Mcp-Param-Region: =?base64?IHBhZGRlZCA=?="}, "does not match"},
		{"bad base64", `{"region":"Hello"}`, []string{"Mcp-Param-Region: =?base64?SGVs!!!bG8=?="}, "malformed"},
		{"no prefix is literal", `{"region":"SGVsbG8="}`, []string{"Mcp-Param-Region: SGVsbG8="}, ""},
		{"no suffix is literal", `{"region":"=?base64?SGVsbG8="}`, []string{"Mcp-Param-Region: =?base64?SGVsbG8="}, ""},
		{"integer", `{"deep":{"count":42}}`, []string{"Mcp-Param-Count: 42"}, ""},
		{"integer as 42.0", `{"deep":{"count":42}}`, []string{"Mcp-Param-Count: 42.0"}, ""},
		{"integer above 2^53", `{"deep":{"count":9007199254740993}}`, []string{"Mcp-Param-Count: 9007199254740992"}, "does not match"},
		{"integer of huge exponent", `{"deep":{"count":1}}`, []string{"Mcp-Param-Count: 1e999999999"}, "does not match"},
		{"integer of a string", `{"deep":{"count":"42"}}`, []string{"Mcp-Param-Count: 42.0"}, "does not match"},
		{"nested missing", `{"deep":{"count":1}}`, nil, "missing"},
		{"not nested", `{"deep":3}`, nil, ""},
		{"boolean", `{"dry":true}`, []string{"Mcp-Param-dry_run: true"}, ""},
		{"boolean of other case", `{"dry":true}`, []string{"Mcp-Param-Dry_run: True"}, "does not match"},
		{"object", `{"region":{"a":1}}`, []string{"Mcp-Param-Region: {}"}, "does not match"},
		{"control character", `{"region":"a\u0001"}`, []string{"Mcp-Param-Region: a\x01"}, "invalid characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":`+tt.args+`}}`)
			err := checkParams(headers(tt.headers...), m, declared)
			if tt.bad == "" && err != nil || tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad)) {
				t.Errorf("got %v, want %q", err, tt.bad)
			}
		})
	}
}

func TestCheckVersion(t *testing.T) {
	meta := func(v string) string {
		return `{"_meta":{"io.modelcontextprotocol/protocolVersion":` + v + `,"io.modelcontextprotocol/clientCapabilities":{}}}`
	}
	const modern = "2026-07-28"
	tests := []struct {
		name, message string
		headers       []string
		version       string
		code          int
	}{
		{"modern", `"id":1,"method":"x","params":` + meta(`"2026-07-28"`), []string{"Mcp-Protocol-Version: 2026-07-28"}, modern, 0},
		{"modern, session ignored", `"id":1,"method":"x","params":` + meta(`"2026-07-28"`), []string{"Mcp-Protocol-Version: 2026-07-28", "Mcp-Session-Id: s"}, modern, 0},
		{"modern initialize", `"id":1,"method":"initialize","params":` + meta(`"2026-07-28"`), []string{"Mcp-Protocol-Version: 2026-07-28"}, modern, 0},
		{"no version header", `"id":1,"method":"x","params":` + meta(`"2026-07-28"`), nil, "", -32020},
		{"two version headers", `"id":1,"method":"x"`, []string{"Mcp-Protocol-Version: 2026-07-28", "Mcp-Protocol-Version: 2025-11-25"}, "", -32020},
		{"header and body differ", `"id":1,"method":"x","params":` + meta(`"v999"`), []string{"Mcp-Protocol-Version: 2026-07-28"}, "", -32020},
		{"both unknown", `"id":1,"method":"x","params":` + meta(`"v999"`), []string{"Mcp-Protocol-Version: v999"}, "", -32022},
		{"both legacy, in modern form", `"id":1,"method":"x","params":` + meta(`"2025-11-25"`), []string{"Mcp-Protocol-Version: 2025-11-25"}, "", -32022},
		{"only header, unknown", `"id":1,"method":"x"`, []string{"Mcp-Protocol-Version: 1999-01-01"}, "", -32022},
		{"only header, modern", `"id":1,"method":"x"`, []string{"Mcp-Protocol-Version: 2026-07-28"}, "", -32602},
		{"version not a string", `"id":1,"method":"x","params":` + meta(`5`), []string{"Mcp-Protocol-Version: 2026-07-28"}, "", -32602},
		{"no capabilities", `"id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`, []string{"Mcp-Protocol-Version: 2026-07-28"}, "", -32602},
		{"only Mcp-Method", `"id":1,"method":"x"`, []string{"Mcp-Method: x"}, "", -32020},
		{"modern response", `"id":1,"result":{}`, []string{"Mcp-Protocol-Version: 2026-07-28"}, "", -32600},
		{"modern notification", `"method":"x"`, []string{"Mcp-Protocol-Version: 2026-07-28"}, modern, 0},
		{"modern notification that differs", `"method":"x","params":` + meta(`"2025-11-25"`), []string{"Mcp-Protocol-Version: 2026-07-28"}, "", -32020},

		{"legacy", `"id":1,"method":"x"`, []string{"Mcp-Protocol-Version: 2025-06-18", "Mcp-Session-Id: s"}, "2025-06-18", 0},
		{"legacy without a version", `"id":1,"method":"x"`, []string{"Mcp-Session-Id: s"}, "", 0},
		{"legacy with Mcp-Method", `"id":1,"method":"x"`, []string{"Mcp-Session-Id: s", "Mcp-Method: x"}, "", 0},
		{"legacy of unknown version", `"id":1,"method":"x"`, []string{"Mcp-Session-Id: s", "Mcp-Protocol-Version: 1"}, "", -32022},
		{"initialize", `"id":1,"method":"initialize"`, nil, "", 0},
		{"initialize with Mcp-Method", `"id":1,"method":"initialize"`, []string{"Mcp-Method: initialize", "Mcp-Protocol-Version: 2025-11-25"}, "2025-11-25", 0},
		{"legacy response", `"id":1,"result":{}`, []string{"Mcp-Session-Id: s"}, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			version, f := checkVersion(headers(tt.headers...), parse(t, `{"jsonrpc":"2.0",`+tt.message+`}`))
			code := 0
			if f != nil {
				if code = f.code; f.status != http.StatusBadRequest {
					t.Errorf("status %d", f.status)
				}
			}
			if version != tt.version || code != tt.code {
				t.Errorf("got version %q and %d, want %q and %d", version, code, tt.version, tt.code)
			}
		})
	}
}

func TestAccepts(t *testing.T) {
	tests := []struct {
		accept []string
		want   acceptable
	}{
		{nil, acceptable{json: true, events: true}},
		{[]string{"*/*"}, acceptable{json: true, events: true}},
		{[]string{"text/*"}, acceptable{events: true}},
		{[]string{"*/*, text/event-stream"}, acceptable{true, true, true}},
		{[]string{"text/event-stream, */*;q=0.1"}, acceptable{true, true, true}},
		{[]string{"*/*", "text/event-stream;q=0"}, acceptable{json: true, events: true}},
		{[]string{"application/json, text/event-stream"}, acceptable{true, true, true}},
		{[]string{"application/json", "Text/Event-Stream;q=0.9"}, acceptable{true, true, true}},
		{[]string{"application/json"}, acceptable{json: true}},
		{[]string{"text/event-stream"}, acceptable{events: true, named: true}},
		{[]string{"application/json, text/event-stream; q=0"}, acceptable{json: true}},
		{[]string{"text/html"}, acceptable{}},
		{[]string{""}, acceptable{}},
	}
	for _, tt := range tests {
		if got := accepts(tt.accept); got != tt.want {
			t.Errorf("accepts(%q) = %v", tt.accept, got)
		}
	}
}
