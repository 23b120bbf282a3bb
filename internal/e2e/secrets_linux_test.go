package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// buffer is what a process printed.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// processesWith returns the processes of this user that have the text in a file of theirs
// below /proc.
func processesWith(t *testing.T, file, text string) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range all {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			continue // of another user, or gone
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && bytes.Contains(content, []byte(text)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestSecretsStayWhereTheyBelong looks for the credentials of two servers in everything
// that the firewall writes and shows, over a change of one of them and a crash.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	dir := t.TempDir()
	values := []string{"planted-credential-one-7f3a9c", "planted-credential-two-b81e40", "planted-credential-new-55d2e7"}
	put := func(name, value string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put("one.secret", values[0])
	put("two.secret", values[1])
	config := filepath.Join(dir, "mcpfirewall.yaml")
	if err := os.WriteFile(config, []byte(`version: 1
servers:
  one: { command: mcpfirewall, args: [demo, server], env: { DEMO_TOKEN: "${file:one.secret}" } }
  two: { command: mcpfirewall, args: [demo, server], env: { DEMO_TOKEN: "${file:two.secret}" }, inject: { body: "${file:two.secret}" } }
  none: { command: mcpfirewall, args: [demo, server] }
tools: { allow: ["*"] }
state: { path: state }
`), 0o600); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command(firewall(t), "run", "--config", config, "--log-level", "debug")
	cmd.Env = append(environ(t), "GOTRACEBACK=all")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var printed, said buffer
	cmd.Stderr = &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := make(chan string, 1000)
	read := make(chan struct{})
	go func() {
		defer close(read)
		scan := bufio.NewScanner(io.TeeReader(stdout, &said))
		scan.Buffer(nil, 1<<20)
		for scan.Scan() {
			lines <- scan.Text()
		}
	}()
	id := 0
	request := func(method, params string) string {
		t.Helper()
		id++
		fmt.Fprintf(stdin, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`+"\n", id, method, params)
		limit := time.After(waitAtMost)
		for {
			select {
			case line := <-lines:
				if strings.Contains(line, fmt.Sprintf(`"id":%d,`, id)) {
					return line
				}
			case <-limit:
				t.Fatalf("no answer to %s; log:\n%s", method, printed.String())
			}
		}
	}
	call := func(tool, args string) string {
		t.Helper()
		return request("tools/call", fmt.Sprintf(`{"name":%q,"arguments":%s}`, tool, args))
	}
	request("initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"secrets","version":"1"}}`)
	fmt.Fprintln(stdin, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)

	work := func() {
		t.Helper()
		for _, server := range []string{"one", "two", "none"} {
			call(server+"__read_inbox", `{}`)
			for _, encoding := range []string{"plain", "base64", "hex"} {
				if got := call(server+"__get_secret_note", fmt.Sprintf(`{"encoding":%q}`, encoding)); server != "none" && !strings.Contains(got, "[redacted:file]") {
					t.Errorf("%s, %s: %s", server, encoding, got)
				}
			}
			call(server+"__no_such_tool", `{}`)
		}
		// What is injected is on its way to the server only.
		if got := call("two__send_mail", `{"to":"a@example.com","subject":"x"}`); !strings.Contains(got, "Sent to") {
			t.Errorf("mail not sent: %s", got)
		}
	}
	// lives holds that exactly one process has the value, a server of this firewall's.
	lives := func(value string) (pid int) {
		t.Helper()
		for end := time.Now().Add(waitAtMost); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if pids := processesWith(t, "environ", value); len(pids) == 1 {
				pid = pids[0]
				break
			}
		}
		if pid == 0 || pid == cmd.Process.Pid {
			t.Errorf("the environments of processes %v hold a credential", processesWith(t, "environ", value))
		}
		for up := pid; up != cmd.Process.Pid; {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", up))
			if err != nil {
				t.Errorf("process %d, which holds a credential, is no descendant of the firewall's", pid)
				break
			}
			up, _ = strconv.Atoi(strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[1])
		}
		return pid
	}
	work()
	first, second := lives(values[0]), lives(values[1])
	if first == second {
		t.Error("one process has two credentials")
	}
	put("one.secret", values[2])
	third := lives(values[2])
	work()
	for end := time.Now().Add(waitAtMost); len(processesWith(t, "environ", values[0])) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the process with the old credential is still there")
		}
	}
	if third == first || lives(values[1]) != second {
		t.Error("the wrong process was replaced")
	}
	for _, value := range values {
		if pids := processesWith(t, "cmdline", value); len(pids) > 0 {
			t.Errorf("the command lines of processes %v hold a credential", pids)
		}
	}

	if err := cmd.Process.Signal(syscall.SIGQUIT); err != nil { // the trace of all goroutines
		t.Fatal(err)
	}
	<-read
	cmd.Wait()
	if !strings.Contains(printed.String(), "goroutine ") {
		t.Error("there is no crash report")
	}
	for where, text := range map[string]string{"standard output": said.String(), "log and crash report": printed.String()} {
		for _, value := range values {
			if strings.Contains(text, value) {
				t.Errorf("%s holds %s", where, value)
			}
		}
	}
	files := 0
	err = filepath.WalkDir(filepath.Join(dir, "state"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		for _, value := range values {
			if bytes.Contains(content, []byte(value)) {
				t.Errorf("%s holds %s", path, value)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files in the state folder: %v", files, err)
	}
}
