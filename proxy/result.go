package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// This file is what a result goes through before the client gets it, in the order of its
// functions.

// judged reports whether a result may become another, or wait for a person.
func (c *capability) judged() bool {
	return c.entry.Judges() || c.narrow != nil && c.narrow.Projects()
}

// project makes the message with the result that a narrowed tool shows.
func (k *call) project(m *jsonrpc.Message) (*jsonrpc.Message, error) {
	if k.c.narrow == nil || !k.c.narrow.Projects() {
		return m, nil
	}
	result, err := k.c.narrow.Result(m.At(m.Result))
	if err != nil {
		return nil, err
	}
	return jsonrpc.Parse(m.Splice(jsonrpc.Edit{Span: m.Result, New: result}), k.link.limits())
}

// checkOutput validates structured content against the output schema that the tool
// declared.
func (c *capability) checkOutput(result []byte) error {
	if c.output == nil || string(jsonrpc.Get(result, "isError")) == "true" {
		return nil
	}
	content := jsonrpc.Get(result, "structuredContent")
	if len(content) == 0 {
		return nil
	}
	if err := c.output.CheckResult(content); err != nil {
		return fmt.Errorf("the server's structured content does not fit the output schema that the tool declares: %w", err)
	}
	return nil
}

// failed makes the client's answer of an error. Where results are judged, an error is no way
// around that: it is judged as the result of a tool that failed, and becomes one unless it may
// be passed on as it is.
func (k *call) failed(m *jsonrpc.Message) answer {
	if k.c.kind != rules.Tool || !k.c.judged() {
		k.x.s.observeAside(k.c, m.At(m.Error))
		return k.x.relayError(m, k.link)
	}
	projects := k.c.narrow != nil && k.c.narrow.Projects()
	message, _ := jsonrpc.GetString(m.At(m.Error), "message")
	b := append(jsonrpc.AppendQuote([]byte(`{"content":[{"type":"text","text":`), message), '}')
	if data := jsonrpc.Get(m.At(m.Error), "data"); len(data) > 0 && !projects {
		b = append(jsonrpc.AppendQuote(append(b, `,{"type":"text","text":`...), string(data)), '}')
	}
	b = append(b, `],"isError":true`...)
	if k.link.modern {
		b = append(b, `,"resultType":"complete"`...)
	}
	id := m.At(m.ID)
	if len(id) == 0 {
		id = []byte("0")
	}
	result, err := jsonrpc.Parse(jsonrpc.NewResult(id, append(b, '}')), k.link.limits())
	if err != nil {
		return k.withhold(err)
	}
	if !projects && k.c.entry.DecideResult(k.policyCall(), result.At(result.Result)).Action == rules.Allow {
		k.x.s.observeAside(k.c, m.At(m.Error))
		return k.x.relayError(m, k.link)
	}
	if result, err = k.project(result); err != nil {
		return k.failure(err.Error(), nil)
	}
	if a := k.screen(result); a.raw != nil {
		return a
	}
	return k.x.relayResult(result, k.link)
}

// screen applies the rules on results. The empty answer relays the result.
func (k *call) screen(m *jsonrpc.Message) answer {
	if k.c.kind == rules.Tool && k.c.entry.Judges() {
		d := k.c.entry.DecideResult(k.policyCall(), m.At(m.Result))
		if d.Failed != nil {
			k.x.s.relay.log.Warn().Str("rule", d.Rule).Str("reason", k.x.s.relay.redact.Text(d.Failed.Error())).Msg("a rule on results failed: the result is withheld")
		}
		switch d.Action {
		case rules.Deny:
			return k.refuse(rules.Deny, d.Rule, "The call was made, but its result is withheld. "+d.Message)
		case rules.Ask:
			if a := k.approveResult(m, d); a.raw != nil {
				return a
			}
		}
	}
	k.x.s.observe(k.c, m.At(m.Result))
	return answer{}
}

// approveResult asks a person whether the agent may have a result: a legacy client at once,
// a modern one by an input_required result, while the result waits. The empty answer means
// yes.
func (k *call) approveResult(m *jsonrpc.Message, d rules.Decision) answer {
	x := k.x
	if !can(x.identity.caps, "elicitation/create", nil) {
		return k.refuse(rules.Ask, d.Rule, "The call was made, but a person has to release its result, and this client cannot ask one (it does not support elicitation).")
	}
	text := "Server " + k.c.conn.name + ": may the agent have the result of " + visible.Name(k.c.called) + "?\n" + d.Message + "\nAsked because of: " + d.Rule
	params := append(jsonrpc.AppendQuote([]byte(`{"message":`), visible.Text(text)), `,"requestedSchema":{"type":"object","properties":{}}}`...)
	if x.modern {
		return k.holdResult(m, params, d.Rule)
	}
	ctx, cancel := context.WithTimeout(x.ctx, x.s.relay.current.Load().cfg.Approvals.Timeout)
	defer cancel()
	if result, failed := x.s.ask(ctx, x.on, "elicitation/create", params, &pending{}); failed != nil || !accepted(result) {
		return k.refuse(rules.Ask, d.Rule, "The call was made, but its user did not release its result.")
	}
	k.released = d.Rule
	return answer{}
}

// held is a result that waits for a person.
type held struct {
	s     *Session
	rule  string // that asked
	link  *link
	m     *jsonrpc.Message
	timer *time.Timer
}

