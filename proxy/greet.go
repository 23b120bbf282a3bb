package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/proxy/upstream"
)

// handshake greets the server in the client's era if it has that one, else in the other.
// What eras a server has is settled once per server and process.
func (l *link) handshake() error {
	c, f := l.conn, l.conn.fleet
	select {
	case <-f.known:
	case <-l.gone:
		return l.reason()
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
	f.mu.Lock()
	who := f.client
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.ctx, handshakeTime)
	defer cancel()

	order := l.eras(who.modern)
	open := map[bool]*upcall{} // greetings without an answer, by era
	defer func() {
		for _, up := range open {
			l.forget(up)
		}
	}()
	failure := errors.New("the server did not answer the handshake")
	var other error // of the greeting in the other era
	again := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var replies [2]chan *jsonrpc.Message
		var fails [2]chan error
		for i, modern := range []bool{false, true} {
			if up := open[modern]; up != nil {
				replies[i], fails[i] = up.reply, up.failed
			}
		}
		var err error
		var modern bool
		select {
		case <-timer.C:
			// The first greeting, or the second beside one that is not answered yet: a
			// server that is only slow answers the first in the end.
			if len(order) > 0 {
				open[order[0]] = l.greet(order[0], who)
				order = order[1:]
				timer.Reset(probeTime)
			}
			continue
		case m := <-replies[0]:
			err = l.initialized(m)
		case m := <-replies[1]:
			if !again && l.again(m) {
				again, order = true, nil
				l.forget(open[true])
				open[true] = l.greet(true, who)
				continue
			}
			modern, err = true, l.discovered(m)
		case err = <-fails[0]:
		case err = <-fails[1]:
			modern = true
		case <-l.gone:
			return l.reason()
		case <-ctx.Done():
			return &outage{"it did not answer in time", fmt.Errorf("%w within %s", failure, handshakeTime)}
		}
		l.forget(open[modern])
		delete(open, modern)
		l.noteEra(modern, err == nil)
		switch {
		case err == nil && modern:
			return nil
		case err == nil:
			return l.send(ctx, upstream.Outgoing{Raw: jsonrpc.NewNotification("notifications/initialized", nil)})
		case len(open) == 0 && len(order) == 0 && other != nil:
			return fmt.Errorf("%w; before that: %w", err, other) // which of them it is for, only a person can tell
		case len(open) == 0 && len(order) == 0:
			return err
		}
		failure, other = err, err
		timer.Reset(0)
	}
}

// causeTime bounds the wait for the end of a server that reads no more.
const causeTime = 5 * time.Second

// cause is why the link ended, where err only says that it has: who writes to a server
// that is gone learns so before it is known what the server said last.
func (l *link) cause(err error) error {
	if !errors.Is(err, upstream.ErrClosed) {
		return err
	}
	select {
	case <-l.gone:
		return l.reason()
	case <-l.conn.ctx.Done():
	case <-time.After(causeTime):
	}
	return err
}

// again reports whether a server refused server/discover with a list of versions that has
// ours after all: then it is modern, and asked once more (2026-07-28, basic/versioning).
func (l *link) again(m *jsonrpc.Message) bool {
	code, _ := jsonrpc.Int(jsonrpc.Get(m.At(m.Error), "code"))
	if code != jsonrpc.CodeUnsupportedVersion {
		return false
	}
	for v := range jsonrpc.Elements(m.Raw, jsonrpc.Find(m.Raw, m.Error, "data", "supported")) {
		if jsonrpc.String(m.At(v)) == ModernVersion {
			return true
		}
	}
	return false
}

// publish lets calls have the link, once the server has the log level that its client
// asked for, be it while the server was coming up.
func (c *conn) publish(l *link) {
	f, told := c.fleet, ""
	takes := !l.modern && !f.shared && l.has("logging")
	for {
		f.mu.Lock()
		level := f.level
		if level == told || !takes {
			c.mu.Lock()
			if c.link == nil {
				close(c.attempt)
			}
			c.link, c.held, c.err = l, nil, nil
			f.relay.epoch.Add(1) // while nobody can have the link yet: a view without it would be taken for new
			c.mu.Unlock()
			f.mu.Unlock()
			if l.ended() { // before there was anything to unlink
				c.unlink(l)
			}
			return
		}
		f.mu.Unlock()
		l.logAt(level)
		told = level
	}
}

