package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// Exchange is one request of a client, from its arrival to its response.
type Exchange struct {
	s    *Session
	m    *jsonrpc.Message
	on   Stream
	key  string
	ctx  context.Context
	stop context.CancelCauseFunc

	onWait     func()                     // see OnWait
	onDone     func()                     // see OnDone
	batch      *Batch                     // see In
	via        atomic.Pointer[capability] // what it calls, once something is sent
	left       bool                       // what brings the server's answer finishes the request
	finished   atomic.Bool
	entered    bool // counted by the relay as under way
	registered bool // stands in the session's exchanges
	refused    answer

	row    *method
	fields [8]field // the members of params that the table names
	nField int
	more   bool // params has members that are not in fields

	modern   bool // the request carries its protocol version
	identity identity
	meta     jsonrpc.Span // params._meta
	token    jsonrpc.Span // params._meta.progressToken
	level    string       // log level asked for in this request, or by a legacy session
}

type field struct {
	name string
	span jsonrpc.Span
}

// answer is a whole response message, or none.
type answer struct {
	raw  []byte
	code int // of an error, else 0
}

// cancelError is the cause of a context that the client's cancel ended.
type cancelError struct{ reason string }

func (e *cancelError) Error() string { return "cancelled by the client" }

var errClientGone = errors.New("the client is gone")

func (x *Exchange) cancel(cause error) { x.stop(cause) }

// wasCancelled reports whether the client cancelled the request, in which case it gets no
// response.
func (x *Exchange) wasCancelled() bool {
	_, ok := context.Cause(x.ctx).(*cancelError)
	return ok
}

// gone says, for the server, why the client no longer waits.
func (x *Exchange) gone() string {
	if c, ok := context.Cause(x.ctx).(*cancelError); ok {
		if via := x.via.Load(); c.reason == "" || via != nil && x.s.mayLeave(jsonrpc.Quote(c.reason), via.title()) {
			return c.reason
		}
		return c.Error()
	}
	return "the client is gone"
}

// OnWait has f called before the request waits for anything: a server, a person, or a pipe
// that is full. A transport that runs requests where it reads them goes on reading
// elsewhere then. It must be called before Run; f is called at most once, by Run.
func (x *Exchange) OnWait(f func()) { x.onWait = f }

// OnDone lets Run return before the request is done, where only the server's answer is
// missing: it is then finished where that answer is read. f is called once it is done. The
// stream must take messages without waiting for anybody but the client.
func (x *Exchange) OnDone(f func()) { x.onDone = f }

// In lets the request's record and what it sends wait in b, for other messages that are at
// hand already. It is for who calls OnDone, and calls b's Flush in time.
func (x *Exchange) In(b *Batch) { x.batch = b }

// waits says that the request is about to wait.
func (x *Exchange) waits() {
	x.batch = nil // which is for who reads
	if f := x.onWait; f != nil {
		x.onWait = nil
		f()
	}
}

// Run does the request and sends its response, unless the client cancelled it.
func (x *Exchange) Run() {
	a := x.refused
	if a.raw == nil {
		if a = x.guarded(x.do); x.left && a.raw == nil {
			return
		}
	}
	x.finish(a)
}

func (x *Exchange) finish(a answer) {
	if !x.conclude() {
		return
	}
	if a.raw != nil && !x.wasCancelled() {
		if err := x.on.Send(Outgoing{Raw: a.raw, Final: true, Code: a.code}); err != nil {
			x.s.relay.log.Debug().Err(err).Str("session", x.s.id).Msg("response not delivered")
		}
	}
	x.end()
}

// conclude takes the request out of those under way. It is false if that was done before.
func (x *Exchange) conclude() bool {
	if x.finished.Swap(true) {
		return false
	}
	if x.registered {
		x.s.mu.Lock()
		delete(x.s.exchanges, x.key)
		x.s.mu.Unlock()
	}
	return true
}

// end lets go of what the request held, once its response was sent.
func (x *Exchange) end() {
	x.stop(nil)
	if x.entered {
		x.s.relay.inflight.Done()
	}
	if x.onDone != nil {
		x.onDone()
	}
}

