package vaultserver

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// ErrUnavailable says that the server is not built, and cannot be, because the
// modules that it consists of cannot be downloaded.
var ErrUnavailable = errors.New("the modules of the Vault test server cannot be downloaded")

// As they were before a test changed HOME: elsewhere, neither the built server nor
// Go's build cache would be found.
var (
	cacheDir, cacheErr = os.UserCacheDir()
	environ            = os.Environ()
)

// Build returns the path of the server's executable and builds it first where
// it is missing, which takes minutes and is said on log. Its name holds a hash
// of its sources and of go.sum, so a changed one is built anew.
func Build(log io.Writer) (string, error) {
	source, err := sourceDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(content), content)
	}
	dir, err := binDir()
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("vault-server-%x", sum.Sum(nil)[:6])
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}

	fmt.Fprintln(log, "building the Vault test server; without Go's build cache this takes some minutes")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Built beside its place and moved there whole: several tests may build at
	// the same time.
	temp, err := os.MkdirTemp(dir, ".build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	built := filepath.Join(temp, name)
	if err := goBuild(source, built); err != nil {
		return "", err
	}
	if err := os.Rename(built, path); err != nil {
		return "", err
	}
	return path, nil
}

func goBuild(source, to string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", to, ".")
	cmd.Dir = source
	// A work space, flags or cgo of the caller's are not meant for this module.
	cmd.Env = append(slices.Clip(environ), "GOWORK=off", "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(out.String())
	for _, sign := range []string{
		"dial tcp", "no such host", "i/o timeout", "connection refused", "connection reset", "TLS handshake",
		"module lookup disabled by GOPROXY", "Forbidden", "Bad Gateway", "Service Unavailable", "Gateway Timeout",
	} {
		if strings.Contains(text, sign) {
			return fmt.Errorf("%w: %s", ErrUnavailable, text)
		}
	}
	return fmt.Errorf("go build in %s: %w\n%s", source, err, text)
}

// binDir returns the folder for executables that only tests need.
func binDir() (string, error) {
	if dir := os.Getenv("MCPFIREWALL_TESTDEPS"); dir != "" {
		return filepath.Join(dir, "bin"), nil
	}
	if cacheErr != nil {
		return "", fmt.Errorf("no place for the Vault test server, set MCPFIREWALL_TESTDEPS: %w", cacheErr)
	}
	return filepath.Join(cacheDir, "mcpfirewall-test", "bin"), nil
}

// sourceDir returns the folder of the server's module. Tests run in the folder
// of their package and may be built with -trimpath, so go itself is asked.
func sourceDir() (string, error) {
	const module = "github.com/mcpfirewall/mcpfirewall"
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	cmd.Env = environ
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding the folder of module %s: %w", module, err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "internal", "vaultserver", "server"), nil
}
