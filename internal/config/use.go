package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mcpfirewall/mcpfirewall/internal/preset"
)

// presetFile is what a preset may hold: nothing that could loosen a decision.
// Every key is one of Config.
type presetFile struct {
	Version int     `key:"version" enum:"1" opt:"required"`
	Rules   []Rule  `key:"rules"`
	Limits  []Limit `key:"limits"`
	Labels  Labels  `key:"labels"`
}

// presetName is what a rule or limit of a preset is called in the policy that
// uses it, so that decisions say where they come from.
func presetName(used, name string) string { return used + ": " + name }

// usePreset adds the rules, limits and labels of a preset behind those that are
// there. Their places stay in the preset's own text.
func (c *Config) usePreset(name string) error {
	text, ok := preset.Text(name)
	if !ok { // the decoder takes names from the same list
		return fmt.Errorf("there is no preset %s", name)
	}
	added, err := parsePreset(name, text)
	if err != nil {
		return fmt.Errorf("reading the preset %s: %w", name, err)
	}
	for path, p := range added.nodes {
		if moved := c.moved(path); moved != "" {
			c.nodes[moved] = p
		}
	}
	for _, r := range added.Rules {
		r.Name, r.Preset = presetName(name, r.Name), name
		c.Rules = append(c.Rules, r)
	}
	for _, l := range added.Limits {
		l.Name, l.Preset = presetName(name, l.Name), name
		c.Limits = append(c.Limits, l)
	}
	for label, patterns := range added.Labels.All() {
		for i := range patterns {
			patterns[i].Preset = name
		}
		c.Labels.add(label, patterns)
	}
	return nil
}

// parsePreset reads the text of a preset.
func parsePreset(name, text string) (*Config, error) {
	src := newSource("preset "+name, text)
	root, problem := parseYAML(src)
	if problem != nil {
		return nil, Problems{*problem}
	}
	cfg := &Config{src: src, nodes: make(map[string]place)}
	d := &decoder{cfg: cfg, src: src, misspelt: make(map[string]bool)}
	if root == nil {
		d.fail(0, "", "the preset is empty")
		return nil, d.problems()
	}
	d.restrict(root, 0)
	var file presetFile
	if d.want(root, yaml.MappingNode, "the preset") {
		d.section(root, reflect.ValueOf(&file).Elem(), "")
		cfg.Rules, cfg.Limits, cfg.Labels = file.Rules, file.Limits, file.Labels
		d.validatePolicy()
	}
	if len(file.Labels.Trusted) > 0 {
		d.failNode(cfg.nodes["labels.trusted"].key, "", "labels.trusted would loosen what other rules decide, which no preset may")
	}
	if ps := d.problems(); len(ps) > 0 {
		return nil, ps
	}
	return cfg, nil
}

// moved returns where a value of a preset stands once it was added, "" if it
// is not part of the policy.
func (c *Config) moved(path string) string {
	section, rest, ok := strings.Cut(path, "[")
	if !ok {
		return ""
	}
	index, rest, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(index)
	if err != nil {
		return ""
	}
	before := 0
	if label, ok := strings.CutPrefix(section, "labels."); ok {
		before = len(c.Labels.of(label))
	} else if section == "rules" {
		before = len(c.Rules)
	} else if section == "limits" {
		before = len(c.Limits)
	} else {
		return ""
	}
	return fmt.Sprintf("%s[%d]%s", section, before+i, rest)
}
