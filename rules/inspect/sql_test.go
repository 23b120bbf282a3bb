package inspect

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseSQL(t *testing.T) {
	for _, test := range []struct {
		dialect, sql              string
		kind                      string
		tables, writes, functions string // separated by spaces
		readOnly, where           bool
		limit                     int
	}{
		{sql: "SELECT id FROM users WHERE id = 1 LIMIT 10", kind: "select", tables: "users", readOnly: true, where: true, limit: 10},
		{sql: "SELECT * FROM Users u JOIN orders o ON u.id = o.uid WHERE EXISTS (SELECT 1 FROM secrets)", kind: "select", tables: "orders secrets users", readOnly: true, where: false},
		{sql: "WITH users AS (SELECT 1 AS x) SELECT * FROM (WITH a AS (SELECT 2 AS y) SELECT * FROM a) q, a, users", kind: "select", tables: "a", readOnly: true},
		{sql: "SELECT a FROM t UNION SELECT b FROM u WHERE x = 1", kind: "select", tables: "t u", readOnly: true},
		{sql: "SELECT a FROM t WHERE 1 = 1", kind: "select", tables: "t", readOnly: true},
		{sql: "SELECT count(*), lower(a) FROM t -- the end", kind: "select", tables: "t", functions: "count lower", readOnly: true},
		{sql: "DELETE FROM t", kind: "delete", tables: "t", writes: "t"},
		{sql: "UPDATE t SET a = (SELECT b FROM u) WHERE c = 1", kind: "update", tables: "t u", writes: "t", where: true},
		{sql: "SELECT 1; DROP TABLE users", kind: "mixed", tables: "users", writes: "users"},
		{sql: "SELECT f(1)", kind: "select", functions: "f"},

		{dialect: "postgres", sql: "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", kind: "mixed", tables: "t", writes: "t"},
		{dialect: "postgres", sql: "WITH t AS (SELECT 1) DELETE FROM t", kind: "delete", tables: "t", writes: "t"},
		{dialect: "postgres", sql: "WITH u AS (SELECT * FROM u) SELECT * FROM u", kind: "select", tables: "u", readOnly: true},
		{dialect: "postgres", sql: "SELECT * INTO x FROM y", kind: "ddl", tables: "x y", writes: "x"},
		{dialect: "postgres", sql: `SELECT * FROM public.users, pg_catalog.pg_authid, "Users", s.t`, kind: "select", tables: "Users pg_authid s.t users", readOnly: true},
		{dialect: "postgres", sql: `SELECT * FROM U&"\0075sers"`, kind: "select", tables: "users", readOnly: true},
		{dialect: "postgres", sql: "SELECT pg_read_file('/etc/passwd'), pg_catalog.lower('x')", kind: "select", functions: "lower pg_read_file"},
		{dialect: "postgres", sql: "SELECT evil.lower('x')", kind: "select", functions: "evil.lower"},
		{dialect: "postgres", sql: "SELECT a OPERATOR(evil.+) b FROM t", kind: "select", tables: "t"},
		{dialect: "postgres", sql: "SELECT * FROM dblink('x', 'DROP TABLE t') AS d(a int)", kind: "select", functions: "dblink"},
		{dialect: "postgres", sql: "SELECT * FROM t FOR UPDATE OF t", kind: "select", tables: "t"},
		{dialect: "postgres", sql: "COPY t TO PROGRAM 'sh'", kind: "copy", tables: "t"},
		{dialect: "postgres", sql: "COPY t FROM STDIN", kind: "copy", tables: "t", writes: "t"},
		{dialect: "postgres", sql: "EXPLAIN ANALYZE DELETE FROM t", kind: "delete", tables: "t", writes: "t"},
		{dialect: "postgres", sql: "EXPLAIN SELECT * FROM t", kind: "explain", tables: "t", readOnly: true},
		{dialect: "postgres", sql: "PREPARE p AS DELETE FROM t", kind: "delete", tables: "t", writes: "t"},
		{dialect: "postgres", sql: "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE", kind: "mixed", tables: "a b", writes: "a"},
		{dialect: "postgres", sql: "INSERT INTO t SELECT * FROM u ON CONFLICT (id) DO UPDATE SET a = 1", kind: "mixed", tables: "t u", writes: "t"},
		{dialect: "postgres", sql: "TRUNCATE a, b", kind: "delete", tables: "a b", writes: "a b"},
		{dialect: "postgres", sql: "ALTER TABLE x RENAME TO users", kind: "ddl", tables: "users x", writes: "users x"},
		{dialect: "postgres", sql: "CREATE VIEW v AS SELECT * FROM users", kind: "ddl", tables: "users v", writes: "v"},
		{dialect: "postgres", sql: "DROP TABLE s.a, b", kind: "ddl", tables: "b s.a", writes: "b s.a"},
		{dialect: "postgres", sql: "SET ROLE x", kind: "set"},
		{dialect: "postgres", sql: "SHOW search_path", kind: "show", readOnly: true},
		{dialect: "postgres", sql: "CALL p(1)", kind: "call", functions: "p"},
		{dialect: "postgres", sql: "COMMIT", kind: "transaction"},
		{dialect: "postgres", sql: "LOCK TABLE t", kind: "other", tables: "t", writes: "t"},
		{dialect: "postgres", sql: "TABLE users", kind: "select", tables: "users", readOnly: true},
		{dialect: "postgres", sql: "SELECT $$it's; DROP TABLE x$$, a #>> '{b}' FROM t", kind: "select", tables: "t", readOnly: true},

		{dialect: "mysql", sql: "SELECT * FROM `a`.`B` WHERE x = \"y\" INTO OUTFILE '/tmp/x'", kind: "copy", tables: "a.b", where: true},
		{dialect: "mysql", sql: "SELECT a FROM t INTO @x", kind: "set", tables: "t"},
		{dialect: "mysql", sql: "UPDATE a JOIN b ON a.id = b.id SET a.x = 1", kind: "update", tables: "a b", writes: "a b"},
		{dialect: "mysql", sql: "DELETE x FROM a x JOIN b ON x.id = b.id", kind: "delete", tables: "a b", writes: "a b"},
		{dialect: "mysql", sql: "REPLACE INTO t VALUES (1)", kind: "mixed", tables: "t", writes: "t"},
		{dialect: "mysql", sql: "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 2", kind: "mixed", tables: "t", writes: "t"},
		{dialect: "mysql", sql: "SELECT @a := 1", kind: "select"},
		{dialect: "mysql", sql: "SELECT sleep(5), load_file('x') # comment", kind: "select", functions: "load_file sleep"},
		{dialect: "mysql", sql: "WITH Users AS (SELECT 1) SELECT * FROM users", kind: "select", tables: "users", readOnly: true},
		{dialect: "mysql", sql: "CREATE PROCEDURE p() BEGIN DELETE FROM t; END", kind: "mixed", tables: "p t", writes: "t"},
		{dialect: "mysql", sql: "LOAD DATA INFILE 'x' INTO TABLE t", kind: "copy", tables: "t", writes: "t"},
		{dialect: "mysql", sql: "SELECT * FROM t LOCK IN SHARE MODE", kind: "select", tables: "t"},
		{dialect: "mysql", sql: "DO sleep(1)", kind: "call", functions: "sleep"},
		{dialect: "mysql", sql: "USE other", kind: "set"},
		{dialect: "mysql", sql: "KILL 5", kind: "other"},
		{dialect: "mariadb", sql: "SHOW TABLES", kind: "show", readOnly: true},

		{dialect: "sqlite", sql: `SELECT * FROM main.users, "Users", [Abc], temp.x`, kind: "select", tables: "abc temp.x users", readOnly: true},
		{dialect: "sqlite", sql: "SELECT 1 WHERE 2 IN users", kind: "select", tables: "users", readOnly: true},
		{dialect: "sqlite", sql: "SELECT * FROM 'users' LIMIT 1, 5", kind: "select", tables: "users", readOnly: true, limit: 5},
		{dialect: "sqlite", sql: "PRAGMA writable_schema = 1", kind: "set"},
		{dialect: "sqlite", sql: "ATTACH 'x' AS y", kind: "other"},
		{dialect: "sqlite", sql: "VACUUM INTO 'x'", kind: "copy"},
		{dialect: "sqlite", sql: "SELECT * FROM pragma_table_info('x')", kind: "select", functions: "pragma_table_info"},
		{dialect: "sqlite", sql: "SELECT load_extension('x')", kind: "select", functions: "load_extension"},
		{dialect: "sqlite", sql: "INSERT OR REPLACE INTO t VALUES (1)", kind: "mixed", tables: "t", writes: "t"},
		{dialect: "sqlite", sql: "CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM u; END", kind: "mixed", tables: "a t u", writes: "a t u"},
	} {
		sql, err := ParseSQL(test.sql, test.dialect)
		if err != nil {
			t.Errorf("%s %q: %v", test.dialect, test.sql, err)
			continue
		}
		last := sql.Statements[len(sql.Statements)-1]
		if test.limit == 0 {
			test.limit = math.MaxInt
		}
		if sql.Kind != test.kind || strings.Join(sql.Tables, " ") != test.tables || strings.Join(sql.Writes, " ") != test.writes ||
			sql.ReadOnly != test.readOnly || last.HasWhere != test.where || last.Limit != test.limit ||
			strings.Join(sql.Functions, " ") != test.functions {
			t.Errorf("%s %q: %+v", test.dialect, test.sql, *sql)
		}
	}
}

