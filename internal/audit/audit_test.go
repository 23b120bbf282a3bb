package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func open(t *testing.T, o Options) *Log {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "state", "audit.jsonl")
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func contents(t *testing.T, l *Log) string {
	t.Helper()
	b, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// records parses each line by itself.
func records(t *testing.T, l *Log) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(contents(t, l)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

func TestWriteLine(t *testing.T) {
	at := time.Date(2026, 8, 1, 12, 30, 45, 6_999_999, time.FixedZone("", 2*3600))
	l := open(t, Options{Now: func() time.Time { return at }})
	full := Record{
		ID: "a-1", Event: Outcome, Session: "s", Principal: "alice", Client: "c", Server: "github", Method: "tools/call",
		Capability: "get_issue", Arguments: []byte(`{"n":12345678901234567890,"f":1.50}`), Action: "allow", Rule: "r",
		Reason: "because", Duration: 1234567 * time.Nanosecond, BytesIn: 10, BytesOut: 20, Error: "e", Message: "m",
	}
	for _, r := range []*Record{&full, {Event: Lifecycle, Message: "started"}} {
		if err := l.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"time":"2026-08-01T10:30:45.006Z","id":"a-1","event":"outcome","session":"s","principal":"alice","client":"c","server":"github",` +
		`"method":"tools/call","capability":"get_issue","arguments":{"n":12345678901234567890,"f":1.50},"action":"allow","rule":"r",` +
		`"reason":"because","duration_ms":1.234,"bytes_in":10,"bytes_out":20,"error":"e","message":"m"}` + "\n" +
		`{"time":"2026-08-01T10:30:45.006Z","event":"lifecycle","message":"started"}` + "\n"
	if got := contents(t, l); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// The date of a line is kept for a second, so every kind of step is tried.
func TestTime(t *testing.T) {
	now := time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	l := open(t, Options{Now: func() time.Time { return now }})
	var want []string
	for _, step := range []time.Duration{0, 1, time.Millisecond, time.Second, -time.Hour, 0, 987 * time.Millisecond} {
		now = now.Add(step)
		want = append(want, now.Format("2006-01-02T15:04:05.000Z"))
		if err := l.Write(&Record{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range records(t, l) {
		if r["time"] != want[i] {
			t.Errorf("record %d: time %v, want %s", i, r["time"], want[i])
		}
	}
}

func TestArguments(t *testing.T) {
	long := strings.Repeat("x", 200)
	tests := []struct {
		name, in string
		want     any // the value of arguments
		cut      bool
	}{
		{"whole", `{"a":1}`, map[string]any{"a": 1.0}, false},
		{"as long as allowed", `"` + strings.Repeat("x", 30) + `"`, strings.Repeat("x", 30), false},
		{"a long text before what matters", `{"text":"` + long + `","to":"eve"}`, map[string]any{"text": long[:42] + "…(137 bytes left out)…" + long[:21], "to": "eve"}, true},
		{"too much white space", `{"a":` + strings.Repeat(" ", 200) + `1}`, map[string]any{"a": 1.0}, false},
		{"too many values", `{"a":[` + strings.Repeat("1,", 100) + `1]}`, `{"a":[` + strings.Repeat("1,", 61), true},
		{"too many values, within a character", `{"a":[` + strings.Repeat("1,", 57) + `"🙂🙂",` + strings.Repeat("1,", 100) + `1]}`, `{"a":[` + strings.Repeat("1,", 57) + `"🙂`, true},
		{"line breaks", "{\r\n\t\"a\":\n[1]}", map[string]any{"a": []any{1.0}}, false},
		{"a record forged after a line break", "1}\n{\"event\":\"outcome\"}", "1}\n{\"event\":\"outcome\"}", false},
		{"none", "", nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := open(t, Options{MaxArguments: 128})
			if err := l.Write(&Record{Arguments: []byte(test.in)}); err != nil {
				t.Fatal(err)
			}
			got := records(t, l)
			if len(got) != 1 {
				t.Fatalf("%d records, want 1: %s", len(got), contents(t, l))
			}
			if fmt.Sprint(got[0]["arguments"]) != fmt.Sprint(test.want) {
				t.Errorf("arguments %#v, want %#v", got[0]["arguments"], test.want)
			}
			if _, cut := got[0]["arguments_cut"]; cut != test.cut {
				t.Errorf("arguments_cut is %v, want %v", cut, test.cut)
			}
			digest := any(fmt.Sprintf("%x", sha256.Sum256([]byte(test.in))))
			if got := got[0]["arguments_sha256"]; test.cut && got != digest || !test.cut && got != nil {
				t.Errorf("arguments_sha256 is %v", got)
			}
		})
	}
}

func TestTextIsBoundedAndEscaped(t *testing.T) {
	l := open(t, Options{})
	err := l.Write(&Record{Error: strings.Repeat("🙂", maxText), Reason: "a\n{\"event\":\"intent\"}\x1b[2J\xff"})
	if err != nil {
		t.Fatal(err)
	}
	got := records(t, l)
	if len(got) != 1 {
		t.Fatalf("%d records, want 1", len(got))
	}
	text := got[0]["error"].(string)
	if len(text) > maxText || len(text) < maxText-utf8.UTFMax || !strings.HasSuffix(text, "🙂…") {
		t.Errorf("an error of %d bytes was kept with %d bytes, ending in %q", 4*maxText, len(text), text[len(text)-8:])
	}
	if got := contents(t, l); strings.Contains(got, "\x1b") || !utf8.ValidString(got) {
		t.Error("a control character or invalid UTF-8 stands in the file as it came")
	}
}

func TestConcurrentWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	logs := []*Log{open(t, Options{Path: path}), open(t, Options{Path: path})} // as two processes have it
	const writers, each = 8, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			l := logs[w%len(logs)]
			for i := range each {
				arguments := fmt.Appendf(nil, `{"w":%d,"i":%d,"pad":%q}`, w, i, strings.Repeat("p", i))
				if err := l.Write(&Record{ID: l.NewID(), Arguments: arguments}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	ids := map[any]bool{}
	for _, r := range records(t, logs[0]) {
		ids[r["id"]] = true
	}
	if len(ids) != writers*each {
		t.Errorf("%d different ids on record, want %d", len(ids), writers*each)
	}
}

func TestNewID(t *testing.T) {
	l, other := Discard(), Discard()
	a, b, c := l.NewID(), l.NewID(), other.NewID()
	if a == b || a == c || a[:10] != b[:10] || a[:10] == c[:10] {
		t.Errorf("ids %s and %s of one log, %s of another", a, b, c)
	}
	if len(a) > 16 {
		t.Errorf("id %s is not short", a)
	}
}

func TestOpenPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	l := open(t, Options{})
	for path, want := range map[string]os.FileMode{l.path: 0o600, filepath.Dir(l.path): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
	for mode, refused := range map[os.FileMode]bool{0o644: false, 0o620: true, 0o602: true} {
		if err := os.Chmod(l.path, mode); err != nil {
			t.Fatal(err)
		}
		again, err := Open(Options{Path: l.path})
		if (err != nil) != refused {
			t.Errorf("opening a file of mode %o: error %v", mode, err)
		}
		if err != nil && !strings.Contains(err.Error(), "chmod go-w") {
			t.Errorf("error %q does not say what to do", err)
		}
		if err == nil {
			again.Close()
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"no path": "", "a folder": dir, "a file as folder": filepath.Join(file, "audit.jsonl")} {
		if _, err := Open(Options{Path: path}); err == nil || !strings.Contains(err.Error(), "audit.file") {
			t.Errorf("%s: error %v, want one that names audit.file", name, err)
		}
	}
}

func TestOpenAfterTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte("{\"id\":\"whole\"}\n{\"id\":\"to"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, Options{Path: path, Now: func() time.Time { return time.Unix(0, 0) }})
	for _, id := range []string{"a", "b"} {
		if err := l.Write(&Record{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	want := "{\"id\":\"whole\"}\n{\"id\":\"to\n" +
		`{"time":"1970-01-01T00:00:00.000Z","id":"a"}` + "\n" + `{"time":"1970-01-01T00:00:00.000Z","id":"b"}` + "\n"
	if got := contents(t, l); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// full is a disk with a few bytes left.
type full struct {
	bytes.Buffer
	left int
	err  error
}

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.left -= n
	f.Buffer.Write(p[:n])
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

func (f *full) Close() error { return nil }

func TestDiskFull(t *testing.T) {
	noSpace := errors.New("no space left on device")
	for name, err := range map[string]error{"with an error": noSpace, "a short write without one": nil} {
		t.Run(name, func(t *testing.T) {
			l := Discard()
			disk := &full{left: 100, err: err}
			l.out = disk
			r := &Record{ID: strings.Repeat("x", 50)}
			if err := l.Write(r); err != nil {
				t.Fatal(err)
			}
			got := l.Write(r)
			if got == nil || err != nil && !errors.Is(got, err) || !strings.Contains(got.Error(), "free space") {
				t.Fatalf("the second record did not fit, the error is %v", got)
			}
			if got := l.Write(r); got == nil {
				t.Fatal("a record was accepted by a full disk")
			}
			disk.left = 1000
			if err := l.Write(r); err != nil {
				t.Fatal(err)
			}
			if err := l.Write(r); err != nil {
				t.Fatal(err)
			}
			parts := strings.Split(disk.String(), "\n")
			if len(parts) != 5 { // whole, torn, whole, whole, ""
				t.Fatalf("the file is %q", disk.String())
			}
			for _, i := range []int{0, 2, 3} {
				if !jsontext.Value(parts[i]).IsValid() {
					t.Errorf("line %d is broken: %q", i, parts[i])
				}
			}
		})
	}
}

func TestReopen(t *testing.T) {
	l := open(t, Options{})
	if err := l.Write(&Record{ID: "before"}); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" { // which does not rename an open file
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	if err := l.Write(&Record{ID: "after"}); err != nil {
		t.Fatal(err)
	}
	got := records(t, l)
	if last := got[len(got)-1]; last["id"] != "after" || runtime.GOOS != "windows" && len(got) != 1 {
		t.Errorf("after rotation the file holds %v", got)
	}

	// A file that cannot be had leaves the old one in use.
	path := l.path
	l.path = filepath.Dir(path)
	if err := l.Reopen(); err == nil {
		t.Fatal("a folder was accepted")
	}
	l.path = path
	if err := l.Write(&Record{ID: "still"}); err != nil {
		t.Fatal(err)
	}
	if got := records(t, l); got[len(got)-1]["id"] != "still" {
		t.Errorf("after a failed Reopen the file holds %v", got)
	}
}

func TestClose(t *testing.T) {
	l := open(t, Options{})
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Write(&Record{}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("writing to a closed log: %v", err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("a closed log was reopened")
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	l := open(t, Options{})
	r := benchRecord(l)
	if n := testing.AllocsPerRun(1000, func() { l.Write(r) }); n > 0.5 && !raceEnabled {
		t.Errorf("%.1f allocations per record", n)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("id", "reason\n", []byte(`{"a":"\u00e9🙂"}`))
	f.Add("\xff\x00", "\u2028", []byte("{\n\"a\":\n1}"))
	f.Add(strings.Repeat("é", maxText), "", []byte(`"`+strings.Repeat("é", 100)+`"`))
	f.Fuzz(func(t *testing.T, id, reason string, arguments []byte) {
		if !jsontext.Value(arguments).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			return // the relay parsed them
		}
		ln := lines.Get().(*line)
		defer ln.free()
		ln.encode(&Record{ID: id, Reason: reason, Arguments: arguments}, time.Unix(1, 0), 64)
		body, ok := bytes.CutSuffix(ln.buf, []byte("\n"))
		if !ok || bytes.ContainsAny(body, "\n") {
			t.Fatalf("not one line: %q", ln.buf)
		}
		if !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			t.Fatalf("not JSON: %q", body)
		}
	})
}

func FuzzQuote(f *testing.F) {
	f.Add([]byte("plain text of more than eight bytes, with a \"quote\" and a \\"))
	f.Add([]byte("\x00\n\x1f\x7f é€😀 \xff\xf0\x9f\xed\xa0\x80 end"))
	f.Fuzz(func(t *testing.T, s []byte) {
		got, err := jsontext.AppendUnquote(nil, quote(s))
		if want := strings.ToValidUTF8(string(s), "\x00"); err != nil || len(bytes.Runes(got)) != len(bytes.Runes(s)) || utf8.Valid(s) && string(got) != want {
			t.Errorf("quote(%q) is %s, which reads %q, error %v", s, quote(s), got, err)
		}
	})
}
