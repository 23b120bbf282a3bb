//go:build unix

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// noCoreDumps lets this process and those that it starts leave no core dumps.
func noCoreDumps() error {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	if err == nil {
		limit.Cur = 0
		err = unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	}
	if err != nil {
		return fmt.Errorf("turning core dumps off: %w", err)
	}
	return nil
}
