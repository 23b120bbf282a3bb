package config

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Markdown returns the reference page of the file, docs/configuration.md.
func Markdown() []byte {
	var b bytes.Buffer
	b.WriteString(markdownHead)
	writeSection(&b, "The file", "", "", reflect.TypeFor[Config]())
	return b.Bytes()
}

// writeSection writes the keys of a section, and then the sections in it.
func writeSection(b *bytes.Buffer, title, path, text string, section reflect.Type) {
	fmt.Fprintf(b, "\n## %s\n\n", title)
	if text != "" {
		fmt.Fprintf(b, "%s\n\n", text)
	}
	b.WriteString("| key | value | default | meaning |\n|---|---|---|---|\n")
	for _, f := range fieldsOf(section) {
		text := docOf(f).text
		if path == "" && slices.Contains(atStart, f.key) {
			text += " Read at the start only."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.key, cell(f.describe()), cell(describeDefault(f)), cell(text))
	}
	b.WriteString("\nEach key with an example of its value:\n\n```yaml\n")
	for _, f := range fieldsOf(section) {
		if doc := docOf(f); doc.example != "" {
			fmt.Fprintf(b, "%s: %s\n", f.key, doc.example)
		}
	}
	b.WriteString("```\n")

	written := make(map[reflect.Type]bool)
	for _, f := range fieldsOf(section) {
		if f.elem == nil || written[f.elem] {
			continue
		}
		written[f.elem] = true
		var titles []string // tools, resources and prompts have the same keys
		text := ""
		for _, g := range fieldsOf(section) {
			if g.elem == f.elem {
				titles = append(titles, "`"+join(path, g.key)+g.inside()+"`")
				if doc := docOf(g).text; len(titles) == 1 {
					text = doc
				}
			}
		}
		if len(titles) > 1 {
			text = "Which capabilities the agent has, as patterns. Of the patterns that match, `deny` wins over `ask` and `ask` over `allow`."
		}
		writeSection(b, strings.Join(titles, ", "), join(path, f.key)+f.inside(), text, f.elem)
	}
}

// inside is what stands between the key of a section and the keys in it.
func (f field) inside() string {
	switch f.kind {
	case kindSections:
		return anyItem
	case kindNamedSections:
		return "." + anyName
	}
	return ""
}

// cell makes a text fit into a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// describe says what a value looks like.
func (f field) describe() string {
	between := ""
	if f.min != "" {
		between = fmt.Sprintf(", %s to %s", f.min, f.max)
	}
	switch f.kind {
	case kindNumber, kindChoice:
		return "`" + strings.Join(f.enum, "`, `") + "`"
	case kindBool:
		return "`true`, `false`"
	case kindDuration:
		return "duration" + between
	case kindSize:
		return "size" + between
	case kindTexts:
		if f.enum != nil {
			return "list of `" + strings.Join(f.enum, "`, `") + "`"
		}
		return "list of " + f.noun() + "s"
	case kindTextMap:
		return "mapping of name to text"
	case kindInputs:
		return "mapping of name to JSON Schema"
	case kindInject:
		return "mapping of argument to text, or of pattern to such a mapping"
	case kindWordMap:
		of := "mapping of name to `" + strings.Join(f.enum, "`, `") + "`"
		if f.as == "any" {
			return "one word, or a " + of
		}
		return of
	case kindLabel:
		return "list of patterns"
	case kindDecimal:
		return "number"
	case kindPeriod:
		return "duration, `" + strings.Join(calendars, "`, `") + "`"
	case kindArguments:
		return "`declared`, `open`, list of patterns"
	case kindSection:
		return "section"
	case kindSections:
		return "list of sections"
	case kindNamedSections:
		return "mapping of name to section"
	}
	return f.noun()
}

// noun says what a single text is.
func (f field) noun() string {
	switch {
	case f.as == "path":
		return "path"
	case f.check == "pattern":
		return "pattern"
	case f.check == "regexp" || f.check == "whole":
		return "regular expression"
	case f.check == "argument":
		return "name"
	case f.check == "url" || f.check == "address":
		return "URL"
	}
	return "text"
}

