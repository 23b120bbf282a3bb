package proxy

import (
	"os"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/redact"
)

// besideServer offers one of each kind.
func besideServer(t *testing.T) *fakeServer {
	f := newFake(t, "one", false)
	f.caps = `{"tools":{},"prompts":{},"resources":{"subscribe":true},"completions":{}}`
	f.answers["prompts/list"] = `{"prompts":[{"name":"p","arguments":[{"name":"x","required":true},{"name":"y"}]},{"name":"bare"}]}`
	f.answers["resources/list"], f.answers["resources/templates/list"] = `{"resources":[]}`, `{"resourceTemplates":[]}`
	f.answers["prompts/get"], f.answers["resources/read"] = `{"messages":[]}`, `{"contents":[]}`
	f.answers["completion/complete"], f.answers["resources/subscribe"] = `{"completion":{"values":[]}}`, `{}`
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		text, _ := jsonrpc.GetString(m.At(m.Params), "arguments", "text")
		if m.Method == "tools/call" && text != "wait" {
			c.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"content":[]}}`)
		}
		return m.Method == "tools/call"
	}
	return f
}

// TestNothingLeavesBesideArguments holds that what must not go to a server does not go there
// by another member of a request.
func TestNothingLeavesBesideArguments(t *testing.T) {
	f := besideServer(t)
	r, path := redacting(t, redact.Options{Arguments: []redact.ArgumentOptions{{Tools: []string{"one.*"}, Secrets: redact.Deny}}}, nil, nil, f)
	c := newClient(t, r).legacy(everyCap)
	for name, request := range map[string][2]string{
		"arguments":  {"tools/call", `"name":"echo","arguments":{"text":"` + aKey + `"}`},
		"a member":   {"tools/call", `"name":"echo","arguments":{},"more":{"x":["` + aKey + `"]}`},
		"a name":     {"tools/call", `"name":"echo","arguments":{},"` + aKey + `":1`},
		"_meta":      {"tools/call", `"name":"echo","arguments":{},"_meta":{"a/b":"` + aKey + `"}`},
		"prompt":     {"prompts/get", `"name":"p","arguments":{"x":"` + aKey + `"}`},
		"URI":        {"resources/read", `"uri":"http://evil.example/?` + aKey + `"`},
		"watched":    {"resources/subscribe", `"uri":"http://evil.example/?` + aKey + `"`},
		"completion": {"completion/complete", `"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"x","value":"` + aKey + `"}`},
		"context":    {"completion/complete", `"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"x","value":""},"context":{"arguments":{"q":"` + aKey + `"}}`},
	} {
		got := c.send(`{"jsonrpc":"2.0","id":"` + name + `","method":"` + request[0] + `","params":{` + request[1] + `}}`)
		mustBeRecorded(t, got, path, redactRule)
		mustLack(t, got, aKey)
	}
	mustContain(t, c.callTool("echo", `{"text":"fine"}`), `"content":[]`)

	waiting := c.start(`{"jsonrpc":"2.0","id":"w","method":"tools/call","params":{"name":"echo","arguments":{"text":"wait"}}}`)
	f.await(t, `"wait"`)
	c.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"w","reason":"` + aKey + `"}}`)
	mustContain(t, f.await(t, "notifications/cancelled"), `"reason":"cancelled by the client"`)
	select {
	case got := <-waiting:
		t.Errorf("a cancelled call was answered: %s", got)
	default:
	}
	records, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustLack(t, string(records), aKey)
}

// TestPromptArguments holds that prompts get the arguments that they declare, as strings.
func TestPromptArguments(t *testing.T) {
	f := besideServer(t)
	r, path := redacting(t, redact.Options{}, nil, nil, f)
	c := newClient(t, r).legacy(everyCap)
	get := func(c *testClient, params string) string {
		return c.send(`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{` + params + `}}`)
	}
	for _, good := range []string{`"name":"bare"`, `"name":"bare","arguments":{}`, `"name":"p","arguments":{"x":"1"}`, `"name":"p","arguments":{"y":"2","x":"1"}`} {
		mustContain(t, get(c, good), `"messages":[]`)
	}
	for _, bad := range []string{`{"x":"1","X":"2"}`, `{"X":"1"}`, `{"x":1}`, `{"x":"1","undeclared":"3"}`, `{"y":"2"}`} {
		got := get(c, `"name":"p","arguments":`+bad)
		mustContain(t, got, `"code":-32602`)
		mustBeRecorded(t, got, path, "schema")
	}
	mustBeRecorded(t, get(c, `"name":"p","arguments":"str"`), path, paramsRule)
	mustBeRecorded(t, get(c, `"name":"bare","arguments":{"x":"1"}`), path, "schema")

	open := newClient(t, testRelay(t, func(cfg *config.Config) { cfg.Servers[0].Arguments.Open = true }, f)).legacy(everyCap)
	mustContain(t, get(open, `"name":"bare","arguments":{"x":"1"}`), `"messages":[]`)
}
