package downstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
)

// fixture is a relay in front of one server, which the test holds in its hands.
type fixture struct {
	relay   *proxy.Relay
	event   <-chan string   // "started" and "cancelled", of calls of the tool block
	proceed chan<- struct{} // lets a call of block answer
	changed func()          // says that the server's tools changed
}

// newFixture returns a relay that allows everything, with a server of these tools:
//
//	echo      answers with its arguments
//	region    the same, and declares headers for its arguments
//	progress  sends n progress notifications first
//	block     answers when the test says so
//	elicit    asks the client something and answers with what it said
func newFixture(t testing.TB) *fixture {
	t.Helper()
	return newFixtureWith(t, nil, nil, vault.Options{})
}

// newFixtureWith is newFixture with something before the server, another configuration of
// it and a source of secrets.
func newFixtureWith(t testing.TB, before func(http.Handler) http.Handler, change func(*config.Server), o vault.Options) *fixture {
	t.Helper()
	event, proceed := make(chan string, 100), make(chan struct{})
	u := &upstreamServer{event: event, proceed: proceed, sessions: map[string]*upstreamSession{}}
	handler := http.Handler(u)
	if before != nil {
		handler = before(u)
	}
	web := httptest.NewServer(handler)
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})

	all := config.Patterns{Default: "allow"}
	cfg := &config.Config{Version: 1, Tools: config.Tools{Patterns: all}, Resources: all, Prompts: all, Approvals: config.Approvals{Timeout: patience}, Servers: []config.Server{{
		Name: "up", URL: web.URL, Transport: "http", Protocol: "legacy", Timeout: time.Minute, Elicitation: true, Arguments: config.Arguments{Open: true}, MaxMessage: jsonrpc.DefaultMaxBytes,
	}}}
	if change != nil {
		change(&cfg.Servers[0])
	}
	dir, err := os.MkdirTemp("", "downstream")
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(audit.Options{Path: dir + "/audit.jsonl"})
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := vault.New(o)
	if err != nil {
		t.Fatal(err)
	}
	relay, err := proxy.New(proxy.Options{Config: cfg, Vault: secrets, Audit: log, Log: zerolog.Nop(), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	relay.Start()
	t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		relay.Close(now)
		log.Close()
		os.RemoveAll(dir)
	})
	return &fixture{relay, event, proceed, u.changed}
}

// upstreamServer is a server of protocol 2025-11-25 over Streamable HTTP.
type upstreamServer struct {
	event   chan<- string
	proceed <-chan struct{}

	mu       sync.Mutex
	last     int
	sessions map[string]*upstreamSession
}

type upstreamSession struct {
	mu      sync.Mutex
	general io.Writer // of the GET
	answers map[string]chan string
	cancels map[string]context.CancelFunc
}

const upstreamTools = `{"tools":[
	{"name":"echo","inputSchema":{"type":"object"}},
	{"name":"region","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}},
	{"name":"progress","inputSchema":{"type":"object"}},
	{"name":"block","inputSchema":{"type":"object"}},
	{"name":"elicit","inputSchema":{"type":"object"}}]}`

func (u *upstreamServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	s := u.sessions[r.Header.Get("Mcp-Session-Id")]
	u.mu.Unlock()
	if r.Method == http.MethodGet && s != nil {
		begin(w)
		s.mu.Lock()
		s.general = w
		s.mu.Unlock()
		<-r.Context().Done()
		s.mu.Lock()
		s.general = nil
		s.mu.Unlock()
		return
	}
	body, _ := io.ReadAll(r.Body)
	m, err := jsonrpc.Parse(body, jsonrpc.Limits{})
	switch {
	case err != nil: // a DELETE
		w.WriteHeader(http.StatusOK)
	case m.Method == "initialize":
		u.mu.Lock()
		u.last++
		id := fmt.Sprint("session-", u.last)
		u.sessions[id] = &upstreamSession{answers: map[string]chan string{}, cancels: map[string]context.CancelFunc{}}
		u.mu.Unlock()
		w.Header().Set("Mcp-Session-Id", id)
		answer(w, m, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"up","version":"1"}}`)
	case s == nil:
		w.WriteHeader(http.StatusNotFound)
	case m.Kind == jsonrpc.Request:
		u.request(w, r, s, m)
	default:
		s.notice(m)
		w.WriteHeader(http.StatusAccepted)
	}
}

func (s *upstreamSession) notice(m *jsonrpc.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Method == "notifications/cancelled" {
		if cancel := s.cancels[jsonrpc.Key(jsonrpc.Get(m.At(m.Params), "requestId"))]; cancel != nil {
			cancel()
		}
	} else if c := s.answers[m.IDKey()]; c != nil {
		c <- string(m.At(m.Result))
	}
}

func (u *upstreamServer) request(w http.ResponseWriter, r *http.Request, s *upstreamSession, m *jsonrpc.Message) {
	params := m.At(m.Params)
	tool, _ := jsonrpc.GetString(params, "name")
	args := string(jsonrpc.Get(params, "arguments"))
	result := func(text string) string {
		return `{"content":[{"type":"text","text":` + string(jsonrpc.Quote(text)) + `}]}`
	}
	progress := func(n int) {
		send(w, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, jsonrpc.Get(params, "_meta", "progressToken"), n))
	}
	switch {
	case m.Method == "tools/list":
		answer(w, m, strings.ReplaceAll(upstreamTools, "\n", ""))
	case m.Method != "tools/call":
		answer(w, m, `{}`)
	case tool == "progress":
		n, _ := jsonrpc.Int(jsonrpc.Get(params, "arguments", "n"))
		begin(w)
		for i := range n {
			progress(int(i) + 1)
		}
		send(w, string(jsonrpc.NewResult(m.At(m.ID), []byte(result(args)))))
	case tool == "block":
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		s.mu.Lock()
		s.cancels[m.IDKey()] = cancel
		s.mu.Unlock()
		begin(w)
		if strings.Contains(args, "progress") {
			progress(1)
		}
		u.event <- "started"
		select {
		case <-u.proceed:
			send(w, string(jsonrpc.NewResult(m.At(m.ID), []byte(result(args)))))
		case <-ctx.Done():
			u.event <- "cancelled"
		}
	case tool == "elicit":
		c := make(chan string, 1)
		s.mu.Lock()
		s.answers[jsonrpc.Key([]byte(`"q"`))] = c
		s.mu.Unlock()
		begin(w)
		send(w, `{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"Sure?","requestedSchema":{"type":"object","properties":{}}}}`)
		select {
		case got := <-c:
			send(w, string(jsonrpc.NewResult(m.At(m.ID), []byte(result(got)))))
		case <-r.Context().Done():
		}
	default:
		answer(w, m, result(args))
	}
}

// changed tells every client on its stream.
func (u *upstreamServer) changed() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.sessions {
		s.mu.Lock()
		if s.general != nil {
			send(s.general, `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		}
		s.mu.Unlock()
	}
}

func answer(w http.ResponseWriter, m *jsonrpc.Message, result string) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(jsonrpc.NewResult(m.At(m.ID), []byte(result)))
}

func begin(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
}

func send(w io.Writer, raw string) {
	fmt.Fprintf(w, "data: %s\n\n", raw)
	w.(http.Flusher).Flush()
}
