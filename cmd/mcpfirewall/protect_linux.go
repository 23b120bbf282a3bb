package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// protect keeps what the process holds in memory, which are secrets, from core dumps, and
// from other processes of the same user: they can neither trace it nor read its memory and
// environment below /proc. What the hook looks up there, /proc/PID/stat, stays readable. A
// program that is started from here is not protected so, but leaves no core dump either.
func protect() error {
	err := noCoreDumps()
	if e := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); e != nil {
		err = errors.Join(err, fmt.Errorf("keeping other processes from the memory: %w", e))
	}
	return err
}
