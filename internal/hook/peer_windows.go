package hook

import (
	"errors"
	"fmt"
	"net"
	"unsafe"

	"github.com/mcpfirewall/mcpfirewall/internal/hook/post"
	"golang.org/x/sys/windows"
)

// sioPeerPid asks for the process at the other end: SIO_AF_UNIX_GETPEERPID of afunix.h.
const sioPeerPid = 0x58000100

// peer returns the process at the other end and its ancestors. It is an error if it
// belongs to another user.
func peer(conn *net.UnixConn) ([]post.Process, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("finding out who sends it: %w", err)
	}
	var pid, n uint32
	var ioctlErr error
	err = raw.Control(func(fd uintptr) {
		ioctlErr = windows.WSAIoctl(windows.Handle(fd), sioPeerPid, nil, 0, (*byte)(unsafe.Pointer(&pid)), uint32(unsafe.Sizeof(pid)), &n, nil, 0)
	})
	if err := errors.Join(err, ioctlErr); err != nil {
		return nil, fmt.Errorf("finding out who sends it: %w", err)
	}
	// While the handle is open, nobody else has the process's id.
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, pid)
	if err != nil {
		return nil, fmt.Errorf("looking at who sends it: %w", err)
	}
	defer windows.CloseHandle(h)
	if event, err := windows.WaitForSingleObject(h, 0); err != nil || event != uint32(windows.WAIT_TIMEOUT) {
		return nil, errors.New("its sender has ended already")
	}
	var token windows.Token
	if err := windows.OpenProcessToken(h, windows.TOKEN_QUERY, &token); err != nil {
		return nil, fmt.Errorf("looking at who sends it: %w", err)
	}
	defer token.Close()
	theirs, err := token.GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("looking at who sends it: %w", err)
	}
	ours, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("finding the current user: %w", err)
	}
	if !theirs.User.Sid.Equals(ours.User.Sid) {
		return nil, errors.New("it comes from another user")
	}
	return post.Ancestors(int(pid))
}
