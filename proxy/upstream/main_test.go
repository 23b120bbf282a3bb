package upstream

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/rs/zerolog"
)

// The test binary is also every server that the tests start: the variable says which.
const roleVariable = "UPSTREAM_TEST_ROLE"

// raceExit keeps programs built with -race from waiting a second before they exit.
const raceExit = "GORACE=atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		name, arg, _ := strings.Cut(role, ":")
		roles[name](arg)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var roles map[string]func(arg string)

func init() {
	roles = map[string]func(arg string){
		"echo":  func(string) { echo() },
		"print": func(arg string) { os.Stdout.WriteString(mustUnquote(arg)) },
		"large": large,
		"flood": flood,
		"deaf":  func(string) { os.Stdout.WriteString(`{"jsonrpc":"2.0","method":"up"}` + "\n"); select {} },
		"closed": func(string) {
			os.Stdin.Close()
			os.Stdout.WriteString(`{"jsonrpc":"2.0","method":"up"}` + "\n")
			select {}
		},
		"die":      die,
		"mute":     func(string) { os.Stdout.Close(); select {} },
		"chatty":   chatty,
		"describe": describe,
		"stubborn": stubborn,
		"holder":   holder,
	}
}

// echo answers every request with its own parameters.
func echo() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		line = bytes.TrimSpace(line)
		id := jsonrpc.Get(line, "id")
		if id == nil {
			continue
		}
		os.Stdout.Write(append(jsonrpc.NewResult(id, jsonrpc.Get(line, "params")), '\n'))
	}
}

func mustUnquote(s string) string {
	s, err := strconv.Unquote(s)
	if err != nil {
		panic(err)
	}
	return s
}

// large prints a message of arg bytes, and a small one after it.
func large(arg string) {
	n, _ := strconv.Atoi(arg)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	fmt.Fprintf(out, `{"jsonrpc":"2.0","id":7,"result":"`)
	piece := bytes.Repeat([]byte{'x'}, 1<<20)
	for n > 0 {
		m := min(n, len(piece))
		out.Write(piece[:m])
		n -= m
	}
	fmt.Fprintf(out, "\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"after\"}\n")
	out.Flush()
	io.Copy(io.Discard, os.Stdin)
}

// flood prints arg messages as fast as it can.
func flood(arg string) {
	n, _ := strconv.Atoi(arg)
	out := bufio.NewWriterSize(os.Stdout, 1000) // cuts lines anywhere
	for i := range n {
		fmt.Fprintf(out, `{"jsonrpc":"2.0","method":"n","params":{"i":%d}}`+"\n", i)
	}
	out.Flush()
}

func die(arg string) {
	fmt.Fprintf(os.Stderr, "loading\n\x1b[31mfatal:\x1b[0m the password hunter22 is wrong\n")
	if arg == "signal" {
		p, _ := os.FindProcess(os.Getpid())
		p.Signal(os.Kill)
		select {}
	}
	code, _ := strconv.Atoi(arg)
	os.Exit(code)
}

// chatty writes a lot to its standard error, then answers.
func chatty(string) {
	os.Stderr.WriteString(strings.Repeat("secret hunter22 ", 10<<10) + "\n")
	line := strings.Repeat("y", 1000) + "\n"
	for range 8 << 10 {
		os.Stderr.WriteString(line)
	}
	echo()
}

// describe says what the process was started with.
func describe(string) {
	dir, _ := os.Getwd()
	var b []byte
	b = append(b, `{"jsonrpc":"2.0","method":"described","params":{"dir":`...)
	b = jsonrpc.AppendQuote(b, dir)
	b = append(b, `,"args":`...)
	b = jsonrpc.AppendQuote(b, strings.Join(os.Args[1:], "|"))
	b = append(b, `,"env":`...)
	b = jsonrpc.AppendQuote(b, strings.Join(os.Environ(), "|"))
	b = append(b, "}}\n"...)
	os.Stdout.Write(b)
	io.Copy(io.Discard, os.Stdin)
}

