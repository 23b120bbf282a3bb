package upstream

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/rs/zerolog"
)

func webOptions(r *recorder, url string) Options {
	return Options{
		Name: "fake", URL: url, Timeout: 10 * time.Second,
		Header: http.Header{"Authorization": {"Bearer hunter22"}},
		Log:    zerolog.New(r), Scrub: scrub, Events: r.events(),
	}
}

// serve starts a server for each request of which f is called.
func serve(t testing.TB, f http.HandlerFunc) string {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL + "/mcp"
}

func reply(w http.ResponseWriter, status int, contentType, body string) {
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func flush(w http.ResponseWriter) { w.(http.Flusher).Flush() }

const (
	result1 = `{"jsonrpc":"2.0","id":1,"result":{}}`
	notice  = `{"jsonrpc":"2.0","method":"notifications/progress"}`
)

func TestHTTPAnswers(t *testing.T) {
	const limit = 1 << 16
	big := `{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("x", limit) + `"}`
	tests := []struct {
		name, contentType, body string
		status                  int
		messages                []string
		err                     string
	}{
		{"JSON", "application/json", result1, 200, []string{result1}, ""},
		{"JSON with a charset", "application/json; charset=utf-8", result1, 200, []string{result1}, ""},
		{"pretty JSON", "application/json", "{\r\n\"jsonrpc\":\"2.0\",\n\"id\":1,\"result\":{}\n}", 200, []string{`{  "jsonrpc":"2.0", "id":1,"result":{} }`}, ""},
		{"JSON for another request", "application/json", `{"jsonrpc":"2.0","id":2,"result":{}}`, 200, []string{`{"jsonrpc":"2.0","id":2,"result":{}}`}, "without an answer"},
		{"JSON too large", "application/json", big, 200, nil, "above the limit of 65536"},
		{"no JSON", "application/json", "oops", 200, nil, "no acceptable message"},
		{"events", "text/event-stream", "data: " + notice + "\n\ndata: " + result1 + "\n\n", 200, []string{notice, result1}, ""},
		{"events of many lines", "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\ndata: \"id\":1,\"result\":{}}\n\n", 200, []string{`{"jsonrpc":"2.0", "id":1,"result":{}}`}, ""},
		{"events without the answer", "text/event-stream", "data: " + notice + "\n\n", 200, []string{notice}, "without an answer"},
		{"events with one too large", "text/event-stream", "data: " + big + "\n\ndata: " + result1 + "\n\n", 200, []string{result1}, ""},
		{"heartbeat events", "text/event-stream", ": hi\n\nevent: ping\ndata: {}\n\ndata:\n\ndata: " + result1 + "\n\n", 200, []string{result1}, ""},
		{"accepted", "", "", 202, nil, "HTTP status 202 but sent no answer"},
		{"HTML", "text/html", "<html>", 200, nil, "no answer of the type"},
		{"modern method not found", "application/json", `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`, 404, []string{`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`}, ""},
		{"unsupported version, null id", "application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"no","data":{"n":12345678901234567890}}}`, 400, []string{`{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"no","data":{"n":12345678901234567890}}}`}, ""},
		{"error without id", "", `{"jsonrpc":"2.0","error":{"code":-32000,"message":"no"}}`, 403, []string{`{"jsonrpc":"2.0","error":{"code":-32000,"message":"no"},"id":1}`}, ""},
		{"error for another request", "application/json", `{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no"}}`, 404, nil, "HTTP status 404 (Not Found)"},
		{"unauthorized", "application/json", `{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"hunter22"}}`, 401, nil, `HTTP status 401 (Unauthorized): {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"[masked]"}}`},
		{"bad gateway", "text/html", "bad " + strings.Repeat("hunter22 ", 500), 502, nil, "HTTP status 502 (Bad Gateway): bad [masked] [masked]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRecorder()
			o := webOptions(r, serve(t, func(w http.ResponseWriter, req *http.Request) {
				reply(w, test.status, test.contentType, test.body)
			}))
			o.MaxMessage = limit
			err := mustOpen(t, o).Send(context.Background(), request(1, "{}"))
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("Send: %v, want %q", err, test.err)
			}
			var status *StatusError
			if errors.As(err, &status) && len(status.Body) > 512 {
				t.Errorf("the body has %d bytes", len(status.Body))
			}
			if fmt.Sprint(r.messages) != fmt.Sprint(test.messages) {
				t.Errorf("messages %q, want %q", r.messages, test.messages)
			}
			for _, origin := range r.origins {
				if origin != 1 {
					t.Errorf("origin %d", origin)
				}
			}
		})
	}
}

