package proxy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/proxy/upstream"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// This file is the call path: what tools/call, resources/read, prompts/get and
// completion/complete go through, in the order of its functions.

// call is one call on its way.
type call struct {
	x      *Exchange
	c      *capability
	link   *link
	target string // the capability's name for records
	lookup func(*view) *capability
	args   []byte        // raw arguments; nil if there are none
	sent   []byte        // what the server gets of them: others where the tool is narrowed
	shown  []byte        // what a person and the record see of what the agent chose
	chain  *chain        // what an earlier round trip of this call left, or nil
	record string        // id of the audit record
	unsaid *audit.Record // that of intent, while it waits to be written
	began  time.Time

	decided    string // the rule that let the call pass
	approvedBy string // the rule that asked, where a person said yes
	released   string // the same of the result
	limit      string // the name of what limits reserve, once there is one
	reserved   string // the same, while something is reserved
	asks       string // what in the arguments a person has to agree to
	ends       *Batch // in which the answer waits for its record, where the server's reader has it
	restored   bool   // tokens in the arguments were turned back
	sending    bool   // something was sent, or may have been
}

func (x *Exchange) callTool() answer {
	name, ok := x.text("name")
	if !ok {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "name is missing or not a string")
	}
	args := x.m.At(x.param("arguments"))
	if len(args) > 0 && args[0] != '{' {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "arguments is not an object")
	}
	return x.through(args, name, func(v *view) *capability { return v.tools[name] },
		jsonrpc.CodeInvalidParams, "Unknown tool: "+visible.Name(name))
}

func (x *Exchange) readResource() answer {
	uri, ok := x.text("uri")
	if !ok {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "uri is missing or not a string")
	}
	code := jsonrpc.CodeResourceNotFound
	if x.modern {
		code = jsonrpc.CodeInvalidParams
	}
	return x.through(nil, uri, func(v *view) *capability { return x.s.fleet.resource(v, uri) }, code, "Resource not found")
}

// complete completes an argument of a prompt or of a resource template.
func (x *Exchange) complete() answer {
	ref := x.param("ref")
	for _, member := range []string{"ref", "argument", "context"} {
		if refNames.Clash(x.m.Raw, x.param(member)) != "" {
			return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "a name in the params equals another or a known one but for upper and lower case")
		}
	}
	name, isPrompt := jsonrpc.GetString(x.m.At(ref), "name")
	uri, isTemplate := jsonrpc.GetString(x.m.At(ref), "uri")
	if isPrompt == isTemplate {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "ref names neither one prompt nor one resource template")
	}
	find := func(v *view) *capability { return v.prompts[name] }
	if isTemplate {
		find = func(v *view) *capability {
			for _, t := range v.templates {
				if t.name == uri {
					return t
				}
			}
			return x.s.fleet.resource(v, uri)
		}
	}
	return x.through(nil, name+uri, find, jsonrpc.CodeInvalidParams, "Unknown reference")
}

// refNames are the names inside the params of completion/complete.
var refNames = jsonrpc.NewNames("type", "name", "title", "uri", "value", "arguments")

// through takes a call along the whole path.
func (x *Exchange) through(args []byte, target string, find func(*view) *capability, code int, unknown string) answer {
	k := &call{x: x, args: args, shown: args, target: target, lookup: find, began: time.Now()}
	if x.m.Method != "tools/call" {
		k.shown = jsonrpc.DropMembers(x.m.At(x.m.Params), func(n string) bool { return n == "_meta" || n == "requestState" || n == "inputResponses" })
	}
	if err := k.find(); err != nil {
		return k.unavailable(err)
	}
	if k.c == nil {
		// What is hidden answers exactly as what does not exist.
		return k.turnAway(code, unknown)
	}
	if a := k.open(); a.raw != nil {
		return k.abort(a)
	}
	if a := k.judge(); a.raw != nil {
		return k.abort(a)
	}
	if err := k.intend(); err != nil {
		k.giveBack()
		return k.abort(k.withhold(err))
	}
	if !k.chain.counted() {
		x.s.calls.Add(1)
		k.sends()
	}
	return k.perform()
}

// abort gives up a parked call that this one was to go on with, unless it was parked anew.
func (k *call) abort(a answer) answer {
	if k.chain != nil && k.chain.parked != nil {
		k.chain.parked.drop("the call was refused")
	}
	return a
}

// judge checks the arguments and decides, anew after a person's time to think: the answer
// is judged under the policy in force and for the definition that was shown.
func (k *call) judge() answer {
	for asked := false; ; {
		if err := k.validate(); err != nil {
			return k.invalid(err)
		}
		before := k.c.digest
		a, waited := k.decide()
		if a.raw != nil || !waited || asked {
			return a
		}
		asked = true
		if a := k.again(before); a.raw != nil {
			return a
		}
	}
}

