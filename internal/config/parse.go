package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
	"go.yaml.in/yaml/v3"
)

// maxFile bounds the file, in bytes. The largest policies people write are a
// few dozen KiB.
const maxFile = 1 << 20

// Parse reads a configuration from its text. The name is the file's path: it
// stands in messages, and relative paths in the file count from its folder, or
// from the current folder if name is "". The error is of type [Problems].
//
// Where there is a tree of keys in spite of the problems, what could be read of it is
// returned with them: not to be used, but for others to find what else is wrong. See
// [Config.Wrong].
func Parse(name string, data []byte) (*Config, error) {
	shownAs := name
	if name == "" {
		shownAs = "configuration"
	}
	src := newSource(shownAs, strings.TrimPrefix(string(data), "\ufeff"))
	if len(data) > maxFile {
		return nil, Problems{src.problemAt(0, fmt.Sprintf("the file is larger than %d bytes", maxFile), "")}
	}
	if p, ok := src.checkText(); !ok {
		src.lax = true
		return nil, Problems{src.problemAt(src.offset(p.Line, p.Column), p.Message, "")}
	}
	root, problem := parseYAML(src)
	if problem != nil {
		return nil, Problems{*problem}
	}

	cfg := withDefaults()
	cfg.Digest = digestOf(data)
	cfg.src = src
	cfg.nodes = make(map[string]place)
	if name != "" {
		path, err := filepath.Abs(name)
		if err != nil {
			return nil, fmt.Errorf("finding the folder of %s: %w", name, err)
		}
		cfg.Path = path
	}
	d := &decoder{cfg: cfg, src: src, misspelt: make(map[string]bool)}
	d.document(root)
	if cfg.wrong = d.problems(); len(cfg.wrong) > 0 {
		for _, f := range d.found {
			cfg.wrongAt = append(cfg.wrongAt, f.offset)
		}
		return cfg, cfg.wrong // without presets, of which some may be wrong and none can have problems
	}
	for _, name := range cfg.Use {
		if err := cfg.usePreset(name); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

func (d *decoder) document(root *yaml.Node) {
	if root == nil {
		d.fail(0, "version: 1", "the file is empty: it needs at least a version and a server")
		return
	}
	d.restrict(root, 0)
	if refused(root) || !d.want(root, yaml.MappingNode, "the file") {
		d.markSecret(root)
		return
	}
	d.put("", nil, root)
	d.section(root, reflect.ValueOf(d.cfg).Elem(), "")
	d.validate()
	slices.SortFunc(d.cfg.Servers, func(a, b Server) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(d.cfg.Tools.Narrow, func(a, b Narrow) int { return strings.Compare(a.Name, b.Name) })
}

// validate checks what no key shows alone, and fills in the defaults that
// depend on other keys.
func (d *decoder) validate() {
	for i := range d.cfg.Servers {
		d.validateServer(&d.cfg.Servers[i])
	}
	d.validatePolicy()
	d.validateRedact()
	d.validateVault()

	if _, ok := d.cfg.nodes["state.path"]; !ok {
		dir, err := state.DefaultDir()
		if err != nil {
			d.fail(0, "", "state.path is missing, and there is no default: %v", err)
			return
		}
		d.cfg.State.Path = dir
	}
	if _, ok := d.cfg.nodes["audit.file"]; !ok {
		d.cfg.Audit.File = filepath.Join(d.cfg.State.Path, auditName)
	}
}

func (d *decoder) validateServer(s *Server) {
	path := join("servers", s.Name)
	node := d.cfg.nodes[path].value
	if node.Kind != yaml.MappingNode || refused(node) {
		return
	}
	has := func(key string) bool {
		_, ok := d.cfg.nodes[join(path, key)]
		return ok || d.misspelt[join(path, key)]
	}
	switch command, url := has("command"), has("url"); {
	case command && url:
		if p := d.cfg.nodes[join(path, "url")]; p.key != nil {
			d.failNode(p.key, "", "%s has both command and url: a server is either started here or reached over HTTP", path)
		}
		return
	case !command && !url:
		d.fail(d.sectionOffset(node, path), "", "%s needs a command (started here) or a url (reached over HTTP)", path)
		return
	}
	for _, f := range fieldsOf(reflect.TypeFor[Server]()) {
		if p := d.cfg.nodes[join(path, f.key)]; f.with != "" && p.key != nil && !has(f.with) {
			d.failNode(p.key, "", "%s makes sense only with %s", join(path, f.key), f.with)
		}
	}
	if s.Shared && s.PerPrincipal() {
		d.failNode(d.cfg.nodes[join(path, "shared")].key, "", "%s cannot be shared: a reference of it holds {user.subject}, so each user needs a connection of their own; remove the key shared", path)
	}
	if s.OAuth != nil {
		d.validateOAuth(s, join(path, "oauth"))
	}
	if s.URL != "" && s.Transport == "" {
		s.Transport = "http"
	}
	if s.Command != "" && s.Cwd == "" {
		s.Cwd = d.cfg.folder()
	}
}

// folder is what relative paths count from.
func (c *Config) folder() string {
	if c.Path != "" {
		return filepath.Dir(c.Path)
	}
	wd, _ := os.Getwd() // "" means the same where it is used
	return wd
}

// resolve makes an absolute path of one that begins with ~ or is relative. A
// command without a slash is looked up in PATH when it is started, and stays.
func (c *Config) resolve(path string, command bool) (resolved, wrong string) {
	switch {
	case path == "":
		return "", "must not be empty"
	case path == "~" || strings.HasPrefix(path, "~/") || strings.HasPrefix(path, `~\`):
		home, err := os.UserHomeDir()
		if err != nil {
			return "", "begins with ~, but there is no home folder: " + err.Error()
		}
		return filepath.Join(home, path[1:]), ""
	case strings.HasPrefix(path, "~"):
		return "", "begins with the home folder of another user, which is not supported: write the path"
	case filepath.IsAbs(path):
		return filepath.Clean(path), ""
	case command && !strings.ContainsAny(path, `/`+string(filepath.Separator)):
		return path, ""
	}
	return filepath.Join(c.folder(), path), ""
}

// Wrong returns the problems that the file had when it was read. A configuration that has
// any must not be put in force.
func (c *Config) Wrong() Problems { return c.wrong }

// Sound reports whether nothing was wrong at a path when the file was read, nor in what the
// value there holds. Of a value that is not sound some is missing, so what seems wrong with
// the rest of it may follow from that.
func (c *Config) Sound(path string) bool {
	p, ok := c.nodes[path]
	if !ok || len(c.wrongAt) == 0 {
		return true
	}
	first := p.value
	if p.key != nil {
		first = p.key
	}
	from, to := p.src.nodeOffset(first), p.src.endOf(p.value)
	return !slices.ContainsFunc(c.wrongAt, func(at int) bool { return from <= at && at < to })
}

// Problem reports something wrong in a value of the file, in the form in which
// Parse does. The path names the value, such as `rules[2].when`,
// `tools.allow[0]` or `servers.github.env.TOKEN`; if the file has no such
// value, the nearest one that contains it is shown. The offset counts bytes
// into the value, as the decoder returned it.
func (c *Config) Problem(path string, offset int, message, suggestion string) Problem {
	if c.src == nil { // Wrap: there is no file to show
		if path != "" {
			message = path + ": " + message
		}
		return Problem{Message: message, Suggestion: suggestion}
	}
	exact := true
	p, ok := c.nodes[path]
	for !ok && path != "" {
		exact = false
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
		p, ok = c.nodes[path]
	}
	switch {
	case !ok:
		return c.src.problemAt(0, message, suggestion)
	case exact && p.value.Kind == yaml.ScalarNode:
		offsets := p.src.scalarOffsets(p.value)
		if p.value.LineComment != "" && offset > 0 && offset >= len(p.value.Value)-1 {
			message += "; what comes after a blank and # is a comment in YAML, so put an expression with # in quotes"
		}
		return p.src.problemAt(offsets[min(max(offset, 0), len(offsets)-1)], message, suggestion)
	case p.key != nil:
		return p.src.problemAt(p.src.nodeOffset(p.key), message, suggestion)
	}
	return p.src.problemAt(p.src.nodeOffset(p.value), message, suggestion)
}
