package upstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestStdioRoundTrip(t *testing.T) {
	r := newRecorder()
	c := mustOpen(t, childOptions(r, "echo"))
	sizes := []int{2, 64, 16 << 10, 65 << 10, 1 << 20, 5 << 20, 1}
	for i, n := range sizes {
		params := `{"n":"` + strings.Repeat("é", n/2) + `"}`
		if err := c.Send(context.Background(), request(int64(i+1), params)); err != nil {
			t.Fatal(err)
		}
		r.awaitMessages(t, i+1)
		if want := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%s}`, i+1, params); r.messages[i] != want {
			t.Fatalf("message of %d bytes: got %d bytes %.100q", n, len(r.messages[i]), r.messages[i])
		}
	}
	c.Close()
	if err := r.awaitClosed(t); err != nil {
		t.Errorf("Closed after Close: %v", err)
	}
	if err := c.Send(context.Background(), request(9, "{}")); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
	if r.late {
		t.Error("an event came after Closed")
	}
}

// A message of which nothing was written says so.
func TestStdioNotSent(t *testing.T) {
	r := newRecorder()
	c := mustOpen(t, childOptions(r, "closed"))
	r.awaitMessages(t, 1)
	if err := c.Send(context.Background(), request(1, "{}")); !errors.Is(err, ErrNotSent) || !errors.Is(err, ErrClosed) {
		t.Errorf("Send to a pipe that nobody reads: %v", err)
	}
	c = mustOpen(t, childOptions(newRecorder(), "deaf"))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := c.Send(ctx, request(1, `"`+strings.Repeat("x", 1<<20)+`"`)); err == nil || errors.Is(err, ErrNotSent) {
		t.Errorf("Send of a message that was cut in two: %v", err)
	}
}

func TestStdioSendRefusesLineEnds(t *testing.T) {
	c := mustOpen(t, childOptions(newRecorder(), "echo"))
	if err := c.Send(context.Background(), Outgoing{Raw: []byte("{}\n{}")}); err == nil {
		t.Error("a message with a line end was sent")
	}
}

func TestStdioInput(t *testing.T) {
	const note = `{"jsonrpc":"2.0","method":"n"}`
	tests := []struct {
		name, output string
		messages     []string
		malformed    []string
		logged       []string
	}{
		{"plain", note + "\n" + note + "\n", []string{note, note}, nil, nil},
		{"no newline at the end", note + "\n" + note, []string{note, note}, nil, nil},
		{"CRLF and empty lines", "\r\n\n" + note + "\r\n  \n" + note + "\r\n", []string{note, note}, nil, nil},
		{"byte order mark", "\ufeff" + note + "\n", []string{note}, nil, nil},
		{"junk", "ready, hunter22\n[INFO] up\n" + note + "\nbye\n", []string{note}, nil, []string{"ready, [masked]", "[INFO] up", "bye"}},
		{"batch", "[" + note + "]\n" + note + "\n", []string{note}, []string{"batches"}, nil},
		{"broken", `{"jsonrpc":"2.0","id":3,"result":` + "\n" + note + "\n", []string{note}, []string{"id 3"}, nil},
		{"duplicate name", `{"jsonrpc":"2.0","result":1,"result":2,"id":"a"}` + "\n", nil, []string{`id "a"`}, nil},
		{"lone surrogate", `{"jsonrpc":"2.0","id":1,"result":"\ud83d"}` + "\n", []string{`{"jsonrpc":"2.0","id":1,"result":"\ufffd"}`}, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRecorder()
			mustOpen(t, childOptions(r, "print:"+strconv.Quote(test.output)))
			if err := r.awaitClosed(t); err == nil || !strings.Contains(err.Error(), "exited with status 0") {
				t.Errorf("Closed: %v", err)
			}
			if fmt.Sprint(r.messages) != fmt.Sprint(test.messages) {
				t.Errorf("messages %q, want %q", r.messages, test.messages)
			}
			if len(r.malformed) != len(test.malformed) {
				t.Fatalf("malformed: %v", r.malformed)
			}
			for i, want := range test.malformed {
				if got := fmt.Sprintf("%v id %s", r.malformed[i], r.malformed[i].ID); !strings.Contains(got, want) {
					t.Errorf("malformed %q, want %q", got, want)
				}
			}
			for _, want := range test.logged {
				if !strings.Contains(r.log(), want) {
					t.Errorf("log %s lacks %q", r.log(), want)
				}
			}
			if strings.Contains(r.log(), "hunter22") {
				t.Error("a secret was logged")
			}
		})
	}
}

func TestStdioTooLarge(t *testing.T) {
	r := newRecorder()
	o := childOptions(r, "large:"+strconv.Itoa(100<<20))
	o.MaxMessage = 1 << 20
	mustOpen(t, o)
	r.awaitMessages(t, 1)
	if len(r.malformed) != 1 || string(r.malformed[0].ID) != "7" || !strings.Contains(r.malformed[0].Reason, "above the limit of 1048576") {
		t.Errorf("malformed: %+v", r.malformed)
	}
	if !strings.Contains(r.messages[0], "after") {
		t.Errorf("messages: %.200q", r.messages)
	}
}

func TestStdioFlood(t *testing.T) {
	const n = 20_000
	r := newRecorder()
	mustOpen(t, childOptions(r, "flood:"+strconv.Itoa(n)))
	r.awaitClosed(t)
	if len(r.messages) != n || r.late {
		t.Fatalf("%d messages of %d; event after Closed: %v", len(r.messages), n, r.late)
	}
	for i, m := range r.messages {
		if m != fmt.Sprintf(`{"jsonrpc":"2.0","method":"n","params":{"i":%d}}`, i) {
			t.Fatalf("message %d is %s", i, m)
		}
	}
}

func TestStdioJunkIsLimited(t *testing.T) {
	r := newRecorder()
	mustOpen(t, childOptions(r, "print:"+strconv.Quote(strings.Repeat("junk\n", 5000))))
	r.awaitClosed(t)
	if n := strings.Count(r.log(), "junk"); n < 5 || n > 30 {
		t.Errorf("%d of 5000 lines of junk were logged", n)
	}
}

func TestStdioDeath(t *testing.T) {
	tests := []struct{ role, want string }{
		{"die:3", "the server exited with status 3 after "},
		{"die:signal", "the server was ended by signal 9 (killed) after "},
		{"mute:", "the server closed its standard output"},
	}
	for _, test := range tests {
		t.Run(test.role, func(t *testing.T) {
			t.Parallel()
			r := newRecorder()
			c := mustOpen(t, childOptions(r, test.role))
			err := r.awaitClosed(t)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("Closed: %v", err)
			}
			if strings.HasPrefix(test.role, "die") && !strings.HasSuffix(err.Error(), `; its last words: "loading / fatal: the password [masked] is wrong"`) {
				t.Errorf("Closed: %v", err)
			}
			if err := c.Send(context.Background(), request(1, "{}")); !errors.Is(err, ErrClosed) {
				t.Errorf("Send: %v", err)
			}
		})
	}
}

func TestStdioStderr(t *testing.T) {
	r := newRecorder()
	c := mustOpen(t, childOptions(r, "chatty"))
	if err := c.Send(context.Background(), request(1, "{}")); err != nil {
		t.Fatal(err)
	}
	r.awaitMessages(t, 1)
	c.Close()
	r.await(t, "note on the long line", func() bool { return strings.Contains(r.logged.String(), "the line has 163840 bytes") })
	log := r.log()
	if strings.Contains(log, "hunter") || !strings.Contains(log, `"stream":"stderr"`) {
		t.Errorf("log: %.2000s", log)
	}
}

// A log that does not get on holds up neither the server nor Close.
func TestStdioStuckLog(t *testing.T) {
	r := newRecorder()
	o := childOptions(r, "chatty")
	stuck := make(chan struct{})
	defer close(stuck)
	o.Log = o.Log.Output(writerFunc(func(p []byte) (int, error) { <-stuck; return len(p), nil }))
	c := mustOpen(t, o)
	if err := c.Send(context.Background(), request(1, "{}")); err != nil {
		t.Fatal(err)
	}
	r.awaitMessages(t, 1)
	c.Close()
	if err := r.awaitClosed(t); err != nil {
		t.Error(err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestStdioServerThatDoesNotRead(t *testing.T) {
	r := newRecorder()
	c := mustOpen(t, childOptions(r, "deaf"))
	r.awaitMessages(t, 1)
	fill := request(1, `"`+strings.Repeat("x", 100_000)+`"`)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := c.Send(ctx, fill); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	err := r.awaitClosed(t)
	if err == nil || !strings.Contains(err.Error(), "did not read its input") {
		t.Errorf("Closed: %v", err)
	}
}

// A message of which nothing was written harms nobody.
func TestStdioFullPipe(t *testing.T) {
	r := newRecorder()
	c := mustOpen(t, childOptions(r, "deaf"))
	r.awaitMessages(t, 1)
	small := request(1, `"`+strings.Repeat("x", 1000)+`"`) // written whole or not at all
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		var err error
		for err == nil {
			err = c.Send(ctx, small)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	c.Close()
	if err := r.awaitClosed(t); err != nil {
		t.Errorf("Closed: %v", err)
	}
}

// One writer that waits does not hold another longer than that one wants, nor Close.
func TestStdioWaitingWriters(t *testing.T) {
	r := newRecorder()
	c := mustOpen(t, childOptions(r, "deaf"))
	r.awaitMessages(t, 1)
	first := make(chan error, 1)
	go func() { first <- c.Send(context.Background(), request(1, `"`+strings.Repeat("x", 1<<20)+`"`)) }()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	for {
		if err := c.Send(ctx, request(2, "{}")); err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("second writer: %v", err)
			}
			break
		}
	}
	select {
	case err := <-first:
		t.Fatalf("first writer: %v", err)
	default:
	}
	c.Close()
	if err := <-first; !errors.Is(err, ErrClosed) {
		t.Errorf("first writer after Close: %v", err)
	}
	if err := r.awaitClosed(t); err != nil {
		t.Errorf("Closed: %v", err)
	}
}

func TestStdioEnvironment(t *testing.T) {
	r := newRecorder()
	o := childOptions(r, "describe", "one", "two words", `"quoted"`, "")
	o.Dir = t.TempDir()
	mustOpen(t, o)
	r.awaitMessages(t, 1)
	dir, err := filepath.EvalSymlinks(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{strconv.Quote(dir), `"one|two words|\"quoted\"|"`, `"` + strings.Join(o.Env, "|") + `"`} {
		if !strings.Contains(r.messages[0], want) {
			t.Errorf("%s lacks %s", r.messages[0], want)
		}
	}
}

func TestStdioCannotStart(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "text"), []byte("no program"), 0o600)
	os.WriteFile(filepath.Join(dir, "broken"), []byte("no program"), 0o700)
	tests := []struct {
		name, command, path, dir, want string
	}{
		{"not found", "no-such-server", dir, "", `"no-such-server" was not found in the PATH of the server's environment`},
		{"no PATH", "sh", "", "", "has no PATH"},
		{"relative PATH entry", "text", ".", dir, "was not found"},
		{"not executable", "text", dir, "", "permission denied"},
		{"no such path", "./nothing", dir, dir, "no such file"},
		{"directory", dir, "", "", "is a directory"},
		{"no program", "./broken", dir, dir, "exec format error"},
		{"no such working directory", "text", dir, dir + "/x", "working directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRecorder()
			o := childOptions(r, "")
			o.Command, o.Dir, o.Env = test.command, test.dir, nil
			if test.path != "" {
				o.Env = []string{"PATH=" + test.path}
			}
			_, err := Open(context.Background(), o)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open: %v", err)
			}
		})
	}
}

func TestOpenOptions(t *testing.T) {
	for _, o := range []Options{{}, {Command: "x", URL: "http://localhost"}} {
		if _, err := Open(context.Background(), o); err == nil {
			t.Errorf("Open(%+v) succeeded", o)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(ctx, childOptions(newRecorder(), "echo")); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that has ended: %v", err)
	}
}
