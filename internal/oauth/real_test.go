package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/oauthserver"
)

// store is where a test keeps credentials.
type store struct {
	mu     sync.Mutex
	have   Credentials
	broken error // why nothing can be stored
	stored int
	known  []string
	void   []string
}

func (s *store) credentials(context.Context) (Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have, nil
}

func (s *store) replace(_ context.Context, old, new string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broken != nil:
		return s.broken
	case s.have.RefreshToken == new:
	case s.have.RefreshToken != old:
		return errors.New("another token is stored")
	default:
		s.have.RefreshToken = new
		s.stored++
	}
	return nil
}

func (s *store) set(refresh string, broken error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
	if refresh != "" {
		s.have.RefreshToken = refresh
	}
}

// options are those of a client whose credentials are in the store.
func (s *store) options(server, grant string) Options {
	note := func(list *[]string) func(string) {
		return func(token string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			*list = append(*list, token)
		}
	}
	return Options{URL: server, Grant: grant, AllowPrivate: true, Credentials: s.credentials, Store: s.replace,
		Known: note(&s.known), Void: note(&s.void)}
}

func source(t testing.TB, o Options) *Source {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// resourceServer is an MCP server that says where its tokens come from, at the place that
// its challenge names, and nowhere else if odd is set.
func resourceServer(t testing.TB, issuers string, odd bool) (address string) {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	address = s.URL + "/mcp"
	at := "/.well-known/oauth-protected-resource/mcp"
	if odd {
		at = "/somewhere/else"
		mux.HandleFunc("/mcp", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("WWW-Authenticate", `Negotiate abc=`)
			w.Header().Add("WWW-Authenticate", `Basic realm="x", Bearer realm="y", resource_metadata="`+s.URL+at+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
	}
	mux.HandleFunc(at, func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"resource":"` + address + `","authorization_servers":[` + issuers + `]}`))
	})
	return address
}

func TestClientCredentials(t *testing.T) {
	srv := oauthserver.Start(t, time.Hour)
	for _, test := range []struct {
		name string
		have Credentials
		auth string
	}{
		{"basic", Credentials{ClientID: "basic", ClientSecret: oauthserver.BasicSecret}, ""},
		{"post", Credentials{ClientID: "post", ClientSecret: oauthserver.PostSecret}, AuthPost},
		{"private_key_jwt", Credentials{ClientID: "keyed", PrivateKey: srv.Key}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, odd := range []bool{false, true} {
				server := resourceServer(t, `"`+srv.Issuer+`"`, odd)
				kept := &store{have: test.have}
				o := kept.options(server, ClientCredentials)
				o.Issuer, o.Auth, o.Scopes = srv.Issuer, test.auth, []string{"read"}
				s := source(t, o)
				token, err := s.Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				active, scope, err := srv.Introspect(token, server)
				if err != nil || !active || scope != "read" {
					t.Errorf("the token is active: %t, for the scopes %q, %v", active, scope, err)
				}
				if again, err := s.Token(t.Context()); again != token || err != nil {
					t.Errorf("a second token was fetched: %v", err)
				}
				if !slices.Contains(kept.known, token) {
					t.Error("nobody was told of the token")
				}
			}
		})
	}
	t.Run("wrong secret", func(t *testing.T) {
		kept := &store{have: Credentials{ClientID: "basic", ClientSecret: "hunter2"}}
		o := kept.options(resourceServer(t, `"`+srv.Issuer+`"`, false), ClientCredentials)
		o.Issuer = srv.Issuer
		_, err := source(t, o).Token(t.Context())
		if err == nil || !strings.Contains(err.Error(), "invalid_client") || strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
	})
	t.Run("token_url", func(t *testing.T) {
		kept := &store{have: Credentials{ClientID: "keyed", PrivateKey: srv.Key}}
		o := kept.options("http://127.0.0.1:1/mcp", ClientCredentials) // is not asked
		o.TokenURL, o.AllowPrivate = srv.Issuer+"/token", false
		s := source(t, o)
		token, err := s.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if active, _, err := srv.Introspect(token, "http://127.0.0.1:1/mcp"); !active || err != nil {
			t.Errorf("active: %t, %v", active, err)
		}
	})
}

// TestRefresh goes through the life of a refresh token at a server that gives a new one
// each time and takes all away when an old one is used again.
func TestRefresh(t *testing.T) {
	srv := oauthserver.Start(t, time.Hour)
	for client, secret := range map[string]string{"person": oauthserver.PersonSecret, "public": ""} {
		t.Run(client, func(t *testing.T) {
			server := resourceServer(t, `"`+srv.Issuer+`"`, false)
			first := srv.RefreshToken(t, client, server)
			kept := &store{have: Credentials{ClientID: client, ClientSecret: secret, RefreshToken: first}}
			o := kept.options(server, RefreshToken)
			o.Issuer = srv.Issuer
			s := source(t, o)
			clock := time.Now()
			s.now = func() time.Time { return clock }

			// Many want a token at once, and the refresh token is used once.
			var work sync.WaitGroup
			tokens := make([]string, 20)
			for i := range tokens {
				work.Go(func() {
					var err error
					if tokens[i], err = s.Token(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			work.Wait()
			slices.Sort(tokens)
			if got := slices.Compact(tokens); len(got) != 1 {
				t.Fatalf("%d tokens were fetched", len(got))
			}
			if active, _, err := srv.Introspect(tokens[0], server); !active || err != nil {
				t.Errorf("active: %t, %v", active, err)
			}
			if kept.stored != 1 || kept.have.RefreshToken == first {
				t.Errorf("the new refresh token was stored %d times", kept.stored)
			}

			// Before it expires, the token goes on while the next one is fetched.
			clock = clock.Add(time.Hour - skew/2)
			if token, err := s.Token(t.Context()); token != tokens[0] || err != nil {
				t.Errorf("the token was not used to its end: %v", err)
			}
			s.work.Wait()
			second, err := s.Token(t.Context())
			if err != nil || second == tokens[0] || kept.stored != 2 {
				t.Errorf("no new token, or its refresh token was not stored: %v", err)
			}

			// What cannot be stored is not lost, and stored as soon as that works.
			kept.set("", errors.New("Vault is sealed"))
			s.Refused(second, &http.Response{StatusCode: http.StatusUnauthorized})
			clock = clock.Add(2 * freshFor)
			third, err := s.Token(t.Context())
			if err != nil || third == second {
				t.Fatalf("no new token: %v", err)
			}
			clock = clock.Add(2 * freshFor)
			kept.set("", nil)
			s.Refused(third, &http.Response{StatusCode: http.StatusUnauthorized})
			fourth, err := s.Token(t.Context())
			if err != nil || fourth == third || kept.stored != 3 {
				t.Fatalf("the refresh token in memory was not used: %v; stored %d times", err, kept.stored)
			}

			// Another process has used the token and stored the next one: it is used. Its own
			// use of an old one is noticed by the server, which takes all away.
			other := source(t, func() Options { o := kept.options(server, RefreshToken); o.Issuer = srv.Issuer; return o }())
			if _, err := other.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			clock = clock.Add(2 * freshFor)
			s.Refused(fourth, &http.Response{StatusCode: http.StatusUnauthorized})
			if _, err := s.Token(t.Context()); err != nil {
				t.Errorf("what another process stored is not used: %v", err)
			}
			kept.set(first, nil)
			clock = clock.Add(time.Hour)
			if _, err := s.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "authorize again") {
				t.Errorf("a void refresh token: %v", err)
			}
			clock = clock.Add(longestWait)
			kept.set(srv.RefreshToken(t, client, server), nil)
			if _, err := s.Token(t.Context()); err != nil {
				t.Errorf("after authorizing again: %v", err)
			}
		})
	}
}
