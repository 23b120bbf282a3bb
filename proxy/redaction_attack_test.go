package proxy

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/redact"
)

// callsGive makes a server answer calls of its tools with what result returns: the value of
// result, or a whole member such as "error":{…}.
func callsGive(f *fakeServer, result func(tool, args string) string) {
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		tool, _ := jsonrpc.GetString(m.At(m.Params), "name")
		body := result(tool, string(jsonrpc.Get(m.At(m.Params), "arguments")))
		if !strings.HasPrefix(body, `"error":`) {
			body = `"result":` + body
		}
		c.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,` + body + `}`)
		return true
	}
}

// TestTokenVouchesNoMoreThanItsPlace holds that the value behind a token is worth what it
// would be worth if the agent had seen it where the token stands.
func TestTokenVouchesNoMoreThanItsPlace(t *testing.T) {
	const trusted, stranger = `jane@corp.example`, `evil@attacker.example`
	for name, tc := range map[string]struct {
		result string
		field  string
		allow  bool
	}{
		"a whole value":               {`{"content":[],"structuredContent":{"email":"` + stranger + `"}}`, "", true},
		"prose":                       {`{"content":[{"type":"text","text":"Mail: ` + stranger + `"}]}`, "", true},
		"part of a name":              {`{"content":[],"structuredContent":{"email":"` + trusted + `","name":"Team ` + stranger + ` x"}}`, "", false},
		"a trusted field":             {`{"content":[],"structuredContent":{"email":"` + stranger + `","note":"x"}}`, "email", true},
		"another than the trusted":    {`{"content":[],"structuredContent":{"email":"` + trusted + `","note":"` + stranger + `"}}`, "email", false},
		"an error":                    {`{"isError":true,"content":[{"type":"text","text":"no such user ` + stranger + `"}]}`, "", false},
		"the name of a member":        {`{"content":[],"structuredContent":{"` + stranger + `":1}}`, "", false},
		"an error of the protocol":    {`"error":{"code":-32000,"message":"no such user ` + stranger + `"}`, "", false},
		"JSON in a text":              {`{"content":[{"type":"text","text":"{\"email\":\"` + stranger + `\"}"}]}`, "email", true},
		"JSON in a text, other field": {`{"content":[{"type":"text","text":"{\"note\":\"` + stranger + `\"}"}]}`, "email", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := tokenServer(t)
			callsGive(f, func(tool, _ string) string {
				if tool == "inbox" {
					return tc.result
				}
				return `{"content":[{"type":"text","text":"done"}]}`
			})
			tokens := func(on bool) string {
				o := redact.Options{Restore: []string{"one.send"}}
				if on {
					o.PII = map[string]redact.Action{"email": redact.Tokenize}
				}
				r, _ := redacting(t, o, func(cfg *config.Config) {
					cfg.Labels.Trusted = []config.LabelPattern{{Pattern: "one.inbox", Field: tc.field}}
					cfg.Rules = []config.Rule{{Name: "known only", Tools: []string{"one.send"}, When: `not trusted(args.to)`, Then: "deny"}}
				}, nil, f)
				c := newClient(t, r).legacy(`{}`)
				text := c.callTool("inbox", `{}`)
				to := stranger
				if on {
					all := tokenForm.FindAllString(text, -1)
					if len(all) == 0 {
						t.Fatalf("no token in %s", text)
					}
					to = all[len(all)-1]
				}
				return c.callTool("send", `{"to":"`+to+`"}`)
			}
			for _, on := range []bool{false, true} {
				if got := tokens(on); strings.Contains(got, "known only") == tc.allow {
					t.Errorf("with tokens %v, trusted: want %v, got %s", on, tc.allow, got)
				}
			}
		})
	}
}

// TestNoPlaceIsKept holds that a server cannot pass anything to the client in the members
// that the firewall reads itself.
func TestNoPlaceIsKept(t *testing.T) {
	const both = aMail + " " + aKey
	for _, modern := range []bool{false, true} {
		for _, member := range []string{
			`"taskId":"` + both + `"`, `"nextCursor":"` + both + `"`, `"requestState":"` + both + `"`, `"protocolVersion":"` + both + `"`,
			`"task":{"taskId":"` + both + `"}`, `"tools":[{"name":"` + both + `"}]`, `"prompts":[{"name":{"x":["` + both + `"]}}]`,
			`"taskId":{"x":["` + both + `"]}`, `"resultType":"` + both + `"`, `"resultType":{"x":"` + both + `"}`,
		} {
			f := newFake(t, "one", modern)
			if strings.Contains(member, "resultType") == modern {
				continue // there the firewall reads it
			}
			extra := ""
			if modern {
				extra = `,"resultType":"complete"`
			}
			callsGive(f, func(string, string) string {
				return `{"content":[],` + member + extra + `}`
			})
			r, _ := redacting(t, redact.Options{PII: map[string]redact.Action{"email": redact.Mask}}, nil, nil, f)
			c := newClient(t, r)
			var got string
			if modern {
				got = c.modern("tools/call", `"name":"echo","arguments":{}`)
			} else {
				got = c.legacy(everyCap).callTool("echo", `{}`)
			}
			if strings.Contains(got, aMail) || strings.Contains(got, aKey) {
				t.Errorf("modern %v, %s: %s", modern, member, got)
			}
		}
	}
}

// TestLogMessageIsRedactedWhole does so for the level of a log message.
func TestLogMessageIsRedactedWhole(t *testing.T) {
	f := newFake(t, "one", false)
	f.caps = `{"tools":{},"logging":{}}`
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method == "tools/call" {
			c.Send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"` + aKey + `","requestId":"` + aKey + `","taskId":"` + aKey + `","progressToken":"` + aKey + `","data":"x"}}`)
			c.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":{"content":[]}}`)
			return true
		}
		return false
	}
	r, _ := redacting(t, redact.Options{}, nil, nil, f)
	c := newClient(t, r).legacy(everyCap)
	c.callTool("echo", `{}`)
	mustLack(t, c.await("notifications/message"), aKey)
}

