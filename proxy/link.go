package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/schema"
	"github.com/mcpfirewall/mcpfirewall/proxy/upstream"
)

// link is one life of a connection to a server, from its start to its end.
type link struct {
	conn      *conn
	transport upstream.Transport
	http      bool
	gone      chan struct{} // closed when the link has ended
	buried    chan struct{} // closed when nothing is left of it, its processes included

	greeted atomic.Bool   // the handshake is done: modern, version and offer are set
	opened  chan struct{} // closed once transport is set
	modern  bool
	version string
	offer   offer
	caps    []byte // the client capabilities that the server was told

	posting atomic.Int32 // messages that later is sending
	poster  sync.Mutex
	asking  atomic.Int32 // requests of the server that wait for a client
	batch   Batch        // of answers; it is the reader's

	keys atomic.Pointer[credentials] // that calls carry; changed with mu held

	mu      sync.Mutex
	err     error
	lastID  int64
	calls   map[int64]*upcall
	retired bool                // it was replaced, and takes no more calls of clients
	closed  bool                // its credentials are given up
	lent    bool                // its credentials are another's to give up
	waiters []waiter            // for calls to end
	tasks   map[string]struct{} // by the server's id, those that are under way
	ghosts  map[int64]time.Time // calls given up that the server may still be busy with, and until when
	heard   atomic.Int64        // unix nanoseconds of the last message from the server
	asked   atomic.Bool         // a check whether the server is alive is under way

	catalog catalog
	listens listenState
}

// offer is what a server says of itself in initialize or server/discover.
type offer struct {
	caps         []byte
	info         []byte
	instructions string
}

func (l *link) has(capability ...string) bool {
	return declares(l.offer.caps, capability...)
}

// upcall is one request to a server that is under way.
type upcall struct {
	link    *link
	id      int64
	method  string
	clients bool                     // it serves a request of a client, or did when it was made
	reply   chan *jsonrpc.Message    // the response
	failed  chan error               // or why there will be none
	asks    chan *serverRequest      // what the server asks meanwhile, for a modern client
	beat    atomic.Int64             // unix nanoseconds of the last progress
	parked  atomic.Pointer[parked]   // set while it waits for the client's next request
	client  atomic.Pointer[Exchange] // the request of the client that it serves, nil for the firewall's own
	stop    context.CancelFunc       // ends the HTTP stream

	// A call whose answer nobody waits for has no channels, but this. It is called once, by
	// whoever takes the call out of link.calls; the server's reader has a batch for what
	// becomes of it.
	then    func(*jsonrpc.Message, error, *Batch)
	timer   *time.Timer
	unwatch func() bool // stops the watch over the client's request
}

const (
	probeTime      = 3 * time.Second // after which the other era is tried beside the first
	handshakeTime  = 60 * time.Second
	defaultTimeout = 30 * time.Second
)

// connect starts or reaches the server, settles its era and fetches its lists. The link
// gives the credentials up when it has ended; without a link they are the caller's.
func (c *conn) connect(ctx context.Context, keys *credentials) (*link, error) {
	l := &link{conn: c, gone: make(chan struct{}), buried: make(chan struct{}), opened: make(chan struct{}), calls: map[int64]*upcall{}, http: c.cfg.URL != "",
		batch: Batch{relay: c.fleet.relay}}
	l.catalog.link = l
	l.keys.Store(keys)
	if keys.unfit != nil {
		return nil, keys.unfit
	}
	o, err := c.options(keys)
	if err != nil {
		return nil, because("it could not be started", err)
	}
	o.Events = upstream.Events{Message: l.receive, Idle: l.rest, Malformed: l.malformed, Closed: l.end}
	open, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	if l.transport, err = upstream.Open(open, o); err != nil {
		return nil, because("it could not be started or reached", err)
	}
	close(l.opened)
	defer context.AfterFunc(ctx, func() { l.end(ctx.Err()) })()
	finish := func(err error) (*link, error) {
		err = l.cause(err)
		l.end(err)
		l.transport.Close()
		return nil, err
	}
	if err := l.handshake(); err != nil {
		return finish(because("its handshake failed", err))
	}
	l.greeted.Store(true)
	if err := l.catalog.fetch(ctx, listKinds...); err != nil {
		return finish(because("its lists could not be fetched", err))
	}
	if l.modern {
		l.relisten()
	}
	go func() {
		select {
		case <-l.gone:
		case <-c.ctx.Done():
			l.end(errors.New("it was stopped"))
		}
		l.transport.Close()
		l.mu.Lock()
		l.closed = true
		lent := l.lent
		l.mu.Unlock()
		if !lent {
			c.release(l.keys.Load())
		}
		close(l.buried)
	}()
	return l, nil
}

