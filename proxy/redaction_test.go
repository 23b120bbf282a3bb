package proxy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/schema"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
)

const (
	aMail = "jane.doe@corp.example"
	aKey  = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
	anID  = "DE89370400440532013000"
)

// redacting is a relay with redaction in force, and the path of its audit file.
func redacting(t *testing.T, o redact.Options, change func(*config.Config), log *lockedBuffer, servers ...*fakeServer) (*Relay, string) {
	t.Helper()
	cfg := testConfig(t, change, servers...)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	records, err := audit.Open(audit.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	logger := zerolog.New(zerolog.NewTestWriter(t))
	if log != nil {
		logger = zerolog.New(log)
	}
	r := relayWith(t, cfg, records, vault.Options{Poll: testPoll}, logger)
	if err := r.redact.Configure(o); err != nil {
		t.Fatal(err)
	}
	return r, path
}

// TestEverythingIsRedacted holds that no part of what a server says goes around the
// redactor.
func TestEverythingIsRedacted(t *testing.T) {
	const both = aMail + " " + aKey
	for _, modern := range []bool{false, true} {
		f := newFake(t, "one", modern)
		f.caps = `{"tools":{"listChanged":true},"prompts":{},"resources":{},"logging":{}}`
		f.answers["tools/list"] = `{"tools":[` + echoTool + `,{"name":"hint","title":"` + both + `","description":"Ask ` + both + `","inputSchema":{"type":"object","description":"` + both + `"}}]}`
		f.answers["prompts/list"] = `{"prompts":[{"name":"p","description":"` + both + `"}]}`
		f.answers["prompts/get"] = `{"messages":[{"role":"user","content":{"type":"text","text":"` + both + `"}}]}`
		f.answers["resources/list"] = `{"resources":[{"uri":"a:b","name":"r","description":"` + both + `"}]}`
		f.answers["resources/read"] = `{"contents":[{"uri":"a:b","text":"` + both + `"}]}`
		f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
			if m.Method != "tools/call" {
				return false
			}
			id := string(m.At(m.ID))
			if name, _ := jsonrpc.GetString(m.At(m.Params), "name"); name == "hint" {
				c.Send(`{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32000,"message":"` + both + `","data":{"why":["` + both + `"]}}}`)
				return true
			}
			if token := jsonrpc.Get(m.At(m.Params), "_meta", "progressToken"); len(token) > 0 {
				c.Send(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + string(token) + `,"progress":1,"message":"` + both + `"}}`)
			}
			if !modern {
				c.Send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":{"text":"` + both + `"}}}`)
			}
			extra := ""
			if modern {
				extra = `,"resultType":"complete"`
			}
			c.Send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"content":[{"type":"text","text":"` + both + `"},{"type":"resource","resource":{"uri":"a:b","text":"` + both +
				`"}},{"type":"resource_link","uri":"https://x.example/?mail=` + aMail + `","name":"` + both + `"}],"structuredContent":{"` + aMail + `":["` + both + `"]},"_meta":{"x.example/y":"` + both + `"}` + extra + `}}`)
			return true
		}
		var log lockedBuffer
		r, path := redacting(t, redact.Options{PII: map[string]redact.Action{"email": redact.Mask}}, nil, &log, f)
		c := newClient(t, r).legacy(everyCap)
		got := map[string]string{
			"tools":     c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`),
			"prompts":   c.send(`{"jsonrpc":"2.0","id":2,"method":"prompts/list"}`),
			"resources": c.send(`{"jsonrpc":"2.0","id":3,"method":"resources/list"}`),
			"prompt":    c.send(`{"jsonrpc":"2.0","id":4,"method":"prompts/get","params":{"name":"p"}}`),
			"resource":  c.send(`{"jsonrpc":"2.0","id":5,"method":"resources/read","params":{"uri":"a:b"}}`),
			"result":    c.send(`{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"echo","arguments":{"text":"` + both + `"},"_meta":{"progressToken":"t"}}}`),
			"error":     c.send(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"hint","arguments":{}}}`),
			"progress":  c.await("notifications/progress"),
		}
		if !modern {
			got["log message"] = c.await("notifications/message")
		}
		for what, m := range got {
			mustContain(t, m, "[redacted:email]", "[redacted:github-pat]")
			mustLack(t, m, aMail, aKey)
			if t.Failed() {
				t.Fatalf("modern server %v: %s", modern, what)
			}
		}
		records, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		mustContain(t, string(records), "[redacted:email]", "[redacted:github-pat]")
		mustLack(t, string(records)+log.String(), aMail, aKey)
	}
}

