package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// rpc is a client that speaks bare JSON-RPC over stdio, for tests that look at the bytes that arrive. It is of the legacy
// era.
type rpc struct {
	t     testing.TB
	stdin io.Writer

	mu      sync.Mutex
	lastID  int
	got     []rpcMessage
	changed chan struct{} // closed and replaced at every message
	ended   bool
	answer  func(method string, params jsontext.Value) string // the result of a request of the server
}

type rpcMessage struct {
	ID     jsontext.Value `json:"id"`
	Method string         `json:"method"`
	Params jsontext.Value `json:"params"`
	Result jsontext.Value `json:"result"`
	Error  jsontext.Value `json:"error"`
}

// startRPC starts a command and makes the handshake with it.
func startRPC(t testing.TB, env []string, answer func(method string, params jsontext.Value) string, command ...string) *rpc {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = environ(t, env...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, writeEnd := io.Pipe()
	cmd.Stdout = writeEnd
	c := &rpc{t: t, stdin: stdin, changed: make(chan struct{}), answer: answer}
	p := start(t, cmd)
	go func() {
		<-p.done
		writeEnd.Close()
	}()
	go c.read(stdout)
	t.Cleanup(func() { stdin.Close() })
	c.request("initialize", `{"protocolVersion":"2025-11-25","capabilities":{"sampling":{},"elicitation":{"form":{}},"roots":{}},"clientInfo":{"name":"bytes","version":"1"}}`)
	c.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return c
}

func (c *rpc) send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.stdin, line+"\n"); err != nil {
		c.t.Fatalf("writing to the command: %v", err)
	}
}

func (c *rpc) read(stdout io.Reader) {
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		var m rpcMessage
		if err == nil {
			if err := json.Unmarshal(line, &m); err != nil {
				c.t.Errorf("the command printed %q: %v", line, err)
				continue
			}
			if m.Method != "" && m.ID != nil {
				if result := c.answer(m.Method, m.Params); result != "" {
					c.send(`{"jsonrpc":"2.0","id":` + string(m.ID) + `,"result":` + result + `}`)
				} else {
					c.send(`{"jsonrpc":"2.0","id":` + string(m.ID) + `,"error":{"code":-32601,"message":"not in this test"}}`)
				}
			}
		}
		c.mu.Lock()
		if err != nil {
			c.ended = true
		} else {
			c.got = append(c.got, m)
		}
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// await returns the first message that matches, also of the past.
func (c *rpc) await(what string, match func(rpcMessage) bool) rpcMessage {
	c.t.Helper()
	timeout := time.After(waitAtMost)
	for {
		c.mu.Lock()
		at, ended, changed := slices.IndexFunc(c.got, match), c.ended, c.changed
		var m rpcMessage
		if at >= 0 {
			m = c.got[at]
		}
		c.mu.Unlock()
		if at >= 0 {
			return m
		}
		if ended {
			c.t.Fatalf("the command ended before %s", what)
		}
		select {
		case <-changed:
		case <-timeout:
			c.t.Fatalf("no %s within %v", what, waitAtMost)
		}
	}
}

// request returns the response to a request, be it a result or an error.
func (c *rpc) request(method, params string) rpcMessage {
	c.t.Helper()
	c.mu.Lock()
	c.lastID++
	id := fmt.Sprint(c.lastID)
	c.mu.Unlock()
	c.send(`{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":` + params + `}`)
	return c.await("response to "+method+" "+params, func(m rpcMessage) bool { return m.Method == "" && string(m.ID) == id })
}

// call returns the response to a call of a tool.
func (c *rpc) call(tool, args string) rpcMessage {
	c.t.Helper()
	return c.request("tools/call", fmt.Sprintf(`{"name":%q,"arguments":%s}`, tool, args))
}

// ok returns the result of a call that has to succeed.
func (c *rpc) ok(tool, args string) toolResult {
	c.t.Helper()
	m := c.call(tool, args)
	var result toolResult
	if m.Error == nil {
		decode(c.t, m.Result, &result)
	}
	if m.Error != nil || result.IsError {
		c.t.Fatalf("%s %s: %s%s", tool, args, m.Error, m.Result)
	}
	return result
}

// untilListed waits for a tool to be in the list: servers start in the background.
func (c *rpc) untilListed(tools ...string) []jsontext.Value {
	c.t.Helper()
	deadline := time.Now().Add(waitAtMost)
	for {
		var list struct{ Tools []jsontext.Value }
		m := c.request("tools/list", `{}`)
		if m.Error != nil {
			c.t.Fatalf("tools/list: %s", m.Error)
		}
		decode(c.t, m.Result, &list)
		missing := slices.DeleteFunc(slices.Clone(tools), func(name string) bool {
			return slices.ContainsFunc(list.Tools, func(tool jsontext.Value) bool { return toolName(c.t, tool) == name })
		})
		if len(missing) == 0 {
			return list.Tools
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("not listed: %s", strings.Join(missing, ", "))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func toolName(t testing.TB, tool jsontext.Value) string {
	t.Helper()
	var named struct{ Name string }
	decode(t, tool, &named)
	return named.Name
}
