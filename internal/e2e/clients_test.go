package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// everythingConfig is a configuration with the npm server "everything" behind the firewall, started through a recorder
// that writes what it received to the file.
func everythingConfig(t testing.TB, record string) string {
	t.Helper()
	command := recorded(t, record, node22(t), npmEverything(t))
	return writeConfig(t, fmt.Sprintf(`
version: 1
servers:
  everything: { command: %q, args: %s, sampling: allow }
tools:     { default: allow }
resources: { default: allow }
prompts:   { default: allow }
`, command[0], yamlList(command[1:])))
}

// recorded returns the command that runs command and writes every line that it receives to the file. The process is this
// test binary; see TestMain.
func recorded(t testing.TB, file string, command ...string) []string {
	t.Helper()
	return append([]string{self(t), "record", file}, command...)
}

func yamlList(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = fmt.Sprintf("%q", item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// front is a way for a client to reach the server "everything".
type front struct {
	name string
	// connection returns the part of the driver's configuration that says where to connect. What the server receives is
	// written to the file record.
	connection func(t testing.TB, record string) object
	sampling   bool // whether the server may ask the client's model
}

var fronts = []front{
	{"direct", func(t testing.TB, record string) object {
		command := recorded(t, record, node22(t), npmEverything(t))
		return object{"command": command[0], "args": command[1:]}
	}, true},
	{"wrap", func(t testing.TB, record string) object {
		command := recorded(t, record, node22(t), npmEverything(t))
		return object{"command": firewall(t), "args": append([]string{"wrap", "--"}, command...)}
	}, false},
	{"run", func(t testing.TB, record string) object {
		return object{"command": firewall(t), "args": []string{"run", "--config", everythingConfig(t, record)}}
	}, true},
	{"serve", func(t testing.TB, record string) object {
		return object{"url": serve(t, everythingConfig(t, record)) + "/mcp"}
	}, true},
	{"sse", func(t testing.TB, record string) object {
		return object{"url": serve(t, everythingConfig(t, record)) + "/sse", "transport": "sse"}
	}, true},
}

// TestTypeScriptClients lets the clients of the TypeScript SDK, 1.x and 2.x, use everything that the server "everything"
// has, through the firewall over stdio, Streamable HTTP and SSE. The same runs without the firewall, which shows that
// what is asked for is what the server does.
func TestTypeScriptClients(t *testing.T) {
	npmEverything(t)
	npm(t, "clients")
	clients := []struct {
		name, sdk string
		mode      any
		version   string // of the protocol that the client has to end up with behind the firewall
	}{
		{"v1", "v1", nil, "2025-11-25"},
		{"v2-legacy", "v2", "legacy", "2025-11-25"},
		{"v2-modern", "v2", "auto", "2026-07-28"},
	}
	for _, c := range clients {
		for _, f := range fronts {
			if f.name == "sse" && c.sdk == "v2" {
				continue // The old transport is the same for both; once is enough.
			}
			t.Run(c.name+"/"+f.name, func(t *testing.T) {
				record := filepath.Join(t.TempDir(), "received")
				config := f.connection(t, record)
				config["mode"] = c.mode
				config["capabilities"] = object{"sampling": object{}, "elicitation": object{"form": object{}}, "roots": object{"listChanged": true}}
				config["answers"] = object{
					"elicitation/create": []object{
						{"when": "research query", "answer": object{"action": "accept", "content": object{"interpretation": "snake"}}},
						{"answer": object{"action": "accept", "content": object{"name": "Ada", "check": true, "integer": 7}}},
					},
					"sampling/createMessage": []object{
						{"answer": object{"model": "test-model", "role": "assistant", "content": object{"type": "text", "text": "sampled ✓"}}},
					},
					"roots/list": []object{
						{"answer": object{"roots": []any{object{"uri": "file:///tmp/project", "name": "project"}}}},
					},
				}
				d := startDriver(t, c.sdk, config)
				modern := c.version == "2026-07-28" && f.name != "direct" // The server itself is legacy.
				if f.name != "direct" && d.about.ProtocolVersion != c.version {
					t.Errorf("the client speaks %q, want %q", d.about.ProtocolVersion, c.version)
				}
				if f.name == "direct" {
					// Behind the firewall the client is answered at once, when the server may not have said them yet.
					contains(t, "instructions", d.about.Instructions, "Everything Server")
				}
				useEverything(t, d, modern, f.sampling, record)
				if c.sdk == "v1" {
					useTask(t, d)
				}
			})
		}
	}
}

// useEverything goes through what the server "everything" has.
func useEverything(t *testing.T, d *driver, modern, sampling bool, record string) {
	listsAndCalls(t, d)
	if !modern { // The modern era has no ping.
		d.call("ping", nil, &object{})
	}
	progressAndCancellation(t, d, record)
	resources(t, d, modern)
	promptsAndCompletion(t, d)
	logging(t, d, modern)

	asked := func(method string) (params struct{ Message string }) {
		d.event("request", func(e driverLine) bool { return e.Method == method }, &params)
		return params
	}
	text := d.tool("trigger-elicitation-request", object{}).text()
	contains(t, "elicitation", text, "Name: Ada", "Agreed to terms: true", "Favorite Integer: 7")
	contains(t, "elicitation", asked("elicitation/create").Message, "Please provide inputs")

	if sampling {
		text = d.tool("trigger-sampling-request", object{"prompt": "the prompt", "maxTokens": 20}).text()
		contains(t, "sampling", text, "sampled ✓", "test-model")
		asked("sampling/createMessage")
	} else {
		var result toolResult
		line := d.wait(d.begin("callTool", object{"name": "trigger-sampling-request", "arguments": object{"prompt": "the prompt"}}, false))
		if line.Error == nil {
			decode(t, line.Result, &result)
		}
		if line.Error == nil && !result.IsError {
			t.Errorf("the server could sample, though that is denied by default: %s", line.Result)
		}
		if got := d.eventsOf("request", func(e driverLine) bool { return e.Method == "sampling/createMessage" }); len(got) > 0 {
			t.Errorf("the client was asked to sample, though that is denied by default: %s", got[0].Params)
		}
	}

	contains(t, "roots", d.tool("get-roots-list", object{}).text(), "file:///tmp/project")
}

func listsAndCalls(t *testing.T, d *driver) {
	t.Helper()
	var tools struct {
		Tools []struct {
			Name        string
			InputSchema object `json:"inputSchema"`
		}
	}
	d.call("listTools", nil, &tools)
	schemas := map[string]object{}
	for _, tool := range tools.Tools {
		schemas[tool.Name] = tool.InputSchema
	}
	for _, name := range []string{"echo", "get-sum", "get-structured-content", "trigger-long-running-operation", "trigger-elicitation-request", "get-roots-list"} {
		if schemas[name] == nil {
			t.Fatalf("no tool %s among %v", name, schemas)
		}
	}
	equal(t, "the schema of get-sum", schemas["get-sum"]["properties"], object{
		"a": object{"type": "number", "description": "First number"},
		"b": object{"type": "number", "description": "Second number"},
	})

	for _, text := range []string{"plain", "", "tab\tquote\"back\\slash", "emoji 🎉 \u2028 é e\u0301 \u0000"} {
		equal(t, "echo", d.tool("echo", object{"message": text}).text(), "Echo: "+text)
	}
	contains(t, "get-sum", d.tool("get-sum", object{"a": 1.5, "b": 40}).text(), "41.5")
	structured := d.tool("get-structured-content", object{"location": "Chicago"})
	var weather struct{ Conditions string }
	decode(t, structured.StructuredContent, &weather)
	equal(t, "structured content", weather.Conditions, "Light rain / drizzle")
	image := d.tool("get-tiny-image", object{})
	if len(image.Content) != 3 || image.Content[1].Type != "image" || image.Content[1].MimeType != "image/png" || !strings.HasPrefix(image.Content[1].Data, "iVBORw0KGgo") {
		t.Errorf("get-tiny-image: %+v", image.Content)
	}
	links := d.tool("get-resource-links", object{"count": 2})
	if len(links.Content) != 3 || links.Content[1].Type != "resource_link" || links.Content[1].URI == "" {
		t.Errorf("get-resource-links: %+v", links.Content)
	}

	line := d.wait(d.begin("callTool", object{"name": "no-such-tool", "arguments": object{}}, false))
	if line.Error == nil {
		var result toolResult
		decode(t, line.Result, &result)
		if !result.IsError {
			t.Errorf("a tool that does not exist answered: %s", line.Result)
		}
	}
}

func progressAndCancellation(t *testing.T, d *driver, record string) {
	t.Helper()
	of := func(id int) func(driverLine) bool {
		return func(e driverLine) bool { return e.ID != nil && *e.ID == id }
	}
	id := d.begin("callTool", object{"name": "trigger-long-running-operation", "arguments": object{"duration": 0.5, "steps": 5}}, true)
	line := d.wait(id)
	if line.Error != nil {
		t.Fatalf("trigger-long-running-operation: %v", line.Error)
	}
	contains(t, "trigger-long-running-operation", string(line.Result), "Long running operation completed. Duration: 0.5 seconds, Steps: 5.")
	var seen []float64
	parked := false
	for _, e := range d.eventsOf("progress", of(id)) {
		var p struct {
			Progress, Total float64
			Message         string
		}
		decode(t, e.Params, &p)
		if strings.HasPrefix(p.Message, "Fulfilling input required") {
			parked = true // The SDK's own, when the server asks for the roots just now.
			continue
		}
		if p.Total != 5 {
			t.Errorf("progress %s, want a total of 5", e.Params)
		}
		seen = append(seen, p.Progress)
	}
	if parked {
		// While the client looks up its roots it has no request open that progress could belong to.
		if !slices.IsSorted(seen) || len(seen) < 2 {
			t.Errorf("progress %v, want steps in their order", seen)
		}
	} else {
		// The SDK drops a notification that it reads together with the response, so that the last step may be missing.
		equal(t, "progress", seen, []float64{1, 2, 3, 4, 5}[:max(4, min(5, len(seen)))])
	}

	id = d.begin("callTool", object{"name": "trigger-long-running-operation", "arguments": object{"duration": 600, "steps": 6000}}, true)
	var first object
	d.event("progress", of(id), &first)
	d.cancel(id)
	if line := d.wait(id); line.Error == nil {
		t.Errorf("a cancelled call answered: %s", line.Result)
	}
	waitForLine(t, record, "notifications/cancelled")
	equal(t, "echo after a cancelled call", d.tool("echo", object{"message": "on"}).text(), "Echo: on")
}

func resources(t *testing.T, d *driver, modern bool) {
	t.Helper()
	var list struct {
		Resources         []struct{ URI, Name, MimeType string }
		ResourceTemplates []struct{ URITemplate string } `json:"resourceTemplates"`
	}
	d.call("listResources", nil, &list)
	if len(list.Resources) != 7 {
		t.Errorf("resources: %+v", list.Resources)
	}
	d.call("listResourceTemplates", nil, &list)
	if len(list.ResourceTemplates) != 2 {
		t.Errorf("resource templates: %+v", list.ResourceTemplates)
	}
	const uri = "demo://resource/dynamic/text/7"
	var read struct {
		Contents []struct{ URI, Text, Blob, MimeType string }
	}
	d.call("readResource", object{"uri": uri}, &read)
	if len(read.Contents) != 1 || read.Contents[0].URI != uri || !strings.HasPrefix(read.Contents[0].Text, "Resource 7: This is a plaintext resource") {
		t.Errorf("%s: %+v", uri, read.Contents)
	}
	d.call("readResource", object{"uri": "demo://resource/dynamic/blob/7"}, &read)
	if len(read.Contents) != 1 || read.Contents[0].Blob == "" {
		t.Errorf("blob: %+v", read.Contents)
	}
	d.call("readResource", object{"uri": "demo://resource/static/document/features.md"}, &read)
	contains(t, "features.md", read.Contents[0].Text, "# Everything Server")
	d.refused("readResource", object{"uri": "demo://resource/nowhere"})

	if modern {
		d.call("listen", object{"resourceSubscriptions": []string{uri}}, &object{})
	} else {
		d.call("subscribeResource", object{"uri": uri}, &object{})
	}
	d.tool("toggle-subscriber-updates", object{})
	d.notified("notifications/resources/updated", uri)
	d.tool("toggle-subscriber-updates", object{})
	if modern {
		d.call("unlisten", nil, &object{})
	} else {
		d.call("unsubscribeResource", object{"uri": uri}, &object{})
	}
}

func promptsAndCompletion(t *testing.T, d *driver) {
	t.Helper()
	var list struct{ Prompts []struct{ Name string } }
	d.call("listPrompts", nil, &list)
	if len(list.Prompts) != 4 {
		t.Errorf("prompts: %+v", list.Prompts)
	}
	var prompt struct{ Messages []struct{ Content content } }
	d.call("getPrompt", object{"name": "args-prompt", "arguments": object{"city": "Ulm", "state": "BW"}}, &prompt)
	if len(prompt.Messages) != 1 || prompt.Messages[0].Content.Text != "What's weather in Ulm, BW?" {
		t.Errorf("args-prompt: %+v", prompt.Messages)
	}
	complete := func(argument, value string, context object) []string {
		params := object{
			"ref":      object{"type": "ref/prompt", "name": "completable-prompt"},
			"argument": object{"name": argument, "value": value},
		}
		if context != nil {
			params["context"] = object{"arguments": context}
		}
		var result struct{ Completion struct{ Values []string } }
		d.call("complete", params, &result)
		return result.Completion.Values
	}
	equal(t, "completion", complete("department", "S", nil), []string{"Sales", "Support"})
	equal(t, "completion with context", complete("name", "", object{"department": "Engineering"}), []string{"Alice", "Bob", "Charlie"})
}

func logging(t *testing.T, d *driver, modern bool) {
	t.Helper()
	if modern {
		// A modern client asks for the log with the call that it wants it of.
		var result toolResult
		d.call("callTool", object{
			"name": "toggle-simulated-logging", "arguments": object{},
			"_meta": object{"io.modelcontextprotocol/logLevel": "debug"},
		}, &result)
	} else {
		d.call("setLoggingLevel", "debug", &object{})
		d.tool("toggle-simulated-logging", object{})
	}
	d.notified("notifications/message", "message") // The server picks one of its messages at random.
	d.tool("toggle-simulated-logging", object{})
}

// useTask runs a tool that exists only as a task (2025-11-25) and asks the client in the middle of it.
func useTask(t *testing.T, d *driver) {
	t.Helper()
	var messages []struct {
		Type   string
		Task   struct{ Status string }
		Result toolResult
		Error  object
	}
	d.call("callToolStream", object{"name": "simulate-research-query", "arguments": object{"topic": "python", "ambiguous": true}}, &messages)
	if len(messages) < 3 || messages[0].Type != "taskCreated" || messages[len(messages)-1].Type != "result" {
		t.Fatalf("messages of the task: %+v", messages)
	}
	contains(t, "the task's result", messages[len(messages)-1].Result.text(), "# Research Report: python (snake)")
}

// waitForLine waits until a line of the file contains the text.
func waitForLine(t *testing.T, file, text string) {
	t.Helper()
	deadline := time.Now().Add(waitAtMost)
	for {
		data, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(data), text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server did not receive %q; it received:\n%s (%v)", text, data, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
