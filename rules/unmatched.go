package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/edit"
)

// Unmatched finds the patterns, of the policy's sections, rules and limits, that
// match none of the capabilities, with the nearest name as a suggestion. A
// pattern that no capability of any server could match is found by [Compile]
// already. Offsets are zero: the problem is the pattern as a whole.
func (p *Policy) Unmatched(caps []Capability) []Problem {
	var tools, called, prompts, resources []subject
	templates := map[string]bool{} // servers that have some; their URIs cannot be listed
	for _, c := range caps {
		sub := newSubject(c.Server, c.Name)
		switch c.Kind {
		case Tool:
			tools = append(tools, sub)
			// A rule or limit on a broad tool that nobody can call would never speak: those on
			// the narrowed tools have to name them.
			own := func(n *Narrowing) bool { return n.Server == c.Server && n.Name == c.Name }
			if !p.Narrowed(c.Server, c.Name) || slices.ContainsFunc(p.narrowings, own) {
				called = append(called, sub)
			}
		case Prompt:
			prompts = append(prompts, sub)
		case Resource:
			resources = append(resources, sub)
		case Template:
			resources = append(resources, sub)
			templates[c.Server] = true
		}
	}
	var problems []Problem
	check := func(path string, g glob, what string, subjects []subject) {
		if slices.ContainsFunc(subjects, g.match) {
			return
		}
		problems = append(problems, Problem{
			Path:       path,
			Message:    fmt.Sprintf("the pattern %q matches no %s", g.text, what),
			Suggestion: nearestSubject(g, subjects),
		})
	}
	for _, section := range []struct {
		set      *patternSet
		what     string
		subjects []subject
	}{{&p.tools, "tool", tools}, {&p.resources, "resource", resources}, {&p.prompts, "prompt", prompts}} {
		for _, class := range []struct {
			name  string
			globs []glob
		}{{"allow", section.set.allow}, {"ask", section.set.ask}, {"deny", section.set.deny}} {
			for _, g := range class.globs {
				if section.set == &p.resources && mayMatchTemplate(g, templates) {
					continue
				}
				check(fmt.Sprintf("%s.%s[%d]", section.set.section, class.name, g.index), g, section.what, section.subjects)
			}
		}
	}
	if len(p.labels) > 0 {
		all := slices.Concat(tools, prompts, resources)
		for _, l := range p.labels {
			if !mayMatchTemplate(l.glob, templates) {
				check(l.path, l.glob, "tool, resource or prompt", all)
			}
		}
	}
	for _, r := range p.rules {
		for _, g := range r.globs {
			check(fmt.Sprintf("%s.tools[%d]", r.path, g.index), g, "tool", called)
		}
	}
	for _, l := range p.limits {
		for _, g := range l.globs {
			check(fmt.Sprintf("%s.tools[%d]", l.path, g.index), g, "tool", called)
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	return problems
}

// mayMatchTemplate reports whether the pattern speaks of a server that has
// resource templates.
func mayMatchTemplate(g glob, servers map[string]bool) bool {
	for name := range servers {
		server := newGlob(strings.SplitN(g.text, ".", 2)[0], g.fold)
		if server.match(subject{exact: name, folded: foldCase(name)}) || strings.Contains(server.text, "*") {
			return true
		}
	}
	return false
}

// nearestSubject is the capability that the fewest edits of the pattern would
// match; none if these are too many to be a slip.
func nearestSubject(g glob, subjects []subject) string {
	best, found := allowedEdits(g.text)+1, ""
	for _, sub := range subjects {
		if d := edit.DistanceOfPattern(foldCase(g.text), sub.folded, best); d < best {
			best, found = d, sub.exact
		}
	}
	return found
}

// nearest is the candidate that was perhaps meant; empty if none is near.
func nearest(name string, candidates []string) string {
	best, found := allowedEdits(name)+1, ""
	for _, c := range candidates {
		if d := edit.Distance(foldCase(name), foldCase(c), best); d < best {
			best, found = d, c
		}
	}
	return found
}

// allowedEdits is how many slips are likely in a name of this length.
func allowedEdits(name string) int { return 1 + len(name)/6 }
