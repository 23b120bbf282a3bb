package vault

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestClose ends a Resolver with many leases at a Vault that revokes them slowly.
func TestClose(t *testing.T) {
	const leases = 40
	userpass := Options{Auth: Auth{Method: MethodUserpass, Username: "fw", Password: "${env:PW}"}}
	for name, test := range map[string]struct {
		o          Options
		mayRevoke  bool // the token itself
		slow       time.Duration
		wantToken  bool
		wantSingly bool
	}{
		"our own login":                     {userpass, true, time.Second, true, false},
		"our own login, kept by its policy": {userpass, false, 0, false, true},
		"a token that was given":            {Options{Token: "hvs.token"}, true, 0, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			t.Setenv("PW", "the-password-of-fw")
			var mu sync.Mutex
			made, token, revoked := 0, false, map[string]bool{}
			test.o.Address = serve(t, func(w http.ResponseWriter, req *http.Request) {
				body, _ := io.ReadAll(req.Body)
				if req.URL.Path == "/v1/sys/leases/revoke" {
					time.Sleep(test.slow)
				}
				mu.Lock()
				defer mu.Unlock()
				switch {
				case strings.HasPrefix(req.URL.Path, "/v1/sys/internal/ui/mounts/"):
					io.WriteString(w, `{"data":{"path":"database/","type":"database"}}`)
				case req.URL.Path == "/v1/database/creds/r":
					made++
					fmt.Fprintf(w, `{"lease_id":"database/creds/r/%d","lease_duration":3600,"renewable":false,"data":{"password":"password-%d"}}`, made, made)
				case req.URL.Path == "/v1/sys/leases/revoke":
					revoked[string(body)] = true
					w.WriteHeader(http.StatusNoContent)
				case req.URL.Path == "/v1/auth/token/revoke-self" && test.mayRevoke:
					token = true
					w.WriteHeader(http.StatusNoContent)
				case req.URL.Path == "/v1/auth/token/revoke-self":
					w.WriteHeader(http.StatusForbidden)
					io.WriteString(w, `{"errors":["permission denied"]}`)
				case strings.HasPrefix(req.URL.Path, "/v1/auth/userpass/login/"):
					io.WriteString(w, `{"auth":{"client_token":"hvs.token-of-the-login","lease_duration":3600,"renewable":true}}`)
				default:
					io.WriteString(w, `{"data":{"ttl":3600,"renewable":true}}`)
				}
			})
			r := resolver(t, test.o)
			for i := range leases {
				g := acquire(t, r, "${vault:database/creds/r#password}")
				if i%2 == 0 {
					defer g.Close() // others are given up while it ends
					continue
				}
				if test.slow > 0 {
					g.Close()
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			r.Close(ctx)
			if ctx.Err() != nil {
				t.Error("it took all the time there was")
			}
			mu.Lock()
			defer mu.Unlock()
			if token != test.wantToken {
				t.Errorf("the token was revoked: %v", token)
			}
			if test.wantSingly && len(revoked) != leases {
				t.Errorf("%d of %d leases were revoked", len(revoked), leases)
			}
		})
	}
}
