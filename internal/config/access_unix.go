//go:build unix

package config

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// checkFile refuses an open file that somebody other than the user and root
// can write. Like ssh on Debian it lets a group write whose only member is the
// user, because that is how many systems create files.
func checkFile(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner cannot be found", f.Name())
	}
	mode := info.Mode().Perm()
	switch {
	case stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user: %w; copy it, or run `chown %d`", f.Name(), ErrUnsafe, os.Geteuid())
	case mode&0o002 != 0:
		return fmt.Errorf("%s is writable by everybody (mode %04o): %w; run `chmod go-w %s`", f.Name(), mode, ErrUnsafe, f.Name())
	case mode&0o020 != 0 && !privateGroup(stat.Gid, "/etc/group"):
		return fmt.Errorf("%s is writable by its group (mode %04o): %w; run `chmod g-w %s`", f.Name(), mode, ErrUnsafe, f.Name())
	}
	return nil
}

// checkFolder refuses a folder in which everybody can replace the files of
// others: one that is writable by all and does not have the sticky bit.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("the folder %s is writable by everybody (mode %04o): %w; run `chmod o-w %s`", dir, info.Mode().Perm(), ErrUnsafe, dir)
	}
	return nil
}

// privateGroup reports whether the group is the one that bears the user's name,
// is the user's own, and lists nobody else (group(5)). What cannot be found
// out counts as no.
func privateGroup(gid uint32, groups string) bool {
	u, err := user.Current()
	if err != nil || u.Gid != strconv.FormatUint(uint64(gid), 10) {
		return false
	}
	data, err := os.ReadFile(groups)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) == 4 && fields[2] == u.Gid {
			return fields[0] == u.Username && (fields[3] == "" || fields[3] == u.Username)
		}
	}
	return false
}
