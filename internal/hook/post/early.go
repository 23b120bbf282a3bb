package post

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Options say how `mcpfirewall hook` runs.
type Options struct {
	Dir     string // the state folder
	Session string // the name of the session, or ""
	Verbose bool   // say on standard error what was done
}

// eventTime bounds the wait for the client to write the event.
const eventTime = 5 * time.Second

// Run reads an event and posts its prompt. It says nothing on standard output, because
// that would enter the conversation, and it never fails: that would be shown to the user,
// or keep the prompt from the model. Only with Verbose are problems told.
func Run(ctx context.Context, o Options, in io.Reader, errOut io.Writer) {
	say := func(format string, args ...any) {
		if o.Verbose {
			fmt.Fprintf(errOut, "mcpfirewall: "+format+"\n", args...)
		}
	}
	type event struct {
		prompt Prompt
		err    error
	}
	read := make(chan event, 1)
	go func() {
		p, err := ReadEvent(in)
		read <- event{p, err}
	}()
	var e event
	select {
	case e = <-read:
	case <-time.After(eventTime):
		e.err = fmt.Errorf("reading the event: standard input did not end within %v", eventTime)
	case <-ctx.Done():
		e.err = ctx.Err()
	}
	if e.err != nil {
		say("nothing to record: %v", e.err)
		return
	}
	e.prompt.Session = o.Session
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	delivered, err := Send(ctx, o.Dir, e.prompt)
	if err != nil {
		say("%v", err)
	}
	say("firewalls that recorded the prompt: %d", delivered)
}

// init is the whole command where its flags are as the settings of a client have them.
// Everything else, such as --help, is for main.
func init() {
	o, config, ok := parseArgs(os.Args)
	if !ok || isCharDevice(os.Stdin) {
		return
	}
	if o.Dir, ok = stateDir(config); !ok {
		return
	}
	Run(context.Background(), o, os.Stdin, os.Stderr)
	os.Exit(0)
}

// isCharDevice reports whether a person may be typing.
func isCharDevice(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// parseArgs understands `hook` with --session, --config and --verbose.
func parseArgs(args []string) (o Options, config string, ok bool) {
	if len(args) < 2 || args[1] != "hook" {
		return o, "", false
	}
	for args = args[2:]; len(args) > 0; args = args[1:] {
		if args[0] == "--verbose" {
			o.Verbose = true
			continue
		}
		name, value, given := strings.Cut(args[0], "=")
		if !given {
			if len(args) < 2 {
				return o, "", false
			}
			args = args[1:]
			value = args[0]
		}
		switch name {
		case "--session":
			o.Session = value
		case "--config":
			config = value
		default:
			return o, "", false
		}
	}
	return o, config, true
}

// stateDir returns the state folder if it is the default one. Reading a configuration
// takes packages that are not initialised yet, so that main does it: for a file in which
// something could set state.path.
func stateDir(config string) (dir string, ok bool) {
	files := []string{config, os.Getenv("MCPFIREWALL_CONFIG"), "mcpfirewall.yaml"}
	if user, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(user, "mcpfirewall", "mcpfirewall.yaml"))
	}
	for _, path := range files {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
			return "", false
		}
		if b, err := os.ReadFile(path); err != nil || setsState(b) {
			return "", false
		}
	}
	dir, err := DefaultState()
	return dir, err == nil
}

// setsState reports whether the configuration may say something about state: whether the
// word is anywhere but in a comment of its own line. An escape may spell any word.
func setsState(config []byte) bool {
	for line := range bytes.Lines(config) {
		line = bytes.TrimLeft(line, " \t")
		if !bytes.HasPrefix(line, []byte("#")) && (bytes.Contains(line, []byte("state")) || bytes.Contains(line, []byte(`\`))) {
			return true
		}
	}
	return false
}

// DefaultState returns the folder that config.DefaultState returns, which is initialised
// too late for [init].
func DefaultState() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mcpfirewall"), nil
	}
	if runtime.GOOS == "windows" {
		if dir := os.Getenv("LocalAppData"); filepath.IsAbs(dir) {
			return filepath.Join(dir, "mcpfirewall"), nil
		}
		return "", errors.New("%LocalAppData% is not set")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the home folder: %w", err)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "mcpfirewall"), nil
	}
	return filepath.Join(home, ".local", "state", "mcpfirewall"), nil
}
