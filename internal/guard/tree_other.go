//go:build unix && !linux && !darwin

package guard

import "syscall"

// isolate does nothing: what is common to these systems is the process group.
func isolate() {}

func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// groupLeft reports whether the process group still has members. The guard is not their
// parent, so that waiting does not tell.
func groupLeft(group int) bool { return syscall.Kill(-group, 0) != syscall.ESRCH }

// descendants returns nil: only the process group is known.
func descendants(root, skip int) []int { return nil }
