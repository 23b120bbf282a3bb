package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/redact/pii"
)

const redactConfig = `version: 1
servers:
  crm: { command: crm-mcp, env: { TOKEN: "${env:CRM_TOKEN}" } }
tools: { allow: ["crm.*"] }
redact:
  pii: { email: tokenize, credit_card: mask, iban: block }
  custom: [{ name: employee id, pattern: 'EMP-\d{6}', then: hash }]
  tools: [{ tools: ["crm.raw"], pii: { email: allow } }]
`

func TestRedact(t *testing.T) {
	const (
		key   = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
		token = "correct-horse-battery"
	)
	h := newHome(t, "CRM_TOKEN="+token)
	config := h.write(t, "config.yaml", redactConfig)
	for name, c := range map[string]struct {
		in     string
		args   []string
		status int
		out    string // what it is, where * is any run of characters without a space
	}{
		"text":              {"mail a.b@corp.example, EMP-123456, " + key + "\n", nil, 0, "mail <email:*>, [employee-id#*], [redacted:github-pat]\n"},
		"JSON":              {`{ "a" : ["a.b@corp.example", 4111111111111111, 1.50] }`, nil, 0, `{ "a" : ["<email:*>", "[redacted:credit_card]", 1.50] }`},
		"JSON as text":      {`{"a":4111111111111111}`, []string{"--text"}, 0, `{"a":[redacted:credit_card]}`},
		"no JSON":           {`{"a":4111111111111111`, nil, 0, `{"a":[redacted:credit_card]`},
		"clean":             {"nothing here\r\n", nil, 0, "nothing here\r\n"},
		"empty":             {"", nil, 0, ""},
		"tool":              {"a.b@corp.example", []string{"--tool", "crm.raw"}, 0, "a.b@corp.example"},
		"blocked":           {"DE89370400440532013000", nil, 1, ""},
		"not resolved":      {token, nil, 0, token},
		"resolved":          {token, []string{"--resolve"}, 0, "[redacted:env]"},
		"report":            {"x a.b@corp.example " + key, []string{"--report", "json"}, 0, `[{"detector":"pii","type":"email","start":2,"end":18,"action":"tokenize"},{"detector":"secret","type":"github-pat","start":19,"end":59,"action":"mask"}]` + "\n"},
		"report of JSON":    {`["\u0061.b@corp.example"]`, []string{"--report", "json"}, 0, `[{"detector":"pii","type":"email","start":2,"end":23,"action":"tokenize"}]` + "\n"},
		"report of nothing": {"x", []string{"--report", "json"}, 0, "[]\n"},
		"unknown report":    {"x", []string{"--report", "xml"}, 2, ""},
		"arguments":         {"x", []string{"y"}, 2, ""},
	} {
		got := h.run(t, c.in, append([]string{"redact", "--config", config}, c.args...)...)
		if got.status != c.status || !like(got.stdout, c.out) {
			t.Errorf("%s: exit status %d, printed %q, want %d, %q; %s", name, got.status, got.stdout, c.status, c.out, got.stderr)
		}
		if strings.Contains(got.stderr, "DE89") {
			t.Errorf("%s: standard error holds the value: %s", name, got.stderr)
		}
	}

	empty := newHome(t)
	got := empty.run(t, "mail a.b@corp.example", "redact")
	if got.status != 0 || got.stdout != "mail [redacted:email]" || !strings.Contains(got.stderr, "no configuration") {
		t.Errorf("without a configuration: %d %q %q", got.status, got.stdout, got.stderr)
	}
}

// TestRedactionDocs holds the page on redaction against what is done.
func TestRedactionDocs(t *testing.T) {
	page := pages(t)["docs/redaction.md"]
	for _, typ := range pii.Types() {
		if !strings.Contains(page, "| `"+typ.Name+"` | "+typ.Description+" |") {
			t.Errorf("the page lacks the type %s: %s", typ.Name, typ.Description)
		}
	}
	h := newHome(t)
	config := h.write(t, "config.yaml", "version: 1\nservers: { crm: { command: crm-mcp } }\n"+blocks(page, "yaml")[0])
	examples := blocks(page, "json")
	want := regexp.MustCompile(`:[a-z2-7]{20}>|#[0-9a-f]{16}\]`).ReplaceAllStringFunc(examples[1], func(s string) string { return s[:1] + "*" + s[len(s)-1:] })
	if got := h.run(t, examples[0], "redact", "--config", config); !like(got.stdout, want) {
		t.Errorf("the example becomes\n%s, want\n%s", got.stdout, want)
	}
}

// like reports whether a text is like a pattern in which * is any run of letters and digits.
func like(s, pattern string) bool {
	first, rest, ok := strings.Cut(pattern, "*")
	if !ok {
		return s == pattern
	}
	s, ok = strings.CutPrefix(s, first)
	n := strings.IndexFunc(s, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') })
	return ok && n > 0 && like(s[n:], rest)
}
