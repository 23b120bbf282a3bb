package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// testingPage is docs/testing.md, and its files written to a home folder.
func testingPage(t *testing.T) (h home, page string) {
	t.Helper()
	h = newHome(t)
	page = strings.ReplaceAll(read(t, filepath.Join("..", "..", "docs", "testing.md")), "\r\n", "\n")
	files := regexp.MustCompile("(?ms)^`([a-z_.]+)`, [^\n]*:\n\n```(?:yaml|json)\n(.*?)^```$").FindAllStringSubmatch(page, -1)
	if len(files) != 5 {
		t.Fatalf("docs/testing.md shows %d files", len(files))
	}
	for _, m := range files {
		h.write(t, m[1], m[2])
	}
	return h, page
}

// TestDocsTesting runs the commands of the page on its files and compares what they print.
func TestDocsTesting(t *testing.T) {
	h, page := testingPage(t)
	commands := regexp.MustCompile("(?ms)^```sh\n(mcpfirewall .*?)\n```\n\n```text\n(.*?)^```$").FindAllStringSubmatch(page, -1)
	if len(commands) != 4 || len(commands) != len(blocks(page, "sh")) {
		t.Fatalf("docs/testing.md shows %d commands with their output", len(commands))
	}
	good := read(t, filepath.Join(h.dir, "shop_test.yaml"))
	for _, m := range commands {
		text := good
		if strings.Contains(m[2], "--- FAIL") { // "If the first amount above were 70"
			text = strings.Replace(good, "amount: 40", "amount: 70", 1)
		}
		h.write(t, "shop_test.yaml", text)
		got := h.run(t, "", shellWords(m[1])[1:]...)
		if got.stdout != m[2] || got.stderr != "" {
			t.Errorf("%s prints\n%s%s\nand docs/testing.md says\n%s", m[1], got.stdout, got.stderr, m[2])
		}
	}
	for _, text := range blocks(page, "yaml") {
		if strings.Contains(text, "version:") {
			if got := h.run(t, "", "check", "--config", h.write(t, "checked.yaml", text)); got.status != 0 || strings.Contains(got.stdout, "warning") {
				t.Errorf("check says %s%s", got.stdout, got.stderr)
			}
		}
	}
}

func TestTrialGolden(t *testing.T) {
	tests := []struct {
		golden string
		args   []string
		edit   [2]string // of shop_test.yaml
		status int
	}{
		{"test-pass.json", []string{"test", "--json"}, [2]string{}, 0},
		{"test-fail.txt", []string{"test", "-v"}, [2]string{"ann@example.com, text", "bob@example.com, text"}, 1},
		{"test-fail.json", []string{"test", "--json", "--run", "orders"}, [2]string{"call: shop.query, hidden: true", "call: shop.query, expect: allow"}, 1},
		{"test-invalid.txt", []string{"test", "--run", "small"}, [2]string{"amount: 51", "amonut: 51"}, 1},
		{"test-cover.txt", []string{"test", "--run", "small", "--cover"}, [2]string{}, 0},
		{"explain.json", []string{"explain", "--json", "--tools", "shop=shop.tools.json", "shop.refund", `{"order":1,"amount":60}`}, [2]string{}, 0},
		{"explain-narrowed.txt", []string{"explain", "shop.order_status", `{"id":7}`, "--result", "on its way"}, [2]string{}, 0},
		{"explain-hidden.txt", []string{"explain", "shop.query"}, [2]string{}, 0},
		{"replay.json", []string{"replay", "--json", "audit.jsonl"}, [2]string{}, 1},
		{"replay-quiet.txt", []string{"replay", "--quiet", "audit.jsonl"}, [2]string{}, 1},
	}
	for _, test := range tests {
		t.Run(test.golden, func(t *testing.T) {
			h, _ := testingPage(t)
			if test.edit[0] != "" {
				text := read(t, filepath.Join(h.dir, "shop_test.yaml"))
				h.write(t, "shop_test.yaml", strings.Replace(text, test.edit[0], test.edit[1], 1))
			}
			got := h.run(t, "", append(test.args, "--config", "shop.yaml")...)
			if got.status != test.status {
				t.Errorf("exit status %d, want %d\n%s", got.status, test.status, got.stderr)
			}
			escaped, err := json.Marshal(h.dir + string(filepath.Separator))
			if err != nil {
				t.Fatal(err)
			}
			out := strings.ReplaceAll(got.stdout, strings.Trim(string(escaped), `"`), "DIR/")
			golden(t, test.golden, strings.ReplaceAll(out, h.dir+string(filepath.Separator), "DIR/"))
		})
	}
}

func TestTrialUse(t *testing.T) {
	h, _ := testingPage(t)
	h.write(t, "empty.jsonl", "")
	h.write(t, "broken_test.yaml", "tests:\n  - name: x\n    steps:\n      - { call: shop.refund, expct: allow }\n")
	tests := []struct {
		args   string
		status int
		stderr string
	}{
		{"test shop_test.yaml --cover-min 80", 0, ""},
		{"test shop_test.yaml --cover-min 95", 1, "--cover-min is 95%"},
		{"test shop_test.yaml --cover-min 101", 2, "percentage"},
		{"test shop_test.yaml --run (", 2, "--run"},
		{"test --config shop.yaml broken_test.yaml", 1, `unknown key "expct"`},
		{"test --config shop.yaml missing_test.yaml", 1, "missing_test.yaml"},
		{"test --config shop.yaml", 1, "expct"}, // every *_test.yaml beside it
		{"explain --config shop.yaml refund", 2, "SERVER.TOOL"},
		{"explain --config shop.yaml shop.refund []", 2, "no JSON object"},
		{"explain --config shop.yaml --tools shop=shop.tools.json shop.refnd", 1, `did you mean "shop.refund"?`},
		{"replay --config shop.yaml empty.jsonl", 0, ""},
		{"replay --config shop.yaml missing.jsonl", 1, "missing.jsonl"},
		{"replay --config shop.yaml --quiet --json empty.jsonl", 2, "choose one"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			got := h.run(t, "", strings.Fields(test.args)...)
			if got.status != test.status || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("exit status %d, want %d; standard error must hold %q:\n%s", got.status, test.status, test.stderr, got.stderr)
			}
		})
	}
}
