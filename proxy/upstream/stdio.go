package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/guard"
	"golang.org/x/time/rate"
)

// drainTime bounds the reading of what a process left in its pipes. They end with the
// process; only a descendant that could not be ended keeps them open.
const drainTime = 10 * time.Second

// stdio is a server that is a child process.
type stdio struct {
	o       Options
	sink    sink
	process *guard.Process
	begun   time.Time
	stdout  *os.File
	stderr  *stderrLog
	drained chan struct{} // closed at the end of stdout

	writing chan struct{} // holds one token while somebody writes to in
	in      pipeWriter

	mu      sync.Mutex
	closing bool  // the end is Close's
	reason  error // or has this reason, if it is not the process's own
	endOnce sync.Once
}

func openStdio(o Options) (_ Transport, err error) {
	c, err := command(&o)
	if err != nil {
		return nil, fmt.Errorf("starting server %s: %w", o.Name, err)
	}
	var files [6]*os.File
	for i := 0; i < len(files); i += 2 {
		if files[i], files[i+1], err = os.Pipe(); err != nil {
			for _, f := range files[:i] {
				f.Close()
			}
			return nil, fmt.Errorf("starting server %s: making a pipe: %w", o.Name, err)
		}
	}
	c.Stdin, c.Stdout, c.Stderr = files[0], files[3], files[5]
	t := &stdio{
		o: o, sink: newSink(&o), begun: time.Now(),
		stdout: files[2], stderr: newStderrLog(&o, files[4]), drained: make(chan struct{}),
		writing: make(chan struct{}, 1),
	}
	t.process, err = guard.Start(*c)
	if err == nil {
		err = t.in.init(files[1])
	}
	if err != nil {
		if t.process != nil {
			t.process.Kill()
		}
		for _, f := range []*os.File{files[1], files[2], files[4]} {
			f.Close()
		}
		return nil, fmt.Errorf("starting server %s: %w", o.Name, err)
	}
	go t.read()
	go t.stderr.read()
	go t.stderr.write()
	go t.supervise()
	return t, nil
}

// command returns what to run.
func command(o *Options) (*guard.Command, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("finding the working directory: %w", err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("the working directory %s does not exist or is no directory", dir)
	}
	path, err := lookPath(o.Command, dir, o.Env)
	if err != nil {
		return nil, errors.New(o.Scrub(err.Error()))
	}
	c := &guard.Command{
		Path: path, Args: append([]string{o.Command}, o.Args...), Env: o.Env, Dir: dir, Grace: o.Grace,
	}
	return c, adaptCommand(c)
}

// read gives each line of the server's output to the events, in this goroutine.
func (t *stdio) read() {
	defer close(t.drained)
	defer t.stdout.Close()
	lines := lineReader{r: t.stdout, max: t.o.MaxMessage, base: 64 << 10}
	junk := junkLog{o: &t.o, limit: rate.NewLimiter(1, 10)}
	for first := true; ; first = false {
		if t.o.Events.Idle != nil && !lines.ready() {
			t.o.Events.Idle()
		}
		line, err := lines.next()
		var long *tooLong
		switch {
		case errors.As(err, &long):
			if looksLikeMessage(long.head) {
				t.sink.tooLong(long, 0)
			} else {
				junk.log(long.head)
			}
			continue
		case err != nil:
			return
		}
		if first {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case looksLikeMessage(line):
			t.sink.message(lines.own(line), 0)
		default:
			junk.log(line)
		}
	}
}

// junkLog logs what a server prints on its standard output that is not for the protocol.
type junkLog struct {
	o       *Options
	limit   *rate.Limiter
	skipped int
}

func (j *junkLog) log(line []byte) {
	if !j.limit.Allow() {
		j.skipped++
		return
	}
	e := j.o.Log.Warn().Str("stream", "stdout").Str("line", quotable(head(line), 200, j.o.Scrub))
	if j.skipped > 0 {
		e.Int("skipped", j.skipped)
		j.skipped = 0
	}
	e.Msg("the server printed something that is no message; it was left out")
}

