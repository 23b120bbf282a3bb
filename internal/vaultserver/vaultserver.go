// Package vaultserver runs a real HashiCorp Vault server for tests.
//
//	srv := vaultserver.Start(t)
//	srv.Client(t).KVv2("secret").Put(ctx, "github", map[string]any{"token": "..."})
//	resolver, err := vault.New(vault.Options{Address: srv.Addr, Token: srv.RootToken})
//
// The server is built from the module in the folder server, which the product
// never imports, and kept in the folder of test dependencies: the variable
// MCPFIREWALL_TESTDEPS, or mcpfirewall-test in the user's cache folder. A
// started server keeps everything in memory and ends with its test.
package vaultserver

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/hashicorp/vault/api"
)

// Server is a running Vault server, initialised and unsealed. It has a KV
// engine of version 2 at secret/ and one of version 1 at kv1/.
type Server struct {
	Addr      string // base URL, such as http://127.0.0.1:12345
	RootToken string
	UnsealKey string // hexadecimal, the only share
	CACert    string // the PEM file that the server's certificate verifies with; "" without TLS

	kill func()
}

// Start starts a server on http. The test fails if that is impossible, and is
// skipped only if the server is not built yet and its modules cannot be had.
func Start(t testing.TB) *Server {
	t.Helper()
	return start(t, "")
}

// StartTLS starts a server on https, with a certificate for 127.0.0.1 signed by
// itself.
func StartTLS(t testing.TB) *Server {
	t.Helper()
	cert, key := selfSigned(t)
	return start(t, cert, "-tls-cert", cert, "-tls-key", key)
}

// Stop ends the server at once, as a crash would. It is called by the end of
// the test, and may be called before.
func (s *Server) Stop() { s.kill() }

// Client returns a client with the root token, whatever VAULT_* variables say.
func (s *Server) Client(t testing.TB) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	if config.Error != nil {
		t.Fatalf("vault client: %v", config.Error)
	}
	config.Address = s.Addr
	if s.CACert != "" {
		if err := config.ConfigureTLS(&api.TLSConfig{CACert: s.CACert}); err != nil {
			t.Fatalf("vault client: %v", err)
		}
	}
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatalf("vault client: %v", err)
	}
	client.ClearNamespace()
	client.SetToken(s.RootToken)
	return client
}

// Token returns a new token that may do what policy, in Vault's policy
// language, says and nothing else.
func (s *Server) Token(t testing.TB, policy string) string {
	t.Helper()
	client := s.Client(t)
	name := fmt.Sprintf("test-%d", time.Now().UnixNano())
	if err := client.Sys().PutPolicy(name, policy); err != nil {
		t.Fatalf("writing a vault policy: %v", err)
	}
	created, err := client.Auth().Token().Create(&api.TokenCreateRequest{
		Policies:        []string{name},
		NoDefaultPolicy: true,
	})
	if err != nil {
		t.Fatalf("creating a vault token: %v", err)
	}
	return created.Auth.ClientToken
}

func start(t testing.TB, caCert string, args ...string) *Server {
	t.Helper()
	cmd := exec.Command(Binary(t), args...)
	// Vault must not see the variables that its client reads, and needs none.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("starting vault: %v", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("starting vault: %v", err)
	}
	var log tail
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting vault: %v", err)
	}
	kill := sync.OnceFunc(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Cleanup(kill)

	late := time.AfterFunc(time.Minute, kill)
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	late.Stop()
	if err != nil {
		t.Fatalf("vault did not start: %v\n%s", err, log.String())
	}
	var said struct {
		Address   string `json:"address"`
		RootToken string `json:"root_token"`
		UnsealKey string `json:"unseal_key"`
	}
	if err := json.Unmarshal(line, &said); err != nil {
		t.Fatalf("vault announced itself as %q: %v", line, err)
	}
	s := &Server{
		Addr:      said.Address,
		RootToken: said.RootToken,
		UnsealKey: said.UnsealKey,
		CACert:    caCert,
		kill:      kill,
	}
	client := s.Client(t)
	for path, version := range map[string]string{"secret": "2", "kv1": "1"} {
		err := client.Sys().Mount(path, &api.MountInput{Type: "kv", Options: map[string]string{"version": version}})
		if err != nil {
			t.Fatalf("mounting %s: %v\n%s", path, err, log.String())
		}
	}
	return s
}

// Binary returns the path of the built server, and builds it first if it must.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := Build(io.Discard)
	if errors.Is(err, ErrUnavailable) && os.Getenv("CI") == "" {
		t.Skipf("no Vault server to test against: %v", err)
	}
	if err != nil {
		t.Fatalf("building the Vault test server: %v", err)
	}
	return path
}

// selfSigned writes a certificate for 127.0.0.1 and its key, and returns the
// paths of the two PEM files.
func selfSigned(t testing.TB) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "vault test server"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER)
}

// tail keeps the last part of what the server logs, for a failing test to show.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 16 << 10

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p...)
	if len(w.buf) > tailSize {
		w.buf = append([]byte(nil), w.buf[len(w.buf)-tailSize:]...)
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.buf)
}
