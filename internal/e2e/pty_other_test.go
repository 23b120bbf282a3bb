//go:build !linux

package e2e

import (
	"os"
	"os/exec"
	"testing"
)

// startOnTerminal needs the terminals of Linux.
func startOnTerminal(t *testing.T, _ *exec.Cmd) *os.File {
	t.Skip("terminals are driven on Linux only")
	return nil
}
