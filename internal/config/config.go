// Package config reads the one YAML file that says what the firewall does:
// which servers stand behind it, what the agent may do with them, and where
// records go. The package decides nothing itself; it hands checked values to
// the relay, the rules and the vault.
//
// The file is read strictly. An unknown key, a wrong type, a duplicate, an
// anchor or a second document is a problem, every problem is reported at once
// with its file, line, column and source line, and with a problem there is no
// configuration that could be used:
//
//	cfg, err := config.Open(flag) // --config, $MCPFIREWALL_CONFIG, the user's folder, ./mcpfirewall.yaml
//	if err != nil {
//		fmt.Fprintln(os.Stderr, err) // config.Problems prints itself for people
//		os.Exit(1)
//	}
//
// Packages that find a problem later, in a rule or in a reference, report it
// in the same form with [Config.Problem].
//
// The Go types below are the only description of the file. The decoder, the
// JSON Schema ([Schema]) and the reference page ([Markdown]) are all made from
// their tags and from the table of texts in keys.go.
package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

// Tags of the fields, read by fieldsOf:
//
//	key      the name in the file
//	default  the value when the key is absent, as it would stand in the file
//	enum     the words allowed, separated by commas; a bool is true for the second
//	min, max bounds of a duration or a size
//	as       "size": bytes; "path": ~ and relative paths are resolved;
//	         "decimal": an exact number; "field": a pattern may name a field;
//	         "any": one word stands for a mapping of "*" to it
//	check    a function of check.go that every text must pass
//	with     the sibling key without which this one makes no sense
//	opt      "required"; "ref": may hold ${...}; "secret": never shown in a
//	         message; "nonempty": an empty text or list is a problem

// Config is one configuration, complete: defaults are filled in and paths are
// absolute. It is not changed after it was made and may be shared.
type Config struct {
	Version   int       `key:"version" enum:"1" opt:"required"`
	Naming    Naming    `key:"naming" enum:"auto,always,never" default:"auto"`
	Servers   []Server  `key:"servers" check:"server"` // sorted by name
	Tools     Tools     `key:"tools"`
	Resources Patterns  `key:"resources"`
	Prompts   Patterns  `key:"prompts"`
	Rules     []Rule    `key:"rules"`  // those of the presets after the file's own
	Limits    []Limit   `key:"limits"` // likewise
	Labels    Labels    `key:"labels"`
	Redact    Redact    `key:"redact"`
	Use       []string  `key:"use" check:"preset"`
	Methods   Methods   `key:"methods"`
	Approvals Approvals `key:"approvals"`
	Vault     *Vault    `key:"vault"` // nil when the file has no such section
	Audit     Audit     `key:"audit"`
	State     State     `key:"state"`
	Listen    Listen    `key:"listen"`

	// Path is the absolute path of the file, "" when there is none.
	Path string
	// Digest is that of the file, as [Trust] records it.
	Digest string

	trusted bool // the file is used because it was trusted
	src     *source
	nodes   map[string]place
	wrong   Problems
	wrongAt []int // where they are, in bytes
}

// atStart are the sections that are read when the firewall starts, and only then.
var atStart = []string{"vault", "audit", "state", "listen"}

// NeedsRestart names what of another configuration only a new start can put in force.
func (c *Config) NeedsRestart(other *Config) (changed []string) {
	for _, f := range fieldsOf(reflect.TypeFor[Config]()) {
		section := func(c *Config) any { return reflect.ValueOf(c).Elem().FieldByIndex(f.index).Interface() }
		if slices.Contains(atStart, f.key) && !reflect.DeepEqual(section(c), section(other)) {
			changed = append(changed, f.key)
		}
	}
	if c.Path != other.Path {
		changed = append(changed, "the file that is used, "+filepath.Base(other.Path))
	}
	return changed
}

// Naming says how the capabilities of the servers are called toward the client.
type Naming string

// The values of [Naming].
const (
	NamingAuto   Naming = "auto"   // server__name as soon as there are two servers
	NamingAlways Naming = "always" // always server__name
	NamingNever  Naming = "never"  // always the server's own name
)