// eras returns the eras to try, in order.
func (l *link) eras(clientModern bool) []bool {
	c, r := l.conn, l.conn.fleet.relay
	switch {
	case c.cfg.Protocol == "modern":
		return []bool{true}
	case c.cfg.Protocol == "legacy" || c.cfg.Transport == "sse":
		return []bool{false}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if has, settled := r.eras[c.name][clientModern]; settled && has {
		return []bool{clientModern}
	} else if settled && r.eras[c.name][!clientModern] {
		return []bool{!clientModern}
	}
	return []bool{clientModern, !clientModern}
}

func (l *link) noteEra(modern, has bool) {
	r := l.conn.fleet.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.eras[l.conn.name] == nil {
		r.eras[l.conn.name] = map[bool]bool{}
	}
	r.eras[l.conn.name][modern] = has
}

// greet sends the first request of an era.
func (l *link) greet(modern bool, who identity) *upcall {
	if modern {
		return l.start("server/discover", append(append([]byte(`{"_meta":`), l.ownMeta()...), '}'), nil, nil)
	}
	version := who.version
	if !slices.Contains(LegacyVersions, version) {
		version = LegacyVersions[0]
	}
	info := who.info
	if len(info) == 0 {
		info = l.conn.fleet.relay.ownInfo()
	}
	l.caps = legacyCaps(who, l.conn)
	params := append([]byte(`{"protocolVersion":`), jsonrpc.Quote(version)...)
	params = append(append(params, `,"capabilities":`...), l.caps...)
	return l.start("initialize", append(append(append(params, `,"clientInfo":`...), info...), '}'), nil, nil)
}

// discovered takes the answer to server/discover.
func (l *link) discovered(m *jsonrpc.Message) error {
	if m.Kind != jsonrpc.Result {
		message, _ := jsonrpc.GetString(m.At(m.Error), "message")
		return fmt.Errorf("the server refused server/discover: %s", visible.Name(message))
	}
	if _, err := resultType(m); err != nil {
		return fmt.Errorf("server/discover: %w", err)
	}
	result := m.At(m.Result)
	found := false
	for v := range jsonrpc.Elements(m.Raw, jsonrpc.Find(m.Raw, m.Result, "supportedVersions")) {
		found = found || jsonrpc.String(m.At(v)) == ModernVersion
	}
	if !found {
		return fmt.Errorf("the server does not list protocol version %s in its answer to server/discover", ModernVersion)
	}
	l.offer.caps = jsonrpc.Get(result, "capabilities")
	l.offer.info = jsonrpc.Get(result, "_meta", metaServerInfo)
	l.offer.instructions, _ = jsonrpc.GetString(result, "instructions")
	l.modern, l.version = true, ModernVersion
	l.transport.Negotiated(ModernVersion, false)
	return nil
}

// initialized takes the answer to initialize.
func (l *link) initialized(m *jsonrpc.Message) error {
	if m.Kind != jsonrpc.Result {
		message, _ := jsonrpc.GetString(m.At(m.Error), "message")
		return fmt.Errorf("the server refused initialize: %s", visible.Name(message))
	}
	result := m.At(m.Result)
	version, _ := jsonrpc.GetString(result, "protocolVersion")
	if !slices.Contains(LegacyVersions, version) {
		return fmt.Errorf("the server speaks protocol version %q, which the firewall does not know", visible.Name(version))
	}
	l.offer.caps = jsonrpc.Get(result, "capabilities")
	l.offer.info = jsonrpc.Get(result, "serverInfo")
	l.offer.instructions, _ = jsonrpc.GetString(result, "instructions")
	l.version = version
	l.transport.Negotiated(version, true)
	return nil
}
