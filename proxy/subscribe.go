package proxy

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

func newID() string { return rand.Text() }

// listener is a subscriptions/listen stream of a modern client.
type listener struct {
	x         *Exchange
	lists     map[string]bool  // by kind: tools, resources, prompts
	resources map[string]*conn // by URI
	tasks     map[string]taskRef
	end       chan struct{} // closed when the firewall ends the stream
	once      sync.Once
}

// send passes a notification to the listening client, marked with its subscription.
func (ls *listener) send(m []byte) {
	params := jsonrpc.Get(m, "params")
	meta := jsonrpc.SetMember(jsonrpc.Get(params, "_meta"), metaSubscription, ls.x.m.At(ls.x.m.ID))
	ls.x.on.Send(Outgoing{Raw: jsonrpc.SetMember(m, "params", jsonrpc.SetMember(params, "_meta", meta))})
}

// listen opens a stream of notifications for a modern client (2026-07-28,
// basic/patterns/subscriptions). It ends when the client or the firewall goes.
func (x *Exchange) listen() answer {
	s := x.s
	ls := &listener{x: x, lists: map[string]bool{}, resources: map[string]*conn{}, tasks: map[string]taskRef{}, end: make(chan struct{})}
	filter := x.m.At(x.param("notifications"))
	if len(filter) == 0 || filter[0] != '{' {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "notifications is missing or not an object")
	}
	if len(jsonrpc.Get(filter, "resourceSubscriptions")) > 0 {
		s.gather(x.ctx) // a server that is still starting may be the one that has the resource
	} else {
		s.settle(x.ctx, settleTime)
	}
	agreed := []byte("{}")
	for _, kind := range []string{"tools", "prompts", "resources"} {
		if string(jsonrpc.Get(filter, kind+"ListChanged")) == "true" && s.offersKind(kind) {
			ls.lists[kind] = true
			agreed = jsonrpc.SetMember(agreed, kind+"ListChanged", []byte("true"))
		}
	}
	var uris []string
	for el := range jsonrpc.Elements(filter, jsonrpc.Find(filter, jsonrpc.Span{End: len(filter)}, "resourceSubscriptions")) {
		uri := jsonrpc.String(filter[el.Start:el.End])
		if c := s.fleet.resource(s.fleet.view(), uri); c != nil && s.mayLeave(filter[el.Start:el.End], c.title()) {
			ls.resources[uri] = c.conn
			uris = append(uris, string(jsonrpc.Quote(uri)))
		}
	}
	if len(uris) > 0 {
		agreed = jsonrpc.SetMember(agreed, "resourceSubscriptions", []byte("["+strings.Join(uris, ",")+"]"))
	}
	var tasks []string
	for el := range jsonrpc.Elements(filter, jsonrpc.Find(filter, jsonrpc.Span{End: len(filter)}, "taskIds")) {
		id := jsonrpc.String(filter[el.Start:el.End])
		if ref, err := s.openTask(id); err == nil {
			ls.tasks[id] = ref
			tasks = append(tasks, string(jsonrpc.Quote(id)))
		}
	}
	if len(tasks) > 0 {
		agreed = jsonrpc.SetMember(agreed, "taskIds", []byte("["+strings.Join(tasks, ",")+"]"))
	}
	ls.send(jsonrpc.NewNotification("notifications/subscriptions/acknowledged", append(append([]byte(`{"notifications":`), agreed...), '}')))
	s.mu.Lock()
	s.listeners[ls] = struct{}{}
	ended := s.ended
	s.mu.Unlock()
	s.resubscribe()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, ls)
		s.mu.Unlock()
		if !ended {
			s.resubscribe()
		}
	}()
	s.relay.inflight.Done() // a stream without end is no request that a shutdown waits for
	x.entered = false
	select {
	case <-ls.end:
	case <-s.relay.ctx.Done():
	case <-s.done:
	case <-x.ctx.Done():
		return answer{}
	}
	return x.result(append(append([]byte(`{"resultType":"complete","_meta":{"`+metaSubscription+`":`), x.m.At(x.m.ID)...), "}}"...))
}

// endListeners ends the client's streams gracefully.
func (s *Session) endListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ls := range s.listeners {
		ls.once.Do(func() { close(ls.end) })
	}
}

// offersKind reports whether a server has, or may yet turn out to have, the capability.
func (s *Session) offersKind(kind string) bool {
	for _, c := range s.fleet.all() {
		if l := c.up(); l == nil || l.has(kind) {
			return true
		}
	}
	return false
}

