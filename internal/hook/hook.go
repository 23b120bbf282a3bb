// Package hook takes the prompts that users give to clients, so that a firewall knows
// which values are the user's own. A hook of the client, `mcpfirewall hook`, posts them
// (package post); this is the side of the firewall process.
//
//	l, err := hook.Listen(hook.Options{
//		Session: name, Log: log,
//		Deliver: func(p hook.Prompt) error { return session.Observe("user", p.Text) },
//	})
//	if err != nil {
//		log.Warn().Err(err).Msg("the user's prompts are not recorded")
//	}
//	defer l.Close()
//
// A hook is believed only if it runs as the same user and is no descendant of a firewall:
// else a server could say what the user said. Whoever connects is looked at through the
// system, not asked. Prompts that were left before the firewall came up are believed if
// only the user can have written them; what can write them can write the configuration.
//
// An agent that can run commands descends from the client as hooks do, and can forge
// prompts. Nothing here can tell.
package hook

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/hook/post"
	"github.com/mcpfirewall/mcpfirewall/internal/state"
	"github.com/rs/zerolog"
)

// Prompt is what a user gave to a client.
type Prompt = post.Prompt

// Options say which prompts a firewall takes.
type Options struct {
	// Dir is in place of the user's default state folder. The socket is in the folder "hook"
	// below it. It does not depend on state.path: a hook that had to read the configuration
	// would keep the client waiting, and one without it would miss the firewall.
	Dir string

	// Session is the name that --session gave, or "".
	Session string

	// Serve says that the process serves several clients over HTTP: it takes the prompts
	// of every session that is named, and has no client of its own.
	Serve bool

	// Deliver records the values of a prompt. The hook, and so the client, waits until it
	// returns. It is called by several goroutines at once, and before Listen returns for
	// prompts that waited. With Serve, Prompt.Session may name a session that is not
	// there yet.
	Deliver func(Prompt) error

	Log zerolog.Logger
}

// Times and numbers that bound what a peer can do.
const (
	headerTime = 2 * time.Second  // for the header, which comes at once
	textTime   = 10 * time.Second // for the text
	maxPeers   = 16               // connections at once
	maxIDs     = 4096             // of prompts that are remembered
)

// Listener takes prompts until it is closed.
type Listener struct {
	o            Options
	folder       string
	self, client post.Process
	socket       *net.UnixListener
	done         chan struct{}
	peers        chan struct{} // one element per connection
	all          sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
	ids  []string // of the prompts delivered last
}

// Listen begins to take prompts, and delivers those that wait for this firewall.
func Listen(o Options) (*Listener, error) {
	if o.Dir == "" {
		dir, err := state.DefaultDir()
		if err != nil {
			return nil, err
		}
		o.Dir = dir
	}
	folder, err := post.Folder(o.Dir)
	if err != nil {
		return nil, err
	}
	l := &Listener{
		o: o, folder: folder,
		done: make(chan struct{}), peers: make(chan struct{}, maxPeers), open: make(map[net.Conn]bool),
	}
	chain, err := post.Ancestors(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("finding this process and its client: %w", err)
	}
	l.self = chain[0]
	// A process whose parent has ended belongs to the first process of the system, which
	// is not in the chain.
	if len(chain) > 1 && !o.Serve {
		l.client = chain[1]
	}
	l.tidy()
	path := filepath.Join(folder, post.SocketName(l.self, l.client))
	if l.socket, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err != nil {
		return nil, fmt.Errorf("listening for prompts: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.socket.Close()
		return nil, fmt.Errorf("listening for prompts: %w", err)
	}
	l.all.Go(l.accept)
	l.all.Go(l.sweep)
	// After the socket is there, since hooks leave a prompt before they look for sockets.
	for _, m := range post.Waiting(folder) {
		switch problem, ours := l.judge(m, m.Chain); {
		case problem != nil:
			l.o.Log.Warn().Err(problem).Msg("a prompt that waited is not recorded")
		case ours:
			l.deliver(m)
		}
	}
	return l, nil
}

// Close ends the listener. A Deliver that runs is waited for.
func (l *Listener) Close() error {
	l.mu.Lock()
	select {
	case <-l.done:
		l.mu.Unlock()
		return nil
	default:
	}
	close(l.done)
	for conn := range l.open {
		conn.Close()
	}
	l.mu.Unlock()
	err := l.socket.Close() // removes the socket too
	l.all.Wait()
	return err
}

// tidy removes what processes that have ended left behind: sockets at which nobody
// listens, of processes that are gone. Both are asked, since a process of a container
// that shares the folder cannot be seen from here.
func (l *Listener) tidy() {
	post.Sweep(l.folder, maxIDs)
	firewalls, err := post.Firewalls(l.folder)
	if err != nil {
		return // Listen meets the same problem
	}
	for _, f := range firewalls {
		if post.Alive(f.Process) {
			continue
		}
		conn, err := net.DialTimeout("unix", f.Path, headerTime)
		if err == nil {
			conn.Close()
		} else if post.Refused(err) {
			os.Remove(f.Path)
		}
	}
}

// sweep removes prompts that waited long enough: they hold the user's words.
func (l *Listener) sweep() {
	t := time.NewTicker(post.Keep / 2)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			post.Sweep(l.folder, maxIDs)
		case <-l.done:
			return
		}
	}
}

