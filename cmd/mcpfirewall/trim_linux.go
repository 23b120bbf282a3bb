package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// trim gives back the memory that only the start needed: what was garbage soon, and the
// pages of the program's own file and of the C library, most of which hold tables that were
// read once. Those that are needed again come back by themselves.
func trim() error {
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("reading what is mapped: %w", err)
	}
	var start, end uintptr
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		line := lines.Bytes()
		var from, to uintptr
		var perms string
		if n, _ := fmt.Sscanf(string(line), "%x-%x %4s", &from, &to, &perms); n == 3 {
			if start, end = from, to; perms[1] == 'w' || !bytes.Contains(line, []byte(" /")) {
				start, end = 0, 0
			}
			continue
		}
		// Only pages that are as in the file can be read from it again.
		if string(bytes.Join(bytes.Fields(line), []byte(" "))) == "Anonymous: 0 kB" && end > start {
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED); errno != 0 {
				return fmt.Errorf("giving back pages of the program: %w", errno)
			}
		}
	}
	return nil
}
