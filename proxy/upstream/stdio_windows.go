package upstream

import (
	"fmt"
	"path/filepath"

	"github.com/mcpfirewall/mcpfirewall/internal/guard"
	"golang.org/x/sys/windows"
)

// adaptCommand makes a batch file run, which Windows does not do by itself.
func adaptCommand(c *guard.Command) error {
	if !isBatch(c.Path) {
		return nil
	}
	system, err := windows.GetSystemDirectory()
	if err != nil {
		return fmt.Errorf("finding cmd.exe: %w", err)
	}
	cmd := filepath.Join(system, "cmd.exe")
	c.CmdLine, err = batchCommandLine(cmd, c.Path, c.Args[1:])
	c.Path = cmd
	return err
}

// attempt does nothing: there is no write here that does not wait.
func (w *pipeWriter) attempt(uintptr) (done bool) { return true }
