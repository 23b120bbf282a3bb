// Package bridge puts a stdio MCP server on Streamable HTTP, so that a test suite that speaks only HTTP reaches a
// program that speaks stdio. It is test support: it adds as little as it can, and shares no code with the firewall,
// so that what is measured through it is the program behind it.
//
//	b := &bridge.Bridge{Command: []string{"everything-server"}, Stderr: os.Stderr}
//	defer b.Close()
//	http.ListenAndServe("127.0.0.1:3000", b)
//
// A legacy client (handshake, sessions) gets a process of its own per Mcp-Session-Id, whose messages pass untouched. The
// requests of all modern clients (2026-07-28 on, stateless) share one process: their ids, progress tokens and
// subscription ids are replaced by unique ones on the way in and put back on the way out.
package bridge

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

// Bridge is an [http.Handler] in front of a command. Every path is the MCP endpoint.
type Bridge struct {
	Command []string  // the program and its arguments
	Env     []string  // its environment, as in [exec.Cmd]; nil is that of this process
	Stderr  io.Writer // what its processes write to standard error

	mu       sync.Mutex
	sessions map[string]*child // by Mcp-Session-Id
	shared   *child            // for modern requests
	nextID   int64             // the last id given to a modern request
	closed   bool
}

// Close ends all processes and waits for them.
func (b *Bridge) Close() {
	b.mu.Lock()
	b.closed = true
	children := make([]*child, 0, len(b.sessions)+1)
	for _, c := range b.sessions {
		children = append(children, c)
	}
	if b.shared != nil {
		children = append(children, b.shared)
	}
	b.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range children {
		wg.Go(c.close)
	}
	wg.Wait()
}

func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !loopback(r.Host) || !loopbackOrigin(r.Header.Get("Origin")) {
		writeError(w, http.StatusForbidden, nil, -32000, "Forbidden: this bridge serves loopback only")
		return
	}
	id := r.Header.Get("Mcp-Session-Id")
	b.mu.Lock()
	c := b.sessions[id]
	b.mu.Unlock()
	switch r.Method {
	case http.MethodPost:
		b.post(w, r, id, c)
	case http.MethodGet:
		if c == nil {
			writeError(w, http.StatusMethodNotAllowed, nil, -32000, "Method not allowed: no session")
			return
		}
		b.listen(w, r, c)
	case http.MethodDelete:
		if c == nil {
			writeError(w, http.StatusNotFound, nil, -32001, "Session not found")
			return
		}
		b.mu.Lock()
		delete(b.sessions, id)
		b.mu.Unlock()
		c.close()
		w.WriteHeader(http.StatusOK)
	default:
		writeError(w, http.StatusMethodNotAllowed, nil, -32000, "Method not allowed")
	}
}

// post passes one message to its process and streams back what belongs to it.
func (b *Bridge) post(w http.ResponseWriter, r *http.Request, sessionID string, c *child) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // The client is gone.
	}
	msg := jsontext.Value(body)
	if err := msg.Compact(); err != nil || msg.Kind() != '{' {
		writeError(w, http.StatusBadRequest, nil, -32700, "Parse error")
		return
	}
	id := lookup(msg, "id")
	method := text(lookup(msg, "method"))
	modern := lookup(msg, "params", "_meta", metaVersion) != nil ||
		sessionID == "" && r.Header.Get("Mcp-Protocol-Version") >= "2026"

	s := &stream{out: make(chan outgoing, 16), gone: r.Context().Done()}
	switch {
	case modern:
		c, err = b.sharedChild()
		if err == nil && id != nil {
			s.id, s.token = id, lookup(msg, "params", "_meta", "progressToken")
			own := b.newID()
			msg = replace(msg, own, "id")
			msg = replace(msg, own, "params", "_meta", "progressToken")
		}
	case method == "initialize":
		sessionID = rand.Text()
		if c, err = b.sessionChild(sessionID); err == nil {
			w.Header().Set("Mcp-Session-Id", sessionID)
		}
	case c == nil && sessionID != "":
		writeError(w, http.StatusNotFound, id, -32001, "Session not found")
		return
	case c == nil:
		writeError(w, http.StatusBadRequest, id, -32000, "Bad Request: no session")
		return
	}
	if err != nil {
		writeError(w, http.StatusInternalServerError, id, -32603, err.Error())
		return
	}

	if id == nil || method == "" { // a notification, or the answer to a request of the server
		if err := c.write(msg); err != nil {
			writeError(w, http.StatusBadGateway, id, -32603, err.Error())
			return
		}
		w.WriteHeader(http.StatusAccepted)
		return
	}
	key := string(lookup(msg, "id"))
	c.open(key, string(lookup(msg, "params", "_meta", "progressToken")), s)
	defer func() {
		if c.forget(key, s) && modern {
			c.write(jsontext.Value(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + key + `}}`))
		}
	}()
	if err := c.write(msg); err != nil {
		writeError(w, http.StatusBadGateway, id, -32603, err.Error())
		return
	}
	respond(w, r, c, s, id, modern)
}

