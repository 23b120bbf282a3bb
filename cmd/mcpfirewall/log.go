package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/rs/zerolog"
	"github.com/rs/zerolog/diode"
	"golang.org/x/term"
)

// logger is where the log goes: a file, a terminal, or standard error as JSON lines.
type logger struct {
	zerolog.Logger
	sink  *sink
	close func()
}

// sink takes what is to be redacted out of each line of the log. Until the redactor is set,
// no secret is known, and until it is ready, lines wait: serving does not.
type sink struct {
	out    io.Writer
	redact atomic.Pointer[redact.Redactor]

	mu      sync.Mutex
	waiting [][]byte
}

// maxWaiting bounds the lines that wait.
const maxWaiting = 1000

func (s *sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.redact.Load(); r != nil && !r.Ready() && len(s.waiting) < maxWaiting {
		if s.waiting = append(s.waiting, bytes.Clone(line)); len(s.waiting) == 1 {
			time.AfterFunc(prepareAfter, s.flush)
		}
		return len(line), nil
	}
	if err := s.release(); err != nil {
		return 0, err
	}
	return s.write(line)
}

// prepareAfter is when the redactor is made ready for the lines that wait, if no server
// has done so by then.
const prepareAfter = 200 * time.Millisecond

// flush writes the lines that wait.
func (s *sink) flush() {
	if r := s.redact.Load(); r != nil {
		r.Prepare() // where it fails, so does each line
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
}

func (s *sink) release() error {
	lines := s.waiting
	s.waiting = nil
	for _, line := range lines {
		if _, err := s.write(line); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink) write(line []byte) (int, error) {
	clean := line
	if r := s.redact.Load(); r != nil {
		done, err := r.JSON(line, redact.Scope{})
		if clean = done.Text; err != nil {
			clean = []byte(`{"level":"error","message":"a line of the log is left out: redacting it failed"}` + "\n")
		} else if n := len(clean); n > 0 && clean[n-1] != '\n' {
			clean = append(clean[:n:n], '\n')
		}
	}
	if _, err := s.out.Write(clean); err != nil {
		return 0, err
	}
	return len(line), nil
}

// logLines is how many lines wait for a standard error that nobody reads, before some
// are lost. Serving must never wait for it.
const logLines = 4096

// newLogger opens the log. The level is the one to log at when no flag says otherwise.
func (a *app) newLogger(level zerolog.Level) (*logger, error) {
	if a.logLevel != "" {
		var err error
		level, err = zerolog.ParseLevel(a.logLevel)
		if err != nil || level < zerolog.TraceLevel || level > zerolog.ErrorLevel {
			return nil, usageError{fmt.Errorf("--log-level %s: it is trace, debug, info, warn or error", a.logLevel)}
		}
	}
	l := &logger{sink: &sink{}}
	l.close = l.sink.flush
	switch {
	case a.logFile != "":
		f, err := os.OpenFile(a.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("opening the log: %w", err)
		}
		l.sink.out = f
		l.close = func() {
			l.sink.flush()
			f.Close()
		}
	case isTerminal(a.err):
		l.sink.out = zerolog.ConsoleWriter{Out: a.err, NoColor: os.Getenv("NO_COLOR") != "", TimeFormat: time.TimeOnly}
	default:
		d := diode.NewWriter(justWriter{a.err}, logLines, 0, func(missed int) {
			fmt.Fprintf(a.err, `{"level":"warn","message":"%d lines of the log were lost, because nobody read them in time"}`+"\n", missed)
		})
		l.sink.out = d
		l.close = func() {
			l.sink.flush()
			waitAtMost(time.Second, func() { d.Close() })
		}
	}
	l.Logger = zerolog.New(l.sink).Level(level).With().Timestamp().Logger()
	return l, nil
}

// justWriter hides that a stream can be closed, which diode would do.
type justWriter struct{ io.Writer }

// waitAtMost waits for f, but not for ever.
func waitAtMost(d time.Duration, f func()) {
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(d):
	}
}

// isTerminal reports whether a person looks at the stream, or types into it.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colours reports whether the output may be coloured (https://no-color.org).
func colours(out io.Writer) bool { return isTerminal(out) && os.Getenv("NO_COLOR") == "" }
