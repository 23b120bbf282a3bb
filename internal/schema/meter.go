package schema

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"time"

	"github.com/dlclark/regexp2"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// errExhausted ends an evaluation that costs more than its instance can be
// worth. References and alternatives can make a small schema and a small
// instance cost as powers of two.
var errExhausted = errors.New("it takes too long to hold this value against the schema")

// A meter bounds the work of one evaluation. The library cannot be stopped, but
// calls back for formats and regular expressions: the meter hangs on every
// schema as its format, which is evaluated before anything below it.
type meter struct {
	steps int
	next  int // steps that are left when the clock is looked at again
	until time.Time
}

// reset allows a number of steps and a time that grow with the instance: about
// a second, and another for every 4 MiB.
func (m *meter) reset(size int) {
	m.steps = allowance(size)
	m.next = m.steps
	m.until = time.Now().Add(time.Second + time.Duration(size)*time.Second/(4<<20))
}

// allowance is the number of steps for an instance of size bytes.
func allowance(size int) int { return 1<<18 + 32*size }

func (m *meter) charge(steps int) {
	if m.steps -= steps; m.steps < 0 {
		panic(errExhausted)
	}
	if m.steps < m.next {
		if time.Now().After(m.until) {
			panic(errExhausted)
		}
		m.next = m.steps - 4096
	}
}

// attach hangs the meter on every schema that an evaluation can reach.
func (m *meter) attach(root *jsonschema.Schema) error {
	seen := map[*jsonschema.Schema]bool{}
	stack := []*jsonschema.Schema{root}
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if s == nil || seen[s] {
			continue
		}
		seen[s] = true
		if s.DynamicRef != nil || s.RecursiveRef != nil {
			// What these reach depends on the path of the evaluation and cannot be metered.
			return errors.New("it uses $dynamicRef or $recursiveRef, which are not supported")
		}
		stack = append(stack, inPlace(s)...)
		below(s, func(c *jsonschema.Schema) { stack = append(stack, c) })
		if s.Bool == nil {
			s.Format = m.format(s)
		}
	}
	return nil
}

// weights are what one evaluation of s costs, with what s does before it comes
// to the formats of the schemas below it: once, and for each name or element.
func weights(s *jsonschema.Schema) (here, each int) {
	weight := func(s *jsonschema.Schema) int {
		if s.Enum != nil {
			return 1 + len(s.Enum.Values)
		}
		return 1
	}
	here, each = 1, 1
	for _, c := range inPlace(s) {
		here += weight(c)
	}
	below(s, func(c *jsonschema.Schema) { each = max(each, weight(c)) })
	each += len(s.PatternProperties)
	if s.UniqueItems {
		each += 20
	}
	return here, each
}

// format charges for one evaluation of s on v. It has the name of the format that s names,
// which is not held against values: in JSON Schema it is a remark.
func (m *meter) format(s *jsonschema.Schema) *jsonschema.Format {
	here, each := weights(s)
	name := ""
	if s.Format != nil {
		name = s.Format.Name
	}
	return &jsonschema.Format{Name: name, Validate: func(v any) error {
		switch v := v.(type) {
		case map[string]any:
			m.charge(here + len(v)*each)
		case []any:
			m.charge(here + len(v)*each)
		case string:
			m.charge(here + len(v)/64)
		default:
			m.charge(here)
		}
		return nil
	}}
}

// inPlace lists the schemas that are evaluated on the same value as s.
func inPlace(s *jsonschema.Schema) []*jsonschema.Schema {
	var out []*jsonschema.Schema
	add := func(list ...*jsonschema.Schema) {
		for _, c := range list {
			if c != nil {
				out = append(out, c)
			}
		}
	}
	add(s.Ref, s.Not, s.If, s.Then, s.Else)
	add(s.AllOf...)
	add(s.AnyOf...)
	add(s.OneOf...)
	for _, d := range s.Dependencies {
		if c, ok := d.(*jsonschema.Schema); ok {
			add(c)
		}
	}
	for _, c := range s.DependentSchemas {
		add(c)
	}
	return out
}

// below calls do with the schemas that are evaluated on names and parts of the value.
func below(s *jsonschema.Schema, do func(*jsonschema.Schema)) {
	add := func(list ...*jsonschema.Schema) {
		for _, c := range list {
			if c != nil {
				do(c)
			}
		}
	}
	add(s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema)
	add(s.PrefixItems...)
	for _, c := range s.Properties {
		add(c)
	}
	for _, c := range s.PatternProperties {
		add(c)
	}
	for _, v := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		switch v := v.(type) {
		case *jsonschema.Schema:
			add(v)
		case []*jsonschema.Schema:
			add(v...)
		}
	}
}

// Bounds of the regular expressions of a schema.
const (
	maxRegexBytes   = 4 << 10
	maxRegexSize    = 100_000 // instructions of all of them
	backtrackingFor = 50 * time.Millisecond
)

// regexes compiles the regular expressions of one schema.
type regexes struct {
	meter *meter
	size  int
	known map[string]jsonschema.Regexp
}

func (e *regexes) compile(text string) (jsonschema.Regexp, error) {
	re, ok := e.known[text]
	if !ok {
		var err error
		if re, err = e.build(text); err != nil {
			return nil, err
		}
		e.known[text] = re
	}
	return re, nil
}

// build takes what Go's linear engine can read. JSON Schema's expressions
// are those of ECMAScript, and generators do emit lookaheads: these go to a
// backtracking engine with a time limit, whose end fails the evaluation.
func (e *regexes) build(text string) (jsonschema.Regexp, error) {
	if len(text) > maxRegexBytes {
		return nil, fmt.Errorf("a regular expression is longer than %d bytes", maxRegexBytes)
	}
	if parsed, err := syntax.Parse(text, syntax.Perl); err == nil {
		prog, err := syntax.Compile(parsed.Simplify())
		if err != nil {
			return nil, errors.New("a regular expression cannot be compiled")
		}
		if e.size += len(prog.Inst); e.size > maxRegexSize {
			return nil, errors.New("its regular expressions are too complex")
		}
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, errors.New("a regular expression cannot be compiled")
		}
		return &linear{re, len(prog.Inst), e.meter}, nil
	}
	if e.size += len(text); e.size > maxRegexSize {
		return nil, errors.New("its regular expressions are too complex")
	}
	re, err := regexp2.Compile(text, regexp2.ECMAScript)
	if err != nil {
		re, err = regexp2.Compile(text, regexp2.None)
	}
	if err != nil {
		return nil, errors.New("a regular expression cannot be read")
	}
	re.MatchTimeout = backtrackingFor
	return &backtracking{re, e.meter}, nil
}

type linear struct {
	*regexp.Regexp
	size  int
	meter *meter
}

func (r *linear) MatchString(s string) bool {
	r.meter.charge(r.cost(len(s)))
	return r.Regexp.MatchString(s)
}

func (r *linear) cost(length int) int { return 1 + length/32*(1+r.size/32) }

type backtracking struct {
	*regexp2.Regexp
	meter *meter
}

func (r *backtracking) MatchString(s string) bool {
	r.meter.charge(16 + len(s))
	start := time.Now()
	ok, err := r.Regexp.MatchString(s)
	r.meter.charge(int(time.Since(start) / (10 * time.Microsecond)))
	if err != nil {
		panic(errExhausted)
	}
	return ok
}
