package post

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Process is one process for as long as the machine runs, also when its id is used again.
type Process struct {
	Pid   int
	Start uint64 // when it started, in a unit of the system
}

// maxDepth bounds the walk from a process up to the first one.
const maxDepth = 256

// errNoProcess says that nothing is known of a process, as a rule because it has ended.
var errNoProcess = errors.New("there is no such process")

// String returns the form that names of sockets and headers hold.
func (p Process) String() string {
	return strconv.Itoa(p.Pid) + "-" + strconv.FormatUint(p.Start, 36)
}

func parseProcess(s string) (p Process, ok bool) {
	pid, start, _ := strings.Cut(s, "-")
	n, err1 := strconv.ParseUint(pid, 10, 31)
	t, err2 := strconv.ParseUint(start, 36, 64)
	p = Process{int(n), t}
	return p, err1 == nil && err2 == nil && p.String() == s
}

// Ancestors returns the process and its ancestors, the nearest first. The first process
// of the system is not among them: it is everybody's ancestor. It is an error if they
// change meanwhile.
func Ancestors(pid int) ([]Process, error) {
	look, err := looker()
	if err != nil {
		return nil, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	var chain []Process
	for next := pid; next > 1; {
		p, parent, err := look(next)
		n := len(chain)
		if orphaned && n > 0 && (errors.Is(err, errNoProcess) || err == nil && p.Start > chain[n-1].Start) {
			break // the parent has ended
		}
		if err != nil {
			return nil, fmt.Errorf("looking at process %d: %w", next, err)
		}
		// A parent that started after its child is another process, with the same id.
		if n > 0 && p.Start > chain[n-1].Start {
			return nil, fmt.Errorf("the ancestors of process %d changed while they were looked at", pid)
		}
		if chain = append(chain, p); len(chain) > maxDepth {
			return nil, fmt.Errorf("process %d has more than %d ancestors", pid, maxDepth)
		}
		next = parent
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("looking at process %d: %w", pid, errNoProcess)
	}
	return chain, nil
}

// Alive reports whether the process runs.
func Alive(p Process) bool {
	look, err := looker()
	if err != nil {
		return true // nobody knows
	}
	now, _, err := look(p.Pid)
	return err != nil && !errors.Is(err, errNoProcess) || err == nil && now == p
}
