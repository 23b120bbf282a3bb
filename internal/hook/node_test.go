package hook

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/hook/post"
	"github.com/rs/zerolog"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "node" {
		node(os.Stdin, os.Stdout)
		return
	}
	os.Exit(m.Run())
}

// node is a process that the tests steer over its standard streams: a client, a firewall,
// a server or a hook. Each line in is a command, quoted words; each line out an answer or
// an event. "start NAME" starts a node below it, to which "in NAME ..." passes a command,
// and whose lines come with "NAME: " before them.
func node(in io.Reader, out io.Writer) {
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
	}
	below := make(map[string]io.WriteCloser)
	var all sync.WaitGroup
	defer func() {
		for _, stdin := range below {
			stdin.Close() // a node ends with its input
		}
		all.Wait()
	}()
	var listener *Listener
	commands := bufio.NewScanner(in)
	commands.Buffer(nil, 32<<20)
	for commands.Scan() {
		line := commands.Text()
		words := unquote(line)
		switch words[0] {
		case "start":
			name := words[1]
			cmd := exec.Command(os.Args[0], "node")
			cmd.Stderr = os.Stderr
			stdin, stdout, err := startNode(cmd)
			if err != nil {
				say("error %v", err)
				continue
			}
			below[name] = stdin
			all.Go(func() {
				lines := bufio.NewScanner(stdout)
				for lines.Scan() {
					say("%s: %s", name, lines.Text())
				}
				cmd.Wait()
			})
			say("started")
		case "in":
			_, rest, _ := strings.Cut(line, " ")
			_, rest, _ = strings.Cut(rest, " ")
			fmt.Fprintln(below[words[1]], rest)
		case "listen": // DIR SESSION serve|one
			var err error
			listener, err = Listen(Options{
				Dir: words[1], Session: words[2], Serve: words[3] == "serve", Log: zerolog.Nop(),
				Deliver: func(p Prompt) error {
					if p.Text == "fail" {
						return errors.New("told to")
					}
					say("got %q %q", p.Session, brief(p.Text))
					return nil
				},
			})
			if err != nil {
				say("error %v", err)
				continue
			}
			say("listening %d", os.Getpid())
		case "close":
			say("closed %v", listener.Close())
		case "send": // DIR SESSION TEXT, by the rules
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			n, err := post.Send(ctx, words[1], Prompt{Session: words[2], Text: words[3], Cwd: "/"})
			cancel()
			say("sent %d, error %v, refused %v", n, err != nil, errors.Is(err, post.ErrRefused))
		case "force": // DIR SESSION TEXT, to every firewall whatever the rules say
			folder, _ := post.Folder(words[1])
			answers := ""
			sockets, _ := filepath.Glob(filepath.Join(folder, "*.sock"))
			for _, path := range sockets {
				answers += force(path, words[2], words[3])
			}
			say("answers %s", answers)
		case "socket": // PATH SESSION TEXT
			say("answers %s", force(words[1], words[2], words[3]))
		}
	}
}

// force sends a prompt to a socket as anybody could who knows how, and returns the
// firewall's answers.
func force(path, session, text string) string {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return "-"
	}
	defer conn.Close()
	b := []byte("mcpfirewall prompt 1\n")
	for _, s := range []string{"id" + strconv.Itoa(os.Getpid()) + text, session, "", "/", "", text} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	conn.Write(b)
	answers, _ := io.ReadAll(conn)
	return string(answers)
}

func brief(s string) string {
	if len(s) > 100 {
		return strconv.Itoa(len(s)) + " bytes"
	}
	return s
}

func startNode(cmd *exec.Cmd) (io.WriteCloser, io.Reader, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	// Else each process would take a second to end under the race detector.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	return stdin, stdout, cmd.Start()
}

func unquote(line string) []string {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			word, rest, _ := strings.Cut(line, " ")
			words, line = append(words, word), rest
			continue
		}
		word, _ := strconv.Unquote(quoted)
		words, line = append(words, word), line[len(quoted):]
	}
	return words
}

// tree is a node that the test started, with everything below it.
type tree struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    io.Writer
	lines chan string
	kept  []string // that nobody waited for yet
}

func newTree(t testing.TB, change ...func(*exec.Cmd)) *tree {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &tree{t: t, cmd: exec.Command(self, "node"), lines: make(chan string, 1000)}
	for _, f := range change {
		f(p.cmd)
	}
	stderr, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = stderr
	stdin, stdout, err := startNode(p.cmd)
	if err != nil {
		t.Fatal(err)
	}
	p.in = stdin
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			p.lines <- lines.Text()
		}
		close(p.lines)
	}()
	t.Cleanup(func() {
		stdin.Close()
		go func() {
			for range p.lines {
			}
		}()
		<-ended
		p.cmd.Wait()
		if text, err := os.ReadFile(stderr.Name()); err != nil || len(text) > 0 {
			t.Errorf("a node wrote to standard error: %s %v", text, err)
		}
		stderr.Close()
	})
	return p
}

// do gives a command to the node that path leads to and returns its answer without the
// path. Lines that others say meanwhile are kept.
func (p *tree) do(path []string, words ...string) string {
	p.t.Helper()
	line, prefix := "", ""
	for _, name := range path {
		line += "in " + name + " "
		prefix += name + ": "
	}
	for _, w := range words {
		if w == "" || strings.ContainsAny(w, " \"") {
			w = strconv.Quote(w)
		}
		line += w + " "
	}
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		p.t.Fatal(err)
	}
	return p.wait(prefix, func(s string) bool { return !strings.HasPrefix(s, "got ") && !strings.Contains(s, ": ") })
}

// start starts a node below the one at path, and returns the path to it.
func (p *tree) start(path []string, name string) []string {
	p.t.Helper()
	if got := p.do(path, "start", name); got != "started" {
		p.t.Fatal(got)
	}
	return append(path[:len(path):len(path)], name)
}

// firewall starts a node that listens and returns the path to it.
func (p *tree) firewall(path []string, name, dir, session, mode string) []string {
	p.t.Helper()
	path = p.start(path, name)
	if got := p.do(path, "listen", dir, session, mode); !strings.HasPrefix(got, "listening ") {
		p.t.Fatal(got)
	}
	return path
}

// got waits until the node at path gets a prompt, and returns that.
func (p *tree) got(path []string) string {
	p.t.Helper()
	prefix := ""
	for _, name := range path {
		prefix += name + ": "
	}
	got := p.wait(prefix, func(s string) bool { return strings.HasPrefix(s, "got ") })
	return strings.TrimPrefix(got, "got ")
}

func (p *tree) wait(prefix string, accept func(string) bool) string {
	p.t.Helper()
	for i, line := range p.kept {
		if rest, ok := strings.CutPrefix(line, prefix); ok && accept(rest) {
			p.kept = append(p.kept[:i:i], p.kept[i+1:]...)
			return rest
		}
	}
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatal("the node has ended")
			}
			if rest, ok := strings.CutPrefix(line, prefix); ok && accept(rest) {
				return rest
			}
			p.kept = append(p.kept, line)
		case <-timeout:
			p.t.Fatalf("nothing came from %q; else: %q", prefix, p.kept)
		}
	}
}

// stateDir returns a folder with a short path, as state folders have.
func stateDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