// guarded calls do for a firewall that others depend on: a fault in the handling of one
// request withholds that request's answer and nothing else.
func (x *Exchange) guarded(do func() answer) (a answer) {
	defer func() {
		if fault := recover(); fault != nil {
			x.s.relay.fault(fault)
			a = x.faulty()
		}
	}()
	return do()
}

// failed is what a client is told of a programming error.
const failed = "the firewall failed on this request, so it was refused; its log says more"

// faulty is the answer to a request that the firewall failed on.
func (x *Exchange) faulty() answer { return x.fail(jsonrpc.CodeInternal, failed, nil) }

// fault logs a programming error that was caught.
func (r *Relay) fault(what any) {
	r.log.Error().Str("fault", r.redact.Text(fmt.Sprint(what))).Bytes("stack", debug.Stack()).Msg("a fault in the firewall was caught: please report it")
}

func (x *Exchange) do() answer {
	x.row = table[x.m.Method]
	if x.row == nil || x.row.request == nil {
		if x.row == nil && x.s.relay.lets(x.m.Method) {
			return x.passUnknown()
		}
		return x.refuse(jsonrpc.CodeMethodNotFound, methodRule, fmt.Sprintf("Method not found: the firewall knows no request %q of a client; methods.allow in its configuration can let it pass", visible.Name(x.m.Method)))
	}
	if known := x.index(); known != "" {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "a name in the params equals another or a known one but for upper and lower case, which servers read differently: spell each name as the specification does")
	}
	if a := x.era(); a.raw != nil {
		return a
	}
	if x.m.Method != "tools/call" {
		x.waits() // tools/call says itself where it does
	}
	return x.row.request(x)
}

// index notes where the params that the table names stand. It returns what clash does.
func (x *Exchange) index() (known string) {
	known = x.row.params.Walk(x.m.Raw, x.m.Params, func(n string, value jsonrpc.Span) {
		if n == "" || x.nField == len(x.fields) {
			x.more = true
			return
		}
		if n == "_meta" {
			x.meta = value
		}
		x.fields[x.nField] = field{n, value}
		x.nField++
	})
	x.token = jsonrpc.Find(x.m.Raw, x.meta, "progressToken")
	if known != "" {
		return known
	}
	return metaNames.Clash(x.m.Raw, x.meta)
}

// param returns the span of a member of params, absent if there is none.
func (x *Exchange) param(name string) jsonrpc.Span {
	for _, f := range x.fields[:x.nField] {
		if f.name == name {
			return f.span
		}
	}
	return jsonrpc.Span{}
}

// text returns a member of params that is a string.
func (x *Exchange) text(name string) (string, bool) {
	raw := x.m.At(x.param(name))
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return jsonrpc.String(raw), true
}

