package inspect

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// tree makes a folder with these in it and gives its real location:
//
//	root/file.txt  root/sub/deep/x.md  root/.git/config  root/sub/.env
//	root/in -> sub/deep   root/out -> ../other   root/outfile -> ../other/secret.key
//	root/dangling -> ../other/new   root/loop -> loop   root/abs -> (other, absolute)
//	root/chain -> in      other/secret.key   other/back -> ../root   folder -> root
func tree(t testing.TB) string {
	if onWindows {
		t.Skip("symbolic links need a privilege on Windows")
	}
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root/file.txt", "root/sub/deep/x.md", "root/.git/config", "root/sub/.env", "other/secret.key"} {
		name = filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range [][2]string{{"sub/deep", "root/in"}, {"../other", "root/out"}, {"../other/secret.key", "root/outfile"}, {"../other/new", "root/dangling"}, {"loop", "root/loop"}, {top + "/other", "root/abs"}, {"in", "root/chain"}, {"../root", "other/back"}, {"root", "folder"}} {
		if err := os.Symlink(link[0], filepath.Join(top, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

func TestParsePath(t *testing.T) {
	top := tree(t)
	for _, test := range []struct{ in, abs, ext, flags, within string }{ // flags: h(idden), s(ymlink), e(xists); within root
		{"file.txt", "root/file.txt", ".txt", "e", "true"},
		{"./file.txt", "root/file.txt", ".txt", "e", "true"},
		{"sub//deep/./x.md", "root/sub/deep/x.md", ".md", "e", "true"},
		{"sub/../file.txt", "root/file.txt", ".txt", "e", "true"},
		{"sub/", "root/sub", "", "e", "true"},
		{".", "root", "", "e", "true"},
		{"new/file.PDF", "root/new/file.PDF", ".pdf", "", "true"},
		{"new/../file.txt", "root/file.txt", ".txt", "e", "true"},
		{"new/../../other/x", "other/x", "", "", "false"},
		{"..", "", "", "e", "false"},
		{"../root/file.txt", "root/file.txt", ".txt", "e", "true"},
		{"../other/secret.key", "other/secret.key", ".key", "e", "false"},
		{"sub/../../other", "other", "", "e", "false"},
		{"../root2/x", "root2/x", "", "", "false"},
		{".git/config", "root/.git/config", "", "he", "true"},
		{"sub/.env", "root/sub/.env", "", "he", "true"},
		{"archive.tar.GZ", "root/archive.tar.GZ", ".gz", "", "true"},
		{"100% sure.txt", "root/100% sure.txt", ".txt", "", "true"},
		{"a$b/[slug].tsx", "root/a$b/[slug].tsx", ".tsx", "", "true"},
		{"backup~", "root/backup~", "", "", "true"},
		{"notes.txt.~1~", "root/notes.txt.~1~", ".~1~", "", "true"},
		{"Bildschirmfoto um 10.00.00\u202fAM.png", "root/Bildschirmfoto um 10.00.00\u202fAM.png", ".png", "", "true"},
		{"résumé/re\u0301sume\u0301", "root/résumé/re\u0301sume\u0301", "", "", "true"},
		{"...x", "root/...x", ".x", "h", "true"},
		{"conn/auxiliary/com10", "root/conn/auxiliary/com10", "", "", "true"},

		// Links.
		{"in/x.md", "root/sub/deep/x.md", ".md", "se", "true"},
		{"chain/x.md", "root/sub/deep/x.md", ".md", "se", "true"},
		{"chain/new.md", "root/sub/deep/new.md", ".md", "s", "true"},
		{"out/secret.key", "other/secret.key", ".key", "se", "false"},
		{"out/new", "other/new", "", "s", "false"},
		{"abs/secret.key", "other/secret.key", ".key", "se", "false"},
		{"out/back/file.txt", "root/file.txt", ".txt", "se", "true"},
		{"in", "root/sub/deep", "", "se", "true"},
		{"in/../deep", "", "", "", "error"}, // root/sub/deep, or root/deep
		{"out/../root/file.txt", "", "", "", "error"},
		{"out", "other", "", "se", "error"}, // the link is inside, the target is not
		{"out/.", "other", "", "se", "error"},
		{"outfile", "other/secret.key", ".key", "se", "error"},
		{"dangling", "other/new", "", "s", "error"},
		{"loop", "", "", "", "error"},
		{"loop/x", "", "", "", "error"},
		{"file.txt/x", "", "", "", "error"},
		{"file.txt/../x", "", "", "", "error"},

		// Absolute.
		{top + "/root/file.txt", "root/file.txt", ".txt", "e", "true"},
		{top + "/folder/file.txt", "root/file.txt", ".txt", "se", "true"},
		{top + "/root/.git/config", "root/.git/config", "", "he", "true"},
		{top + "/other/../root/x", "root/x", "", "", "true"},
		{"file://" + top + "/root/file.txt", "root/file.txt", ".txt", "e", "true"},
		{"file://" + top + "/root/a%20b", "root/a b", "", "", "true"},

		// Only another spelling of the folder.
		{"../ROOT/x", "ROOT/x", "", "", "error"},
		{"../Root", "Root", "", "", "error"},
		{"../ｒｏｏｔ/x", "ｒｏｏｔ/x", "", "", "error"},
		{"../rootſ/x", "rootſ/x", "", "", "false"},
	} {
		within := "error"
		p, err := ParsePath(test.in, top+"/root")
		if err == nil {
			within = answer(p.Within(top + "/root"))
		}
		if within != test.within {
			t.Errorf("%s: within is %s, want %s (%v)", test.in, within, test.within, err)
		}
		if p == nil {
			continue
		}
		got := ""
		for i, on := range []bool{p.Hidden, p.HasSymlink, p.Exists} {
			if on {
				got += "hse"[i : i+1]
			}
		}
		if want := filepath.Join(top, test.abs); p.Abs != want || p.Ext != test.ext || got != test.flags {
			t.Errorf("%s: got %s, %q, %q; want %s, %q, %q", test.in, p.Abs, p.Ext, got, want, test.ext, test.flags)
		}
		if p.Dir+"/"+p.Base != p.Abs {
			t.Errorf("%s: %q and %q are not %q", test.in, p.Dir, p.Base, p.Abs)
		}
	}
}

func TestParsePathRefuses(t *testing.T) {
	top := tree(t)
	for _, s := range []string{
		"", " ", " /etc/passwd", "\t/etc/passwd", "/etc/passwd\n", "/etc/passwd\x00.txt", "/etc/passwd\x7f", "a\u0085b", "a\u2028b", "\xff", "a\u200db", ".g\u200cit/config", "\ufefffile", "a\u202etxt.exe", "\ufffd", "a\u3164",
		"~", "~/.ssh/id_rsa", "~root/.ssh", "～/x", "$HOME/.ssh", "${HOME}/.ssh", "%USERPROFILE%/x", "%2e%2e/x", "..%2f..%2fetc/passwd", "a%2fb", "%252e%252e%252f", "a/%00", "a%20b",
		`..\..\etc\passwd`, `a\b`, `\etc`, `\\server\share`, "//server/share", "//?/C:/x", `\\?\C:\x`, `\\.\pipe\x`, "C:", "C:/x", "C:x", `C:\x`, "c:/x", "file.txt:stream", "file.txt::$DATA", ".git::$INDEX_ALLOCATION/config", "a/b:c",
		"PROGRA~1/x", "progra~1", "GIT~1/config", "a/SECRE~12.KEY", "nul", "NUL.txt", "a/con", "aux.c", "com1", "COM9.log", "lpt1", "com¹", "conin$", "nul .txt", "prn/x",
		"file.txt.", "file.txt ", "dir./x", "dir /x", "a.../b", "...", ".. /x", ".../x", "a\u00a0", "a\u3000/b",
		"．．/x", "．/x", "‥/x", "．./x", "a／b", "a＼b", "a∕b", "a⁄b", "a∖b", "a⧵b", "a¥b", "a₩b", "C：/x", "a：b", "*", "a/*.txt", "a?", "a<b", "a>b", `a"b`, "a|b", "a＊", "a＂b",
		"file:/etc/passwd", "file:etc/passwd", "file://etc/passwd", "file://localhost/etc/passwd", "FILE:///a?b", "file:///a#b", "file:///a%2fb", "file:///a%5cb", "file:///%2e%2e/a", "file:///a%00", "file:///a%0a", "file:///a%", "file:///a%252f", "file:///%7e/x", "file:////server/share", `file:///a\b`, "file:///C:/x", "file:///%ff",
		strings.Repeat("a/", maxPath), strings.Repeat("a/", maxNames+1), strings.Repeat("a", 300),
	} {
		if p, err := ParsePath(s, top); err == nil {
			t.Errorf("%q was read as %s", s, p.Abs)
		} else if len(s) > 9 && strings.Contains(err.Error(), s) {
			t.Errorf("the error quotes the value: %v", err)
		}
	}
	if _, err := ParsePath("x", "relative"); err == nil {
		t.Error("a relative base was taken")
	}
	if runtime.GOOS == "linux" {
		for _, s := range []string{"/proc/self/environ", "/proc/self/root/etc", "/proc/thread-self/x", fmt.Sprintf("/proc/%d/root/etc/passwd", os.Getpid()), fmt.Sprintf("/proc/%d/cwd/x", os.Getpid()), "/dev/fd/0", "/dev/stdin"} {
			if p, err := ParsePath(s, ""); err == nil {
				t.Errorf("%s leads to %s", s, p.Abs)
			}
		}
	}
}

func TestParsePathWithoutBase(t *testing.T) {
	p, err := ParsePath("a/../.b/C.TXT", "")
	if err != nil {
		t.Fatal(err)
	}
	if p.Clean != ".b/C.TXT" || p.Abs != "" || p.Base != "C.TXT" || p.Dir != ".b" || p.Ext != ".txt" || !p.Hidden {
		t.Errorf("got %+v", p)
	}
	if got := answer(p.Within("/")); got != "error" {
		t.Errorf("within the root folder: %s", got)
	}
}

func TestPathWithin(t *testing.T) {
	top := tree(t)
	t.Setenv("HOME", top+"/root")
	for _, test := range []struct {
		path  string
		roots []any
		want  string
	}{
		{"file.txt", []any{top + "/root"}, "true"},
		{"file.txt", []any{top + "/root/"}, "true"},
		{"file.txt", []any{top + "/folder"}, "true"}, // a link to it
		{"file.txt", []any{top + "/other/back"}, "true"},
		{"file.txt", []any{"/"}, "true"},
		{"file.txt", []any{"."}, "true"},
		{"file.txt", []any{"sub"}, "false"},
		{"sub/x", []any{"in/.."}, "true"}, // as the file system goes: root/sub
		{"file.txt", []any{"~"}, "true"},
		{"sub/new", []any{"~/sub"}, "true"},
		{"file.txt", []any{"~/sub"}, "false"},
		{"file.txt", []any{top + "/roo"}, "false"},
		{"file.txt", []any{top + "/root/file.txt"}, "true"},
		{"file.txt", []any{top + "/root/file"}, "false"},
		{"file.txt", []any{top + "/nothing"}, "false"},
		{"new/a", []any{top + "/root/new"}, "true"},
		{"new/a", []any{top + "/root/NEW"}, "error"},
		{"new/a", []any{top + "/root/NEW", top + "/root"}, "true"},
		{"file.txt", []any{[]any{top + "/other", top + "/root"}}, "true"},
		{"out", []any{top + "/other", top + "/root"}, "true"}, // link and target are both inside
		{"out", []any{top + "/other"}, "error"},
		{"out/secret.key", []any{top + "/root"}, "false"},
		{"file.txt", nil, "false"},
		{"file.txt", []any{""}, "error"},
		{"file.txt", []any{"\x00"}, "error"},
		{"file.txt", []any{"loop"}, "error"},
		{"file.txt", []any{5}, "error"},
	} {
		p, err := ParsePath(test.path, top+"/root")
		if err != nil {
			t.Fatal(err)
		}
		if got := answer(p.Within(test.roots...)); got != test.want {
			t.Errorf("%s within %v: got %s, want %s", test.path, test.roots, got, test.want)
		}
	}
}

// What lies above the base is not the agent's choice.
func TestPathBaseBelowHiddenFolder(t *testing.T) {
	top := tree(t)
	base := top + "/.hidden/link"
	if err := os.MkdirAll(filepath.Dir(base), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(top+"/root/.git", base); err != nil {
		t.Fatal(err)
	}
	if p, err := ParsePath("../x", base); err == nil {
		t.Errorf(".. behind a linked base leads to %s", p.Abs)
	}
	for path, want := range map[string]bool{"config": false, base + "/config": false, ".x": true} {
		p, err := ParsePath(path, base)
		if err != nil {
			t.Fatal(err)
		}
		if p.Hidden != want || path == "config" && p.HasSymlink {
			t.Errorf("%s: hidden is %v, symlink %v", path, p.Hidden, p.HasSymlink)
		}
	}
}

// Another case is another folder on one file system and the same on the next.
func TestPathWithinOtherCase(t *testing.T) {
	top := tree(t)
	want := unsure
	if info, err := os.Stat(top + "/ROOT"); err == nil && info.IsDir() {
		want = inside
	}
	if got := sideOf(top+"/ROOT/file.txt", top+"/root"); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A path that is taken leads to one place for a kernel, for a program that
// shortens it first, and here; what is said to be within a folder is.
func FuzzParsePath(f *testing.F) {
	top := tree(f)
	root := top + "/root"
	for _, s := range []string{"file.txt", "in/../deep/x.md", "out/back/file.txt", "../other", "sub/../../root/in/x.md", "abs/new/..", top + "/folder/chain/x.md", "file://" + root + "/a%20b", "chain/./../x", "out/../root/in"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkPath(t, s, root) })
}

func TestPathsOfPieces(t *testing.T) {
	top := tree(t)
	pieces := []string{"..", "..", "in", "out", "chain", "abs", "back", "sub", "deep", "root", "other", "dangling", "loop", "file.txt", "new", ".", "", ".git", "x.md", "folder", "ROOT"}
	taken := 0
	for seed := range uint64(5_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := ""
		if seed%3 == 0 {
			s = top + "/"
		}
		for i := range 1 + r.IntN(7) {
			if i > 0 {
				s += "/"
			}
			s += pieces[r.IntN(len(pieces))]
		}
		if checkPath(t, s, top+"/root") {
			taken++
		}
	}
	if taken < 500 {
		t.Errorf("only %d were taken", taken)
	}
}

// checkPath tells whether s is taken, and fails if it leads elsewhere for
// others.
func checkPath(t *testing.T, s, root string) bool {
	p, err := ParsePath(s, root)
	if err != nil {
		return false
	}
	within, unclear := p.Within(root)
	for _, reading := range readings(s, root) {
		real, err := filepath.EvalSymlinks(reading)
		if err != nil {
			if p.Exists && os.IsNotExist(err) && !strings.Contains(s, "..") {
				t.Fatalf("%q: %q does not exist", s, reading)
			}
			continue
		}
		if real != p.Abs {
			t.Fatalf("%q leads to %q for some, to %q here", s, real, p.Abs)
		}
		if in := real == root || strings.HasPrefix(real, root+"/"); within != in && unclear == nil {
			t.Fatalf("%q: within is %v, and it leads to %q", s, within, real)
		}
	}
	if unclear == nil && within != (p.Abs == root || strings.HasPrefix(p.Abs, root+"/")) {
		t.Fatalf("%q: within is %v at %q", s, within, p.Abs)
	}
	// Below the deepest folder that exists nothing can be a link.
	for dir := p.Abs; ; dir = filepath.Dir(dir) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			if real != dir {
				t.Fatalf("%q: %q still has a link", s, dir)
			}
			break
		}
	}
	return true
}

// readings are those of a kernel and of a program that shortens first.
func readings(s, base string) []string {
	if rest, ok := strings.CutPrefix(strings.ToLower(s[:min(7, len(s))])+s[min(7, len(s)):], "file://"); ok {
		s = strings.ReplaceAll(rest, "%20", " ")
		if strings.Contains(s, "%") {
			return nil
		}
	}
	if !filepath.IsAbs(s) {
		s = base + "/" + s
	}
	return []string{s, filepath.Clean(s)}
}