func (s *Session) listening() []*listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.listeners))
}

// listChanged tells the client that a list changed: a modern one where it listens, and a
// legacy one if so said.
func (s *Session) listChanged(kind string, legacy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.changes[kind]
	if due == nil {
		due = &change{}
		s.changes[kind] = due
		// Several servers that come up together make one notification, and none comes right
		// behind the answer to a list, where clients are known to overlook it.
		time.AfterFunc(max(announceDelay, announceGap-time.Since(s.listedAt[kind])), func() { s.announce(kind) })
	}
	due.legacy = due.legacy || legacy
}

// change is a notification that is due.
type change struct{ legacy bool }

// How long the notification of a changed list waits for others of its kind, and for how
// long after an answer to that list there is none.
const (
	announceDelay = 20 * time.Millisecond
	announceGap   = time.Second
)

// announce sends the notification that is due.
func (s *Session) announce(kind string) {
	s.mu.Lock()
	due := s.changes[kind]
	delete(s.changes, kind)
	ended := s.ended
	s.mu.Unlock()
	if due == nil || ended {
		return
	}
	raw := jsonrpc.NewNotification("notifications/"+kind+"/list_changed", nil)
	for _, ls := range s.listening() {
		if ls.lists[kind] {
			ls.send(raw)
		}
	}
	if due.legacy {
		s.tell(raw)
	}
}

// subscribe and unsubscribe are a legacy client's; a modern server is told by a new
// subscriptions/listen.
func (x *Exchange) subscribe() answer   { return x.watch(true) }
func (x *Exchange) unsubscribe() answer { return x.watch(false) }

// maxWatched bounds the resources that one session watches.
const maxWatched = 1000

func (x *Exchange) watch(on bool) (a answer) {
	s := x.s
	uri, ok := x.text("uri")
	if !ok {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "uri is missing or not a string")
	}
	s.gather(x.ctx)
	c := s.fleet.resource(s.fleet.view(), uri)
	if c == nil {
		return x.turnedAway(s.newRecord("refusal", x.m), jsonrpc.CodeResourceNotFound, "unknown", "Resource not found", x.uriMember())
	}
	if !s.mayLeave(x.m.At(x.param("uri")), c.title()) {
		return x.refuse(jsonrpc.CodeInvalidParams, redactRule, "the URI holds what must not go to this server")
	}
	l, err := c.conn.live(x.ctx)
	if err != nil {
		return x.failErr(err)
	}
	s.mu.Lock()
	_, before := s.watched[uri]
	if on && !before && len(s.watched) >= maxWatched {
		s.mu.Unlock()
		return x.fail(jsonrpc.CodeInternal, fmt.Sprintf("the client watches %d resources already: unsubscribe from some of them first", maxWatched), nil)
	}
	if on {
		s.watched[uri] = c.conn // before the server says yes: its first update may come right behind
	} else {
		delete(s.watched, uri)
	}
	s.mu.Unlock()
	defer func() {
		if on && !before && a.code != 0 {
			s.mu.Lock()
			delete(s.watched, uri)
			s.mu.Unlock()
		}
	}()
	if l.modern {
		l.relisten()
		return x.result([]byte("{}"))
	}
	if !on && l.wanted()[uri] {
		return x.result([]byte("{}")) // another session of a shared server still watches it
	}
	m, err := l.request(x.m.Method, append(append([]byte(`{"uri":`), jsonrpc.Quote(uri)...), '}'))
	switch {
	case err != nil:
		return x.failErr(err)
	case m.Kind == jsonrpc.Failure:
		return x.relayError(m, l)
	}
	return x.relayResult(m, l)
}

// resubscribe brings all servers in line with what the session's clients watch.
func (s *Session) resubscribe() {
	for _, l := range s.fleet.links() {
		l.resubscribe()
	}
}

// wanted returns the URIs that sessions watch at this server.
func (l *link) wanted() map[string]bool {
	uris := map[string]bool{}
	for _, s := range l.audience() {
		s.mu.Lock()
		for uri, c := range s.watched {
			if c == l.conn {
				uris[uri] = true
			}
		}
		for ls := range s.listeners {
			for uri, c := range ls.resources {
				if c == l.conn {
					uris[uri] = true
				}
			}
		}
		s.mu.Unlock()
	}
	return uris
}