// again finds the capability anew after a wait; it must be what it was.
func (k *call) again(before [32]byte) answer {
	if err := k.find(); err != nil {
		return k.unavailable(err)
	}
	if k.c == nil || k.c.digest != before {
		return k.refuse(rules.Deny, "definition", "The definition changed while the call waited, so it was not made. Look at the list again.")
	}
	return answer{}
}

// find finds the capability among those visible to this session, in lists that are as new
// as the server's last word.
func (k *call) find() error {
	f, find := k.x.s.fleet, k.lookup
	k.c = find(f.view())
	if k.c == nil {
		k.x.waits()
		if err := k.waitForOwner(); err != nil {
			return err
		}
		if k.c = find(f.view()); k.c == nil {
			return nil
		}
	}
	if l := k.c.conn.up(); l != nil && !l.catalog.stale() && k.c.link == l {
		k.link = l
		return nil
	}
	k.x.waits()
	ctx, cancel := context.WithTimeout(k.x.ctx, k.c.conn.timeout())
	defer cancel()
	for range 3 {
		l, err := k.c.conn.live(ctx)
		if err != nil {
			return err
		}
		if err := l.catalog.fresh(ctx); err != nil {
			return err
		}
		found := find(f.view())
		if found == nil {
			k.c = nil
			return nil
		}
		if k.c, k.link = found, l; found.conn == l.conn && (found.link == nil || found.link == l) && l == found.conn.up() {
			return nil
		}
	}
	return fmt.Errorf("server %s keeps restarting", k.c.conn.name)
}

// validate checks the arguments against the schema that the agent saw.
func (k *call) validate() error {
	var err error
	if k.c.kind != rules.Tool {
		if k.x.m.Method == "prompts/get" {
			if err = k.c.checkPrompt(k.args); err != nil {
				return err
			}
		}
		_, k.asks, err = k.unmask()
		return err
	}
	if k.x.param("task").Present() && k.c.judged() {
		return errors.New("results of this tool are judged before they are passed on, so it cannot run as a task: call it without one")
	}
	if k.x.param("task").Present() && k.x.modern && !k.link.modern {
		return errors.New("the server has tasks only of an older protocol than this client speaks, which could not be followed: call the tool without one")
	}
	var given []byte
	if given, k.asks, err = k.unmask(); err != nil {
		return err
	}
	if k.sent = given; k.c.narrow == nil {
		if err := k.c.forges(k.sent); err != nil {
			return err
		}
		if err := k.c.input.CheckParsed(k.sent, k.c.open); err != nil {
			return err
		}
		return k.checkComplete()
	}
	if err := k.c.input.CheckParsed(given, false); err != nil {
		return err
	}
	if len(given) == 0 {
		given = []byte("{}")
	}
	if k.sent, err = k.c.narrow.Arguments(given); err != nil {
		return err
	}
	if err := k.c.forges(k.sent); err != nil {
		return err
	}
	if err := k.c.broad.Check(k.sent, policy.TakesUndeclared(k.c.conn.cfg.Arguments, k.c.name)); err != nil {
		return err
	}
	return k.checkComplete()
}

// decide asks the policy, and a person where the policy says so. waited says that a person
// said yes just now.
func (k *call) decide() (a answer, waited bool) {
	x, s := k.x, k.x.s
	s.listens(k.c.entry)
	what := k.policyCall()
	d := k.c.entry.Decide(what)
	for _, e := range k.c.also {
		if other := e.Decide(what); other.Action > d.Action {
			d = other
		}
	}
	if k.asks != "" && d.Action == rules.Allow {
		d = rules.Decision{Action: rules.Ask, Rule: redactRule, Message: k.asks}
	}
	charges, taken := k.limits(what, d)
	if taken.Action > d.Action {
		d = taken
	}
	if d.Failed != nil {
		s.relay.log.Warn().Str("rule", d.Rule).Str("reason", s.relay.redact.Text(d.Failed.Error())).Msg("a rule failed: the call is denied")
	}
	switch {
	case d.Action == rules.Deny:
		return k.refuse(rules.Deny, d.Rule, d.Message), false
	case d.Action == rules.Ask && (k.chain == nil || !k.chain.Approved):
		a = x.approve(k, d)
		return a, a.raw == nil
	case d.Action == rules.Ask:
		k.approvedBy = d.Rule
	}
	k.decided = d.Rule
	return k.reserve(charges), false
}

