package downstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/rs/zerolog"
)

// site is an HTTP that serves on loopback.
type site struct {
	t      testing.TB
	f      *fixture
	h      *HTTP
	url    string
	client *http.Client
	stop   context.CancelFunc
	done   chan error
}

func newSite(t testing.TB, o HTTPOptions) *site {
	return newSiteOf(t, newFixture(t), o)
}

func newSiteOf(t testing.TB, f *fixture, o HTTPOptions) *site {
	o.Log = zerolog.Nop()
	s := &site{t: t, f: f, h: NewHTTP(f.relay, o), client: &http.Client{Transport: &http.Transport{}}, done: make(chan error, 1)}
	l, err := s.h.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String()
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.h.Serve(ctx, l); close(served) }()
	go func() {
		err := <-served
		s.done <- err
		close(s.done)
	}()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		s.stop()
		wait(t, s.done, "the server's end")
	})
	return s
}

// do sends a request; a header of value "-" is removed.
func (s *site) do(ctx context.Context, method, path, body string, header ...string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	for _, l := range header {
		name, value, _ := strings.Cut(l, ": ")
		switch {
		case value == "-":
			r.Header.Del(name)
		case name == "Host":
			r.Host = value
		default:
			r.Header.Set(name, value)
		}
	}
	res, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	return res
}

func (s *site) post(body string, header ...string) *http.Response {
	s.t.Helper()
	return s.do(context.Background(), http.MethodPost, "/mcp", body, header...)
}

func text(t testing.TB, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sse reads the events of a response.
type sse struct {
	t     testing.TB
	lines *bufio.Scanner
}

type event struct{ name, id, data string }

func events(t testing.TB, res *http.Response) *sse {
	t.Helper()
	if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("status %d, type %s: %s", res.StatusCode, got, text(t, res))
	}
	s := &sse{t, bufio.NewScanner(res.Body)}
	s.lines.Buffer(nil, 64<<20)
	return s
}

// next returns the next event, or false at the end of the stream.
func (s *sse) next() (event, bool) {
	s.t.Helper()
	type read struct {
		e  event
		ok bool
	}
	c := make(chan read, 1)
	go func() {
		var e event
		for s.lines.Scan() {
			line := s.lines.Text()
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case line == "" && e != (event{}):
				c <- read{e, true}
				return
			case name == "event":
				e.name = value
			case name == "id":
				e.id = value
			case name == "data":
				e.data = value
			}
		}
		c <- read{}
	}()
	got := wait(s.t, c, "an event")
	return got.e, got.ok
}

// change has the server's tools change until the stream gets an event: the relay may
// not listen to the server yet.
func (s *site) change(stream *sse) event {
	s.t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		s.repeat(stop)
	}()
	e, _ := stream.next()
	close(stop)
	<-done
	return e
}

func (s *site) repeat(stop <-chan struct{}) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s.f.changed()
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

const metaJSON = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},"io.modelcontextprotocol/clientCapabilities":{},"progressToken":1}`

// modernCall is a tools/call with its headers.
func modernCall(id, tool, args string) (body string, header []string) {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":%q,"arguments":%s,%s}}`, id, tool, args, metaJSON),
		[]string{"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: " + tool}
}

func modernRequest(id, method string) (body string, header []string) {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":{%s}}`, id, method, metaJSON),
		[]string{"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: " + method}
}

