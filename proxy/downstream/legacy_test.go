package downstream

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
)

// visitor is a client with a session.
type visitor struct {
	*site
	id string
}

func (s *site) visit(version string) *visitor {
	s.t.Helper()
	res := s.post(strings.Replace(initialize, "2025-11-25", version, 1))
	got := text(s.t, res)
	v := &visitor{s, res.Header.Get("Mcp-Session-Id")}
	if res.StatusCode != 200 || v.id == "" || !strings.Contains(got, `"protocolVersion":"`+version+`"`) {
		s.t.Fatalf("initialize: %d %s", res.StatusCode, got)
	}
	if res := v.post(initialized); res.StatusCode != http.StatusAccepted {
		s.t.Fatalf("initialized: %d", res.StatusCode)
	}
	return v
}

func (v *visitor) post(body string, header ...string) *http.Response {
	v.t.Helper()
	return v.site.post(body, append([]string{"Mcp-Session-Id: " + v.id}, header...)...)
}

// get opens a stream, which leave ends.
func (v *visitor) get(header ...string) (res *http.Response, leave func()) {
	v.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	return v.do(ctx, http.MethodGet, "/mcp", "", append([]string{"Mcp-Session-Id: " + v.id}, header...)...), cancel
}

// lose posts a request and leaves after n events. It returns them.
func (v *visitor) lose(body string, n int) []event {
	v.t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	res := v.do(ctx, http.MethodPost, "/mcp", body, "Mcp-Session-Id: "+v.id)
	stream := events(v.t, res)
	var got []event
	for range n {
		e, more := stream.next()
		if !more {
			v.t.Fatal("the stream ended")
		}
		got = append(got, e)
	}
	return got
}

func TestLegacy(t *testing.T) {
	v := newSite(t, HTTPOptions{}).visit("2025-06-18")
	tests := []struct {
		name, body string
		header     []string
		status     int
		want       string
	}{
		{"call", call("1", "echo", `{"a":1}`), nil, 200, `\"a\":1`},
		{"with version", call("1", "echo", `{}`), []string{"Mcp-Protocol-Version: 2025-06-18"}, 200, `"id":1,"result"`},
		{"with Mcp-Method, unchecked", call("1", "echo", `{}`), []string{"Mcp-Method: other"}, 200, `"id":1,"result"`},
		{"unknown method", `{"jsonrpc":"2.0","id":2,"method":"no/such"}`, nil, 200, `"id":2,"error":{"code":-32601`},
		{"unknown version", call("1", "echo", `{}`), []string{"Mcp-Protocol-Version: 2024-01-01"}, 400, `"id":1,"error":{"code":-32022`},
		{"no session", call("1", "echo", `{}`), []string{"Mcp-Session-Id: -"}, 400, `"id":1,"error":{"code":-32600`},
		{"other session", call("1", "echo", `{}`), []string{"Mcp-Session-Id: " + strings.Repeat("A", 26)}, 404, `"id":1,"error":{"code":-32600`},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`, nil, 202, ""},
		{"response", `{"jsonrpc":"2.0","id":5,"result":{}}`, nil, 202, ""},
		{"notification without session", initialized, []string{"Mcp-Session-Id: -"}, 400, `{"jsonrpc":"2.0","error":{"code":-32600`},
		{"malformed with id", `{"jsonrpc":"2.0","id":6,"method":7}`, nil, 400, `"id":6,"error":{"code":-32600`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := v.post(tt.body, tt.header...)
			got := text(t, res)
			if res.StatusCode != tt.status || !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("got %d %s, want %d %s", res.StatusCode, got, tt.status, tt.want)
			}
			if res.Header.Get("Mcp-Session-Id") != "" {
				t.Error("the session id was sent again")
			}
		})
	}
	t.Run("failed initialize", func(t *testing.T) {
		res := v.site.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"ProtocolVersion":"2025-11-25"}}`)
		if got := text(t, res); res.Header.Get("Mcp-Session-Id") != "" || !strings.Contains(got, `"error"`) {
			t.Errorf("got a session with %s", got)
		}
	})
	t.Run("initialize by events", func(t *testing.T) {
		res := v.site.post(initialize, "Accept: text/event-stream")
		if e, _ := events(t, res).next(); res.Header.Get("Mcp-Session-Id") == "" || !strings.Contains(e.data, `"result"`) {
			t.Errorf("got %v", e)
		}
	})
}

func TestLegacyDelete(t *testing.T) {
	v := newSite(t, HTTPOptions{}).visit("2025-11-25")
	stream, _ := v.get()
	go func() { v.site.post(call("1", "block", `{}`), "Mcp-Session-Id: "+v.id) }()
	wait(t, v.f.event, "the call")
	if res := v.do(context.Background(), http.MethodDelete, "/mcp", "", "Mcp-Session-Id: "+v.id); res.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: %d", res.StatusCode)
	}
	if got := wait(t, v.f.event, "the cancel"); got != "cancelled" {
		t.Errorf("got %q", got)
	}
	if _, more := events(t, stream).next(); more {
		t.Error("the stream went on")
	}
	if res := v.post(call("2", "echo", `{}`)); res.StatusCode != http.StatusNotFound {
		t.Errorf("after DELETE: %d", res.StatusCode)
	}
}

