package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"
)

// oauthScenarios are those of the suite's auth/ in which the client is a machine, as the firewall is, and what each must
// see it do. They are extensions, which belong to no revision. The others are about a person at a browser: registration of
// clients, authorization codes, the scopes to ask the person for, and who sent the code (iss). The firewall has no browser;
// that its discovery is that of the specification, internal/oauth tests.
var oauthScenarios = map[string]string{
	"auth/client-credentials-basic": "client-credentials-basic-auth",
	"auth/client-credentials-jwt":   "client-credentials-jwt-verified",
}

// TestConformanceOAuth lets the firewall get access tokens from the suite's authorization server.
func TestConformanceOAuth(t *testing.T) {
	for name, proof := range oauthScenarios {
		t.Run(name, func(t *testing.T) {
			command := strings.Join([]string{self(t), "suite-oauth", firewall(t), t.TempDir()}, " ")
			s := runClientScenario(t, "", name, command)
			for check, status := range s.checks {
				if status == "FAILURE" || status == "WARNING" {
					t.Errorf("%s: %s: %s", check, status, s.errors[check])
				}
			}
			for _, check := range []string{proof, "authorization-server-metadata", "valid-bearer-token"} {
				if s.checks[check] != "SUCCESS" {
					t.Errorf("%s: %q", check, s.checks[check])
				}
			}
		})
	}
}

// suiteOAuth is the client that the suite starts for these: it has the firewall list the tools of the suite's server. The
// arguments are the firewall, an empty folder, and the server's URL. It returns the exit status.
func suiteOAuth(args []string) int {
	if err := listWithOAuth(args[0], args[1], args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "suite-oauth:", err)
		return 1
	}
	return 0
}

func listWithOAuth(firewall, dir, server string) error {
	// The suite says who the client is like this, and not where it is registered.
	var given struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
		Key    string `json:"private_key_pem"`
	}
	if err := json.Unmarshal([]byte(os.Getenv("MCP_CONFORMANCE_CONTEXT")), &given); err != nil {
		return fmt.Errorf("MCP_CONFORMANCE_CONTEXT: %w", err)
	}
	issuer, err := registeredAt(server)
	if err != nil {
		return err
	}
	oauth := object{"grant": "client_credentials", "client_id": given.ID, "issuer": issuer}
	if given.Key != "" {
		oauth["private_key"] = "${env:SUITE_SECRET}"
	} else {
		oauth["client_secret"] = "${env:SUITE_SECRET}"
	}
	text, err := yaml.Marshal(object{
		"version": 1,
		"servers": object{"suite": object{"url": server, "oauth": oauth}},
		"tools":   object{"default": "allow"},
		"state":   object{"path": dir},
		"audit":   object{"file": filepath.Join(dir, "audit.jsonl")},
	})
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "mcpfirewall.yaml")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	cmd := exec.Command(firewall, "tools", "--config", config)
	cmd.Env = append(os.Environ(), "SUITE_SECRET="+given.Secret+given.Key)
	out, err := cmd.CombinedOutput()
	os.Stderr.Write(out)
	if err == nil && !strings.Contains(string(out), "test-tool") {
		err = errors.New("the server's tool is not listed")
	}
	return err
}

// registeredAt returns the authorization server at which the suite's client is registered: whoever registers a client
// knows it, and the suite's server names it.
func registeredAt(server string) (string, error) {
	base := strings.TrimSuffix(server, "/mcp")
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(base + "/.well-known/oauth-protected-resource/mcp")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	var metadata struct {
		Servers []string `json:"authorization_servers"`
	}
	if err := json.Unmarshal(text, &metadata); err != nil || len(metadata.Servers) != 1 {
		return "", fmt.Errorf("the metadata of the suite's server: %v in %s", err, text)
	}
	return metadata.Servers[0], nil
}
