//go:build unix

package post

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// maxPath is the length of the longest path of a socket, without the zero byte: unix(7)
// has 108 bytes, the systems from BSD 104.
const maxPath = 103

// shortDir is no environment variable: firewall and hook may not have the same ones.
func shortDir() string { return "/tmp" }

// makePrivate makes a folder that only the user can open, or checks that it is one.
func makePrivate(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(folder)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !info.IsDir():
		return fmt.Errorf("%s is no folder", folder)
	case int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", folder)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others can open %s (mode %04o); run `chmod 700 %s`", folder, info.Mode().Perm(), folder)
	}
	return nil
}

// openPrivate opens a file that only the user can have written.
func openPrivate(path string) (*os.File, error) {
	// Not blocking, because opening a pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok || !info.Mode().IsRegular() || int(stat.Uid) != os.Geteuid() || stat.Nlink != 1 || info.Mode().Perm()&0o077 != 0 {
			err = errors.New("others could have written it")
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Refused reports whether nobody listens at a socket.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