// maxHeld bounds the results of one principal that wait, and their bytes.
const (
	maxHeld      = 32
	maxHeldBytes = 64 << 20
)

// holdResult keeps a result until the client's next request says whether it is released.
func (k *call) holdResult(m *jsonrpc.Message, params []byte, rule string) answer {
	x, r := k.x, k.x.s.relay
	next := &chain{Approval: true, Counted: true, Held: newID(), Limit: k.limitID()}
	state, err := k.seal(next)
	if err != nil {
		return k.withhold(err)
	}
	r.mu.Lock()
	n, size := 1, len(m.Raw)
	for _, h := range r.held {
		if h.s.peer.Principal == x.s.peer.Principal {
			n, size = n+1, size+len(h.m.Raw)
		}
	}
	if n > maxHeld || size > maxHeldBytes {
		r.mu.Unlock()
		return k.failure("the call was made, but its result is withheld: too many results wait for their user", nil)
	}
	r.held[next.Held] = &held{x.s, rule, k.link, m, time.AfterFunc(stateTTL, func() { r.takeHeld(next.Held) })}
	r.mu.Unlock()
	request := append(append([]byte(`{"`+approvalKey+`":{"method":"elicitation/create","params":`), params...), "}}"...)
	return x.inputRequiredResult(request, state)
}

func (r *Relay) takeHeld(id string) *held {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.held[id]
	delete(r.held, id)
	return h
}

// dropHeld forgets the results that wait for a request of a session that has ended.
func (r *Relay) dropHeld(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, h := range r.held {
		if h.s == s {
			h.timer.Stop()
			delete(r.held, id)
		}
	}
}

// release answers with a result that waited for a person, who released it.
func (k *call) release(id string) answer {
	h := k.x.s.relay.takeHeld(id)
	if h == nil {
		return k.reject(jsonrpc.CodeInvalidParams, stateRule, "requestState was refused: the result that it belongs to is gone; make the call again without it")
	}
	h.timer.Stop()
	if err := k.validate(); err != nil {
		return k.invalid(err)
	}
	// The policy may be another than when the person was asked: what it forbids now, nobody can release.
	if d := k.c.entry.DecideResult(k.policyCall(), h.m.At(h.m.Result)); d.Action == rules.Deny {
		return k.outcome(k.refuse(rules.Deny, d.Rule, "The call was made, but its result is withheld. "+d.Message), len(h.m.Raw), nil)
	}
	k.x.s.observe(k.c, h.m.At(h.m.Result))
	k.link, k.released = h.link, h.rule
	return k.outcome(k.x.relayResult(h.m, h.link), len(h.m.Raw), nil)
}

// unreleased drops a result that a person did not release: it waits for nobody.
func (k *call) unreleased(id string) answer {
	rule := "inputResponses"
	if h := k.x.s.relay.takeHeld(id); h != nil {
		h.timer.Stop()
		rule = h.rule
	}
	return k.refuse(rules.Ask, rule, "The call was made, but its user did not release its result.")
}

// resultClash returns a known name that a name of the result at s, or of what its content is
// made of, equals only without case; or a name that equals another one so.
func resultClash(raw []byte, s jsonrpc.Span) string {
	within := ""
	clash := resultNames.Walk(raw, s, func(name string, value jsonrpc.Span) {
		if within != "" {
			return
		}
		switch name {
		case "_meta":
			within = metaNames.Clash(raw, value)
		case "content", "contents":
			within = blockClash(raw, value)
		case "messages":
			for el := range jsonrpc.Elements(raw, value) {
				if within = messageNames.Clash(raw, el); within == "" {
					within = blockClash(raw, jsonrpc.Find(raw, el, "content"))
				}
				if within != "" {
					return
				}
			}
		case "completion":
			within = completionNames.Clash(raw, value)
		}
	})
	if clash != "" {
		return clash
	}
	return within
}

// blockClash does so for a content block, or an array of them.
func blockClash(raw []byte, s jsonrpc.Span) string {
	for el := range jsonrpc.Elements(raw, s) {
		if c := blockClash(raw, el); c != "" {
			return c
		}
	}
	within := ""
	clash := blockNames.Walk(raw, s, func(name string, value jsonrpc.Span) {
		if within == "" && (name == "resource" || name == "content") { // embedded, or of a tool's result
			within = blockClash(raw, value)
		}
	})
	if clash != "" {
		return clash
	}
	return within
}

// resultType returns what a modern server says that its result is. Where it says nothing,
// that is "complete"; the caller says what else it may be.
func resultType(m *jsonrpc.Message, also ...string) (string, error) {
	at := jsonrpc.Find(m.Raw, m.Result, "resultType")
	if !at.Present() {
		return "complete", nil
	}
	if m.Raw[at.Start] != '"' {
		return "", errors.New("the server's result was withheld: its resultType is not a string")
	}
	kind := jsonrpc.String(m.At(at))
	if kind != "complete" && !slices.Contains(also, kind) {
		return "", errors.New("the server's result was withheld: its resultType is unknown to the firewall, or not one of the method's")
	}
	return kind, nil
}

// resultType does so for a server of either era: a legacy one gives only complete results.
func (l *link) resultType(m *jsonrpc.Message, also ...string) (string, error) {
	if !l.modern {
		return "complete", nil
	}
	return resultType(m, also...)
}
