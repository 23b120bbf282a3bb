package proxy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
)

// openConfig allows everything.
func openConfig(t testing.TB) *config.Config {
	all := config.Patterns{Default: "allow"}
	return &config.Config{Version: 1, Tools: config.Tools{Patterns: all}, Resources: all, Prompts: all, Approvals: config.Approvals{Timeout: deadline},
		State: config.State{Path: t.TempDir()}}
}

func TestInject(t *testing.T) {
	const key = "correct-horse-battery-staple"
	path, set := secretFile(t, key)
	server := childServer("child", "the-password-of-the-child")
	server.Arguments.Open = true // what is hidden stays out of reach even then
	server.Inject = []config.Injection{{Argument: "account", Text: "12345678"}, {Argument: "api_key", Text: "${file:" + path + "}"},
		{Tool: "sear?h", Argument: "api_key", Text: "matches no tool"}}
	cfg := openConfig(t)
	cfg.Servers = []config.Server{server}
	cfg.Rules = []config.Rule{
		{Name: "sees it", Tools: []string{"child.search"}, When: `"api_key" in args or "account" in args or len(args) != 1`, Then: "deny"},
		{Name: "asks", Tools: []string{"child.search"}, When: `args.q == "ask"`, Then: "ask"},
	}
	records := filepath.Join(t.TempDir(), "audit.jsonl")
	log, err := audit.Open(audit.Options{Path: records})
	if err != nil {
		t.Fatal(err)
	}
	r := relayWith(t, cfg, log, vault.Options{Poll: testPoll}, zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.ErrorLevel))
	c := newClient(t, r).legacy(everyCap)

	pid := pidOf.FindString(c.until("who", `{}`, "pid"))
	list := c.send(`{"jsonrpc":"2.0","id":"list","method":"tools/list"}`)
	mustContain(t, list, `"required":["q"]`)
	mustLack(t, list, "api_key", "account")

	mustContain(t, c.callTool("search", `{"q":"cats"}`), "searched cats with "+fingerprint(key)+" for account float64 1.2345678e+07.")
	for _, name := range []string{"api_key", "API_KEY", `api\u005fkey`, `api_\u212aey`, "Account"} {
		got := c.callTool("search", `{"q":"cats","`+name+`":"mine"}`)
		mustContain(t, got, `"rule":"schema"`, "declares no argument")
	}
	mustContain(t, c.callTool("search", `{"q":"leak"}`), "The key is [redacted:file]")
	mustContain(t, c.callTool("search", `{}`), `"rule":"schema"`, "lacks")

	// The person who is asked is not shown it either.
	final := c.start(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"search","arguments":{"q":"ask"}}}`)
	question := c.await("elicitation/create")
	mustContain(t, question, `{\"q\":\"ask\"}`)
	mustLack(t, question, key, "api_key", "redacted")
	c.send(`{"jsonrpc":"2.0","id":` + string(jsonrpc.Get([]byte(question), "id")) + `,"result":{"action":"accept","content":{}}}`)
	mustContain(t, c.wait(final), "searched ask with "+fingerprint(key))

	// It changes without a new process.
	const other = "another-horse-battery-staple"
	set(other)
	c.until("search", `{"q":"cats"}`, fingerprint(other))
	if now := pidOf.FindString(c.callTool("who", `{}`)); now != pid {
		t.Errorf("the server was started anew: %s, before %s", now, pid)
	}

	var warned []string
	for _, p := range c.s.Findings() {
		warned = append(warned, p.Message)
	}
	mustContain(t, strings.Join(warned, "\n"), "no tool that it is for declares the argument api_key")

	text, err := os.ReadFile(records)
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, string(text), `"q":"cats"`)
	mustLack(t, string(text), key, other, "12345678")
}

func TestInjectIntoNarrowed(t *testing.T) {
	const key = "correct-horse-battery-staple"
	path, _ := secretFile(t, key)
	c := newClient(t, testRelay(t, func(cfg *config.Config) {
		server := childServer("child", "the-password-of-the-child")
		server.Inject = []config.Injection{{Argument: "api_key", Text: "${file:" + path + "}"}}
		cfg.Servers = append(cfg.Servers, server)
		cfg.Tools.Narrow = []config.Narrow{
			{Name: "find_cats", From: "child.search", Description: "Finds cats.", Args: map[string]string{"q": `input.kind`},
				Input: []config.Input{{Name: "kind", Schema: []byte(`{"type":"string"}`)}}, Required: []string{"kind"}},
		}
	})).legacy(`{}`)
	mustContain(t, c.until("find_cats", `{"kind":"big"}`, "searched"), "searched big with "+fingerprint(key))
	mustContain(t, c.callTool("find_cats", `{"kind":"big","api_key":"mine"}`), `"rule":"schema"`)
	mustContain(t, c.callTool("search", `{"q":"x"}`), "Unknown tool")
}

