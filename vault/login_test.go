package vault

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
)

// TestOneLogin has many need Vault at once.
func TestOneLogin(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	g := newGate(t, s.Addr)
	r := s.resolver(s.appRole("app", nil), Options{Address: g.URL})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if value, _, err := r.Expand(t.Context(), stageRef); err != nil || value != stageValue {
				t.Errorf("Expand = %q, %v", value, err)
			}
		})
	}
	all.Wait()
	if n := g.count("/login"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// client returns the one that r is logged in with.
func (s *stage) client(r *Resolver) *api.Client {
	s.t.Helper()
	client, err := r.login(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.hide(client.Token())
	return client
}

func (s *stage) waitFor(what string, done <-chan struct{}) {
	s.t.Helper()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		s.t.Fatalf("waited too long for %s; the log:\n%s", what, s.log)
	}
}

// TestRenewal lets a token live longer than its TTL, to its maximum, and the next
// need make a new one.
func TestRenewal(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	g := newGate(t, s.Addr)
	const ttl, most = 3 * time.Second, 7 * time.Second
	r := s.resolver(s.appRole("app", map[string]any{"token_ttl": ttl.String(), "token_max_ttl": most.String()}), Options{Address: g.URL})
	start := time.Now()
	first := s.client(r)
	s.waitFor("the end of the token", r.loginEnded(first))
	if took := time.Since(start); took < ttl+time.Second || took > most+2*time.Second { // two for a slow machine
		t.Errorf("the login was given up after %v; its token has a TTL of %v and ends after %v", took, ttl, most)
	}
	if n := g.count("renew-self"); n < 2 {
		t.Errorf("%d renewals, want at least 2", n)
	}
	s.works(r)
	if second := s.client(r); second == first || second.Token() == first.Token() {
		t.Error("the login was not repeated")
	}
	if n := g.count("/login"); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

// TestGivenToken renews a token that was given, and never revokes it.
func TestGivenToken(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	made, err := s.root.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"default", "app"}, Period: "3s"})
	if err != nil {
		t.Fatal(err)
	}
	token := made.Auth.ClientToken
	s.hide(token)
	r := s.resolver(Auth{}, Options{Token: s.file(token)})
	start := time.Now()
	s.works(r)
	s.log.wait(t, "renewed", 2)
	if took := time.Since(start); took < 3*time.Second {
		t.Errorf("renewed twice after %v", took)
	}
	s.works(r)
	r.Close(t.Context())
	if s.ended(token) {
		t.Error("a token that was given was revoked")
	}
}

// TestTokenFile takes the token from the file again when it was replaced there.
func TestTokenFile(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	token := func() string {
		text := s.Token(t, `path "secret/data/app" { capabilities = ["read"] }`)
		s.hide(text)
		return text
	}
	first, second := token(), token()
	ref := s.file(first)
	r := s.resolver(Auth{}, Options{Token: ref})
	s.works(r)
	s.revoke(first)
	s.fails(r, "denied")
	rewrite(t, ref, second)
	s.works(r)
}

func (s *stage) revoke(token string) {
	s.t.Helper()
	if err := s.root.Auth().Token().RevokeTree(token); err != nil {
		s.t.Fatal(err)
	}
}

// TestRevoked takes the token away while it is in use.
func TestRevoked(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	g := newGate(t, s.Addr)
	r := s.resolver(s.appRole("app", nil), Options{Address: g.URL})
	for logins := 1; logins <= 3; logins++ {
		client := s.client(r)
		s.waitForLookup(r)
		s.works(r)
		if n := g.count("/login"); n != logins {
			t.Errorf("%d logins, want %d", n, logins)
		}
		s.revoke(client.Token())
		s.works(r)
		s.waitFor("the old login's end", r.loginEnded(client))
	}

	// Many notice at once, and there is one new login.
	before := g.count("/login")
	s.revoke(s.client(r).Token())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if value, _, err := r.Expand(t.Context(), stageRef); err != nil || value != stageValue {
				t.Errorf("Expand = %q, %v", value, err)
			}
		})
	}
	all.Wait()
	if n := g.count("/login") - before; n != 1 {
		t.Errorf("%d logins, want 1", n)
	}

	// Without the right to look itself up, a token that was revoked cannot be told
	// from one that may not read, and one new login has to tell.
	blind := s.resolver(s.appRole("blind", map[string]any{"token_no_default_policy": true}), Options{Address: g.URL})
	before = g.count("/login")
	s.revoke(s.client(blind).Token())
	s.works(blind)
	s.revoke(s.client(blind).Token())
	s.fails(blind, "denied")
	if n := g.count("/login") - before; n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

// waitForLookup waits until the watch knows that the token may look itself up.
func (s *stage) waitForLookup(r *Resolver) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		r.logins.mu.Lock()
		seen := r.logins.current != nil && r.logins.current.seen
		r.logins.mu.Unlock()
		if seen {
			return
		}
		if time.Now().After(end) {
			s.t.Fatal("the token was not looked up")
		}
	}
}

// TestDenied has a good token that may not read.
func TestDenied(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	g := newGate(t, s.Addr)
	r := s.resolver(s.appRole("app", map[string]any{"token_policies": "default"}), Options{Address: g.URL})
	for range 5 {
		s.fails(r, "denied")
	}
	if n := g.count("/login"); n != 1 {
		t.Errorf("%d logins, want 1: a new one changes nothing", n)
	}
}

