package downstream

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
)

// legacy handles a message of protocol 2025-03-26 to 2025-11-25 (2025-11-25,
// basic/transports, "Streamable HTTP").
//
// The specification says that a disconnect should not be taken for a cancel. Here it
// cancels where the client has no way to get the response any more: at once if it has
// not received an id to resume the stream with, else after the time that it has to do so.
func (h *HTTP) legacy(w http.ResponseWriter, r *http.Request, m *jsonrpc.Message, a acceptable, principal string) *refusal {
	if m.Method == "initialize" && m.Kind == jsonrpc.Request && r.Header[headerSession] == nil {
		return h.initialize(w, r, m, a, principal)
	}
	s, f := h.known(r, principal)
	if f != nil {
		return f
	}
	defer s.release()
	if m.Kind != jsonrpc.Request {
		return notify(s.ctx, s.Session, m, w)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	p := h.newReply(w, a, s, cancel)
	defer context.AfterFunc(r.Context(), p.left)()
	return run(ctx, s.Session, m, p)
}

// initialize opens a session, which stays if the answer is a result.
func (h *HTTP) initialize(w http.ResponseWriter, r *http.Request, m *jsonrpc.Message, a acceptable, principal string) *refusal {
	s, f := h.open(principal, false)
	if f != nil {
		return f
	}
	s.use()
	defer s.release()
	defer func() {
		if !h.published(s) {
			s.end()
		}
	}()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	p := h.newReply(w, a, s, cancel)
	p.opening = true
	return run(ctx, s.Session, m, p)
}

// known returns the session that a request belongs to; the caller must release it.
func (h *HTTP) known(r *http.Request, principal string) (*session, *refusal) {
	id, given, err := header(r.Header, headerSession)
	switch {
	case err != nil:
		return nil, refuse(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "%s", err)
	case !given:
		return nil, refuse(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "the %s header is missing: send initialize first, or %s of protocol version %s", headerSession, headerVersion, proxy.ModernVersion)
	}
	s := h.session(id, principal, false)
	if s == nil {
		return nil, refuse(http.StatusNotFound, jsonrpc.CodeInvalidRequest, "there is no such session, or it has ended: send initialize again")
	}
	return s, nil
}

// legacyOnly refuses what only clients with a session may send. To all others the
// address takes POST only.
func (h *HTTP) legacyOnly(r *http.Request, principal string) (*session, *refusal) {
	version, stated, err := header(r.Header, headerVersion)
	switch {
	case err != nil:
		return nil, refuse(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "%s", err)
	case r.Header[headerSession] == nil || version == proxy.ModernVersion:
		return nil, notAllowed("POST")
	case stated && !isLegacy(version):
		return nil, unsupported(version)
	}
	return h.known(r, principal)
}

// listen opens the stream of messages that belong to no request, or takes up a stream
// where its client lost it. A stream has one connection: a later one replaces it, since
// a client that comes back may be noticed before its leaving is.
func (h *HTTP) listen(w http.ResponseWriter, r *http.Request, principal string) *refusal {
	s, f := h.legacyOnly(r, principal)
	if f != nil {
		return f
	}
	defer s.release()
	if !accepts(r.Header["Accept"]).named {
		return refuse(http.StatusNotAcceptable, jsonrpc.CodeInvalidRequest, "the Accept header must name text/event-stream")
	}
	last, resumes, err := header(r.Header, headerLastEvent)
	if err != nil {
		return refuse(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "%s", err)
	}
	stream, after := s.find(last)
	if !resumes || stream == nil && strings.HasPrefix(last, generalStream) {
		stream, after = s.listen(), unsent
	}
	if stream == nil {
		// Not 404, which would say that the session is gone.
		return refuse(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "the stream of event %s is not kept any more", shown(last))
	}
	begin := func() *eventWriter {
		e := newEventWriter(w, h.o.KeepAlive)
		e.comment("open") // a proxy may hold back headers that nothing follows
		return e
	}
	conn, err := stream.attach(begin, after)
	if errors.Is(err, errClosed) && strings.HasPrefix(stream.id, generalStream) {
		s.forget(stream) // its time to be taken up is over this very moment
		stream = s.listen()
		conn, err = stream.attach(begin, unsent)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "%s", err)
	}
	defer stream.detach(conn)
	select {
	case <-r.Context().Done():
	case <-stream.ended:
	case <-conn.closed:
	}
	return nil
}

// terminate ends a session.
func (h *HTTP) terminate(w http.ResponseWriter, r *http.Request, principal string) *refusal {
	s, f := h.legacyOnly(r, principal)
	if f != nil {
		return f
	}
	defer s.release()
	s.end()
	w.WriteHeader(http.StatusNoContent)
	return nil
}
