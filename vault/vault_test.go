package vault

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
)

// isolate hides the developer's own Vault from a test.
func isolate(t *testing.T) (home string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "VAULT_") {
			t.Setenv(name, "")
		}
	}
	home = t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	return home
}

func resolver(t *testing.T, o Options) *Resolver {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantError checks that expanding s fails with an error that holds all of parts
// and none of the things that must not be told.
func wantError(t *testing.T, r *Resolver, s string, parts ...string) {
	t.Helper()
	value, secrets, err := r.Expand(t.Context(), s)
	if err == nil {
		t.Errorf("Expand(%q) succeeds", s)
		return
	}
	if value != "" || secrets != nil {
		t.Errorf("Expand(%q) fails and yet returns values", s)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("Expand(%q): the error does not say %q:\n%v", s, p, err)
		}
	}
	for _, hidden := range []string{r.options.Token, "s3cr3t-v4lue"} {
		if hidden != "" && strings.Contains(err.Error(), hidden) {
			t.Errorf("Expand(%q): the error holds a secret:\n%v", s, err)
		}
	}
}

func wantValue(t *testing.T, r *Resolver, s, want string) {
	t.Helper()
	got, _, err := r.Expand(t.Context(), s)
	if err != nil || got != want {
		t.Errorf("Expand(%q) = %q, %v; want %q", s, got, err, want)
	}
}

func TestEnvAndFile(t *testing.T) {
	home := isolate(t)
	dir := t.TempDir()
	write := func(path, content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "key"), "file value\r\n")
	write(filepath.Join(dir, "two lines"), "a\nb\n\n")
	write(filepath.Join(dir, "empty"), "\n")
	write(filepath.Join(dir, "binary"), "s3cr3t-v4lue\xff")
	write(filepath.Join(dir, "large"), strings.Repeat("x", maxFile+1))
	write(filepath.Join(dir, "full"), strings.Repeat("x", maxFile))
	write(filepath.Join(home, "in home"), "home value")
	env := map[string]string{"TOKEN": "s3cr3t-v4lue", "EMPTY": "", "NUL": "s3cr3t-v4lue\x00"}
	r := resolver(t, Options{Dir: dir, Env: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}})

	wantValue(t, r, "no $reference $${env:TOKEN}", "no $reference ${env:TOKEN}")
	wantValue(t, r, "a ${env:TOKEN} b", "a s3cr3t-v4lue b")
	wantValue(t, r, "${file:key}", "file value")
	wantValue(t, r, "${file:"+filepath.Join(dir, "key")+"}", "file value")
	wantValue(t, r, "${file:~/in home}", "home value")
	wantValue(t, r, "${file:two lines}", "a\nb")
	wantValue(t, r, "${file:full}", strings.Repeat("x", maxFile))

	wantError(t, r, "${env:MISSING}", "${env:MISSING}: ", "is not set")
	wantError(t, r, "${env:EMPTY}", "${env:EMPTY}: ", "is empty")
	wantError(t, r, "${env:NUL}", "not text")
	wantError(t, r, "${file:missing}", "${file:missing}: ", filepath.Join(dir, "missing"))
	wantError(t, r, "${file:empty}", "is empty")
	wantError(t, r, "${file:binary}", "not text")
	wantError(t, r, "${file:large}", "larger than 64 KiB")
	wantError(t, r, "${file:.}", "not a file but a folder")
	wantError(t, r, "${nothing:x}", "unknown source")

	values, secrets, err := r.ExpandAll(t.Context(), []string{"${env:TOKEN}", "x", "${file:key}${env:TOKEN}"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"s3cr3t-v4lue", "x", "file values3cr3t-v4lue"}; !reflect.DeepEqual(values, want) {
		t.Errorf("got %q, want %q", values, want)
	}
	if want := []Secret{{"env:TOKEN", "s3cr3t-v4lue"}, {"file:key", "file value"}}; !reflect.DeepEqual(secrets, want) {
		t.Errorf("got %q, want %q", secrets, want)
	}

	_, _, err = r.ExpandAll(t.Context(), []string{"${env:MISSING}", "${env:TOKEN}${env:MISSING}", "${file:.}", "${x"})
	if n := strings.Count(err.Error(), "\n") + 1; n != 3 {
		t.Errorf("%d problems, want 3, each once:\n%v", n, err)
	}
}

func TestPipeIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no devices in the file system")
	}
	r := resolver(t, Options{})
	wantError(t, r, "${file:/dev/null}", "not a file but a device")
}

func TestVault(t *testing.T) {
	isolate(t)
	srv := vaultserver.Start(t)
	root := srv.Client(t)
	ctx := t.Context()
	mount := func(path, kind string, options map[string]string) {
		t.Helper()
		if err := root.Sys().Mount(path, &api.MountInput{Type: kind, Options: options}); err != nil {
			t.Fatal(err)
		}
	}
	mount("team/kv", "kv", map[string]string{"version": "2"})
	mount("database", "database", nil)
	put := func(mount, path string, data map[string]any) {
		t.Helper()
		if _, err := root.KVv2(mount).Put(ctx, path, data); err != nil {
			t.Fatal(err)
		}
	}
	put("secret", "github", map[string]any{
		"token": "s3cr3t-v4lue", "user name": "bob", "id": 9007199254740991, "empty": "", "null": nil, "true": true, "list": []any{1, "x"},
	})
	// Written as JSON, for Go's own numbers would lose the digits, as those of
	// Vault's own KV version 2 do.
	if _, err := root.Logical().WriteBytes("kv1/numbers",
		[]byte(`{"id":12345678901234567890123,"rate":1.50,"text":"\u00e9\n\"<"}`)); err != nil {
		t.Fatal(err)
	}
	put("secret", "a/b c/d", map[string]any{"token": "deep-value"})
	put("team/kv", "crm", map[string]any{"api_key": "nested-value"})
	put("secret", "gone", map[string]any{"token": "s3cr3t-v4lue"})
	if err := root.KVv2("secret").Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	put("secret", "shredded", map[string]any{"token": "s3cr3t-v4lue"})
	if err := root.KVv2("secret").Destroy(ctx, "shredded", []int{1}); err != nil {
		t.Fatal(err)
	}
	if err := root.KVv1("kv1").Put(ctx, "old", map[string]any{"token": "v1-value", "data": "data-field"}); err != nil {
		t.Fatal(err)
	}
	token := srv.Token(t, `
		path "secret/data/*"   { capabilities = ["read"] }
		path "team/kv/data/*"  { capabilities = ["read"] }
		path "kv1/*"           { capabilities = ["read"] }
		path "database/*"      { capabilities = ["read"] }
		path "secret/data/closed" { capabilities = ["deny"] }`)
	r := resolver(t, Options{Address: srv.Addr, Token: token})

	t.Run("values", func(t *testing.T) {
		for s, want := range map[string]string{
			"Bearer ${vault:secret/github#token}.": "Bearer s3cr3t-v4lue.",
			"${vault:secret/github#user name}":     "bob",
			"${vault:secret/github#true}":          "true",
			"${vault:secret/github#id}":            "9007199254740991",
			"${vault:secret/github#list}":          `[1,"x"]`,
			"${vault:kv1/numbers#id}":              "12345678901234567890123",
			"${vault:kv1/numbers#rate}":            "1.50",
			"${vault:kv1/numbers#text}":            "é\n\"<",
			"${vault:secret/a/b c/d#token}":        "deep-value",
			"${vault:team/kv/crm#api_key}":         "nested-value",
			"${vault:kv1/old#token}":               "v1-value",
			"${vault:kv1/old#data}":                "data-field",
		} {
			wantValue(t, r, s, want)
		}
	})

	t.Run("errors", func(t *testing.T) {
		for s, parts := range map[string][]string{
			"${vault:secret/github#tokne}":      {"no field", `did you mean "token"?`, `"user name"`},
			"${vault:secret/github#zzz}":        {"no field", `its fields are "empty", "id", "list"`},
			"${vault:secret/github#empty}":      {"is empty"},
			"${vault:secret/github#null}":       {"is null"},
			"${vault:secret/missing#x}":         {"there is no secret at secret/missing", "vault kv list secret/"},
			"${vault:secret/data/github#token}": {"without data/", "did you mean secret/github?"},
			"${vault:secret/gone#token}":        {"was deleted at", "vault kv undelete"},
			"${vault:secret/shredded#token}":    {"was destroyed"},
			"${vault:secret/closed#token}":      {"denies it (403)"},
			"${vault:nowhere/x#token}":          {"no secret engine is mounted there"},
			"${vault:team/kv#token}":            {"is the mount itself"},
			"${vault:kv1/missing#token}":        {"there is no secret at kv1/missing", "version 1"},
			"${vault:database/creds/x#user}":    {"reading database/creds/x", "unknown role"},
		} {
			wantError(t, r, s, append(parts, strings.TrimSpace(s))...)
		}
		wantError(t, resolver(t, Options{Address: srv.Addr, Token: "hvs.wrong"}), "${vault:secret/github#token}", "denied any access")
	})

	t.Run("one read for all fields", func(t *testing.T) {
		var requests atomic.Int32
		front := proxy(t, srv.Addr, &requests)
		r := resolver(t, Options{Address: front, Token: token})
		_, secrets, err := r.ExpandAll(ctx, []string{
			"${vault:secret/github#token}", "${vault:secret/github#user name}", "${vault:secret/github#token} again",
		})
		if err != nil || len(secrets) != 3 { // with the token's own
			t.Fatalf("%d secrets, error %v; want 3", len(secrets), err)
		}
		if n := requests.Load(); n != 2 { // the mount and the secret
			t.Errorf("%d requests, want 2", n)
		}
	})

	t.Run("Vault's variables", func(t *testing.T) {
		home := isolate(t)
		t.Setenv("VAULT_ADDR", srv.Addr)
		wantError(t, resolver(t, Options{}), "${vault:secret/github#token}", "no token", "vault login")
		if err := os.WriteFile(filepath.Join(home, ".vault-token"), []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantValue(t, resolver(t, Options{}), "${vault:secret/github#token}", "s3cr3t-v4lue")
		t.Setenv("VAULT_TOKEN", "hvs.wrong")
		wantError(t, resolver(t, Options{}), "${vault:secret/github#token}", "denied any access")
		wantValue(t, resolver(t, Options{Token: token}), "${vault:secret/github#token}", "s3cr3t-v4lue")
		t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
		t.Setenv("VAULT_AGENT_ADDR", "http://127.0.0.1:1")
		wantValue(t, resolver(t, Options{Token: token, Address: srv.Addr}), "${vault:secret/github#token}", "s3cr3t-v4lue")
	})

	t.Run("namespace", func(t *testing.T) {
		var seen atomic.Value
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			seen.Store(req.Header.Get("X-Vault-Namespace"))
			http.Error(w, `{"errors":[]}`, http.StatusForbidden)
		}))
		defer front.Close()
		t.Setenv("VAULT_NAMESPACE", "from-env/")
		wantError(t, resolver(t, Options{Address: front.URL, Token: token}), "${vault:secret/x#y}", "denied any access")
		if got := seen.Load(); got != "from-env/" {
			t.Errorf("namespace %q, want that of the environment", got)
		}
		wantError(t, resolver(t, Options{Address: front.URL, Token: token, Namespace: "mine"}), "${vault:secret/x#y}", "denied any access")
		if got := seen.Load(); got != "mine" {
			t.Errorf("namespace %q, want that of the options", got)
		}
	})

	// These two come last, for they end the server.
	t.Run("sealed", func(t *testing.T) {
		if err := root.Sys().Seal(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		wantError(t, r, "${vault:secret/github#token}", "sealed", srv.Addr)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v to say that Vault is sealed", took)
		}
		if _, err := root.Sys().Unseal(srv.UnsealKey); err != nil {
			t.Fatal(err)
		}
		wantValue(t, r, "${vault:secret/github#token}", "s3cr3t-v4lue")
	})
	t.Run("unreachable", func(t *testing.T) {
		srv.Stop()
		t.Setenv("VAULT_MAX_RETRIES", "0")
		gone := resolver(t, Options{Address: srv.Addr, Token: token})
		wantError(t, gone, "${vault:secret/github#token} ${vault:secret/other#x}", "cannot be reached", "refused", srv.Addr)
	})
}

