package vault

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/rs/zerolog"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
)

// stage is a Vault server with a secret in it, and notes all that must not be told.
type stage struct {
	*vaultserver.Server
	t    *testing.T
	root *api.Client

	mu     sync.Mutex
	hidden []string
	told   []string // errors
	log    *journal
}

const (
	stageRef   = "${vault:secret/app#key}"
	stageValue = "the-value-of-the-app"
)

func newStage(t *testing.T, start func(testing.TB) *vaultserver.Server) *stage {
	t.Helper()
	isolate(t)
	s := &stage{t: t, Server: start(t), log: newJournal()}
	s.prepare()
	t.Cleanup(s.checkSecrecy)
	return s
}

// prepare puts the secret and a policy for it into the server.
func (s *stage) prepare() {
	s.t.Helper()
	s.root = s.Client(s.t)
	if _, err := s.root.KVv2("secret").Put(s.t.Context(), "app", map[string]any{"key": stageValue}); err != nil {
		s.t.Fatal(err)
	}
	s.hide(s.RootToken, stageValue)
	if err := s.root.Sys().PutPolicy("app", `path "secret/data/app" { capabilities = ["read"] }`); err != nil {
		s.t.Fatal(err)
	}
}

// hide notes values that must be in no error and no log.
func (s *stage) hide(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = append(s.hidden, values...)
}

func (s *stage) checkSecrecy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	texts := append(s.told, s.log.String())
	for _, text := range texts {
		for _, value := range s.hidden {
			if len(value) >= 8 && strings.Contains(text, value) {
				s.t.Errorf("a secret (%.4s...) was told:\n%s", value, text)
			}
		}
	}
	if len(s.hidden) < 3 {
		s.t.Error("no secrets were looked for")
	}
}

func (s *stage) write(path string, data map[string]any) *api.Secret {
	s.t.Helper()
	got, err := s.root.Logical().WriteWithContext(s.t.Context(), path, data)
	if err != nil {
		s.t.Fatalf("writing %s: %v", path, err)
	}
	return got
}

func (s *stage) enable(mount, method string) {
	s.t.Helper()
	if err := s.root.Sys().EnableAuthWithOptions(mount, &api.EnableAuthOptions{Type: method}); err != nil {
		s.t.Fatal(err)
	}
}

// appRole makes a role and returns how to log in as it.
func (s *stage) appRole(name string, settings map[string]any) Auth {
	s.t.Helper()
	if mounts, err := s.root.Sys().ListAuth(); err != nil {
		s.t.Fatal(err)
	} else if mounts["approle/"] == nil {
		s.enable("approle", "approle")
	}
	data := map[string]any{"token_policies": "app"}
	for k, v := range settings {
		data[k] = v
	}
	s.write("auth/approle/role/"+name, data)
	id, err := s.root.Logical().Read("auth/approle/role/" + name + "/role-id")
	if err != nil {
		s.t.Fatal(err)
	}
	return Auth{Method: MethodAppRole, RoleID: id.Data["role_id"].(string), SecretID: s.file(s.secretID(name))}
}

func (s *stage) secretID(role string) string {
	s.t.Helper()
	id := s.write("auth/approle/role/"+role+"/secret-id", nil).Data["secret_id"].(string)
	s.hide(id)
	return id
}

// wrapped returns a wrapping token for the reply of a write.
func (s *stage) wrapped(path, ttl string, data map[string]any) string {
	s.t.Helper()
	client := s.Client(s.t)
	client.SetWrappingLookupFunc(func(string, string) string { return ttl })
	got, err := client.Logical().Write(path, data)
	if err != nil {
		s.t.Fatal(err)
	}
	s.hide(got.WrapInfo.Token)
	return got.WrapInfo.Token
}

// file writes a file and returns the reference to it.
func (s *stage) file(content string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "secret")
	rewrite(s.t, path, content)
	s.hide(content)
	return "${file:" + path + "}"
}

