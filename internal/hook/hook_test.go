package hook

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/hook/post"
	"github.com/rs/zerolog"
)

const (
	sentOne  = "sent 1, error false, refused false"
	sentNone = "sent 0, error false, refused false"
	refusal  = "sent 0, error true, refused true"
)

// Two clients of one user, each with a firewall: a prompt reaches that of its own client.
func TestLinkedByClient(t *testing.T) {
	dir := stateDir(t)
	one, two := newTree(t), newTree(t)
	f1 := one.firewall(nil, "f", dir, "", "one")
	f2 := two.firewall(nil, "f", dir, "", "one")
	h1 := one.start(one.start(nil, "sh"), "h") // through a shell, as clients run hooks
	h2 := two.start(nil, "h")
	if got := one.do(h1, "send", dir, "", "to one"); got != sentOne {
		t.Error(got)
	}
	if got := two.do(h2, "send", dir, "", "to two"); got != sentOne {
		t.Error(got)
	}
	// Had the other prompt come too, it would have come before.
	if got := one.got(f1); got != `"" "to one"` {
		t.Errorf("the first firewall got %s", got)
	}
	if got := two.got(f2); got != `"" "to two"` {
		t.Errorf("the second firewall got %s", got)
	}
	// It does not help to insist.
	if got := one.do(h1, "force", dir, "", "again"); got != "answers gkn" && got != "answers ngk" {
		t.Errorf("%s, want that one takes it and the other does not", got)
	}
}

// A client that another one started, such as `claude -p` in the other one's shell, is
// nearer: the outer user has not said what the inner one is told.
func TestNearestClient(t *testing.T) {
	dir := stateDir(t)
	outer := newTree(t)
	outer.firewall(nil, "f", dir, "", "one")
	inner := outer.start(outer.start(nil, "sh"), "inner")
	f := outer.firewall(inner, "f", dir, "", "one")
	h := outer.start(inner, "h")
	if got := outer.do(h, "send", dir, "", "go on"); got != sentOne {
		t.Error(got)
	}
	if got := outer.got(f); got != `"" "go on"` {
		t.Error(got)
	}
	if got := outer.do(h, "force", dir, "", "again"); got != "answers gkn" && got != "answers ngk" {
		t.Errorf("%s, want that only the nearer client's firewall takes it", got)
	}
}

func TestLinkedBySession(t *testing.T) {
	tests := []struct {
		hook, firewall, mode string
		same                 bool // the same client
		want                 string
	}{
		{"work", "work", "one", true, sentOne},
		{"work", "work", "one", false, sentOne},
		{"work", "home", "one", true, sentNone},
		{"work", "home", "one", false, sentNone},
		{"work", "Work", "one", false, sentNone},
		{"work", "", "one", true, sentOne},
		{"work", "", "one", false, sentNone},
		{"", "work", "one", true, sentOne},
		{"", "work", "one", false, sentNone},
		{"", "", "serve", true, sentNone},
		{"work", "", "serve", true, sentOne},
		{"work", "", "serve", false, sentOne},
	}
	for _, test := range tests {
		dir := stateDir(t)
		one, two := newTree(t), newTree(t)
		f := one.firewall(nil, "f", dir, test.firewall, test.mode)
		from := two
		if test.same {
			from = one
		}
		h := from.start(nil, "h")
		if got := from.do(h, "send", dir, test.hook, "x"); got != test.want {
			t.Errorf("%+v: %s", test, got)
		} else if got == sentOne {
			if got := one.got(f); got != `"`+test.hook+`" "x"` {
				t.Errorf("%+v: it got %s", test, got)
			}
		}
	}
}

// What runs below a firewall does not speak for the user: neither by the command nor by
// writing to the socket, neither to its own firewall nor to another one.
func TestDescendantRefused(t *testing.T) {
	dir := stateDir(t)
	p := newTree(t)
	f := p.firewall(nil, "f", dir, "work", "one")
	p.firewall(nil, "other", dir, "", "one")
	p.firewall(nil, "web", dir, "", "serve")
	server := p.start(p.start(f, "guard"), "server")
	for _, session := range []string{"", "work", "any"} {
		if got := p.do(server, "send", dir, session, "forged"); got != refusal {
			t.Errorf("session %q: %s", session, got)
		}
		if got := p.do(server, "force", dir, session, "forged"); got != "answers rrr" {
			t.Errorf("session %q: %s, want that all three refuse", session, got)
		}
	}
	// Nor is it kept for a firewall that comes later.
	late := p.firewall(nil, "late", dir, "work", "one")
	if got := p.do(p.start(nil, "h"), "send", dir, "work", "real"); got != "sent 4, error false, refused false" {
		t.Error(got)
	}
	if got := p.got(late); got != `"work" "real"` {
		t.Errorf("the late firewall got %s", got)
	}
}

