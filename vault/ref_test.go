package vault

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	ref := func(source, path, field, text string, offset int) Part {
		return Part{Ref: &Ref{Source: source, Path: path, Field: field, Text: text, Offset: offset}}
	}
	for in, want := range map[string][]Part{
		"":                 nil,
		"plain $5 $ {} $x": {{Text: "plain $5 $ {} $x"}},
		"a $${env:X} $$ b": {{Text: "a ${env:X} $$ b"}},
		"${vault:secret/github#token}": {
			ref(SourceVault, "secret/github", "token", "${vault:secret/github#token}", 0)},
		"Bearer ${vault:team/kv/a b/c#api key}!": {{Text: "Bearer "},
			ref(SourceVault, "team/kv/a b/c", "api key", "${vault:team/kv/a b/c#api key}", 7), {Text: "!"}},
		"é${env:A_1}${file:C:\\x y}": {{Text: "é"},
			ref(SourceEnv, "A_1", "", "${env:A_1}", 2), ref(SourceFile, `C:\x y`, "", `${file:C:\x y}`, 12)},
		"${file:~/.key#1}": {ref(SourceFile, "~/.key#1", "", "${file:~/.key#1}", 0)},
	} {
		got, err := Parse(in)
		if err != nil {
			t.Errorf("Parse(%q): %v", in, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("Parse(%q)\ngot  %+v\nwant %+v", in, got, want)
		}
	}
}

func TestParseProblems(t *testing.T) {
	for _, test := range []struct {
		in         string
		offset     int
		message    string // a part of it
		suggestion string
	}{
		{"ab ${vault:secret/x#y", 3, "no } ends", "$${, which stands for the characters ${"},
		{"${", 0, "no } ends", "$${, which stands for the characters ${"},
		{"${}", 0, "does not name its source", ""},
		{"x${GITHUB_TOKEN}", 1, "does not name its source", "${env:GITHUB_TOKEN}"},
		{"${valut:secret/x#y}", 0, `unknown source "valut"`, "${vault:secret/x#y}"},
		{"${ENV:X}", 0, `unknown source "ENV"`, "${env:X}"},
		{"${aws:x}", 0, `unknown source "aws"`, ""},
		{"${vault:secret/x}", 0, "does not name a field", "${vault:secret/x#FIELD}"},
		{"${vault:secret/x#}", 0, "must have one #", ""},
		{"${vault:secret/x#y#z}", 0, "must have one #", ""},
		{"${vault:secret#y}", 0, "has no slash", ""},
		{"${vault:/secret/x#y}", 0, "empty segment", ""},
		{"${vault:secret//x#y}", 0, "empty segment", ""},
		{"${vault:secret/x/#y}", 0, "empty segment", ""},
		{"${vault:secret/../sys/x#y}", 0, "dots only", ""},
		{"${vault:secret/./x#y}", 0, "dots only", ""},
		{"${vault:secret/ x#y}", 0, "white space", ""},
		{"${vault:secret/{user}/x#y}", 0, `unknown placeholder "{user}"`, "${vault:secret/{user.subject}/x#y}"},
		{"${vault:secret/x\n#y}", 0, "control character", ""},
		{"${file:\xff}", 0, "not UTF-8", ""},
		{"${env:}", 0, "not the name of an environment variable", ""},
		{"${env:1A}", 0, "not the name of an environment variable", ""},
		{"${env:A B}", 0, "not the name of an environment variable", ""},
		{"${file:}", 0, "does not name a file", ""},
		{"${file:/etc/}", 0, "does not name a file", ""},
		{"${env:A} ${x", 9, "no } ends", "$${, which stands for the characters ${"},
	} {
		parts, err := Parse(test.in)
		var p *Problem
		if !errors.As(err, &p) {
			t.Errorf("Parse(%q) = %+v, %v; want a *Problem", test.in, parts, err)
			continue
		}
		if p.Offset != test.offset || !strings.Contains(p.Message, test.message) || p.Suggestion != test.suggestion {
			t.Errorf("Parse(%q) = offset %d, %q, suggestion %q", test.in, p.Offset, p.Message, p.Suggestion)
		}
		if p.Suggestion != "" && !strings.HasSuffix(p.Error(), "did you mean "+p.Suggestion+"?") {
			t.Errorf("the error %q lacks the suggestion", p)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"token", "username", "password"}
	for in, want := range map[string]string{
		"tokne": "token", "toke": "token", "Token": "token", "pasword": "password", "user": "", "": "", "xyz": "",
	} {
		if got := nearest(in, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "$", "$$", "${", "$${", "a${env:A}b", "${vault:secret/github#token}", "Bearer ${file:~/x} $${y}",
		"${vault:a/../b#c}", "${{}}", "${vault:secret/{user.subject}#x}", "${env:A}${env:A}", "\xff${env:é}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts, err := Parse(s)
		if err != nil {
			var p *Problem
			if !errors.As(err, &p) || p.Message == "" {
				t.Fatalf("Parse(%q): %#v is not a *Problem with a message", s, err)
			}
			if !strings.HasPrefix(s[p.Offset:], "${") {
				t.Fatalf("Parse(%q): nothing begins at offset %d", s, p.Offset)
			}
			return
		}
		// Written out again, the parts are what was parsed.
		var back strings.Builder
		for i, part := range parts {
			if part.Ref == nil {
				if part.Text == "" || i > 0 && parts[i-1].Ref == nil {
					t.Fatalf("Parse(%q): empty or divided literal text in %+v", s, parts)
				}
				back.WriteString(strings.ReplaceAll(part.Text, "${", "$${"))
				continue
			}
			if part.Text != "" || !strings.HasPrefix(s[part.Ref.Offset:], part.Ref.Text) {
				t.Fatalf("Parse(%q): %+v is not at its offset", s, part.Ref)
			}
			if part.Ref.Source == SourceVault && checkVaultPath(part.Ref.Path) != "" {
				t.Fatalf("Parse(%q): bad path %q", s, part.Ref.Path)
			}
			back.WriteString(part.Ref.Text)
		}
		if back.String() != s {
			t.Fatalf("Parse(%q) reads %q", s, back.String())
		}
	})
}
