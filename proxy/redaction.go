package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/schema"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// This file is where messages meet the redactor: all that a server says when it comes in,
// what the agent gives a tool before it is judged, and what is kept of either.

// cleanse takes out of a server's message what the client must not see. It is done once,
// where messages come in, so that nothing goes around it.
func (l *link) cleanse(m *jsonrpc.Message, origin int64) (*jsonrpc.Message, error) {
	r := l.conn.fleet.relay
	scope := redact.Scope{Tool: l.conn.name + "."}
	var called *capability // with an output schema, for a result
	x := l.clientOf(m, origin)
	if x != nil {
		scope.Tokens = x.s.tokens
		if c := x.via.Load(); c != nil && c.conn == l.conn {
			scope.Tool = l.conn.name + "." + c.called
			if c.output != nil && m.Kind == jsonrpc.Result {
				called, scope.Shapes = c, c.shapes
			}
		}
	}
	scope.Keep = l.kept(m, origin)
	done, err := r.redact.JSON(m.Raw, scope)
	if err != nil {
		return nil, withheld(err)
	}
	if len(done.Text) == len(m.Raw) && len(done.Finds) == 0 && bytes.Equal(done.Text, m.Raw) {
		return m, nil
	}
	clean, err := jsonrpc.Parse(done.Text, l.limits())
	if err != nil {
		return nil, fmt.Errorf("redacting a message: %w", err)
	}
	if called != nil {
		if err := called.checkOutput(clean.At(clean.Result)); err != nil && called.checkOutput(m.At(m.Result)) == nil {
			return nil, fmt.Errorf("the server's result is withheld: after redaction it does not fit the output schema that the tool declares (%w); redact in the configuration can allow for this tool what is found", errors.Unwrap(err))
		}
	}
	return clean, nil
}

// scrub takes known secrets out of a client's message: an agent that learned one elsewhere
// has no use for it here. It takes out what is the firewall's own to say, too.
func (r *Relay) scrub(m *jsonrpc.Message) (*jsonrpc.Message, error) {
	out, finds, err := r.redact.Known(m.Raw)
	if err != nil {
		return nil, fmt.Errorf("redacting a message: %w", err)
	}
	own := dropOwn(out)
	if finds == 0 && len(own) == len(out) {
		return m, nil
	}
	if path := []string{"params", "inputResponses"}; m.Kind == jsonrpc.Request && len(own) < len(out) {
		// The answer to the firewall's own question stands under a key of its own.
		if approval := jsonrpc.Get(out, append(path, approvalKey)...); len(approval) > 0 {
			rest := jsonrpc.SetMember(jsonrpc.Get(own, path...), approvalKey, dropOwn(approval))
			own = jsonrpc.SetMember(own, "params", jsonrpc.SetMember(jsonrpc.Get(own, "params"), "inputResponses", rest))
		}
	}
	clean, err := jsonrpc.Parse(own, jsonrpc.Limits{MaxBytes: len(own)})
	if err != nil {
		return nil, fmt.Errorf("redacting a message: %w", err)
	}
	return clean, nil
}

// clientOf returns the client's request that a message of the server belongs to, or nil.
func (l *link) clientOf(m *jsonrpc.Message, origin int64) *Exchange {
	id := origin
	switch m.Kind {
	case jsonrpc.Result, jsonrpc.Failure:
		if n, ok := jsonrpc.Int(m.At(m.ID)); ok {
			id = n
		}
	case jsonrpc.Notification:
		if n, ok := jsonrpc.Int(m.At(jsonrpc.Find(m.Raw, m.Params, "progressToken"))); ok {
			id = n
		}
	}
	up := l.call(id)
	if up == nil && m.Kind != jsonrpc.Result && m.Kind != jsonrpc.Failure {
		up = l.sole()
	}
	if up == nil {
		return nil
	}
	return up.client.Load()
}

// keptPaths are what the firewall itself reads of messages, by their method or that of the
// request they answer, and either answers or replaces by its own before it leaves.
var keptPaths = map[string][][]string{
	"":                        {{"jsonrpc"}, {"id"}, {"method"}}, // of all
	"initialize":              {{"result", "protocolVersion"}},
	"notifications/progress":  {{"params", "progressToken"}},
	"notifications/cancelled": {{"params", "requestId"}},
}

