package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	ruleCount    = 100 // in the configuration
	rulesOnEcho  = 10  // of them, with a condition on the tool that is called; the others name other tools
	secretCount  = 5   // references that are resolved and then redacted everywhere
	forbidden    = "this message is forbidden by the tenth rule"
	secretPrefix = "MCPFIREWALL_BENCH_SECRET_"
)

// secret returns the value of the n-th reference.
func secret(n int) string { return fmt.Sprintf("s3cr3t-%d-0b6c1a5f7e2d4938a1b2c3d4", n) }

// environ is the environment of the firewall, in which the secrets are.
func (b *bench) environ() []string {
	env := append(os.Environ(), "HOME="+b.dir)
	for n := range secretCount {
		env = append(env, fmt.Sprintf("%s%d=%s", secretPrefix, n, secret(n)))
	}
	return env
}

// config writes a configuration with one server, described by the YAML in server, and returns its path and that of its
// audit file. Everything that is not said here is at its default.
func (b *bench) config(server string) (path, auditFile string, err error) {
	b.configs++
	dir := filepath.Join(b.dir, fmt.Sprintf("config-%d", b.configs))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", err
	}
	path, auditFile = filepath.Join(dir, "mcpfirewall.yaml"), filepath.Join(dir, "state", "audit.jsonl") // where it is by default
	var s strings.Builder
	fmt.Fprintf(&s, "version: 1\nservers:\n  bench:\n%s", server)
	fmt.Fprintf(&s, "tools:\n  default: deny\n  allow: [\"bench.echo\", \"bench.echo_1*\"]\n  ask: [\"bench.echo_2\"]\n  deny: [\"*.delete_*\"]\n")
	fmt.Fprintf(&s, "audit: { file: %q }\nstate: { path: %q }\nrules:\n", auditFile, filepath.Join(dir, "state"))
	conditions := []string{
		`args.message startsWith "rm -rf"`,
		`args.message contains "DROP TABLE"`,
		`args.message endsWith "@example.net"`,
		`args.message in ["a", "b", "c"]`,
		`len(args.message) > 16777216`,
		`tool.server != "bench"`,
		`args.message == "" and tool.name == "echo_1"`,
		`not (args.message != nil)`,
		`args.message contains "BEGIN PRIVATE KEY" or args.message contains "BEGIN RSA PRIVATE KEY"`,
		`args.message == "` + forbidden + `"`,
	}
	for n := range ruleCount {
		tool, when := toolName(1+n%(serverTools-1)), `args.message contains "never"`
		if n < rulesOnEcho {
			tool, when = toolName(0), conditions[n]
		}
		fmt.Fprintf(&s, "  - { name: rule %d, tools: [\"bench.%s\"], when: '%s', then: deny }\n", n+1, tool, when)
	}
	return path, auditFile, os.WriteFile(path, []byte(s.String()), 0o600)
}

// references returns YAML that names all secrets, for env or for headers.
func references(key string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "    %s: { ", key)
	for n := range secretCount {
		if n > 0 {
			s.WriteString(", ")
		}
		name := fmt.Sprintf("TOKEN_%d", n)
		if key == "headers" {
			name = fmt.Sprintf("X-Token-%d", n)
		}
		fmt.Fprintf(&s, `%s: "${env:%s%d}"`, name, secretPrefix, n)
	}
	return s.String() + " }\n"
}

// stdioServer is the server as a child of the firewall.
func (b *bench) stdioServer(e era, extra ...string) string {
	args := append([]string{"serve-stdio", "-era", string(e)}, extra...)
	return fmt.Sprintf("    command: %q\n    args: %s\n%s", b.self, fmt.Sprintf("[%s]", quoteAll(args)), references("env"))
}

// httpServer is the server at a URL.
func httpServer(url string) string {
	return fmt.Sprintf("    url: %q\n%s", url, references("headers"))
}

func quoteAll(args []string) string {
	var quoted []string
	for _, a := range args {
		quoted = append(quoted, fmt.Sprintf("%q", a))
	}
	return strings.Join(quoted, ", ")
}
