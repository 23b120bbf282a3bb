package proxy

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// A server that ends at its start is often gone before the first message to it is written.
// What it said last is known all the same.
func TestDeathAtStart(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the server of this test is a shell script")
	}
	r := testRelay(t, func(cfg *config.Config) {
		for i := range 50 {
			cfg.Servers = append(cfg.Servers, config.Server{Name: fmt.Sprintf("s%d", i), Command: "sh", Args: []string{"-c", "echo no key here >&2; exit 7"}, MaxMessage: jsonrpc.DefaultMaxBytes})
		}
	})
	f := newClient(t, r).s.fleet
	f.introduce()
	for _, c := range f.all() {
		<-c.settled()
		if err := c.failed(); err == nil || !strings.Contains(err.Error(), "no key here") || strings.Contains(err.Error(), "server "+c.name) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
