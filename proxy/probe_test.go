package proxy

import (
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// probed is a client that asked for the modern era, which started its servers, and then goes
// on in the legacy one.
func probed(t *testing.T, f *fakeServer) *testClient {
	c := newClient(t, testRelay(t, nil, f))
	c.modern("server/discover", "")
	f.await(t, `"tools/list"`)
	mustContain(t, c.modern("tools/list", ""), `"echo"`)
	return c
}

// TestProbeThenInitialize holds that a server which is up stays so: it was told of all that
// the client can do, and of more.
func TestProbeThenInitialize(t *testing.T) {
	f := newFake(t, "fake", false)
	f.answers["tools/call"] = `{"content":[{"type":"text","text":"ok"}]}`
	c := probed(t, f).legacy(`{"elicitation":{},"roots":{"listChanged":true}}`)
	for range 3 {
		mustContain(t, c.callTool("echo", `{}`), `"text":"ok"`)
	}
	if n := len(f.conns); n != 1 {
		t.Errorf("the server was started %d times", n)
	}
}

// TestProbeThenMore holds that a server which was told too little is started anew beside
// itself, with no call lost.
func TestProbeThenMore(t *testing.T) {
	f := newFake(t, "fake", false)
	held := make(chan func(), 1)
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		answer := func() {
			c.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"content":[{"type":"text","text":"ok"}]}}`)
		}
		if strings.Contains(string(m.Raw), "wait") {
			held <- answer
		} else {
			answer()
		}
		return true
	}
	c := probed(t, f)
	first := <-f.conns
	waiting := c.start(`{"jsonrpc":"2.0","id":"w","method":"tools/call","params":{"name":"echo","arguments":{"text":"wait"},` + meta(everyCap) + `}}`)
	release := <-held
	c.legacy(`{"elicitation":{},"tasks":{"requests":{"elicitation":{"create":{}}}}}`)
	mustContain(t, c.callTool("echo", `{}`), `"text":"ok"`)
	mustContain(t, f.await(t, `"tasks":{"requests"`), `"initialize"`)
	release()
	mustContain(t, c.wait(waiting), `"text":"ok"`)
	mustContain(t, c.callTool("echo", `{}`), `"text":"ok"`)
	awaitClosed(t, first)
}
