package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// npmServers is the three official npm servers behind one firewall.
type npmServers struct {
	*rpc
	files  string // the folder that filesystem may use
	memory string // the file in which memory keeps its graph

	mu      sync.Mutex
	approve bool     // what the person says who is asked
	asked   []string // what the person was asked
}

func startNPMServers(t *testing.T) *npmServers {
	t.Helper()
	s := &npmServers{approve: true}
	s.files = filepath.Join(resolved(t, t.TempDir()), "files")
	s.memory = filepath.Join(t.TempDir(), "memory.jsonl")
	if err := os.Mkdir(s.files, 0o700); err != nil {
		t.Fatal(err)
	}
	config := writeConfig(t, fmt.Sprintf(`
version: 1
servers:
  everything: { command: %q, args: [%q], sampling: allow }
  filesystem: { command: %q, args: [%q, %q] }
  memory:     { command: %q, args: [%q], env: { MEMORY_FILE_PATH: %q } }
tools:
  default: allow
  ask:  ["memory.delete_*"]
  deny: ["filesystem.move_*"]
resources: { default: allow }
prompts:   { default: allow }
rules:
  - name: dotfiles stay as they are
    tools: ["filesystem.write_file"]
    when: args.path endsWith ".env"
    then: deny
    message: Files with secrets are not written.
`, node22(t), npmServer(t, "everything"),
		node22(t), npmServer(t, "filesystem"), s.files,
		node22(t), npmServer(t, "memory"), s.memory))
	s.rpc = startRPC(t, []string{"GITHUB_TOKEN=of-the-user"}, s.person, firewall(t), "run", "--config", config)
	return s
}

// person answers what servers and firewall ask.
func (s *npmServers) person(method string, params jsontext.Value) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch method {
	case "elicitation/create":
		s.asked = append(s.asked, string(params))
		if !s.approve {
			return `{"action":"decline"}`
		}
		return `{"action":"accept","content":{"name":"Ada","integer":7}}`
	case "sampling/createMessage":
		return `{"model":"test-model","role":"assistant","content":{"type":"text","text":"sampled"}}`
	case "roots/list":
		return `{"roots":[]}`
	}
	return ""
}

// questions returns what the person was asked since the last time, and decides what will be said from now on.
func (s *npmServers) questions(approve bool) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked, s.approve = nil, approve
	return asked
}

// TestNPMServers puts the official npm servers everything, filesystem and memory behind one firewall and checks what they
// do in the world, and that what they say arrives as they said it.
func TestNPMServers(t *testing.T) {
	s := startNPMServers(t)
	listed := s.untilListed("everything__echo", "everything__get-roots-list", "filesystem__write_file", "memory__read_graph")

	// Each server alone, as the truth to compare with. It sees the same files.
	alone := map[string]*rpc{
		"everything": startRPC(t, nil, s.person, node22(t), npmServer(t, "everything")),
		"filesystem": startRPC(t, nil, s.person, node22(t), npmServer(t, "filesystem"), s.files),
		"memory":     startRPC(t, []string{"MEMORY_FILE_PATH=" + s.memory}, s.person, node22(t), npmServer(t, "memory")),
	}
	alone["everything"].untilListed("get-roots-list")

	t.Run("list", func(t *testing.T) { compareLists(t, s, alone, listed) })
	t.Run("exact", func(t *testing.T) { compareCalls(t, s, alone) })
	t.Run("filesystem", func(t *testing.T) { useFilesystem(t, s) })
	t.Run("memory", func(t *testing.T) { useMemory(t, s) })
	t.Run("everything", func(t *testing.T) { useEverythingRaw(t, s) })
	t.Run("policy", func(t *testing.T) { refusals(t, s) })
	t.Run("ask", func(t *testing.T) { approvals(t, s) })
}

