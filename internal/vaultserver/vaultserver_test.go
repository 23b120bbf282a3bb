package vaultserver_test

import (
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
)

func TestStart(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *vaultserver.Server{
		"http":  vaultserver.Start,
		"https": vaultserver.StartTLS,
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t)
			client := srv.Client(t)
			health, err := client.Sys().Health()
			if err != nil {
				t.Fatal(err)
			}
			if !health.Initialized || health.Sealed {
				t.Errorf("initialized %v, sealed %v; want true, false", health.Initialized, health.Sealed)
			}

			if _, err := client.KVv2("secret").Put(t.Context(), "a", map[string]any{"b": "c"}); err != nil {
				t.Fatal(err)
			}
			client.SetToken(srv.Token(t, `path "secret/data/other" { capabilities = ["read"] }`))
			if _, err := client.KVv2("secret").Get(t.Context(), "a"); err == nil {
				t.Error("a token reads what its policy does not name")
			}

			srv.Stop()
			if _, err := client.Sys().Health(); err == nil {
				t.Error("the server answers after Stop")
			}
		})
	}
}
