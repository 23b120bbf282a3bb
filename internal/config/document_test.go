package config

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

type notes struct {
	Title string            `key:"title" opt:"required"`
	Files map[string]string `key:"files" check:"lists"`
	Value jsontext.Value    `key:"value"`
	Items []struct {
		Kind string `key:"kind" enum:"a,b" default:"a"`
	} `key:"items"`
}

func TestDecode(t *testing.T) {
	var n notes
	d, err := Decode("notes.yaml", []byte("title: x\nfiles: { one: a.json }\nvalue: { n: 1.50, l: [true, null, \"1\"] }\nitems:\n  - {}\n  - { kind: b }\n"), &n)
	if err != nil {
		t.Fatal(err)
	}
	if n.Title != "x" || n.Files["one"] != "a.json" || string(n.Value) != `{"n":1.50,"l":[true,null,"1"]}` || len(n.Items) != 2 || n.Items[0].Kind != "a" || n.Items[1].Kind != "b" {
		t.Errorf("read as %+v", n)
	}
	if p := d.Problem("items[1].kind", 0, "m", ""); p.Line != 6 || p.File != "notes.yaml" || !d.Has("value.l[2]") || d.Has("value.m") {
		t.Errorf("places: %+v", p)
	}
	if path, err := d.Resolve("a.json"); err != nil || !strings.HasSuffix(path, "a.json") || len(path) < 7 {
		t.Errorf("resolved to %q, %v", path, err)
	}
	for text, want := range map[string]string{
		"":                                 "empty",
		"title: x\ntitel: y\n":             `unknown key "titel"`,
		"value: 1\n":                       "title is missing",
		"title: x\nvalue: .inf\n":          "number as JSON",
		"title: x\nvalue: !!str x\n":       "tags",
		"title: x\nitems: [{ kind: c }]\n": "a or b",
		"title: x\nfiles: { B/C: x }\n":    "name",
		"- x\n":                            "mapping",
		"title: \x01\n":                    "invisible",
		"title: 'x\n":                      "never closed",
		"title: x\n---\ntitle: y\n":        "second",
	} {
		if _, err := Decode("notes.yaml", []byte(text), new(notes)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
