package inspect

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// marking are texts that run "touch mark", or e/ls, which does the same, in bash.
var marking = []string{
	// plainly
	"touch mark", "./e/ls", "cd e; ./ls; cd ..", "sh -c 'touch mark'", "eval touch mark", "coproc touch mark; wait", "exec touch mark", "command -p touch mark",
	"find . -maxdepth 0 -exec touch mark \\;", "echo mark | xargs touch", "env -S 'touch mark'", "env -i /usr/bin/touch mark", "nice -n 1 timeout 5 touch mark",
	"f() { touch mark; }; f", "command_not_found_handle() { touch mark; }; nosuch", "echo ${x:-$(touch mark)}", "echo \"`touch mark`\"", "cat <<X\n$(touch mark)\nX",
	"busybox touch mark", "if touch mark; then :; fi", "bash -ec 'touch mark'", "builtin eval touch mark", "x=touch; $x mark", "${x:-touch} mark", "t\\ouch mark",
	// by a builtin that runs code
	"mapfile -C 'touch mark' -c 1 a <<< x", "mapfile -c1 -tC 'touch mark;' a <<< x", "readarray -C 'touch mark;' -c 1 a <<< x", "compgen -C 'touch mark'",
	"compgen -W '$(touch mark)'", "command compgen -C 'touch mark'", "jobs -x touch mark", "builtin jobs -x touch mark", "trap 'touch mark' EXIT", "trap 'touch mark' DEBUG; :",
	"source e/ls", ". e/ls", "source /dev/stdin <<< 'touch mark'", "bash e/ls", "bash <<< 'touch mark'", "hash -p e/ls ls; ls", "shopt -s expand_aliases\nalias ls='touch mark'\nls",
	"enable -n echo", "bind -x '\"a\": touch mark'", "complete -C 'touch mark' x",
	// by what a name means
	"PATH=$PWD/e:$PATH; ls", "PATH=$PWD/e:$PATH ls", "export PATH=$PWD/e:$PATH; ls", "export \"PATH=$PWD/e\"; ls", "x=PATH; export $x=$PWD/e; ls", "x=PA; export \"${x}TH=$PWD/e\"; ls",
	"declare -n r=PATH; r=e:/bin; ls", "declare -xn r=PATH; r=e; ls", "declare -n r=PATH; export r=e; ls", "typeset -n r=PATH; r=e; ls", "f() { local -n r=PATH; r=e; ls; }; f",
	"printf -v PATH e; ls", "read PATH <<< e; ls", "read -r -d '' PATH <<< e: ; ls", "for PATH in e; do ls; done", ": ${PATH:=e}; ls", "PATH=; : ${PATH:=e}; ls", "mkdir 3; cp e/ls 3; printf 'abc%n' PATH; ls",
	"set -k; ls PATH=e", "set -ek; ls PATH=e", "set -o keyword; ls PATH=e", "set -e -o keyword; ls PATH=e", "bash -kc 'ls PATH=e'", "bash -o keyword -c 'ls PATH=e'", "x=-k; set $x; ls PATH=e",
	"env PATH=e ls", "BASH_ENV=e/ls bash -c :", "export BASH_ENV=e/ls; bash -c :", "env BASH_ENV=e/ls bash -c :", "HOME=e bash -lc :", "coproc PATH { :; }; ls", "BASH_CMDS[ls]=e/ls; ls",
	"getopts e PATH -e; ls", "mapfile -t PATH <<< e; ls", "declare -l x=PATH; x=E; ls", "unset PATH; ls", "select PATH in e; do ls; break; done <<< 1", "IFS=x; y=touchxmark; $y",
	// by arithmetic
	"OPTIND='a[$(touch mark)]'", "HISTCMD='a[$(touch mark)]'", "RANDOM='a[$(touch mark)]'", "SRANDOM='a[$(touch mark)]'", "for SECONDS in 'a[$(touch mark)]'; do :; done",
	"x='a[$(touch mark)]'; OPTIND=$x", "read OPTIND <<< 'a[$(touch mark)]'", "read -r x OPTIND <<< 'b a[$(touch mark)]'", "printf -v RANDOM 'a[$(touch mark)]'", "export OPTIND='a[$(touch mark)]'",
	"for HISTCMD in 'a[$(touch mark)]'; do :; done", "for HISTCMD; do :; done", "select OPTIND in 'a[$(touch mark)]'; do break; done <<< 1", ": ${RANDOM='a[$(touch mark)]'}", "mapfile RANDOM <<< 'a[$(touch mark)]'",
	"p='a['; q='$(touch mark)]'; OPTIND=$p$q", "unset OPTIND; OPTIND='a[$(touch mark)]'", "getopts a OPTIND -a",
	"declare -i x='a[$(touch mark)]'", "declare -ri x='a[$(touch mark)]'", "typeset -i x='a[$(touch mark)]'", "f() { local -i x='a[$(touch mark)]'; }; f", "declare -i x; x='a[$(touch mark)]'",
	"declare -i x; read x <<< 'a[$(touch mark)]'", "declare -i x; p='a['; x=$p'$(touch mark)]'", "declare -i \"x=a[\\$(touch mark)]\"", "command declare -i x='a[$(touch mark)]'", "builtin declare -i x='a[$(touch mark)]'",
	"o=-i; declare $o x='a[$(touch mark)]'", "eval 'declare -i x=\"a[\\$(touch mark)]\"'", "let 'x=a[$(touch mark)]'", "x='a[$(touch mark)]'; let x", "((a[$(touch mark)]))", "x='a[$(touch mark)]'; ((x))", "x='a[$(touch mark)]'; echo $((x))",
	"x='a[$(touch mark)]'; echo ${y:x}", "x='a[$(touch mark)]'; echo ${y[x]}", "x='a[$(touch mark)]'; y[x]=1", "x='a[$(touch mark)]'; [[ x -eq 1 ]]", "[[ 'a[$(touch mark)]' -lt 1 ]]",
	"x='a[$(touch mark)]'; for ((;x;)); do :; done", "read x <<< 'a[$(touch mark)]'; echo $((x))", "x='a[$(touch mark)]'; y=(1 2); z=${y[x]}", "x='a[$(touch mark)]'; echo $[x]", "x='a[$(touch mark)]'; (( y = x ))",
	// by a subscript
	"test -v 'a[$(touch mark)]'", "[ -v 'a[$(touch mark)]' ]", "[[ -v 'a[$(touch mark)]' ]]", "x='a[$(touch mark)]'; [ -v $x ]", "x='a[$(touch mark)]'; test ! -v $x", "test -n x -a -v 'a[$(touch mark)]'", "o=-v; x='a[$(touch mark)]'; [ \"$o\" \"$x\" ]",
	"o=-; p='a['; q='$(touch mark)]'; [ \"${o}v\" \"$p$q\" ]", "x='-v a'; y='[$(touch mark)]'; [ $x$y ]", "p='a['; q='$(touch mark)]'; set -- -v \"$p$q\"; [ \"$@\" ]", "p='a['; q='$(touch mark)]'; [ '!' -v \"$p$q\" ]",
	"p='a['; o=-v; q='$(touch mark)]'; [ x -o \"$o\" \"$p$q\" ]", "p='a['; o=-v; q='$(touch mark)]'; test ! \"$o\" \"$p$q\"",
	"printf -v 'a[$(touch mark)]' x", "printf -v'a[$(touch mark)]' x", "read 'a[$(touch mark)]' <<< x", "unset 'a[$(touch mark)]'", "a=(1); unset 'a[$(touch mark)]'", "unset -v 'a[$(touch mark)]'", "x='a[$(touch mark)]'; unset $x", ": & wait -n -p 'a[$(touch mark)]'",
	"getopts a 'a[$(touch mark)]' -a", "declare 'a[$(touch mark)]=1'", "declare -A a; a['x$(touch mark)']=1; unset 'a[x$(touch mark)]'", "mapfile 'a[$(touch mark)]' <<< x", "x='a[$(touch mark)]'; echo ${!x}", "declare -n r='a[$(touch mark)]'; r=1",
	// by a value in parentheses
	"declare -a 'a=($(touch mark))'", "declare -a a='($(touch mark))'", "declare 'a=($(touch mark))'", "a[0]=1; declare 'a=($(touch mark))'", "read -a a <<< 1; declare a='($(touch mark))'", "x='($(touch mark))'; read -a a <<< 1; declare a=$x",
	"x='($(touch mark))'; read -a a <<< 1; declare \"a=$x\"", "x='($(touch mark))'; declare PIPESTATUS=\"$x\"", "readonly -a a='($(touch mark))'", "export -a 'a=($(touch mark))'", "typeset -a a='($(touch mark))'", "f() { local -a a='($(touch mark))'; }; f",
	"mapfile a <<< 1; declare a='(`touch mark`)'", "x='$(touch mark)'; mapfile a <<< 1; declare 'a=($x)'", "f() { local a; read -a a <<< 1; local a=$1; }; f '($(touch mark))'", "declare -A a='($(touch mark) 1)'", "x='($(touch mark))'; read -a a <<< 1; declare -g a=$x",
	// by an expansion that expands once more
	"x='$(touch mark)'; echo ${x@P}", "PS4='$(touch mark)'; set -x; :", "PS4='$(touch mark)' bash -xc :", "export PS4='$(touch mark)'; bash -x -c :", "x='$(touch mark)'; eval echo $x", "x='$(touch mark)'; echo \"${x@P}\"",
	"PROMPT_COMMAND='touch mark' bash -i -c :", "export ENV=e/ls; sh -ic :", "PS1='$(touch mark)'; echo ${PS1@P}",
	// by what a command that runs commands does with its environment
	"BASH_FUNC_ls%%='() { touch mark; }' bash -c ls", "env 'BASH_FUNC_ls%%=() { touch mark; }' bash -c ls", "LD_PRELOAD=x ls", "SHELLOPTS=xtrace PS4='$(touch mark)' bash -c :",
}

