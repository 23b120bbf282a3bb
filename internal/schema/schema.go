// Package schema holds a tool's JSON Schemas against its arguments and results.
//
// The schemas come from servers and the instances from agents and servers, so
// both are hostile: the size, nesting and regular expressions of a schema and
// the work of a validation are bounded, nothing is ever fetched, numbers are
// judged as they are written and not as floats, and no error quotes a value of
// an instance.
//
//	s := schema.Lazy(tool.InputSchema) // compiled when first used
//	if err := s.Check(args, false); err != nil { ... } // a call's arguments
//	if err := s.Validate(content); err != nil { ... }  // a result's structured content
//
// The draft is the one that "$schema" names, or 2020-12. "format" is taken as
// an annotation in every draft, as 2020-12 has it: servers disagree on formats.
package schema

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Bounds of a schema. Of 878 schemas of 29 public servers the largest has
// 88 KB, 2,900 values and a depth of 24.
const (
	maxSchemaBytes  = 1 << 20
	maxSchemaValues = 10_000
	maxSchemaDepth  = 64

	// The library's work grows with the product of these and the values.
	maxOddRefs = 300 // different references to other places than definitions
	maxIDs     = 100
)

// A Schema is an input or output schema. It is safe for concurrent use.
type Schema struct {
	raw      []byte
	anything bool // no schema, true or {}: everything is valid

	once sync.Once
	err  error
	plan *plan // nil as long as it is not compiled

	mu   sync.Mutex
	free []*compiled // each serves one call at a time
}

// Raw is the schema as it was given; it must not be changed.
func (s *Schema) Raw() []byte { return s.raw }

// Compile compiles a schema. Nil, {} and true accept anything. The raw schema
// must not be changed afterwards.
func Compile(raw []byte) (*Schema, error) {
	s := Lazy(raw)
	return s, s.Err()
}

// Lazy returns a schema that is compiled when it is first used, because most
// tools of most servers are never called. If it does not compile, every
// instance is invalid and every argument undeclared.
func Lazy(raw []byte) *Schema {
	s := &Schema{raw: raw}
	switch text := bytes.TrimSpace(raw); {
	case len(text) == 0, string(text) == "true":
		s.anything, s.plan = true, freePlan
	case text[0] == '{' && string(bytes.TrimSpace(text[1:])) == "}":
		s.anything, s.plan = true, freePlan
	}
	return s
}

// Err compiles the schema if that was not done yet, and says why it does not.
func (s *Schema) Err() error {
	if s.anything {
		return nil
	}
	s.once.Do(func() {
		c, err := compile(s.raw)
		if err != nil {
			s.err = fmt.Errorf("compiling the schema: %w", err)
			return
		}
		s.free = append(s.free, c)
		s.plan = planner{}.plan(c.root)
	})
	return s.err
}

// maxFree bounds the compiled copies that are kept for concurrent callers.
const maxFree = 4

// use calls do with a compiled copy that nobody else uses meanwhile, metered
// for an instance of size bytes. It returns an error if do exceeds the meter.
func (s *Schema) use(size int, do func(*compiled) error) (err error) {
	if err := s.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	var c *compiled
	if n := len(s.free); n > 0 {
		c, s.free = s.free[n-1], s.free[:n-1]
	}
	s.mu.Unlock()
	if c == nil {
		if c, err = compile(s.raw); err != nil {
			return fmt.Errorf("compiling the schema: %w", err)
		}
	}
	defer func() {
		// The library was not written for hostile schemas: what panics in it
		// fails the call, not the process.
		if r := recover(); r != nil {
			if err, _ = r.(error); !errors.Is(err, errExhausted) {
				err = errors.New("the schema cannot be evaluated on this value")
			}
			return // and the copy, whose state is unknown, is dropped
		}
		s.mu.Lock()
		if len(s.free) < maxFree {
			s.free = append(s.free, c)
		}
		s.mu.Unlock()
	}()
	c.meter.reset(size)
	return do(c)
}

// compiled is one copy of the compiled schema with the meter that its
// evaluation draws on.
type compiled struct {
	root  *jsonschema.Schema
	meter *meter
	names map[*jsonschema.Schema]*nameSet
}

// nothingLoader keeps the library from fetching what a $ref names.
type nothingLoader struct{}

func (nothingLoader) Load(string) (any, error) {
	return nil, errors.New("a schema outside this one is never fetched")
}

// location has a path, so that a relative reference does not lead back to it.
const location = "tool:///schema"

func compile(raw []byte) (c *compiled, err error) {
	if len(raw) > maxSchemaBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(raw), maxSchemaBytes)
	}
	doc, err := decode(raw, limits{depth: maxSchemaDepth, values: maxSchemaValues, schema: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			c, err = nil, errors.New("it is not a JSON Schema that can be used")
		}
	}()
	c = &compiled{meter: &meter{}, names: map[*jsonschema.Schema]*nameSet{}}
	c.meter.reset(len(raw))
	engine := &regexes{meter: c.meter, known: map[string]jsonschema.Regexp{}}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(nothingLoader{})
	compiler.UseRegexpEngine(engine.compile)
	compiler.AssertFormat() // so that they are read; see meter.format
	if err := compiler.AddResource(location, doc); err != nil {
		return nil, describeCompile(err)
	}
	if c.root, err = compiler.Compile(location); err != nil {
		return nil, describeCompile(err)
	}
	return c, c.meter.attach(c.root)
}

// describeCompile keeps what the library says short and free of its own URLs.
func describeCompile(err error) error {
	var load *jsonschema.LoadURLError
	if errors.As(err, &load) {
		return fmt.Errorf("it refers to %q: %w", clip(load.URL, 200), load.Err)
	}
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) {
		var failed *jsonschema.ValidationError
		if errors.As(invalid.Err, &failed) {
			return fmt.Errorf("it is no valid JSON Schema: %s", describe(failed))
		}
	}
	text := strings.ReplaceAll(err.Error(), location, "")
	return errors.New(clip(text, 300))
}

// clip shortens a text to at most n bytes and drops line breaks.
func clip(s string, n int) string { return visible.Cut(strings.Join(strings.Fields(s), " "), n) }
