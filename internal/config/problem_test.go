package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

var update = flag.Bool("update", false, "write the golden files, mcpfirewall.schema.json and docs/configuration.md")

// golden compares what was produced with a committed file, or writes the file.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs from what the code produces now; if that is right, run the test with -update\ngot:\n%s", path, got)
	}
}

// TestProblems holds what people read when their file is wrong. The word
// hunter2 stands for a secret in these files.
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.yaml")
	if err != nil || len(files) < 15 {
		t.Fatalf("found %d files (%v)", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := Parse("mcpfirewall.yaml", data)
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("Parse returned %v, %v", cfg, err)
			}
			got := problems.Error()
			if strings.Contains(got, "hunter2") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			golden(t, filepath.Join("testdata/problems", name+".golden"), []byte(got+"\n"))
		})
	}
}

func TestProblemsBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString("version: 1\n")
	for i := range 150 {
		text.WriteString("unknown" + strings.Repeat("x", i) + ": 1\n")
	}
	_, err := Parse("x.yaml", []byte(text.String()))
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 150 {
		t.Fatalf("%d problems, want 150", len(problems))
	}
	if got := err.Error(); !strings.HasSuffix(got, "\nand 50 more problems") {
		t.Errorf("the message ends in %q", got[len(got)-60:])
	}
}

// TestSound holds that problems are found in what holds them, and nowhere else.
func TestSound(t *testing.T) {
	cfg, err := Parse("f", []byte(`version: 1
servers:
  a: { command: a, args: [b, 7], env: { B: c } }
rules:
  - name: block
    tools: [a]
    then: ask
    when: |
      true
  - nam: misspelt
    tools: [a]
    then: ask
  - {name: last, tools: [a], then: ask}
limits: [{name: x, tools: [a], max: 1, per: 1h}, 7]
tolls: {}
`))
	if err == nil || cfg == nil || len(cfg.Wrong()) != 4 {
		t.Fatalf("Parse returned %v", err)
	}
	for path, want := range map[string]bool{
		"": false, "version": true, "servers": false, "servers.a": false, "servers.a.command": true, "servers.a.args": false, "servers.a.args[0]": true,
		"servers.a.args[1]": false, "servers.a.env": true, "servers.a.env.B": true, "rules": false, "rules[0]": true, "rules[0].when": true,
		"rules[1]": false, "rules[1].tools": true, "rules[2]": true, "limits": false, "limits[0]": true, "limits[1]": false, "labels": true,
	} {
		if cfg.Sound(path) != want {
			t.Errorf("%q is sound: %v", path, !want)
		}
	}
	if sound, err := Parse("f", []byte("version: 1\nservers: { a: { command: a } }\n")); err != nil || !sound.Sound("") || len(sound.Wrong()) > 0 {
		t.Errorf("%v, %v", sound, err)
	}
}

// TestText covers what cannot stand in a file of testdata that people edit.
func TestText(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // the first problem, without the source line
	}{
		{"not UTF-8", "version: 1\nx: \xff\n", "f:2:4: this is not UTF-8: save the file as UTF-8"},
		{"UTF-16", "\xff\xfev\x00e\x00", "f:1:1: this is not UTF-8: save the file as UTF-8"},
		{"zero byte", "version: 1\x00\n", `f:1:11: the invisible character "\x00" may not stand here: write it as an escape in double quotes`},
		{"escape sequence", "version: 1 # é\x1b[2J\n", `f:1:15: the invisible character "\x1b" may not stand here: write it as an escape in double quotes`},
		{"carriage return alone", "version: 1\rx: 1\n", `f:1:11: the invisible character "\r" may not stand here: write it as an escape in double quotes`},
		{"line separator", "version: 1 # a\u2028x: 1\n", `f:1:15: the invisible character "\u2028" may not stand here: write it as an escape in double quotes`},
		{"next line", "version: 1 # a\u0085x: 1\n", `f:1:15: the invisible character "\u0085" may not stand here: write it as an escape in double quotes`},
		{"text that runs the other way", "# \u202eeerht\n", `f:1:3: the invisible character "\u202e" may not stand here: write it as an escape in double quotes`},
		{"filler", "# a\u3164b\n", `f:1:4: the invisible character "\u3164" may not stand here: write it as an escape in double quotes`},
		{"variation selector", "# a\U000e0100b\n", `f:1:4: the invisible character "\U000e0100" may not stand here: write it as an escape in double quotes`},
		{"filler in a name", "\"\\u3164\": 1\nversion: 1\n", `f:1:1: unknown key "\u3164"`},
		{"too large", "#" + strings.Repeat(" ", maxFile), "f:1:1: the file is larger than 1048576 bytes"},
		{"laughs", "a: &a [x,x,x]\nb: &b [*a,*a,*a]\nversion: 1\n", "f:1:1: unknown key \"a\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f", []byte(tt.text))
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("Parse returned %v", err)
			}
			got, _, _ := strings.Cut(problems.Error(), "\n")
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			for _, r := range problems.Error() {
				if r != '\n' && r != '\t' && visible.Hidden(r) {
					t.Errorf("the message holds %U", r)
				}
			}
		})
	}
}

