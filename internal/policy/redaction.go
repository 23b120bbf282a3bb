package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// Redaction returns what the configuration says of redaction. Package config has checked it,
// so redact.New takes it.
func Redaction(cfg *config.Config) redact.Options {
	r := &cfg.Redact
	o := redact.Options{
		Secrets:     redact.Action(r.Secrets),
		Rules:       words[redact.Action](r.Rules),
		PII:         words[redact.Action](r.PII),
		AllowValues: r.Allow.Values, AllowPatterns: r.Allow.Patterns,
		Restore: r.Restore,
		Time:    r.Time,
	}
	for _, c := range r.Custom {
		o.Custom = append(o.Custom, redact.Custom{Name: c.Name, Pattern: c.Pattern, Then: redact.Action(c.Then)})
	}
	for _, t := range r.Tools {
		o.Tools = append(o.Tools, redact.ToolOptions{Tools: t.Tools, Secrets: redact.Action(t.Secrets), PII: words[redact.Action](t.PII), Custom: redact.Action(t.Custom)})
	}
	for _, a := range r.Arguments {
		o.Arguments = append(o.Arguments, redact.ArgumentOptions{Tools: a.Tools, Secrets: redact.Verdict(a.Secrets), PII: words[redact.Verdict](a.PII), Custom: redact.Verdict(a.Custom)})
	}
	return o
}

func words[V ~string](m map[string]string) map[string]V {
	if m == nil {
		return nil
	}
	out := make(map[string]V, len(m))
	for name, word := range m {
		out[name] = V(word)
	}
	return out
}

// RedactionWarnings reports what the section redact says in vain.
func RedactionWarnings(cfg *config.Config) config.Problems {
	r := &cfg.Redact
	var warnings config.Problems
	warn := func(path, message string) {
		p := cfg.Problem(path, 0, message, "")
		p.Warning = true
		warnings = append(warnings, p)
	}
	tokenized := tokenizing(r)
	switch {
	case len(tokenized) > 0 && len(r.Restore) == 0:
		warn(tokenized[0], "no tool gets the value behind a stand-in: name those that may under redact.restore, or write mask or hash")
	case len(tokenized) == 0 && len(r.Restore) > 0:
		warn("redact.restore", "nothing is tokenized, so there is no stand-in to restore")
	}
	if len(r.Custom) == 0 {
		for i, t := range r.Tools {
			if t.Custom != "" {
				warn(fmt.Sprintf("redact.tools[%d].custom", i), "there are no patterns under redact.custom")
			}
		}
		for i, a := range r.Arguments {
			if a.Custom != "" {
				warn(fmt.Sprintf("redact.arguments[%d].custom", i), "there are no patterns under redact.custom")
			}
		}
	}
	return warnings
}

// tokenizing returns where in the file stands tokenize.
func tokenizing(r *config.Redact) []string {
	const tokenize = string(redact.Tokenize)
	var paths []string
	one := func(path, word string) {
		if word == tokenize {
			paths = append(paths, path)
		}
	}
	many := func(path string, words map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(words)) {
			one(path+"."+name, words[name])
		}
	}
	one("redact.secrets", r.Secrets)
	many("redact.rules", r.Rules)
	many("redact.pii", r.PII)
	for i, c := range r.Custom {
		one(fmt.Sprintf("redact.custom[%d].then", i), c.Then)
	}
	for i, t := range r.Tools {
		path := fmt.Sprintf("redact.tools[%d]", i)
		one(path+".secrets", t.Secrets)
		many(path+".pii", t.PII)
		one(path+".custom", t.Custom)
	}
	return paths
}

// unmatchedRedaction finds the patterns of the section redact that match none of the tools.
func unmatchedRedaction(cfg *config.Config, caps []rules.Capability) config.Problems {
	var names []string
	for _, c := range caps {
		if c.Kind == rules.Tool {
			names = append(names, c.Server+"."+c.Name)
		}
	}
	var found config.Problems
	check := func(path string, patterns []string) {
		for i, pattern := range patterns {
			// Without regard to case, as package redact matches them.
			matches := func(name string) bool { return rules.Match(strings.ToLower(pattern), strings.ToLower(name)) }
			if !slices.ContainsFunc(names, matches) {
				found = append(found, cfg.Problem(fmt.Sprintf("%s[%d]", path, i), 0, fmt.Sprintf("the pattern %q matches no tool", pattern), config.Nearest(pattern, names)))
			}
		}
	}
	for i, t := range cfg.Redact.Tools {
		check(fmt.Sprintf("redact.tools[%d].tools", i), t.Tools)
	}
	check("redact.restore", cfg.Redact.Restore)
	for i, a := range cfg.Redact.Arguments {
		check(fmt.Sprintf("redact.arguments[%d].tools", i), a.Tools)
	}
	return found
}