// TestNarrowingCannotInject holds that a narrowing that computes an argument which the
// firewall adds is no tool.
func TestNarrowingCannotInject(t *testing.T) {
	c := newClient(t, testRelay(t, func(cfg *config.Config) {
		server := childServer("child", "the-password-of-the-child")
		server.Inject = []config.Injection{{Argument: "api_key", Text: "the-key-of-the-firewall"}}
		cfg.Servers = append(cfg.Servers, server)
		cfg.Tools.Narrow = []config.Narrow{{Name: "mine", From: "child.search", Description: "x", Args: map[string]string{"q": `"cats"`, "api_key": `"mine"`}}}
	})).legacy(`{}`)
	c.until("who", `{}`, "pid")
	mustLack(t, c.callTool("mine", `{}`), "searched")
}

// schemaServer has one tool with the schema, which answers with the arguments that it got.
func schemaServer(t *testing.T, modern bool, input string) *fakeServer {
	f := newFake(t, "one", modern)
	f.answers["tools/list"] = `{"tools":[{"name":"tool","inputSchema":` + input + `}]}`
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		args := jsonrpc.Get(m.At(m.Params), "arguments")
		result := string(jsonrpc.AppendQuote([]byte(`{"content":[{"type":"text","text":`), "got "+string(args))) + `}]`
		if modern {
			result += `,"resultType":"complete"`
		}
		c.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":` + result + `}}`)
		return true
	}
	return f
}