func describeDefault(f field) string {
	switch doc := docOf(f); {
	case f.required:
		return "required"
	case slices.Contains(f.enum, doc.deflt):
		return "`" + doc.deflt + "`"
	case doc.deflt != "":
		return doc.deflt
	case f.kind == kindTexts && f.deflt != "":
		return "`[" + f.deflt + "]`"
	case f.deflt != "":
		return "`" + f.deflt + "`"
	}
	return ""
}

const markdownHead = `# Configuration

<!-- Generated from the types in internal/config. Do not edit: run ` + "`go test ./internal/config -update`" + `. -->

mcpfirewall reads one YAML file. It is read strictly: an unknown key, a wrong type, a duplicate, a malformed value, a
reference that is none and a rule that does not compile are reported with file, line, column and the source line, all problems
at once, and the firewall does not start.
` + "`mcpfirewall check`" + ` says what is wrong without starting anything. [mcpfirewall.yaml](../mcpfirewall.yaml) is a commented
example that works as it stands, and [mcpfirewall.schema.json](../mcpfirewall.schema.json) lets editors complete and check
the file: begin it with

` + "```yaml" + `
# yaml-language-server: $schema=` + schemaID + `
` + "```" + `

## Where the file is found

1. ` + "`--config FILE`" + `
2. ` + "`$MCPFIREWALL_CONFIG`" + `
3. ` + "`mcpfirewall/mcpfirewall.yaml`" + ` in the user's configuration folder: ` + "`$XDG_CONFIG_HOME`" + ` or ` + "`~/.config`" + ` on Linux,
   ` + "`~/Library/Application Support`" + ` on macOS, ` + "`%AppData%`" + ` on Windows
4. ` + "`./mcpfirewall.yaml`" + `, but only after ` + "`mcpfirewall trust`" + ` recorded its path and digest: a cloned repository must not bring
   its own policy, commands or Vault address. A changed file has to be trusted again.

A file that somebody else can write is refused, and so is one in a folder that everybody can write. The file is read again
when it changes or on SIGHUP, whole or not at all; a changed file of the current folder once it is trusted. What is marked below as read
at the start only needs a new start: a file in which it changed is not used until then, nor is anything else that changed in it.
The log and the audit file say so, and what is wrong with a file that is not used.

## Values

| value | written |
|---|---|
| text | with or without quotes; what YAML takes for a number, a date, ` + "`true`, `false` or `null`" + ` needs quotes, and so does what begins with ` + "`*`, `&`, `!`, `{`, `[`, `@` or `%`" + ` or holds ` + "`: ` or ` #`" + ` |
| duration | a number with a unit: ` + "`500ms`, `30s`, `5m`, `1h30m`" + ` |
| size | bytes, or a number with a unit: ` + "`4096`, `4MB` (of 1000), `32MiB` (of 1024)" + ` |
| number | with digits and at most one point, and kept as it is written: ` + "`20000`, `99.95`" + ` |
| path | ` + "`~`" + ` at the start is the home folder; a relative path counts from the folder of the file |
| pattern | over ` + "`server.name`" + `, where ` + "`*`" + ` stands for any characters |
| reference | a value that is kept elsewhere, see below |

YAML's anchors, aliases, merge keys and tags are not supported, and the file holds one document of at most 1 MiB.

A reference stands for a value that does not belong in the file. It works in ` + "`args`, `env`, `url`, `headers`, `inject` and `oauth`" + ` of a server,
alone or within a longer text:

| reference | stands for |
|---|---|
| ` + "`${vault:MOUNT/PATH#FIELD}`" + ` | a field of a secret in Vault: of its KV store, version 1 or 2, or of any engine that is read, such as ` + "`database/creds/ROLE`" + ` |
| ` + "`${vault:MOUNT/PATH?NAME=VALUE#FIELD}`" + ` | a fixed version of KV (` + "`?version=3`" + `), or a field of what an engine makes with these parameters |
| ` + "`${env:NAME}`" + ` | an environment variable of the firewall |
| ` + "`${file:PATH}`" + ` | the content of a file |
| ` + "`${keyring:SERVICE/ACCOUNT}`" + ` | a password in the system's keychain |

A reference that cannot be resolved stops its server, never the others, and is never sent as text.
`
