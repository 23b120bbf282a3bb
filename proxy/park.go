package proxy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// This file puts the questions of legacy servers to modern clients.

// maxParked bounds the calls of one principal that wait at once.
const maxParked = 200

// parked is a call to a legacy server that asked something in its middle, while the
// modern client that made the call was given the question as a result. It waits for the
// client's next request.
type parked struct {
	up    *upcall
	s     *Session
	open  map[string]*serverRequest // by the key that the client was given
	asked int                       // how many keys it was given
	timer *time.Timer
}

// companionTime is what other questions get to come with the first. Nothing in the legacy
// era says that there will be any; a person's answer takes longer by far.
const companionTime = 50 * time.Millisecond

// park puts a call aside and returns the result that asks the client. The empty answer
// means that the question was refused and the call goes on.
func (k *call) park(up *upcall, first *serverRequest) answer {
	p := &parked{up: up, s: k.x.s, open: map[string]*serverRequest{}}
	p.asked = 1
	p.open[p.key(1)] = first
	companions := time.NewTimer(companionTime)
	defer companions.Stop()
	for more := true; more; {
		select {
		case q := <-up.asks:
			p.asked++
			p.open[p.key(p.asked)] = q
		case <-companions.C:
			more = false
		case <-k.x.ctx.Done():
			p.drop(k.x.gone())
			return answer{}
		}
	}
	return k.shelve(p, strings.ToLower(newID()))
}

// key names a question to the client.
func (p *parked) key(n int) string { return fmt.Sprintf("%d-%d", p.up.id, n) }

// shelve asks the client what is open, under the name that the call waits by. The empty
// answer means that nothing is.
func (k *call) shelve(p *parked, name string) answer {
	next := &chain{Approved: k.chain != nil && k.chain.Approved, Counted: true, Limit: k.limitID(), Parked: name}
	requests := []byte("{}")
	for _, key := range slices.Sorted(maps.Keys(p.open)) {
		q := p.open[key]
		params, err := k.c.conn.vet(q.m.Method, q.m.At(q.m.Params))
		if err != nil || !can(k.x.identity.caps, q.m.Method, params) {
			q.refuse(jsonrpc.CodeMethodNotFound, "the client does not support "+q.m.Method)
			delete(p.open, key)
			continue
		}
		k.x.s.observeAside(k.c, params)
		request := append(jsonrpc.AppendQuote([]byte(`{"method":`), q.m.Method), '}')
		if params != nil {
			request = jsonrpc.SetMember(request, "params", params)
		}
		requests = jsonrpc.SetMember(requests, key, request)
		next.Asked = append(next.Asked, key)
	}
	if len(p.open) == 0 {
		return answer{}
	}
	state, err := k.seal(next)
	if err != nil {
		p.drop("internal error")
		return k.withhold(err)
	}
	if a := k.hold(next.Parked, p); a.raw != nil {
		return a
	}
	return k.x.inputRequiredResult(requests, state)
}

// hold keeps a call until the client's next request names it.
func (k *call) hold(id string, p *parked) answer {
	r := k.x.s.relay
	p.up.parked.Store(p)
	p.up.client.Store(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	mine := 0
	for _, other := range r.parked {
		if other.s.peer.Principal == p.s.peer.Principal {
			mine++
		}
	}
	if mine >= maxParked {
		go p.drop("too many calls wait for input")
		return k.failure("too many calls wait for their user's input: finish some of them first", nil)
	}
	p.timer = time.AfterFunc(stateTTL, func() {
		if r.takeParked(id) != nil {
			p.drop("the client did not answer in time")
		}
	})
	r.parked[id] = p
	return answer{}
}

// dropParked gives up the calls of a session that wait for a request of its.
func (r *Relay) dropParked(s *Session) {
	var gone []*parked
	r.mu.Lock()
	for id, p := range r.parked {
		if p.s == s {
			delete(r.parked, id)
			gone = append(gone, p)
		}
	}
	r.mu.Unlock()
	for _, p := range gone {
		p.timer.Stop()
		p.drop("the client is gone")
	}
}

func (r *Relay) takeParked(id string) *parked {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.parked[id]
	delete(r.parked, id)
	return p
}

// drop gives a parked call up.
func (p *parked) drop(reason string) {
	p.collect()
	for _, q := range p.open {
		q.refuse(jsonrpc.CodeInternal, reason)
	}
	p.up.link.abandon(p.up, reason)
}

// soleParked returns the only call that waits for its client's next request, where none of
// a client is under way beside it.
func (l *link) soleParked() *upcall {
	l.mu.Lock()
	defer l.mu.Unlock()
	var only *upcall
	for _, up := range l.calls {
		waits := up.parked.Load() != nil
		if only != nil && waits || up.client.Load() != nil {
			return nil
		}
		if waits {
			only = up
		}
	}
	return only
}

// collect takes in what the server asked while the call waited.
func (p *parked) collect() {
	for {
		select {
		case q := <-p.up.asks:
			p.asked++
			p.open[p.key(p.asked)] = q
		default:
			return
		}
	}
}

// unpark takes a parked call up again. The client's answers are delivered to the server
// only when the call was decided and recorded anew, in deliver.
func (k *call) unpark() answer {
	k.x.waits()
	p := k.x.s.relay.takeParked(k.chain.Parked)
	if p == nil {
		return k.reject(jsonrpc.CodeInvalidParams, stateRule, "requestState was refused: the call that it belongs to has ended; make the call again without it")
	}
	p.timer.Stop()
	k.chain.parked = p
	select {
	case <-p.up.link.gone:
		return k.failure("server "+k.c.conn.name+" ended while it waited for input", nil)
	default:
	}
	return answer{}
}

// deliver gives the server the client's answers. What the client left out is asked again,
// with what the server asked meanwhile: then the call waits again, and the answer says so.
func (k *call) deliver(p *parked) answer {
	p.up.client.Store(k.x)
	p.up.parked.Store(nil)
	given := k.x.s.replies(k.c.conn, k.chain.Responses)
	for key, value := range jsonrpc.Members(given, jsonrpc.Span{End: len(given)}) {
		name := jsonrpc.String(given[key.Start:key.End])
		if q := p.open[name]; q != nil {
			q.answer(given[value.Start:value.End], nil)
			delete(p.open, name)
		}
	}
	p.collect()
	a := k.shelve(p, k.chain.Parked)
	if a.raw != nil {
		k.chain.parked = nil
	}
	return a
}
