package proxy

import (
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// TestListeningIsNotKeptBusy holds that a server which ends each stream of notifications is
// listened to ever more slowly, and that nothing of the streams stays behind.
func TestListeningIsNotKeptBusy(t *testing.T) {
	f := newFake(t, "one", true)
	listens := make(chan time.Time, 1000)
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "subscriptions/listen" {
			return false
		}
		listens <- time.Now()
		c.Send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + string(m.At(m.ID)) + `}}`)
		return true
	}
	c := newClient(t, testRelay(t, nil, f)).legacy(`{}`)
	first := <-listens
	second := <-listens
	third := <-listens
	if a, b := second.Sub(first), third.Sub(second); a < leastDelay*9/10 || b < leastDelay*3/2 {
		t.Errorf("it was listened to again after %s and %s", a, b)
	}
	l := c.s.fleet.links()[0]
	waitFor(t, "the end of the streams", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.calls) == 0
	})
}