func TestParseSQLColumns(t *testing.T) {
	for _, test := range []struct{ dialect, sql, columns string }{
		{"", "SELECT a, t.B, count(c) FROM t WHERE d = 1 ORDER BY e", "a b c d e"},
		{"", "SELECT * FROM t", "*"},
		{"", "SELECT t.* FROM t", "*"},
		{"postgres", "TABLE t", "*"},
		{"mysql", "TABLE t", "*"},
		{"", "INSERT INTO t (a, b) VALUES (1, 2)", "a b"},
		{"", "UPDATE t SET a = 1 WHERE b = 2", "a b"},
		{"postgres", `SELECT "Password" FROM t`, "Password"},
	} {
		sql, err := ParseSQL(test.sql, test.dialect)
		if err != nil {
			t.Errorf("%q: %v", test.sql, err)
		} else if got := strings.Join(sql.Columns, " "); got != test.columns {
			t.Errorf("%q: columns %s, want %s", test.sql, got, test.columns)
		}
	}
}

// What one server reads otherwise than another, or hides from the parser, is refused.
func TestParseSQLRefuses(t *testing.T) {
	for _, test := range []struct{ dialect, sql string }{
		{"", ""}, {"", ";"}, {"", "-- only a comment"}, {"", "SELECT"}, {"postgres", "SELECT FROM WHERE"},
		{"oracle", "SELECT 1"}, {"mssql", "SELECT 1"},
		// comments
		{"mysql", "SELECT 1 /*!50000 ; DROP TABLE t */"}, {"mysql", "SELECT /*M!100 1, */ 2"}, {"mysql", "SELECT /*+ SET_VAR(a=1) */ 2"},
		{"mysql", "SELECT /*T![x] 1, */ 2"}, {"", "SELECT 1 /*! */"},
		{"", "SELECT 1 /* /* */ */"}, {"postgres", "SELECT 1 /* a /* */ , 2 */"}, {"", "SELECT 1 /*"}, {"sqlite", "SELECT 1 /*/"},
		{"", "SELECT 5--1"}, {"mysql", "SELECT 1 --x\n"}, {"", "SELECT 1 # x"}, {"sqlite", "SELECT 1 # x"},
		// quotes
		{"", `SELECT 'a\'`}, {"", `SELECT 'a\', b FROM secrets --'`}, {"mysql", `SELECT 'it\'s'`}, {"mysql", `SELECT "\""`}, {"postgres", `SELECT 'a\'`},
		{"", "SELECT 'a"}, {"", `SELECT "a`}, {"mysql", "SELECT `a"}, {"", "SELECT a FROM `t`"}, {"", "SELECT [a] FROM t"}, {"sqlite", "SELECT [a'b] FROM t"},
		{"", "SELECT $$a$$"}, {"mysql", "SELECT $$a$$"}, {"postgres", "SELECT $a$ x $b$"}, {"", "SELECT E'a'"}, {"", `SELECT U&'a'`},
		{"postgres", `SELECT * FROM "a.b"`}, {"", `SELECT 1 FROM "Users"`},
		// signs
		{"", "SELECT\x001"}, {"", "SELECT\u00a01"}, {"", "SELECT \u200b1"}, {"", "SELECT 1 -- x\rDROP TABLE t"}, {"", "SELECT\v1"}, {"", "SELECT \ufeff1"},
		{"", "SELECT 'a\u202eb'"}, {"", "SELECT '\xff'"}, {"", "SELECT 1 \uff1b DROP TABLE t"},
		// clients
		{"", "SELECT 1\n\\! id"}, {"mysql", "SELECT 1 \\G"}, {"postgres", "SELECT 1 \\gexec"}, {"mysql", "DELIMITER //\nSELECT 1"}, {"", "SELECT 1\nGO\n"}, {"sqlite", "SELECT 1;\n.shell id"},
		// what begins a statement only in Transact-SQL
		{"", "SELECT 1 FROM t SHUTDOWN"}, {"", "SELECT 1 FROM t EXEC"}, {"", "SELECT 1 AS a ROLLBACK"},
		// read differently
		{"", "SELECT 1 FROM public.t"}, {"", "SELECT a FROM t WHERE b = $1"}, {"", "WITH u AS (SELECT * FROM u) SELECT * FROM u"},
		{"", "REPLACE INTO t VALUES (1)"}, {"", "TRUNCATE TABLE t"}, {"", "SELECT 1 DELETE FROM t"},
		// code that is not looked into
		{"postgres", "DO $$ BEGIN DELETE FROM t; END $$"}, {"postgres", "EXECUTE p"}, {"postgres", "CREATE FUNCTION f() RETURNS int AS 'x' LANGUAGE sql"},
		{"mysql", "PREPARE p FROM 'DROP TABLE t'"}, {"mysql", "EXECUTE p"}, {"mysql", "CREATE PROCEDURE p() BEGIN PREPARE s FROM 'DROP TABLE t'; END"},
		// size
		{"", "SELECT " + strings.Repeat("(", 60) + "1" + strings.Repeat(")", 60)},
		{"", "SELECT '" + strings.Repeat("a", maxSQL) + "'"},
		{"", "SELECT " + strings.Repeat("1,", maxSQLTokens) + "1"},
		{"", strings.Repeat("SELECT 1;", maxStatements+1)},
	} {
		if sql, err := ParseSQL(test.sql, test.dialect); err == nil {
			t.Errorf("%s %.60q was read as %+v", test.dialect, test.sql, *sql)
		} else if !strings.HasPrefix(err.Error(), "reading SQL") {
			t.Errorf("%s %.60q: %v", test.dialect, test.sql, err)
		}
	}
}

