package vault

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// The ways to log in, as Vault names its auth methods.
const (
	MethodToken      = "token"
	MethodAppRole    = "approle"
	MethodKubernetes = "kubernetes"
	MethodJWT        = "jwt" // also for mounts of type oidc, with a JWT that is there already
	MethodCert       = "cert"
	MethodUserpass   = "userpass"
)

var methods = []string{MethodToken, MethodAppRole, MethodKubernetes, MethodJWT, MethodCert, MethodUserpass}

// Auth says how to log in to Vault. Texts that stand for a secret may hold
// references to the environment and to files, which are resolved again at each
// login.
type Auth struct {
	// Method is one of the Method constants; "" is MethodToken.
	Method string
	// Mount is where the auth method is mounted, without auth/ before it; "" is
	// the method's name.
	Mount string
	// Namespace is the namespace (Vault Enterprise) of the mount; "" is
	// Options.Namespace.
	Namespace string
	// Role is the role to log in as. Kubernetes needs it. JWT and TLS certificate
	// have defaults for it on the server. AppRole needs RoleID instead; with Role a
	// wrapped secret id must have been made for the role of that name.
	Role string

	RoleID   string // AppRole: may be, or hold, a reference
	SecretID string // AppRole; "" if the role demands none
	// SecretIDWrapped says that SecretID is a wrapping token, which is unwrapped once.
	SecretIDWrapped bool

	// JWT is the token of JWT and Kubernetes; for the latter, "" is the pod's
	// service account.
	JWT string

	Username, Password string // userpass
}

// serviceAccountToken is where Kubernetes puts a pod's own token.
const serviceAccountToken = "${file:/var/run/secrets/kubernetes.io/serviceaccount/token}"

// check finds what cannot work whatever Vault says.
func (a Auth) check() error {
	need := func(value, name string) error {
		if value == "" {
			return fmt.Errorf("to log in to Vault with %s, set %s", a.Method, name)
		}
		return nil
	}
	var err error
	switch a.Method {
	case "", MethodToken:
	case MethodAppRole:
		if err = need(a.RoleID, "role_id"); err == nil && a.SecretIDWrapped {
			err = need(a.SecretID, "secret_id")
		}
	case MethodKubernetes:
		err = need(a.Role, "role")
	case MethodJWT:
		err = need(a.JWT, "jwt")
	case MethodCert:
	case MethodUserpass:
		if err = need(a.Username, "username"); err == nil {
			err = need(a.Password, "password")
		}
	default:
		return fmt.Errorf("there is no auth method %q; the methods are %s", a.Method, strings.Join(methods, ", "))
	}
	if err != nil {
		return err
	}
	for what, text := range map[string]string{
		"role_id": a.RoleID, "secret_id": a.SecretID, "jwt": a.JWT, "username": a.Username, "password": a.Password,
	} {
		if err := parseLocal(what, text); err != nil {
			return err
		}
	}
	if a.Mount != "" && checkVaultPath("auth/"+a.Mount) != "" {
		return fmt.Errorf("the mount of the auth method, %q, must be a path such as %s or team/%[2]s", a.Mount, cmp.Or(a.Method, MethodToken))
	}
	return nil
}

// credentials make up one attempt to log in.
type credentials struct {
	path string         // under auth/, the mount with it
	body map[string]any // what is sent; the wrapping token in place of a wrapped secret id
	sum  [32]byte       // of what it rests on, to know the same again
}