// kept returns what finds the places of a server's message in which the detectors' finds
// stay. Known values do not.
func (l *link) kept(m *jsonrpc.Message, origin int64) func([]byte) []redact.Span {
	return func(raw []byte) (spans []redact.Span) {
		whole, result := jsonrpc.Span{End: len(raw)}, m.Kind == jsonrpc.Result
		keep := func(s jsonrpc.Span) {
			if s.Present() && raw[s.Start] != '{' && raw[s.Start] != '[' { // whatever else that holds would stay with it
				spans = append(spans, redact.Span{Start: s.Start, End: s.End})
			}
		}
		at := func(path ...string) jsonrpc.Span { return jsonrpc.Find(raw, whole, path...) }
		text := func(s jsonrpc.Span) string { return jsonrpc.String(raw[s.Start:s.End]) }
		method := m.Method
		if result {
			if id, ok := jsonrpc.Int(m.At(m.ID)); ok {
				origin = id
			}
			up := l.call(origin)
			if up == nil {
				return nil
			}
			method = up.method
		}
		for _, path := range slices.Concat(keptPaths[""], keptPaths[method]) {
			keep(at(path...))
		}
		kind := text(at("result", "resultType"))
		switch {
		case method == "tools/list", method == "prompts/list", method == "resources/list", method == "resources/templates/list", method == "tasks/list":
			keep(at("result", "nextCursor"))
			for list, member := range map[string]string{"tools": "name", "prompts": "name", "tasks": "taskId"} {
				for el := range jsonrpc.Elements(raw, at("result", list)) {
					keep(jsonrpc.Find(raw, el, member)) // the agent calls it by that
				}
			}
		case strings.HasPrefix(method, "tasks/"):
			keep(at("result", "taskId"))
		case strings.HasPrefix(method, "notifications/tasks"):
			keep(at("params", "taskId"))
		case result && l.modern && kind == "input_required":
			keep(at("result", "requestState"))
		case result && l.modern && kind == "task":
			keep(at("result", "taskId"))
		case result && method == "tools/call" && !l.modern:
			if up := l.call(origin); up != nil && up.client.Load() != nil && up.client.Load().param("task").Present() {
				keep(at("result", "task", "taskId"))
			}
		}
		if resultTypes[kind] {
			keep(at("result", "resultType"))
		}
		return spans
	}
}

// resultTypes are those that mean something to the firewall.
var resultTypes = map[string]bool{"complete": true, "input_required": true, "task": true}

// withheld words why a text was not redacted but withheld.
func withheld(err error) error {
	var blocked *redact.BlockedError
	switch {
	case errors.As(err, &blocked):
		return fmt.Errorf("the server's message is withheld: it holds %s, for which redact in the configuration says block", blocked.Type)
	case errors.Is(err, redact.ErrTime):
		return errors.New("the server's message is withheld: it took longer to look for secrets in it than redact.time in the configuration allows; ask for less at once")
	}
	return errors.New("the server's message is withheld: it could not be redacted")
}

// A refusedArgument says why arguments may not go to a tool as they are.
type refusedArgument struct{ reason string }

func (e *refusedArgument) Error() string { return e.reason }

var (
	errUnlooked = &refusedArgument{"the arguments could not be looked at for secrets and personal data: make them shorter"}
	errToken    = &refusedArgument{"a stand-in such as <email:…> can only be passed to tools, as a whole argument"}
)

// title names the capability as patterns over server.tool do.
func (c *capability) title() string { return c.conn.name + "." + c.called }

// beside returns what the request says beside a tool's arguments, less what the firewall
// replaces and what a person answered.
func (k *call) beside() []byte {
	x := k.x
	rest := jsonrpc.DropMembers(x.m.At(x.m.Params), func(n string) bool {
		return n == "arguments" && k.c.kind == rules.Tool || n == "requestState" || n == "inputResponses" || n == "_meta"
	})
	if !x.meta.Present() {
		return rest
	}
	return jsonrpc.SetMember(rest, "_meta", jsonrpc.DropMembers(x.m.At(x.meta), func(n string) bool {
		return n == "progressToken" || n == metaVersion || n == metaClientInfo || n == metaClientCaps || n == metaLogLevel
	}))
}

// tokensBeside tells fast that there is no token in what beside returns: it copies nothing, and
// passes over long arguments.
func (k *call) tokensBeside() bool {
	x, m := k.x, k.x.m
	if !x.more {
		for _, f := range x.fields[:x.nField] {
			if !(k.c.kind == rules.Tool && f.name == "arguments") && x.s.tokens.In(m.At(f.span)) {
				return true
			}
		}
		return false
	}
	for name, value := range jsonrpc.Members(m.Raw, m.Params) {
		if k.c.kind == rules.Tool && jsonrpc.String(m.At(name)) == "arguments" {
			continue
		}
		if x.s.tokens.In(m.Raw[name.Start:value.End]) {
			return true
		}
	}
	return false
}

// checkBeside holds what the request says beside a tool's arguments against what must not leave.
// It is sent as it is or not at all: nothing is masked in it. asks says that a person has
// to agree to what was found.
func (k *call) checkBeside(tool string) (asks string, err error) {
	r := k.x.s.relay.redact
	looks, tokens := r.LooksAt(tool), k.tokensBeside()
	if !k.x.m.Params.Present() || !looks && !tokens {
		return "", nil
	}
	rest := k.beside()
	if tokens && k.x.s.tokens.In(rest) {
		return "", errToken
	}
	checked, err := r.Arguments(rest, tool)
	switch {
	case err != nil:
		return "", errUnlooked
	case checked.Verdict == redact.Deny, checked.Verdict == redact.MaskFinds:
		if k.c.kind != rules.Tool { // for the record
			k.shown = checked.Text
		}
		return "", &refusedArgument{"the request holds " + types(checked.Finds) + ", outside the arguments of a tool, which must not go to this server. Leave it out."}
	case checked.Verdict == redact.Ask:
		asks = "The request holds " + types(checked.Finds) + "."
	}
	return asks, nil
}

