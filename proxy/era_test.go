package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
)

const ask = `{"method":"elicitation/create","params":{"message":"Which colour?","requestedSchema":{"type":"object","properties":{"colour":{"type":"string"}}}}}`

// modernAsker answers the first tools/call with input_required and the retry with what it
// was told.
func modernAsker(f *fakeServer) {
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		id, params := string(m.At(m.ID)), m.At(m.Params)
		state, _ := jsonrpc.GetString(params, "requestState")
		colour, _ := jsonrpc.GetString(params, "inputResponses", "q", "content", "colour")
		switch {
		case state == "":
			c.Send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"resultType":"input_required","inputRequests":{"q":` + ask + `},"requestState":"server's own"}}`)
		case state == "server's own":
			c.Send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"resultType":"complete","content":[{"type":"text","text":"painted ` + colour + `"}]}}`)
		default:
			c.Send(`{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32602,"message":"foreign state"}}`)
		}
		return true
	}
}

// legacyAsker asks in the middle of a call.
func legacyAsker(f *fakeServer) {
	waiting := map[string]string{}
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		switch {
		case m.Method == "tools/call":
			waiting[`"ask"`] = string(m.At(m.ID))
			c.Send(`{"jsonrpc":"2.0","id":"ask",` + ask[1:])
			return true
		case m.Kind == jsonrpc.Result:
			colour, _ := jsonrpc.GetString(m.At(m.Result), "content", "colour")
			c.Send(`{"jsonrpc":"2.0","id":` + waiting[string(m.At(m.ID))] + `,"result":{"content":[{"type":"text","text":"painted ` + colour + `"}]}}`)
			return true
		}
		return false
	}
}

