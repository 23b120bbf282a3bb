package preset_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/internal/preset"
	"github.com/mcpfirewall/mcpfirewall/rules"
	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

var update = flag.Bool("update", false, "write docs/presets.md")

func TestMarkdownIsCommitted(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "presets.md")
	got := preset.Markdown()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what the presets say now; if that is right, run the test with -update", path)
	}
}

// use returns a configuration with nothing but one preset.
func use(t *testing.T, name string) *config.Config {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	cfg, err := config.Parse("", fmt.Appendf(nil, "version: 1\nuse: [%s]\n", name))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestPresets(t *testing.T) {
	if len(preset.Names()) < 9 {
		t.Errorf("there are only %v", preset.Names())
	}
	for _, name := range preset.Names() {
		t.Run(name, func(t *testing.T) {
			cfg := use(t, name)
			text, ok := preset.Text(name)
			if !ok || !strings.HasPrefix(text, "# "+name+": ") {
				t.Errorf("the head does not begin with the name: %.60q", text)
			}
			if !regexp.MustCompile(`\n# (Stops|Asks about|Marks)`).MatchString(text) || !regexp.MustCompile(`\n# Does not (stop|mark): `).MatchString(text) {
				t.Error("the head does not say what the preset stops and what it does not")
			}
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "#") && len(line) > 82 {
					t.Errorf("a line of the head is too long: %s", line)
				}
			}
			for i, r := range cfg.Rules {
				if r.Preset != name || !strings.HasPrefix(r.Name, name+": ") {
					t.Errorf("rule %d is called %q, of the preset %q", i, r.Name, r.Preset)
				}
				if r.Then == "deny" && r.Message == "" {
					t.Errorf("the rule %q tells the agent nothing", r.Name)
				}
				if _, err := expr.Compile(r.When); err != nil {
					t.Errorf("the rule %q: %v", r.Name, err)
				}
				if p := cfg.Problem(fmt.Sprintf("rules[%d].when", i), 0, "m", ""); p.File != "preset "+name || p.Line < 2 {
					t.Errorf("a problem in the rule %q is at %s:%d", r.Name, p.File, p.Line)
				}
			}
			if len(cfg.Rules)+len(cfg.Labels.External) == 0 {
				t.Error("it is empty")
			}
			for label, patterns := range cfg.Labels.All() {
				for i, p := range patterns {
					if p.Preset != name {
						t.Errorf("labels.%s[%d] is of the preset %q", label, i, p.Preset)
					}
				}
			}
		})
	}
	if text, ok := preset.Text("../preset"); ok || text != "" {
		t.Error("there is a preset outside of the folder")
	}
}

// testCase is one call of testdata, and what a preset decides on it where the
// patterns allow everything.
type testCase struct {
	Call        string          // server.tool
	Args        map[string]any  //
	Schema      map[string]any  // of the tool, empty for one that takes anything
	Annotations map[string]bool // of the tool
	Labels      []string        // of the tool
	Session     []string        // labels of the session
	Tainted     []string        // values that only untrusted results have shown
	Expect      string          // allow, ask or deny
	Rule        string          // the rule that decides, "" where one fails on a value that cannot be parsed
}

// secretText is what SECRET stands for in a case: a text with a credential.
const secretText = "the key is hunter2hunter2"

// decide evaluates a preset on a call.
func decide(t *testing.T, cfg *config.Config, c testCase, project string) (action, rule string) {
	t.Helper()
	with := *cfg
	with.Tools.Default = "allow"
	with.Labels.Own = maps.Clone(cfg.Labels.Own)
	for _, label := range c.Labels {
		pattern := []config.LabelPattern{{Pattern: "*"}}
		switch label {
		case "external":
			with.Labels.External = pattern
		case "private":
			with.Labels.Private = pattern
		case "untrusted":
			with.Labels.Untrusted = pattern
		default:
			if with.Labels.Own == nil {
				with.Labels.Own = map[string][]config.LabelPattern{}
			}
			with.Labels.Own[label] = pattern
		}
	}
	compiled, err := policy.Compile(&with)
	if err != nil {
		t.Fatal(err)
	}
	args, err := json.Marshal(c.Args)
	if err != nil {
		t.Fatal(err)
	}
	args = bytes.ReplaceAll(args, []byte("PROJECT"), []byte(project))
	args = bytes.ReplaceAll(args, []byte("SECRET"), []byte(secretText))
	annotations, err := json.Marshal(c.Annotations)
	if err != nil {
		t.Fatal(err)
	}
	memory := provenance.New(provenance.Options{})
	for _, v := range c.Tainted {
		memory.Text(provenance.Observation{Source: "web.fetch", Trust: provenance.Untrusted}, v)
	}
	server, tool, _ := strings.Cut(c.Call, ".")
	d := compiled.Bind(rules.Capability{Kind: rules.Tool, Server: server, Name: tool, Annotations: annotations, Dir: project}).Decide(rules.Call{
		Args: args, Session: rules.Session{Labels: c.Session},
		Knowledge: rules.Knowledge{Memory: memory, History: &rules.History{}, Secret: func(s string) (bool, error) { return strings.Contains(s, secretText), nil }}})
	return d.Action.String(), d.Rule
}

// newProject makes the folder that the cases of the preset paths speak of.
func newProject(t *testing.T) string {
	t.Helper()
	project := filepath.Join(t.TempDir(), "project")
	for _, dir := range []string{"sub", ".ssh"} {
		if err := os.MkdirAll(filepath.Join(project, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"out": "..", "inside": "sub", "key": ".ssh/id_rsa"} {
		if err := os.Symlink(target, filepath.Join(project, link)); err != nil {
			t.Skipf("SKIP the cases of presets: this system makes no symbolic links for this user: %v", err)
		}
	}
	if err := os.WriteFile(filepath.Join(project, ".ssh", "id_rsa"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return project
}

func TestCases(t *testing.T) {
	project := newProject(t)
	for _, name := range preset.Names() {
		cfg := use(t, name)
		if len(cfg.Rules) == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var cases []testCase
			dec := yaml.NewDecoder(bytes.NewReader(data))
			dec.KnownFields(true)
			if err := dec.Decode(&cases); err != nil {
				t.Fatal(err)
			}
			reached := make(map[string]bool)
			for i, c := range cases {
				reached[c.Rule] = true
				server, tool, _ := strings.Cut(c.Call, ".")
				known := slices.ContainsFunc(cfg.Rules, func(r config.Rule) bool { return r.Name == name+": "+c.Rule && r.Then == c.Expect })
				if server == "" || tool == "" || !slices.Contains([]string{"allow", "ask", "deny"}, c.Expect) || c.Rule != "" && !known || c.Rule == "" && c.Expect == "ask" {
					t.Errorf("case %d makes no sense: %+v", i, c)
				}
				action, rule := decide(t, cfg, c, project)
				if action != c.Expect || c.Rule != "" && rule != name+": "+c.Rule {
					t.Errorf("case %d, %+v: %s by the rule %q", i, c, action, rule)
				}
			}
			for _, r := range cfg.Rules {
				if !reached[strings.TrimPrefix(r.Name, name+": ")] {
					t.Errorf("no case reaches the rule %q", r.Name)
				}
			}
			if !reached[""] && !slices.ContainsFunc(cases, func(c testCase) bool { return c.Expect == "allow" }) {
				t.Error("no case is allowed")
			}
		})
	}
}
