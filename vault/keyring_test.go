package vault

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestKeyring asks a real Secret Service: GNOME Keyring, on a D-Bus session of its
// own and without a desktop.
func TestKeyring(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the keychains of other systems cannot be had for a test alone")
	}
	for _, program := range []string{"dbus-daemon", "gnome-keyring-daemon", "secret-tool"} {
		if _, err := exec.LookPath(program); err != nil {
			const missing = "there is no %s here (on Debian: apt-get install dbus gnome-keyring libsecret-tools)"
			if os.Getenv("CI") != "" {
				t.Fatalf(missing, program)
			}
			t.Skipf(missing, program)
		}
	}
	home := isolate(t)
	t.Setenv("XDG_RUNTIME_DIR", home)
	t.Setenv("XDG_DATA_HOME", filepath.Join(home, "data"))
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", startBus(t))

	// Nobody on the bus is called by that name yet.
	wantError(t, resolver(t, Options{}), "${keyring:github/alice}", "asking the system's keychain")

	// A line with the password of the keyring makes and unlocks it.
	daemon := exec.Command("gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets")
	daemon.Stdin = strings.NewReader("password\n")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Process.Kill(); daemon.Wait() })
	store := func(service, account, value string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // until the daemon is ready
			cmd := exec.Command("secret-tool", "store", "--label=test", "service", service, "username", account)
			cmd.Stdin = strings.NewReader(value)
			out, err := cmd.CombinedOutput()
			if err == nil {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("secret-tool: %v: %s", err, out)
			}
		}
	}
	store("github", "alice", "alice's token")
	store("https://crm.example.com", "bob@example.com", "bob's token")

	r := resolver(t, Options{})
	wantValue(t, r, "a ${keyring:github/alice} b", "a alice's token b")
	wantValue(t, r, "${keyring:https://crm.example.com/bob@example.com}", "bob's token")
	wantError(t, r, "${keyring:github/carol}", `no entry for the service "github" and the account "carol"`, "secret-tool store")
	g := acquire(t, r, "${keyring:github/alice}")
	if !g.Static() || g.Secrets[0] != (Secret{"keyring:github/alice", "alice's token"}) {
		t.Errorf("static %v, %d secrets", g.Static(), len(g.Secrets))
	}
}

// startBus starts a D-Bus daemon that ends with the test.
func startBus(t *testing.T) (address string) {
	t.Helper()
	// Unlike the system's configuration, this one starts nothing on demand.
	config := filepath.Join(t.TempDir(), "bus.conf")
	if err := os.WriteFile(config, []byte(`<busconfig><type>session</type><listen>unix:dir=`+t.TempDir()+`</listen>
		<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o600); err != nil {
		t.Fatal(err)
	}
	bus := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--print-address=1")
	out, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Process.Kill(); bus.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func TestKeyringIsMissing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems always have a keychain")
	}
	isolate(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	wantError(t, resolver(t, Options{}), "${keyring:github/alice}", "no D-Bus session here")
}

// TestKeyringHangs meets a bus that takes the connection and says nothing.
func TestKeyringHangs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no D-Bus elsewhere")
	}
	isolate(t)
	socket := filepath.Join(t.TempDir(), "bus")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // which also ends what still waits
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+socket)
	r := resolver(t, Options{Timeout: 50 * time.Millisecond})
	const ref = "${keyring:github/alice}"
	wantError(t, r, ref, "gave no answer in time", "unlock it")
	wantError(t, r, ref, "gave no answer in time") // while the first still waits
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Acquire(ctx, []string{ref}, Vars{}); err == nil || !strings.Contains(err.Error(), "was cancelled") {
		t.Errorf("cancelled: %v", err)
	}
}
