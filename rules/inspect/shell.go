package inspect

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// What ParseShell reads at most. The parser recurses without a limit of its own.
const (
	maxShell         = 64 << 10
	maxShellNesting  = 1000 // parentheses, braces, backquotes and compound commands in all
	maxShellWraps    = 16   // commands in commands: sudo env sh -c eval
	maxShellCommands = 2000
)

// A Shell is what a shell would do with a text.
type Shell struct {
	// Commands are all simple commands, wherever they stand: in pipelines, lists,
	// loops, functions, substitutions, here-documents, and in the literal
	// arguments of eval, sh -c, xargs, env, sudo, find -exec and their like, after
	// which the command that those run follows as one of its own.
	Commands []ShellCommand `expr:"commands"`
	// Names are the last path elements of the commands' names, in lower case (file
	// systems may fold it), and the whole of those with a slash as well: /tmp/ls is
	// no ls, but what forbids ls forbids it. They are sorted.
	Names []string `expr:"names"`
	// Writes and Reads are what output goes to and input comes from by
	// redirection. A target that is not known beforehand is as in the text.
	Writes []string `expr:"writes"`
	Reads  []string `expr:"reads"`
	// Simple says that the text is one simple command of known words: nothing
	// expanded, substituted, redirected, assigned, chained, or run by another.
	Simple bool `expr:"simple"`
	// Dynamic says that some command, or some redirection's target, cannot be
	// known before the text runs; Commands and Names are then not all. So it is
	// with a name that a variable, substitution or pattern makes, a script or
	// standard input given to a shell, arithmetic on variables (their content is
	// evaluated, with the substitutions in it), an alias, source, and assignments
	// to variables such as PATH, by which a name gets another meaning.
	Dynamic bool `expr:"dynamic"`
}

// A ShellCommand is one simple command.
type ShellCommand struct {
	// Name is the command as written without its quotes, or "" if it is not known.
	Name string `expr:"name"`
	// Args are the arguments without their quotes; one that is not known
	// beforehand is as in the text.
	Args []string `expr:"args"`
	// Assigns are the assignments before the name.
	Assigns []string `expr:"assigns"`
	// Dynamic says that the name or an argument is not known beforehand.
	Dynamic bool `expr:"dynamic"`
}

// ParseShell reads s as bash and as a POSIX shell would, and refuses what these
// read differently, such as {a,b}, $'..' and ((..)), and control characters.
// Other shells (zsh, fish, cmd) read some texts otherwise. Errors never quote s.
func ParseShell(s string) (_ *Shell, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("reading a shell command: the parser failed on this text; write it more simply")
			if refusal, ok := r.(shellRefusal); ok {
				err = fmt.Errorf("reading a shell command: %w", refusal.error)
			}
		}
	}()
	if err := scanShell(s); err != nil {
		return nil, fmt.Errorf("reading a shell command: %w", err)
	}
	bash := &shellReader{outermost: syntax.LangBash, variant: syntax.LangBash, out: newShell()}
	if !bash.read(s) {
		return nil, errors.New("reading a shell command: it is not valid in bash")
	}
	posix := &shellReader{outermost: syntax.LangPOSIX, variant: syntax.LangPOSIX, out: newShell()}
	switch ok := posix.read(s); {
	case !ok && bash.bashOnly:
		return nil, errors.New("reading a shell command: POSIX shells would run other parts of it than bash")
	case ok && !bash.sameAs(posix):
		return nil, errors.New("reading a shell command: bash and POSIX shells read it differently")
	}
	out := bash.out
	out.Dynamic = out.Dynamic || posix.out.Dynamic
	slices.Sort(out.Names)
	out.Names = slices.Compact(out.Names)
	out.Simple = bash.simple && len(out.Commands) == 1 && !out.Dynamic && !out.Commands[0].Dynamic &&
		len(out.Commands[0].Assigns) == 0 && len(out.Writes) == 0 && len(out.Reads) == 0
	return out, nil
}

func newShell() *Shell {
	return &Shell{Commands: []ShellCommand{}, Names: []string{}, Writes: []string{}, Reads: []string{}}
}

// A shellRefusal is what a reader panics with to end.
type shellRefusal struct{ error }

func refuseShell(text string) { panic(shellRefusal{errors.New(text)}) }

