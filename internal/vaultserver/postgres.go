package vaultserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Postgres is a running PostgreSQL server on which everybody is trusted.
type Postgres struct {
	Addr string // host and port
	psql string

	Stop func() // ends it at once; called by the end of the test too
}

// StartPostgres starts the system's PostgreSQL with a new, empty cluster. The test
// is skipped where it is not installed, and fails then if CI is set.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	initdb, postgres, psql := pgTool("initdb"), pgTool("postgres"), pgTool("psql")
	if initdb == "" || postgres == "" || psql == "" {
		const missing = "PostgreSQL is not installed (on Debian: apt-get install postgresql)"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	// Not t.TempDir, which only its owner may enter.
	dir, err := os.MkdirTemp("", "mcpfirewall-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data := filepath.Join(dir, "data")
	as := unprivileged(t, dir)
	env := append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") }), "LC_ALL=C", "TZ=UTC")

	cmd := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8")
	cmd.SysProcAttr, cmd.Env, cmd.Dir = as, env, dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()

	// The shell ends the server when its standard input does, so that it cannot
	// outlive its test.
	cmd = exec.Command("sh", "-c", `"$@" & server=$!; read _; kill -QUIT $server; wait $server`, "sh",
		postgres, "-D", data, "-h", host, "-p", port, "-k", "", "-F")
	cmd.SysProcAttr, cmd.Env, cmd.Dir = as, env, dir
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting postgres: %v", err)
	}
	ended := make(chan struct{})
	stop := func() { stdin.Close(); <-ended }
	t.Cleanup(stop)
	ready := make(chan struct{})
	var log tail
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(io.TeeReader(stderr, &log))
		said := false
		for lines.Scan() {
			if !said && strings.Contains(lines.Text(), "ready to accept connections") {
				said = true
				close(ready)
			}
		}
		cmd.Wait()
	}()
	select {
	case <-ready:
	case <-ended:
		t.Fatalf("postgres did not start:\n%s", log.String())
	case <-time.After(time.Minute):
		t.Fatalf("postgres is not ready:\n%s", log.String())
	}
	return &Postgres{Addr: net.JoinHostPort(host, port), psql: psql, Stop: stop}
}

// pgTool finds a program of PostgreSQL, which Debian keeps out of the PATH, and
// returns "" where there is none.
func pgTool(name string) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return slices.Max(found)
	}
	path, _ := exec.LookPath(name)
	return path
}

// Query returns what a statement gives, or the error, as a user with a password.
func (p *Postgres) Query(user, password, statement string) (string, error) {
	cmd := exec.Command(p.psql, "-XAtqw", "-c", statement,
		fmt.Sprintf("postgres://%s/postgres?user=%s&connect_timeout=10", p.Addr, user))
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// Database mounts the database engine at database/, with p behind it and a role
// named after each of roles, whose leases last so long at first and at most.
func (s *Server) Database(t testing.TB, p *Postgres, roles map[string][2]time.Duration) {
	t.Helper()
	client := s.Client(t)
	if err := client.Sys().Mount("database", &api.MountInput{Type: "database"}); err != nil {
		t.Fatal(err)
	}
	write := func(path string, data map[string]any) {
		t.Helper()
		if _, err := client.Logical().Write(path, data); err != nil {
			t.Fatal(err)
		}
	}
	write("database/config/pg", map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "username": "postgres", "password": "any",
		"connection_url": "postgresql://{{username}}:{{password}}@" + p.Addr + "/postgres?sslmode=disable",
	})
	for name, ttl := range roles {
		write("database/roles/"+name, map[string]any{
			"db_name": "pg", "default_ttl": ttl[0].String(), "max_ttl": ttl[1].String(),
			"creation_statements": `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`,
		})
	}
}
