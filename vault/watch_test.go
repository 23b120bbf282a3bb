package vault

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
	"github.com/rs/zerolog"
)

// waiting calls Next in the background.
func waiting(t *testing.T, g *Grant) <-chan *Grant {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	got := make(chan *Grant, 1)
	go func() {
		defer close(got)
		n, err := g.Next(ctx)
		if err != nil {
			t.Errorf("Next: %v", err)
			return
		}
		got <- n
	}()
	return got
}

func TestNextKV(t *testing.T) {
	isolate(t)
	srv := vaultserver.Start(t)
	root := srv.Client(t)
	kv2, kv1 := root.KVv2("secret"), root.KVv1("kv1")
	put := func(path string, data map[string]any) {
		t.Helper()
		if _, err := kv2.Put(t.Context(), path, data); err != nil {
			t.Fatal(err)
		}
	}
	const withMetadata = `path "secret/data/*" { capabilities = ["read"] }
		path "secret/metadata/*" { capabilities = ["read"] }
		path "kv1/*" { capabilities = ["read"] }`
	const without = `path "secret/data/*" { capabilities = ["read"] }`

	t.Run("a new version", func(t *testing.T) {
		put("a", map[string]any{"x": "one", "y": "y-one"})
		put("b", map[string]any{"x": "b-one"})
		var reads atomic.Int32
		front := serve(t, counting(t, srv.Addr, "/v1/secret/data/", &reads))
		r := resolver(t, Options{Address: front, Token: srv.Token(t, withMetadata), Poll: 20 * time.Millisecond})
		g := acquire(t, r, "${vault:secret/a#x} ${vault:secret/a#y}", "${vault:secret/a?version=1#x}", "${vault:secret/b#x}")
		if g.Static() {
			t.Error("said never to change")
		}
		got := waiting(t, g)
		// A field that nobody asked for is no change.
		put("a", map[string]any{"x": "one", "y": "y-one", "other": "new"})
		put("a", map[string]any{"x": "two", "y": "y-two"})
		n := <-got
		if n == nil {
			t.FailNow()
		}
		if want := []string{"two y-two", "one", "b-one"}; !reflect.DeepEqual(n.Values, want) {
			t.Errorf("got %q, want %q", n.Values, want)
		}
		if want := []string{"one y-one", "one", "b-one"}; !reflect.DeepEqual(g.Values, want) {
			t.Errorf("the old Grant has become %q", g.Values)
		}
		// At first the three, then what had a new version: once or twice, as it was met.
		if c := reads.Load(); c < 4 || c > 5 {
			t.Errorf("the secrets were read %d times; a look at one that is the same must not read it", c)
		}
	})
	for name, policy := range map[string]string{"metadata may be read": withMetadata, "metadata may not be read": without} {
		t.Run("deleted, then stored again, "+name, func(t *testing.T) {
			put("d", map[string]any{"x": "one"})
			log := newLogged()
			r := resolver(t, Options{Address: srv.Addr, Token: srv.Token(t, policy), Poll: 20 * time.Millisecond, Log: zerolog.New(log)})
			g := acquire(t, r, "${vault:secret/d#x}")
			got := waiting(t, g)
			if err := kv2.Delete(t.Context(), "d"); err != nil {
				t.Fatal(err)
			}
			log.wait(t, "was deleted at", 1)
			put("d", map[string]any{"other": "no x any more"})
			put("d", map[string]any{"x": "two"})
			if n := <-got; n == nil || n.Values[0] != "two" {
				t.Errorf("got %v", n)
			}
			if strings.Contains(log.String(), "two") {
				t.Error("the log holds a value")
			}
		})
	}
	t.Run("version 1", func(t *testing.T) {
		if err := kv1.Put(t.Context(), "a", map[string]any{"x": "one"}); err != nil {
			t.Fatal(err)
		}
		r := resolver(t, Options{Address: srv.Addr, Token: srv.Token(t, withMetadata), Poll: 20 * time.Millisecond})
		got := waiting(t, acquire(t, r, "${vault:kv1/a#x}"))
		if err := kv1.Put(t.Context(), "a", map[string]any{"x": "two"}); err != nil {
			t.Fatal(err)
		}
		if n := <-got; n == nil || n.Values[0] != "two" {
			t.Errorf("got %v", n)
		}
	})
	t.Run("fixed versions", func(t *testing.T) {
		put("f", map[string]any{"x": "one"})
		put("f", map[string]any{"x": "two"})
		r := resolver(t, Options{Address: srv.Addr, Token: srv.RootToken, Poll: time.Millisecond})
		g := acquire(t, r, "${vault:secret/f?version=1#x}${vault:secret/f?version=2#x}")
		if g.Values[0] != "onetwo" || !g.Static() {
			t.Errorf("got %q, static %v", g.Values, g.Static())
		}
		for s, parts := range map[string][]string{
			"${vault:secret/f?version=3#x}":           {"there is no version 3 of a secret at secret/f"},
			"${vault:secret/f?version=0#x}":           {"one number from 1 on"},
			"${vault:secret/f?version=x#x}":           {"one number from 1 on"},
			"${vault:secret/f?version=1&version=2#x}": {"one number from 1 on"},
			"${vault:secret/f?ttl=1#x}":               {"the only parameter is version"},
			"${vault:kv1/a?version=1#x}":              {"keeps no versions"},
		} {
			wantError(t, r, s, parts...)
		}
		if err := kv2.DeleteVersions(t.Context(), "f", []int{1}); err != nil {
			t.Fatal(err)
		}
		if err := kv2.Destroy(t.Context(), "f", []int{2}); err != nil {
			t.Fatal(err)
		}
		wantError(t, r, "${vault:secret/f?version=1#x}", "version 1 of secret/f, was deleted at", "name another")
		wantError(t, r, "${vault:secret/f?version=2#x}", "version 2 of secret/f, was destroyed; name another")
	})
	t.Run("nested fields", func(t *testing.T) {
		put("n", map[string]any{"a": map[string]any{"b": map[string]any{"c": "deep", "n": 5}, "x.y": "dotted"}, "a.b": "flat", "s": "text"})
		r := resolver(t, Options{Address: srv.Addr, Token: srv.RootToken})
		wantValue(t, r, "${vault:secret/n#a.b.c}", "deep")
		wantValue(t, r, "${vault:secret/n#a.b.n}", "5")
		wantValue(t, r, "${vault:secret/n#a.b}", "flat")
		wantValue(t, r, "${vault:secret/n#a.x.y}", "dotted")
		wantError(t, r, "${vault:secret/n#a.b.z}", `no field "a.b.z"`, `Its fields are "c", "n"`)
		wantError(t, r, "${vault:secret/n#a.b.cc}", `did you mean "a.b.c"?`)
		wantError(t, r, "${vault:secret/n#s.x}", `no field "s.x"`)
	})
	t.Run("sealed meanwhile", func(t *testing.T) {
		put("s", map[string]any{"x": "one"})
		log := newLogged()
		r := resolver(t, Options{Address: srv.Addr, Token: srv.RootToken, Poll: 20 * time.Millisecond, Log: zerolog.New(log)})
		got := waiting(t, acquire(t, r, "${vault:secret/s#x}"))
		if err := root.Sys().Seal(); err != nil {
			t.Fatal(err)
		}
		log.wait(t, "is sealed", 1)
		if _, err := root.Sys().Unseal(srv.UnsealKey); err != nil {
			t.Fatal(err)
		}
		log.wait(t, "can be looked at again", 1)
		put("s", map[string]any{"x": "two"})
		if n := <-got; n == nil || n.Values[0] != "two" {
			t.Errorf("got %v", n)
		}
		if n := strings.Count(log.String(), "not known whether"); n != 1 {
			t.Errorf("logged %d times that it cannot be looked at, want once", n)
		}
	})
}