// authenticate makes one attempt to log in.
func (r *Resolver) authenticate(ctx context.Context) (*session, error) {
	base, err := r.connect()
	if err != nil {
		return nil, err
	}
	a := r.options.Auth
	if a.Method == "" || a.Method == MethodToken {
		token, err := r.givenToken(ctx)
		if err != nil {
			return nil, err
		}
		return newSession(base, a.Namespace, token), nil
	}
	ctx, cancel := context.WithTimeout(once(ctx), cmp.Or(base.ClientTimeout(), time.Minute))
	defer cancel()
	creds, err := r.credentials(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.logins.refusedBefore(creds.sum); err != nil {
		return nil, err
	}
	s, err := r.present(ctx, base, creds)
	r.logins.note(creds.sum, err)
	return s, err
}

// present shows Vault the credentials.
func (r *Resolver) present(ctx context.Context, base *api.Client, creds credentials) (*session, error) {
	a := r.options.Auth
	in := base
	if a.Namespace != "" {
		in = base.WithNamespace(a.Namespace)
	}
	if a.SecretIDWrapped && a.Method == MethodAppRole {
		secretID, err := r.unwrap(ctx, in, creds.body["secret_id"].(string))
		if err != nil {
			return nil, err
		}
		creds.body["secret_id"] = secretID
	}
	doing := logging + a.Method + " at auth/" + a.mount()
	reply, err := in.Logical().WriteWithContext(ctx, creds.path, creds.body)
	if err != nil {
		return nil, r.loginFailed(doing, err)
	}
	refused := func(why string) error { return &loginError{refused: true, text: doing + ": " + why} }
	if reply == nil || reply.Auth == nil {
		return nil, refused("Vault's reply holds no token; check that the mount is of the type " + a.Method)
	}
	auth := reply.Auth
	switch {
	case auth.MFARequirement != nil:
		return nil, refused("Vault demands a second factor (login MFA), which a program cannot give; " +
			"exempt this role from the MFA enforcement, or log in with a method that it does not cover")
	case auth.ClientToken == "":
		return nil, refused("Vault's reply holds an empty token")
	}
	s := newSession(base, a.Namespace, auth.ClientToken)
	s.own = true
	s.ttl, s.renewable = time.Duration(auth.LeaseDuration)*time.Second, auth.Renewable
	r.logins.know("vault login", auth.ClientToken)
	return s, nil
}

func newSession(base *api.Client, namespace, token string) *session {
	s := &session{client: base.WithNamespace(base.Namespace()), ended: make(chan struct{})}
	s.client.SetToken(token)
	s.self = s.client
	if namespace != "" {
		s.self = s.client.WithNamespace(namespace)
	}
	return s
}

// mount returns the path of the method's mount, under auth/.
func (a Auth) mount() string { return cmp.Or(a.Mount, a.Method) }

// credentials gathers what an attempt sends, without asking Vault.
func (r *Resolver) credentials(ctx context.Context) (c credentials, err error) {
	a := r.options.Auth
	c = credentials{path: "auth/" + a.mount() + "/login", body: map[string]any{}}
	sum := sha256.New()
	set := func(key, what, text string) {
		if err == nil && text != "" {
			var value string
			value, err = r.local(ctx, what, text)
			c.body[key] = value
			fmt.Fprintf(sum, "%s %d %s\n", key, len(value), value)
		}
	}
	switch a.Method {
	case MethodAppRole:
		set("role_id", "role id", a.RoleID)
		set("secret_id", "secret id", a.SecretID)
	case MethodKubernetes:
		c.body["role"] = a.Role
		set("jwt", "service account's token", cmp.Or(a.JWT, serviceAccountToken))
	case MethodJWT:
		if a.Role != "" {
			c.body["role"] = a.Role
		}
		set("jwt", "JWT", a.JWT)
	case MethodCert:
		if a.Role != "" {
			c.body["name"] = a.Role
		}
		t := r.logins.base.Load().transport
		if t.TLSClientConfig.GetClientCertificate == nil {
			return c, errors.New("to log in to Vault with cert, set client_cert and client_key, or VAULT_CLIENT_CERT and VAULT_CLIENT_KEY")
		}
		var pair *tls.Certificate
		if pair, err = t.TLSClientConfig.GetClientCertificate(nil); err != nil {
			return c, err
		}
		sum.Write(pair.Certificate[0])
		// It is shown when a connection begins, and may be a new one.
		t.CloseIdleConnections()
	case MethodUserpass:
		var name string
		if name, err = r.local(ctx, "user name", a.Username); err != nil {
			break
		}
		if name != strings.TrimSpace(name) || strings.ContainsAny(name, "/?#%\\") || strings.Trim(name, ".") == "" {
			return c, errors.New("the user name for Vault holds a character that would change the path of the login, such as a slash")
		}
		c.path += "/" + name
		fmt.Fprintf(sum, "%s\n", name)
		set("password", "password", a.Password)
	}
	sum.Sum(c.sum[:0])
	return c, err
}

// local resolves a text that may hold references to anything but Vault, and lets
// the redactor know its values.
func (r *Resolver) local(ctx context.Context, what, text string) (string, error) {
	if err := parseLocal(what, text); err != nil {
		return "", err
	}
	value, secrets, err := r.Expand(ctx, text)
	if err != nil {
		return "", fmt.Errorf("resolving the %s for Vault: %w", what, err)
	}
	value = strings.TrimSpace(value)
	for _, s := range secrets {
		r.logins.know(s.Name, s.Value)
	}
	if what != "user name" && what != "role id" && !slices.ContainsFunc(secrets, func(s Secret) bool { return s.Value == value }) {
		r.logins.know("vault login", value)
	}
	return value, nil
}

// parseLocal checks a text that may hold references to anything but Vault.
func parseLocal(what, text string) error {
	parts, err := Parse(text)
	if err != nil {
		return fmt.Errorf("reading the %s for Vault: %w", what, err)
	}
	for _, part := range parts {
		if part.Ref != nil && part.Ref.Source == SourceVault {
			return fmt.Errorf("the %s for Vault cannot come out of Vault: use ${env:NAME} or ${file:PATH}", what)
		}
	}
	return nil
}

// mostKnown bounds the secrets of logins that are remembered. What a login sent
// may still be of use to a thief after the next one.
const mostKnown = 64

// know adds a value to what the redactor is told.
func (l *logins) know(name, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets = slices.DeleteFunc(l.secrets, func(s Secret) bool { return s.Value == value })
	l.secrets = append(l.secrets, Secret{Name: name, Value: value})
	if n := len(l.secrets) - mostKnown; n > 0 {
		l.secrets = slices.Delete(l.secrets, 0, n)
	}
}
