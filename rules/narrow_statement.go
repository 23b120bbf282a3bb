package rules

import (
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
)

// This file keeps a narrowing from handing a statement through that the agent writes as a
// whole.

// A wholeText is an argument that is one input alone, of any text, and by its name may take
// a statement. Whether it does shows in what the broad tool says of itself.
type wholeText struct{ path, argument, input string }

var (
	// wholeNames are of arguments that take statements in databases and words to search for
	// elsewhere.
	wholeNames = nameSetOf("query", "queries", "querystring", "querytext", "where", "whereclause", "filter", "filters", "condition", "predicate")

	// language matches the names of query languages, and of what speaks one.
	language = onuse.Regexp(`(?i)(^|[^a-z])(\w*sql\w*|postgres|mariadb|duckdb|big-?query|snowflake|redshift|clickhouse|databricks|athena|oracle|cypher|neo4j|memgraph|sparql|soql|sosl|mongo(db)?|gremlin|graphql|influx(ql|db)?)([^a-z]|$)`)

	// database matches the name of a server or tool that has one.
	database = onuse.Regexp(`(?i)(^|[^a-z])(db|databases?|warehouse)([^a-z]|$)`)
)

// writesWhole says that an input would be the whole of a statement.
func writesWhole(argument, input string) string {
	return fmt.Sprintf("the agent would write the whole of %q: this narrows nothing. Write it out here and hand over parameters, or limit %s to an enum or a pattern", argument, orInput(input))
}

// namesLanguage reports whether the names of the broad tool speak of a query language.
func (n *Narrowing) namesLanguage() bool {
	for _, name := range []string{n.Server, n.Broad} {
		if language().MatchString(name) || database().MatchString(name) {
			return true
		}
	}
	return false
}

// whole notes an argument that the agent would write whole, or refuses it where the names
// of the tool say that it is a statement.
func (n *Narrowing) whole(w wholeText) *Problem {
	if n.namesLanguage() {
		return &Problem{Message: writesWhole(w.argument, w.input)}
	}
	n.wholes = append(n.wholes, w)
	return nil
}

// statements refuses the arguments that the agent would write whole where the definition of
// the broad tool speaks of a query language.
func (n *Narrowing) statements(broad []byte) (problems Problems) {
	about := func(definition []byte) bool {
		for _, member := range []string{"title", "description"} {
			if s, ok := jsonrpc.GetString(definition, member); ok && language().MatchString(s) {
				return true
			}
		}
		return false
	}
	for _, w := range n.wholes {
		if about(broad) || about(jsonrpc.Get(broad, "inputSchema", "properties", w.argument)) {
			problems = append(problems, Problem{Path: n.path + w.path, Message: writesWhole(w.argument, w.input)})
		}
	}
	return problems
}

// restricts reports whether a text that a pattern allows is written by its author but for
// some words: it is anchored at both ends, begins with what the author wrote, and repeats
// nothing among which there are letters together with spaces, quotes or operators.
func restricts(pattern string) bool {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	return err == nil && edge(parsed, syntax.OpBeginText, true) && edge(parsed, syntax.OpEndText, false) &&
		begins(parsed) && !repeatsText(parsed, false)
}

// begins reports whether every match begins with a literal.
func begins(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return true
	case syntax.OpCapture:
		return begins(re.Sub[0])
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if !begins(sub) {
				return false
			}
		}
		return true
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if sub.Op != syntax.OpBeginText && sub.Op != syntax.OpEmptyMatch {
				return begins(sub)
			}
		}
	}
	return false
}

// repeatsText reports whether an expression repeats, or has in a class, letters together
// with what separates them or means something.
func repeatsText(re *syntax.Regexp, repeated bool) bool {
	switch re.Op {
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		repeated = true
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	}
	if repeated || re.Op == syntax.OpCharClass {
		if letters, others := signs(re); letters && others {
			return true
		}
	}
	for _, sub := range re.Sub {
		if repeatsText(sub, false) {
			return true
		}
	}
	return false
}

// signs reports whether there are letters among what an expression consists of, and signs
// that are not a part of names.
func signs(re *syntax.Regexp) (letters, others bool) {
	note := func(from, to rune) {
		for r := from; r <= to && r <= unicode.MaxASCII; r++ {
			switch {
			case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
				letters = true
			case r < '0' || r > '9':
				others = others || !strings.ContainsRune("_-.:@,", r)
			}
		}
		if to > unicode.MaxASCII {
			// Case folding adds single letters; elsewhere there are spaces and quotes too.
			letters, others = true, others || from != to || !unicode.IsLetter(to)
		}
	}
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true, true
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			note(r, r)
		}
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			note(re.Rune[i], re.Rune[i+1])
		}
	}
	for _, sub := range re.Sub {
		l, o := signs(sub)
		letters, others = letters || l, others || o
	}
	return letters, others
}