// checkIn tells a test that this process lives: the connection ends with the process.
func checkIn(address string) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(c, "%d\n", os.Getpid())
	alive = append(alive, c)
}

var alive []net.Conn

// stubborn ignores the end of its input and SIGTERM, and so do its descendants. The
// argument is the test's address, and how many generations follow.
func stubborn(arg string) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
	address, rest, _ := strings.Cut(arg, ",")
	n, _ := strconv.Atoi(rest)
	if n > 0 {
		spawn(fmt.Sprintf("stubborn:%s,%d", address, n-1))
	}
	checkIn(address)
	select {}
}

// holder is a program that holds a transport to a stubborn server.
func holder(arg string) {
	r := newRecorder()
	_, err := Open(context.Background(), childOptions(r, "stubborn:"+arg))
	if err != nil {
		panic(err)
	}
	select {}
}

// recorder keeps events for a test.
type recorder struct {
	mu        sync.Mutex
	cond      *sync.Cond
	messages  []string
	origins   []int64
	malformed []*jsonrpc.ParseError
	closed    []error
	late      bool // an event came after Closed
	logged    bytes.Buffer
}

func newRecorder() *recorder {
	r := &recorder{}
	r.cond = sync.NewCond(&r.mu)
	return r
}

func (r *recorder) events() Events {
	change := func(f func()) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.late = r.late || len(r.closed) > 0
		f()
		r.cond.Broadcast()
	}
	return Events{
		Message: func(m *jsonrpc.Message, origin int64) {
			change(func() { r.messages, r.origins = append(r.messages, string(m.Raw)), append(r.origins, origin) })
		},
		Malformed: func(e *jsonrpc.ParseError, origin int64) {
			change(func() { r.malformed = append(r.malformed, e) })
		},
		Closed: func(err error) { change(func() { r.closed = append(r.closed, err) }) },
	}
}

// await waits until the condition holds.
func (r *recorder) await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	timeout := time.AfterFunc(60*time.Second, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		what += " (time limit)"
		r.cond.Broadcast()
	})
	defer timeout.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !cond() {
		if strings.HasSuffix(what, "(time limit)") {
			t.Fatalf("no %s; messages %.300q, malformed %v, closed %v", what, r.messages, r.malformed, r.closed)
		}
		r.cond.Wait()
	}
}

func (r *recorder) awaitMessages(t testing.TB, n int) {
	t.Helper()
	r.await(t, fmt.Sprintf("%d messages", n), func() bool { return len(r.messages) >= n })
}

// awaitClosed returns the reason of the end.
func (r *recorder) awaitClosed(t testing.TB) error {
	t.Helper()
	r.await(t, "end", func() bool { return len(r.closed) > 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed[0]
}

// Write makes the recorder a log.
func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.cond.Broadcast()
	return r.logged.Write(p)
}

func (r *recorder) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logged.String()
}

func scrub(s string) string { return strings.ReplaceAll(s, "hunter22", "[masked]") }

func childOptions(r *recorder, role string, args ...string) Options {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	o := Options{
		Name: "fake", Command: self, Args: args,
		Env:   []string{roleVariable + "=" + role, "PATH=" + os.Getenv("PATH"), raceExit},
		Grace: 10 * time.Second, // for a busy machine
		Log:   zerolog.New(r), Scrub: scrub, Events: r.events(),
	}
	switch name, _, _ := strings.Cut(role, ":"); name {
	case "deaf", "mute", "stubborn":
		o.Grace = 200 * time.Millisecond // these use up all of it
	}
	return o
}

func mustOpen(t testing.TB, o Options) Transport {
	t.Helper()
	c, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func request(id int64, params string) Outgoing {
	return Outgoing{ID: id, Raw: jsonrpc.NewRequest(strconv.AppendInt(nil, id, 10), "echo", []byte(params))}
}