// Nesting of every kind is refused or read within bounds. The limit is loose, for
// slow machines: what it guards against is time that doubles with every level.
func TestParseSQLBounded(t *testing.T) {
	repeat := func(before, open, middle, closing, after string) []string {
		var out []string
		for _, n := range []int{40, 1000, 20000} {
			out = append(out, before+strings.Repeat(open, n)+middle+strings.Repeat(closing, n)+after)
		}
		return out
	}
	for _, texts := range [][]string{
		repeat("SELECT ", "(", "1", ")", ""), repeat("SELECT * FROM ", "(", "SELECT 1", ")", " a"), repeat("SELECT * FROM ", "(", "t", ")", ""),
		repeat("SELECT ", "(SELECT ", "1", ")", ""), repeat("", "(", "SELECT 1", ")", ""), repeat("SELECT ", "NOT ", "1", "", ""),
		repeat("SELECT ", "- ", "1", "", ""), repeat("SELECT ", "~", "1", "", ""), repeat("SELECT ", "CASE WHEN ", "1", " THEN 1 END", ""),
		repeat("SELECT 1", " + 1", "", "", ""), repeat("SELECT 1", " AND 1", "", "", ""), repeat("SELECT 1", " UNION SELECT 1", "", "", ""),
		repeat("SELECT * FROM t", " JOIN t", " ON 1", " ON 1", ""), repeat("SELECT * FROM t", " CROSS JOIN t", "", "", ""),
		repeat("SELECT a", "[", "1", "]", ""), repeat("", "EXPLAIN ", "SELECT 1", "", ""), repeat("SELECT ", "f(", "1", ")", ""),
		repeat("SELECT a", " COLLATE b", "", "", ""), repeat("SELECT a", "::int", "", "", ""), repeat("SELECT 1 IN ", "(1, ", "1", ")", ""),
		repeat("SELECT ", "EXISTS (SELECT ", "1", ")", ""), repeat("SELECT ", "a = ", "1", "", ""), repeat("SELECT ", "a BETWEEN 1 AND ", "1", "", ""),
		repeat("SELECT ", "a LIKE ", "1", "", ""), repeat("SELECT ", "INTERVAL ", "1", " DAY", ""), repeat("SELECT ", "BINARY ", "a", "", ""),
		repeat("SELECT * FROM t WHERE ", "a IS NOT NULL AND ", "1 = 1", "", ""), repeat("SELECT ", "a IN (SELECT ", "1", ")", ""),
		repeat("WITH a AS (SELECT 1)", ", a AS (SELECT 1)", " SELECT 1", "", ""), repeat("SELECT ", "ROW(", "1", ")", ""), repeat("SELECT ", "a.", "b", "", ""),
		repeat("WITH a AS ", "(WITH a AS ", "(SELECT 1) SELECT 1", ") SELECT 1", ""), repeat("SELECT a", " IS NULL", "", "", ""), repeat("SELECT a", " AT TIME ZONE b", "", "", ""),
		repeat("SELECT ", "PRIOR ", "1", "", ""), repeat("SELECT ", "@", "a", "", ""), repeat("SELECT ", "!", "a", "", ""), repeat("SELECT 'a'", " 'b'", "", "", ""),
		repeat("CREATE TABLE t (a int", ", b int", "", "", ")"), repeat("SELECT 1", " EXCEPT (SELECT 1", "", ")", ""), repeat("SELECT ARRAY", "[", "1", "]", ""),
	} {
		for _, text := range texts {
			for _, dialect := range []string{"", "postgres", "mysql", "sqlite"} {
				start := time.Now()
				_, err := ParseSQL(text, dialect)
				if took := time.Since(start); took > 15*time.Second {
					t.Errorf("%s %.40q of %d bytes took %s (%v)", dialect, text, len(text), took, err)
				}
			}
		}
	}
}

