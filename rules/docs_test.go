package rules

import (
	"os"
	"path/filepath"
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
