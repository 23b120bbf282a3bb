// Package oauthserver runs a real OAuth authorization server for tests: oidc-provider,
// under Node.js, on loopback.
//
//	srv := oauthserver.Start(t, time.Hour)
//	token := srv.RefreshToken(t, "person", resource)
//	active, scope := srv.Introspect(t, accessToken, resource)
//
// It gives access tokens by client credentials, with resource indicators, and rotates
// refresh tokens: who uses one twice loses the whole grant. test/setup.sh installs it
// into the folder of test dependencies: the variable MCPFIREWALL_TESTDEPS, or
// mcpfirewall-test in the user's cache folder.
package oauthserver

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

//go:embed server.mjs
var script []byte

// The secrets of the clients "basic", "post" and "person". The clients "keyed" and
// "public" have none.
const (
	BasicSecret  = "basic secret: +%/&="
	PostSecret   = "post-secret-8c1f"
	PersonSecret = "person-secret-77aa"
)

// Server is a running authorization server.
type Server struct {
	Issuer string // its address, on http
	Key    string // the private key of the client "keyed", PEM
}

// Start starts a server whose access tokens live that long, in whole seconds. It ends
// with the test. The test is skipped where the server is not installed, and in CI fails.
func Start(t testing.TB, life time.Duration) *Server {
	t.Helper()
	key, public := newKey(t)
	file := filepath.Join(t.TempDir(), "server.mjs")
	if err := os.WriteFile(file, script, 0o600); err != nil {
		t.Fatal(err)
	}
	node, main := installed(t, "node", ".bin", "node"), installed(t, "oauth", "oidc-provider", "lib", "index.js")
	cmd := exec.Command(node, file, main, strconv.Itoa(int(life/time.Second)), `{"jwk":`+public+`}`)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SYSTEMROOT=" + os.Getenv("SYSTEMROOT")}
	var log bytes.Buffer
	cmd.Stderr = &log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	late.Stop()
	if err != nil {
		cmd.Wait()
		t.Fatalf("the authorization server did not start: %v\n%s", err, log.String())
	}
	issuer, _ := jsonrpc.GetString(bytes.TrimSpace(line), "issuer")
	return &Server{Issuer: issuer, Key: key}
}

// RefreshToken returns a new refresh token for a client, as a person's authorization of
// the resource would have given it.
func (s *Server) RefreshToken(t testing.TB, client, resource string) string {
	t.Helper()
	return string(get(t, s.Issuer+"/test/refresh-token?"+url.Values{"client": {client}, "resource": {resource}}.Encode()))
}

// Introspect asks the server whether an access token is valid for the resource, and for
// which scopes (RFC 7662).
func (s *Server) Introspect(token, resource string) (active bool, scope string, err error) {
	req, err := http.NewRequest(http.MethodPost, s.Issuer+"/token/introspection", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		return false, "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("server", "server-secret")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return false, "", err
	}
	audience, _ := jsonrpc.GetString(body, "aud")
	scope, _ = jsonrpc.GetString(body, "scope")
	return string(jsonrpc.Get(body, "active")) == "true" && audience == resource, scope, nil
}

func get(t testing.TB, address string) []byte {
	t.Helper()
	res, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("HTTP status %d, %v", res.StatusCode, err)
	}
	return body
}

// newKey returns a private key in PEM form, and its public part as a JWK.
func newKey(t testing.TB) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jose.JSONWebKey{Key: key.Public(), Algorithm: string(jose.ES256), Use: "sig"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), string(jwk)
}

// installed returns the path of a file of an installed npm package. The name is the
// folder of test/npm that asks for it.
func installed(t testing.TB, name string, elem ...string) string {
	t.Helper()
	dir := os.Getenv("MCPFIREWALL_TESTDEPS")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "mcpfirewall-test")
	}
	dir = filepath.Join(dir, "npm", name)
	path := filepath.Join(append([]string{dir, "node_modules"}, elem...)...)
	if runtime.GOOS == "windows" && elem[len(elem)-1] == "node" {
		path += ".exe"
	}
	for _, want := range []string{filepath.Join(dir, "installed.json"), path} { // the first is written last
		if _, err := os.Stat(want); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("npm %s is not installed: test/setup.sh says why", name)
			}
			t.Skipf("npm %s is not installed: run test/setup.sh, or see what it said", name)
		}
	}
	return path
}