func TestLegacyClientOnModernServer(t *testing.T) {
	f := newFake(t, "one", true)
	modernAsker(f)
	c := newClient(t, testRelay(t, nil, f)).legacy(everyCap)
	final := c.start(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo","_meta":{"progressToken":"p"}}}`)
	question := c.await("elicitation/create")
	mustContain(t, question, "Server one asks: Which colour?", `"colour"`)
	m, _ := jsonrpc.Parse([]byte(question), jsonrpc.Limits{})
	c.send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"action":"accept","content":{"colour":"blue"}}}`)
	got := c.wait(final)
	mustContain(t, got, `"id":5`, "painted blue")
	mustLack(t, got, "resultType", "cacheScope")
	sent := f.await(t, `"tools/call"`)
	mustContain(t, sent, `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`, `"io.modelcontextprotocol/clientCapabilities":{"elicitation"`)
}

func TestModernClientOnModernServer(t *testing.T) {
	f := newFake(t, "one", true)
	modernAsker(f)
	c := newClient(t, testRelay(t, nil, f))
	got := c.modern("tools/call", `"name":"echo","arguments":{"text":1}`)
	mustContain(t, got, `"resultType":"input_required"`, "Server one asks: Which colour?")
	mustLack(t, got, "server's own")
	state := stateOf(t, got)
	answer := `,"inputResponses":{"q":{"action":"accept","content":{"colour":"red"}}},"requestState":"` + state + `"`

	for name, params := range map[string]string{
		"other arguments":       `"name":"echo","arguments":{"text":2}` + answer,
		"same value, new bytes": `"name":"echo","arguments":{"text": 1}` + answer,
		"unasked question":      `"name":"echo","arguments":{"text":1},"inputResponses":{"x":{"action":"accept"}},"requestState":"` + state + `"`,
		"answers without state": `"name":"echo","arguments":{"text":1},"inputResponses":{"q":{}}`,
		"made-up state":         `"name":"echo","arguments":{"text":1},"requestState":"c2VydmVy"`,
	} {
		if name == "unasked question" {
			continue // it spends the state: below
		}
		mustContain(t, c.modern("tools/call", params), `"code":-32602`)
	}
	mustContain(t, c.modern("tools/call", `"name":"echo","arguments":{"text":1}`+answer), "painted red")
	mustContain(t, c.modern("tools/call", `"name":"echo","arguments":{"text":1}`+answer), "used before")

	state = stateOf(t, c.modern("tools/call", `"name":"echo"`))
	mustContain(t, c.modern("tools/call", `"name":"echo","inputResponses":{"x":{"action":"accept"}},"requestState":"`+state+`"`), "not outstanding")
}

func stateOf(t *testing.T, response string) string {
	t.Helper()
	state, ok := jsonrpc.GetString([]byte(response), "result", "requestState")
	if !ok {
		t.Fatalf("no requestState in %s", response)
	}
	return state
}

func TestModernClientOnLegacyServer(t *testing.T) {
	f := newFake(t, "one", false)
	f.caps = `{"tools":{},"resources":{"subscribe":true},"logging":{}}`
	f.answers["resources/list"] = `{"resources":[{"uri":"x://1","name":"r"}]}`
	f.answers["resources/templates/list"] = `{"resourceTemplates":[]}`
	f.answers["resources/read"] = `{"contents":[]}`
	legacyAsker(f)
	c := newClient(t, testRelay(t, nil, f))
	mustContain(t, c.modern("tools/list", ""), `"resultType":"complete"`, `"ttlMs":0`, `"cacheScope":"private"`, echoTool)
	mustContain(t, c.modern("server/discover", ""), `"supportedVersions":["2026-07-28"`, `"tools":{"listChanged":true}`, `"subscribe":true`)
	mustContain(t, c.modern("resources/read", `"uri":"x://1"`), `"resultType":"complete"`, `"ttlMs":0`, `"cacheScope":"private"`, `"contents":[]`)

	got := c.modern("tools/call", `"name":"echo"`)
	mustContain(t, got, `"resultType":"input_required"`, "Server one asks: Which colour?")
	var key string
	requests := jsonrpc.Get([]byte(got), "result", "inputRequests")
	for name := range jsonrpc.Members(requests, jsonrpc.Span{End: len(requests)}) {
		key = jsonrpc.String(requests[name.Start:name.End])
	}
	// An answer that leaves the question out is asked again.
	got = c.modern("tools/call", `"name":"echo","inputResponses":{},"requestState":"`+stateOf(t, got)+`"`)
	mustContain(t, got, `"resultType":"input_required"`, key)
	got = c.modern("tools/call", `"name":"echo","inputResponses":{"`+key+`":{"action":"accept","content":{"colour":"green"}}},"requestState":"`+stateOf(t, got)+`"`)
	mustContain(t, got, "painted green", `"resultType":"complete"`)
	sent := f.await(t, `"tools/call"`)
	mustLack(t, sent, "io.modelcontextprotocol/")
}

func TestLegacyClientOnLegacyServer(t *testing.T) {
	f := newFake(t, "one", false)
	legacyAsker(f)
	c := newClient(t, testRelay(t, nil, f)).legacy(everyCap)
	final := c.start(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo"}}`)
	question := c.await("elicitation/create")
	m, _ := jsonrpc.Parse([]byte(question), jsonrpc.Limits{})
	c.send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"action":"accept","content":{"colour":"blue"}}}`)
	mustContain(t, c.wait(final), "painted blue")
	// The same answer once more answers nothing.
	c.send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"action":"accept","content":{"colour":"black"}}}`)
}

// TestSilentServer: one that never answers server/discover is taken for legacy.
func TestSilentServer(t *testing.T) {
	f := newFake(t, "one", false)
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool { return m.Method == "server/discover" }
	f.answers["tools/call"] = `{"content":[{"type":"text","text":"heard"}]}`
	c := newClient(t, testRelay(t, nil, f)).legacy(`{}`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo"}}`), "heard")
}

// TestSlowModernServer: one that answers server/discover after the firewall has given up
// on it is modern all the same.
func TestSlowModernServer(t *testing.T) {
	f := newFake(t, "one", true)
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method == "server/discover" {
			id := string(m.At(m.ID))
			time.AfterFunc(probeTime+200*time.Millisecond, func() {
				c.Send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":` + f.caps + `,"ttlMs":0,"cacheScope":"public"}}`)
			})
			return true
		}
		return m.Method == "initialize" // never answered
	}
	f.answers["tools/call"] = `{"resultType":"complete","content":[{"type":"text","text":"late"}]}`
	c := newClient(t, testRelay(t, nil, f))
	mustContain(t, c.modern("tools/call", `"name":"echo"`), "late")
}

