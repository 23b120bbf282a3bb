package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mcpfirewall/mcpfirewall/internal/preset"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"go.yaml.in/yaml/v3"
)

// FuzzParse checks that no text makes Parse panic, that every problem points
// into the file and prints safely, and that what is accepted is within the
// bounds on which others rely.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/problems/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range append(files, filepath.Join(root, "mcpfirewall.yaml")) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("version: 1\nrules: [{name: a, tools: [b], then: ask, when: \"\\x41\\\n  b\"}]"))
	f.Add([]byte("version: 1\nrules:\n- name: a\n  tools: [b]\n  then: ask\n  when: >+\n    a\n\n      b\n\n"))
	f.Add([]byte("version: 1\nuse: [ssrf, common-labels]\nlabels: { untrusted: ['a.*:result.b.*.c'], own: [x] }\nrules: [{name: a, tools: [b], then: ask, on: result}]"))
	f.Add([]byte("version: 1\ntools: { narrow: { a: { from: b.c, description: d, input: { x: { enum: [1e3, null, \"\\ud83d\\ude00\"], default: 1.50 } }, args: { y: input.x } } } }"))
	f.Add([]byte("version: 1\nlimits: [{name: a, tools: [b], sum: args.x, max: 0.01, per: month, zone: UTC}, {name: b, tools: [b], max: 3, per: 7d}]"))
	f.Add([]byte("a: &a [*a]\n---\n...\n%YAML 1.1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := Parse("f", data)
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("Parse returned %v, %v", cfg, err)
			}
			for _, p := range problems {
				inFile(t, p, data)
			}
			printable(t, problems.Error())
			if cfg == nil {
				return
			}
			if len(cfg.Wrong()) != len(problems) {
				t.Fatalf("the configuration with the problems %v does not have them", problems)
			}
			for path := range cfg.nodes {
				cfg.Sound(path)
			}
			return
		}
		for path, at := range cfg.nodes {
			text := data
			if name, ok := strings.CutPrefix(at.src.name, "preset "); ok {
				used, _ := preset.Text(name)
				text = []byte(used)
			}
			for offset := range min(len(at.value.Value), 50) + 2 {
				p := cfg.Problem(path, offset, "m", "")
				if p.File != at.src.name {
					t.Fatalf("%s is in %s, not %s", path, p.File, at.src.name)
				}
				p.File = "f"
				inFile(t, p, text)
			}
		}
		for i, r := range cfg.Rules {
			if r.Name == "" || len(r.Tools) == 0 || r.Then != "ask" && r.Then != "deny" || r.On != "call" && r.On != "result" {
				t.Errorf("rule %d is %+v", i, r)
			}
		}
		for i, l := range cfg.Limits {
			if l.Name == "" || len(l.Tools) == 0 || l.Then != "ask" && l.Then != "deny" || checkDecimal(l.Max) != "" || l.By == "" ||
				(l.Per.Window > 0) == (l.Per.Calendar != "") || l.Per.Window < 0 {
				t.Errorf("limit %d is %+v", i, l)
			}
		}
		for _, w := range cfg.Tools.Narrow {
			if wrong, _ := checkTool(w.From); wrong != "" || w.Description == "" || !plainName().MatchString(w.Name) {
				t.Errorf("a narrowed tool is %+v", w)
			}
			for _, in := range w.Input {
				if !in.Schema.IsValid() || in.Schema.Kind() != '{' || in.Default != nil && !in.Default.IsValid() {
					t.Errorf("the input %s of %s is %s, by default %s", in.Name, w.Name, in.Schema, in.Default)
				}
			}
		}
		for name, patterns := range cfg.Labels.All() {
			for i, p := range patterns {
				if p.Pattern == "" || p.Field != "" && name != "trusted" && name != "untrusted" {
					t.Errorf("labels.%s[%d] is %+v", name, i, p)
				}
			}
		}
		for _, s := range cfg.Servers {
			if (s.Command == "") == (s.URL == "") || s.Timeout <= 0 || s.MaxMessage <= 0 || !serverName().MatchString(s.Name) {
				t.Errorf("a server is %+v", s)
			}
		}
		if cfg.Version != 1 || cfg.State.Path == "" || cfg.Audit.File == "" || cfg.Approvals.Timeout <= 0 {
			t.Errorf("the configuration is %+v", plain(cfg))
		}
	})
}

// FuzzSecret checks that no line of a file shows a secret, however it is written.
func FuzzSecret(f *testing.F) {
	for _, before := range []string{"", "&a ", "!!str ", "!<t> &a # c\n   ", `"\x41`, "'", "\"a\n   ", "*", "? "} {
		f.Add(before, " } } }")
		f.Add(before, "' } } }")
		f.Add(before, "\"\n  } } }")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		text := "version: 1\nservers: { a: { command: x, env: { PASSWORD: " + before + "hunter2" + after
		var tree struct {
			Servers map[string]struct{ Env map[string]string }
		}
		if strings.Contains(before+after, "hunter") || yaml.Unmarshal([]byte(text), &tree) != nil || !strings.Contains(tree.Servers["a"].Env["PASSWORD"], "hunter2") {
			return
		}
		if got := shownLines(text); strings.Contains(got, "hunter2") {
			t.Fatalf("a secret is shown of\n%s\n%s", text, got)
		}
	})
}

// inFile checks that a problem has a place in the file.
func inFile(t *testing.T, p Problem, data []byte) {
	t.Helper()
	lines := strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n")
	if p.Line < 1 || p.Line > len(lines) {
		t.Fatalf("line %d of %d: %s", p.Line, len(lines), p.Message)
	}
	line := strings.TrimSuffix(lines[p.Line-1], "\r")
	if p.Column < 1 || p.Column > utf8.RuneCountInString(line)+1 {
		t.Fatalf("column %d of %q: %s", p.Column, line, p.Message)
	}
	if utf8.RuneCountInString(p.Source) != utf8.RuneCountInString(line) {
		t.Fatalf("the source line %q is shown as %q", line, p.Source)
	}
	if p.Message == "" || p.File != "f" {
		t.Fatalf("the problem is %+v", p)
	}
}

// printable checks that a message cannot do anything to a terminal.
func printable(t *testing.T, message string) {
	t.Helper()
	for _, r := range message {
		if r != '\n' && r != '\t' && visible.Hidden(r) {
			t.Fatalf("the message holds %U: %q", r, message)
		}
	}
	if !utf8.ValidString(message) {
		t.Fatalf("the message is not UTF-8: %q", message)
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"1", "32MiB", "-1", "9999999999999GiB", "1.5KB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, wrong := parseSize(s); wrong == "" && n < 0 {
			t.Errorf("parseSize(%q) = %d", s, n)
		}
		if d, wrong := parseDuration(s); wrong == "" && d < 0 {
			t.Errorf("parseDuration(%q) = %d", s, d)
		}
		for _, k := range []kind{kindSize, kindDuration} {
			if guess := suggestValue(k, s); guess != "" {
				_, wrongSize := parseSize(guess)
				_, wrongDuration := parseDuration(guess)
				if k == kindSize && wrongSize != "" || k == kindDuration && wrongDuration != "" {
					t.Errorf("the suggestion %q for %q is wrong itself", guess, s)
				}
			}
		}
	})
}
