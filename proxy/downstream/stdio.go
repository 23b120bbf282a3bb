// Package downstream carries messages to and from clients: over the standard streams,
// over Streamable HTTP of both eras, and over the old HTTP+SSE.
//
// It knows about framing, headers, connections and limits. What a message means is the
// business of package proxy, which gets every one whole and strictly parsed:
//
//	err := downstream.Stdio(ctx, relay.Open(proxy.Peer{Transport: "stdio"}), os.Stdin, os.Stdout, downstream.StdioOptions{})
//
//	h := downstream.NewHTTP(relay, downstream.HTTPOptions{})
//	l, err := h.Listen("127.0.0.1:8750")
//	err = h.Serve(ctx, l)
package downstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/rs/zerolog"
)

// StdioOptions are the limits of Stdio.
type StdioOptions struct {
	MaxMessage  int           // bytes of one message of the client; 0 means 8 MiB
	MaxRequests int           // of the client that run at once; 0 means 1024
	Grace       time.Duration // requests under way get this long to finish once ctx has ended; 0 cancels them at once
	Linger      time.Duration // and this long after the end of the input; 0 as above
	Log         zerolog.Logger
}

// defaultMaxMessage bounds a client's message, over HTTP as well.
const defaultMaxMessage = 8 << 20

// slotWait is how long the input is left alone while MaxRequests run. It slows a client
// that floods; it must end, because what the requests wait for may be an answer or a
// cancel that stands further on in the same input.
const slotWait = 2 * time.Second

// unchecked is told to a client whose request the relay would not take.
const unchecked = "the request could not be checked and was not passed on: the firewall's log says why"

var errStopping = errors.New("the firewall is shutting down and takes no new requests")

// Stdio serves one client over newline-delimited JSON-RPC (2026-07-28,
// basic/transports/stdio). It returns
//
//   - nil at the end of the input, when the client is gone, after the requests under way
//     have finished or were cancelled, as o.Linger says;
//   - nil after the end of ctx, once the requests under way have finished or o.Grace has
//     passed. Meanwhile answers and notifications are still taken, new requests refused;
//   - nil once s has ended;
//   - an error if reading or writing failed.
//
// The session is left open. If in is an io.Closer, it is closed before Stdio returns, so
// that nothing goes on reading it; a read of a terminal or of a blocking descriptor may
// still stay behind until the process ends.
func Stdio(ctx context.Context, s *proxy.Session, in io.Reader, out io.Writer, o StdioOptions) error {
	if o.MaxMessage == 0 {
		o.MaxMessage = defaultMaxMessage
	}
	if o.MaxRequests == 0 {
		o.MaxRequests = 1024
	}
	c := &stdio{
		s: s, o: o, lines: newLineReader(in, o.MaxMessage), batch: s.NewBatch(), out: out,
		slots: make(chan struct{}, o.MaxRequests), turn: make(chan struct{}), ended: make(chan struct{}), broken: make(chan struct{}),
	}
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.Attach(c)
	defer s.Attach(nil)
	go c.read()

	select {
	case <-c.ended:
		if c.err == nil {
			c.drain(o.Linger, c.broken, ctx.Done())
		}
	case <-s.Done():
		c.end(nil)
	case <-ctx.Done():
		c.drain(o.Grace, c.ended, nil)
	}
	c.end(nil)
	c.stopping.Store(true)
	cancel()
	if closer, ok := in.(io.Closer); ok {
		closer.Close()
	}
	c.wait()
	return c.err
}

type stdio struct {
	s     *proxy.Session
	o     StdioOptions
	ctx   context.Context // of the requests
	lines *lineReader
	batch *proxy.Batch  // of the calls that were read with others
	slots chan struct{} // one taken per request under way

	mu  sync.Mutex // guards writing
	out io.Writer
	buf []byte

	turn chan struct{} // hands the reading to a goroutine that waits for it
	idle atomic.Int32  // goroutines that wait for it

	stopping atomic.Bool
	once     sync.Once
	ended    chan struct{}
	err      error         // set before ended is closed
	broken   chan struct{} // closed when writing failed
}

// end says that nothing more can be read or written. A nil error is an orderly end.
func (c *stdio) end(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.ended)
	})
}

// wait returns when no request is under way, by taking every slot.
func (c *stdio) wait() {
	for range cap(c.slots) {
		c.slots <- struct{}{}
	}
}

// drain lets the requests under way finish, within the limit and until the session ends
// or one of the channels is closed.
func (c *stdio) drain(limit time.Duration, over, stop <-chan struct{}) {
	c.stopping.Store(true)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	taken := 0
	defer func() {
		for range taken {
			<-c.slots
		}
	}()
	for taken < cap(c.slots) && limit > 0 {
		select {
		case c.slots <- struct{}{}:
			taken++
		case <-c.s.Done():
			return
		case <-over:
			return
		case <-stop:
			return
		case <-timer.C:
			return
		}
	}
}

// read reads messages. The goroutine that read a request runs it and, before it waits for
// anything, leaves the reading to another one: so the request, which somebody waits for, is
// not delayed by a change of goroutine, and of thread. When it is done it waits for its turn
// to read again, since its stack has grown to what a request takes and a new one's would
// have to grow anew.
func (c *stdio) read() {
	for {
		t := turn{c: c}
		if !c.batch.Empty() && (c.batch.Full() || !c.lines.ready()) {
			c.batch.Flush(t.leave)
		} else if !t.take() {
			return
		}
		if t.left && !c.await() {
			return
		}
	}
}

