package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

const (
	versionHeader = "Mcp-Protocol-Version"
	sessionHeader = "Mcp-Session-Id"
	eventIDHeader = "Last-Event-Id"

	maxSessionID = 1 << 10
	deleteTime   = 2 * time.Second // for the end of a session on Close
	lingerTime   = time.Second     // that a stream may stay open after the response
)

// streamable is a server behind Streamable HTTP: basic/transports "Streamable HTTP" of
// 2025-03-26 to 2025-11-25, and basic/transports/streamable-http of 2026-07-28.
type streamable struct {
	web
	version atomic.Pointer[string] // after Negotiated
	session atomic.Pointer[string] // of a legacy version
	legacy  atomic.Bool            // such a version was negotiated
	listen  atomic.Bool            // the next message that is accepted opens the GET stream
}

func openHTTP(o Options) (Transport, error) {
	t := &streamable{}
	return t, t.init(o)
}

// Negotiated sets the version that requests carry.
func (t *streamable) Negotiated(version string, legacy bool) {
	if !legacy {
		t.session.Store(nil)
	}
	first := t.version.Swap(&version) == nil
	t.legacy.Store(legacy)
	t.listen.Store(first && legacy)
}

// Send posts a message and reads the answer to its end.
func (t *streamable) Send(ctx context.Context, m Outgoing) error {
	if !t.enter() {
		return unsent{t.ending()}
	}
	defer t.leave()
	bound, cancel := t.bind(ctx)
	defer cancel()

	// A session begins with initialize, which so is never part of one.
	begins := false
	if t.version.Load() == nil {
		method, _ := jsonrpc.GetString(m.Raw, "method")
		begins = method == "initialize"
	}
	req := t.request(bound, http.MethodPost, t.url, m.Raw, m.Header)
	req.Header["Accept"] = []string{acceptedTypes}
	session := t.address(req, !begins)
	res, err := t.post(ctx, req)
	if err != nil {
		return err
	}
	switch {
	case res.StatusCode >= 400:
		defer res.Body.Close()
		return t.refused(res, m, session)
	case res.StatusCode >= 300:
		defer res.Body.Close()
		return t.checkStatus(res)
	}
	if begins {
		t.begin(res)
	}
	if t.listen.Load() && t.listen.CompareAndSwap(true, false) && t.enter() {
		go t.listenForMessages()
	}
	if m.ID == 0 {
		discard(res)
		return nil
	}
	switch {
	case isType(res, eventType):
		return t.readStream(ctx, bound, cancel, res, m.ID)
	case isType(res, jsonType):
		defer res.Body.Close()
		return t.readJSON(ctx, res, m.ID)
	default:
		discard(res)
		return fmt.Errorf("the server accepted the request with HTTP status %d but sent no answer of the type %s or %s", res.StatusCode, jsonType, eventType)
	}
}

// address adds what a request carries of the version and the session. It returns the
// session's id.
func (t *streamable) address(req *http.Request, inSession bool) (session string) {
	if v := t.version.Load(); v != nil && req.Header.Get(versionHeader) == "" {
		req.Header[versionHeader] = []string{*v}
	}
	if s := t.session.Load(); s != nil && inSession {
		req.Header[sessionHeader] = []string{*s}
		session = *s
	}
	return session
}

// begin notes the session that the answer to initialize begins.
func (t *streamable) begin(res *http.Response) {
	id := res.Header.Get(sessionHeader)
	if id == "" || len(id) > maxSessionID {
		return
	}
	for i := range len(id) {
		if id[i] < 0x21 || id[i] > 0x7e {
			return
		}
	}
	t.session.Store(&id)
}

// refused handles an answer with the status of an error.
func (t *streamable) refused(res *http.Response, m Outgoing, session string) error {
	if res.StatusCode != http.StatusNotFound || session == "" {
		return t.refusal(res, m)
	}
	// The session is over, unless this is certainly about the method.
	body, _ := readBody(res, t.o.MaxMessage)
	e, err := jsonrpc.Parse(oneLine(body), t.sink.limits)
	if err == nil && m.ID != 0 && answers(e, m.ID) {
		if code, _ := jsonrpc.Int(jsonrpc.Get(e.At(e.Error), "code")); code == jsonrpc.CodeMethodNotFound {
			t.sink.events.Message(e, m.ID)
			return nil
		}
	}
	t.finish(errors.New("the server has ended the session (HTTP status 404)"))
	return t.ending()
}

// readJSON reads an answer that is one message.
func (t *streamable) readJSON(ctx context.Context, res *http.Response, id int64) error {
	body, err := readBody(res, t.o.MaxMessage)
	if err != nil {
		return t.failed(ctx, "reading the server's answer", err)
	}
	m := t.sink.message(body, id)
	switch {
	case m == nil:
		return errRefused
	case !answers(m, id):
		return errNoAnswer
	}
	return nil
}

var (
	errNoAnswer = errors.New("the server ended the stream without an answer")
	errRefused  = errors.New("the server's answer is no acceptable message")
)

// readStream reads the events of the answer to a request. If they end without the
// response, a legacy server that numbers its events is asked for the rest.
func (t *streamable) readStream(ctx, bound context.Context, cancel func(), res *http.Response, id int64) error {
	c := cursor{retry: -1}
	answered, err := t.readEvents(res, &c, id, cancel)
	if answered {
		return nil
	}
	if c.lastID != "" && (t.legacy.Load() || t.session.Load() != nil) && bound.Err() == nil {
		answered, err = t.resume(bound, &c, id, cancel)
	}
	switch {
	case answered:
		return nil
	case ctx.Err() != nil || t.ctx.Err() != nil:
		return t.failed(ctx, "waiting for the server's answer", err)
	case err == nil || errors.Is(err, io.EOF):
		return errNoAnswer
	}
	return &scrubbed{errNoAnswer.Error() + ": " + t.o.Scrub(err.Error()), errors.Join(errNoAnswer, err)}
}

// Close ends all streams, and the session if there is one.
func (t *streamable) Close() {
	if !t.finish(nil) {
		return
	}
	if t.session.Load() == nil {
		return
	}
	// The specification asks for it; the answer, 405 often, does not matter.
	ctx, cancel := context.WithTimeout(context.Background(), deleteTime)
	defer cancel()
	req := t.request(ctx, http.MethodDelete, t.url, nil, nil)
	t.address(req, true)
	if res, err := t.do(req); err == nil {
		discard(res)
	}
	t.transport.CloseIdleConnections()
}