// ownMeta is the _meta of the firewall's own requests to a modern server. They declare what
// the client can do, since servers may offer more to those who can more.
func (l *link) ownMeta() []byte {
	f := l.conn.fleet
	f.mu.Lock()
	who := f.client
	f.mu.Unlock()
	return fmt.Appendf(nil, `{%q:%q,%q:%s,%q:%s}`, metaVersion, ModernVersion, metaClientInfo, f.relay.ownInfo(),
		metaClientCaps, serverCaps(who.caps, l.conn, who.modern, true))
}

// headers are those that mirror a modern request's body over HTTP. They are made of the
// final message; arguments that were injected are not among the declared ones.
func (l *link) headers(method string, raw []byte, declared []schema.HeaderParam) http.Header {
	if !l.http || !l.modern && method != "server/discover" {
		return nil
	}
	params := jsonrpc.Get(raw, "params")
	h := http.Header{}
	h.Set("MCP-Protocol-Version", ModernVersion)
	h.Set("Mcp-Method", method)
	for _, member := range []string{"name", "uri", "taskId"} {
		if v := jsonrpc.Get(params, member); len(v) > 0 && named[method] == member {
			if s, err := schema.HeaderValue(v); err == nil {
				h.Set("Mcp-Name", s)
			}
		}
	}
	for _, p := range declared {
		v := jsonrpc.Get(params, append([]string{"arguments"}, p.Path...)...)
		if len(v) == 0 || string(v) == "null" {
			continue
		}
		if s, err := schema.HeaderValue(v); err == nil {
			h.Set("Mcp-Param-"+p.Header, s)
		}
	}
	return h
}

// named says which member of params Mcp-Name mirrors.
var named = map[string]string{"tools/call": "name", "prompts/get": "name", "resources/read": "uri",
	"tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"}

// start sends a request; the answer comes on the returned call's channels. params must
// be an object or nil.
func (l *link) start(method string, params []byte, x *Exchange, declared []schema.HeaderParam) *upcall {
	up := l.newCall(method, x)
	l.mu.Lock()
	l.register(up)
	l.mu.Unlock()
	l.launch(up, jsonrpc.NewRequest(upID(up), method, params), declared)
	return up
}

// upID returns a call's id as it stands in messages.
func upID(up *upcall) []byte { return strconv.AppendInt(nil, up.id, 10) }

// prepare reserves an id for a client's request, which is also its progress token. It
// returns nil if the link has ended, or was replaced and has no task of that id.
func (l *link) prepare(method string, x *Exchange, task string) *upcall {
	up := l.newCall(method, x)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, here := l.tasks[task]; l.err != nil || l.retired && !here {
		return nil
	}
	l.register(up)
	return up
}

func (l *link) newCall(method string, x *Exchange) *upcall {
	up := &upcall{link: l, method: method, clients: x != nil, reply: make(chan *jsonrpc.Message, 1), failed: make(chan error, 1)}
	if x != nil {
		up.client.Store(x)
		if x.modern && !l.modern {
			up.asks = make(chan *serverRequest, 16)
		}
	}
	return up
}

func (l *link) register(up *upcall) {
	l.lastID++
	up.id = l.lastID
	l.calls[up.id] = up
}

// prepareThen reserves an id for a client's request whose answer, or the reason why there
// is none, is given to then: by the server's reader, or when the time limit is over or the
// client gives up. It returns nil if the link has ended or was replaced.
func (l *link) prepareThen(x *Exchange, limit time.Duration, then func(*jsonrpc.Message, error, *Batch)) *upcall {
	up := &upcall{link: l, method: x.m.Method, clients: true, then: then}
	up.client.Store(x)
	began := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || l.retired {
		return nil
	}
	l.register(up)
	up.timer = time.AfterFunc(limit, func() { l.expire(up, began, limit) })
	up.unwatch = context.AfterFunc(x.ctx, func() {
		l.giveUp(up, x.gone(), context.Cause(x.ctx))
	})
	return up
}

// take takes a call out of those under way; only who takes it may answer it.
func (l *link) take(up *upcall, ghost bool) bool {
	l.mu.Lock()
	_, open := l.calls[up.id]
	l.drop(up.id)
	if open && ghost && !l.http {
		if l.ghosts == nil {
			l.ghosts = map[int64]time.Time{}
		}
		l.ghosts[up.id] = time.Now().Add(ghostTime)
	}
	l.mu.Unlock()
	if open && up.then != nil {
		up.timer.Stop()
		up.unwatch()
	}
	return open
}

