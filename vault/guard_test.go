package vault

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/rs/zerolog"
)

// slowVault is a stand-in for Vault that sends the header of each reply first, and the
// body once the client has had time to go on. It has an engine that is written to, which
// makes a lease each time, and KV version 2.
type slowVault struct {
	mu      sync.Mutex
	made    int // leases
	renewed map[string]int
	revoked map[string]int
	value   string // in secret/crm
	version int
}

func (v *slowVault) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	v.mu.Lock()
	reply := v.reply(strings.TrimPrefix(req.URL.Path, "/v1/"), body)
	v.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	// An answer after the request was cancelled would go nowhere.
	select {
	case <-req.Context().Done():
	case <-time.After(2 * time.Millisecond):
	}
	io.WriteString(w, reply)
}

func (v *slowVault) reply(path string, body []byte) string {
	var in struct {
		LeaseID string `json:"lease_id"`
		Data    struct {
			Token string `json:"token"`
		} `json:"data"`
	}
	_ = json.Unmarshal(body, &in)
	switch {
	case strings.HasPrefix(path, "sys/internal/ui/mounts/pki/"):
		return `{"data":{"path":"pki/","type":"pki"}}`
	case strings.HasPrefix(path, "sys/internal/ui/mounts/secret/"):
		return `{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`
	case path == "pki/issue/web":
		v.made++
		return fmt.Sprintf(`{"lease_id":"pki/issue/web/%d","lease_duration":1,"renewable":true,"data":{"private_key":"key-number-%d%s"}}`,
			v.made, v.made, strings.Repeat("x", 8000))
	case path == "sys/leases/renew":
		v.renewed[in.LeaseID]++
		return fmt.Sprintf(`{"lease_id":%q,"lease_duration":3600,"renewable":true,"data":null%s}`, in.LeaseID, strings.Repeat(" ", 8000))
	case path == "sys/leases/revoke":
		v.revoked[in.LeaseID]++
		return `{}`
	case path == "secret/data/crm" && len(body) == 0:
		return fmt.Sprintf(`{"data":{"data":{"token":%q},"metadata":{"version":%d,"created_time":"2024-01-01T00:00:00Z"}}}`, v.value, v.version)
	case path == "secret/data/crm":
		v.value, v.version = in.Data.Token, v.version+1
		return fmt.Sprintf(`{"data":{"version":%d}}`, v.version) + strings.Repeat(" ", 8000)
	}
	return `{"data":{"ttl":3600,"renewable":false}}`
}

// TestWholeReplies holds that the whole reply to a write is read: each lease that was made
// is known, renewed, and revoked at the end.
func TestWholeReplies(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			isolate(t)
			v := &slowVault{renewed: map[string]int{}, revoked: map[string]int{}, value: "old-token"}
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Proto != proto {
					t.Errorf("the client speaks %s", req.Proto)
				}
				v.ServeHTTP(w, req)
			}))
			srv.EnableHTTP2 = proto == "HTTP/2.0"
			srv.StartTLS()
			t.Cleanup(srv.Close)
			ca := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
				t.Fatal(err)
			}
			log := newLogged()
			r := resolver(t, Options{Address: srv.URL, CACert: ca, Token: "hvs.token", Log: zerolog.New(log).Level(zerolog.DebugLevel)})

			const grants = 10
			for range grants {
				acquire(t, r, "${vault:pki/issue/web?common_name=a#private_key}")
			}
			log.wait(t, "secret renewed", grants)
			if s := log.String(); strings.Contains(s, "not renewed") {
				t.Errorf("a renewal failed:\n%s", s)
			}
			r2 := resolver(t, Options{Address: srv.URL, CACert: ca, Token: "hvs.token"})
			for i := range 10 {
				if err := r2.Replace(t.Context(), "${vault:secret/crm#token}", Vars{}, v.value, fmt.Sprintf("token-%d", i)); err != nil {
					t.Errorf("Replace: %v", err)
				}
			}
			r.Close(t.Context())
			r2.Close(t.Context())
			v.mu.Lock()
			defer v.mu.Unlock()
			if v.made != grants || len(v.renewed) != grants || len(v.revoked) != grants {
				t.Errorf("%d leases made, %d renewed, %d revoked; want %d", v.made, len(v.renewed), len(v.revoked), grants)
			}
		})
	}
}