// TestOtherEra: a server that refuses the client's era is greeted in its own, and one that
// has both is greeted in the client's.
func TestOtherEra(t *testing.T) {
	f := newFake(t, "one", true)
	newClient(t, testRelay(t, nil, f)).legacy(`{}`).send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	mustContain(t, f.await(t, `"method"`), `"initialize"`)
	mustContain(t, f.await(t, `"method"`), `"server/discover"`)

	f = newFake(t, "one", false)
	newClient(t, testRelay(t, nil, f)).modern("tools/list", "")
	mustContain(t, f.await(t, `"method"`), `"server/discover"`)
	mustContain(t, f.await(t, `"method"`), `"initialize"`)

	f = newFake(t, "one", true)
	f.answers["initialize"] = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"both","version":"1"}}`
	newClient(t, testRelay(t, nil, f)).legacy(`{}`).send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	mustContain(t, f.await(t, `"method"`), `"initialize"`)
	mustContain(t, f.await(t, `"method"`), `"notifications/initialized"`)
}

func TestVersions(t *testing.T) {
	f := newFake(t, "one", true)
	c := newClient(t, testRelay(t, nil, f))
	got := c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"1900-01-01","io.modelcontextprotocol/clientCapabilities":{}}}}`)
	mustContain(t, got, `"code":-32022`, `"supported":["2026-07-28","2025-11-25"`, `"requested":"1900-01-01"`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`), "not initialized")
	mustContain(t, c.modern("resources/subscribe", `"uri":"x:"`), `"code":-32601`)
	mustContain(t, c.modern("no/such", ""), `"code":-32601`)
	mustContain(t, c.modern("initialize", `"protocolVersion":"2025-11-25","capabilities":{}`), `"code":-32601`)
	// The probe of a client that then falls back to initialize does no harm.
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":"server-discover-probe-1","method":"server/discover","params":{`+meta(`{}`)+`}}`), `"id":"server-discover-probe-1"`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`), `"protocolVersion":"2024-11-05"`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":3,"method":"tools/list"}`), echoTool)
}

func TestSubscriptions(t *testing.T) {
	for _, modernServer := range []bool{false, true} {
		f := newFake(t, "one", modernServer)
		f.caps = `{"resources":{"subscribe":true,"listChanged":true}}`
		f.answers["resources/list"] = `{"resources":[{"uri":"x://1","name":"r"}]}`
		f.answers["resources/templates/list"] = `{"resourceTemplates":[]}`
		if !modernServer {
			f.answers["resources/subscribe"], f.answers["resources/unsubscribe"] = `{}`, `{}`
		}
		r := testRelay(t, nil, f)
		c := newClient(t, r).legacy(`{}`)
		mustContain(t, c.send(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"x://1"}}`), `"result":{}`)
		want := `"resources/subscribe"`
		if modernServer {
			want = `"resourceSubscriptions":["x://1"]`
		}
		f.await(t, want)
		server := <-f.conns
		server.Send(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x://other"}}`,
			`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x://1","_meta":{"io.modelcontextprotocol/subscriptionId":9}}}`)
		got := c.await("resources/updated")
		mustContain(t, got, `"x://1"`)
		mustLack(t, got, "subscriptionId")

		m := newClient(t, r)
		final := m.start(`{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{"notifications":{"resourcesListChanged":true,"toolsListChanged":true,"resourceSubscriptions":["x://1"]},` + meta(`{}`) + `}}`)
		ack := m.await("acknowledged")
		mustContain(t, ack, `"io.modelcontextprotocol/subscriptionId":"sub"`, `"resourcesListChanged":true`)
		f.await(t, want)
		server = <-f.conns
		server.Send(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x://1"}}`)
		mustContain(t, m.await("resources/updated"), `"io.modelcontextprotocol/subscriptionId":"sub"`)
		server.Send(`{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`)
		mustContain(t, m.await("list_changed"), `"io.modelcontextprotocol/subscriptionId":"sub"`)
		m.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"sub"}}`)
		select {
		case got := <-final:
			t.Errorf("a cancelled stream was answered: %s", got)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestAskAPerson(t *testing.T) {
	gate := func(cfg *config.Config) {
		cfg.Tools.Patterns = config.Patterns{Default: "allow", Ask: []string{"one.echo"}}
	}
	f := newFake(t, "one", false)
	f.answers["tools/call"] = `{"content":[{"type":"text","text":"done"}]}`
	r := testRelay(t, gate, f)

	t.Run("legacy", func(t *testing.T) {
		c := newClient(t, r).legacy(`{"elicitation":{}}`)
		for action, want := range map[string]string{"accept": "done", "decline": "did not approve", "cancel": "did not approve"} {
			final := c.start(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo","arguments":{"text":"to \u202e Bob"}}}`)
			question := c.await("elicitation/create")
			mustContain(t, question, "one", "echo", `to \\u202e Bob`)
			m, _ := jsonrpc.Parse([]byte(question), jsonrpc.Limits{})
			c.send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"action":"` + action + `"}}`)
			got := c.wait(final)
			mustContain(t, got, want)
			if action != "accept" {
				mustContain(t, got, `"isError":true`, `"mcpfirewall/decision":{"action":"ask"`)
			}
		}
	})
	t.Run("legacy without elicitation", func(t *testing.T) {
		c := newClient(t, r).legacy(`{}`)
		mustContain(t, c.send(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo"}}`), "cannot ask its user", `"action":"ask"`)
	})
	t.Run("modern", func(t *testing.T) {
		c := newClient(t, r)
		call := `"name":"echo","arguments":{"text":"hi"}`
		got := c.modern("tools/call", call)
		mustContain(t, got, `"input_required"`, approvalKey)
		yes := `,"inputResponses":{"` + approvalKey + `":{"action":"accept"}},"requestState":"` + stateOf(t, got) + `"`
		mustContain(t, c.modern("tools/call", `"name":"echo","arguments":{"text":"bye"}`+yes), `"code":-32602`)
		mustContain(t, c.modern("tools/call", call+yes), "done")
		mustContain(t, c.modern("tools/call", call+yes), "used before")
		got = c.modern("tools/call", call)
		mustContain(t, c.modern("tools/call", call+`,"inputResponses":{"`+approvalKey+`":{"action":"decline"}},"requestState":"`+stateOf(t, got)+`"`), "did not approve")
	})
}

