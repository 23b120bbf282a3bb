package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// listening is how all subjects say their address.
var listening = regexp.MustCompile(`listening on (http://127\.0\.0\.1:\d+/mcp)`)

// process is a subject that listens.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr *tail
	url    string
}

// startHTTP starts a command and waits until it says its address.
func startHTTP(env []string, command string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(command, args...), stderr: &tail{line: make(chan string, 1)}}
	address := p.stderr.line
	p.cmd.Env = env
	p.cmd.Stderr = p.stderr
	p.cmd.WaitDelay = 5 * time.Second
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.in = in
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", command, err)
	}
	select {
	case p.url = <-address:
		return p, nil
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill()
		p.cmd.Wait()
		return nil, fmt.Errorf("%s %s did not say within 20 s where it listens: %s", command, strings.Join(args, " "), p.stderr)
	}
}

// stop ends the process. The bench's own programs end with their standard input.
func (p *process) stop() error {
	p.in.Close()
	if p.cmd.Process.Signal(os.Interrupt) != nil { // Windows has none
		p.cmd.Process.Kill()
	}
	watchdog := time.AfterFunc(20*time.Second, func() { p.cmd.Process.Kill() })
	defer watchdog.Stop()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// httpConn drives a Streamable HTTP endpoint.
type httpConn struct {
	url     string
	era     era
	client  *http.Client
	session string // Mcp-Session-Id, once the server gave one
}

func dial(url string, e era) *httpConn {
	return &httpConn{url: url, era: e, client: &http.Client{Timeout: callTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (c *httpConn) call(id int64, request []byte, _ bool) ([]byte, error) {
	response, err := c.post(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if s := response.Header.Get("Mcp-Session-Id"); s != "" && c.session == "" {
		c.session = s // by the first request, which is alone
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return answerFromStream(response.Body, id)
	}
	var buf bytes.Buffer
	buf.Grow(int(max(response.ContentLength, 0)) + bytes.MinRead)
	if _, err := buf.ReadFrom(response.Body); err != nil {
		return nil, err
	}
	body := buf.Bytes()
	if got, err := responseID(body); err != nil || got != id {
		return nil, fmt.Errorf("HTTP %d answers %d with %.300q", response.StatusCode, id, body)
	}
	return body, nil
}

// answerFromStream reads events until the one that is the response.
func answerFromStream(body io.Reader, id int64) ([]byte, error) {
	r := bufio.NewReaderSize(body, 64<<10)
	for {
		line, err := readLine(r)
		if err != nil {
			return nil, fmt.Errorf("the stream ended without the answer: %w", err)
		}
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			continue
		}
		data = bytes.TrimSpace(data)
		if got, err := responseID(data); err == nil && got == id {
			_, err := io.Copy(io.Discard, r) // to the end, so that the connection is used again
			return data, err
		}
	}
}

func (c *httpConn) notify(message []byte) error {
	response, err := c.post(message)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("a notification was answered with HTTP %d", response.StatusCode)
	}
	return nil
}

func (c *httpConn) post(message []byte) (*http.Response, error) {
	r, err := http.NewRequest(http.MethodPost, c.url, bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if c.era == modern {
		method, _ := jsonrpc.GetString(message, "method")
		r.Header.Set("Mcp-Protocol-Version", modernVersion)
		r.Header.Set("Mcp-Method", method)
		if method == "tools/call" {
			r.Header.Set("Mcp-Name", "echo")
		}
	} else if c.session != "" {
		r.Header.Set("Mcp-Protocol-Version", legacyVersion)
		r.Header.Set("Mcp-Session-Id", c.session)
	}
	return c.client.Do(r)
}

func (c *httpConn) close() error {
	c.client.CloseIdleConnections()
	return nil
}
