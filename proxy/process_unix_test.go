//go:build unix

package proxy

import (
	"errors"
	"syscall"
	"testing"
	"time"
)

// awaitEnd waits until there is no process of that id any more.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
	}
	t.Errorf("process %d was not ended", pid)
}
