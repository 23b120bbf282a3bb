package inspect

import (
	"reflect"
	"strings"

	"github.com/sqlc-dev/oliphant/ast"
	"github.com/sqlc-dev/oliphant/parser"
)

// parsePostgres reads what PostgreSQL 18 would.
func parsePostgres(s string) ([]SQLStatement, error) {
	tree, err := parser.ParseToTree(s)
	if err != nil {
		return nil, errSyntax
	}
	var out []SQLStatement
	for _, raw := range tree.Stmts {
		statement, err := sqlWalker{
			enter:    enterPostgres,
			with:     postgresWith,
			sameName: func(table, with string) bool { return table == with },
			// The parser has folded what was not quoted; what was is another table.
			fold:    func(name string) string { return name },
			schemas: []string{"public", "pg_catalog"},
		}.walkStatement(raw.Stmt)
		if err != nil {
			return nil, err
		}
		out = append(out, statement)
	}
	return out, nil
}

func enterPostgres(w *sqlWalker, node any, _ bool) bool {
	switch n := node.(type) {
	case *ast.Node:
		return false
	case *ast.RangeVar:
		// A database's name before the schema can only be the current one's.
		if n.Schemaname != "" {
			w.table(n.Schemaname, n.Relname)
		} else {
			w.table(n.Relname)
		}
		return true
	case *ast.SelectStmt:
		w.postgresSelect(n)
		was := w.targets
		w.targets = false
		if with := postgresWith(n); with != nil {
			scope := len(w.scope)
			w.walkWith(with)
			w.fields(reflect.ValueOf(n).Elem())
			w.scope = w.scope[:scope]
		} else {
			w.fields(reflect.ValueOf(n).Elem())
		}
		w.targets = was
		return true
	case *ast.IntoClause:
		w.kind("ddl")
		w.within(true, n.Rel)
		return true
	case *ast.LockingClause:
		w.unsafe = true
		return true
	case *ast.FuncCall:
		w.function(stringsOf(n.Funcname)...)
	case *ast.A_Expr:
		// An operator in a schema is a function of somebody's.
		w.unsafe = w.unsafe || len(n.Name) > 1
	case *ast.SortBy:
		w.unsafe = w.unsafe || len(n.UseOp) > 1
	case *ast.SubLink:
		w.unsafe = w.unsafe || len(n.OperName) > 1
	case *ast.TypeName:
		// So is what reads and checks a type that somebody has made.
		w.unsafe = w.unsafe || !builtinType(stringsOf(n.Names))
	case *ast.RangeTableSample:
		method := stringsOf(n.Method)
		w.unsafe = w.unsafe || len(method) != 1 || method[0] != "bernoulli" && method[0] != "system"
	case *ast.ColumnRef:
		w.column("*")
		if s := n.Fields[len(n.Fields)-1].GetString_(); s != nil {
			w.statement.Columns[len(w.statement.Columns)-1] = s.Sval
		}
		return true
	case *ast.InsertStmt:
		w.dml("insert", n.Relation, n.Cols)
		if n.OnConflictClause.GetAction() == ast.OnConflictAction_ONCONFLICT_UPDATE {
			w.kind("update")
		}
	case *ast.UpdateStmt:
		w.where(w.top(), n.WhereClause)
		w.dml("update", n.Relation, n.TargetList)
	case *ast.DeleteStmt:
		w.where(w.top(), n.WhereClause)
		w.dml("delete", n.Relation, nil)
	case *ast.MergeStmt:
		w.dml("mixed", n.Relation, nil)
	default:
		return w.enterUtility(node)
	}
	return false
}

// builtinType says whether a type is one of PostgreSQL's own. The parser gives those with
// names of several words under one, in pg_catalog.
func builtinType(name []string) bool {
	if len(name) == 2 && name[0] == "pg_catalog" {
		name = name[1:]
	}
	return len(name) == 1 && builtinTypes[name[0]]
}

var builtinTypes = words(`
	bool int2 int4 int8 float4 float8 numeric money text varchar bpchar char name bytea bit varbit
	date time timetz timestamp timestamptz interval uuid json jsonb jsonpath xml
	inet cidr macaddr macaddr8 point line lseg box path polygon circle tsvector tsquery oid xid xid8 cid tid
	regclass regtype regproc regprocedure regoper regoperator regrole regnamespace regconfig regdictionary regcollation
	int4range int8range numrange tsrange tstzrange daterange
	int4multirange int8multirange nummultirange tsmultirange tstzmultirange datemultirange
	record int2vector oidvector pg_lsn pg_snapshot unknown`)

// dml notes a statement that changes rows.
func (w *sqlWalker) dml(kind string, relation *ast.RangeVar, columns []*ast.Node) {
	w.kind(kind)
	w.within(true, relation)
	for _, c := range columns {
		if target := c.GetResTarget(); target != nil && target.Name != "" {
			w.column(target.Name)
		}
	}
}