func TestInjectAndSchemas(t *testing.T) {
	tests := map[string]struct {
		input  string
		inject []config.Injection
		args   string
		want   string   // of the answer
		shown  []string // of the tool's definition
		hidden []string
	}{
		"nothing left": {
			input: `{"type":"object","properties":{"key":{"type":"string"}},"required":["key"],"additionalProperties":false}`,
			args:  `{}`, want: `got {\"key\":\"value\"}`, shown: []string{`"properties":{}`, `"required":[]`}, hidden: []string{`"key"`},
		},
		"not declared": {
			input: `{"type":"object","properties":{"q":{"type":"string"}}}`,
			args:  `{"q":"x"}`, want: `got {\"q\":\"x\"}`,
		},
		"not at the top": {
			input: `{"type":"object","properties":{"in":{"type":"object","properties":{"key":{"type":"string"}}}}}`,
			args:  `{"in":{"key":"mine"}}`, want: `got {\"in\":{\"key\":\"mine\"}}`, shown: []string{`"key"`},
		},
		"optional of pydantic": {
			input: `{"type":"object","properties":{"key":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}}}`,
			args:  `{}`, want: `got {\"key\":\"value\"}`,
		},
		"number": {
			input:  `{"type":"object","properties":{"key":{"type":"integer"}}}`,
			inject: []config.Injection{{Argument: "key", Text: "90071992547409931"}},
			args:   `{}`, want: `got {\"key\":90071992547409931}`,
		},
		"no number": {
			input: `{"type":"object","properties":{"key":{"type":"integer"}}}`,
			args:  `{}`, want: `the firewall's log says what it is`,
		},
		"boolean": {
			input:  `{"type":"object","properties":{"key":{"type":["boolean","null"]}}}`,
			inject: []config.Injection{{Argument: "key", Text: "true"}},
			args:   `{}`, want: `got {\"key\":true}`,
		},
		"object": {
			input: `{"type":"object","properties":{"key":{"type":"object"}}}`,
			args:  `{}`, want: `Unknown tool`,
		},
		"does not fit": {
			input: `{"type":"object","properties":{"key":{"type":"string","minLength":50}}}`,
			args:  `{}`, want: `the firewall's log says what it is`,
		},
		"says what it has to be": {
			input: `{"type":"object","properties":{"key":{"const":"K-expected"}}}`,
			args:  `{}`, want: `the firewall's log says what it is`, hidden: []string{"K-expected"},
		},
		"all of, not at the top": {
			input: `{"type":"object","properties":{"q":{"type":"string"}},"allOf":[{"properties":{"key":{"type":"string"}},"required":["key"]}]}`,
			args:  `{}`, want: `Unknown tool`,
		},
		"referred to": {
			input: `{"type":"object","$ref":"#/$defs/a~1b","$defs":{"a/b":{"properties":{"key":{"type":"string"}}}}}`,
			args:  `{}`, want: `Unknown tool`,
		},
		"referred to, and at the top": {
			input: `{"type":"object","properties":{"key":{"type":"string"}},"anyOf":[{"$ref":"#/$defs/In"},{}],"$defs":{"In":{"properties":{"key":{"type":"string"}}}}}`,
			args:  `{}`, want: `Unknown tool`,
		},
		"referred to by an anchor": {
			input: `{"type":"object","$ref":"#in","$defs":{"In":{"$anchor":"in","properties":{"key":{"type":"string"}}}}}`,
			args:  `{}`, want: `Unknown tool`,
		},
		"by a pattern": {
			input: `{"type":"object","patternProperties":{"^K":{"type":"string"}}}`,
			args:  `{}`, want: `Unknown tool`,
		},
		"by a condition": {
			input: `{"type":"object","properties":{"q":{}},"dependentSchemas":{"q":{"if":{},"then":{"oneOf":[{"properties":{"key":{}}}]}}}}`,
			args:  `{}`, want: `Unknown tool`,
		},
		"another is referred to": {
			input: `{"type":"object","properties":{"key":{"type":"string"},"in":{"$ref":"#/$defs/In"}},"$defs":{"In":{"properties":{"key":{"type":"string"}}}}}`,
			args:  `{"in":{"key":"mine"}}`, want: `got {\"in\":{\"key\":\"mine\"},\"key\":\"value\"}`,
		},
		"open and not declared": {
			input: `{"type":"object","additionalProperties":true}`,
			args:  `{"Key":"mine"}`, want: `declares no argument`,
		},
		"twin but for case": {
			input: `{"type":"object","properties":{"key":{"type":"string"},"KEY":{"type":"string"}}}`,
			args:  `{}`, want: `Unknown tool`,
		},
		"one of": {
			input: `{"type":"object","properties":{"key":{"type":"string"},"q":{"type":"string"}},"oneOf":[{"required":["key"]},{"required":["q"]}]}`,
			args:  `{}`, want: `got {\"key\":\"value\"}`, hidden: []string{"oneOf"},
		},
		"one of, against the agent": {
			input: `{"type":"object","properties":{"key":{"type":"string"},"q":{"type":"string"}},"oneOf":[{"required":["key"]},{"required":["q"]}]}`,
			args:  `{"q":"x"}`, want: `more than one of the alternatives`,
		},
		"not": {
			input: `{"type":"object","properties":{"key":{"type":"string"},"q":{"type":"string"}},"not":{"required":["k\u0065y","q"]}}`,
			args:  `{"q":"x"}`, want: `"rule":"schema"`, hidden: []string{`"not":`},
		},
		"all of": {
			input: `{"type":"object","properties":{"key":{"type":"string"}},"allOf":[{"required":["key"]},{"properties":{"key":{"minLength":2}}}]}`,
			args:  `{}`, want: `got {\"key\":\"value\"}`, hidden: []string{`"key"`},
		},
		"another alternative stays": {
			input: `{"type":"object","properties":{"key":{"type":"string"},"a":{},"b":{}},"anyOf":[{"required":["a"]},{"required":["b"]}]}`,
			args:  `{"a":1}`, want: `got {\"a\":1,\"key\":\"value\"}`, shown: []string{"anyOf"},
		},
		"count": {
			input: `{"type":"object","properties":{"key":{"type":"string"},"a":{}},"minProperties":2}`,
			args:  `{"a":1}`, want: `got {\"a\":1,\"key\":\"value\"}`,
		},
		"examples": {
			input: `{"type":"object","properties":{"key":{"type":"string"}},"examples":[{"key":"sk-example"}]}`,
			args:  `{}`, want: `got {\"key\":\"value\"}`, hidden: []string{"sk-example"},
		},
		"escapes": {
			input:  `{"type":"object","properties":{"key":{"type":"string"}}}`,
			inject: []config.Injection{{Argument: "key", Text: "va\"lue\\\n</script>\u2028{}"}},
			args:   `{}`, want: `got {`,
		},
		"tool's own wins": {
			input:  `{"type":"object","properties":{"key":{"type":"string"}}}`,
			inject: []config.Injection{{Tool: "tool's*", Argument: "key", Text: "for the tool"}, {Tool: "tool", Argument: "key", Text: "for another"}},
			args:   `{}`, want: `got {\"key\":\"for the tool\"}`,
		},
		"two patterns": {
			input:  `{"type":"object","properties":{"key":{"type":"string"}}}`,
			inject: []config.Injection{{Tool: "two_*", Argument: "key", Text: "one"}, {Tool: "*_patterns", Argument: "key", Text: "other"}},
			args:   `{}`, want: `Unknown tool`,
		},
	}
	// One server has a tool for each of them.
	var tools []string
	injections := []config.Injection{{Argument: "key", Text: "for all"}}
	for name, test := range tests {
		tool := strings.ReplaceAll(name, " ", "_")
		tools = append(tools, fmt.Sprintf(`{"name":%q,"inputSchema":%s}`, tool, test.input))
		if test.inject == nil {
			test.inject = []config.Injection{{Argument: "key", Text: "value"}}
		}
		for _, in := range test.inject {
			if in.Tool == "" {
				in.Tool = tool
			}
			injections = append(injections, in)
		}
	}
	f := schemaServer(t, false, `{}`)
	f.answers["tools/list"] = `{"tools":[` + strings.Join(tools, ",") + `]}`
	c := newClient(t, testRelay(t, func(cfg *config.Config) { cfg.Servers[0].Inject = injections }, f)).legacy(`{}`)
	list := c.send(`{"jsonrpc":"2.0","id":"list","method":"tools/list"}`)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tool := strings.ReplaceAll(name, " ", "_")
			mustContain(t, c.callTool(tool, test.args), test.want)
			shown := ""
			for el := range jsonrpc.Elements([]byte(list), jsonrpc.Find([]byte(list), jsonrpc.Span{End: len(list)}, "result", "tools")) {
				if raw := list[el.Start:el.End]; strings.Contains(raw, `"name":"`+tool+`"`) {
					shown = raw
				}
			}
			mustContain(t, shown, test.shown...)
			mustLack(t, shown, test.hidden...)
		})
	}
}

