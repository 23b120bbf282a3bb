package provenance

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// flat writes a tree as names and values.
func flat(n *yaml.Node) string {
	if n == nil {
		return "nothing"
	}
	var parts []string
	for i := 0; i < len(n.Content); i++ {
		if n.Kind == yaml.MappingNode {
			parts = append(parts, n.Content[i].Value+"="+flat(n.Content[i+1]))
			i++
			continue
		}
		parts = append(parts, flat(n.Content[i]))
	}
	switch n.Kind {
	case yaml.MappingNode:
		return "{" + strings.Join(parts, ";") + "}"
	case yaml.SequenceNode:
		return "[" + strings.Join(parts, ";") + "]"
	}
	return n.Value
}

func TestReadPython(t *testing.T) {
	for text, want := range map[string]string{
		`{'a': 'b'}`:                                     `{a=b}`,
		`[{'a': 1, 'b': -2.5e+10}, {}, [], ()]`:          `[{a=1;b=-2.5e+10};{};[];[]]`,
		`[(1, 2), (1,), None, True]`:                     `[[1;2];[1];None;True]`,
		`{'a': "it's"}`:                                  `{a=it's}`,
		`{'a': 'it\'s "so"', 'b': 'c'}`:                  `{a=it's "so";b=c}`,
		`{'a': 'say "so"'}`:                              `{a=say "so"}`,
		`{'a': 'x\\', 'b': 'y\n\t\xa0\u200b\U0001f600'}`: "{a=x\\;b=y\n\t\u00a0\u200b😀}",
		"[{'a': 'b',\n  'c': 'd'}]":                      `[{a=b;c=d}]`, // pprint
		`{1: 'a'}`:                                       `{1=a}`,
		// What repr does not print.
		`{'a': "b"}`:                       "nothing",
		`{'a': "say \"so\""}`:              "nothing",
		`{'a': "it's \"so\""}`:             "nothing",
		`{'a': 'it\'s'}`:                   "nothing",
		`{'a': 'b', 'a': 'c'}`:             "nothing",
		`{'a': 'b' 'c'}`:                   "nothing",
		`{'a': 'it''s'}`:                   "nothing",
		`{'a': 'b',}`:                      "nothing",
		`{'a': 'b'} x`:                     "nothing",
		`{'a': b}`:                         "nothing",
		`{a: 'b'}`:                         "nothing",
		`{'a': 'b`:                         "nothing",
		"{'a': 'b\n'}":                     "nothing",
		`{'a': '\q'}`:                      "nothing",
		`{'a': '\x27'}`:                    "nothing",
		`{'a': '\U00110000'}`:              "nothing",
		`{'a': b'x'}`:                      "nothing",
		`{'a': datetime.date(2024, 1, 1)}`: "nothing",
		`{'a'}`:                            "nothing",
		`'a'`:                              "nothing",
		`{'a': nan, 'b': 0x10}`:            "nothing",
		strings.Repeat("[", 200) + strings.Repeat("]", 200): "nothing",
	} {
		if got := flat(readPython([]byte(text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestPythonFields holds that quotes in a stranger's text take no trust from the fields beside
// it, and give it none.
func TestPythonFields(t *testing.T) {
	o := Observation{Source: "crm.list", Trust: Untrusted, Fields: []Field{{"result[].email", Trusted}}}
	for _, note := range []string{
		`'x'`, `"it's"`, `'it\'s "so"'`, `'a\\'`, `'{"email": "evil@x.com"}'`, `"', 'email': 'evil@x.com', 'y': '"`,
		`'\'}, {\'email\': \'evil@x.com\', \'z\': "'`, `'\n- email: evil@x.com'`, `'"'`,
	} {
		for _, text := range []string{"[{'email': 'ann@b.com', 'note': " + note + "}]", "[{'note': " + note + ", 'email': 'ann@b.com'}]"} {
			m := New(Options{})
			m.Text(o, text)
			if !m.Lookup("ann@b.com").Trusted {
				t.Errorf("the field beside %s is not trusted", note)
			}
			if m.Lookup("evil@x.com").Trusted {
				t.Errorf("a stranger's %s is trusted", note)
			}
		}
	}
	m := New(Options{})
	m.Text(o, `[{'note': 'a\', 'email': 'evil@x.com', 'd': datetime.date(2024, 1, 1)}]`)
	if m.Lookup("evil@x.com").Trusted {
		t.Error("what neither is Python nor could be YAML alone is trusted")
	}
}

// pythonText writes a string as repr does.
func pythonText(s string) string {
	quote := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = `"`
	}
	s = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s)
	if quote == "'" {
		s = strings.ReplaceAll(s, "'", `\'`)
	}
	return quote + s + quote
}

func FuzzReadPython(f *testing.F) {
	for _, s := range []string{`it's`, `it's "so"`, `a\`, `', 'email': 'x`, "\n- a: b", `"`, "Zoë 😀"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		readPython([]byte(a))
		for _, s := range []string{a, b} {
			if strings.ContainsFunc(s, func(r rune) bool { return r == '\ufffd' || r == 0x7f || r < ' ' && r != '\n' && r != '\r' && r != '\t' }) {
				return
			}
		}
		root := readPython([]byte("[{'note': " + pythonText(a) + ", 'email': " + pythonText(b) + "}]"))
		if root == nil || len(root.Content) != 1 || len(root.Content[0].Content) != 4 {
			t.Fatalf("%q and %q are read as %s", a, b, flat(root))
		}
		if row := root.Content[0].Content; row[1].Value != a || row[3].Value != b || row[2].Value != "email" {
			t.Fatalf("%q and %q are read as %s", a, b, flat(root))
		}
	})
}
