//go:build unix

package guard

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start runs a shell script under a guard. What the script prints comes from out.
func start(t *testing.T, c Command, script string) (p *Process, in, out *os.File) {
	t.Helper()
	inR, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	if c.Path == "" {
		c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", script, "sh"}, c.Args...)
	}
	c.Stdin, c.Stdout, c.Stderr = inR, outW, null
	if p, err = Start(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); <-p.Done() })
	return p, in, out
}

func await(t *testing.T, p *Process) Exit {
	t.Helper()
	select {
	case <-p.Done():
		return p.Exit()
	case <-time.After(30 * time.Second):
		t.Fatal("the command does not end")
		panic("unreachable")
	}
}

func TestExit(t *testing.T) {
	tests := []struct{ script, want string }{
		{"exit 0", "exited with status 0"},
		{"exit 37", "exited with status 37"},
		{"kill -TERM $$", "was ended by signal 15 (terminated)"},
		{"read x; exit 5", "exited with status 5"}, // input ends
	}
	for _, test := range tests {
		p, in, _ := start(t, Command{}, test.script)
		in.Close()
		if got := await(t, p).String(); got != test.want {
			t.Errorf("%s: %s, want %s", test.script, got, test.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	_, in, out := start(t, Command{
		Dir: dir, Env: []string{"A=b c", "EMPTY="}, Args: []string{"one", "", "th ree"},
	}, `pwd; echo "$#|$1|$2|$3|$A|$EMPTY|$GOMAXPROCS|"; cat`)
	io.WriteString(in, "over\n")
	in.Close()
	got, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(got), "\n")
	if len(lines) < 4 || !strings.HasSuffix(lines[0], dir) || !strings.HasPrefix(lines[1], "3|one||th ree|b c|||") || lines[len(lines)-2] != "over" {
		t.Errorf("the command printed %q", got)
	}
}

// The command's pipes do not wait, or stay open, for the guard.
func TestStreams(t *testing.T) {
	p, _, out := start(t, Command{}, `exec >&-; read x`)
	if b, err := io.ReadAll(out); err != nil || len(b) > 0 {
		t.Errorf("output %q, %v", b, err)
	}
	select {
	case <-p.Done():
		t.Error("the command has ended")
	default:
	}
}

func TestCannotStart(t *testing.T) {
	for path, want := range map[string]error{
		"/nonexistent/program": os.ErrNotExist,
		"/dev/null":            os.ErrPermission,
	} {
		null, _ := os.Open(os.DevNull)
		null2, _ := os.Open(os.DevNull)
		null3, _ := os.Open(os.DevNull)
		_, err := Start(Command{Path: path, Args: []string{"x"}, Stdin: null, Stdout: null2, Stderr: null3})
		if !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("Start of %s: %v", path, err)
		}
	}
	null, _ := os.Open(os.DevNull)
	if _, err := Start(Command{Path: "/bin/sh", Args: []string{"a\x00b"}, Stdin: null, Stdout: null, Stderr: null}); err == nil {
		t.Error("an argument with a zero byte was accepted")
	}
}

func TestLargeBlock(t *testing.T) {
	_, _, out := start(t, Command{Args: []string{strings.Repeat("x", 120_000)}, Env: []string{"A=" + strings.Repeat("y", 120_000)}}, `echo ${#1} ${#A}`)
	if b, _ := io.ReadAll(out); string(b) != "120000 120000\n" {
		t.Errorf("the command printed %q", b)
	}
}

func TestTerminate(t *testing.T) {
	p, _, out := start(t, Command{}, `trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done`)
	out.Read(make([]byte, 10))
	p.Terminate()
	if b, _ := io.ReadAll(out); string(b) != "bye\n" {
		t.Errorf("the command printed %q", b)
	}
	if e := await(t, p); e.Code != 3 {
		t.Errorf("the command %v", e)
	}
	p.Terminate() // of what has ended is harmless
}

func TestKill(t *testing.T) {
	p, _, out := start(t, Command{}, `trap '' TERM; echo up; while :; do sleep 0.01; done`)
	out.Read(make([]byte, 10))
	p.Terminate()
	p.Kill()
	p.Kill()
	if e := await(t, p); e.Signal != syscall.SIGKILL {
		t.Errorf("the command %v", e)
	}
}

// What a command leaves behind is asked to end, and gets its time for that.
func TestLeftBehind(t *testing.T) {
	p, in, out := start(t, Command{Grace: time.Minute}, `(trap 'echo cleaned; exit' TERM; echo up; while :; do sleep 0.01; done) & read x; exit 4`)
	out.Read(make([]byte, 10))
	in.Close()
	b, _ := io.ReadAll(out)
	if e := await(t, p); e.Code != 4 || string(b) != "cleaned\n" {
		t.Errorf("the command %v, output %q", e, b)
	}
	begun := time.Now()
	p, in, out = start(t, Command{Grace: 50 * time.Millisecond}, `(trap '' TERM; echo up; while :; do sleep 0.01; done) & read x; exit 4`)
	out.Read(make([]byte, 10))
	in.Close()
	if e := await(t, p); e.Code != 4 || len(e.Left) > 0 || time.Since(begun) > 20*time.Second {
		t.Errorf("the command %v", e)
	}
}

// A signal to the guard, such as a service manager sends to all processes, is passed on.
func TestSignalToGuard(t *testing.T) {
	p, _, out := start(t, Command{}, `trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done`)
	out.Read(make([]byte, 10))
	p.guard.Signal(syscall.SIGTERM)
	if e := await(t, p); e.Code != 3 {
		t.Errorf("the command %v", e)
	}
}

// The name alone makes no guard do anything: it needs the block of its parent.
func TestGuardWithoutParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Cmd{Path: self, Args: []string{guardName}}
	var exit *exec.ExitError
	if out, err := c.CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 2 || len(out) > 0 {
		t.Errorf("%v, output %q", err, out)
	}
}

// BenchmarkStart measures a guard and its command from start to end.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		var files [3]*os.File
		for i := range files {
			files[i], _ = os.OpenFile(os.DevNull, os.O_RDWR, 0)
		}
		p, err := Start(Command{Path: "/bin/cat", Args: []string{"cat"}, Stdin: files[0], Stdout: files[1], Stderr: files[2]})
		if err != nil {
			b.Fatal(err)
		}
		<-p.Done()
	}
}

// BenchmarkBare is the same without the guard.
func BenchmarkBare(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("/bin/cat").Run(); err != nil {
			b.Fatal(err)
		}
	}
}
