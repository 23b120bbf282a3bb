package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// triedElsewhere are the pages that have tests of their own: package config makes
// configuration.md and package preset presets.md, TestDocsTesting runs testing.md, TestSecretsPage
// secrets.md.
var triedElsewhere = []string{"docs/configuration.md", "docs/presets.md", "docs/testing.md", "docs/secrets.md"}

// pages are the documents whose examples are tried here.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	root := filepath.Join("..", "..")
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(paths) < 10 {
		t.Fatalf("found %d pages (%v)", len(paths), err)
	}
	for _, path := range append(paths, filepath.Join(root, "README.md")) {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		if name = filepath.ToSlash(name); !slices.Contains(triedElsewhere, name) {
			all[name] = strings.ReplaceAll(read(t, path), "\r\n", "\n")
		}
	}
	return all
}

// blocks returns the fenced blocks of a page in one language.
func blocks(page, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		found = append(found, m[1])
	}
	return found
}

// TestDocsYAML checks each configuration of the documents. One that shows a part gets the
// rest.
func TestDocsYAML(t *testing.T) {
	h := newHome(t)
	h.write(t, "token", "correct-horse-battery")
	h.env = append(h.env, "CRM_TOKEN=correct-horse-battery")
	for name, page := range pages(t) {
		for _, text := range blocks(page, "yaml") {
			if !strings.Contains(text, "version:") {
				text = "version: 1\n" + text
			}
			if !strings.Contains(text, "servers:") {
				text += "servers: { github: { command: github-mcp }, mail: { command: mail-mcp } }\n"
			}
			text = strings.ReplaceAll(text, "/run/secrets/vault-token", filepath.ToSlash(filepath.Join(h.dir, "token")))
			got := h.run(t, "", "check", "--config", h.write(t, "config.yaml", text))
			if got.status != 0 || strings.Contains(got.stdout, "warning") {
				t.Errorf("%s: check says of\n%s\n%s%s", name, text, got.stdout, got.stderr)
			}
		}
	}
}

func TestDocsJSON(t *testing.T) {
	for name, page := range pages(t) {
		for _, text := range blocks(page, "json") {
			decoder := jsontext.NewDecoder(strings.NewReader(text)) // one value, or one per line
			for {
				value, err := decoder.ReadValue()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v in\n%s", name, err, text)
				}
				var client struct {
					Servers map[string]struct {
						Command string   `json:"command"`
						Args    []string `json:"args"`
					} `json:"mcpServers"`
				}
				if err := json.Unmarshal(value, &client); err != nil {
					t.Errorf("%s: %v in\n%s", name, err, value)
				}
				for _, s := range client.Servers {
					if command := regexp.MustCompile(`[^/\\]*$`).FindString(s.Command); strings.TrimSuffix(command, ".exe") != "mcpfirewall" {
						t.Errorf("%s: command %s", name, s.Command)
					}
					use(t, name, s.Args)
				}
			}
		}
	}
}

// use checks a command line without running it.
func use(t *testing.T, page string, args []string) {
	t.Helper()
	root := (&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).command()
	cmd, rest, err := root.Find(args)
	if err == nil && cmd == root {
		t.Errorf("%s: mcpfirewall %v names no command", page, args)
		return
	}
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: mcpfirewall %v: %v", page, args, err)
	}
}

// shellWords splits a command line as a shell does, as far as the documents need it.
func shellWords(line string) []string {
	var words []string
	for i, part := range strings.Split(strings.TrimSpace(line), "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

func TestDocsLinks(t *testing.T) {
	for name, page := range pages(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(page, -1) {
			if strings.HasPrefix(m[1], "https://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(filepath.Dir(name)), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	}
}

// TestDocsAudit holds the page on the records against the records.
func TestDocsAudit(t *testing.T) {
	h := newHome(t)
	config := h.write(t, "config.yaml", read(t, filepath.Join("..", "..", "mcpfirewall.yaml")))
	h.run(t, "", "call", "--config", config, "read_inbox")
	h.run(t, "", "call", "--config", config, "delete_all")
	h.run(t, "", "call", "--config", config, "send_mail", `{"to":"a@example.org","subject":"`+strings.Repeat("x", 5000)+`","body":""}`)
	page := pages(t)["docs/audit.md"]
	records := 0
	for line := range strings.Lines(read(t, auditFile(h))) {
		records++
		var record map[string]jsontext.Value
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		for field := range record {
			if !strings.Contains(page, "\n| `"+field+"` |") {
				t.Errorf("docs/audit.md lacks the field %s", field)
			}
		}
	}
	if records < 10 {
		t.Errorf("only %d records were written", records)
	}
}
