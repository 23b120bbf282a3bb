package vault

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
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

// file returns what a file holds, without the ends of lines at its end, and when it
// was written.
func (r *Resolver) file(path string) (text string, written time.Time, err error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", time.Time{}, fmt.Errorf("finding the home folder: %w", err)
		}
		path = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.options.Dir, path)
	}
	// Before it is opened, because opening a pipe could wait for ever.
	info, err := os.Stat(path)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("reading the secret's file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", time.Time{}, fmt.Errorf("%s is not a file but a %s; name a file that holds the value and nothing else", path, describe(info.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("reading the secret's file: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", time.Time{}, fmt.Errorf("reading the secret's file: %w", err)
	}
	if len(content) > maxFile {
		return "", time.Time{}, fmt.Errorf("%s is larger than %d KiB; name a file that holds the value and nothing else", path, maxFile>>10)
	}
	return strings.TrimRight(string(content), "\r\n"), info.ModTime(), nil
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
