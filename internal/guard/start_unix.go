//go:build unix

package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTime bounds how long a guard may take to start its command, on a machine that is
// busy with other things.
const startTime = 30 * time.Second

// errLost is Exit.Err where nobody could say how the command ended.
var errLost = errors.New("its guard process was killed")

// Process is a command that was started, with everything below it.
type Process struct {
	pid     int
	guard   *os.Process
	control *os.File // its end tells the guard to kill everything
	status  *os.File
	done    chan struct{}
	exit    Exit // valid once done is closed
}

// Start runs c under a guard. The error tells whether the guard or the command could not
// be started; in the latter case it wraps the system's error.
func Start(c Command) (*Process, error) {
	defer c.Stdin.Close()
	defer c.Stdout.Close()
	defer c.Stderr.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program's own executable, which guards child processes: %w", err)
	}
	if runtime.GOOS == "linux" {
		self = "/proc/self/exe" // the same program even if an upgrade has replaced the file
	}
	block, err := c.encode()
	if err != nil {
		return nil, err
	}
	controlR, controlW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making the guard's control pipe: %w", err)
	}
	statusR, statusW, err := os.Pipe()
	if err != nil {
		controlR.Close()
		controlW.Close()
		return nil, fmt.Errorf("making the guard's status pipe: %w", err)
	}
	p := &Process{control: controlW, status: statusR, done: make(chan struct{})}
	p.guard, err = os.StartProcess(self, []string{guardName}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1", "GOGC=10"},
		Files: []*os.File{c.Stdin, c.Stdout, c.Stderr, controlR, statusW},
		// A group of its own keeps a terminal's Ctrl-C from it.
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	controlR.Close()
	statusW.Close()
	if err != nil {
		p.close()
		return nil, fmt.Errorf("starting the guard process: %w", err)
	}
	if err := p.handshake(c.Path, block); err != nil {
		p.guard.Kill()
		p.guard.Wait()
		p.close()
		return nil, err
	}
	go p.watch()
	return p, nil
}

// encode returns the block that tells the guard what to run: its length in four bytes,
// then per field a letter, the value and a zero byte. It goes over the control pipe and
// not over the command line, where other users could read what may be secret.
func (c *Command) encode() ([]byte, error) {
	dir := c.Dir
	if dir == "" {
		var err error
		if dir, err = os.Getwd(); err != nil {
			return nil, fmt.Errorf("finding the working directory: %w", err)
		}
	}
	block := make([]byte, 4, 4096)
	var bad error
	add := func(kind byte, value string) {
		if strings.IndexByte(value, 0) >= 0 {
			bad = errors.New("a zero byte in the command, its arguments or its environment")
		}
		block = append(append(append(block, kind), value...), 0)
	}
	add(fieldPath, c.Path)
	add(fieldDir, dir)
	add(fieldGrace, strconv.FormatInt(int64(c.Grace), 10))
	for _, a := range c.Args {
		add(fieldArg, a)
	}
	for _, e := range c.Env {
		add(fieldEnv, e)
	}
	binary.BigEndian.PutUint32(block, uint32(len(block)-4))
	return block, bad
}

// handshake gives the guard its block and waits until the command runs.
func (p *Process) handshake(path string, block []byte) error {
	deadline := time.Now().Add(startTime)
	p.control.SetWriteDeadline(deadline)
	p.status.SetReadDeadline(deadline)
	if _, err := p.control.Write(block); err != nil {
		return fmt.Errorf("talking to the guard process: %w", err)
	}
	line, err := p.readLine()
	if err != nil {
		return fmt.Errorf("waiting for the guard process: %w", err)
	}
	p.control.SetWriteDeadline(time.Time{})
	p.status.SetReadDeadline(time.Time{})
	word, rest, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(rest)
	if err != nil {
		return fmt.Errorf("the guard process said %q", line)
	}
	if word == statusFailed {
		return &os.PathError{Op: "exec", Path: path, Err: syscall.Errno(n)}
	}
	p.pid = n
	return nil
}

// readLine reads one line of the guard's status byte by byte: there are three in its life.
func (p *Process) readLine() (string, error) {
	var line []byte
	for b := []byte{0}; ; {
		if _, err := p.status.Read(b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
}

// watch reads how the command ends, until the guard itself has ended.
func (p *Process) watch() {
	p.exit = Exit{Code: -1, Err: errLost}
	for {
		line, err := p.readLine()
		if err != nil {
			break
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case statusExited:
			p.exit.Err, p.exit.Time = nil, time.Now()
			p.exit.Code, _ = strconv.Atoi(rest)
		case statusSignaled:
			n, _ := strconv.Atoi(rest)
			p.exit.Err, p.exit.Time, p.exit.Signal = nil, time.Now(), syscall.Signal(n)
		case statusLeft:
			for _, s := range strings.Fields(rest) {
				pid, _ := strconv.Atoi(s)
				p.exit.Left = append(p.exit.Left, pid)
			}
		}
	}
	p.guard.Wait()
	if p.exit.Err != nil {
		p.exit.Time = time.Now()
		// Nobody else is left to do it.
		syscall.Kill(-p.pid, syscall.SIGKILL)
	}
	p.close()
	close(p.done)
}

func (p *Process) close() {
	p.control.Close()
	p.status.Close()
}

// Pid returns the id of the command's process, which is that of its process group too.
func (p *Process) Pid() int { return p.pid }

// Terminate asks the command and its descendants to end: SIGTERM, or Ctrl-Break on
// Windows.
func (p *Process) Terminate() { p.control.Write([]byte{controlTerminate}) }

// Kill ends the command and its descendants.
func (p *Process) Kill() { p.control.Close() }

// Done is closed once the command and all its descendants are gone.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit says how the command ended. It is valid once Done is closed.
func (p *Process) Exit() Exit { return p.exit }