// intend writes the record of intent.
func (k *call) intend() error {
	rec := k.newRecord("intent")
	rec.Action, rec.Arguments, rec.BytesIn = "allow", k.shown, len(k.x.m.Raw)
	rec.Rule = k.decided
	if k.approvedBy != "" {
		rec.Rule, rec.Reason = k.approvedBy, "approved by the user"
	}
	b := k.x.batch
	if b != nil && len(k.x.m.Raw) <= maxBatched && k.leaves() {
		k.censor(&rec)
		waits := rec
		k.unsaid = &waits
		return nil
	}
	if b != nil {
		b.Flush(k.x.waits) // which comes before this
	}
	return k.records(&rec)
}

// say writes the record of intent if that waits.
func (k *call) say() error {
	rec := k.unsaid
	if rec == nil {
		return nil
	}
	k.unsaid = nil
	if b := k.x.batch; b != nil {
		b.Flush(k.x.waits)
	}
	return k.x.s.relay.audit.Write(rec)
}

func (k *call) newRecord(event string) audit.Record {
	s := k.x.s
	if k.record == "" {
		k.record = s.relay.audit.NewID()
	}
	rec := audit.Record{ID: k.record, Event: event, Session: s.id, Principal: s.peer.Principal, Client: s.clientName(),
		Method: k.x.m.Method}
	name := k.target
	if k.c != nil {
		rec.Server, name = k.c.conn.name, k.c.called
	}
	if k.c == nil || k.c.kind != rules.Tool && k.c.kind != rules.Prompt { // the agent chose it: it is in no list
		name = s.relay.redact.Text(name)
	}
	rec.Capability = visible.Name(name)
	return rec
}

// perform sends the call to the server and brings its answer back.
func (k *call) perform() answer {
	x := k.x
	for round := 0; ; round++ {
		x.via.Store(k.c)
		var up *upcall
		if k.chain != nil && k.chain.parked != nil {
			p := k.chain.parked
			if a := k.deliver(p); a.raw != nil {
				return k.outcome(a, 0, nil)
			}
			k.chain.parked = nil
			up, k.link = p.up, p.up.link
		} else {
			if k.leave() {
				return answer{}
			}
			if err := k.say(); err != nil {
				k.giveBack()
				return k.abort(k.withhold(err))
			}
			for up = k.link.prepare(x.m.Method, x, ""); up == nil; up = k.link.prepare(x.m.Method, x, "") {
				// The server has ended or was replaced since it was looked for.
				if a := k.again(k.c.digest); a.raw != nil {
					k.giveBack()
					return k.outcome(a, 0, nil)
				}
			}
			raw, err := k.forward(up)
			if err != nil {
				k.link.forget(up)
				k.giveBack()
				return k.withhold(err)
			}
			k.sending = true
			k.link.launch(up, raw, k.mirrored())
		}
		m, stopped, err := k.await(up)
		if stopped.raw != nil {
			return k.outcome(stopped, 0, nil)
		}
		before := k.c.digest
		a, again := k.answered(m, err, round)
		if !again {
			return a
		}
		if a = k.again(before); a.raw == nil {
			a = k.judge()
		}
		if a.raw != nil {
			return k.outcome(a, len(m.Raw), nil)
		}
	}
}

// leaves reports whether the call may be left to what brings its answer: nothing between the
// answer and the client can wait, both are of one era, and the connection is the client's alone.
func (k *call) leaves() bool {
	x, l := k.x, k.link
	return x.onDone != nil && x.modern == l.modern && !l.http && l.conn.fleet.owner && !k.c.judged() && (k.chain == nil || k.chain.parked == nil)
}

// leave sends the call and leaves its end to what brings the answer, so that no goroutine
// has to be woken for it.
func (k *call) leave() bool {
	x, l := k.x, k.link
	if !k.leaves() || k.unsaid != nil && x.batch == nil {
		return false
	}
	up := l.prepareThen(x, k.c.conn.timeout(), func(m *jsonrpc.Message, err error, b *Batch) {
		a := x.guarded(func() answer {
			k.ends = b
			a, _ := k.answered(m, err, 0)
			return a
		})
		if k.ends == nil {
			x.finish(a)
		}
	})
	if up == nil {
		return false
	}
	raw, err := k.forward(up)
	x.left = true
	if err != nil {
		k.giveBack()
		up.fail(err)
		return true
	}
	if k.sending = true; k.unsaid != nil {
		x.batch.departs(departure{k, up, raw, k.unsaid})
		return true
	}
	l.launch(up, raw, nil)
	return true
}

