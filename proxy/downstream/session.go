package downstream

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/proxy"
)

// maxFinished is how many streams of a session that have sent their response are kept
// for a client that lost the end of them.
const maxFinished = 16

// generalStream begins the id of a stream of messages that belong to no request, and "p"
// that of the response to a POST.
const generalStream = "g"

// session is the session of a legacy client over HTTP, or of a client of the old SSE
// transport.
type session struct {
	*proxy.Session
	h         *HTTP
	principal string
	sse       bool
	events    sseStream       // of a session of the SSE transport
	ctx       context.Context // ends with the session
	cancel    context.CancelFunc

	mu      sync.Mutex
	closed  bool // end was called
	active  int  // requests and streams
	idle    *time.Timer
	next    int // number of the next stream
	streams map[string]*eventStream
	general *eventStream // of the GET; nil while there is none
}

// open makes a session for a client. The caller ends it, unless it publishes it.
func (h *HTTP) open(principal string, sse bool) (*session, *refusal) {
	h.mu.Lock()
	switch {
	case h.draining:
		h.mu.Unlock()
		return nil, stopping()
	case h.counts[principal] >= h.o.MaxSessions:
		h.mu.Unlock()
		return nil, tooMany("there are already %d sessions: end some with DELETE, or wait until idle ones end", h.o.MaxSessions)
	}
	h.counts[principal]++
	h.ending.Add(1)
	h.mu.Unlock()

	peer := proxy.Peer{Transport: "http", Principal: principal}
	if sse {
		peer.Transport = "sse"
	}
	s := &session{Session: h.relay.Open(peer), h: h, principal: principal, sse: sse, streams: map[string]*eventStream{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.idle = time.AfterFunc(h.o.Idle, s.expire)
	h.mu.Lock()
	h.opened[s] = struct{}{}
	h.mu.Unlock()
	go func() {
		defer h.ending.Done()
		select {
		case <-s.Done(): // the relay ended it
		case <-s.ctx.Done():
		}
		s.end()
		s.Close()
	}()
	return s, nil
}

// publish makes the session known by its id.
func (h *HTTP) publish(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, open := h.opened[s]; open {
		h.sessions[s.ID()] = s
	}
}

// session finds a published session, which counts as used until release is called. That
// of another principal is not found, so that its id is worth nothing to anybody else.
func (h *HTTP) session(id, principal string, sse bool) *session {
	h.mu.Lock()
	s := h.sessions[id]
	h.mu.Unlock()
	if s == nil || s.principal != principal || s.sse != sse || !s.use() {
		return nil
	}
	return s
}

// published reports whether the client may know of the session.
func (h *HTTP) published(s *session) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[s.ID()] == s
}

func (s *session) use() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active++
	s.idle.Stop()
	return true
}

func (s *session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active--; s.active == 0 && !s.closed {
		s.idle.Reset(s.h.o.Idle)
	}
}

// expire ends the session unless it is in use again.
func (s *session) expire() {
	s.mu.Lock()
	idle := s.active == 0
	s.mu.Unlock()
	if idle {
		s.end()
	}
}

// end ends the session and its streams. Its servers are ended in the background.
func (s *session) end() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.idle.Stop()
	streams := s.streams
	s.streams = nil
	s.mu.Unlock()

	s.h.mu.Lock()
	delete(s.h.sessions, s.ID())
	delete(s.h.opened, s)
	if s.h.counts[s.principal]--; s.h.counts[s.principal] == 0 {
		delete(s.h.counts, s.principal)
	}
	s.h.mu.Unlock()
	s.cancel()
	for _, e := range streams {
		e.end()
	}
}

// newStream registers a resumable stream. cancel is called when its client did not come
// back.
func (s *session) newStream(kind string, cancel func()) *eventStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addStream(kind, cancel)
}

func (s *session) addStream(kind string, cancel func()) *eventStream {
	s.next++
	id := kind + strconv.Itoa(s.next)
	var e *eventStream
	e = newEventStream(id, s.h.o.Resume, func() {
		s.forget(e)
		cancel()
	})
	if s.streams == nil { // the session has ended
		e.end()
		return e
	}
	s.streams[id] = e
	s.limitFinished()
	return e
}

// limitFinished forgets the oldest of too many finished streams.
func (s *session) limitFinished() {
	if len(s.streams) <= maxFinished {
		return
	}
	finished, oldest := 0, (*eventStream)(nil)
	for _, e := range s.streams {
		if e.finished() {
			if finished++; oldest == nil || len(e.id) < len(oldest.id) || len(e.id) == len(oldest.id) && e.id < oldest.id {
				oldest = e
			}
		}
	}
	if finished > maxFinished {
		delete(s.streams, oldest.id)
		oldest.end()
	}
}

func (s *session) forget(e *eventStream) {
	s.mu.Lock()
	delete(s.streams, e.id)
	if s.general == e {
		s.general = nil
		s.Attach(nil)
	}
	s.mu.Unlock()
	e.end()
}

// listen returns the stream for messages that belong to no request.
func (s *session) listen() *eventStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.general == nil {
		s.general = s.addStream(generalStream, func() {})
		s.Attach(general{s.general})
	}
	return s.general
}

// find returns the stream that an event belongs to, and the event's number.
func (s *session) find(eventID string) (*eventStream, int) {
	id, number, ok := parseEventID(eventID)
	if !ok {
		return nil, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[id], number
}

// general is the Stream of messages that belong to no request.
type general struct{ to *eventStream }

func (g general) Send(messages ...proxy.Outgoing) error {
	for _, m := range messages {
		if err := g.to.send(m.Raw, false); err != nil {
			return err
		}
	}
	return nil
}
