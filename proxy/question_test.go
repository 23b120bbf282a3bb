package proxy

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/redact"
)

// TestApprovalShowsEachArgument holds that nothing long, and no white space, takes an
// argument out of the sight of the person who is asked, or out of the record.
func TestApprovalShowsEachArgument(t *testing.T) {
	f := policyServer(t, false)
	r, path := redacting(t, redact.Options{}, func(cfg *config.Config) { cfg.Tools.Ask = []string{"one.send"} }, nil, f)
	c := newClient(t, r).legacy(`{"elicitation":{}}`)
	c.callTool("read", `{}`) // so that the server is up
	const mail = "collector@evil.example"
	for name, args := range map[string]string{
		"a long text":      `{"text":"Yes, Friday! ` + strings.Repeat(" ", 9000) + `Bye.","to":"` + mail + `"}`,
		"two":              `{"text":"Yes, ` + strings.Repeat(`\n`, 9000) + `Bye.","sql":"` + strings.Repeat("x", 9000) + `","to":"` + mail + `"}`,
		"white space":      `{"text":"Yes"` + strings.Repeat("\t", 9000) + `,"to":"` + mail + `"}`,
		"a text of quotes": `{"text":"` + strings.Repeat(`\"`, 9000) + `","to":"` + mail + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			final := c.start(`{"jsonrpc":"2.0","id":"` + name + `","method":"tools/call","params":{"name":"send","arguments":` + args + `}}`)
			question := []byte(c.await("elicitation/create"))
			message, _ := jsonrpc.GetString(question, "params", "message")
			mustContain(t, message, `"to":"`+mail+`"}`)
			if strings.Contains(args, "Bye") {
				mustContain(t, message, `"text":"Yes, `, `Bye."`, " bytes left out)", "bytes, long ones cut)")
			}
			if n := strings.Count(message, "\n"); n != 2 || len(message) > 2*maxShown {
				t.Errorf("%d lines, %d bytes: %s", n+1, len(message), message)
			}
			c.send(`{"jsonrpc":"2.0","id":` + string(jsonrpc.Get(question, "id")) + `,"result":{"action":"decline"}}`)
			mustContain(t, c.wait(final), `"action":"ask"`)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			line := raw[bytes.LastIndex(raw, []byte(`{"time"`)):]
			if err := jsonrpc.CheckValue(bytes.TrimSpace(line), jsonrpc.Limits{}); err != nil {
				t.Errorf("%v: %s", err, line)
			}
			mustContain(t, string(line), `"refusal"`, `"to":"`+mail+`"}`)
		})
	}
	got := c.callTool("send", `{"params":[`+strings.Repeat("1,", 3000)+`1],"to":"`+mail+`"}`)
	mustContain(t, got, `"action":"ask"`, "too many to be shown to a person", "fewer arguments")
}

// TestApprovalShowsWhatIsHidden holds that no character of an argument is out of sight or
// moves others.
func TestApprovalShowsWhatIsHidden(t *testing.T) {
	f := policyServer(t, false)
	c := newClient(t, testRelay(t, func(cfg *config.Config) { cfg.Tools.Ask = []string{"one.send"} }, f)).legacy(`{"elicitation":{}}`)
	hidden := "\u061c\u3164\u115f\u1160\uffa0\U000e0100\u034f\u180e\u2800\ufff9\U000e0041\u202e\u00a0"
	final := c.start(`{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"send","arguments":{"to":"` + hidden + `"}}}`)
	question := []byte(c.await("elicitation/create"))
	message, _ := jsonrpc.GetString(question, "params", "message")
	for _, r := range hidden {
		mustLack(t, message, string(r))
		mustContain(t, message, fmt.Sprintf(`\u{%x}`, r))
	}
	c.send(`{"jsonrpc":"2.0","id":` + string(jsonrpc.Get(question, "id")) + `,"result":{"action":"decline"}}`)
	mustContain(t, c.wait(final), `"action":"ask"`)
}
