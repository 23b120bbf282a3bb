package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// conn is a connection of the load client to a subject, whatever the transport.
type conn interface {
	// call sends a request with the id and returns the response. Several calls may be in flight; only a caller that is
	// alone may set alone, which spares the way over another goroutine.
	call(id int64, request []byte, alone bool) ([]byte, error)
	notify(message []byte) error
	close() error
}

// client speaks MCP over a conn.
type client struct {
	conn
	era  era
	last atomic.Int64
}

const clientMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modernVersion +
	`","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`

// hello is the first request of a client.
func (c *client) hello() error {
	id := c.last.Add(1)
	request := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"initialize","params":{"protocolVersion":"%s","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`, id, legacyVersion)
	if c.era == modern {
		request = fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"server/discover","params":{%s}}`, id, clientMeta)
	}
	response, err := c.call(id, request, true)
	if err != nil {
		return fmt.Errorf("first request: %w", err)
	}
	if jsonrpc.Get(response, "result", "capabilities") == nil {
		return fmt.Errorf("first request: the answer is %.300s", response)
	}
	return nil
}

// start makes the connection ready for calls: it waits until the echo tool is there, which it may be some time after
// the first answer, since the firewall waits for no server.
func (c *client) start() error {
	if err := c.hello(); err != nil {
		return err
	}
	if c.era == legacy {
		if err := c.notify([]byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		id := c.last.Add(1)
		response, err := c.call(id, c.request(id, "tools/list", ""), true)
		if err != nil {
			return fmt.Errorf("tools/list: %w", err)
		}
		if bytes.Contains(response, []byte(`"echo"`)) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("tools/list has no echo after 20 s: %.300s", response)
		}
	}
}

func (c *client) request(id int64, method, params string) []byte {
	meta := ""
	if c.era == modern {
		meta = clientMeta
		if params != "" {
			meta += ","
		}
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s%s}}`, id, method, meta, params)
}

// echo calls the tool with text of the size and returns how long the answer took. The text is different in each call,
// and must come back.
func (c *client) echo(size int, alone bool) (time.Duration, error) {
	id := c.last.Add(1)
	sent := jsonrpc.Quote(text(id, size))
	request := c.request(id, "tools/call", `"name":"echo","arguments":{"message":`+string(sent)+`}`)
	start := time.Now()
	response, err := c.call(id, request, alone)
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("call %d with %d bytes: %w", id, size, err)
	}
	if !bytes.Contains(response, append([]byte(`"content":[{"type":"text","text":`), sent...)) {
		return 0, fmt.Errorf("call %d with %d bytes came back as %.300s", id, size, response)
	}
	return took, nil
}

// say calls the tool once with the text and returns the text of the result.
func (c *client) say(message string) (text string, isError bool, err error) {
	id := c.last.Add(1)
	response, err := c.call(id, c.request(id, "tools/call", `"name":"echo","arguments":{"message":`+string(jsonrpc.Quote(message))+`}`), true)
	if err != nil {
		return "", false, err
	}
	result := jsonrpc.Get(response, "result")
	for e := range jsonrpc.Elements(result, jsonrpc.Find(result, jsonrpc.Span{End: len(result)}, "content")) {
		text, _ = jsonrpc.GetString(result[e.Start:e.End], "text")
		return text, string(jsonrpc.Get(result, "isError")) == "true", nil
	}
	return "", false, fmt.Errorf("the answer is %.300s", response)
}

const prose = "The quick brown fox jumps over the lazy dog, and \"every\" line of it ends somewhere.\n"

// text returns about size bytes of text that starts with the id.
func text(id int64, size int) string {
	return (strconv.FormatInt(id, 10) + " " + strings.Repeat(prose, size/len(prose)+1))[:size]
}

// responseID returns the id of a response. It looks for it where all subjects write it, at the beginning.
func responseID(line []byte) (int64, error) {
	const start = `{"jsonrpc":"2.0","id":`
	if rest, ok := bytes.CutPrefix(line, []byte(start)); ok {
		if end := bytes.IndexByte(rest, ','); end > 0 {
			return strconv.ParseInt(string(rest[:end]), 10, 64)
		}
	}
	m, err := jsonrpc.Parse(line, jsonrpc.Limits{})
	if err != nil {
		return 0, fmt.Errorf("the answer %.100q is no message: %w", line, err)
	}
	id, ok := jsonrpc.Int(m.At(m.ID))
	if !ok || m.Kind == jsonrpc.Request {
		return 0, errNoResponse
	}
	return id, nil
}

var errNoResponse = errors.New("no response")
