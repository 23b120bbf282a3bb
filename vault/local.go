package vault

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxFile bounds the size in bytes of a file that a reference names.
const maxFile = 64 << 10

func (r *Resolver) env(name string) (string, error) {
	value, ok := r.options.Env(name)
	if !ok {
		return "", fmt.Errorf("the environment variable %s is not set; set it where mcpfirewall is started", name)
	}
	return value, nil
}

func (r *Resolver) file(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("finding the home folder: %w", err)
		}
		path = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.options.Dir, path)
	}
	// Before it is opened, because opening a pipe could wait for ever.
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("reading the secret's file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file but a %s; name a file that holds the value and nothing else", path, describe(info.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the secret's file: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", fmt.Errorf("reading the secret's file: %w", err)
	}
	if len(content) > maxFile {
		return "", fmt.Errorf("%s is larger than %d KiB; name a file that holds the value and nothing else", path, maxFile>>10)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

func describe(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "folder"
	case mode&os.ModeNamedPipe != 0:
		return "pipe"
	case mode&os.ModeSocket != 0:
		return "socket"
	}
	return "device"
}
