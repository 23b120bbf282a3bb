package downstream

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
)

var errJSONOnly = errors.New("the client does not accept text/event-stream, and only the response fits into application/json")

// reply is the Stream of one request that was POSTed. If the first message is the
// response, it is sent as plain JSON; else, and if it takes long, the reply becomes a
// stream of events.
type reply struct {
	h       *HTTP
	w       http.ResponseWriter
	json    bool // the client accepts application/json
	events  bool // the client accepts text/event-stream
	session *session
	opening bool // session is not known to the client yet: this is the reply to initialize
	cancel  context.CancelFunc

	mu     sync.Mutex
	writer *eventWriter // set once it is a stream of events
	stream *eventStream // set if that can be resumed
	done   bool
	late   *time.Timer
}

// newReply returns the reply to a request. Of a legacy client, it has the session and
// what cancels the request if the client is gone for good; else both are nil.
func (h *HTTP) newReply(w http.ResponseWriter, a acceptable, s *session, cancel context.CancelFunc) *reply {
	p := &reply{h: h, w: w, json: a.json, events: a.events, session: s, cancel: cancel}
	if a.events {
		// A connection that is silent for too long is closed by what is in between.
		p.late = time.AfterFunc(h.o.KeepAlive, p.prolong)
	}
	return p
}

// Send writes messages.
func (p *reply) Send(messages ...proxy.Outgoing) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range messages {
		if err := p.send(m); err != nil {
			return err
		}
	}
	return nil
}

// send writes one message. Its caller holds the lock.
func (p *reply) send(m proxy.Outgoing) error {
	if p.done {
		return errClosed
	}
	if p.opening && m.Final && m.Code == 0 {
		p.h.publish(p.session)
		p.w.Header()[headerSession] = []string{p.session.ID()}
	}
	switch {
	case p.writer != nil:
	case m.Final && p.json:
		p.done = true
		return p.plain(m)
	case !p.events || p.opening && !m.Final:
		return errJSONOnly
	default:
		if err := p.start(); err != nil {
			return err
		}
	}
	p.done = m.Final
	if p.stream != nil {
		return p.stream.send(m.Raw, m.Final)
	}
	return p.writer.event("message", "", m.Raw)
}

// plain writes the response as JSON.
func (p *reply) plain(m proxy.Outgoing) error {
	status := http.StatusOK
	if p.session == nil {
		status = statusOf(m.Code)
	}
	return writeJSON(p.w, status, m.Raw)
}

// writeJSON writes a whole response.
func writeJSON(w http.ResponseWriter, status int, raw []byte) error {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	h := w.Header()
	h["Content-Type"] = typeJSON
	h["Content-Length"] = []string{strconv.Itoa(len(raw))}
	w.WriteHeader(status)
	_, err := w.Write(raw)
	return err
}

// statusOf returns the HTTP status of an error response to a modern client.
func statusOf(code int) int {
	switch code {
	case jsonrpc.CodeMethodNotFound:
		return http.StatusNotFound
	case jsonrpc.CodeParse, jsonrpc.CodeInvalidRequest, jsonrpc.CodeHeaderMismatch,
		jsonrpc.CodeMissingCapability, jsonrpc.CodeUnsupportedVersion:
		return http.StatusBadRequest
	default:
		return http.StatusOK
	}
}

// start turns the reply into a stream of events. Its caller holds the lock.
func (p *reply) start() (err error) {
	begin := func() *eventWriter { return newEventWriter(p.w, p.h.o.KeepAlive) }
	if p.session == nil || p.opening {
		p.writer = begin()
		return nil
	}
	stream := p.session.newStream("p", p.cancel)
	if p.writer, err = stream.attach(begin, 0); err != nil { // the session has ended
		p.cancel()
		return err
	}
	p.stream = stream
	if p.session.Version() >= "2025-11-25" {
		p.stream.prime()
	}
	return nil
}

// prolong keeps the connection of a long request alive.
func (p *reply) prolong() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done && p.writer == nil && !p.opening && p.start() == nil {
		p.writer.comment("keep-alive")
	}
}

// left is called when the connection has ended. A client of a stream that can be resumed
// may come back; any other has no way to get the response, so its request is cancelled.
func (p *reply) left() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream != nil {
		p.stream.detach(p.writer)
		return
	}
	p.cancel()
}

// stop ends the reply as it stands: nothing is written after it returns. What finish has
// ended stays as it is.
func (p *reply) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = true
	if p.late != nil {
		p.late.Stop()
	}
	switch {
	case p.stream != nil:
		p.stream.detach(p.writer)
	case p.writer != nil:
		p.writer.close()
	}
}

// finish ends the reply once the request was run: nothing is written after it returns. A
// request that the client cancelled gets no response, only the end of its connection.
func (p *reply) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.late != nil {
		p.late.Stop()
	}
	silent := !p.done
	p.done = true
	switch {
	case p.stream != nil:
		p.stream.detach(p.writer)
		if silent {
			p.session.forget(p.stream)
		}
	case p.writer != nil:
		p.writer.close()
	case silent && p.events:
		newEventWriter(p.w, p.h.o.KeepAlive).close()
	case silent:
		p.w.WriteHeader(http.StatusNoContent)
	}
}
