package main

import (
	"slices"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
)

func TestExposures(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		env  string // VAULT_ADDR
		want []int  // the lines that are warned of
	}{
		"none": {file: `version: 1
servers:
  a: { command: a, args: ["--verbose", "$${env:X}"], env: { TOKEN: "${env:T}" } }
  b: { url: "https://b.example.com/mcp", headers: { Authorization: "${env:T}" } }
  c: { url: "http://c.example.com/mcp", headers: { X: "nothing" } }
  d: { url: "http://127.0.0.2:80/mcp", headers: { Authorization: "${env:T}" } }
  e: { url: "http://[::1]/mcp", headers: { Authorization: "${env:T}" } }
  f: { url: "http://localhost./mcp", headers: { Authorization: "${env:T}" } }
vault: { address: "http://localhost:8200" }
`, env: "http://vault.example.com:8200"},
		"on a command line": {file: `version: 1
servers:
  a:
    command: a
    args:
    - "--key=${env:T}"
    - "${file:/run/secrets/key}"
    - "${keyring:a/b}"
    - "${vault:secret/a#b}"
`, want: []int{6, 7, 8, 9}},
		"in clear": {file: `version: 1
servers:
  a: { url: "http://a.example.com/mcp", headers: { Authorization: "Bearer ${env:T}" } }
  b: { url: "http://10.0.0.1/${env:T}/mcp" }
  c: { url: "http://${env:HOST}/mcp" }
  d: { url: "http://127.0.0.1.example.com/mcp", inject: { key: "${env:T}" } }
vault: { address: "http://vault.example.com:8200" }
`, want: []int{3, 4, 5, 6, 7}},
		"to where the environment says": {file: `version: 1
servers:
  a: { command: a, env: { TOKEN: "${vault:secret/a#b}" } }
`, env: "http://vault.example.com:8200", want: []int{1}},
		"where Vault is not needed": {file: `version: 1
servers:
  a: { command: a, env: { TOKEN: "${env:T}" } }
`, env: "http://vault.example.com:8200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("VAULT_ADDR", test.env)
			cfg, err := config.Parse("config.yaml", []byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			var lines []int
			for _, p := range exposures(cfg) {
				if !p.Warning {
					t.Errorf("%s: not a warning", p.Message)
				}
				lines = append(lines, p.Line)
			}
			slices.Sort(lines)
			if !slices.Equal(lines, test.want) {
				t.Errorf("warned of lines %v, want %v", lines, test.want)
			}
		})
	}
}
