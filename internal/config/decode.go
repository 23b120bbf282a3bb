package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// decoder fills a Config from the tree of a document and collects what is
// wrong. A value with a problem is left at its default and decoding goes on.
type decoder struct {
	cfg      *Config
	src      *source
	found    []finding
	misspelt map[string]bool // paths that an unknown key of the file probably means
}

// finding is a problem before the source line is cut out, which has to wait
// until all secrets in the file are known.
type finding struct {
	offset              int
	message, suggestion string
}

func (d *decoder) fail(offset int, suggestion, format string, args ...any) {
	d.found = append(d.found, finding{offset, fmt.Sprintf(format, args...), suggestion})
}

func (d *decoder) failNode(n *yaml.Node, suggestion, format string, args ...any) {
	d.fail(d.src.nodeOffset(n), suggestion, format, args...)
}

// problems returns what was found, in the order of the file.
func (d *decoder) problems() Problems {
	slices.SortStableFunc(d.found, func(a, b finding) int { return cmp.Compare(a.offset, b.offset) })
	var ps Problems
	for _, f := range d.found {
		if slices.ContainsFunc(d.src.secrets, func(n *yaml.Node) bool {
			return n.Kind == yaml.AliasNode && d.src.nodeOffset(n) == f.offset
		}) {
			f.suggestion = "" // it holds what was meant as the value
		}
		ps = append(ps, d.src.problemAt(f.offset, f.message, f.suggestion))
	}
	return ps
}

// maxDepth bounds the nesting of the document, far above what any key needs.
const maxDepth = 32

// restrict refuses what makes a YAML file mean something else than it seems
// to, or grow when it is read: anchors, aliases, merge keys and tags.
func (d *decoder) restrict(n *yaml.Node, depth int) {
	if depth > maxDepth {
		d.failNode(n, "", "this is nested too deeply")
		return
	}
	switch {
	case n.Kind == yaml.AliasNode:
		d.failNode(n, "'*"+n.Value+"'", "aliases (*name) are not supported: write the value itself; a text that begins with * must be in quotes")
	case n.Anchor != "":
		d.failNode(n, "", "anchors (&name) are not supported; a text that begins with & must be in quotes")
	case n.Style&yaml.TaggedStyle != 0:
		d.failNode(n, "", "tags (!name) are not supported; a text that begins with ! must be in quotes")
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if child.Kind != yaml.ScalarNode && child.Kind != yaml.AliasNode {
				d.failNode(child, "", "a key must be a word, not %s; a text that begins with { or [ must be in quotes", describe(child))
			} else if isMerge(child) {
				d.failNode(child, "", "merge keys (<<) are not supported: write the keys themselves")
			}
		}
		d.restrict(child, depth+1)
	}
}

func isMerge(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!merge" }

// refused reports a node that restrict has already complained about.
func refused(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0
}

// put records where a value stands.
func (d *decoder) put(path string, key, value *yaml.Node) {
	d.cfg.nodes[path] = place{d.src, key, value}
}

// entry is one key of a mapping.
type entry struct {
	name       string
	key, value *yaml.Node
}

// entries returns the keys of a mapping, each once. With fold, keys that
// differ only in case are the same key.
func (d *decoder) entries(n *yaml.Node, fold bool) []entry {
	first := make(map[string]*yaml.Node)
	var entries []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || refused(key) || isMerge(key) {
			d.markSecret(value)
			continue
		}
		name := key.Value
		if fold {
			name = foldCase(name)
		}
		if before := first[name]; before != nil {
			d.markSecret(value)
			if before.Value == key.Value {
				d.failNode(key, "", "the key %s is already in line %d", quote(key.Value), before.Line)
			} else {
				d.failNode(key, "", "the key %s is the same as %s in line %d but for upper and lower case", quote(key.Value), quote(before.Value), before.Line)
			}
			continue
		}
		first[name] = key
		entries = append(entries, entry{key.Value, key, value})
	}
	return entries
}

// foldCase maps all texts that are equal under Unicode's simple case folding
// to one.
func foldCase(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, s)
}