func TestRules(t *testing.T) {
	f := newFake(t, "one", false)
	f.answers["tools/call"] = `{"content":[]}`
	c := newClient(t, testRelay(t, func(cfg *config.Config) {
		cfg.Rules = []config.Rule{{Name: "no secrets", Tools: []string{"one.*"}, When: `args.text contains "secret"`, Then: "deny", Message: "Not that."}}
	}, f)).legacy(`{}`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a secret"}}}`),
		`"isError":true`, "Not that.", `"mcpfirewall/decision":{"action":"deny","rule":"no secrets","record":"`)
	mustLack(t, c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a word"}}}`), "isError", "mcpfirewall")
}

func TestServerAsksWhatItMayNot(t *testing.T) {
	for name, c := range map[string]struct{ request, want string }{
		"sampling is denied": {`{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}`, "sampling"},
		"a password":         {`{"method":"elicitation/create","params":{"message":"Please log in","requestedSchema":{"type":"object","properties":{"x":{"type":"string","title":"Your password"}}}}}`, "credential"},
		"a plain http URL":   {`{"method":"elicitation/create","params":{"mode":"url","message":"Go","url":"http://example.com","elicitationId":"1"}}`, "https"},
		"a strange host":     {`{"method":"elicitation/create","params":{"mode":"url","message":"Go","url":"https://example.com","elicitationId":"1"}}`, "host"},
		"an unknown method":  {`{"method":"no/such","params":{}}`, "Method not found"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "one", false)
			f.handle = func(s *fakeConn, m *jsonrpc.Message) bool {
				if m.Method == "tools/call" {
					s.Send(`{"jsonrpc":"2.0","id":"ask",`+c.request[1:], `{"jsonrpc":"2.0","id":`+string(m.At(m.ID))+`,"result":{"content":[]}}`)
					return true
				}
				return m.Kind != jsonrpc.Request
			}
			client := newClient(t, testRelay(t, func(cfg *config.Config) { cfg.Servers[0].Sampling = false }, f)).legacy(everyCap)
			client.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}`)
			mustContain(t, f.await(t, `"id":"ask"`), `"error"`, c.want)
			select {
			case m := <-client.msgs:
				t.Errorf("the client was sent %s", m)
			default:
			}
		})
	}
}

func TestProgressAndCancel(t *testing.T) {
	f := newFake(t, "one", false)
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method == "tools/call" {
			token := string(jsonrpc.Get(m.At(m.Params), "_meta", "progressToken"))
			c.Send(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":` + token + `,"message":"half"}}`)
			return true
		}
		return false
	}
	r := testRelay(t, nil, f)
	c := newClient(t, r).legacy(`{}`)
	other := newClient(t, r).legacy(`{}`)
	final := c.start(`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"echo","_meta":{"progressToken":"tok\u00e9n"}}}`)
	mustContain(t, c.await("progress"), `"progressToken":"tok\u00e9n"`, "half")
	c.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x","reason":"enough"}}`)
	sent := f.await(t, "notifications/cancelled")
	mustContain(t, sent, `"reason":"enough"`)
	mustLack(t, sent, `"x"`)
	select {
	case got := <-final:
		t.Errorf("a cancelled request was answered: %s", got)
	case <-time.After(50 * time.Millisecond):
	}
	select {
	case m := <-other.msgs:
		t.Errorf("another session was sent %s", m)
	default:
	}
}