func TestModern(t *testing.T) {
	s := newSite(t, HTTPOptions{MaxRequest: 10000})
	body, header := modernCall("7", "echo", `{"a":12345678901234567890}`)
	with := func(more ...string) []string { return append(append([]string{}, header...), more...) }
	unknown, unknownHeader := modernRequest("8", "no/such")
	region, regionHeader := modernCall("9", "region", `{"region":"us-west1"}`)
	tests := []struct {
		name, body string
		header     []string
		status     int
		want       string
	}{
		{"call", body, header, 200, `\"a\":12345678901234567890`},
		{"session id is ignored", body, with("Mcp-Session-Id: nonsense"), 200, `"id":7,"result"`},
		{"only JSON accepted", body, with("Accept: application/json"), 200, `"id":7,"result"`},
		{"no Accept", body, with("Accept: -"), 200, `"id":7,"result"`},
		{"content type with charset", body, with("Content-Type: application/json; charset=UTF-8"), 200, `"id":7,"result"`},
		{"named session", body, with("Mcp-Firewall-Session: work"), 200, `"id":7,"result"`},
		{"own page", body, with("Origin: " + s.url), 200, `"id":7,"result"`},
		{"unknown method", unknown, unknownHeader, 404, `"id":8,"error":{"code":-32601`},
		{"unknown version", strings.ReplaceAll(body, "2026-07-28", "2099-01-01"), with("Mcp-Protocol-Version: 2099-01-01"), 400, `"data":{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"requested":"2099-01-01"}`},
		{"header mismatch", body, with("Mcp-Name: other"), 400, `"id":7,"error":{"code":-32020`},
		{"param header missing", region, regionHeader, 400, `"id":9,"error":{"code":-32020`},
		{"param header", region, append(regionHeader, "Mcp-Param-Region: us-west1"), 200, `us-west1`},
		{"nothing accepted", body, with("Accept: text/html"), 406, `"code":-32600`},
		{"foreign host", body, with("Host: evil.example.com"), 403, `{"jsonrpc":"2.0","error":{"code":-32600`},
		{"foreign origin", body, with("Origin: https://evil.example.com"), 403, `{"jsonrpc":"2.0","error":{"code":-32600`},
		{"text", body, with("Content-Type: text/plain"), 415, `"code":-32600`},
		{"no content type", body, with("Content-Type: -"), 415, `"code":-32600`},
		{"UTF-16", body, with("Content-Type: application/json; charset=utf-16"), 415, `"code":-32600`},
		{"compressed", body, with("Content-Encoding: gzip"), 415, `"code":-32600`},
		{"too large", body + strings.Repeat(" ", 20000), header, 413, `"code":-32600`},
		{"empty", "", header, 400, `{"jsonrpc":"2.0","error":{"code":-32700`},
		{"not JSON", "{", header, 400, `{"jsonrpc":"2.0","error":{"code":-32700`},
		{"batch", "[" + body + "]", header, 400, `{"jsonrpc":"2.0","error":{"code":-32600`},
		{"no version in the body", `{"jsonrpc":"2.0","id":101,"method":"server/discover","params":{}}`, []string{"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: server/discover"}, 400, `"id":101,"error":{"code":-32602`},
		{"bad session name", body, with("Mcp-Firewall-Session: two words"), 400, `"code":-32600`},
		{"long session name", body, with("Mcp-Firewall-Session: " + strings.Repeat("x", 129)), 400, `"code":-32600`},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/other"}`, []string{"Mcp-Protocol-Version: 2026-07-28"}, 202, ""},
		{"response", `{"jsonrpc":"2.0","id":1,"result":{}}`, []string{"Mcp-Protocol-Version: 2026-07-28"}, 400, `"code":-32600`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := s.post(tt.body, tt.header...)
			got := text(t, res)
			if res.StatusCode != tt.status || !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("got %d %s, want %d %s", res.StatusCode, got, tt.status, tt.want)
			}
			if got != "" && res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("type %q", res.Header.Get("Content-Type"))
			}
		})
	}
}

func TestModernStream(t *testing.T) {
	s := newSite(t, HTTPOptions{})
	body, header := modernCall("1", "progress", `{"n":3}`)
	stream := events(t, s.post(body, header...))
	for i := range 3 {
		if e, _ := stream.next(); e.id != "" || e.name != "message" || !strings.Contains(e.data, "notifications/progress") {
			t.Errorf("event %d: %v", i, e)
		}
	}
	if e, _ := stream.next(); !strings.Contains(e.data, `"id":1,"result"`) {
		t.Errorf("got %v", e)
	}
	if e, more := stream.next(); more {
		t.Errorf("after the response: %v", e)
	}
	t.Run("only events accepted", func(t *testing.T) {
		body, header := modernCall("1", "echo", `{}`)
		stream := events(t, s.post(body, append(header, "Accept: text/event-stream")...))
		if e, _ := stream.next(); !strings.Contains(e.data, `"id":1,"result"`) {
			t.Errorf("got %v", e)
		}
	})
	t.Run("only JSON accepted", func(t *testing.T) {
		res := s.post(body, append(header, "Accept: application/json")...)
		if got := text(t, res); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":1,"result"`) {
			t.Errorf("got %s", got)
		}
	})
}

func TestModernDisconnectCancels(t *testing.T) {
	s := newSite(t, HTTPOptions{})
	for _, args := range []string{`{}`, `{"with":"progress"}`} {
		ctx, leave := context.WithCancel(context.Background())
		body, header := modernCall("1", "block", args)
		r, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/mcp", strings.NewReader(body))
		r.Header = headers(append(header, "Content-Type: application/json")...)
		go func() {
			if res, err := s.client.Do(r); err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		}()
		wait(t, s.f.event, "the call")
		leave()
		if got := wait(t, s.f.event, "the cancel"); got != "cancelled" {
			t.Errorf("got %q", got)
		}
	}
}

