package guard

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate does nothing: macOS has no subreapers.
func isolate() {}

func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// groupLeft reports whether the process group still has members. The guard is not their
// parent, so that waiting does not tell.
func groupLeft(group int) bool { return syscall.Kill(-group, 0) != syscall.ESRCH }

// descendants returns the processes below root whose process group is not skip. Those
// whose parent has ended are below launchd, and not found.
func descendants(root, skip int) []int {
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil
	}
	var found []int
	for level := []int{root}; len(level) > 0; {
		var next []int
		for _, parent := range level {
			for i := range all {
				p := &all[i]
				if int(p.Eproc.Ppid) != parent || int(p.Proc.P_pid) == root {
					continue
				}
				next = append(next, int(p.Proc.P_pid))
				if int(p.Eproc.Pgid) != skip {
					found = append(found, int(p.Proc.P_pid))
				}
			}
		}
		level = next
	}
	return found
}
