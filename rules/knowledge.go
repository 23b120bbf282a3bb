package rules

import (
	"slices"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

// This file holds what rules may know beside the arguments of a call.

// Knowledge is what the caller of this package knows of a session besides what stands in a
// call. What is nil is not known: a rule that reads it denies.
type Knowledge struct {
	Memory  *provenance.Memory // of the values that the session saw
	History *History           // of the calls that passed in it
	Now     func() time.Time   // the clock; nil means time.Now

	// Secret reports whether there is a secret in a text, which may be JSON, and PII
	// whether there are personal data of a kind, such as "email", or of any if that is "".
	// An error, such as for an unknown kind, makes the rule fail.
	Secret func(text string) (bool, error)
	PII    func(text, kind string) (bool, error)
}

func (k *Knowledge) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now()
}

// User is who makes a call.
type User struct {
	Subject string         `expr:"subject"` // the principal
	Groups  []string       `expr:"groups"`
	Claims  map[string]any `expr:"claims"`
}

// Client is the program that makes a call, by its own word.
type Client struct {
	Name    string `expr:"name"`
	Version string `expr:"version"`
}

// maxHistory bounds the calls that a [History] knows, at 40 bytes each.
const maxHistory = 10_000

// A History is when which tools were called in a session. The zero value is empty and ready
// for use by several goroutines.
type History struct {
	mu    sync.Mutex
	calls []pastCall // in the order of time; a ring once it is full
	first int
	lost  time.Time // of the newest call that is forgotten
}

type pastCall struct {
	at           time.Time
	server, name string
}

// Add notes a call that passed.
func (h *History) Add(server, name string, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := pastCall{at, server, name}
	if len(h.calls) < maxHistory {
		h.calls = append(h.calls, c)
		return
	}
	h.lost = h.calls[h.first].at
	h.calls[h.first] = c
	h.first = (h.first + 1) % maxHistory
}

// count returns how many calls of matching tools there were since a moment; ok is false if
// some of that time is forgotten.
func (h *History) count(pattern glob, since time.Time) (n int, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost.After(since) {
		return 0, false
	}
	for _, c := range slices.Backward(h.calls) {
		if len(h.calls) < maxHistory && c.at.Before(since) {
			break
		}
		if sub := newSubject(c.server, c.name); !c.at.Before(since) && pattern.matches(&sub) {
			n++
		}
	}
	return n, true
}
