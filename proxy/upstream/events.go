package upstream

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"
)

const (
	eventBuffer = 8 << 10 // bytes that are read at once from a stream of events
	maxEventID  = 1 << 10
	maxRetry    = time.Hour
)

// eventReader reads server-sent events as the HTML standard, section 9.2.6, interprets
// them: bounded, with CR, LF or CRLF as the end of a line, and without an event that the
// end of the stream cut.
type eventReader struct {
	lines lineReader
	max   int // bytes of an event's data
	begun bool

	lastID string        // of the last whole event that had one
	retry  time.Duration // that the server asked for, or -1
}

type event struct {
	name string // "" means message
	data []byte // belongs to the receiver
}

var eventBuffers = sync.Pool{New: func() any { b := make([]byte, eventBuffer); return &b }}

// newEventReader returns a reader; close gives back what it uses.
func newEventReader(r io.Reader, max int) *eventReader {
	return &eventReader{
		lines: lineReader{r: r, max: max + len("data: "), base: eventBuffer, cr: true, buf: *eventBuffers.Get().(*[]byte)},
		max:   max,
		retry: -1,
	}
}

func (r *eventReader) close() {
	if buf := r.lines.buf; len(buf) == eventBuffer {
		eventBuffers.Put(&buf)
	}
	r.lines.buf = nil
}

// next returns the next event that has data. The error is a *tooLong, after which the
// reader can go on, or that of the stream.
func (r *eventReader) next() (event, error) {
	var e event
	var some bool // data was seen
	var long *tooLong
	id := r.lastID
	for {
		line, err := r.lines.next()
		var cut *tooLong
		if errors.As(err, &cut) {
			if field(cut.head, "data") != nil {
				some = true
				long = long.join(cut)
			}
			continue
		}
		if err != nil {
			return event{}, err
		}
		if !r.begun {
			r.begun = true
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(line) == 0 {
			r.lastID = id
			switch {
			case long != nil:
				long.max = r.max
				return event{}, long
			case len(e.data) > 0:
				return e, nil
			}
			// An event without data is not one; often it brings an id only.
			e, some = event{}, false
			continue
		}
		if v := field(line, "data"); v != nil {
			switch {
			case long != nil:
				long = long.join(&tooLong{size: len(v), head: head(v), tail: tail(v)})
			case !some:
				e.data = r.lines.own(v)
			case len(e.data)+1+len(v) > r.max:
				long = (&tooLong{size: len(e.data), head: bytes.Clone(head(e.data)), tail: tail(e.data)}).
					join(&tooLong{size: 1 + len(v), tail: tail(v)})
				e.data = nil
			default:
				e.data = append(append(e.data, '\n'), v...)
			}
			some = true
		} else if v := field(line, "event"); v != nil {
			if e.name = string(v); e.name == "message" {
				e.name = ""
			}
		} else if v := field(line, "id"); v != nil {
			if len(v) <= maxEventID && bytes.IndexByte(v, 0) < 0 {
				id = string(v)
			}
		} else if v := field(line, "retry"); v != nil {
			if ms, err := strconv.ParseUint(string(v), 10, 32); err == nil {
				r.retry = min(time.Duration(ms)*time.Millisecond, maxRetry)
			}
		}
	}
}

// field returns the value of the line if it is that of the named field, else nil. A
// comment begins with a colon and so is none.
func field(line []byte, name string) []byte {
	if len(line) < len(name) || string(line[:len(name)]) != name {
		return nil
	}
	v := line[len(name):]
	if len(v) == 0 {
		return []byte{}
	}
	if v[0] != ':' {
		return nil
	}
	if v = v[1:]; len(v) > 0 && v[0] == ' ' {
		v = v[1:]
	}
	return v
}

// join returns e with more of the same message after it; e may be nil.
func (e *tooLong) join(more *tooLong) *tooLong {
	if e == nil {
		// Of the head, the field's name goes: it is no part of the message.
		return &tooLong{size: more.size, head: field(more.head, "data"), tail: more.tail}
	}
	e.size += more.size
	e.tail = bytes.Clone(tail(append(bytes.Clone(e.tail), more.tail...)))
	return e
}
