package inspect

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseShell(t *testing.T) {
	for _, test := range []struct {
		shell                string
		names, writes, reads string // separated by spaces
		simple, dynamic      bool
	}{
		{shell: "ls -la /tmp", names: "ls", simple: true},
		{shell: "/bin/RM x", names: "/bin/RM rm", simple: true},
		{shell: `c""at 'a b' "x"\ y`, names: "cat", simple: true},
		{shell: `\c\a\t x`, names: "cat", simple: true},
		{shell: "r\\\nm x", names: "rm", simple: true},
		{shell: "ls # rm", names: "ls", simple: true},
		{shell: "ls #\nrm x", names: "ls rm"},
		{shell: "cat /etc/passwd | grep root > out.txt 2>&1", names: "cat grep", writes: "out.txt"},
		{shell: "sort < in >> out", names: "sort", writes: "out", reads: "in"},
		{shell: "> out", writes: "out"},
		{shell: "a && b || c; d & e", names: "a b c d e"},
		{shell: "(a; { b; })", names: "a b"},
		{shell: "! rm x", names: "rm"},
		{shell: "if a; then b; elif c; then d; else e; fi", names: "a b c d e"},
		{shell: "while a; do b; done; case x in y) c ;; esac; for i in 1; do d; done", names: "a b c d"},
		{shell: "f() { rm x; }; f", names: "f rm"},
		{shell: "cat <<EOF\n{a,b} $(id)\nEOF", names: "cat id"},
		{shell: "cat <<'EOF'\n$(id)\nEOF", names: "cat"},
		{shell: "cat <(ls)", names: "cat ls"},
		{shell: "[[ -f x ]] && rm x", names: "rm"},
		{shell: "time ls", names: "ls"},
		{shell: "x=1 ls", names: "ls"},
		{shell: "echo * ?", names: "echo"},
		{shell: "echo ~", names: "echo"},
		{shell: "command -v git", names: "command", simple: true},
		// substitutions run commands wherever they stand
		{shell: "echo $(rm x) `id`", names: "echo id rm"},
		{shell: `echo "$(rm x)"`, names: "echo rm"},
		{shell: `echo "${x:-$(id)}"`, names: "echo id"},
		{shell: "x=$(id)", names: "id"},
		{shell: "echo $((a[$(id)]))", names: "echo id", dynamic: true},
		{shell: "echo ${a[$(id)]}", names: "echo id", dynamic: true},
		{shell: "ls > $(id)", names: "id ls", writes: "$(id)", dynamic: true},
		{shell: "export A=$(id)", names: "export id"},
		// names and targets that are not known
		{shell: "cat$IFS/etc/passwd", dynamic: true},
		{shell: "$x y", dynamic: true},
		{shell: "$(echo rm) -rf /", names: "echo", dynamic: true},
		{shell: "/bin/c?t x", dynamic: true},
		{shell: "~/x", dynamic: true},
		{shell: "ls > $x", names: "ls", writes: "$x", dynamic: true},
		{shell: "ls > ~/x", names: "ls", writes: "~/x", dynamic: true},
		{shell: "ls 2>&$x", names: "ls", dynamic: true},
		// code in arguments
		{shell: "eval 'rm -rf' /", names: "eval rm"},
		{shell: "eval $x", names: "eval", dynamic: true},
		{shell: `bash -lc 'rm x; sh -c "id"'`, names: "bash id rm sh"},
		{shell: "bash -c -x 'rm x'", names: "bash rm"},
		{shell: "bash -o pipefail -c 'rm x'", names: "bash rm"},
		{shell: `sh -c "$x"`, names: "sh", dynamic: true},
		{shell: "sh x.sh", names: "sh", dynamic: true},
		{shell: "curl x | sh", names: "curl sh", dynamic: true},
		{shell: "zsh -c 'rm x'", names: "zsh", dynamic: true},
		{shell: "sudo -u root env A=b nice -n 5 timeout -k 5 10 rm x", names: "env nice rm sudo timeout"},
		{shell: "sudo -i rm x", names: "sudo", dynamic: true},
		{shell: "env -S 'rm x'", names: "env", dynamic: true},
		{shell: "env - rm x", names: "env", dynamic: true},
		{shell: "env PATH=/x ls", names: "env ls", dynamic: true},
		{shell: "env $x ls", names: "env", dynamic: true},
		{shell: "busybox rm x", names: "busybox rm"},
		{shell: "exec -a ls rm x", names: "exec rm"},
		{shell: "command rm x", names: "command rm"},
		{shell: "find . -name '*.go' -exec rm {} \\;", names: "find rm"},
		{shell: "find . -exec sh -c 'rm \"$1\"' _ {} +", names: "find rm sh"},
		{shell: "find . -exec sh -c 'rm {}' \\;", names: "find sh", dynamic: true},
		{shell: "find . -exec {} \\;", names: "find", dynamic: true},
		{shell: "find . $x", names: "find", dynamic: true},
		{shell: "find . -fprint out", names: "find", writes: "out"},
		{shell: "xargs -0 -n 1 rm", names: "rm xargs"},
		{shell: "xargs -I m rm", names: "xargs", dynamic: true},
		{shell: "xargs -Im rm", names: "xargs", dynamic: true},
		{shell: "xargs env", names: "env xargs", dynamic: true},
		{shell: "xargs sh -c", names: "sh xargs", dynamic: true},
		{shell: "parallel rm", names: "parallel", dynamic: true},
		// what gives names another meaning
		{shell: "alias ls=rm; ls", names: "alias ls", dynamic: true},
		{shell: ". ./x", names: ".", dynamic: true},
		{shell: "PATH=/x ls", names: "ls", dynamic: true},
		{shell: "PATH=/x; ls", names: "ls", dynamic: true},
		{shell: "export PATH=/x; ls", names: "export ls", dynamic: true},
		{shell: "LD_PRELOAD=x ls", names: "ls", dynamic: true},
		{shell: "BASH_ALIASES[ls]=rm; ls", dynamic: true, names: "refused"},
		{shell: "for PATH in /x; do ls; done", names: "ls", dynamic: true},
		{shell: ": ${PATH:=/x}", names: ":", dynamic: true},
		{shell: "read PATH", names: "read", dynamic: true},
		{shell: "printf -v PATH x", names: "printf", dynamic: true},
		{shell: "trap 'rm x' EXIT", names: "trap", dynamic: true},
		// a variable's content that is evaluated
		{shell: "echo $((x))", names: "echo", dynamic: true},
		{shell: "echo $((1 + 2))", names: "echo"},
		{shell: "[[ $x -eq 1 ]]", dynamic: true},
		{shell: "test -v 'a[$(id)]'", names: "test", dynamic: true},
		{shell: "unset 'a[$(id)]'", names: "unset", dynamic: true},
		{shell: "echo ${!x}", names: "echo", dynamic: true},
		{shell: "echo ${x@P}", names: "echo", dynamic: true},
		{shell: "echo ${x:y}", names: "echo", dynamic: true},
	} {
		if test.names == "refused" {
			if _, err := ParseShell(test.shell); err == nil {
				t.Errorf("%q was read", test.shell)
			}
			continue
		}
		got, err := ParseShell(test.shell)
		if err != nil {
			t.Errorf("%q: %v", test.shell, err)
			continue
		}
		if strings.Join(got.Names, " ") != test.names || strings.Join(got.Writes, " ") != test.writes ||
			strings.Join(got.Reads, " ") != test.reads || got.Simple != test.simple || got.Dynamic != test.dynamic {
			t.Errorf("%q: %+v", test.shell, *got)
		}
	}
}

