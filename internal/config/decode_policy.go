package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var labelsType = reflect.TypeFor[Labels]()

// ownLabel describes a label of the user's own.
func ownLabel(name string) field {
	return field{key: name, kind: kindLabel, check: "pattern", nonempty: true}
}

// ownLabel decodes a label of the user's own.
func (d *decoder) ownLabel(e entry, labels *Labels, path string) {
	if wrong, suggestion := checks["label"].test(e.name); wrong != "" {
		d.failNode(e.key, suggestion, "the label %s %s", quote(e.name), wrong)
		return
	}
	switch n := e.value; {
	case refused(n):
	case isNull(n):
		d.failNode(e.key, "", "%s has no value: write one, or remove the key", path)
	case d.want(n, yaml.SequenceNode, path):
		if labels.Own == nil {
			labels.Own = make(map[string][]LabelPattern)
		}
		labels.Own[e.name] = d.label(ownLabel(e.name), n, path)
	}
}

// fieldMark separates a pattern under a label from the field that it is about.
const fieldMark = ":result"

// label decodes the patterns of a label.
func (d *decoder) label(f field, n *yaml.Node, path string) []LabelPattern {
	texts := d.texts(f, n, path)
	if len(texts) < len(n.Content) {
		return nil // there are problems, and indexes no longer agree
	}
	patterns := make([]LabelPattern, len(texts))
	for i, text := range texts {
		patterns[i].Pattern = text
		at := strings.LastIndex(text, fieldMark)
		if at < 0 {
			continue
		}
		rest := text[at+len(fieldMark):]
		wrong, suggestion := "", ""
		switch {
		case rest == "":
			wrong, suggestion = "names the result as a whole: leave "+fieldMark+" away", text[:at]
		case rest[0] != '.' && rest[0] != '[':
			continue // the name of something, such as db.query:results
		case f.as != "field":
			wrong, suggestion = "cannot name a field: only untrusted and trusted can", text[:at]
		case at == 0:
			wrong = "must begin with a pattern"
		case strings.ContainsAny(rest, "[]"):
			wrong = "needs no brackets: a list on the way is walked through"
			suggestion = text[:at] + fieldMark + strings.NewReplacer("[]", "", "[*]", "", "[0]", "").Replace(rest)
		case slices.Contains(strings.Split(rest[1:], "."), ""):
			wrong = "must name a field by the names on the way to it, such as :result.owner.email"
		}
		if wrong != "" {
			d.failNode(n.Content[i], suggestion, "%s[%d] %s", path, i, wrong)
			continue
		}
		patterns[i].Pattern, patterns[i].Field = text[:at], rest[1:]
	}
	return patterns
}

// validatePolicy checks what no key of the rules, limits and narrowed tools
// shows alone.
func (d *decoder) validatePolicy() {
	for i := range d.cfg.Limits {
		d.validateLimit(&d.cfg.Limits[i], fmt.Sprintf("limits[%d]", i))
	}
	for i := range d.cfg.Tools.Narrow {
		d.validateNarrow(&d.cfg.Tools.Narrow[i])
	}
	for i, name := range d.cfg.Use {
		if p, ok := d.cfg.nodes[fmt.Sprintf("use[%d]", i)]; ok && slices.Contains(d.cfg.Use[:i], name) {
			d.failNode(p.value, "", "use[%d] is there twice", i)
		}
	}
	d.uniqueNames()
}

// uniqueNames checks the names of rules and limits, by which decisions are
// reported.
func (d *decoder) uniqueNames() {
	lines := make(map[string]int)
	check := func(path, name string) {
		p, ok := d.cfg.nodes[path]
		if !ok || name == "" {
			return
		}
		folded := foldCase(name)
		if line := lines[folded]; line > 0 {
			d.failNode(p.value, "", "%s must be unique among rules and limits: line %d has the same", path, line)
			return
		}
		lines[folded] = p.value.Line
		i := slices.IndexFunc(d.cfg.Use, func(used string) bool {
			return strings.HasPrefix(folded, foldCase(presetName(used, "")))
		})
		if i >= 0 {
			d.failNode(p.value, "", "%s begins like the names of the preset %s", path, d.cfg.Use[i])
		}
	}
	for i, r := range d.cfg.Rules {
		check(fmt.Sprintf("rules[%d].name", i), r.Name)
	}
	for i, l := range d.cfg.Limits {
		check(fmt.Sprintf("limits[%d].name", i), l.Name)
	}
}

func (d *decoder) validateLimit(l *Limit, path string) {
	if p, ok := d.cfg.nodes[join(path, "max")]; ok && l.Sum == "" && !d.misspelt[join(path, "sum")] && strings.Contains(l.Max, ".") {
		d.failNode(p.value, "", "%s.max must be a whole number where calls are counted; with sum it is a sum", path)
	}
	if p, ok := d.cfg.nodes[join(path, "zone")]; ok && l.Per.Window > 0 {
		d.failNode(p.key, "", "%s.zone makes sense only where per is %s", path, oneOf(calendars))
	}
}

// validateNarrow checks the names in required, and fills them in where there
// are none.
func (d *decoder) validateNarrow(w *Narrow) {
	path := join(join("tools.narrow", w.Name), "required")
	if _, ok := d.cfg.nodes[path]; !ok {
		for _, in := range w.Input {
			if in.Default == nil {
				w.Required = append(w.Required, in.Name)
			}
		}
		return
	}
	var names []string
	for _, in := range w.Input {
		names = append(names, in.Name)
	}
	for i, name := range w.Required {
		p, ok := d.cfg.nodes[fmt.Sprintf("%s[%d]", path, i)]
		switch {
		case !ok:
		case !slices.Contains(names, name):
			d.failNode(p.value, nearest(name, names), "%s[%d] is %s, which is not under input", path, i, quote(name))
		case slices.Contains(w.Required[:i], name):
			d.failNode(p.value, "", "%s[%d] is there twice", path, i)
		}
	}
}
