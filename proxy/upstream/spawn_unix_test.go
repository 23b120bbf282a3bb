//go:build unix

package upstream

import (
	"os"
	"syscall"
)

// spawn starts a process of the role in a session of its own, out of its parent's reach.
func spawn(role string) {
	self, _ := os.Executable()
	_, err := os.StartProcess(self, os.Args[:1], &os.ProcAttr{
		Env:   []string{roleVariable + "=" + role},
		Files: []*os.File{nil, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		panic(err)
	}
}
