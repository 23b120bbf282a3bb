package proxy

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
)

// restartDelays are the pauses between the starts of a server that never comes up.
var restartDelays = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
	16 * time.Second, 32 * time.Second, time.Minute, time.Minute}

func TestBackoff(t *testing.T) {
	var b backoff
	for i, want := range restartDelays {
		if got := b.after(time.Duration(i%2) * steadyAfter); got != want { // it never lived for longer
			t.Errorf("delay %d is %s, want %s", i, got, want)
		}
	}
	if got := b.after(steadyAfter + 1); got != leastDelay {
		t.Errorf("after a long life the delay is %s", got)
	}
	if got := b.after(0); got != 2*leastDelay {
		t.Errorf("then the delay is %s", got)
	}
}

// downLog notes when a server was said to be down.
type downLog struct{ times []time.Time }

func (d *downLog) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("server is down")) {
		d.times = append(d.times, time.Now())
	}
	return len(p), nil
}

func TestRestartsSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records, err := audit.Open(audit.Options{Path: t.TempDir() + "/audit.jsonl"})
		if err != nil {
			t.Fatal(err)
		}
		var downs downLog
		cfg := testConfig(t, func(cfg *config.Config) {
			cfg.Servers = []config.Server{{Name: "gone", Command: "/no such program", Timeout: time.Second}}
		})
		r := relayWith(t, cfg, records, vault.Options{Poll: time.Minute}, zerolog.New(&downs))
		newClient(t, r).s.fleet.introduce()
		time.Sleep(4 * time.Minute) // the bubble's time
		synctest.Wait()
		var got []time.Duration
		for i := range min(len(restartDelays), len(downs.times)-1) {
			got = append(got, downs.times[i+1].Sub(downs.times[i]))
		}
		if !slices.Equal(got, restartDelays) {
			t.Errorf("the server was started again after %s, want %s", got, restartDelays)
		}
	})
}