// where notes the condition of the statement itself.
func (w *sqlWalker) where(top bool, condition *ast.Node) {
	if top && condition != nil {
		w.statement.HasWhere = w.namesColumn(condition)
	}
}

func (w *sqlWalker) postgresSelect(n *ast.SelectStmt) {
	if !w.top() {
		return
	}
	if n.IntoClause == nil {
		w.kind("select")
	}
	w.statement.HasWhere = w.postgresWhere(n)
	if n.LimitOption == ast.LimitOption_LIMIT_OPTION_COUNT {
		if count := n.LimitCount.GetAConst(); count != nil && !count.Isnull && count.GetIval() != nil {
			w.statement.Limit = int(count.GetIval().Ival)
		}
	}
}

func (w *sqlWalker) postgresWhere(n *ast.SelectStmt) bool {
	if n.Larg != nil || n.Rarg != nil {
		return n.Larg != nil && n.Rarg != nil && w.postgresWhere(n.Larg) && w.postgresWhere(n.Rarg)
	}
	return n.WhereClause != nil && w.namesColumn(n.WhereClause)
}

// enterUtility notes statements other than those on rows. Their tables are
// written to, except in the queries that they hold.
func (w *sqlWalker) enterUtility(node any) bool {
	name := typeName(node)
	if !strings.HasSuffix(name, "Stmt") || strings.HasPrefix(name, "Node_") {
		return false // not a statement, or the wrapping of one
	}
	switch n := node.(type) {
	case *ast.DoStmt, *ast.ExecuteStmt, *ast.InlineCodeBlock:
		refuseCode()
	case *ast.CreateFunctionStmt:
		for _, option := range n.Options {
			if option.GetDefElem().GetDefname() == "as" {
				refuseCode()
			}
		}
		w.kind("ddl")
	case *ast.PrepareStmt:
		w.unsafe = true
		return false
	case *ast.ExplainStmt:
		for _, option := range n.Options {
			if option.GetDefElem().GetDefname() == "analyze" {
				return false // it runs: the statement has the kind of what it runs
			}
		}
		w.kind("explain")
	case *ast.TruncateStmt:
		w.kind("delete")
		w.targets = true
	case *ast.CopyStmt:
		w.kind("copy")
		w.unsafe = true
		w.within(n.IsFrom, n.Relation)
		w.targets = false
		w.walk(reflect.ValueOf(n.Query), false)
		return true
	case *ast.VariableSetStmt, *ast.AlterSystemStmt, *ast.DiscardStmt, *ast.AlterRoleSetStmt, *ast.AlterDatabaseSetStmt:
		w.kind("set")
	case *ast.VariableShowStmt:
		w.kind("show")
	case *ast.TransactionStmt, *ast.ConstraintsSetStmt:
		w.kind("transaction")
	case *ast.CallStmt:
		w.kind("call")
	case *ast.RenameStmt:
		w.kind("ddl")
		w.targets = true
		if n.RenameType == ast.ObjectType_OBJECT_TABLE || n.RenameType == ast.ObjectType_OBJECT_VIEW {
			w.table(n.Newname)
		}
	case *ast.DropStmt:
		w.kind("ddl")
		for _, object := range n.Objects {
			w.object(object)
		}
	case *ast.CommentStmt:
		w.kind("ddl")
		w.object(n.Object)
	case *ast.SecLabelStmt:
		w.kind("ddl")
		w.object(n.Object)
	default:
		switch {
		case hasPrefix(name, "Create", "Alter", "Drop", "Define", "Rename", "Grant", "Index", "View", "Rule",
			"Refresh", "Reindex", "Import", "Reassign", "ReplicaIdentity", "CompositeType"):
			w.kind("ddl")
			w.targets = true
		default:
			w.kind("other")
			w.targets = true
		}
	}
	return false
}

// object notes what DROP and COMMENT name by a list of strings.
func (w *sqlWalker) object(n *ast.Node) {
	if list := n.GetList(); list != nil {
		if parts := stringsOf(list.Items); len(parts) > 0 && len(parts) == len(list.Items) {
			w.target(parts[max(0, len(parts)-2):]...)
		}
	}
}

// stringsOf gives a name that the tree has as a list of strings.
func stringsOf(nodes []*ast.Node) []string {
	out := make([]string, 0, len(nodes))
	for _, n := range nodes {
		if s := n.GetString_(); s != nil {
			out = append(out, s.Sval)
		}
	}
	return out
}

func postgresWith(node any) *withClause {
	n, ok := node.(interface{ GetWithClause() *ast.WithClause })
	if !ok || n.GetWithClause() == nil {
		return nil
	}
	clause := &withClause{recursive: n.GetWithClause().Recursive}
	for _, c := range n.GetWithClause().Ctes {
		cte := c.GetCommonTableExpr()
		clause.names = append(clause.names, cte.GetCtename())
		clause.queries = append(clause.queries, cte.GetCtequery())
	}
	return clause
}
