package proxy

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// serverRequest is a request that a server makes: by itself in the legacy era, inside an
// input_required result in the modern one.
type serverRequest struct {
	link   *link
	m      *jsonrpc.Message
	origin *upcall // on whose stream it came; nil where the transport cannot say
}

func (q *serverRequest) refuse(code int, message string) {
	q.link.later(jsonrpc.NewError(q.m.At(q.m.ID), code, message, nil))
}

func (q *serverRequest) answer(result, failure []byte) {
	if failure != nil {
		q.link.notify(append(append(append(append([]byte(`{"jsonrpc":"2.0","id":`), q.m.At(q.m.ID)...), `,"error":`...), failure...), '}'))
		return
	}
	q.link.notify(jsonrpc.NewResult(q.m.At(q.m.ID), result))
}

// ping answers without making the server's other messages wait.
func (q *serverRequest) ping() { q.link.later(jsonrpc.NewResult(q.m.At(q.m.ID), []byte("{}"))) }

// maxAsking bounds a server's requests that wait for a client.
const maxAsking = 64

// question puts a server's request to the client whose call it belongs to.
func (q *serverRequest) question() {
	c := q.link.conn
	params, err := c.vet(q.m.Method, q.m.At(q.m.Params))
	if err != nil {
		c.recordQuestion(nil, q.m.Method, err)
		c.log.Warn().Str("method", q.m.Method).Str("reason", err.Error()).Msg("request of the server refused")
		q.refuse(jsonrpc.CodeInvalidRequest, err.Error())
		return
	}
	s, x, up := q.addressee()
	if s == nil {
		q.refuse(jsonrpc.CodeInvalidRequest, "the firewall cannot tell which call of which client this request belongs to")
		return
	}
	c.recordQuestion(s, q.m.Method, nil)
	if up != nil && up.asks != nil {
		// A call that waits for its client keeps the question for the next round.
		select {
		case up.asks <- q:
		default:
			q.refuse(jsonrpc.CodeInternal, "too many requests for one call")
		}
		return
	}
	if x != nil {
		s.observeAside(x.via.Load(), params)
	}
	var who identity
	stream := Stream(nil)
	ctx := q.link.conn.ctx
	if x != nil {
		who, stream, ctx = x.identity, x.on, x.ctx
	}
	s.mu.Lock()
	if x == nil {
		who, stream = s.client, s.general
	}
	s.mu.Unlock()
	if who.modern || stream == nil {
		q.refuse(jsonrpc.CodeInvalidRequest, "the client takes requests only as part of a call")
		return
	}
	if !can(who.caps, q.m.Method, params) {
		q.refuse(jsonrpc.CodeMethodNotFound, "the client does not support "+q.m.Method)
		return
	}
	if task := jsonrpc.Get(q.m.At(q.m.Params), "task"); len(task) > 0 && q.mayTask() {
		params = jsonrpc.SetMember(params, "task", task)
	}
	if q.link.asking.Add(1) > maxAsking {
		q.link.asking.Add(-1)
		q.refuse(jsonrpc.CodeInternal, "too many requests are waiting for the client")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stateTTL)
	go func() {
		defer cancel()
		defer q.link.asking.Add(-1)
		if up != nil {
			up.beat.Store(time.Now().Add(stateTTL).UnixNano()) // a person's time does not count
			defer func() { up.beat.Store(time.Now().UnixNano()) }()
		}
		p := &pending{link: q.link, serverID: q.m.IDKey(), token: jsonrpc.Get(params, "_meta", "progressToken")}
		result, failed := s.ask(ctx, stream, q.m.Method, params, p)
		q.reply(s, result, failed)
	}()
}

// recordQuestion records what was decided about a request of a server's to the client.
func (c *conn) recordQuestion(s *Session, method string, refused error) {
	r := c.fleet.relay
	rec := audit.Record{ID: r.audit.NewID(), Event: audit.Question, Server: c.name, Method: method, Action: rules.Allow.String()}
	if refused != nil {
		rec.Action, rec.Reason = rules.Deny.String(), r.redact.Text(refused.Error())
	}
	if s != nil {
		rec.Session, rec.Principal, rec.Client = s.id, s.peer.Principal, s.clientName()
	}
	if err := r.audit.Write(&rec); err != nil {
		r.log.Error().Err(err).Msg("audit record not written")
	}
}

// addressee returns whose call the request belongs to. A connection that belongs to one
// session leaves no doubt about the session.
func (q *serverRequest) addressee() (*Session, *Exchange, *upcall) {
	up := q.origin
	if up == nil {
		up = q.link.sole()
	}
	if up == nil && q.link.conn.fleet.owner {
		up = q.link.soleParked()
	}
	if up != nil {
		if x := up.client.Load(); x != nil {
			return x.s, x, up
		}
		if p := up.parked.Load(); p != nil {
			return p.s, nil, up
		}
		return nil, nil, nil
	}
	if f := q.link.conn.fleet; f.owner {
		for _, s := range f.members() {
			return s, nil, nil
		}
	}
	return nil, nil, nil
}

