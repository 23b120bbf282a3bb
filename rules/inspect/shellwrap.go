package inspect

import (
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
	"mvdan.cc/sh/v3/syntax"
)

// A wrapper is a command that runs the command in its arguments.
type wrapper struct {
	flags    string   // one-letter options without a value
	values   string   // one-letter options with one
	long     []string // long options; one with a value ends in =
	operands int      // arguments before the command
	assigns  bool     // NAME=VALUE before the command
}

// wrappers are those whose arguments are read. An option that is not listed makes
// the whole dynamic, since it could take a value or run something itself.
var wrappers = map[string]wrapper{
	"env":        {flags: "i0v", values: "uC", long: []string{"--ignore-environment", "--unset=", "--chdir=", "--null", "--debug"}, assigns: true},
	"sudo":       {flags: "nEHSbkPB", values: "ughpCDTrt", long: []string{"--non-interactive", "--preserve-env", "--preserve-env=", "--user=", "--group=", "--set-home"}, assigns: true},
	"doas":       {flags: "n", values: "u"},
	"nice":       {flags: "0123456789", values: "n", long: []string{"--adjustment="}},
	"ionice":     {flags: "t", values: "cn", long: []string{"--class=", "--classdata=", "--ignore"}},
	"nohup":      {},
	"setsid":     {flags: "cfw", long: []string{"--ctty", "--fork", "--wait"}},
	"timeout":    {flags: "v", values: "ks", long: []string{"--foreground", "--preserve-status", "--verbose", "--kill-after=", "--signal="}, operands: 1},
	"stdbuf":     {values: "ioe", long: []string{"--input=", "--output=", "--error="}},
	"time":       {flags: "p"},
	"command":    {flags: "p"},
	"builtin":    {},
	"exec":       {flags: "cl", values: "a"},
	"busybox":    {},
	"toybox":     {},
	"caffeinate": {flags: "dimsu"},
	"xargs": {flags: "0rtxop", values: "dEnPLsa",
		long: []string{"--null", "--no-run-if-empty", "--verbose", "--exit", "--delimiter=", "--max-args=", "--max-procs=", "--max-lines=", "--max-chars=", "--arg-file="}},
}

// opaque are commands that run others in ways that are not read here, or give
// names another meaning.
var opaque = words(`alias source . enable hash trap complete compgen bind shopt fc coproc
	zsh ksh mksh fish csh tcsh pwsh powershell cmd
	watch parallel script flock strace ltrace unshare nsenter systemd-run su runuser chroot fakeroot screen tmux
	start-stop-daemon setpriv prlimit taskset numactl cgexec firejail bwrap proot faketime expect unbuffer at batch
	dbus-run-session dbus-launch pkexec entr rlwrap ssh-agent setarch linux32 linux64 chrt catchsegv valgrind gdb
	sg newgrp runcon capsh daemonize eatmydata torsocks torify proxychains proxychains4 socat`)

// setters are commands that set the variables that their arguments name, and
// evaluate the subscripts in those names.
var setters = words(`read printf mapfile readarray getopts unset let declare typeset local export readonly wait`)

// runs notes the commands that a command of a base name runs.
func (r *shellReader) runs(name string, args []shellWord, more bool) {
	switch {
	case opaque[name]:
		r.out.Dynamic = true
	case setters[name]:
		r.sets(name, args)
	case name == "test" || name == "[":
		r.test(name, args)
	case name == "set":
		r.set(args)
	case name == "jobs":
		r.out.Dynamic = r.out.Dynamic || slices.ContainsFunc(args, func(w shellWord) bool { return !w.known || hasOption(w, "x") })
	case name == "eval":
		r.eval(args, more)
	case name == "sh" || name == "bash" || name == "dash" || name == "ash" || name == "rbash":
		r.shell(name, args)
	case name == "find":
		r.find(args, more)
	case name == "xargs":
		r.xargs(args)
	case name == "command" && len(args) > 0 && (args[0].text == "-v" || args[0].text == "-V"):
		// It says what the names are, and runs none.
	default:
		if w, ok := wrappers[name]; ok {
			r.wrapped(w, args, more)
		}
	}
}

