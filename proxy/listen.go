package proxy

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// This file is what the firewall itself subscribes to at servers.

// listenState is what the firewall itself listens to at a server.
type listenState struct {
	mu      sync.Mutex
	up      *upcall         // the open subscriptions/listen of a modern server
	current map[string]bool // URIs subscribed to
	key     string
	delay   time.Duration // before it is opened again once the server has ended it
	waits   bool          // for that to pass, whoever wants it opened meanwhile
}

var errListenEnded = errors.New("the stream of notifications was ended")

// again returns how long to wait before a stream that began then is opened again.
func (ls *listenState) again(began time.Time) time.Duration {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.delay = min(2*ls.delay, greatestDelay); ls.delay == 0 || time.Since(began) > steadyAfter {
		ls.delay = leastDelay
	}
	return ls.delay
}

// ended notes that the stream is over, and whether it is opened again only after a while. It
// is false if another stream has taken its place.
func (ls *listenState) ended(id int64, waits bool) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.up == nil || ls.up.id != id {
		return false
	}
	ls.up, ls.key, ls.waits = nil, "", waits
	return true
}

// waited ends the while.
func (ls *listenState) waited() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.waits = false
}

// resubscribe makes the server send the updates that sessions want, and no others.
func (l *link) resubscribe() {
	if l.modern {
		l.relisten()
		return
	}
	want := l.wanted()
	l.listens.mu.Lock()
	var add, drop []string
	for uri := range want {
		if !l.listens.current[uri] {
			add = append(add, uri)
		}
	}
	for uri := range l.listens.current {
		if !want[uri] {
			drop = append(drop, uri)
		}
	}
	l.listens.current = want
	l.listens.mu.Unlock()
	for _, step := range []struct {
		method string
		uris   []string
	}{{"resources/subscribe", add}, {"resources/unsubscribe", drop}} {
		for _, uri := range step.uris {
			if _, err := l.request(step.method, append(append([]byte(`{"uri":`), jsonrpc.Quote(uri)...), '}')); err != nil {
				l.conn.log.Warn().Err(err).Msg("subscription not made")
			}
		}
	}
}

// relisten opens a subscriptions/listen at a modern server for what it offers and
// sessions want, and ends the one before once the new one is acknowledged or refused.
func (l *link) relisten() {
	filter := []byte("{}")
	for _, kind := range []string{"tools", "prompts", "resources"} {
		if l.has(kind, "listChanged") {
			filter = jsonrpc.SetMember(filter, kind+"ListChanged", []byte("true"))
		}
	}
	var uris []string
	for _, uri := range slices.Sorted(maps.Keys(l.wanted())) {
		uris = append(uris, string(jsonrpc.Quote(uri)))
	}
	if len(uris) > 0 && l.has("resources") {
		filter = jsonrpc.SetMember(filter, "resourceSubscriptions", []byte("["+strings.Join(uris, ",")+"]"))
	}
	ids := l.wantedTasks()
	if len(ids) > 0 {
		filter = jsonrpc.SetMember(filter, "taskIds", []byte("["+strings.Join(ids, ",")+"]"))
	}
	l.listens.mu.Lock()
	defer l.listens.mu.Unlock()
	if l.listens.waits || l.listens.key == string(filter) {
		return
	}
	old := l.listens.up
	l.listens.up, l.listens.key = nil, string(filter)
	if string(filter) != "{}" {
		params := append(append([]byte(`{"notifications":`), filter...), '}')
		meta := l.ownMeta()
		if len(ids) > 0 {
			meta = jsonrpc.SetMember(meta, metaClientCaps, []byte(`{"extensions":{"`+extensionTasks+`":{}}}`))
		}
		params = jsonrpc.SetMember(params, "_meta", meta)
		up := l.start("subscriptions/listen", params, nil, nil)
		l.listens.up = up
		go l.keepListening(up)
	}
	if old != nil {
		go func() {
			l.abandon(old, "")
			old.fail(errListenEnded)
		}()
	}
}

// keepListening opens the stream again when the server has ended it, ever more slowly if it
// does so again and again.
func (l *link) keepListening(up *upcall) {
	began, refused := time.Now(), false
	select {
	case m := <-up.reply:
		refused = m.Kind == jsonrpc.Failure
		if refused {
			message, _ := jsonrpc.GetString(m.At(m.Error), "message")
			l.conn.log.Warn().Str("reason", visible.Name(message)).Msg("the server refused subscriptions/listen: changes of its lists will not be noticed")
		}
	case <-up.failed:
	case <-l.gone:
		return
	}
	l.forget(up)
	if !l.listens.ended(up.id, !refused) || refused {
		return
	}
	select {
	case <-time.After(l.listens.again(began)):
		l.listens.waited()
		l.relisten()
	case <-l.gone:
	}
}

func (l *link) acknowledged(*jsonrpc.Message, *upcall) {}
