package inspect

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/sqlc-dev/meyer/ast"
	"github.com/sqlc-dev/meyer/parser"
)

// parseSQLite reads what SQLite 3 would.
func parseSQLite(s string) ([]SQLStatement, error) {
	tree, err := parser.Options{UpdateDeleteLimit: true}.ParseString(s)
	if err != nil {
		return nil, errSyntax
	}
	var out []SQLStatement
	for _, root := range tree {
		statement, err := sqlWalker{
			enter:    enterSQLite,
			with:     sqliteWith,
			sameName: func(table, with string) bool { return lowerASCII(table) == lowerASCII(with) },
			fold:     lowerASCII,
			schemas:  []string{"main"},
		}.walkStatement(root)
		if err != nil {
			return nil, err
		}
		out = append(out, statement)
	}
	return out, nil
}

// lowerASCII folds names as SQLite does, which knows no letters outside of ASCII.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

func enterSQLite(w *sqlWalker, node any, expression bool) bool {
	switch n := node.(type) {
	case *ast.Ident:
		if expression {
			w.column(n.Name)
		}
		return true
	case *ast.QualifiedRef:
		w.column(n.Parts[len(n.Parts)-1].Name)
		return true
	case *ast.Star:
		w.column("*")
		return true
	case *ast.TableRef:
		w.sqliteSource(n.Name, n.HasArgs)
	case *ast.InExpr:
		w.sqliteSource(n.Table, n.HasArgs)
	case *ast.FuncCall:
		w.function(n.Name.Name)
	case *ast.SelectStmt:
		if w.top() {
			w.kind("select")
			w.sqliteSelect(n)
		}
		return w.asSQLiteQuery(n)
	case *ast.InsertStmt:
		w.kind("insert")
		if n.Replace || n.OrConflict == ast.ConflictReplace {
			w.kind("delete")
		}
		for _, u := range n.Upserts {
			if !u.DoNothing {
				w.kind("update")
			}
		}
		w.sqliteTarget(n.Table)
		for _, c := range n.Columns {
			w.column(c.Name)
		}
	case *ast.UpdateStmt:
		if w.top() {
			w.statement.HasWhere = n.Where != nil && w.namesColumn(n.Where)
			w.sqliteLimit(n.Limit)
		}
		w.kind("update")
		if n.OrConflict == ast.ConflictReplace {
			w.kind("delete")
		}
		w.sqliteTarget(n.Table)
		for _, set := range n.Set {
			for _, c := range set.Columns {
				w.column(c.Name)
			}
		}
	case *ast.DeleteStmt:
		if w.top() {
			w.statement.HasWhere = n.Where != nil && w.namesColumn(n.Where)
			w.sqliteLimit(n.Limit)
		}
		w.kind("delete")
		w.sqliteTarget(n.Table)
	default:
		w.enterSQLiteUtility(node)
	}
	return false
}

// sqliteSource notes what is selected from: a table, or a function of tables.
func (w *sqlWalker) sqliteSource(name *ast.QualifiedName, call bool) {
	switch {
	case name == nil:
	case call:
		w.function(name.Name.Name)
	case name.Schema != nil:
		w.table(name.Schema.Name, name.Name.Name)
	default:
		w.table(name.Name.Name)
	}
}

func (w *sqlWalker) sqliteTarget(name *ast.QualifiedName) {
	was := w.targets
	w.targets = true
	w.sqliteSource(name, false)
	w.targets = was
}

func (w *sqlWalker) asSQLiteQuery(n *ast.SelectStmt) bool {
	was, scope := w.targets, len(w.scope)
	w.targets = false
	if with := sqliteWith(n); with != nil {
		w.walkWith(with)
	}
	w.fields(reflect.ValueOf(n).Elem())
	w.targets, w.scope = was, w.scope[:scope]
	return true
}

func (w *sqlWalker) sqliteSelect(n *ast.SelectStmt) {
	w.statement.HasWhere = true
	for i, core := range n.Cores {
		query, ok := core.(*ast.SelectQuery)
		if !ok || query.Where == nil || !w.namesColumn(query.Where) {
			w.statement.HasWhere = false
		}
		// The limit of a compound select is written on its last part.
		if ok && i == len(n.Cores)-1 {
			w.sqliteLimit(query.Limit)
		}
	}
}

func (w *sqlWalker) sqliteLimit(n *ast.Limit) {
	if n == nil {
		return
	}
	if count, ok := n.Count.(*ast.Literal); ok && count.Kind == ast.LitInteger {
		if v, err := strconv.ParseInt(count.Value, 10, 64); err == nil && v >= 0 {
			w.statement.Limit = int(v)
		}
	}
}

// enterSQLiteUtility notes statements other than those on rows.
func (w *sqlWalker) enterSQLiteUtility(node any) {
	switch n := node.(type) {
	case *ast.CreateTableStmt, *ast.CreateVirtualTableStmt, *ast.CreateViewStmt,
		*ast.CreateIndexStmt, *ast.CreateTriggerStmt, *ast.AlterTableStmt,
		*ast.DropTableStmt, *ast.DropViewStmt, *ast.DropIndexStmt, *ast.DropTriggerStmt:
		w.kind("ddl")
		w.sqliteNames(n)
	case *ast.ForeignKeyClause:
		w.table(n.Table.Name)
	case *ast.BeginStmt, *ast.CommitStmt, *ast.RollbackStmt, *ast.SavepointStmt, *ast.ReleaseStmt:
		w.kind("transaction")
	case *ast.PragmaStmt:
		w.kind("set")
	case *ast.ExplainStmt:
		w.kind("explain")
	case *ast.VacuumStmt:
		if n.Into != nil {
			w.kind("copy")
		} else {
			w.kind("other")
		}
	case ast.Stmt:
		w.kind("other")
	}
}

// sqliteNames notes the tables that a statement creates, changes or drops, the
// names of its indexes, views and triggers too.
func (w *sqlWalker) sqliteNames(node any) {
	v := reflect.ValueOf(node).Elem()
	for _, field := range []string{"Name", "Table", "NewName"} {
		f := v.FieldByName(field)
		if !f.IsValid() || f.IsNil() {
			continue
		}
		switch name := f.Interface().(type) {
		case *ast.QualifiedName:
			w.sqliteTarget(name)
		case *ast.Ident:
			w.target(name.Name)
		}
	}
}

func sqliteWith(node any) *withClause {
	var with *ast.With
	switch n := node.(type) {
	case *ast.SelectStmt:
		with = n.With
	case *ast.InsertStmt:
		with = n.With
	case *ast.UpdateStmt:
		with = n.With
	case *ast.DeleteStmt:
		with = n.With
	}
	if with == nil {
		return nil
	}
	// A query of SQLite's sees its own name, whether RECURSIVE is written or not.
	clause := &withClause{recursive: true}
	for _, cte := range with.CTEs {
		clause.names = append(clause.names, cte.Name.Name)
		clause.queries = append(clause.queries, cte.Select)
	}
	return clause
}