func TestRestart(t *testing.T) {
	f := newFake(t, "one", false)
	f.answers["tools/call"] = `{"content":[{"type":"text","text":"again"}]}`
	c := newClient(t, testRelay(t, nil, f)).legacy(`{}`)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	(<-f.conns).Close()
	c.await("tools/list_changed") // it is up again
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo"}}`), "again")
}

func TestListChanged(t *testing.T) {
	f := newFake(t, "one", false)
	c := newClient(t, testRelay(t, nil, f)).legacy(`{}`)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	f.answers["tools/list"] = `{"tools":[` + strings.Replace(echoTool, "echo", "fresh", 1) + `]}`
	(<-f.conns).Send(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	c.await("list_changed")
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`), `"name":"fresh"`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"echo"}}`), "Unknown tool")
}

func TestPages(t *testing.T) {
	f := newFake(t, "one", false)
	var page1, page2 []string
	for i := range 900 {
		page1 = append(page1, strings.Replace(echoTool, "echo", "a"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26), 1))
		page2 = append(page2, strings.Replace(echoTool, "echo", "b"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26), 1))
	}
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "tools/list" {
			return false
		}
		if cursor, ok := jsonrpc.GetString(m.At(m.Params), "cursor"); ok && cursor == "" {
			c.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"tools":[` + strings.Join(page2, ",") + `]}}`)
		} else {
			c.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"tools":[` + strings.Join(page1, ",") + `],"nextCursor":""}}`)
		}
		return true
	}
	r := testRelay(t, nil, f)
	c := newClient(t, r).legacy(`{}`)
	first := c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	cursor, ok := jsonrpc.GetString([]byte(first), "result", "nextCursor")
	if !ok || strings.Count(first, `"name"`) != pageItems {
		t.Fatalf("first page has %d tools, cursor %q", strings.Count(first, `"name"`), cursor)
	}
	second := c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"` + cursor + `"}}`)
	if n := strings.Count(second, `"name"`); n != 800 {
		t.Errorf("second page has %d tools, want 800", n)
	}
	other := newClient(t, r).legacy(`{}`)
	mustContain(t, other.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"`+cursor+`"}}`), "Invalid cursor")
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":1,"method":"prompts/list","params":{"cursor":"`+cursor+`"}}`), "Invalid cursor")
}

// TestLogLevelOfRequests holds that a legacy server logs what a modern client's requests ask
// for, and that each gets no more than it asked for.
func TestLogLevelOfRequests(t *testing.T) {
	f := newFake(t, "one", false)
	f.caps = `{"tools":{},"logging":{}}`
	f.answers["logging/setLevel"] = `{}`
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		for _, level := range []string{"debug", "warning", "error"} {
			c.Send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"` + level + `","data":"x"}}`)
		}
		c.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"content":[]}}`)
		return true
	}
	c := newClient(t, testRelay(t, nil, f))
	call := func(level string) {
		t.Helper()
		mustContain(t, c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo",`+meta(everyCap, `"`+metaLogLevel+`":"`+level+`"`)+`}}`), `"content"`)
	}
	for _, step := range []struct{ level, told, got string }{
		{"warning", "warning", "warning error"}, {"debug", "debug", "debug warning error"}, {"error", "", "error"}, {"loud", "", ""},
	} {
		call(step.level)
		var told, got []string
		for len(f.seen) > 0 {
			if line := <-f.seen; strings.Contains(line, "logging/setLevel") {
				level, _ := jsonrpc.GetString([]byte(line), "params", "level")
				told = append(told, level)
			}
		}
		for len(c.msgs) > 0 {
			level, _ := jsonrpc.GetString([]byte(<-c.msgs), "params", "level")
			got = append(got, level)
		}
		if strings.Join(told, " ") != step.told || strings.Join(got, " ") != step.got {
			t.Errorf("%s: the server was told %q, the client got %q", step.level, told, got)
		}
	}
}

