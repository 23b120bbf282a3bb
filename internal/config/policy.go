package config

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Patterns is the policy for one kind of capability. Among the patterns that
// match, deny wins over ask and ask over allow; Default holds where none matches.
type Patterns struct {
	Default string   `key:"default" enum:"deny,ask,allow" default:"deny"`
	Allow   []string `key:"allow" check:"pattern"`
	Ask     []string `key:"ask" check:"pattern"`
	Deny    []string `key:"deny" check:"pattern"`
}

// Tools is the policy for tools: besides patterns, specific tools that are made
// of broad ones.
type Tools struct {
	Patterns
	Narrow []Narrow `key:"narrow" check:"narrow"` // sorted by name
}

// Narrow is a specific tool that calls a broad one, which is hidden. In
// patterns it goes by its own name under the server of the broad tool.
type Narrow struct {
	Name string // the key under narrow

	From        string            `key:"from" check:"tool" opt:"required"` // server.tool
	Title       string            `key:"title" check:"line" opt:"nonempty"`
	Description string            `key:"description" opt:"required,nonempty"`
	Input       []Input           `key:"input" check:"argument"`
	Required    []string          `key:"required" check:"argument"` // names of inputs; filled in where the file has none
	Args        map[string]string `key:"args" check:"value"`        // expr, by the broad tool's argument
	Output      string            `key:"output" opt:"nonempty"`     // expr; "" passes the result on as it is
}

// Input is one argument of a [Narrow] tool, in the order of the file.
type Input struct {
	Name    string
	Schema  jsontext.Value // a JSON Schema without references, its numbers as written
	Default jsontext.Value // the schema's "default", nil when it has none
}

// Rule tightens the decision for the calls of some tools, or withholds results.
type Rule struct {
	Name    string   `key:"name" check:"line" opt:"required,nonempty"`
	Tools   []string `key:"tools" check:"pattern" opt:"required,nonempty"`
	On      string   `key:"on" enum:"call,result" default:"call"` // "" in one that no file holds is call
	When    string   `key:"when" opt:"nonempty"`                  // expr; "" means always
	Then    string   `key:"then" enum:"ask,deny" opt:"required"`
	Message string   `key:"message"`

	Preset string // the preset that it comes from, "" for the file's own
}

// Limit bounds how many calls there may be in a time, or what an argument of
// theirs may sum up to.
type Limit struct {
	Name    string   `key:"name" check:"line" opt:"required,nonempty"`
	Tools   []string `key:"tools" check:"pattern" opt:"required,nonempty"`
	When    string   `key:"when" opt:"nonempty"`             // expr; "" means always
	Sum     string   `key:"sum" opt:"nonempty"`              // expr; "" counts calls
	Max     string   `key:"max" as:"decimal" opt:"required"` // positive, digits with at most one point; an integer without Sum
	Per     Period   `key:"per" opt:"required"`
	By      string   `key:"by" default:"principal" opt:"nonempty"` // principal, session, tool, or expr
	Then    string   `key:"then" enum:"ask,deny" default:"deny"`
	Message string   `key:"message"`
	Zone    string   `key:"zone" check:"zone"` // IANA time zone of a calendar period; "" is the system's

	Preset string // the preset that it comes from, "" for the file's own
}

// Period is the time that a [Limit] counts over: exactly one of the two is set.
type Period struct {
	Window   time.Duration // sliding: the last so long
	Calendar string        // hour, day, week (from Monday) or month
}

// Labels says which capabilities carry which label. A pattern is matched
// against server.tool, server.uri or server.prompt.
type Labels struct {
	Untrusted []LabelPattern            `key:"untrusted" as:"field" check:"pattern" opt:"nonempty"`
	Private   []LabelPattern            `key:"private" check:"pattern" opt:"nonempty"`
	External  []LabelPattern            `key:"external" check:"pattern" opt:"nonempty"`
	Trusted   []LabelPattern            `key:"trusted" as:"field" check:"pattern" opt:"nonempty"`
	Own       map[string][]LabelPattern `key:"*" check:"label"` // the user's own labels
}

// LabelPattern is one pattern under a label.
type LabelPattern struct {
	Pattern string

	// Field is the part of the results that the label is about, "" for all of
	// it: the names on the way to a value, with points between them. "*" is any
	// name, and a list on the way is walked through. Only under trusted and
	// untrusted.
	Field string

	Preset string // the preset that it comes from, "" for the file's own
}

// All yields every label that has patterns, by its name in the file and in the
// order of names. The pattern at i is the value "labels.NAME[i]" of
// [Config.Problem].
func (l Labels) All() iter.Seq2[string, []LabelPattern] {
	names := slices.AppendSeq(slices.Clone(knownLabels), maps.Keys(l.Own))
	slices.Sort(names)
	return func(yield func(string, []LabelPattern) bool) {
		for _, name := range names {
			if patterns := l.of(name); len(patterns) > 0 && !yield(name, patterns) {
				return
			}
		}
	}
}

func (l Labels) of(name string) []LabelPattern {
	switch name {
	case "untrusted":
		return l.Untrusted
	case "private":
		return l.Private
	case "external":
		return l.External
	case "trusted":
		return l.Trusted
	}
	return l.Own[name]
}

func (l *Labels) add(name string, patterns []LabelPattern) {
	switch name {
	case "untrusted":
		l.Untrusted = append(l.Untrusted, patterns...)
	case "private":
		l.Private = append(l.Private, patterns...)
	case "external":
		l.External = append(l.External, patterns...)
	case "trusted":
		l.Trusted = append(l.Trusted, patterns...)
	default:
		if l.Own == nil {
			l.Own = make(map[string][]LabelPattern)
		}
		l.Own[name] = append(l.Own[name], patterns...)
	}
}