func TestLegacyElicitation(t *testing.T) {
	v := newSite(t, HTTPOptions{}).visit("2025-11-25")
	stream := events(t, v.post(call("1", "elicit", `{}`)))
	first, _ := stream.next()
	if first.data != "" || !strings.HasPrefix(first.id, "p") {
		t.Errorf("the first event does not prime: %v", first)
	}
	e, _ := stream.next()
	question := parse(t, e.data)
	if question.Method != "elicitation/create" || e.id == "" {
		t.Fatalf("got %v", e)
	}
	answer := jsonrpc.NewResult(question.At(question.ID), []byte(`{"action":"decline"}`))
	if res := v.post(string(answer)); res.StatusCode != http.StatusAccepted {
		t.Errorf("got %d", res.StatusCode)
	}
	if e, _ := stream.next(); !strings.Contains(e.data, "decline") {
		t.Errorf("got %v", e)
	}
}

func TestPrimingIsForNewClients(t *testing.T) {
	v := newSite(t, HTTPOptions{}).visit("2025-06-18")
	if e, _ := events(t, v.post(call("1", "progress", `{"n":1}`))).next(); !strings.Contains(e.data, "progress") || e.id == "" {
		t.Errorf("got %v", e)
	}
}

func TestClientCancels(t *testing.T) {
	v := newSite(t, HTTPOptions{}).visit("2025-06-18")
	type answer struct {
		status int
		body   string
	}
	for _, accept := range []string{"application/json, text/event-stream", "application/json"} {
		answered := make(chan answer, 1)
		go func() {
			res := v.post(call("1", "block", `{}`), "Accept: "+accept)
			b, _ := io.ReadAll(res.Body)
			answered <- answer{res.StatusCode, string(b)}
		}()
		wait(t, v.f.event, "the call")
		v.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		wait(t, v.f.event, "the cancel")
		want := http.StatusOK
		if accept == "application/json" {
			want = http.StatusNoContent
		}
		if a := wait(t, answered, "the end of the request"); a.status != want || a.body != "" {
			t.Errorf("got %v", a)
		}
	}
}