// Clients start servers while the first prompt is on its way.
func TestFirewallStartsLater(t *testing.T) {
	dir := stateDir(t)
	one, two := newTree(t), newTree(t)
	h := one.start(nil, "h")
	for _, session := range []string{"", "work"} {
		if got := one.do(h, "send", dir, session, "early "+session); got != sentNone {
			t.Error(got)
		}
	}
	f := one.firewall(nil, "f", dir, "", "one")
	for _, want := range []string{`"" "early "`, `"work" "early work"`} {
		if got := one.got(f); got != want {
			t.Errorf("the firewall of the same client got %s, want %s", got, want)
		}
	}
	named := two.firewall(nil, "named", dir, "work", "one")
	if got := two.got(named); got != `"work" "early work"` {
		t.Errorf("the firewall with the session's name got %s", got)
	}
	other := two.firewall(nil, "other", dir, "", "one")
	if got := two.do(two.start(nil, "h"), "send", dir, "", "now"); !strings.HasPrefix(got, "sent 2,") {
		t.Error(got)
	}
	if got := two.got(other); got != `"" "now"` {
		t.Errorf("the firewall of another client got %s", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	const firewalls, hooks = 5, 4
	dir := stateDir(t)
	p := newTree(t)
	var all [][]string
	for i := range firewalls {
		all = append(all, p.firewall(nil, "f"+string(rune('0'+i)), dir, "", "one"))
	}
	for i := range hooks {
		p.start(nil, "h"+string(rune('0'+i)))
	}
	for i := range hooks { // without waiting in between
		if _, err := p.in.Write([]byte("in h" + string(rune('0'+i)) + " send " + dir + " \"\" x\n")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range hooks {
		got := p.wait("h"+string(rune('0'+i))+": ", func(s string) bool { return true })
		if got != "sent 5, error false, refused false" {
			t.Error(got)
		}
	}
	for _, f := range all {
		for range hooks {
			p.got(f)
		}
	}
}

func TestLargePrompt(t *testing.T) {
	dir := stateDir(t)
	p := newTree(t)
	f := p.firewall(nil, "f", dir, "", "one")
	h := p.start(nil, "h")
	if got := p.do(h, "send", dir, "", strings.Repeat("x", post.MaxText)); got != sentOne {
		t.Error(got)
	}
	if got := p.got(f); got != `"" "8388608 bytes"` {
		t.Error(got)
	}
	if got := p.do(h, "send", dir, "", strings.Repeat("x", post.MaxText+1)); got != "sent 0, error true, refused false" {
		t.Error(got)
	}
}

func TestDeliverFails(t *testing.T) {
	dir := stateDir(t)
	p := newTree(t)
	p.firewall(nil, "f", dir, "", "one")
	if got := p.do(p.start(nil, "h"), "send", dir, "", "fail"); got != "sent 0, error true, refused false" {
		t.Error(got)
	}
}

// A socket of a process that was killed goes, that of one that lives stays.
func TestStaleSocket(t *testing.T) {
	dir := stateDir(t)
	folder, err := post.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	sockets := func() int {
		t.Helper()
		all, err := post.Firewalls(folder)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	killed := func() {
		t.Helper()
		dead := newTree(t)
		if got := dead.do(nil, "listen", dir, "", "one"); !strings.HasPrefix(got, "listening ") {
			t.Fatal(got)
		}
		dead.cmd.Process.Kill()
		dead.cmd.Wait()
	}
	live := newTree(t)
	f := live.firewall(nil, "f", dir, "", "one")
	killed()
	if n := sockets(); n != 2 {
		t.Fatalf("%d sockets, want that of the live and that of the killed process", n)
	}
	g := live.firewall(nil, "g", dir, "", "one")
	if n := sockets(); n != 2 {
		t.Errorf("%d sockets, want 2: a firewall that starts removes the stale one", n)
	}
	killed()
	h := live.start(nil, "h")
	if got := live.do(h, "send", dir, "any", "x"); got != "sent 2, error false, refused false" {
		t.Error(got)
	}
	if n := sockets(); n != 2 {
		t.Errorf("%d sockets, want 2: a hook removes the stale one", n)
	}
	for _, path := range [][]string{f, g} {
		if got := live.do(path, "close"); got != "closed <nil>" {
			t.Error(got)
		}
	}
	if n := sockets(); n != 0 {
		t.Errorf("%d sockets are left by listeners that were closed", n)
	}
}

// What is no prompt gets no answer, and the next one does.
func TestGarbage(t *testing.T) {
	dir := stateDir(t)
	p := newTree(t)
	p.firewall(nil, "f", dir, "", "one")
	sockets, err := filepath.Glob(filepath.Join(dir, "hook", "*.sock"))
	if err != nil || len(sockets) != 1 {
		t.Fatal(sockets, err)
	}
	for _, garbage := range []string{"", "GET / HTTP/1.1\r\n\r\n", "mcpfirewall prompt 1\n\xff\xff\xff\xff", "mcpfirewall prompt 1\n\x00\x00\x00\x01\xff"} {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: sockets[0], Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte(garbage))
		conn.CloseWrite()
		if n, _ := conn.Read(make([]byte, 1)); n != 0 {
			t.Errorf("%q was answered", garbage)
		}
		conn.Close()
	}
	if got := p.do(p.start(nil, "h"), "send", dir, "", "x"); got != sentOne {
		t.Errorf("after garbage: %s", got)
	}
}

// Listen in a folder that cannot be made is an error, at which the firewall goes on.
func TestUnusableFolder(t *testing.T) {
	file := filepath.Join(stateDir(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Options{Dir: file, Log: zerolog.Nop()}); err == nil {
		t.Error("listening below a file")
	}
}

// BenchmarkSend measures a delivery to four firewalls, without the start of a process.
func BenchmarkSend(b *testing.B) {
	dir := stateDir(b)
	p := newTree(b)
	for i := range 4 {
		p.firewall(nil, "f"+string(rune('0'+i)), dir, "", "one")
	}
	h := p.start(nil, "h")
	for b.Loop() {
		if got := p.do(h, "send", dir, "", "Pay Ann 20 euros"); got != "sent 4, error false, refused false" {
			b.Fatal(got)
		}
	}
}
