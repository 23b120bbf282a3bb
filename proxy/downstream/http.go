package downstream

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/rs/zerolog"
)

// HTTPOptions say who may use an HTTP and within what limits. The zero value serves
// clients on this machine, without authentication.
type HTTPOptions struct {
	// Authenticate returns who sent a request, or an error, which is logged and answered
	// with 401. Nil means that everybody who can connect is Principal; then only a loopback
	// address is listened on.
	Authenticate func(*http.Request) (principal string, err error)
	Principal    string // of clients while Authenticate is nil; "" means proxy.LocalPrincipal

	// Hosts are names, with a port or for any port, that clients may use for this server
	// besides loopback ones. Origins are web origins, such as "https://app.example.com",
	// whose pages may use it from a browser besides pages of loopback addresses.
	Hosts   []string
	Origins []string

	MaxRequest  int // bytes of one request's body; 0 means 8 MiB
	MaxRequests int // at once, streams of subscriptions included; 0 means 1024
	MaxSessions int // of one principal, legacy and SSE; 0 means 128

	ReadTimeout time.Duration // for a whole request to arrive; 0 means 30 s
	KeepAlive   time.Duration // between the comments on a stream without events; 0 means 15 s
	Resume      time.Duration // a legacy client may take up a broken stream for this long; 0 means 30 s
	Idle        time.Duration // a session unused for this long is ended; 0 means 30 min
	Grace       time.Duration // requests under way get this long to finish at shutdown; 0 cancels them at once

	Log zerolog.Logger
}

// HTTP serves clients over HTTP:
//
//	/mcp       Streamable HTTP, from 2025-03-26 on, both eras on the one endpoint
//	/sse       HTTP+SSE of 2024-11-05, with /message for what the client sends
//	/healthz   200 while new requests are taken, else 503
//
// It is an http.Handler. Serve serves it with the time limits that it needs; on another
// server, those are that server's business, and Close must be called at the end.
type HTTP struct {
	relay *proxy.Relay
	o     HTTPOptions

	ending sync.WaitGroup // one per session that is not gone

	mu       sync.Mutex
	draining bool
	active   int           // requests
	quiet    chan struct{} // closed once draining and active is 0
	counts   map[string]int
	opened   map[*session]struct{}
	sessions map[string]*session // those that clients know, by id
	listens  map[*context.CancelFunc]struct{}
}

// NewHTTP returns an HTTP for clients of r.
func NewHTTP(r *proxy.Relay, o HTTPOptions) *HTTP {
	if o.Principal == "" && o.Authenticate == nil {
		o.Principal = proxy.LocalPrincipal()
	}
	set(&o.MaxRequest, defaultMaxMessage)
	set(&o.MaxRequests, 1024)
	set(&o.MaxSessions, 128)
	set(&o.ReadTimeout, 30*time.Second)
	set(&o.KeepAlive, 15*time.Second)
	set(&o.Resume, 30*time.Second)
	set(&o.Idle, 30*time.Minute)
	return &HTTP{
		relay: r, o: o, quiet: make(chan struct{}), counts: map[string]int{}, opened: map[*session]struct{}{},
		sessions: map[string]*session{}, listens: map[*context.CancelFunc]struct{}{},
	}
}

