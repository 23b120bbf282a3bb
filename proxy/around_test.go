package proxy

import (
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// This file holds ways around the policy that lead past the result of a call.

// cardRules withhold results of query that hold a card, and show only the status of status.
func cardRules(cfg *config.Config) {
	cfg.Rules = []config.Rule{{Name: "cards", Tools: []string{"one.read"}, On: "result", When: `result.text contains "4111"`, Then: "deny"}}
	cfg.Tools.Narrow = []config.Narrow{{Name: "status", From: "one.query", Description: "Status.",
		Args: map[string]string{"sql": `"SELECT status FROM orders"`}, Output: "result.json.rows[0].status"}}
}

// answering has a server answer calls with what it is given: the result or the error.
func answering(f *fakeServer, reply func(m *jsonrpc.Message) string) {
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "tools/call" && !strings.HasPrefix(m.Method, "tasks/") {
			return false
		}
		c.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,` + reply(m) + `}`)
		return true
	}
}

// TestErrorsOfJudgedTools holds that what rules on results withhold, and what a narrowed tool
// does not show, does not come as an error instead.
func TestErrorsOfJudgedTools(t *testing.T) {
	for _, modern := range []bool{false, true} {
		f := policyServer(t, modern)
		c := newClient(t, testRelay(t, cardRules, f)).legacy(`{}`)
		answering(f, func(*jsonrpc.Message) string { return `"error":{"code":-32000,"message":"no","data":{"card":"4111"}}` })
		got := c.callTool("read", `{}`)
		mustContain(t, got, `"rule":"cards"`, "withheld")
		mustLack(t, got, "4111")
		got = c.callTool("status", `{}`)
		mustContain(t, got, `"isError":true`, `"no"`)
		mustLack(t, got, "4111")
		mustContain(t, c.callTool("send", `{}`), `"error":{"code":-32000`, "4111")
	}
	// An error that no rule minds stays what it is.
	f := policyServer(t, false)
	c := newClient(t, testRelay(t, cardRules, f)).legacy(`{}`)
	answering(f, func(*jsonrpc.Message) string { return `"error":{"code":-32000,"message":"busy","data":{"n":1}}` })
	mustContain(t, c.callTool("read", `{}`), `"error":{"code":-32000,"message":"busy","data":{"n":1}}`)
}

// TestTasksOfJudgedTools holds that results which are judged do not come by way of a task.
func TestTasksOfJudgedTools(t *testing.T) {
	f := policyServer(t, false)
	f.caps = `{"tools":{},"tasks":{"requests":{"tools":{"call":{}}}}}`
	c := newClient(t, testRelay(t, cardRules, f)).legacy(`{}`)
	answering(f, func(m *jsonrpc.Message) string {
		if m.Method == "tasks/result" {
			return `"result":{"content":[{"type":"text","text":"4111"}]}`
		}
		return `"result":{"content":[],"_meta":{"` + metaRelatedTask + `":{"taskId":"t1"}}}`
	})
	for _, name := range []string{"read", "status"} {
		got := c.send(`{"jsonrpc":"2.0","id":"task","method":"tools/call","params":{"name":"` + name + `","arguments":{},"task":{}}}`)
		mustContain(t, got, "cannot run as a task")
	}
	if strings.Contains(drain(f), "tools/call") {
		t.Error("a call was sent whose result could not be judged")
	}
	// The server names a task by itself.
	m, err := jsonrpc.Parse([]byte(c.callTool("read", `{}`)), jsonrpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := jsonrpc.GetString(m.At(m.Result), "_meta", metaRelatedTask, "taskId")
	got := c.send(`{"jsonrpc":"2.0","id":"result","method":"tasks/result","params":{"taskId":"` + id + `"}}`)
	mustContain(t, got, `"action":"deny"`)
	mustLack(t, got, "4111")
}
