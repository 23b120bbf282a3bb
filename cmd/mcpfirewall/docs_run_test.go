package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// example is a command line of the documents that is run as it stands there.
type example struct {
	files  func(page string) map[string]string // of the home folder, before it is run
	before []string                            // what a user did before, as arguments of the command
	status int
	prints string // a regular expression for standard output and standard error
}

// examples are the command lines that are run, by page and line.
var examples = map[string]map[string]example{
	"README.md": {
		"go run ./cmd/mcpfirewall demo":                        {prints: `(?s)send_mail.*\[redacted:`},
		"mcpfirewall check --config ~/mcpfirewall.yaml":        {files: readmeFiles, prints: `^\S+/mcpfirewall.yaml: ok\n$`},
		"mcpfirewall check --live --config ~/mcpfirewall.yaml": {files: readmeFiles, prints: `^\S+/mcpfirewall.yaml: ok\n$`},
		"mcpfirewall tools --config ~/mcpfirewall.yaml": {
			files:  readmeFiles,
			prints: `(?s)files +up, .*\nread_text_file +tool +allowed .*\nwrite_file +tool +asked about .*\nHIDDEN .*\nfiles\.move_file `,
		},
		`mcpfirewall call --config ~/mcpfirewall.yaml read_text_file '{"path":"/home/me/project/README.md"}'`: {
			files:  readmeFiles,
			prints: `^read_text_file of /home/me/project\n$`,
		},
		"mcpfirewall secrets check --config ~/mcpfirewall.yaml": {
			files: func(page string) map[string]string {
				return map[string]string{"mcpfirewall.yaml": "version: 1\n" + part(page, "Put several servers behind it")}
			},
			prints: `(?m)^servers\.crm\.headers\.Authorization +env:CRM_TOKEN +ok`,
		},
		"mcpfirewall redact --config ~/mcpfirewall.yaml < result.json": {
			files: func(page string) map[string]string {
				return map[string]string{
					"mcpfirewall.yaml": part(page, "Two minutes to the first server") + part(page, "Redact secrets and personal data"),
					"result.json":      `{"text":"Jane (jane.doe@corp.example, EMP-123456) pays with 4111111111111111"}`,
				}
			},
			prints: `^\{"text":"Jane \(<email:[a-z2-7]{20}>, \[redacted:employee-id\]\) pays with \[redacted:credit_card\]"\}$`,
		},
		"mcpfirewall test --cover --config ~/mcpfirewall.yaml": {
			files:  mailFiles,
			prints: `^ok .* 2 tests\ncoverage: 100\.0% of the policy`,
		},
		`mcpfirewall explain --config ~/mcpfirewall.yaml mail.send '{"to":"ann@example.com"}'`: {
			files:  mailFiles,
			prints: `^mail\.send: deny, decided by "mail goes only to people we know"\n  The recipient must come from the user\.\n`,
		},
		"mcpfirewall replay --config ~/changed.yaml ~/.local/state/mcpfirewall/audit.jsonl": {
			files: func(page string) map[string]string {
				files := readmeFiles(page)
				files["changed.yaml"] = strings.Replace(files["mcpfirewall.yaml"], `"files.read_*", `, "", 1)
				return files
			},
			before: []string{"call", "--config", "mcpfirewall.yaml", "read_text_file", `{"path":"/home/me/project/README.md"}`},
			status: 1, // a decision differs
			prints: `allow by "tools\.allow: files\.read_\*" -> deny by "tools\.default"\n1 decision: 1 differ, `,
		},
	},
	"docs/audit.md": {
		`jq -r 'select(.event == "refusal") | [.time, .capability, .action, .rule] | @tsv' ~/.local/state/mcpfirewall/audit.jsonl`: {
			files: func(string) map[string]string {
				return map[string]string{"mcpfirewall.yaml": readmeFiles(readPage("README.md"))["mcpfirewall.yaml"]}
			},
			before: []string{"call", "--config", "mcpfirewall.yaml", "move_file", `{"path":"/home/me/project"}`},
			prints: `^20\S+Z\tmove_file\tdeny\tunknown\n$`,
		},
	},
	"docs/hook.md": {
		`echo '{"hook_event_name":"UserPromptSubmit","prompt":"Pay Ann"}' | mcpfirewall hook --verbose`: {prints: `^mcpfirewall: .*recorded the prompt: 0`},
	},
	"docs/redaction.md": {
		"mcpfirewall redact --config ~/mcpfirewall.yaml < result.json": {
			files:  redactionFiles,
			prints: `^\{"content":.*"Jane \(<email:[a-z2-7]{20}>, \[redacted:employee-id\]\) pays from \[iban#[0-9a-f]{16}\]".*"card":"\[redacted:credit_card\]"`,
		},
		"mcpfirewall redact --config ~/mcpfirewall.yaml --tool crm.get_contact --report json < result.json": {
			files:  redactionFiles,
			prints: `^\[(\{"detector":"(pii|custom)","type":"[a-z -_]+","start":\d+,"end":\d+,"action":"(tokenize|mask|hash)"\},?){5}\]\n$`,
		},
	},
}