// compareLists holds the merged list against those of the servers: every tool is there but those denied, each as its
// server described it, under its own name, and twice in the same order.
func compareLists(t *testing.T, s *npmServers, alone map[string]*rpc, listed []jsontext.Value) {
	want := map[string]string{}
	for server, c := range alone {
		for _, tool := range c.untilListed() {
			name := toolName(t, tool)
			if server == "filesystem" && strings.HasPrefix(name, "move_") {
				continue
			}
			exposed := server + "__" + name
			want[exposed] = strings.Replace(string(tool), `"name":"`+name+`"`, `"name":"`+exposed+`"`, 1)
		}
	}
	var order []string
	for _, tool := range listed {
		name := toolName(t, tool)
		order = append(order, name)
		if want[name] != string(tool) {
			t.Errorf("%s is listed as\n%s\nwant\n%s", name, tool, want[name])
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is not listed", name)
	}
	var again []string
	for _, tool := range s.untilListed() {
		again = append(again, toolName(t, tool))
	}
	if !slices.Equal(order, again) {
		t.Errorf("the order of the list changed:\n%q\n%q", order, again)
	}
}

// compareCalls makes the same calls with and without the firewall: the results, errors included, are the same bytes.
func compareCalls(t *testing.T, s *npmServers, alone map[string]*rpc) {
	if err := os.WriteFile(filepath.Join(s.files, "known.txt"), []byte("line 1\nline 2 🎉\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return fmt.Sprintf(`{"path":%q}`, filepath.Join(s.files, name)) }
	calls := []struct{ server, tool, args string }{
		{"everything", "echo", `{"message":"\u00e9 \ud83c\udf89 </script> \u2028 \\ \/ "}`},
		{"everything", "get-sum", `{"a":0.1,"b":1e21}`},
		{"everything", "get-structured-content", `{"location":"New York"}`},
		{"everything", "get-tiny-image", `{}`},
		{"everything", "get-annotated-message", `{"messageType":"error","includeImage":true}`},
		{"everything", "get-resource-links", `{"count":4}`},
		{"filesystem", "read_text_file", in("known.txt")},
		{"filesystem", "read_text_file", in("missing.txt")},
		{"filesystem", "read_text_file", `{"path":"/etc/passwd"}`},
		{"filesystem", "read_text_file", in("../../outside.txt")},
		{"filesystem", "list_directory", fmt.Sprintf(`{"path":%q}`, s.files)},
		{"filesystem", "list_allowed_directories", `{}`},
		{"memory", "read_graph", `{}`},
		{"memory", "add_observations", `{"observations":[{"entityName":"nobody","contents":["x"]}]}`},
	}
	for _, call := range calls {
		direct := alone[call.server].call(call.tool, call.args)
		through := s.call(call.server+"__"+call.tool, call.args)
		if !bytes.Equal(direct.Result, through.Result) || !bytes.Equal(direct.Error, through.Error) {
			t.Errorf("%s.%s %s\n   direct %s%s\n  through %s%s", call.server, call.tool, call.args, direct.Result, direct.Error, through.Result, through.Error)
		}
	}
	for _, call := range []struct{ server, method, params string }{
		{"everything", "resources/templates/list", `{}`},
		{"everything", "resources/read", `{"uri":"demo://resource/static/document/features.md"}`},
	} {
		direct := alone[call.server].request(call.method, call.params)
		through := s.request(call.method, call.params)
		if !bytes.Equal(direct.Result, through.Result) || direct.Result == nil {
			t.Errorf("%s %s\n   direct %s%s\n  through %s%s", call.method, call.params, direct.Result, direct.Error, through.Result, through.Error)
		}
	}
	// Resources keep their names; the lists of the servers follow each other.
	list := func(c *rpc) (resources []jsontext.Value) {
		var result struct{ Resources []jsontext.Value }
		decode(t, c.request("resources/list", `{}`).Result, &result)
		return result.Resources
	}
	want := append(list(alone["everything"]), list(alone["memory"])...)
	if got := list(s.rpc); !slices.EqualFunc(got, want, func(a, b jsontext.Value) bool { return bytes.Equal(a, b) }) {
		t.Errorf("resources/list\n  got %s\n want %s", got, want)
	}
	// A prompt has the server's name in its own, as a tool has.
	direct := alone["everything"].request("prompts/get", `{"name":"args-prompt","arguments":{"city":"Ulm"}}`)
	through := s.request("prompts/get", `{"name":"everything__args-prompt","arguments":{"city":"Ulm"}}`)
	if !bytes.Equal(direct.Result, through.Result) || direct.Result == nil {
		t.Errorf("prompts/get\n   direct %s%s\n  through %s%s", direct.Result, direct.Error, through.Result, through.Error)
	}
}

func useFilesystem(t *testing.T, s *npmServers) {
	file := filepath.Join(s.files, "new.txt")
	s.ok("filesystem__write_file", fmt.Sprintf(`{"path":%q,"content":"written ✓\n"}`, file))
	data, err := os.ReadFile(file)
	if err != nil || string(data) != "written ✓\n" {
		t.Errorf("on disk is %q, %v", data, err)
	}
	equal(t, "read back", s.ok("filesystem__read_text_file", fmt.Sprintf(`{"path":%q}`, file)).text(), "written ✓\n")

	outside := filepath.Join(filepath.Dir(s.files), "outside.txt")
	var result toolResult
	decode(t, s.call("filesystem__write_file", fmt.Sprintf(`{"path":%q,"content":"x"}`, outside)).Result, &result)
	if !result.IsError || !strings.Contains(result.text(), "Access denied - path outside allowed directories") {
		t.Errorf("writing outside: %+v", result)
	}
	if _, err := os.Stat(outside); err == nil {
		t.Error("the file outside was written")
	}
}

func useMemory(t *testing.T, s *npmServers) {
	s.ok("memory__create_entities", `{"entities":[{"name":"Ada","entityType":"person","observations":["wrote the first program"]}]}`)
	contains(t, "graph", s.ok("memory__read_graph", `{}`).text(), "Ada", "wrote the first program")
	data, err := os.ReadFile(s.memory)
	if err != nil || !strings.Contains(string(data), "Ada") {
		t.Errorf("on disk is %q, %v", data, err)
	}
}

func useEverythingRaw(t *testing.T, s *npmServers) {
	// A progress token of the client's own kind comes back as it was.
	m := s.request("tools/call", `{"name":"everything__trigger-long-running-operation","arguments":{"duration":0.4,"steps":4},"_meta":{"progressToken":"my token"}}`)
	contains(t, "long running operation", string(m.Result), "Duration: 0.4 seconds, Steps: 4.")
	for step := 1; step <= 4; step++ {
		s.await(fmt.Sprintf("progress %d", step), func(m rpcMessage) bool {
			var p struct {
				ProgressToken   string
				Progress, Total int
			}
			if m.Method != "notifications/progress" {
				return false
			}
			decode(t, m.Params, &p)
			return p.ProgressToken == "my token" && p.Progress == step && p.Total == 4
		})
	}

	s.questions(true)
	contains(t, "elicitation", s.ok("everything__trigger-elicitation-request", `{}`).text(), "Name: Ada", "Favorite Integer: 7")
	if asked := s.questions(true); len(asked) != 1 || !strings.Contains(asked[0], "everything") || !strings.Contains(asked[0], "Please provide inputs") {
		t.Errorf("the person was asked %q, want once, with the server's name", asked)
	}
	contains(t, "sampling", s.ok("everything__trigger-sampling-request", `{"prompt":"p"}`).text(), "sampled")

	env := s.ok("everything__get-env", `{}`).text()
	contains(t, "environment", env, "PATH")
	if strings.Contains(env, "of-the-user") || strings.Contains(env, "GITHUB_TOKEN") {
		t.Errorf("the server has the user's environment: %s", env)
	}
}

// refusals checks what is denied: by pattern as if it did not exist, by rule with the rule's message.
func refusals(t *testing.T, s *npmServers) {
	file := filepath.Join(s.files, "stays.txt")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	args := fmt.Sprintf(`{"source":%q,"destination":%q}`, file, file+".moved")
	hidden := s.call("filesystem__move_file", args)
	unknown := s.call("filesystem__some_file", args)
	if hidden.Result != nil || hidden.Error == nil {
		t.Fatalf("a denied tool answered %s%s", hidden.Result, hidden.Error)
	}
	equal(t, "a denied tool", comparable(t, hidden.Error, "move_file"), comparable(t, unknown.Error, "some_file"))
	if _, err := os.Stat(file); err != nil {
		t.Error("the file was moved")
	}

	secret := filepath.Join(s.files, "secrets.env")
	var result toolResult
	m := s.call("filesystem__write_file", fmt.Sprintf(`{"path":%q,"content":"x"}`, secret))
	decode(t, m.Result, &result)
	decision, _ := result.Meta["mcpfirewall/decision"].(object)
	if !result.IsError || !strings.Contains(result.text(), "Files with secrets are not written.") || decision["action"] != "deny" || decision["rule"] != "dotfiles stay as they are" || decision["record"] == nil {
		t.Errorf("denied by a rule: %s%s", m.Result, m.Error)
	}
	if _, err := os.Stat(secret); err == nil {
		t.Error("the file was written")
	}
}

// comparable is an error without what may differ between two tools: the name, and the id of the record.
func comparable(t *testing.T, rpcError jsontext.Value, name string) object {
	t.Helper()
	var e object
	decode(t, jsontext.Value(strings.ReplaceAll(string(rpcError), name, "NAME")), &e)
	if data, ok := e["data"].(object); ok {
		if decision, ok := data["mcpfirewall/decision"].(object); ok {
			decision["record"] = "RECORD"
		}
	}
	return e
}

// approvals checks a tool that a person has to approve: the call is made if and only if that happens.
func approvals(t *testing.T, s *npmServers) {
	s.ok("memory__create_entities", `{"entities":[{"name":"Temp","entityType":"thing","observations":[]}]}`)
	s.questions(false)
	m := s.call("memory__delete_entities", `{"entityNames":["Temp"]}`)
	var result toolResult
	decode(t, m.Result, &result)
	decision, _ := result.Meta["mcpfirewall/decision"].(object)
	if !result.IsError || decision["action"] != "ask" {
		t.Errorf("a call that was not approved: %s%s", m.Result, m.Error)
	}
	contains(t, "graph after a call that was not approved", s.ok("memory__read_graph", `{}`).text(), "Temp")
	asked := s.questions(true)
	if len(asked) != 1 || !strings.Contains(asked[0], "delete_entities") || !strings.Contains(asked[0], "Temp") || !strings.Contains(asked[0], "memory") {
		t.Errorf("the person was asked %q, want the server, the tool and its arguments", asked)
	}

	s.ok("memory__delete_entities", `{"entityNames":["Temp"]}`)
	if graph := s.ok("memory__read_graph", `{}`).text(); strings.Contains(graph, "Temp") {
		t.Errorf("the approved call was not made: %s", graph)
	}
	if asked := s.questions(true); len(asked) != 1 {
		t.Errorf("the person was asked %d times, want once", len(asked))
	}
}

// resolved returns the path without symbolic links, as the filesystem server names it.
func resolved(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
