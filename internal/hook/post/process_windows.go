package post

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// orphaned: the parent of a process stays the one that started it, also when that has
// ended and its id belongs to another one.
const orphaned = true

// looker takes a snapshot of the system's processes.
func looker() (func(pid int) (p Process, parent int, err error), error) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	defer windows.CloseHandle(snapshot)
	parents := make(map[int]int)
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		parents[int(entry.ProcessID)] = int(entry.ParentProcessID)
	}
	return func(pid int) (p Process, parent int, err error) {
		parent, ok := parents[pid]
		if !ok {
			return p, 0, errNoProcess
		}
		start, err := startTime(pid)
		if err == windows.ERROR_INVALID_PARAMETER {
			return p, 0, errNoProcess
		}
		if err == windows.ERROR_ACCESS_DENIED {
			// Somebody else's: the chain of the user's processes ends below it.
			return p, 0, errNoProcess
		}
		return Process{pid, start}, parent, err
	}, nil
}

// startTime returns when a process started, in units of 100 ns.
func startTime(pid int) (uint64, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return 0, err
	}
	defer windows.CloseHandle(h)
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return 0, err
	}
	return uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime), nil
}
