package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mcpfirewall/mcpfirewall/internal/e2e/claude"
)

// claudeHome is a home folder and a project for Claude Code, with one MCP server "fw": the firewall. Tools of it are
// mcp__fw__NAME to the model.
type claudeHome struct {
	t       *testing.T
	bin     string
	home    string
	project string
	config  string // the firewall's
	audit   string // the firewall's
	model   *claude.Model
	steps   int // that the test gave
}

// newClaudeHome writes the firewall's configuration with the servers "ev", the everything server of npm, and "ref", the
// reference server of the Go SDK, and the given policy. The steps begin when so many tools are offered to the model.
func newClaudeHome(t *testing.T, policy string, tools int, steps ...claude.Step) *claudeHome {
	t.Helper()
	h := &claudeHome{t: t, bin: npm(t, "claude", ".bin", "claude"+exeSuffix), home: lingeringDir(t)}
	// Claude Code begins with the tools that are there; those of a server that starts slowly come later.
	patience := claude.Call("mcp__fw__wait", `{}`)
	patience.Until = func() bool { return len(h.lastOffered()) >= tools }
	h.model = claude.Start(append([]claude.Step{patience}, steps...)...)
	t.Cleanup(h.model.Close)
	h.project = filepath.Join(h.home, "project")
	if err := os.Mkdir(h.project, 0o700); err != nil {
		t.Fatal(err)
	}
	h.config, h.audit = filepath.Join(h.home, "mcpfirewall.yaml"), filepath.Join(h.home, "audit.jsonl")
	h.setPolicy(policy)
	h.write(".claude.json", object{ // what the first start would ask
		"hasCompletedOnboarding": true, "theme": "dark", "customApiKeyResponses": object{"approved": []string{"none"}},
		"projects": object{h.project: object{"hasTrustDialogAccepted": true}},
	})
	h.steps = len(steps)
	h.write("mcp.json", object{"mcpServers": object{"fw": object{"command": firewall(t), "args": h.args()}}})
	return h
}

// lingeringDir is t.TempDir for programs that start others: a firewall whose client was killed writes its last records
// while the folder is removed already.
func lingeringDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mcpfirewall-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		deadline := time.Now().Add(waitAtMost)
		for err := os.RemoveAll(dir); err != nil; err = os.RemoveAll(dir) {
			if time.Now().After(deadline) {
				t.Error(err)
				return
			}
			time.Sleep(50 * time.Millisecond) // nothing tells when processes of others have ended
		}
	})
	return dir
}

func (h *claudeHome) args() []string {
	return []string{"run", "--config", h.config, "--log-file", filepath.Join(h.home, "log.jsonl")}
}

// setPolicy writes the firewall's configuration.
func (h *claudeHome) setPolicy(policy string) {
	h.t.Helper()
	text := fmt.Sprintf("version: 1\nservers:\n  ev: { command: %q, args: [%q] }\n  ref: { command: %q }\naudit: { file: %q }\nstate: { path: %q }\n%s",
		node22(h.t), npmEverything(h.t), reference(h.t), h.audit, filepath.Join(h.home, "state"), policy)
	// Renamed into place, so that a running firewall never reads half of it.
	next := h.config + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(next, h.config); err != nil {
		h.t.Fatal(err)
	}
}

func (h *claudeHome) write(name string, v any) {
	h.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.home, name), b, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// command returns Claude Code with nothing of the user's, and nothing of the network but the model.
func (h *claudeHome) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.bin, args...)
	cmd.Dir = h.project
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.home, "TERM=xterm-256color", "ANTHROPIC_BASE_URL=" + h.model.URL, "ANTHROPIC_API_KEY=none",
		"DISABLE_AUTOUPDATER=1", "DISABLE_TELEMETRY=1", "DISABLE_ERROR_REPORTING=1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
		"ENABLE_TOOL_SEARCH=false", // all tools are offered at once
		"MCP_TIMEOUT=30000",        // for the connection, in ms
	}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// session are the flags of a conversation with the firewall's tools.
func (h *claudeHome) session(more ...string) []string {
	return append([]string{"--mcp-config", filepath.Join(h.home, "mcp.json"), "--strict-mcp-config", "--allowedTools", "mcp__fw"}, more...)
}

// run runs `claude -p` to its end and returns the results of the model's steps. The hook, if any, is what answers
// elicitations: "accept" or "decline".
func (h *claudeHome) run(hook string) []claude.Result {
	h.t.Helper()
	if hook != "" {
		return h.runWith("go", h.hook(hook))
	}
	return h.runWith("go", "")
}