// TestSealed waits for a sealed server as long as the caller does.
func TestSealed(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	auth := s.appRole("app", nil)
	if err := s.root.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	s.fails(s.resolver(auth, Options{Timeout: 100 * time.Millisecond}), "is sealed", s.Addr, "unseal it")

	r := s.resolver(auth, Options{})
	left, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := r.login(left)
		gone <- err
	}()
	got := make(chan error, 1)
	go func() {
		value, _, err := r.Expand(t.Context(), stageRef)
		if err == nil && value != stageValue {
			err = errors.New("another value")
		}
		got <- err
	}()
	s.log.wait(t, "not logged in to Vault", 2)
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the waiter that left got %v", err)
	}
	if _, err := s.root.Sys().Unseal(s.UnsealKey); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("the waiter that stayed got %v", err)
	}
}

// TestNobodyWaits ends the attempts when the last waiter leaves.
func TestNobodyWaits(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	g := newGate(t, s.Addr)
	r := s.resolver(s.appRole("app", nil), Options{Address: g.URL})
	g.set(func(http.ResponseWriter, *http.Request, func(http.ResponseWriter)) { cut() })
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := r.login(ctx)
		gone <- err
	}()
	s.log.wait(t, "cannot be reached", 1)
	cancel()
	<-gone
	r.logins.running.Wait() // hangs if it goes on
	g.set(nil)
	s.works(r)
}

// TestRestarted has a server come back that knows nothing of the tokens it gave.
func TestRestarted(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	g := newGate(t, s.Addr)
	given := map[string]any{"role_id": "role-id-of-the-app", "token_policies": "app"}
	auth := s.appRole("app", given)
	r := s.resolver(auth, Options{Address: g.URL})
	s.works(r)
	s.Stop()
	s.fails(r, "cannot be reached")

	s.Server = vaultserver.Start(t)
	s.prepare()
	again := s.appRole("app", given)
	rewrite(t, auth.SecretID, s.secretID("app"))
	if again.RoleID != auth.RoleID {
		t.Fatal("the second server has another role id")
	}
	g.point(t, s.Addr)
	s.works(r)
}

// TestCutInRenewal loses replies to renewals, and renewals.
func TestCutInRenewal(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	g := newGate(t, s.Addr)
	var mu sync.Mutex
	renewals := 0
	g.set(func(w http.ResponseWriter, req *http.Request, pass func(http.ResponseWriter)) {
		if !strings.HasSuffix(req.URL.Path, "/renew-self") {
			pass(w)
			return
		}
		mu.Lock()
		renewals++
		n := renewals
		mu.Unlock()
		switch n {
		case 1:
			drop(pass)
		case 2:
			cut()
		default:
			pass(w)
		}
	})
	r := s.resolver(s.appRole("app", map[string]any{"token_ttl": "4s"}), Options{Address: g.URL})
	client := s.client(r)
	s.log.wait(t, `"message":"login to Vault renewed"`, 2)
	if s.client(r) != client || s.ended(client.Token()) {
		t.Error("the login was lost")
	}
	if n := strings.Count(s.log.String(), "cannot be reached"); n != 2 {
		t.Errorf("%d failures in the log, want 2:\n%s", n, s.log)
	}

	// Cut for good, the login ends before its token, and works again afterwards.
	g.set(func(w http.ResponseWriter, req *http.Request, pass func(http.ResponseWriter)) { cut() })
	s.waitFor("the end of the login", r.loginEnded(client))
	g.set(nil)
	s.works(r)
}

// TestCutInUnwrapping loses the reply that had the secret id.
func TestCutInUnwrapping(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	g := newGate(t, s.Addr)
	g.set(func(w http.ResponseWriter, req *http.Request, pass func(http.ResponseWriter)) {
		if strings.HasSuffix(req.URL.Path, "/unwrap") {
			drop(pass)
		}
		pass(w)
	})
	auth := s.appRole("app", nil)
	auth.SecretID, auth.SecretIDWrapped = s.file(s.wrapped("auth/approle/role/app/secret-id", "60s", nil)), true
	r := s.resolver(auth, Options{Address: g.URL})
	s.fails(r, "the connection was cut while it was unwrapped", "deliver a new one")
	rewrite(t, auth.SecretID, s.wrapped("auth/approle/role/app/secret-id", "60s", nil))
	g.set(nil)
	s.works(r)
}

// TestSlow has a server that answers too late.
func TestSlow(t *testing.T) {
	s := newStage(t, vaultserver.Start)
	g := newGate(t, s.Addr)
	slow := make(chan struct{})
	g.set(func(w http.ResponseWriter, req *http.Request, pass func(http.ResponseWriter)) {
		select {
		case <-slow:
			pass(w)
		case <-req.Context().Done():
		}
	})
	auth := s.appRole("app", nil)
	start := time.Now()
	s.fails(s.resolver(auth, Options{Address: g.URL, Timeout: 200 * time.Millisecond}), "gave no answer in time", "check that it is well")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v to say so", took)
	}

	t.Setenv("VAULT_CLIENT_TIMEOUT", "1") // seconds
	r := s.resolver(auth, Options{Address: g.URL})
	got := make(chan error, 1)
	go func() {
		_, _, err := r.Expand(t.Context(), stageRef)
		got <- err
	}()
	s.log.wait(t, "gave no answer in time", 1)
	close(slow)
	if err := <-got; err != nil {
		t.Errorf("the server became quick, and yet: %v", err)
	}

	// The end does not wait for an answer.
	g.set(func(_ http.ResponseWriter, req *http.Request, _ func(http.ResponseWriter)) { <-req.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start = time.Now()
	r.Close(ctx)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
}
