package hook

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/hook/post"
)

// stopped starts a firewall below p and stops its process, as a machine that is busy does
// for a while. What it returns lets it go on.
func stopped(t *testing.T, p *tree, dir string) (f []string, goOn func()) {
	t.Helper()
	f = p.start(nil, "f")
	pid, err := strconv.Atoi(strings.TrimPrefix(p.do(f, "listen", dir, "work", "one"), "listening "))
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGSTOP)
	goOn = func() { syscall.Kill(pid, syscall.SIGCONT) }
	t.Cleanup(goOn)
	return f, goOn
}

// A firewall that hangs is not waited for longer than the context allows.
func TestFirewallHangs(t *testing.T) {
	dir := stateDir(t)
	p := newTree(t)
	stopped(t, p, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	n, err := post.Send(ctx, dir, Prompt{Session: "work", Text: "x"})
	if n != 0 || err == nil || time.Since(begun) > 10*time.Second {
		t.Errorf("sent %d, %v, after %v", n, err, time.Since(begun))
	}
}

// A sender that has ended cannot be looked at any more, and its process id may be that of
// a better one by now.
func TestSenderEnded(t *testing.T) {
	dir := stateDir(t)
	p := newTree(t)
	f, goOn := stopped(t, p, dir)
	sockets, err := filepath.Glob(filepath.Join(dir, "hook", "*.sock"))
	if err != nil || len(sockets) != 1 {
		t.Fatal(sockets, err)
	}
	sender := newTree(t)
	fmt.Fprintf(sender.in, "socket %s work forged\n", sockets[0])
	// The prompt is in the socket's buffer once the sender waits for the answer.
	for deadline := time.Now().Add(20 * time.Second); ; {
		queue, err := os.ReadFile("/proc/net/unix")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(queue), sockets[0]) > 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the sender does not connect")
		}
		time.Sleep(time.Millisecond)
	}
	sender.cmd.Process.Kill()
	sender.cmd.Wait()
	goOn()
	if got := p.do(p.start(nil, "h"), "send", dir, "work", "real"); got != sentOne {
		t.Error(got)
	}
	if got := p.got(f); got != `"work" "real"` {
		t.Errorf("the firewall got %s", got)
	}
}

// Another user can neither open the folder nor, where that fails to keep him out, speak
// for this one.
func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := stateDir(t)
	copied := filepath.Join(dir, "node") // the test's own folder is closed to others
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := newTree(t)
	f := p.firewall(nil, "f", dir, "work", "one")
	folder := filepath.Join(dir, "hook")
	sockets, err := filepath.Glob(filepath.Join(folder, "*.sock"))
	if err != nil || len(sockets) != 1 {
		t.Fatal(sockets, err)
	}
	for path, want := range map[string]os.FileMode{folder: 0o700, sockets[0]: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", path, info.Mode(), want, err)
		}
	}
	cmd := exec.Command(copied, "node")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	other := newTree(t, func(c *exec.Cmd) { *c = *cmd })
	if got := other.do(nil, "socket", sockets[0], "work", "forged"); got != "answers -" {
		t.Errorf("another user at the socket: %s", got)
	}
	if got := other.do(nil, "send", dir, "work", "forged"); got != "sent 0, error true, refused false" {
		t.Errorf("another user's hook: %s", got)
	}
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(sockets[0], 0o666); err != nil {
		t.Fatal(err)
	}
	if got := other.do(nil, "socket", sockets[0], "work", "forged"); got != "answers r" {
		t.Errorf("another user at an open socket: %s", got)
	}
	// An open folder is used no more.
	if got := p.do(p.start(nil, "h"), "send", dir, "work", "x"); got != "sent 0, error true, refused false" {
		t.Errorf("a hook in an open folder: %s", got)
	}
	if _, err := Listen(Options{Dir: dir}); err == nil {
		t.Error("a firewall listens in an open folder")
	}
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := p.do(p.start(nil, "h2"), "send", dir, "work", "real"); got != sentOne {
		t.Error(got)
	}
	if got := p.got(f); got != `"work" "real"` {
		t.Errorf("the firewall got %s", got)
	}
}
