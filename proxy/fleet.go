package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/rs/zerolog"
)

// fleet is a set of connections, one to each configured server, that belong together:
// those of one session, those that a principal's nameless modern requests share, or
// those of the servers that the configuration calls shared.
type fleet struct {
	relay  *Relay
	shared bool // holds the servers that say shared, and only those
	owner  bool // belongs to one session, which closes it

	// principal is the one whose sessions use the connections, with that one's credentials;
	// "" if the fleet is shared.
	principal string

	known chan struct{} // closed once it is known who the client is
	born  time.Time

	mu       sync.Mutex
	client   identity
	level    string // of the session's logging/setLevel
	conns    map[string]*conn
	sessions map[*Session]struct{}
	cached   atomic.Pointer[view]
	used     time.Time
	closed   bool
	tasks    map[string]string       // ids that clients know tasks by, by server and its id
	asked    map[string]*clientTasks // tasks that the client made of questions, by the server that asked
}

func newFleet(r *Relay, principal string, shared bool) *fleet {
	f := &fleet{relay: r, principal: principal, shared: shared, known: make(chan struct{}), born: time.Now(), conns: map[string]*conn{}, sessions: map[*Session]struct{}{}, used: time.Now()}
	if shared {
		// What all clients together may be asked; a client that cannot answer says so then.
		f.identify(identity{info: r.ownInfo(), caps: []byte(`{"elicitation":{},"sampling":{},"roots":{}}`), version: LegacyVersions[0]})
	}
	return f
}

// poolKey says who shares a fleet.
type poolKey struct{ principal, capabilities string }

// pool gives a single session the connections that its principal's requests with the
// same client capabilities share.
func (r *Relay) pool(s *Session, who identity) {
	// Only what servers are told of makes a difference, so a client cannot make connections
	// without bound by inventing capabilities.
	key := poolKey{s.peer.Principal, strings.Join(known(who.caps), " ")}
	r.mu.Lock()
	f := r.pools[key]
	if f == nil {
		f = newFleet(r, key.principal, false)
		r.pools[key] = f
	}
	r.mu.Unlock()
	f.identify(who)
	s.fleet = f
	f.join(s)
	r.shared.join(s)
	f.adopt()
}

// poolOf returns some connections that a principal's nameless requests use, or nil.
func (r *Relay) poolOf(principal string) *fleet {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, f := range r.pools {
		if key.principal == principal {
			return f
		}
	}
	return nil
}

func (f *fleet) idleSince(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sessions) > 0 {
		return 0
	}
	return now.Sub(f.used)
}

func (f *fleet) join(s *Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions[s] = struct{}{}
}

func (f *fleet) leave(s *Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sessions, s)
	f.used = time.Now()
}

// members returns the sessions that use the fleet's connections.
func (f *fleet) members() []*Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.sessions))
}

// introduce lets the servers be greeted though no client has said who it is.
func (f *fleet) introduce() {
	select {
	case <-f.known:
	default:
		f.identify(identity{info: f.relay.ownInfo(), caps: []byte("{}"), version: LegacyVersions[0]})
	}
}

// known lists those of a client's capabilities that the firewall tells servers of.
func known(caps []byte) []string {
	var have []string
	for _, path := range [][]string{{"elicitation"}, {"elicitation", "form"}, {"elicitation", "url"}, {"roots"},
		{"sampling"}, {"sampling", "tools"}, {"sampling", "context"}, {"tasks"}, {"extensions", extensionTasks}} {
		if declares(caps, path...) {
			have = append(have, strings.Join(path, "/"))
		}
	}
	return have
}

// identify notes who the client is. Legacy servers are told its capabilities once, when
// they are initialized: those of a legacy client, or all that the firewall relays for a
// modern one, which states its own with each request. What a client lacks is refused when
// a server asks for it.
func (f *fleet) identify(who identity) {
	f.mu.Lock()
	first := len(f.client.caps) == 0
	// A client that only probed for the modern era turns out to be a legacy one.
	settled := !first && !f.shared && f.client.modern && !who.modern
	if first || settled {
		f.client = who
	}
	conns := slices.Collect(maps.Values(f.conns))
	f.mu.Unlock()
	if first {
		close(f.known)
	}
	if !settled {
		return
	}
	for _, c := range conns {
		select {
		case c.settling <- struct{}{}:
		default:
		}
	}
}

// informed reports whether the server was told of all that the client can do. One that was
// told of more is told so when it asks; one that was told of less would not even ask.
func (l *link) informed() bool {
	f := l.conn.fleet
	f.mu.Lock()
	who := f.client
	f.mu.Unlock()
	told := known(l.caps)
	return l.modern || !slices.ContainsFunc(known(legacyCaps(who, l.conn)), func(c string) bool { return !slices.Contains(told, c) })
}

