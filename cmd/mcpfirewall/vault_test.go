package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/rs/zerolog"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
)

// TestVaultLogin logs in to Vault as configuration files say.
func TestVaultLogin(t *testing.T) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "VAULT_") {
			t.Setenv(name, "")
		}
	}
	srv := vaultserver.StartTLS(t)
	root := srv.Client(t)
	write := func(path string, data map[string]any) *api.Secret {
		t.Helper()
		got, err := root.Logical().Write(path, data)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("USERPROFILE", dir)
	file := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("kv1/app", map[string]any{"key": "the value of it"})
	if err := root.Sys().PutPolicy("app", `path "kv1/app" { capabilities = ["read"] }`); err != nil {
		t.Fatal(err)
	}
	issuer := vaultserver.NewIssuer(t)
	for mount, kind := range map[string]string{"team/app": "approle", "ci": "jwt", "people": "userpass"} {
		if err := root.Sys().EnableAuthWithOptions(mount, &api.EnableAuthOptions{Type: kind}); err != nil {
			t.Fatal(err)
		}
	}
	write("auth/team/app/role/app", map[string]any{"token_policies": "app", "role_id": "role-id-of-the-app"})
	file("secret-id", write("auth/team/app/role/app/secret-id", nil).Data["secret_id"].(string))
	root.SetWrappingLookupFunc(func(string, string) string { return "60s" })
	wrapped, err := root.Logical().Write("auth/team/app/role/app/secret-id", nil)
	if err != nil {
		t.Fatal(err)
	}
	root.SetWrappingLookupFunc(func(string, string) string { return "" })
	file("wrapped", wrapped.WrapInfo.Token)
	write("auth/ci/config", map[string]any{"jwt_validation_pubkeys": issuer.PublicKey})
	write("auth/ci/role/app", map[string]any{"role_type": "jwt", "user_claim": "sub", "bound_subject": "ci", "token_policies": "app"})
	file("jwt", issuer.Sign(t, map[string]any{"sub": "ci", "iat": 1e9, "exp": 4e9}))
	write("auth/people/users/me", map[string]any{"password": "correct-horse", "token_policies": "app"})
	file("password", "correct-horse")
	file("token", srv.RootToken)

	for _, auth := range []string{
		`{ token: "${file:token}" }`,
		`{ method: approle, mount: team/app, role_id: role-id-of-the-app, secret_id: "${file:secret-id}" }`,
		`{ method: approle, mount: team/app, role: app, role_id: role-id-of-the-app, secret_id: "${file:wrapped}", secret_id_wrapped: true }`,
		`{ method: jwt, mount: ci, role: app, jwt: "${file:jwt}" }`,
		`{ method: userpass, mount: people, username: me, password: "${file:password}" }`,
	} {
		text := fmt.Sprintf("version: 1\nvault:\n  address: %s\n  ca_cert: %s\n  auth: %s\n", srv.Addr, srv.CACert, auth)
		cfg, err := config.Parse(filepath.Join(dir, "mcpfirewall.yaml"), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		secrets, err := newVault(cfg, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		if value, _, err := secrets.Expand(t.Context(), "${vault:kv1/app#key}"); err != nil || value != "the value of it" {
			t.Errorf("%s: %q, %v", auth, value, err)
		}
		secrets.Close(t.Context())
	}
}
