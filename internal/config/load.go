package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Load reads the configuration in a file. A file that somebody other than the
// user and the administrator could have written is refused. Problems in the
// text are an error of type [Problems], with which [Parse] may return a
// configuration.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, data)
}

// ErrUnsafe is wrapped by the errors about a file or folder that others can
// write.
var ErrUnsafe = errors.New("others can change it")

// readFile reads a file whose content decides what the firewall permits.
func readFile(path string) ([]byte, error) {
	// A pipe would block when it is opened; nothing but a file has a place for
	// problems or can be watched.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkFile(f); err != nil {
		return nil, err
	}
	if err := checkFolders(path); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1)) // Parse refuses the byte too many
	if err != nil {
		return nil, err
	}
	return data, nil
}

// checkFolders checks every folder above a path, and above what it links to:
// who can write one of them can put another file in its place.
func checkFolders(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return err
	}
	for _, p := range []string{abs, resolved} {
		for dir := filepath.Dir(p); ; dir = filepath.Dir(dir) {
			if err := checkFolder(dir); err != nil {
				return err
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return nil
}
