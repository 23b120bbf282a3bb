package vault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
)

// ended reports that a token is of no use any more.
func (s *stage) ended(token string) bool {
	client := s.Client(s.t)
	client.SetToken(token)
	_, err := client.Auth().Token().LookupSelf()
	return status(err) == 403
}

// logsInAndOut checks a method that works, and that its token is gone afterwards.
func (s *stage) logsInAndOut(r *Resolver) {
	s.t.Helper()
	s.works(r)
	client, err := r.login(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if s.ended(client.Token()) {
		s.t.Fatal("the token is of no use although it was just used")
	}
	s.hide(client.Token())
	r.logout(s.t.Context())
	if !s.ended(client.Token()) {
		s.t.Error("the token of the login was not revoked")
	}
	if _, err := r.login(s.t.Context()); err == nil {
		s.t.Error("a login after logout")
	}
}

func TestAppRole(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	auth := s.appRole("app", nil)
	s.logsInAndOut(s.resolver(auth, Options{}))

	t.Run("references", func(t *testing.T) {
		a := auth
		a.RoleID, a.SecretID = "${env:ROLE}", "${env:SECRET}"
		secret := s.secretID("app")
		env := map[string]string{"ROLE": auth.RoleID, "SECRET": secret}
		r := s.resolver(a, Options{Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
		s.works(r)
		delete(env, "SECRET")
		s.fails(s.resolver(a, Options{Env: r.options.Env}), "resolving the secret id for Vault", "SECRET is not set")
	})
	t.Run("no secret id needed", func(t *testing.T) {
		s.write("auth/approle/role/open", map[string]any{
			"bind_secret_id": false, "secret_id_bound_cidrs": "127.0.0.1/32", "token_policies": "app", "role_id": "open-role-id",
		})
		s.works(s.resolver(Auth{Method: MethodAppRole, RoleID: "open-role-id"}, Options{}))
	})
	t.Run("another mount", func(t *testing.T) {
		s.enable("team/app", "approle")
		s.write("auth/team/app/role/x", map[string]any{"token_policies": "app", "role_id": "given-role-id"})
		id := s.write("auth/team/app/role/x/secret-id", nil).Data["secret_id"].(string)
		s.hide(id)
		a := Auth{Method: MethodAppRole, Mount: "team/app", RoleID: "given-role-id", SecretID: s.file(id)}
		s.works(s.resolver(a, Options{}))
		a.Mount = "team/nothing"
		s.fails(s.resolver(a, Options{}), "logging in with approle at auth/team/nothing")
	})
	t.Run("refused", func(t *testing.T) {
		g := newGate(t, s.Addr)
		a := auth
		a.RoleID = "59d6d1ca-47bb-4e7e-a40b-000000000000"
		s.fails(s.resolver(a, Options{}), "Vault refuses it (400)", "check role_id")
		a = auth
		a.SecretID = s.file("59d6d1ca-47bb-4e7e-a40b-111111111111")
		r := s.resolver(a, Options{Address: g.URL})
		for range 10 {
			s.fails(r, "logging in with approle at auth/approle: Vault", "invalid secret id", "deliver a new one")
		}
		if n := g.count("/login"); n != 1 {
			t.Errorf("%d attempts with the same credentials, and some more lock the role out; want 1", n)
		}
		a.SecretID = "${file:" + filepath.Join(t.TempDir(), "missing") + "}"
		s.fails(s.resolver(a, Options{}), "resolving the secret id", "missing")
	})
	t.Run("secret id of one use", func(t *testing.T) {
		a := s.appRole("once", map[string]any{"secret_id_num_uses": 1})
		r := s.resolver(a, Options{})
		s.works(r)
		r = s.resolver(a, Options{})
		s.fails(r, "used up")
		rewrite(t, a.SecretID, s.secretID("once"))
		s.works(r)
	})
}

func TestWrappedSecretID(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	auth := s.appRole("app", nil)
	auth.SecretIDWrapped = true
	const path = "auth/approle/role/app/secret-id"
	with := func(token string) Auth {
		a := auth
		a.SecretID = s.file(token)
		return a
	}

	t.Run("unwrapped once for all logins", func(t *testing.T) {
		g := newGate(t, s.Addr)
		r := s.resolver(with(s.wrapped(path, "60s", nil)), Options{Address: g.URL})
		s.works(r)
		r.logins.end(r.logins.current)
		s.works(r)
		if n := g.count("sys/wrapping/unwrap"); n != 1 {
			t.Errorf("%d requests to unwrap, want 1", n)
		}
		if n := g.count("approle/login"); n != 2 {
			t.Errorf("%d logins, want 2", n)
		}
	})
	t.Run("a new one is noticed", func(t *testing.T) {
		a := s.appRole("once", map[string]any{"secret_id_num_uses": 1})
		a.SecretIDWrapped = true
		const path = "auth/approle/role/once/secret-id"
		a.SecretID = s.file(s.wrapped(path, "60s", nil))
		r := s.resolver(a, Options{})
		s.works(r)
		r.logins.end(r.logins.current)
		rewrite(t, a.SecretID, s.wrapped(path, "60s", nil))
		s.works(r)
	})
	t.Run("used by somebody else", func(t *testing.T) {
		token := s.wrapped(path, "60s", nil)
		if _, err := s.root.Logical().Unwrap(token); err != nil {
			t.Fatal(err)
		}
		s.fails(s.resolver(with(token), Options{}), "already used", "somebody else has read the secret id", "deliver a new one")
	})
	t.Run("expired", func(t *testing.T) {
		token := s.wrapped(path, "1s", nil)
		for {
			if _, err := s.root.Logical().Write("sys/wrapping/lookup", map[string]any{"token": token}); err != nil {
				break
			}
			time.Sleep(50 * time.Millisecond) // Vault tells nobody of an end
		}
		s.fails(s.resolver(with(token), Options{}), "already used, or it has expired")
	})
	t.Run("swapped", func(t *testing.T) {
		token := s.wrapped(path, "60s", nil)
		stolen, err := s.root.Logical().Unwrap(token)
		if err != nil {
			t.Fatal(err)
		}
		other := s.wrapped("sys/wrapping/wrap", "60s", stolen.Data)
		s.fails(s.resolver(with(other), Options{}), `created at "sys/wrapping/wrap"`, path[:len("auth/approle/role/")], "put another in its place")
		if _, err := s.root.Logical().Unwrap(other); err != nil {
			t.Errorf("the swapped token was unwrapped: %v", err)
		}
	})
	t.Run("of another role", func(t *testing.T) {
		s.appRole("other", nil)
		a := with(s.wrapped("auth/approle/role/other/secret-id", "60s", nil))
		a.Role = "app"
		s.fails(s.resolver(a, Options{}), "auth/approle/role/other/secret-id", "not at auth/approle/role/app/secret-id")
		a = with(s.wrapped(path, "60s", nil))
		a.Role = "app"
		s.works(s.resolver(a, Options{}))
	})
	t.Run("not a wrapping token", func(t *testing.T) {
		s.fails(s.resolver(with(s.Token(t, `path "x" { capabilities = ["read"] }`)), Options{}), "wrapping token")
		s.fails(s.resolver(with(s.secretID("app")), Options{}), "wrapping token")
	})
}

func TestJWT(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	issuer := vaultserver.NewIssuer(t)
	s.enable("jwt", "jwt")
	s.write("auth/jwt/config", map[string]any{"jwt_validation_pubkeys": issuer.PublicKey, "default_role": "app"})
	s.write("auth/jwt/role/app", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", "token_policies": "app",
		"expiration_leeway": -1, "not_before_leeway": -1, "clock_skew_leeway": -1,
	})
	token := func(audience string, ends time.Time) string {
		text := issuer.Sign(t, map[string]any{"sub": "firewall", "aud": audience, "iat": time.Now().Add(-time.Hour).Unix(), "exp": ends.Unix()})
		s.hide(text)
		return s.file(text)
	}
	hour := time.Now().Add(time.Hour)
	s.logsInAndOut(s.resolver(Auth{Method: MethodJWT, Role: "app", JWT: token("vault", hour)}, Options{}))
	s.works(s.resolver(Auth{Method: MethodJWT, JWT: token("vault", hour)}, Options{}))
	s.fails(s.resolver(Auth{Method: MethodJWT, Role: "app", JWT: token("vault", time.Now().Add(-time.Minute))}, Options{}), "Vault refuses it", "expired")
	s.fails(s.resolver(Auth{Method: MethodJWT, Role: "app", JWT: token("other", hour)}, Options{}), "Vault refuses it", "audience")
	s.fails(s.resolver(Auth{Method: MethodJWT, Role: "none", JWT: token("vault", hour)}, Options{}), "Vault refuses it", "role")
	s.fails(s.resolver(Auth{Method: MethodJWT, Role: "app", JWT: s.file("no.jwt.at-all")}, Options{}), "Vault refuses it")
}

func TestKubernetes(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	cluster, issuer := vaultserver.NewTokenReview(t), vaultserver.NewIssuer(t)
	s.enable("kubernetes", "kubernetes")
	s.write("auth/kubernetes/config", map[string]any{
		"kubernetes_host": cluster.URL, "disable_local_ca_jwt": true, "disable_iss_validation": true,
		"kubernetes_ca_cert": s.authority(),
	})
	s.write("auth/kubernetes/role/app", map[string]any{
		"bound_service_account_names": "firewall", "bound_service_account_namespaces": "tools", "audience": "vault", "token_policies": "app",
	})
	token := func(account string, known bool) string {
		text := issuer.Sign(t, map[string]any{
			"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:tools:" + account, "aud": []string{"vault"},
			"exp": time.Now().Add(time.Hour).Unix(), "nbf": time.Now().Add(-time.Hour).Unix(), "jti": rand.Text(),
			"kubernetes.io": map[string]any{"namespace": "tools", "serviceaccount": map[string]any{"name": account, "uid": "u-" + account}},
		})
		s.hide(text)
		if known {
			cluster.Know(text, "tools", account, "u-"+account)
		}
		return text
	}
	auth := Auth{Method: MethodKubernetes, Role: "app", JWT: s.file(token("firewall", true))}
	r := s.resolver(auth, Options{})
	s.works(r)
	first := r.loginSecrets()

	// The file is read at each login, for Kubernetes replaces the token in it.
	rewrite(t, auth.JWT, token("firewall", true))
	r.logins.end(r.logins.current)
	s.works(r)
	if last := r.loginSecrets(); len(last) != len(first)+2 {
		t.Errorf("%d secrets after the second login, %d after the first; want a JWT and a token more", len(last), len(first))
	}
	s.logsInAndOut(s.resolver(auth, Options{}))

	s.fails(s.resolver(Auth{Method: MethodKubernetes, Role: "app", JWT: s.file(token("other", true))}, Options{}), "Vault refuses it", "service account")
	s.fails(s.resolver(Auth{Method: MethodKubernetes, Role: "none", JWT: auth.JWT}, Options{}), "Vault refuses it", "role")
	s.fails(s.resolver(Auth{Method: MethodKubernetes, Role: "app", JWT: s.file(token("firewall", false))}, Options{}), "kubernetes")
	s.fails(s.resolver(Auth{Method: MethodKubernetes, Role: "app"}, Options{}), "service account's token", "/var/run/secrets/kubernetes.io")
}

func TestUserpass(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	s.enable("userpass", "userpass")
	const password = "correct-horse-battery"
	s.hide(password, "wrong-horse-battery")
	s.write("auth/userpass/users/firewall", map[string]any{"password": password, "token_policies": "app"})
	s.logsInAndOut(s.resolver(Auth{Method: MethodUserpass, Username: "firewall", Password: s.file(password)}, Options{}))
	s.fails(s.resolver(Auth{Method: MethodUserpass, Username: "firewall", Password: s.file("wrong-horse-battery")}, Options{}), "Vault refuses it", "check the user name and the password")
	s.fails(s.resolver(Auth{Method: MethodUserpass, Username: "nobody", Password: s.file(password)}, Options{}), "Vault refuses it")
	for _, name := range []string{"../x", "a/b", "..", ".", "a?b", "a#b", "a%2fb"} {
		s.fails(s.resolver(Auth{Method: MethodUserpass, Username: name, Password: s.file(password)}, Options{}), "would change the path")
	}
}

func TestCert(t *testing.T) {
	s := newStage(t, vaultserver.StartTLS)
	dir := t.TempDir()
	cert, key := clientCertificate(t, dir, "firewall")
	pemText, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	s.enable("cert", "cert")
	s.write("auth/cert/certs/app", map[string]any{"certificate": string(pemText), "token_policies": "app"})
	o := Options{CACert: s.CACert, ClientCert: cert, ClientKey: key}
	s.logsInAndOut(s.resolver(Auth{Method: MethodCert, Role: "app"}, o))
	s.works(s.resolver(Auth{Method: MethodCert}, o))
	s.fails(s.resolver(Auth{Method: MethodCert, Role: "none"}, o), "Vault refuses it")

	otherCert, otherKey := clientCertificate(t, dir, "other")
	other := Options{CACert: s.CACert, ClientCert: otherCert, ClientKey: otherKey}
	r := s.resolver(Auth{Method: MethodCert, Role: "app"}, other)
	s.fails(r, "Vault refuses it", "client_cert")
	s.fails(s.resolver(Auth{Method: MethodCert}, Options{CACert: s.CACert}), "set client_cert and client_key")
	s.fails(s.resolver(Auth{Method: MethodCert}, Options{CACert: s.CACert, ClientCert: cert, ClientKey: otherKey}), "reading the client certificate")

	// A certificate that was replaced is shown at the next login.
	for from, to := range map[string]string{cert: otherCert, key: otherKey} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.works(r)

	t.Run("from the environment", func(t *testing.T) {
		t.Setenv("VAULT_CACERT", s.CACert)
		t.Setenv("VAULT_CLIENT_CERT", cert)
		t.Setenv("VAULT_CLIENT_KEY", key)
		s.works(s.resolver(Auth{Method: MethodCert, Role: "app"}, Options{}))
		t.Setenv("VAULT_CLIENT_KEY", "")
		s.fails(s.resolver(Auth{Method: MethodCert}, Options{}), "only one is set")
	})
}

// authority returns a certificate in PEM that nothing is checked with.
func (s *stage) authority() string {
	path, _ := clientCertificate(s.t, s.t.TempDir(), "authority")
	content, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

// clientCertificate writes a certificate for a client, and its key.
func clientCertificate(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	return certificate(t, dir, name, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
}

// certificate writes a certificate that signs itself, and its key.
func certificate(t *testing.T, dir, name string, change func(*x509.Certificate)) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestAuthCheck(t *testing.T) {
	for want, a := range map[string]Auth{
		`no auth method "ldap"`: {Method: "ldap"},
		"set role_id":           {Method: MethodAppRole},
		"set secret_id":         {Method: MethodAppRole, RoleID: "x", SecretIDWrapped: true},
		"set role":              {Method: MethodKubernetes},
		"set jwt":               {Method: MethodJWT},
		"set username":          {Method: MethodUserpass},
		"set password":          {Method: MethodUserpass, Username: "x"},
		`"../sys"`:              {Method: MethodCert, Mount: "../sys"},
		`"/cert"`:               {Method: MethodCert, Mount: "/cert"},
		"cannot come out":       {Method: MethodAppRole, RoleID: "x", SecretID: "${vault:a/b#c}"},
		"that no } ends":        {Method: MethodAppRole, RoleID: "${env:X"},
	} {
		if _, err := New(Options{Auth: a}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", a, err, want)
		}
	}
}

func TestCheckWrapped(t *testing.T) {
	for _, c := range []struct {
		mount, role, namespace, path string
		ok                           bool
	}{
		{"", "", "", "auth/approle/role/app/secret-id", true},
		{"", "app", "", "auth/approle/role/app/secret-id", true},
		{"team/x", "app", "", "auth/team/x/role/app/secret-id", true},
		{"", "app", "a/b/", "a/b/auth/approle/role/app/secret-id", true},
		{"", "app", "a/b", "auth/approle/role/app/secret-id", true},
		{"", "app", "", "auth/approle/role/other/secret-id", false},
		{"", "", "", "auth/other/role/app/secret-id", false},
		{"", "", "", "b/auth/approle/role/app/secret-id", false},
		{"", "", "b", "c/auth/approle/role/app/secret-id", false},
		{"", "", "", "auth/approle/role/a/b/secret-id", false},
		{"", "", "", "auth/approle/role//secret-id", false},
		{"", "", "", "auth/approle/role/app/secret-id/lookup", false},
		{"", "", "", "auth/approle/role/app/custom-secret-id", false},
		{"", "", "", "auth/approle/role/app/role-id", false},
		{"", "", "", "sys/wrapping/wrap", false},
		{"", "", "", "cubbyhole/auth/approle/role/app/secret-id", false},
		{"", "", "", "", false},
	} {
		a := Auth{Method: MethodAppRole, Mount: c.mount, Role: c.role}
		if err := a.checkWrapped(c.path, c.namespace); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
