package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// object is any JSON object, for the sides of a test that only compare.
type object = map[string]any

// waitAtMost is how long a test waits for something that has to happen.
const waitAtMost = time.Minute

// driver is a client of the TypeScript SDK that does what the test says; test/clients/driver.mjs describes how.
type driver struct {
	t     testing.TB
	stdin io.Writer
	about about

	mu      sync.Mutex
	lastID  int
	answers map[int]driverLine
	events  []driverLine
	changed chan struct{} // closed and replaced at every line
	ended   bool
}

// about is what a client knows of its server once it is connected.
type about struct {
	Server          object `json:"server"`
	Capabilities    object `json:"capabilities"`
	Instructions    string `json:"instructions"`
	ProtocolVersion string `json:"protocolVersion"`
	Era             string `json:"era"`
}

type driverLine struct {
	ID     *int           `json:"id"`
	Result jsontext.Value `json:"result"`
	Error  *driverError   `json:"error"`
	Event  string         `json:"event"`
	Method string         `json:"method"`
	Params jsontext.Value `json:"params"`
}

type driverError struct {
	Name    string         `json:"name"`
	Message string         `json:"message"`
	Code    jsontext.Value `json:"code"`
	Data    jsontext.Value `json:"data"`
}

func (e *driverError) Error() string { return fmt.Sprintf("%s %s: %s", e.Name, e.Code, e.Message) }

// startDriver starts the client of the SDK's major version, "v1" or "v2", and connects it as the configuration says.
func startDriver(t testing.TB, sdk string, config object) *driver {
	t.Helper()
	cmd := exec.Command(node22(t), filepath.Join(driverDir(t), sdk+".mjs"))
	cmd.Env = environ(t)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// Not StdoutPipe, which Wait closes while the reader may still be behind.
	stdout, writeEnd := io.Pipe()
	cmd.Stdout = writeEnd
	d := &driver{t: t, stdin: stdin, answers: map[int]driverLine{}, changed: make(chan struct{})}
	p := start(t, cmd)
	go func() {
		<-p.done
		writeEnd.Close()
	}()
	go d.read(stdout)
	t.Cleanup(func() { // before the process is stopped: let it end by itself, as a client does
		stdin.Close()
		select {
		case <-p.done:
		case <-time.After(waitAtMost):
			t.Errorf("the client did not end within %v of the end of its work", waitAtMost)
		}
	})
	d.write(config)
	line := d.wait(0)
	if line.Error != nil {
		t.Fatalf("connecting: %v", line.Error)
	}
	decode(t, line.Result, &d.about)
	return d
}

