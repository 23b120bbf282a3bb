package downstream

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What is kept of a stream for a client that comes back: enough for the messages of a
// broken connection, not for a client that never reads.
const (
	maxKeptEvents = 256
	maxKeptBytes  = 4 << 20
)

// eventStream is a stream of a legacy session that outlives its connection: the client
// can take it up again where it lost it (2025-11-25, basic/transports, "Resumability and
// Redelivery"). The ids of its events are those of the stream and the event, as "3-17".
type eventStream struct {
	id     string
	window time.Duration // the client has this long to come back
	gone   func()        // called once when it did not, or at the end of the window after the last event

	mu    sync.Mutex
	to    *eventWriter // nil while there is no connection
	kept  []keptEvent  // the newest events, oldest first
	bytes int          // of kept
	last  int          // number of the newest event
	sent  int          // number of the newest event that was written to a connection
	lost  int          // number of the newest event that is not kept any more
	final bool         // the last event was sent
	ended chan struct{}
	over  bool // ended is closed
	timer *time.Timer
}

type keptEvent struct {
	number int
	data   []byte
}

func newEventStream(id string, window time.Duration, gone func()) *eventStream {
	return &eventStream{id: id, window: window, gone: gone, ended: make(chan struct{})}
}

// send writes the next event, or keeps it for a client that is away. It fails once the
// stream has ended.
func (s *eventStream) send(data []byte, final bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.final {
		return errClosed
	}
	s.last++
	s.keep(data)
	s.write(keptEvent{s.last, data})
	if s.final = final; final {
		s.wait() // the client may still have to fetch it
		s.finish()
	}
	return nil
}

func (s *eventStream) write(e keptEvent) {
	switch {
	case s.to == nil:
	case s.to.event("message", s.eventID(e.number), e.data) != nil:
		s.leave()
	default:
		s.sent = e.number
	}
}

// keep stores a copy of the newest event, within the bounds.
func (s *eventStream) keep(data []byte) {
	s.kept = append(s.kept, keptEvent{s.last, append([]byte(nil), data...)})
	s.bytes += len(data)
	for len(s.kept) > maxKeptEvents || s.bytes > maxKeptBytes {
		s.bytes -= len(s.kept[0].data)
		s.lost = s.kept[0].number
		s.kept[0].data = nil
		s.kept = s.kept[1:]
	}
}

// prime writes an event without a message.
func (s *eventStream) prime() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to != nil && s.to.prime(s.eventID(s.last)) != nil {
		s.leave()
	}
}

// unsent stands for the number of the last event that the client was sent.
const unsent = -1

// attach begins a connection, which becomes the stream's in place of the one that it
// has, and writes what came after event number after. The caller must then wait for the
// end of the stream, the client or the connection, and detach. It fails, without having
// begun, if those events are not kept.
func (s *eventStream) attach(begin func() *eventWriter, after int) (*eventWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after == unsent {
		after = max(s.sent, s.lost)
	}
	switch {
	case s.over && !s.final:
		return nil, errClosed
	case after < s.lost:
		return nil, fmt.Errorf("events up to %s are not kept any more", s.eventID(s.lost))
	case after > s.last:
		return nil, fmt.Errorf("there was no event %s", s.eventID(after))
	}
	w := begin()
	if s.to != nil {
		s.to.close()
	}
	s.to = w
	if s.timer != nil && !s.final {
		s.timer.Stop()
	}
	for _, e := range s.kept {
		if e.number > after {
			s.write(e)
		}
	}
	return w, nil
}

// detach says that the connection of w has ended. The stream goes on for its window.
func (s *eventStream) detach(w *eventWriter) {
	w.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to == w {
		s.leave()
	}
}

// leave begins to wait for the client's return.
func (s *eventStream) leave() {
	s.to = nil
	if !s.final && !s.over {
		s.wait()
	}
}

func (s *eventStream) wait() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(s.window, func() {
		s.mu.Lock()
		if s.to != nil && !s.final {
			s.mu.Unlock()
			return // it came back at the last moment
		}
		s.final = false
		s.kept = nil
		s.finish()
		s.mu.Unlock()
		s.gone()
	})
}

// end ends the stream for good, without an event.
func (s *eventStream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.final = false
	s.kept = nil
	s.finish()
}

func (s *eventStream) finish() {
	if !s.over {
		s.over = true
		close(s.ended)
	}
}

// finished reports whether the last event was sent and is still kept.
func (s *eventStream) finished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.final
}

func (s *eventStream) eventID(number int) string { return s.id + "-" + strconv.Itoa(number) }

// parseEventID splits an id that eventID made.
func parseEventID(id string) (stream string, number int, ok bool) {
	stream, n, found := strings.Cut(id, "-")
	number, err := strconv.Atoi(n)
	return stream, number, found && err == nil && number >= 0
}