// runWith is run with a prompt and a file of settings, "" for none.
func (h *claudeHome) runWith(prompt, settings string) []claude.Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 3*time.Minute)
	defer cancel()
	args := append([]string{"-p", prompt}, h.session()...)
	if settings != "" {
		args = append(args, "--settings", settings)
	}
	out, err := h.command(ctx, args...).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("DONE")) {
		h.t.Fatalf("claude -p: %v\n%s\n%s", err, out, h.log())
	}
	return h.model.Results(h.steps)
}

// hook returns settings in which a program answers each elicitation, as Claude Code has it for use without a terminal.
func (h *claudeHome) hook(action string) string {
	h.t.Helper()
	h.write("answer.json", object{"hookSpecificOutput": object{
		"hookEventName": "Elicitation", "action": action,
		"content": map[string]object{"accept": {"name": "Ada"}}[action],
	}})
	command := fmt.Sprintf("cat > %q; cat %q", filepath.Join(h.home, "asked.json"), filepath.Join(h.home, "answer.json"))
	h.write("settings.json", object{"hooks": object{"Elicitation": []object{{"hooks": []object{{"type": "command", "command": command}}}}}})
	return filepath.Join(h.home, "settings.json")
}

// asked returns the message of the last elicitation that the hook saw.
func (h *claudeHome) asked() string {
	var v struct {
		Message string `json:"message"`
	}
	b, err := os.ReadFile(filepath.Join(h.home, "asked.json"))
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		h.t.Errorf("the hook was not asked: %v", err)
	}
	return v.Message
}

// log tells what happened, for a test that failed.
func (h *claudeHome) log() string {
	b, _ := os.ReadFile(filepath.Join(h.home, "log.jsonl"))
	offered := h.model.Offered("mcp__")
	return fmt.Sprintf("%d turns, the last ones offered %q and came back with %+v\nlog of the firewall:\n%s",
		len(offered), offered[max(0, len(offered)-2):], h.model.Results(2), b[max(0, len(b)-4000):])
}

// decisions returns, per record of the audit about a call of the tool, its event and decision.
func (h *claudeHome) decisions(tool string) []string {
	h.t.Helper()
	b, err := os.ReadFile(h.audit)
	if err != nil {
		h.t.Fatal(err)
	}
	var list []string
	for line := range bytes.Lines(b) {
		var r struct{ Event, Capability, Action string }
		if err := json.Unmarshal(line, &r, json.MatchCaseInsensitiveNames(true)); err != nil {
			h.t.Fatalf("%v in %s", err, line)
		}
		if r.Capability == tool {
			list = append(list, strings.TrimSpace(r.Event+" "+r.Action))
		}
	}
	return list
}

const claudePolicy = `
tools:
  allow: [ev.echo, ev.get-sum, ref.test_simple_text, ref.test_error_handling]
  ask: [ref.test_multiple_content_types]
rules:
  - { name: no secrets, tools: [ev.echo], when: 'args.message contains "secret"', then: deny, message: Ask for something else. }
`

var claudeTools = []string{
	"mcp__fw__ev__echo", "mcp__fw__ev__get-sum", "mcp__fw__ref__test_error_handling", "mcp__fw__ref__test_multiple_content_types", "mcp__fw__ref__test_simple_text",
}

func TestClaudeCode(t *testing.T) {
	h := newClaudeHome(t, claudePolicy, len(claudeTools),
		claude.Call("mcp__fw__ev__echo", `{"message":"hello 😀 \u00e9"}`),
		claude.Call("mcp__fw__ref__test_simple_text", `{}`),
		claude.Call("mcp__fw__ref__test_error_handling", `{}`),
		claude.Call("mcp__fw__ev__echo", `{"message":"the secret"}`),
		claude.Call("mcp__fw__ev__get-env", `{}`),
		claude.Call("mcp__fw__ev__get-sum", `{"a":20,"b":22}`),
		claude.Call("mcp__fw__ref__test_multiple_content_types", `{}`),
	)
	results := h.run("")
	for i, offered := range h.model.Offered("mcp__") {
		if slices.ContainsFunc(offered, func(tool string) bool { return !slices.Contains(claudeTools, tool) }) {
			t.Errorf("turn %d offered %q, only %q are allowed\n%s", i, offered, claudeTools, h.log())
		}
	}
	if offered := h.lastOffered(); !slices.Equal(offered, claudeTools) {
		t.Errorf("offered are %q, want %q\n%s", offered, claudeTools, h.log())
	}
	want := []struct {
		what    string
		part    string
		isError bool
	}{
		{"call", "Echo: hello 😀 é", false},
		{"call of a modern server", "This is a simple text response for testing.", false},
		{"tool that fails", "error", true},
		{"denied call", "Ask for something else.", true},
		{"hidden tool", "No such tool available", true}, // Claude Code itself says so
		{"call after refusals", "42", false},
		{"call that nobody approves", "did not approve", true}, // `claude -p` cancels what it cannot ask
	}
	if len(results) != len(want) {
		t.Fatalf("%d results, want %d: %+v", len(results), len(want), results)
	}
	for i, w := range want {
		if r := results[i]; !strings.Contains(r.Text, w.part) || r.IsError != w.isError {
			t.Errorf("%s: %q, error %v; want %q, error %v", w.what, r.Text, r.IsError, w.part, w.isError)
		}
	}
	if got, want := h.decisions("echo"), []string{"intent allow", "outcome", "refusal deny"}; !slices.Equal(got, want) {
		t.Errorf("records of echo: %q, want %q", got, want)
	}
	if got := h.decisions("get-env"); len(got) != 0 {
		t.Errorf("the hidden tool was called: %q", got)
	}
}

