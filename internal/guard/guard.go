// Package guard runs a command so that it, and everything that it started, ends when
// the program that started it ends, however that happens.
//
// On Unix systems the program executes its own binary a second time, under the name in
// argv[0] that this package looks for when it is initialised. That second process, the
// guard, never comes to main: it starts the command in a process group of its own, holds
// none of the command's pipes, and reads a control pipe. The end of that pipe means that
// the program is gone, by kill -9 too, and the guard then kills what is below it: on
// Linux every descendant, those that left the process group or the session included,
// because orphans below the guard become its children; on macOS every descendant whose
// parents still live; elsewhere the process group. On Windows a job object does the same
// and there is no guard.
//
//	p, err := guard.Start(guard.Command{Path: "/usr/bin/node", Args: []string{"node", "server.js"}, ...})
//	...
//	p.Terminate()
//	<-p.Done()
//	log.Print(p.Exit())
//
// The guard runs inside of the package's initialisation, and the package imports next to
// nothing, so that a guard costs neither the time nor the memory that the rest of the
// program needs to initialise.
package guard

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

// Command says what to run.
type Command struct {
	Path string   // of the executable, absolute
	Args []string // with the name first, as in os.Args
	Env  []string // the whole environment, "KEY=value" each
	Dir  string   // the working directory, absolute; "" means the caller's

	// The command's ends of its standard streams. Start closes them in this process.
	Stdin, Stdout, Stderr *os.File

	// Grace is what the descendants get to end after SIGTERM when the command itself has
	// ended.
	Grace time.Duration

	// CmdLine is, on Windows, the command line to use as it stands instead of one made
	// of Args.
	CmdLine string
}

// Exit says how a command ended.
type Exit struct {
	Code   int            // exit status, or -1
	Signal syscall.Signal // that ended it, or 0
	Time   time.Time      // when it did; what it left behind may have taken longer
	Err    error          // why the status is unknown
	Left   []int          // ids of processes that could not be ended, because they belong to somebody else
}

// String completes a sentence that begins with the command's name.
func (e Exit) String() string {
	s := "exited with status " + strconv.Itoa(e.Code)
	switch {
	case e.Err != nil:
		s = "ended in an unknown way (" + e.Err.Error() + ")"
	case e.Signal != 0:
		s = "was ended by signal " + strconv.Itoa(int(e.Signal)) + " (" + e.Signal.String() + ")"
	}
	if len(e.Left) > 0 {
		s += "; " + strconv.Itoa(len(e.Left)) + " of its processes could not be ended:"
		for _, pid := range e.Left {
			s += " " + strconv.Itoa(pid)
		}
	}
	return s
}