// adopt brings the connections in line with the configuration in force.
func (f *fleet) adopt() {
	f.mu.Lock()
	gen := f.relay.current.Load()
	if f.closed {
		f.mu.Unlock()
		return
	}
	var gone []*conn
	changed := false
	for name, c := range f.conns {
		if i := slices.IndexFunc(gen.cfg.Servers, func(s config.Server) bool { return s.Name == name }); i < 0 ||
			gen.cfg.Servers[i].Shared != f.shared || !reflect.DeepEqual(gen.cfg.Servers[i], c.cfg) {
			gone = append(gone, c)
			delete(f.conns, name)
		}
	}
	for _, cfg := range gen.cfg.Servers {
		if cfg.Shared == f.shared && f.conns[cfg.Name] == nil {
			c := &conn{fleet: f, name: cfg.Name, cfg: cfg, attempt: make(chan struct{}), done: make(chan struct{}), left: make(chan struct{}), settling: make(chan struct{}, 1)}
			c.log = f.relay.log.With().Str("server", cfg.Name).Logger()
			c.ctx, c.stop = context.WithCancel(f.relay.ctx)
			f.conns[cfg.Name] = c
			changed = true
			go c.run()
		}
	}
	f.mu.Unlock()
	if changed || len(gone) > 0 {
		f.relay.epoch.Add(1) // not otherwise: each nameless request comes by here
	}
	for _, c := range gone {
		c.close()
	}
}

func (f *fleet) close() {
	f.mu.Lock()
	f.closed = true
	conns := slices.Collect(maps.Values(f.conns))
	f.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(c.close)
	}
	wg.Wait()
}

// all returns the connections that the fleet's sessions use, the shared ones included,
// in the order of the servers' names.
func (f *fleet) all() []*conn {
	f.mu.Lock()
	conns := slices.Collect(maps.Values(f.conns))
	f.mu.Unlock()
	if shared := f.relay.shared; f != shared {
		shared.mu.Lock()
		conns = slices.AppendSeq(conns, maps.Values(shared.conns))
		shared.mu.Unlock()
	}
	slices.SortFunc(conns, func(a, b *conn) int { return strings.Compare(a.name, b.name) })
	return conns
}

// links returns the connections that are up.
func (f *fleet) links() []*link {
	var up []*link
	for _, c := range f.all() {
		if l := c.up(); l != nil {
			up = append(up, l)
		}
	}
	return up
}

// starting returns the name of a server that is neither up nor has failed, or "".
func (f *fleet) starting() string {
	for _, c := range f.all() {
		if c.up() == nil && c.failed() == nil {
			return c.name
		}
	}
	return ""
}

// down says of a server that is down that it is not available, and why, as far as clients are
// told; "" if none is.
func (f *fleet) down() string {
	for _, c := range f.all() {
		if err := c.failed(); err != nil {
			return fmt.Sprintf("server %s is not available: %s; the firewall's log says more", c.name, told(err))
		}
	}
	return ""
}

// conn keeps one server connected: it starts it, settles its era, learns its lists, and
// starts it again when it has died.
type conn struct {
	fleet *fleet
	name  string
	cfg   config.Server
	log   zerolog.Logger
	ctx   context.Context
	stop  context.CancelFunc
	done  chan struct{} // closed when run has ended

	mu      sync.Mutex
	link    *link
	held    *link         // whose lists stand while another is started in its place
	err     error         // why there is no link
	attempt chan struct{} // closed when the current attempt has come up or failed
	retired []*link       // that were replaced and have calls to end
	left    chan struct{} // closed when one of them is gone

	draining sync.WaitGroup // what waits for calls to end
	settling chan struct{}  // the client has turned out to be another than was thought
}

// up returns the live link, or nil.
func (c *conn) up() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// failed returns why the server is down; nil while it is up or still starting.
func (c *conn) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// settled returns a channel that is closed when the server is up or has failed.
func (c *conn) settled() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attempt
}

// live returns the link, waiting for a start that is under way until ctx ends.
func (c *conn) live(ctx context.Context) (*link, error) {
	select {
	case <-c.settled():
	case <-ctx.Done():
		return nil, fmt.Errorf("server %s is still starting", c.name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return nil, &outage{fmt.Sprintf("server %s is not available: %s; it is being restarted, and the firewall's log says more", c.name, told(c.err)),
			fmt.Errorf("server %s is not available: %w; it is being restarted", c.name, c.err)}
	}
	return c.link, nil
}

// listed returns the link whose lists clients see, or nil.
func (c *conn) listed() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return c.held
	}
	return c.link
}

// hold lets calls wait for the next link in the place of one, whose lists stand until
// then.
func (c *conn) hold(l *link) {
	c.mu.Lock()
	if c.link == l {
		c.held = l
	}
	c.mu.Unlock()
	c.unlink(l)
}

// letGo drops the lists of a link that nothing has come in the place of.
func (c *conn) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = nil
	c.fleet.relay.epoch.Add(1)
}

// unlink lets calls wait for the next link after one that has ended.
func (c *conn) unlink(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.link, c.attempt = nil, make(chan struct{})
		c.fleet.relay.epoch.Add(1)
	}
}

