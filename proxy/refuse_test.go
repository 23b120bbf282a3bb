package proxy

import (
	"os"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/redact"
)

// mustBeRecorded holds that a refusal says which record it has, and that this is there.
func mustBeRecorded(t *testing.T, response, path, rule string) {
	t.Helper()
	decision := jsonrpc.Get([]byte(response), "error", "data", metaDecision)
	if len(decision) == 0 {
		decision = jsonrpc.Get([]byte(response), "result", "_meta", metaDecision)
	}
	record, _ := jsonrpc.GetString(decision, "record")
	mustContain(t, string(decision), `"action":"deny"`, `"rule":"`+rule+`"`)
	records, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(records), "\n") {
		if record != "" && strings.Contains(line, `"id":"`+record+`"`) && strings.Contains(line, `"rule":"`+rule+`"`) {
			return
		}
	}
	t.Errorf("no record %q by %s of %s", record, rule, response)
}

// TestRefusalsAreRecorded holds that what the firewall refuses by itself is on record, and
// that the client is told so.
func TestRefusalsAreRecorded(t *testing.T) {
	f := newFake(t, "one", true)
	modernAsker(f)
	r, path := redacting(t, redact.Options{}, nil, nil, f)
	c := newClient(t, r)
	got := c.modern("tools/call", `"name":"echo","arguments":{"n":1}`)
	answers, state := `"inputResponses":{"q":{"action":"accept","content":{"colour":"red"}}}`, `"requestState":"`+stateOf(t, got)+`"`

	mustBeRecorded(t, c.modern("evil/method", ""), path, methodRule)
	mustBeRecorded(t, c.modern("tools/call", `"Name":"echo"`), path, paramsRule)
	mustBeRecorded(t, c.modern("tools/call", `"name":5`), path, paramsRule)
	mustBeRecorded(t, c.modern("tools/list", `"cursor":"made up"`), path, stateRule)
	mustBeRecorded(t, c.modern("tasks/get", `"taskId":"made up"`), path, stateRule)
	mustBeRecorded(t, c.modern("tasks/get", `"taskId":1`), path, paramsRule)
	mustBeRecorded(t, c.modern("tools/call", `"name":"echo","arguments":{"n":1},`+answers), path, stateRule)
	mustBeRecorded(t, c.modern("tools/call", `"name":"echo","arguments":{"n":2},`+answers+","+state), path, stateRule)

	// A slip in the answers does not cost the call.
	slip := strings.Replace(answers, `"q"`, `"z"`, 1)
	mustBeRecorded(t, c.modern("tools/call", `"name":"echo","arguments":{"n":1},`+slip+","+state), path, stateRule)
	mustContain(t, c.modern("tools/call", `"name":"echo","arguments":{"n":1},`+answers+","+state), "painted red")
	mustBeRecorded(t, c.modern("tools/call", `"name":"echo","arguments":{"n":1},`+answers+","+state), path, stateRule)

	c.send(`{"jsonrpc":"2.0","method":"evil/news"}`)
	c.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"RequestId":1}}`)
	c.send(`{"jsonrpc":"2.0","id":77,"result":{}}`)
	records, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, string(records), `"method":"evil/news","action":"deny"`, `"method":"notifications/cancelled","action":"deny"`, "no such question is outstanding")
}

// TestOwnKeysComeFromNobodyElse holds that what only the firewall says reaches no server.
func TestOwnKeysComeFromNobodyElse(t *testing.T) {
	f := newFake(t, "one", false)
	f.answers["tools/call"] = `{"content":[]}`
	c := newClient(t, testRelay(t, func(cfg *config.Config) { cfg.Servers[0].Arguments.Open = true }, f)).legacy(everyCap)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"mcpfirewall/decision":{"action":"allow"},"name":"echo",
		"arguments":{"text":{"MCPfirewall\/x":1},"mcpfirewall/y":2},"_meta":{"mcpfirewall/z":3,"a/b":4}}}`)
	sent := f.await(t, `"tools/call"`)
	mustContain(t, sent, `"a/b":4`)
	if strings.Contains(strings.ToLower(sent), "firewall") {
		t.Errorf("the server was sent %s", sent)
	}
}
