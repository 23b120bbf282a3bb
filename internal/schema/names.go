package schema

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Undeclared lists the top-level arguments that the schema does not declare, in
// their order: not under properties or patternProperties of the schema or of
// any schema that it applies to the same value. It is empty if one of these sets
// additionalProperties (or unevaluatedProperties) to true or a schema. A schema
// that says nothing of additional properties does not declare them, though JSON
// Schema would allow them: a firewall forwards what it was told of. Only no
// schema, true and {} declare everything.
func (s *Schema) Undeclared(args []byte) (names []string) {
	if s.anything {
		return nil
	}
	all, ok := topLevelNames(args)
	if !ok {
		return nil // not an object; Validate says so
	}
	err := s.use(len(args), func(c *compiled) error {
		set := c.nameSet(c.root)
		if set.open {
			return nil
		}
		for _, name := range all {
			if !set.declares(name) {
				names = append(names, name)
			}
		}
		return nil
	})
	if err != nil {
		return all
	}
	return names
}

func topLevelNames(args []byte) ([]string, bool) {
	if args == nil {
		return nil, true
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(args))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, false
	}
	var names []string
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			break
		}
		names = append(names, name.String())
		if d.SkipValue() != nil {
			break
		}
	}
	return names, true
}

// A nameSet is what a schema, with all that it applies to the same value, says
// of the names in an object.
type nameSet struct {
	schemas  []*jsonschema.Schema
	declared map[string]bool
	folded   map[string]bool // the declared names, folded
	open     bool            // additional names are declared too
}

func (c *compiled) nameSet(s *jsonschema.Schema) *nameSet {
	set, ok := c.names[s]
	if !ok {
		set = c.nameSetOf([]*jsonschema.Schema{s})
		c.names[s] = set
	}
	return set
}

func (c *compiled) nameSetOf(seeds []*jsonschema.Schema) *nameSet {
	set := &nameSet{declared: map[string]bool{}, folded: map[string]bool{}}
	seen := map[*jsonschema.Schema]bool{}
	var add func(s *jsonschema.Schema)
	add = func(s *jsonschema.Schema) {
		if seen[s] {
			return
		}
		seen[s] = true
		c.meter.charge(1 + len(s.Properties))
		set.schemas = append(set.schemas, s)
		for name := range s.Properties {
			set.declared[name] = true
			set.folded[foldCase(name)] = true
		}
		for _, additional := range []any{s.AdditionalProperties, s.UnevaluatedProperties} {
			switch additional := additional.(type) {
			case bool:
				set.open = set.open || additional
			case *jsonschema.Schema:
				set.open = set.open || additional != nil && (additional.Bool == nil || *additional.Bool)
			}
		}
		for _, child := range inPlace(s) {
			if child != s.Not { // what is excluded is not declared
				add(child)
			}
		}
	}
	for _, s := range seeds {
		add(s)
	}
	return set
}

func (set *nameSet) declares(name string) bool {
	if set.declared[name] {
		return true
	}
	for _, s := range set.schemas {
		for re := range s.PatternProperties {
			if re.MatchString(name) {
				return true
			}
		}
	}
	return false
}

// property lists the schemas of the value that goes by a name.
func (set *nameSet) property(name string) (seeds []*jsonschema.Schema) {
	for _, s := range set.schemas {
		p, known := s.Properties[name]
		if known {
			seeds = append(seeds, p)
		}
		for re, p := range s.PatternProperties {
			if re.MatchString(name) {
				seeds, known = append(seeds, p), true
			}
		}
		if p, ok := s.AdditionalProperties.(*jsonschema.Schema); ok && !known {
			seeds = append(seeds, p)
		}
		if s.UnevaluatedProperties != nil {
			seeds = append(seeds, s.UnevaluatedProperties)
		}
	}
	return seeds
}

