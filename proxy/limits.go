package proxy

import (
	"context"
	"time"

	"github.com/mcpfirewall/mcpfirewall/rules"
)

// This file is what limits count for a call: reserved before it is sent, and given back if
// nothing was.

// limits returns what the limits take for a call that the rules let pass or ask about, and
// what they say of it as they stand. Nothing is taken before a person has answered.
func (k *call) limits(what rules.Call, d rules.Decision) (rules.Charges, rules.Decision) {
	s := k.x.s
	if d.Action == rules.Deny || k.c.kind != rules.Tool || k.chain.counted() {
		return rules.Charges{}, rules.Decision{Action: rules.Allow} // one unit covers the whole chain
	}
	who := rules.Owner{Principal: s.peer.Principal}
	if !s.single {
		who.Session = s.id
	}
	charges, standing := k.c.entry.Charges(what, who)
	if standing.Action == rules.Allow && (k.chain == nil || !k.chain.Approved) {
		standing = charges.Check(k.x.ctx, s.relay.store, time.Now())
	}
	return charges, standing
}

// reserve takes what the limits count for the call, right before it is sent.
func (k *call) reserve(charges rules.Charges) answer {
	if charges.Empty() {
		return answer{}
	}
	k.reserved = k.limitID()
	d := charges.Reserve(k.x.ctx, k.x.s.relay.store, time.Now(), k.reserved, k.chain != nil && k.chain.Approved)
	if d.Action == rules.Allow {
		return answer{}
	}
	k.reserved = "" // nothing was taken
	if d.Failed != nil {
		k.x.s.relay.log.Error().Str("limit", d.Rule).Err(d.Failed).Msg("a limit could not be counted: the call is denied")
	}
	return k.refuse(d.Action, d.Rule, d.Message)
}

// limitID names what limits reserve for the call and all its round trips.
func (k *call) limitID() string {
	if k.chain != nil && k.chain.Limit != "" {
		return k.chain.Limit
	}
	if k.limit == "" {
		k.limit = newID()
	}
	return k.limit
}

// giveBack returns what limits have reserved for a call of which nothing was sent.
func (k *call) giveBack() {
	if k.reserved == "" || k.sending {
		return
	}
	if err := k.x.s.relay.store.Release(context.WithoutCancel(k.x.ctx), k.reserved); err != nil {
		k.x.s.relay.log.Warn().Err(err).Msg("what limits reserved for a call that was not made could not be given back")
	}
	k.reserved = ""
}
