//go:build unix && !linux

package main

// protect keeps what the process holds in memory, which are secrets, from core dumps.
func protect() error { return noCoreDumps() }
