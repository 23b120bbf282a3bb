package config

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// root is the folder of the module.
const root = "../.."

func TestSchemaIsCommitted(t *testing.T) {
	golden(t, filepath.Join(root, "mcpfirewall.schema.json"), Schema())
}

func TestMarkdownIsCommitted(t *testing.T) {
	golden(t, filepath.Join(root, "docs", "configuration.md"), Markdown())
}

// TestDocs holds the table of texts against the types.
func TestDocs(t *testing.T) {
	used := make(map[string]bool)
	walkKeys(func(path string, f field) {
		name := f.section + "." + f.key
		used[name] = true
		doc := docs[name]
		if doc.text == "" {
			t.Errorf("%s has no text", name)
		}
		if doc.example == "" && f.kind != kindSection {
			t.Errorf("%s has no example", name)
		}
		if _, ok := checks[f.check]; f.check != "" && !ok {
			t.Errorf("%s names the check %q, which does not exist", name, f.check)
		}
	})
	for name := range docs {
		if !used[name] {
			t.Errorf("%s is described, but there is no such key", name)
		}
	}
	if len(used) < 40 {
		t.Errorf("only %d keys were walked", len(used))
	}
}

// smallest is what has to stand beside a key of a section to make it whole.
var smallest = map[string]string{
	"servers.NAME":       "command: x",
	oauthSection:         "grant: refresh_token\nclient_id: c\nclient_secret: ${env:S}\nrefresh_token: ${env:T}",
	"tools.narrow.NAME":  "from: a.b\ndescription: d\ninput: { id: {} }",
	"rules[]":            "name: n\ntools: [t]\nthen: ask",
	"limits[]":           "name: n\ntools: [t]\nmax: 1\nper: day",
	"redact.custom[]":    "name: n\npattern: p",
	"redact.tools[]":     "tools: [t]\nsecrets: mask",
	"redact.arguments[]": "tools: [t]\nsecrets: mask",
}

// besideAuth is the same for the keys of vault.auth, which depend on the method.
var besideAuth = map[string]string{
	"mount":             "method: cert",
	"role":              "method: kubernetes",
	"role_id":           "method: approle",
	"secret_id":         "method: approle\nrole_id: x",
	"secret_id_wrapped": "method: approle\nrole_id: x\nsecret_id: \"${env:X}\"",
	"jwt":               "method: jwt",
	"username":          "method: userpass\npassword: \"${env:X}\"",
	"password":          "method: userpass\nusername: x",
}

const oauthSection = "servers.NAME.oauth"

// without is the key that cannot stand beside one of the section oauth.
var without = map[string]string{"grant": "refresh_token", "private_key": "client_secret"}

