// Package proxy is the firewall's relay. It is an MCP server to one or many clients and
// an MCP client to the configured servers, and every message between them passes it.
//
// A Relay holds what all clients share: the configuration in force, the compiled policy,
// the audit log. Package downstream opens a Session per client and hands it each message
// of the client with Begin; what the client is to get comes out of the Streams that
// Begin and Attach were given. Toward the servers, a session has a fleet: one link per
// server, over a transport of package upstream.
//
// There is one way through. Each message, whatever transport, era or server it comes
// from, is scrubbed of known secrets, found in the method table (methods.go) and handled
// there; what the table does not name is refused.
//
//	methods.go    the table
//	session.go    a client: its messages in, its requests under way
//	exchange.go   one request of a client, from its parse to its response
//	handshake.go  initialize and server/discover
//	catalog.go    the servers' lists; view.go merges, names and filters them
//	call.go       the call path: checks, decision, approval, record, send, receive
//	batch.go      calls and answers that are at hand at once, and go out together
//	prompt.go     what is checked of prompts/get before that
//	question.go   requests of servers to the client, in both eras
//	park.go       those of legacy servers to modern clients
//	answers.go    what the client answers
//	subscribe.go  list changes, resource updates, log messages, progress
//	listen.go     the subscriptions at servers that this takes
//	uri.go        which server a URI is for
//	tasks.go      tasks of both forms
//	clienttasks.go  tasks that clients make of requests of servers
//	related.go    which task a message belongs to
//	fleet.go      connections to the servers and their restarts
//	greet.go      the handshake with a server: its era and what it offers
//	owner.go      which server a call is for that is not up
//	link.go       one connection: requests and answers
//	receive.go    what a server sends
//	forward.go    a call as it is sent to the server
//	credentials.go  the credentials of a connection, and what happens when they change
//	header.go     what the value of a header may hold
//	oauth.go      where the access tokens of servers that want OAuth come from
//	drain.go      the end of a connection that was replaced
//	masks.go      which values the redactor knows
//	inject.go     arguments that the firewall adds to calls
//	outage.go     why a server cannot be used, for clients and for the log
//	refuse.go     answers to calls that are not made
//	unknown.go    methods that only the configuration knows
//	vet.go        what a server may ask of the client
//	form.go       what a user is asked, and how it looks
//	wording.go    which words ask for a credential
//	redaction.go  what is taken out of messages and put back into arguments
//	knowledge.go  what a session remembers for the policy: labels, calls, values
//	result.go     what becomes of a result: projection, rules on results, memory
package proxy

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/internal/seal"
	"github.com/mcpfirewall/mcpfirewall/internal/state"
	"github.com/mcpfirewall/mcpfirewall/internal/state/sqlite"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/rules"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
)

// Options are what a Relay is made of. All are required but Version.
type Options struct {
	Config  *config.Config
	Vault   *vault.Resolver
	Redact  *redact.Redactor // nil makes one as Config says
	Audit   *audit.Log
	Log     zerolog.Logger
	Version string // of the firewall, told to clients and servers
}

// Relay is the firewall between any number of clients and the configured servers.
type Relay struct {
	vault   *vault.Resolver
	redact  *redact.Redactor
	audit   *audit.Log
	log     zerolog.Logger
	version string
	box     *seal.Box
	memory  *memory
	masks   masks
	store   state.Store

	current atomic.Pointer[generation]
	epoch   atomic.Int64 // counts what makes a view stale: lists, links, configurations
	started atomic.Bool
	shared  *fleet // connections of the servers that say shared
	tokens  tokens // of the servers that want OAuth

	mu       sync.Mutex
	sessions map[string]*Session      // by id
	named    map[string]*Session      // sessions of modern HTTP, by principal and name
	pools    map[poolKey]*fleet       // connections of nameless modern requests, by principal and client capabilities
	parked   map[string]*parked       // calls that wait for an answer in a later request
	held     map[string]*held         // results that wait for a person
	heard    map[string]*words        // prompts for named sessions that are not there yet
	eras     map[string]map[bool]bool // by server and era (modern or not): whether it has it
	closing  bool

	naming   sync.Mutex // one named session is opened at a time
	inflight sync.WaitGroup
	ctx      context.Context
	stop     context.CancelFunc
}

