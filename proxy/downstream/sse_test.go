package downstream

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

func TestSSE(t *testing.T) {
	s := newSite(t, HTTPOptions{})
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	stream := events(t, s.do(ctx, http.MethodGet, "/sse", ""))
	e, _ := stream.next()
	if e.name != "endpoint" || !strings.HasPrefix(e.data, "/message?sessionId=") {
		t.Fatalf("got %v", e)
	}
	address := e.data
	send := func(body string) int {
		t.Helper()
		return s.do(context.Background(), http.MethodPost, address, body).StatusCode
	}
	for _, m := range []string{strings.Replace(initialize, "2025-11-25", "2024-11-05", 1), initialized, call("1", "progress", `{"n":1}`)} {
		if got := send(m); got != http.StatusAccepted {
			t.Fatalf("got %d for %s", got, m)
		}
	}
	for _, want := range []string{`"protocolVersion":"2024-11-05"`, "notifications/progress", `"id":1,"result"`} {
		if e, _ := stream.next(); e.name != "message" || e.id != "" || !strings.Contains(e.data, want) {
			t.Errorf("got %v, want %s", e, want)
		}
	}
	if e := s.change(stream); !strings.Contains(e.data, "list_changed") {
		t.Errorf("got %v", e)
	}
	if got := send("{"); got != http.StatusBadRequest {
		t.Errorf("malformed: %d", got)
	}
	id := strings.TrimPrefix(address, "/message?sessionId=")
	if res := s.post(call("2", "echo", `{}`), "Mcp-Session-Id: "+id); res.StatusCode != http.StatusNotFound {
		t.Errorf("the session on the other transport: %d", res.StatusCode)
	}

	// With the stream ends the session, and what it asked for.
	send(call("3", "block", `{}`))
	wait(t, s.f.event, "the call")
	leave()
	if got := wait(t, s.f.event, "the cancel"); got != "cancelled" {
		t.Errorf("got %q", got)
	}
	for send(`{"jsonrpc":"2.0","id":4,"method":"ping"}`) != http.StatusNotFound {
	}
}

func TestSSEEndsAtShutdown(t *testing.T) {
	s := newSite(t, HTTPOptions{})
	stream := events(t, s.do(context.Background(), http.MethodGet, "/sse", ""))
	stream.next()
	s.stop()
	if e, more := stream.next(); more {
		t.Errorf("got %v", e)
	}
	wait(t, s.done, "the server's end")
}
