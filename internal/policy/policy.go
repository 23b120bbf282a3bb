// Package policy compiles the policy of a configuration file: what package config has read
// becomes what package rules decides with.
//
//	p, err := policy.Compile(cfg) // err is config.Problems, with file, line and column
package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// Compile compiles the policy of cfg. The error is of type config.Problems and holds all
// of them: those that the file had when it was read too, with which there is no policy. What
// is wrong in an entry that had one already is left out, as it may follow from that.
func Compile(cfg *config.Config) (*rules.Policy, error) {
	c := compiler{cfg: cfg, problems: slices.Clone(cfg.Wrong())}
	src := rules.Source{
		Tools:     c.patterns("tools", cfg.Tools.Patterns),
		Resources: c.patterns("resources", cfg.Resources),
		Prompts:   c.patterns("prompts", cfg.Prompts),
	}
	for i, r := range cfg.Rules {
		if !c.sound(fmt.Sprintf("rules[%d]", i)) {
			src.Rules = append(src.Rules, rules.Rule{}) // so that indexes agree with the file
			continue
		}
		src.Rules = append(src.Rules, rules.Rule{Name: r.Name, Tools: r.Tools, On: r.On, When: r.When,
			Then: c.action(fmt.Sprintf("rules[%d].then", i), r.Then), Message: r.Message})
	}
	for i, l := range cfg.Limits {
		if !c.sound(fmt.Sprintf("limits[%d]", i)) {
			src.Limits = append(src.Limits, rules.Limit{})
			continue
		}
		src.Limits = append(src.Limits, rules.Limit{Name: l.Name, Tools: l.Tools, When: l.When, Sum: l.Sum, Max: l.Max, Per: period(l.Per), Zone: l.Zone,
			By: l.By, Then: c.action(fmt.Sprintf("limits[%d].then", i), l.Then), Message: l.Message})
	}
	for _, n := range cfg.Tools.Narrow {
		if c.sound("tools.narrow." + n.Name) {
			src.Narrow = append(src.Narrow, narrow(n))
		}
	}
	for name, patterns := range cfg.Labels.All() {
		if !c.sound("labels." + name) {
			continue
		}
		for _, p := range patterns {
			label := rules.Label{Name: name, Pattern: p.Pattern}
			if p.Field != "" {
				label.Field = "result." + p.Field
			}
			src.Labels = append(src.Labels, label)
		}
	}
	policy, err := rules.Compile(src)
	if found, ok := err.(rules.Problems); ok {
		c.problems = append(c.problems, Problems(cfg, slices.DeleteFunc(found, c.follows))...)
	} else if err != nil {
		return nil, fmt.Errorf("compiling the policy: %w", err)
	}
	if len(c.problems) > 0 {
		return nil, c.problems.Sorted()
	}
	return policy, nil
}

// Problems finds where in the file the problems of its policy are.
func Problems(cfg *config.Config, found []rules.Problem) config.Problems {
	var problems config.Problems
	for _, p := range found {
		problems = append(problems, cfg.Problem(p.Path, p.Offset, p.Message, p.Suggestion))
	}
	return problems
}

// Findings holds a policy against the capabilities of the servers: patterns that match none
// of them, and rules that do not fit the schemas of the tools that they name. What a preset
// has too much is no problem of the file that uses it.
func Findings(cfg *config.Config, p *rules.Policy, caps []rules.Capability) config.Problems {
	var found config.Problems
	for _, u := range p.Unmatched(caps) {
		if !ofPreset(cfg, u.Path) {
			found = append(found, cfg.Problem(u.Path, u.Offset, u.Message, u.Suggestion))
		}
	}
	found = append(found, misfits(cfg, p, caps)...)
	return append(found, unmatchedRedaction(cfg, caps)...)
}

// FindingsOnTools is Findings where only tools are known, and unless complete is set only
// those of some servers: what matches none of them may match something else.
func FindingsOnTools(cfg *config.Config, p *rules.Policy, tools []rules.Capability, complete bool) config.Problems {
	var found config.Problems
	for _, u := range p.Unmatched(tools) {
		if ofPreset(cfg, u.Path) || strings.HasPrefix(u.Path, "resources.") || strings.HasPrefix(u.Path, "prompts.") {
			continue
		}
		problem := cfg.Problem(u.Path, u.Offset, u.Message, u.Suggestion)
		problem.Warning = !complete || strings.HasPrefix(u.Path, "labels.")
		found = append(found, problem)
	}
	found = append(found, misfits(cfg, p, tools)...)
	for _, problem := range unmatchedRedaction(cfg, tools) {
		problem.Warning = problem.Warning || !complete
		found = append(found, problem)
	}
	return found
}

