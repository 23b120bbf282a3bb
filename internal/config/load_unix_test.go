//go:build unix

package config

import (
	"context"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLoadAccess(t *testing.T) {
	tests := []struct {
		name         string
		file, folder os.FileMode
		want         string // in the error; "" if there is none
	}{
		{"private", 0o600, 0o700, ""},
		{"readable by all", 0o644, 0o755, ""},
		{"writable by all", 0o646, 0o755, "chmod go-w"},
		{"folder writable by all", 0o600, 0o777, "chmod o-w"},
		{"folder like /tmp", 0o600, 0o777 | os.ModeSticky, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := home(t)
			path := write(t, filepath.Join(dir, "sub", "deeper", "f.yaml"), minimal)
			if err := os.Chmod(path, tt.file); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, "sub"), tt.folder); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Load: %v", err)
			}
			if err := Trust(path, ""); (err == nil) != (tt.want == "") {
				t.Errorf("Trust: %v", err)
			}
		})
	}
}

func TestLoadOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	path := write(t, filepath.Join(home(t), "f.yaml"), minimal)
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("Load: %v", err)
	}
}

// TestLoadGroup covers groups: only the user's own, without other members, may
// write.
func TestLoadGroup(t *testing.T) {
	dir := home(t)
	path := write(t, filepath.Join(dir, "f.yaml"), minimal)
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	gid := uint32(os.Getgid())
	if _, err := Load(path); (err == nil) != privateGroup(gid, "/etc/group") {
		t.Errorf("Load of a file that the group can write: %v", err)
	}

	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	name, id := u.Username, u.Gid
	groups := filepath.Join(dir, "group")
	tests := []struct {
		text string
		want bool
	}{
		{"other:x:99999:\n" + name + ":x:" + id + ":\n", true},
		{name + ":x:" + id + ":" + name + "\n", true},
		{name + ":x:" + id + ":" + name + ",mallory\n", false},
		{"staff:x:" + id + ":\n", false},
		{name + ":x:99999:\n", false},
		{"", false},
	}
	for _, tt := range tests {
		write(t, groups, tt.text)
		if got := privateGroup(gid, groups); got != tt.want {
			t.Errorf("privateGroup is %v for %q", got, tt.text)
		}
	}
	if privateGroup(gid+1, groups) || privateGroup(gid, filepath.Join(dir, "none")) {
		t.Error("a group that is not the user's, or not known, is private")
	}
}

func TestLoadPipe(t *testing.T) {
	path := filepath.Join(home(t), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("Load of a pipe: %v", err)
	}
}

// TestTrustLink checks that trust is in the file, not in a link to it.
func TestTrustLink(t *testing.T) {
	dir := home(t)
	a := write(t, filepath.Join(dir, "a.yaml"), minimal)
	b := write(t, filepath.Join(dir, "b.yaml"), minimal+"# other\n")
	link := filepath.Join(dir, "link.yaml")
	if err := os.Symlink(a, link); err != nil {
		t.Fatal(err)
	}
	if err := Trust(link, ""); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{a: true, link: true, b: false} {
		if got, err := Trusted(path, ""); got != want || err != nil {
			t.Errorf("Trusted(%s) = %v, %v", path, got, err)
		}
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(b, link); err != nil {
		t.Fatal(err)
	}
	if got, err := Trusted(link, ""); got || err != nil {
		t.Errorf("Trusted of the link to another file = %v, %v", got, err)
	}

	record, err := TrustFile("")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(record)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the record's mode is %v (%v)", info.Mode(), err)
	}
	if err := os.Chmod(record, 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := Trusted(a, ""); got || !errors.Is(err, ErrUnsafe) {
		t.Errorf("a record that everybody can write is believed: %v, %v", got, err)
	}
}

// TestWatchLinks replaces the folder behind a link, as Kubernetes does with
// the files of a ConfigMap.
func TestWatchLinks(t *testing.T) {
	dir := home(t)
	write(t, filepath.Join(dir, "v1", FileName), "1")
	write(t, filepath.Join(dir, "v2", FileName), "2")
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("v1", "..data")
	path := filepath.Join(dir, FileName)
	link(filepath.Join("..data", FileName), FileName)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := make(chan string, 16)
	err := Watch(ctx, path, func() {
		data, _ := os.ReadFile(path)
		changes <- string(data)
	})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-changes:
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("the change to %q was not noticed", want)
		}
	}
	link("v2", "..data_tmp")
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	expect("2")
	write(t, filepath.Join(dir, "v2", FileName), "3")
	expect("3")
}
