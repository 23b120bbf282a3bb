package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
)

// The test binary is also the child that carries a fake
// server's standard streams to the test.
func TestMain(m *testing.M) {
	if addr := os.Getenv("MCPFIREWALL_TEST_FAKE"); addr != "" {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			os.Exit(1)
		}
		go func() {
			io.Copy(c, os.Stdin)
			c.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(os.Stdout, c)
		os.Exit(0)
	}
	if os.Getenv("MCPFIREWALL_TEST_CHILD") != "" {
		runChild()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const deadline = 10 * time.Second

// fakeServer is an MCP server over stdio whose answers the test gives. It is there for
// what a real server cannot be made to do.
type fakeServer struct {
	name    string
	modern  bool
	caps    string            // capabilities, a JSON object
	answers map[string]string // by method: the result, or the whole message if it holds $ID
	handle  func(c *fakeConn, m *jsonrpc.Message) bool
	listen  net.Listener
	seen    chan string // every message that came, raw
	conns   chan *fakeConn
}

type fakeConn struct {
	f *fakeServer
	net.Conn
	mu sync.Mutex
}

// Send writes messages, one line each.
func (c *fakeConn) Send(lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range lines {
		io.WriteString(c.Conn, line+"\n")
	}
}

const echoTool = `{"name":"echo","description":"Echoes.","inputSchema":{"type":"object","properties":{"text":{},"n":{"type":"number"}}}}`

func newFake(t testing.TB, name string, modern bool) *fakeServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	f := &fakeServer{name: name, modern: modern, caps: `{"tools":{"listChanged":true}}`, listen: ln, seen: make(chan string, 10000), conns: make(chan *fakeConn, 100),
		answers: map[string]string{"tools/list": `{"tools":[` + echoTool + `]}`}}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			fc := &fakeConn{f: f, Conn: c}
			f.conns <- fc
			go fc.serve()
		}
	}()
	return f
}

func (c *fakeConn) serve() {
	f := c.f
	r := bufio.NewReaderSize(c.Conn, 1<<20)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			c.Close()
			return
		}
		line = strings.TrimSuffix(line, "\n")
		if f.seen != nil {
			f.seen <- line
		}
		m, err := jsonrpc.Parse([]byte(line), jsonrpc.Limits{})
		if err != nil || f.handle != nil && f.handle(c, m) || m.Kind != jsonrpc.Request {
			continue
		}
		id := string(m.At(m.ID))
		reply, ok := f.answers[m.Method]
		switch {
		case ok && strings.Contains(reply, "$ID"):
			c.Send(strings.ReplaceAll(reply, "$ID", id))
		case ok:
			c.Send(`{"jsonrpc":"2.0","id":` + id + `,"result":` + reply + `}`)
		case m.Method == "initialize" && !f.modern:
			version, _ := jsonrpc.GetString(m.At(m.Params), "protocolVersion")
			c.Send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"protocolVersion":"` + version + `","capabilities":` + f.caps + `,"serverInfo":{"name":"` + f.name + `","version":"1"}}}`)
		case m.Method == "server/discover" && f.modern:
			c.Send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":` + f.caps + `,"ttlMs":0,"cacheScope":"public"}}`)
		case m.Method == "subscriptions/listen" && f.modern:
			c.Send(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":` + id + `},"notifications":{}}}`)
		default:
			c.Send(`{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32601,"message":"Method not found"}}`)
		}
	}
}

// await returns the next message to the server that holds the text.
func (f *fakeServer) await(t *testing.T, text string) string {
	t.Helper()
	limit := time.After(deadline)
	for {
		select {
		case line := <-f.seen:
			if strings.Contains(line, text) {
				return line
			}
		case <-limit:
			t.Fatalf("server %s was sent nothing with %s", f.name, text)
		}
	}
}

func (f *fakeServer) config() config.Server {
	return config.Server{Name: f.name, Command: os.Args[0], Env: map[string]string{"MCPFIREWALL_TEST_FAKE": f.listen.Addr().String()},
		Timeout: 20 * time.Second, Elicitation: true, Sampling: true, Roots: true, MaxMessage: jsonrpc.DefaultMaxBytes}
}

// testConfig puts servers behind the firewall and allows everything, unless change says
// otherwise.
func testConfig(t testing.TB, change func(*config.Config), servers ...*fakeServer) *config.Config {
	all := config.Patterns{Default: "allow"}
	cfg := &config.Config{Version: 1, Tools: config.Tools{Patterns: all}, Resources: all, Prompts: all, Approvals: config.Approvals{Timeout: deadline},
		State: config.State{Path: t.TempDir()}}
	for _, f := range servers {
		cfg.Servers = append(cfg.Servers, f.config())
	}
	if change != nil {
		change(cfg)
	}
	return cfg
}

