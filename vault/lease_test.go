package vault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
)

const leasePolicy = `
	path "database/creds/*"      { capabilities = ["read"] }
	path "database/static-creds/*" { capabilities = ["read"] }
	path "secret/data/*"         { capabilities = ["read"] }
	path "secret/metadata/*"     { capabilities = ["read"] }
	path "sys/leases/renew"      { capabilities = ["update"] }
	path "sys/leases/revoke"     { capabilities = ["update"] }
	path "auth/token/lookup-self" { capabilities = ["read"] }`

// logged is where a Resolver under test logs to. It can be waited for.
type logged struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

func newLogged() *logged { return &logged{wrote: make(chan struct{}, 1)} }

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.wrote <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait waits until what holds text was logged n times.
func (l *logged) wait(t *testing.T, text string, n int) {
	t.Helper()
	late := time.After(30 * time.Second)
	for strings.Count(l.String(), text) < n {
		select {
		case <-l.wrote:
		case <-late:
			t.Fatalf("%q was not logged %d times:\n%s", text, n, l)
		}
	}
}

// dyn is a Vault server with the database engine, and PostgreSQL behind it.
type dyn struct {
	*vaultserver.Server
	pg    *vaultserver.Postgres
	token string
}

func startDatabase(t *testing.T) *dyn {
	t.Helper()
	isolate(t)
	t.Setenv("VAULT_MAX_RETRIES", "0")
	d := &dyn{Server: vaultserver.Start(t), pg: vaultserver.StartPostgres(t)}
	d.Database(t, d.pg, map[string][2]time.Duration{
		"long":  {time.Hour, 24 * time.Hour},
		"short": {2 * time.Second, 5 * time.Second},
		"brief": {3 * time.Second, time.Hour},
		"lost":  {3 * time.Second, time.Hour},
		"while": {10 * time.Second, time.Hour},
		// Of a lease this long there is more than the longest grace left when a renewal has failed once.
		"longer": {30 * time.Second, time.Hour},
		"one":    {time.Hour, 24 * time.Hour},
		"back":   {time.Hour, 24 * time.Hour},
	})
	d.token = d.Token(t, leasePolicy)
	return d
}

func (d *dyn) resolver(t *testing.T, o Options) (*Resolver, *logged) {
	t.Helper()
	log := newLogged()
	if o.Address == "" {
		o.Address = d.Addr
	}
	if o.Token == "" {
		o.Token = d.token
	}
	o.Log = zerolog.New(log).Level(zerolog.DebugLevel)
	r := resolver(t, o)
	t.Cleanup(func() {
		r.Close(context.Background())
		if t.Failed() {
			t.Logf("log of the resolver:\n%s", log)
		}
	})
	return r, log
}

// works reports whether PostgreSQL lets a user in.
func (d *dyn) exists(t *testing.T, user string) bool {
	t.Helper()
	n, err := d.pg.Query("postgres", "", "SELECT count(*) FROM pg_roles WHERE rolname = '"+user+"'")
	if err != nil {
		t.Fatal(err)
	}
	return n == "1"
}

// gone waits until PostgreSQL knows a user no more, which nothing tells.
func (d *dyn) gone(t *testing.T, user string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); d.exists(t, user); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the user %s is still there", user)
		}
	}
}

// leases returns how many leases of a role Vault has.
func (d *dyn) leases(t *testing.T, role string) int {
	t.Helper()
	found, err := d.Client(t).Logical().List("sys/leases/lookup/database/creds/" + role)
	if err != nil {
		t.Fatal(err)
	}
	if found == nil {
		return 0
	}
	keys, _ := found.Data["keys"].([]any)
	return len(keys)
}

