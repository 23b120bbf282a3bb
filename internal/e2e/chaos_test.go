package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

var buildChaos = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "chaos"+exeSuffix)
	out, err := exec.Command("go", "build", "-o", path, "github.com/mcpfirewall/mcpfirewall/internal/e2e/chaos").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the chaos server: %w\n%s", err, out)
	}
	return path, nil
})

// outcome is how a call of the chaos server must end.
type outcome int

const (
	refused outcome = iota
	served
	either
)

// chaosCases are the tools of the chaos server, with how a call must end over stdio and over HTTP.
var chaosCases = []struct {
	tool        string
	stdio, http outcome
}{
	{"hang", refused, refused},
	{"die", refused, refused},
	{"half", refused, refused},
	{"flood", served, served},
	{"twice", served, served},
	{"wrong_id", refused, refused},
	{"large", refused, refused},
	{"junk", served, refused},
	{"fragments", either, either}, // of what might have been the answer
	{"bad_json", refused, refused},
	{"deep", refused, refused},
	{"binary", refused, refused},
	{"orphan", refused, refused},
	{"pings", served, served},
	{"redirect", served, refused},
	{"status", served, refused},
	{"deaf", refused, refused},
	{"trickle", refused, refused}, // last: over stdio it writes into the lines of later answers for 40 s
}

// TestChaos calls every tool of a server that breaks the rules. Every call must be answered once, a server beside it must
// not notice, the bad server must be back afterwards, and nothing may be left over.
func TestChaos(t *testing.T) {
	needProc(t)
	for _, down := range []string{"stdio", "http"} {
		for _, up := range []string{"stdio", "http"} {
			t.Run(down+" to "+up, func(t *testing.T) {
				idle := idleGoroutines(t, down, up)
				f := startChaos(t, down, up)
				f.mustDo("good__ok")
				f.mustDo("bad__ok")
				before := f.leftovers()
				for _, c := range chaosCases {
					want := map[string]outcome{"stdio": c.stdio, "http": c.http}[up]
					neighbour := make(chan error, 1)
					go func() { neighbour <- f.do("good__ok") }()
					switch err := f.do("bad__" + c.tool); {
					case errors.Is(err, errNoAnswer), want == served && err != nil:
						t.Errorf("%s: %v", c.tool, err)
					case want == refused && err == nil:
						t.Errorf("%s was served", c.tool)
					}
					if err := <-neighbour; err != nil {
						t.Errorf("%s: the server beside it failed: %v", c.tool, err)
					}
					f.recovers("bad__ok", c.tool)
				}
				f.settles(before)
				if !raceEnabled { // which multiplies it
					if peak := procStatus(f.pid, "VmHWM:") >> 10; peak > 300 {
						t.Errorf("the firewall took %d MiB at its peak", peak)
					}
				}
				f.endsWith(idle)
			})
		}
	}
}

// Clients that are gone in the middle of a call.
func TestChaosClientsVanish(t *testing.T) {
	needProc(t)
	t.Run("stdio", func(t *testing.T) {
		f := startChaos(t, "stdio", "stdio")
		f.mustDo("bad__ok")
		f.recovers("good__ok", "start")
		for range 5 {
			go f.do("bad__hang")
		}
		f.await("calls in flight", func() bool { return strings.Count(f.audit(), `"hang"`) >= 5 })
		f.vanish()
		select {
		case <-f.process.done:
		case <-time.After(20 * time.Second):
			t.Error("the firewall runs on 20 s after its client was gone")
		}
		f.childrenEnd()
	})
	t.Run("kill -9 of the firewall", func(t *testing.T) {
		f := startChaos(t, "stdio", "stdio")
		f.mustDo("bad__ok")
		f.do("bad__orphan")
		f.recovers("bad__ok", "orphan")
		f.process.cmd.Process.Kill()
		<-f.process.done
		f.childrenEnd()
	})
	for _, up := range []string{"stdio", "http"} {
		t.Run("http to "+up, func(t *testing.T) {
			idle := idleGoroutines(t, "http", up)
			f := startChaos(t, "http", up)
			f.mustDo("good__ok")
			f.mustDo("bad__ok")
			before := f.leftovers()
			for range 30 {
				f.abandon("bad__hang")
				if up == "http" { // over stdio the answers of one server would mix
					f.abandon("bad__trickle")
				}
				f.abandonHalf()
				f.abandonStream()
			}
			f.mustDo("good__ok")
			f.recovers("bad__ok", "that")
			f.settles(before)
			f.endsWith(idle)
		})
	}
}

