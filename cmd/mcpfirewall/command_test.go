package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/spf13/cobra"
)

func TestGolden(t *testing.T) {
	reference := filepath.Join("..", "..", "mcpfirewall.yaml")
	tests := []struct {
		golden, config string
		args           []string
		env            string
		status         int
	}{
		{"tools.txt", reference, []string{"tools"}, "", 0},
		{"tools.json", reference, []string{"tools", "--json"}, "", 0},
		{"tools-down.txt", "testdata/down.yaml", []string{"tools"}, "", 1},
		{"check-ok.txt", reference, []string{"check", "--live"}, "", 0},
		{"check-broken.txt", "testdata/broken.yaml", []string{"check"}, "", 1},
		{"check-broken.json", "testdata/broken.yaml", []string{"check", "--json"}, "", 1},
		{"check-problems.txt", "testdata/problems.yaml", []string{"check"}, "", 1},
		{"check-problems.json", "testdata/problems.yaml", []string{"check", "--json"}, "", 1},
		{"check-rules.txt", "testdata/rules.yaml", []string{"check"}, "", 1},
		{"check-short.txt", "testdata/live.yaml", []string{"check"}, "TOO_SHORT=abc", 0},
		{"check-live.txt", "testdata/live.yaml", []string{"check", "--live"}, "TOO_SHORT=abc", 1},
	}
	for _, test := range tests {
		t.Run(test.golden, func(t *testing.T) {
			h := newHome(t, test.env)
			path := h.write(t, "config.yaml", read(t, test.config))
			got := h.run(t, "", append(test.args, "--config", path)...)
			if got.status != test.status {
				t.Errorf("exit status %d, want %d\n%s", got.status, test.status, got.stderr)
			}
			golden(t, test.golden, strings.ReplaceAll(got.stdout, h.dir+string(filepath.Separator), "DIR/"))
		})
	}
}

