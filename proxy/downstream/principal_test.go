package downstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
	"github.com/mcpfirewall/mcpfirewall/vault"
)

// keyOf is the credential that Vault holds for a user.
func keyOf(user string) string { return "the-very-own-key-of-" + user }

// guardedByUser lets calls pass whose argument "user" is the one that the credential in
// the Authorization header and that in the argument "key" belong to, and notes all others.
type guardedByUser struct {
	next http.Handler

	mu    sync.Mutex
	calls map[string]int // by user
	wrong []string
}

func (g *guardedByUser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if m, err := jsonrpc.Parse(body, jsonrpc.Limits{}); err == nil && m.Method == "tools/call" {
		args := jsonrpc.Get(m.At(m.Params), "arguments")
		user, _ := jsonrpc.GetString(args, "user")
		key, _ := jsonrpc.GetString(args, "region")
		auth := r.Header.Get("Authorization")
		tool, _ := jsonrpc.GetString(m.At(m.Params), "name")
		g.mu.Lock()
		g.calls[user]++
		if auth != "Bearer "+keyOf(user) || tool == "region" && key != keyOf(user) {
			g.wrong = append(g.wrong, fmt.Sprintf("a call of %s came with %q and %q", user, auth, key))
		}
		for name, values := range r.Header {
			if name != "Authorization" && strings.Contains(fmt.Sprint(values), "very-own-key") {
				g.wrong = append(g.wrong, "a key is in the header "+name)
			}
		}
		g.mu.Unlock()
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	g.next.ServeHTTP(w, r)
}

// newUsers is a site whose server gets each user's own credential out of a real Vault.
func newUsers(t *testing.T) (*site, *guardedByUser) {
	v := vaultserver.Start(t)
	kv := v.Client(t).KVv2("secret")
	for _, user := range []string{"alice", "bob"} {
		if _, err := kv.Put(t.Context(), "users/"+user, map[string]any{"key": keyOf(user)}); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PRINCIPALS_TOKEN", v.Token(t, `path "secret/data/users/*" { capabilities = ["read"] }`))
	g := &guardedByUser{calls: map[string]int{}}
	f := newFixtureWith(t, func(next http.Handler) http.Handler { g.next = next; return g }, func(s *config.Server) {
		s.Headers = map[string]string{"Authorization": "Bearer ${vault:secret/users/{user.subject}#key}"}
		s.Inject = []config.Injection{{Tool: "region", Argument: "region", Text: "${vault:secret/users/{user.subject}#key}"}}
	}, vault.Options{Address: v.Addr, Token: "${env:PRINCIPALS_TOKEN}"})
	return newSiteOf(t, f, HTTPOptions{Authenticate: func(r *http.Request) (string, error) {
		if user := r.Header.Get("X-Test-User"); user != "" {
			return user, nil
		}
		return "", errors.New("who are you?")
	}}), g
}

// TestPrincipalsHaveTheirOwn holds that no way through the firewall gives a user the
// credential of another.
func TestPrincipalsHaveTheirOwn(t *testing.T) {
	s, g := newUsers(t)
	as := func(user string, header ...string) []string { return append(header, "X-Test-User: "+user) }
	args := func(user string) string { return fmt.Sprintf(`{"user":%q}`, user) }
	begin := func(user string) *visitor {
		res := s.post(initialize, as(user)...)
		text(t, res)
		v := &visitor{s, res.Header.Get("Mcp-Session-Id")}
		if v.id == "" {
			t.Fatalf("%s has no session: %d", user, res.StatusCode)
		}
		v.post(initialized, as(user)...)
		return v
	}
	alice, bob := begin("alice"), begin("bob")
	for range 3 {
		for _, tool := range []string{"echo", "region"} {
			for user, v := range map[string]*visitor{"alice": alice, "bob": bob} {
				if got := text(t, v.post(call("1", tool, args(user)), as(user)...)); !strings.Contains(got, `"result"`) || strings.Contains(got, "very-own") {
					t.Errorf("%s of %s: %s", tool, user, got)
				}
			}
		}
	}

	t.Run("the session of another", func(t *testing.T) {
		for _, header := range [][]string{as("bob"), as("Alice"), {"X-Other: 1"}} {
			if res := alice.post(call("1", "echo", args("mallory")), header...); res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusUnauthorized {
				t.Errorf("%v: %d %s", header, res.StatusCode, text(t, res))
			}
		}
	})

	t.Run("the stream of another", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		res := s.do(ctx, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":"p","method":"tools/call","params":{"name":"progress","arguments":{"n":3,"user":"alice"},"_meta":{"progressToken":1}}}`,
			as("alice", "Mcp-Session-Id: "+alice.id)...)
		first, _ := events(t, res).next()
		leave()
		for _, header := range [][]string{as("bob", "Mcp-Session-Id: "+alice.id), as("bob", "Mcp-Session-Id: "+bob.id)} {
			res := s.do(t.Context(), http.MethodGet, "/mcp", "", append(header, "Last-Event-ID: "+first.id)...)
			if got := res.StatusCode; got == http.StatusOK {
				t.Errorf("bob took up a stream of alice's: %d", got)
			}
		}
	})

	t.Run("an SSE session of another", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		endpoint, _ := events(t, s.do(ctx, http.MethodGet, "/sse", "", as("alice")...)).next()
		if res := s.do(ctx, http.MethodPost, endpoint.data, initialize, as("bob")...); res.StatusCode < 400 {
			t.Errorf("bob spoke in a session of alice's: %d", res.StatusCode)
		}
	})

	t.Run("modern requests", func(t *testing.T) {
		var wg sync.WaitGroup
		for n := range 40 {
			for _, user := range []string{"alice", "bob"} {
				wg.Go(func() {
					body, header := modernCall(fmt.Sprint(n), []string{"echo", "region"}[n%2], args(user))
					if n%4 < 2 { // the same name for both
						header = append(header, "Mcp-Firewall-Session: work")
					}
					if got := text(t, s.post(body, as(user, header...)...)); !strings.Contains(got, `"result"`) || strings.Contains(got, `"isError":true`) {
						t.Errorf("%s: %s", user, got)
					}
				})
			}
		}
		wg.Wait()
	})

	t.Run("names that are paths", func(t *testing.T) {
		for _, user := range []string{"../users/alice", "alice/../alice", "x/../alice", "alice#key", "alice?version=1", "alice%2F", "..", "al*ce", `a\b`, "{user.subject}"} {
			body, header := modernCall("1", "echo", args("mallory"))
			got := text(t, s.post(body, as(user, header...)...))
			if !strings.Contains(got, "server up is not available: its credentials could not be obtained") && !strings.Contains(got, "is still starting") {
				t.Errorf("%s: %s", user, got)
			}
			if strings.Contains(got, user) && user != "{user.subject}" && user != ".." {
				t.Errorf("%s: the answer repeats the name: %s", user, got)
			}
		}
		if n := g.count("mallory"); n > 0 {
			t.Errorf("%d calls reached the server", n)
		}
		if got := text(t, alice.post(call("1", "echo", args("alice")), as("alice")...)); !strings.Contains(got, `"result"`) {
			t.Errorf("alice cannot work any more: %s", got)
		}
	})

	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.wrong {
		t.Error(w)
	}
	if g.calls["alice"] < 40 || g.calls["bob"] < 40 {
		t.Errorf("calls: %v", g.calls)
	}
}

func (g *guardedByUser) count(user string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls[user]
}
