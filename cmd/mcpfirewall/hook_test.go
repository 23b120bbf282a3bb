package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/mcpfirewall/mcpfirewall/internal/hook"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
)

// hookListener takes prompts as a firewall does, and prints them, until its input ends.
func hookListener(dir, session string) {
	l, err := hook.Listen(hook.Options{Dir: dir, Session: session, Log: zerolog.New(os.Stderr), Deliver: func(p hook.Prompt) error {
		fmt.Printf("%q %q %.100q\n", p.Session, p.ClientSession, p.Text)
		return nil
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("listening")
	io.Copy(io.Discard, os.Stdin)
	l.Close()
}

// listen starts a firewall whose client is this process. What it gets comes from the
// function that is returned.
func (h home) listen(t testing.TB, dir, session string) (next func() string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "hook-listener", dir, session)
	cmd.Env = append(h.env, "GORACE=atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	lines := bufio.NewScanner(stdout)
	next = func() string {
		if !lines.Scan() {
			t.Helper()
			t.Fatalf("the firewall has ended: %v", lines.Err())
		}
		return lines.Text()
	}
	if got := next(); got != "listening" {
		t.Fatal(got)
	}
	return next
}

// shortDir returns a folder with a short path, as state folders have.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// newHookHome is a home folder with its default state folder, which has a short path.
func newHookHome(t testing.TB, extra ...string) (h home, state string) {
	t.Helper()
	dir := shortDir(t)
	return newHome(t, append(extra, "XDG_STATE_HOME="+dir)...), filepath.Join(dir, "mcpfirewall")
}

const promptEvent = `{"session_id":"abc","transcript_path":"/t.jsonl","cwd":"/","permission_mode":"default","hook_event_name":"UserPromptSubmit","prompt":"Pay Ann"}`

// Whatever happens, nothing enters the conversation and the prompt goes on.
func TestHookQuiet(t *testing.T) {
	h, _ := newHookHome(t)
	broken := h.write(t, "broken.yaml", "state: [\n")
	file := h.write(t, "file", "")
	unusable := newHome(t, "XDG_STATE_HOME="+file)
	noHome := home{h.dir, []string{"PATH=" + os.Getenv("PATH"), "SystemRoot=" + os.Getenv("SystemRoot")}}
	tests := []struct {
		home  home
		stdin string
		args  string
		loud  string // what --verbose says
	}{
		{h, promptEvent, "", "recorded the prompt: 0"},
		{h, promptEvent, "--session work", "recorded the prompt: 0"},
		{h, `{"hook_event_name":"PreToolUse","tool_name":"Bash"}`, "", "no UserPromptSubmit"},
		{h, `{"hook_event_name":"UserPromptSubmit","prompt":{}}`, "", "is no string"},
		{h, `{"hook_event_name":`, "", "no JSON"},
		{h, "Pay Ann", "", "no JSON object"},
		{h, "", "", "no JSON object"},
		{h, promptEvent, "--config " + broken, "recorded the prompt: 0"},
		{h, promptEvent, "--config " + filepath.Join(h.dir, "missing.yaml"), "recorded the prompt: 0"},
		{h, promptEvent, "--config " + h.dir, "recorded the prompt: 0"},
		{unusable, promptEvent, "", "file"},
		{noHome, promptEvent, "", "not"},
	}
	for _, test := range tests {
		args := append([]string{"hook"}, strings.Fields(test.args)...)
		if got := test.home.run(t, test.stdin, args...); got != (outcome{}) {
			t.Errorf("%s %s: %+v, want nothing at all", test.stdin, test.args, got)
		}
		got := test.home.run(t, test.stdin, append(args, "--verbose")...)
		if got.status != 0 || got.stdout != "" || !strings.Contains(got.stderr, test.loud) || strings.Contains(got.stderr, "Ann") {
			t.Errorf("%s %s --verbose: %+v, want standard error to hold %q and not the prompt", test.stdin, test.args, got, test.loud)
		}
	}
}

// Exit status 2 would keep the user from saying anything.
func TestHookWrongUse(t *testing.T) {
	h, _ := newHookHome(t)
	for _, args := range []string{"--sesion work", "work", "--session"} {
		got := h.run(t, promptEvent, append([]string{"hook"}, strings.Fields(args)...)...)
		if got.status != 1 || got.stdout != "" || !strings.Contains(got.stderr, "mcpfirewall: ") {
			t.Errorf("hook %s: %+v, want exit status 1 and a message", args, got)
		}
	}
	if got := h.run(t, "", "hook", "--help"); got.status != 0 || !strings.Contains(got.stdout, "--session") {
		t.Errorf("--help: %+v", got)
	}
}

func TestHookDelivers(t *testing.T) {
	h, standard := newHookHome(t)
	unnamed, named := h.listen(t, standard, ""), h.listen(t, standard, "work")
	configured := h.write(t, "configured.yaml", fmt.Sprintf("version: 1\nstate: { path: %q }\n", shortDir(t)))
	for i, test := range []struct {
		args    string
		session string
		only    bool // the unnamed firewall
	}{
		{"hook", "", false},
		{"hook --session any", "any", true},
		{"hook --config " + configured, "", false},
		{"--config " + configured + " hook --session=work", "work", false},
		{"--log-level warn --config=missing hook", "", false},
	} {
		event := strings.Replace(promptEvent, "Pay Ann", fmt.Sprintf("Pay %d", i), 1)
		if got := h.run(t, event, strings.Fields(test.args)...); got != (outcome{}) {
			t.Errorf("%s: %+v", test.args, got)
		}
		want := fmt.Sprintf(`%q "abc" "Pay %d"`, test.session, i)
		if got := unnamed(); got != want {
			t.Errorf("%s: the unnamed firewall got %s, want %s", test.args, got, want)
		}
		if test.only {
			continue
		}
		if got := named(); got != want {
			t.Errorf("%s: the named firewall got %s, want %s", test.args, got, want)
		}
	}
}

// A firewall gets the prompts of its session wherever its own state is. Once, it says that there
// were none when a rule asked for them.
func TestHookMeets(t *testing.T) {
	h, _ := newHookHome(t, "TEST_TOKEN=correct-horse-battery")
	more := fmt.Sprintf("state: { path: %q }\nrules:\n  - { name: known, tools: [\"*\"], when: not trusted(args.to), then: deny }\n", t.TempDir())
	config := rawConfig(t, h, strings.Replace(more, "args.to", `"Ann"`, 1))
	c := h.start(t, "--config", config, "run", "--session", "work")
	c.send(initialize)
	c.wait(`"hello"`)
	c.send(initialized)
	call := func(id string) {
		c.send(`{"jsonrpc":"2.0","id":"` + id + `","method":"tools/call","params":{"name":"get","arguments":{}}}`)
	}
	for _, id := range []string{"one", "two"} {
		call(id)
		if got := c.wait(`"` + id + `"`); !strings.Contains(got, `"deny"`) {
			t.Errorf("before the prompt: %s", got)
		}
	}
	if n := strings.Count(c.stderr.String(), "no prompt of the user has arrived"); n != 1 {
		t.Errorf("that no prompt arrived is said %d times:\n%s", n, c.stderr)
	}
	if got := h.run(t, promptEvent, "hook", "--session", "work"); got != (outcome{}) {
		t.Fatalf("%+v", got)
	}
	call("three")
	if got := c.wait(`"three"`); strings.Contains(got, `"deny"`) {
		t.Errorf("after the prompt: %s", got)
	}
}

// The command has done its work before the packages are initialised that take longer than
// it may.
func TestHookEarly(t *testing.T) {
	h, _ := newHookHome(t, "GODEBUG=inittrace=1")
	config := h.write(t, "config.yaml", read(t, filepath.Join("..", "..", "mcpfirewall.yaml")))
	all := []string{"hook"}
	(&app{}).command().PersistentFlags().VisitAll(func(f *pflag.Flag) { all = append([]string{"--" + f.Name, "x"}, all...) })
	for _, args := range [][]string{{"hook"}, {"hook", "--session", "work"}, {"hook", "--config", config}, all} {
		got := h.run(t, promptEvent, args...)
		if !strings.Contains(got.stderr, "init os ") {
			t.Fatalf("no trace of the initialisation: %s", got.stderr)
		}
		for _, heavy := range []string{"santhosh-tekuri/jsonschema", "hashicorp/vault/api", "mcpfirewall/proxy", "internal/config"} {
			if strings.Contains(got.stderr, heavy) {
				t.Errorf("%v: %s was initialised", args, heavy)
			}
		}
	}
}

// TestHookDocs runs the commands of the settings in the document as Claude Code does.
func TestHookDocs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the settings' commands are run by sh")
	}
	h, state := newHookHome(t)
	h.env = append(h.env, "PATH="+filepath.Dir(built)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	unnamed, named := h.listen(t, state, ""), h.listen(t, state, "work")
	commands := 0
	for _, text := range blocks(pages(t)["docs/hook.md"], "json") {
		var settings struct {
			Hooks map[string][]struct {
				Hooks []struct{ Type, Command string } `json:"hooks"`
			} `json:"hooks"`
		}
		if err := json.Unmarshal([]byte(text), &settings, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatal(err)
		}
		for _, group := range settings.Hooks["UserPromptSubmit"] {
			for _, command := range group.Hooks {
				commands++
				cmd := exec.Command("sh", "-c", command.Command)
				cmd.Dir, cmd.Env, cmd.Stdin = h.dir, h.env, strings.NewReader(promptEvent)
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 || command.Type != "command" {
					t.Errorf("%+v: %v, %s", command, err, out)
				}
				session := `""`
				if strings.Contains(command.Command, "--session work") {
					session = `"work"`
				}
				for _, next := range []func() string{unnamed, named} {
					if got, want := next(), session+` "abc" "Pay Ann"`; got != want {
						t.Errorf("%s: a firewall got %s, want %s", command.Command, got, want)
					}
				}
			}
		}
	}
	if commands != 2 {
		t.Errorf("%d commands in docs/hook.md, want 2", commands)
	}
}

// BenchmarkHook measures the whole command, from the start of its process to the end, with
// four firewalls of the client; the rules give it 20 ms.
func BenchmarkHook(b *testing.B) {
	h := newHome(b)
	for _, bench := range []struct {
		name      string
		firewalls int
		event     string
		args      []string
	}{
		{"alone", 0, promptEvent, nil},
		{"four", 4, promptEvent, nil},
		{"four/config", 4, promptEvent, []string{"--config", filepath.Join("..", "..", "mcpfirewall.yaml")}},
		{"four/1MiB", 4, strings.Replace(promptEvent, "Pay", strings.Repeat("Pay ", 1<<18), 1), nil},
	} {
		b.Run(bench.name, func(b *testing.B) {
			state := shortDir(b)
			var firewalls []func() string
			for range bench.firewalls {
				firewalls = append(firewalls, h.listen(b, filepath.Join(state, "mcpfirewall"), ""))
			}
			h := home{h.dir, append(h.env, "XDG_STATE_HOME="+state)}
			for b.Loop() {
				if got := h.run(b, bench.event, append(bench.args, "hook")...); got != (outcome{}) {
					b.Fatal(got)
				}
				for _, next := range firewalls {
					next()
				}
			}
		})
	}
}