// TestAllProblems holds that problems of the file, of its references and of its policy are
// reported together, whatever the command, and that nothing is done then.
func TestAllProblems(t *testing.T) {
	h := newHome(t)
	config := h.write(t, "config.yaml", read(t, "testdata/problems.yaml"))
	h.write(t, "records.jsonl", "")
	want := h.run(t, "", "check", "--config", config).stdout
	if n := strings.Count(want, "\n"+`  `); n < 20 {
		t.Fatalf("check says\n%s", want)
	}
	for _, args := range []string{"run", "serve --listen 127.0.0.1:0", "tools", "call get_issue", "explain github.get_issue", "replay records.jsonl",
		"redact", "secrets check", "trust"} {
		got := h.run(t, "", append(strings.Fields(args), "--config", config)...)
		if got.status != 1 || got.stdout != "" || got.stderr != "mcpfirewall: "+want {
			t.Errorf("%s: exit status %d, standard output %q, standard error\n%s", args, got.status, got.stdout, got.stderr)
		}
	}
	if _, err := os.Stat(auditFile(h)); err == nil {
		t.Errorf("there are records of it:\n%s", read(t, auditFile(h)))
	}

	h.write(t, "config.yaml", "version: 1\nservers: { demo: { command: mcpfirewall, args: [demo, server] } }\ntools: { default: allow }\n")
	c := h.start(t, "run", "--config", config)
	c.send(initialize)
	c.wait(`"id":"hello"`)
	c.send(initialized)
	h.write(t, "config.yaml", read(t, "testdata/problems.yaml"))
	eventually(t, c.stderr.String, "the old one stays in force")
	var event struct {
		Problems []string `json:"problems"`
	}
	for line := range strings.Lines(c.stderr.String()) {
		if strings.Contains(line, "the old one stays in force") {
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := strings.Join(event.Problems, "\n") + "\n"; got != want {
		t.Errorf("the log says\n%s\nand check\n%s", got, want)
	}
	c.send(listTools)
	if list := c.wait(`"id":"list"`); !strings.Contains(list, "read_inbox") {
		t.Errorf("then the list is %s", list)
	}
}

func TestDemo(t *testing.T) {
	h := newHome(t)
	h.env = append(h.env, "TMPDIR="+h.dir, "TMP="+h.dir)
	got := h.run(t, "", "demo")
	if got.status != 0 || got.stderr != "" {
		t.Errorf("exit status %d, standard error %q", got.status, got.stderr)
	}
	golden(t, "demo.txt", got.stdout)
	if left, err := filepath.Glob(filepath.Join(h.dir, "mcpfirewall-demo-*")); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind", left)
	}
}

// TestWithoutHome holds that what needs no home folder does without, and the rest names it.
func TestWithoutHome(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the home folder is no environment variable of its own")
	}
	h := newHome(t)
	h.env = slices.DeleteFunc(h.env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") })
	if got := h.run(t, "", "demo"); got.status != 0 {
		t.Errorf("demo: exit status %d\n%s", got.status, got.stderr)
	}
	if got := h.run(t, "", "wrap", "--", "true"); got.status != 1 || !strings.Contains(got.stderr, "$HOME") {
		t.Errorf("wrap: exit status %d\n%s", got.status, got.stderr)
	}
}

func TestExitStatus(t *testing.T) {
	h := newHome(t)
	reference := h.write(t, "reference.yaml", read(t, filepath.Join("..", "..", "mcpfirewall.yaml")))
	folder := h.write(t, "folder.yaml", "version: 1\nservers: { demo: { command: mcpfirewall, args: [demo, server] } }\naudit: { file: . }\n")
	tests := []struct {
		args   string
		status int
		stderr string // that it must hold
	}{
		{"", 2, "which command?"},
		{"--help", 0, ""},
		{"nonsense", 2, "unknown command"},
		{"cal", 2, "did you mean call?"},
		{"secrets", 2, "One of secrets check"},
		{"secrets chekc", 2, "did you mean check?"},
		{"completion", 2, "One of completion bash, completion fish"},
		{"completion foo", 2, "unknown command"},
		{"help", 0, ""},
		{"help call", 0, ""},
		{"help bogus", 2, "unknown command"},
		{"serve --listen nonsense --config " + reference, 2, "such as 127.0.0.1:8750"},
		{"serve --listen 127.0.0.1:http --config " + reference, 2, "such as 127.0.0.1:8750"},
		{"explain nosuch {} --config " + reference, 2, "SERVER.TOOL"},
		{"version extra", 2, ""},
		{"version --no-such-flag", 2, "unknown flag"},
		{"wrap", 2, "requires at least 1 arg"},
		{"call --config " + reference, 2, ""},
		{"call read_inbox [] --config " + reference, 2, "no JSON object"},
		{`call read_inbox {"a":1,"a":2} --config ` + reference, 2, "refused"},
		{"tools --log-level loud --config " + reference, 2, "--log-level"},
		{"version", 0, ""},
		{"completion bash", 0, ""},
		{"run", 1, "no configuration found"},
		{"run --config missing.yaml", 1, "missing.yaml"},
		{"run --config " + folder, 1, "audit.file"},
		{"serve --listen 0.0.0.0:0 --config " + reference, 1, "without authentication"},
		{"tools --config " + reference, 0, ""},
		{"call read_inbox --config " + reference, 0, ""},
		{"call delete_all --config " + reference, 1, "Unknown tool"},
		{"call send_mail {} --config " + reference, 1, ""},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			got := h.run(t, "", strings.Fields(test.args)...)
			if got.status != test.status || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("exit status %d, want %d; standard error must hold %q:\n%s", got.status, test.status, test.stderr, got.stderr)
			}
			if test.status == 2 && got.stdout != "" {
				t.Errorf("wrong use writes to standard output: %q", got.stdout)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Long == "" && cmd.Name() != "version" && cmd.Name() != "check" {
			t.Errorf("%s lacks a description", cmd.CommandPath())
		}
		if cmd.Parent() != nil && cmd.Parent().Name() == "completion" {
			return // cobra's own, whose text holds the examples
		}
		if !strings.Contains(cmd.Example, "mcpfirewall") {
			t.Errorf("%s lacks an example", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit((&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).command())
}

func rawConfig(t *testing.T, h home, more string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return h.write(t, "raw.yaml", fmt.Sprintf("version: 1\nservers:\n  raw:\n    command: %q\n    args: [raw-server]\n    env: { RAW_TOKEN: \"${env:TEST_TOKEN}\" }\ntools: { default: allow }\n%s", self, more))
}

func TestCall(t *testing.T) {
	h := newHome(t, "TEST_TOKEN=correct-horse-battery")
	path := rawConfig(t, h, "")
	if got := h.run(t, " {} \n", "call", "--json", "--config", path, "get", "-"); got.stdout != rawResult+"\n" || got.status != 0 {
		t.Errorf("the result is not as the server wrote it: status %d, %s\n%s", got.status, got.stdout, got.stderr)
	}
	if got := h.run(t, "", "call", "--config", path, "get"); got.stdout != "<b>é🙂&\n" || got.status != 0 {
		t.Errorf("the text is printed as %q, status %d", got.stdout, got.status)
	}
	got := h.run(t, "", "call", "--json", "--config", path, "fail")
	if want := `{"error":{"code":-32050,"message":"no \u001b[2J","data":{"n":12345678901234567890}}}` + "\n"; got.stdout != want || got.status != 1 {
		t.Errorf("the error is printed as %q, status %d, want %q", got.stdout, got.status, want)
	}
	got = h.run(t, "", "call", "--config", path, "fail")
	if strings.Contains(got.stderr, "\x1b") || !strings.Contains(got.stderr, "error -32050") || got.status != 1 {
		t.Errorf("the error is printed as %q, status %d", got.stderr, got.status)
	}
}

func TestToolsJSON(t *testing.T) {
	h := newHome(t, "TEST_TOKEN=correct-horse-battery")
	got := h.run(t, "", "tools", "--json", "--config", rawConfig(t, h, "naming: always\n"))
	var out struct {
		Capabilities []struct{ Exposed string } `json:"capabilities"`
	}
	if err := json.Unmarshal([]byte(got.stdout), &out, jsontext.AllowDuplicateNames(false), json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	if len(out.Capabilities) != 2 || out.Capabilities[0].Exposed != "raw__get" {
		t.Errorf("capabilities %v", out.Capabilities)
	}
}

func TestLog(t *testing.T) {
	const secret = "correct-horse-battery"
	h := newHome(t, "TEST_TOKEN="+secret)
	path := rawConfig(t, h, "")
	file := filepath.Join(h.dir, "firewall.log")
	for _, args := range [][]string{nil, {"--log-file", file}} {
		got := h.run(t, "", append([]string{"call", "get", "--log-level", "trace", "--config", path}, args...)...)
		text := got.stderr
		if args != nil {
			if text != "" {
				t.Errorf("with --log-file, standard error holds %q", text)
			}
			text = read(t, file)
		}
		if strings.Contains(text, secret) || !strings.Contains(text, "starting with token [redacted:env]") {
			t.Errorf("the server's standard error is not in the log without its secret:\n%s", text)
		}
		for line := range strings.Lines(text) {
			if !jsontext.Value(line).IsValid() {
				t.Errorf("a line of the log is no JSON: %q", line)
			}
		}
	}
	records := read(t, auditFile(h))
	if strings.Contains(records, secret) || !strings.Contains(records, `"event":"outcome"`) {
		t.Errorf("the records hold the secret, or not the outcome:\n%s", records)
	}
}

// auditFile returns where the records are by default.
func auditFile(h home) string {
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(h.dir, "Library", "Application Support", "mcpfirewall", "audit.jsonl")
	case "windows":
		return filepath.Join(h.dir, "local", "mcpfirewall", "audit.jsonl")
	}
	return filepath.Join(h.dir, ".local", "state", "mcpfirewall", "audit.jsonl")
}

func TestTrust(t *testing.T) {
	h := newHome(t)
	reference := read(t, filepath.Join("..", "..", "mcpfirewall.yaml"))
	h.write(t, "mcpfirewall.yaml", reference)
	refused := func(when string) {
		t.Helper()
		if got := h.run(t, "", "tools"); got.status != 1 || !strings.Contains(got.stderr, "mcpfirewall trust") {
			t.Errorf("%s: status %d, %s", when, got.status, got.stderr)
		}
	}
	refused("never trusted")
	if got := h.run(t, "", "trust"); got.status != 0 || !strings.Contains(got.stdout, "mcpfirewall.yaml") {
		t.Fatalf("trust: status %d, %s", got.status, got.stderr)
	}
	if got := h.run(t, "", "tools"); got.status != 0 || !strings.Contains(got.stdout, "read_inbox") {
		t.Errorf("trusted: status %d, %s", got.status, got.stderr)
	}
	h.write(t, "mcpfirewall.yaml", reference+"\n")
	refused("changed since")
	for _, broken := range []string{"version: 2\n", "version: 1\nservers: { a: { command: a } }\nrules: [{ name: a, tools: ['*'], when: 'args.', then: deny }]\n"} {
		h.write(t, "mcpfirewall.yaml", broken)
		if got := h.run(t, "", "trust"); got.status != 1 || !strings.Contains(got.stderr, "mcpfirewall.yaml:") {
			t.Errorf("a broken file was trusted: %s%s", got.stdout, got.stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	h := newHome(t)
	got := h.run(t, "", "version", "--json")
	for _, member := range []string{"version", "commit", "go", "platform"} {
		if v, ok := jsonrpc.GetString([]byte(got.stdout), member); !ok || v == "" {
			t.Errorf("version --json lacks %s: %s", member, got.stdout)
		}
	}
	if !strings.Contains(h.run(t, "", "version").stdout, "2026-07-28, 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05") {
		t.Error("version does not list the protocol versions")
	}
}
