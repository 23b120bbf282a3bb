package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Check holds the arguments of a call against the schema: [Schema.FoldClash],
// [Schema.Undeclared] unless open is set, and [Schema.Validate], at a fraction of
// their cost. The error is for the agent. Nil and no bytes stand for {}.
func (s *Schema) Check(args []byte, open bool) error {
	if len(args) == 0 {
		args = []byte("{}")
	}
	if s.Err() == nil && s.plan.surely(args, true, open) {
		return nil
	}
	if name, clash := s.FoldClash(args); clash {
		return fmt.Errorf("an argument's name equals %q but for upper and lower case: use the names of the tool's schema", visible.Name(name))
	}
	if !open {
		if extra := s.Undeclared(args); len(extra) > 0 {
			return fmt.Errorf("the tool declares no argument %q: use only the arguments of its schema", visible.Name(strings.Join(extra, `", "`)))
		}
	}
	if err := s.validate(args); err != nil {
		return fmt.Errorf("the arguments do not fit the tool's schema: %w", err)
	}
	return nil
}

// CheckParsed is Check for arguments in a message that [jsonrpc.Parse] has read.
func (s *Schema) CheckParsed(args []byte, open bool) error {
	if len(args) > 0 && s.Err() == nil && oneLine(args) && s.plan.accepts(args, true, open) {
		return nil
	}
	return s.Check(args, open)
}

// Validate holds one JSON value against the schema. Nil stands for {}, since
// arguments may be left out. The error says where, as a JSON pointer, and which
// constraint; it quotes names and the schema, never a value of the instance.
func (s *Schema) Validate(instance []byte) error {
	if instance == nil {
		instance = []byte("{}")
	}
	if s.Err() == nil && s.plan.surely(instance, false, true) {
		return nil
	}
	return s.validate(instance)
}

// CheckResult holds the structured content of a result against the schema:
// [Schema.FoldClash] and [Schema.Validate], for a value in a message that [jsonrpc.Parse]
// has read.
func (s *Schema) CheckResult(content []byte) error {
	if len(content) > 0 && s.Err() == nil && oneLine(content) && s.plan.accepts(content, true, true) {
		return nil
	}
	if name, clash := s.FoldClash(content); clash {
		return fmt.Errorf("a name in it equals %q but for upper and lower case", visible.Name(name))
	}
	return s.Validate(content)
}

// validate is Validate without a plan, whose word is the last.
func (s *Schema) validate(instance []byte) error {
	v, err := decode(instance, limits{depth: maxInstanceDepth, values: maxInstance})
	if err != nil {
		return fmt.Errorf("the value cannot be checked: %w", err)
	}
	if s.anything {
		return nil
	}
	return s.use(len(instance), func(c *compiled) error {
		err := c.root.Validate(v)
		if err == nil {
			return nil
		}
		failed, ok := err.(*jsonschema.ValidationError)
		if !ok {
			return fmt.Errorf("the value cannot be checked")
		}
		return &invalidError{describe(failed)}
	})
}

// invalidError says why a value is not valid.
type invalidError struct{ reason string }

func (e *invalidError) Error() string { return e.reason }

const maxReasons = 3

// describe gives the first few reasons, in an order that does not depend on
// that of a map.
func describe(e *jsonschema.ValidationError) string {
	reasons := leaves(e, nil)
	slices.Sort(reasons)
	reasons = slices.Compact(reasons)
	if more := len(reasons) - maxReasons; more > 0 {
		reasons = append(reasons[:maxReasons], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(reasons, "; ")
}

func leaves(e *jsonschema.ValidationError, out []string) []string {
	if len(out) > 100 {
		return out
	}
	switch e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		if len(e.Causes) > 0 {
			for _, c := range e.Causes {
				out = leaves(c, out)
			}
			return out
		}
	case *kind.AnyOf, *kind.OneOf:
		if best := deepest(e); best != nil {
			return leaves(best, out)
		}
	}
	return append(out, pointer(e.InstanceLocation)+" "+constraint(e))
}

// deepest is the alternative that failed furthest inside the value, which is
// the one that was most probably meant; nil if all failed on the value itself.
func deepest(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	var best *jsonschema.ValidationError
	depth := len(e.InstanceLocation)
	for _, c := range e.Causes {
		if d := reach(c, 0); d > depth {
			best, depth = c, d
		}
	}
	return best
}

func reach(e *jsonschema.ValidationError, nested int) int {
	depth := len(e.InstanceLocation)
	if nested > 64 {
		return depth
	}
	for _, c := range e.Causes {
		depth = max(depth, reach(c, nested+1))
	}
	return depth
}

// pointer is a JSON pointer (RFC 6901) to a part of the instance.
func pointer(path []string) string {
	if len(path) == 0 {
		return "the value"
	}
	var b strings.Builder
	for i, token := range path {
		if i == 12 {
			b.WriteString("/…")
			break
		}
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(shown(token)))
	}
	return b.String()
}

