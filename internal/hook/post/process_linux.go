package post

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// orphaned: a process whose parent ends gets a new one.
const orphaned = false

func looker() (func(pid int) (p Process, parent int, err error), error) { return look, nil }

// look reads /proc/PID/stat, see proc(5). The name of the executable in it may contain
// anything, so that what follows its last parenthesis is read.
func look(pid int) (p Process, parent int, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return p, 0, errNoProcess
	}
	if err != nil {
		return p, 0, err
	}
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	const ppid, starttime = 4 - 3, 22 - 3 // fields are numbered from 1, and the third is the first here
	if len(f) <= starttime {
		return p, 0, errors.New("its status is not understood")
	}
	parent, err1 := strconv.Atoi(f[ppid])
	start, err2 := strconv.ParseUint(f[starttime], 10, 64)
	return Process{pid, start}, parent, errors.Join(err1, err2)
}
