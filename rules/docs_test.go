package rules

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestDocs holds that the page on rules names all that a rule can name, and nothing else.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for name, s := range helperTypes {
		if !strings.Contains(page, "`"+name+"(") {
			t.Errorf("the page does not name %s()", name)
		}
		result := s.result
		if result.object == nil && result.elem != nil {
			result = result.elem()
		}
		if result.object != nil {
			for field := range result.object.fields {
				if !strings.Contains(page, "`"+field+"`") {
					t.Errorf("the page does not name the field %s of %s()", field, name)
				}
			}
		}
		if _, ok := helpers[name]; !ok {
			t.Errorf("the checks know %s(), which rules cannot call", name)
		}
	}
	for name := range helpers {
		if _, ok := helperTypes[name]; !ok {
			t.Errorf("the checks do not know %s()", name)
		}
	}
	for base, names := range fields {
		for _, name := range names {
			if !strings.Contains(page, base+"."+name) && !strings.Contains(page, "`"+name+"`") {
				t.Errorf("the page does not name %s.%s", base, name)
			}
		}
	}
}

// The example that lets harmless commands pass lets nothing else pass.
func TestDocsHarmlessCommands(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "- name: harmless commands only\n")
	_, rest, ok2 := strings.Cut(rest, "when: ")
	when, _, ok3 := strings.Cut(rest, "\n")
	if !ok || !ok2 || !ok3 {
		t.Fatal("the page has no such example")
	}
	p := mustPolicy(t, Source{Tools: Patterns{Default: Allow}, Rules: []Rule{{Name: "harmless", Tools: []string{"github.run"}, When: when, Then: Ask}}})
	e := p.Bind(Capability{Kind: Tool, Server: "github", Name: "run"})
	for command, want := range map[string]Action{
		"ls": Allow, "ls -la /tmp": Allow, "cat 'a b'": Allow, `grep -r "x y" .`: Allow,
		"./ls": Ask, "/tmp/evil/ls": Ask, "ls > /etc/cron.d/x": Ask, "ls < x": Ask, "ls 2>> x": Ask, "GIT_SSH_COMMAND=x ls": Ask, "LD_PRELOAD=x cat y": Ask, "x=1": Ask,
		"ls $(id)": Ask, "ls `id`": Ask, "ls; id": Ask, "ls & id": Ask, "ls | sh": Ask, "ls\nid": Ask, "$x": Ask, "eval ls": Ask, "env ls": Ask, "rm x": Ask, "ls\r": Deny, "": Deny,
	} {
		if got := e.Decide(Call{Args: []byte(`{"command": ` + strconv.Quote(command) + `}`)}); got.Action != want {
			t.Errorf("%q: %s, not %s (%v)", command, got.Action, want, got.Failed)
		}
	}
}