// needProc skips where nothing can be counted.
func needProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("processes and descriptors are counted in /proc, which only Linux has")
	}
}

// chaosFirewall is a firewall with two chaos servers behind it, good and bad, and a client before it.
type chaosFirewall struct {
	t       *testing.T
	process *process
	pid     int
	pids    string // folder with the process ids of the chaos servers
	log     string // the audit file

	// over stdio
	stdin   io.WriteCloser
	stdout  io.Closer
	mu      sync.Mutex
	lastID  int
	waiting map[string]chan []byte

	// over HTTP
	url     string
	session string
	client  *http.Client
}

// errNoAnswer is the error of a call that is not answered in any way.
var errNoAnswer = errors.New("no answer")

// startChaos starts a firewall, with the transport toward its client and toward its servers.
func startChaos(t *testing.T, down, up string) *chaosFirewall {
	t.Helper()
	chaos, err := buildChaos()
	if err != nil {
		t.Fatal(err)
	}
	f := &chaosFirewall{t: t, pids: t.TempDir(), log: filepath.Join(t.TempDir(), "audit.jsonl"), waiting: map[string]chan []byte{}}
	text := fmt.Sprintf("version: 1\ntools: { default: allow }\naudit: { file: %q }\nservers:\n", f.log)
	for _, name := range []string{"good", "bad"} {
		if up == "stdio" {
			text += fmt.Sprintf("  %s: { command: %q, args: [%q], timeout: 4s }\n", name, chaos, f.pids)
			continue
		}
		cmd := exec.Command(chaos, "-http", t.TempDir())
		stdin, err := cmd.StdinPipe() // held open until the test is over
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stdin.Close() })
		text += fmt.Sprintf("  %s: { url: %q, timeout: 4s }\n", name, start(t, cmd).waitFor(t, listening)[1]+"/mcp")
	}
	config := writeConfig(t, text)
	if down == "http" {
		cmd := exec.Command(firewall(t), "serve", "--config", config, "--listen", "127.0.0.1:0")
		cmd.Env = environ(t)
		f.process = start(t, cmd)
		f.url = f.process.waitFor(t, listening)[1] + "/mcp"
		f.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	} else {
		cmd := exec.Command(firewall(t), "run", "--config", config)
		cmd.Env = environ(t)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		f.stdin, f.stdout = stdin, stdout
		f.process = start(t, cmd)
		t.Cleanup(func() { stdin.Close() })
		go f.read(stdout)
	}
	f.pid = f.process.cmd.Process.Pid
	if _, err := f.request("initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"chaos","version":"1"}}`); err != nil {
		t.Fatalf("initialize: %v", err)
	}
	f.await("tools of both servers", func() bool {
		list, err := f.request("tools/list", `{}`)
		return err == nil && bytes.Contains(list, []byte(`"good__ok"`)) && bytes.Contains(list, []byte(`"bad__ok"`))
	})
	return f
}

// request sends a request and returns the response.
func (f *chaosFirewall) request(method, params string) ([]byte, error) {
	f.mu.Lock()
	f.lastID++
	id := strconv.Itoa(f.lastID)
	answer := make(chan []byte, 1)
	f.waiting[id] = answer
	f.mu.Unlock()
	message := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, params)
	if f.url != "" {
		return f.post(id, message)
	}
	if _, err := io.WriteString(f.stdin, message+"\n"); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	select {
	case a := <-answer:
		return a, nil
	case <-time.After(30 * time.Second):
		return nil, errNoAnswer
	case <-f.process.done:
		return nil, fmt.Errorf("%w: the firewall ended", errNoAnswer)
	}
}

