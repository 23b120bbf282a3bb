package upstream

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// roll listens for processes that check in.
type roll struct {
	net.Listener
	conns []net.Conn
	pids  []int
}

func newRoll(t *testing.T) *roll {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &roll{Listener: l}
}

// await waits for n processes.
func (r *roll) await(t *testing.T, n int) {
	t.Helper()
	r.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
	for len(r.pids) < n {
		c, err := r.Accept()
		if err != nil {
			t.Fatalf("%d of %d processes have started: %v", len(r.pids), n, err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(line))
		r.conns, r.pids = append(r.conns, c), append(r.pids, pid)
	}
}

// awaitEnd waits for the end of all of them.
func (r *roll) awaitEnd(t *testing.T, limit time.Duration) {
	t.Helper()
	for i, c := range r.conns {
		c.SetReadDeadline(time.Now().Add(limit))
		if _, err := c.Read(make([]byte, 1)); os.IsTimeout(err) {
			t.Errorf("process %d still lives", r.pids[i])
		}
		c.Close()
	}
}

// parent returns the parent of a process, or 0 if there is no such process.
func parent(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	n, _ := strconv.Atoi(f[1])
	return n
}

// below counts the processes below this one.
func below(t *testing.T) int {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*")
	n := 0
	for _, p := range paths {
		pid, _ := strconv.Atoi(filepath.Base(p))
		for q := parent(pid); q > 1; q = parent(q) {
			if q == os.Getpid() {
				n++
				break
			}
		}
	}
	return n
}

func TestStdioCloseEndsTree(t *testing.T) {
	roll := newRoll(t)
	r := newRecorder()
	c := mustOpen(t, childOptions(r, "stubborn:"+roll.Addr().String()+",3"))
	roll.await(t, 4)
	c.Close()
	roll.awaitEnd(t, 0+time.Millisecond)
	for _, pid := range roll.pids {
		if parent(pid) != 0 {
			t.Errorf("process %d is left after Close", pid)
		}
	}
	if err := r.awaitClosed(t); err != nil {
		t.Errorf("Closed: %v", err)
	}
}

// Nobody ends the tree of a firewall that was killed but the guard.
func TestStdioKillOfHolder(t *testing.T) {
	roll := newRoll(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	holder, err := os.StartProcess(self, os.Args[:1], &os.ProcAttr{
		Env:   []string{roleVariable + "=holder:" + roll.Addr().String() + ",2", "PATH=" + os.Getenv("PATH")},
		Files: []*os.File{nil, os.Stderr, os.Stderr},
	})
	if err != nil {
		t.Fatal(err)
	}
	roll.await(t, 3)
	guard := 0
	for _, pid := range roll.pids {
		if p := parent(parent(pid)); p == holder.Pid {
			guard = parent(pid)
		}
	}
	if guard == 0 {
		t.Error("no guard was found")
	}
	if err := holder.Kill(); err != nil {
		t.Fatal(err)
	}
	holder.Wait()
	roll.awaitEnd(t, 20*time.Second)
	for end := time.Now().Add(20 * time.Second); parent(guard) != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the guard still lives")
		}
	}
}

// A guard that is killed takes the server with it, and the transport says so.
func TestStdioKillOfGuard(t *testing.T) {
	roll := newRoll(t)
	r := newRecorder()
	mustOpen(t, childOptions(r, "stubborn:"+roll.Addr().String()+",0"))
	roll.await(t, 1)
	guard, err := os.FindProcess(parent(roll.pids[0]))
	if err != nil {
		t.Fatal(err)
	}
	guard.Kill()
	if err := r.awaitClosed(t); err == nil || !strings.Contains(err.Error(), "guard process was killed") {
		t.Errorf("Closed: %v", err)
	}
	roll.awaitEnd(t, 20*time.Second)
}