// TestInjectedIsNoHeader holds that an injected argument is left out of Mcp-Param headers,
// though the server's schema says that it is to be one.
func TestInjectedIsNoHeader(t *testing.T) {
	f := schemaServer(t, true, `{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"key":{"type":"string","x-mcp-header":"Key"}}}`)
	r := testRelay(t, func(cfg *config.Config) {
		cfg.Servers[0].Inject = []config.Injection{{Argument: "key", Text: "value-of-the-key"}}
	}, f)
	c := newClient(t, r)
	mustContain(t, c.modern("tools/call", `"name":"tool","arguments":{"region":"eu"}`), `"text":"got {\"region\":\"eu\",\"key\":\"value-of-the-key\"}"`)
	tool := c.s.fleet.view().tools["tool"]
	if got := fmt.Sprint(c.s.HeaderParams("tool")); got != "[{Region [region]}]" {
		t.Errorf("the client is to send the headers %s", got)
	}
	l := &link{http: true, modern: true}
	h := l.headers("tools/call", []byte(`{"params":{"name":"tool","arguments":{"region":"eu","key":"value-of-the-key"}}}`), tool.headers)
	if h.Get("Mcp-Param-Region") != "eu" || strings.Contains(fmt.Sprint(h), "value-of-the-key") {
		t.Errorf("headers %v", h)
	}
}

// TestInjectedValueIsFreshWhileAsking approves a call over a change of the value: what is
// sent is what is valid then.
func TestInjectedValueIsFreshWhileAsking(t *testing.T) {
	path, set := secretFile(t, "value-number-one")
	f := schemaServer(t, false, `{"type":"object","properties":{"key":{"type":"string"}}}`)
	var sent []string
	inner := f.handle
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method == "tools/call" {
			sent = append(sent, string(m.At(m.Params)))
		}
		return inner(c, m)
	}
	r := testRelay(t, func(cfg *config.Config) {
		cfg.Tools.Default = "ask"
		cfg.Servers[0].Inject = []config.Injection{{Argument: "key", Text: "${file:" + path + "}"}}
	}, f)
	c := newClient(t, r).legacy(everyCap)
	final := c.start(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"tool","arguments":{}}}`)
	question := c.await("elicitation/create")
	set("value-number-two")
	l := c.s.fleet.links()[0]
	for end := time.Now().Add(deadline); l.keys.Load().inject[0] != "value-number-two" && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	c.send(`{"jsonrpc":"2.0","id":` + string(jsonrpc.Get([]byte(question), "id")) + `,"result":{"action":"accept","content":{}}}`)
	mustContain(t, c.wait(final), `[redacted:file]`)
	if len(sent) != 1 || !strings.Contains(sent[0], "value-number-two") {
		t.Errorf("sent %q", sent)
	}
}