// respond relays what arrives for s: a single answer as JSON, anything that begins with another message as a stream.
func respond(w http.ResponseWriter, r *http.Request, c *child, s *stream, id jsontext.Value, modern bool) {
	streaming := false
	for {
		m, err := s.receive(r.Context(), c.dead)
		if err != nil {
			if !streaming {
				writeError(w, http.StatusBadGateway, id, -32603, err.Error())
			}
			return
		}
		if m.final && !streaming {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status(m.raw, modern))
			w.Write(m.raw)
			return
		}
		if !streaming {
			startStream(w)
			streaming = true
		}
		writeEvent(w, m.raw)
		if m.final {
			return
		}
	}
}

// listen relays the messages of a session that belong to no request.
func (b *Bridge) listen(w http.ResponseWriter, r *http.Request, c *child) {
	startStream(w)
	for {
		select {
		case raw := <-c.unbound:
			writeEvent(w, raw)
		case <-c.dead:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (b *Bridge) newID() jsontext.Value {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nextID++
	return jsontext.Value(strconv.FormatInt(b.nextID, 10))
}

func (b *Bridge) sharedChild() (*child, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shared != nil || b.closed {
		return b.shared, b.closedErr()
	}
	c, err := b.start()
	b.shared = c
	return c, err
}

func (b *Bridge) sessionChild(id string) (*child, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, b.closedErr()
	}
	c, err := b.start()
	if err == nil {
		if b.sessions == nil {
			b.sessions = map[string]*child{}
		}
		b.sessions[id] = c
	}
	return c, err
}

func (b *Bridge) closedErr() error {
	if b.closed {
		return errors.New("the bridge is closed")
	}
	return nil
}

// status is the HTTP status of a response, which a modern server derives from the error code.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
func status(raw jsontext.Value, modern bool) int {
	if !modern {
		return http.StatusOK
	}
	switch string(lookup(raw, "error", "code")) {
	case "-32601":
		return http.StatusNotFound
	case "-32020", "-32021", "-32022", "-32602":
		return http.StatusBadRequest
	}
	return http.StatusOK
}

func startStream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
}

func writeEvent(w http.ResponseWriter, raw jsontext.Value) {
	fmt.Fprintf(w, "event: message\ndata: %s\n\n", raw)
	w.(http.Flusher).Flush()
}

func writeError(w http.ResponseWriter, code int, id jsontext.Value, rpcCode int, message string) {
	quoted, _ := jsontext.AppendQuote(nil, message)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%s}}`,
		cmp.Or(string(id), "null"), rpcCode, quoted)
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func loopbackOrigin(origin string) bool {
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && loopback(u.Host)
}

// lookup returns the value at the path, or nil where there is none.
func lookup(v jsontext.Value, path ...string) jsontext.Value {
	for _, name := range path {
		var object map[string]jsontext.Value
		if v.Kind() != '{' || json.Unmarshal(v, &object) != nil {
			return nil
		}
		v = object[name]
	}
	return v
}

// replace returns v with the value at the path replaced, and v itself where there is none.
func replace(v, with jsontext.Value, path ...string) jsontext.Value {
	if len(path) == 0 {
		return with
	}
	var object map[string]jsontext.Value
	if v.Kind() != '{' || json.Unmarshal(v, &object) != nil || object[path[0]] == nil {
		return v
	}
	object[path[0]] = replace(object[path[0]], with, path[1:]...)
	out, err := json.Marshal(object, json.Deterministic(true))
	if err != nil {
		return v
	}
	return out
}

func text(v jsontext.Value) string {
	var s string
	if v.Kind() != '"' || json.Unmarshal(v, &s) != nil {
		return ""
	}
	return s
}