// answered makes the client's answer of the server's, or of the reason why there is none.
// again says that the call goes back to the server.
func (k *call) answered(m *jsonrpc.Message, err error, round int) (a answer, again bool) {
	switch {
	case err != nil:
		if round == 0 && errors.Is(err, upstream.ErrNotSent) {
			k.sending = false
			k.giveBack()
		}
		return k.outcome(k.unanswered(err), 0, err), false
	case m.Kind == jsonrpc.Failure:
		return k.outcome(k.failed(m), len(m.Raw), nil), false
	}
	if a, again = k.received(m, round); again {
		return a, true
	}
	return k.outcome(a, len(m.Raw), nil), false
}

func (c *conn) timeout() time.Duration {
	if c.cfg.Timeout > 0 {
		return c.cfg.Timeout
	}
	return defaultTimeout
}

// maxStretch bounds how often progress may renew a call's time limit.
const maxStretch = 20

// await waits for the server's answer. stopped is a response that ends this request
// while the call may go on: what the server asks is put to a modern client so.
func (k *call) await(up *upcall) (m *jsonrpc.Message, stopped answer, err error) {
	k.x.waits()
	l, limit := up.link, k.c.conn.timeout()
	began := time.Now()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case m := <-up.reply:
			l.forget(up)
			return m, answer{}, nil
		case err := <-up.failed:
			select {
			case m := <-up.reply: // the answer came before the stream broke
				l.forget(up)
				return m, answer{}, nil
			default:
			}
			l.forget(up)
			return nil, answer{}, err
		case q := <-up.asks:
			if a := k.park(up, q); a.raw != nil {
				return nil, a, nil
			}
		case <-k.x.ctx.Done():
			l.abandon(up, k.x.gone())
			return nil, answer{}, context.Cause(k.x.ctx)
		case <-l.gone:
			select {
			case m := <-up.reply:
				return m, answer{}, nil
			case err := <-up.failed: // it was not sent: the end was only noticed then
				l.forget(up)
				return nil, answer{}, err
			default:
			}
			return nil, answer{}, l.unanswered(l.reason())
		case <-timer.C:
			if last := time.Unix(0, up.beat.Load()); time.Since(last) < limit && time.Since(began) < maxStretch*limit {
				timer.Reset(limit - time.Since(last))
				continue
			}
			l.abandon(up, "time limit")
			go l.suspect(began)
			return nil, answer{}, errTimeLimit(l, limit)
		}
	}
}

// received judges a result and makes the client's answer of it. again says that the
// server got what it asked for and the call is to be sent once more.
func (k *call) received(m *jsonrpc.Message, round int) (a answer, again bool) {
	x, l := k.x, k.link
	also := []string{"input_required", "task"}
	if x.m.Method != "tools/call" {
		also = also[:1]
	}
	switch kind, err := l.resultType(m, also...); {
	case err != nil:
		return x.failErr(err), false
	case kind == "input_required":
		return k.inputRequired(m, round)
	case kind == "task":
		return x.created(k, m), false
	}
	if k.c.kind == rules.Tool {
		if !l.modern && x.param("task").Present() && jsonrpc.Find(m.Raw, m.Result, "task", "taskId").Present() {
			return x.created(k, m), false
		}
		var err error
		if m, err = k.project(m); err != nil {
			return k.failure(err.Error(), nil), false
		}
		if err := k.c.checkOutput(m.At(m.Result)); err != nil {
			return k.withhold(err), false
		}
	}
	if a := k.screen(m); a.raw != nil {
		return a, false
	}
	return x.relayResult(m, l), false
}

// outcome writes the record of the outcome; without it the result is withheld. In a batch
// both wait.
func (k *call) outcome(a answer, size int, failure error) answer {
	rec := k.newRecord("outcome")
	rec.Duration, rec.BytesOut = time.Since(k.began), size
	if k.released != "" {
		rec.Action, rec.Rule, rec.Reason = rules.Allow.String(), k.released, "released by the user"
	}
	if failure != nil {
		rec.Error = k.x.s.relay.redact.Text(failure.Error())
	} else if a.code != 0 {
		rec.Error = "error " + strconv.Itoa(a.code)
	}
	if b := k.ends; b != nil {
		b.arrives(arrival{k, a, rec})
		return a
	}
	if err := k.x.s.relay.audit.Write(&rec); err != nil {
		return k.unrecorded(err)
	}
	return a
}

// unrecorded is the client's answer in the place of one whose record cannot be written.
func (k *call) unrecorded(err error) answer {
	k.x.s.relay.log.Error().Err(err).Msg("result withheld: its record cannot be written")
	return k.x.fail(jsonrpc.CodeInternal, "the result was withheld because its audit record cannot be written; the call was made. See the firewall's log", nil)
}