// testRelay is a relay in front of servers, with everything allowed unless change says
// otherwise.
func testRelay(t testing.TB, change func(*config.Config), servers ...*fakeServer) *Relay {
	t.Helper()
	cfg := testConfig(t, change, servers...)
	log, err := audit.Open(audit.Options{Path: t.TempDir() + "/audit.jsonl"})
	if err != nil {
		t.Fatal(err)
	}
	return relayWith(t, cfg, log, vault.Options{Poll: testPoll}, zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel))
}

// testPoll is how often secrets are looked at for a change.
const testPoll = 20 * time.Millisecond

// relayWith is a relay of these parts.
func relayWith(t testing.TB, cfg *config.Config, records *audit.Log, o vault.Options, log zerolog.Logger) *Relay {
	t.Helper()
	resolver, err := vault.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{Config: cfg, Vault: resolver, Audit: records, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		r.Close(ctx)
		records.Close()
	})
	return r
}

// testClient speaks to a session as a transport would.
type testClient struct {
	t    testing.TB
	s    *Session
	msgs chan string // what came that is no response
	next int
}

func (c *testClient) Send(messages ...Outgoing) error {
	for _, m := range messages {
		if !m.Final {
			c.msgs <- string(m.Raw)
		}
	}
	return nil
}

// oneStream catches the response to one request and passes all else to the client.
type oneStream struct {
	c     *testClient
	final chan string
}

func (s oneStream) Send(messages ...Outgoing) error {
	for _, m := range messages {
		if m.Final {
			s.final <- string(m.Raw)
		} else if err := s.c.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func newClient(t testing.TB, r *Relay) *testClient {
	c := &testClient{t: t, s: r.Open(Peer{Transport: "stdio", Principal: "tester"}), msgs: make(chan string, 1000)}
	c.s.Attach(c)
	return c
}

// start sends a request and returns where its response will come.
func (c *testClient) start(raw string) chan string {
	c.t.Helper()
	m, err := jsonrpc.Parse([]byte(raw), jsonrpc.Limits{})
	if err != nil {
		c.t.Fatalf("the test's own message does not parse: %v\n%s", err, raw)
	}
	final := make(chan string, 1)
	if x := c.s.Begin(context.Background(), m, oneStream{c, final}); x != nil {
		x.OnDone(func() {})
		go x.Run()
	}
	return final
}

// send sends a message and, if it is a request, returns the response.
func (c *testClient) send(raw string) string {
	c.t.Helper()
	final := c.start(raw)
	if !strings.Contains(raw, `"id"`) || !strings.Contains(raw, `"method"`) {
		return ""
	}
	return c.wait(final)
}

func (c *testClient) wait(final chan string) string {
	c.t.Helper()
	select {
	case got := <-final:
		return got
	case <-time.After(deadline):
		c.t.Fatal("no response")
		return ""
	}
}

// await returns the next message to the client, other than responses, that holds the text.
func (c *testClient) await(text string) string {
	c.t.Helper()
	limit := time.After(deadline)
	for {
		select {
		case m := <-c.msgs:
			if strings.Contains(m, text) {
				return m
			}
		case <-limit:
			c.t.Fatalf("the client was sent nothing with %s", text)
		}
	}
}

// legacy goes through the handshake of a legacy client.
func (c *testClient) legacy(caps string) *testClient {
	c.t.Helper()
	c.send(`{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":` + caps + `,"clientInfo":{"name":"test","version":"1"}}}`)
	c.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return c
}

const everyCap = `{"elicitation":{},"sampling":{},"roots":{"listChanged":true}}`

// meta is the _meta of a modern request.
func meta(caps string, more ...string) string {
	m := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},"io.modelcontextprotocol/clientCapabilities":` + caps
	for _, s := range more {
		m += "," + s
	}
	return m + "}"
}

// modern sends a modern request.
func (c *testClient) modern(method, params string) string {
	c.t.Helper()
	c.next++
	if params != "" {
		params += ","
	}
	return c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s%s}}`, c.next, method, params, meta(everyCap)))
}

// waitFor waits until something is so that nobody tells of.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func mustContain(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("lacks %s\n in %s", w, got)
		}
	}
}

func mustLack(t *testing.T, got string, unwanted ...string) {
	t.Helper()
	for _, w := range unwanted {
		if strings.Contains(got, w) {
			t.Errorf("has %s\n in %s", w, got)
		}
	}
}