// read reads the firewall's standard output: one response to each request, and nothing that is no message.
func (f *chaosFirewall) read(stdout io.Reader) {
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		m, err := jsonrpc.Parse(bytes.TrimSpace(line), jsonrpc.Limits{})
		if err != nil {
			f.t.Errorf("the firewall printed %.200q: %v", line, err)
			continue
		}
		if m.Kind == jsonrpc.Notification || m.Kind == jsonrpc.Request {
			continue
		}
		f.mu.Lock()
		answer := f.waiting[string(m.At(m.ID))]
		delete(f.waiting, string(m.At(m.ID)))
		f.mu.Unlock()
		if answer == nil {
			f.t.Errorf("the firewall answered what nobody asked, or twice: %.200s", line)
			continue
		}
		answer <- m.Raw
	}
}

func (f *chaosFirewall) post(id, message string) ([]byte, error) {
	request, err := f.newRequest(http.MethodPost, strings.NewReader(message))
	if err != nil {
		return nil, err
	}
	response, err := f.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	defer response.Body.Close()
	if s := response.Header.Get("Mcp-Session-Id"); s != "" && f.session == "" {
		f.session = s
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	var answers [][]byte
	for line := range bytes.Lines(body) {
		data := bytes.TrimSpace(bytes.TrimPrefix(line, []byte("data:")))
		if m, err := jsonrpc.Parse(data, jsonrpc.Limits{}); err == nil && (m.Kind == jsonrpc.Result || m.Kind == jsonrpc.Failure) && string(m.At(m.ID)) == id {
			answers = append(answers, m.Raw)
		}
	}
	if len(answers) != 1 {
		return nil, fmt.Errorf("%w, or more than one: HTTP %d with %.300q", errNoAnswer, response.StatusCode, body)
	}
	return answers[0], nil
}

func (f *chaosFirewall) newRequest(method string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequest(method, f.url, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if f.session != "" {
		r.Header.Set("Mcp-Session-Id", f.session)
		r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	return r, nil
}

func callParams(tool string) string { return fmt.Sprintf(`{"name":%q,"arguments":{"text":"x"}}`, tool) }

// do calls a tool and returns an error unless its result came.
func (f *chaosFirewall) do(tool string) error {
	response, err := f.request("tools/call", callParams(tool))
	if err != nil {
		return err
	}
	if !bytes.Contains(response, []byte(`"text":"done"`)) || bytes.Contains(response, []byte(`"isError":true`)) {
		return fmt.Errorf("refused: %.500s", response)
	}
	return nil
}

func (f *chaosFirewall) mustDo(tool string) {
	f.t.Helper()
	if err := f.do(tool); err != nil {
		f.t.Fatalf("%s: %v", tool, err)
	}
}

// recovers waits until the tool works again.
func (f *chaosFirewall) recovers(tool, after string) {
	f.t.Helper()
	var err error
	for deadline := time.Now().Add(waitAtMost); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = f.do(tool); err == nil {
			return
		}
	}
	f.t.Fatalf("after %s the server does not come back: %v", after, err)
}

// abandon starts a call over HTTP and goes away once it was sent to the server.
func (f *chaosFirewall) abandon(tool string) {
	f.t.Helper()
	seen := strings.Count(f.audit(), `"intent"`)
	message := fmt.Sprintf(`{"jsonrpc":"2.0","id":"gone %d","method":"tools/call","params":%s}`, seen, callParams(tool))
	request, err := f.newRequest(http.MethodPost, strings.NewReader(message))
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, leave := context.WithCancel(f.t.Context())
	defer leave()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request.WithContext(ctx)); err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	}()
	f.await("the call to begin", func() bool { return strings.Count(f.audit(), `"intent"`) > seen })
	leave()
	<-gone
}

// abandonHalf sends half a request.
func (f *chaosFirewall) abandonHalf() {
	f.t.Helper()
	body, sender := io.Pipe()
	request, err := f.newRequest(http.MethodPost, body)
	if err != nil {
		f.t.Fatal(err)
	}
	go func() {
		io.WriteString(sender, `{"jsonrpc":"2.0",`)
		sender.CloseWithError(errors.New("gone"))
	}()
	if response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request); err == nil {
		response.Body.Close()
	}
}