// resourceUpdated goes to the sessions that watch the resource.
func (l *link) resourceUpdated(m *jsonrpc.Message, _ *upcall) {
	uri, _ := jsonrpc.GetString(m.At(m.Params), "uri")
	clean := l.withoutSubscription(m)
	for _, s := range l.audience() {
		s.mu.Lock()
		watched := s.watched[uri] == l.conn
		s.mu.Unlock()
		if watched {
			s.tell(clean)
		}
		for _, ls := range s.listening() {
			if ls.resources[uri] == l.conn {
				ls.send(clean)
			}
		}
	}
}

// withoutSubscription takes the id of the firewall's own subscription out of a
// notification.
func (l *link) withoutSubscription(m *jsonrpc.Message) []byte {
	meta := jsonrpc.Find(m.Raw, m.Params, "_meta")
	if !meta.Present() {
		return m.Raw
	}
	obj := jsonrpc.DropMembers(m.At(meta), func(n string) bool { return n == metaSubscription })
	return m.Splice(jsonrpc.Edit{Span: meta, New: obj})
}

// setLevel sets the log level of a legacy client at the servers that log.
func (x *Exchange) setLevel() answer {
	level, ok := x.text("level")
	if _, known := levels[level]; !ok || !known {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "level is none of the log levels of RFC 5424")
	}
	x.s.mu.Lock()
	x.s.level = level
	x.s.mu.Unlock()
	f := x.s.fleet
	f.mu.Lock()
	f.level = level // servers that are not up yet are told before the first call
	f.mu.Unlock()
	f.logAt(level)
	return x.result([]byte("{}"))
}

// logAt tells the legacy servers that log how much to.
func (f *fleet) logAt(level string) {
	for _, l := range f.links() {
		if !l.modern && !l.conn.fleet.shared && l.has("logging") {
			l.logAt(level)
		}
	}
}

func (l *link) logAt(level string) {
	if _, err := l.request("logging/setLevel", append(jsonrpc.AppendQuote([]byte(`{"level":`), level), '}')); err != nil {
		l.conn.log.Warn().Err(err).Msg("log level not set")
	}
}

// heed has legacy servers log what a modern client's request asks for. They have one level
// for all requests, which is the lowest of theirs: what a request did not ask for is left
// out of what it gets.
func (x *Exchange) heed() {
	f := x.s.conns()
	f.mu.Lock()
	told := f.level != "" && levels[f.level] <= levels[x.level]
	if !told {
		f.level = x.level
	}
	f.mu.Unlock()
	if !told {
		x.waits()
		f.logAt(x.level)
	}
}

// levels orders the log levels (RFC 5424 §6.2.1).
var levels = map[string]int{"debug": 0, "info": 1, "notice": 2, "warning": 3, "error": 4, "critical": 5, "alert": 6, "emergency": 7}

// logged passes a server's log message on: to the call that it came with, else to the
// one session that it can only belong to.
func (l *link) logged(m *jsonrpc.Message, up *upcall) {
	raw := l.withoutSubscription(m)
	level, _ := jsonrpc.GetString(m.At(m.Params), "level")
	if up == nil {
		up = l.sole()
	}
	if up != nil {
		if x := up.client.Load(); x != nil {
			if x.modern && (x.level == "" || levels[level] < levels[x.level]) {
				return // a modern client gets only what it asked for in the request
			}
			x.s.observeAside(x.via.Load(), jsonrpc.Get(m.At(m.Params), "data"))
			x.on.Send(Outgoing{Raw: raw})
			return
		}
	}
	l.toGeneral(&jsonrpc.Message{Raw: raw}, nil)
}

// toGeneral passes a message on to the one session whose connection this is.
func (l *link) toGeneral(m *jsonrpc.Message, _ *upcall) {
	if !l.conn.fleet.owner {
		return
	}
	for _, s := range l.audience() {
		s.tell(m.Raw)
	}
}

// progressed passes progress on to the request that it belongs to, under the client's own
// token.
func (l *link) progressed(m *jsonrpc.Message, _ *upcall) {
	token := jsonrpc.Find(m.Raw, m.Params, "progressToken")
	id, ok := jsonrpc.Int(m.At(token))
	up := l.call(id)
	if !ok || up == nil {
		return
	}
	up.beat.Store(time.Now().UnixNano())
	x := up.client.Load()
	if x == nil || !x.token.Present() {
		return
	}
	x.s.observeAside(x.via.Load(), jsonrpc.Get(m.At(m.Params), "message"))
	x.on.Send(Outgoing{Raw: m.Splice(jsonrpc.Edit{Span: token, New: x.m.At(x.token)})})
}