func set[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

// refusal is an answer to a request that does not reach the relay.
type refusal struct {
	status  int
	code    int // of JSON-RPC
	message string
	id      []byte // of the request that is refused, where it is known
	data    []byte
	header  http.Header
}

func refuse(status, code int, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func stopping() *refusal {
	f := refuse(http.StatusServiceUnavailable, jsonrpc.CodeInternal, "%s", errStopping)
	f.header = http.Header{"Retry-After": {"5"}}
	return f
}

func tooMany(format string, args ...any) *refusal {
	f := refuse(http.StatusTooManyRequests, jsonrpc.CodeInternal, format, args...)
	f.header = http.Header{"Retry-After": {"5"}}
	return f
}

func notAllowed(methods string) *refusal {
	f := refuse(http.StatusMethodNotAllowed, jsonrpc.CodeInvalidRequest, "this address takes %s only", methods)
	f.header = http.Header{"Allow": {methods}} // RFC 9110, section 15.5.6
	return f
}

// write sends the refusal as a JSON-RPC error response, without an id if it has none.
func (f *refusal) write(w http.ResponseWriter) {
	for name, values := range f.header {
		w.Header()[name] = values
	}
	if f.id != nil {
		writeJSON(w, f.status, jsonrpc.NewError(f.id, f.code, f.message, f.data))
		return
	}
	raw := append([]byte(`{"jsonrpc":"2.0","error":`), jsonrpc.NewErrorObject(f.code, f.message, f.data)...)
	writeJSON(w, f.status, append(raw, '}'))
}

// ServeHTTP handles one request. Nothing of it is looked at before it is known that it
// was meant for this server and does not come from a web page that has no business here.
func (h *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := h.serve(w, r); f != nil {
		event := h.o.Log.Debug()
		if f.status == http.StatusForbidden || f.status == http.StatusUnauthorized {
			event = h.o.Log.Warn()
		}
		event.Str("from", r.RemoteAddr).Int("status", f.status).Msg("request refused: " + f.message)
		f.write(w)
	}
}

func (h *HTTP) serve(w http.ResponseWriter, r *http.Request) *refusal {
	if err := checkHost(r, h.o.Hosts); err != nil {
		return refuse(http.StatusForbidden, jsonrpc.CodeInvalidRequest, "%s", err)
	}
	if err := checkOrigin(r, h.o.Origins); err != nil {
		return refuse(http.StatusForbidden, jsonrpc.CodeInvalidRequest, "%s", err)
	}
	if preflight := h.allowPages(w, r); preflight {
		return nil
	}
	switch r.URL.Path {
	case "/healthz":
		return h.health(w, r)
	case "/mcp", "/sse", "/message":
	default:
		return refuse(http.StatusNotFound, jsonrpc.CodeInvalidRequest, "nothing is here: the MCP endpoint is /mcp, that of the old HTTP+SSE transport /sse")
	}
	principal := h.o.Principal
	if h.o.Authenticate != nil {
		var err error
		if principal, err = h.o.Authenticate(r); err != nil {
			h.o.Log.Warn().Err(err).Str("from", r.RemoteAddr).Msg("authentication failed")
			f := refuse(http.StatusUnauthorized, jsonrpc.CodeInvalidRequest, "authentication is required, or what was sent is not valid")
			f.header = http.Header{"Www-Authenticate": {"Bearer"}}
			return f
		}
	}
	switch r.URL.Path + " " + r.Method {
	case "/mcp POST":
		return h.post(w, r, principal)
	case "/mcp GET":
		return h.listen(w, r, principal)
	case "/mcp DELETE":
		return h.terminate(w, r, principal)
	case "/sse GET":
		return h.openSSE(w, r, principal)
	case "/message POST":
		return h.postSSE(w, r, principal)
	}
	return notAllowed(map[string]string{"/mcp": "POST, GET, DELETE", "/sse": "GET", "/message": "POST"}[r.URL.Path])
}

func (h *HTTP) health(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notAllowed("GET, HEAD")
	}
	h.mu.Lock()
	draining := h.draining
	h.mu.Unlock()
	if draining {
		return stopping()
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
	return nil
}

// enter counts a request; leave must follow.
func (h *HTTP) enter() *refusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.draining:
		return stopping()
	case h.active >= h.o.MaxRequests:
		return tooMany("%d requests are under way: wait for some to end", h.active)
	}
	h.active++
	return nil
}

func (h *HTTP) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.active--; h.active == 0 && h.draining {
		close(h.quiet)
	}
}

// listening registers a request that only waits for changes, to be ended at shutdown.
func (h *HTTP) listening(cancel context.CancelFunc) (done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		cancel()
	}
	h.listens[&cancel] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listens, &cancel)
	}
}

// drain takes no new requests, ends the subscriptions and waits for the requests under
// way until ctx ends.
func (h *HTTP) drain(ctx context.Context) {
	h.mu.Lock()
	if !h.draining {
		h.draining = true
		if h.active == 0 {
			close(h.quiet)
		}
	}
	for cancel := range h.listens {
		(*cancel)()
	}
	h.mu.Unlock()
	select {
	case <-h.quiet:
	case <-ctx.Done():
	}
}

// Close takes no new requests and ends all sessions with their streams and requests. It
// returns when the servers that only they used are gone.
func (h *HTTP) Close() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	h.drain(over)
	h.mu.Lock()
	open := make([]*session, 0, len(h.opened))
	for s := range h.opened {
		open = append(open, s)
	}
	h.mu.Unlock()
	for _, s := range open {
		s.end()
	}
	h.ending.Wait()
}