func acquire(t *testing.T, r *Resolver, in ...string) *Grant {
	t.Helper()
	g, err := r.Acquire(t.Context(), in, Vars{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func next(t *testing.T, g *Grant) *Grant {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n, err := g.Next(ctx)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return n
}

func creds(role string) []string {
	return []string{"${vault:database/creds/" + role + "#username}", "p=${vault:database/creds/" + role + "#password}"}
}

func TestLease(t *testing.T) {
	d := startDatabase(t)

	t.Run("Vault is well", func(t *testing.T) {
		t.Run("one for all fields, revoked by Close", func(t *testing.T) {
			t.Parallel()
			r, _ := d.resolver(t, Options{})
			g := acquire(t, r, creds("one")...)
			user, password := g.Values[0], strings.TrimPrefix(g.Values[1], "p=")
			if who, err := d.pg.Query(user, password, "SELECT current_user"); err != nil || who != user {
				t.Fatalf("the credentials do not go together: %q, %v", who, err)
			}
			if n := d.leases(t, "one"); n != 1 {
				t.Errorf("%d leases, want 1", n)
			}
			if g.Static() {
				t.Error("a dynamic secret is said never to change")
			}
			if len(g.Secrets) != 3 || g.Secrets[0].Value != user || g.Secrets[1].Value != password || g.Secrets[2].Value != d.token {
				t.Errorf("%d secrets, want user, password and token", len(g.Secrets))
			}
			other := acquire(t, r, creds("one")...)
			if other.Values[0] == user {
				t.Error("two Grants share a lease")
			}
			g.Close()
			g.Close()
			d.gone(t, user)
			if !d.exists(t, other.Values[0]) {
				t.Error("closing one Grant revoked the lease of another")
			}
			if _, err := g.Next(t.Context()); !errors.Is(err, ErrClosed) {
				t.Errorf("Next of a closed Grant: %v", err)
			}
			r.Close(t.Context())
			d.gone(t, other.Values[0])
			if _, err := r.Acquire(t.Context(), creds("one"), Vars{}); !errors.Is(err, ErrClosed) {
				t.Errorf("Acquire after Close: %v", err)
			}
			if _, err := other.Next(t.Context()); !errors.Is(err, ErrClosed) {
				t.Errorf("Next after Close: %v", err)
			}
		})

		t.Run("given back when another reference fails", func(t *testing.T) {
			t.Parallel()
			r, _ := d.resolver(t, Options{})
			_, err := r.Acquire(t.Context(), append(creds("back"), "${vault:secret/none#x}"), Vars{})
			if err == nil {
				t.Fatal("no error")
			}
			r.Close(t.Context())
			for end := time.Now().Add(20 * time.Second); d.leases(t, "back") > 0; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the lease was left")
				}
			}
		})

		t.Run("renewed", func(t *testing.T) {
			t.Parallel()
			r, log := d.resolver(t, Options{})
			g := acquire(t, r, creds("brief")...)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := g.Next(ctx)
				ended <- err
			}()
			log.wait(t, "secret renewed", 3) // after 3 of which the first life is over
			if !d.exists(t, g.Values[0]) {
				t.Error("the user is gone though the lease was renewed")
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Next: %v; want it to wait while the lease can be renewed", err)
			}
		})

		t.Run("replaced at max_ttl", func(t *testing.T) {
			t.Parallel()
			r, _ := d.resolver(t, Options{})
			if _, err := d.Client(t).KVv2("secret").Put(t.Context(), "same", map[string]any{"x": "unchanged"}); err != nil {
				t.Fatal(err)
			}
			g := acquire(t, r, append(creds("short"), creds("long")[0], "${vault:secret/same#x}")...)
			began := time.Now()
			n := next(t, g)
			if took := time.Since(began); took < 2*time.Second {
				t.Errorf("replaced after %v, before it had been renewed", took)
			}
			if n.Values[0] == g.Values[0] || n.Values[1] == g.Values[1] {
				t.Error("Next gives what was there before")
			}
			if n.Values[2] != g.Values[2] || n.Values[3] != "unchanged" {
				t.Error("a secret that did not end was replaced too")
			}
			// The old one stays for the calls under way, until its Close.
			for _, user := range []string{g.Values[0], n.Values[0], n.Values[2]} {
				if !d.exists(t, user) {
					t.Errorf("the user %s is gone", user)
				}
			}
			g.Close()
			d.gone(t, g.Values[0])
			for _, user := range []string{n.Values[0], n.Values[2]} {
				if !d.exists(t, user) {
					t.Errorf("the user %s is gone with the old Grant", user)
				}
			}
			n.Close()
			d.gone(t, n.Values[2])
		})

		t.Run("revoked by an operator", func(t *testing.T) {
			t.Parallel()
			r, log := d.resolver(t, Options{})
			g := acquire(t, r, creds("lost")...)
			if err := d.Client(t).Sys().RevokeForce("database/creds/lost"); err != nil {
				t.Fatal(err)
			}
			if n := next(t, g); n.Values[0] == g.Values[0] {
				t.Error("the revoked credentials are given again")
			}
			log.wait(t, "Vault has revoked it", 1)
		})

		t.Run("renewal not permitted", func(t *testing.T) {
			t.Parallel()
			r, log := d.resolver(t, Options{Token: d.Token(t, `path "database/creds/*" { capabilities = ["read"] }`)})
			g := acquire(t, r, creds("brief")...)
			n := next(t, g)
			log.wait(t, "update on sys/leases/renew", 1)
			g.Close()
			log.wait(t, "update on sys/leases/revoke", 1)
			n.Close()
		})

		t.Run("the login ends", func(t *testing.T) {
			t.Parallel()
			client := d.Client(t)
			created, err := client.Logical().Write("auth/token/create", map[string]any{"policies": []string{"root"}, "ttl": "4s", "explicit_max_ttl": "4s"})
			if err != nil {
				t.Fatal(err)
			}
			var token atomic.Value
			token.Store(created.Auth.ClientToken)
			r, _ := d.resolver(t, Options{Token: "${env:T}", Env: func(string) (string, bool) { return token.Load().(string), true }})
			g := acquire(t, r, creds("long")...)
			token.Store(d.token)
			n := next(t, g)
			if n.Values[0] == g.Values[0] {
				t.Error("the lease of a login that has ended is given again")
			}
			if !slices.ContainsFunc(n.Secrets, func(s Secret) bool { return s.Value == d.token }) {
				t.Error("the new token is not among the secrets")
			}
			d.gone(t, g.Values[0])
			if !d.exists(t, n.Values[0]) {
				t.Error("the new lease ended with the old token")
			}
		})

		t.Run("no answer in mid-renewal", func(t *testing.T) {
			t.Parallel()
			var hangs atomic.Bool
			through := passing(t, d.Addr)
			front := serve(t, func(w http.ResponseWriter, req *http.Request) {
				if hangs.Load() {
					io.Copy(io.Discard, req.Body) // only then the end of the connection is noticed
					<-req.Context().Done()
					return
				}
				through.ServeHTTP(w, req)
			})
			r, log := d.resolver(t, Options{Address: front})
			g := acquire(t, r, creds("while")...)
			hangs.Store(true)
			log.wait(t, "no answer", 1)
			before := time.Now()
			if _, err := g.Next(t.Context()); !errors.Is(err, ErrExpired) {
				t.Errorf("Next: %v", err)
			}
			if took := time.Since(before); took > 6*time.Second {
				t.Errorf("the end of a lease of 10 seconds was noticed %v after a renewal of it", took)
			}
			hangs.Store(false)
			next(t, g)
		})

		t.Run("the login ends and there is no other", func(t *testing.T) {
			t.Parallel()
			created, err := d.Client(t).Logical().Write("auth/token/create", map[string]any{"policies": []string{"root"}, "ttl": "10s", "explicit_max_ttl": "10s"})
			if err != nil {
				t.Fatal(err)
			}
			r, log := d.resolver(t, Options{Token: created.Auth.ClientToken})
			g := acquire(t, r, creds("long")...)
			log.wait(t, "the token of the login to Vault is at its end", 1)
			log.wait(t, "secret renewed", 1) // which shows that the lease is still there
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			// A new lease would end with the same token.
			if _, err := g.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Next: %v", err)
			}
		})

		t.Run("network cut in mid-renewal", func(t *testing.T) {
			t.Parallel()
			var cut atomic.Bool
			front := cuttable(t, d.Addr, &cut)
			r, log := d.resolver(t, Options{Address: front})
			g := acquire(t, r, creds("longer")...)
			cut.Store(true)
			log.wait(t, "secret not renewed; it stays in use", 1)
			cut.Store(false)
			log.wait(t, "secret renewed", 1)
			cut.Store(true)
			if _, err := g.Next(t.Context()); !errors.Is(err, ErrExpired) {
				t.Errorf("Next: %v", err)
			}
			cut.Store(false)
			next(t, g)
		})
	})

	// These come last, for they seal and end the servers.
	t.Run("sealed in mid-renewal", func(t *testing.T) {
		r, log := d.resolver(t, Options{})
		g := acquire(t, r, creds("brief")...)
		log.wait(t, "secret renewed", 1)
		root := d.Client(t)
		if err := root.Sys().Seal(); err != nil {
			t.Fatal(err)
		}
		_, err := g.Next(t.Context())
		if !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), "sealed") {
			t.Errorf("Next at the end of the lease: %v", err)
		}
		log.wait(t, "sealed or not ready", 1)
		unsealed := make(chan struct{})
		go func() {
			defer close(unsealed)
			if _, err := root.Sys().Unseal(d.UnsealKey); err != nil {
				t.Error(err)
			}
		}()
		if n := next(t, g); n.Values[0] == g.Values[0] {
			t.Error("what has ended is given again")
		}
		<-unsealed
	})
	t.Run("sealed and back in time", func(t *testing.T) {
		r, log := d.resolver(t, Options{})
		g := acquire(t, r, creds("longer")...)
		root := d.Client(t)
		if err := root.Sys().Seal(); err != nil {
			t.Fatal(err)
		}
		log.wait(t, "secret not renewed; it stays in use", 1)
		if _, err := root.Sys().Unseal(d.UnsealKey); err != nil {
			t.Fatal(err)
		}
		log.wait(t, "secret renewed", 1)
		if !d.exists(t, g.Values[0]) {
			t.Error("the user is gone")
		}
	})
	t.Run("Vault is gone", func(t *testing.T) {
		r, _ := d.resolver(t, Options{Timeout: time.Second})
		g := acquire(t, r, creds("brief")...)
		d.Stop()
		if _, err := g.Next(t.Context()); !errors.Is(err, ErrExpired) {
			t.Errorf("Next: %v", err)
		}
		g.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r.Close(ctx)
		if ctx.Err() != nil {
			t.Error("Close takes longer than it may")
		}
	})
}

// cuttable is a way to a server that can be cut: it then takes requests and gives
// no answer but an end of the connection.
func cuttable(t *testing.T, to string, cut *atomic.Bool) (address string) {
	t.Helper()
	through := passing(t, to)
	return serve(t, func(w http.ResponseWriter, req *http.Request) {
		if cut.Load() {
			io.Copy(io.Discard, req.Body)
			panic(http.ErrAbortHandler)
		}
		through.ServeHTTP(w, req)
	})
}

// passing passes requests on to a server.
func passing(t *testing.T, to string) http.Handler {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(target)
}
