package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// DefaultDir returns the folder that state.path stands for when the file does not say, in
// which firewalls and hooks of the user meet whatever it says: $XDG_STATE_HOME/mcpfirewall or
// ~/.local/state/mcpfirewall (XDG Base Directory Specification), on macOS
// ~/Library/Application Support/mcpfirewall, on Windows %LocalAppData%\mcpfirewall.
func DefaultDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mcpfirewall"), nil
	}
	if runtime.GOOS == "windows" {
		if dir := os.Getenv("LocalAppData"); filepath.IsAbs(dir) {
			return filepath.Join(dir, "mcpfirewall"), nil
		}
		return "", errors.New("%LocalAppData% is not set")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the home folder: %w", err)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "mcpfirewall"), nil
	}
	return filepath.Join(home, ".local", "state", "mcpfirewall"), nil
}
