package vault

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
)

func TestReplace(t *testing.T) {
	isolate(t)
	srv := vaultserver.Start(t)
	root := srv.Client(t)
	kv := root.KVv2("secret")
	put := func(path string, data map[string]any) {
		t.Helper()
		if _, err := kv.Put(t.Context(), path, data); err != nil {
			t.Fatal(err)
		}
	}
	put("crm", map[string]any{"refresh_token": "rt-1", "number": 1234567, "note": "ä <&> \u2028", "nested": map[string]any{"a": []any{"b", nil}}})
	put("users/ada/crm", map[string]any{"refresh_token": "ada-1"})
	r := resolver(t, Options{Address: srv.Addr, Token: srv.RootToken})
	const ref = "${vault:secret/crm#refresh_token}"

	if err := r.Replace(t.Context(), ref, Vars{}, "rt-1", "rt-2 \"\\"); err != nil {
		t.Fatal(err)
	}
	wantValue(t, r, ref, "rt-2 \"\\")
	wantValue(t, r, "${vault:secret/crm#number}", "1234567")
	wantValue(t, r, "${vault:secret/crm#note}", "ä <&> \u2028")
	wantValue(t, r, "${vault:secret/crm#nested}", `{"a":["b",null]}`)
	wantValue(t, r, "${vault:secret/crm?version=1#refresh_token}", "rt-1")

	version := func() int {
		t.Helper()
		got, err := kv.Get(t.Context(), "crm")
		if err != nil {
			t.Fatal(err)
		}
		return got.VersionMetadata.Version
	}
	before := version()
	if err := r.Replace(t.Context(), ref, Vars{}, "rt-1", "rt-2 \"\\"); err != nil {
		t.Errorf("storing what is stored: %v", err)
	}
	if err := r.Replace(t.Context(), ref, Vars{}, "rt-1", "rt-3"); !errors.Is(err, ErrChanged) {
		t.Errorf("replacing what is not stored: %v", err)
	}
	if after := version(); after != before {
		t.Errorf("version %d became %d, though there was nothing to write", before, after)
	}

	if err := r.Replace(t.Context(), "${vault:secret/users/{user.subject}/crm#refresh_token}", Vars{Subject: "ada"}, "ada-1", "ada-2"); err != nil {
		t.Error(err)
	}
	wantValue(t, r, "${vault:secret/users/ada/crm#refresh_token}", "ada-2")

	if err := root.Sys().Mount("kvx", &api.MountInput{Type: "kv", Options: map[string]string{"version": "1"}}); err != nil {
		t.Fatal(err)
	}
	if err := root.KVv1("kvx").Put(t.Context(), "crm", map[string]any{"t": "rt-1"}); err != nil {
		t.Fatal(err)
	}
	denied := resolver(t, Options{Address: srv.Addr, Token: srv.Token(t, `path "secret/data/crm" { capabilities = ["read"] }`)})
	for _, test := range []struct {
		r       *Resolver
		s, want string
		v       Vars
	}{
		{r, "x", "one reference", Vars{}},
		{r, "a" + ref, "one reference", Vars{}},
		{r, ref + ref, "one reference", Vars{}},
		{r, "${env:TOKEN}", "cannot be written to", Vars{}},
		{r, "${file:token}", "cannot be written to", Vars{}},
		{r, "${vault:secret/crm?version=1#refresh_token}", "fixed version", Vars{}},
		{r, "${vault:kvx/crm#t}", "KV version 2", Vars{}},
		{r, "${vault:secret/none#t}", "there is no secret", Vars{}},
		{r, "${vault:secret/crm#none}", "not a text", Vars{}},
		{r, "${vault:secret/crm#number}", "not a text", Vars{}},
		{r, "${vault:secret/crm#nested.a}", "not a text", Vars{}},
		{r, "${vault:secret/users/{user.subject}/crm#refresh_token}", "user's name", Vars{Subject: "../ada"}},
		{denied, ref, "capability update", Vars{}},
	} {
		err := test.r.Replace(t.Context(), test.s, test.v, "rt-2 \"\\", "s3cr3t-v4lue")
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", test.s, err, test.want)
		} else if strings.Contains(err.Error(), "s3cr3t-v4lue") || strings.Contains(err.Error(), "rt-2") {
			t.Errorf("%s: the error holds a secret: %v", test.s, err)
		}
	}
}

// TestReplaceConcurrently has many write to fields of one secret: none may undo another.
func TestReplaceConcurrently(t *testing.T) {
	isolate(t)
	srv := vaultserver.Start(t)
	fields := map[string]any{}
	const writers = 4
	for i := range writers {
		fields[fmt.Sprint("f", i)] = "old"
	}
	if _, err := srv.Client(t).KVv2("secret").Put(t.Context(), "crm", fields); err != nil {
		t.Fatal(err)
	}
	// The first reads wait for each other, so that all but one write too late.
	var met sync.WaitGroup
	met.Add(writers)
	var once [writers]sync.Once
	var work sync.WaitGroup
	for i := range writers {
		front := serve(t, func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPut || req.Method == http.MethodPost {
				once[i].Do(func() { met.Done(); met.Wait() })
			}
			pass(t, srv.Addr, w, req)
		})
		r := resolver(t, Options{Address: front, Token: srv.RootToken})
		work.Go(func() {
			if err := r.Replace(t.Context(), fmt.Sprintf("${vault:secret/crm#f%d}", i), Vars{}, "old", "new"); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	r := resolver(t, Options{Address: srv.Addr, Token: srv.RootToken})
	for i := range writers {
		wantValue(t, r, fmt.Sprintf("${vault:secret/crm#f%d}", i), "new")
	}
}

// pass hands a request on to a server, and its answer back.
func pass(t *testing.T, to string, w http.ResponseWriter, req *http.Request) {
	out, err := http.NewRequestWithContext(req.Context(), req.Method, to+req.URL.RequestURI(), req.Body)
	if err != nil {
		t.Error(err)
		return
	}
	out.Header = req.Header.Clone()
	resp, err := http.DefaultClient.Do(out)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	w.WriteHeader(resp.StatusCode)
	var buf [64 << 10]byte
	for {
		n, err := resp.Body.Read(buf[:])
		w.Write(buf[:n])
		if err != nil {
			return
		}
	}
}