func TestHTTPTooLargeEventIsReported(t *testing.T) {
	r := newRecorder()
	o := webOptions(r, serve(t, func(w http.ResponseWriter, req *http.Request) {
		reply(w, 200, "text/event-stream", `data: {"jsonrpc":"2.0","id":1,"result":"`+strings.Repeat("x", 1<<20)+"\"}\n\n")
	}))
	o.MaxMessage = 1000
	if err := mustOpen(t, o).Send(context.Background(), request(1, "{}")); !errors.Is(err, errNoAnswer) {
		t.Errorf("Send: %v", err)
	}
	if len(r.malformed) != 1 || string(r.malformed[0].ID) != "1" {
		t.Errorf("malformed: %+v", r.malformed)
	}
}

func TestHTTPCompression(t *testing.T) {
	for _, size := range []int{100, 1 << 22} {
		r := newRecorder()
		o := webOptions(r, serve(t, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", "application/json")
			z := gzip.NewWriter(w)
			defer z.Close()
			io.WriteString(z, `{"jsonrpc":"2.0","id":1,"result":"`+strings.Repeat("x", size)+`"}`)
		}))
		o.MaxMessage = 1 << 20
		err := mustOpen(t, o).Send(context.Background(), request(1, "{}"))
		if (err == nil) != (size < o.MaxMessage) {
			t.Errorf("%d bytes after decompression: %v", size, err)
		}
	}
}

// Only where there was no connection is a message certainly not sent.
func TestHTTPNotSent(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			c.Close()
		}
	})
	untrusted := httptest.NewTLSServer(nil)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer untrusted.Close()
	for _, test := range []struct {
		name, url string
		unsent    bool
	}{{"closed port", closed.URL, true}, {"certificate of nobody", untrusted.URL, true}, {"connection that breaks", broken, false}} {
		c := mustOpen(t, webOptions(newRecorder(), test.url))
		if err := c.Send(context.Background(), request(1, "{}")); err == nil || errors.Is(err, ErrNotSent) != test.unsent {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestHTTPRedirectIsRefused(t *testing.T) {
	var reached bool
	elsewhere := serve(t, func(w http.ResponseWriter, req *http.Request) { reached = true })
	for _, status := range []int{301, 302, 303, 307, 308} {
		r := newRecorder()
		o := webOptions(r, serve(t, func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, elsewhere+"?token=hunter22", status)
		}))
		err := mustOpen(t, o).Send(context.Background(), request(1, "{}"))
		host := strings.TrimSuffix(strings.TrimPrefix(elsewhere, "http://"), "/mcp")
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("HTTP status %d, a redirect to the host %s;", status, host)) {
			t.Errorf("Send: %v", err)
		}
	}
	if reached {
		t.Error("a redirect was followed")
	}
}

// requests keeps the requests that a server got.
type requests struct {
	mu  sync.Mutex
	all []*http.Request
}

func (q *requests) add(req *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = append(q.all, req)
}

func (q *requests) last() *http.Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all[len(q.all)-1]
}

