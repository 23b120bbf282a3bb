package bridge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// endWithin is how long a process may take to end once its input was closed.
const endWithin = 5 * time.Second

// child is one process and the requests that are open on it.
type child struct {
	cmd     *exec.Cmd
	unbound chan jsontext.Value // messages that belong to no request, for the GET stream
	dead    chan struct{}       // closed when the process ended

	writing sync.Mutex // held while a line is written, so that lines stay whole
	stdin   io.WriteCloser

	mu      sync.Mutex
	streams []openStream // in the order in which they were opened
}

// openStream is a request that waits for its answer, as the process knows it.
type openStream struct {
	id, token string
	*stream
}

// stream is the client's side of a request.
type stream struct {
	out       chan outgoing
	gone      <-chan struct{} // closed when nobody reads out any more
	id, token jsontext.Value  // what the client called them; nil in legacy sessions, where they pass untouched
}

type outgoing struct {
	raw   jsontext.Value
	final bool // the response, after which nothing comes
}

func (b *Bridge) start() (*child, error) {
	c := &child{cmd: exec.Command(b.Command[0], b.Command[1:]...), unbound: make(chan jsontext.Value, 256), dead: make(chan struct{})}
	c.cmd.Env = b.Env
	c.cmd.Stderr = b.Stderr
	c.cmd.WaitDelay = endWithin
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", b.Command[0], err)
	}
	c.stdin = stdin
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", b.Command[0], err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", b.Command[0], err)
	}
	go c.read(stdout)
	return c, nil
}

func (c *child) read(stdout io.Reader) {
	defer close(c.dead)
	defer c.cmd.Wait()
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			c.route(line)
		}
		if err != nil {
			return
		}
	}
}

// route hands a message of the process to the request that it belongs to.
func (c *child) route(raw jsontext.Value) {
	if lookup(raw, "method") == nil {
		if s, ok := c.take(string(lookup(raw, "id"))); ok {
			if s.stream.id != nil {
				raw = replace(raw, s.stream.id, "id")
				raw = replace(raw, s.stream.id, "result", "_meta", metaSubscription)
			}
			s.send(outgoing{raw, true})
		}
		return
	}
	s, ok := c.find(raw)
	if !ok {
		select {
		case c.unbound <- raw:
		default: // Nobody listens, and nobody ever did.
		}
		return
	}
	if s.stream.id != nil {
		raw = replace(raw, s.stream.id, "params", "_meta", metaSubscription)
		if s.stream.token != nil {
			raw = replace(raw, s.stream.token, "params", "progressToken")
		}
	}
	s.send(outgoing{raw, false})
}

// find returns the open request that a request or notification of the process belongs to: the one that it names, and
// for what names none the youngest, because stdio ties a log message or a legacy sampling request to no request.
func (c *child) find(raw jsontext.Value) (openStream, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	subscription := string(lookup(raw, "params", "_meta", metaSubscription))
	token := string(lookup(raw, "params", "progressToken"))
	request := string(lookup(raw, "params", "requestId"))
	for _, s := range c.streams {
		if subscription != "" && s.id == subscription || token != "" && s.token == token || request != "" && s.id == request {
			return s, true
		}
	}
	method := text(lookup(raw, "method"))
	if len(c.streams) == 0 || strings.HasSuffix(method, "/list_changed") || method == "notifications/resources/updated" {
		return openStream{}, false
	}
	return c.streams[len(c.streams)-1], true
}

func (c *child) open(id, token string, s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams = append(c.streams, openStream{id, token, s})
}

// take removes and returns the request with this id.
func (c *child) take(id string) (openStream, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.streams {
		if s.id == id {
			c.streams = append(c.streams[:i], c.streams[i+1:]...)
			return s, true
		}
	}
	return openStream{}, false
}

// forget removes a request whose client went away, and reports whether it was still open.
func (c *child) forget(id string, s *stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range c.streams {
		if o.id == id && o.stream == s {
			c.streams = append(c.streams[:i], c.streams[i+1:]...)
			return true
		}
	}
	return false
}

func (s *stream) send(m outgoing) {
	select {
	case s.out <- m:
	case <-s.gone:
	}
}

// receive returns the next message, and an error when there will be none.
func (s *stream) receive(ctx context.Context, dead <-chan struct{}) (outgoing, error) {
	select {
	case m := <-s.out:
		return m, nil
	case <-ctx.Done():
		return outgoing{}, ctx.Err()
	case <-dead:
	}
	select { // What the process wrote before it ended counts.
	case m := <-s.out:
		return m, nil
	default:
		return outgoing{}, errors.New("the process behind the bridge ended")
	}
}

func (c *child) write(msg jsontext.Value) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if _, err := c.stdin.Write(append(bytes.Clone(msg), '\n')); err != nil {
		return fmt.Errorf("writing to the process behind the bridge: %w", err)
	}
	return nil
}

// close ends the process as the specification says: its input is closed, and it is killed only if it stays.
func (c *child) close() {
	c.stdin.Close()
	timer := time.AfterFunc(endWithin, func() {
		if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			fmt.Fprintf(c.cmd.Stderr, "bridge: killing %s: %v\n", c.cmd.Path, err)
		}
	})
	defer timer.Stop()
	<-c.dead
}
