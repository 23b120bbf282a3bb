//go:build unix

package guard

import (
	"encoding/binary"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guardName in argv[0] makes a process a guard. It is no environment variable because
// the command would inherit that.
const guardName = "mcpfirewall-guard"

// Descriptors of a guard, beside the command's standard streams.
const (
	controlFD = 3
	statusFD  = 4
)

// Fields of the block that says what to run.
const (
	fieldPath  = 'p'
	fieldDir   = 'd'
	fieldGrace = 'g' // nanoseconds
	fieldArg   = 'a'
	fieldEnv   = 'e'
)

// controlTerminate on the control pipe asks for SIGTERM to everything below.
const controlTerminate = 't'

// First words of the lines on the status pipe.
const (
	statusStarted  = "started"  // and the command's process id
	statusFailed   = "failed"   // and the errno
	statusExited   = "exited"   // and the exit status
	statusSignaled = "signaled" // and the signal's number
	statusLeft     = "left"     // and the ids of processes that could not be ended
)

// killTime bounds how long a guard tries to kill what is below it. Only processes that
// belong to another user, or hang in the kernel, live longer.
const killTime = 5 * time.Second

func init() {
	if len(os.Args) == 1 && os.Args[0] == guardName {
		syscall.Exit(run()) // there is nothing that os.Exit could finish
	}
}

// warden is the state of a guard.
type warden struct {
	main       int // the command's process id and process group
	grace      time.Duration
	terminate  chan os.Signal
	gone       chan struct{} // closed at the end of the control pipe
	mainExited chan struct{}
}

// run is the whole life of a guard. It runs on the main thread, which init is locked to:
// the signal that the command gets at its parent's death is tied to that thread.
func run() int {
	unix.CloseOnExec(controlFD)
	unix.CloseOnExec(statusFD)
	isolate()
	c, ok := readBlock()
	if !ok {
		return 2
	}
	pid, err := syscall.ForkExec(c.Path, c.Args, &syscall.ProcAttr{
		Dir: c.Dir, Env: c.Env, Files: []uintptr{0, 1, 2}, Sys: childAttr(),
	})
	if err != nil {
		errno, _ := err.(syscall.Errno)
		report(statusFailed, int(errno))
		return 1
	}
	if !dropStreams() {
		syscall.Kill(-pid, syscall.SIGKILL)
		return 2
	}
	w := &warden{
		main: pid, grace: c.Grace,
		terminate:  make(chan os.Signal, 1),
		gone:       make(chan struct{}),
		mainExited: make(chan struct{}),
	}
	// What ends services in general, such as a service manager, must not end the guard
	// before what it guards.
	signal.Notify(w.terminate, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	report(statusStarted, pid)
	go w.listen()
	go w.end()
	w.reap()
	return 0
}

// readBlock reads what to run from the control pipe.
func readBlock() (c Command, ok bool) {
	var size [4]byte
	if !readFull(size[:]) {
		return c, false
	}
	block := make([]byte, binary.BigEndian.Uint32(size[:]))
	if !readFull(block) {
		return c, false
	}
	for _, field := range strings.Split(string(block), "\x00") {
		if field == "" {
			continue
		}
		switch value := field[1:]; field[0] {
		case fieldPath:
			c.Path = value
		case fieldDir:
			c.Dir = value
		case fieldGrace:
			n, _ := strconv.ParseInt(value, 10, 64)
			c.Grace = time.Duration(n)
		case fieldArg:
			c.Args = append(c.Args, value)
		case fieldEnv:
			c.Env = append(c.Env, value)
		}
	}
	return c, c.Path != ""
}

func readFull(b []byte) bool {
	for len(b) > 0 {
		n, err := readControl(b)
		if n <= 0 || err != nil {
			return false
		}
		b = b[n:]
	}
	return true
}

func readControl(b []byte) (int, error) {
	for {
		n, err := unix.Read(controlFD, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// dropStreams lets go of the command's standard streams, so that their other ends see
// when the command closes them.
func dropStreams() bool {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	for fd := range 3 {
		if unix.Dup2(null, fd) != nil {
			return false
		}
	}
	return unix.Close(null) == nil
}

func report(word string, numbers ...int) {
	line := word
	for _, n := range numbers {
		line += " " + strconv.Itoa(n)
	}
	unix.Write(statusFD, []byte(line+"\n"))
}

// listen reads the control pipe until the other side has gone.
func (w *warden) listen() {
	var b [1]byte
	for {
		n, err := readControl(b[:])
		if n != 1 || err != nil {
			close(w.gone)
			return
		}
		select {
		case w.terminate <- syscall.SIGTERM:
		default:
		}
	}
}

// end does the ending: gently when asked to or when the command has ended by itself, by
// force after that.
func (w *warden) end() {
	var force <-chan time.Time
	exited := w.mainExited
	for {
		select {
		case <-w.terminate:
			w.signal(syscall.SIGTERM)
		case <-exited:
			exited = nil
			w.signal(syscall.SIGTERM)
			force = time.After(w.grace)
		case <-force:
			w.kill()
		case <-w.gone:
			w.kill()
		}
	}
}

// kill kills until nothing is left, at which reap ends the guard.
func (w *warden) kill() {
	pause := time.Millisecond
	for end := time.Now().Add(killTime); time.Now().Before(end); {
		w.signal(syscall.SIGKILL)
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
	report(statusLeft, descendants(os.Getpid(), 0)...)
	syscall.Exit(1)
}

// signal sends sig once to everything below the guard.
func (w *warden) signal(sig syscall.Signal) {
	// The group first: a signal to it cannot be outrun by forks.
	syscall.Kill(-w.main, sig)
	for _, pid := range descendants(os.Getpid(), w.main) {
		syscall.Kill(pid, sig)
	}
}

// reap waits until no child is left, and reports how the command ended.
func (w *warden) reap() {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			if groupLeft(w.main) {
				time.Sleep(time.Millisecond)
				continue
			}
			return
		case pid != w.main:
		case ws.Signaled():
			report(statusSignaled, int(ws.Signal()))
			close(w.mainExited)
		default:
			report(statusExited, ws.ExitStatus())
			close(w.mainExited)
		}
	}
}
