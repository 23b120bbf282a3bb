package downstream

import (
	"net/http"
	"net/url"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
)

// openSSE serves the stream of the HTTP+SSE transport (2024-11-05, basic/transports). It
// is the session: all that the client is told comes on it, and with it the session ends.
func (h *HTTP) openSSE(w http.ResponseWriter, r *http.Request, principal string) *refusal {
	if !accepts(r.Header["Accept"]).named {
		return refuse(http.StatusNotAcceptable, jsonrpc.CodeInvalidRequest, "the Accept header must name text/event-stream")
	}
	s, f := h.open(principal, true)
	if f != nil {
		return f
	}
	defer s.end()
	if !s.use() {
		return stopping()
	}
	defer s.release()
	stream := sseStream{newEventWriter(w, h.o.KeepAlive)}
	defer stream.to.close()
	s.events = stream
	s.Attach(stream)
	defer s.Attach(nil)
	h.publish(s)
	if stream.to.event("endpoint", "", []byte("/message?sessionId="+url.QueryEscape(s.ID()))) != nil {
		return nil // the client is gone
	}
	select {
	case <-r.Context().Done():
	case <-s.ctx.Done():
	}
	return nil
}

// postSSE takes a message for a session of openSSE. What answers it goes to its stream.
func (h *HTTP) postSSE(w http.ResponseWriter, r *http.Request, principal string) *refusal {
	if f := h.enter(); f != nil {
		return f
	}
	running := false
	defer func() {
		if !running {
			h.leave()
		}
	}()
	m, f := h.readMessage(r)
	if f != nil {
		return f
	}
	s := h.session(r.URL.Query().Get("sessionId"), principal, true)
	if s == nil {
		f := refuse(http.StatusNotFound, jsonrpc.CodeInvalidRequest, "there is no such session, or its stream has ended: open /sse again")
		if m.Kind == jsonrpc.Request {
			f.id = m.At(m.ID)
		}
		return f
	}
	x := s.Begin(s.ctx, m, s.events)
	if x == nil {
		s.release()
		if m.Kind == jsonrpc.Request {
			f := refuse(http.StatusInternalServerError, jsonrpc.CodeInternal, unchecked)
			f.id = m.At(m.ID)
			return f
		}
	} else if m.Method == "initialize" {
		x.Run() // what the client sends next, without waiting for the answer, is to find it done
		s.release()
	} else {
		running = true
		go func() {
			defer h.leave()
			defer s.release()
			x.Run()
		}()
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// sseStream is the Stream of an HTTP+SSE session.
type sseStream struct{ to *eventWriter }

func (s sseStream) Send(messages ...proxy.Outgoing) error {
	for _, m := range messages {
		if err := s.to.event("message", "", m.Raw); err != nil {
			return err
		}
	}
	return nil
}
