package config

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

// home gives the test a home folder of its own, and so default paths.
func home(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", dir)
	t.Setenv("USERPROFILE", dir)
	t.Setenv("AppData", filepath.Join(dir, "AppData"))
	t.Setenv("LocalAppData", filepath.Join(dir, "LocalAppData"))
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
	t.Setenv("MCPFIREWALL_CONFIG", "")
	return dir
}

func parse(t *testing.T, name, text string) *Config {
	t.Helper()
	cfg, err := Parse(name, []byte(text))
	if err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
	return cfg
}

// plain returns the configuration without what only messages need.
func plain(c *Config) Config {
	p := *c
	p.Digest, p.trusted, p.src, p.nodes = "", false, nil, nil
	return p
}

func TestParse(t *testing.T) {
	dir := home(t)
	cfg := parse(t, filepath.Join(dir, "mcpfirewall.yaml"), `
version: 1
naming: never
servers:
  web:
    url: https://${env:HOST}/mcp
    transport: sse
    headers: { Authorization: "Bearer ${vault:secret/crm#api_key}" }
    sampling: allow
    elicitation: deny
    roots: deny
    shared: true
    arguments: open
    max_message: 4096
    protocol: modern
    timeout: 1m30s
  files:
    command: ./bin/files
    args: [--root, ~/x, "${file:/run/x}"]
    env: { http_proxy: a, HTTP_PROXYX: "" }
    cwd: sub/../work
    inject: { key: "${vault:secret/files#key}", "write_*": { tenant: acme, Key: "${vault:users/{user.subject}#key}" } }
    arguments: ["search_*"]
    max_message: 4MB
tools: { default: ask, allow: ["a.*"], ask: ["b.*"], deny: ["c.*"] }
resources: { default: allow }
rules:
  - { name: one, tools: ["a.*", "b.*"], when: args.x > 1, then: ask, message: Why. }
  - { name: two, tools: ["*"], then: deny }
redact:
  secrets: block
  rules: { generic-api-key: allow, cookie: hash }
  pii: { ssn: mask, "*": tokenize }
  custom: [{ name: employee id, pattern: 'EMP-\d{6}', then: tokenize }, { name: b, pattern: "(?m)^x$" }]
  allow: { values: [a@example.com], patterns: ['.*@example\.com$'] }
  tools: [{ tools: ["crm.*"], secrets: mask, pii: allow, custom: hash }]
  restore: [mail.send]
  arguments: [{ tools: [mail.send, "web.*"], secrets: deny, pii: { iban: ask }, custom: mask }, { tools: ["*"], pii: deny }]
  time: 10ms
methods: { allow: [custom/search] }
approvals: { via: [elicitation], timeout: 90s }
vault:
  address: https://vault.example.com
  namespace: team
  ca_cert: ~/ca.pem
  ca_path: ca
  client_cert: c.pem
  client_key: k.pem
  tls_server_name: vault.internal
  auth:
    method: approle
    mount: team/approle
    namespace: admin
    role: app
    role_id: "${env:ROLE}"
    secret_id: "${file:~/id}"
    secret_id_wrapped: true
state: { path: ~/st }
listen: { address: "[::1]:0", hosts: [a.example.com], origins: ["https://a.example.com:8443"], max_request: 1KiB, shutdown_grace: 0s }
`)
	want := Config{
		Version: 1,
		Naming:  NamingNever,
		Servers: []Server{{
			Name:        "files",
			Command:     filepath.Join(dir, "bin", "files"),
			Args:        []string{"--root", "~/x", "${file:/run/x}"},
			Env:         map[string]string{"http_proxy": "a", "HTTP_PROXYX": ""},
			Cwd:         filepath.Join(dir, "work"),
			Timeout:     30 * time.Second,
			Elicitation: true,
			Roots:       true,
			Arguments:   Arguments{OpenTools: []string{"search_*"}},
			MaxMessage:  4_000_000,
			Protocol:    "auto",
			Inject: []Injection{
				{Argument: "key", Text: "${vault:secret/files#key}"},
				{Tool: "write_*", Argument: "Key", Text: "${vault:users/{user.subject}#key}"},
				{Tool: "write_*", Argument: "tenant", Text: "acme"},
			},
		}, {
			Name:       "web",
			URL:        "https://${env:HOST}/mcp",
			Transport:  "sse",
			Headers:    map[string]string{"Authorization": "Bearer ${vault:secret/crm#api_key}"},
			Timeout:    90 * time.Second,
			Sampling:   true,
			Shared:     true,
			Arguments:  Arguments{Open: true},
			MaxMessage: 4096,
			Protocol:   "modern",
		}},
		Tools:     Tools{Patterns: Patterns{Default: "ask", Allow: []string{"a.*"}, Ask: []string{"b.*"}, Deny: []string{"c.*"}}},
		Resources: Patterns{Default: "allow"},
		Prompts:   Patterns{Default: "deny"},
		Rules: []Rule{
			{Name: "one", Tools: []string{"a.*", "b.*"}, When: "args.x > 1", On: "call", Then: "ask", Message: "Why."},
			{Name: "two", Tools: []string{"*"}, On: "call", Then: "deny"},
		},
		Redact: Redact{
			Secrets: "block",
			Rules:   map[string]string{"generic-api-key": "allow", "cookie": "hash"},
			PII:     map[string]string{"ssn": "mask", "*": "tokenize"},
			Custom:  []RedactCustom{{"employee id", `EMP-\d{6}`, "tokenize"}, {"b", "(?m)^x$", "mask"}},
			Allow:   RedactAllow{Values: []string{"a@example.com"}, Patterns: []string{`.*@example\.com$`}},
			Tools:   []RedactTools{{[]string{"crm.*"}, "mask", map[string]string{"*": "allow"}, "hash"}},
			Restore: []string{"mail.send"},
			Arguments: []RedactArguments{
				{[]string{"mail.send", "web.*"}, "deny", map[string]string{"iban": "ask"}, "mask"},
				{[]string{"*"}, "", map[string]string{"*": "deny"}, ""},
			},
			Time: 10 * time.Millisecond,
		},
		Methods:   Methods{Allow: []string{"custom/search"}},
		Approvals: Approvals{Via: []string{"elicitation"}, Timeout: 90 * time.Second},
		Vault: &Vault{
			Address:   "https://vault.example.com",
			Namespace: "team",
			CACert:    filepath.Join(dir, "ca.pem"),
			CAPath:    filepath.Join(dir, "ca"), ClientCert: filepath.Join(dir, "c.pem"), ClientKey: filepath.Join(dir, "k.pem"),
			TLSServerName: "vault.internal",
			Auth: VaultAuth{
				Method: "approle", Mount: "team/approle", Namespace: "admin", Role: "app",
				RoleID: "${env:ROLE}", SecretID: "${file:~/id}", SecretIDWrapped: true,
			},
		},
		Audit: Audit{File: filepath.Join(dir, "st", "audit.jsonl")},
		State: State{Path: filepath.Join(dir, "st")},
		Listen: Listen{
			Address:    "[::1]:0",
			Hosts:      []string{"a.example.com"},
			Origins:    []string{"https://a.example.com:8443"},
			MaxRequest: 1024,
		},
		Path: filepath.Join(dir, "mcpfirewall.yaml"),
	}
	if got := plain(cfg); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDefaults(t *testing.T) {
	dir := home(t)
	cfg := parse(t, filepath.Join(dir, "f.yaml"), "\ufeffversion: 1\r\nservers: { a: { command: x }, b: { url: 'http://127.0.0.1:1/' } }\r\n")
	want := Config{
		Version: 1,
		Naming:  NamingAuto,
		Servers: []Server{
			{Name: "a", Command: "x", Cwd: dir, Timeout: 30 * time.Second, Elicitation: true, Roots: true, MaxMessage: 32 << 20, Protocol: "auto"},
			{Name: "b", URL: "http://127.0.0.1:1/", Transport: "http", Timeout: 30 * time.Second, Elicitation: true, Roots: true, MaxMessage: 32 << 20, Protocol: "auto"},
		},
		Tools:     Tools{Patterns: Patterns{Default: "deny"}},
		Resources: Patterns{Default: "deny"},
		Prompts:   Patterns{Default: "deny"},
		Redact:    Redact{Secrets: "mask", Time: 2 * time.Second},
		Approvals: Approvals{Via: []string{"elicitation"}, Timeout: 5 * time.Minute},
		Audit:     Audit{File: filepath.Join(dir, "state", "mcpfirewall", "audit.jsonl")},
		State:     State{Path: filepath.Join(dir, "state", "mcpfirewall")},
		Listen:    Listen{Address: "127.0.0.1:8750", MaxRequest: 8 << 20, ShutdownGrace: 10 * time.Second},
		Path:      filepath.Join(dir, "f.yaml"),
	}
	if got := plain(cfg); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestWrap(t *testing.T) {
	dir := home(t)
	t.Chdir(dir)
	got := plain(Wrap("/usr/bin/My_Server.exe", []string{"-x"}))
	want := Config{
		Version: 1,
		Naming:  NamingNever,
		Servers: []Server{{
			Name: "my-server", Command: "/usr/bin/My_Server.exe", Args: []string{"-x"}, Cwd: dir,
			Timeout: 30 * time.Second, Elicitation: true, Roots: true, MaxMessage: 32 << 20, Protocol: "auto",
		}},
		Tools:     Tools{Patterns: Patterns{Default: "allow"}},
		Resources: Patterns{Default: "allow"},
		Prompts:   Patterns{Default: "allow"},
		Redact:    Redact{Secrets: "mask", Time: 2 * time.Second},
		Approvals: Approvals{Via: []string{"elicitation"}, Timeout: 5 * time.Minute},
		Audit:     Audit{File: filepath.Join(dir, "state", "mcpfirewall", "audit.jsonl")},
		State:     State{Path: filepath.Join(dir, "state", "mcpfirewall")},
		Listen:    Listen{Address: "127.0.0.1:8750", MaxRequest: 8 << 20, ShutdownGrace: 10 * time.Second},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if p := Wrap("x", nil).Problem("servers.x.args[0]", 3, "bad", "good"); p.String() != "servers.x.args[0]: bad\ndid you mean \"good\"?" {
		t.Errorf("a problem without a file prints as %q", p.String())
	}
}

func TestWrapName(t *testing.T) {
	for command, want := range map[string]string{
		"npx":                    "npx",
		"/opt/a b/server.py":     "server",
		`C:\bin\Files__X.EXE`:    "files-x",
		"./.hidden":              "hidden",
		"_-é-_":                  "server",
		"":                       "server",
		strings.Repeat("ab", 99): strings.Repeat("ab", 32),
	} {
		got := wrapName(command)
		if got != want {
			t.Errorf("wrapName(%q) = %q, want %q", command, got, want)
		}
		if wrong, _ := checkServerName(got); wrong != "" {
			t.Errorf("wrapName(%q) = %q, which no file may use: %s", command, got, wrong)
		}
	}
}

func TestDefaultState(t *testing.T) {
	dir := home(t)
	for _, relative := range []string{"", "not/absolute"} {
		t.Setenv("XDG_STATE_HOME", relative)
		got, err := state.DefaultDir()
		want := map[string]string{
			"windows": filepath.Join(dir, "LocalAppData", "mcpfirewall"),
			"darwin":  filepath.Join(dir, "Library", "Application Support", "mcpfirewall"),
		}[runtime.GOOS]
		if want == "" {
			want = filepath.Join(dir, ".local", "state", "mcpfirewall")
		}
		if err != nil || got != want {
			t.Errorf("with XDG_STATE_HOME=%q: %q, %v, want %q", relative, got, err, want)
		}
	}

	t.Setenv("HOME", "")
	t.Setenv("USERPROFILE", "")
	t.Setenv("LocalAppData", "")
	if _, err := Parse("f", []byte("version: 1\n")); err == nil || !strings.HasPrefix(err.Error(), "f:1:1: state.path is missing, and there is no default") {
		t.Errorf("without a home folder: %v", err)
	}
	if _, err := Parse("f", []byte("version: 1\nstate: { path: "+filepath.ToSlash(dir)+" }\n")); err != nil {
		t.Errorf("with a state.path: %v", err)
	}
	if _, err := Parse("f", []byte("version: 1\nstate: { path: ~/x }\n")); err == nil || !strings.Contains(err.Error(), "there is no home folder") {
		t.Errorf("with ~ and no home folder: %v", err)
	}
	if cfg := Wrap("x", nil); cfg.State.Path != "" || cfg.Audit.File != "" {
		t.Errorf("Wrap invents the paths %q and %q", cfg.State.Path, cfg.Audit.File)
	}
}

func TestValues(t *testing.T) {
	durations := []struct {
		text string
		want time.Duration // -1: wrong
	}{
		{"30s", 30 * time.Second}, {"1h30m", 90 * time.Minute}, {"1.5s", 1500 * time.Millisecond}, {"0s", 0},
		{"0", -1}, {"30", -1}, {"", -1}, {"-1s", -1}, {"+1s", -1}, {"1 s", -1}, {"1d", -1}, {"9999999h", -1},
	}
	for _, tt := range durations {
		got, wrong := parseDuration(tt.text)
		if (wrong != "") != (tt.want < 0) || wrong == "" && got != tt.want {
			t.Errorf("parseDuration(%q) = %v, %q", tt.text, got, wrong)
		}
	}
	sizes := []struct {
		text string
		want int64
	}{
		{"4096", 4096}, {"1B", 1}, {"2KB", 2000}, {"2KiB", 2048}, {"32MiB", 32 << 20}, {"4MB", 4e6}, {"1GB", 1e9}, {"1GiB", 1 << 30}, {"0", 0},
		{"", -1}, {"MiB", -1}, {"-1", -1}, {"1.5MiB", -1}, {"1 MiB", -1}, {"1mib", -1}, {"0x10", -1}, {"1_000", -1},
		{"9223372036854775807", 1<<63 - 1}, {"9223372036854775808", -1}, {"9007199254740993KiB", -1},
	}
	for _, tt := range sizes {
		got, wrong := parseSize(tt.text)
		if (wrong != "") != (tt.want < 0) || wrong == "" && got != tt.want {
			t.Errorf("parseSize(%q) = %v, %q", tt.text, got, wrong)
		}
	}
	suggestions := []struct {
		kind       kind
		text, want string
	}{
		{kindDuration, "30", "30s"}, {kindDuration, "5 Minutes", "5m"}, {kindDuration, "2d", "48h"}, {kindDuration, "soon", ""}, {kindDuration, "1 year", ""},
		{kindSize, "32 mib", "32MiB"}, {kindSize, "4m", "4MiB"}, {kindSize, "4mb", "4MB"}, {kindSize, "big", ""},
	}
	for _, tt := range suggestions {
		got := suggestValue(tt.kind, tt.text)
		if got != tt.want {
			t.Errorf("suggestValue(%d, %q) = %q, want %q", tt.kind, tt.text, got, tt.want)
		}
	}
}

// TestOffsets checks that a byte of a value is found in the file again,
// however the value is written.
func TestOffsets(t *testing.T) {
	tests := []struct {
		name, source string
		value        string
		find         string // the byte of the value where this begins...
		line, column int    // ...is here
	}{
		{"plain", "a.x > 10 and é.y", "", "y", 5, 26},
		{"plain, folded", "aaa\n      bbb\n\n      ccc ddd", "aaa bbb\nccc ddd", "ddd", 8, 11},
		{"single quotes", "'it''s and that''s y'", "it's and that's y", "y", 5, 30},
		{"double quotes", `"\x41\u00e9\"\\ \t/ y"`, "Aé\"\\ \t/ y", "y", 5, 31},
		{"double quotes, folded", "\"aa \\\n      bb\n\n      cc\\n dd\"", "aa bb\ncc\n dd", "dd", 8, 12},
		{"astral", `"\U0001F600 y"`, "😀 y", "y", 5, 23},
		{"literal", "|\n      aa\n        bb\n\n      cc y\n", "aa\n  bb\n\ncc y\n", "y", 9, 10},
		{"literal, indented and stripped", "|2-\n        aa\n        y", "  aa\n  y", "y", 7, 9},
		{"folded", "> # why\n      aa\n      bb\n\n      cc y\n", "aa bb\ncc y\n", "y", 9, 10},
		{"second byte of a character", "é y", "", "\xa9", 5, 11},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := "version: 1\nrules:\n  - name: a\n    tools: [x]\n    when: " + tt.source + "\n    then: ask\n"
			cfg := parse(t, "f", text)
			value := cfg.Rules[0].When
			if tt.value != "" && value != tt.value {
				t.Fatalf("the value is %q, want %q", value, tt.value)
			}
			p := cfg.Problem("rules[0].when", strings.Index(value, tt.find), "m", "s")
			if p.Line != tt.line || p.Column != tt.column {
				t.Errorf("%q is at %d:%d, want %d:%d\n%s", tt.find, p.Line, p.Column, tt.line, tt.column, p)
			}
			end := cfg.Problem("rules[0].when", len(value), "m", "")
			if end.Line < p.Line || end.Line == p.Line && end.Column < p.Column {
				t.Errorf("the end is at %d:%d, before %d:%d", end.Line, end.Column, p.Line, p.Column)
			}
		})
	}
}

func TestProblem(t *testing.T) {
	cfg := parse(t, "dir/f.yaml", `version: 1
servers:
  a:
    command: x
    args: [p, "${env:X}"]
    env: { A.B: "hunter2 ${vault:x}" }
tools:
  allow: ["a.*",
    "b.*"]
rules:
  - name: a
    tools: [x]
    then: ask
`)
	tests := []struct {
		path         string
		offset       int
		line, column int
	}{
		{"servers.a.args[1]", 2, 5, 18},
		{"servers.a.args[1]", 999, 5, 24},
		{"servers.a.args[1]", -1, 5, 16},
		{"servers.a.env.A.B", 8, 6, 26},
		{"servers.a.env.A.C", 0, 6, 5}, // the nearest that there is
		{"tools.allow[1]", 2, 9, 8},
		{"tools.allow[7]", 0, 8, 3},
		{"tools.deny", 0, 7, 1},
		{"rules[0]", 3, 11, 5},
		{"rules[0].when", 3, 11, 5},
		{"rules", 0, 10, 1},
		{"nothing.like.it", 0, 1, 1},
		{"", 0, 1, 1},
	}
	for _, tt := range tests {
		p := cfg.Problem(tt.path, tt.offset, "m", "s")
		if p.Line != tt.line || p.Column != tt.column || p.File != "dir/f.yaml" || p.Message != "m" || p.Suggestion != "s" {
			t.Errorf("%s+%d is %+v, want %d:%d", tt.path, tt.offset, p, tt.line, tt.column)
		}
		if strings.Contains(p.Source, "hunter2") {
			t.Errorf("a secret is shown: %s", p.Source)
		}
	}

	p := cfg.Problem("tools.allow[0]", 0, "matches no tool", "")
	p.Warning = true
	want := "dir/f.yaml:8:12: warning: matches no tool\n  8 |   allow: [\"a.*\",\n    |            ^"
	if p.String() != want {
		t.Errorf("got\n%s\nwant\n%s", p, want)
	}
}

// TestProblemComment holds that an expression which a comment cuts off is told of it.
func TestProblemComment(t *testing.T) {
	for when, cut := range map[string]bool{
		"any(args.to, # != nil)":   true,
		"any(args.to, #!= nil)":    true,
		`"any(args.to, # != nil)"`: false,
		"any(args.to,":             false,
	} {
		cfg := parse(t, "f.yaml", "version: 1\nservers: { a: { command: x } }\nrules:\n  - name: a\n    tools: [a.x]\n    when: "+when+"\n    then: ask\n")
		end := len(cfg.Rules[0].When)
		if p := cfg.Problem("rules[0].when", end, "m", ""); strings.Contains(p.Message, "comment in YAML") != cut {
			t.Errorf("%s: %s", when, p.Message)
		}
		if p := cfg.Problem("rules[0].when", 2, "m", ""); p.Message != "m" {
			t.Errorf("%s: %s", when, p.Message)
		}
	}
}

func TestProblemTab(t *testing.T) {
	p := Problem{File: "f", Line: 12, Column: 4, Source: "a\tbc", Message: "m"}
	if got, want := p.String(), "f:12:4: m\n  12 | a\tbc\n     |  \t ^"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMain(m *testing.M) {
	// A umask of 002 or 000 would make the files of the tests writable by others.
	restrictNewFiles()
	os.Exit(m.Run())
}
