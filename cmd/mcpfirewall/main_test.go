package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

var update = flag.Bool("update", false, "write the golden files")

// built is the path of the command that the tests run.
var built string

func TestMain(m *testing.M) {
	// The test binary is also a server that answers with bytes of the tests' choice.
	if len(os.Args) == 2 && os.Args[1] == "raw-server" {
		rawServer()
		return
	}
	// And the server of files of the documents.
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == "npx" {
		filesServer()
		return
	}
	// And a firewall that takes prompts.
	if len(os.Args) == 4 && os.Args[1] == "hook-listener" {
		hookListener(os.Args[2], os.Args[3])
		return
	}
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mcpfirewall-cmd-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		built = filepath.Join(dir, "mcpfirewall")
		if runtime.GOOS == "windows" {
			built += ".exe"
		}
		// Without the race detector: what it costs at each start adds up here, and package e2e has it.
		if out, err := exec.Command("go", "build", "-o", built, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building the command: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// rawResult has what clients and relays like to change.
const rawResult = `{"content":[{"type":"text","text":"<b>\u00e9🙂&"}],"big":12345678901234567890123,"float":1.50,"unknown":{"b":1,"a":2}}`

// rawServer speaks just enough of the protocol, and writes its token to standard error.
func rawServer() {
	fmt.Fprintf(os.Stderr, "starting with token %s\n", os.Getenv("RAW_TOKEN"))
	play(`[{"name":"get","inputSchema":{"type":"object"}},{"name":"fail","inputSchema":{"type":"object"}}]`, func(id []byte, name string) []byte {
		if name == "fail" {
			return jsonrpc.NewError(id, -32050, "no \x1b[2J", []byte(`{"n":12345678901234567890}`))
		}
		return jsonrpc.NewResult(id, []byte(rawResult))
	})
}

// filesServer has the tools of @modelcontextprotocol/server-filesystem, as far as the
// documents need them.
func filesServer() {
	var tools []string
	for _, name := range []string{"read_text_file", "read_media_file", "list_directory", "search_files", "write_file", "edit_file", "move_file"} {
		tools = append(tools, fmt.Sprintf(`{"name":%q,"description":"A tool.","inputSchema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}`, name))
	}
	play("["+strings.Join(tools, ",")+"]", func(id []byte, name string) []byte {
		return jsonrpc.NewResult(id, fmt.Appendf(nil, `{"content":[{"type":"text","text":"%s of %s"}]}`, name, os.Args[len(os.Args)-1]))
	})
}

// play is a server that has these tools.
func play(tools string, call func(id []byte, name string) []byte) {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		m, err := jsonrpc.Parse(bytes.Clone(in.Bytes()), jsonrpc.Limits{})
		if err != nil || m.Kind != jsonrpc.Request {
			continue
		}
		id := m.At(m.ID)
		switch m.Method {
		case "initialize":
			fmt.Printf("%s\n", jsonrpc.NewResult(id, []byte(`{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"raw","version":"1"}}`)))
		case "tools/list":
			fmt.Printf("%s\n", jsonrpc.NewResult(id, []byte(`{"tools":`+tools+`}`)))
		case "tools/call":
			name, _ := jsonrpc.GetString(m.At(m.Params), "name")
			fmt.Printf("%s\n", call(id, name))
		default:
			fmt.Printf("%s\n", jsonrpc.NewError(id, jsonrpc.CodeMethodNotFound, "Method not found", nil))
		}
	}
}

// home is a folder that stands for the user's home: what the command reads and writes
// by default is below it.
type home struct {
	dir string
	env []string
}

func newHome(t testing.TB, extra ...string) home {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains([]string{"HOME", "MCPFIREWALL_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "AppData", "LocalAppData", "APPDATA", "LOCALAPPDATA"}, name) ||
			strings.HasPrefix(name, "VAULT_")
	})
	env = append(env, "HOME="+dir, "AppData="+filepath.Join(dir, "roaming"), "LocalAppData="+filepath.Join(dir, "local"))
	return home{dir, append(env, extra...)}
}

// write puts a file into the home folder and returns its path.
func (h home) write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// command returns the command, to be run in the home folder.
func (h home) command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, built, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = h.dir, h.env, 10*time.Second
	return cmd
}

type outcome struct {
	stdout, stderr string
	status         int
}

// run runs the command to its end.
func (h home) run(t testing.TB, stdin string, args ...string) outcome {
	t.Helper()
	cmd := h.command(t, args...)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %v: %v", args, err)
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s differs (go test -update writes it anew); got:\n%s", path, got)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// process speaks to a command over its standard streams.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string
	stderr *lockedBuffer
}

func (h home) start(t testing.TB, args ...string) *process {
	t.Helper()
	c := &process{t: t, cmd: h.command(t, args...), lines: make(chan string, 1000), stderr: &lockedBuffer{}}
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stderr = c.stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		scanner := bufio.NewScanner(out)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			c.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() { c.cmd.Process.Kill(); c.cmd.Wait() })
	return c
}

func (c *process) send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatalf("writing to the command: %v\n%s", err, c.stderr)
	}
}

// wait returns the next message with the text in it.
func (c *process) wait(text string) string {
	c.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-c.lines:
			if !ok {
				c.t.Fatalf("the output ended before %q\n%s", text, c.stderr)
			}
			if _, err := jsonrpc.Parse([]byte(line), jsonrpc.Limits{}); err != nil {
				c.t.Fatalf("standard output holds what is no message: %q", line)
			}
			if strings.Contains(line, text) {
				return line
			}
		case <-timeout:
			c.t.Fatalf("no message with %q came\n%s", text, c.stderr)
		}
	}
}

// ends waits for the command and returns its exit status.
func (c *process) ends() int {
	c.t.Helper()
	for range c.lines { // Wait must not close the pipe before all is read
	}
	c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

const (
	initialize  = `{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	listTools   = `{"jsonrpc":"2.0","id":"list","method":"tools/list"}`
)
