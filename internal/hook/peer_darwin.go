package hook

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/mcpfirewall/mcpfirewall/internal/hook/post"
	"golang.org/x/sys/unix"
)

// peer returns the process at the other end and its ancestors. It is an error if it
// belongs to another user.
func peer(conn *net.UnixConn) ([]post.Process, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("finding out who sends it: %w", err)
	}
	var cred *unix.Xucred
	var credErr, pidErr error
	pid := 0
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		pid, pidErr = unix.GetsockoptInt(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	})
	if err := errors.Join(err, credErr, pidErr); err != nil {
		return nil, fmt.Errorf("finding out who sends it: %w", err)
	}
	if int(cred.Uid) != os.Geteuid() {
		return nil, errors.New("it comes from another user")
	}
	chain, err := post.Ancestors(pid)
	if err != nil {
		return nil, err
	}
	if !post.Alive(chain[0]) {
		return nil, errors.New("its sender ended while it was looked at")
	}
	return chain, nil
}
