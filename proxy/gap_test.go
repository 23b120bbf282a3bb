package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// Each test of this file is a way round the firewall that once was open.

func reload(t *testing.T, r *Relay, change func(*config.Config)) {
	t.Helper()
	cfg := *r.current.Load().cfg
	change(&cfg)
	if err := r.Reload(&cfg); err != nil {
		t.Fatal(err)
	}
}

func keyOf(t *testing.T, response string) string {
	t.Helper()
	requests := jsonrpc.Get([]byte(response), "result", "inputRequests")
	for name := range jsonrpc.Members(requests, jsonrpc.Span{End: len(requests)}) {
		return jsonrpc.String(requests[name.Start:name.End])
	}
	t.Fatalf("no inputRequests in %s", response)
	return ""
}

// TestParkedCallIsDecidedAnew: the client's answers reach the server only if the policy in
// force still lets the call pass, and what was refused does not linger.
func TestParkedCallIsDecidedAnew(t *testing.T) {
	f := newFake(t, "one", false)
	legacyAsker(f)
	r := testRelay(t, nil, f)
	c := newClient(t, r)
	got := c.modern("tools/call", `"name":"echo"`)
	retry := `"name":"echo","inputResponses":{"` + keyOf(t, got) + `":{"action":"accept","content":{"colour":"red"}}},"requestState":"` + stateOf(t, got) + `"`
	reload(t, r, func(cfg *config.Config) {
		cfg.Rules = []config.Rule{{Name: "no more", Tools: []string{"one.*"}, Then: "deny"}}
	})
	mustContain(t, c.modern("tools/call", retry), `"isError":true`, `"rule":"no more"`)
	sent := f.await(t, `"id":"ask"`)
	mustContain(t, sent, `"error"`)
	mustLack(t, sent, "accept")
	l := c.s.fleet.links()[0]
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls) != 0 {
		t.Errorf("%d calls linger", len(l.calls))
	}
}

// TestParkedCallIsMadeOnce: a retry that a rule now asks about does not make the call twice.
func TestParkedCallIsMadeOnce(t *testing.T) {
	f := newFake(t, "one", false)
	legacyAsker(f)
	c := newClient(t, testRelay(t, func(cfg *config.Config) {
		cfg.Rules = []config.Rule{{Name: "not the first", Tools: []string{"one.*"}, When: "session.calls > 0", Then: "ask"}}
	}, f))
	got := c.modern("tools/call", `"name":"echo"`)
	got = c.modern("tools/call", `"name":"echo","inputResponses":{"`+keyOf(t, got)+`":{"action":"accept","content":{"colour":"red"}}},"requestState":"`+stateOf(t, got)+`"`)
	mustContain(t, got, approvalKey)
	got = c.modern("tools/call", `"name":"echo","inputResponses":{"`+approvalKey+`":{"action":"accept"}},"requestState":"`+stateOf(t, got)+`"`)
	mustContain(t, got, "painted red")
	calls := 0
	for len(f.seen) > 0 {
		if strings.Contains(<-f.seen, `"tools/call"`) {
			calls++
		}
	}
	if calls != 1 {
		t.Errorf("the server was called %d times", calls)
	}
	if n := c.s.calls.Load(); n != 1 {
		t.Errorf("session.calls is %d, want 1", n)
	}
}

// TestApprovalIsDecidedAnew: what changed while a person thought about a call counts.
func TestApprovalIsDecidedAnew(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *Relay, *fakeServer, *testClient){
		"policy": func(t *testing.T, r *Relay, _ *fakeServer, _ *testClient) {
			reload(t, r, func(cfg *config.Config) { cfg.Tools.Deny = []string{"*.echo"} })
		},
		"definition": func(t *testing.T, _ *Relay, f *fakeServer, c *testClient) {
			f.answers["tools/list"] = `{"tools":[` + strings.Replace(echoTool, "Echoes.", "Deletes.", 1) + `]}`
			(<-f.conns).Send(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
			c.await("list_changed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "one", false)
			f.answers["tools/call"] = `{"content":[{"type":"text","text":"done"}]}`
			r := testRelay(t, func(cfg *config.Config) { cfg.Tools.Ask = []string{"one.echo"} }, f)
			c := newClient(t, r).legacy(`{"elicitation":{}}`)
			final := c.start(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo"}}`)
			m, _ := jsonrpc.Parse([]byte(c.await("elicitation/create")), jsonrpc.Limits{})
			change(t, r, f, c)
			c.send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"action":"accept"}}`)
			mustContain(t, c.wait(final), `"isError":true`, "changed")
			for len(f.seen) > 0 {
				mustLack(t, <-f.seen, `"tools/call"`)
			}
		})
	}
}

// TestSharedServerMixesNobodyUp: what a shared server asks after its call was cancelled goes
// to no other session.
func TestSharedServerMixesNobodyUp(t *testing.T) {
	f := newFake(t, "one", false)
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool { return m.Method == "tools/call" }
	r := testRelay(t, func(cfg *config.Config) { cfg.Servers[0].Shared = true }, f)
	alice, bob := newClient(t, r).legacy(everyCap), newClient(t, r).legacy(everyCap)
	alice.start(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"echo"}}`)
	f.await(t, `"tools/call"`)
	alice.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}`)
	f.await(t, "notifications/cancelled")
	bob.start(`{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"echo"}}`)
	f.await(t, `"tools/call"`)
	(<-f.conns).Send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"alice's secret"}}`, `{"jsonrpc":"2.0","id":"ask",`+ask[1:])
	mustContain(t, f.await(t, `"id":"ask"`), "cannot tell which call")
	if len(bob.msgs) > 0 {
		t.Errorf("the other session was sent %s", <-bob.msgs)
	}
}