// largeAnswer is from which size on an answer is not dealt with in the server's reader,
// because what comes behind it would wait.
const largeAnswer = 64 << 10

// answer gives a call its answer.
func (l *link) answer(up *upcall, m *jsonrpc.Message) {
	if up.then == nil {
		select {
		case up.reply <- m:
		default:
			l.conn.log.Warn().Int64("id", up.id).Msg("second answer of the server dropped")
		}
		return
	}
	switch {
	case !l.take(up, false):
	case len(m.Raw) > largeAnswer:
		go up.then(m, nil, nil)
	default:
		up.then(m, nil, &l.batch)
	}
}

// expire is called when a call's time limit is over. Progress renews it.
func (l *link) expire(up *upcall, began time.Time, limit time.Duration) {
	if last := time.Unix(0, up.beat.Load()); time.Since(last) < limit && time.Since(began) < maxStretch*limit {
		l.mu.Lock()
		if l.calls[up.id] != nil {
			up.timer.Reset(limit - time.Since(last))
		}
		l.mu.Unlock()
		return
	}
	if l.giveUp(up, "time limit", errTimeLimit(l, limit)) {
		l.suspect(began)
	}
}

func errTimeLimit(l *link, limit time.Duration) error {
	return fmt.Errorf("server %s did not answer within its time limit of %s", l.conn.name, limit)
}

// giveUp ends a call that the server is still busy with.
func (l *link) giveUp(up *upcall, reason string, err error) bool {
	if !l.take(up, true) {
		return false
	}
	up.then(nil, err, nil)
	l.tellCancelled(up, reason)
	return true
}

// launch sends a prepared request whose id is the call's.
func (l *link) launch(up *upcall, raw []byte, declared []schema.HeaderParam) {
	out := upstream.Outgoing{Raw: raw, ID: up.id, Header: l.headers(up.method, raw, declared)}
	if !l.http {
		patience := patience{Context: l.conn.ctx, limit: l.conn.timeout()}
		if x := up.client.Load(); x != nil {
			patience.Context, patience.waits = x.ctx, x.waits
		}
		if err := l.send(&patience, out); err != nil {
			up.fail(err)
		}
		patience.end()
		return
	}
	ctx, stop := context.WithCancel(l.conn.ctx)
	up.stop = stop
	go func() {
		// Over HTTP, Send returns when the response stream has ended.
		if err := l.send(ctx, out); err != nil {
			up.fail(err)
		}
	}()
}

// patience is the context of a write that almost never waits: its time limit is set, and
// who writes told that it waits, only when somebody looks whether it is over.
type patience struct {
	context.Context
	limit  time.Duration
	waits  func() // may be nil
	timed  context.Context
	cancel context.CancelFunc
}

// Done starts the time limit. Like Err, it is for the writing goroutine.
func (p *patience) Done() <-chan struct{} {
	if p.timed == nil {
		if p.waits != nil {
			p.waits()
		}
		p.timed, p.cancel = context.WithTimeout(p.Context, p.limit)
	}
	return p.timed.Done()
}

func (p *patience) Err() error {
	if p.timed != nil {
		return p.timed.Err()
	}
	return p.Context.Err()
}

func (p *patience) end() {
	if p.cancel != nil {
		p.cancel()
	}
}

func (l *link) send(ctx context.Context, m upstream.Outgoing) error {
	if err := l.transport.Send(ctx, m); err != nil {
		return fmt.Errorf("server %s: %w", l.conn.name, err)
	}
	return nil
}

// notify sends a notification or a response, and lets the transport's reader find out
// if the server is gone.
func (l *link) notify(raw []byte) {
	ctx, cancel := context.WithTimeout(l.conn.ctx, defaultTimeout)
	defer cancel()
	if err := l.send(ctx, upstream.Outgoing{Raw: raw}); err != nil {
		l.conn.log.Debug().Err(err).Msg("message to the server not delivered")
	}
}

// later is notify for readers: a server that does not read must not keep the messages
// behind the one that is dealt with waiting. When too many wait already, it is dropped.
func (l *link) later(raw []byte) {
	if l.posting.Add(1) > maxAsking {
		l.posting.Add(-1)
		return
	}
	go func() {
		defer l.posting.Add(-1)
		l.poster.Lock() // one at a time: over HTTP each would take a connection
		defer l.poster.Unlock()
		l.notify(raw)
	}()
}