func FuzzParseSQL(f *testing.F) {
	for _, s := range []string{
		"SELECT a, b FROM t WHERE c = 'x' LIMIT 3", "WITH a AS (SELECT 1) SELECT * FROM a, b", "DELETE FROM t WHERE a IN (SELECT b FROM c)",
		"INSERT INTO t (a) VALUES ('it''s')", "UPDATE t SET a = CASE WHEN b THEN 1 ELSE -2 END", "CREATE TABLE t (a int); DROP TABLE t",
		"SELECT * FROM \"a\" JOIN `b` USING (c) -- x\n/* y */", "SELECT $1, ?, :a, @b, x::int, $$q$$", "EXPLAIN SELECT f(g(1))",
	} {
		for _, d := range []string{"", "postgres", "mysql", "mariadb", "sqlite"} {
			f.Add(s, d)
		}
	}
	f.Fuzz(func(t *testing.T, s, dialect string) {
		sql, err := ParseSQL(s, dialect)
		if err != nil {
			return
		}
		if len(sql.Statements) == 0 || sql.Kind == "" {
			t.Fatal("nothing was read, without an error")
		}
		for _, statement := range sql.Statements {
			if statement.ReadOnly && (len(statement.Writes) > 0 || slices.Contains([]string{"mixed", "insert", "update", "delete", "ddl", "copy"}, statement.Kind)) {
				t.Fatalf("read-only, but %+v", statement)
			}
			for _, w := range statement.Writes {
				if !slices.Contains(statement.Tables, w) {
					t.Fatalf("writes to what is not a table of it: %+v", statement)
				}
			}
		}
		// What all dialects read alike, each reads so alone; a comment between
		// two statements changes nothing.
		for _, again := range []string{s + "\n", s + " /* x */", "-- x\n" + s} {
			if strings.TrimRight(s, " ;\t\r\n") != s || strings.Contains(s, "--") || strings.Contains(s, "#") {
				break
			}
			other, err := ParseSQL(again, dialect)
			if err == nil && (other.Kind != sql.Kind || !slices.Equal(other.Tables, sql.Tables) || other.ReadOnly != sql.ReadOnly) {
				t.Fatalf("%q is read as %+v, %q as %+v", s, *sql, again, *other)
			}
		}
		if dialect == "" {
			for _, d := range []string{"postgres", "mysql", "sqlite"} {
				alone, err := ParseSQL(s, d)
				if err != nil || alone.Kind != sql.Kind || !slices.Equal(alone.Tables, sql.Tables) || !slices.Equal(alone.Writes, sql.Writes) {
					t.Fatalf("%s reads %+v (%v), all of them %+v", d, alone, err, *sql)
				}
			}
		}
	})
}

