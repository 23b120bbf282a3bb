package proxy

import (
	"slices"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// This file relays the methods that the configuration lets pass though the table does not
// know them: requests of a client and notifications of both sides, where there is exactly
// one server. A server's requests are not among them: what an unknown one would ask of a
// person cannot be judged.

func (r *Relay) lets(method string) bool {
	return slices.Contains(r.current.Load().cfg.Methods.Allow, method)
}

// unknown is what stands for a method in records and patterns.
func (c *conn) unknown(method string) *capability {
	return &capability{conn: c, name: method, called: method, exposed: method, kind: rules.Prompt,
		entry: c.fleet.relay.current.Load().policy.Bind(rules.Capability{Kind: rules.Prompt, Server: c.name, Name: method})}
}

// only returns the link of the only server, or nil.
func (s *Session) only() *link {
	if s.fleet == nil || len(s.fleet.all()) != 1 {
		return nil
	}
	for _, l := range s.fleet.links() {
		return l
	}
	return nil
}

const (
	errSibling = "a name in the params equals another but for upper and lower case"
	errNotOne  = "a method outside the specification can only be passed on where exactly one server is connected"
)

// passUnknown relays a request, recorded like a call.
func (x *Exchange) passUnknown() answer {
	x.row = &method{name: x.m.Method, params: names("requestState", "inputResponses")}
	x.index()
	if a := x.era(); a.raw != nil {
		return a
	}
	x.waits()
	x.s.gather(x.ctx)
	if x.row.params.Clash(x.m.Raw, x.m.Params) != "" {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, errSibling)
	}
	l := x.s.only()
	if l == nil {
		return x.refuse(jsonrpc.CodeInternal, methodRule, errNotOne)
	}
	c := l.conn.unknown(x.m.Method)
	k := &call{x: x, target: x.m.Method, link: l, began: time.Now(), c: c, lookup: func(*view) *capability { return c }}
	k.shown = jsonrpc.DropMembers(x.m.At(x.m.Params), func(n string) bool { return n == "_meta" || n == "requestState" || n == "inputResponses" })
	if a := k.open(); a.raw != nil {
		return a
	}
	if err := k.validate(); err != nil {
		return k.abort(k.invalid(err))
	}
	if k.asks != "" {
		return k.abort(k.reject(jsonrpc.CodeInvalidParams, redactRule, k.asks+" Nobody can be asked about a method outside the specification, so it was not passed on."))
	}
	if err := k.intend(); err != nil {
		return k.abort(k.withhold(err))
	}
	if !k.chain.counted() {
		k.sends()
	}
	return k.perform()
}

// passUnknown relays a notification.
func (s *Session) passUnknown(m *jsonrpc.Message) {
	l := s.only()
	switch {
	case jsonrpc.NewNames("_meta").Clash(m.Raw, m.Params) != "":
		s.drops(m, paramsRule, errSibling)
		return
	case l == nil:
		s.drops(m, methodRule, errNotOne)
		return
	case m.Params.Present() && !s.mayLeave(m.At(m.Params), l.conn.unknown(m.Method).title()):
		s.drops(m, redactRule, "it holds what must not go to this server")
		return
	}
	rec := s.newRecord("intent", m)
	rec.Server, rec.Action, rec.Arguments = l.conn.name, rules.Allow.String(), m.At(m.Params)
	if err := s.relay.records(&rec); err != nil {
		s.relay.log.Error().Err(err).Msg("notification of the client dropped: its record cannot be written")
		return
	}
	l.later(m.Raw)
}

// passUnknown relays a notification of a server to the client whose call it came with, else
// to the one session that it can only belong to.
func (l *link) passUnknown(m *jsonrpc.Message, up *upcall) {
	if jsonrpc.NewNames("_meta").Clash(m.Raw, m.Params) != "" {
		l.conn.log.Warn().Str("method", visible.Name(m.Method)).Msg("notification of the server dropped: " + errSibling)
		return
	}
	if up == nil {
		up = l.sole()
	}
	if up != nil {
		if x := up.client.Load(); x != nil {
			x.s.observeAside(l.conn.unknown(m.Method), m.At(m.Params))
			x.on.Send(Outgoing{Raw: l.withoutSubscription(m)})
			return
		}
	}
	if l.conn.fleet.owner {
		for _, s := range l.audience() {
			s.observeAside(l.conn.unknown(m.Method), m.At(m.Params))
		}
	}
	l.toGeneral(&jsonrpc.Message{Raw: l.withoutSubscription(m)}, nil)
}
