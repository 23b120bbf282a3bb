package post

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

// Options say how `mcpfirewall hook` runs.
type Options struct {
	Dir     string // in place of [state.DefaultDir]
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
	if o.Dir == "" {
		var err error
		if o.Dir, err = state.DefaultDir(); err != nil {
			say("%v", err)
			return
		}
	}
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
	if o, ok := parseArgs(os.Args); ok && !isCharDevice(os.Stdin) {
		Run(context.Background(), o, os.Stdin, os.Stderr)
		os.Exit(0)
	}
}

// isCharDevice reports whether a person may be typing.
func isCharDevice(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// parseArgs understands `hook` with --session and --verbose. The flags of all commands, before
// it or behind, mean nothing to it: it reads no configuration, since firewalls and hooks meet
// in one folder whatever that says, and logs nothing.
func parseArgs(args []string) (o Options, ok bool) {
	hook := false
	for args = args[min(1, len(args)):]; len(args) > 0; args = args[1:] {
		switch {
		case args[0] == "hook" && !hook:
			hook = true
			continue
		case args[0] == "--verbose" && hook:
			o.Verbose = true
			continue
		}
		name, value, given := strings.Cut(args[0], "=")
		switch {
		case name == "--config" || name == "--log-level" || name == "--log-file":
		case name == "--session" && hook:
		default:
			return o, false
		}
		if !given {
			if len(args) < 2 {
				return o, false
			}
			args = args[1:]
			value = args[0]
		}
		if name == "--session" {
			o.Session = value
		}
	}
	return o, hook
}