func TestClaudeCodeApproval(t *testing.T) {
	for action, want := range map[string]claude.Result{
		"accept":  {Text: "Echo: to Bob"},
		"decline": {Text: "did not approve", IsError: true},
	} {
		t.Run(action, func(t *testing.T) {
			h := newClaudeHome(t, "tools: { ask: [ev.echo] }\n", 1, claude.Call("mcp__fw__ev__echo", `{"message":"to Bob"}`))
			results := h.run(action)
			if len(results) != 1 || !strings.Contains(results[0].Text, want.Text) || results[0].IsError != want.IsError {
				t.Errorf("got %+v, want %+v", results, want)
			}
			if asked := h.asked(); !strings.Contains(asked, "ev") || !strings.Contains(asked, "echo") || !strings.Contains(asked, `{"message":"to Bob"}`) {
				t.Errorf("the person was asked %q, which does not show server, tool and arguments", asked)
			}
		})
	}
}

// What the user wrote, handed over by a hook, is the user's word to the rules; what the model made up is not.
func TestClaudeCodePrompt(t *testing.T) {
	h := newClaudeHome(t, `
tools: { allow: [ev.echo] }
rules:
  - { name: as the user said, tools: [ev.echo], when: not trusted(args.message), then: deny }
`, 1,
		claude.Call("mcp__fw__ev__echo", `{"message":"carol@example.com"}`),
		claude.Call("mcp__fw__ev__echo", `{"message":"mallory@evil.example"}`),
	)
	h.write("settings.json", object{"hooks": object{"UserPromptSubmit": []object{{"hooks": []object{{"type": "command",
		"command": fmt.Sprintf("%q hook --config %q", firewall(t), h.config)}}}}}})
	results := h.runWith("Echo the address carol@example.com, please.", filepath.Join(h.home, "settings.json"))
	if len(results) != 2 || !strings.Contains(results[0].Text, "Echo: carol@example.com") || results[0].IsError ||
		!strings.Contains(results[1].Text, "as the user said") || !results[1].IsError {
		t.Errorf("%+v\n%s", results, h.log())
	}
}

// An elicitation of the server itself, of a legacy one and of a modern one.
func TestClaudeCodeElicitation(t *testing.T) {
	for _, c := range []struct {
		server, tool, action, want string
	}{
		{"ev", "trigger-elicitation-request", "accept", "- Name: Ada"},
		{"ev", "trigger-elicitation-request", "decline", "declined"},
		{"ref", "test_input_required_result_elicitation", "accept", "Ada"},
	} {
		t.Run(c.tool+"/"+c.action, func(t *testing.T) {
			h := newClaudeHome(t, fmt.Sprintf("tools: { allow: [%q] }\n", c.server+"."+c.tool), 1, claude.Call("mcp__fw__"+c.server+"__"+c.tool, `{}`))
			results := h.run(c.action)
			if len(results) != 1 || !strings.Contains(results[0].Text, c.want) {
				t.Errorf("got %+v, want %q\n%s", results, c.want, h.log())
			}
			if asked := h.asked(); !strings.Contains(asked, c.server) {
				t.Errorf("the person was asked %q, which does not name the server that asks", asked)
			}
		})
	}
}