// sets notes arguments that may name a variable by which other names change
// their meaning, have a subscript, which is evaluated, or a value that is.
func (r *shellReader) sets(name string, args []shellWord) {
	valued := "" // which options are plain, where values that are not known are, too
	switch name {
	case "printf":
		if len(args) == 0 || args[0].known && !strings.HasPrefix(args[0].text, "-v") && !printsCount().MatchString(args[0].text) {
			return
		}
	case "wait":
		if len(args) == 0 || args[0].known && !strings.HasPrefix(args[0].text, "-") {
			return
		}
	case "mapfile", "readarray":
		if slices.ContainsFunc(args, func(w shellWord) bool { return hasOption(w, "C") }) {
			r.out.Dynamic = true // a callback
			return
		}
	case "export", "readonly":
		valued = "fnprx-"
	case "declare", "typeset", "local":
		valued = "fFgprx-"
		// An array, which anything may have made of the variable, takes a value in
		// parentheses as code.
		if slices.ContainsFunc(args, func(w shellWord) bool { return !w.known }) {
			r.out.Dynamic = true
			return
		}
	}
	for _, w := range args {
		variable, value, assigned := strings.Cut(strings.TrimPrefix(w.text, `"`), "=")
		variable = strings.TrimSuffix(variable, "+")
		switch {
		case valued != "" && hasPrefix(w.text, "-", "+"):
			if !w.known || strings.Trim(w.text[1:], valued) != "" {
				r.out.Dynamic = true // it makes an integer, a reference, an array
			}
		case !assigned && !w.known, valued != "" && !isShellName(variable):
			r.out.Dynamic = true
		case assigned:
			r.assigned(variable, shellWord{text: value, known: w.known})
			if w.known && (strings.HasPrefix(value, "(") || strings.Contains(value, "$(") || strings.Contains(value, "`")) {
				r.out.Dynamic = true
			}
		default:
			if changesMeaning(variable) || integers[variable] || strings.ContainsAny(variable, "[`") {
				r.out.Dynamic = true
			}
		}
	}
}

// printsCount matches a format of printf that sets the variable in an argument.
var printsCount = onuse.Regexp(`%[^%a-zA-Z]*[hjlLqtz]*n`)

// hasOption says whether a word may be options with that letter among them.
func hasOption(w shellWord, letter string) bool {
	return strings.HasPrefix(w.text, "-") && strings.Contains(w.text, letter)
}

