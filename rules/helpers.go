package rules

import (
	"fmt"
	"reflect"
	"time"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpfirewall/mcpfirewall/rules/inspect"
	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

// This file holds the functions that rules have beside those of expr: url(s), seen(v) and
// their like. A value that cannot be parsed is not "no": the function fails, which denies.

// A helper is such a function: its implementation, and the type that expr's checker sees.
type helper struct {
	call function
	typ  any // a nil function
	also any // another type, with more arguments; or nil
}

// helpers are among functions under their own names.
var helpers = map[string]helper{
	"url":    {parsed("url", func(s string, _ *evaluation) (*inspect.URL, error) { return inspect.ParseURL(s) }), (func(string) *inspect.URL)(nil), nil},
	"ip":     {parsed("ip", func(s string, _ *evaluation) (*inspect.IP, error) { return inspect.ParseIP(s) }), (func(string) *inspect.IP)(nil), nil},
	"email":  {parsed("email", func(s string, _ *evaluation) (*inspect.Email, error) { return inspect.ParseEmail(s) }), (func(string) *inspect.Email)(nil), nil},
	"emails": {emails, (func(any) []inspect.Email)(nil), nil},
	"path": {parsed("path", func(s string, run *evaluation) (*inspect.Path, error) { return inspect.ParsePath(s, run.entry.dir) }),
		(func(string) *inspect.Path)(nil), nil},
	"shell":   {parsed("shell", func(s string, _ *evaluation) (*inspect.Shell, error) { return inspect.ParseShell(s) }), (func(string) *inspect.Shell)(nil), nil},
	"sql":     {sqlOf, (func(string) *inspect.SQL)(nil), (func(string, string) *inspect.SQL)(nil)},
	"seen":    {remembered(func(o provenance.Origin) any { return o.Seen }), (func(any) bool)(nil), nil},
	"trusted": {remembered(func(o provenance.Origin) any { return o.Trusted }), (func(any) bool)(nil), nil},
	"tainted": {remembered(func(o provenance.Origin) any { return o.Tainted }), (func(any) bool)(nil), nil},
	"sources": {remembered(func(o provenance.Origin) any { return anyList(o.Sources) }), (func(any) []string)(nil), nil},
	"leaves":  {leaves, (func(any) []leaf)(nil), nil},
	"calls":   {callsSince, (func(string, string) int)(nil), nil},
	"secret":  {secret, (func(any) bool)(nil), nil},
	"pii":     {pii, (func(any) bool)(nil), (func(any, string) bool)(nil)},
}

// helperNames are the names of helpers.
func helperNames() []string { return sortedNames(helpers) }

// declared are the helpers as expr's checker has to know them in an expression as it was
// written. They are never called: a guard replaces each call.
func declared() conf.FunctionsTable {
	table := conf.FunctionsTable{}
	for name, h := range helpers {
		f := &builtin.Function{Name: name, Types: []reflect.Type{reflect.TypeOf(h.typ)},
			Func: func(...any) (any, error) { return nil, fmt.Errorf("%s was not guarded", name) }}
		if h.also != nil {
			f.Types = append(f.Types, reflect.TypeOf(h.also))
		}
		table[name] = f
	}
	return table
}

var declaredHelpers = declared()

// tracing are the helpers that need a memory of where values came from.
var tracing = map[string]bool{"seen": true, "trusted": true, "tainted": true, "sources": true}

// parseCost is charged for parsing, besides what the text costs.
const parseCost = 100

// followCost is charged for a folder that is looked up in the file system.
const followCost = 2000

// parsed makes a function of a parser. What it gives is an object with the names in the expr
// tags of the parser's struct.
func parsed[T any](name string, parse func(string, *evaluation) (*T, error)) function {
	return func(b *budget, args []any) (any, error) {
		s, ok := args[0].(string)
		if !ok {
			return nil, unusable(name+"()", args[0])
		}
		if err := b.charge(parseCost + 4*len(s)); err != nil {
			return nil, err
		}
		v, err := parse(s, b.run)
		if err != nil {
			return nil, failf("%s(): %v", name, err)
		}
		return exposed(b, reflect.ValueOf(v).Elem())
	}
}

func sqlOf(b *budget, args []any) (any, error) {
	dialect := ""
	if len(args) == 2 {
		var ok bool
		if dialect, ok = args[1].(string); !ok {
			return nil, unusable("sql()", args[1])
		}
	}
	return parsed("sql", func(s string, _ *evaluation) (*inspect.SQL, error) { return inspect.ParseSQL(s, dialect) })(b, args[:1])
}

// emails reads a list of mailboxes, or a list of such lists.
func emails(b *budget, args []any) (any, error) {
	texts, ok := args[0].([]any)
	if !ok {
		texts = []any{args[0]}
	}
	all := []any{}
	for _, t := range texts {
		s, ok := t.(string)
		if !ok {
			return nil, unusable("emails()", t)
		}
		if err := b.charge(parseCost + 4*len(s)); err != nil {
			return nil, err
		}
		list, err := inspect.ParseEmails(s)
		if err != nil {
			return nil, failf("emails(): %v", err)
		}
		for i := range list {
			v, err := exposed(b, reflect.ValueOf(&list[i]).Elem())
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
	}
	return all, nil
}

// A leaf is a value that is neither a list nor an object, and where it stands.
type leaf struct {
	Path  string `expr:"path"` // the names of the members that lead to it, with dots between
	Value any    `expr:"value"`
}

// leafCost is charged for a leaf, besides what its path and value cost to read.
const leafCost = 32

// leaves lists the leaves of a value, those of an object in the order of its names. What is
// null is no leaf.
func leaves(b *budget, args []any) (any, error) {
	all := []any{}
	var visit func(path string, v any, depth int) error
	visit = func(path string, v any, depth int) error {
		if depth > maxDepth {
			return failf("a value is nested too deeply for leaves()")
		}
		if err := b.charge(1); err != nil {
			return err
		}
		if n, ok := length(v); ok {
			for i := range n {
				if err := visit(path, element(v, i), depth+1); err != nil {
					return err
				}
			}
			return nil
		}
		if object, ok := v.(map[string]any); ok {
			if err := b.list(len(object)); err != nil {
				return err
			}
			for _, name := range sortedNames(object) {
				inner := name
				if depth > 0 && path != "" {
					if err := b.grow(len(path) + len(name) + 1); err != nil {
						return err
					}
					inner = path + "." + name
				}
				if err := visit(inner, object[name], depth+1); err != nil {
					return err
				}
			}
			return nil
		}
		if v == nil {
			return nil
		}
		if err := b.grow(leafCost); err != nil {
			return err
		}
		all = append(all, map[string]any{"path": path, "value": v})
		return nil
	}
	return all, visit("", args[0], 0)
}

// exposed turns a struct of package inspect into what rules work on.
func exposed(b *budget, v reflect.Value) (any, error) {
	object := make(map[string]any, v.NumField())
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("expr")
		if name == "" {
			continue
		}
		if err := b.grow(32); err != nil {
			return nil, err
		}
		switch f := v.Field(i); f.Kind() {
		case reflect.Slice:
			if err := b.list(f.Len()); err != nil {
				return nil, err
			}
			list := make([]any, f.Len())
			for i := range list {
				if f.Index(i).Kind() != reflect.Struct {
					list[i] = f.Index(i).Interface()
					continue
				}
				var err error
				if list[i], err = exposed(b, f.Index(i)); err != nil {
					return nil, err
				}
			}
			object[name] = list
		default:
			object[name] = f.Interface()
		}
	}
	return object, nil
}

// testMethods can be called on what url, ip, email and path give.
var testMethods = map[string]bool{"in": true, "within": true}

// testMethod calls a function among the members of such an object.
func testMethod(b *budget, object map[string]any, name string, args []any) (any, error) {
	f, ok := object[name].(func(...any) (bool, error))
	if !ok || len(args) == 0 {
		return nil, unusable("."+name+"()", object)
	}
	each := parseCost
	if name == "within" {
		each = followCost
	}
	for _, arg := range args {
		list, ok := arg.([]any)
		if !ok {
			list = []any{arg}
		}
		for _, item := range list {
			s, _ := item.(string)
			if err := b.charge(each + 4*len(s)); err != nil {
				return nil, err
			}
		}
	}
	is, err := f(args...)
	if err != nil {
		return nil, failf(".%s(): %v", name, err)
	}
	return is, nil
}

// remembered makes a function that looks a value up in the session's memory.
func remembered(of func(provenance.Origin) any) function {
	return func(b *budget, args []any) (any, error) {
		m := b.run.call.Memory
		if m == nil {
			return nil, failf("this session has no memory of where values came from (over HTTP a client has one if it names its session; a session that began before the policy asked for it has none)")
		}
		if err := b.charge(10); err != nil {
			return nil, err
		}
		if err := b.look(args[0], 0); err != nil {
			return nil, err
		}
		return of(m.Lookup(args[0])), nil
	}
}

// lookCost is charged for looking up one leaf of a value.
const lookCost = 16

// look charges for looking a value up, while it goes over it: parts of it may be the same
// value many times.
func (b *budget) look(v any, depth int) error {
	if depth > maxDepth {
		return failf("a value is nested too deeply")
	}
	text, _ := v.(string)
	if err := b.charge(lookCost + len(text)); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil, bool, int, float64, string:
	case []any:
		for _, e := range v {
			if err := b.look(e, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, e := range v {
			if err := b.charge(len(name)); err != nil {
				return err
			}
			if err := b.look(e, depth+1); err != nil {
				return err
			}
		}
	default:
		return failf("%s has no source", typeName(v))
	}
	return nil
}

func anyList(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// callsSince counts the calls that passed in this session: calls("mail.*", "1h").
func callsSince(b *budget, args []any) (any, error) {
	t, err := texts(b, "calls()", args)
	if err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(t[1])
	if err != nil || d <= 0 {
		return nil, failf(`calls(): the second argument is a time such as "1h"`)
	}
	if p, ok := checkPattern(t[0]); !ok {
		return nil, failf("calls(): %s", p.Message)
	}
	h := b.run.call.History
	if h == nil {
		return nil, failf("this session has no memory of its calls (a client over HTTP has one if it names its session)")
	}
	if err := b.charge(maxHistory); err != nil {
		return nil, err
	}
	n, ok := h.count(newGlob(t[0], true), b.run.call.now().Add(-d))
	if !ok {
		return nil, failf("calls(): there were more calls in this time than the %d that are remembered", maxHistory)
	}
	return n, nil
}

// secret looks for secrets anywhere in a value.
func secret(b *budget, args []any) (any, error) {
	find := b.run.call.Secret
	if find == nil {
		return nil, failf("secret(): nothing here finds secrets")
	}
	text, err := searchable(b, args[0])
	if err != nil {
		return nil, err
	}
	found, err := find(text)
	if err != nil {
		return nil, failf("secret(): %v", err)
	}
	return found, nil
}

// pii looks for personal data anywhere in a value: pii(v), pii(v, "email").
func pii(b *budget, args []any) (any, error) {
	find := b.run.call.PII
	if find == nil {
		return nil, failf("pii(): nothing here finds personal data")
	}
	kind := ""
	if len(args) == 2 {
		var ok bool
		if kind, ok = args[1].(string); !ok || kind == "" {
			return nil, unusable("pii()", args[1])
		}
	}
	text, err := searchable(b, args[0])
	if err != nil {
		return nil, err
	}
	found, err := find(text, kind)
	if err != nil {
		return nil, failf("pii(): %v", err)
	}
	return found, nil
}

// searchable is a value as the text that detectors look at: JSON, unless it is a text, so
// that the names before values are seen.
func searchable(b *budget, v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		if err := printable(b, v, 0); err != nil {
			return "", err
		}
		out, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
		if err != nil {
			return "", failf("a value of type %s holds no text", typeName(v))
		}
		s = string(out)
	}
	return s, b.charge(parseCost + len(s))
}
