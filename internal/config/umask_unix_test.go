//go:build unix

package config

import "syscall"

func restrictNewFiles() { syscall.Umask(0o022) }
