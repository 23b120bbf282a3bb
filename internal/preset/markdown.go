package preset

import (
	"bytes"
	"fmt"
	"strings"
)

// Markdown returns the page about the presets, docs/presets.md: the head and
// the text of each file.
func Markdown() []byte {
	var b bytes.Buffer
	b.WriteString(markdownHead)
	for _, name := range Names() {
		text, _ := Text(name)
		title, _ := head(text)
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", name, name, title)
	}
	for _, name := range Names() {
		text, _ := Text(name)
		title, paragraphs := head(text)
		fmt.Fprintf(&b, "\n## %s\n\n%s%s.\n\n", name, strings.ToUpper(title[:1]), title[1:])
		b.WriteString(paragraphs)
		_, body, _ := strings.Cut(text, "\nversion: 1\n")
		fmt.Fprintf(&b, "\n<details><summary>The rules</summary>\n\n```yaml\nversion: 1\n%s```\n\n</details>\n", body)
	}
	return b.Bytes()
}

// head returns what the comment at the head of a preset says: what it is, in a
// few words, and the paragraphs below. Indented lines are code.
func head(text string) (title, paragraphs string) {
	var b strings.Builder
	code := false
	for i, line := range strings.Split(text, "\n") {
		comment, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		comment = strings.TrimPrefix(comment, " ")
		if i == 0 {
			_, title, _ = strings.Cut(comment, ": ")
			continue
		}
		if indented := strings.HasPrefix(comment, "  "); indented != code && comment != "" {
			code = indented
			if code {
				b.WriteString("```yaml\n")
			} else {
				b.WriteString("```\n\n")
			}
		}
		if b.Len() > 0 || comment != "" {
			b.WriteString(strings.TrimPrefix(comment, "  ") + "\n")
		}
	}
	if code {
		b.WriteString("```\n")
	}
	return title, b.String()
}

const markdownHead = `# Presets

<!-- Generated from internal/preset. Do not edit: run ` + "`go test ./internal/preset -update`" + `. -->

Ready-made rules, which a configuration includes by name:

` + "```yaml" + `
use: [ssrf, paths, trifecta]
` + "```" + `

A preset is a file of ordinary rules, limits and labels in the syntax of the [configuration](configuration.md). They stand beside
the file's own and can only tighten what it says. In decisions and records they go by the name of the preset and their own,
such as ` + "`ssrf: no internal addresses`" + `. A rule denies a call when it cannot tell: where it reads a value as a URL, a path or a
statement, one that cannot be parsed is refused. To change a preset, copy its rules into the file and leave the preset out.

| preset | for |
|---|---|
`
