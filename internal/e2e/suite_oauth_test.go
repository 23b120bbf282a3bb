package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"
)

// oauthScenarios are those of the suite's auth/ that have a meaning for a client that is a machine, and a check of each that
// must succeed. The others are about a person at a browser: the registration of clients, the scopes to ask the person for,
// who sent the authorization code (iss); or about extensions that the firewall does not have. Left out is also
// metadata-var3: it gives no metadata at the well-known places, where the test looks for the issuer to configure.
var oauthScenarios = map[string]string{
	"auth/client-credentials-basic":  "client-credentials-basic-auth",
	"auth/client-credentials-jwt":    "client-credentials-jwt-verified",
	"auth/metadata-default":          "valid-bearer-token",
	"auth/metadata-var1":             "valid-bearer-token",
	"auth/metadata-var2":             "valid-bearer-token",
	"auth/metadata-issuer-mismatch":  "sep-2468-client-validate-metadata-issuer",
	"auth/resource-mismatch":         "resource-mismatch-rejected",
	"auth/token-endpoint-auth-basic": "token-endpoint-auth-method",
	"auth/token-endpoint-auth-post":  "token-endpoint-auth-method",
	"auth/pre-registration":          "pre-registration-auth",
}

// browserChecks are of what only a client with a browser does.
var browserChecks = []string{"client-registration", "authorization-request", "resource-parameter-in-authorization"}

// TestConformanceOAuth lets the firewall get access tokens from the suite's authorization server.
func TestConformanceOAuth(t *testing.T) {
	for name, must := range oauthScenarios {
		t.Run(name, func(t *testing.T) {
			command := strings.Join([]string{self(t), "suite-oauth", firewall(t), t.TempDir()}, " ")
			s := runClientScenario(t, "", name, command)
			for check, status := range s.checks {
				if (status == "FAILURE" || status == "WARNING") && !slices.Contains(browserChecks, check) {
					t.Errorf("%s: %s: %s", check, status, s.errors[check])
				}
			}
			if s.checks[must] != "SUCCESS" {
				t.Errorf("%s: %q", must, s.checks[must])
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
	if text := os.Getenv("MCP_CONFORMANCE_CONTEXT"); text != "" {
		if err := json.Unmarshal([]byte(text), &given); err != nil {
			return fmt.Errorf("MCP_CONFORMANCE_CONTEXT: %w", err)
		}
	}
	issuer, err := registeredAt(server)
	if err != nil {
		return err
	}
	if given.ID == "" { // any will do
		given.ID, given.Secret = "firewall", "the secret of the firewall"
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
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run() // which fails where the server is not to be trusted
}

// registeredAt returns the authorization server at which the suite's client is registered: whoever registers a client
// knows it, and the suite's server names it.
func registeredAt(server string) (string, error) {
	base := strings.TrimSuffix(server, "/mcp")
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(base + "/.well-known/oauth-protected-resource/mcp")
	if err == nil && response.StatusCode == http.StatusNotFound {
		response.Body.Close()
		response, err = client.Get(base + "/.well-known/oauth-protected-resource")
	}
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
