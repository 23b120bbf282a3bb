package inspect

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A sqlWalker goes over the tree of one statement. It walks by reflection over
// every exported field, not by the parsers' own visitors, because a visitor that
// forgets a child would hide a table.
type sqlWalker struct {
	enter func(w *sqlWalker, node any, expression bool) (done bool)
	with  func(node any) *withClause
	// sameName says whether a table's spelling means the WITH name of that spelling.
	sameName func(table, with string) bool
	fold     func(string) string
	schemas  []string // that are left out of names

	statement SQLStatement
	kinds     []string // of the statement and of those nested in it that change something
	targets   bool     // tables that are named here are written to
	unsafe    bool     // something keeps it from being read-only
	scope     []string // names that WITH clauses give here
	nodes     int
	depth     int
}

// A withClause is a WITH of any of the parsers' trees.
type withClause struct {
	names     []string
	queries   []any
	recursive bool
}

// A sqlRefusal is what a walk panics with to end.
type sqlRefusal struct{ error }

func refuse(text string) { panic(sqlRefusal{errors.New(text)}) }

// refuseCode ends the walk at code that is not looked into.
func refuseCode() {
	refuse("it runs or stores code that cannot be looked into")
}

// walkStatement finds what root, one statement, says.
func (w sqlWalker) walkStatement(root any) (s SQLStatement, err error) {
	defer func() {
		if r := recover(); r != nil {
			refusal, ok := r.(sqlRefusal)
			if !ok {
				panic(r)
			}
			err = refusal.error
		}
	}()
	w.statement = SQLStatement{Limit: NoLimit}
	w.walk(reflect.ValueOf(root), false)
	s = w.statement
	for _, list := range []*[]string{&s.Tables, &s.Writes, &s.Functions, &s.Columns} {
		*list = union(*list, nil)
	}
	s.Kind = "other"
	if len(w.kinds) > 0 {
		s.Kind = w.kinds[0]
	}
	for _, k := range w.kinds {
		if k != s.Kind && k != "select" && (s.Kind != "explain" && s.Kind != "show") {
			s.Kind = "mixed"
		}
	}
	s.ReadOnly = !w.unsafe && len(s.Writes) == 0 && (s.Kind == "select" || s.Kind == "show" || s.Kind == "explain")
	for _, f := range s.Functions {
		s.ReadOnly = s.ReadOnly && harmlessFunctions[f]
	}
	return s, nil
}

// kind notes the kind of the statement, or of one nested in it. A statement that
// changes data in two ways notes both.
func (w *sqlWalker) kind(kinds ...string) { w.kinds = append(w.kinds, kinds...) }

// top says whether the statement's own kind is not known yet.
func (w *sqlWalker) top() bool { return len(w.kinds) == 0 }

// table notes a name that is read unless a WITH clause gives it.
func (w *sqlWalker) table(parts ...string) {
	if !w.targets && len(parts) == 1 {
		for _, name := range w.scope {
			if w.sameName(parts[0], name) {
				return
			}
		}
	}
	name := w.name(parts)
	w.statement.Tables = append(w.statement.Tables, name)
	if w.targets {
		w.statement.Writes = append(w.statement.Writes, name)
	}
}

// target notes a name that is written to. WITH names do not hide it: no database
// writes to one.
func (w *sqlWalker) target(parts ...string) {
	was := w.targets
	w.targets = true
	w.table(parts...)
	w.targets = was
}

// name joins the parts of a name. One that has a dot of its own could not be told
// from two.
func (w *sqlWalker) name(parts []string) string {
	kept := make([]string, 0, len(parts))
	for i, p := range parts {
		if p == "" {
			continue
		}
		if strings.Contains(p, ".") {
			refuse("a quoted name has a dot in it; it could be taken for two names")
		}
		if p = w.fold(p); i == len(parts)-1 || !slices.Contains(w.schemas, p) {
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 {
		refuse("a name is empty")
	}
	return strings.Join(kept, ".")
}

// function notes a call. One in a schema keeps that, so that it cannot pass for
// the database's own function of that name.
func (w *sqlWalker) function(parts ...string) {
	for i, p := range parts {
		if strings.Contains(p, ".") {
			refuse("the name of a function has a dot in it")
		}
		parts[i] = strings.ToLower(p)
	}
	if len(parts) > 1 && (parts[0] == "" || parts[0] == "pg_catalog") {
		parts = parts[1:]
	}
	w.statement.Functions = append(w.statement.Functions, strings.Join(parts, "."))
}

func (w *sqlWalker) column(name string) {
	w.statement.Columns = append(w.statement.Columns, w.fold(name))
}

// namesColumn says whether an expression names a column, itself or in what it holds.
func (w *sqlWalker) namesColumn(expr any) bool {
	v := reflect.ValueOf(expr)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return false
	}
	probe := *w
	probe.statement = SQLStatement{}
	probe.kinds = []string{"select"}
	probe.nodes = w.nodes
	probe.walk(v, true)
	w.nodes = probe.nodes
	return len(probe.statement.Columns) > 0
}

// within walks a node with targets set, and puts it back.
func (w *sqlWalker) within(targets bool, node any) {
	was := w.targets
	w.targets = targets
	w.walk(reflect.ValueOf(node), false)
	w.targets = was
}

// walk visits v and all below it; expression says that it stands where the tree
// wants an expression.
func (w *sqlWalker) walk(v reflect.Value, expression bool) {
	w.nodes++
	w.depth++
	defer func() { w.depth-- }()
	if w.nodes > maxSQLNodes || w.depth > maxSQLDepth {
		refuse("it is too large or nested too deep")
	}
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			w.walk(v.Elem(), strings.HasPrefix(v.Type().Name(), "Expr"))
		}
	case reflect.Slice, reflect.Array:
		if !holdsNodes(v.Type().Elem()) {
			return
		}
		for i := range v.Len() {
			w.walk(v.Index(i), expression)
		}
	case reflect.Pointer:
		if v.IsNil() || v.Elem().Kind() != reflect.Struct {
			return
		}
		if w.enter(w, v.Interface(), expression) {
			return
		}
		scope := len(w.scope)
		if clause := w.with(v.Interface()); clause != nil {
			w.walkWith(clause)
		}
		w.fields(v.Elem())
		w.scope = w.scope[:scope]
	case reflect.Struct:
		w.fields(v)
	}
}

func (w *sqlWalker) fields(v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Name == "With" || f.Name == "WithClause" || !holdsNodes(f.Type) {
			continue
		}
		w.walk(v.Field(i), false)
	}
}

// walkWith walks the queries of a WITH clause and leaves its names in scope. A
// query sees the names before it, and its own if the clause is recursive; a name
// that some database would look up further is taken for a table.
func (w *sqlWalker) walkWith(clause *withClause) {
	was := w.targets
	w.targets = false
	for i, name := range clause.names {
		n := len(w.scope)
		if clause.recursive {
			w.scope = append(w.scope, name)
		}
		if i < len(clause.queries) && clause.queries[i] != nil {
			w.walk(reflect.ValueOf(clause.queries[i]), false)
		}
		w.scope = append(w.scope[:n], name)
	}
	w.targets = was
}

// holdsNodes says whether values of a type can hold nodes of a tree.
func holdsNodes(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Struct:
		return true
	case reflect.Slice, reflect.Array:
		return holdsNodes(t.Elem())
	}
	return false
}

// typeName is a node's type without its package, such as "CreateStmt".
func typeName(node any) string {
	name := fmt.Sprintf("%T", node)
	return name[strings.LastIndexByte(name, '.')+1:]
}

// hasPrefix says whether s begins with one of the prefixes.
func hasPrefix(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
