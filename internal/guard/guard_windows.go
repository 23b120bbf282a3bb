package guard

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// killTime bounds how long the processes of a terminated job may take to be gone.
const killTime = 5 * time.Second

// Process is a command that was started, with everything below it.
type Process struct {
	process *os.Process
	job     windows.Handle // open until done is closed; the system ends the job with its last handle
	done    chan struct{}
	kill    func() // closes killed
	killed  chan struct{}
	exit    Exit // valid once done is closed
}

// Start runs c in a job object that ends with this process. The error wraps the system's
// if the command could not be started.
func Start(c Command) (*Process, error) {
	defer c.Stdin.Close()
	defer c.Stdout.Close()
	defer c.Stderr.Close()
	job, err := newJob()
	if err != nil {
		return nil, err
	}
	// Suspended, so that the command cannot start anything before it is in the job.
	process, err := os.StartProcess(c.Path, c.Args, &os.ProcAttr{
		Dir: c.Dir, Env: withSystemRoot(c.Env), Files: []*os.File{c.Stdin, c.Stdout, c.Stderr},
		Sys: &syscall.SysProcAttr{
			CmdLine: c.CmdLine, HideWindow: true,
			CreationFlags: windows.CREATE_SUSPENDED | windows.CREATE_NEW_PROCESS_GROUP,
		},
	})
	if err != nil {
		windows.CloseHandle(job)
		return nil, err
	}
	if err := admit(job, process.Pid); err != nil {
		process.Kill()
		process.Wait()
		windows.CloseHandle(job)
		return nil, err
	}
	p := &Process{process: process, job: job, done: make(chan struct{}), killed: make(chan struct{})}
	p.kill = sync.OnceFunc(func() { close(p.killed) })
	go p.watch(c.Grace)
	return p, nil
}

// newJob returns a job object whose processes end when its last handle is closed, be it
// by the end of this process.
func newJob() (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, fmt.Errorf("creating a job object, which guards child processes: %w", err)
	}
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info))); err != nil {
		windows.CloseHandle(job)
		return 0, fmt.Errorf("setting the limits of a job object: %w", err)
	}
	return job, nil
}

// admit puts a suspended process into the job and lets it run.
func admit(job windows.Handle, pid int) error {
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return fmt.Errorf("opening the new process: %w", err)
	}
	defer windows.CloseHandle(h)
	if err := windows.AssignProcessToJobObject(job, h); err != nil {
		return fmt.Errorf("putting the new process into its job object: %w", err)
	}
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return fmt.Errorf("listing threads: %w", err)
	}
	defer windows.CloseHandle(snapshot)
	entry := windows.ThreadEntry32{Size: uint32(unsafe.Sizeof(windows.ThreadEntry32{}))}
	for err = windows.Thread32First(snapshot, &entry); err == nil; err = windows.Thread32Next(snapshot, &entry) {
		if entry.OwnerProcessID != uint32(pid) {
			continue
		}
		thread, err := windows.OpenThread(windows.THREAD_SUSPEND_RESUME, false, entry.ThreadID)
		if err != nil {
			return fmt.Errorf("opening the new process's thread: %w", err)
		}
		_, err = windows.ResumeThread(thread)
		windows.CloseHandle(thread)
		if err != nil {
			return fmt.Errorf("letting the new process run: %w", err)
		}
	}
	return nil
}

// withSystemRoot adds the one variable without which Windows programs do not start.
func withSystemRoot(env []string) []string {
	for _, e := range env {
		if name, _, _ := strings.Cut(e, "="); strings.EqualFold(name, "SYSTEMROOT") {
			return env
		}
	}
	return append(env[:len(env):len(env)], "SYSTEMROOT="+os.Getenv("SYSTEMROOT"))
}

// watch waits for the command, gives what it left behind some time to end, and ends it.
func (p *Process) watch(grace time.Duration) {
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		state, err := p.process.Wait()
		if err != nil {
			p.exit = Exit{Code: -1, Time: time.Now(), Err: err}
			return
		}
		p.exit = Exit{Code: state.ExitCode(), Time: time.Now()}
	}()
	select {
	case <-exited:
		p.awaitEmpty(grace, p.killed)
	case <-p.killed:
	}
	windows.TerminateJobObject(p.job, 1)
	<-exited
	p.exit.Left = p.awaitEmpty(killTime, nil)
	windows.CloseHandle(p.job)
	close(p.done)
}

// awaitEmpty waits until the job has no process, and returns those it has at the end of
// the time. The end of stop ends the wait.
func (p *Process) awaitEmpty(limit time.Duration, stop <-chan struct{}) []int {
	for end := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		var list struct {
			assigned, listed uint32
			pids             [64]uintptr
		}
		err := windows.QueryInformationJobObject(p.job, windows.JobObjectBasicProcessIdList,
			uintptr(unsafe.Pointer(&list)), uint32(unsafe.Sizeof(list)), nil)
		if err == nil && list.assigned == 0 {
			return nil
		}
		select {
		case <-stop:
			return nil
		default:
		}
		if time.Now().After(end) {
			var left []int
			for _, pid := range list.pids[:min(list.listed, uint32(len(list.pids)))] {
				left = append(left, int(pid))
			}
			return left
		}
	}
}

// Pid returns the id of the command's process.
func (p *Process) Pid() int { return p.process.Pid }

// Terminate asks the command and its descendants to end: SIGTERM, or Ctrl-Break on
// Windows, which reaches a command only where both have a console.
func (p *Process) Terminate() {
	windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(p.process.Pid))
}

// Kill ends the command and its descendants.
func (p *Process) Kill() { p.kill() }

// Done is closed once the command and all its descendants are gone.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit says how the command ended. It is valid once Done is closed.
func (p *Process) Exit() Exit { return p.exit }
