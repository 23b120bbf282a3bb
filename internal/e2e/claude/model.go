// Package claude stands in for the model behind Claude Code, so that the real client can be driven offline. It speaks as
// much of the Messages API as Claude Code needs to run its loop: the test says which tools the model calls, one per
// turn, and reads which tools were offered and what came back.
//
//	model := claude.Start(claude.Call("mcp__fw__echo", `{"message":"hi"}`))
//	defer model.Close()
//	cmd.Env = append(cmd.Env, "ANTHROPIC_BASE_URL="+model.URL, ...)
//	...
//	model.Results(1) // what the tool answered
//
// The format is that of https://platform.claude.com/docs/en/api/messages and .../messages-streaming.
package claude

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Step is one turn of the model, in which it calls a tool.
type Step struct {
	Tool  string
	Input jsontext.Value // the arguments
	Until func() bool    // if not nil, the step is made again and again until this reports true
}

// Call is a step that calls a tool with arguments in JSON.
func Call(tool, input string) Step { return Step{Tool: tool, Input: jsontext.Value(input)} }

// Result is what a tool call came back with.
type Result struct {
	Text    string // of all its content
	IsError bool
}

// Model is a running stand-in.
type Model struct {
	URL string // for ANTHROPIC_BASE_URL

	server *httptest.Server
	steps  []Step

	mu      sync.Mutex
	at      int       // the step that is made now
	turns   []request // those of the conversation, not of Claude Code's side errands
	results []Result
	done    chan struct{} // closed when the last step's result came back
}

// Start starts a model that makes the steps and then ends its turn with the text "DONE".
func Start(steps ...Step) *Model {
	m := &Model{steps: steps, done: make(chan struct{})}
	m.server = httptest.NewServer(m)
	m.URL = m.server.URL
	return m
}

// Until sets Until of the step with the index, before Claude Code starts.
func (m *Model) Until(step int, f func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps[step].Until = f
}

// Close ends the model.
func (m *Model) Close() {
	m.server.CloseClientConnections()
	m.server.Close()
}

// Done is closed once the result of the last step came back.
func (m *Model) Done() <-chan struct{} { return m.done }

// Results returns what the last n calls came back with, fewer if fewer were made.
func (m *Model) Results(n int) []Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.results[max(0, len(m.results)-n):])
}

// Offered returns, per turn, the names of the tools that were offered to the model and begin with the prefix, sorted.
func (m *Model) Offered(prefix string) [][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var turns [][]string
	for _, turn := range m.turns {
		names := []string{}
		for _, tool := range turn.Tools {
			if strings.HasPrefix(tool.Name, prefix) {
				names = append(names, tool.Name)
			}
		}
		slices.Sort(names)
		turns = append(turns, names)
	}
	return turns
}

// request is what is read of a request to /v1/messages.
type request struct {
	Model  string `json:"model"`
	Stream bool   `json:"stream"`
	Tools  []struct {
		Name string `json:"name"`
	} `json:"tools"`
	Messages []struct {
		Content jsontext.Value `json:"content"` // a string or a list of blocks
	} `json:"messages"`
}

type block struct {
	Type    string         `json:"type"`
	Text    string         `json:"text,omitzero"`
	ID      string         `json:"id,omitzero"`
	Name    string         `json:"name,omitzero"`
	Input   jsontext.Value `json:"input,omitzero"`
	Content jsontext.Value `json:"content,omitzero"` // of a tool_result: a string or a list of blocks
	IsError bool           `json:"is_error,omitzero"`
}

func (m *Model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/count_tokens"):
		reply(w, map[string]int{"input_tokens": 10})
		return
	case r.URL.Path != "/v1/messages":
		reply(w, struct{}{}) // whatever else Claude Code asks of its maker
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var q request
	if err := json.Unmarshal(body, &q, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	content, stop := m.turn(q)
	if q.Stream {
		stream(w, q.Model, content, stop)
		return
	}
	message := envelope(q.Model, stop)
	message["content"] = []block{content}
	reply(w, message)
}

// turn returns the model's next block and its stop reason.
func (m *Model) turn(q request) (block, string) {
	if len(q.Tools) == 0 { // a title, a summary: not the conversation
		return block{Type: "text", Text: "ok"}, "end_turn"
	}
	results := toolResults(q)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turns = append(m.turns, q)
	if len(results) > len(m.results) { // else the client tries the same again
		m.results = results
		m.advance()
	}
	if m.at == len(m.steps) {
		return block{Type: "text", Text: "DONE"}, "end_turn"
	}
	step := m.steps[m.at]
	return block{Type: "tool_use", ID: fmt.Sprintf("toolu_%d", len(results)), Name: step.Tool, Input: step.Input}, "tool_use"
}

// advance goes to the next step, if the present one is not to be made again.
func (m *Model) advance() {
	if until := m.steps[m.at].Until; until != nil {
		m.mu.Unlock()
		again := !until()
		m.mu.Lock()
		if again {
			return
		}
	}
	if m.at++; m.at == len(m.steps) {
		close(m.done)
	}
}

// toolResults returns the results in a conversation, in order.
func toolResults(q request) []Result {
	var results []Result
	for _, message := range q.Messages {
		for _, b := range blocks(message.Content) {
			if b.Type != "tool_result" {
				continue
			}
			var text []string
			for _, part := range blocks(b.Content) {
				text = append(text, part.Text)
			}
			results = append(results, Result{Text: strings.Join(text, "\n"), IsError: b.IsError})
		}
	}
	return results
}

// blocks reads content, which is a string or a list of blocks.
func blocks(content jsontext.Value) []block {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return []block{{Type: "text", Text: text}}
	}
	var list []block
	if json.Unmarshal(content, &list, jsontext.AllowInvalidUTF8(true)) != nil {
		return nil
	}
	return list
}

func envelope(model, stop string) map[string]any {
	return map[string]any{
		"id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_reason": stop, "stop_sequence": nil,
		"usage": map[string]int{"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.MarshalWrite(w, v)
}

// stream sends one block as server-sent events.
func stream(w http.ResponseWriter, model string, content block, stop string) {
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(event string, data map[string]any) {
		data["type"] = event
		b, err := json.Marshal(data)
		if err != nil {
			panic(err) // maps of strings and numbers always marshal
		}
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, b)
	}
	message := envelope(model, "")
	message["stop_reason"], message["content"] = nil, []block{}
	send("message_start", map[string]any{"message": message})
	start := map[string]any{"type": "text", "text": ""}
	delta := map[string]any{"type": "text_delta", "text": content.Text}
	if content.Type == "tool_use" {
		start = map[string]any{"type": "tool_use", "id": content.ID, "name": content.Name, "input": struct{}{}}
		delta = map[string]any{"type": "input_json_delta", "partial_json": string(content.Input)}
	}
	send("content_block_start", map[string]any{"index": 0, "content_block": start})
	send("content_block_delta", map[string]any{"index": 0, "delta": delta})
	send("content_block_stop", map[string]any{"index": 0})
	send("message_delta", map[string]any{
		"delta": map[string]any{"stop_reason": stop, "stop_sequence": nil}, "usage": map[string]int{"output_tokens": 5},
	})
	send("message_stop", map[string]any{})
}