// generation is a configuration in force with what was compiled from it.
type generation struct {
	cfg    *config.Config
	policy *rules.Policy
	prefix bool      // capabilities are exposed as server__name
	warned sync.Once // of patterns that match nothing
}

// New returns a Relay with the policy compiled. The error is of type config.Problems
// where the file is at fault. Servers are started when a session is opened.
func New(o Options) (*Relay, error) {
	gen, err := compile(o.Config)
	if err != nil {
		return nil, err
	}
	if o.Redact == nil {
		if o.Redact, err = redact.New(policy.Redaction(o.Config)); err != nil {
			return nil, err
		}
	}
	r := &Relay{
		vault: o.Vault, redact: o.Redact, audit: o.Audit, log: o.Log, version: o.Version, box: seal.New(), memory: openMemory(o.Config.State.Path),
		sessions: map[string]*Session{}, named: map[string]*Session{}, pools: map[poolKey]*fleet{},
		parked: map[string]*parked{}, held: map[string]*held{}, heard: map[string]*words{}, eras: map[string]map[bool]bool{},
		store: sqlite.New(sqlite.Options{Dir: o.Config.State.Path}),
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.current.Store(gen)
	r.shared = newFleet(r, "", true)
	go r.sweep()
	return r, nil
}

func compile(cfg *config.Config) (*generation, error) {
	compiled, err := policy.Compile(cfg)
	if err != nil {
		return nil, err
	}
	prefix := cfg.Naming == "always" || cfg.Naming != "never" && len(cfg.Servers) > 1
	return &generation{cfg: cfg, policy: compiled, prefix: prefix}, nil
}

// Start records that the firewall serves from now on, and connects the servers that say
// shared, so that they are up before the first client comes.
func (r *Relay) Start() {
	cfg := r.current.Load().cfg
	r.started.Store(true)
	r.event("firewall started: version "+r.version+", configuration "+identify(cfg), "", nil)
	r.shared.adopt()
}

// identify names a configuration for a record.
func identify(cfg *config.Config) string {
	if cfg.Path == "" {
		return "no file"
	}
	return cfg.Path + " " + cfg.Digest
}

// Refused records that another configuration was not put in force.
func (r *Relay) Refused(reason string) {
	r.event("configuration not reloaded, the old one stays in force: "+r.redact.Text(reason), "", nil)
}

// Reload puts another configuration in force: whole, or not at all if it does not
// compile. Servers whose configuration is unchanged keep running; clients are told that
// lists changed.
func (r *Relay) Reload(cfg *config.Config) error {
	gen, err := compile(cfg)
	if err != nil {
		return err
	}
	if err := r.redact.Configure(policy.Redaction(cfg)); err != nil {
		return err
	}
	r.current.Store(gen)
	r.epoch.Add(1)
	r.shared.adopt()
	for _, f := range r.fleets() {
		f.adopt()
		f.announce("tools", "resources", "prompts")
	}
	r.event("configuration reloaded: "+identify(cfg), "", nil)
	return nil
}

func (r *Relay) fleets() []*fleet {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*fleet, 0, len(r.sessions)+len(r.pools))
	for _, s := range r.sessions {
		if s.fleet.owner {
			all = append(all, s.fleet)
		}
	}
	for _, f := range r.pools {
		all = append(all, f)
	}
	return all
}

// Peer says who a client is and how it is connected.
type Peer struct {
	Transport string // "stdio", "http" or "sse"
	Principal string // the OS user over stdio; who authenticated over HTTP
	Name      string // of the session, where the client or the command line gave one

	// Due is when the first answer has to be given though servers have not said what they
	// offer; zero means some time after the client asked.
	Due time.Time
}

// LocalPrincipal returns the principal of clients on this machine: the OS user.
func LocalPrincipal() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("uid:%d", os.Getuid())
}

// Open starts the session of a client, and the servers for it in the background.
func (r *Relay) Open(p Peer) *Session {
	s := r.newSession(p)
	s.fleet = newFleet(r, p.Principal, false)
	s.fleet.owner = true
	s.remember()
	s.fleet.join(s)
	r.shared.join(s)
	r.mu.Lock()
	r.sessions[s.id] = s
	closing := r.closing
	r.mu.Unlock()
	if closing {
		s.Close()
		return s
	}
	s.fleet.adopt()
	r.event("session opened", "", s)
	return s
}

