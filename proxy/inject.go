package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/internal/schema"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// This file adds arguments to calls that the agent neither sees nor sets, such as a
// credential. A tool's schema is shown without them. What the agent sends is checked,
// judged, shown and recorded without them, and they are put into the message as it is
// sent. That what is sent fits the server's schema is found out before the decision.

// injected is an argument that the firewall adds to the calls of one tool.
type injected struct {
	name  string
	index int    // in the configuration's Inject
	kind  string // of the schema: string, number or boolean
}

// hide notes what the firewall adds to calls of the tool with the definition, and returns
// the definition without that.
func (c *capability) hide(raw []byte) []byte {
	input := jsonrpc.Get(raw, "inputSchema")
	for _, in := range c.conn.cfg.Inject {
		if in.Tool == "" || rules.Match(in.Tool, c.name) {
			c.guarded = append(c.guarded, jsonrpc.Fold(in.Argument))
		}
	}
	var err error
	if c.inject, err = injections(c.conn.cfg, c.name, input); err != nil {
		c.reason = err.Error()
		c.conn.log.Error().Str("tool", visible.Name(c.name)).Str("reason", c.reason).Msg("tool withheld")
	}
	if len(c.inject) == 0 {
		return raw
	}
	c.full = schema.Lazy(input)
	return jsonrpc.SetMember(raw, "inputSchema", c.withoutInjected(input, 0))
}

// injections returns the arguments to add to calls of the tool with the input schema. One
// that is configured for the tool by a pattern wins over one that is configured for all.
func injections(cfg config.Server, tool string, input []byte) ([]injected, error) {
	if len(cfg.Inject) == 0 {
		return nil, nil
	}
	var all []injected
	properties := jsonrpc.Get(input, "properties")
	// Those for all tools stand before the others.
	for i, in := range cfg.Inject {
		if in.Tool != "" && !rules.Match(in.Tool, tool) {
			continue
		}
		property := jsonrpc.Get(properties, in.Argument)
		d := declaration{input, jsonrpc.Fold(in.Argument)}
		if d.within(input, len(property) == 0, 0) {
			return nil, fmt.Errorf("the argument %s cannot be added to its calls: the schema declares it elsewhere than under properties at its top, where the agent would see it", visible.Name(in.Argument))
		}
		if len(property) == 0 {
			continue
		}
		kind, err := kindOf(property)
		if err != nil {
			return nil, fmt.Errorf("the argument %s cannot be added to its calls: %w", visible.Name(in.Argument), err)
		}
		for name := range jsonrpc.Members(properties, jsonrpc.Span{End: len(properties)}) {
			other := jsonrpc.String(properties[name.Start:name.End])
			if other != in.Argument && jsonrpc.Fold(other) == jsonrpc.Fold(in.Argument) {
				return nil, fmt.Errorf("the argument %s cannot be added to its calls: the schema has another one that equals it but for upper and lower case", visible.Name(in.Argument))
			}
		}
		at := slices.IndexFunc(all, func(a injected) bool { return a.name == in.Argument })
		switch {
		case at < 0:
			all = append(all, injected{in.Argument, i, kind})
		case cfg.Inject[all[at].index].Tool != "":
			return nil, fmt.Errorf("the argument %s is given by two patterns under inject, %s and %s", visible.Name(in.Argument), cfg.Inject[all[at].index].Tool, in.Tool)
		default:
			all[at] = injected{in.Argument, i, kind}
		}
	}
	return all, nil
}

// kindOf says of which type the value of a property is written. A text is tried where the
// schema does not say; the whole of it has the last word.
func kindOf(property []byte) (string, error) {
	types := jsonrpc.Get(property, "type")
	if len(types) == 0 {
		return "string", nil
	}
	var names []string
	if types[0] == '"' {
		names = []string{jsonrpc.String(types)}
	}
	for el := range jsonrpc.Elements(types, jsonrpc.Span{End: len(types)}) {
		names = append(names, jsonrpc.String(types[el.Start:el.End]))
	}
	switch {
	case slices.Contains(names, "string"):
		return "string", nil
	case slices.Contains(names, "number") || slices.Contains(names, "integer"):
		return "number", nil
	case slices.Contains(names, "boolean"):
		return "boolean", nil
	}
	return "", errors.New("only a text, a number, true or false can be added")
}

