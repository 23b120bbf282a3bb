package downstream

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

var errClosed = errors.New("the stream to the client has ended")

// writeTimeout is how long a client may leave one write unread before its connection
// counts as broken. A server that several clients share waits as long.
const writeTimeout = 10 * time.Second

// Header values that never change, shared by all responses.
var (
	typeJSON   = []string{"application/json"}
	typeEvents = []string{"text/event-stream"}
	noCache    = []string{"no-cache, no-transform"}
	noBuffer   = []string{"no"}
)

// eventWriter writes server-sent events (WHATWG HTML, section 9.2) to one response, each
// flushed, and comments while there are none. It must be closed before the handler
// returns, since nothing may be written after that.
type eventWriter struct {
	mu     sync.Mutex
	w      http.ResponseWriter
	rc     *http.ResponseController
	buf    []byte
	err    error // why nothing can be written any more
	quiet  *time.Timer
	period time.Duration
	closed chan struct{}
}

// newEventWriter begins the response.
func newEventWriter(w http.ResponseWriter, keepAlive time.Duration) *eventWriter {
	h := w.Header()
	h["Content-Type"] = typeEvents
	h["Cache-Control"] = noCache
	h["X-Accel-Buffering"] = noBuffer // or nginx holds events back
	w.WriteHeader(http.StatusOK)
	e := &eventWriter{w: w, rc: http.NewResponseController(w), period: keepAlive, closed: make(chan struct{})}
	e.mu.Lock() // so that the timer's function finds e.quiet set
	defer e.mu.Unlock()
	e.quiet = time.AfterFunc(keepAlive, func() { e.comment("keep-alive") })
	return e
}

// event writes one event. The id may be empty.
func (e *eventWriter) event(name, id string, data []byte) error {
	data = oneLine(data)
	return e.write(func(b []byte) []byte {
		if name != "" {
			b = append(append(append(b, "event: "...), name...), '\n')
		}
		if id != "" {
			b = append(append(append(b, "id: "...), id...), '\n')
		}
		return append(append(append(b, "data: "...), data...), "\n\n"...)
	})
}

// prime gives the client an id to resume with before there is a message, and says how
// long to wait before it does (2025-11-25, basic/transports, "Sending Messages", 6).
func (e *eventWriter) prime(id string) error {
	return e.write(func(b []byte) []byte {
		return append(append(append(b, "id: "...), id...), "\nretry: 1000\ndata:\n\n"...)
	})
}

func (e *eventWriter) comment(text string) error {
	return e.write(func(b []byte) []byte { return append(append(append(b, ": "...), text...), "\n\n"...) })
}

func (e *eventWriter) write(build func([]byte) []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return e.err
	}
	b := build(e.buf[:0])
	if e.buf = b; cap(b) > smallWrite {
		e.buf = nil
	}
	e.rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // not supported by test recorders, which do not block either
	_, err := e.w.Write(b)
	if err == nil {
		err = e.rc.Flush()
	}
	if err != nil {
		e.err = err
		e.quiet.Stop()
		return err
	}
	e.quiet.Reset(e.period)
	return nil
}

// close ends the writing; the response ends when its handler returns.
func (e *eventWriter) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.quiet.Stop()
	select {
	case <-e.closed:
		return
	default:
		close(e.closed)
	}
	if e.err == nil {
		e.err = errClosed
		e.rc.SetWriteDeadline(time.Time{}) // the connection serves other requests after this one
	}
}
