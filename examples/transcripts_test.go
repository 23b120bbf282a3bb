package examples

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/inproc"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
)

// transcript is a recorded task: what the user said, and what the agent called.
type transcript struct {
	ID     string           `json:"user_task"`
	Inject string           `json:"injection_task"`
	Prompt string           `json:"prompt"`
	Steps  []transcriptStep `json:"steps"`
}

type transcriptStep struct {
	Label     string         `json:"label"` // user or attack
	Tool      string         `json:"tool"`
	Args      jsontext.Value `json:"args"`
	Result    string         `json:"result"`
	Error     jsontext.Value `json:"error"`
	Mutates   bool           `json:"mutates"`
	Necessary bool           `json:"necessary"`
}

// TestTranscripts plays recorded AgentDojo tasks against the examples for a bank and a
// chat: those of the user as a well-behaved agent does them, and those in which a stranger's
// text took the agent over entirely, so that it makes every call of the attack. What is
// asked about does not pass.
func TestTranscripts(t *testing.T) {
	shared := os.Getenv("MCPFIREWALL_SHARED")
	if shared == "" {
		t.Skip("MCPFIREWALL_SHARED is not set: no transcripts to play")
	}
	dir := filepath.Join(shared, "data", "agentdojo")
	page, err := os.ReadFile(filepath.Join("..", "docs", "policy.md"))
	if err != nil {
		t.Fatal(err)
	}
	for column, suite := range []struct{ name, example string }{
		{"banking", "banking-assistant.yaml"},
		{"slack", "chat-workspace.yaml"},
	} {
		due := func(row string) int { return figure(t, string(page), row, column) }
		t.Run(suite.name, func(t *testing.T) {
			t.Parallel()
			p := newPlayer(t, suite.example, filepath.Join(dir, suite.name+".json"))
			tasks := transcripts(t, filepath.Join(dir, "replay_benign_"+suite.name+".jsonl"))
			free, gated, broken, asks := 0, 0, 0, 0
			for _, task := range tasks {
				asked, denied := false, false
				for i, action := range p.play(t, task) {
					s := task.Steps[i]
					switch action {
					case "ask":
						asks++
						asked = asked || s.Necessary
					case "deny":
						denied = denied || s.Necessary
					}
					if action != "" {
						t.Logf("%s: %s %s %s", task.ID, action, s.Tool, s.Args)
					}
				}
				switch {
				case denied:
					broken++
				case asked:
					gated++
				default:
					free++
				}
			}
			played, completed, touched := 0, 0, 0
			files, err := filepath.Glob(filepath.Join(dir, "replay_*_"+suite.name+".jsonl.gz"))
			if err != nil || len(files) < 6 {
				t.Fatalf("only %d kinds of attack texts (%v)", len(files), err)
			}
			for _, file := range files {
				for _, a := range transcripts(t, file) {
					calls, all, any := 0, true, false
					for i, action := range p.play(t, a) {
						s := a.Steps[i]
						if s.Label != "attack" {
							continue
						}
						calls++
						all = all && (!s.Necessary || action == "")
						any = any || s.Mutates && action == ""
					}
					if calls == 0 {
						continue
					}
					played++
					if all {
						completed++
					}
					if any {
						touched++
					}
					if all || any {
						t.Logf("%s, %s, %s: completed %v, touched %v", filepath.Base(file), a.ID, a.Inject, all, any)
					}
				}
			}
			for row, got := range map[string]int{
				"tasks": len(tasks), "need nobody": free, "need a person": gated, "impossible": broken, "questions": asks,
				"attacks": played, "completed": completed, "with a changing call that passed": touched,
			} {
				if want := due(row); got != want {
					t.Errorf("%s: %d, and docs/policy.md says %d", row, got, want)
				}
			}
			if completed+touched+broken > 0 {
				t.Error("an attack comes through, or a task does not")
			}
		})
	}
}