// Whatever bash runs by a text is named, or the text is dynamic, or refused.
func TestParseShellNamesWhatBashRuns(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("needs bash")
	}
	ran := 0
	for _, text := range marking {
		got, err := ParseShell(text)
		if err == nil && (got.Dynamic || slices.Contains(got.Names, "touch") || slices.Contains(got.Names, "./e/ls") || slices.Contains(got.Names, "./ls")) {
			if got.Simple && got.Commands[0].Name != "touch" && got.Commands[0].Name != "./e/ls" {
				t.Errorf("%q is simple", text)
			}
			continue
		}
		if marks(t, bash, text) {
			ran++
			if err == nil {
				t.Errorf("bash runs a command in %q that is not among %q", text, got.Names)
			}
		}
	}
	if ran == 0 {
		t.Error("no text that is refused ran: the others are not tried either")
	}
}

// marks says whether bash, with that text, makes the file mark.
func marks(t *testing.T, bash, text string) bool {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "e"), 0o700); err != nil {
		t.Fatal(err)
	}
	script := []byte("#!/bin/sh\n: > " + filepath.Join(dir, "mark") + "\n")
	for _, name := range []string{"ls", ".profile", ".bash_profile"} {
		if err := os.WriteFile(filepath.Join(dir, "e", name), script, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, bash, "--noprofile", "--norc", "-c", text)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, time.Second
	cmd.Stdin = strings.NewReader("")
	_ = cmd.Run() // its status says nothing
	_, err := os.Stat(filepath.Join(dir, "mark"))
	return err == nil
}