// markSecret keeps every value under a node, though not the keys, out of
// messages.
func (d *decoder) markSecret(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode {
		d.src.secrets = append(d.src.secrets, n)
	}
	for i, child := range n.Content {
		if n.Kind == yaml.SequenceNode || i%2 == 1 {
			d.markSecret(child)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// section decodes a mapping into a struct.
func (d *decoder) section(n *yaml.Node, v reflect.Value, path string) {
	fields := fieldsOf(v.Type())
	for _, e := range d.entries(n, true) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == e.name })
		at := join(path, e.name)
		if i < 0 && v.Type() == labelsType {
			d.put(at, e.key, e.value)
			d.ownLabel(e, v.Addr().Interface().(*Labels), at)
			continue
		}
		if i < 0 {
			d.unknown(e, v.Type(), path)
			continue
		}
		d.put(at, e.key, e.value)
		d.value(fields[i], e, v.FieldByIndex(fields[i].index), at)
	}
	for _, f := range fields {
		at := join(path, f.key)
		if _, ok := d.cfg.nodes[at]; f.required && !ok && !d.misspelt[at] {
			suggestion := ""
			if f.kind == kindNumber {
				suggestion = f.key + ": " + f.enum[0]
			}
			d.fail(d.sectionOffset(n, path), suggestion, "%s is missing", at)
		}
	}
}

// sectionOffset is where a section is complained about as a whole: at its key,
// or where an item of a list begins.
func (d *decoder) sectionOffset(n *yaml.Node, path string) int {
	if p := d.cfg.nodes[path]; p.key != nil {
		n = p.key
	}
	return d.src.nodeOffset(n)
}

// unknown complains about a key that the section does not have. Its value may
// be anything, a secret too, unless it is clear what was meant.
func (d *decoder) unknown(e entry, section reflect.Type, path string) {
	where, secret := "", true
	near := nearest(e.name, keysOf(section))
	if near != "" {
		d.misspelt[join(path, near)] = true
		f := fieldsOf(section)[slices.Index(keysOf(section), near)]
		secret = f.secret || f.elem != nil
	} else if home := homeOf(e.name); home != "" {
		where = " here: it belongs " + home
	}
	if secret {
		d.markSecret(e.value)
	}
	d.failNode(e.key, near, "unknown key %s%s", quote(e.name), where)
}

// value decodes the value of one key.
func (d *decoder) value(f field, e entry, v reflect.Value, path string) {
	n := e.value
	if f.secret {
		d.markSecret(n)
	}
	if refused(n) {
		return
	}
	if isNull(n) {
		d.failNode(e.key, "", "%s has no value: write one, or remove the key", path)
		return
	}
	switch f.kind {
	case kindSection:
		if !d.want(n, yaml.MappingNode, path) {
			return
		}
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(f.elem))
			v = v.Elem()
			setDefaults(v)
		}
		d.section(n, v, path)
	case kindSections:
		if d.want(n, yaml.SequenceNode, path) {
			d.sections(f, n, v, path)
		}
	case kindNamedSections:
		if d.want(n, yaml.MappingNode, path) {
			d.namedSections(f, n, v, path)
		}
	case kindTexts:
		if d.want(n, yaml.SequenceNode, path) {
			v.Set(reflect.ValueOf(d.texts(f, n, path)))
		}
	case kindLabel:
		if d.want(n, yaml.SequenceNode, path) {
			v.Set(reflect.ValueOf(d.label(f, n, path)))
		}
	case kindInputs:
		if d.want(n, yaml.MappingNode, path) {
			v.Set(reflect.ValueOf(d.inputs(f, n, path)))
		}
	case kindInject:
		if d.want(n, yaml.MappingNode, path) {
			v.Set(reflect.ValueOf(d.injections(f, n, path)))
		}
	case kindJSON:
		if raw, ok := d.json(nil, n, path); ok {
			v.SetBytes(raw)
		}
	case kindTextMap:
		if d.want(n, yaml.MappingNode, path) {
			v.Set(reflect.ValueOf(d.textMap(f, n, path)))
		}
	case kindWordMap:
		v.Set(reflect.ValueOf(d.words(f, n, path)))
	case kindText:
		if text, ok := d.text(f, n, path); ok {
			v.SetString(text)
		}
	case kindArguments:
		if n.Kind == yaml.SequenceNode {
			v.Set(reflect.ValueOf(Arguments{OpenTools: d.texts(f, n, path)}))
			return
		}
		d.word(f, n, v, path)
	default:
		d.word(f, n, v, path)
	}
}

