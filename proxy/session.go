package proxy

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/pace"
	"github.com/mcpfirewall/mcpfirewall/internal/schema"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/redact"
)

// maxInflight bounds the requests of one session that are under way.
const maxInflight = 1024

// Session is one client's memory in the firewall.
type Session struct {
	relay    *Relay
	id       string
	peer     Peer
	started  time.Time
	fleet    *fleet // nil in a single session until its request has told who the client is
	single   bool   // made for one request
	namedKey string
	uses     atomic.Int32
	used     atomic.Int64 // unix nanoseconds
	calls    atomic.Int64 // calls that passed
	known    knowledge
	tokens   *redact.Tokens // what it was given in the place of values; nil in a single session

	mu        sync.Mutex
	ended     bool
	done      chan struct{}
	general   Stream
	client    identity               // of the legacy handshake, or of the last modern request
	version   string                 // agreed by initialize
	ready     bool                   // notifications/initialized came
	level     string                 // of logging/setLevel
	exchanges map[string]*Exchange   // requests under way, by id
	questions map[string]*pending    // requests to the client that are not answered yet, by our id
	listeners map[*listener]struct{} // subscriptions/listen streams of the client
	watched   map[string]*conn       // resources/subscribe of the client: URI to server
	listed    map[string]*view       // what the lists that the client fetched last were made of
	listedAt  map[string]time.Time   // and when
	changes   map[string]*change     // notifications of changed lists that are due, by kind
	lastID    int64
}

// identity is what a client says about itself, as raw JSON.
type identity struct {
	info    []byte
	name    string // out of info
	release string // the client's own version, out of info
	caps    []byte
	version string
	modern  bool
}

// newIdentity reads a clientInfo object, whose texts it makes fit for a record.
func newIdentity(info []byte) identity {
	name, _ := jsonrpc.GetString(info, "name")
	release, _ := jsonrpc.GetString(info, "version")
	return identity{info: info, name: visible.Name(name), release: visible.Name(release)}
}

func (r *Relay) newSession(p Peer) *Session {
	s := &Session{relay: r, id: rand.Text(), peer: p, started: time.Now(), done: make(chan struct{}),
		exchanges: map[string]*Exchange{}, questions: map[string]*pending{}, listeners: map[*listener]struct{}{},
		watched: map[string]*conn{}, listed: map[string]*view{}, listedAt: map[string]time.Time{}, changes: map[string]*change{}}
	s.touch()
	return s
}

// conns returns the connections that the session uses. A session made for one request has
// none until it is read who the client is; whoever finds a session through a fleet finds it
// set, since it is set before the session joins.
func (s *Session) conns() *fleet { return s.fleet }

// ID returns the session's unguessable id.
func (s *Session) ID() string { return s.id }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Version returns the protocol version that initialize agreed on, or "" before.
func (s *Session) Version() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

func (s *Session) touch()              { s.used.Store(time.Now().UnixNano()) }
func (s *Session) lastUsed() time.Time { return time.Unix(0, s.used.Load()) }

func (s *Session) live() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

func (s *Session) clientName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client.name
}

// Attach sets the stream for messages that belong to no request; nil detaches it.
// While there is none, such notifications are dropped and such requests fail.
func (s *Session) Attach(general Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.general = general
}

// Release ends the use of a session that Stateless returned.
func (s *Session) Release() {
	s.touch()
	if s.single {
		s.Close()
		return
	}
	s.uses.Add(-1)
}

// Close ends the session: its requests are cancelled and its connections to servers
// closed. It returns when the servers that only it used are gone.
func (s *Session) Close() {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		<-s.done
		return
	}
	s.ended = true
	under := make([]*Exchange, 0, len(s.exchanges))
	for _, x := range s.exchanges {
		under = append(under, x)
	}
	open := s.questions
	s.questions = map[string]*pending{}
	s.mu.Unlock()

	for _, x := range under {
		x.cancel(errClientGone)
	}
	for _, q := range open {
		q.settle(nil, jsonrpc.NewErrorObject(jsonrpc.CodeInternal, errClientGone.Error(), nil))
	}
	r := s.relay
	if !s.single {
		r.dropParked(s)
		r.dropHeld(s)
	}
	r.mu.Lock()
	delete(r.sessions, s.id)
	if r.named[s.namedKey] == s {
		delete(r.named, s.namedKey)
	}
	r.mu.Unlock()
	r.shared.leave(s)
	if s.fleet != nil {
		s.fleet.leave(s)
		if s.fleet.owner {
			s.fleet.close()
		}
	}
	if !s.single {
		r.event("session closed", "", s)
	}
	close(s.done)
}

// Begin takes one message of the client. A request is registered, so that a cancel that
// comes next finds it, and returned to be Run; it is cancelled when ctx ends. For a
// notification or a response Begin returns nil after it was dealt with.
func (s *Session) Begin(ctx context.Context, m *jsonrpc.Message, on Stream) *Exchange {
	s.touch()
	pace.Message(len(m.Raw))
	clean, err := s.relay.scrub(m)
	if err != nil {
		s.relay.log.Error().Err(err).Str("session", s.id).Msg("message of the client refused")
		if m.Kind != jsonrpc.Request {
			return nil
		}
		x := &Exchange{s: s, m: m, on: on, key: m.IDKey()}
		x.ctx, x.stop = context.WithCancelCause(ctx)
		x.refused = x.refuse(jsonrpc.CodeInternal, redactRule, "the request was refused because it could not be checked for secrets")
		return x
	}
	m = clean
	switch m.Kind {
	case jsonrpc.Request:
		return s.request(ctx, m, on)
	case jsonrpc.Notification:
		s.notification(m)
	default:
		s.response(m)
	}
	return nil
}

