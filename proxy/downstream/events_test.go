package downstream

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestEventWriterGolden(t *testing.T) {
	w := httptest.NewRecorder()
	e := newEventWriter(w, time.Hour)
	e.comment("open")
	e.prime("p1-0")
	e.event("message", "p1-1", []byte(`{"a":"\n"}`))
	e.event("message", "", []byte("{\r\n\"b\":\n2}"))
	e.event("endpoint", "", []byte("/message?sessionId=x"))
	e.close()
	want := ": open\n\n" +
		"id: p1-0\nretry: 1000\ndata:\n\n" +
		"event: message\nid: p1-1\ndata: {\"a\":\"\\n\"}\n\n" +
		"event: message\ndata: {  \"b\": 2}\n\n" +
		"event: endpoint\ndata: /message?sessionId=x\n\n"
	if got := w.Body.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !w.Flushed {
		t.Error("not flushed")
	}
	if err := e.event("message", "", []byte("{}")); !errors.Is(err, errClosed) || w.Body.String() != want {
		t.Errorf("after the close: %v", err)
	}
}

func TestEventStream(t *testing.T) {
	gone := make(chan struct{})
	s := newEventStream("p1", time.Hour, func() { close(gone) })
	connect := func(after int) (*httptest.ResponseRecorder, *eventWriter, error) {
		w := httptest.NewRecorder()
		e, err := s.attach(func() *eventWriter { return newEventWriter(w, time.Hour) }, after)
		return w, e, err
	}
	ids := func(w *httptest.ResponseRecorder) string {
		var ids []string
		for line := range strings.Lines(w.Body.String()) {
			if id, ok := strings.CutPrefix(line, "id: p1-"); ok {
				ids = append(ids, strings.TrimSpace(id))
			}
		}
		return strings.Join(ids, " ")
	}
	first, conn, err := connect(0)
	if err != nil {
		t.Fatal(err)
	}
	s.send([]byte("1"), false)
	s.send([]byte("2"), false)
	s.detach(conn)
	s.send([]byte("3"), false)
	if got := ids(first); got != "1 2" {
		t.Errorf("first connection got %s", got)
	}
	again, _, err := connect(1)
	if err != nil || ids(again) != "2 3" {
		t.Errorf("after event 1: %s, %v", ids(again), err)
	}
	if _, _, err := connect(4); err == nil {
		t.Error("an event was accepted that was never sent")
	}
	// A later connection takes the stream over.
	over, conn, err := connect(unsent)
	if err != nil {
		t.Fatal(err)
	}
	s.send([]byte("4"), true)
	if ids(again) != "2 3" || ids(over) != "4" {
		t.Errorf("first got %s, second %s", ids(again), ids(over))
	}
	<-s.ended
	s.detach(conn)
	if err := s.send([]byte("5"), false); !errors.Is(err, errClosed) {
		t.Errorf("after the last event: %v", err)
	}
	late, _, err := connect(2)
	if err != nil || ids(late) != "3 4" {
		t.Errorf("after the end: %s, %v", ids(late), err)
	}
	s.end()
	if _, _, err := connect(2); err == nil {
		t.Error("a stream that is over was taken up")
	}
}

func TestEventStreamBounds(t *testing.T) {
	tests := []struct {
		name   string
		events int
		size   int
		lost   int
	}{
		{"few", 10, 10, 0},
		{"many", maxKeptEvents + 10, 10, 10},
		{"big", 6, maxKeptBytes / 4, 2},
		{"too big", 1, maxKeptBytes + 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newEventStream("p1", time.Hour, func() {})
			defer s.end()
			for range tt.events {
				s.send(make([]byte, tt.size), false)
			}
			begin := func() *eventWriter { return newEventWriter(httptest.NewRecorder(), time.Hour) }
			if tt.lost > 0 {
				if _, err := s.attach(begin, tt.lost-1); err == nil {
					t.Error("lost events were not missed")
				}
			}
			if _, err := s.attach(begin, tt.lost); err != nil {
				t.Error(err)
			}
			if s.bytes > maxKeptBytes || len(s.kept) > maxKeptEvents {
				t.Errorf("%d bytes in %d events are kept", s.bytes, len(s.kept))
			}
		})
	}
}

func TestEventStreamWindow(t *testing.T) {
	gone := make(chan struct{})
	s := newEventStream("p1", time.Millisecond, func() { close(gone) })
	e, err := s.attach(func() *eventWriter { return newEventWriter(httptest.NewRecorder(), time.Hour) }, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.detach(e)
	wait(t, gone, "the end of the window")
	wait(t, s.ended, "the end of the stream")
	if err := s.send([]byte("1"), false); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}

func TestParseEventID(t *testing.T) {
	for _, tt := range []struct {
		id, stream string
		number     int
		ok         bool
	}{
		{"p1-0", "p1", 0, true}, {"g12-345", "g12", 345, true}, {"", "", 0, false}, {"p1", "p1", 0, false},
		{"p1--1", "p1", -1, false}, {"p1-x", "p1", 0, false}, {"p1-1-2", "p1", 0, false}, {"p1-99999999999999999999", "p1", 0, false},
	} {
		stream, number, ok := parseEventID(tt.id)
		if ok != tt.ok || ok && (stream != tt.stream || number != tt.number) {
			t.Errorf("parseEventID(%q) = %s, %d, %v", tt.id, stream, number, ok)
		}
	}
}

// brokenRecorder is a connection that is broken.
type brokenRecorder struct{ *httptest.ResponseRecorder }

func (brokenRecorder) Write([]byte) (int, error) { return 0, fmt.Errorf("connection reset") }

func TestEventStreamBrokenConnection(t *testing.T) {
	s := newEventStream("p1", time.Hour, func() {})
	defer s.end()
	if _, err := s.attach(func() *eventWriter { return newEventWriter(brokenRecorder{httptest.NewRecorder()}, time.Hour) }, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.send([]byte("1"), false); err != nil {
		t.Errorf("the stream did not survive its connection: %v", err)
	}
	w := httptest.NewRecorder()
	if _, err := s.attach(func() *eventWriter { return newEventWriter(w, time.Hour) }, unsent); err != nil || !strings.Contains(w.Body.String(), "id: p1-1\n") {
		t.Errorf("got %q, %v", w.Body.String(), err)
	}
}