func (d *decoder) sections(f field, n *yaml.Node, v reflect.Value, path string) {
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.put(at, nil, item)
		section := reflect.New(f.elem).Elem()
		setDefaults(section)
		if !refused(item) && d.want(item, yaml.MappingNode, at) {
			d.section(item, section, at)
		}
		v.Set(reflect.Append(v, section)) // also a wrong one, so that indexes agree with the file
	}
}

func (d *decoder) namedSections(f field, n *yaml.Node, v reflect.Value, path string) {
	for _, e := range d.entries(n, true) {
		if wrong, suggestion := checks[f.check].test(e.name); wrong != "" {
			d.failNode(e.key, suggestion, "the name %s %s", quote(e.name), wrong)
		}
		at := join(path, e.name)
		d.put(at, e.key, e.value)
		section := reflect.New(f.elem).Elem()
		setDefaults(section)
		section.FieldByName("Name").SetString(e.name)
		switch {
		case refused(e.value):
		case isNull(e.value):
			d.failNode(e.key, "", "%s has no value: write one, or remove the key", at)
		case d.want(e.value, yaml.MappingNode, at):
			d.section(e.value, section, at)
		}
		v.Set(reflect.Append(v, section))
	}
}

func (d *decoder) texts(f field, n *yaml.Node, path string) []string {
	if f.nonempty && len(n.Content) == 0 {
		d.failNode(n, "", "%s must not be empty", path)
	}
	texts := make([]string, 0, len(n.Content))
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.put(at, nil, item)
		if refused(item) {
			continue
		}
		if text, ok := d.text(f, item, at); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

func (d *decoder) textMap(f field, n *yaml.Node, path string) map[string]string {
	texts := make(map[string]string, len(n.Content)/2)
	c := checks[f.check]
	for _, e := range d.entries(n, !c.caseCounts) {
		at := join(path, e.name)
		d.put(at, e.key, e.value)
		if wrong, suggestion := c.test(e.name); wrong != "" {
			d.failNode(e.key, suggestion, "the name %s %s", quote(e.name), wrong)
		}
		switch {
		case refused(e.value):
			continue
		case isNull(e.value):
			d.failNode(e.key, "", `%s has no value: write one ("" for an empty text), or remove the key`, at)
			continue
		}
		text, ok := d.text(field{key: f.key, ref: f.ref}, e.value, at)
		if !ok {
			continue
		}
		if wrong := c.value(text); wrong != "" {
			d.failNode(e.value, "", "%s %s", at, wrong)
		}
		texts[e.name] = text
	}
	return texts
}

// text decodes a scalar that stands for text, and checks it.
func (d *decoder) text(f field, n *yaml.Node, path string) (string, bool) {
	if !d.want(n, yaml.ScalarNode, path) {
		return "", false
	}
	if n.Tag != "!!str" {
		hint := ": put it in quotes"
		if isNull(n) {
			hint = ""
		}
		d.failNode(n, "", "%s must be text, not %s%s", path, describe(n), hint)
		return "", false
	}
	text := n.Value
	offset := func(i int) int { return d.src.scalarOffsets(n)[i] }
	if i := strings.IndexByte(text, 0); i >= 0 {
		d.fail(offset(i), "", "%s must not contain a zero byte", path)
		return "", false
	}
	if m := reference().FindStringIndex(text); m != nil && !f.ref {
		d.fail(offset(m[0]), "", "%s cannot hold a reference: ${...} works %s", path, refHomes)
		return "", false
	}
	if f.nonempty && strings.TrimSpace(text) == "" {
		d.failNode(n, "", "%s must not be empty", path)
		return "", false
	}
	if f.kind == kindTexts && f.enum != nil {
		if !slices.Contains(f.enum, text) {
			d.failNode(n, nearest(text, f.enum), "%s is %s, and must be %s", path, quote(text), oneOf(f.enum))
			return "", false
		}
	}
	if f.check != "" {
		if wrong, suggestion := checks[f.check].test(text); wrong != "" {
			d.failNode(n, suggestion, "%s %s", path, wrong)
			return "", false
		}
	}
	if f.as == "path" || f.as == "command" {
		resolved, wrong := d.cfg.resolve(text, f.as == "command")
		if wrong != "" {
			d.failNode(n, "", "%s %s", path, wrong)
			return "", false
		}
		text = resolved
	}
	return text, true
}

// word decodes a scalar that has one of a few forms: a choice, a bool, a
// number, a duration, a size.
func (d *decoder) word(f field, n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.failNode(n, "", "%s must be %s, not %s", path, f.wanted(), describe(n))
		return
	}
	if f.kind == kindBool && (n.Tag != "!!bool" || n.Value != strings.ToLower(n.Value)) {
		d.failNode(n, asBool(n.Value, "false", "true"), "%s must be true or false", path)
		return
	}
	wrong := f.setText(v, n.Value)
	if wrong == "" {
		return
	}
	suggestion := suggestValue(f.kind, n.Value)
	words := f.enum
	if f.kind == kindArguments {
		words = argumentWords
	}
	if suggestion == n.Value { // the form is right, the value is out of bounds
		suggestion = ""
	}
	if suggestion == "" && words != nil {
		suggestion = nearest(n.Value, words)
	}
	if suggestion == "" && slices.Equal(words, []string{"deny", "allow"}) {
		suggestion = asBool(n.Value, "deny", "allow")
	}
	if why := whyEnum[f.section+"."+f.key]; why != "" && words != nil {
		wrong += " (" + why + ")"
	}
	d.failNode(n, suggestion, "%s %s", path, wrong)
}