func TestHTTPHeadersModern(t *testing.T) {
	var got requests
	r := newRecorder()
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		got.add(req)
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		w.Header().Set("Mcp-Session-Id", "none-of-modern")
		reply(w, 200, "application/json", result1)
	})
	c := mustOpen(t, webOptions(r, strings.Replace(url, "http://", "http://user:pass@", 1)))
	m := request(1, "{}")
	m.Header = http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"echo"}}
	for range 2 {
		if err := c.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		c.Negotiated("2026-07-28", false)
		m.Header = http.Header{"Mcp-Method": {"echo"}}
	}
	for _, req := range got.all {
		for name, want := range map[string]string{
			"Authorization": "Bearer hunter22", "Accept": "application/json, text/event-stream", "Content-Type": "application/json",
			"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "echo", "Mcp-Session-Id": "", "Cookie": "", "User-Agent": "mcpfirewall",
		} {
			if v := strings.Join(req.Header.Values(name), "\n"); v != want {
				t.Errorf("%s: %q, want %q", name, v, want)
			}
		}
	}
	c.Close()
	r.awaitClosed(t)
	if n := len(got.all); n != 2 {
		t.Errorf("%d requests", n)
	}
}

func TestHTTPBasicAuthFromURL(t *testing.T) {
	var got requests
	url := serve(t, func(w http.ResponseWriter, req *http.Request) { got.add(req); reply(w, 200, jsonType, result1) })
	o := webOptions(newRecorder(), strings.Replace(url, "http://", "http://user:pass@", 1))
	o.Header = nil
	if err := mustOpen(t, o).Send(context.Background(), request(1, "{}")); err != nil {
		t.Fatal(err)
	}
	if user, pass, _ := got.last().BasicAuth(); user != "user" || pass != "pass" {
		t.Errorf("basic authentication %q %q", user, pass)
	}
}