// item lists the schemas of the element at an index.
func (set *nameSet) item(i int) (seeds []*jsonschema.Schema) {
	add := func(s *jsonschema.Schema) {
		if s != nil {
			seeds = append(seeds, s)
		}
	}
	for _, s := range set.schemas {
		switch {
		case i < len(s.PrefixItems):
			add(s.PrefixItems[i])
		default:
			add(s.Items2020)
		}
		switch items := s.Items.(type) {
		case *jsonschema.Schema:
			add(items)
		case []*jsonschema.Schema:
			if i < len(items) {
				add(items[i])
			} else if rest, ok := s.AdditionalItems.(*jsonschema.Schema); ok {
				add(rest)
			}
		}
		add(s.Contains)
		add(s.UnevaluatedItems)
	}
	return seeds
}

// FoldClash finds a name in the arguments that equals a name that the schema
// declares, or a sibling, only under Unicode case folding: a server that matches
// names without case, as Go's encoding/json does, would read it as the other.
// It looks at every depth, also where the schema says nothing. Only the keys of
// an object that the schema describes as a map, with patternProperties or
// additionalProperties and no name of its own, are data. If the arguments cannot
// be looked at within bounds, it reports a clash of an empty name.
func (s *Schema) FoldClash(args []byte) (name string, ok bool) {
	d := &clashes{tokens: jsontext.NewDecoder(bytes.NewBuffer(args))}
	if args == nil {
		return "", false
	}
	if s.anything {
		d.value(nil, 0)
		return d.found, d.clash
	}
	err := s.use(len(args), func(c *compiled) error {
		d.compiled = c
		d.value([]*jsonschema.Schema{c.root}, 0)
		return nil
	})
	if err != nil {
		return "", true
	}
	return d.found, d.clash
}

type clashes struct {
	tokens   *jsontext.Decoder
	compiled *compiled // nil where there is no schema
	found    string
	clash    bool
	stopped  bool // at a clash, or at what is not JSON, which is Validate's to say
}

func (d *clashes) report(name string) { d.found, d.clash, d.stopped = name, true, true }

func (d *clashes) read() jsontext.Token {
	token, err := d.tokens.ReadToken()
	if err != nil {
		d.stopped = true
	}
	return token
}

func (d *clashes) value(seeds []*jsonschema.Schema, depth int) {
	if depth > maxInstanceDepth {
		d.report("")
		return
	}
	if d.stopped {
		return
	}
	k := d.tokens.PeekKind()
	if k != '{' && k != '[' {
		if d.tokens.SkipValue() != nil {
			d.stopped = true
		}
		return
	}
	var set *nameSet
	switch len(seeds) {
	case 0:
		set = silent
	case 1:
		set = d.compiled.nameSet(seeds[0])
	default:
		set = d.compiled.nameSetOf(seeds)
	}
	if k == '{' {
		d.object(set, depth)
		return
	}
	d.read()
	for i := 0; !d.stopped && d.tokens.PeekKind() != ']'; i++ {
		d.charge(set)
		d.value(set.item(i), depth+1)
	}
	if !d.stopped {
		d.read()
	}
}

// silent is the set of a place that no schema speaks of.
var silent = &nameSet{}

func (d *clashes) charge(set *nameSet) {
	if d.compiled != nil {
		d.compiled.meter.charge(len(set.schemas))
	}
}

// isMap reports whether names are data.
func (set *nameSet) isMap() bool {
	return len(set.declared) == 0 && (set.open || slices.ContainsFunc(set.schemas, func(s *jsonschema.Schema) bool { return len(s.PatternProperties) > 0 }))
}

func (d *clashes) object(set *nameSet, depth int) {
	d.read()
	named := depth == 0 || !set.isMap()
	siblings := map[string]bool{}
	for !d.stopped && d.tokens.PeekKind() != '}' {
		name := d.read().String()
		if d.stopped {
			return
		}
		if named {
			folded := foldCase(name)
			if siblings[folded] || set.folded[folded] && !set.declared[name] {
				d.report(name)
				return
			}
			siblings[folded] = true
		}
		d.charge(set)
		d.value(set.property(name), depth+1)
	}
	if !d.stopped {
		d.read()
	}
}

// foldCase maps strings that are equal under Unicode simple case folding to
// the same string, as [strings.EqualFold] compares them.
func foldCase(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(foldRune, s)
		}
	}
	return strings.ToUpper(s) // the least of K, k and U+212A is K
}

func foldRune(r rune) rune {
	low := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		low = min(low, next)
	}
	return low
}