// TestRecordsHoldNoSecretAnywhere holds that what an agent names, other than arguments, is
// redacted in records too.
func TestRecordsHoldNoSecretAnywhere(t *testing.T) {
	f := newFake(t, "one", false)
	f.caps = `{"tools":{},"resources":{},"prompts":{},"completions":{}}`
	f.answers["resources/templates/list"] = `{"resourceTemplates":[{"uriTemplate":"x://{key}","name":"t"}]}`
	f.answers["resources/read"] = `{"contents":[]}`
	var log lockedBuffer
	r, path := redacting(t, redact.Options{PII: map[string]redact.Action{"email": redact.Mask}}, nil, &log, f)
	c := newClient(t, r).legacy(everyCap)
	for i, what := range []string{
		`"method":"resources/read","params":{"uri":"x://` + aKey + `"}`,
		`"method":"resources/read","params":{"uri":"y://` + aKey + `/` + aMail + `"}`,
		`"method":"tools/call","params":{"name":"` + aKey + `","arguments":{}}`,
		`"method":"tools/call","params":{"name":"echo","arguments":{"` + aKey + `":1}}`,
		`"method":"prompts/get","params":{"name":"` + aKey + `"}`,
		`"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"x://{key}"},"argument":{"name":"key","value":"` + aKey + `"}}`,
	} {
		c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,%s}`, i, what))
		records, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(records), aKey) || strings.Contains(string(records), aMail) {
			t.Errorf("the record of %s holds a secret", what)
			os.Truncate(path, 0)
		}
	}
}

// TestBlockedQuestionIsRefused holds that a server whose question is withheld is told so.
func TestBlockedQuestionIsRefused(t *testing.T) {
	f := newFake(t, "one", false)
	asked := make(chan string, 1)
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		switch {
		case m.Method == "tools/call":
			asked <- string(m.At(m.ID))
			c.Send(`{"jsonrpc":"2.0","id":77,"method":"elicitation/create","params":{"message":"Is it ` + aMail + `?","requestedSchema":{"type":"object","properties":{}}}}`)
			return true
		case m.Kind == jsonrpc.Failure || m.Kind == jsonrpc.Result:
			c.Send(`{"jsonrpc":"2.0","id":` + <-asked + `,"result":{"content":[{"type":"text","text":"went on"}]}}`)
			return true
		}
		return false
	}
	r, _ := redacting(t, redact.Options{PII: map[string]redact.Action{"email": redact.Block}}, nil, nil, f)
	began := time.Now()
	mustContain(t, newClient(t, r).legacy(everyCap).callTool("echo", `{}`), "went on")
	if time.Since(began) > deadline/2 {
		t.Error("the server waited")
	}
}

// TestApprovalOfNarrowedToolShowsNoRestoredValue holds that a person who approves, and so the
// client, sees no part of what a token was turned back into.
func TestApprovalOfNarrowedToolShowsNoRestoredValue(t *testing.T) {
	f := tokenServer(t)
	r, _ := redacting(t, redact.Options{PII: map[string]redact.Action{"email": redact.Tokenize}, Restore: []string{"one.*"}}, func(cfg *config.Config) {
		cfg.Tools.Narrow = []config.Narrow{{Name: "notify", From: "one.send", Description: "x",
			Input: []config.Input{{Name: "who", Schema: []byte(`{"type":"string"}`)}}, Required: []string{"who"},
			Args: map[string]string{"to": `replace(input.who, "@", " at ")`, "text": `"hello"`}}}
		cfg.Tools.Ask = []string{"one.notify"}
	}, nil, f)
	c := newClient(t, r).legacy(everyCap)
	token := tokenForm.FindString(c.callTool("inbox", `{}`))
	c.start(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"notify","arguments":{"who":"` + token + `"}}}`)
	q := c.await("elicitation/create")
	mustContain(t, q, "notify")
	mustLack(t, q, "jane.doe")
}

