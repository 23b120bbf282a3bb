package proxy

import (
	"os"
	"testing"
	"time"
)

// awaitEnd waits until there is no process of that id any more.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		p, err := os.FindProcess(pid)
		if err != nil {
			return
		}
		p.Release()
	}
	t.Errorf("process %d was not ended", pid)
}
