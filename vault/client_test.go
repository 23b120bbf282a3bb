package vault

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
)

// TestVariables holds the VAULT_* variables to what Vault's command line makes of
// them, and the options above them.
func TestVariables(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	s.hide("no-such-token", "never-to-be-seen")
	with := func(t *testing.T, o Options) *Resolver {
		t.Helper()
		if o.Token == "" {
			o.Token = s.RootToken
		}
		return s.resolver(Auth{}, o)
	}

	t.Run("VAULT_ADDR and VAULT_AGENT_ADDR", func(t *testing.T) {
		t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
		t.Setenv("VAULT_AGENT_ADDR", s.Addr)
		r := resolver(t, Options{Token: s.RootToken})
		defer r.Close(t.Context())
		wantValue(t, r, stageRef, stageValue)
	})
	t.Run("VAULT_AGENT_ADDR with a socket", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("the paths of sockets on Windows are no URLs")
		}
		path := filepath.Join(t.TempDir(), "agent.sock")
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		agent := &httptest.Server{Listener: ln, Config: &http.Server{Handler: newGate(t, s.Addr)}}
		agent.Start()
		defer agent.Close()
		t.Setenv("VAULT_AGENT_ADDR", "unix://"+path)
		r := resolver(t, Options{Token: s.RootToken})
		defer r.Close(t.Context())
		wantValue(t, r, stageRef, stageValue)
	})
	t.Run("VAULT_AGENT_ADDR without a token", func(t *testing.T) {
		agent := newGate(t, s.Addr)
		agent.set(func(w http.ResponseWriter, req *http.Request, pass func(http.ResponseWriter)) {
			if req.Header.Get("X-Vault-Token") == "" {
				req.Header.Set("X-Vault-Token", s.RootToken)
			}
			pass(w)
		})
		t.Setenv("VAULT_AGENT_ADDR", agent.URL)
		r := resolver(t, Options{})
		wantValue(t, r, stageRef, stageValue)
		r.Close(t.Context())
		if n := agent.count("-self"); n != 0 {
			t.Errorf("%d requests about the agent's own token", n)
		}
		s.fails(s.resolver(Auth{}, Options{}), "there is no token") // at another address
	})
	t.Run("VAULT_TOKEN is for the method token only", func(t *testing.T) {
		t.Setenv("VAULT_TOKEN", s.RootToken)
		s.works(s.resolver(Auth{}, Options{}))
		t.Setenv("VAULT_TOKEN", "no-such-token")
		s.works(s.resolver(s.appRole("app", nil), Options{}))
		s.fails(s.resolver(Auth{}, Options{}), "denied")
		s.works(with(t, Options{}))
	})
	t.Run("VAULT_WRAP_TTL", func(t *testing.T) {
		auth := s.appRole("app", nil)
		t.Setenv("VAULT_WRAP_TTL", "60s")
		s.works(s.resolver(auth, Options{}))
	})
	t.Run("VAULT_NAMESPACE and VAULT_HEADERS and VAULT_MFA", func(t *testing.T) {
		g := newGate(t, s.Addr)
		var got atomic.Value
		g.set(func(w http.ResponseWriter, req *http.Request, pass func(http.ResponseWriter)) {
			if strings.HasSuffix(req.URL.Path, "/login") || strings.HasSuffix(req.URL.Path, "/data/app") {
				last, _ := got.Load().(string)
				got.Store(last + fmt.Sprintf("%s %s %s;", req.Header.Get("X-Vault-Namespace"), req.Header.Get("X-Team"), req.Header.Get("X-Vault-Mfa")))
			}
			req.Header.Del("X-Vault-Namespace") // which this edition of Vault refuses
			pass(w)
		})
		t.Setenv("VAULT_NAMESPACE", "env")
		t.Setenv("VAULT_HEADERS", `{"X-Team":"blue","X-Proxy-Token":"never-to-be-seen"}`)
		t.Setenv("VAULT_MFA", "method:123456")
		auth := s.appRole("app", nil)
		r := s.resolver(auth, Options{Address: g.URL})
		s.works(r)
		if known := r.loginSecrets(); known[0].Value != "never-to-be-seen" {
			t.Error("the header with a token in it is not known to the redactor")
		}
		s.works(s.resolver(auth, Options{Address: g.URL, Namespace: "mine"}))
		auth.Namespace = "people"
		s.works(s.resolver(auth, Options{Address: g.URL, Namespace: "mine"}))
		const rest = " blue method:123456;"
		if want := "env" + rest + "env" + rest + "mine" + rest + "mine" + rest + "people" + rest + "mine" + rest; got.Load() != want {
			t.Errorf("got  %v\nwant %v", got.Load(), want)
		}
	})
	t.Run("VAULT_PROXY_ADDR and VAULT_HTTP_PROXY", func(t *testing.T) {
		for _, name := range []string{"VAULT_HTTP_PROXY", "VAULT_PROXY_ADDR"} {
			g := newGate(t, s.Addr)
			t.Setenv(name, strings.Replace(g.URL, "://", "://me:never-to-be-seen@", 1))
			s.works(with(t, Options{Address: "http://vault.invalid:8200"}))
			if g.count("/data/app") != 1 {
				t.Errorf("%s is not asked", name)
			}
			t.Setenv(name, "http://me:never-to-be-seen@127.0.0.1:1")
			t.Setenv("VAULT_MAX_RETRIES", "0")
			s.fails(with(t, Options{}), "cannot be reached")
			t.Setenv(name, "http://me:never-to-be-seen@ :1")
			s.fails(with(t, Options{}), name+" is not a URL")
			t.Setenv(name, "")
		}
	})
	t.Run("VAULT_RATE_LIMIT", func(t *testing.T) {
		t.Setenv("VAULT_RATE_LIMIT", "5:1")
		r := s.resolver(s.appRole("app", nil), Options{})
		start := time.Now()
		s.works(r)
		if took := time.Since(start); took < 300*time.Millisecond { // login, mount and secret at least
			t.Errorf("3 requests at 5 a second took %v", took)
		}
	})
	t.Run("VAULT_MAX_RETRIES", func(t *testing.T) {
		for retries, want := range map[string]int{"0": 1, "1": 2} {
			g := newGate(t, s.Addr)
			g.set(func(w http.ResponseWriter, req *http.Request, pass func(http.ResponseWriter)) {
				if strings.HasSuffix(req.URL.Path, "/data/app") {
					http.Error(w, `{"errors":["internal error"]}`, 500)
					return
				}
				pass(w)
			})
			t.Setenv("VAULT_MAX_RETRIES", retries)
			s.fails(with(t, Options{Address: g.URL}), "internal error")
			if n := g.count("/data/app"); n != want {
				t.Errorf("%d attempts with VAULT_MAX_RETRIES=%s", n, retries)
			}
		}
	})
	t.Run("malformed", func(t *testing.T) {
		for name, value := range map[string]string{
			"VAULT_MAX_RETRIES": "many", "VAULT_RATE_LIMIT": "x", "VAULT_CLIENT_TIMEOUT": "x", "VAULT_SKIP_VERIFY": "perhaps",
			"VAULT_SRV_LOOKUP": "x", "VAULT_CLIENT_CERT": "/x", "VAULT_DISABLE_REDIRECTS": "x", "VAULT_CACERT": "/no/such/VAULT_CACERT",
		} {
			t.Setenv(name, value)
			s.fails(with(t, Options{}), name)
			t.Setenv(name, "")
		}
	})
}