var initialize = Outgoing{ID: 1, Raw: []byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`)}

var initialized = Outgoing{Raw: []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)}

// handshake opens a session of a legacy version.
func handshake(t testing.TB, c Transport) {
	t.Helper()
	if err := c.Send(context.Background(), initialize); err != nil {
		t.Fatal(err)
	}
	c.Negotiated("2025-11-25", true)
	if err := c.Send(context.Background(), initialized); err != nil {
		t.Fatal(err)
	}
}

// legacyServer serves a session; other gets the requests after the handshake.
func legacyServer(t testing.TB, get, other http.HandlerFunc) (url string, got *requests) {
	got = &requests{}
	return serve(t, func(w http.ResponseWriter, req *http.Request) {
		got.add(req)
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		switch {
		case req.Method == http.MethodGet:
			get(w, req)
		case req.Method == http.MethodDelete:
		case bytes.Contains(body, []byte(`"initialize"`)):
			w.Header().Set("Mcp-Session-Id", "s-1")
			reply(w, 200, "application/json", result1)
		case bytes.Contains(body, []byte(`notifications/initialized`)):
			w.WriteHeader(http.StatusAccepted)
		default:
			other(w, req)
		}
	}), got
}

func noStream(w http.ResponseWriter, req *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }

func TestHTTPSession(t *testing.T) {
	listened := make(chan struct{})
	url, got := legacyServer(t, func(w http.ResponseWriter, req *http.Request) {
		noStream(w, req)
		close(listened)
	}, func(w http.ResponseWriter, req *http.Request) {
		reply(w, 200, "application/json", `{"jsonrpc":"2.0","id":2,"result":{}}`)
	})
	r := newRecorder()
	c := mustOpen(t, webOptions(r, url))
	handshake(t, c)
	<-listened
	if err := c.Send(context.Background(), request(2, "{}")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := r.awaitClosed(t); err != nil {
		t.Error(err)
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	methods := map[string]int{}
	for i, req := range got.all {
		methods[req.Method]++
		session, version := req.Header.Get("Mcp-Session-Id"), req.Header.Get("Mcp-Protocol-Version")
		if i == 0 && (session != "" || version != "") || i > 0 && (session != "s-1" || version != "2025-11-25") {
			t.Errorf("request %d, %s: session %q, version %q", i, req.Method, session, version)
		}
	}
	if methods["POST"] != 3 || methods["DELETE"] != 1 || methods["GET"] != 1 {
		t.Errorf("requests: %v", methods)
	}
}

func TestHTTPSessionIsGone(t *testing.T) {
	for _, test := range []struct {
		name, body string
		gone       bool
	}{
		{"session not found", `{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}`, true},
		{"nothing", "", true},
		{"method not found, of no request", `{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no"}}`, true},
		{"method not found", `{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no"}}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			url, _ := legacyServer(t, noStream, func(w http.ResponseWriter, req *http.Request) {
				reply(w, 404, "application/json", test.body)
			})
			r := newRecorder()
			c := mustOpen(t, webOptions(r, url))
			handshake(t, c)
			err := c.Send(context.Background(), request(2, "{}"))
			if !test.gone {
				if err != nil || len(r.messages) != 2 {
					t.Errorf("Send: %v, messages %q", err, r.messages)
				}
				return
			}
			if !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "ended the session") {
				t.Errorf("Send: %v", err)
			}
			if err := r.awaitClosed(t); err == nil || !strings.Contains(err.Error(), "ended the session") {
				t.Errorf("Closed: %v", err)
			}
			if err := c.Send(context.Background(), request(3, "{}")); !errors.Is(err, ErrClosed) {
				t.Errorf("Send after the end: %v", err)
			}
		})
	}
}

func TestHTTPResume(t *testing.T) {
	var gets requests
	url, _ := legacyServer(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Last-Event-Id") == "" {
			noStream(w, req)
			return
		}
		gets.add(req)
		w.Header().Set("Content-Type", "text/event-stream")
		gets.mu.Lock()
		first := len(gets.all) == 1
		gets.mu.Unlock()
		switch req.Header.Get("Last-Event-Id") {
		case "b":
			if first {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			io.WriteString(w, "id: c\ndata: "+notice+"\n\n")
		case "c":
			io.WriteString(w, "id: d\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\n")
		}
	}, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "retry: 1\nid: b\ndata:\n\nid: cut off\ndata: {")
	})
	r := newRecorder()
	c := mustOpen(t, webOptions(r, url))
	handshake(t, c)
	if err := c.Send(context.Background(), request(2, "{}")); err != nil {
		t.Fatal(err)
	}
	if n := len(gets.all); n != 3 {
		t.Errorf("%d attempts to resume", n)
	}
	if len(r.messages) != 3 || r.messages[1] != notice || r.origins[2] != 2 {
		t.Errorf("messages %q, origins %v", r.messages, r.origins)
	}
}

func TestHTTPResumeEnds(t *testing.T) {
	for status, want := range map[int]int{503: maxFailures, 405: 1, 404: 1} {
		var gets requests
		url, _ := legacyServer(t, func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Last-Event-Id") != "" {
				gets.add(req)
			}
			w.WriteHeader(status)
		}, func(w http.ResponseWriter, req *http.Request) {
			reply(w, 200, "text/event-stream", "retry: 1\nid: b\ndata:\n\n")
		})
		c := mustOpen(t, webOptions(newRecorder(), url))
		handshake(t, c)
		if err := c.Send(context.Background(), request(2, "{}")); !errors.Is(err, errNoAnswer) {
			t.Errorf("status %d: %v", status, err)
		}
		if n := len(gets.all); n != want {
			t.Errorf("status %d: %d attempts, want %d", status, n, want)
		}
	}
}

func TestHTTPModernIsNotResumed(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			t.Errorf("%s", req.Method)
		}
		reply(w, 200, "text/event-stream", "id: b\ndata:\n\n")
	})
	c := mustOpen(t, webOptions(newRecorder(), url))
	c.Negotiated("2026-07-28", false)
	if err := c.Send(context.Background(), request(2, "{}")); !errors.Is(err, errNoAnswer) {
		t.Errorf("Send: %v", err)
	}
}

func TestHTTPListens(t *testing.T) {
	ids := make(chan string, 10)
	url, _ := legacyServer(t, func(w http.ResponseWriter, req *http.Request) {
		id := req.Header.Get("Last-Event-Id")
		ids <- id
		w.Header().Set("Content-Type", "text/event-stream")
		if id == "" {
			io.WriteString(w, "retry: 1\nid: x\ndata: "+notice+"\n\n")
			return
		}
		flush(w)
		<-req.Context().Done()
	}, nil)
	r := newRecorder()
	c := mustOpen(t, webOptions(r, url))
	handshake(t, c)
	if first, second := <-ids, <-ids; first != "" || second != "x" {
		t.Errorf("Last-Event-Id: %q, then %q", first, second)
	}
	r.awaitMessages(t, 2)
	if r.origins[1] != 0 {
		t.Errorf("origin %d", r.origins[1])
	}
	c.Close()
	if err := r.awaitClosed(t); err != nil || r.late {
		t.Errorf("Closed: %v, event after it: %v", err, r.late)
	}
}

func TestHTTPCancel(t *testing.T) {
	ended := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: "+notice+"\n\n")
		flush(w)
		<-req.Context().Done()
		close(ended)
	})
	r := newRecorder()
	c := mustOpen(t, webOptions(r, url))
	ctx, cancel := context.WithCancel(context.Background())
	go func() { r.awaitMessages(t, 1); cancel() }()
	if err := c.Send(ctx, request(1, "{}")); !errors.Is(err, context.Canceled) {
		t.Errorf("Send: %v", err)
	}
	<-ended
}

func TestHTTPCloseEndsStreams(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: "+notice+"\n\n")
		flush(w)
		<-req.Context().Done()
	})
	r := newRecorder()
	c := mustOpen(t, webOptions(r, url))
	go func() { r.awaitMessages(t, 1); c.Close() }()
	if err := c.Send(context.Background(), request(1, "{}")); !errors.Is(err, ErrClosed) {
		t.Errorf("Send: %v", err)
	}
	if err := r.awaitClosed(t); err != nil {
		t.Errorf("Closed: %v", err)
	}
}

// A server that leaves the stream open after the response holds nobody up.
func TestHTTPLingeringStream(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: "+result1+"\n\n")
		flush(w)
		<-req.Context().Done()
	})
	c := mustOpen(t, webOptions(newRecorder(), url))
	if err := c.Send(context.Background(), request(1, "{}")); err != nil {
		t.Error(err)
	}
}

func TestHTTPConnectionsAreReused(t *testing.T) {
	var mu sync.Mutex
	addresses := map[string]bool{}
	n := 0
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		addresses[req.RemoteAddr] = true
		n++
		k := n
		mu.Unlock()
		switch k % 3 {
		case 0:
			reply(w, 200, jsonType, result1)
		case 1:
			reply(w, 200, eventType, "data: "+result1+"\n\n")
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	})
	c := mustOpen(t, webOptions(newRecorder(), url))
	for i := range 30 {
		m := request(1, "{}")
		if i%3 == 1 {
			m = initialized
		}
		if err := c.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	if len(addresses) != 1 {
		t.Errorf("%d connections for 30 requests one after the other", len(addresses))
	}
}

func TestHTTPConcurrent(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		reply(w, 200, jsonType, string(jsonrpc.NewResult(jsonrpc.Get(body, "id"), []byte("{}"))))
	})
	r := newRecorder()
	c := mustOpen(t, webOptions(r, url))
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if err := c.Send(context.Background(), request(int64(i+1), "{}")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, m := range r.messages {
		if id, _ := jsonrpc.Int(jsonrpc.Get([]byte(m), "id")); id != r.origins[i] {
			t.Errorf("message %s has origin %d", m, r.origins[i])
		}
	}
	if len(r.messages) != 200 {
		t.Errorf("%d messages", len(r.messages))
	}
}

func TestHTTPErrorsHoldNoSecret(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1:1/hunter22", "http://hunter22.invalid/", "http://h:hunter22/", "ftp://hunter22/", "http://"} {
		r := newRecorder()
		c, err := Open(context.Background(), webOptions(r, url))
		if err == nil {
			err = c.Send(context.Background(), request(1, "{}"))
			c.Close()
		}
		if err == nil || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestHTTPChecksCertificate(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	c := mustOpen(t, webOptions(newRecorder(), s.URL))
	if err := c.Send(context.Background(), request(1, "{}")); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Send to a server with an unknown certificate: %v", err)
	}
	if v := c.(*streamable).transport.TLSClientConfig.MinVersion; v != 0x0303 {
		t.Errorf("least TLS version %x", v)
	}
}