// era settles who asks: a modern client says so in each request, a legacy one did in
// initialize (2026-07-28, basic/versioning).
func (x *Exchange) era() answer {
	s := x.s
	version, stated := jsonrpc.GetString(x.m.At(x.meta), metaVersion)
	if !stated {
		if x.m.Method == "server/discover" || x.m.Method == "subscriptions/listen" || s.single {
			return x.fail(jsonrpc.CodeInvalidParams, "_meta lacks "+metaVersion+", which every request of protocol "+ModernVersion+" carries", nil)
		}
		if x.m.Method == "initialize" || x.m.Method == "ping" {
			return answer{}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.version == "" {
			return x.fail(jsonrpc.CodeInvalidRequest, "the session is not initialized: send initialize first, or state the protocol version in _meta", nil)
		}
		x.identity, x.level = s.client, s.level
		return answer{}
	}
	x.modern = true
	if version != ModernVersion {
		return x.unsupportedVersion(version)
	}
	if legacyOnly[x.m.Method] {
		return x.fail(jsonrpc.CodeMethodNotFound, "Method not found: "+x.m.Method+" is no method of protocol "+ModernVersion, nil)
	}
	caps := jsonrpc.Get(x.m.At(x.meta), metaClientCaps)
	if len(caps) == 0 || caps[0] != '{' {
		return x.fail(jsonrpc.CodeInvalidParams, "_meta lacks "+metaClientCaps+", which every request of protocol "+ModernVersion+" carries", nil)
	}
	level, _ := jsonrpc.GetString(x.m.At(x.meta), metaLogLevel)
	if _, known := levels[level]; known {
		x.level = level
	}
	info := jsonrpc.Get(x.m.At(x.meta), metaClientInfo)
	x.identity = newIdentity(info)
	x.identity.caps, x.identity.version, x.identity.modern = caps, version, true
	if s.single {
		s.mu.Lock()
		s.client = x.identity
		s.mu.Unlock()
		s.relay.pool(s, x.identity)
	} else {
		s.mu.Lock()
		if s.version == "" {
			s.client = x.identity
		}
		s.mu.Unlock()
		s.conns().identify(x.identity)
	}
	if x.level != "" {
		x.heed()
	}
	return answer{}
}

// legacyOnly are the requests that the modern era has no more.
var legacyOnly = map[string]bool{"initialize": true, "ping": true, "logging/setLevel": true, "resources/subscribe": true, "resources/unsubscribe": true, "tasks/list": true, "tasks/result": true}

func (x *Exchange) unsupportedVersion(requested string) answer {
	data := []byte(`{"supported":[`)
	for i, v := range SupportedVersions() {
		if i > 0 {
			data = append(data, ',')
		}
		data = jsonrpc.AppendQuote(data, v)
	}
	data = append(data, `],"requested":`...)
	data = append(jsonrpc.AppendQuote(data, requested), '}')
	return x.fail(jsonrpc.CodeUnsupportedVersion, "Unsupported protocol version", data)
}

func (x *Exchange) ping() answer { return x.result([]byte("{}")) }

// result answers with a result object of the firewall's own.
func (x *Exchange) result(obj []byte) answer {
	return answer{raw: jsonrpc.NewResult(x.m.At(x.m.ID), obj)}
}

// fail answers with an error.
func (x *Exchange) fail(code int, message string, data []byte) answer {
	return answer{raw: jsonrpc.NewError(x.m.At(x.m.ID), code, message, data), code: code}
}

// failf is fail for an error value that says all.
func (x *Exchange) failErr(err error) answer {
	return x.fail(jsonrpc.CodeInternal, told(err), nil)
}

// relayError passes a server's error response on: its own code, message and data.
func (x *Exchange) relayError(m *jsonrpc.Message, l *link) answer {
	code, err := errorCode(m.Raw, m.Error)
	if err != nil {
		return x.fail(jsonrpc.CodeInternal, "the server's error was withheld: "+err.Error(), nil)
	}
	object := dropOwn(m.At(m.Error))
	switch {
	case code == jsonrpc.CodeURLElicitation:
		data, err := x.vetURLError(l.conn, jsonrpc.Get(object, "data"))
		if err != nil {
			l.conn.log.Warn().Str("reason", err.Error()).Msg("request of the server refused")
			return (&call{x: x}).failure("the server wants its user to open a URL first, which was refused: "+err.Error(), nil)
		}
		object = jsonrpc.SetMember(object, "data", data)
	case x.modern && !l.modern && code == jsonrpc.CodeResourceNotFound:
		// Modern servers must not send it; -32602 took its place (2026-07-28, basic/index).
		code = jsonrpc.CodeInvalidParams
		object = jsonrpc.SetMember(object, "code", []byte("-32602"))
	}
	id := x.m.At(x.m.ID)
	if !m.ID.Present() {
		return answer{raw: append(append(append(append([]byte(`{"jsonrpc":"2.0","id":`), id...), `,"error":`...), object...), '}'), code: code}
	}
	return answer{raw: m.Splice(jsonrpc.Edit{Span: m.ID, New: id}, jsonrpc.Edit{Span: m.Error, New: object}), code: code}
}

var errorNames = jsonrpc.NewNames("code", "message", "data")

// errorCode returns the code of the error object at s. It must be beyond doubt, since
// what a client does with an error hangs on it.
func errorCode(raw []byte, s jsonrpc.Span) (int, error) {
	if errorNames.Clash(raw, s) != "" {
		return 0, errors.New("a name in it equals another or a known one but for upper and lower case, which clients read differently")
	}
	at := jsonrpc.Find(raw, s, "code")
	code, ok := jsonrpc.Int(raw[at.Start:at.End])
	if !ok || int64(int(code)) != code {
		return 0, errors.New("it has no code that is an integer")
	}
	return int(code), nil
}

// relayResult passes a server's result on, with edits made to it. What differs between the
// eras is translated, and what is the firewall's to say is dropped unless an edit puts it
// there; all else stays as it is, bytes and order.
func (x *Exchange) relayResult(m *jsonrpc.Message, l *link, edits ...jsonrpc.Edit) answer {
	if raw := m.At(m.Result); len(raw) == 0 || raw[0] != '{' {
		return x.fail(jsonrpc.CodeInternal, "the server's result was withheld: it is not an object", nil)
	}
	if resultClash(m.Raw, m.Result) != "" {
		return x.fail(jsonrpc.CodeInternal, "the server's result was withheld: a name in it equals a known one but for upper and lower case, which clients read differently", nil)
	}
	strays := x.strays(m, l, edits)
	translate := x.modern && !l.modern
	if len(strays) == 0 && (!translate || len(edits) == 0) {
		if translate {
			edits = modernMembers(m.Raw, m.Result, x.m.Method)
		}
		return answer{raw: m.Splice(append(edits, jsonrpc.Edit{Span: m.ID, New: x.m.At(x.m.ID)})...)}
	}
	if len(edits) > 0 {
		// They are relative to m, and so made before members are dropped or added.
		var err error
		if m, err = jsonrpc.Parse(m.Splice(edits...), l.limits()); err != nil {
			return x.failErr(fmt.Errorf("translating the server's result: %w", err))
		}
	}
	obj := jsonrpc.DropMembers(m.At(m.Result), func(n string) bool { return slices.Contains(strays, n) })
	if translate {
		obj = jsonrpc.Splice(obj, modernMembers(obj, jsonrpc.Span{End: len(obj)}, x.m.Method)...)
	}
	return answer{raw: m.Splice(jsonrpc.Edit{Span: m.ID, New: x.m.At(x.m.ID)}, jsonrpc.Edit{Span: m.Result, New: obj})}
}

// strays returns the names of a result's members that must not reach the client: questions
// and states that no edit replaces by vetted ones, and what only the server's era has.
func (x *Exchange) strays(m *jsonrpc.Message, l *link, edits []jsonrpc.Edit) (names []string) {
	for name, value := range jsonrpc.Members(m.Raw, m.Result) {
		switch n := resultNames.Find(m.At(name)); n {
		case "requestState", "inputRequests":
			if !slices.ContainsFunc(edits, func(e jsonrpc.Edit) bool { return e.Span == value }) {
				names = append(names, n)
			}
		case "resultType":
			if l.modern && !x.modern {
				names = append(names, n)
			}
		case "ttlMs", "cacheScope":
			if l.modern && !x.modern || x.modern && !l.modern && !cacheable[x.m.Method] {
				names = append(names, n)
			}
		}
	}
	return names
}

// cacheable are the methods whose modern results say how long they may be kept
// (2026-07-28, server/utilities/caching).
var cacheable = map[string]bool{"server/discover": true, "tools/list": true, "resources/list": true, "resources/templates/list": true, "prompts/list": true, "resources/read": true}

// modernMembers returns the edits that make a legacy result at obj a modern one.
func modernMembers(raw []byte, obj jsonrpc.Span, method string) []jsonrpc.Edit {
	add := map[string]string{"resultType": `"complete"`}
	if cacheable[method] {
		add["ttlMs"], add["cacheScope"] = "0", `"private"`
	}
	var edits []jsonrpc.Edit
	var fresh []byte
	for _, name := range []string{"resultType", "ttlMs", "cacheScope"} {
		v, ok := add[name]
		if !ok {
			continue
		}
		if at := jsonrpc.Find(raw, obj, name); at.Present() {
			edits = append(edits, jsonrpc.Edit{Span: at, New: []byte(v)})
			continue
		}
		fresh = append(fresh, fmt.Sprintf(`%q:%s,`, name, v)...)
	}
	if len(fresh) > 0 {
		if bytes.Equal(bytes.TrimSpace(raw[obj.Start+1:obj.End-1]), nil) {
			fresh = fresh[:len(fresh)-1]
		}
		edits = append(edits, jsonrpc.Edit{Span: jsonrpc.Span{Start: obj.Start + 1, End: obj.Start + 1}, New: fresh})
	}
	return edits
}
