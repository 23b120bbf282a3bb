package policy_test

import (
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

const text = `version: 1
servers: { mail: { command: mail-mcp } }
use: [ssrf, common-labels]
tools:
  allow: ["mail.*"]
  narrow:
    send_home:
      from: mail.deliver
      description: Mail to the office.
      input: { text: { type: string }, urgent: { type: boolean } }
      required: [text]
      args: { to: "'office@example.com'", text: input.text, flags: "input.urgent ? ['urgent'] : nil" }
rules:
  - name: known
    tools: ["mail.send"]
    when: args.tto == "x"
    then: deny
  - name: nobody
    tools: ["mial.*"]
    then: deny
limits:
  - { name: mails, tools: ["mail.send"], sum: args.text, max: 5, per: day }
labels:
  private: ["mial.*"]
  trusted: ["mail.find:result.people.email"]
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	cfg, err := config.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestCompile(t *testing.T) {
	cfg := parse(t, text)
	p, err := policy.Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Limited() || p.Traces() || len(p.Narrowings()) != 1 {
		t.Errorf("limited %v, traces %v, %d narrowings", p.Limited(), p.Traces(), len(p.Narrowings()))
	}
	n := p.Narrowings()[0]
	for input, want := range map[string]string{
		`{"text":"hi"}`:               "",
		`{"text":"hi","urgent":true}`: `{"flags":["urgent"],"text":"hi","to":"office@example.com"}`,
		`{"urgent":true}`:             "",
	} {
		if args, err := n.Arguments([]byte(input)); string(args) != want && want != "" || want == "" && err == nil {
			t.Errorf("%s: %s, %v; want %s", input, args, err, want)
		}
	}
	e := p.Bind(rules.Capability{Server: "mail", Name: "find"})
	if o := e.Observation(); len(o.Fields) == 0 || o.Fields[0].Path != "result.people.email" {
		t.Errorf("noted of results: %+v", o)
	}
	if labels := p.Bind(rules.Capability{Server: "mail", Name: "send"}).Labels(); !strings.Contains(strings.Join(labels, " "), "external") {
		t.Errorf("labels %v", labels)
	}
}

func TestCompileProblems(t *testing.T) {
	cfg := parse(t, strings.Replace(text, `args.tto == "x"`, `args.to ==`, 1))
	_, err := policy.Compile(cfg)
	problems, ok := err.(config.Problems)
	if !ok || len(problems) != 1 || problems[0].Line != 16 {
		t.Fatalf("%v", err)
	}
}

func TestFindings(t *testing.T) {
	cfg := parse(t, text)
	p, err := policy.Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	send := rules.Capability{Kind: rules.Tool, Server: "mail", Name: "send",
		InputSchema: []byte(`{"type":"object","properties":{"to":{"type":"string"},"text":{"type":"string"}},"required":["to","text"]}`)}
	found := map[int]string{}
	for _, f := range policy.Findings(cfg, p, []rules.Capability{send, {Kind: rules.Tool, Server: "mail", Name: "find"},
		{Kind: rules.Tool, Server: "mail", Name: "deliver", InputSchema: send.InputSchema}}) {
		if f.File != "policy.yaml" {
			t.Errorf("a preset's: %v", f)
		}
		if !f.Warning {
			found[f.Line] += f.Message
		}
	}
	for line, want := range map[int]string{12: "input.urgent may be missing", 16: "tto", 19: "matches no tool", 22: "args.text", 24: "matches no tool, resource or prompt"} {
		if !strings.Contains(found[line], want) {
			t.Errorf("line %d: %q, want %q", line, found[line], want)
		}
		delete(found, line)
	}
	if len(found) > 0 {
		t.Errorf("besides: %v", found)
	}
}