// document writes a whole file with one key in it.
func document(path, value string) string {
	parts := strings.Split(path, ".")
	key := parts[len(parts)-1]
	section := strings.Join(parts[:len(parts)-1], ".")
	lines := []string{key + ": " + value}
	beside := smallest[section]
	switch section {
	case "vault":
		beside = map[string]string{"client_cert": "client_key: x", "client_key": "client_cert: x"}[key]
	case "vault.auth":
		beside = besideAuth[key]
	}
	if key == "url" || key == "transport" || key == "headers" || key == "oauth" {
		beside = "url: https://x.example.com"
	}
	for _, line := range strings.Split(beside, "\n") {
		beside, _, _ := strings.Cut(line, ":")
		if line != "" && beside != key && key != "url" && !(section == oauthSection && beside == without[key]) {
			lines = append(lines, line)
		}
	}
	for i := len(parts) - 2; i >= 0; i-- {
		for j := range lines {
			lines[j] = "  " + lines[j]
		}
		name, item := strings.CutSuffix(parts[i], anyItem)
		if item {
			lines[0] = "- " + strings.TrimPrefix(lines[0], "  ")
		}
		lines = append([]string{strings.ToLower(name) + ":"}, lines...)
		if name == "oauth" {
			lines = append(lines, "url: https://x.example.com")
		}
	}
	if path != "version" {
		lines = append([]string{"version: 1"}, lines...)
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestExamples parses the example of every key, and holds the schema against it.
func TestExamples(t *testing.T) {
	home(t)
	schema := compileSchema(t)
	walkKeys(func(path string, f field) {
		example := docOf(f).example
		if example == "" {
			return
		}
		text := document(path, example)
		if _, err := Parse("f", []byte(text)); err != nil {
			t.Errorf("%s: Parse:\n%v\nin\n%s", path, err, text)
		}
		if err := schema.Validate(toSchemaValue(t, text)); err != nil {
			t.Errorf("%s: schema: %v\nin\n%s", path, err, text)
		}
	})
}

// TestSchemaRefuses gives every key a value of a wrong type, which both the
// schema and the decoder must refuse.
func TestSchemaRefuses(t *testing.T) {
	home(t)
	schema := compileSchema(t)
	refuse := func(text string) {
		t.Helper()
		if _, err := Parse("f", []byte(text)); err == nil {
			t.Errorf("Parse accepts\n%s", text)
		}
		if schema.Validate(toSchemaValue(t, text)) == nil {
			t.Errorf("the schema accepts\n%s", text)
		}
	}
	walkKeys(func(path string, f field) {
		if f.kind != kindDecimal {
			refuse(document(path, "1.5"))
		}
		refuse(document(path, "{ no-such-key: [] }"))
		if f.kind != kindText || f.nonempty || f.check != "" || f.as == "path" {
			refuse(document(path, `""`))
		}
	})
	refuse("servers: {}\n")
	refuse("version: 1\nservers: { a: {} }\n")
	refuse("version: 1\nservers: { a: { command: x, url: 'https://x.example.com' } }\n")
	refuse("version: 1\nservers: { a: { command: x, headers: {} } }\n")
	refuse("version: 1\nservers: { a__b: { command: x } }\n")
	refuse("version: 1\nrules: [{ name: a, tools: [x], then: allow }]\n")
	refuse("version: 1\nlabels: { own: x }\n")
	refuse("version: 1\nlabels: { own: [] }\n")
	refuse("version: 1\nuse: [nothing]\n")
	refuse("version: 1\ntools: { narrow: { \"a b\": { from: a.b, description: d } } }\n")
	refuse("version: 1\ntools: { narrow: { a: { from: a.b, description: d, input: { x: true } } } }\n")
	for _, max := range []string{"0", "-1", "'1e3'", "'010'", "'1_000'", "''"} {
		refuse("version: 1\nlimits: [{ name: a, tools: [x], max: " + max + ", per: day }]\n")
	}
	for _, per := range []string{"days", "''", "'10'", "7", "d"} {
		refuse("version: 1\nlimits: [{ name: a, tools: [x], max: 1, per: " + per + " }]\n")
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schemaID, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(schemaID)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func toSchemaValue(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

// commented matches a setting of mcpfirewall.yaml that is not in force.
var commented = regexp.MustCompile(`(?m)^( *)#([a-z]|- [a-z])`)

// TestReference holds mcpfirewall.yaml against the types: it works as it
// stands, it works with every setting in force, it mentions every key, and the
// defaults that it shows are the defaults.
func TestReference(t *testing.T) {
	dir := home(t)
	path := filepath.Join(root, "mcpfirewall.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	schema := compileSchema(t)
	asItStands := parse(t, path, string(data))
	all := commented.ReplaceAllString(string(data), "$1$2")
	complete := parse(t, path, all)
	for _, text := range []string{string(data), all} {
		if err := schema.Validate(toSchemaValue(t, text)); err != nil {
			t.Errorf("schema: %v", err)
		}
	}

	if len(asItStands.Servers) != 1 || asItStands.Servers[0].Command != "mcpfirewall" || len(asItStands.Rules) != 1 {
		t.Errorf("the file does not start the demonstration: %+v", plain(asItStands))
	}
	walkKeys(func(path string, f field) {
		path = strings.ReplaceAll(path, anyItem, "[0]")
		at, ok := place{}, false
		for _, name := range []string{"demo", "crm", "billing", "report_status"} {
			if !ok {
				at, ok = complete.nodes[strings.ReplaceAll(path, anyName, name)]
			}
		}
		if _, other := besideAuth[f.key]; !ok && other && strings.HasPrefix(path, "vault.auth.") {
			// Only the keys of one method can be in force.
			if !strings.Contains(string(data), " "+f.key+": ") {
				t.Errorf("%s is not mentioned", path)
			}
			return
		}
		if !ok {
			t.Errorf("%s is not mentioned", path)
			return
		}
		shown := at.value
		if f.kind == kindTexts && len(shown.Content) == 1 {
			shown = shown.Content[0]
		}
		if f.deflt != "" && shown.Value != f.deflt {
			t.Errorf("%s shows %q, and the default is %q", path, shown.Value, f.deflt)
		}
	})

	// The defaults that are not in a tag.
	state := filepath.Join(dir, ".local", "state", "mcpfirewall")
	if complete.State.Path != state || complete.Audit.File != filepath.Join(state, auditName) {
		t.Errorf("the file shows the state %q and the audit file %q", complete.State.Path, complete.Audit.File)
	}
	for _, s := range complete.Servers {
		if s.Name == "crm" && s.Transport != "http" || s.Name == "demo" && s.Cwd != filepath.Dir(complete.Path) {
			t.Errorf("the file shows another default: %+v", s)
		}
	}
}