// Restart delays: doubled from the least to the greatest, and from the start again once
// a server has lived for a while.
const (
	leastDelay    = 500 * time.Millisecond
	greatestDelay = time.Minute
	steadyAfter   = time.Minute
)

// backoff counts the restart delays of a server.
type backoff struct{ last time.Duration }

// after returns the delay after a life of that length, 0 if the server did not come up.
func (b *backoff) after(life time.Duration) time.Duration {
	if life > steadyAfter {
		b.last = 0
	}
	b.last = min(max(2*b.last, leastDelay), greatestDelay)
	return b.last
}

func (c *conn) run() {
	defer close(c.done)
	defer c.draining.Wait()
	defer func() {
		if fault := recover(); fault != nil {
			c.fleet.relay.fault(fault)
		}
	}()
	var restarts backoff
	for {
		began, life := time.Now(), time.Duration(0)
		l, err := c.start()
		if err == nil {
			c.publish(l)
			c.fleet.relay.event(fmt.Sprintf("server up: protocol %s, after %s", l.version, time.Since(began).Round(time.Millisecond)), c.name, nil)
			c.fleet.started(c)
			if err := c.fleet.relay.memory.note(l); err != nil {
				c.log.Debug().Err(err).Msg("capabilities not remembered")
			}
			l = c.follow(l)
			err = l.reason()
			<-l.buried
			life = time.Since(began)
		}
		if c.ctx.Err() != nil {
			c.mu.Lock()
			c.err = errors.New("it was stopped")
			c.mu.Unlock()
			return
		}
		text := c.fleet.relay.redact.Text(err.Error())
		c.mu.Lock()
		c.err = &outage{told(err), errors.New(text)}
		if l == nil {
			close(c.attempt)
		}
		c.mu.Unlock()
		delay := restarts.after(life)
		c.log.Warn().Str("reason", text).Stringer("retry", delay).Msg("server is down")
		c.fleet.relay.event("server down: "+text, c.name, nil)
		select {
		case <-time.After(delay):
		case <-c.ctx.Done():
			return
		}
		c.mu.Lock()
		if l == nil {
			c.attempt = make(chan struct{})
		}
		c.mu.Unlock()
	}
}

func (c *conn) close() {
	c.stop()
	<-c.done
}

// executable returns the command to start; the firewall's own name stands for the
// binary that is running.
func (c *conn) executable() (string, error) {
	if c.cfg.Command != "mcpfirewall" {
		return c.cfg.Command, nil
	}
	return os.Executable()
}

// kept are the environment variables that a child gets besides those that its
// configuration names: what programs need to find their files, and nothing that holds a
// credential.
var kept = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TERM"}

var keptWindows = []string{"PATHEXT", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "TEMP", "TMP", "APPDATA", "LOCALAPPDATA",
	"PROGRAMDATA", "PROGRAMFILES", "PROGRAMFILES(X86)", "USERPROFILE", "USERNAME", "HOMEDRIVE", "HOMEPATH", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "OS"}

// environment returns the child's environment: the fixed set and what extra names.
func environment(extra map[string]string) []string {
	keep := kept
	if runtime.GOOS == "windows" {
		keep = append(slices.Clone(kept), keptWindows...)
	}
	var env []string
	for _, name := range keep {
		if _, overridden := extra[name]; overridden {
			continue
		}
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		env = append(env, name+"="+extra[name])
	}
	return env
}

// warn says once per configuration, when every server is up, which patterns and rules
// match none of their capabilities.
func (f *fleet) warn() {
	for _, c := range f.all() {
		if c.up() == nil {
			return
		}
	}
	gen := f.relay.current.Load()
	for _, s := range f.members() {
		gen.warned.Do(func() {
			for _, p := range s.Findings() {
				f.relay.log.Warn().Str("file", p.File).Int("line", p.Line).Msg(p.Message)
			}
		})
		return
	}
}

// started tells the sessions that a server's capabilities have appeared.
func (f *fleet) started(c *conn) {
	for _, s := range f.members() {
		s.serverUp(c)
	}
	f.warn()
}

// announce tells the sessions' clients that lists have changed.
func (f *fleet) announce(kinds ...string) {
	for _, s := range f.members() {
		for _, kind := range kinds {
			s.listChanged(kind, true)
		}
	}
}

// serverUp brings a server in line with what the session has asked for already, and
// tells the client of the new lists if it has seen them without this server.
func (s *Session) serverUp(c *conn) {
	if l := c.up(); l != nil {
		l.resubscribe()
	}
	for _, kind := range []string{"tools", "resources", "prompts"} {
		s.mu.Lock()
		seen := s.listed[kind]
		s.mu.Unlock()
		// Who has not fetched the list yet, or fetched it with this server in it, misses nothing.
		s.listChanged(kind, seen != nil && !seen.holds(c.up()))
	}
}
