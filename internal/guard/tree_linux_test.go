package guard

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A descriptor that something left open across exec does not reach the command.
func TestNoForeignDescriptors(t *testing.T) {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	_, _, out := start(t, Command{Path: "/bin/ls", Args: []string{"ls", "/proc/self/fd"}}, "")
	if b, _ := io.ReadAll(out); string(b) != "0\n1\n2\n3\n" { // 3 is the directory
		t.Errorf("descriptors of the command: %q", strings.Fields(string(b)))
	}
}

func TestDescendants(t *testing.T) {
	c := exec.Command("sh", "-c", `sleep 1000 & echo $!; wait`)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
	b := make([]byte, 20)
	n, _ := out.Read(b)
	child, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	found := descendants(os.Getpid(), 0)
	if len(found) != 2 || found[0] != c.Process.Pid || found[1] != child {
		t.Errorf("descendants %v, want %d and %d", found, c.Process.Pid, child)
	}
	if found := descendants(os.Getpid(), c.Process.Pid); len(found) != 0 {
		t.Errorf("descendants outside of the group: %v", found)
	}
}
