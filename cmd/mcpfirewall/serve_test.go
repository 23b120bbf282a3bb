package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lockedBuffer takes what a command writes while a test looks at it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// eventually waits until the text that f returns matches.
func eventually(t *testing.T, f func() string, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		if m := re.FindStringSubmatch(f()); m != nil {
			return m
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come:\n%s", pattern, f())
		}
	}
}

func terminate(t *testing.T, c *process) {
	t.Helper()
	if runtime.GOOS == "windows" { // which has no SIGTERM: the end of the input ends the command
		c.in.Close()
		return
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

func TestRun(t *testing.T) {
	reference := read(t, filepath.Join("..", "..", "mcpfirewall.yaml"))
	tests := map[string]struct {
		args []string
		end  func(*process)
	}{
		"run, until the input ends": {[]string{"run", "--config", "config.yaml"}, func(c *process) { c.in.Close() }},
		"run, until SIGTERM":        {[]string{"run", "--config", "config.yaml", "--session", "mine"}, func(c *process) { terminate(t, c) }},
		"wrap":                      {[]string{"wrap", "--", "mcpfirewall", "demo", "server"}, func(c *process) { c.in.Close() }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			h.write(t, "config.yaml", reference)
			c := h.start(t, test.args...)
			c.send(initialize)
			c.wait(`"id":"hello"`)
			c.send(initialized)
			c.send(listTools)
			list := c.wait(`"id":"list"`)
			if strings.Contains(list, "delete_all") != (test.args[0] == "wrap") || !strings.Contains(list, "read_inbox") {
				t.Errorf("the list is %s", list)
			}
			c.send(`{"jsonrpc":"2.0","id":"call","method":"tools/call","params":{"name":"read_inbox","arguments":{}}}`)
			if result := c.wait(`"id":"call"`); !strings.Contains(result, "Lunch on Friday") {
				t.Errorf("the result is %s", result)
			}
			test.end(c)
			if status := c.ends(); status != 0 {
				t.Errorf("exit status %d\n%s", status, c.stderr)
			}
			records := read(t, auditFile(h))
			for _, want := range []string{`"event":"intent"`, `"event":"outcome"`, `"client":"test"`, "firewall stopped"} {
				if !strings.Contains(records, want) {
					t.Errorf("the records lack %s:\n%s", want, records)
				}
			}
		})
	}
}

func TestRunWithoutAudit(t *testing.T) {
	h := newHome(t)
	h.write(t, "config.yaml", "version: 1\nservers: { demo: { command: mcpfirewall, args: [demo, server] } }\naudit: { file: audit.jsonl }\n")
	if runtime.GOOS != "windows" {
		h.write(t, "audit.jsonl", "")
		if err := os.Chmod(filepath.Join(h.dir, "audit.jsonl"), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := h.run(t, initialize+"\n", "run", "--config", "config.yaml"); got.status != 1 || got.stdout != "" || !strings.Contains(got.stderr, "chmod") {
			t.Errorf("with an audit file that others can write: status %d, %q, %q", got.status, got.stdout, got.stderr)
		}
	}
}

func TestReload(t *testing.T) {
	h := newHome(t)
	config := func(deny string) string {
		return fmt.Sprintf("version: 1\nservers: { demo: { command: mcpfirewall, args: [demo, server] } }\ntools: { default: allow, deny: [%s] }\n", deny)
	}
	h.write(t, "config.yaml", config(`"*.delete_*"`))
	c := h.start(t, "run", "--config", "config.yaml")
	c.send(initialize)
	c.wait(`"id":"hello"`)
	c.send(initialized)
	c.send(listTools)
	if list := c.wait(`"id":"list"`); !strings.Contains(list, "send_mail") {
		t.Fatalf("the list is %s", list)
	}

	h.write(t, "config.yaml", config(`"*.send_*"`))
	c.wait("notifications/tools/list_changed")
	c.send(listTools)
	if list := c.wait(`"id":"list"`); strings.Contains(list, "send_mail") || !strings.Contains(list, "delete_all") {
		t.Errorf("after the reload the list is %s", list)
	}

	for name, change := range map[string]string{
		"a problem":                    config(`"*.read_*"`) + "tolls: 1\n",
		"a rule that does not compile": config(`"*.read_*"`) + "rules: [{ name: a, tools: ['*'], when: 'args.', then: deny }]\n",
		"what needs a restart":         config(`"*.read_*"`) + "audit: { file: other.jsonl }\n",
	} {
		seen := strings.Count(c.stderr.String(), "the old one stays in force")
		h.write(t, "config.yaml", change)
		eventually(t, func() string {
			return fmt.Sprint(strings.Count(c.stderr.String(), "the old one stays in force") > seen)
		}, "true")
		c.send(listTools)
		if list := c.wait(`"id":"list"`); !strings.Contains(list, "read_inbox") {
			t.Errorf("after %s the list is %s", name, list)
		}
	}

	if runtime.GOOS != "windows" {
		h.write(t, "config.yaml", config(`"*.send_*"`))
		if err := os.Rename(auditFile(h), auditFile(h)+".1"); err != nil {
			t.Fatal(err)
		}
		if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() string { b, _ := os.ReadFile(auditFile(h)); return string(b) }, "configuration reloaded")
	}
	c.in.Close()
	if status := c.ends(); status != 0 {
		t.Errorf("exit status %d\n%s", status, c.stderr)
	}
	records, err := os.ReadFile(auditFile(h))
	if err != nil {
		t.Fatal(err)
	}
	if rotated, err := os.ReadFile(auditFile(h) + ".1"); err == nil {
		records = append(rotated, records...)
	}
	file := regexp.QuoteMeta(strings.ReplaceAll(filepath.Join(h.dir, "config.yaml"), `\`, `\\`))
	for _, want := range []string{
		`firewall started: version \S+, configuration ` + file + ` sha256:[0-9a-f]{64}"`, `configuration reloaded: ` + file + ` sha256:[0-9a-f]{64}"`,
		`configuration not reloaded[^"]*` + file + ` sha256:[0-9a-f]{64}: ` + file + `:\d+:\d+: unknown key \\"tolls\\""`,
		`these changes need a restart of the firewall: audit"`,
	} {
		if !regexp.MustCompile(want).Match(records) {
			t.Errorf("the audit file lacks %s:\n%s", want, records)
		}
	}
}

// TestReloadOnTrust holds that a changed file of the current folder is used as soon as it
// is trusted.
func TestReloadOnTrust(t *testing.T) {
	h := newHome(t)
	config := func(deny string) string {
		return fmt.Sprintf("version: 1\nservers: { demo: { command: mcpfirewall, args: [demo, server] } }\ntools: { default: allow, deny: [%s] }\n", deny)
	}
	trust := func() {
		t.Helper()
		if got := h.run(t, "", "trust"); got.status != 0 {
			t.Fatalf("trust: %s", got.stderr)
		}
	}
	h.write(t, "mcpfirewall.yaml", config(`"*.delete_*"`))
	trust()
	c := h.start(t, "run")
	c.send(initialize)
	c.wait(`"id":"hello"`)
	c.send(initialized)
	c.send(listTools)
	c.wait(`"id":"list"`)
	h.write(t, "mcpfirewall.yaml", config(`"*.send_*"`))
	eventually(t, func() string { b, _ := os.ReadFile(auditFile(h)); return string(b) }, "not reloaded.*not trusted")
	trust()
	c.wait("notifications/tools/list_changed")
	c.send(listTools)
	if list := c.wait(`"id":"list"`); strings.Contains(list, "send_mail") {
		t.Errorf("once it is trusted the list is %s", list)
	}
	c.in.Close()
	if status := c.ends(); status != 0 {
		t.Errorf("exit status %d\n%s", status, c.stderr)
	}
}

// TestServeNowhere holds that what never served leaves no record of its end.
func TestServeNowhere(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	h := newHome(t)
	h.write(t, "config.yaml", read(t, filepath.Join("..", "..", "mcpfirewall.yaml")))
	if got := h.run(t, "", "serve", "--config", "config.yaml", "--listen", taken.Addr().String()); got.status != 1 {
		t.Errorf("exit status %d\n%s", got.status, got.stderr)
	}
	if records, _ := os.ReadFile(auditFile(h)); len(records) > 0 {
		t.Errorf("on record is %s", records)
	}
}

func TestServe(t *testing.T) {
	h := newHome(t)
	h.write(t, "config.yaml", read(t, filepath.Join("..", "..", "mcpfirewall.yaml")))
	c := h.start(t, "serve", "--config", "config.yaml", "--listen", "127.0.0.1:0")
	url := eventually(t, c.stderr.String, `(?m)^listening on (http://127\.0\.0\.1:\d+/mcp)$`)[1]
	request, err := http.NewRequest("POST", url, strings.NewReader(initialize))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != 200 || !strings.Contains(string(body), "mcpfirewall") || response.Header.Get("Mcp-Session-Id") == "" {
		t.Errorf("initialize: %v, status %d, %s", err, response.StatusCode, body)
	}
	if runtime.GOOS == "windows" {
		return // which has no signal to end it by; the test's cleanup does
	}
	terminate(t, c)
	if status := c.ends(); status != 0 {
		t.Errorf("exit status %d\n%s", status, c.stderr)
	}
	if _, err := http.Get(strings.TrimSuffix(url, "/mcp") + "/healthz"); err == nil {
		t.Error("it still serves after SIGTERM")
	}
}
