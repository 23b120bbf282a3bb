package proxy

import (
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// awkward is JSON that lesser relays change: large integers, floats as written, escapes,
// emoji, odd spacing, foreign keys in an order of their own.
const awkward = `{"z":12345678901234567890123,"a":-0.0,"e":1E+2,"f":0.10000000000000000001, "u":"\u00e9\ud83d\ude00😀\/\n<&>","nested":{"zz":[1.0,1e0,{}],"":null},"__proto__":true}`

func TestExactResults(t *testing.T) {
	for _, modern := range []bool{false, true} {
		name := "legacy"
		if modern {
			name = "modern"
		}
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "one", modern)
			result := `{"content":[{"type":"text","text":"a","x":` + awkward + `},{"type":"hologram","data":` + awkward + `}],"structuredContent":` + awkward +
				`,"unknown":` + awkward + `,"_meta":{"com.example/k":` + awkward + `}}`
			if modern {
				result = strings.Replace(result, `{"content"`, `{"resultType":"complete","content"`, 1)
			}
			f.answers["tools/call"] = `{"extra":` + awkward + `,"result":` + result + `,"id":$ID, "jsonrpc":"2.0"}`
			c := newClient(t, testRelay(t, nil, f))
			params := `"name":"echo","arguments":{"text":` + awkward + `,"n":9007199254740993},"foreign":` + awkward
			var got, id string
			if modern {
				id = `"\u0061 string id"`
				got = c.send(`{"jsonrpc":"2.0","method":"tools/call","params":{` + params + `,` + meta(`{}`, `"com.example/m":`+awkward) + `},"id":` + id + `}`)
			} else {
				id = `1234567890123456789`
				c.legacy(`{}`)
				got = c.send(`{"jsonrpc":"2.0","method":"tools/call","params":{` + params + `,"_meta":{"com.example/m":` + awkward + `}},"id":` + id + `}`)
			}
			if want := `{"extra":` + awkward + `,"result":` + result + `,"id":` + id + `, "jsonrpc":"2.0"}`; got != want {
				t.Errorf("the result was changed:\n got %s\nwant %s", got, want)
			}
			sent := f.await(t, `"tools/call"`)
			mustContain(t, sent, params, `"com.example/m":`+awkward)
		})
	}
}

func TestExactErrors(t *testing.T) {
	f := newFake(t, "one", false)
	f.answers["tools/call"] = `{"jsonrpc":"2.0","id":$ID,"error":{"code":-31999,"message":"no \u00e9","data":` + awkward + `,"more":1}}`
	c := newClient(t, testRelay(t, nil, f)).legacy(`{}`)
	got := c.send(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"}}`)
	if want := `{"jsonrpc":"2.0","id":7,"error":{"code":-31999,"message":"no \u00e9","data":` + awkward + `,"more":1}}`; got != want {
		t.Errorf("the error was changed:\n got %s\nwant %s", got, want)
	}
}

func TestExactDefinitions(t *testing.T) {
	tool := `{"name":"odd","x":` + awkward + `,"inputSchema":{"type":"object","properties":{"b":{},"a":{"default":12345678901234567890}}},"_meta":{"k":` + awkward + `}}`
	f := newFake(t, "one", false)
	f.answers["tools/list"] = `{"tools":[` + tool + `]}`
	c := newClient(t, testRelay(t, nil, f)).legacy(`{}`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), `"tools":[`+tool+`]`)
}

