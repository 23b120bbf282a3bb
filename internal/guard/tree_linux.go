package guard

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate makes orphans below this process its children, names it for ps and top, and
// keeps descriptors that leaked into the program from reaching the command.
func isolate() {
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	os.WriteFile("/proc/self/comm", []byte("mcpfw-guard"), 0)
	unix.CloseRange(statusFD+1, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

// childAttr gives the command a group of its own, and SIGKILL should the guard die.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// groupLeft is false: on Linux what is left of the group is a child of the guard.
func groupLeft(int) bool { return false }

// descendants returns the processes below root whose process group is not skip.
func descendants(root, skip int) []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, _ := dir.Readdirnames(-1)
	dir.Close()
	type process struct{ pid, group int }
	children := make(map[int][]process)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if parent, group, ok := stat(name); ok {
			children[parent] = append(children[parent], process{pid, group})
		}
	}
	var found []int
	for level := []int{root}; len(level) > 0; {
		var next []int
		for _, parent := range level {
			for _, p := range children[parent] {
				next = append(next, p.pid)
				if p.group != skip {
					found = append(found, p.pid)
				}
			}
		}
		level = next
	}
	return found
}

// stat reads parent and process group of a process from /proc/PID/stat, see proc(5). The
// name of the executable in it may contain anything, so that what follows its last
// parenthesis is read.
func stat(pid string) (parent, group int, ok bool) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, 0, false
	}
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < 3 {
		return 0, 0, false
	}
	parent, err1 := strconv.Atoi(f[1])
	group, err2 := strconv.Atoi(f[2])
	return parent, group, err1 == nil && err2 == nil
}