// value writes the argument's value as JSON.
func (i injected) value(text string) ([]byte, error) {
	raw := []byte(text)
	switch {
	case i.kind == "string":
		return jsonrpc.Quote(text), nil
	case i.kind == "number" && jsontext.Value(raw).IsValid() && jsontext.Value(raw).Kind() == '0' && len(bytes.TrimSpace(raw)) == len(raw):
		return raw, nil
	case i.kind == "boolean" && (text == "true" || text == "false"):
		return raw, nil
	}
	return nil, fmt.Errorf("the argument %s is a %s by the tool's schema, and its value is none", visible.Name(i.name), i.kind)
}

// complete returns the arguments with those that the firewall adds, as they are at the link
// now.
func (c *capability) complete(l *link, args []byte) ([]byte, error) {
	if len(c.inject) == 0 {
		return args, nil
	}
	if len(args) == 0 {
		args = []byte("{}")
	}
	keys := l.keys.Load()
	for _, in := range c.inject {
		v, err := in.value(keys.inject[in.index])
		if err != nil {
			return nil, err
		}
		args = jsonrpc.SetMember(args, in.name, v)
	}
	return args, nil
}

// forges refuses arguments of which one has the name of one that the firewall adds, or would
// add if the tool declared it, however its letters are cased, just as if no tool declared it.
func (c *capability) forges(args []byte) error {
	if len(c.guarded) == 0 {
		return nil
	}
	for name := range jsonrpc.Members(args, jsonrpc.Span{End: len(args)}) {
		given := jsonrpc.String(args[name.Start:name.End])
		if slices.Contains(c.guarded, jsonrpc.Fold(given)) {
			return fmt.Errorf("the tool declares no argument %q: use only the arguments of its schema", visible.Name(given))
		}
	}
	return nil
}

// checkComplete holds what will be sent, with what the firewall adds, against the server's
// schema. What that says of an argument which the agent does not see is for the log.
func (k *call) checkComplete() error {
	if len(k.c.inject) == 0 {
		return nil
	}
	args, err := k.c.complete(k.link, k.sent)
	hidden := err != nil
	if err == nil {
		err = k.c.full.Check(args, policy.TakesUndeclared(k.c.conn.cfg.Arguments, k.c.name))
		hidden = err != nil && slices.ContainsFunc(k.c.inject, func(in injected) bool { return strings.Contains(err.Error(), in.name) })
	}
	if hidden {
		k.c.conn.log.Error().Str("tool", visible.Name(k.c.name)).Str("reason", k.x.s.relay.redact.Text(err.Error())).Msg("what inject adds to a call does not fit the tool's schema")
		return errors.New("what the firewall adds to calls of this tool does not fit its schema: the person who configured it has to correct that, and the firewall's log says what it is")
	}
	return err
}