// mayLeave reports whether JSON that a client chose may go to a server outside a call.
func (s *Session) mayLeave(raw []byte, tool string) bool {
	checked, err := s.relay.redact.Arguments(raw, tool)
	return err == nil && checked.Verdict == redact.AllowValues && !s.tokens.In(raw)
}

// unmask makes the arguments for the server of those that the agent gave: what must not
// leave is masked, and real values are put back for tokens. asks says that a person has to
// agree to what was found.
func (k *call) unmask() (args []byte, asks string, err error) {
	s, tool := k.x.s, k.c.title()
	k.restored = false
	if asks, err = k.checkBeside(tool); err != nil || k.c.kind != rules.Tool || len(k.args) == 0 {
		return k.args, asks, err
	}
	checked, err := s.relay.redact.Arguments(k.args, tool)
	if err != nil {
		return nil, "", errUnlooked
	}
	switch checked.Verdict {
	case redact.Deny:
		k.shown = checked.Text // for the record
		return nil, "", &refusedArgument{"the arguments hold " + types(checked.Finds) + ", which must not go to this tool. Leave it out."}
	case redact.Ask:
		asks = "The arguments hold " + types(checked.Finds) + "."
	}
	args, restored, err := s.relay.redact.Restore(checked.Text, tool, s.tokens)
	if err != nil {
		return nil, "", &refusedArgument{err.Error()}
	}
	if k.restored = len(restored) > 0; k.restored {
		// What goes to the tool is the value, so it is held against the same.
		held, err := s.relay.redact.Arguments(args, tool)
		switch {
		case err != nil:
			return nil, "", errUnlooked
		case held.Verdict == redact.Deny:
			return nil, "", &refusedArgument{"a stand-in in the arguments is for " + types(held.Finds) + ", which must not go to this tool. Leave it out."}
		case held.Verdict == redact.Ask:
			asks = "The arguments hold " + types(held.Finds) + "."
		}
	}
	if len(checked.Finds) > 0 {
		k.shown = checked.Text
	}
	return args, asks, nil
}

// types lists what was found, by its kinds.
func types(finds []redact.Find) string {
	var names []string
	for _, f := range finds {
		if name := fmt.Sprintf("%s (%s)", f.Type, f.Detector); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// mirrored are the header parameters of a call: not those whose value was put back for a
// token, since headers are seen and logged by whatever stands before the server.
func (k *call) mirrored() []schema.HeaderParam {
	if !k.restored {
		return k.c.headers
	}
	return slices.DeleteFunc(slices.Clone(k.c.headers), func(p schema.HeaderParam) bool {
		return !bytes.Equal(jsonrpc.Get(k.sent, p.Path...), jsonrpc.Get(k.args, p.Path...))
	})
}

// records writes a record of what the agent chose, without what is to be redacted.
func (r *Relay) records(rec *audit.Record) error {
	if len(rec.Arguments) > 0 {
		rec.Arguments = censored(r.redact.JSON(rec.Arguments, redact.Scope{}))
	}
	return r.audit.Write(rec)
}

// censored returns what a record shows of arguments that were redacted.
func censored(done redact.Redacted, err error) []byte {
	if err != nil {
		return []byte(`"withheld: they could not be redacted"`)
	}
	return done.Text
}

// records is Relay.records for the call. Known values were taken out of the message that its
// arguments are of.
func (k *call) records(rec *audit.Record) error {
	k.censor(rec)
	return k.x.s.relay.audit.Write(rec)
}

func (k *call) censor(rec *audit.Record) {
	if len(rec.Arguments) > 0 {
		rec.Arguments = censored(k.x.s.relay.redact.Unknown(rec.Arguments, redact.Scope{}))
	}
}

// readable are the arguments of a narrowed tool's call as a person sees them who approves it,
// and with the person the client: where values were put back for tokens, they are made of the
// tokens, since what is made of a value need not look like one any more.
func (k *call) readable() []byte {
	if !k.restored {
		return k.sent
	}
	args, err := k.c.narrow.Arguments(k.shown)
	if err != nil {
		return []byte(`"not shown: they are made of the values behind stand-ins"`)
	}
	return args
}

// shapes returns what a tool's output schema says of the strings and numbers in the structured
// content of its result that hold finds.
func (c *capability) shapes(raw []byte, finds []redact.Span) []redact.Shape {
	asked := make([]jsonrpc.Span, len(finds))
	for i, f := range finds {
		asked[i] = jsonrpc.Span(f)
	}
	demands := c.output.Demands(raw, jsonrpc.Find(raw, jsonrpc.Span{End: len(raw)}, "result", "structuredContent"), asked)
	list := make([]redact.Shape, len(demands))
	for i := range demands {
		d := &demands[i]
		list[i] = redact.Shape{Span: redact.Span(d.Span), Takes: d.Takes, Hints: d.Hints}
	}
	return list
}
