package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
	"github.com/mcpfirewall/mcpfirewall/vault"
)

const secretsConfig = `version: 1
servers:
  crm:
    url: https://crm.example.com/mcp
    headers:
      Authorization: "Bearer ${vault:secret/crm#api_key}"
      X-User: "${vault:secret/users/{user.subject}#token}"
      X-Old: "${vault:secret/crm?version=1#api_key}"
  db:
    command: postgres-mcp
    args: ["${vault:database/creds/reader#username}:${vault:database/creds/reader#password}"]
    env:
      KEY: "${file:key}"
      GONE: "${env:NOT_SET}"
      WRONG: "${vault:secret/crm#api_kee}"
      PIN: "${env:PIN}"
vault:
  address: ADDRESS
  auth: { method: token, token: "${env:VAULT_ACCESS}" }
`

func TestSecretsCheck(t *testing.T) {
	srv, pg := vaultserver.Start(t), vaultserver.StartPostgres(t)
	srv.Database(t, pg, map[string][2]time.Duration{"reader": {time.Hour, 24 * time.Hour}})
	kv := srv.Client(t).KVv2("secret")
	for path, key := range map[string]string{"crm": "api_key", "users/alice": "token"} {
		for _, value := range []string{"s3cr3t-v4lue", "s3cr3t-v4lue-2"} {
			if _, err := kv.Put(t.Context(), path, map[string]any{key: value}); err != nil {
				t.Fatal(err)
			}
		}
	}
	token := srv.Token(t, `
		path "secret/data/*" { capabilities = ["read"] }
		path "database/creds/*" { capabilities = ["read"] }
		path "sys/leases/revoke" { capabilities = ["update"] }`)
	h := newHome(t, "VAULT_ACCESS="+token, "PIN=123")
	config := h.write(t, "config.yaml", strings.Replace(secretsConfig, "ADDRESS", srv.Addr, 1))
	key := h.write(t, "key", "s3cr3t-v4lue\n")
	old := time.Now().Add(-49 * time.Hour)
	if err := os.Chtimes(key, old, old); err != nil {
		t.Fatal(err)
	}
	times := regexp.MustCompile(`"20[0-9T:-]+Z"`)
	for name, args := range map[string][]string{
		"secrets.txt":         nil,
		"secrets-subject.txt": {"--subject", "alice"},
		"secrets-refused.txt": {"--subject", "../alice"},
		"secrets.json":        {"--json"},
	} {
		got := h.run(t, "", append([]string{"secrets", "check", "--config", config}, args...)...)
		if got.status != 1 || got.stderr != "" {
			t.Errorf("%s: exit status %d, want 1, for a reference fails; standard error %q", name, got.status, got.stderr)
		}
		for _, hidden := range []string{"s3cr3t-v4lue", token, "v-token"} {
			if strings.Contains(got.stdout, hidden) {
				t.Errorf("%s: the output holds a secret", name)
			}
		}
		out := strings.ReplaceAll(got.stdout, h.dir+string(filepath.Separator), "DIR/")
		golden(t, name, times.ReplaceAllString(out, `"TIME"`))
	}
	n := "1"
	for end := time.Now().Add(20 * time.Second); n != "0" && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var err error
		if n, err = pg.Query("postgres", "", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'"); err != nil {
			t.Fatal(err)
		}
	}
	if n != "0" {
		t.Errorf("%s users are left in the database", n)
	}

	t.Run("all well", func(t *testing.T) {
		config := h.write(t, "good.yaml", "version: 1\nservers: { a: { command: x, env: { K: \"${file:key}\" } } }\n")
		if got := h.run(t, "", "secrets", "check", "--config", config); got.status != 0 {
			t.Errorf("exit status %d: %s%s", got.status, got.stdout, got.stderr)
		}
	})
	t.Run("wrong use", func(t *testing.T) {
		if got := h.run(t, "", "secrets"); got.status != 2 || !strings.Contains(got.stderr, "secrets check") {
			t.Errorf("exit status %d: %s", got.status, got.stderr)
		}
	})
}

func TestAgo(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Second: "less than a minute ago", 59 * time.Second: "less than a minute ago", time.Minute: "1 minute ago", 119 * time.Second: "1 minute ago",
		2 * time.Minute: "2 minutes ago", 119 * time.Minute: "119 minutes ago", 2 * time.Hour: "2 hours ago", 47 * time.Hour: "47 hours ago",
		2 * day: "2 days ago", 400 * day: "400 days ago",
	} {
		if got := ago(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// TestSecretsPage tries what docs/secrets.md shows.
func TestSecretsPage(t *testing.T) {
	page := read(t, filepath.Join("..", "..", "docs", "secrets.md"))
	h := newHome(t, "CRM_TOKEN=correct-horse-battery")
	token := h.write(t, "token", "correct-horse-battery")
	for _, text := range blocks(page, "yaml") {
		text = "version: 1\n" + strings.ReplaceAll(text, "/run/secrets/vault-token", filepath.ToSlash(token))
		if got := h.run(t, "", "check", "--config", h.write(t, "config.yaml", text)); got.status != 0 || strings.Contains(got.stdout, "warning") {
			t.Errorf("check says of\n%s\n%s%s", text, got.stdout, got.stderr)
		}
	}
	for _, text := range blocks(page, "sh") {
		for line := range strings.Lines(text) {
			use(t, "docs/secrets.md", shellWords(line)[1:])
		}
	}
	tried := 0
	for _, m := range regexp.MustCompile("`(\\$\\{[^`]+\\})`").FindAllStringSubmatch(page, -1) {
		tried++
		if _, err := vault.Parse(m[1]); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
	}
	if tried < 8 {
		t.Errorf("%d references found", tried)
	}
	printed := read(t, filepath.Join("testdata", "secrets.txt"))
	for _, text := range blocks(page, "text") {
		for line := range strings.Lines(text) {
			if !strings.Contains(printed, line) {
				t.Errorf("secrets check does not print\n%s", line)
			}
		}
	}
}
