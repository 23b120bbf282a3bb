package vault

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// exchange is a request to an engine and what Vault replies, recorded from the
// documentation of its API where the test server does not have the engine.
type exchange struct {
	engine, mount string
	path          string // with the mount
	method, body  string // that are expected
	status        int
	reply         string
}

// play answers as Vault would to one exchange, counts the requests to the path, and
// says what else was asked of sys/leases.
func play(t *testing.T, x exchange, requests *atomic.Int32) (address string) {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		switch path := strings.TrimPrefix(req.URL.Path, "/v1/"); {
		case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
			fmt.Fprintf(w, `{"data":{"path":%q,"type":%q,"options":null}}`, x.mount, x.engine)
		case path == x.path:
			requests.Add(1)
			if req.Method != x.method || string(body) != x.body || req.URL.RawQuery != "" {
				t.Errorf("%s %s?%s %s; want %s %s", req.Method, path, req.URL.RawQuery, body, x.method, x.body)
			}
			if x.status != 0 {
				w.WriteHeader(x.status)
			}
			reply := strings.ReplaceAll(x.reply, "IN_10M", fmt.Sprint(time.Now().Add(10*time.Minute).Unix()))
			io.WriteString(w, strings.ReplaceAll(reply, "AN_HOUR_AGO", fmt.Sprint(time.Now().Add(-time.Hour).Unix())))
		case path == "auth/token/lookup-self":
			io.WriteString(w, `{"data":{"ttl":0,"renewable":false}}`)
		case strings.HasPrefix(path, "sys/leases/"):
			w.WriteHeader(http.StatusNoContent)
		default:
			t.Errorf("asked for %s", path)
			w.WriteHeader(http.StatusNotFound)
		}
	})
}

