package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// sseServer is an echo server of the old transport whose endpoint event holds endpoint.
func sseServer(t testing.TB, endpoint string) string {
	answers := make(chan []byte, 16)
	return serve(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			body, _ := io.ReadAll(req.Body)
			method, _ := jsonrpc.GetString(body, "method")
			switch method {
			case "refused":
				reply(w, 400, jsonType, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}`)
				return
			case "broken":
				reply(w, 500, "", "oops")
				return
			}
			answers <- jsonrpc.NewResult(jsonrpc.Get(body, "id"), jsonrpc.Get(body, "params"))
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "event: endpoint\r\ndata: "+endpoint+"\r\n\r\n")
		flush(w)
		for {
			select {
			case a := <-answers:
				if strings.Contains(string(a), "bye") {
					return
				}
				io.WriteString(w, "event: message\ndata: "+string(a)+"\n\n")
				flush(w)
			case <-req.Context().Done():
				return
			}
		}
	})
}

func sseOptions(r *recorder, url string) Options {
	o := webOptions(r, url)
	o.SSE = true
	return o
}

func TestSSE(t *testing.T) {
	r := newRecorder()
	c := mustOpen(t, sseOptions(r, sseServer(t, "/messages?session=1")))
	if err := c.Send(context.Background(), request(5, `{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	r.awaitMessages(t, 1)
	if r.messages[0] != `{"jsonrpc":"2.0","id":5,"result":{"a":1}}` || r.origins[0] != 0 {
		t.Errorf("message %s, origin %d", r.messages[0], r.origins[0])
	}
	if err := c.Send(context.Background(), Outgoing{ID: 6, Raw: jsonrpc.NewRequest([]byte("6"), "refused", nil)}); err != nil {
		t.Error(err)
	}
	if want := `{"jsonrpc":"2.0","id":6,"error":{"code":-32600,"message":"no"}}`; len(r.messages) != 2 || r.messages[1] != want {
		t.Errorf("messages %q", r.messages)
	}
	var status *StatusError
	if err := c.Send(context.Background(), Outgoing{ID: 7, Raw: jsonrpc.NewRequest([]byte("7"), "broken", nil)}); !errors.As(err, &status) || status.Code != 500 || status.Body != "oops" {
		t.Error(err)
	}
	// The server's end may overtake its answer to this.
	if err := c.Send(context.Background(), request(8, `"bye"`)); err != nil && !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := r.awaitClosed(t); err == nil || !strings.Contains(err.Error(), "ended the stream") {
		t.Errorf("Closed: %v", err)
	}
	if err := c.Send(context.Background(), request(9, "{}")); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after the end: %v", err)
	}
	c.Close()
}

func TestSSEClose(t *testing.T) {
	r := newRecorder()
	c := mustOpen(t, sseOptions(r, sseServer(t, "/messages")))
	c.Close()
	if err := r.awaitClosed(t); err != nil || r.late {
		t.Errorf("Closed: %v", err)
	}
}

func TestSSEEndpoint(t *testing.T) {
	tests := []struct{ url, endpoint, want string }{
		{"http://a.example/sse", "/m", "http://a.example/m"},
		{"http://a.example/x/sse?k=1", "m?s=2", "http://a.example/x/m?s=2"},
		{"http://a.example/sse", "http://a.example:80/m", "http://a.example:80/m"},
		{"https://A.example:443/sse", "https://a.example/m", "https://a.example/m"},
		{"http://user:pass@a.example/sse", "/m", "http://a.example/m"},
		{"http://a.example/sse", "http://b.example/m", ""},
		{"http://a.example/sse", "//b.example/m", ""},
		{"http://a.example/sse", "https://a.example/m", ""},
		{"https://a.example/sse", "http://a.example/m", ""},
		{"http://a.example/sse", "http://a.example:81/m", ""},
		{"http://a.example/sse", "http://a.example@b.example/m", ""},
		{"http://a.example/sse", "http://u@a.example/m", ""},
		{"http://a.example/sse", "file:///etc/passwd", ""},
		{"http://a.example/sse", "http://a.example.b.example/m", ""},
		{"http://a.example/sse", "http://[::1", ""},
	}
	for _, test := range tests {
		c := &oldSSE{}
		if err := c.init(sseOptions(newRecorder(), test.url)); err != nil {
			t.Fatal(err)
		}
		u, err := c.resolve(test.endpoint)
		if test.want == "" && err == nil || test.want != "" && (err != nil || u.String() != test.want) {
			t.Errorf("%s, endpoint %s: %v, %v", test.url, test.endpoint, u, err)
		}
	}
}

func TestSSECannotOpen(t *testing.T) {
	hang := func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		flush(w)
		<-req.Context().Done()
	}
	tests := []struct {
		name string
		f    http.HandlerFunc
		want string
	}{
		{"status", func(w http.ResponseWriter, req *http.Request) { reply(w, 404, "", "hunter22") }, "HTTP status 404 (Not Found): [masked]"},
		{"redirect", func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "http://b.example/", http.StatusFound)
		}, "redirect to the host b.example"},
		{"no stream", func(w http.ResponseWriter, req *http.Request) { reply(w, 200, "text/html", "") }, "did not answer with text/event-stream"},
		{"other origin", func(w http.ResponseWriter, req *http.Request) {
			reply(w, 200, eventType, "event: endpoint\ndata: http://b.example/m\n\n")
		}, "another origin (http://b.example)"},
		{"other event", func(w http.ResponseWriter, req *http.Request) { reply(w, 200, eventType, "data: {}\n\n") }, "did not begin with an endpoint event"},
		{"end", func(w http.ResponseWriter, req *http.Request) { reply(w, 200, eventType, "") }, "ended before the endpoint event"},
		{"silence", hang, "no endpoint event within 50ms"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRecorder()
			o := sseOptions(r, serve(t, test.f))
			if test.name == "silence" {
				o.Timeout = 50 * time.Millisecond
			}
			if _, err := Open(context.Background(), o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open: %v", err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, sseOptions(newRecorder(), serve(t, hang))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open with a context that ends: %v", err)
	}
}