func TestResume(t *testing.T) {
	v := newSite(t, HTTPOptions{}).visit("2025-11-25")
	got := v.lose(call("1", "block", `{"with":"progress"}`), 2)
	wait(t, v.f.event, "the call")
	prime, progress := got[0], got[1]

	t.Run("of another session", func(t *testing.T) {
		other := v.site.visit("2025-11-25")
		if res, _ := other.get("Last-Event-Id: " + prime.id); res.StatusCode != http.StatusBadRequest {
			t.Errorf("got %d", res.StatusCode)
		}
	})
	t.Run("of no stream", func(t *testing.T) {
		for _, id := range []string{"p99-0", "nonsense", strings.Replace(prime.id, "-0", "-99", 1)} {
			if res, _ := v.get("Last-Event-Id: " + id); res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: got %d", id, res.StatusCode)
			}
		}
	})

	res, _ := v.get("Last-Event-Id: " + prime.id)
	stream := events(t, res)
	if e, _ := stream.next(); e != progress {
		t.Errorf("got %v, want %v", e, progress)
	}
	v.f.proceed <- struct{}{}
	last, _ := stream.next()
	if !strings.Contains(last.data, `"id":1,"result"`) {
		t.Errorf("got %v", last)
	}
	if e, more := stream.next(); more {
		t.Errorf("after the response: %v", e)
	}
	// The response can be fetched again, should it have been lost as well.
	res, _ = v.get("Last-Event-Id: " + progress.id)
	if e, _ := events(t, res).next(); e != last {
		t.Errorf("got %v, want %v", e, last)
	}
}

func TestResumeWindow(t *testing.T) {
	v := newSite(t, HTTPOptions{Resume: time.Millisecond}).visit("2025-11-25")
	got := v.lose(call("1", "block", `{"with":"progress"}`), 2)
	wait(t, v.f.event, "the call")
	if got := wait(t, v.f.event, "the cancel"); got != "cancelled" {
		t.Errorf("got %q", got)
	}
	if res, _ := v.get("Last-Event-Id: " + got[1].id); res.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d", res.StatusCode)
	}
}

func TestLegacyDisconnectWithoutEventsCancels(t *testing.T) {
	v := newSite(t, HTTPOptions{Resume: time.Hour}).visit("2025-11-25")
	ctx, leave := context.WithCancel(context.Background())
	go func() {
		r, _ := http.NewRequestWithContext(ctx, http.MethodPost, v.url+"/mcp", strings.NewReader(call("1", "block", `{}`)))
		r.Header = headers("Content-Type: application/json", "Mcp-Session-Id: "+v.id)
		if res, err := v.client.Do(r); err == nil {
			res.Body.Close()
		}
	}()
	wait(t, v.f.event, "the call")
	leave()
	if got := wait(t, v.f.event, "the cancel"); got != "cancelled" {
		t.Errorf("got %q", got)
	}
}

// TestLegacyDisconnectFreesTheID drops the connection of a call, of which nothing was
// received, in the middle of the network: the server is told, and the client may use the
// id anew.
func TestLegacyDisconnectFreesTheID(t *testing.T) {
	for _, version := range []string{"2025-03-26", "2025-06-18", "2025-11-25"} {
		v := newSite(t, HTTPOptions{Resume: time.Hour}).visit(version)
		body := call("7", "block", `{}`)
		conn, err := net.Dial("tcp", strings.TrimPrefix(v.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMcp-Session-Id: %s\r\nContent-Length: %d\r\n\r\n%s",
			conn.RemoteAddr(), v.id, len(body), body)
		wait(t, v.f.event, "the call")
		conn.Close()
		left := time.Now()
		if got := wait(t, v.f.event, "the cancel"); got != "cancelled" {
			t.Errorf("%s: got %q", version, got)
		}
		await(t, func() bool {
			got := text(t, v.post(call("7", "echo", `{"again":true}`)))
			return strings.Contains(got, `"id":7,"result"`)
		}, "the id to be free")
		if took := time.Since(left); took > 5*time.Second {
			t.Errorf("%s: the id was free after %v", version, took)
		}
	}
}

func (s *eventStream) away() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to == nil
}

func (s *eventStream) newest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.eventID(s.last)
}

