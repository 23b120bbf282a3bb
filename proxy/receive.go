package proxy

import (
	"fmt"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/pace"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// This file is where the messages of a server come in.

// receive takes one message of the server. It is the only way in.
func (l *link) receive(m *jsonrpc.Message, origin int64) {
	defer l.guard()
	pace.Message(len(m.Raw))
	l.heard.Store(time.Now().UnixNano())
	if m.Kind != jsonrpc.Result && m.Kind != jsonrpc.Failure || l.batch.Full() {
		l.batch.Flush(nil)
	}
	answered := m
	m, err := l.cleanse(m, origin)
	if err != nil {
		l.conn.log.Error().Err(err).Msg("message of the server withheld")
		l.withdraw(answered, origin, err)
		return
	}
	if clean := dropOwn(m.Raw); len(clean) != len(m.Raw) {
		if m, err = jsonrpc.Parse(clean, l.limits()); err != nil {
			l.conn.log.Error().Err(err).Msg("message of the server withheld")
			l.withdraw(answered, origin, err)
			return
		}
	}
	if m.Kind == jsonrpc.Request || m.Kind == jsonrpc.Notification {
		if !l.greeted.Load() {
			l.early(m)
			return
		}
		if m, err = l.relate(m, func() *Exchange { return l.clientOf(m, origin) }); err != nil {
			l.conn.log.Error().Err(err).Msg("message of the server withheld")
			l.withdraw(answered, origin, err)
			return
		}
	}
	switch m.Kind {
	case jsonrpc.Result, jsonrpc.Failure:
		id, ok := jsonrpc.Int(m.At(m.ID))
		if !m.ID.Present() {
			id, ok = origin, origin != 0
		}
		up := l.call(id)
		l.mu.Lock()
		delete(l.ghosts, id)
		l.mu.Unlock()
		if !ok || up == nil || origin != 0 && origin != id {
			l.conn.log.Warn().Str("id", visible.Name(string(m.At(m.ID)))).Msg("answer of the server dropped: it belongs to no request under way")
			return
		}
		l.noteTask(up, m)
		if m, err = l.relate(m, up.client.Load); err != nil {
			up.fail(err)
			return
		}
		l.answer(up, m)
	case jsonrpc.Request:
		q := &serverRequest{link: l, m: m, origin: l.call(origin)}
		row := table[m.Method]
		switch {
		case l.modern:
			q.refuse(jsonrpc.CodeMethodNotFound, "servers of protocol "+ModernVersion+" make no requests: they answer with input_required")
		case row == nil || row.demand == nil:
			q.refuse(jsonrpc.CodeMethodNotFound, "Method not found")
		case clash(row, m) != "":
			q.refuse(jsonrpc.CodeInvalidParams, "a name in the params equals a known one but for upper and lower case")
		default:
			row.demand(q)
		}
	case jsonrpc.Notification:
		row := table[m.Method]
		if row == nil && l.conn.fleet.relay.lets(m.Method) {
			l.passUnknown(m, l.call(origin))
			return
		}
		if row == nil || row.news == nil || clash(row, m) != "" {
			l.conn.log.Warn().Str("method", visible.Name(m.Method)).Msg("notification of the server dropped: it is not one that the firewall knows")
			return
		}
		row.news(l, m, l.call(origin))
	}
}

// rest is called when the server has said nothing more as yet.
func (l *link) rest() {
	defer l.guard()
	l.batch.Flush(nil)
}

// guard keeps a fault in the handling of a message from ending the firewall.
func (l *link) guard() {
	if fault := recover(); fault != nil {
		l.conn.fleet.relay.fault(fault)
	}
}

// early takes what a server says before the handshake is done, when the specification
// lets it ping and log only.
func (l *link) early(m *jsonrpc.Message) {
	if m.Kind != jsonrpc.Request {
		l.conn.log.Debug().Str("method", visible.Name(m.Method)).Msg("notification before the end of the handshake dropped")
		return
	}
	if l.asking.Add(1) > maxAsking {
		l.asking.Add(-1)
		return
	}
	go func() {
		defer l.asking.Add(-1)
		select {
		case <-l.opened:
		case <-l.gone:
			return
		}
		q := &serverRequest{link: l, m: m}
		if m.Method == "ping" {
			q.ping()
			return
		}
		q.refuse(jsonrpc.CodeInvalidRequest, "the handshake is not finished")
	}()
}

// withdraw fails the call that a message which is withheld would have answered. A server that
// asked is told that nobody will answer.
func (l *link) withdraw(m *jsonrpc.Message, origin int64, err error) {
	if m.Kind == jsonrpc.Request && l.greeted.Load() {
		(&serverRequest{link: l, m: m}).refuse(jsonrpc.CodeInvalidRequest, err.Error())
	}
	if m.Kind != jsonrpc.Result && m.Kind != jsonrpc.Failure {
		return
	}
	id, ok := jsonrpc.Int(m.At(m.ID))
	if !ok {
		id = origin
	}
	if up := l.call(id); up != nil {
		up.fail(err)
	}
}

// malformed fails the call that an unacceptable message would have answered.
func (l *link) malformed(err *jsonrpc.ParseError, origin int64) {
	l.conn.log.Warn().Str("reason", err.Reason).Msg("message of the server refused")
	up := l.call(origin)
	if up == nil {
		if id, ok := jsonrpc.Int(err.ID); ok {
			up = l.call(id)
		}
	}
	if up == nil {
		up = l.sole()
	}
	if up != nil {
		up.fail(fmt.Errorf("server %s sent a message that was refused: %s", l.conn.name, err.Reason))
	}
}

func (l *link) limits() jsonrpc.Limits {
	return jsonrpc.Limits{MaxBytes: 2 * max(int(l.conn.cfg.MaxMessage), jsonrpc.DefaultMaxBytes)}
}