// A policy that changes, and a server whose list changes, while Claude Code runs.
func TestClaudeCodeListChanged(t *testing.T) {
	t.Run("policy", func(t *testing.T) {
		change := claude.Call("mcp__fw__ref__test_simple_text", `{}`)
		h := newClaudeHome(t, "tools: { allow: [ev.echo, ref.test_simple_text] }\n", 2, change,
			claude.Call("mcp__fw__ev__get-sum", `{"a":20,"b":22}`), claude.Call("mcp__fw__ev__echo", `{"message":"x"}`))
		changed := false
		h.until(0, func() bool {
			if !changed {
				h.setPolicy("tools: { allow: [ev.get-sum, ref.test_simple_text] }\n")
				changed = true
			}
			return slices.Contains(h.lastOffered(), "mcp__fw__ev__get-sum")
		})
		results := h.run("")
		if len(results) != 3 || !strings.Contains(results[1].Text, "42") || !results[2].IsError {
			t.Errorf("with a changed policy the results are %+v\n%s", results, h.log())
		}
	})
	t.Run("server", func(t *testing.T) {
		h := newClaudeHome(t, "tools: { allow: [\"ref.*\"] }\n", 20, claude.Call("mcp__fw__ref__test_trigger_tool_change", `{}`), claude.Call("mcp__fw__ref__test_simple_text", `{}`))
		before := 0
		h.until(0, func() bool { before = len(h.lastOffered()); return true })
		h.until(1, func() bool { return len(h.lastOffered()) != before })
		h.run("")
	})
}

// until makes a step of the test repeated until the function reports true. `claude -p` fails at its time limit else.
func (h *claudeHome) until(step int, f func() bool) { h.model.Until(step+1, f) }

func (h *claudeHome) lastOffered() []string {
	turns := h.model.Offered("mcp__")
	return turns[len(turns)-1]
}

var connected = regexp.MustCompile(`(?m)^fw: .*✔ Connected`)

func TestClaudeCodeMCPList(t *testing.T) {
	h := newClaudeHome(t, claudePolicy, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	add := append([]string{"mcp", "add", "fw", "--", firewall(t)}, h.args()...)
	if out, err := h.command(ctx, add...).CombinedOutput(); err != nil {
		t.Fatalf("claude mcp add: %v\n%s", err, out)
	}
	out, err := h.command(ctx, "mcp", "list").CombinedOutput()
	if err != nil || !connected.Match(out) {
		t.Errorf("claude mcp list: %v\n%s\n%s", err, out, h.log())
	}
}

// What the terminal shows when one of the two answers is selected.
var (
	acceptSelected  = regexp.MustCompile(`❯(\x1b\[[0-9;]*m)* *Accept`)
	declineSelected = regexp.MustCompile(`❯(\x1b\[[0-9;]*m)* *Decline`)
)

// A person at a terminal approves a call and declines another.
func TestClaudeCodeTerminal(t *testing.T) {
	const down, enter, escape = "\x1b[B", "\r", "\x1b"
	refused := claude.Result{Text: "did not approve", IsError: true}
	for name, c := range map[string]struct {
		decline bool // select that answer first
		key     string
		want    claude.Result
	}{
		"approve": {false, enter, claude.Result{Text: "Echo: to Bob"}},
		"decline": {true, enter, refused},
		"escape":  {false, escape, refused},
	} {
		t.Run(name, func(t *testing.T) {
			h := newClaudeHome(t, "tools: { ask: [ev.echo] }\n", 1, claude.Call("mcp__fw__ev__echo", `{"message":"to Bob"}`))
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := h.command(ctx, append([]string{"go"}, h.session()...)...)
			terminal := startOnTerminal(t, cmd)
			shown, ended := newOutput(), make(chan struct{})
			go func() {
				io.Copy(shown, terminal) // until the terminal is gone, which is an error on Linux
				close(ended)
			}()
			defer func() {
				cmd.Process.Kill()
				cmd.Wait()
			}()
			// Claude Code does not heed keys in the first moment that it shows a question, so that nobody answers one
			// by chance. So a key is pressed until it has done something.
			press := func(key string, done func(ctx context.Context) bool) {
				for ctx.Err() == nil {
					if _, err := io.WriteString(terminal, key); err != nil {
						t.Fatal(err)
					}
					moment, cancel := context.WithTimeout(ctx, 2*time.Second)
					ok := done(moment)
					cancel()
					if ok {
						return
					}
				}
				t.Fatalf("the key %q did nothing; the terminal shows:\n%q\n%s", key, shown.tail(4000), h.log())
			}
			if shown.waitFor(ctx, ended, acceptSelected) == nil {
				t.Fatalf("nobody was asked; the terminal shows:\n%q\n%s", shown.tail(4000), h.log())
			}
			if c.decline {
				press(down, func(ctx context.Context) bool { return shown.waitFor(ctx, ended, declineSelected) != nil })
			}
			press(c.key, func(ctx context.Context) bool {
				select {
				case <-h.model.Done():
					return true
				case <-ctx.Done():
					return false
				}
			})
			results := h.model.Results(1)
			if len(results) != 1 || !strings.Contains(results[0].Text, c.want.Text) || results[0].IsError != c.want.IsError {
				t.Errorf("got %+v, want %+v", results, c.want)
			}
		})
	}
}