// counting passes requests on and counts those whose path begins with prefix.
func counting(t *testing.T, to, prefix string, n *atomic.Int32) http.HandlerFunc {
	through := passing(t, to)
	return func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, prefix) {
			n.Add(1)
		}
		through.ServeHTTP(w, req)
	}
}

func TestNextFile(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(path(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := newLogged()
	r := resolver(t, Options{Dir: dir, Poll: 10 * time.Millisecond, Log: zerolog.New(log), Env: func(string) (string, bool) { return "env", true }})
	check := func(t *testing.T, got <-chan *Grant, want ...string) {
		t.Helper()
		if n := <-got; n == nil || !slices.Equal(n.Values, want) {
			t.Errorf("got %v, want %q", n, want)
		}
	}
	t.Run("written in place", func(t *testing.T) {
		write("a", "one\n")
		got := waiting(t, acquire(t, r, "${file:a}${env:X}"))
		write("a", "one\n\n") // the same without the ends of lines
		write("a", "two\n")
		check(t, got, "twoenv")
	})
	t.Run("the same size and time", func(t *testing.T) {
		write("a", "one")
		when := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path("a"), when, when); err != nil {
			t.Fatal(err)
		}
		got := waiting(t, acquire(t, r, "${file:a}"))
		write("a", "two")
		if err := os.Chtimes(path("a"), when, when); err != nil {
			t.Fatal(err)
		}
		check(t, got, "two")
	})
	t.Run("replaced", func(t *testing.T) {
		write("a", "one")
		write("b", "b")
		got := waiting(t, acquire(t, r, "${file:a}", "${file:b}"))
		write("new", "two")
		if err := os.Rename(path("new"), path("a")); err != nil {
			t.Fatal(err)
		}
		check(t, got, "two", "b")
	})
	t.Run("half written", func(t *testing.T) {
		write("a", "one")
		got := waiting(t, acquire(t, r, "${file:a}"))
		f, err := os.OpenFile(path("a"), os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, piece := range []string{"tw", "o-and", "-more"} {
			if _, err := f.WriteString(piece); err != nil {
				t.Fatal(err)
			}
			time.Sleep(settle / 4) // a slow writer
		}
		check(t, got, "two-and-more")
	})
	t.Run("gone for a while, and empty", func(t *testing.T) {
		write("a", "one")
		got := waiting(t, acquire(t, r, "${file:a}"))
		if err := os.Remove(path("a")); err != nil {
			t.Fatal(err)
		}
		log.wait(t, "stays in use", 1)
		write("a", "")
		write("a", "two")
		check(t, got, "two")
	})
	t.Run("Kubernetes", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("links need a privilege on Windows")
		}
		for _, version := range []string{"..1", "..2"} {
			if err := os.MkdirAll(path("mount/"+version), 0o700); err != nil {
				t.Fatal(err)
			}
			write("mount/"+version+"/key", "key of "+version)
		}
		link := func(to, name string) {
			t.Helper()
			if err := os.Symlink(to, path(name)); err != nil {
				t.Fatal(err)
			}
		}
		link("..1", "mount/..data")
		link("..data/key", "mount/key")
		got := waiting(t, acquire(t, r, "${file:mount/key}"))
		link("..2", "mount/..tmp")
		if err := os.Rename(path("mount/..tmp"), path("mount/..data")); err != nil {
			t.Fatal(err)
		}
		check(t, got, "key of ..2")
	})
	t.Run("several at once", func(t *testing.T) {
		write("a", "one")
		write("b", "one")
		g := acquire(t, r, "${file:a} ${file:b}")
		write("a", "two")
		write("b", "two")
		check(t, waiting(t, g), "two two")
	})
}

func TestNextOfWhatNeverChanges(t *testing.T) {
	isolate(t)
	r := resolver(t, Options{Env: func(string) (string, bool) { return "x", true }})
	g := acquire(t, r, "plain", "${env:A}")
	if !g.Static() {
		t.Error("not static")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Next: %v", err)
	}
	ended := make(chan error)
	go func() {
		_, err := g.Next(context.Background())
		ended <- err
	}()
	r.Close(t.Context())
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("Next: %v", err)
	}
}