func TestEngines(t *testing.T) {
	isolate(t)
	const get, put = http.MethodGet, http.MethodPut
	for name, test := range map[string]struct {
		x       exchange
		ref     string
		value   string
		changes changes
		lasts   time.Duration // of the lease, to a few seconds
		watched time.Duration // until it says that it changes
	}{
		"pki": {
			x: exchange{"pki", "pki/", "pki/issue/web", put, `{"common_name":"a.example.com","ttl":"10m"}`, 0,
				`{"lease_id":"","renewable":false,"lease_duration":0,"data":{"certificate":"-----BEGIN CERTIFICATE-----\nMIIB\n","expiration":IN_10M,
				"private_key":"the key","ca_chain":["one","two"],"serial_number":"39:dd"}}`},
			ref: "${vault:pki/issue/web?ttl=10m&common_name=a.example.com#private_key}", value: "the key", changes: leased, lasts: 10 * time.Minute},
		"pki with leases": {
			x: exchange{"pki", "team/pki/", "team/pki/issue/web", put, `{"common_name":"a"}`, 0,
				`{"lease_id":"pki/issue/web/7ad6","renewable":false,"lease_duration":21600,"data":{"private_key":"the key","expiration":IN_10M}}`},
			ref: "${vault:team/pki/issue/web?common_name=a#private_key}", value: "the key", changes: leased, lasts: 6 * time.Hour},
		"ssh": {
			x: exchange{"ssh", "ssh/", "ssh/sign/x", put, `{"public_key":"ssh-ed25519 AAAA+b/c="}`, 0,
				`{"lease_id":"","renewable":false,"lease_duration":0,"data":{"serial_number":"f65e","signed_key":"ssh-ed25519-cert-v01@openssh.com AAAA"}}`},
			ref: "${vault:ssh/sign/x?public_key=ssh-ed25519 AAAA+b/c=#signed_key}", value: "ssh-ed25519-cert-v01@openssh.com AAAA", changes: never},
		"ssh with a ttl": {
			x: exchange{"ssh", "ssh/", "ssh/sign/x", put, `{"public_key":"k","ttl":"30m"}`, 0,
				`{"lease_id":"","data":{"signed_key":"ssh-ed25519-cert-v01@openssh.com AAAA"}}`},
			ref: "${vault:ssh/sign/x?public_key=k&ttl=30m#signed_key}", value: "ssh-ed25519-cert-v01@openssh.com AAAA", changes: leased, lasts: 30 * time.Minute},
		"transit, a write without parameters": {
			x: exchange{"transit", "transit/", "transit/datakey/plaintext/k", put, `{}`, 0,
				`{"data":{"ciphertext":"vault:v1:abc","plaintext":"ZGF0YQ=="}}`},
			ref: "${vault:transit/datakey/plaintext/k?#plaintext}", value: "ZGF0YQ==", changes: never},
		"aws": {
			x: exchange{"aws", "aws/", "aws/creds/deploy", get, ``, 0,
				`{"lease_id":"aws/creds/deploy/f3e9","renewable":true,"lease_duration":2764800,"data":{"access_key":"AKIA","secret_key":"xls","security_token":null}}`},
			ref: "${vault:aws/creds/deploy#secret_key}", value: "xls", changes: leased, lasts: 768 * time.Hour},
		"identity token": {
			x: exchange{"identity", "identity/", "identity/oidc/token/r", get, ``, 0,
				`{"lease_id":"","lease_duration":0,"data":{"client_id":"P7","token":"eyJ","ttl":600}}`},
			ref: "${vault:identity/oidc/token/r#token}", value: "eyJ", changes: leased, lasts: 10 * time.Minute},
		"google": {
			x: exchange{"gcp", "gcp/", "gcp/roleset/r/token", get, ``, 0,
				`{"lease_id":"","data":{"token":"ya29","expires_at_seconds":IN_10M,"token_ttl":599}}`},
			ref: "${vault:gcp/roleset/r/token#token}", value: "ya29", changes: leased, lasts: 10 * time.Minute},
		"static role of a database": {
			x: exchange{"database", "database/", "database/static-creds/r", get, ``, 0,
				`{"lease_id":"","data":{"username":"u","password":"pw","ttl":600,"last_vault_rotation":"2019-05-06T15:26:42Z","rotation_period":86400}}`},
			ref: "${vault:database/static-creds/r#password}", value: "pw", changes: polled, watched: 10 * time.Minute},
		"a lease without an end": {
			x:   exchange{"custom", "custom/", "custom/x", get, ``, 0, `{"lease_id":"custom/x/1","lease_duration":0,"data":{"a":"b"}}`},
			ref: "${vault:custom/x#a}", value: "b", changes: leased},
		"a lease longer than time": {
			x:   exchange{"custom", "custom/", "custom/x", get, ``, 0, `{"lease_id":"custom/x/1","renewable":true,"lease_duration":9223372036854775807,"data":{"a":"b"}}`},
			ref: "${vault:custom/x#a}", value: "b", changes: leased, lasts: 100 * 365 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			r := resolver(t, Options{Address: play(t, test.x, &requests), Token: "hvs.token"})
			g := acquire(t, r, test.ref)
			defer r.Close(t.Context())
			if g.Values[0] != test.value {
				t.Errorf("got %q, want %q", g.Values[0], test.value)
			}
			if g.Static() != (test.changes == never) {
				t.Errorf("static %v", g.Static())
			}
			for _, one := range g.readings {
				if one.changes != test.changes {
					t.Errorf("changes %d, want %d", one.changes, test.changes)
				}
				var lasts time.Duration
				if one.lease != nil {
					lasts = one.lease.ttl
				}
				if d := lasts - test.lasts; d < -5*time.Second || d > 5*time.Second {
					t.Errorf("lasts %v, want %v", lasts, test.lasts)
				}
				if test.lasts == 0 && one.lease != nil && (one.lease.isDue() || !one.lease.endless) {
					t.Error("a lease without an end is given one")
				}
				if test.watched != 0 {
					if d := time.Until(one.next) - test.watched; d < -5*time.Second || d > 5*time.Second {
						t.Errorf("changes in %v, want %v", time.Until(one.next), test.watched)
					}
				}
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
	for name, test := range map[string]struct {
		x    exchange
		ref  string
		says []string
	}{
		"must be written to": {exchange{"pki", "pki/", "pki/issue/web", get, ``, 405, `{"errors":["1 error occurred:\n\t* unsupported operation\n\n"]}`},
			"${vault:pki/issue/web#private_key}", []string{"is not read but written to", "after a ?"}},
		"denied": {exchange{"aws", "aws/", "aws/creds/x", get, ``, 403, `{"errors":["permission denied"]}`},
			"${vault:aws/creds/x#secret_key}", []string{"reading aws/creds/x", "403", "capability read"}},
		"denied to write": {exchange{"pki", "pki/", "pki/issue/x", put, `{"common_name":"a"}`, 403, `{"errors":["permission denied"]}`},
			"${vault:pki/issue/x?common_name=a#k}", []string{"writing to pki/issue/x", "403", "capability update"}},
		"nothing there": {exchange{"aws", "aws/", "aws/creds/x", get, ``, 404, `{"errors":[]}`},
			"${vault:aws/creds/x#secret_key}", []string{"the engine aws/ (aws) has nothing at aws/creds/x"}},
		"ended already": {exchange{"pki", "pki/", "pki/issue/x", put, `{"common_name":"a"}`, 0, `{"data":{"private_key":"s3cr3t-v4lue","expiration":AN_HOUR_AGO}}`},
			"${vault:pki/issue/x?common_name=a#private_key}", []string{"has ended already", "compare the clocks"}},
		"null":            {exchange{"aws", "aws/", "aws/sts/x", get, ``, 0, `{"data":{"security_token":null}}`}, "${vault:aws/sts/x#security_token}", []string{"is null"}},
		"no data":         {exchange{"x", "x/", "x/y", get, ``, 0, `{"lease_id":"x/y/1","lease_duration":60,"data":["s3cr3t-v4lue"]}`}, "${vault:x/y#a}", []string{"not what a secret engine sends"}},
		"an object twice": {exchange{"x", "x/", "x/y", get, ``, 0, `{"data":{"a":"s3cr3t-v4lue","a":"b"}}`}, "${vault:x/y#a}", []string{"not what a secret engine sends"}},
		"administration":  {exchange{"system", "sys/", "sys/x", get, ``, 0, `{}`}, "${vault:sys/raw/x#a}", []string{"Vault's own administration"}},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			r := resolver(t, Options{Address: play(t, test.x, &requests), Token: "hvs.token"})
			defer r.Close(t.Context())
			wantError(t, r, test.ref, test.says...)
		})
	}
}

// TestCertificateIsReplaced holds that what ends without a lease gets a successor in
// time, and one only.
func TestCertificateIsReplaced(t *testing.T) {
	isolate(t)
	var n atomic.Int32
	address := serve(t, func(w http.ResponseWriter, req *http.Request) {
		switch path := strings.TrimPrefix(req.URL.Path, "/v1/"); {
		case strings.HasPrefix(path, "sys/internal/"):
			io.WriteString(w, `{"data":{"path":"pki/","type":"pki"}}`)
		case path == "pki/issue/web":
			ends := time.Now().Add(2 * time.Second)
			if n.Add(1) > 1 {
				ends = ends.Add(time.Hour)
			}
			fmt.Fprintf(w, `{"data":{"private_key":"key %d","certificate":"certificate %d","expiration":%d}}`, n.Load(), n.Load(), ends.Unix()+1)
		case path == "auth/token/lookup-self":
			io.WriteString(w, `{"data":{"ttl":0}}`)
		default:
			t.Errorf("asked for %s: there is no lease", path)
		}
	})
	r := resolver(t, Options{Address: address, Token: "hvs.token"})
	g := acquire(t, r, "${vault:pki/issue/web?common_name=a#private_key}", "${vault:pki/issue/web?common_name=a#certificate}")
	successor := next(t, g)
	g.Close()
	if successor.Values[0] != "key 2" || successor.Values[1] != "certificate 2" {
		t.Errorf("got %q", successor.Values)
	}
	successor.Close()
	r.Close(t.Context())
}