// tokenServer has an inbox whose text holds an address, and tools that take one.
func tokenServer(t *testing.T) *fakeServer {
	f := newFake(t, "one", false)
	tool := func(name string) string {
		return `{"name":"` + name + `","description":"x","inputSchema":{"type":"object","properties":{"to":{"type":"string"},"text":{"type":"string"}}}}`
	}
	f.answers["tools/list"] = `{"tools":[` + tool("inbox") + `,` + tool("send") + `,` + tool("fetch") + `]}`
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		text := "sent to " + string(jsonrpc.Get(m.At(m.Params), "arguments", "to"))
		if name, _ := jsonrpc.GetString(m.At(m.Params), "name"); name == "inbox" {
			text = "From: " + aMail
		}
		c.Send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":` + string(jsonrpc.AppendQuote([]byte(`{"content":[{"type":"text","text":`), text)) + `}]}}`)
		return true
	}
	return f
}

var tokenForm = regexp.MustCompile(`<email:[a-z2-7]{20}>`)

// TestTokens holds that a token goes back as the value, with the value's provenance, where
// the policy says so, and nowhere else.
func TestTokens(t *testing.T) {
	f := tokenServer(t)
	var log lockedBuffer
	r, path := redacting(t, redact.Options{PII: map[string]redact.Action{"email": redact.Tokenize}, Restore: []string{"one.send"}}, func(cfg *config.Config) {
		cfg.Labels.Trusted = []config.LabelPattern{{Pattern: "one.inbox"}}
		cfg.Rules = []config.Rule{{Name: "known only", Tools: []string{"one.send"}, When: `not trusted(args.to) or email(args.to).domain != "corp.example"`, Then: "deny"}}
	}, &log, f)
	c, other := newClient(t, r).legacy(`{}`), newClient(t, r).legacy(`{}`)
	inbox := c.callTool("inbox", `{}`)
	token := tokenForm.FindString(inbox)
	if token == "" {
		t.Fatalf("no token in %s", inbox)
	}
	mustLack(t, inbox, aMail)

	got := c.callTool("send", `{"to":"`+token+`"}`)
	mustContain(t, got, "sent to", token) // the echo is a token again
	mustLack(t, got, aMail)
	waitSeen(t, f, `"to":"`+aMail+`"`)

	mustContain(t, c.callTool("send", `{"to":"someone@corp.example"}`), `"rule":"known only"`)
	mustContain(t, c.callTool("send", `{"text":"Dear `+token+`"}`), `"rule":"redact"`, "part of a longer text")
	mustContain(t, c.callTool("fetch", `{"to":"`+token+`"}`), `"rule":"redact"`, "may not get")
	mustContain(t, other.callTool("send", `{"to":"`+token+`"}`), `"rule":"redact"`, "none that was given out")
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":"r","method":"resources/read","params":{"uri":"mail:`+token+`"}}`), "error")

	records, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, string(records), token)
	mustLack(t, string(records)+log.String(), aMail)
}

// waitSeen waits until the server was sent a text.
func waitSeen(t *testing.T, f *fakeServer, text string) {
	t.Helper()
	limit := time.After(deadline)
	for {
		select {
		case m := <-f.seen:
			if strings.Contains(m, text) {
				return
			}
		case <-limit:
			t.Fatalf("the server was not sent %s", text)
		}
	}
}

// TestNoTokensWithoutASession holds that a request which belongs to no session gets masks.
func TestNoTokensWithoutASession(t *testing.T) {
	r, _ := redacting(t, redact.Options{PII: map[string]redact.Action{"email": redact.Tokenize}, Restore: []string{"*"}}, nil, nil, tokenServer(t))
	s := r.Stateless(Peer{Transport: "http", Principal: "tester"})
	defer s.Release()
	c := &testClient{t: t, s: s, msgs: make(chan string, 100)}
	got := c.modern("tools/call", `"name":"inbox","arguments":{}`)
	mustContain(t, got, "[redacted:email]")
	mustLack(t, got, aMail, "<email:")
}

func TestBlockedResult(t *testing.T) {
	r, path := redacting(t, redact.Options{PII: map[string]redact.Action{"email": redact.Block}}, nil, nil, tokenServer(t))
	for name, got := range map[string]string{
		"legacy": newClient(t, r).legacy(`{}`).callTool("inbox", `{}`),
		"modern": newClient(t, r).modern("tools/call", `"name":"inbox","arguments":{}`),
	} {
		mustContain(t, got, `"isError":true`, "withheld", "email")
		mustLack(t, got, aMail)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	records, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, string(records), `"event":"outcome"`, "withheld")
}

