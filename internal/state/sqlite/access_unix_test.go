//go:build unix

package sqlite

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

func TestAccess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "s")
	s := newStore(t, Options{Dir: dir})
	c := daily(one, 10*one)
	granted(t, s, start, "1", c)
	for name, want := range map[string]os.FileMode{"": 0o700, FileName: 0o600, FileName + "-wal": 0o600, FileName + "-shm": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", name, info.Mode(), err)
		}
	}
	s.Close()
	try := func(what string) {
		t.Helper()
		s := newStore(t, Options{Dir: dir})
		if v, err := s.Reserve(ctx, start, "2", []state.Charge{c}); err == nil {
			t.Errorf("%s: counted: %+v", what, v)
		} else {
			t.Log(err)
		}
	}
	for _, mode := range []os.FileMode{0o644, 0o620, 0o606} {
		os.Chmod(filepath.Join(dir, FileName), mode)
		try(mode.String())
	}
	os.Chmod(filepath.Join(dir, FileName), 0o600)
	for _, mode := range []os.FileMode{0o777, 0o770} {
		os.Chmod(dir, mode)
		try(mode.String())
	}
	os.Chmod(dir, 0o700)
	os.Rename(filepath.Join(dir, FileName), filepath.Join(dir, "elsewhere"))
	os.Symlink("elsewhere", filepath.Join(dir, FileName))
	try("a link")
	os.Remove(filepath.Join(dir, FileName))
	os.Rename(filepath.Join(dir, "elsewhere"), filepath.Join(dir, FileName))
	if os.Geteuid() != 0 { // root can write what is read-only
		os.Chmod(filepath.Join(dir, FileName), 0o400)
		try("read-only")
		os.Chmod(filepath.Join(dir, FileName), 0o600)
		os.Chmod(dir, 0o500)
		try("a folder that is read-only")
		os.Chmod(dir, 0o700)
	}
	granted(t, newStore(t, Options{Dir: dir}), start, "2", c)

	dir = filepath.Join(dir, FileName, "below") // of a file
	try("a folder that cannot be made")
}

// No child process gets the file.
func TestNotInherited(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	dir := filepath.Join(t.TempDir(), "s")
	granted(t, newStore(t, Options{Dir: dir}), start, "1", daily(one, 10*one))
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err != nil || filepath.Dir(to) != dir {
			continue
		}
		found++
		var fd uintptr
		for _, d := range e.Name() {
			fd = 10*fd + uintptr(d-'0')
		}
		if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s is inherited (%d, %v)", to, flags, err)
		}
	}
	if found == 0 {
		t.Error("the file is not open")
	}
}