// Server is one MCP server behind the firewall. Exactly one of Command and URL
// is set. References such as ${vault:secret/github#token} stand as written in
// Args, Env, URL, Headers and Inject.
type Server struct {
	Name string // the key under servers

	Command string            `key:"command" as:"command" opt:"nonempty"`
	Args    []string          `key:"args" with:"command" opt:"ref"`
	Env     map[string]string `key:"env" with:"command" check:"env" opt:"ref,secret"`
	Cwd     string            `key:"cwd" with:"command" as:"path"` // absolute; "" for a URL

	URL       string            `key:"url" check:"url" opt:"ref"`
	Transport string            `key:"transport" with:"url" enum:"http,sse"` // "" for a command
	Headers   map[string]string `key:"headers" with:"url" check:"header" opt:"ref,secret"`
	OAuth     *OAuth            `key:"oauth" with:"url"` // nil when the server has no such section

	Timeout          time.Duration `key:"timeout" default:"30s" min:"1ms" max:"24h"`
	Sampling         bool          `key:"sampling" enum:"deny,allow" default:"deny"`
	Elicitation      bool          `key:"elicitation" enum:"deny,allow" default:"allow"`
	ElicitationHosts []string      `key:"elicitation_hosts" check:"host"`
	Roots            bool          `key:"roots" enum:"deny,allow" default:"allow"`
	Shared           bool          `key:"shared" default:"false"`
	Arguments        Arguments     `key:"arguments" default:"declared" check:"pattern"`
	MaxMessage       int64         `key:"max_message" as:"size" default:"32MiB" min:"1KiB" max:"1GiB"` // bytes
	Protocol         string        `key:"protocol" enum:"auto,modern,legacy" default:"auto"`

	Inject []Injection `key:"inject" check:"value" opt:"ref,secret"` // sorted by tool and argument
}

// Arguments says which tools of a server take arguments that their schema does
// not declare. The zero value is the default: none.
type Arguments struct {
	Open      bool     // every tool
	OpenTools []string // the tools that match one of these patterns
}

// OAuth says how access tokens for a server are obtained. References stand as written
// in ClientID, ClientSecret, PrivateKey and RefreshToken.
type OAuth struct {
	Grant        string   `key:"grant" enum:"client_credentials,refresh_token" opt:"required"`
	ClientID     string   `key:"client_id" opt:"required,ref,nonempty"`
	ClientSecret string   `key:"client_secret" check:"reference" opt:"ref,secret"`
	PrivateKey   string   `key:"private_key" check:"reference" opt:"ref,secret"`
	RefreshToken string   `key:"refresh_token" check:"reference" opt:"ref,secret"`
	Scopes       []string `key:"scopes" check:"scope"`
	Issuer       string   `key:"issuer" check:"address"`
	TokenURL     string   `key:"token_url" check:"address"`
	Resource     string   `key:"resource" check:"resource"` // a URI, "none", or "" for the server's own
	Auth         string   `key:"auth" enum:"basic,post,none,private_key_jwt"`
	AllowPrivate bool     `key:"allow_private" default:"false"`
}

// Methods opens the relay to methods that it does not know.
type Methods struct {
	Allow []string `key:"allow" check:"method"`
}

// Approvals says how a person is asked.
type Approvals struct {
	Via     []string      `key:"via" enum:"elicitation" default:"elicitation" opt:"nonempty"`
	Timeout time.Duration `key:"timeout" default:"5m" min:"1ms" max:"24h"`
}

// Audit says where the records go.
type Audit struct {
	File string `key:"file" as:"path"`
}

// State says where the firewall keeps what must outlive it.
type State struct {
	Path string `key:"path" as:"path"`
}

// Listen configures the HTTP front of `mcpfirewall serve`.
type Listen struct {
	Address       string        `key:"address" check:"listen" default:"127.0.0.1:8750"`
	Hosts         []string      `key:"hosts" check:"host"`
	Origins       []string      `key:"origins" check:"origin"`
	MaxRequest    int64         `key:"max_request" as:"size" default:"8MiB" min:"1KiB" max:"1GiB"` // bytes
	ShutdownGrace time.Duration `key:"shutdown_grace" default:"10s" min:"0s" max:"1h"`
}

// Wrap returns the configuration of `mcpfirewall wrap -- COMMAND`: one server
// in the current folder, everything that it offers allowed under its own name.
// State.Path and Audit.File are empty where the system has no home folder.
func Wrap(command string, args []string) *Config {
	cfg := withDefaults()
	cfg.Version = 1
	cfg.Naming = NamingNever
	cfg.Tools.Default, cfg.Resources.Default, cfg.Prompts.Default = "allow", "allow", "allow"

	server := defaultServer(wrapName(command))
	server.Command = command
	server.Args = args
	server.Cwd, _ = os.Getwd() // "" makes the child inherit the folder, which is the same one
	cfg.Servers = []Server{server}

	if dir, err := state.DefaultDir(); err == nil {
		cfg.State.Path = dir
		cfg.Audit.File = filepath.Join(dir, auditName)
	}
	return cfg
}

const auditName = "audit.jsonl"

// wrapName makes a server's name of a command: /usr/bin/My_Server.exe becomes
// my-server.
func wrapName(command string) string {
	base := command[strings.LastIndexAny(command, `/\`)+1:]
	if ext := filepath.Ext(base); len(ext) < len(base) {
		base = strings.TrimSuffix(base, ext)
	}
	var name strings.Builder
	for _, r := range strings.ToLower(base) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			name.WriteRune(r)
		} else if s := name.String(); s != "" && !strings.HasSuffix(s, "-") {
			name.WriteByte('-')
		}
	}
	s := strings.Trim(name.String(), "-")
	if s == "" {
		return "server"
	}
	return s[:min(len(s), maxName)]
}
