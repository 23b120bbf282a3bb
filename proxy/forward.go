package proxy

import (
	"bytes"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// forward returns the message for the server: the client's own with as little changed as
// names, tokens and eras demand.
func (k *call) forward(up *upcall) ([]byte, error) {
	x, l, m := k.x, k.link, k.x.m
	id := upID(up)
	edits := []jsonrpc.Edit{{Span: m.ID, New: id}}
	if len(k.sent) > 0 && !bytes.Equal(k.sent, k.args) || len(k.c.inject) > 0 {
		args, err := k.c.complete(l, k.sent)
		if err != nil {
			return nil, err
		}
		edits = append(edits, jsonrpc.Set(m.Raw, m.Params, "arguments", args))
	}
	if k.c.exposed != k.c.name {
		span := x.param("name")
		if x.m.Method == "completion/complete" {
			span = jsonrpc.Find(m.Raw, x.param("ref"), "name")
		}
		edits = append(edits, jsonrpc.Edit{Span: span, New: jsonrpc.Quote(k.c.name)})
	}
	if e, ok := x.metaEdit(l, id); ok {
		edits = append(edits, e)
	}
	raw := m.Splice(edits...)
	if k.chain == nil && !x.param("requestState").Present() && !x.param("inputResponses").Present() {
		return raw, nil
	}
	params := jsonrpc.DropMembers(jsonrpc.Get(raw, "params"), func(n string) bool { return n == "requestState" || n == "inputResponses" })
	if l.modern && k.chain != nil {
		if k.chain.HasState {
			params = jsonrpc.SetMember(params, "requestState", jsonrpc.Quote(k.chain.State))
		}
		if len(k.chain.Responses) > 0 {
			params = jsonrpc.SetMember(params, "inputResponses", x.s.replies(k.c.conn, k.chain.Responses))
		}
	}
	return jsonrpc.SetMember(raw, "params", params), nil
}

// metaEdit returns the edit that makes the request's _meta fit the server: the progress
// token is the firewall's own, and each era has its own members.
func (x *Exchange) metaEdit(l *link, token []byte) (jsonrpc.Edit, bool) {
	m := x.m
	obj := m.At(x.meta)
	if !x.modern && !l.modern {
		if len(obj) == 0 {
			return jsonrpc.Edit{}, false
		}
		if related := x.s.relateBack(l.conn, obj); bytes.Equal(related, obj) {
			return jsonrpc.Edit{Span: x.token, New: token}, x.token.Present()
		}
	}
	if len(obj) == 0 {
		obj = []byte("{}")
	}
	obj = x.s.relateBack(l.conn, obj)
	if x.token.Present() {
		obj = jsonrpc.SetMember(obj, "progressToken", token)
	}
	switch {
	case x.modern && !l.modern:
		obj = jsonrpc.DropMembers(obj, func(n string) bool {
			return n == metaVersion || n == metaClientInfo || n == metaClientCaps || n == metaLogLevel
		})
	case l.modern:
		obj = jsonrpc.SetMember(obj, metaVersion, jsonrpc.Quote(ModernVersion))
		if len(x.identity.info) > 0 {
			obj = jsonrpc.SetMember(obj, metaClientInfo, x.identity.info)
		}
		obj = jsonrpc.SetMember(obj, metaClientCaps, serverCaps(x.identity.caps, l.conn, x.modern, true))
		if x.level != "" {
			obj = jsonrpc.SetMember(obj, metaLogLevel, jsonrpc.Quote(x.level))
		}
	}
	if x.meta.Present() {
		return jsonrpc.Edit{Span: x.meta, New: obj}, true
	}
	return jsonrpc.Set(m.Raw, m.Params, "_meta", obj), m.Params.Present()
}
