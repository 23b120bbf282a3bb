package proxy

import (
	"os"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/redact"
)

// TestUnknownMethods holds that methods which the configuration names pass in each direction
// that can be judged, redacted and recorded.
func TestUnknownMethods(t *testing.T) {
	f := newFake(t, "one", false)
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "custom/search" {
			return false
		}
		c.Send(`{"jsonrpc":"2.0","method":"custom/news","params":{"key":"`+aKey+`"}}`,
			`{"jsonrpc":"2.0","id":"q","method":"custom/ask","params":{}}`,
			`{"jsonrpc":"2.0","id":`+string(m.At(m.ID))+`,"result":{"found":1}}`)
		return true
	}
	r, path := redacting(t, redact.Options{Secrets: redact.Mask, Arguments: []redact.ArgumentOptions{{Tools: []string{"one.custom/*"}, Secrets: redact.Deny}}},
		func(cfg *config.Config) { cfg.Methods.Allow = []string{"custom/search", "custom/news", "custom/ask"} }, nil, f)
	c := newClient(t, r).legacy(everyCap)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":1,"method":"custom/search","params":{"q":"x"}}`), `"found":1`)
	news := c.await("custom/news")
	mustLack(t, news, aKey)
	mustContain(t, f.await(t, `"id":"q"`), `-32601`)
	mustBeRecorded(t, c.send(`{"jsonrpc":"2.0","id":2,"method":"custom/search","params":{"q":"`+aKey+`"}}`), path, redactRule)

	c.send(`{"jsonrpc":"2.0","method":"custom/news","params":{"q":"` + aKey + `"}}`)
	c.send(`{"jsonrpc":"2.0","method":"custom/news","params":{"from":"client"}}`)
	mustContain(t, f.await(t, `"custom/news"`), `"from":"client"`)
	records, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, string(records), `"method":"custom/news"`, `"arguments":{"from":"client"}`, `"rule":"redact"`)
	mustLack(t, string(records), aKey)
}

// TestUnknownMethodAsks holds that such a request goes on with the server's own state.
func TestUnknownMethodAsks(t *testing.T) {
	f := newFake(t, "one", true)
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "custom/search" {
			return false
		}
		id := string(m.At(m.ID))
		if state, _ := jsonrpc.GetString(m.At(m.Params), "requestState"); state == "server's own" {
			colour, _ := jsonrpc.GetString(m.At(m.Params), "inputResponses", "q", "content", "colour")
			c.Send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"resultType":"complete","found":"` + colour + `"}}`)
		} else {
			c.Send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"resultType":"input_required","inputRequests":{"q":` + ask + `},"requestState":"server's own"}}`)
		}
		return true
	}
	c := newClient(t, testRelay(t, func(cfg *config.Config) { cfg.Methods.Allow = []string{"custom/search"} }, f))
	got := c.modern("custom/search", `"q":"x"`)
	mustLack(t, got, "server's own")
	answers := `,"inputResponses":{"q":{"action":"accept","content":{"colour":"red"}}},"requestState":"` + stateOf(t, got) + `"`
	mustContain(t, c.modern("custom/search", `"q":"y"`+answers), "requestState was refused")
	mustContain(t, c.modern("custom/search", `"q":"x"`+answers), `"found":"red"`)
}