func BenchmarkParseSQL(b *testing.B) {
	const query = "SELECT u.id, count(o.id) FROM users u JOIN orders o ON o.uid = u.id WHERE u.active = 1 AND o.total > 50 GROUP BY u.id ORDER BY u.id LIMIT 100"
	for _, dialect := range []string{"postgres", "mysql", "sqlite", ""} {
		b.Run("dialect="+dialect, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseSQL(query, dialect); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Functions that syntax calls, not a name with parentheses, are somebody's too.
func TestParseSQLFunctionsBehindSyntax(t *testing.T) {
	for sql, want := range map[string]bool{
		"SELECT a FROM t ORDER BY a USING <": true, "SELECT a FROM t ORDER BY a USING OPERATOR(evil.<)": false,
		"SELECT a OPERATOR(evil.+) 1 FROM t": false, "SELECT a FROM t WHERE a = ANY (SELECT b FROM u)": true, "SELECT a FROM t WHERE a OPERATOR(evil.=) ANY (SELECT b FROM u)": false,
		"SELECT array_agg(a ORDER BY a USING OPERATOR(evil.>)) FROM t": false, "SELECT rank() OVER (ORDER BY a USING OPERATOR(evil.>)) FROM t": false,
		"SELECT a::int, b::varchar(3), c::timestamp with time zone, d::numeric(3, 1)[], e::jsonb FROM t": true, "SELECT a::pg_catalog.int4 FROM t": true, "SELECT interval '1 day', date '2026-01-01'": true,
		"SELECT a::evil.t FROM t": false, "SELECT a::evil FROM t": false, "SELECT CAST('1' AS evil)": false, "SELECT a::evil[] FROM t": false, "SELECT evil '1'": false, `SELECT a::"Int" FROM t`: false,
		"SELECT a::public.int4 FROM t": false, "SELECT * FROM json_to_recordset('[]') AS x(a evil.t)": false, "SELECT JSON_VALUE(a, '$.b' RETURNING evil.t) FROM t": false,
		"SELECT a FROM t TABLESAMPLE bernoulli(10)": true, "SELECT a FROM t TABLESAMPLE SYSTEM (10) REPEATABLE (1)": true, "SELECT a FROM t TABLESAMPLE evil(1)": false, "SELECT a FROM t TABLESAMPLE evil.system(1)": false,
	} {
		got, err := ParseSQL(sql, "postgres")
		if err != nil {
			t.Errorf("%s: %v", sql, err)
		} else if got.ReadOnly != want {
			t.Errorf("%s: read-only %v", sql, got.ReadOnly)
		}
	}
}