func (l *Listener) accept() {
	for {
		select {
		case l.peers <- struct{}{}:
		case <-l.done:
			return
		}
		conn, err := l.socket.AcceptUnix()
		if err != nil {
			<-l.peers
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Too many open files, as a rule.
			l.o.Log.Warn().Err(err).Msg("a prompt could not be taken")
			select {
			case <-time.After(100 * time.Millisecond):
			case <-l.done:
				return
			}
			continue
		}
		l.mu.Lock()
		select {
		case <-l.done:
			conn.Close()
		default:
			l.open[conn] = true
		}
		l.mu.Unlock()
		l.all.Go(func() {
			l.serve(conn)
			l.mu.Lock()
			delete(l.open, conn)
			l.mu.Unlock()
			conn.Close()
			<-l.peers
		})
	}
}

// serve takes one prompt.
func (l *Listener) serve(conn *net.UnixConn) {
	conn.SetDeadline(time.Now().Add(headerTime))
	m, size, err := post.ReadHeader(conn)
	if err != nil {
		l.o.Log.Debug().Err(err).Msg("a connection to the hook's socket brought no prompt")
		return
	}
	chain, problem := peer(conn)
	var ours bool
	if problem == nil {
		problem, ours = l.judge(m, chain)
	}
	switch {
	case problem != nil:
		l.o.Log.Warn().Err(problem).Msg("a prompt is refused")
		conn.Write([]byte{post.AnswerRefused})
		return
	case !ours:
		conn.Write([]byte{post.AnswerOther})
		return
	}
	conn.SetDeadline(time.Now().Add(textTime))
	if _, err := conn.Write([]byte{post.AnswerGo}); err != nil {
		return
	}
	if err := m.ReadText(conn, size); err != nil {
		l.o.Log.Warn().Err(err).Msg("a prompt did not come to its end")
		return
	}
	answer := byte(post.AnswerRecorded)
	if !l.deliver(m) {
		answer = post.AnswerFailed
	}
	conn.Write([]byte{answer})
}

// judge decides whether a prompt whose hook has the given ancestors is for this firewall.
// It is a problem if the hook runs below a firewall: then a server, or what a server
// started, speaks for the user.
func (l *Listener) judge(m post.Message, chain []post.Process) (problem error, ours bool) {
	if slices.Contains(chain, l.self) {
		return errors.New("it comes from a process below this firewall, such as a server, which may not speak for the user"), false
	}
	firewalls, err := post.Firewalls(l.folder)
	if err != nil {
		return err, false
	}
	if post.Below(chain, firewalls) {
		return errors.New("it comes from a process below another firewall, such as a server, which may not speak for the user"), false
	}
	switch {
	case l.o.Serve:
		return nil, m.Session != ""
	case m.Session != "" && l.o.Session != "":
		return nil, m.Session == l.o.Session
	}
	client, ok := post.Nearest(chain, firewalls)
	return nil, ok && client == l.client
}

// deliver delivers a prompt once.
func (l *Listener) deliver(m post.Message) bool {
	l.mu.Lock()
	known := slices.Contains(l.ids, m.ID)
	if !known {
		if len(l.ids) == maxIDs {
			l.ids = slices.Delete(l.ids, 0, maxIDs/2)
		}
		l.ids = append(l.ids, m.ID)
	}
	l.mu.Unlock()
	if known {
		return true
	}
	if err := l.o.Deliver(m.Prompt); err != nil {
		l.mu.Lock()
		l.ids = slices.DeleteFunc(l.ids, func(id string) bool { return id == m.ID })
		l.mu.Unlock()
		l.o.Log.Error().Err(err).Msg("a prompt could not be recorded; its values do not count as the user's")
		return false
	}
	l.o.Log.Debug().Int("bytes", len(m.Text)).Str("session", m.Session).Msg("prompt recorded")
	return true
}