// TestResultKeepsItsShape holds that what stands for a find is what the output schema demands in
// its place, and that a result which cannot fit any more is withheld for that reason.
func TestResultKeepsItsShape(t *testing.T) {
	const schema = `{"type":"object","properties":{"mail":{"type":"string","format":"email"},"note":{"type":"string","maxLength":40},
		"card":{"type":"integer","minimum":1},"id":{"type":"string","pattern":"^[A-Z]{2}[0-9]{20}$"},"who":{"type":"string","pattern":"^jane[.]"}}}`
	for content, want := range map[string]string{
		`{"mail":"` + aMail + `","note":"` + aMail + `"}`: `"structuredContent":\{"mail":"[a-z2-7]{20}@token\.invalid","note":"<email:[a-z2-7]{20}>"\}`,
		`{"card":4111111111111111,"id":"` + anID + `"}`:   `"structuredContent":\{"card":1,"id":"[A-Z]{2}[0-9]{20}"\}`,
		`{"who":"` + aMail + `"}`:                         `withheld: after redaction it does not fit the output schema`,
		`{"mail":5,"note":"` + aMail + `"}`:               `does not fit the output schema that the tool declares`,
	} {
		f := newFake(t, "one", false)
		f.answers["tools/list"] = `{"tools":[{"name":"echo","inputSchema":{"type":"object"},"outputSchema":` + strings.ReplaceAll(schema, "\n", "") + `}]}`
		f.answers["tools/call"] = `{"content":[],"structuredContent":` + content + `}`
		r, _ := redacting(t, redact.Options{PII: map[string]redact.Action{redact.AnyType: redact.Tokenize}, Restore: []string{"*"}}, nil, nil, f)
		got := newClient(t, r).legacy(`{}`).callTool("echo", `{}`)
		mustLack(t, got, aMail, anID)
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s became %s, want %s", content, got, want)
		}
		if strings.Contains(content, `"mail":5`) {
			mustLack(t, got, "after redaction")
		}
	}
}

// TestArgumentsAreHeld holds that secrets and personal data on their way out are refused,
// asked about or masked.
func TestArgumentsAreHeld(t *testing.T) {
	f := tokenServer(t)
	r, path := redacting(t, redact.Options{Arguments: []redact.ArgumentOptions{
		{Tools: []string{"one.send"}, Secrets: redact.Deny, PII: map[string]redact.Verdict{"iban": redact.Ask, "email": redact.MaskFinds}},
	}}, func(cfg *config.Config) {
		cfg.Rules = []config.Rule{
			{Name: "no keys", Tools: []string{"one.fetch"}, When: `secret(args)`, Then: "deny"},
			{Name: "no addresses", Tools: []string{"one.fetch"}, When: `pii(args, "email")`, Then: "deny"},
		}
	}, nil, f)
	c := newClient(t, r).legacy(`{}`)
	mustContain(t, c.callTool("send", `{"text":"`+aKey+`"}`), `"rule":"redact"`, `"action":"deny"`, "github-pat")
	mustContain(t, c.callTool("send", `{"text":"`+anID+`"}`), `"rule":"redact"`, `"action":"ask"`)
	mustContain(t, c.callTool("send", `{"to":"`+aMail+`"}`), "sent to", "[redacted:email]")
	waitSeen(t, f, `"to":"[redacted:email]"`)
	mustContain(t, c.callTool("fetch", `{"text":"`+aKey+`"}`), `"rule":"no keys"`)
	mustContain(t, c.callTool("fetch", `{"text":"`+aMail+`"}`), `"rule":"no addresses"`)
	mustContain(t, c.callTool("fetch", `{"text":"`+anID+`"}`), "sent to")

	asking := newClient(t, r).legacy(everyCap)
	final := asking.start(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"send","arguments":{"text":"` + anID + `"}}}`)
	q := asking.await("elicitation/create")
	mustContain(t, q, "one", "send", "iban (pii)")
	asking.send(`{"jsonrpc":"2.0","id":` + string(jsonrpc.Get([]byte(q), "id")) + `,"result":{"action":"accept","content":{}}}`)
	mustContain(t, asking.wait(final), "sent to")

	records, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustLack(t, string(records), aKey)
}

// TestHeadersHoldNoRestoredValue holds that what a token was turned back into does not go
// where proxies log it.
func TestHeadersHoldNoRestoredValue(t *testing.T) {
	k := &call{restored: true, sent: []byte(`{"to":"` + aMail + `","n":1}`), args: []byte(`{"to":"<email:aaaaaaaaaaaaaaaaaaaa>","n":1}`), c: &capability{}}
	var err error
	k.c.headers, err = schema.HeaderParams([]byte(`{"type":"object","properties":{"to":{"type":"string","x-mcp-header":"To"},"n":{"type":"integer","x-mcp-header":"N"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	got := k.mirrored()
	if len(got) != 1 || got[0].Header != "N" {
		t.Errorf("headers %v, want N alone", got)
	}
	if k.restored = false; len(k.mirrored()) != 2 {
		t.Error("headers are missing where nothing was restored")
	}
}