func TestTLS(t *testing.T) {
	isolate(t)
	srv := vaultserver.StartTLS(t)
	if _, err := srv.Client(t).KVv2("secret").Put(t.Context(), "a", map[string]any{"b": "tls-value"}); err != nil {
		t.Fatal(err)
	}
	const ref = "${vault:secret/a#b}"
	o := Options{Address: srv.Addr, Token: srv.RootToken}
	wantError(t, resolver(t, o), ref, "is not trusted", "VAULT_CACERT")
	t.Setenv("VAULT_CACERT", srv.CACert)
	wantValue(t, resolver(t, o), ref, "tls-value")
	t.Setenv("VAULT_CACERT", "")
	o.CACert = srv.CACert
	wantValue(t, resolver(t, o), ref, "tls-value")
	o.CACert = filepath.Join(t.TempDir(), "missing.pem")
	wantError(t, resolver(t, o), ref, "missing.pem")
}

// TestHostile meets servers that no Vault would be.
func TestHostile(t *testing.T) {
	isolate(t)
	t.Setenv("VAULT_MAX_RETRIES", "0")
	const token = "hvs.s3cr3t-token"
	const ref = "${vault:secret/a#b}"

	t.Run("redirect to another host", func(t *testing.T) {
		var reached atomic.Bool
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
		defer other.Close()
		for _, code := range []int{301, 302, 303, 307, 308} {
			front := serve(t, func(w http.ResponseWriter, req *http.Request) {
				http.Redirect(w, req, other.URL+req.URL.Path, code)
			})
			wantError(t, resolver(t, Options{Address: front, Token: token}), ref, "redirects to "+other.URL)
		}
		if reached.Load() {
			t.Error("the other host was asked")
		}
	})
	t.Run("redirect on the same host", func(t *testing.T) {
		front := serve(t, func(w http.ResponseWriter, req *http.Request) {
			if !strings.HasSuffix(req.URL.Path, "/again") {
				http.Redirect(w, req, req.URL.Path+"/again", http.StatusTemporaryRedirect)
				return
			}
			http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
		})
		wantError(t, resolver(t, Options{Address: front, Token: token}), ref, "denied any access")
	})
	t.Run("reply without end", func(t *testing.T) {
		front := serve(t, func(w http.ResponseWriter, req *http.Request) {
			junk := make([]byte, 64<<10)
			for req.Context().Err() == nil {
				if _, err := w.Write(junk); err != nil {
					return
				}
			}
		})
		wantError(t, resolver(t, Options{Address: front, Token: token}), ref, "larger than 8 MiB")
	})
	t.Run("no reply", func(t *testing.T) {
		// Accepted by the kernel, and never answered.
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		r := resolver(t, Options{Address: "http://" + ln.Addr().String(), Token: token, Timeout: 100 * time.Millisecond})
		wantError(t, r, ref, "no answer within the time limit of 100ms")

		r = resolver(t, Options{Address: "http://" + ln.Addr().String(), Token: token})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := r.Expand(ctx, ref); err == nil || !strings.Contains(err.Error(), "was cancelled") {
			t.Errorf("got %v, want that it was cancelled", err)
		}
	})
	t.Run("errors that repeat the token", func(t *testing.T) {
		front := serve(t, func(w http.ResponseWriter, req *http.Request) {
			http.Error(w, `{"errors":["bad\ntoken `+req.Header.Get("X-Vault-Token")+` `+strings.Repeat("x", 5000)+`"]}`, 400)
		})
		r := resolver(t, Options{Address: front, Token: token})
		wantError(t, r, ref, "Vault answered 400: bad token (secret) xxx")
		if _, _, err := r.Expand(t.Context(), ref); len(err.Error()) > 500 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	})
	for name, body := range map[string]string{
		"not JSON":         `s3cr3t-v4lue`,
		"no mount":         `{"data":{}}`,
		"another mount":    `{"data":{"path":"other/","type":"kv"}}`,
		"version 3":        `{"data":{"path":"secret/","type":"kv","options":{"version":"3"}}}`,
		"no data":          `{"data":{"path":"secret/","type":"kv","options":{"version":"2"},"data":"s3cr3t-v4lue"}}`,
		"no data, but one": `{"data":{"path":"secret/","type":"kv","options":{"version":"2"},"data":null}}`,
		"broken string":    `{"data":{"path":"secret/","type":"kv","options":{"version":"2"},"data":{"b":"s3cr3t-v4lue\ud800"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			front := serve(t, func(w http.ResponseWriter, req *http.Request) { w.Write([]byte(body)) })
			wantError(t, resolver(t, Options{Address: front, Token: token}), ref, ref)
		})
	}
	for _, address := range []string{"vault:8200", "ftp://vault", "http://", "https://me:s3cr3t-v4lue@vault", "://s3cr3t-v4lue"} {
		wantError(t, resolver(t, Options{Address: address, Token: token}), ref, "address of Vault")
	}
}

func TestNewNegativeTimeout(t *testing.T) {
	if _, err := New(Options{Timeout: -1}); err == nil {
		t.Error("a negative time limit is accepted")
	}
}

func serve(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// proxy counts the requests that it passes on to a server.
func proxy(t *testing.T, to string, requests *atomic.Int32) (address string) {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasPrefix(req.URL.Path, "/v1/auth/token/") { // in the background
			requests.Add(1)
		}
		out, err := http.NewRequestWithContext(req.Context(), req.Method, to+req.URL.RequestURI(), req.Body)
		if err != nil {
			t.Error(err)
			return
		}
		out.Header = req.Header.Clone()
		resp, err := http.DefaultClient.Do(out)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		if _, err := io.Copy(w, resp.Body); err != nil {
			t.Error(err)
		}
	})
}

func TestTokenReference(t *testing.T) {
	server := vaultserver.Start(t)
	if _, err := server.Client(t).KVv2("secret").Put(t.Context(), "app", map[string]any{"key": "the value of it"}); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"TOKEN": server.RootToken}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	r, err := New(Options{Address: server.Addr, Token: "${env:TOKEN}", Env: lookup})
	if err != nil {
		t.Fatal(err)
	}
	value, secrets, err := r.Expand(t.Context(), "${vault:secret/app#key}")
	if err != nil || value != "the value of it" {
		t.Fatalf("Expand = %q, %v", value, err)
	}
	if !slices.ContainsFunc(secrets, func(s Secret) bool { return s.Value == server.RootToken }) {
		t.Error("the token is not among the secrets, so it would not be masked")
	}
	for token, want := range map[string]string{"${env:NONE}": "NONE", "${vault:secret/app#key}": "cannot come out of Vault"} {
		r, err := New(Options{Address: server.Addr, Token: token, Env: lookup})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Expand(t.Context(), "${vault:secret/app#key}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("token %s: %v, want an error with %q", token, err, want)
		}
		if value, _, err := r.Expand(t.Context(), "${env:TOKEN}"); err != nil || value != server.RootToken {
			t.Errorf("token %s: a reference that needs no Vault: %v", token, err)
		}
	}
}