// pending is a request to the client that waits for its answer.
type pending struct {
	link     *link // of the server that asks; nil if the firewall does
	serverID string
	token    []byte // the server's progress token

	once   sync.Once
	done   chan struct{}
	result []byte
	failed []byte // the error object
}

func (p *pending) settle(result, failed []byte) {
	p.once.Do(func() {
		p.result, p.failed = result, failed
		close(p.done)
	})
}

// ask sends a request to a legacy client and waits for the answer: a result, or an error
// object.
func (s *Session) ask(ctx context.Context, on Stream, method string, params []byte, p *pending) (result, failed []byte) {
	p.done = make(chan struct{})
	s.mu.Lock()
	s.lastID++
	id := strconv.AppendInt(nil, s.lastID, 10)
	s.questions[string(id)] = p
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.questions, string(id))
		s.mu.Unlock()
	}()
	if len(p.token) > 0 {
		params = jsonrpc.SetMember(params, "_meta", jsonrpc.SetMember(jsonrpc.Get(params, "_meta"), "progressToken", id))
	}
	if err := on.Send(Outgoing{Raw: jsonrpc.NewRequest(id, method, params)}); err != nil {
		return nil, jsonrpc.NewErrorObject(jsonrpc.CodeInternal, "the client cannot be reached", nil)
	}
	select {
	case <-p.done:
		return p.result, p.failed
	case <-s.done:
	case <-ctx.Done():
	}
	on.Send(Outgoing{Raw: jsonrpc.NewNotification("notifications/cancelled", append(append([]byte(`{"requestId":`), id...), '}'))})
	return nil, jsonrpc.NewErrorObject(jsonrpc.CodeInternal, "the client did not answer in time", nil)
}

// cancelled is the server's word that it takes a request of its own back, or ends a stream
// of notifications.
func (l *link) cancelled(m *jsonrpc.Message, _ *upcall) {
	id := jsonrpc.Key(jsonrpc.Get(m.At(m.Params), "requestId"))
	if n, err := strconv.ParseInt(id, 10, 64); err == nil {
		if up := l.call(n); up != nil && up.method == "subscriptions/listen" {
			up.fail(errListenEnded)
			return
		}
	}
	for _, s := range l.audience() {
		s.mu.Lock()
		for ours, p := range s.questions {
			if p.link == l && p.serverID == id {
				delete(s.questions, ours)
				general := s.general
				s.mu.Unlock()
				p.settle(nil, jsonrpc.NewErrorObject(jsonrpc.CodeInternal, "cancelled", nil))
				if general != nil {
					general.Send(Outgoing{Raw: jsonrpc.NewNotification("notifications/cancelled", []byte(`{"requestId":`+ours+`}`))})
				}
				return
			}
		}
		s.mu.Unlock()
	}
}

// approve asks a person about a call: a legacy client at once, a modern one by an
// input_required result. The empty answer means approved.
func (x *Exchange) approve(k *call, d rules.Decision) answer {
	if !can(x.identity.caps, "elicitation/create", nil) {
		return k.refuse(rules.Ask, d.Rule, d.Message+" This client cannot ask its user (it does not support elicitation), so the call was not made. Use a client that does, or have the policy changed.")
	}
	x.waits()
	if x.modern && x.m.Method == "completion/complete" {
		return k.refuse(rules.Ask, d.Rule, d.Message+" The protocol has no way to ask for a completion, so it was not made.")
	}
	params, err := k.approvalParams(d)
	if err != nil {
		return k.refuse(rules.Ask, d.Rule, d.Message+" A person has to approve this call, and "+err.Error()+", so it was not made. Make calls with fewer arguments, or have the policy changed.")
	}
	if x.modern {
		c := &chain{}
		if k.chain != nil {
			*c = *k.chain
			c.parked, c.Asked = nil, nil
		}
		c.Approval = true
		state, err := k.seal(c)
		if err != nil {
			return k.withhold(err)
		}
		if k.chain != nil && k.chain.parked != nil {
			if a := k.hold(k.chain.Parked, k.chain.parked); a.raw != nil {
				return a
			}
			k.chain.parked = nil // it waits again
		}
		request := append(append([]byte(`{"`+approvalKey+`":{"method":"elicitation/create","params":`), params...), "}}"...)
		return x.inputRequiredResult(request, state)
	}
	ctx, cancel := context.WithTimeout(x.ctx, x.s.relay.current.Load().cfg.Approvals.Timeout)
	defer cancel()
	result, failed := x.s.ask(ctx, x.on, "elicitation/create", params, &pending{})
	switch {
	case ctx.Err() != nil && x.ctx.Err() == nil:
		return k.refuse(rules.Ask, d.Rule, "Nobody approved the call within the time limit, so it was not made.")
	case failed != nil:
		return k.refuse(rules.Ask, d.Rule, "The client could not ask its user to approve the call, so it was not made.")
	case !accepted(result):
		return k.declined(d.Rule)
	}
	if k.chain == nil {
		k.chain = &chain{}
	}
	k.chain.Approved = true
	return answer{}
}