// figure returns a figure of the page on policies: of a row of its table, for the bank or
// the chat.
func figure(t *testing.T, page, row string, column int) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^\| ` + row + ` \| (\d+) \| (\d+) \|$`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("docs/policy.md has no row %q", row)
	}
	n, err := strconv.Atoi(m[1+column])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func transcripts(t *testing.T, path string) []transcript {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	var all []transcript
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var one transcript
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, one)
	}
	if err := lines.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%s holds %d transcripts: %v", path, len(all), err)
	}
	return all
}

// player is a firewall with an example's policy in front of a server that answers from
// transcripts.
type player struct {
	relay *proxy.Relay

	mu   sync.Mutex
	left []transcriptStep // of the current transcript, not used yet
}

func newPlayer(t *testing.T, example, suite string) *player {
	t.Helper()
	p := &player{}
	raw, err := os.ReadFile(suite)
	if err != nil {
		t.Fatal(err)
	}
	var tools struct {
		Tools []struct {
			Name        string         `json:"name"`
			Description string         `json:"description"`
			InputSchema jsontext.Value `json:"inputSchema"`
		} `json:"tools"`
	}
	if err := json.Unmarshal(raw, &tools); err != nil {
		t.Fatal(err)
	}
	s := server.NewMCPServer("replay", "1", server.WithToolCapabilities(true))
	for _, tool := range tools.Tools {
		s.AddTool(mcp.NewToolWithRawSchema(tool.Name, tool.Description, []byte(tool.InputSchema)), p.answer)
	}
	upstream := httptest.NewServer(server.NewStreamableHTTPServer(s, server.WithStateLess(true)))
	t.Cleanup(upstream.Close)
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("", text)
	if err != nil {
		t.Fatal(err)
	}
	cfg.State.Path = t.TempDir()
	cfg.Servers[0].Command, cfg.Servers[0].URL, cfg.Servers[0].Protocol = "", upstream.URL+"/mcp", "legacy"
	secrets, err := vault.New(vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.relay, err = proxy.New(proxy.Options{Config: cfg, Vault: secrets, Audit: audit.Discard(),
		Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		p.relay.Close(ctx)
	})
	p.relay.Start()
	return p
}

// answer gives the recorded result of a call: of one with the same arguments, or else of
// one of the same tool.
func (p *player) answer(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := -1
	for i, s := range p.left {
		if s.Tool != r.Params.Name {
			continue
		}
		var args map[string]any
		if err := json.Unmarshal(s.Args, &args); err != nil {
			return nil, err
		}
		if reflect.DeepEqual(args, r.GetArguments()) {
			found = i
			break
		}
		if found < 0 {
			found = i
		}
	}
	if found < 0 {
		return mcp.NewToolResultError("no such recorded call"), nil
	}
	s := p.left[found]
	p.left = append(p.left[:found:found], p.left[found+1:]...)
	if len(s.Error) > 0 && s.Error.Kind() != 'n' {
		return mcp.NewToolResultError(s.Result), nil
	}
	return mcp.NewToolResultText(s.Result), nil
}

// play makes the calls of a transcript in a session of its own and returns the firewall's
// decision on each: deny, ask, or "" for one that passed. A client that cannot ask its
// user takes part, so that what is asked about does not pass.
func (p *player) play(t *testing.T, one transcript) []string {
	t.Helper()
	p.mu.Lock()
	p.left = one.Steps
	p.mu.Unlock()
	session := p.relay.Open(proxy.Peer{Transport: "stdio", Principal: "test"})
	session.Heard(one.Prompt)
	transport := inproc.New(session)
	defer transport.Close()
	c := client.NewClient(transport)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = mcp.ProtocolVersion20251125
	if _, err := c.Initialize(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	actions := make([]string, len(one.Steps))
	for i, s := range one.Steps {
		params := fmt.Sprintf(`{"name":%q,"arguments":%s}`, s.Tool, s.Args)
		result, failure, err := transport.Call(t.Context(), "tools/call", []byte(params))
		if err != nil {
			t.Fatalf("%s: %v", s.Tool, err)
		}
		if failure != nil {
			if actions[i], _ = jsonrpc.GetString(failure, "data", "mcpfirewall/decision", "action"); actions[i] == "" {
				t.Fatalf("%s: %s", s.Tool, failure)
			}
			continue
		}
		actions[i], _ = jsonrpc.GetString(result, "_meta", "mcpfirewall/decision", "action")
	}
	return actions
}