func rewrite(t *testing.T, path, content string) {
	t.Helper()
	path = strings.TrimSuffix(strings.TrimPrefix(path, "${file:"), "}")
	if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// resolver makes one that logs in with auth, at the server unless o says otherwise.
func (s *stage) resolver(auth Auth, o Options) *Resolver {
	s.t.Helper()
	o.Auth = auth
	o.Log = zerolog.New(s.log)
	if o.Address == "" {
		o.Address = s.Addr
	}
	r := resolver(s.t, o)
	s.t.Cleanup(func() {
		for _, secret := range r.loginSecrets() {
			s.hide(secret.Value)
		}
		r.logout(s.t.Context())
	})
	return r
}

func (s *stage) works(r *Resolver) {
	s.t.Helper()
	value, secrets, err := r.Expand(s.t.Context(), stageRef)
	if err != nil || value != stageValue {
		s.t.Fatalf("Expand = %q, %v", value, err)
	}
	for _, login := range r.loginSecrets() {
		found := false
		for _, secret := range secrets {
			found = found || secret.Value == login.Value
		}
		if !found {
			s.t.Errorf("%s is not among the secrets, so it would not be masked", login.Name)
		}
	}
}

// fails checks that the secret cannot be had, and what the error says.
func (s *stage) fails(r *Resolver, parts ...string) {
	s.t.Helper()
	value, _, err := r.Expand(s.t.Context(), stageRef)
	if err == nil {
		s.t.Errorf("Expand = %q; want an error with %q", value, parts)
		return
	}
	s.tell(err)
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			s.t.Errorf("the error does not say %q:\n%v", p, err)
		}
	}
}

func (s *stage) tell(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, err.Error())
}

// journal is a log that can be waited for.
type journal struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	written chan struct{} // closed by the next line
}

func newJournal() *journal { return &journal{written: make(chan struct{})} }

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.written)
	j.written = make(chan struct{})
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// wait blocks until the log holds text n times.
func (j *journal) wait(t *testing.T, text string, n int) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		j.mu.Lock()
		got, next := j.buf.String(), j.written
		j.mu.Unlock()
		if strings.Count(got, text) >= n {
			return
		}
		select {
		case <-next:
		case <-late:
			t.Fatalf("the log does not say %q %d times:\n%s", text, n, got)
		}
	}
}

// gate stands before a server, counts requests by path, and may do things to them.
type gate struct {
	URL string

	mu     sync.Mutex
	to     *url.URL
	counts map[string]int
	meddle func(w http.ResponseWriter, req *http.Request, pass func(http.ResponseWriter)) // nil passes
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	g := &gate{counts: map[string]int{}}
	g.point(t, to)
	srv := httptest.NewServer(g)
	srv.Config.ErrorLog = nil
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	g.URL = srv.URL
	return g
}

// point makes the gate lead to another server.
func (g *gate) point(t *testing.T, to string) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.to = u
}

func (g *gate) set(meddle func(http.ResponseWriter, *http.Request, func(http.ResponseWriter))) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.meddle = meddle
}

// count returns how many requests had a path that ends so.
func (g *gate) count(suffix string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for path, c := range g.counts {
		if strings.HasSuffix(path, suffix) {
			n += c
		}
	}
	return n
}

func (g *gate) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	g.mu.Lock()
	g.counts[req.URL.Path]++
	to, meddle := g.to, g.meddle
	g.mu.Unlock()
	pass := func(w http.ResponseWriter) {
		p := httputil.NewSingleHostReverseProxy(to)
		p.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
		p.ServeHTTP(w, req)
	}
	if meddle != nil {
		meddle(w, req, pass)
		return
	}
	pass(w)
}

// cut ends the connection without a reply.
func cut() { panic(http.ErrAbortHandler) }

// drop carries a request out whose reply is lost.
func drop(pass func(http.ResponseWriter)) {
	pass(&lost{http.Header{}})
	cut()
}

type lost struct{ header http.Header }

func (l *lost) Header() http.Header         { return l.header }
func (l *lost) WriteHeader(int)             {}
func (l *lost) Write(p []byte) (int, error) { return io.Discard.Write(p) }