func (k *call) declined(rule string) answer {
	return k.refuse(rules.Ask, rule, "The user did not approve the call, so it was not made. Do not try it again unless the user asks for it.")
}

// maxShown bounds the arguments shown to the person who approves, in bytes.
const maxShown = 4000

// approvalParams is the form that asks a person about exactly this call. It fails if the
// person could not be shown each of its arguments.
func (k *call) approvalParams(d rules.Decision) ([]byte, error) {
	var b strings.Builder
	verb := map[string]string{"tools/call": "run", "resources/read": "be read at", "prompts/get": "give the prompt", "completion/complete": "complete"}[k.x.m.Method]
	fmt.Fprintf(&b, "Allow server %s to %s %s?\n", k.c.conn.name, verb, visible.Name(k.c.called))
	if err := showArguments(&b, "Arguments", k.shown); err != nil {
		return nil, err
	}
	if k.c.narrow != nil {
		if err := showArguments(&b, "\nThat is "+visible.Name(k.c.name)+" with", k.readable()); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(&b, "\nAsked because of: %s", d.Rule)
	if k.c.entry.Limits(d.Rule) || d.Rule == redactRule {
		fmt.Fprintf(&b, "\n%s", d.Message)
	}
	params := jsonrpc.AppendQuote([]byte(`{"message":`), visible.Text(b.String()))
	return append(params, `,"requestedSchema":{"type":"object","properties":{}}}`...), nil
}

// showArguments writes what a person is shown of arguments: all of them, long ones cut.
func showArguments(b *strings.Builder, title string, args []byte) error {
	if len(args) == 0 {
		args = []byte("{}")
	}
	shown, whole := jsonrpc.Excerpt(args, maxShown)
	switch {
	case shown == nil:
		return fmt.Errorf("its arguments are too many to be shown to a person within %d bytes", maxShown)
	case !whole:
		title += fmt.Sprintf(" (%d bytes, long ones cut)", len(args))
	}
	fmt.Fprintf(b, "%s: %s", title, shown)
	return nil
}

// maxRounds bounds how often a server may ask within one call.
const maxRounds = 20

// inputRequired deals with a modern server that asks before it answers. A modern client
// gets the questions with a state of the firewall's; a legacy client is asked at once,
// and again says that the call goes back to the server with its answers.
func (k *call) inputRequired(m *jsonrpc.Message, round int) (a answer, again bool) {
	x, c := k.x, k.c.conn
	if round == maxRounds || x.m.Method == "completion/complete" {
		return k.failure("the server keeps asking for input and was given up", nil), false
	}
	next := &chain{Approved: k.chain != nil && k.chain.Approved, Counted: true, Limit: k.limitID()}
	next.State, next.HasState = jsonrpc.GetString(m.At(m.Result), "requestState")
	requests, keys, err := c.vetRequests(x.identity.caps, m.Raw, jsonrpc.Find(m.Raw, m.Result, "inputRequests"))
	c.recordQuestion(x.s, "input_required", err)
	if err != nil {
		return k.failure("the call was not finished: "+told(err), nil), false
	}
	next.Asked = keys
	x.s.observeAside(k.c, jsonrpc.DropMembers(m.At(m.Result), func(n string) bool { return n == "_meta" || n == "resultType" || n == "requestState" }))
	if x.modern {
		state, err := k.seal(next)
		if err != nil {
			return k.withhold(err), false
		}
		if k.c.judged() { // what else stands beside the questions could be the result
			return x.inputRequiredResult(requests, state), false
		}
		edits := []jsonrpc.Edit{jsonrpc.Set(m.Raw, m.Result, "requestState", jsonrpc.Quote(state))}
		if span := jsonrpc.Find(m.Raw, m.Result, "inputRequests"); span.Present() {
			edits = append(edits, jsonrpc.Edit{Span: span, New: requests})
		}
		return x.relayResult(m, k.link, edits...), false
	}
	for _, key := range next.Asked {
		request := jsonrpc.Get(requests, key)
		method, _ := jsonrpc.GetString(request, "method")
		params := jsonrpc.Get(request, "params")
		ctx, cancel := context.WithTimeout(x.ctx, stateTTL)
		result, failed := x.s.ask(ctx, x.on, method, params, &pending{})
		cancel()
		if failed != nil {
			return k.failure("the call was not finished: the client did not answer what the server asked ("+visible.Name(method)+")", nil), false
		}
		next.Responses = jsonrpc.SetMember(next.Responses, key, result)
	}
	k.chain = next
	return answer{}, true
}