// whyEnum explains an enum that lacks a word people will try.
var whyEnum = map[string]string{
	"Rule.then":  "a rule can only tighten what the patterns allow",
	"Limit.then": "a rule can only tighten what the patterns allow",
}

// asBool translates what other formats write for a bool.
func asBool(text, no, yes string) string {
	switch strings.ToLower(text) {
	case "true", "yes", "y", "on", "1", "enabled":
		return yes
	case "false", "no", "n", "off", "0", "disabled":
		return no
	}
	return ""
}

// wanted describes the values of a word, for a list or mapping in its place.
func (f field) wanted() string {
	switch f.kind {
	case kindBool:
		return "true or false"
	case kindDuration:
		return "a length of time such as 30s"
	case kindSize:
		return "a size such as 32MiB"
	case kindDecimal:
		return "a number"
	case kindPeriod:
		return "a length of time such as 24h, or " + oneOf(calendars)
	case kindArguments:
		return "declared, open, or a list of patterns"
	}
	return oneOf(f.enum)
}

// want reports whether the node has the form that the key needs, and
// complains if not.
func (d *decoder) want(n *yaml.Node, k yaml.Kind, path string) bool {
	if n.Kind == k {
		return true
	}
	form := map[yaml.Kind]string{
		yaml.MappingNode:  "a mapping (key: value)",
		yaml.SequenceNode: "a list",
		yaml.ScalarNode:   "text",
	}[k]
	hint := ""
	if k == yaml.SequenceNode && n.Kind == yaml.ScalarNode && !isNull(n) {
		hint = ": put it in brackets, [ ]"
	}
	d.failNode(n, "", "%s must be %s, not %s%s", path, form, describe(n), hint)
	return false
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// describe says what a node is, without its value, which may be a secret.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!timestamp":
		return "a date"
	}
	return "text"
}
