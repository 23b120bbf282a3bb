package provenance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxYAML is the size in bytes up to which a text is read as YAML; yaml.v3 takes some
// 40 ns a byte.
const maxYAML = 64 << 10

// CheckPath reports what is wrong with the path of a Field. A path starts with result
// and goes on with the names of members, each after a dot, * for any member and [] for
// any element, which can be left out: result.email, result.items[].to, result.*.name. It
// stands for the value that it leads to and all in it. Names are compared exactly.
func CheckPath(path string) error {
	_, err := parsePath(path)
	return err
}

// parsePath returns the steps of a path: names, * and [].
func parsePath(path string) ([]string, error) {
	rest, ok := strings.CutPrefix(path, "result")
	if !ok {
		return nil, fmt.Errorf("the path %q does not start with result", path)
	}
	var steps []string
	for rest != "" {
		if after, ok := strings.CutPrefix(rest, "[]"); ok {
			steps, rest = append(steps, "[]"), after
			continue
		}
		after, ok := strings.CutPrefix(rest, ".")
		if !ok {
			return nil, fmt.Errorf("the path %q has %q where a dot or [] is due", path, rest[:1])
		}
		end := strings.IndexAny(after, ".[]")
		if end < 0 {
			end = len(after)
		}
		if end == 0 {
			return nil, fmt.Errorf("the path %q has a dot without a name behind it", path)
		}
		steps, rest = append(steps, after[:end]), after[end:]
	}
	if len(steps) > maxDepth {
		return nil, fmt.Errorf("a path of %d steps is longer than any value is deep", len(steps))
	}
	return steps, nil
}

// A fieldPath is a Field that is looked for.
type fieldPath struct {
	steps []string // those that are left
	kind  kind
}

// A scope is where in a value a walk is: the fields that may lie within, and the kind
// that those around it say.
type scope struct {
	fields []fieldPath
	kind   kind
	set    bool
	whole  bool // a field vouches for the values here, each as a whole, and
	around kind // what is in them is of this kind
}

// newScope returns the scope of a whole result. A field with a wrong path may mean any
// part: it counts for all if it trusts less, and for nothing if it trusts more.
func newScope(o Observation) scope {
	s := scope{kind: kindOf(o.Source, o.Trust)}
	for _, f := range o.Fields {
		steps, err := parsePath(f.Path)
		k := kindOf(o.Source, f.Trust)
		switch {
		case err == nil:
			s.fields = append(s.fields, fieldPath{steps, k})
		case k > s.kind:
			s.kind = k
		}
	}
	s.set = true
	return s.settled()
}

// settled takes the fields that lead right here into account: they say what kind it is,
// over what those said that led to a value around it, the worst of them if they differ.
func (s scope) settled() scope {
	var rest []fieldPath
	here, worst := false, said
	for _, f := range s.fields {
		if len(f.steps) == 0 {
			here, worst = true, max(worst, f.kind)
		} else {
			rest = append(rest, f)
		}
	}
	if here {
		if !s.whole {
			s.around = max(s.kind, neutral)
		}
		s.kind, s.set, s.whole = worst, true, worst == trusted
	}
	s.fields = rest
	return s
}

func (s scope) member(name []byte) scope {
	if len(s.fields) == 0 {
		return s
	}
	return s.enter(func(step string) bool { return step == "*" || step != "[]" && step == string(name) }, false)
}

func (s scope) element() scope {
	if len(s.fields) == 0 {
		return s
	}
	return s.enter(func(step string) bool { return step == "[]" }, true)
}

// enter follows the fields whose next step leads on. Where through is set, the others go on
// unchanged.
func (s scope) enter(leads func(step string) bool, through bool) scope {
	inner := scope{kind: s.kind, set: s.set, whole: s.whole, around: s.around}
	for _, f := range s.fields {
		switch {
		case leads(f.steps[0]):
			inner.fields = append(inner.fields, fieldPath{f.steps[1:], f.kind})
		case through:
			inner.fields = append(inner.fields, f)
		}
	}
	return inner.settled()
}

// reader returns r as it reads what lies here.
func (s scope) reader(r *reader) *reader {
	if !s.set || r.kind == s.kind && r.whole == s.whole {
		return r
	}
	inner := *r
	inner.kind, inner.whole, inner.around = s.kind, s.whole, s.around
	return &inner
}

// least returns r as it reads what may lie in any of the fields.
func (s scope) least(r *reader) *reader {
	inner := *s.reader(r).inside()
	for _, f := range s.fields {
		inner.kind = max(inner.kind, f.kind)
	}
	return &inner
}

// values returns s for a text whose values can be told apart: who trusts the result then
// trusts each of them as a whole.
func (s scope) values() scope {
	if s.kind == trusted && !s.whole {
		s.whole, s.around = true, neutral
	}
	return s
}

// parts reports whether some part is to count for more than k.
func (s scope) parts(k kind) bool {
	return s.set && (s.kind < k || slices.ContainsFunc(s.fields, func(f fieldPath) bool { return f.kind < k }))
}

// readDump returns what a text is that is a list or mapping as Python prints it or in YAML, or
// nil.
func readDump(text []byte) *yaml.Node {
	if root := readPython(text); root != nil {
		return root
	}
	if quotesLikePython(text) {
		return nil
	}
	return readYAML(text)
}

// readYAML returns what a text is that is a YAML list or mapping, or nil. Whatever could be
// read in two ways, such as a name twice, is none.
func readYAML(text []byte) *yaml.Node {
	if len(text) > maxYAML {
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if d.Decode(&first) != nil || !errors.Is(d.Decode(&second), io.EOF) {
		return nil
	}
	if len(first.Content) != 1 || first.Content[0].Kind == yaml.ScalarNode || !plainYAML(first.Content[0], 0) {
		return nil
	}
	return first.Content[0]
}

// sentence reports whether what could be a YAML mapping is rather one with a colon in it.
func sentence(root *yaml.Node) bool {
	return root.Kind == yaml.MappingNode && root.Style&yaml.FlowStyle == 0 && len(root.Content) == 2 && root.Content[1].Kind == yaml.ScalarNode
}

// list reports whether a text that cannot be read as YAML still seems to consist of values:
// it starts as a list or mapping does, or is too long to tell.
func list(text []byte) bool {
	return len(text) > maxYAML || bytes.IndexByte([]byte("{[<"), text[0]) >= 0 || bytes.HasPrefix(text, []byte("- "))
}

// plainYAML reports whether a node is what a program prints that knows YAML: no
// anchors, aliases, merges, tags or double names, and names that are scalars.
func plainYAML(n *yaml.Node, depth int) bool {
	if n.Anchor != "" || n.Kind == yaml.AliasNode || n.Style&yaml.TaggedStyle != 0 || depth > maxDepth {
		return false
	}
	names := map[string]bool{}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if c.Kind != yaml.ScalarNode || c.Value == "<<" || names[c.Value] {
				return false
			}
			names[c.Value] = true
		}
		if !plainYAML(c, depth+1) {
			return false
		}
	}
	return true
}

func (r *reader) yamlNode(n *yaml.Node, s scope) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			r.yamlNode(n.Content[i+1], s.member([]byte(n.Content[i].Value)))
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			r.yamlNode(c, s.element())
		}
	case yaml.ScalarNode:
		if inner := s.reader(r); inner.kind < r.kind && n.Tag != "!!null" {
			inner.leaf([]byte(n.Value))
		}
	}
}
