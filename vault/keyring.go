package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/zalando/go-keyring"
)

// keyringDoor lets one question at a time through to the system's keychain. A
// question cannot be called back, and may wait for a person to unlock it.
type keyringDoor chan struct{}

func newKeyringDoor() keyringDoor { return make(keyringDoor, 1) }

// splitKeyring splits a reference's SERVICE/ACCOUNT at the last slash.
func splitKeyring(path string) (service, account string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return path, ""
	}
	return path[:i], path[i+1:]
}

// fromKeyring asks the system's keychain: the Secret Service on Linux, the Keychain
// on macOS, the Credential Manager on Windows.
func (r *Resolver) fromKeyring(ctx context.Context, path string) (string, error) {
	service, account := splitKeyring(path)
	if err := haveKeyring(); err != nil {
		return "", err
	}
	late := func() error {
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("asking the system's keychain was cancelled: %w", context.Canceled)
		}
		return errors.New("the system's keychain gave no answer in time; it may be locked and show a dialog: unlock it, and it is asked again")
	}
	select {
	case r.keyring <- struct{}{}:
	case <-ctx.Done():
		return "", late()
	}
	type answer struct {
		value string
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		defer func() { <-r.keyring }()
		value, err := keyring.Get(service, account)
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		switch {
		case errors.Is(a.err, keyring.ErrNotFound):
			return "", fmt.Errorf("the system's keychain has no entry for the service %q and the account %q; %s", service, account, storeHint())
		case a.err != nil:
			return "", fmt.Errorf("asking the system's keychain: %w", a.err)
		}
		return a.value, nil
	case <-ctx.Done():
		return "", late()
	}
}

// haveKeyring says why there is no keychain, where that can be told beforehand. The
// D-Bus library would otherwise start a bus of its own, with nobody on it.
func haveKeyring() error {
	switch runtime.GOOS {
	case "darwin", "windows":
		return nil
	}
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		if _, err := os.Stat(filepath.Join(dir, "bus")); err == nil {
			return nil
		}
	}
	return errors.New("there is no D-Bus session here, and so no Secret Service such as GNOME Keyring or KWallet; " +
		"use ${file:PATH} or ${env:NAME} where no desktop runs")
}

// storeHint says how to store an entry where it is looked for.
func storeHint() string {
	switch runtime.GOOS {
	case "darwin":
		return "store it with `security add-generic-password -s SERVICE -a ACCOUNT -w`"
	case "windows":
		return "store it with `cmdkey /generic:SERVICE:ACCOUNT /user:ACCOUNT /pass`"
	}
	return "store it with `secret-tool store --label=SERVICE service SERVICE username ACCOUNT`"
}