// ghostTime is for how long a server may go on with a call that was given up, and speak of it.
const ghostTime = time.Minute

// aliveTime is what a server gets to show that it is alive.
const aliveTime = 5 * time.Second

// suspect ends the link, so that the server is started again, if it has said nothing since
// a call that ran into its time limit was sent and does not answer a ping either.
func (l *link) suspect(since time.Time) {
	if l.http || time.Unix(0, l.heard.Load()).After(since) || l.asked.Swap(true) {
		return
	}
	defer l.asked.Store(false)
	method := "ping"
	if l.modern {
		method = "server/discover"
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.request(method, nil) // any answer will do; none, and the link's end, come to the same
	}()
	select {
	case <-done:
	case <-time.After(aliveTime):
		if !time.Unix(0, l.heard.Load()).After(since) {
			l.end(errors.New("it has stopped answering"))
		}
	}
}

// request makes a request of the firewall's own and returns its response.
func (l *link) request(method string, params []byte) (*jsonrpc.Message, error) {
	if l.modern {
		if params == nil {
			params = []byte("{}")
		}
		params = jsonrpc.SetMember(params, "_meta", l.ownMeta())
	}
	up := l.start(method, params, nil, nil)
	defer l.forget(up)
	timer := time.NewTimer(defaultTimeout)
	defer timer.Stop()
	select {
	case m := <-up.reply:
		return m, nil
	case err := <-up.failed:
		return nil, err
	case <-l.gone:
		return nil, l.reason()
	case <-timer.C:
		return nil, fmt.Errorf("server %s did not answer %s within %s", l.conn.name, method, defaultTimeout)
	}
}

func (up *upcall) fail(err error) {
	if up.then != nil {
		if up.link.take(up, false) {
			up.then(nil, err, nil)
		}
		return
	}
	select {
	case up.failed <- err:
	default:
	}
}

// forget ends a call: a response that comes later is dropped.
func (l *link) forget(up *upcall) {
	l.mu.Lock()
	l.drop(up.id)
	l.mu.Unlock()
	if up.stop != nil {
		up.stop()
	}
}

// abandon ends a call that the server is still busy with, and tells it so.
func (l *link) abandon(up *upcall, reason string) {
	if l.take(up, true) {
		l.tellCancelled(up, reason)
	}
}

// tellCancelled tells the server that nobody waits for its answer.
func (l *link) tellCancelled(up *upcall, reason string) {
	if !l.http || !l.modern {
		params := fmt.Appendf(nil, `{"requestId":%d`, up.id)
		if reason != "" {
			params = jsonrpc.AppendQuote(append(params, `,"reason":`...), reason)
		}
		l.notify(jsonrpc.NewNotification("notifications/cancelled", append(params, '}')))
	}
	if up.stop != nil {
		up.stop() // over modern HTTP, the end of the stream is the cancellation
	}
}

func (l *link) call(id int64) *upcall {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[id]
}

// sole returns the only client's request under way, or nil if there is none or several:
// what a server sends without saying for which call can then belong to it alone. Where
// principals share the connection, a call that was given up or waits for its client counts
// too, since the server may go on with it.
func (l *link) sole() *upcall {
	l.mu.Lock()
	defer l.mu.Unlock()
	shared := l.conn.fleet.shared
	for id, until := range l.ghosts {
		if time.Now().After(until) {
			delete(l.ghosts, id)
		} else if shared {
			return nil
		}
	}
	var only *upcall
	for _, up := range l.calls {
		if shared && up.parked.Load() != nil {
			return nil
		}
		if up.client.Load() == nil {
			continue
		}
		if only != nil {
			return nil
		}
		only = up
	}
	return only
}

// end ends the link; the first reason counts.
func (l *link) end(err error) {
	if err == nil {
		err = errors.New("the connection was closed")
	}
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	close(l.gone)
	var left []*upcall
	for _, up := range l.calls {
		if up.then != nil {
			left = append(left, up)
		}
	}
	l.mu.Unlock()
	l.conn.unlink(l)
	for _, up := range left {
		go up.fail(l.unanswered(err))
	}
}

// unanswered is why a call has no answer that was under way when the link ended.
func (l *link) unanswered(err error) error {
	return &outage{fmt.Sprintf("server %s ended before it answered: %s; the firewall's log says more", l.conn.name, told(err)),
		fmt.Errorf("server %s ended before it answered: %w", l.conn.name, err)}
}

func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