// shown is a name if it looks like one. Names in results are a third party's
// text, and it is not for an error to pass that on.
func shown(name string) string {
	if name == "" || len(name) > 48 {
		return "?"
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_-.$@:/", c) >= 0) {
			return "?"
		}
	}
	return name
}

func quoted(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	var out []string
	for i, n := range names {
		if i == 10 {
			out = append(out, "…")
			break
		}
		out = append(out, strconv.Quote(shown(n)))
	}
	return strings.Join(out, ", ")
}

// constraint says what a value would have to be, from the schema alone.
func constraint(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return "is of type " + k.Got + ", but has to be " + strings.Join(k.Want, " or ")
	case *kind.Enum:
		return "has to be one of: " + values(k.Want)
	case *kind.Const:
		return "has to be " + values([]any{k.Want})
	case *kind.Pattern:
		return "has to match the pattern " + clip(k.Want, 120)
	case *kind.Format: // only in a schema that is held against its metaschema
		if k.Want == "regex" {
			return "cannot be used: " + clip(k.Err.Error(), 120)
		}
		return "is not of the format " + k.Want
	case *kind.Required:
		return "lacks " + quoted(k.Missing)
	case *kind.Dependency:
		return "lacks " + quoted(k.Missing) + ", which are required with " + quoted([]string{k.Prop})
	case *kind.DependentRequired:
		return "lacks " + quoted(k.Missing) + ", which are required with " + quoted([]string{k.Prop})
	case *kind.AdditionalProperties:
		return "has properties that are not allowed: " + quoted(k.Properties)
	case *kind.PropertyNames:
		return "has a property whose name is not allowed"
	case *kind.FalseSchema:
		return "is not allowed here"
	case *kind.Minimum:
		return "has to be at least " + k.Want.RatString()
	case *kind.Maximum:
		return "has to be at most " + k.Want.RatString()
	case *kind.ExclusiveMinimum:
		return "has to be more than " + k.Want.RatString()
	case *kind.ExclusiveMaximum:
		return "has to be less than " + k.Want.RatString()
	case *kind.MultipleOf:
		return "has to be a multiple of " + k.Want.RatString()
	case *kind.MinLength:
		return fmt.Sprintf("has to have at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has to have at most %d characters", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has to have at least %d items", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has to have at most %d items", k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("has to have at least %d properties", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("has to have at most %d properties", k.Want)
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %d items more than are allowed", k.Count)
	case *kind.UniqueItems:
		return fmt.Sprintf("has equal items at %d and %d", k.Duplicates[0], k.Duplicates[1])
	case *kind.AnyOf:
		return "matches none of the alternatives of anyOf"
	case *kind.OneOf:
		if len(k.Subschemas) > 0 {
			return "matches more than one of the alternatives of oneOf"
		}
		return "matches none of the alternatives of oneOf"
	case *kind.Not:
		return "matches what the schema excludes with not"
	case *kind.Contains, *kind.MinContains, *kind.MaxContains:
		return "does not contain as many matching items as it has to"
	case *kind.RefCycle:
		return "cannot be checked: the schema refers to itself without end"
	}
	return "does not match the schema"
}

// values lists values of a schema, if they are short.
func values(list []any) string {
	var out []string
	for i, v := range list {
		if i == 12 {
			out = append(out, "…")
			break
		}
		switch v := v.(type) {
		case string:
			out = append(out, strconv.Quote(clip(v, 40)))
		case map[string]any:
			out = append(out, "an object")
		case []any:
			out = append(out, "a list")
		case nil:
			out = append(out, "null")
		default:
			out = append(out, clip(fmt.Sprint(v), 40))
		}
	}
	return strings.Join(out, ", ")
}
