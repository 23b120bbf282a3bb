package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// Vault is the HashiCorp Vault that ${vault:...} is read from. What is empty
// here has the value that Vault's own command line would use.
type Vault struct {
	Address       string    `key:"address" check:"address"`
	Namespace     string    `key:"namespace"`
	CACert        string    `key:"ca_cert" as:"path"`
	CAPath        string    `key:"ca_path" as:"path"`
	ClientCert    string    `key:"client_cert" as:"path" with:"client_key"`
	ClientKey     string    `key:"client_key" as:"path" with:"client_cert"`
	TLSServerName string    `key:"tls_server_name" check:"host"`
	Auth          VaultAuth `key:"auth"`
}

// VaultAuth says how the firewall proves to Vault who it is. Which keys a method
// has is in authKeys. What is a secret is a reference, never the secret itself.
type VaultAuth struct {
	Method          string `key:"method" enum:"token,approle,kubernetes,jwt,cert,userpass" default:"token"`
	Mount           string `key:"mount" check:"mount"` // without auth/; "" is the method's name
	Namespace       string `key:"namespace"`
	Token           string `key:"token" check:"token" opt:"ref,secret"`
	Role            string `key:"role" opt:"nonempty"`
	RoleID          string `key:"role_id" opt:"ref,nonempty"`
	SecretID        string `key:"secret_id" check:"token" opt:"ref,secret"`
	SecretIDWrapped bool   `key:"secret_id_wrapped" default:"false"`
	JWT             string `key:"jwt" check:"token" opt:"ref,secret"`
	Username        string `key:"username" opt:"ref,nonempty"`
	Password        string `key:"password" check:"token" opt:"ref,secret"`
}

// References returns the texts that may hold references, with the paths of their values in
// the file. A file without the section has none.
func (v *Vault) References() []Reference {
	if v == nil {
		return nil
	}
	a := v.Auth
	all := []Reference{{"vault.auth.token", a.Token}, {"vault.auth.role_id", a.RoleID}, {"vault.auth.secret_id", a.SecretID},
		{"vault.auth.jwt", a.JWT}, {"vault.auth.username", a.Username}, {"vault.auth.password", a.Password}}
	return slices.DeleteFunc(all, func(r Reference) bool { return r.Text == "" })
}

// authKeys holds the keys of each method; those that it cannot do without come
// with a !.
var authKeys = map[string][]string{
	"token":      {"token"},
	"approle":    {"mount", "role", "role_id!", "secret_id", "secret_id_wrapped"},
	"kubernetes": {"mount", "role!", "jwt"},
	"jwt":        {"mount", "role", "jwt!"},
	"cert":       {"mount", "role"},
	"userpass":   {"mount", "username!", "password!"},
}

// validateVault checks that the keys of the section fit each other.
func (d *decoder) validateVault() {
	if d.cfg.Vault == nil {
		return
	}
	has := func(path string) bool {
		_, ok := d.cfg.nodes[path]
		return ok || d.misspelt[path]
	}
	for _, f := range fieldsOf(reflect.TypeFor[Vault]()) {
		if p := d.cfg.nodes[join("vault", f.key)]; f.with != "" && p.key != nil && !has(join("vault", f.with)) {
			d.failNode(p.key, "", "%s makes sense only with %s", join("vault", f.key), f.with)
		}
	}

	const at = "vault.auth"
	auth := d.cfg.nodes[at]
	if auth.key == nil || d.failed(at+".method") {
		return
	}
	method := d.cfg.Vault.Auth.Method
	own := authKeys[method]
	for _, f := range fieldsOf(reflect.TypeFor[VaultAuth]()) {
		p := d.cfg.nodes[join(at, f.key)]
		switch {
		case f.key == "method" || f.key == "namespace":
		case slices.Contains(own, f.key+"!"):
			if !has(join(at, f.key)) {
				d.failNode(auth.key, "", "%s needs %s with the method %s", at, f.key, method)
			}
		case p.key != nil && !slices.Contains(own, f.key):
			d.failNode(p.key, "", "%s makes sense only with the method %s, and here it is %s", join(at, f.key), oneOf(methodsWith(f.key)), method)
		}
	}
	if p := d.cfg.nodes[at+".secret_id_wrapped"]; p.key != nil && method == "approle" && !has(at+".secret_id") {
		d.failNode(p.key, "", "%s.secret_id_wrapped makes sense only with secret_id", at)
	}
}

// failed reports whether the value of a key was complained about.
func (d *decoder) failed(path string) bool {
	p, ok := d.cfg.nodes[path]
	return ok && slices.ContainsFunc(d.found, func(f finding) bool { return f.offset == d.src.nodeOffset(p.value) })
}

// methodsWith returns the auth methods that have a key.
func methodsWith(key string) []string {
	var with []string
	for _, f := range fieldsOf(reflect.TypeFor[VaultAuth]()) {
		for _, method := range f.enum {
			if keys := authKeys[method]; slices.Contains(keys, key) || slices.Contains(keys, key+"!") {
				with = append(with, method)
			}
		}
	}
	return with
}

// checkMount checks the path of an auth method's mount.
func checkMount(s string) (wrong, suggestion string) {
	if rest, ok := strings.CutPrefix(strings.Trim(s, "/"), "auth/"); ok {
		return "is given without auth/", rest
	}
	for _, segment := range strings.Split(s, "/") {
		if segment == "" || strings.Trim(segment, ".") == "" || strings.ContainsFunc(segment, func(r rune) bool { return r == ' ' || visible.Hidden(r) }) {
			return fmt.Sprintf("must be a path such as %s or team/%[1]s", "approle"), ""
		}
	}
	return "", ""
}