// scanShell refuses what the parser and the shells do not read alike, and what
// would make the parser recurse too deep.
func scanShell(s string) error {
	if len(s) > maxShell {
		return fmt.Errorf("it is longer than %d KiB", maxShell>>10)
	}
	if strings.TrimSpace(s) == "" {
		return errors.New("it is empty")
	}
	if !utf8.ValidString(s) {
		return errors.New("it is not valid UTF-8")
	}
	if strings.HasSuffix(s, `\`) {
		return errors.New("it ends in a backslash, which continues it with whatever follows")
	}
	opened := 0
	for _, r := range s {
		switch {
		case r != '\n' && r != '\t' && unicode.Is(unicode.Cc, r):
			return errors.New("it has a control character, such as a carriage return")
		case unicode.In(r, unicode.Zl, unicode.Zp) || unicode.Is(unicode.Bidi_Control, r):
			return errors.New("it has an invisible character that changes how text is read; take it out")
		case r == '(' || r == '{' || r == '`' || r == '!':
			opened++
		}
	}
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r < 'a' || r > 'z' }) {
		if slices.Contains(shellOpeners, word) {
			opened++
		}
	}
	if opened > maxShellNesting {
		return fmt.Errorf("it has more than %d parentheses, braces and compound commands", maxShellNesting)
	}
	return nil
}

var shellOpeners = []string{"if", "elif", "for", "while", "until", "case", "select", "time", "coproc", "function"}

// A shellReader finds what one variant of the shell would do.
type shellReader struct {
	outermost syntax.LangVariant // of the text itself
	variant   syntax.LangVariant // of the code that is being read
	out       *Shell
	simple    bool // the outermost code is one plain command
	// bashOnly notes what a POSIX shell would run otherwise rather than refuse.
	bashOnly bool
	depth    int // of commands that run commands
	src      string
}

// sameAs says whether a POSIX shell would do the same.
func (r *shellReader) sameAs(posix *shellReader) bool {
	same := func(a, b ShellCommand) bool {
		return a.Name == b.Name && a.Dynamic == b.Dynamic && slices.Equal(a.Args, b.Args) && slices.Equal(a.Assigns, b.Assigns)
	}
	a, b := r.out, posix.out
	return slices.EqualFunc(a.Commands, b.Commands, same) && slices.Equal(a.Writes, b.Writes) &&
		slices.Equal(a.Reads, b.Reads)
}

// read reads code and says whether it is valid.
func (r *shellReader) read(code string) bool {
	src := r.src
	r.src = code
	file, err := syntax.NewParser(syntax.Variant(r.variant)).Parse(strings.NewReader(code), "")
	if err == nil {
		if r.depth == 0 {
			r.simple = len(file.Stmts) == 1 && isPlain(file.Stmts[0])
		}
		for _, stmt := range file.Stmts {
			syntax.Walk(stmt, r.visit)
		}
	}
	r.src = src
	return err == nil
}

func isPlain(s *syntax.Stmt) bool {
	call, ok := s.Cmd.(*syntax.CallExpr)
	return ok && len(call.Args) > 0 && !s.Negated && !s.Background && len(s.Redirs) == 0 && !s.Semicolon.IsValid()
}

// nested reads code that is the literal argument of a command.
func (r *shellReader) nested(code string, variant syntax.LangVariant) {
	if err := scanShell(code); err != nil {
		if strings.TrimSpace(code) == "" {
			return
		}
		panic(shellRefusal{err})
	}
	was := r.variant
	r.variant = variant
	if !r.read(code) {
		refuseShell("it holds code for another shell that is not valid")
	}
	r.variant = was
}

// visit notes what a node does.
func (r *shellReader) visit(node syntax.Node) bool {
	switch n := node.(type) {
	case *syntax.Stmt:
		for _, redirect := range n.Redirs {
			r.redirect(redirect)
		}
	case *syntax.Redirect:
		// The text of a here-document is no word: braces in it are braces.
		syntax.Walk(n.Word, r.visit)
		if n.Hdoc != nil {
			for _, part := range n.Hdoc.Parts {
				syntax.Walk(part, r.visit)
			}
		}
		return false
	case *syntax.CallExpr:
		r.callExpr(n)
	case *syntax.DeclClause:
		r.declClause(n)
	case *syntax.LetClause:
		words := []shellWord{{text: "let", known: true}}
		for _, x := range n.Exprs {
			words = append(words, shellWord{text: r.text(x)})
			r.arithmetic(x)
		}
		r.bashOnly = true
		r.command(words, nil, false)
	case *syntax.Word:
		r.word(n) // refuses what is read differently
	case *syntax.ArithmCmd:
		r.bashOnly = true
		r.arithmetic(n.X)
	case *syntax.TestClause:
		r.bashOnly = true
		r.out.Dynamic = r.out.Dynamic || testsArithmetic(n.X)
	case *syntax.TimeClause:
		r.bashOnly = true
	case *syntax.CoprocClause:
		r.bashOnly = true
		r.out.Dynamic = true // it sets a variable by a name that may be a command's
	case *syntax.FuncDecl:
		r.bashOnly = r.bashOnly || n.RsrvWord
	case *syntax.BinaryCmd:
		r.bashOnly = r.bashOnly || n.Op == syntax.PipeAll
	case *syntax.ArithmExp:
		r.arithmetic(n.X)
	case *syntax.CStyleLoop:
		r.arithmetic(n.Init)
		r.arithmetic(n.Cond)
		r.arithmetic(n.Post)
	case *syntax.WordIter:
		// Without words, the values are the arguments of the text.
		r.assigned(n.Name.Value, shellWord{known: len(n.Items) > 0})
		for _, item := range n.Items {
			r.assigned(n.Name.Value, r.word(item))
		}
	case *syntax.Assign:
		r.arithmetic(n.Index)
	case *syntax.ArrayElem:
		r.arithmetic(n.Index)
	case *syntax.ParamExp:
		r.param(n)
	}
	return true
}

