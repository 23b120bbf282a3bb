package inspect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The statements come out of hand-written recursive-descent parsers of one
// family, one per dialect, each tested against the database's own grammar:
// oliphant for PostgreSQL, marino for MySQL and MariaDB, meyer for SQLite. They
// need no cgo, no WebAssembly and no parser tables; together they cost 4 ms when
// the process starts and 6 MiB of resident memory, most of it shared file pages.

// What ParseSQL reads at most. The parsers recurse without a limit of their
// own, and a Go stack that overflows cannot be recovered from.
const (
	maxSQL        = 64 << 10
	maxSQLTokens  = 8192
	maxSQLNesting = 48
	maxSQLNodes   = 1 << 18
	maxSQLDepth   = 1500
	maxStatements = 100
)

// NoLimit is what SQLStatement.Limit says of a statement without a literal limit,
// so that `limit <= 100` is not true of it.
const NoLimit = math.MaxInt

// A SQL is what a database would read in a text: one or more statements.
type SQL struct {
	// Kind is the kind that all statements share, or "mixed".
	Kind string `expr:"kind"`
	// Statements are in the order of the text.
	Statements []SQLStatement `expr:"statements"`
	// Tables, Writes, Functions and Columns are those of all statements, sorted.
	Tables    []string `expr:"tables"`
	Writes    []string `expr:"writes"`
	Functions []string `expr:"functions"`
	Columns   []string `expr:"columns"`
	// ReadOnly says that every statement is.
	ReadOnly bool `expr:"readOnly"`
}

// A SQLStatement is one statement, with all that is nested in it.
type SQLStatement struct {
	// Kind is one of select, insert, update, delete, ddl, transaction, set, call,
	// copy, explain, show, mixed and other. A statement that changes data in two
	// ways is mixed: MERGE, REPLACE, an insert that updates what is already
	// there, a select with a deleting WITH. TRUNCATE is a delete, SELECT INTO a
	// table is ddl, into a file a copy. EXPLAIN ANALYZE and PREPARE have the kind
	// of the statement that they run or will run.
	Kind string `expr:"kind"`
	// Tables are all that the statement names, wherever it does, except the
	// names that its WITH clauses give. They are as the database knows them: with
	// the letter case folded as it folds it, and with the schema as written,
	// except that PostgreSQL's public and pg_catalog, SQLite's main, and a
	// PostgreSQL database name are left out. MySQL and SQLite names are in lower
	// case always.
	Tables []string `expr:"tables"`
	// Writes are those of the tables that the statement changes, creates, drops
	// or locks. For an update or delete over several tables, all of them.
	Writes []string `expr:"writes"`
	// Functions are all that are called, aggregates and procedures included, in
	// lower case. Syntax with a name of its own, such as CASE or CAST, is not.
	Functions []string `expr:"functions"`
	// Columns are the last parts of all names that stand for columns; "*" where
	// all are taken. A name may also stand for a whole row (`SELECT u FROM users u`).
	Columns []string `expr:"columns"`
	// HasWhere says that a select, update or delete has a WHERE that names at
	// least one column; in a UNION, that every part has.
	HasWhere bool `expr:"hasWhere"`
	// Limit is the literal LIMIT, or NoLimit.
	Limit int `expr:"limit"`
	// ReadOnly says that the statement is a select, show, or explain that changes
	// nothing, locks no rows, writes no file, assigns no variable, and calls no
	// function except ones that are known to do none of this.
	ReadOnly bool `expr:"readOnly"`
}

// ParseSQL reads s as the statements of a dialect: "postgres", "mysql",
// "mariadb" or "sqlite". With "" the text has to be valid in all of them, and
// all have to read the same kinds, tables and conditions in it.
//
// What cannot be parsed is an error, and so is what would be read differently
// under another setting or client of the same database: conditional comments,
// hints, a comment in a comment, a quote after a backslash, `--` without a space,
// control characters, client commands; and code that is not looked into, such as
// DO, EXECUTE and the bodies of PostgreSQL functions. Errors never quote s.
func ParseSQL(s string, dialect string) (_ *SQL, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("reading SQL: the parser failed on this text; write it more simply")
		}
	}()
	var parsers []sqlParser
	switch strings.ToLower(dialect) {
	case "postgres", "postgresql":
		parsers = []sqlParser{parsePostgres}
		dialect = "postgres"
	case "mysql", "mariadb":
		parsers = []sqlParser{parseMySQL(strings.EqualFold(dialect, "mariadb"))}
		dialect = "mysql"
	case "sqlite", "sqlite3":
		parsers = []sqlParser{parseSQLite}
		dialect = "sqlite"
	case "":
		parsers = []sqlParser{parsePostgres, parseMySQL(false), parseMySQL(true), parseSQLite}
	default:
		return nil, errors.New("reading SQL: the dialect is not one of postgres, mysql, mariadb, sqlite")
	}
	if err := scanSQL(s, dialect); err != nil {
		return nil, fmt.Errorf("reading SQL: %w", err)
	}
	var statements []SQLStatement
	for i, parse := range parsers {
		parsed, err := parse(s)
		if err == nil && len(parsed) == 0 {
			err = errors.New("there is no statement in it")
		}
		if err == nil && len(parsed) > maxStatements {
			err = fmt.Errorf("it has more than %d statements", maxStatements)
		}
		if err == nil && i > 0 {
			err = agree(statements, parsed)
		}
		if err != nil && dialect == "" {
			return nil, fmt.Errorf("reading SQL in the common dialects: %w; name the dialect or use what is the same in all", err)
		}
		if err != nil {
			return nil, fmt.Errorf("reading SQL: %w", err)
		}
		if i == 0 {
			statements = parsed
		}
	}
	return summarize(statements), nil
}

// A sqlParser gives the statements of one dialect.
type sqlParser func(s string) ([]SQLStatement, error)

var errSyntax = errors.New("it is not valid in the dialect")

// agree compares what a second dialect reads with what the first did, and keeps
// of what may differ harmlessly the union.
func agree(first, second []SQLStatement) error {
	different := errors.New("they read it differently")
	if len(first) != len(second) {
		return different
	}
	for i := range first {
		a, b := &first[i], &second[i]
		if a.Kind != b.Kind || a.HasWhere != b.HasWhere || a.Limit != b.Limit ||
			!slices.Equal(a.Tables, b.Tables) || !slices.Equal(a.Writes, b.Writes) {
			return different
		}
		a.Functions = union(a.Functions, b.Functions)
		a.Columns = union(a.Columns, b.Columns)
		a.ReadOnly = a.ReadOnly && b.ReadOnly
	}
	return nil
}

func summarize(statements []SQLStatement) *SQL {
	sql := &SQL{Kind: statements[0].Kind, Statements: statements, ReadOnly: true,
		Tables: []string{}, Writes: []string{}, Functions: []string{}, Columns: []string{}}
	for _, s := range statements {
		if s.Kind != sql.Kind {
			sql.Kind = "mixed"
		}
		sql.Tables = union(sql.Tables, s.Tables)
		sql.Writes = union(sql.Writes, s.Writes)
		sql.Functions = union(sql.Functions, s.Functions)
		sql.Columns = union(sql.Columns, s.Columns)
		sql.ReadOnly = sql.ReadOnly && s.ReadOnly
	}
	return sql
}

// union gives the sorted strings of both; neither is changed, none is nil.
func union(a, b []string) []string {
	out := append(append(make([]string, 0, len(a)+len(b)), a...), b...)
	slices.Sort(out)
	return slices.Compact(out)
}