func TestKeepAlive(t *testing.T) {
	s := newSite(t, HTTPOptions{KeepAlive: 10 * time.Millisecond})
	body, header := modernCall("1", "block", `{}`)
	res := s.post(body, header...) // the headers come with the first comment
	wait(t, s.f.event, "the call")
	lines := bufio.NewScanner(res.Body)
	for range 4 { // two comments, each with an empty line
		if !lines.Scan() || lines.Text() != "" && !strings.HasPrefix(lines.Text(), ":") {
			t.Fatalf("got %q", lines.Text())
		}
	}
	s.f.proceed <- struct{}{}
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"id":1,"result"`) {
			return
		}
	}
	t.Error("there was no response")
}

func TestMethods(t *testing.T) {
	s := newSite(t, HTTPOptions{})
	tests := []struct {
		method, path string
		header       []string
		status       int
		allow        string
	}{
		{"GET", "/mcp", nil, 405, "POST"},
		{"DELETE", "/mcp", nil, 405, "POST"},
		{"GET", "/mcp", []string{"Mcp-Session-Id: x", "Mcp-Protocol-Version: 2026-07-28"}, 405, "POST"},
		{"GET", "/mcp", []string{"Mcp-Session-Id: x"}, 404, ""},
		{"DELETE", "/mcp", []string{"Mcp-Session-Id: x"}, 404, ""},
		{"GET", "/mcp", []string{"Mcp-Session-Id: x", "Mcp-Protocol-Version: 1"}, 400, ""},
		{"PUT", "/mcp", nil, 405, "POST, GET, DELETE"},
		{"OPTIONS", "/mcp", nil, 405, "POST, GET, DELETE"},
		{"POST", "/sse", nil, 405, "GET"},
		{"GET", "/message", nil, 405, "POST"},
		{"POST", "/message?sessionId=x", nil, 400, ""},
		{"GET", "/healthz", nil, 200, ""},
		{"POST", "/healthz", nil, 405, "GET, HEAD"},
		{"GET", "/healthz", []string{"Host: evil.example.com"}, 403, ""},
		{"GET", "/sse", []string{"Host: evil.example.com"}, 403, ""},
		{"GET", "/nothing", []string{"Origin: null"}, 403, ""},
		{"GET", "/", nil, 404, ""},
		{"GET", "/mcp/", nil, 404, ""},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.method, tt.path, tt.header), func(t *testing.T) {
			res := s.do(context.Background(), tt.method, tt.path, "", tt.header...)
			if res.StatusCode != tt.status || res.Header.Get("Allow") != tt.allow {
				t.Errorf("got %d, Allow %q: %s", res.StatusCode, res.Header.Get("Allow"), text(t, res))
			}
		})
	}
}

func TestTooManyRequests(t *testing.T) {
	s := newSite(t, HTTPOptions{MaxRequests: 1})
	body, header := modernCall("1", "block", `{}`)
	answered := make(chan int, 1)
	go func() { answered <- s.post(body, header...).StatusCode }()
	wait(t, s.f.event, "the call")
	if res := s.post(body, header...); res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
		t.Errorf("got %d", res.StatusCode)
	}
	s.f.proceed <- struct{}{}
	if got := wait(t, answered, "the answer"); got != 200 {
		t.Errorf("got %d", got)
	}
}

func TestAuthenticate(t *testing.T) {
	s := newSite(t, HTTPOptions{Authenticate: func(r *http.Request) (string, error) {
		who, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			return "", errors.New("the token is secret-abc")
		}
		return who, nil
	}})
	body, header := modernCall("1", "echo", `{}`)
	res := s.post(body, header...)
	if got := text(t, res); res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") == "" || strings.Contains(got, "secret-abc") {
		t.Errorf("got %d %s", res.StatusCode, got)
	}
	if res := s.post(body, append(header, "Authorization: Bearer ann")...); res.StatusCode != 200 {
		t.Errorf("got %d", res.StatusCode)
	}
	// A session is its principal's alone.
	res = s.post(initialize, "Authorization: Bearer ann")
	id := res.Header.Get("Mcp-Session-Id")
	for who, want := range map[string]int{"ann": 200, "bob": 404} {
		if res := s.post(`{"jsonrpc":"2.0","id":2,"method":"ping"}`, "Authorization: Bearer "+who, "Mcp-Session-Id: "+id); res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", who, res.StatusCode, want)
		}
	}
	if res := s.do(context.Background(), "GET", "/healthz", ""); res.StatusCode != 200 {
		t.Errorf("healthz: %d", res.StatusCode)
	}
}

func TestAllowedPages(t *testing.T) {
	s := newSite(t, HTTPOptions{Origins: []string{"https://app.example.com"}})
	res := s.do(context.Background(), "OPTIONS", "/mcp", "", "Origin: https://app.example.com",
		"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type,mcp-method")
	if res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || res.Header.Get("Access-Control-Allow-Headers") != "content-type,mcp-method" {
		t.Errorf("preflight: %d %v", res.StatusCode, res.Header)
	}
	body, header := modernCall("1", "echo", `{}`)
	if res := s.post(body, append(header, "Origin: https://app.example.com")...); res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
		t.Errorf("call: %d %v", res.StatusCode, res.Header)
	}
	if res := s.post(body, append(header, "Origin: "+s.url)...); res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a page that was not allowed: %v", res.Header)
	}
}

func TestStatusOf(t *testing.T) {
	for code, want := range map[int]int{0: 200, jsonrpc.CodeMethodNotFound: 404, jsonrpc.CodeHeaderMismatch: 400, jsonrpc.CodeMissingCapability: 400,
		jsonrpc.CodeUnsupportedVersion: 400, jsonrpc.CodeParse: 400, jsonrpc.CodeInvalidRequest: 400, jsonrpc.CodeInvalidParams: 200, jsonrpc.CodeInternal: 200, 7: 200} {
		if got := statusOf(code); got != want {
			t.Errorf("statusOf(%d) = %d, want %d", code, got, want)
		}
	}
}
