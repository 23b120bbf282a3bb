package upstream

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestLookPathUsesTheGivenEnvironment(t *testing.T) {
	dir := t.TempDir()
	name := "mcp-test-server"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	want := filepath.Join(dir, name)
	if err := os.WriteFile(want, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "/nowhere")
	got, err := lookPath("mcp-test-server", "/", []string{"PATH=/elsewhere", "PATH=" + dir})
	if err != nil || got != want {
		t.Errorf("lookPath: %q, %v", got, err)
	}
	t.Setenv("PATH", dir)
	if got, err := lookPath("mcp-test-server", "/", []string{"PATH=/elsewhere"}); err == nil {
		t.Errorf("lookPath found %q in the firewall's own PATH", got)
	}
	if got, err := lookPath("./mcp-test-server", dir, nil); err != nil || got != want {
		t.Errorf("lookPath of a relative path: %q, %v", got, err)
	}
}

func TestWindowsSuffixes(t *testing.T) {
	tests := []struct {
		command, pathext string
		want             []string
	}{
		{"npx", "", []string{".com", ".exe", ".bat", ".cmd"}},
		{"npx", ".EXE;;CMD", []string{".exe", ".cmd"}},
		{"npx.cmd", ".EXE;.CMD", []string{""}},
		{"NODE.EXE", ".exe", []string{""}},
		{"server.py", ".exe", []string{".exe"}},
	}
	for _, test := range tests {
		got := windowsSuffixes(test.command, test.pathext)
		if len(got) != len(test.want) {
			t.Errorf("%s: %q", test.command, got)
			continue
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("%s: %q, want %q", test.command, got, test.want)
			}
		}
	}
}

func TestBatchCommandLine(t *testing.T) {
	tests := []struct {
		arg, want string
	}{
		{`plain`, `plain`},
		{`@scope/pkg-1.0`, `@scope/pkg-1.0`},
		{`C:\dir\file`, `C:\dir\file`},
		{``, `""`},
		{`two words`, `"two words"`},
		{`a&calc.exe`, `"a&calc.exe"`},
		{`"&calc.exe`, `"""&calc.exe"`},
		{`\"&calc`, `"\\""&calc"`},
		{`%PATH%`, `"%%cd:~,%PATH%%cd:~,%"`},
		{`^|<>`, `"^|<>"`},
		{`dir\`, `"dir\\"`},
		{`é`, `é`},
		{"\u0085", "\"\u0085\""},
	}
	for _, test := range tests {
		got, err := batchCommandLine(`C:\Windows\System32\cmd.exe`, `C:\Program Files\nodejs\npx.cmd`, []string{"-y", test.arg})
		want := `"C:\Windows\System32\cmd.exe" /e:ON /v:OFF /d /c ""C:\Program Files\nodejs\npx.cmd" -y ` + test.want + `"`
		if err != nil || got != want {
			t.Errorf("%q:\n got %s, %v\nwant %s", test.arg, got, err, want)
		}
	}
	for _, arg := range []string{"a\nb", "a\rb", "a\x00b"} {
		if got, err := batchCommandLine("cmd.exe", "x.cmd", []string{arg}); err == nil {
			t.Errorf("%q: %s", arg, got)
		}
	}
	for _, script := range []string{`a".cmd`, `%x%.cmd`, `a\`} {
		if got, err := batchCommandLine("cmd.exe", script, nil); err == nil {
			t.Errorf("script %q: %s", script, got)
		}
	}
	for path, want := range map[string]bool{`x\npx.CMD`: true, `x.bat. `: true, `x.exe`: false, `cmd`: false} {
		if isBatch(path) != want {
			t.Errorf("isBatch(%q) is not %v", path, want)
		}
	}
}