func (s *Session) request(ctx context.Context, m *jsonrpc.Message, on Stream) *Exchange {
	x := &Exchange{s: s, m: m, on: on, key: m.IDKey()}
	x.ctx, x.stop = context.WithCancelCause(ctx)
	if !s.relay.enter() {
		x.refused = x.fail(jsonrpc.CodeInternal, "the firewall is shutting down and takes no new requests", nil)
		return x
	}
	x.entered = true
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		x.refused = x.fail(jsonrpc.CodeInternal, "the session has ended", nil)
	case s.exchanges[x.key] != nil:
		x.refused = x.fail(jsonrpc.CodeInvalidRequest, "a request with this id is still under way", nil)
	case len(s.exchanges) >= maxInflight:
		x.refused = x.fail(jsonrpc.CodeInternal, fmt.Sprintf("%d requests are under way: wait for some to end", maxInflight), nil)
	default:
		s.exchanges[x.key] = x
		x.registered = true
	}
	return x
}

func (s *Session) notification(m *jsonrpc.Message) {
	row := table[m.Method]
	switch {
	case row != nil && row.notice != nil:
		if known := clash(row, m); known != "" {
			s.drops(m, paramsRule, "a name in it equals another or a known one but for upper and lower case")
			return
		}
		row.notice(s, m)
	case row == nil && s.relay.lets(m.Method):
		s.passUnknown(m)
	default:
		s.drops(m, methodRule, "the firewall knows no such notification of a client")
	}
}

// response takes the client's answer to a request that a server or the firewall made.
func (s *Session) response(m *jsonrpc.Message) {
	s.mu.Lock()
	q := s.questions[m.IDKey()]
	delete(s.questions, m.IDKey())
	s.mu.Unlock()
	if q == nil {
		s.drops(m, stateRule, "no such question is outstanding")
		return
	}
	if m.Kind == jsonrpc.Failure {
		q.settle(nil, m.At(m.Error))
		return
	}
	q.settle(m.At(m.Result), nil)
}

func (s *Session) cancelled(m *jsonrpc.Message) {
	params := m.At(m.Params)
	s.mu.Lock()
	x := s.exchanges[jsonrpc.Key(jsonrpc.Get(params, "requestId"))]
	s.mu.Unlock()
	if x == nil || x.m.Method == "initialize" {
		return // it has ended already, which the specification allows
	}
	reason, _ := jsonrpc.GetString(params, "reason")
	x.cancel(&cancelError{reason: reason})
}

// progressed passes on the client's progress with a request that a server made.
func (s *Session) progressed(m *jsonrpc.Message) {
	token := jsonrpc.Find(m.Raw, m.Params, "progressToken")
	s.mu.Lock()
	q := s.questions[jsonrpc.Key(m.At(token))]
	s.mu.Unlock()
	if q == nil || q.link == nil || len(q.token) == 0 {
		return
	}
	if !s.mayLeave(m.At(m.Params), q.link.conn.name+".") {
		s.drops(m, redactRule, "it holds what must not go to this server")
		return
	}
	q.link.later(s.relateBack(q.link.conn, m.Splice(jsonrpc.Edit{Span: token, New: q.token})))
}

func (s *Session) initialized(*jsonrpc.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
}

func (s *Session) rootsChanged(*jsonrpc.Message) {
	if s.fleet == nil {
		return
	}
	for _, l := range s.fleet.links() {
		if !l.modern && !l.conn.fleet.shared && l.conn.cfg.Roots {
			l.later(jsonrpc.NewNotification("notifications/roots/list_changed", nil))
		}
	}
}

// tell sends a message that belongs to no request to a legacy client.
func (s *Session) tell(raw []byte) {
	s.mu.Lock()
	general := s.general
	if !s.ready {
		general = nil // nothing is said before the client has finished the handshake
	}
	s.mu.Unlock()
	if general != nil {
		general.Send(Outgoing{Raw: raw}) // an error means that the client is gone, which its transport notices itself
	}
}

// HeaderParams returns the arguments of an exposed tool that clients over HTTP mirror
// into headers (2026-07-28, basic/transports/streamable-http "Custom Headers").
func (s *Session) HeaderParams(tool string) []schema.HeaderParam {
	f := s.fleet
	if f == nil {
		// The request that will tell which connections it uses is not read yet; what its
		// principal's others know of the tool is the same.
		f = s.relay.poolOf(s.peer.Principal)
	}
	if f == nil {
		return nil
	}
	if c := f.view().tools[tool]; c != nil {
		return c.headers
	}
	return nil
}

// clash returns a known name that a name in the params equals only without case.
func clash(row *method, m *jsonrpc.Message) string {
	if c := row.params.Clash(m.Raw, m.Params); c != "" {
		return c
	}
	return metaNames.Clash(m.Raw, jsonrpc.Find(m.Raw, m.Params, "_meta"))
}

var metaNames = jsonrpc.NewNames("progressToken", metaVersion, metaClientInfo, metaClientCaps, metaLogLevel, metaSubscription, metaRelatedTask)