// await polls for what nothing announces.
func await(t testing.TB, ok func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

func TestGeneralStream(t *testing.T) {
	v := newSite(t, HTTPOptions{}).visit("2025-11-25")
	res, leave := v.get()
	first := events(t, res)
	one := v.change(first)
	if !strings.Contains(one.data, "list_changed") || one.id == "" {
		t.Fatalf("got %v", one)
	}
	session := v.h.session(v.id, proxy.LocalPrincipal(), false)
	defer session.release()
	general := session.listen()
	leave()
	await(t, func() bool { return general.away() }, "the client's leaving to be noticed")
	stop := make(chan struct{})
	go v.repeat(stop)
	await(t, func() bool { return general.newest() != one.id }, "an event while the client is away")
	close(stop)
	res, _ = v.get("Last-Event-Id: " + one.id)
	second := events(t, res)
	two, _ := second.next()
	if two.id == one.id || !strings.Contains(two.data, "list_changed") {
		t.Errorf("got %v", two)
	}
	// A later stream takes over from an earlier one.
	res, _ = v.get()
	third := events(t, res)
	for more := true; more; {
		_, more = second.next()
	}
	if e := v.change(third); e.id == two.id || !strings.Contains(e.data, "list_changed") {
		t.Errorf("got %v", e)
	}
	if res, _ := v.get("Accept: application/json"); res.StatusCode != http.StatusNotAcceptable {
		t.Errorf("got %d", res.StatusCode)
	}
}

func TestGeneralStreamAfterWindow(t *testing.T) {
	v := newSite(t, HTTPOptions{Resume: time.Millisecond}).visit("2025-11-25")
	res, leave := v.get()
	events(t, res)
	s := v.h.session(v.id, proxy.LocalPrincipal(), false)
	defer s.release()
	gone := s.listen()
	leave()
	wait(t, gone.ended, "the end of the window")
	res, _ = v.get("Last-Event-Id: " + gone.id + "-0")
	stream := events(t, res)
	if e := v.change(stream); !strings.Contains(e.data, "list_changed") || strings.HasPrefix(e.id, gone.id+"-") {
		t.Errorf("got %v", e)
	}
}

func TestSessionLimits(t *testing.T) {
	t.Run("number", func(t *testing.T) {
		s := newSite(t, HTTPOptions{MaxSessions: 2})
		s.visit("2025-11-25")
		v := s.visit("2025-11-25")
		if res := s.post(initialize); res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Mcp-Session-Id") != "" {
			t.Errorf("got %d", res.StatusCode)
		}
		if res := s.do(context.Background(), http.MethodGet, "/sse", ""); res.StatusCode != http.StatusTooManyRequests {
			t.Errorf("SSE: got %d", res.StatusCode)
		}
		v.do(context.Background(), http.MethodDelete, "/mcp", "", "Mcp-Session-Id: "+v.id)
		s.visit("2025-11-25")
	})
	t.Run("idle", func(t *testing.T) {
		s := newSite(t, HTTPOptions{Idle: 200 * time.Millisecond})
		v := s.visit("2025-11-25")
		session := s.h.session(v.id, proxy.LocalPrincipal(), false)
		session.release()
		stream, leave := v.get()
		select {
		case <-session.Done():
			t.Error("a session was ended while its client listened")
		case <-time.After(500 * time.Millisecond): // the time that must pass is what is tested
		}
		leave()
		stream.Body.Close()
		wait(t, session.Done(), "the end of the idle session")
		if res := v.post(call("1", "echo", `{}`)); res.StatusCode != http.StatusNotFound {
			t.Errorf("got %d", res.StatusCode)
		}
	})
	t.Run("relay ends it", func(t *testing.T) {
		s := newSite(t, HTTPOptions{})
		v := s.visit("2025-11-25")
		session := s.h.session(v.id, proxy.LocalPrincipal(), false)
		session.release()
		session.Close()
		wait(t, session.ctx.Done(), "the end of the session")
		if res := v.post(call("1", "echo", `{}`)); res.StatusCode != http.StatusNotFound {
			t.Errorf("got %d", res.StatusCode)
		}
	})
}

func TestFinishedStreamsAreBounded(t *testing.T) {
	v := newSite(t, HTTPOptions{}).visit("2025-11-25")
	for i := range 3 * maxFinished {
		text(t, v.post(call(fmt.Sprint(i), "progress", `{"n":1}`)))
	}
	s := v.h.session(v.id, proxy.LocalPrincipal(), false)
	defer s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.streams) > maxFinished+1 {
		t.Errorf("%d streams are kept", len(s.streams))
	}
}
