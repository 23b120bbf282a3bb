package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// callTimeout bounds a call, so that a subject that hangs ends the run.
const callTimeout = 30 * time.Second

// stdioConn drives a command over its standard input and output. It changes once from reading where the only caller
// waits to reading in a goroutine of its own.
type stdioConn struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *tail

	write   sync.Mutex
	many    sync.Once
	mu      sync.Mutex
	waiting map[int64]chan []byte
	err     error // why reading ended
}

func startStdio(env []string, command string, args ...string) (*stdioConn, error) {
	cmd := exec.Command(command, args...)
	cmd.Env = env
	c := &stdioConn{cmd: cmd, stderr: &tail{}, waiting: map[int64]chan []byte{}}
	cmd.Stderr = c.stderr
	cmd.WaitDelay = 5 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.in, c.out = in, bufio.NewReaderSize(out, 64<<10)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", command, err)
	}
	return c, nil
}

func (c *stdioConn) call(id int64, request []byte, alone bool) ([]byte, error) {
	if alone {
		return c.callAlone(id, request)
	}
	c.many.Do(func() { go c.read() })
	answer := make(chan []byte, 1)
	c.mu.Lock()
	c.waiting[id] = answer
	err := c.err
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := c.notify(request); err != nil {
		return nil, err
	}
	timeout := time.NewTimer(callTimeout)
	defer timeout.Stop()
	select {
	case a, ok := <-answer:
		if !ok {
			return nil, c.broken(c.err)
		}
		return a, nil
	case <-timeout.C:
		return nil, c.broken(fmt.Errorf("no answer within %v", callTimeout))
	}
}

func (c *stdioConn) callAlone(id int64, request []byte) ([]byte, error) {
	watchdog := time.AfterFunc(callTimeout, func() { c.cmd.Process.Kill() })
	defer watchdog.Stop()
	if err := c.notify(request); err != nil {
		return nil, err
	}
	for {
		line, err := readLine(c.out)
		if err != nil {
			return nil, c.broken(err)
		}
		switch got, err := responseID(line); {
		case errors.Is(err, errNoResponse):
		case err != nil:
			return nil, err
		case got != id:
			return nil, fmt.Errorf("the answer to %d came in place of that to %d", got, id)
		default:
			return line, nil
		}
	}
}

func (c *stdioConn) read() {
	for {
		line, err := readLine(c.out)
		id := int64(0)
		if err == nil {
			id, err = responseID(line)
			if errors.Is(err, errNoResponse) {
				continue
			}
		}
		c.mu.Lock()
		answer := c.waiting[id]
		delete(c.waiting, id)
		if err == nil && answer == nil {
			err = fmt.Errorf("an answer to %d, which nobody asked", id)
		}
		if err != nil {
			c.err = err
			for _, w := range c.waiting {
				close(w)
			}
			c.mu.Unlock()
			io.Copy(io.Discard, c.out)
			return
		}
		c.mu.Unlock()
		answer <- line
	}
}

func (c *stdioConn) broken(err error) error {
	return fmt.Errorf("%w; standard error ends with: %s", err, c.stderr)
}

func (c *stdioConn) notify(message []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	if _, err := c.in.Write(append(message, '\n')); err != nil {
		return c.broken(err)
	}
	return nil
}

// close ends the subject as a client does, by closing its standard input.
func (c *stdioConn) close() error {
	c.in.Close()
	watchdog := time.AfterFunc(20*time.Second, func() { c.cmd.Process.Kill() })
	defer watchdog.Stop()
	c.many.Do(func() { go io.Copy(io.Discard, c.out) })
	if err := c.cmd.Wait(); err != nil {
		return c.broken(fmt.Errorf("ending %s: %w", c.cmd.Path, err))
	}
	return nil
}

// tail keeps the last kilobytes written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
	line chan string // gets the first line, if not nil
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	for t.line != nil {
		line, rest, ok := bytes.Cut(t.kept, []byte("\n"))
		if !ok {
			break
		}
		t.kept = rest
		if address := listening.FindSubmatch(line); address != nil {
			t.line <- string(address[1])
			t.line = nil
		}
	}
	if len(t.kept) > 8<<10 {
		t.kept = append([]byte(nil), t.kept[len(t.kept)-4<<10:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