// whole are keywords of JSON Schema that speak of an object as a whole.
var whole = []string{"anyOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "propertyNames", "default", "examples"}

// maxHideDepth bounds how deep keywords that apply in place are followed.
const maxHideDepth = 16

// declaration is looked for in a schema: that of an argument, by its name folded.
type declaration struct {
	root []byte
	name string
}

// within reports whether a schema that applies to the arguments as a whole, or one that it
// takes along, declares the argument. Where counts is false, what is written out under it
// does not count, since it can be taken out, but what it refers to does.
func (d declaration) within(s []byte, counts bool, depth int) bool {
	if depth > maxHideDepth {
		return true
	}
	for name, value := range jsonrpc.Members(s, jsonrpc.Span{End: len(s)}) {
		keyword, part := jsonrpc.String(s[name.Start:name.End]), s[value.Start:value.End]
		switch keyword {
		case "properties", "patternProperties":
			for name := range jsonrpc.Members(part, jsonrpc.Span{End: len(part)}) {
				if counts && d.named(jsonrpc.String(part[name.Start:name.End]), keyword == "patternProperties") {
					return true
				}
			}
		case "allOf", "anyOf", "oneOf":
			for el := range jsonrpc.Elements(part, jsonrpc.Span{End: len(part)}) {
				if d.within(part[el.Start:el.End], counts, depth+1) {
					return true
				}
			}
		case "not", "if", "then", "else":
			if d.within(part, counts, depth+1) {
				return true
			}
		case "dependentSchemas", "dependencies":
			for _, el := range jsonrpc.Members(part, jsonrpc.Span{End: len(part)}) {
				if d.within(part[el.Start:el.End], counts, depth+1) {
					return true
				}
			}
		case "$ref", "$dynamicRef", "$recursiveRef":
			to, found := d.resolve(jsonrpc.String(part))
			if !found || d.within(to, true, depth+1) {
				return true
			}
		}
	}
	return false
}

// named reports whether the name of a property, or the pattern of one, is the argument's.
func (d declaration) named(name string, pattern bool) bool {
	if !pattern {
		return jsonrpc.Fold(name) == d.name
	}
	re, err := regexp.Compile("(?i)" + name)
	return err != nil || re.MatchString(d.name)
}

// resolve returns what a reference within the schema leads to.
func (d declaration) resolve(ref string) ([]byte, bool) {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok || pointer == "" || pointer[0] != '/' {
		return nil, false
	}
	to := d.root
	for _, step := range strings.Split(pointer[1:], "/") {
		step, err := url.PathUnescape(step)
		if err != nil {
			return nil, false
		}
		if to = jsonrpc.Get(to, strings.NewReplacer("~1", "/", "~0", "~").Replace(step)); len(to) == 0 {
			return nil, false
		}
	}
	return to, true
}

// withoutInjected returns the schema as the agent sees it. Where a keyword ties an argument
// that is hidden to others, the keyword is left out: the server's own schema, which
// checkComplete applies, still says it.
func (c *capability) withoutInjected(input []byte, depth int) []byte {
	hidden := func(name string) bool {
		return slices.ContainsFunc(c.inject, func(in injected) bool { return in.name == name })
	}
	if properties := jsonrpc.Get(input, "properties"); len(properties) > 0 && properties[0] == '{' {
		input = jsonrpc.SetMember(input, "properties", jsonrpc.DropMembers(properties, hidden))
	}
	if required := jsonrpc.Get(input, "required"); len(required) > 0 {
		var left [][]byte
		for el := range jsonrpc.Elements(required, jsonrpc.Span{End: len(required)}) {
			if v := required[el.Start:el.End]; !hidden(jsonrpc.String(v)) {
				left = append(left, v)
			}
		}
		input = jsonrpc.SetMember(input, "required", append(append([]byte("["), bytes.Join(left, []byte(","))...), ']'))
	}
	if all := jsonrpc.Get(input, "allOf"); len(all) > 0 && depth < maxHideDepth {
		var parts [][]byte
		for el := range jsonrpc.Elements(all, jsonrpc.Span{End: len(all)}) {
			part := all[el.Start:el.End]
			if part[0] == '{' {
				part = c.withoutInjected(part, depth+1)
			}
			parts = append(parts, part)
		}
		input = jsonrpc.SetMember(input, "allOf", append(append([]byte("["), bytes.Join(parts, []byte(","))...), ']'))
	}
	return jsonrpc.DropMembers(input, func(keyword string) bool {
		return keyword == "minProperties" || keyword == "maxProperties" || slices.Contains(whole, keyword) && mentions(jsonrpc.Get(input, keyword), hidden)
	})
}

// mentions reports whether a text or name anywhere in a JSON value is hidden.
func mentions(raw []byte, hidden func(string) bool) bool {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := d.ReadToken()
		if err != nil {
			return false
		}
		if token.Kind() == '"' && hidden(token.String()) {
			return true
		}
	}
}

// unused reports the arguments under inject that no tool takes, of the servers that are up.
func (v *view) unused() config.Problems {
	var problems config.Problems
	for _, s := range v.serials {
		conn := s.link.conn
		for i, in := range conn.cfg.Inject {
			used := slices.ContainsFunc(v.all, func(c *capability) bool {
				return c.conn == conn && slices.ContainsFunc(c.inject, func(a injected) bool { return a.index == i })
			})
			if !used {
				p := v.gen.cfg.Problem("servers."+conn.name+"."+in.Path(), 0, "this is added to no call: no tool that it is for declares the argument "+in.Argument+", or another pattern wins", "")
				p.Warning = true
				problems = append(problems, p)
			}
		}
	}
	return problems
}