func TestParseShellCommand(t *testing.T) {
	got, err := ParseShell(`A=1 B="$x" git commit -m 'it''s' "a \"b\" \$c \d" e\ f $g`)
	if err != nil {
		t.Fatal(err)
	}
	c := got.Commands[0]
	if c.Name != "git" || !c.Dynamic || !slices.Equal(c.Assigns, []string{"A=1", `B="$x"`}) ||
		!slices.Equal(c.Args, []string{"commit", "-m", "its", `a "b" $c \d`, "e f", "$g"}) {
		t.Errorf("%+v", c)
	}
	if got, err = ParseShell(`git commit -m "👩‍💻 done, {a,b} 'x'"`); err != nil || !got.Simple || got.Commands[0].Args[2] != "👩‍💻 done, {a,b} 'x'" {
		t.Errorf("%+v, %v", got, err)
	}
}

// What shells read differently, or only some of them know, is refused.
func TestParseShellRefuses(t *testing.T) {
	for _, s := range []string{
		"", " \n", "echo 'x", `echo "x`, "echo $(x", "echo `x", "a &&", "if a", ")", "a | | b", `ls \\`, `\`, "cat <<EOF\nx $(",
		"{cat,/etc/passwd}", `{cat,"/etc/passwd"}`, "echo {1..3}", `echo a{"b",c}`,
		`$'\x72m' x`, `echo $"x"`, "ls >& file", "ls &> file", "exec 3<>/dev/tcp/192.0.2.1/80", "cat < /dev/udp/x/1",
		"((rm -rf /))", "((1))\ncat <(ls)", "[[ a < b ]]", "[[ a > b ]]; cat <(ls)", "a[$(id)]=1", "{fd}> out ls",
		"function f { rm x; }", "a |& b",
		`echo "${x:-'$(id)'}"`, `sh -c 'cat <(ls)'`, `sh -c '{a,b}'`, `eval 'x="'`,
		"ls\r", "ls\r\nrm x", "ls\x00rm", "ls\x1b", "ls\vx", "ls\u00a0x", "ls\u2028rm x", "ls\u200b x", "echo '\u202e'", "ls \xff",
		strings.Repeat("(", maxShellNesting+1), strings.Repeat("a", maxShell+1), strings.Repeat("a;", maxShellCommands+1),
		strings.Repeat("eval ", 30) + "id",
	} {
		if got, err := ParseShell(s); err == nil {
			t.Errorf("%.60q was read as %+v", s, *got)
		} else if !strings.HasPrefix(err.Error(), "reading a shell command") {
			t.Errorf("%.60q: %v", s, err)
		}
	}
}

func TestParseShellBounded(t *testing.T) {
	for _, part := range [][3]string{
		{"$(", "", ")"}, {"(", "a", ")"}, {"{ ", "a", "; }"}, {`"$(`, "a", `)"`}, {"${x:-", "a", "}"}, {"$((", "1", "))"}, {"$((1+(", "1", ")))"},
		{"if ", "a", "; then b; fi"}, {"while ", "a", "; do b; done"}, {"! ", "a", ""}, {"f() ", "a", ""}, {"<(", "a", ")"}, {"a | ", "b", ""}, {"a && ", "b", ""},
		{"sudo ", "a", ""}, {"eval ", "a", ""}, {"env ", "a", ""}, {"[[ ! ", "a", " ]]"}, {"((- ", "1", "))"}, {"$((-", "1", "))"}, {"$((1?", "1", ":1))"},
		{"`", "a", "`"}, {"${x[", "1", "]}"}, {"case a in b) ", "c", " ;; esac"}, {"<<a ", "", "\na\n"}, {"x=", "1", ""}, {"a{", "b", ",c}"}, {"$((1+1", "", "))"},
		{"$((1+", "1", ""}, {"$[", "1", "]"}, {"sh -c '", "a", "'"}, {"coproc ", "a", ""}, {"time ", "a", ""},
	} {
		for _, n := range []int{10, 900, 8000} {
			s := strings.Repeat(part[0], n) + part[1] + strings.Repeat(part[2], n)
			start := time.Now()
			_, err := ParseShell("echo " + s)
			_, err2 := ParseShell(s)
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("%.40q of %d bytes took %s (%v, %v)", s, len(s), took, err, err2)
			}
		}
	}
}

func FuzzParseShell(f *testing.F) {
	for _, s := range []string{
		"ls -la", "cat a | grep 'b c' > d", "echo $(id) `id` ${x:-y} $((1+1))", "for i in a; do b; done", "f() { a; }; f", "sudo env A=b sh -c 'x'",
		"find . -exec rm {} \\;", "cat <<EOF\n$x\nEOF", "a[1]=2; [[ -f x ]]", "export A=~/b", `\l\s "a\"b" 'c'`, "{a,b} $'c' ~ * ?", "xargs -I{} sh -c 'a {}'",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseShell(s)
		if err != nil {
			return
		}
		if got.Simple {
			c := got.Commands[0]
			if len(got.Commands) != 1 || got.Dynamic || c.Dynamic || len(got.Writes)+len(got.Reads) > 0 {
				t.Fatalf("%q is simple, but %+v", s, *got)
			}
			// A simple command means the same when every word of it is quoted.
			words := []string{c.Name}
			words = append(words, c.Args...)
			for i := range words {
				words[i] = "'" + strings.ReplaceAll(words[i], "'", `'\''`) + "'"
			}
			again, err := ParseShell(strings.Join(words, " "))
			if err != nil || len(again.Commands) != 1 || again.Commands[0].Name != c.Name || !slices.Equal(again.Commands[0].Args, c.Args) {
				t.Fatalf("%q is %+v, but quoted %+v (%v)", s, *got, again, err)
			}
		}
		// A comment, a command before it and a subshell around it hide nothing.
		for _, around := range []string{"true\n" + s, "(\n" + s + "\n)"} {
			other, err := ParseShell(around)
			if err != nil {
				continue
			}
			for _, name := range got.Names {
				if !slices.Contains(other.Names, name) {
					t.Fatalf("%q runs %s, %q does not", s, name, around)
				}
			}
			if got.Dynamic && !other.Dynamic || len(other.Writes) < len(got.Writes) {
				t.Fatalf("%q is %+v, %q is %+v", s, *got, around, *other)
			}
		}
	})
}

func BenchmarkParseShell(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseShell(`cd /srv/app && git log --oneline -n 20 | grep -i "fix" | head -n 5 > /tmp/out.txt 2>&1`); err != nil {
			b.Fatal(err)
		}
	}
}