// TestListsWithARestlessServer: one that changes its lists without end holds nobody up.
func TestListsWithARestlessServer(t *testing.T) {
	f, calm := newFake(t, "restless", false), newFake(t, "calm", false)
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method == "tools/list" {
			c.Send(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		}
		return false
	}
	c := newClient(t, testRelay(t, nil, f, calm)).legacy(`{}`)
	c.s.settle(t.Context(), deadline)
	for i := range 3 {
		mustContain(t, c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/list"}`, i)), "calm__echo")
	}
	f.listen.Close()
}

func TestDeviousURIs(t *testing.T) {
	f := newFake(t, "fs", false)
	f.caps = `{"resources":{}}`
	f.answers["resources/list"], f.answers["resources/templates/list"] = `{"resources":[]}`, `{"resourceTemplates":[{"uriTemplate":"db://{table}","name":"t"}]}`
	f.answers["resources/read"] = `{"contents":[]}`
	c := newClient(t, testRelay(t, func(cfg *config.Config) { cfg.Resources.Deny = []string{"fs.file:///etc/*", "fs.db://{table}"} }, f)).legacy(`{}`)
	read := func(uri string) string {
		return c.send(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":` + string(jsonrpc.Quote(uri)) + `}}`)
	}
	for _, uri := range []string{"file:///etc/passwd", "file:///ETC/passwd", "FILE:///etc/passwd", "file:///%65tc/passwd", "file:////etc/passwd", "file://localhost/etc/passwd",
		"file:/etc/passwd", "file:///x/../etc/passwd", "file:///x/..?a", "file:///x/%2e%2e/etc/passwd", "file:///x//etc/passwd", `file:///\etc/passwd`,
		"file:///etc%2fpasswd", "file:///x/\u200b/etc", "file:///x/%", "file:///x/..", "db://users", "http://h//x"} {
		if got := read(uri); !strings.Contains(got, "not found") {
			t.Errorf("%s: %s", uri, got)
		}
	}
	for _, uri := range []string{"file:///home/me/a%20b.txt", "https://example.com/a?b=c#d", "x:y", "fetch://https://example.com/x"} {
		if got := read(uri); !strings.Contains(got, `"contents"`) {
			t.Errorf("%s: %s", uri, got)
		}
	}
}

// TestApprovalShowsTheWholeTarget: a person sees what will be read, to its end.
func TestApprovalShowsTheWholeTarget(t *testing.T) {
	f := newFake(t, "fs", false)
	f.caps = `{"resources":{}}`
	f.answers["resources/list"], f.answers["resources/templates/list"] = `{"resources":[]}`, `{"resourceTemplates":[]}`
	c := newClient(t, testRelay(t, func(cfg *config.Config) { cfg.Resources.Default = "ask" }, f)).legacy(`{"elicitation":{}}`)
	c.start(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"docs://` + strings.Repeat("a", 200) + `/SECRET"}}`)
	mustContain(t, c.await("elicitation/create"), "/SECRET")
}

// TestFloodBeforeHandshake: a server's requests cost a bounded number of goroutines.
func TestFloodBeforeHandshake(t *testing.T) {
	f := newFake(t, "one", false)
	f.seen = nil
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "initialize" {
			return false
		}
		for i := range 20000 {
			c.Send(fmt.Sprintf(`{"jsonrpc":"2.0","id":"%d","method":"ping"}`, i))
		}
		return false
	}
	c := newClient(t, testRelay(t, nil, f)).legacy(`{}`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), "echo")
}

// TestHungServerIsReplaced: one that stops answering is started again.
func TestHungServerIsReplaced(t *testing.T) {
	f := newFake(t, "one", false)
	hung := true
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method == "tools/call" && hung {
			hung = false
			c.Write(nil)
			select {} // reads no more
		}
		return false
	}
	f.answers["tools/call"] = `{"content":[{"type":"text","text":"back"}]}`
	c := newClient(t, testRelay(t, func(cfg *config.Config) { cfg.Servers[0].Timeout = 200 * time.Millisecond }, f)).legacy(`{}`)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo"}}`), "time limit")
	c.await("list_changed")
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"echo"}}`), "back")
}