// notRun are the command lines that are not run, with the reason.
var notRun = map[string]string{
	"git clone https://github.com/mcpfirewall/mcpfirewall && cd mcpfirewall": "needs the network",
	"make test": "is what runs this",
	"go install github.com/mcpfirewall/mcpfirewall/cmd/mcpfirewall@latest":                                        "needs the network",
	"claude mcp add firewall -- mcpfirewall run --config ~/mcpfirewall.yaml":                                      "needs Claude Code, with which package e2e tries it",
	"claude mcp add files -- mcpfirewall wrap -- npx -y @modelcontextprotocol/server-filesystem /home/me/project": "needs Claude Code",
	"claude mcp add --transport http firewall http://127.0.0.1:8750/mcp":                                          "needs Claude Code",
	"claude mcp add firewall -- mcpfirewall run --session work":                                                   "needs Claude Code",
	"mcpfirewall serve --config ~/mcpfirewall.yaml --listen 127.0.0.1:8750":                                       "runs until it is ended, on a port that may be taken; TestServe serves",
}

// readPage returns a document.
func readPage(name string) string {
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		panic(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// part returns the first configuration below a heading.
func part(page, heading string) string {
	_, below, ok := strings.Cut(page, "# "+heading+"\n")
	if found := blocks(below, "yaml"); ok && len(found) > 0 {
		return found[0]
	}
	panic("the page has no configuration below " + heading)
}

func readmeFiles(page string) map[string]string {
	return map[string]string{"mcpfirewall.yaml": part(page, "Two minutes to the first server")}
}

// mailFiles has the part of the README that is about mail, and a test of it.
func mailFiles(page string) map[string]string {
	return map[string]string{
		"mcpfirewall.yaml": "version: 1\nservers: { mail: { command: mail-mcp } }\ntools: { allow: [\"mail.*\"] }\n" + part(page, "Tie arguments to where they came from"),
		"mcpfirewall_test.yaml": `schemas: none
tests:
  - name: nobody named Ann
    steps: [{ call: mail.send, args: { to: ann@example.com }, expect: deny, rule: mail goes only to people we know }]
  - name: the user did
    steps:
      - prompt: Write to ann@example.com
      - { call: mail.send, args: { to: ann@example.com }, expect: allow }
`,
	}
}

func redactionFiles(page string) map[string]string {
	return map[string]string{"mcpfirewall.yaml": "version: 1\n" + part(page, "Redaction"), "result.json": blocks(page, "json")[0]}
}

// runExample runs a command line as a shell does, in a home folder with the files that the
// page speaks of, where the servers of the documents are played by the test.
func runExample(t *testing.T, page, line string, e example) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Logf("not run, because sh, or the records, may be elsewhere: %s", line)
		return
	}
	if name, _, _ := strings.Cut(line, " "); name != "go" && name != "mcpfirewall" {
		if _, err := exec.LookPath(name); err != nil {
			t.Logf("not run, because %s is not installed: %s", name, line)
			return
		}
	}
	h := newHome(t, "CRM_TOKEN=correct-horse-battery", "TMPDIR="+t.TempDir())
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"mcpfirewall": built, "npx": self} {
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	h.env = append(h.env, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	if e.files != nil {
		for name, text := range e.files(page) {
			h.write(t, name, text)
		}
	}
	if e.before != nil {
		h.run(t, "", e.before...)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(line, "go run ./cmd/mcpfirewall", "mcpfirewall", 1))
	cmd.Dir, cmd.Env = h.dir, h.env
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if status := cmd.ProcessState.ExitCode(); status != e.status || !regexp.MustCompile(e.prints).Match(out) || strings.Contains(string(out), "correct-horse") {
		t.Errorf("%s\nexits with %d, want %d, and prints, which must match %s,\n%s", line, status, e.status, e.prints, out)
	}
}

// TestDocsCommands runs each command line of the documents, and of those that cannot be run
// holds that the command takes them.
func TestDocsCommands(t *testing.T) {
	makefile := read(t, filepath.Join("..", "..", "Makefile"))
	met := map[string]bool{}
	for name, page := range pages(t) {
		for line := range strings.Lines(strings.Join(blocks(page, "sh"), "")) {
			line = strings.TrimSpace(line)
			met[line], met[name+" "+line] = true, true
			if e, ok := examples[name][line]; ok {
				t.Run(line, func(t *testing.T) { runExample(t, page, line, e) })
			} else if notRun[line] == "" {
				t.Errorf("%s: this line is neither run nor among those that cannot be: %s", name, line)
			}
			command, _, _ := strings.Cut(line, " < ")
			words := shellWords(command)
			if _, behind, ok := strings.Cut(command, " -- mcpfirewall "); ok && words[0] == "claude" {
				use(t, name, shellWords(behind))
			} else if words[0] == "mcpfirewall" {
				use(t, name, words[1:])
			} else if words[0] == "make" && !strings.Contains(makefile, "\n"+words[1]+":") {
				t.Errorf("%s: the Makefile has no %s", name, words[1])
			}
		}
	}
	for line := range notRun {
		if !met[line] {
			t.Errorf("no page has the line %s", line)
		}
	}
	for name, lines := range examples {
		for line := range lines {
			if !met[name+" "+line] {
				t.Errorf("%s does not have the line %s", name, line)
			}
		}
	}
}
