package config

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/redact/pii"
	"github.com/mcpfirewall/mcpfirewall/redact/secrets"
	"go.yaml.in/yaml/v3"
)

// Redact says what is taken out of everything that leaves for the client, the log and the
// record, and what must not be in arguments. Its words are those of package redact, into
// whose options package policy turns it.
type Redact struct {
	Secrets   string            `key:"secrets" enum:"mask,tokenize,hash,block,allow" default:"mask"`
	Rules     map[string]string `key:"rules" check:"secret" enum:"mask,tokenize,hash,block,allow"`     // by rule of the secret detector
	PII       map[string]string `key:"pii" as:"any" check:"pii" enum:"mask,tokenize,hash,block,allow"` // by type of personal data, or "*"
	Custom    []RedactCustom    `key:"custom"`
	Allow     RedactAllow       `key:"allow"`
	Tools     []RedactTools     `key:"tools"`
	Restore   []string          `key:"restore" check:"pattern"`
	Arguments []RedactArguments `key:"arguments"`
	Time      time.Duration     `key:"time" default:"2s" min:"10ms" max:"1m"`
}

// RedactCustom is a pattern of the user's own.
type RedactCustom struct {
	Name    string `key:"name" check:"line" opt:"required,nonempty"`
	Pattern string `key:"pattern" check:"regexp" opt:"required,nonempty"`
	Then    string `key:"then" enum:"mask,tokenize,hash,block,allow" default:"mask"`
}

// RedactAllow lists what is no find.
type RedactAllow struct {
	Values   []string `key:"values" opt:"nonempty"`
	Patterns []string `key:"patterns" check:"whole" opt:"nonempty"`
}

// RedactTools are other actions for the results of some tools. What is "" or has no entry is
// as for all tools.
type RedactTools struct {
	Tools   []string          `key:"tools" check:"pattern" opt:"required,nonempty"`
	Secrets string            `key:"secrets" enum:"mask,tokenize,hash,block,allow"`
	PII     map[string]string `key:"pii" as:"any" check:"pii" enum:"mask,tokenize,hash,block,allow"`
	Custom  string            `key:"custom" enum:"mask,tokenize,hash,block,allow"`
}

// RedactArguments says what becomes of a call to some tools whose arguments hold a find. What
// is "" or has no entry is not looked for.
type RedactArguments struct {
	Tools   []string          `key:"tools" check:"pattern" opt:"required,nonempty"`
	Secrets string            `key:"secrets" enum:"deny,ask,mask,allow"`
	PII     map[string]string `key:"pii" as:"any" check:"pii" enum:"deny,ask,mask,allow"`
	Custom  string            `key:"custom" enum:"deny,ask,mask,allow"`
}

// words decodes a mapping of names to words of an enum. Where the key allows it, one word
// stands for a mapping of "*" to it.
func (d *decoder) words(f field, n *yaml.Node, path string) map[string]string {
	one := func(value *yaml.Node, at string) (string, bool) {
		switch {
		case value.Kind != yaml.ScalarNode:
			d.failNode(value, "", "%s must be %s, not %s", at, f.wanted(), describe(value))
		case !slices.Contains(f.enum, value.Value):
			suggestion := asBool(value.Value, string(redact.Allow), f.enum[0])
			if suggestion == "" {
				suggestion = nearest(value.Value, f.enum)
			}
			d.failNode(value, suggestion, "%s is %s, and must be %s", at, quote(value.Value), oneOf(f.enum))
		default:
			return value.Value, true
		}
		return "", false
	}
	words := make(map[string]string, len(n.Content)/2)
	if n.Kind == yaml.ScalarNode && f.as == "any" {
		if word, ok := one(n, path); ok {
			words[redact.AnyType] = word
		}
		return words
	}
	if !d.want(n, yaml.MappingNode, path) {
		return nil
	}
	for _, e := range d.entries(n, true) {
		at := join(path, e.name)
		d.put(at, e.key, e.value)
		if wrong, suggestion := checks[f.check].test(e.name); wrong != "" {
			d.failNode(e.key, suggestion, "the name %s %s", quote(e.name), wrong)
		}
		switch {
		case refused(e.value):
			continue
		case isNull(e.value):
			d.failNode(e.key, "", "%s has no value: write one, or remove the key", at)
			continue
		}
		if word, ok := one(e.value, at); ok {
			words[e.name] = word
		}
	}
	return words
}