// abandonStream opens the stream of the session and goes away.
func (f *chaosFirewall) abandonStream() {
	f.t.Helper()
	request, err := f.newRequest(http.MethodGet, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		f.t.Fatalf("opening the stream: %v", err)
	}
	response.Body.Close()
}

// vanish ends a client over stdio without a word.
func (f *chaosFirewall) vanish() {
	f.stdin.Close()
	f.stdout.Close()
}

func (f *chaosFirewall) audit() string {
	b, _ := os.ReadFile(f.log)
	return string(b)
}

func (f *chaosFirewall) await(what string, ok func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(waitAtMost); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	f.t.Fatalf("waited in vain for %s", what)
}

// leftovers is what a firewall holds.
type leftovers struct{ descriptors, processes int }

func (f *chaosFirewall) leftovers() leftovers {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", f.pid))
	if os.IsPermission(err) {
		f.t.Log("descriptors are not counted: only root sees those of a process that protects its memory")
	} else if err != nil {
		f.t.Fatal(err)
	}
	return leftovers{len(fds), len(f.running())}
}

// settles waits until the firewall holds no more than before, but for a few connections that are kept for the next call.
func (f *chaosFirewall) settles(before leftovers) {
	f.t.Helper()
	var now leftovers
	for deadline := time.Now().Add(waitAtMost); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if now = f.leftovers(); now.descriptors <= before.descriptors+4 && now.processes <= before.processes {
			return
		}
	}
	links, _ := exec.Command("ls", "-l", fmt.Sprintf("/proc/%d/fd", f.pid)).CombinedOutput()
	f.t.Errorf("%d descriptors and %d servers are left, before there were %d and %d:\n%s", now.descriptors, now.processes, before.descriptors, before.processes, links)
}

// running returns the process ids of the chaos servers that the firewall started and that still run.
func (f *chaosFirewall) running() []int {
	entries, err := os.ReadDir(f.pids)
	if err != nil {
		f.t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			f.t.Fatal(err)
		}
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && strings.Contains(filepath.Base(exe), "chaos") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// childrenEnd waits until no server of a firewall that has ended is left.
func (f *chaosFirewall) childrenEnd() {
	f.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if len(f.running()) == 0 {
			return
		}
	}
	f.t.Errorf("the servers %v outlive the firewall", f.running())
	for _, pid := range f.running() {
		if p, err := os.FindProcess(pid); err == nil {
			p.Kill()
		}
	}
}

var goroutine = regexp.MustCompile(`(?m)^goroutine \d+ `)

// goroutines ends the firewall in the way in which the runtime of Go says what it was doing, and counts.
func (f *chaosFirewall) goroutines() int {
	f.t.Helper()
	if err := f.process.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		f.t.Fatal(err)
	}
	<-f.process.done
	f.childrenEnd()
	stacks := f.process.stderr.String()
	stacks = stacks[max(0, strings.Index(stacks, "SIGQUIT")):]
	n := len(goroutine.FindAllString(stacks, -1))
	if n == 0 {
		f.t.Fatalf("no stacks after SIGQUIT:\n%s", f.process.stderr.tail(2000))
	}
	return n
}

// idleGoroutines returns how many goroutines a firewall takes that has done the least that there is.
func idleGoroutines(t *testing.T, down, up string) int {
	t.Helper()
	twin := startChaos(t, down, up)
	twin.mustDo("good__ok")
	twin.mustDo("bad__ok")
	return twin.goroutines()
}

// endsWith ends the firewall, which must have no more goroutines than an idle one, but for a few.
func (f *chaosFirewall) endsWith(idle int) {
	f.t.Helper()
	if got := f.goroutines(); got > idle+3 {
		f.t.Errorf("%d goroutines are left, where %d are needed:\n%s", got, idle, f.process.stderr.tail(30000))
	}
}

// procStatus returns a number of /proc/PID/status, see proc(5).
func procStatus(pid int, key string) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}