// misfits are the rules, limits and narrowings that do not fit the schemas of the tools.
func misfits(cfg *config.Config, p *rules.Policy, caps []rules.Capability) config.Problems {
	var found config.Problems
	for _, f := range p.Check(caps) {
		if ofPreset(cfg, f.Path) {
			continue
		}
		problem := cfg.Problem(f.Path, f.Offset, f.Message, f.Suggestion)
		problem.Warning = f.Warning
		found = append(found, problem)
	}
	return found
}

// ofPreset says whether what is at a path of the configuration came from a preset.
func ofPreset(cfg *config.Config, path string) bool {
	var i int
	if n, _ := fmt.Sscanf(path, "rules[%d]", &i); n == 1 && i < len(cfg.Rules) {
		return cfg.Rules[i].Preset != ""
	}
	if n, _ := fmt.Sscanf(path, "limits[%d]", &i); n == 1 && i < len(cfg.Limits) {
		return cfg.Limits[i].Preset != ""
	}
	for name, patterns := range cfg.Labels.All() {
		if rest, ok := strings.CutPrefix(path, "labels."+name+"["); ok {
			if n, _ := fmt.Sscanf(rest, "%d]", &i); n == 1 && i < len(patterns) {
				return patterns[i].Preset != ""
			}
		}
	}
	return false
}

// Known are the values of a configuration that its sessions know from the start: where the
// servers are and what they are started with. References are left out, as what they stand
// for is secret.
func Known(cfg *config.Config) []string {
	var known []string
	for _, s := range cfg.Servers {
		for _, text := range append([]string{s.URL, s.Cwd}, s.Args...) {
			if text != "" && !strings.Contains(text, "${") {
				known = append(known, text)
			}
		}
	}
	return known
}

// TakesUndeclared reports whether arguments of a tool pass that its schema does not declare.
func TakesUndeclared(a config.Arguments, tool string) bool {
	return a.Open || slices.ContainsFunc(a.OpenTools, func(pattern string) bool { return rules.Match(pattern, tool) })
}

type compiler struct {
	cfg      *config.Config
	problems config.Problems
	skipped  []string // paths of what is not compiled
}

// sound reports whether the value at a path can be compiled, and notes it if not.
func (c *compiler) sound(path string) bool {
	sound := c.cfg.Sound(path)
	if !sound {
		c.skipped = append(c.skipped, path)
	}
	return sound
}

// follows reports whether a problem is of what was not compiled.
func (c *compiler) follows(p rules.Problem) bool {
	return slices.ContainsFunc(c.skipped, func(path string) bool {
		rest, ok := strings.CutPrefix(p.Path, path)
		return ok && (rest == "" || rest[0] == '.')
	})
}

func (c *compiler) action(at, text string) rules.Action {
	action, err := rules.ParseAction(text)
	if err != nil {
		c.problems = append(c.problems, c.cfg.Problem(at, 0, err.Error(), ""))
	}
	return action
}

func (c *compiler) patterns(at string, p config.Patterns) rules.Patterns {
	list := func(key string, patterns []string) []string {
		if !c.sound(at + "." + key) {
			return nil
		}
		return patterns
	}
	return rules.Patterns{Default: c.action(at+".default", p.Default), Allow: list("allow", p.Allow), Ask: list("ask", p.Ask), Deny: list("deny", p.Deny)}
}

func period(p config.Period) string {
	if p.Calendar != "" {
		return p.Calendar
	}
	return p.Window.String()
}

func narrow(n config.Narrow) rules.Narrow {
	out := rules.Narrow{Name: n.Name, From: n.From, Title: n.Title, Description: n.Description, Args: n.Args, Output: n.Output, Input: map[string][]byte{}}
	for _, in := range n.Input {
		schema := []byte(in.Schema)
		if in.Default == nil && !slices.Contains(n.Required, in.Name) {
			schema = jsonrpc.SetMember(schema, "optional", []byte("true"))
		}
		out.Input[in.Name] = schema
	}
	return out
}
