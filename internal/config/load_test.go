package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const minimal = "version: 1\n"

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	dir := home(t)
	path := write(t, filepath.Join(dir, "f.yaml"), minimal)
	cfg, err := Load(path)
	if err != nil || cfg.Path != path {
		t.Fatalf("Load: %+v, %v", cfg, err)
	}

	t.Chdir(dir)
	if cfg, err := Load("f.yaml"); err != nil || cfg.Path != path {
		t.Errorf("Load of a relative path: %+v, %v", cfg, err)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of nothing: %v", err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("Load of a folder: %v", err)
	}
	write(t, path, "version: 1\n#"+strings.Repeat("x", maxFile))
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("Load of a file that is too large: %v", err)
	}
	write(t, path, "versoin: 1\n")
	var problems Problems
	if _, err := Load("f.yaml"); !errors.As(err, &problems) || problems[0].File != "f.yaml" {
		t.Errorf("Load of a wrong file: %v", err)
	}
}

func TestFind(t *testing.T) {
	dir := home(t)
	flagged := write(t, filepath.Join(dir, "flag.yaml"), minimal)
	named := write(t, filepath.Join(dir, "env.yaml"), minimal)
	user, err := UserFile()
	if err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(dir, "work")
	local := filepath.Join(work, FileName)
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(work)

	find := func(flag, want string, wantErr error) {
		t.Helper()
		got, err := Find(flag)
		if got != want || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
			t.Errorf("Find(%q) = %q, %v, want %q, %v", flag, got, err, want, wantErr)
		}
		cfg, err := Open(flag)
		if !errors.Is(err, wantErr) || err == nil && cfg.Path != want {
			t.Errorf("Open(%q) = %+v, %v, want %q, %v", flag, cfg, err, want, wantErr)
		}
	}

	find("", "", ErrNotFound)
	write(t, local, minimal)
	find("", "", ErrNotTrusted)
	if err := Trust(FileName, ""); err != nil {
		t.Fatal(err)
	}
	find("", local, nil)
	write(t, local, minimal+"# changed\n")
	find("", "", ErrNotTrusted)
	if _, err := Find(""); err == nil || !strings.Contains(err.Error(), "changed since it was trusted") || !strings.Contains(err.Error(), "`mcpfirewall trust`") {
		t.Errorf("the message does not say what to do: %v", err)
	}
	find(FileName, local, nil) // whoever names it knows it

	write(t, user, minimal)
	find("", user, nil)
	t.Setenv("MCPFIREWALL_CONFIG", named)
	find("", named, nil)
	find(flagged, flagged, nil)
	find("../flag.yaml", flagged, nil)
	find(filepath.Join(dir, "none.yaml"), "", os.ErrNotExist)
	t.Setenv("MCPFIREWALL_CONFIG", filepath.Join(dir, "none.yaml"))
	find("", "", os.ErrNotExist) // and not the user's file instead
}

func TestTrust(t *testing.T) {
	dir := home(t)
	state := filepath.Join(dir, "elsewhere")
	path := write(t, filepath.Join(dir, "a", FileName), minimal)
	other := write(t, filepath.Join(dir, "b", FileName), minimal)

	trusted := func(path string, want bool) {
		t.Helper()
		got, err := Trusted(path, state)
		if err != nil || got != want {
			t.Errorf("Trusted(%q) = %v, %v, want %v", path, got, err, want)
		}
	}
	trusted(path, false)
	if err := Trust(path, state); err != nil {
		t.Fatal(err)
	}
	trusted(path, true)
	trusted(other, false) // the same content elsewhere
	if err := Trust(other, state); err != nil {
		t.Fatal(err)
	}
	trusted(path, true)
	trusted(other, true)
	write(t, path, minimal+"#\n")
	trusted(path, false)
	write(t, path, minimal)
	trusted(path, true)

	if ok, err := Trusted(path, ""); ok || err != nil {
		t.Errorf("trusted in another state folder too: %v, %v", ok, err)
	}
	if err := Trust(filepath.Join(dir, "none"), state); err == nil {
		t.Error("a file that does not exist is trusted")
	}

	record, err := TrustFile(state)
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(state, "*"))
	if err != nil || len(left) != 1 || left[0] != record {
		t.Errorf("the state folder holds %v (%v)", left, err)
	}
	for name, text := range map[string]string{
		"another version": `{"version":2,"files":{}}`,
		"no files":        `{"version":1,"files":null}`,
		"unknown member":  `{"version":1,"files":{},"all":true}`,
		"twice":           `{"version":1,"files":{},"files":{}}`,
		"not JSON":        `version: 1`,
	} {
		write(t, record, text)
		if ok, err := Trusted(path, state); ok || err == nil {
			t.Errorf("%s: Trusted = %v, %v", name, ok, err)
		}
		if err := Trust(path, state); err == nil {
			t.Errorf("%s: overwritten", name)
		}
	}
}

// TestWatch changes the file in all the ways that editors know.
func TestWatch(t *testing.T) {
	dir := home(t)
	path := write(t, filepath.Join(dir, FileName), minimal)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := make(chan string, 16)
	err := Watch(ctx, path, func() {
		data, _ := os.ReadFile(path)
		changes <- string(data)
	})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(what, want string) {
		t.Helper()
		select {
		case got := <-changes:
			if got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: nothing was noticed", what)
		}
	}

	write(t, path, "1")
	expect("written in place", "1")

	temp := write(t, filepath.Join(dir, "temp"), "2")
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
	expect("replaced", "2")

	// What does not change the content is not reported: the next report is
	// that of the write after all these.
	write(t, filepath.Join(dir, "audit.jsonl"), "x")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, "2")
	time.Sleep(2 * settle) // longer than a report would take; nothing happens that could be waited for
	write(t, path, "3")
	expect("removed and written", "3")

	cancel()
	if err := Watch(ctx, filepath.Join(dir, "none", "f"), func() {}); err == nil {
		t.Error("a folder that does not exist is watched")
	}
	select {
	case got := <-changes:
		t.Errorf("one change too many: %q", got)
	default:
	}
}

// TestWatchEnds checks that nothing stays behind when the context ends.
func TestWatchEnds(t *testing.T) {
	dir := home(t)
	path := write(t, filepath.Join(dir, FileName), minimal)
	ctx, cancel := context.WithCancel(t.Context())
	inside := make(chan struct{})
	leave := make(chan struct{})
	if err := Watch(ctx, path, func() { close(inside); <-leave }); err != nil {
		t.Fatal(err)
	}
	write(t, path, "1")
	<-inside
	cancel()
	write(t, path, "2") // a second call would close inside again and panic
	close(leave)
	deadline := time.Now().Add(10 * time.Second)
	for running("config.(*watcher).run") || running("fsnotify.") {
		if time.Now().After(deadline) {
			t.Fatal("the watcher is still there")
		}
		runtime.Gosched()
	}
}

// running reports whether a goroutine is in a function of that name.
func running(name string) bool {
	stacks := make([]byte, 1<<20)
	return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), name)
}