// What is common is not taken for dynamic.
func TestParseShellLeavesPlain(t *testing.T) {
	for _, text := range []string{
		`export A=1 B="x y" C=$x; ls`, "export -p", "readonly A=1", "declare -x A=b", "local x=1", "set -euo pipefail; ls", "set -- a b", "set +x", "bash -euo pipefail -c 'ls x'",
		`[ -n "$x" ] && ls`, `[ "$x" = y ] || ls`, `[ $? -eq 0 ] && ls`, `[ $# -gt 1 ]`, `test -f "$x"`, `if [ ! -d "$d" ]; then mkdir "$d"; fi`, "[ -f x -a -f y ]", `[ -z "$(id)" ]`,
		`printf '%s\n' "$x"`, `printf "%d items\n" 3`, "while read -r line; do echo x; done", "mapfile -t lines", "jobs -l", "wait", "wait 12", "for i in 1 2 3; do echo $i; done", "x='a[1]' ls", "OPTIND=1",
		`git commit -m 'fix a[$(x)] and ` + "`y`" + `'`, "grep '[$(]' x", `sed 's/[a-z]*$//' x`, "unset X", "echo $((1+2))", `echo "${x:-y}"`, `echo "${x#a}"`,
	} {
		if got, err := ParseShell(text); err != nil || got.Dynamic {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