// idleLimit ends sessions, and connections of nameless requests, that nobody used.
const idleLimit = 30 * time.Minute

// Stateless returns the session for one request of a modern client over HTTP: the one
// of the client's name within its principal, or one for this request alone. Its caller
// calls Release when the request is done. It returns nil if the principal has as many
// named sessions as it may have.
func (r *Relay) Stateless(p Peer) *Session {
	if p.Name == "" {
		s := r.newSession(p)
		s.single = true
		return s
	}
	key := p.Principal + "\x00" + p.Name
	r.mu.Lock()
	s := r.named[key]
	if s != nil {
		s.uses.Add(1)
	}
	r.mu.Unlock()
	if s != nil && s.live() {
		return s
	}
	r.naming.Lock()
	defer r.naming.Unlock()
	r.mu.Lock()
	s = r.named[key]
	if s != nil && s.live() {
		s.uses.Add(1)
		r.mu.Unlock()
		return s
	}
	r.mu.Unlock()
	if !r.roomFor(p.Principal) {
		return nil
	}
	s = r.Open(p)
	s.uses.Add(1)
	s.namedKey = key
	r.mu.Lock()
	r.named[key] = s
	r.mu.Unlock()
	s.catchUp(p.Name)
	return s
}

// maxNamed bounds the named sessions of one principal.
const maxNamed = 128

func (r *Relay) roomFor(principal string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for key := range r.named {
		if strings.HasPrefix(key, principal+"\x00") {
			n++
		}
	}
	return n < maxNamed
}

// sweep ends what has been idle too long.
func (r *Relay) sweep() {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case now := <-tick.C:
			var idle []func()
			r.mu.Lock()
			for _, s := range r.named {
				if s.uses.Load() == 0 && now.Sub(s.lastUsed()) > idleLimit {
					idle = append(idle, s.Close)
				}
			}
			for key, f := range r.pools {
				if f.idleSince(now) > idleLimit {
					delete(r.pools, key)
					idle = append(idle, f.close)
				}
			}
			r.mu.Unlock()
			for _, end := range idle {
				end()
			}
		}
	}
}

// revokeTime is what the end has for giving up what Vault keeps alive.
const revokeTime = 3 * time.Second

// Close lets requests under way finish until ctx ends, takes no new ones, and then ends
// every session and every server. It returns when all are gone.
func (r *Relay) Close(ctx context.Context) {
	r.mu.Lock()
	r.closing = true
	sessions := make([]*Session, 0, len(r.sessions))
	for _, s := range r.sessions {
		sessions = append(sessions, s)
	}
	r.mu.Unlock()
	for _, s := range sessions {
		s.endListeners()
	}
	done := make(chan struct{})
	go func() { r.inflight.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	r.stop()
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(s.Close)
	}
	r.mu.Lock()
	pools := r.pools
	r.pools = map[poolKey]*fleet{}
	r.mu.Unlock()
	for _, f := range pools {
		wg.Go(f.close)
	}
	wg.Go(r.shared.close)
	wg.Wait()
	r.tokens.close(ctx)
	revoke, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTime) // though requests took all the time there was
	r.vault.Close(revoke)
	cancel()
	if err := r.store.Close(); err != nil {
		r.log.Error().Err(err).Msg("state not closed")
	}
	if r.started.Load() {
		r.event("firewall stopped", "", nil)
	}
}

// enter counts a request under way; it is false once the relay is closing.
func (r *Relay) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.inflight.Add(1)
	return true
}

// event records what happened to the firewall, a session or a server, in the firewall's own
// words: the first come before the redactor is ready.
func (r *Relay) event(what, server string, s *Session) {
	rec := audit.Record{ID: r.audit.NewID(), Event: "lifecycle", Server: server, Message: what}
	if s != nil {
		rec.Session, rec.Principal, rec.Client = s.id, s.peer.Principal, s.clientName()
	}
	if err := r.audit.Write(&rec); err != nil {
		r.log.Error().Err(err).Msg("audit record not written")
	}
}