// TestSource checks that the excerpt of a line keeps secrets to itself and
// references visible.
func TestSource(t *testing.T) {
	tests := []struct{ line, want string }{
		{`servers: { a: { comand: x, env: { A: hunter2, B: "x ${vault:a/b#c} y" } } }`, `servers: { a: { comand: x, env: { A: *******, B: "* ${vault:a/b#c} *" } } }`},
		{`servers: { a: { url: "https://x.example.com", bogus: [hunter2, {p: hünter2}] } }`, `servers: { a: { url: "https://x.example.com", bogus: [*******, {p: *·*****}] } }`},
		{`servers: { a: { url: "https://x.example.com", headers: { A: 'hunter2', 'b': "${vault:x" }, x: 1 } }`, `servers: { a: { url: "https://x.example.com", headers: { A: '*******', 'b': "${vault:x" }, x: * } }`},
		{`servers: { a: { command: x, args: [ghp_0123456789abcdefABCDEF, 1] } }`, `servers: { a: { command: x, args: [**************************, 1] } }`},
		{`a: &x 1`, `a: &* *`},
		{`servers: { a: { command: x, env: { PASSWORD: &mysecretanchor hunter2cret } } }`, `servers: { a: { command: x, env: { PASSWORD: &************** *********** } } }`},
		{`servers: { a: { command: x, env: { PASSWORD: !!str "hunter2" } } }`, `servers: { a: { command: x, env: { PASSWORD: !**** "*******" } } }`},
		{`tools: { allow: ["github.get_pull_request_review_comments", 1] }`, `tools: { allow: ["github.get_pull_request_review_comments", 1] }`},
		{`servers: { a: { url: "https://me:hunter2@x.example.com", shared: 1 } }`, `servers: { a: { url: "https://**********@x.example.com", shared: 1 } }`},
	}
	for _, tt := range tests {
		_, err := Parse("f", []byte("version: 1\n"+tt.line+"\n"))
		var problems Problems
		if !errors.As(err, &problems) {
			t.Errorf("%s: Parse returned %v", tt.line, err)
			continue
		}
		if got := problems[0].Source; got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// TestSecretsBehindProperties holds that a secret is masked wherever YAML lets it stand:
// behind anchors and tags, over several lines, and as the name of what should be in quotes.
func TestSecretsBehindProperties(t *testing.T) {
	for _, properties := range []string{"", "&a ", "!t ", "!!str ", "!<t> ", "&a !t ", "!t &a ", "&hunter2a ", "!hunter2a ", "&a # c\n        ", "&a\n        !t\n        "} {
		for _, value := range []string{"hunter2b", `"hunter2b"`, "'hunter2b'", "hunter2b\n        hunter2c", "\"hunter2b\n\n        hunter2c\"", "'hunter2b\n        hunter2c'",
			"|\n        hunter2b\n        hunter2c", ">-\n        hunter2b\n\n        hunter2c", "|2 # c\n          hunter2b", "*hunter2b", "&hunter2b", "!hunter2b", "hünter2 hunter2b"} {
			for _, around := range []string{"env:\n      PASSWORD: %s\n", "env:\n      ? PASSWORD\n      : %s\n", "env: { PASSWORD: %s, X: 1 }\n", "env: { PASSWORD: %s}\n", "enf: [ %s ]\n"} {
				text := "version: 1\nx: &hunter2b 1\nservers:\n  a:\n    command: x\n    " + fmt.Sprintf(around, properties+value) + "    timeout: 1\n"
				if got := shownLines(text); strings.Contains(got, "hunter2b") || strings.Contains(got, "hunter2c") {
					t.Errorf("a secret is shown of\n%s\n%s", text, got)
				}
			}
		}
	}
}

// shownLines is what is wrong in a file, and each line as it would be shown with a problem.
func shownLines(text string) string {
	_, err := Parse("f", []byte(text))
	all := fmt.Sprintln(err)
	src := newSource("f", text)
	root, problem := parseYAML(src)
	if problem != nil {
		return all // the only one
	}
	d := &decoder{cfg: withDefaults(), src: src, misspelt: map[string]bool{}}
	d.cfg.nodes, d.cfg.src = map[string]place{}, src
	d.document(root)
	for line := range src.lines {
		all += src.shown(line+1) + "\n"
	}
	return all
}

func TestNearest(t *testing.T) {
	words := []string{"command", "args", "env", "cwd", "url", "timeout", "max_message"}
	tests := []struct{ word, want string }{
		{"comand", "command"},
		{"Command", "command"},
		{"argss", "args"},
		{"ags", "args"},
		{"nev", "env"},
		{"max_mesage", "max_message"},
		{"environment", "env"},
		{"max", "max_message"},
		{"uri", "url"},
		{"password", ""},
		{"", ""},
		{strings.Repeat("command", 20), ""},
	}
	for _, tt := range tests {
		if got := nearest(tt.word, words); got != tt.want {
			t.Errorf("nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}
