//go:build unix

package upstream

import (
	"syscall"

	"github.com/mcpfirewall/mcpfirewall/internal/guard"
)

// adaptCommand has nothing to do on Unix systems.
func adaptCommand(*guard.Command) error { return nil }

// attempt writes what fits into the pipe.
func (w *pipeWriter) attempt(fd uintptr) (done bool) {
	n, err := syscall.Write(int(fd), w.rest)
	switch {
	case n > 0:
		w.written = n
	case err != syscall.EAGAIN && err != syscall.EINTR:
		w.failed = err
	}
	return true
}