// TestToolOptionsReachWhatIsTiedToNoCall holds that what is stricter for some tools of a
// server is in force for what the server says while nobody can tell about which.
func TestToolOptionsReachWhatIsTiedToNoCall(t *testing.T) {
	f := tokenServer(t)
	f.caps = `{"tools":{},"logging":{}}`
	both := make(chan bool, 2)
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		both <- true
		if len(both) == 2 {
			c.Send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"` + aMail + `"}}`)
		}
		return true
	}
	r, _ := redacting(t, redact.Options{Tools: []redact.ToolOptions{{Tools: []string{"one.inbox"}, PII: map[string]redact.Action{"email": redact.Mask}}}}, nil, nil, f)
	c := newClient(t, r).legacy(everyCap)
	c.start(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"inbox","arguments":{}}}`)
	c.start(`{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"inbox","arguments":{}}}`)
	mustLack(t, c.await("notifications/message"), aMail)
}

// TestDeniedArgumentsAreNotRecorded holds that what must not go to a tool does not go into the
// record either.
func TestDeniedArgumentsAreNotRecorded(t *testing.T) {
	r, path := redacting(t, redact.Options{Arguments: []redact.ArgumentOptions{{Tools: []string{"*"}, PII: map[string]redact.Verdict{"email": redact.Deny}}}}, nil, nil, tokenServer(t))
	mustContain(t, newClient(t, r).legacy(`{}`).callTool("send", `{"to":"`+aMail+`"}`), `"rule":"redact"`)
	records, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustLack(t, string(records), aMail)
}

// TestRestoredValueIsHeldAgainstArguments holds that a token is no way around what
// redact.arguments denies.
func TestRestoredValueIsHeldAgainstArguments(t *testing.T) {
	f := tokenServer(t)
	r, _ := redacting(t, redact.Options{PII: map[string]redact.Action{"email": redact.Tokenize}, Restore: []string{"one.*"},
		Arguments: []redact.ArgumentOptions{{Tools: []string{"one.fetch"}, PII: map[string]redact.Verdict{"email": redact.Deny}}}}, nil, nil, f)
	c := newClient(t, r).legacy(`{}`)
	token := tokenForm.FindString(c.callTool("inbox", `{}`))
	mustContain(t, c.callTool("fetch", `{"to":"`+token+`"}`), `"rule":"redact"`)
}
