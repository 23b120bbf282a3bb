package rules

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
)

// pasted refuses a text that the agent has too much say in a part of.
func (f *flow) pasted(at ast.Node, t text) {
	if len(t) < 2 {
		return
	}
	if p := t.worst(); p.level == levelFree {
		name := p.name
		if name == "" {
			name = "an input"
		}
		f.refuse(at, "%s would be pasted into a longer text, where it could change what the text means: %s. "+
			"Hand it over alone, as an argument or a parameter of its own (params: \"[%s]\"); or limit it in its schema to an enum, an integer, "+
			"or a pattern such as ^[A-Za-z0-9_][A-Za-z0-9_.-]*$", name, p.why, name)
	}
}

// settle judges the texts of a value whose pieces are not followed further.
func (f *flow) settle(at ast.Node, v *abstract) {
	if v == nil || !f.step(at) {
		return
	}
	for _, t := range v.texts {
		f.judge(at, t, f.argument)
	}
	for _, e := range v.list {
		f.settle(at, e)
	}
	for _, name := range sortedNames(v.fields) {
		f.settle(at, v.fields[name])
	}
	if v.rest != nil {
		f.settle(at, v.rest)
	}
}

// sink judges a value that becomes an argument of the broad tool, or a part of
// one. Names are those that lead to it.
func (f *flow) sink(at ast.Node, v *abstract, names []string) {
	if v == nil || !f.step(at) {
		return
	}
	last := names[len(names)-1]
	for _, t := range v.texts {
		f.judge(at, t, last)
		w := t.worst()
		switch plain := plainName(last); {
		case len(t) != 1 || w.level != levelFree || w.restricted || v.kinds&shapeText == 0:
		case statementNames[plain]:
			f.refuse(at, "%s", writesWhole(last, w.name))
		case wholeNames[plain]:
			f.whole = &wholeText{argument: f.argument, input: w.name}
		}
	}
	if commandNames[plainName(last)] && (v.list != nil || v.rest != nil) && v.kinds&shapeList != 0 {
		f.commandLine(at, v, last)
	}
	for _, e := range v.list {
		f.sink(at, e, names)
	}
	for _, name := range sortedNames(v.fields) {
		f.sink(at, v.fields[name], append(slices.Clone(names), name))
	}
	if v.rest != nil {
		f.sink(at, v.rest, names)
	}
}

// commandLine judges a list that looks like the arguments of a program: an
// element that the agent chooses must be no option, nor the script of one.
func (f *flow) commandLine(at ast.Node, v *abstract, name string) {
	after, ended := "", false
	for _, e := range append(slices.Clone(v.list), v.rest) {
		if e == nil {
			continue
		}
		for _, t := range e.texts {
			w := t.worst()
			literal := t.String()
			if w.level > levelFixed && scriptOption().MatchString(after) {
				f.refuse(at, "in %q, what follows %q is a script: %s cannot be a part of it", name, after, orInput(w.name))
			}
			if first := t[:min(1, len(t))].worst(); !ended && (first.level == levelFree || first.negative) {
				f.refuse(at, "in %q, %s could begin with - and be taken for an option. Put '--' before it if the program knows that, or limit it in its schema "+
					"to an enum, an integer with a minimum of 0, or a pattern such as ^[A-Za-z0-9_][A-Za-z0-9_.-]*$", name, orInput(first.name))
			}
			after = literal
			ended = ended || literal == "--"
		}
	}
}

var scriptOption = onuse.Regexp(`^(-[a-zA-Z]*[ce]|/[cCkK]|--?(eval|exec|execute|command|Command|EncodedCommand|e))$`)

// judge looks at what stands around each piece of a finished text.
func (f *flow) judge(at ast.Node, t text, name string) {
	if len(t) < 2 || t.fixed() {
		return
	}
	plain := plainName(name)
	statement := isStatement(t, plain)
	for i, p := range t {
		before, after := t[:i].String(), t[i+1:].String()
		switch {
		case p.level == levelFixed:
		case authority().MatchString(before):
			f.refuse(at, "%s would be a part of the host of a URL, which decides where the call goes: limit it to an enum", orInput(p.name))
		case p.level == levelWord && statement && !quoted(before, after):
			f.refuse(at, "%s would be pasted into what looks like a statement, where a word can be a name or a keyword: hand it over as a parameter, "+
				"or limit it in its schema to an enum or an integer, or put it between '...'", orInput(p.name))
		case p.level == levelWord && queryNames[plain] && alone().MatchString(before):
			f.refuse(at, "%s would stand alone in %q, where a word such as OR or NOT can be an operator: put what it belongs to right before it (label:), "+
				"or limit it to an enum", orInput(p.name), name)
		case p.level == levelNumber && p.negative && (statement || statementNames[plain] || commandNames[plain]):
			f.refuse(at, "%s would be pasted into what looks like a statement or command, where a - before a number can begin a comment or an option: "+
				"hand it over as a parameter, or give its schema a minimum of 0", orInput(p.name))
		}
	}
}

// alone matches a text after which a word stands by itself.
var alone = onuse.Regexp(`(^|[\s(|&])$`)

// authority matches a text that ends in the host of a URL.
var authority = onuse.Regexp(`(?s)(://|^//)[^/?#]*$`)

// quoted reports whether a piece is all that stands between two quotation marks.
func quoted(before, after string) bool {
	return strings.HasSuffix(before, "'") && strings.HasPrefix(after, "'") &&
		strings.Count(before, "'")%2 == 1 && !strings.ContainsAny(before, "\"`\\\x00")
}

var (
	statementNames = nameSetOf("sql", "sqlquery", "statement", "statements", "stmt", "soql", "cypher", "sparql", "gql", "command", "cmd", "commandline", "shell", "script", "bash", "powershell", "code")
	commandNames   = nameSetOf("command", "cmd", "commandline", "args", "argv", "arguments")
	queryNames     = nameSetOf("sql", "statement", "stmt", "query", "querystring", "q", "search", "where", "filter", "condition", "predicate", "soql", "jql", "cql", "kql", "cypher", "sparql")

	// sqlText matches what hardly is anything else; queryText also what is
	// ordinary English, and is asked only of arguments that have such a name.
	sqlText = onuse.Regexp(`(?is)\b(select\b.*\bfrom|select\s+[\w*]|insert\s+into|replace\s+into|merge\s+into|update\b.*\bset|delete\s+from|` +
		`(drop|alter|create|truncate)\s+(table|view|index|database|schema|user|role|function)|grant\b.*\bto|exec(ute)?\s+\w|call\s+\w+\s*\(|` +
		`union\s+(all\s+)?select|where\b.*(=|<|>|\bin\b|\blike\b|\bis\b)|order\s+by|group\s+by|match\s*\()`)
	queryText = onuse.Regexp(`(?is)\b(select|from|where|and|or|not|in|like|join|values|set|having|union|order\s+by|group\s+by|with|return)\b|[=<>]`)
)

func nameSetOf(names ...string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

// plainName drops what distinguishes commandLine, command_line and Command-Line.
func plainName(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' || r == '.' {
			return -1
		}
		return r
	}, name))
}

// isStatement reports whether a text, of an argument whose plain name is given,
// looks like one of a query language.
func isStatement(t text, plain string) bool {
	written := t.String()
	switch {
	case plain == "sql" || plain == "statement" || plain == "stmt" || strings.HasSuffix(plain, "sql"):
		return true
	case queryNames[plain] && queryText().MatchString(written):
		return true
	}
	return sqlText().MatchString(written)
}

func orInput(name string) string {
	if name == "" {
		return "an input"
	}
	return name
}