// validateRedact checks what no key of the section shows alone.
func (d *decoder) validateRedact() {
	r := &d.cfg.Redact
	for _, list := range []struct {
		path string
		size int
	}{{"redact.custom", len(r.Custom)}, {"redact.allow.patterns", len(r.Allow.Patterns)}} {
		if list.size > redact.MaxPatterns {
			d.failNode(d.cfg.nodes[list.path].key, "", "%s holds %d patterns, and there can be %d: join some with |", list.path, list.size, redact.MaxPatterns)
		}
	}
	lines := make(map[string]int)
	for i, c := range r.Custom {
		path := fmt.Sprintf("redact.custom[%d].name", i)
		p, ok := d.cfg.nodes[path]
		if !ok || c.Name == "" {
			continue
		}
		folded := foldCase(c.Name)
		if line := lines[folded]; line > 0 {
			d.failNode(p.value, "", "%s must be unique: line %d has the same", path, line)
			continue
		}
		lines[folded] = p.value.Line
	}
	for _, section := range []struct {
		key  string
		size int
	}{{"tools", len(r.Tools)}, {"arguments", len(r.Arguments)}} {
		for i := range section.size {
			d.validateRedactTools(fmt.Sprintf("redact.%s[%d]", section.key, i))
		}
	}
}

// validateRedactTools checks one item of redact.tools or redact.arguments.
func (d *decoder) validateRedactTools(path string) {
	if item := d.cfg.nodes[path].value; item.Kind != yaml.MappingNode || refused(item) {
		return
	}
	has := func(path string) bool {
		_, ok := d.cfg.nodes[path]
		return ok || d.misspelt[path]
	}
	if !has(join(path, "secrets")) && !has(join(path, "pii")) && !has(join(path, "custom")) {
		d.failNode(d.cfg.nodes[path].value, "", "%s says nothing: it needs secrets, pii or custom", path)
	}
}

// piiNames are the names that stand under pii.
var piiNames = func() []string {
	names := []string{redact.AnyType}
	for _, t := range pii.Types() {
		names = append(names, t.Name)
	}
	return names
}()

func checkPII(s string) (wrong, suggestion string) {
	if slices.Contains(piiNames, s) {
		return "", ""
	}
	return "is no type of personal data; docs/redaction.md lists them, and \"*\" stands for all others", nearest(s, piiNames[1:])
}

// secretRules is read where a file names a rule, and only then.
var secretRules = sync.OnceValues(secrets.Rules)

func checkSecretRule(s string) (wrong, suggestion string) {
	ids, err := secretRules()
	if err != nil || slices.Contains(ids, s) {
		return "", "" // no rule, no find: the start of the detector reports that
	}
	return "is no rule of the detector of secrets: masks show the names, as [redacted:github-pat]", nearest(s, ids)
}

func checkRegexp(s string) (wrong, suggestion string) { return checkRedactPattern(s, false) }

func checkWhole(s string) (wrong, suggestion string) { return checkRedactPattern(s, true) }

// checkRedactPattern checks a regular expression as package redact will.
func checkRedactPattern(s string, whole bool) (wrong, suggestion string) {
	_, err := redact.CompilePattern(s, whole)
	var where *syntax.Error
	switch {
	case errors.As(err, &where):
		return fmt.Sprintf("is no regular expression (RE2): %s: %s", where.Code, quote(where.Expr)), ""
	case err != nil:
		return err.Error(), ""
	}
	return "", ""
}