// turn is the reading of one message.
type turn struct {
	c    *stdio
	left bool // somebody else reads
}

// leave has somebody else read.
func (t *turn) leave() {
	if t.left {
		return
	}
	t.left = true
	select {
	case t.c.turn <- struct{}{}:
	default:
		go t.c.read()
	}
}

// take reads one message and deals with it. It is false at the end of the input.
func (t *turn) take() bool {
	c := t.c
	line, err := c.lines.next()
	switch {
	case errors.Is(err, errTooLong):
		reason := fmt.Sprintf("the message is above the limit of %d bytes", c.o.MaxMessage)
		c.o.Log.Warn().Str("session", c.s.ID()).Msg("message of the client refused: " + reason)
		c.Send(proxy.Outgoing{Raw: jsonrpc.NewError(nil, jsonrpc.CodeInvalidRequest, reason, nil)})
		return true
	case errors.Is(err, io.EOF):
		c.end(nil)
		return false
	case err != nil:
		c.end(fmt.Errorf("reading from the client: %w", err))
		return false
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return true
	}
	m, bad := parseMessage(line, c.o.MaxMessage)
	if bad != nil {
		c.o.Log.Warn().Str("session", c.s.ID()).Msg("message of the client refused: " + bad.Reason)
		c.Send(proxy.Outgoing{Raw: jsonrpc.NewError(bad.ID, bad.Code, bad.Reason, nil)})
		return true
	}
	if m.Kind != jsonrpc.Request || m.Method == "initialize" || len(c.slots) == cap(c.slots) {
		c.batch.Flush(t.leave) // which comes before this
	}
	if m.Kind == jsonrpc.Request {
		if why := c.enter(); why != nil {
			c.Send(proxy.Outgoing{Raw: jsonrpc.NewError(m.At(m.ID), jsonrpc.CodeInternal, why.Error(), nil)})
			return true
		}
	}
	x := c.s.Begin(c.ctx, m, c)
	switch {
	case x != nil && m.Method == "initialize":
		x.Run() // what the client sends next, without waiting for the answer, is to find it done
		<-c.slots
	case x != nil:
		x.OnDone(func() { <-c.slots })
		if !t.left {
			x.OnWait(func() {
				c.batch.Flush(t.leave)
				t.leave()
			})
			if !c.batch.Empty() || c.lines.ready() {
				x.In(c.batch)
			}
		}
		x.Run()
	case m.Kind == jsonrpc.Request:
		c.Send(proxy.Outgoing{Raw: jsonrpc.NewError(m.At(m.ID), jsonrpc.CodeInternal, unchecked, nil)})
		<-c.slots
	}
	return true
}

// maxIdle bounds the goroutines that wait for their turn to read.
const maxIdle = 32

// await waits until this goroutine is to read; false means that it is not needed.
func (c *stdio) await() bool {
	defer c.idle.Add(-1)
	if c.idle.Add(1) > maxIdle {
		return false
	}
	select {
	case <-c.turn:
		return true
	case <-c.ended:
		return false
	}
}

// enter takes a slot for a request.
func (c *stdio) enter() error {
	if c.stopping.Load() {
		return errStopping
	}
	select {
	case c.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(slotWait)
	defer timer.Stop()
	select {
	case c.slots <- struct{}{}:
		if c.stopping.Load() {
			<-c.slots
			return errStopping
		}
		return nil
	case <-timer.C:
		return fmt.Errorf("%d requests are under way: wait for some to end", cap(c.slots))
	}
}

// smallWrite is up to how many bytes a message is copied to get its newline. That costs
// less than looking at who else may hold the array.
const smallWrite = 64 << 10

// Send writes each message as one line, and all in one write where it can.
func (c *stdio) Send(messages ...proxy.Outgoing) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	c.buf = c.buf[:0]
	for _, m := range messages {
		raw := oneLine(m.Raw)
		if len(raw) <= smallWrite {
			c.buf = append(append(c.buf, raw...), '\n')
			continue
		}
		if len(c.buf) > 0 {
			if _, err = c.out.Write(c.buf); err != nil {
				break
			}
			c.buf = c.buf[:0]
		}
		if cap(raw) > len(raw) {
			_, err = c.out.Write(append(raw, '\n'))
		} else if _, err = c.out.Write(raw); err == nil {
			_, err = c.out.Write([]byte{'\n'})
		}
		if err != nil {
			break
		}
	}
	if err == nil && len(c.buf) > 0 {
		_, err = c.out.Write(c.buf)
	}
	if err != nil {
		err = fmt.Errorf("writing to the client: %w", err)
		c.end(err)
		select {
		case <-c.broken:
		default:
			close(c.broken)
		}
	}
	return err
}

// oneLine returns raw, a JSON value, without line ends between its tokens, which would
// cut the message in two for its reader. It returns raw itself where there are none.
func oneLine(raw []byte) []byte {
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return raw
	}
	flat := bytes.Clone(raw)
	for i, b := range flat {
		if b == '\n' || b == '\r' {
			flat[i] = ' '
		}
	}
	return flat
}
