package proxy

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/rules"
	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

// knowledge is what a session remembers for the policy.
type knowledge struct {
	memory  *provenance.Memory // nil in a session that remembers nothing, or that nothing asks
	history *rules.History
	heard   atomic.Bool // the user's words, or it was said that there were none

	mu     sync.Mutex
	labels map[string]struct{} // of the calls that it sent
}

// remember gives a session a memory.
func (s *Session) remember() {
	gen := s.relay.current.Load()
	s.known.history = &rules.History{}
	s.tokens = redact.NewTokens()
	s.known.labels = map[string]struct{}{}
	if !gen.policy.Traces() {
		return // what is not asked for is not kept; if a new policy asks, its rules deny
	}
	s.known.memory = provenance.New(provenance.Options{})
	for _, text := range policy.Known(gen.cfg) {
		s.known.memory.Text(provenance.Observation{Source: "config"}, text)
	}
}

// Heard notes the values of the user's own words.
func (s *Session) Heard(prompt string) {
	s.known.heard.Store(true)
	if m := s.known.memory; m != nil {
		m.Text(provenance.Observation{Source: "user"}, prompt)
	}
}

// listens says once, when a rule asks where a value came from, that the user's words are not
// known: nobody could else tell why it asks or denies.
func (s *Session) listens(e *rules.Entry) {
	if s.known.memory == nil || s.known.heard.Load() || !e.Traces() || s.known.heard.Swap(true) {
		return
	}
	s.relay.log.Warn().Msg("a rule asks where a value came from, and no prompt of the user has arrived, so what the user says counts as unknown: is `mcpfirewall hook` set up in the client?")
}

// policyCall is a call as the policy sees it.
func (k *call) policyCall() rules.Call {
	s := k.x.s
	c := rules.Call{Args: k.sent, Parsed: true, Session: rules.Session{Calls: int(s.calls.Load()), Started: s.started, Forgetful: s.single},
		User:      rules.User{Subject: s.peer.Principal},
		Knowledge: rules.Knowledge{Memory: s.known.memory, History: s.known.history, Secret: s.relay.redact.Secret, PII: s.relay.redact.PII}}
	s.mu.Lock()
	c.Client = rules.Client{Name: s.client.name, Version: s.client.release}
	s.mu.Unlock()
	s.known.mu.Lock()
	defer s.known.mu.Unlock()
	if len(s.known.labels) > 0 {
		c.Session.Labels = slices.Sorted(maps.Keys(s.known.labels))
	}
	return c
}

// sends notes that a call is about to be sent: its labels, before anything of its answer
// is seen, and what it takes to the server, which no answer is to vouch for.
func (k *call) sends() {
	known := &k.x.s.known
	leaves := k.c.leaves()
	if len(leaves) > 0 && known.labels != nil {
		known.mu.Lock()
		for _, name := range leaves {
			known.labels[name] = struct{}{}
		}
		known.mu.Unlock()
	}
	if known.history != nil && k.c.kind == rules.Tool {
		known.history.Add(k.c.conn.name, k.c.called, time.Now())
	}
	if known.memory != nil {
		if args := k.sent; len(args) > 0 {
			known.memory.Sent(args)
		} else if len(k.shown) > 0 {
			known.memory.Sent(k.shown) // a URI, or what a prompt is filled in with
		}
	}
}

// observe notes the values of a result that the client is about to see, or sees tokens of.
func (s *Session) observe(c *capability, result []byte) {
	if m := s.known.memory; m != nil {
		m.Result(c.observation(), s.tokens.Reveal(result))
	}
}

// observeAside does so for what a server says beside a result: an error, progress, a question.
// It vouches for nothing.
func (s *Session) observeAside(c *capability, value []byte) {
	m := s.known.memory
	if m == nil || c == nil || len(value) == 0 {
		return
	}
	o := c.observation()
	if o.Trust == provenance.Trusted {
		o.Trust = provenance.Neutral
	}
	// It is not told which field a value of it comes from, so it is worth no more than the least.
	if slices.ContainsFunc(o.Fields, func(f provenance.Field) bool { return f.Trust == provenance.Untrusted }) {
		o.Trust = provenance.Untrusted
	}
	o.Fields = nil
	m.JSON(o, s.tokens.Reveal(value))
}

// observeTask does so for a task that the client is about to see.
func (s *Session) observeTask(c *capability, task []byte) {
	if s.known.memory == nil {
		return
	}
	if result := jsonrpc.Get(task, "result"); len(result) > 0 {
		s.observe(c, result)
	}
	for _, member := range []string{"statusMessage", "error", "inputRequests"} {
		s.observeAside(c, jsonrpc.Get(task, member))
	}
}

// answers notes what the client is about to tell a server that asked: like arguments, no
// result is to vouch for it.
func (s *Session) answers(value []byte) {
	if m := s.known.memory; m != nil && len(value) > 0 {
		m.Sent(value)
	}
}

// words are prompts for a session that is not there yet.
type words struct {
	texts []string
	size  int
	until time.Time
}

// Bounds of the prompts that wait for their session.
const (
	waitHeard = 2 * time.Minute
	maxHeard  = 4 << 20 // bytes of one session's
)

// Heard notes the user's words for the sessions of a name, be it that one is opened within
// the next two minutes.
func (r *Relay) Heard(session, prompt string) {
	var found []*Session
	r.mu.Lock()
	for key, s := range r.named {
		if _, name, _ := strings.Cut(key, "\x00"); name == session {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		now := time.Now()
		maps.DeleteFunc(r.heard, func(_ string, w *words) bool { return now.After(w.until) })
		w := r.heard[session]
		if w == nil && len(r.heard) < maxNamed {
			w = &words{}
			r.heard[session] = w
		}
		if w != nil && w.size+len(prompt) <= maxHeard {
			w.texts, w.size, w.until = append(w.texts, prompt), w.size+len(prompt), now.Add(waitHeard)
		}
	}
	r.mu.Unlock()
	for _, s := range found {
		s.Heard(prompt)
	}
}

// catchUp gives a named session the words that came before it.
func (s *Session) catchUp(name string) {
	r := s.relay
	r.mu.Lock()
	w := r.heard[name]
	delete(r.heard, name)
	r.mu.Unlock()
	if w == nil || time.Now().After(w.until) {
		return
	}
	for _, text := range w.texts {
		s.Heard(text)
	}
}
