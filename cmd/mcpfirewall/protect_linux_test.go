package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestMemoryIsProtected looks at a firewall from another process of the same user.
func TestMemoryIsProtected(t *testing.T) {
	c := newHome(t).start(t, "wrap", "--", "mcpfirewall", "demo", "server")
	c.send(initialize)
	c.wait(`"hello"`)
	look := func(file string) string {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.cmd.Process.Pid), file))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	if limits := look("limits"); !regexp.MustCompile(`(?m)^Max core file size\s+0\s`).MatchString(limits) {
		t.Errorf("core dumps are on:\n%s", limits)
	}
	look("stat") // which the hook needs
	if os.Geteuid() == 0 {
		return // from root nothing is kept
	}
	if _, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.cmd.Process.Pid), "environ")); !os.IsPermission(err) {
		t.Errorf("the environment can be read: %v", err)
	}
}
