package policy_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/redact/pii"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

func TestRedaction(t *testing.T) {
	got := policy.Redaction(parse(t, `version: 1
redact:
  secrets: block
  rules: { generic-api-key: allow }
  pii: { ssn: mask, "*": tokenize }
  custom: [{ name: employee id, pattern: 'EMP-\d{6}', then: tokenize }, { name: b, pattern: b }]
  allow: { values: [a@example.com], patterns: ['.*@example\.com'] }
  tools: [{ tools: ["crm.*"], secrets: mask, pii: allow, custom: hash }, { tools: [a.b], secrets: hash }]
  restore: [mail.send]
  arguments: [{ tools: [mail.send], secrets: deny, pii: { iban: ask }, custom: mask }, { tools: ["*"], pii: deny }]
  time: 3s
`))
	want := redact.Options{
		Secrets:     redact.Block,
		Rules:       map[string]redact.Action{"generic-api-key": redact.Allow},
		PII:         map[string]redact.Action{"ssn": redact.Mask, redact.AnyType: redact.Tokenize},
		Custom:      []redact.Custom{{Name: "employee id", Pattern: `EMP-\d{6}`, Then: redact.Tokenize}, {Name: "b", Pattern: "b", Then: redact.Mask}},
		AllowValues: []string{"a@example.com"}, AllowPatterns: []string{`.*@example\.com`},
		Tools: []redact.ToolOptions{
			{Tools: []string{"crm.*"}, Secrets: redact.Mask, PII: map[string]redact.Action{redact.AnyType: redact.Allow}, Custom: redact.Hash},
			{Tools: []string{"a.b"}, Secrets: redact.Hash},
		},
		Restore: []string{"mail.send"},
		Arguments: []redact.ArgumentOptions{
			{Tools: []string{"mail.send"}, Secrets: redact.Deny, PII: map[string]redact.Verdict{"iban": redact.Ask}, Custom: redact.MaskFinds},
			{Tools: []string{"*"}, PII: map[string]redact.Verdict{redact.AnyType: redact.Deny}},
		},
		Time: 3 * time.Second,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if got, want := policy.Redaction(parse(t, "version: 1\n")), (redact.Options{Secrets: redact.Mask, Time: 2 * time.Second}); !reflect.DeepEqual(got, want) {
		t.Errorf("by default %+v, want %+v", got, want)
	}
}

// patterns are regular expressions that people and fuzzers write.
var patterns = []string{"a", "(", ")", "a)(?:b", "a*", "^a", "a$", `a\z`, "(?m)^a$", `\bEMP-\d+\b`, "(?i)x{1,1000}", "x{1001}", "(x{1000}){1000}", `\C`, `\pX`, `\p{Greek}`,
	"(?P<n>a)(?P<n>b)", "(?P<>a)", "[z-a]", "a**", "(?=a)", `\1`, "a|", "|", "(?i)", `\Q(`, "é{2}", "a\x00", strings.Repeat("(", 1001), strings.Repeat("a", 1001), "x??", "(?s).+", ".", "日本", "$a"}

// TestRedactionCompiles holds that what package config takes, package redact takes: the words,
// types, rules and patterns of one are those of the other.
func TestRedactionCompiles(t *testing.T) {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	var texts []string
	add := func(format string, args ...any) { texts = append(texts, fmt.Sprintf(format, args...)) }
	for _, word := range append([]string{"encrypt", "Mask", ""}, "mask", "tokenize", "hash", "block", "allow", "deny", "ask") {
		add("secrets: %q", word)
		add("rules: { cookie: %q }", word)
		add("pii: %q", word)
		add("pii: { '*': %q }", word)
		add("tools: [{ tools: [a.b], secrets: %q }]", word)
		add("tools: [{ tools: [a.b], pii: %q }]", word)
		add("custom: [{ name: a, pattern: a, then: %q }]\n  tools: [{ tools: [a.b], custom: %[1]q }]", word)
		for _, key := range []string{"secrets", "pii", "custom"} {
			add("arguments: [{ tools: [a.b], %s: %q }]", key, word)
		}
	}
	for _, typ := range append(pii.Types(), pii.Type{Name: "passport"}, pii.Type{Name: ""}, pii.Type{Name: "**"}) {
		add("pii: { %q: hash }", typ.Name)
		add("arguments: [{ tools: [a.b], pii: { %q: deny } }]", typ.Name)
	}
	for _, p := range patterns {
		add("custom: [{ name: a, pattern: %s }]", quote(p))
		add("allow: { patterns: [%s] }", quote(p))
	}
	for _, n := range []int{100, 101} {
		many := func(item string) string {
			var items []string
			for i := range n {
				items = append(items, strings.ReplaceAll(item, "N", fmt.Sprint(i)))
			}
			return strings.Join(items, ", ")
		}
		add("custom: [%s]", many("{ name: nN, pattern: xN }"))
		add("allow: { patterns: [%s] }", many("xN"))
	}
	add("rules: { no-such-rule: mask }")
	for _, d := range []string{"0s", "1ns", "10ms", "1m", "61s", "-1s"} {
		add("time: %s", d)
	}
	taken := 0
	for _, text := range texts {
		t.Setenv("XDG_STATE_HOME", t.TempDir())
		cfg, err := config.Parse("f", []byte("version: 1\nredact:\n  "+text+"\n"))
		if err != nil {
			var problems config.Problems
			if !errors.As(err, &problems) || problems[0].Line == 0 {
				t.Errorf("%s: %v has no place", text, err)
			}
			continue
		}
		taken++
		if _, err := redact.New(policy.Redaction(cfg)); err != nil {
			t.Errorf("%s: config takes it, and redact does not: %v", text, err)
		}
	}
	if taken < 100 || taken == len(texts) {
		t.Errorf("%d of %d taken", taken, len(texts))
	}
}

func FuzzRedaction(f *testing.F) {
	f.Setenv("XDG_STATE_HOME", f.TempDir())
	f.Add("secrets: hash\n  pii: { email: tokenize }\n  restore: [a.b]")
	f.Add("pii: mask\n  arguments: [{ tools: ['*'], pii: { iban: ask }, custom: deny }]\n  time: 1s")
	for _, p := range patterns {
		f.Add("custom: [{ name: a, pattern: '" + p + "' }]\n  allow: { patterns: ['" + p + "'] }")
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := config.Parse("f", []byte("version: 1\nredact:\n  "+text+"\n"))
		if err != nil {
			return
		}
		if _, err := redact.New(policy.Redaction(cfg)); err != nil {
			t.Errorf("%q: config takes it, and redact does not: %v", text, err)
		}
	})
}

func TestRedactionWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"pii: mask": "",
		"pii: { email: tokenize }\n  restore: [mail.send]":                                       "",
		"pii: { iban: mask, email: tokenize }":                                                   "3:29: warning: no tool gets the value behind a stand-in",
		"pii: tokenize":                                                                          "3:3: warning: no tool gets the value",
		"secrets: tokenize":                                                                      "3:12: warning: no tool gets the value",
		"rules: { cookie: tokenize }":                                                            "3:20: warning: no tool gets the value",
		"custom: [{ name: a, pattern: a, then: tokenize }]":                                      "3:41: warning: no tool gets the value",
		"tools: [{ tools: [a.b], pii: { email: tokenize } }]":                                    "3:41: warning: no tool gets the value",
		"restore: [mail.send]":                                                                   "3:3: warning: nothing is tokenized",
		"tools: [{ tools: [a.b], custom: mask }]":                                                "3:35: warning: there are no patterns",
		"arguments: [{ tools: [a.b], custom: mask }]":                                            "3:39: warning: there are no patterns",
		"custom: [{ name: a, pattern: a }]\n  arguments: [{ tools: [a.b], custom: mask }]":       "",
		"tools: [{ tools: [a.b], pii: tokenize, custom: tokenize }]\n  restore: [\"mail.send\"]": "3:50: warning: there are no patterns",
	} {
		got := policy.RedactionWarnings(parse(t, "version: 1\nredact:\n  "+text+"\n")).Error()
		if want == "" && got != "" || !strings.Contains(got, want) || strings.Count(got, "warning") > 1 {
			t.Errorf("%s: %s, want %q", text, got, want)
		}
	}
}

func TestRedactionFindings(t *testing.T) {
	cfg := parse(t, `version: 1
redact:
  pii: { email: tokenize }
  tools: [{ tools: ["crm.*", "CRM.Get"], secrets: block }, { tools: ["web.*"], secrets: block }]
  restore: ["mail.sent"]
  arguments:
    - { tools: ["mail.send", "mail.inbox"], secrets: deny }
`)
	p, err := policy.Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range policy.Findings(cfg, p, []rules.Capability{
		{Kind: rules.Tool, Server: "crm", Name: "get"}, {Kind: rules.Tool, Server: "mail", Name: "send"}, {Kind: rules.Prompt, Server: "mail", Name: "inbox"},
	}) {
		got = append(got, fmt.Sprintf("%d:%d %s %s", f.Line, f.Column, f.Message, f.Suggestion))
	}
	want := []string{`4:71 the pattern "web.*" matches no tool `, `5:14 the pattern "mail.sent" matches no tool mail.send`, `7:31 the pattern "mail.inbox" matches no tool `}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
