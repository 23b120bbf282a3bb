package upstream

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// copyLimit is the size up to which a message is copied, to go out with its line end in
// one write.
const copyLimit = 64 << 10

var errNotReading = errors.New("did not read its input in time, which cut a message in two")

var longAgo = time.Unix(1, 0)

// pipeWriter writes lines to a child's standard input. It is for one user at a time, but
// for interrupt and close.
type pipeWriter struct {
	file    *os.File
	conn    syscall.RawConn
	line    []byte // reused
	stopped atomic.Bool

	// One attempt to write without waiting. They are fields, and try is bound once, so
	// that an attempt allocates nothing.
	try     func(fd uintptr) (done bool)
	rest    []byte
	written int
	failed  error
}

func (w *pipeWriter) init(f *os.File) (err error) {
	w.file = f
	w.try = w.attempt
	w.conn, err = f.SyscallConn()
	return err
}

// writeLines writes each message and a line end. It returns how many bytes were written, all of
// them if err is nil. The end of ctx ends the wait for a reader; abandon is called then
// where the system cannot interrupt a write, and must end the reader.
func (w *pipeWriter) writeLines(ctx context.Context, m Outgoing, abandon func(error)) (int, error) {
	if raw := m.Raw; len(raw) > copyLimit && len(m.Next) == 0 {
		n, err := w.write(ctx, raw, abandon)
		if err != nil {
			return n, err
		}
		m, err := w.write(ctx, []byte{'\n'}, abandon)
		return n + m, err
	}
	w.line = append(append(w.line[:0], m.Raw...), '\n')
	for _, raw := range m.Next {
		w.line = append(append(w.line, raw...), '\n')
	}
	return w.write(ctx, w.line, abandon)
}

func (w *pipeWriter) write(ctx context.Context, b []byte, abandon func(error)) (int, error) {
	// Mostly the pipe has room, and ctx need not be watched.
	w.rest, w.written, w.failed = b, 0, nil
	err := w.conn.Write(w.try)
	w.rest = nil
	if err == nil {
		err = w.failed
	}
	if err != nil || w.written == len(b) {
		return w.written, err
	}
	n, err := w.writeSlowly(ctx, b[w.written:], abandon)
	return w.written + n, err
}

func (w *pipeWriter) writeSlowly(ctx context.Context, b []byte, abandon func(error)) (int, error) {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		if w.file.SetWriteDeadline(longAgo) != nil {
			abandon(errNotReading)
		}
	})
	n, err := w.file.Write(b)
	if !stop() {
		<-fired
		w.file.SetWriteDeadline(time.Time{})
		if w.stopped.Load() {
			w.file.SetWriteDeadline(longAgo)
		}
	}
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}

// interrupt ends a write that waits, and all later ones, where the system can do that.
func (w *pipeWriter) interrupt() {
	w.stopped.Store(true)
	w.file.SetWriteDeadline(longAgo)
}

func (w *pipeWriter) close() { w.file.Close() }
