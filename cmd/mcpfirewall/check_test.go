package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const checkedPolicy = `version: 1
servers: { shop: { command: shop-mcp }, mail: { command: mail-mcp } }
tools:
  allow: ["shop.*", "mail.*"]
  narrow:
    small_refund:
      from: shop.refund
      description: A refund of one.
      input: { order: { type: integer, minimum: 1 } }
      args: { order: input.order, amount: "1" }
rules:
  - { name: big, tools: ["shop.small_refund"], when: args.amuont > 50, then: ask }
limits:
  - { name: money, tools: ["shop.small_refund"], sum: args.amount, max: 100, per: day, then: deny }
`

const shopTools = `{"tools":[{"name":"refund","inputSchema":{"type":"object","properties":{"order":{"type":"integer"},"amount":{"type":"number","minimum":0}},"required":["order","amount"]}}]}`

// check holds a policy against recorded lists, and says where it held it against none.
func TestCheckTools(t *testing.T) {
	h := newHome(t)
	wrong := h.write(t, "wrong.yaml", checkedPolicy)
	right := h.write(t, "right.yaml", strings.Replace(checkedPolicy, "amuont", "amount", 1))
	shop := h.write(t, "shop.json", shopTools)
	mail := h.write(t, "mail.json", `[{"name":"send","inputSchema":{"type":"object"}}]`)
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"--config " + wrong, 0, "ok, but no rule was held against a schema: use --live or --tools"},
		{"--json --config " + wrong, 0, `"level": "note"`},
		{"--tools shop=" + shop + " --config " + wrong, 1, "amount"},
		{"--tools shop=" + shop + ",mail=" + mail + " --config " + wrong, 1, "wrong.yaml:12"},
		{"--json --tools shop=" + shop + " --config " + wrong, 1, `"line": 12`},
		{"--tools shop=" + shop + " --config " + right, 0, "warning"}, // mail.* may match what mail has
		{"--tools shop=" + shop + " --tools mail=" + mail + " --config " + right, 0, "right.yaml: ok\n"},
		{"--tools mail=" + shop + ",shop=" + mail + " --config " + right, 1, `no tool "refund"`},
	} {
		got := h.run(t, "", append([]string{"check"}, strings.Fields(test.args)...)...)
		if got.status != test.status || !strings.Contains(got.stdout, test.want) {
			t.Errorf("%s: status %d, %s%s", test.args, got.status, got.stdout, got.stderr)
		}
	}
	for args, want := range map[string]string{
		"--tools shopp=" + shop:               `no server "shopp"`,
		"--tools shop=" + right:               "not the JSON",
		"--tools shop=missing.json":           "missing.json",
		"--live --tools shop=" + shop:         "one of the two",
		"--tools shop=" + shop + " --tools x": "x",
	} {
		if got := h.run(t, "", append([]string{"check", "--config", right}, strings.Fields(args)...)...); got.status != 2 || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: status %d, %s", args, got.status, got.stderr)
		}
	}
}

// What public servers were seen to offer can be checked against, without a false error.
func TestCheckRecordedTools(t *testing.T) {
	shared := os.Getenv("MCPFIREWALL_SHARED")
	if shared == "" {
		t.Skip("MCPFIREWALL_SHARED is not set: the recorded tool lists are not here")
	}
	files, err := filepath.Glob(filepath.Join(shared, "data", "mcp-servers", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded tool lists: %v", err)
	}
	h := newHome(t)
	var servers strings.Builder
	var args []string
	for i, file := range files {
		fmt.Fprintf(&servers, "  s%d: { command: s }\n", i)
		args = append(args, "--tools", fmt.Sprintf("s%d=%s", i, file))
	}
	policy := "version: 1\nservers:\n" + servers.String() + `tools: { default: allow }
rules:
  - { name: any, tools: ["*"], when: 'tool.annotations.destructiveHint and len(args) > 20', then: ask }
  - { name: every, tools: ["*"], when: 'any(values(args), type(#) == "string" and # contains "secret")', then: ask }
  - { name: NAME, tools: ["*.NAME"], when: 'CONDITION', then: ask }
limits:
  - { name: calls, tools: ["*"], max: 100, per: 1h, by: tool, then: ask }
`
	for condition, status := range map[string]int{`args.path contains "x"`: 0, `args.paht contains "x"`: 1} {
		path := h.write(t, "config.yaml", strings.NewReplacer("NAME", "read_text_file", "CONDITION", condition).Replace(policy))
		got := h.run(t, "", append([]string{"check", "--config", path}, args...)...)
		if got.status != status || strings.Contains(got.stdout, "no rule was held") {
			t.Errorf("%s: status %d\n%s%s", condition, got.status, got.stdout, got.stderr)
		}
	}
}
