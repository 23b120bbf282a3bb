package downstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func wait[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}

const initialize = `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"test","version":"1"}}}`
const initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`

func call(id, tool, args string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"progressToken":1}}}`, id, tool, args)
}

// pipe is a client on standard streams.
type pipe struct {
	t    testing.TB
	in   *io.PipeWriter
	out  *bufio.Scanner
	done chan error
	stop context.CancelFunc
	f    *fixture
}

func newPipe(t testing.TB, o StdioOptions) *pipe {
	f := newFixture(t)
	s := f.relay.Open(proxy.Peer{Transport: "stdio", Principal: "tester"})
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	p := &pipe{t: t, in: inW, out: bufio.NewScanner(outR), done: make(chan error, 1), stop: stop, f: f}
	p.out.Buffer(nil, 64<<20)
	go func() {
		p.done <- Stdio(ctx, s, inR, outW, o)
		outW.Close()
		s.Close()
	}()
	t.Cleanup(func() { stop(); inW.Close(); outR.Close() })
	return p
}

func (p *pipe) send(lines ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, strings.Join(lines, "\n")+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipe) receive() string {
	p.t.Helper()
	line := make(chan string, 1)
	go func() {
		if p.out.Scan() {
			line <- p.out.Text()
		} else {
			line <- ""
		}
	}()
	return wait(p.t, line, "a message")
}

func (p *pipe) start() {
	p.t.Helper()
	p.send(initialize, initialized)
	if got := p.receive(); !strings.Contains(got, `"protocolVersion":"2025-11-25"`) {
		p.t.Fatalf("initialize: %s", got)
	}
}

