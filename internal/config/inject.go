package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
	"go.yaml.in/yaml/v3"
)

// Injection is an argument that the firewall adds to calls.
type Injection struct {
	Tool     string // a pattern over the server's tool names; "" for all of them
	Argument string // its name at the top level of the tool's schema
	Text     string // the value, in which references stand as written
}

// Path returns where the injection stands below the server in the file.
func (i Injection) Path() string {
	if i.Tool == "" {
		return join("inject", i.Argument)
	}
	return join(join("inject", i.Tool), i.Argument)
}

// injections decodes the arguments to add: a text is for every tool, a mapping for the
// tools that its key matches.
func (d *decoder) injections(f field, n *yaml.Node, path string) []Injection {
	var all []Injection
	add := func(tool string, e entry, at string) {
		d.put(at, e.key, e.value)
		if wrong, suggestion := checks[f.check].test(e.name); wrong != "" {
			d.failNode(e.key, suggestion, "the name %s %s", quote(e.name), wrong)
		}
		if refused(e.value) {
			return
		}
		if isNull(e.value) {
			d.failNode(e.key, "", "%s has no value: write one, or remove the key", at)
			return
		}
		if text, ok := d.text(field{key: f.key, ref: true, nonempty: true}, e.value, at); ok {
			all = append(all, Injection{tool, e.name, text})
		}
	}
	// Names of arguments that differ in case would be one argument to some servers.
	for _, e := range d.entries(n, true) {
		at := join(path, e.name)
		if e.value.Kind != yaml.MappingNode {
			add("", e, at)
			continue
		}
		d.put(at, e.key, e.value)
		if wrong, suggestion := checks["pattern"].test(e.name); wrong != "" {
			d.failNode(e.key, suggestion, "the pattern %s %s", quote(e.name), wrong)
		}
		for _, inner := range d.entries(e.value, true) {
			add(e.name, inner, join(at, inner.name))
		}
	}
	slices.SortFunc(all, func(a, b Injection) int {
		return cmp.Or(cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Argument, b.Argument))
	})
	return all
}

// References returns all texts of the server that may hold references, by where they stand
// below the server in the file, in an order that depends on nothing else.
func (s Server) References() []Reference {
	var all []Reference
	if s.URL != "" {
		all = append(all, Reference{"url", s.URL})
	}
	for i, text := range s.Args {
		all = append(all, Reference{fmt.Sprintf("args[%d]", i), text})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		all = append(all, Reference{join("env", name), s.Env[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		all = append(all, Reference{join("headers", name), s.Headers[name]})
	}
	for _, i := range s.Inject {
		all = append(all, Reference{i.Path(), i.Text})
	}
	return all
}

// Reference is a text that may hold references, and where it stands.
type Reference struct{ Path, Text string }

// userSubject is what stands for the user in a reference.
const userSubject = "{user.subject}"

// ofUser matches a reference that depends on the user.
var ofUser = onuse.Regexp(`\$\{[^}]*\{user\.subject\}`)

// PerPrincipal reports whether a reference of the server holds {user.subject}: then its
// credentials, and so its connections, are one user's.
func (s Server) PerPrincipal() bool {
	return slices.ContainsFunc(append(s.References(), s.OAuth.References()...), func(r Reference) bool { return ofUser().MatchString(r.Text) })
}