// isShellName says whether s may be the name of a variable.
func isShellName(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && !strings.ContainsFunc(s, func(c rune) bool {
		return c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}

// test notes operators that evaluate a variable's subscript, and words that may
// turn out to be one.
func (r *shellReader) test(name string, args []shellWord) {
	unknown := false
	for _, w := range args {
		switch {
		case !w.known:
			unknown = true
			r.out.Dynamic = r.out.Dynamic || w.many
		case w.text == "-v" || w.text == "-R" || strings.Contains(w.text, "[") && strings.ContainsAny(w.text, "$`"):
			r.out.Dynamic = true
		}
	}
	if !unknown {
		return
	}
	if n := len(args); name == "[" && args[n-1].known {
		args = args[:n-1]
	}
	if len(args) > 0 && args[0].known && args[0].text == "!" {
		args = args[1:]
	}
	if n := len(args); n > 3 || n == 3 && !args[1].known || n == 2 && !args[0].known {
		r.out.Dynamic = true
	}
}

// set notes options other than those that leave the meaning of words as it is.
func (r *shellReader) set(args []shellWord) {
	for len(args) > 0 {
		option := args[0]
		if option.known && !hasPrefix(option.text, "-", "+") || option.text == "--" || option.text == "-" {
			return
		}
		if !option.known || strings.Trim(option.text[1:], "abBCeEfhHmnoPTuvx") != "" {
			r.out.Dynamic = true
			return
		}
		var ok bool
		if args, ok = namedOptions(option.text, args[1:]); !ok {
			r.out.Dynamic = true
			return
		}
	}
}

// namedOptions takes off the names that follow options with an o among them; ok is false
// where one changes what words mean, such as keyword, or is not known.
func namedOptions(option string, args []shellWord) (rest []shellWord, ok bool) {
	for range strings.Count(option, "o") {
		if len(args) == 0 {
			return args, true
		}
		if !args[0].known || !plainOptions[args[0].text] {
			return args, false
		}
		args = args[1:]
	}
	return args, true
}

var plainOptions = words(`allexport errexit errtrace functrace nounset pipefail xtrace verbose noexec noglob noclobber physical`)

// eval reads its arguments as code.
func (r *shellReader) eval(args []shellWord, more bool) {
	if len(args) > 0 && args[0].known && args[0].text == "--" {
		args = args[1:]
	}
	texts := make([]string, len(args))
	for i, w := range args {
		texts[i] = w.text
		more = more || !w.known
	}
	if more {
		r.out.Dynamic = true
		return
	}
	r.nested(strings.Join(texts, " "), r.variant)
}

// shell reads the code after -c. A shell that has none reads a script or its
// standard input.
func (r *shellReader) shell(name string, args []shellWord) {
	code := false
	for len(args) > 0 && args[0].known && len(args[0].text) > 1 && (args[0].text[0] == '-' || args[0].text[0] == '+') {
		option := args[0].text
		args = args[1:]
		if option == "--" {
			break
		}
		switch {
		case slices.Contains([]string{"--norc", "--noprofile", "--login", "--posix", "--verbose", "--restricted"}, option):
		case strings.HasPrefix(option, "--") || strings.Trim(option[1:], "ceuxlvnfhmop") != "":
			r.out.Dynamic = true
			return
		default:
			code = code || option[0] == '-' && strings.Contains(option, "c")
			var ok bool
			if args, ok = namedOptions(option, args); !ok {
				r.out.Dynamic = true
				return
			}
		}
	}
	if !code || len(args) == 0 || !args[0].known {
		r.out.Dynamic = true
		return
	}
	if name == "bash" || name == "rbash" {
		// What a bash that is named reads is no matter of the shell around it.
		bashOnly := r.bashOnly
		r.nested(args[0].text, syntax.LangBash)
		r.bashOnly = bashOnly
		return
	}
	r.nested(args[0].text, r.outermost)
}

// wrapped notes the command after a wrapper's options.
func (r *shellReader) wrapped(w wrapper, args []shellWord, more bool) {
	args, ok := w.options(args)
	if !ok {
		r.out.Dynamic = true
		return
	}
	for w.assigns && len(args) > 0 && args[0].known && strings.Contains(args[0].text, "=") {
		variable, value, _ := strings.Cut(args[0].text, "=")
		r.assigned(variable, shellWord{text: value, known: true})
		args = args[1:]
	}
	switch {
	case len(args) > w.operands:
		for _, operand := range args[:w.operands] {
			r.out.Dynamic = r.out.Dynamic || !operand.known
		}
		r.command(args[w.operands:], nil, more)
	case more:
		r.out.Dynamic = true
	}
}

// options takes the options off; ok is false where they are not all understood.
func (w wrapper) options(args []shellWord) (rest []shellWord, ok bool) {
	for len(args) > 0 {
		if !args[0].known || args[0].text == "-" {
			return nil, false
		}
		if !strings.HasPrefix(args[0].text, "-") {
			break
		}
		option := args[0].text
		if args, ok = w.option(args); !ok {
			return nil, false
		}
		if option == "--" {
			break
		}
	}
	return args, true
}

// option takes one argument with options off, and its value.
func (w wrapper) option(args []shellWord) (rest []shellWord, ok bool) {
	option, args := args[0].text, args[1:]
	if option == "--" {
		return args, true
	}
	if strings.HasPrefix(option, "--") {
		name, _, valued := strings.Cut(option, "=")
		return args, valued && slices.Contains(w.long, name+"=") || slices.Contains(w.long, option)
	}
	for i := 1; i < len(option); i++ {
		switch {
		case strings.IndexByte(w.flags, option[i]) >= 0:
		case strings.IndexByte(w.values, option[i]) < 0:
			return nil, false
		case i < len(option)-1:
			return args, true // the value is the rest
		case len(args) == 0:
			return nil, false
		default:
			return args[1:], true
		}
	}
	return args, true
}

// xargs notes the command that gets its arguments, or parts of them, from the input.
func (r *shellReader) xargs(args []shellWord) {
	replace := ""
	for len(args) > 0 && args[0].known && len(args[0].text) > 1 && args[0].text[0] == '-' {
		option, ok := args[0].text, false
		switch {
		case option == "-i" || option == "--replace":
			replace, args, ok = "{}", args[1:], true
		case (option == "-I" || option == "-J") && len(args) > 1 && args[1].known && args[1].text != "":
			replace, args, ok = args[1].text, args[2:], true
		case strings.HasPrefix(option, "-I") && len(option) > 2:
			replace, args, ok = option[2:], args[1:], true
		default:
			args, ok = wrappers["xargs"].option(args)
		}
		if !ok {
			r.out.Dynamic = true
			return
		}
		if option == "--" {
			break
		}
	}
	if len(args) > 0 {
		r.command(replaced(args, replace), nil, true)
	}
}

// replaced gives words of which those that hold a placeholder are not known.
func replaced(words []shellWord, placeholder string) []shellWord {
	out := slices.Clone(words)
	for i := range out {
		if placeholder != "" && strings.Contains(out[i].text, placeholder) {
			out[i].known = false
		}
	}
	return out
}

// find notes the commands after -exec and its like, and the files that it writes.
func (r *shellReader) find(args []shellWord, more bool) {
	r.out.Dynamic = r.out.Dynamic || more
	for i := 0; i < len(args); i++ {
		if !args[i].known {
			r.out.Dynamic = true // it may turn out to be -exec
			continue
		}
		switch args[i].text {
		case "-exec", "-execdir", "-ok", "-okdir":
			end := i + 1
			for end < len(args) && !(args[end].known && (args[end].text == ";" || args[end].text == "+")) {
				end++
			}
			if end > i+1 {
				r.command(replaced(args[i+1:end], "{}"), nil, true)
			}
			i = end
		case "-fprint", "-fprint0", "-fprintf", "-fls":
			if i+1 < len(args) {
				i++
				r.out.Dynamic = r.out.Dynamic || !args[i].known
				r.out.Writes = append(r.out.Writes, args[i].text)
			}
		}
	}
}
