package rules

import (
	"strings"
	"testing"
)

func TestRestricts(t *testing.T) {
	for pattern, want := range map[string]bool{
		`^SELECT \* FROM [a-z_]+$`: true, `^select (id|name) from users where id = [0-9]+$`: true, `^(SELECT a|SELECT b)$`: true, `^SELECT\s+id\s+FROM\s+[a-z_]{1,20}$`: true,
		`^SHOW TABLES;?$`: true, `^get [a-z]+( limit [0-9]+)?$`: true, `(?i)^select [a-z]+ from t$`: true, `^deploy [a-z0-9.-]+$`: true,
		`.*`: false, `^.*$`: false, `^SELECT .*$`: false, `SELECT [a-z]+`: false, `^SELECT [a-z]+`: false, `SELECT x$`: false, `^SELECT \S+$`: false, `^SELECT [^;]+$`: false, `^SELECT [^']*$`: false,
		`^[a-zA-Z ]+$`: false, `^SELECT [a-z ]+$`: false, `^SELECT (\w+\s*)+$`: false, `^SELECT (x|y|[a-z]+ )*$`: false, `^SELECT [\s\S]{1,200}$`: false, `^SELECT [\w']+$`: false, `^SELECT \p{L}+$`: false,
		`^[a-z]+ [a-z]+ [a-z]+$`: false, `^(?s:.)+$`: false, `^$|^SELECT .+$`: false, `^SELECT a$|x`: false, `^(?m)SELECT$`: false, `(`: false, `^SELECT ([a-z]+[ ,=]+)+$`: false,
	} {
		if got := restricts(pattern); got != want {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}

// A statement that the agent writes whole is refused, and words to search for are not.
func TestNarrowWholeStatements(t *testing.T) {
	const plain = `{"type":"string"}`
	for _, test := range []struct {
		from, argument, schema string
		about                  string // description of the broad tool
		compiles, fits         bool
	}{
		{"db.run", "sql", plain, "", false, false},
		{"db.run", "query", plain, "", false, false},
		{"db.run", "where", plain, "", false, false},
		{"x.postgres_query", "query", plain, "", false, false},
		{"x.run_soql", "filter", plain, "", false, false},
		{"x.run", "soql", plain, "", false, false},
		{"x.run", "cypher", plain, "", false, false},
		{"x.run", "sql", `{"type":"string","pattern":".*"}`, "", false, false},
		{"x.run", "sql", `{"type":"string","pattern":"^SELECT .*$"}`, "", false, false},
		{"x.run", "sql", `{"type":"string","pattern":"^SELECT [a-z_]+ FROM [a-z_]+$"}`, "", true, true},
		{"x.run", "sql", `{"type":"string","enum":["SELECT 1"]}`, "", true, true},
		{"db.run", "query", `{"type":"string","pattern":"^SELECT [a-z_]+ FROM [a-z_]+$"}`, "", true, true},
		{"x.run", "query", plain, "Runs a read-only SQL query.", true, false},
		{"x.run", "query", plain, "Executes a Cypher statement on Neo4j", true, false},
		{"x.run", "query_text", plain, "Run a query in BigQuery", true, false},
		{"x.run", "query", plain, "Searches the web.", true, true},
		{"x.search", "query", plain, "Searches pages and databases by title", true, true},
		{"search.web", "filter", plain, "", true, true},
	} {
		for _, passed := range []bool{false, true} {
			in := "in"
			n := Narrow{Name: "narrowed", From: test.from, Description: "d", Input: map[string][]byte{}, Args: map[string]string{test.argument: "input.in"}}
			if passed {
				in, n.Args = test.argument, nil
			}
			n.Input[in] = []byte(test.schema)
			c, problems := tryNarrow(n)
			if (len(problems) == 0) != test.compiles {
				t.Errorf("%s %s %s: %v", test.from, test.argument, test.schema, problems)
				continue
			}
			if c == nil {
				if !strings.Contains(problems[0].Message, "narrows nothing") {
					t.Errorf("%s %s: %v", test.from, test.argument, problems)
				}
				continue
			}
			_, tool, _ := strings.Cut(test.from, ".")
			_, err := c.Definition([]byte(`{"name":"` + tool + `","description":"` + test.about + `","inputSchema":{"type":"object","properties":{"` + test.argument + `":{"type":"string"}}}}`))
			if (err == nil) != test.fits {
				t.Errorf("%s %s %q: %v", test.from, test.argument, test.about, err)
			}
		}
	}
}
