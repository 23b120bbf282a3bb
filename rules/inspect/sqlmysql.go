package inspect

import (
	"reflect"
	"strings"

	"github.com/sqlc-dev/marino/ast"
	"github.com/sqlc-dev/marino/parser"
)

// parseMySQL reads what MySQL 8 and 9 would, or MariaDB.
func parseMySQL(mariadb bool) sqlParser {
	return func(s string) ([]SQLStatement, error) {
		p := parser.New()
		p.SetMariaDB(mariadb)
		tree, warnings, err := p.ParseSQL(s)
		if err != nil || len(warnings) > 0 {
			return nil, errSyntax
		}
		var out []SQLStatement
		for _, root := range tree {
			statement, err := sqlWalker{
				enter: enterMySQL,
				with:  mysqlWith,
				// Whether letter case matters depends on the server's file system.
				sameName: func(table, with string) bool { return table == with },
				fold:     strings.ToLower,
			}.walkStatement(root)
			if err != nil {
				return nil, err
			}
			out = append(out, statement)
		}
		return out, nil
	}
}

func enterMySQL(w *sqlWalker, node any, _ bool) bool {
	switch n := node.(type) {
	case *ast.TableName:
		if n.Schema.O != "" {
			w.table(n.Schema.O, n.Name.O)
		} else {
			w.table(n.Name.O)
		}
		return true
	case *ast.DeleteTableList, *ast.SelectLockInfo:
		// They repeat names and aliases of the tables that the statement joins.
		return true
	case *ast.SelectStmt:
		w.mysqlSelect(n)
		return w.asQuery(n)
	case *ast.SetOprStmt:
		if w.top() {
			w.kind("select")
			w.statement.HasWhere = w.mysqlWhere(n)
			w.mysqlLimit(n.Limit)
		}
		return w.asQuery(n)
	case *ast.FuncCallExpr:
		if n.Schema.O != "" {
			w.function(n.Schema.L, n.FnName.L)
		} else {
			w.function(n.FnName.L)
		}
	case *ast.AggregateFuncExpr:
		w.function(n.F)
	case *ast.WindowFuncExpr:
		w.function(n.Name)
	case *ast.VariableExpr:
		w.unsafe = w.unsafe || n.Value != nil
	case *ast.ColumnName:
		w.column(n.Name.O)
		return true
	case *ast.WildCardField:
		w.column("*")
		return true
	case *ast.InsertStmt:
		w.kind("insert")
		if n.IsReplace {
			w.kind("delete")
		}
		if len(n.OnDuplicate) > 0 {
			w.kind("update")
		}
		w.joined(n.Table.TableRefs)
	case *ast.UpdateStmt:
		if w.top() {
			w.statement.HasWhere = w.namesColumn(n.Where)
			w.mysqlLimit(n.Limit)
		}
		w.kind("update")
		w.joined(n.TableRefs.TableRefs)
	case *ast.DeleteStmt:
		if w.top() {
			w.statement.HasWhere = w.namesColumn(n.Where)
			w.mysqlLimit(n.Limit)
		}
		w.kind("delete")
		w.joined(n.TableRefs.TableRefs)
	default:
		w.enterMySQLUtility(node)
	}
	return false
}

// asQuery walks a query, whose tables are read even where the statement around
// it writes to those that it names.
func (w *sqlWalker) asQuery(n any) bool {
	was, scope := w.targets, len(w.scope)
	w.targets = false
	if with := mysqlWith(n); with != nil {
		w.walkWith(with)
	}
	w.fields(reflect.ValueOf(n).Elem())
	w.targets, w.scope = was, w.scope[:scope]
	return true
}

func (w *sqlWalker) mysqlSelect(n *ast.SelectStmt) {
	w.unsafe = w.unsafe || n.LockInfo != nil || len(n.MoreLockInfos) > 0
	if n.Kind == ast.SelectStmtKindTable {
		w.column("*")
	}
	into := ""
	if n.SelectIntoOpt != nil {
		w.unsafe = true
		into = "copy"
		if n.SelectIntoOpt.Tp == ast.SelectIntoVars {
			into = "set"
		}
	}
	switch {
	case w.top():
		w.statement.HasWhere = w.mysqlWhere(n)
		w.mysqlLimit(n.Limit)
		if into == "" {
			into = "select"
		}
		w.kind(into)
	case into != "":
		w.kind(into)
	}
}