// param notes expansions that evaluate the content of a variable, or set one.
func (r *shellReader) param(n *syntax.ParamExp) {
	r.arithmetic(n.Index)
	if n.Slice != nil {
		r.arithmetic(n.Slice.Offset)
		r.arithmetic(n.Slice.Length)
	}
	if n.Excl && n.Names == 0 {
		r.out.Dynamic = true
	}
	if n.Repl != nil {
		quotedCode(n.Repl.Orig)
		quotedCode(n.Repl.With)
	}
	if n.Exp != nil {
		quotedCode(n.Exp.Word)
		switch n.Exp.Op {
		case syntax.OtherParamOps:
			r.out.Dynamic = true
		case syntax.AssignUnset, syntax.AssignUnsetOrNull:
			if n.Param != nil {
				r.assigned(n.Param.Value, r.word(n.Exp.Word))
			}
		}
	}
}

// quotedCode refuses substitutions in single quotes in an expansion: within
// double quotes the single ones do not quote, and the shells disagree on it.
func quotedCode(w *syntax.Word) {
	if w == nil {
		return
	}
	for _, part := range w.Parts {
		if q, ok := part.(*syntax.SglQuoted); ok && strings.ContainsAny(q.Value, "$`") {
			refuseShell("it has a substitution in single quotes in an expansion, which shells read differently")
		}
	}
}

// arithmetic notes an expression of anything but numbers: bash evaluates what is
// in a variable, again and again, with the substitutions in it.
func (r *shellReader) arithmetic(x syntax.ArithmExpr) {
	switch n := x.(type) {
	case nil:
	case *syntax.BinaryArithm:
		r.arithmetic(n.X)
		r.arithmetic(n.Y)
	case *syntax.UnaryArithm:
		r.arithmetic(n.X)
	case *syntax.ParenArithm:
		r.arithmetic(n.X)
	case *syntax.Word:
		lit := n.Lit()
		if lit == "" || lit != "@" && lit != "*" && strings.Trim(lit, "0123456789") != "" {
			r.out.Dynamic = true
		}
	default:
		r.out.Dynamic = true
	}
}

// testsArithmetic says whether [[ ]] evaluates a word as arithmetic, or a
// variable's subscript.
func testsArithmetic(x syntax.TestExpr) bool {
	switch n := x.(type) {
	case *syntax.BinaryTest:
		switch n.Op {
		case syntax.AndTest, syntax.OrTest:
			return testsArithmetic(n.X) || testsArithmetic(n.Y)
		case syntax.TsEql, syntax.TsNeq, syntax.TsLeq, syntax.TsGeq, syntax.TsLss, syntax.TsGtr:
			return true
		}
	case *syntax.UnaryTest:
		if n.Op == syntax.TsNot {
			return testsArithmetic(n.X)
		}
		return n.Op == syntax.TsVarSet || n.Op == syntax.TsRefVar
	case *syntax.ParenTest:
		return testsArithmetic(n.X)
	}
	return false
}

func (r *shellReader) redirect(n *syntax.Redirect) {
	if n.N != nil && strings.Trim(n.N.Value, "0123456789") != "" {
		refuseShell("it has a redirection that sets a variable, which POSIX shells read differently")
	}
	target := r.word(n.Word)
	switch n.Op {
	case syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc:
		return
	case syntax.DplIn, syntax.DplOut:
		if target.known && strings.Trim(strings.TrimSuffix(target.text, "-"), "0123456789") != "" {
			refuseShell("it has a redirection to a file by >& or <&, which POSIX shells read differently")
		}
		r.out.Dynamic = r.out.Dynamic || !target.known
		return
	case syntax.RdrAll, syntax.AppAll:
		r.bashOnly = true
	}
	if hasPrefix(target.text, "/dev/tcp/", "/dev/udp/") {
		refuseShell("it redirects to a network connection, which only bash would make")
	}
	r.out.Dynamic = r.out.Dynamic || !target.known
	if n.Op != syntax.RdrIn {
		r.out.Writes = append(r.out.Writes, target.text)
	}
	if n.Op == syntax.RdrIn || n.Op == syntax.RdrInOut {
		r.out.Reads = append(r.out.Reads, target.text)
	}
}

