package bridge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// TestMain lets the test binary be the stdio server behind the bridge.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "server" {
		server()
		return
	}
	os.Exit(m.Run())
}

// server answers by method: echo with its params, progress with a notification before the result, ask with what the
// client answers to a request, listen with a notification of the subscription, wait only when it is cancelled, and die
// not at all.
func server() {
	lines := bufio.NewScanner(os.Stdin)
	var waiting, asking jsontext.Value
	for lines.Scan() {
		m := jsontext.Value(lines.Text())
		id, params := lookup(m, "id"), lookup(m, "params")
		answer := func(id jsontext.Value, result string) {
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", id, result)
		}
		switch text(lookup(m, "method")) {
		case "initialize", "echo":
			answer(id, `{"pid":`+fmt.Sprint(os.Getpid())+`,"params":`+string(params)+`}`)
		case "progress":
			fmt.Printf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1}}`+"\n", lookup(params, "_meta", "progressToken"))
			answer(id, `{}`)
		case "ask":
			asking = id
			fmt.Println(`{"jsonrpc":"2.0","id":"server-1","method":"roots/list"}`)
		case "listen":
			fmt.Printf(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":%s}}}`+"\n", id)
			answer(id, fmt.Sprintf(`{"_meta":{"io.modelcontextprotocol/subscriptionId":%s}}`, id))
		case "unknown":
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}`+"\n", id)
		case "wait":
			waiting = id
		case "notifications/cancelled":
			fmt.Printf(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"cancelled":%t}}`+"\n", string(lookup(params, "requestId")) == string(waiting))
		case "die":
			return
		case "":
			answer(asking, string(lookup(m, "result")))
		}
	}
}

func newBridge(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &Bridge{Command: []string{self, "server"}, Stderr: os.Stderr}
	front := httptest.NewServer(b)
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
		b.Close()
	})
	return front.URL
}

// send posts a message and returns the status, the session id and the body.
func send(t *testing.T, url, session, body string) (int, string, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Mcp-Session-Id", session)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Mcp-Session-Id"), string(data)
}

const modernMeta = `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`

func TestModern(t *testing.T) {
	url := newBridge(t)
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"ids come back", `{"jsonrpc":"2.0","id":"a b","method":"progress","params":{"_meta":{` + modernMeta + `,"progressToken":"tok"}}}`, 200,
			`event: message` + "\n" + `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":"tok"}}` + "\n\n" +
				`event: message` + "\n" + `data: {"id":"a b","jsonrpc":"2.0","result":{}}` + "\n\n"},
		{"subscription ids come back", `{"jsonrpc":"2.0","id":7,"method":"listen","params":{"_meta":{` + modernMeta + `}}}`, 200,
			`event: message` + "\n" + `data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}}` + "\n\n" +
				`event: message` + "\n" + `data: {"id":7,"jsonrpc":"2.0","result":{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}}` + "\n\n"},
		{"status of an error", `{"jsonrpc":"2.0","id":1,"method":"unknown","params":{"_meta":{` + modernMeta + `}}}`, 404,
			`{"error":{"code":-32601,"message":"no"},"id":1,"jsonrpc":"2.0"}`},
		{"not JSON", `{`, 400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`},
		{"the process ends", `{"jsonrpc":"2.0","id":1,"method":"die","params":{"_meta":{` + modernMeta + `}}}`, 502,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"the process behind the bridge ended"}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, _, body := send(t, url, "", test.body)
			if status != test.status || body != test.want {
				t.Errorf("got %d %s\nwant %d %s", status, body, test.status, test.want)
			}
		})
	}
}

func TestSessions(t *testing.T) {
	url := newBridge(t)
	status, first, one := send(t, url, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`)
	if status != 200 || first == "" {
		t.Fatalf("initialize: %d %s", status, one)
	}
	_, second, two := send(t, url, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`)
	if second == first || two == one {
		t.Errorf("two sessions share a process: %s %s", one, two)
	}
	if _, _, body := send(t, url, first, `{"jsonrpc":"2.0","id":1,"method":"echo","params":{}}`); body != one {
		t.Errorf("the session moved to another process: %s, %s", body, one)
	}
	if status, _, body := send(t, url, "unknown", `{"jsonrpc":"2.0","id":1,"method":"echo","params":{}}`); status != 404 {
		t.Errorf("unknown session: %d %s", status, body)
	}
	if status, _, body := send(t, url, "", `{"jsonrpc":"2.0","id":1,"method":"echo","params":{}}`); status != 400 {
		t.Errorf("no session: %d %s", status, body)
	}

	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Mcp-Session-Id", first)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("DELETE: %v %v", resp, err)
	}
	resp.Body.Close()
	if status, _, body := send(t, url, first, `{"jsonrpc":"2.0","id":1,"method":"echo","params":{}}`); status != 404 {
		t.Errorf("deleted session: %d %s", status, body)
	}
}

// TestServerRequest lets the server ask the client in the middle of a call.
func TestServerRequest(t *testing.T) {
	url := newBridge(t)
	_, session, _ := send(t, url, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"jsonrpc":"2.0","id":2,"method":"ask"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Mcp-Session-Id", session)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	data := func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		t.Fatal("the stream ended")
		return ""
	}
	if got := data(); got != `{"jsonrpc":"2.0","id":"server-1","method":"roots/list"}` {
		t.Fatalf("the server asked %s", got)
	}
	if status, _, body := send(t, url, session, `{"jsonrpc":"2.0","id":"server-1","result":{"roots":[]}}`); status != 202 {
		t.Fatalf("answering: %d %s", status, body)
	}
	if got := data(); got != `{"jsonrpc":"2.0","id":2,"result":{"roots":[]}}` {
		t.Errorf("the call ended with %s", got)
	}
}

// TestDisconnect lets a modern client go away, which cancels its call.
func TestDisconnect(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &Bridge{Command: []string{self, "server"}, Stderr: os.Stderr}
	defer b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1/", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"wait","params":{"_meta":{`+modernMeta+`}}}`))
		b.ServeHTTP(httptest.NewRecorder(), r)
	}()
	c, err := b.sharedChild()
	if err != nil {
		t.Fatal(err)
	}
	// A second request is answered only after the process has read the first.
	for len(c.openIDs()) == 0 {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://127.0.0.1/", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"echo","params":{"_meta":{`+modernMeta+`}}}`)))
	}
	cancel()
	<-done
	if got := string(<-c.unbound); got != `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"cancelled":true}}` {
		t.Errorf("the server saw %s", got)
	}
}

func (c *child) openIDs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for _, s := range c.streams {
		ids = append(ids, s.id)
	}
	return ids
}

func TestForbidden(t *testing.T) {
	for _, test := range []struct{ host, origin string }{
		{"evil.example", ""}, {"127.0.0.1.evil.example:80", ""}, {"127.0.0.1:80", "http://evil.example"}, {"localhost", "null"},
	} {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/", strings.NewReader(`{}`))
		r.Host = test.host
		r.Header.Set("Origin", test.origin)
		w := httptest.NewRecorder()
		(&Bridge{}).ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("host %q, origin %q: %d", test.host, test.origin, w.Code)
		}
	}
}
