//go:build !unix

package vaultserver

import (
	"syscall"
	"testing"
)

// unprivileged changes nothing: only on Unix does PostgreSQL refuse to run as root.
func unprivileged(testing.TB, string) *syscall.SysProcAttr { return nil }
