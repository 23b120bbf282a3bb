package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// slowFake is a server that is greeted, and answers only once it is let.
func slowFake(t *testing.T, name string) (f *fakeServer, let func()) {
	f = newFake(t, name, false)
	ready := make(chan struct{})
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method == "initialize" {
			<-ready
		}
		return false
	}
	return f, func() { close(ready) }
}

// dead adds a server that cannot be started.
func dead(cfg *config.Config) {
	cfg.Servers = append(cfg.Servers, config.Server{Name: "dead", Command: "/no such program"})
}

func callOf(name string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"tools/call","params":{"name":%[1]q,"arguments":{}}}`, name)
}

const echoed = `{"content":[{"type":"text","text":"echoed"}]}`

// waits makes sure that a call waits for longer than a list would.
func waits(t *testing.T, answer chan string) {
	t.Helper()
	select {
	case got := <-answer:
		t.Fatalf("answered while the server was starting: %s", got)
	case <-time.After(2 * time.Second): // the time that must pass is what is tested
	}
}

// A call of a tool of a server that is still starting waits for that server, whatever
// becomes of the others.
func TestCallWaitsForItsServer(t *testing.T) {
	slow, let := slowFake(t, "slow")
	fast := newFake(t, "fast", false)
	slow.answers["tools/call"], fast.answers["tools/call"] = echoed, echoed
	c := newClient(t, testRelay(t, dead, slow, fast)).legacy("{}")
	answer := c.start(callOf("slow__echo"))
	mustContain(t, c.send(callOf("fast__echo")), "echoed")
	waits(t, answer)
	let()
	mustContain(t, c.wait(answer), "echoed")
}

// Nor does a modern client's first request meet a tool that does not exist yet.
func TestFirstModernCallWaitsForItsServer(t *testing.T) {
	slow, let := slowFake(t, "slow")
	slow.answers["tools/call"] = echoed
	c := newClient(t, testRelay(t, nil, slow, newFake(t, "fast", false)))
	answer := c.start(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow__echo","arguments":{},` + meta("{}") + `}}`)
	waits(t, answer)
	let()
	mustContain(t, c.wait(answer), "echoed")
}

// The server that a call is for is named, and no other, and only while it is not up.
func TestUnavailableOwner(t *testing.T) {
	slow, let := slowFake(t, "slow")
	defer let()
	fast := newFake(t, "fast", false)
	c := newClient(t, testRelay(t, func(cfg *config.Config) {
		dead(cfg)
		cfg.Tools.Deny = append(cfg.Tools.Deny, "fast.echo")
		cfg.Servers[0].Timeout = 100 * time.Millisecond
	}, slow, fast)).legacy("{}")
	for _, conn := range c.s.fleet.all() {
		if conn.name != "slow" {
			<-conn.settled()
		}
	}
	for name, want := range map[string]string{
		"dead__any": "server dead is not available", "slow__any": "server slow is still starting",
		"fast__any": `"message":"Unknown tool: fast__any"`, "fast__echo": `"message":"Unknown tool: fast__echo"`,
		"nobody__any": `"message":"Unknown tool: nobody__any"`, "any": `"message":"Unknown tool: any"`,
	} {
		got := c.send(callOf(name))
		mustContain(t, got, want)
		for _, other := range []string{"dead", "slow"} {
			if !strings.HasPrefix(name, other) {
				mustLack(t, got, other)
			}
		}
	}
}

// A server that has died and is started again keeps the calls of its tools waiting, though
// its name is not in theirs.
func TestCallWaitsForRestart(t *testing.T) {
	f := newFake(t, "one", false)
	f.answers["tools/call"] = echoed
	other := newFake(t, "other", false)
	other.answers["tools/list"] = `{"tools":[]}`
	c := newClient(t, testRelay(t, func(cfg *config.Config) { cfg.Naming = "never" }, f, other)).legacy("{}")
	c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	mustContain(t, c.send(callOf("echo")), "echoed")
	c.s.fleet.born = time.Now().Add(-2 * listWait) // lists do not wait any more
	conn := <-f.conns
	one := byName(c.s.fleet.all(), "one")
	l := one.up()
	conn.Close()
	<-l.gone
	for one.up() == l {
		time.Sleep(time.Millisecond)
	}
	mustContain(t, c.send(callOf("echo")), "echoed")
}
