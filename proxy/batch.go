package proxy

import (
	"errors"
	"slices"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/proxy/upstream"
)

// A Batch gathers what becomes of the messages that the reader of a pipe has at hand at once:
// their records go to the audit log in one write, and then what they send goes out in one
// write. Under load the writes are most of what a call costs. Nothing else changes: each
// message is judged by itself and in its turn, and none is sent before its record is on file.
//
// It belongs to whoever reads, who calls Flush when nothing more is at hand, before a message
// whose place among the others matters, and before anything waits.
type Batch struct {
	relay *Relay
	calls []departure
	ends  []arrival
	size  int // bytes that wait
}

// departure is a call on its way to a server.
type departure struct {
	k      *call
	up     *upcall
	raw    []byte
	record *audit.Record
}

// arrival is an answer on its way to a client.
type arrival struct {
	k      *call
	a      answer
	record audit.Record
}

// Bounds of what a batch keeps waiting.
const (
	maxBatch      = 64
	maxBatchBytes = 64 << 10
	maxBatched    = 16 << 10 // bytes of one call; a longer one gains little
)

// NewBatch returns an empty batch for the session's messages.
func (s *Session) NewBatch() *Batch { return &Batch{relay: s.relay} }

// Empty reports whether nothing waits.
func (b *Batch) Empty() bool { return len(b.calls)+len(b.ends) == 0 }

// Full reports whether as much waits as may.
func (b *Batch) Full() bool { return len(b.calls)+len(b.ends) >= maxBatch || b.size >= maxBatchBytes }

func (b *Batch) departs(d departure) {
	b.calls = append(b.calls, d)
	b.size += len(d.raw)
}

func (b *Batch) arrives(e arrival) {
	b.ends = append(b.ends, e)
	b.size += len(e.a.raw)
}

// Flush lets go what waits. waits, which may be nil, is called before it waits for a pipe that
// is full; from then on the batch may be another's.
func (b *Batch) Flush(waits func()) {
	if len(b.calls) > 0 {
		calls := b.calls
		b.calls, b.size = nil, 0
		b.relay.depart(calls, waits)
	}
	if len(b.ends) > 0 {
		b.relay.arrive(b.ends)
		clear(b.ends)
		b.ends, b.size = b.ends[:0], 0
	}
}

// depart records calls and sends them.
func (r *Relay) depart(calls []departure, waits func()) {
	all := calls
	defer func() {
		if fault := recover(); fault != nil {
			r.fault(fault)
			for _, d := range all {
				d.up.fail(errFault)
			}
		}
	}()
	records := make([]*audit.Record, len(calls))
	for i, d := range calls {
		records[i] = d.record
	}
	if err := r.audit.Write(records...); err != nil {
		for _, d := range calls {
			d.unsent()
			if d.up.link.take(d.up, false) {
				d.k.x.finish(d.k.withhold(err))
			}
		}
		return
	}
	calls = slices.DeleteFunc(slices.Clone(calls), func(d departure) bool {
		if d.up.link.call(d.up.id) != nil {
			return false
		}
		d.unsent() // it was given up while it waited
		return true
	})
	for len(calls) > 0 {
		l, n := calls[0].up.link, 1
		for n < len(calls) && calls[n].up.link == l {
			n++
		}
		l.launchAll(calls[:n], waits)
		calls = calls[n:]
	}
}

// unsent gives back what limits reserved for a call that does not go out.
func (d *departure) unsent() {
	d.k.sending = false
	d.k.giveBack()
}

// launchAll sends prepared requests over stdio, in one write where it can.
func (l *link) launchAll(calls []departure, waits func()) {
	out := upstream.Outgoing{Raw: calls[0].raw, ID: calls[0].up.id}
	for _, d := range calls[1:] {
		out.Next = append(out.Next, d.raw)
	}
	patience := patience{Context: l.conn.ctx, limit: l.conn.timeout(), waits: waits}
	if err := l.send(&patience, out); err != nil {
		for _, d := range calls {
			d.up.fail(err)
		}
	}
	patience.end()
}

// arrive records answers and gives them to their clients.
func (r *Relay) arrive(ends []arrival) {
	all := ends
	defer func() {
		if fault := recover(); fault != nil {
			r.fault(fault)
			for _, e := range all {
				e.k.x.finish(e.k.x.faulty())
			}
		}
	}()
	records := make([]*audit.Record, len(ends))
	for i := range ends {
		records[i] = &ends[i].record
	}
	if err := r.audit.Write(records...); err != nil {
		for i := range ends {
			ends[i].a = ends[i].k.unrecorded(err)
		}
	}
	for len(ends) > 0 {
		on, n := ends[0].k.x.on, 1
		for n < len(ends) && ends[n].k.x.on == on {
			n++
		}
		finishAll(on, ends[:n])
		ends = ends[n:]
	}
}

// errFault is told of a call that the firewall failed on.
var errFault = errors.New(failed)

// finishAll is finish for several requests of one client.
func finishAll(on Stream, ends []arrival) {
	out := make([]Outgoing, 0, len(ends))
	done := make([]*Exchange, 0, len(ends))
	for _, e := range ends {
		x := e.k.x
		if !x.conclude() {
			continue
		}
		done = append(done, x)
		if e.a.raw != nil && !x.wasCancelled() {
			out = append(out, Outgoing{Raw: e.a.raw, Final: true, Code: e.a.code})
		}
	}
	if len(out) > 0 {
		if err := on.Send(out...); err != nil {
			ends[0].k.x.s.relay.log.Debug().Err(err).Msg("responses not delivered")
		}
	}
	for _, x := range done {
		x.end()
	}
}
