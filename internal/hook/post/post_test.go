package post

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestReadEvent(t *testing.T) {
	const begin = `{"session_id":"abc","transcript_path":"/t.jsonl","cwd":"/home/ann","permission_mode":"default","hook_event_name":"UserPromptSubmit",`
	want := func(text string) *Prompt { return &Prompt{ClientSession: "abc", Text: text, Cwd: "/home/ann"} }
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	tests := []struct {
		event string
		want  *Prompt // nil: an error
	}{
		{begin + `"prompt":"Pay Ann 20 \u20ac\n"}` + "\n", want("Pay Ann 20 €\n")},
		{begin + `"prompt":""}`, want("")},
		{begin + `"\u0070rompt":"x"}`, want("x")},
		{begin + `"prompt":"cut \ud83d"}`, want("cut \ufffd")},
		{begin + `"prompt":"x","effort":{"level":[1,{"prompt":"inner"}]},"new":` + deep + `}`, want("x")},
		{begin + `"prompt":"x","prompt":"y"}`, nil},
		{begin + `"prompt":"x","\u0070rompt":"y"}`, nil},
		{begin + `"Prompt":"x"}`, nil},
		{begin + `"prompt":["x"]}`, nil},
		{begin + `"prompt":null}`, nil},
		{begin + `"prompt":"x"`, nil},
		{begin + `"prompt":"x"}{}`, nil},
		{begin + `"prompt":"x"} garbage`, nil},
		{begin + `"prompt":"x",}`, nil},
		{begin + `"other":1}`, nil},
		{`{"prompt":"x"}`, nil},
		{`{"hook_event_name":"PreToolUse","prompt":"x"}`, nil},
		{`{"hook_event_name":"userpromptsubmit","prompt":"x"}`, nil},
		{`{"hook_event_name":1,"prompt":"x"}`, nil},
		{`["UserPromptSubmit"]`, nil},
		{``, nil},
		{`{`, nil},
		{"\xef\xbb\xbf{}", nil},
	}
	for _, test := range tests {
		got, err := ReadEvent(strings.NewReader(test.event))
		if test.want == nil {
			if err == nil {
				t.Errorf("%.150s: read as %+v", test.event, got)
			}
			continue
		}
		if err != nil || got != *test.want {
			t.Errorf("%.150s: %+v, %v", test.event, got, err)
		}
	}
	if _, err := ReadEvent(io.MultiReader(strings.NewReader(begin+`"prompt":"`), endless{})); err == nil {
		t.Error("an event without end was read")
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func FuzzReadEvent(f *testing.F) {
	f.Add([]byte(`{"hook_event_name":"UserPromptSubmit","session_id":"a","cwd":"/","prompt":"Pay Ann","x":[1,{"prompt":2}]}`))
	f.Add([]byte(`{"hook_event_name":"UserPromptSubmit","prompt":"\ud800"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadEvent(bytes.NewReader(b))
		if err != nil {
			return
		}
		m := Message{ID: "x", Prompt: p}
		if m.check() != nil {
			return
		}
		var back Message
		back, size, err := ReadHeader(bytes.NewReader(m.header()))
		if err != nil || size != len(p.Text) {
			t.Fatalf("what was read is not sent: %v", err)
		}
		if err := back.ReadText(strings.NewReader(p.Text), size); err != nil || back.Prompt != p {
			t.Fatalf("%+v became %+v, %v", p, back.Prompt, err)
		}
	})
}

func FuzzReadHeader(f *testing.F) {
	m := Message{ID: "ID", Prompt: Prompt{Session: "s", ClientSession: "c", Cwd: "/", Text: "text"}, Chain: []Process{{12, 345}, {2, 1}}}
	f.Add(m.header())
	f.Add([]byte(magic + "\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, size, err := ReadHeader(bytes.NewReader(b))
		if err != nil {
			return
		}
		if size > MaxText || m.check() != nil {
			t.Fatalf("a header beyond the limits was read: %d bytes, %+v", size, m)
		}
		m.Text = strings.Repeat("x", size)
		again, n, err := ReadHeader(bytes.NewReader(m.header()))
		m.Text = ""
		if err != nil || n != size || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

func TestTooLarge(t *testing.T) {
	dir := t.TempDir()
	for name, p := range map[string]Prompt{
		"text": {Text: strings.Repeat("x", MaxText+1)}, "session": {Session: strings.Repeat("x", maxSession+1)},
		"session_id": {ClientSession: strings.Repeat("x", maxSession+1)}, "cwd": {Cwd: strings.Repeat("x", maxCwd+1)},
	} {
		if _, err := Send(context.Background(), dir, p); err == nil {
			t.Errorf("a prompt with a large %s was sent", name)
		}
	}
}

func TestAncestors(t *testing.T) {
	chain, err := Ancestors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if chain[0].Pid != os.Getpid() || len(chain) < 2 || chain[1].Pid != os.Getppid() {
		t.Errorf("this process is %d below %d, found %v", os.Getpid(), os.Getppid(), chain)
	}
	if !Alive(chain[0]) || Alive(Process{chain[0].Pid, chain[0].Start + 1}) {
		t.Error("a process is known by its id alone, or not at all")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := Ancestors(cmd.Process.Pid); !errors.Is(err, errNoProcess) {
		t.Errorf("a process that has ended: %v", err)
	}
}

// Only what this user alone can have written, a short while ago, is taken.
func TestWaiting(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "hook")
	if err := makePrivate(folder); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	message := func(id string) []byte {
		m := Message{ID: id, Prompt: Prompt{Text: id}}
		return append(m.header(), id...)
	}
	write := func(at time.Time, id string, b []byte) string {
		t.Helper()
		path := filepath.Join(folder, leftName(at, id))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(now, "second", message("second"))
	write(now.Add(-time.Minute), "first", message("first"))
	write(now.Add(-Keep-time.Second), "old", message("old"))
	write(now.Add(Keep+time.Minute), "future", message("future"))
	write(now, "cut", message("cut")[:30])
	write(now, "long", append(message("long"), 'x'))
	write(now, "text", []byte(strings.Replace(string(message("text")), "text", "te\xfft", 2)))
	write(now, "empty", nil)
	os.Rename(write(now, "unfinished", message("unfinished")), filepath.Join(folder, leftName(now, "unfinished")+".new"))
	if runtime.GOOS != "windows" {
		open := write(now, "open", message("open"))
		if err := os.Chmod(open, 0o644); err != nil {
			t.Fatal(err)
		}
		linked := write(now, "linked", message("linked"))
		if err := os.Link(linked, filepath.Join(folder, "other")); err != nil {
			t.Fatal(err)
		}
		outside := filepath.Join(filepath.Dir(folder), "outside")
		if err := os.WriteFile(outside, message("symlink"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, filepath.Join(folder, leftName(now, "symlink"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, leftName(now, "folder")), 0o700); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range Waiting(folder) {
		ids = append(ids, m.ID)
	}
	if !reflect.DeepEqual(ids, []string{"first", "second"}) {
		t.Errorf("taken are %q", ids)
	}
	Sweep(folder, 100)
	names, over := left(folder, now)
	if len(over) != 0 || len(names) < 2 {
		t.Errorf("after sweeping %q are left, %q of them too old", names, over)
	}
	Sweep(folder, 1)
	if names, _ := left(folder, now); len(names) != 1 {
		t.Errorf("%q are left, want one", names)
	}
}

func TestFewWait(t *testing.T) {
	dir, err := os.MkdirTemp("", "hk")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for range maxLeft + 3 {
		if _, err := Send(context.Background(), dir, Prompt{Session: "nobody", Text: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(Waiting(folder)); n != maxLeft {
		t.Errorf("%d prompts wait, want the last %d", n, maxLeft)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, strings.Repeat("x", 100))
	folder, err := Folder(long)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(folder)
	if len(folder)+1+maxName > maxPath {
		t.Errorf("%s is too long for sockets", folder)
	}
	if again, err := Folder(long); err != nil || again != folder {
		t.Errorf("once %s, once %s, %v", folder, again, err)
	}
	other, err := Folder(long + "y")
	if err != nil || other == folder {
		t.Errorf("two state folders share %s, %v", folder, err)
	}
	os.Remove(other)
	biggest := Process{1<<22 - 1, 1<<56 - 1}
	if name := SocketName(biggest, biggest); runtime.GOOS == "linux" && len(name) > maxName {
		t.Errorf("%s is longer than %d", name, maxName)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for name, make := range map[string]func(path string) error{
		"open": func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o755)) },
		"link": func(path string) error { return os.Symlink(t.TempDir(), path) },
		"file": func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if err := makePrivate(path); err == nil {
			t.Errorf("%s: used as a private folder", name)
		}
	}
}

func TestFirewalls(t *testing.T) {
	folder := t.TempDir()
	a, b := Process{12, 345}, Process{7, 0}
	for _, name := range []string{
		SocketName(a, b), SocketName(b, Process{}),
		"12-9l.sock", "12-9l-7-0", "12-9L-7-0.sock", "012-9l-7-0.sock", "-1-9l-7-0.sock", "12-9l-7-0-1.sock", "12-zzzzzzzzzzzzzzzzz-7-0.sock", "x.sock", "+12-9l-7-0.sock",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Firewalls(folder)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].Process != a || got[0].Client != b || got[1].Process != b || got[1].Client != (Process{}) {
		t.Errorf("%+v", got)
	}
}

func TestParseArgs(t *testing.T) {
	tests := []struct {
		args string
		want Options
		ok   bool
	}{
		{"hook", Options{}, true},
		{"hook --session work", Options{Session: "work"}, true},
		{"hook --session=work --verbose", Options{Session: "work", Verbose: true}, true},
		{"hook --config=a=b --session --verbose", Options{Session: "--verbose"}, true},
		{"--config x hook", Options{}, true},
		{"--config=x --log-level debug --log-file hook hook --session work", Options{Session: "work"}, true},
		{"--config hook", Options{}, false},
		{"--config x", Options{}, false},
		{"--session work hook", Options{}, false},
		{"hook hook", Options{}, false},
		{"hook --session", Options{}, false},
		{"hook --help", Options{}, false},
		{"--help hook", Options{}, false},
		{"hook -h", Options{}, false},
		{"hook x", Options{}, false},
		{"hook --verbose=true", Options{}, false},
		{"hook --sesion work", Options{}, false},
		{"run --session work", Options{}, false},
		{"--config x run", Options{}, false},
		{"", Options{}, false},
	}
	for _, test := range tests {
		got, ok := parseArgs(append([]string{"mcpfirewall"}, strings.Fields(test.args)...))
		if ok != test.ok || ok && got != test.want {
			t.Errorf("%s: %+v, %v", test.args, got, ok)
		}
	}
}
