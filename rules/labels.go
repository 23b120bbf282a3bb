package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

// A Label marks capabilities. Rules read it as tool.labels, and as session.labels once a
// session has seen results of a capability that carries it. "trusted" and "untrusted" also
// say what the values in these results are worth.
type Label struct {
	Name    string
	Pattern string // as in [Patterns]; it ignores case, unless the label is trusted
	// Field is the part of the results that a label trusted or untrusted is about, and
	// empty for all: names with points between them, from result on; see
	// [provenance.CheckPath].
	Field string
}

type label struct {
	path  string // "labels.private[2]"
	name  string
	field string
	glob  glob
}

// The labels that mean something to this package.
const (
	labelTrusted   = "trusted"
	labelUntrusted = "untrusted"
	labelExternal  = "external"
)

func compileLabels(src []Label, report func(Problem)) []label {
	var all []label
	for i, l := range src {
		path := fmt.Sprintf("labels.%s[%d]", l.Name, countLabels(src[:i], l.Name))
		if p, ok := checkPattern(l.Pattern); !ok {
			p.Path = path
			report(p)
		}
		if l.Field != "" {
			if err := provenance.CheckPath(l.Field); err != nil {
				report(Problem{Path: path, Message: err.Error()})
			}
		}
		g := newGlob(l.Pattern, l.Name != labelTrusted)
		g.index = i
		all = append(all, label{path, l.Name, l.Field, g})
	}
	return all
}

// countLabels counts those of a name.
func countLabels(labels []Label, name string) (n int) {
	for _, l := range labels {
		if l.Name == name {
			n++
		}
	}
	return n
}

// labelsOf returns the labels of a capability, and what is to be noted of its results.
func (p *Policy) labelsOf(c Capability, sub *subject) ([]string, provenance.Observation) {
	names := []string{}
	o := provenance.Observation{Source: c.Server + "." + c.Name}
	for i := range p.labels {
		l := &p.labels[i]
		if !l.glob.matches(sub) {
			continue
		}
		trust := provenance.Neutral
		switch l.name {
		case labelTrusted:
			trust = provenance.Trusted
		case labelUntrusted:
			trust = provenance.Untrusted
		}
		switch {
		case l.field != "":
			o.Fields = append(o.Fields, provenance.Field{Path: l.field, Trust: trust})
		case trust == provenance.Untrusted, trust == provenance.Trusted && o.Trust == provenance.Neutral:
			o.Trust = trust // untrusted wins
		}
		names = append(names, l.name)
	}
	slices.Sort(names)
	return slices.Compact(names), o
}

// Labels are those of the capability, in order.
func (e *Entry) Labels() []string { return e.labels }

// Leaves are the labels that a session carries on once it was sent a call: all but those
// that speak of calls, or loosen.
func (e *Entry) Leaves() []string {
	return slices.DeleteFunc(slices.Clone(e.labels), func(name string) bool { return name == labelTrusted || name == labelExternal })
}

// Limits reports whether a decision was that of a limit on the capability.
func (e *Entry) Limits(rule string) bool {
	return slices.ContainsFunc(e.limits, func(l *limit) bool { return l.name == rule })
}

// Observation is what a session's memory is to note of the capability's results.
func (e *Entry) Observation() provenance.Observation { return e.seen }

// Narrowings are the narrowed tools of the policy.
func (p *Policy) Narrowings() []*Narrowing { return p.narrowings }

// Narrowed reports whether tools are narrowed from this one, which hides it. So it does a
// tool whose name differs in case only: to some servers it is the same.
func (p *Policy) Narrowed(server, tool string) bool {
	return slices.ContainsFunc(p.narrowings, func(n *Narrowing) bool {
		return strings.EqualFold(n.Server, server) && strings.EqualFold(n.Broad, tool)
	})
}

// Traces reports whether anything in the policy asks where values came from, so that
// sessions need a memory.
func (p *Policy) Traces() bool {
	return trace(p.rules, p.limits)
}

// Traces reports whether anything that speaks of the capability asks where values came from.
func (e *Entry) Traces() bool { return trace(e.rules, e.limits) || trace(e.results, nil) }

func trace(rules []*rule, limits []*limit) bool {
	for _, r := range rules {
		if r.when != nil && r.when.traces {
			return true
		}
	}
	for _, l := range limits {
		if l.when != nil && l.when.traces || l.sum != nil && l.sum.traces || l.by != nil && l.by.traces {
			return true
		}
	}
	return false
}

// Limited reports whether the policy has limits, and so needs a store.
func (p *Policy) Limited() bool { return len(p.limits) > 0 }