// driverDir is a folder with the drivers and the installed packages that they import.
func driverDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(npm(t, "clients"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"driver.mjs", "v1.mjs", "v2.mjs", "suite.mjs"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "test", "clients", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (d *driver) read(stdout io.Reader) {
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		d.mu.Lock()
		if err != nil {
			d.ended = true
		} else {
			var l driverLine
			switch err := json.Unmarshal(line, &l); {
			case err != nil:
				d.t.Errorf("the client printed what is not JSON: %q", line)
			case l.Event == "" && l.ID != nil:
				d.answers[*l.ID] = l
			default:
				d.events = append(d.events, l)
			}
		}
		close(d.changed)
		d.changed = make(chan struct{})
		ended := d.ended
		d.mu.Unlock()
		if ended {
			return
		}
	}
}

func (d *driver) write(v any) {
	d.t.Helper()
	line, err := json.Marshal(v)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.stdin.Write(append(line, '\n')); err != nil {
		d.t.Fatalf("telling the client: %v", err)
	}
}

// until waits for f, which is called with the lock held, to be true.
func (d *driver) until(what string, f func() bool) {
	d.t.Helper()
	timeout := time.After(waitAtMost)
	for {
		d.mu.Lock()
		ok, ended, changed := f(), d.ended, d.changed
		d.mu.Unlock()
		if ok {
			return
		}
		if ended {
			d.t.Fatalf("the client ended before %s", what)
		}
		select {
		case <-changed:
		case <-timeout:
			d.mu.Lock()
			events := fmt.Sprint(d.events)
			d.mu.Unlock()
			d.t.Fatalf("no %s within %v; events so far: %s", what, waitAtMost, events)
		}
	}
}

// begin starts a call and returns its id. The params are those of the SDK's method.
func (d *driver) begin(method string, params any, progress bool) int {
	d.t.Helper()
	d.mu.Lock()
	d.lastID++
	id := d.lastID
	d.mu.Unlock()
	list := []any{}
	if params != nil {
		list = append(list, params)
	}
	d.write(object{"id": id, "method": method, "params": list, "progress": progress})
	return id
}

func (d *driver) wait(id int) driverLine {
	d.t.Helper()
	var line driverLine
	d.until(fmt.Sprintf("answer to call %d", id), func() (ok bool) { line, ok = d.answers[id]; return ok })
	return line
}

func (d *driver) cancel(id int) { d.write(object{"cancel": id}) }

// call calls a method of the client and decodes its result, which has to be one.
func (d *driver) call(method string, params, result any) {
	d.t.Helper()
	line := d.wait(d.begin(method, params, false))
	if line.Error != nil {
		d.t.Fatalf("%s %v: %v", method, params, line.Error)
	}
	decode(d.t, line.Result, result)
}

// refused calls a method of the client, which has to fail.
func (d *driver) refused(method string, params any) *driverError {
	d.t.Helper()
	line := d.wait(d.begin(method, params, false))
	if line.Error == nil {
		d.t.Fatalf("%s %v passed: %s", method, params, line.Result)
	}
	return line.Error
}

// eventsOf returns the events so far of a kind (progress, request, notification) that match.
func (d *driver) eventsOf(kind string, match func(driverLine) bool) []driverLine {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.matching(kind, match)
}

func (d *driver) matching(kind string, match func(driverLine) bool) []driverLine {
	var found []driverLine
	for _, e := range d.events {
		if e.Event == kind && match(e) {
			found = append(found, e)
		}
	}
	return found
}

// event waits for an event that matches, and decodes its params.
func (d *driver) event(kind string, match func(driverLine) bool, params any) {
	d.t.Helper()
	var found []driverLine
	d.until("event "+kind, func() bool { found = d.matching(kind, match); return len(found) > 0 })
	decode(d.t, found[0].Params, params)
}

// notified waits for a notification of a method whose params contain the text.
func (d *driver) notified(method, text string) {
	d.t.Helper()
	var ignored object
	d.event("notification", func(e driverLine) bool {
		return e.Method == method && strings.Contains(string(e.Params), text)
	}, &ignored)
}

// toolResult is what a test looks at of a tool's result.
type toolResult struct {
	Content           []content      `json:"content"`
	StructuredContent jsontext.Value `json:"structuredContent"`
	IsError           bool           `json:"isError"`
	Meta              object         `json:"_meta"`
}

type content struct {
	Type     string         `json:"type"`
	Text     string         `json:"text"`
	Data     string         `json:"data"`
	MimeType string         `json:"mimeType"`
	URI      string         `json:"uri"`
	Resource jsontext.Value `json:"resource"`
}

// text is the text of all content.
func (r toolResult) text() string {
	var parts []string
	for _, c := range r.Content {
		parts = append(parts, c.Text)
	}
	return strings.Join(parts, "\n")
}

// tool calls a tool, which has to succeed.
func (d *driver) tool(name string, args object) toolResult {
	d.t.Helper()
	var result toolResult
	d.call("callTool", object{"name": name, "arguments": args}, &result)
	if result.IsError {
		d.t.Fatalf("%s: %s", name, result.text())
	}
	return result
}

func decode(t testing.TB, data jsontext.Value, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("reading %s: %v", data, err)
	}
}

// equal compares two values as JSON.
func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		g, _ := json.Marshal(got, json.Deterministic(true))
		w, _ := json.Marshal(want, json.Deterministic(true))
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func contains(t testing.TB, what, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s: %q is not in %q", what, w, got)
		}
	}
}