// mysqlWhere says whether a query, and every part of it, has a condition.
func (w *sqlWalker) mysqlWhere(query any) bool {
	switch n := query.(type) {
	case *ast.SelectStmt:
		return n.Where != nil && w.namesColumn(n.Where)
	case *ast.SetOprStmt:
		return w.mysqlWhere(n.SelectList)
	case *ast.SetOprSelectList:
		for _, part := range n.Selects {
			if !w.mysqlWhere(part) {
				return false
			}
		}
		return true
	}
	return false
}

func (w *sqlWalker) mysqlLimit(n *ast.Limit) {
	if n == nil {
		return
	}
	if count, ok := n.Count.(ast.ValueExpr); ok {
		if v, ok := count.GetValue().(uint64); ok && v < NoLimit {
			w.statement.Limit = int(v)
		}
	}
}

// joined notes the tables of a join as written to: which of them an update or
// delete changes depends on which columns they have.
func (w *sqlWalker) joined(n ast.ResultSetNode) {
	switch n := n.(type) {
	case *ast.Join:
		if n != nil {
			w.joined(n.Left)
			w.joined(n.Right)
		}
	case *ast.TableSource:
		w.joined(n.Source)
	case *ast.TableName:
		w.within(true, n)
	}
}

// enterMySQLUtility notes statements other than those on rows.
func (w *sqlWalker) enterMySQLUtility(node any) {
	stmt, ok := node.(ast.StmtNode)
	if !ok {
		return
	}
	name := typeName(node)
	switch n := node.(type) {
	case *ast.PrepareStmt, *ast.ExecuteStmt, *ast.BinlogStmt:
		refuseCode()
	case *ast.ProcedureInfo:
		if n.CodeBody != nil || n.ProcedureBody == nil {
			refuseCode()
		}
		w.kind("ddl")
	case *ast.ExplainStmt:
		if n.Analyze && n.Stmt != nil {
			return // it runs: the statement has the kind of what it runs
		}
		w.unsafe = w.unsafe || n.IntoVar != ""
		w.kind("explain")
	case *ast.ShowStmt, *ast.HelpStmt:
		w.kind("show")
	case *ast.TruncateTableStmt:
		w.kind("delete")
		w.targets = true
	case *ast.LoadDataStmt, *ast.LoadXMLStmt, *ast.ImportTableStmt, *ast.ImportIntoStmt:
		w.kind("copy")
		w.targets = true
	case *ast.CallStmt, *ast.DoStmt:
		w.kind("call")
	case *ast.BeginStmt, *ast.CommitStmt, *ast.RollbackStmt, *ast.SavepointStmt, *ast.ReleaseSavepointStmt, *ast.XAStmt:
		w.kind("transaction")
	case *ast.UseStmt:
		w.kind("set")
	default:
		_, ddl := stmt.(ast.DDLNode)
		switch {
		case hasPrefix(name, "CreateFunction", "CreateLibrary", "AlterLibrary", "CreateEvent", "AlterEvent"):
			refuseCode()
		case ddl, hasPrefix(name, "Create", "Alter", "Drop", "Rename", "Grant", "Revoke"):
			w.kind("ddl")
			w.targets = true
		case hasPrefix(name, "Set"):
			w.kind("set")
		default:
			w.kind("other")
			w.targets = true
		}
	}
}

func mysqlWith(node any) *withClause {
	var with *ast.WithClause
	switch n := node.(type) {
	case *ast.SelectStmt:
		with = n.With
	case *ast.SetOprStmt:
		with = n.With
	case *ast.SetOprSelectList:
		with = n.With
	case *ast.UpdateStmt:
		with = n.With
	case *ast.DeleteStmt:
		with = n.With
	}
	if with == nil {
		return nil
	}
	clause := &withClause{recursive: with.IsRecursive}
	for _, cte := range with.CTEs {
		clause.names = append(clause.names, cte.Name.O)
		clause.queries = append(clause.queries, cte.Query)
	}
	return clause
}
