package proxy

import (
	"sync"

	"github.com/mcpfirewall/mcpfirewall/vault"
)

// masks has the redactor know the values that are in use, and for a while those that were.
// Values of leases come and go without end, with each session perhaps, and are not all kept.
type masks struct {
	mu   sync.Mutex
	live map[vault.Secret]int // how many credentials in use hold it
	past []vault.Secret       // not in use any more, the oldest first; at most maxPast
}

// maxPast bounds the values that are masked though nothing uses them: a server may still
// repeat what it was given before.
const maxPast = 1000

// learn has the values masked from now on.
func (r *Relay) learn(secrets []vault.Secret) {
	m := &r.masks
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live == nil {
		m.live = map[vault.Secret]int{}
	}
	for _, s := range secrets {
		m.live[s]++
		r.redact.Add(s.Name, s.Value)
	}
}

// unlearn says that one use of the values has ended.
func (r *Relay) unlearn(secrets []vault.Secret) {
	m := &r.masks
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range secrets {
		if m.live[s]--; m.live[s] <= 0 {
			delete(m.live, s)
			m.past = append(m.past, s)
		}
	}
	for ; len(m.past) > maxPast; m.past = m.past[1:] {
		if oldest := m.past[0]; m.live[oldest] == 0 && !m.later(oldest) {
			r.redact.Remove(oldest.Name, oldest.Value)
		}
	}
}

// later reports whether the oldest past value has gone out of use once more since then.
func (m *masks) later(s vault.Secret) bool {
	for _, other := range m.past[1:] {
		if other == s {
			return true
		}
	}
	return false
}

// release ends the use of credentials: their leases are revoked.
func (c *conn) release(k *credentials) {
	k.grant.Close()
	c.fleet.relay.unlearn(k.grant.Secrets)
}