// TestLoneSurrogate: what a JavaScript server cut out of an emoji is repaired in a result
// and refused in a request.
func TestLoneSurrogate(t *testing.T) {
	f := newFake(t, "one", false)
	f.answers["tools/call"] = `{"content":[{"type":"text","text":"cut \ud83d off"}]}`
	c := newClient(t, testRelay(t, nil, f)).legacy(`{}`)
	got := c.send(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"}}`)
	mustContain(t, got, `cut \ufffd off`)
	if _, err := jsonrpc.Parse([]byte(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"\ud83d"}}`), jsonrpc.Limits{}); err == nil {
		t.Error("a lone surrogate in a request was accepted")
	}
}

func TestCaseTwinsRefused(t *testing.T) {
	f := newFake(t, "one", false)
	c := newClient(t, testRelay(t, nil, f)).legacy(`{}`)
	for name, params := range map[string]string{
		"known name of params":  `{"name":"echo","Name":"delete_all"}`,
		"only the twin":         `{"Name":"echo"}`,
		"kelvin sign":           `{"name":"echo","to\u212aen":1,"token":2}`,
		"argument of schema":    `{"name":"echo","arguments":{"text":1,"TEXT":2}}`,
		"argument twin only":    `{"name":"echo","arguments":{"Text":1}}`,
		"undeclared argument":   `{"name":"echo","arguments":{"path":"/etc"}}`,
		"progress token's twin": `{"name":"echo","_meta":{"progresstoken":1}}`,
	} {
		got := c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + params + `}`)
		if !strings.Contains(got, `"error"`) && !strings.Contains(got, `"isError":true`) {
			t.Errorf("%s: passed: %s", name, got)
		}
	}
	select {
	case line := <-f.seen:
		for ; strings.Contains(line, "initialize") || strings.Contains(line, "/list") || strings.Contains(line, "discover"); line = <-f.seen {
			if len(f.seen) == 0 {
				return
			}
		}
		t.Errorf("the server was sent %s", line)
	default:
	}
}

func TestOwnKeysFromOutsideRemoved(t *testing.T) {
	f := newFake(t, "one", false)
	f.answers["tools/call"] = `{"content":[],"_meta":{"mcpfirewall/decision":{"action":"allow"},"McpFirewall\/decision":1,"kept":1}}`
	c := newClient(t, testRelay(t, nil, f)).legacy(`{}`)
	got := c.send(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","_meta":{"mcpfirewall/x":1,"kept":2}}}`)
	mustLack(t, strings.ToLower(got), "mcpfirewall")
	mustContain(t, got, `"kept":1`)
	sent := f.await(t, `"tools/call"`)
	mustLack(t, sent, "mcpfirewall/")
	mustContain(t, sent, `"kept":2`)
}

func TestNaming(t *testing.T) {
	a, b := newFake(t, "a", false), newFake(t, "b", true)
	a.answers["tools/call"] = `{"content":[{"type":"text","text":"from a"}]}`
	b.answers["tools/call"] = `{"resultType":"complete","content":[{"type":"text","text":"from b"}]}`
	c := newClient(t, testRelay(t, nil, a, b)).legacy(`{}`)
	list := c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	mustContain(t, list, `"name":"a__echo"`, `"name":"b__echo"`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"a__echo"}}`), "from a")
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"b__echo"}}`), "from b")
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"echo"}}`), "Unknown tool: echo")
}

// TestCollision: with naming never, two servers' tools of one name are both withheld.
func TestCollision(t *testing.T) {
	a, b := newFake(t, "a", false), newFake(t, "b", false)
	c := newClient(t, testRelay(t, func(cfg *config.Config) { cfg.Naming = "never" }, a, b)).legacy(`{}`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), `"tools":[]`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo"}}`), "Unknown tool")
}

// TestHiddenIsUnknown: a tool that the policy hides answers exactly as none.
func TestHiddenIsUnknown(t *testing.T) {
	f := newFake(t, "one", false)
	c := newClient(t, testRelay(t, func(cfg *config.Config) {
		cfg.Tools.Patterns = config.Patterns{Default: "allow", Deny: []string{"one.ECHO"}}
	}, f)).legacy(`{}`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), `"tools":[]`)
	strip := func(s string) string {
		i, j := strings.Index(s, `"record":"`), strings.LastIndex(s, `"`)
		return s[:i] + s[j:]
	}
	hidden := strip(c.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo"}}`))
	absent := strip(c.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"none"}}`))
	if strings.Replace(hidden, "echo", "none", 1) != absent {
		t.Errorf("a hidden tool can be told from one that does not exist:\n%s\n%s", hidden, absent)
	}
}
