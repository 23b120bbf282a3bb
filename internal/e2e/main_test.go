package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/e2e/era"
)

// buildDir holds what the tests build; TestMain removes it.
var buildDir string

func TestMain(m *testing.M) {
	// The test binary is also what some tests start: see era.Run, record, suiteClient and suiteOAuth.
	if len(os.Args) > 3 {
		switch os.Args[1] {
		case "era":
			os.Exit(era.Era(os.Args[2]).Run(os.Args[3:]))
		case "record":
			os.Exit(record(os.Args[2], os.Args[3:]))
		case "suite-client":
			os.Exit(suiteClient(os.Args[2:]))
		case "suite-oauth":
			os.Exit(suiteOAuth(os.Args[2:]))
		}
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mcpfirewall-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		buildDir = dir
		return m.Run()
	}())
}

// buildFirewall builds the command once. Under the race detector the command is built with it too: real traffic finds
// other races than unit tests do.
var buildFirewall = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "mcpfirewall"+exeSuffix)
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/mcpfirewall/mcpfirewall/cmd/mcpfirewall")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building mcpfirewall: %w\n%s", err, out)
	}
	return path, nil
})

// firewall returns the path of the built command.
func firewall(t testing.TB) string {
	t.Helper()
	path, err := buildFirewall()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// dep returns the path of an installed part below $MCPFIREWALL_TESTDEPS, and skips the test where it is missing.
func dep(t testing.TB, elem ...string) string {
	t.Helper()
	dir := os.Getenv("MCPFIREWALL_TESTDEPS")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "mcpfirewall-test")
	}
	path := filepath.Join(append([]string{dir}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" { // where nothing may be left out
			t.Fatalf("%s is not installed: test/setup.sh says why", filepath.Join(elem...))
		}
		t.Skipf("%s is not installed: run test/setup.sh, or see what it said", filepath.Join(elem...))
	}
	return path
}

// npm returns the path of a file of an installed npm package. The name is the folder of test/npm that asks for it.
func npm(t testing.TB, name string, elem ...string) string {
	t.Helper()
	dep(t, "npm", name, "installed.json") // written last, so a broken installation is a missing one
	return dep(t, append([]string{"npm", name, "node_modules"}, elem...)...)
}

// node22 returns the path of Node.js 22.
func node22(t testing.TB) string {
	t.Helper()
	dep(t, "npm", "node", "installed.json")
	return dep(t, "npm", "node", "node_modules", ".bin", "node"+exeSuffix)
}

// self returns the path of this test binary; see TestMain for what it can be started as.
func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func reference(t testing.TB) string     { return dep(t, "bin", "everything-server"+exeSuffix) }
func npmEverything(t testing.TB) string { return npmServer(t, "everything") }

// npmServer returns the main file of one of the official npm servers.
func npmServer(t testing.TB, name string) string {
	t.Helper()
	return npm(t, "servers", "@modelcontextprotocol", "server-"+name, "dist", "index.js")
}

var exeSuffix = map[bool]string{true: ".exe"}[runtime.GOOS == "windows"]

// environ is the environment of the programs under test: this process's own, a home folder of its own, and extra.
// Nothing of the user's configuration is read, and nothing of it is written.
func environ(t testing.TB, extra ...string) []string {
	t.Helper()
	home := t.TempDir()
	drop := []string{"MCPFIREWALL_CONFIG=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "XDG_CACHE_HOME=", "XDG_DATA_HOME=", "HOME="}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return slices.ContainsFunc(drop, func(prefix string) bool { return strings.HasPrefix(kv, prefix) })
	})
	return append(append(env, "HOME="+home), extra...)
}

// process is a program that runs for the length of a test.
type process struct {
	cmd    *exec.Cmd
	stderr *output
	done   chan struct{} // closed when it ended
	err    error         // how it ended; read it after done
}

// start runs a program until the end of the test, when it must go on SIGTERM. What it wrote to standard error is shown
// if the test fails.
func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, stderr: newOutput(), done: make(chan struct{})}
	cmd.Stderr = p.stderr
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", cmd, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("standard error of %s:\n%s", filepath.Base(cmd.Path), p.stderr.tail(6000))
		}
	})
	return p
}

func (p *process) stop(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.cmd.Process.Kill() // Windows has no SIGTERM.
	}
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
		t.Errorf("%s did not end within 30 s of SIGTERM", filepath.Base(p.cmd.Path))
	}
	checkRaces(t, p.cmd.Path, p.stderr.String())
}

// checkRaces fails the test if the race detector spoke in a program's standard error.
func checkRaces(t testing.TB, program, stderr string) {
	t.Helper()
	if at := strings.Index(stderr, "DATA RACE"); at >= 0 {
		t.Errorf("%s has a data race:\n%s", filepath.Base(program), stderr[at:])
	}
}

// waitFor returns the submatches of the first line of standard error that matches.
func (p *process) waitFor(t testing.TB, line *regexp.Regexp) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	match := p.stderr.waitFor(ctx, p.done, line)
	if match == nil {
		t.Fatalf("%s did not print a line like %q; it printed:\n%s", filepath.Base(p.cmd.Path), line, p.stderr.tail(6000))
	}
	return match
}

// output collects what a program writes, for those who wait for a part of it.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{} // closed and replaced at every write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) tail(n int) string {
	s := o.String()
	return s[max(0, len(s)-n):]
}

func (o *output) waitFor(ctx context.Context, ended <-chan struct{}, line *regexp.Regexp) []string {
	for {
		o.mu.Lock()
		text, changed := o.buf.String(), o.changed
		o.mu.Unlock()
		if match := findLine(text, line); match != nil {
			return match
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		case <-ended:
			return findLine(o.String(), line)
		}
	}
}

func findLine(text string, line *regexp.Regexp) []string {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		if match := line.FindStringSubmatch(lines.Text()); match != nil {
			return match
		}
	}
	return nil
}

var listening = regexp.MustCompile(`listening on (http://127\.0\.0\.1:\d+)/mcp`)

// serve starts `mcpfirewall serve` on a free port and returns its base URL.
func serve(t testing.TB, configFile string, extraEnv ...string) string {
	t.Helper()
	cmd := exec.Command(firewall(t), "serve", "--config", configFile, "--listen", "127.0.0.1:0")
	cmd.Env = environ(t, extraEnv...)
	return start(t, cmd).waitFor(t, listening)[1]
}

// writeConfig writes a configuration that only its owner can write, which the firewall demands.
func writeConfig(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mcpfirewall.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// freeAddress returns a loopback address that nobody listens on, for programs that cannot choose one themselves.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// waitForPort returns once somebody listens at the address.
func (p *process) waitForPort(t testing.TB, address string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended before it listened:\n%s", filepath.Base(p.cmd.Path), p.stderr.tail(6000))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen at %s: %v", filepath.Base(p.cmd.Path), address, err)
		}
	}
}

// report prints a figure that is worth seeing also when all is well. `make test` shows lines that begin so.
func report(format string, args ...any) { fmt.Fprintf(io.Writer(os.Stdout), "# "+format+"\n", args...) }
