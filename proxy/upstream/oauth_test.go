package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/oauth"
)

// authorized gives a source of tokens t1, t2 and so on.
func authorized(t *testing.T, server string) *oauth.Source {
	t.Helper()
	n := 0
	as := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		n++
		fmt.Fprintf(w, `{"access_token":"t%d","token_type":"Bearer"}`, n)
	}))
	t.Cleanup(as.Close)
	s, err := oauth.New(oauth.Options{URL: server, Grant: oauth.ClientCredentials, TokenURL: as.URL, Credentials: func(context.Context) (oauth.Credentials, error) {
		return oauth.Credentials{ClientID: "id", ClientSecret: "secret"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// TestOAuthRetry has a server refuse a token in the middle: requests and streams are made
// again with the next one, whole.
func TestOAuthRetry(t *testing.T) {
	var mu sync.Mutex
	valid, seen := "t1", []string{}
	streams := make(chan string, 10)
	address := serve(t, func(w http.ResponseWriter, req *http.Request) {
		token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
		body, _ := io.ReadAll(req.Body)
		mu.Lock()
		good := token == valid
		seen = append(seen, fmt.Sprint(req.Method, " ", token, " ", string(body)))
		mu.Unlock()
		switch {
		case !good:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			reply(w, 401, "application/json", `{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no"}}`)
		case req.Method == http.MethodGet:
			w.Header().Set("Content-Type", "text/event-stream")
			flush(w)
			streams <- token
			<-req.Context().Done()
		default:
			reply(w, 200, "application/json", result1)
		}
	})
	r := newRecorder()
	o := webOptions(r, address)
	o.Header = nil
	o.OAuth = authorized(t, address)
	c := mustOpen(t, o)
	if err := c.Send(t.Context(), request(1, `{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	valid = "t2"
	mu.Unlock()
	c.Negotiated("2025-11-25", true)
	if err := c.Send(t.Context(), request(1, `{"b":2}`)); err != nil {
		t.Fatal(err)
	}
	select {
	case token := <-streams:
		if token != "t2" {
			t.Errorf("the stream was opened with %s", token)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no stream was opened")
	}
	mu.Lock()
	got := strings.Join(seen, "\n")
	mu.Unlock()
	for _, want := range []string{"POST t1 ", "POST t2 "} {
		if !strings.Contains(got, want+string(request(1, `{"b":2}`).Raw)) {
			t.Errorf("no %s with the whole body:\n%s", want, got)
		}
	}

	// A server that refuses all of them is asked twice at most.
	mu.Lock()
	valid, seen = "none", nil
	mu.Unlock()
	err := c.Send(t.Context(), request(1, `{"c":3}`))
	if err == nil || strings.Contains(err.Error(), "Bearer t") {
		t.Errorf("Send: %v", err)
	}
	mu.Lock()
	if len(seen) > 2 {
		t.Errorf("it was asked %d times: %q", len(seen), seen)
	}
	mu.Unlock()
}

func TestOAuthScope(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="everything"`)
		reply(w, 403, "application/json", `{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no"}}`)
	})
	r := newRecorder()
	o := webOptions(r, address)
	o.OAuth = authorized(t, address)
	if err := mustOpen(t, o).Send(t.Context(), request(1, `{}`)); !errors.Is(err, oauth.ErrScope) {
		t.Errorf("Send: %v", err)
	}
}

// TestOAuthOldSSE opens the stream of the old transport with a token, and posts with it.
func TestOAuthOldSSE(t *testing.T) {
	posted := make(chan string, 1)
	address := serve(t, func(w http.ResponseWriter, req *http.Request) {
		token := req.Header.Get("Authorization")
		switch {
		case token != "Bearer t1":
			w.WriteHeader(401)
		case req.Method == http.MethodGet:
			reply(w, 200, "text/event-stream", "event: endpoint\ndata: /messages\n\n")
			flush(w)
			<-req.Context().Done()
		default:
			w.WriteHeader(202)
			posted <- token
		}
	})
	r := newRecorder()
	o := webOptions(r, address)
	o.SSE, o.OAuth = true, authorized(t, address)
	if err := mustOpen(t, o).Send(t.Context(), request(1, `{}`)); err != nil {
		t.Fatal(err)
	}
	<-posted
}

// TestOAuthOrigin keeps tokens of one server from another.
func TestOAuthOrigin(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, req *http.Request) { t.Error("a request was sent") })
	r := newRecorder()
	o := webOptions(r, address)
	o.OAuth = authorized(t, "https://crm.example.com/mcp")
	if err := mustOpen(t, o).Send(t.Context(), request(1, `{}`)); err == nil || !strings.Contains(err.Error(), "not the server's origin") {
		t.Errorf("Send: %v", err)
	}
}