func (r *shellReader) callExpr(n *syntax.CallExpr) {
	var assigns []string
	for _, a := range n.Assigns {
		assigns = append(assigns, r.text(a))
		if a.Name != nil {
			r.assigned(a.Name.Value, r.word(a.Value))
		}
	}
	if len(n.Args) == 0 {
		return
	}
	words := make([]shellWord, len(n.Args))
	for i, w := range n.Args {
		words[i] = r.word(w)
	}
	if words[0].known && words[0].text == "[[" && r.variant == syntax.LangPOSIX {
		return // no command of a POSIX shell; bash reads it as a test
	}
	r.command(words, assigns, false)
}

// declClause notes export, declare and their like as the command that they are
// in a POSIX shell.
func (r *shellReader) declClause(n *syntax.DeclClause) {
	words := []shellWord{{text: n.Variant.Value, known: true}}
	for _, a := range n.Args {
		word := shellWord{known: true}
		if a.Name != nil {
			word.text = a.Name.Value
		}
		if a.Index != nil || a.Array != nil || a.Append {
			word = shellWord{text: r.text(a)}
			r.out.Dynamic = true
		} else {
			if !a.Naked {
				word.text += "="
			}
			if a.Value != nil {
				value := r.word(a.Value)
				word.text += value.text
				word.known = value.known
			}
		}
		words = append(words, word)
	}
	r.command(words, nil, false)
}

// command notes a simple command, and those that it runs. With more, arguments
// follow that are not known.
func (r *shellReader) command(words []shellWord, assigns []string, more bool) {
	if len(r.out.Commands) >= maxShellCommands {
		refuseShell(fmt.Sprintf("it has more than %d commands", maxShellCommands))
	}
	name := words[0]
	c := ShellCommand{Args: []string{}, Assigns: append([]string{}, assigns...), Dynamic: more}
	if name.known {
		c.Name = name.text
		r.out.Names = append(r.out.Names, strings.ToLower(path.Base(name.text)))
		if strings.Contains(name.text, "/") {
			r.out.Names = append(r.out.Names, name.text)
		}
	} else {
		c.Dynamic = true
		r.out.Dynamic = true
	}
	for _, w := range words[1:] {
		c.Args = append(c.Args, w.text)
		c.Dynamic = c.Dynamic || !w.known
	}
	// What bash times by a word of its own is a command to a POSIX shell.
	if c.Name != "time" {
		r.out.Commands = append(r.out.Commands, c)
	}
	if r.depth++; r.depth > maxShellWraps {
		refuseShell("it has commands in the arguments of commands too many times")
	}
	if name.known {
		r.runs(strings.ToLower(path.Base(name.text)), words[1:], more)
	}
	r.depth--
}

// text is a node as it is in the code.
func (r *shellReader) text(n syntax.Node) string {
	from, to := int(n.Pos().Offset()), int(n.End().Offset())
	if from > to || to > len(r.src) {
		return ""
	}
	return r.src[from:to]
}

// assigned notes a variable that is set here: one by which other words change
// their meaning, an integer, whose value bash evaluates as arithmetic, or a
// value that would run code wherever it is evaluated so.
func (r *shellReader) assigned(name string, value shellWord) {
	switch {
	case changesMeaning(name),
		integers[name] && (!value.known || strings.Trim(value.text, "0123456789") != ""),
		value.known && subscriptCode(value.text):
		r.out.Dynamic = true
	}
}

// integers are bash's own variables whose values are arithmetic, and others that
// may be in a later version.
var integers = words(`OPTIND OPTERR HISTCMD RANDOM SRANDOM SECONDS LINENO BASHPID EUID UID PPID
	EPOCHSECONDS EPOCHREALTIME BASH_MONOSECONDS BASH_SUBSHELL COMP_CWORD COMP_POINT COMP_KEY COMP_TYPE`)

// subscriptCode says whether a text has a subscript with a substitution in it.
func subscriptCode(s string) bool {
	_, subscript, ok := strings.Cut(s, "[")
	return ok && (strings.Contains(subscript, "$(") || strings.Contains(subscript, "${") || strings.Contains(subscript, "`"))
}

// changesMeaning says whether a variable changes which commands other words run.
func changesMeaning(name string) bool {
	switch name {
	case "PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "PS0", "PS1", "PS2", "PS4", "PROMPT_COMMAND",
		"CDPATH", "HOME", "INPUTRC", "POSIXLY_CORRECT", "BASH_ALIASES", "BASH_CMDS", "EXECIGNORE", "GLOBIGNORE", "FPATH", "SHELL":
		return true
	}
	return hasPrefix(name, "LD_", "DYLD_", "BASH_FUNC_")
}