// TestTokenHelper asks the program that Vault's command line is configured with.
func TestTokenHelper(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the helper of this test is a shell script")
	}
	s := newStage(t, vaultserver.Start)
	home := os.Getenv("HOME")
	helper := filepath.Join(home, "helper")
	script := func(text string) {
		if err := os.WriteFile(helper, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	script(`[ "$1" = get ] && echo ` + s.RootToken)
	rewrite(t, filepath.Join(home, ".vault"), `token_helper = "`+helper+`"`)
	s.works(s.resolver(Auth{}, Options{}))
	rewrite(t, filepath.Join(home, "other"), `{"token_helper": "`+helper+`"}`)
	rewrite(t, filepath.Join(home, ".vault"), `$ANSIBLE_VAULT;1.1;AES256`)
	s.fails(s.resolver(Auth{}, Options{}), "move it away if it belongs to another program")
	t.Setenv("VAULT_CONFIG_PATH", "~/other")
	s.works(s.resolver(Auth{}, Options{}))
	script(`echo ` + s.RootToken + ` >&2; exit 1`)
	s.fails(s.resolver(Auth{}, Options{}), "the token helper", helper, "exit status 1", "vault login")
	script("")
	s.fails(s.resolver(Auth{}, Options{}), "there is no token for Vault")
	script(`yes ` + s.RootToken)
	start := time.Now()
	s.fails(s.resolver(Auth{}, Options{}), "failed")
	if took := time.Since(start); took > helperTime {
		t.Errorf("a helper that writes without end was read for %v", took)
	}
	rewrite(t, filepath.Join(home, "other"), `token_helper = "helper"`)
	s.fails(s.resolver(Auth{}, Options{}), "whole path")
	s.hide("nothing else")
}

// TestTrust checks the ways to say whose certificate Vault may have.
func TestTrust(t *testing.T) {
	s := newStage(t, vaultserver.StartTLS)
	s.hide("nothing else")
	pemText, err := os.ReadFile(s.CACert)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	rewrite(t, filepath.Join(dir, "ca.pem"), string(pemText))
	other, _ := clientCertificate(t, t.TempDir(), "other")
	with := func(o Options) *Resolver {
		o.Token = s.RootToken
		return s.resolver(Auth{}, o)
	}
	works := func(name, value string, o Options) {
		t.Helper()
		if name != "" {
			t.Setenv(name, value)
			defer t.Setenv(name, "")
		}
		s.works(with(o))
	}
	works("VAULT_CACERT", s.CACert, Options{})
	works("VAULT_CACERT_BYTES", string(pemText), Options{})
	works("VAULT_CAPATH", dir, Options{})
	works("", "", Options{CAPath: dir})
	works("VAULT_CACERT", other, Options{CACert: s.CACert})
	works("VAULT_CACERT", other, Options{CAPath: dir})
	s.fails(with(Options{}), "is not trusted")
	s.fails(with(Options{CACert: other}), "is not trusted")

	t.Run("another name", func(t *testing.T) {
		named, key := serverCertificate(t, "vault.example.com")
		front := s.frontTLS(named, key)
		o := Options{Address: front, CACert: named}
		s.fails(with(o), "is not trusted")
		o.TLSServerName = "vault.example.com"
		works("", "", o)
		works("VAULT_TLS_SERVER_NAME", "nobody.example.com", o)
		o.TLSServerName = ""
		works("VAULT_TLS_SERVER_NAME", "vault.example.com", o)
	})

	t.Run("VAULT_SKIP_VERIFY", func(t *testing.T) {
		t.Setenv("VAULT_SKIP_VERIFY", "true")
		s.works(with(Options{}))
		s.log.wait(t, "NOT checked", 1)
		s.fails(with(Options{CACert: other}), "is not trusted")
		s.log.wait(t, "has no effect", 1)
	})
}

// serverCertificate writes a certificate for a server's name, and its key.
func serverCertificate(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	return certificate(t, t.TempDir(), name, func(c *x509.Certificate) {
		c.DNSNames = []string{name}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, c.KeyUsage|x509.KeyUsageCertSign
	})
}

// frontTLS serves what the server does with another certificate.
func (s *stage) frontTLS(cert, key string) (address string) {
	s.t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(s.CACert)
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		s.t.Fatal(err)
	}
	to, err := url.Parse(s.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	through := httputil.NewSingleHostReverseProxy(to)
	through.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	front := httptest.NewUnstartedServer(through)
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // it notes handshakes that fail, which they shall
	front.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	front.StartTLS()
	s.t.Cleanup(front.Close)
	return front.URL
}

// TestRecorded holds the client to replies to logins that newer versions of Vault give;
// TestNewerVault does so for all else.
func TestRecorded(t *testing.T) {
	s := &stage{t: t, log: newJournal()}
	isolate(t)
	const secretID = "59d6d1ca-47bb-4e7e-a40b-222222222222"
	s.hide(secretID, "hvs.recorded-token-of-the-login", "third")
	t.Cleanup(s.checkSecrecy)
	for name, c := range map[string]struct {
		status int
		reply  string
		want   []string
	}{
		"mfa of 1.15": {200, `{"request_id":"b0c9","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":null,
			"warnings":["A login request was issued that is subject to MFA validation. Please make sure to validate the login by sending another request to mfa/validate endpoint."],
			"auth":{"client_token":"","accessor":"","policies":null,"token_policies":null,"identity_policies":null,"metadata":null,"orphan":false,"entity_id":"",
			"lease_duration":0,"renewable":false,"mfa_requirement":{"mfa_request_id":"d0c9eec7","mfa_constraints":{"totp":{"any":[{"type":"totp","id":"820997b3","uses_passcode":true}]}}}},
			"mount_type":""}`, []string{"second factor", "exempt this role"}},
		"lockout of 1.13": {403, `{"errors":["permission denied"]}`, []string{"refuses it (403): permission denied", "lock the role out"}},
		"two errors of 1.17": {403, `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`,
			[]string{"2 errors occurred: * permission denied * invalid token;"}},
		"wrong secret id of 1.17": {400, `{"errors":["invalid role or secret ID"]}`, []string{"refuses it (400): invalid role or secret ID"}},
		"no such mount":           {404, `{"errors":["no handler for route \"auth/approle/login\". route entry not found."]}`, []string{"no such auth method (404)", "vault.auth.mount"}},
		"wrapped":                 {200, `{"auth":null,"wrap_info":{"token":"hvs.recorded-token-of-the-login","ttl":60}}`, []string{"holds no token"}},
		"empty":                   {204, ``, []string{"holds no token"}},
		"empty token":             {200, `{"auth":{"client_token":"","lease_duration":60,"renewable":true}}`, []string{"an empty token"}},
		"no JSON":                 {200, `<html>hvs.recorded-token-of-the-login`, []string{"not one of Vault's"}},
		"no JSON in an error":     {400, `<html>` + secretID, []string{"refuses it (400);"}},
		"it paints":               {400, `{"errors":["\u001b[31mred\u202e\u0000"]}`, []string{": \ufffd[31mred\ufffd\ufffd;"}},
		"it repeats what was sent": {400, `{"errors":["cannot use \"` + secretID + `\" of ` + secretID[:20] + ` or x` + secretID[8:] + `y"]}`,
			[]string{`cannot use "(secret)" of (secret) or x(secret)y;`}},
	} {
		t.Run(name, func(t *testing.T) {
			front := serve(t, func(w http.ResponseWriter, req *http.Request) {
				w.WriteHeader(c.status)
				io.WriteString(w, c.reply)
			})
			s.fails(s.resolver(Auth{Method: MethodAppRole, RoleID: "some-role-id", SecretID: s.file(secretID)}, Options{Address: front}), c.want...)
		})
	}
}

// TestOverload waits where Vault asks for it.
func TestOverload(t *testing.T) {
	for name, status := range map[string]int{"429": 429, "412": 412, "502": 502} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, vaultserver.Start)
			g := newGate(t, s.Addr)
			r := s.resolver(s.appRole("app", nil), Options{Address: g.URL})
			var asked atomic.Int32
			g.set(func(w http.ResponseWriter, req *http.Request, pass func(http.ResponseWriter)) {
				if strings.HasSuffix(req.URL.Path, "/login") && asked.Add(1) == 1 {
					http.Error(w, `{"errors":["not now"]}`, status)
					return
				}
				pass(w)
			})
			s.works(r)
			if n := asked.Load(); n != 2 {
				t.Errorf("%d logins, want 2", n)
			}
			s.hide("nothing else")
		})
	}
}

func FuzzWithoutParts(f *testing.F) {
	f.Add("the secret is s3cr3t-v4lue here", "s3cr3t-v4lue")
	f.Add("aaaaaaaaaaaaaaaaaaaaaaaaaab", "aaaaaaaaaaaab")
	f.Add("xx", "x")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, text, secret string) {
		if len(text) > 1<<12 || len(secret) > 1<<10 || strings.Contains("(secret)", secret) {
			return
		}
		got := withoutParts(text, secret)
		for _, piece := range strings.Split(got, "(secret)") {
			for i := 0; i+10 <= len(secret); i++ {
				if strings.Contains(piece, secret[i:i+10]) {
					t.Errorf("%q without %q is %q", text, secret, got)
				}
			}
			if secret != "" && strings.Contains(piece, secret) {
				t.Errorf("%q without %q is %q", text, secret, got)
			}
		}
		if !strings.Contains(text, secret[:min(10, len(secret))]) && len(secret) <= 10 && got != text {
			t.Errorf("%q without %q is %q", text, secret, got)
		}
	})
}
