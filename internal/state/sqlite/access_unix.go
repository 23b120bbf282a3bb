//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkFile refuses a state file that others can read or write, or that is no file.
// It looks without opening: closing any descriptor of the file would drop the
// locks that SQLite holds on it in this process (sqlite.org/howtocorrupt.html).
func checkFile(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case !ok || int(stat.Uid) != os.Geteuid():
		return errors.New("it belongs to another user")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others can read or write it (mode %04o); run `chmod 600` on it if nobody did", info.Mode().Perm())
	}
	return nil
}

// checkFolder refuses a folder in which others can put files.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", dir)
	case !ok || (stat.Uid != 0 && int(stat.Uid) != os.Geteuid()):
		return fmt.Errorf("the folder %s belongs to another user", dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others can write the folder %s (mode %04o); run `chmod 700` on it", dir, info.Mode().Perm())
	}
	return nil
}