// TestRefusedSubscription: a resource that its server refused to watch is not watched, and
// there is an end to those that are.
func TestRefusedSubscription(t *testing.T) {
	f := newFake(t, "one", false)
	f.caps = `{"resources":{"subscribe":true}}`
	f.answers["resources/list"] = `{"resources":[{"uri":"x://1","name":"r"}]}`
	f.answers["resources/templates/list"] = `{"resourceTemplates":[{"uriTemplate":"y://{n}","name":"t"}]}`
	f.answers["resources/unsubscribe"] = `{}`
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if uri, _ := jsonrpc.GetString(m.At(m.Params), "uri"); m.Method == "resources/subscribe" && uri != "x://1" {
			c.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{}}`)
			return true
		}
		return false
	}
	c := newClient(t, testRelay(t, nil, f)).legacy(`{}`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"x://1"}}`), `"error"`)
	if l := c.s.fleet.links()[0]; len(l.wanted()) != 0 {
		t.Errorf("watched: %v", l.wanted())
	}
	for i := range maxWatched {
		if got := c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"resources/subscribe","params":{"uri":"y://%d"}}`, i, i)); !strings.Contains(got, `"result"`) {
			t.Fatal(got)
		}
	}
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":"over","method":"resources/subscribe","params":{"uri":"y://more"}}`), "unsubscribe from some")
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":"same","method":"resources/subscribe","params":{"uri":"y://1"}}`), `"result"`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":"less","method":"resources/unsubscribe","params":{"uri":"y://1"}}`), `"result"`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":"room","method":"resources/subscribe","params":{"uri":"y://more"}}`), `"result"`)
}

// TestTasksOfSeveralServers: a legacy client is told what the servers together can do of
// tasks, in the specification's words and no others.
func TestTasksOfSeveralServers(t *testing.T) {
	a, b, c := newFake(t, "a", false), newFake(t, "b", false), newFake(t, "c", false)
	a.caps = `{"tools":{},"tasks":{"list":{"x":1},"more":{"evil":1}}}`
	b.caps = `{"tools":{},"tasks":{"cancel":{},"requests":{"tools":{"call":{}},"no/such":{}}}}`
	client := newClient(t, testRelay(t, nil, a, b, c))
	client.s.fleet.introduce()
	for _, conn := range client.s.fleet.all() {
		<-conn.settled()
	}
	got := client.send(`{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`)
	mustContain(t, got, `"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}`)
}

// TestSlowServerDelaysNobody has one server that is up and one that does not answer yet.
func TestSlowServerDelaysNobody(t *testing.T) {
	quick, slow := newFake(t, "quick", false), newFake(t, "slow", false)
	slow.handle = func(c *fakeConn, m *jsonrpc.Message) bool { return m.Method == "initialize" } // swallowed
	c := newClient(t, testRelay(t, nil, quick, slow)).legacy(`{}`)
	began := time.Now()
	for i, method := range []string{"tools/list", "tools/list", "resources/list", "resources/templates/list", "prompts/list"} {
		got := c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q}`, i, method))
		if method == "tools/list" {
			mustContain(t, got, `"name":"quick__echo"`)
		}
	}
	if took := time.Since(began); took > listGrace+500*time.Millisecond {
		t.Errorf("the lists took %v together", took)
	}
	c.s.fleet.born = began.Add(-listGrace)
	began = time.Now()
	c.send(`{"jsonrpc":"2.0","id":"again","method":"tools/list"}`)
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("a list took %v after the grace", took)
	}
	conn := <-slow.conns
	m, err := jsonrpc.Parse([]byte(slow.await(t, `"initialize"`)), jsonrpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	conn.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"slow","version":"1"}}}`)
	c.await("tools/list_changed")
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":"last","method":"tools/list"}`), `"name":"quick__echo"`, `"name":"slow__echo"`)
}

// What a server says to the greeting of its own era must not be hidden by what it says to the other.
func TestBothGreetingsRefused(t *testing.T) {
	f := newFake(t, "one", false)
	f.answers["initialize"] = `{"jsonrpc":"2.0","id":$ID,"error":{"code":-32603,"message":"the database is locked"}}`
	var log lockedBuffer
	r := relayWith(t, testConfig(t, nil, f), audit.Discard(), vault.Options{Poll: testPoll}, zerolog.New(&log))
	newClient(t, r).legacy(`{}`)
	waitFor(t, "the reason in the log", func() bool {
		return strings.Contains(log.String(), "the database is locked") && strings.Contains(log.String(), "server/discover")
	})
}