func TestStdioAnswers(t *testing.T) {
	p := newPipe(t, StdioOptions{MaxMessage: 1000})
	p.start()
	tests := []struct{ name, send, want string }{
		{"call", call("7", "echo", `{"a":12345678901234567890}`), `\"a\":12345678901234567890`},
		{"string id", call(`"x\u0041"`, "echo", `{}`), `"id":"x\u0041"`},
		{"unknown method", `{"jsonrpc":"2.0","id":8,"method":"no/such"}`, `"code":-32601`},
		{"not JSON", `{"jsonrpc":`, `"id":null,"error":{"code":-32700`},
		{"malformed with an id", `{"jsonrpc":"2.0","id":9,"method":5}`, `"id":9,"error":{"code":-32600`},
		{"batch", `[{"jsonrpc":"2.0","id":9,"method":"ping"}]`, `"code":-32600`},
		{"lone surrogate", `{"jsonrpc":"2.0","id":9,"method":"ping","params":{"x":"\ud800"}}`, `"id":9,"error":{"code":-32700`},
		{"too deep", `{"jsonrpc":"2.0","method":"ping","params":{"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `},"id":"deep"}`, `"id":"deep","error":{"code":-32600`},
		{"duplicate name", `{"jsonrpc":"2.0","id":9,"method":"ping","params":{"x":1,"x":2}}`, `"id":9,"error":{"code":-32700`},
		{"malformed answer", `{"jsonrpc":"2.0","id":9,"result":{"x":1,"x":2}}`, `"id":null,"error":{"code":-32700`},
		{"too long", call("9", "echo", `{"a":"`+strings.Repeat("x", 2000)+`"}`), `"id":null,"error":{"code":-32600`},
		{"spaces and CR LF", "  " + `{"jsonrpc":"2.0","id":10,"method":"ping"}` + " \r", `"id":10,"result":{}`},
		{"after empty lines", "\n \n" + `{"jsonrpc":"2.0","id":11,"method":"ping"}`, `"id":11,"result":{}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.send(tt.send)
			if got := p.receive(); !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	p.in.Close()
	if err := wait(t, p.done, "the end"); err != nil {
		t.Errorf("at the end of the input: %v", err)
	}
}

func TestStdioEndCancels(t *testing.T) {
	p := newPipe(t, StdioOptions{})
	p.start()
	p.send(call("1", "block", `{}`))
	wait(t, p.f.event, "the call")
	go func() { // the answer, if any, has to be read
		for p.out.Scan() {
		}
	}()
	p.in.Close()
	if got := wait(t, p.f.event, "the cancel"); got != "cancelled" {
		t.Errorf("got %q", got)
	}
	if err := wait(t, p.done, "the end"); err != nil {
		t.Error(err)
	}
}

func TestStdioLinger(t *testing.T) {
	p := newPipe(t, StdioOptions{Linger: time.Hour})
	p.start()
	p.send(call("1", "block", `{}`))
	wait(t, p.f.event, "the call")
	p.in.Close()
	p.f.proceed <- struct{}{}
	if got := p.receive(); !strings.Contains(got, `"id":1,"result"`) {
		t.Errorf("got %s", got)
	}
	if err := wait(t, p.done, "the end"); err != nil {
		t.Error(err)
	}
}

// A client may send what follows initialize without waiting for the answer.
func TestStdioAtOnce(t *testing.T) {
	p := newPipe(t, StdioOptions{Linger: time.Hour})
	p.send(initialize, initialized, call("1", "echo", `{}`), call("2", "echo", `{}`))
	p.in.Close()
	var all string
	for range 3 {
		all += p.receive()
	}
	for _, want := range []string{`"protocolVersion"`, `"id":1,"result"`, `"id":2,"result"`} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is missing in %s", want, all)
		}
	}
}

func TestStdioCancelBehindRequest(t *testing.T) {
	p := newPipe(t, StdioOptions{})
	p.start()
	p.send(call("1", "block", `{}`))
	wait(t, p.f.event, "the call")
	p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, `{"jsonrpc":"2.0","id":2,"method":"ping"}`)
	if got := p.receive(); !strings.Contains(got, `"id":2`) {
		t.Errorf("a cancelled request was answered: %s", got)
	}
	wait(t, p.f.event, "the cancel")
}

func TestStdioGrace(t *testing.T) {
	p := newPipe(t, StdioOptions{Grace: time.Hour})
	p.start()
	p.send(call("1", "block", `{}`))
	wait(t, p.f.event, "the call")
	p.stop()
	for { // until the end of the context was noticed
		p.send(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
		if got := p.receive(); strings.Contains(got, "shutting down") {
			break
		}
	}
	p.f.proceed <- struct{}{}
	if got := p.receive(); !strings.Contains(got, `"id":1,"result"`) {
		t.Errorf("got %s", got)
	}
	if err := wait(t, p.done, "the end"); err != nil {
		t.Error(err)
	}
}

func TestStdioGraceEnds(t *testing.T) {
	p := newPipe(t, StdioOptions{}) // with no grace at all
	p.start()
	p.send(call("1", "block", `{}`))
	wait(t, p.f.event, "the call")
	go func() {
		for p.out.Scan() {
		}
	}()
	stopped := time.Now()
	p.stop()
	if got := wait(t, p.f.event, "the cancel"); got != "cancelled" || time.Since(stopped) > noGrace {
		t.Errorf("got %q after %s", got, time.Since(stopped))
	}
	if err := wait(t, p.done, "the end"); err != nil {
		t.Error(err)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken pipe")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestStdioBrokenOutput(t *testing.T) {
	f := newFixture(t)
	s := f.relay.Open(proxy.Peer{Transport: "stdio"})
	defer s.Close()
	in, w := io.Pipe()
	go io.WriteString(w, initialize+"\n")
	done := make(chan error, 1)
	go func() { done <- Stdio(context.Background(), s, in, brokenWriter{}, StdioOptions{}) }()
	if err := wait(t, done, "the end"); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

func TestStdioSessionEnds(t *testing.T) {
	f := newFixture(t)
	s := f.relay.Open(proxy.Peer{Transport: "stdio"})
	in, _ := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Stdio(context.Background(), s, in, io.Discard, StdioOptions{}) }()
	s.Close()
	if err := wait(t, done, "the end"); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestStdioManyRequests(t *testing.T) {
	p := newPipe(t, StdioOptions{MaxRequests: 4})
	p.start()
	const n = 500
	go func() {
		for i := range n {
			fmt.Fprintln(p.in, call(fmt.Sprint(i), "echo", `{}`))
		}
	}()
	seen := map[string]bool{}
	for range n {
		m, err := jsonrpc.Parse([]byte(p.receive()), jsonrpc.Limits{})
		if err != nil || m.Kind != jsonrpc.Result {
			t.Fatalf("got %v, %v", m, err)
		}
		seen[m.IDKey()] = true
	}
	if len(seen) != n {
		t.Errorf("%d different answers to %d calls", len(seen), n)
	}
}

// A client that has as many requests under way as it may is heard all the same: its
// requests wait for its answer.
func TestStdioFullButNotDeaf(t *testing.T) {
	p := newPipe(t, StdioOptions{MaxRequests: 1})
	p.start()
	p.send(call("1", "elicit", `{}`))
	question, err := jsonrpc.Parse([]byte(p.receive()), jsonrpc.Limits{})
	if err != nil || question.Method != "elicitation/create" {
		t.Fatalf("got %v, %v", question, err)
	}
	p.send(`{"jsonrpc":"2.0","id":2,"method":"ping"}`, string(jsonrpc.NewResult(question.At(question.ID), []byte(`{"action":"decline"}`))))
	var got []string
	for range 2 {
		got = append(got, p.receive())
	}
	if all := strings.Join(got, "\n"); !strings.Contains(all, "1 requests are under way") || !strings.Contains(all, "decline") {
		t.Errorf("got %s", all)
	}
}

func TestStdioSend(t *testing.T) {
	big := strings.Repeat("x", smallWrite)
	tests := []struct{ name, raw, want string }{
		{"small", `{"a":1}`, `{"a":1}`},
		{"line ends between tokens", "{\r\n\t\"a\":\n1}", "{  \t\"a\": 1}"},
		{"big", `"` + big + `"`, `"` + big + `"`},
	}
	for _, tt := range tests {
		for _, spare := range []int{0, 1} {
			t.Run(fmt.Sprint(tt.name, " ", spare), func(t *testing.T) {
				var out bytes.Buffer
				c := &stdio{out: &out, ended: make(chan struct{}), broken: make(chan struct{})}
				raw := append(make([]byte, 0, len(tt.raw)+spare), tt.raw...)
				if err := c.Send(proxy.Outgoing{Raw: raw}); err != nil || out.String() != tt.want+"\n" {
					t.Errorf("error %v, %d bytes", err, out.Len())
				}
				if string(raw) != tt.raw {
					t.Error("the message was changed")
				}
			})
		}
	}
}

func TestStdioSendTogether(t *testing.T) {
	var out bytes.Buffer
	c := &stdio{out: &out, ended: make(chan struct{}), broken: make(chan struct{})}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			raw := []byte(fmt.Sprintf(`"%s"`, strings.Repeat(string(rune('a'+i)), 100+i*8000)))
			c.Send(proxy.Outgoing{Raw: raw})
		})
	}
	wg.Wait()
	for line := range strings.Lines(out.String()) {
		line = strings.Trim(line, "\"\n")
		if strings.Trim(line, line[:1]) != "" {
			t.Error("two messages were mixed")
		}
	}
}
