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
	var cred *unix.Ucred
	var credErr, pidfdErr error
	pidfd := -1
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		// Since Linux 6.5.
		pidfd, pidfdErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	})
	held := err == nil && pidfdErr == nil
	if held {
		defer unix.Close(pidfd)
	}
	if err := errors.Join(err, credErr); err != nil {
		return nil, fmt.Errorf("finding out who sends it: %w", err)
	}
	if !held && pidfdErr != unix.ENOPROTOOPT && pidfdErr != unix.EINVAL {
		return nil, errors.New("its sender has ended already")
	}
	if int(cred.Uid) != os.Geteuid() {
		return nil, errors.New("it comes from another user")
	}
	if cred.Pid <= 0 {
		return nil, errors.New("its sender runs in another container, and cannot be looked at")
	}
	chain, err := post.Ancestors(int(cred.Pid))
	if err != nil {
		return nil, err
	}
	// While the process that connected lives, nobody else has its id.
	if held && unix.PidfdSendSignal(pidfd, 0, nil, 0) != nil || !post.Alive(chain[0]) {
		return nil, errors.New("its sender ended while it was looked at")
	}
	return chain, nil
}