// supervise waits for the end, whose event it reports.
func (t *stdio) supervise() {
	select {
	case <-t.process.Done():
	case <-t.drained:
		select {
		case <-t.process.Done():
		case <-time.After(t.o.Grace):
			t.fail(errors.New("closed its standard output"))
		}
	}
	<-t.process.Done()
	end := time.Now().Add(drainTime)
	t.stdout.SetReadDeadline(end)
	<-t.drained
	t.stderr.finish(end)
	t.end()
	t.o.Events.Closed(t.why())
}

// why returns the reason of the end for Events.Closed.
func (t *stdio) why() error {
	t.mu.Lock()
	closing, reason := t.closing, t.reason
	t.mu.Unlock()
	exit := t.process.Exit()
	switch {
	case closing && len(exit.Left) == 0:
		return nil
	case reason != nil:
		return fmt.Errorf("the server %w", reason)
	}
	lived := exit.Time.Sub(t.begun)
	if lived < 10*time.Second {
		lived = lived.Round(time.Millisecond)
	} else {
		lived = lived.Round(time.Second)
	}
	return &ended{fmt.Sprintf("the server %s after %v", exit, lived), t.stderr.lastWords()}
}

// fail ends the server for a reason that is not its own.
func (t *stdio) fail(reason error) {
	t.mu.Lock()
	if t.reason == nil {
		t.reason = reason
	}
	t.mu.Unlock()
	go t.end()
}

// Send writes one line, or several.
func (t *stdio) Send(ctx context.Context, m Outgoing) error {
	for _, raw := range append(m.Next, m.Raw) {
		if bytes.IndexByte(raw, '\n') >= 0 {
			return errors.New("a message with a line end cannot be sent as a line")
		}
	}
	if err := ctx.Err(); err != nil {
		return unsent{fmt.Errorf("writing to the server: %w", err)}
	}
	select {
	case t.writing <- struct{}{}:
	default:
		select {
		case t.writing <- struct{}{}:
		case <-ctx.Done():
			return unsent{fmt.Errorf("waiting to write to the server, which does not read: %w", ctx.Err())}
		case <-t.process.Done():
			return unsent{ErrClosed}
		}
	}
	n, err := t.in.writeLines(ctx, m, t.fail)
	<-t.writing
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil:
		// The pipe is closed at either side. Closed tells why.
		err = ErrClosed
	default:
		if n > 0 {
			t.fail(errNotReading)
		}
		err = fmt.Errorf("writing to the server, which does not read: %w", ctx.Err())
	}
	if n == 0 {
		return unsent{err}
	}
	return err
}

// Negotiated is of no interest over stdio.
func (t *stdio) Negotiated(version string, legacy bool) {}

// SetHeader is of no interest over stdio.
func (t *stdio) SetHeader(http.Header) {}

// Close ends the process and its descendants: gently, then with SIGTERM, then SIGKILL.
func (t *stdio) Close() {
	t.mu.Lock()
	t.closing = t.closing || t.reason == nil && !isClosed(t.process.Done())
	t.mu.Unlock()
	t.end()
}

// end ends the process and returns when it and its descendants are gone.
func (t *stdio) end() {
	t.endOnce.Do(func() {
		t.in.interrupt()
		wait := time.NewTimer(t.o.Grace)
		select {
		case t.writing <- struct{}{}: // and nobody writes again
			t.in.close()
		case <-wait.C:
		case <-t.process.Done():
		}
		for _, act := range []func(){t.process.Terminate, t.process.Kill} {
			select {
			case <-t.process.Done():
			case <-wait.C:
				act()
				wait.Reset(t.o.Grace)
			}
		}
		<-t.process.Done()
		wait.Stop()
		t.in.close()
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
