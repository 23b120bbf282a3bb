package vault

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/rs/zerolog"
)

// script is what a version of Vault that the tests cannot start replies, as its
// documentation and its replies to others give it. Each file of testdata/newer is one.
type script struct {
	From      string `json:"from"` // the version, and the page
	Exchanges []struct {
		Request string         `json:"request"`
		Status  int            `json:"status"`
		Reply   jsontext.Value `json:"reply"`
	} `json:"exchanges"`
}

// serve answers each request by the first exchange for it that was not used, else by the
// last.
func (s *script) serve(t *testing.T) (address string) {
	t.Helper()
	var mu sync.Mutex
	used := map[int]bool{}
	return serve(t, func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		at := -1
		for i, x := range s.Exchanges {
			if x.Request == req.Method+" "+req.URL.RequestURI() {
				if at = i; !used[i] {
					break
				}
			}
		}
		if at < 0 {
			if strings.HasPrefix(req.URL.Path, "/v1/auth/token/") {
				io.WriteString(w, `{"data":{"ttl":3600,"renewable":false}}`)
				return
			}
			t.Errorf("unexpected request %s %s", req.Method, req.URL.RequestURI())
			w.WriteHeader(http.StatusNotFound)
			return
		}
		used[at] = true
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(s.Exchanges[at].Status)
		if s.Exchanges[at].Status != http.StatusNoContent {
			w.Write(s.Exchanges[at].Reply)
		}
	})
}

// TestNewerVault holds the client to replies of newer versions than the one that the other
// tests run: in each, members that it does not know, and null where others have a value.
func TestNewerVault(t *testing.T) {
	const value, later = "the-value-of-the-app", "the-next-value-of-the-app"
	const kv, creds = "${vault:secret/app#key}", "${vault:database/creds/app#password}"
	for name, test := range map[string]struct {
		ref  string
		auth Auth
		fail []string // what the error says
		next string   // the value that follows, if one does
		logs string
	}{
		"kv":           {ref: kv},
		"kv-deleted":   {ref: kv, fail: []string{"version 3 of secret/app, the latest, was deleted at 2025-01-04T10:00:00"}},
		"kv-destroyed": {ref: "${vault:secret/app?version=1#key}", fail: []string{"version 1 of secret/app, was destroyed"}},
		"kv-changes":   {ref: kv, next: later},
		"lease":        {ref: creds, logs: "secret renewed"},
		"lease-gone":   {ref: creds, next: later, logs: "Vault has revoked it"},
		"unwrap":       {ref: kv, auth: Auth{Method: MethodAppRole, RoleID: "role", SecretIDWrapped: true, SecretID: "${env:WRAPPED}"}},
		"no-mount":     {ref: kv, fail: []string{"denied any access to secret/app"}},
		"denied":       {ref: kv, fail: []string{"Vault denies it (403)", "the capability read"}},
	} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			t.Setenv("WRAPPED", "hvs.the-wrapping-token")
			text, err := os.ReadFile(filepath.Join("testdata", "newer", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var s script
			if err := json.Unmarshal(text, &s); err != nil || s.From == "" {
				t.Fatalf("the file says not what it is: %v", err)
			}
			log := newLogged()
			o := Options{Address: s.serve(t), Auth: test.auth, Poll: 20 * time.Millisecond, Log: zerolog.New(log)}
			o.Log = o.Log.Level(zerolog.DebugLevel)
			if test.auth.Method == "" {
				o.Token = "hvs.token"
			}
			r := resolver(t, o)
			defer r.Close(context.Background())
			g, err := r.Acquire(t.Context(), []string{test.ref}, Vars{})
			if test.fail != nil {
				if err == nil {
					t.Fatal("no error")
				}
				for _, part := range test.fail {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("the error does not say %q: %v", part, err)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if g.Values[0] != value {
				t.Errorf("got %q", g.Values[0])
			}
			if test.next != "" {
				if n := next(t, g); n.Values[0] != test.next {
					t.Errorf("then got %q", n.Values[0])
				}
			}
			if test.logs != "" {
				log.wait(t, test.logs, 1)
			}
		})
	}
}
