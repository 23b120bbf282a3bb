package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/api"
	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
)

// maxReply bounds the size in bytes of a reply from Vault. Its own limit for an
// entry in storage is 1 MiB.
const maxReply = 8 << 20

// connect returns a client without a token, made at the first need. A failure is
// not kept: what was missing may be there the next time.
func (r *Resolver) connect() (*api.Client, error) {
	l := &r.logins
	if made := l.base.Load(); made != nil {
		return made.client, nil
	}
	made, err := r.newBase()
	if err != nil {
		return nil, err
	}
	l.base.Store(made)
	return made.client, nil
}

// newBase configures a client from the VAULT_* variables, as Vault's command
// line does, and then from the options.
func (r *Resolver) newBase() (*base, error) {
	o := r.options
	if err := checkEnvironment(); err != nil {
		return nil, err
	}
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, fmt.Errorf("reading the VAULT_* variables: %w", config.Error)
	}
	if o.Address != "" {
		config.Address = o.Address
		config.AgentAddress = "" // VAULT_AGENT_ADDR would win
	}
	for _, address := range []string{config.Address, config.AgentAddress} {
		if err := checkAddress(address); err != nil {
			return nil, err
		}
	}
	if err := r.configureTLS(config); err != nil {
		return nil, err
	}
	config.CheckRetry = checkRetry
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("configuring the Vault client: %w", err)
	}
	// Only now: before, the client sets its own transport up.
	transport := config.HttpClient.Transport.(*http.Transport)
	config.HttpClient.Transport = &guard{transport}
	if o.Namespace != "" {
		client.SetNamespace(o.Namespace)
	}
	if mfa := os.Getenv(api.EnvVaultMFA); mfa != "" {
		client.SetMFACreds(strings.Split(mfa, ","))
	}
	// With VAULT_WRAP_TTL every reply would be a wrapping token instead of the value.
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	client.ClearToken() // VAULT_TOKEN is not for other methods than token
	r.knowEnvironment(client)
	return &base{client, transport}, nil
}

// configureTLS adds what the options say to what the VAULT_* variables said.
func (r *Resolver) configureTLS(config *api.Config) error {
	o := r.options
	t := config.HttpClient.Transport.(*http.Transport).TLSClientConfig
	if o.CACert != "" || o.CAPath != "" {
		if t.InsecureSkipVerify {
			r.options.Log.Warn().Msg("VAULT_SKIP_VERIFY is set and has no effect, since the configuration names the authority of Vault's certificate")
			t.InsecureSkipVerify = false
		}
		if err := config.ConfigureTLS(&api.TLSConfig{CACert: o.CACert, CAPath: o.CAPath}); err != nil {
			return fmt.Errorf("reading the certificates for Vault in %s: %w", cmp.Or(o.CACert, o.CAPath), err)
		}
	}
	if t.InsecureSkipVerify {
		r.options.Log.Warn().Msg("VAULT_SKIP_VERIFY is set: Vault's certificate is NOT checked, so anybody on the way can take its place " +
			"and read the credentials; unset it, and name the authority of the certificate as vault.ca_cert")
	}
	if o.TLSServerName != "" {
		t.ServerName = o.TLSServerName
	}
	cert, key := o.ClientCert, o.ClientKey
	if cert == "" && key == "" {
		cert, key = os.Getenv(api.EnvVaultClientCert), os.Getenv(api.EnvVaultClientKey)
	}
	if cert == "" && key == "" {
		return nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate for Vault in %s and its key in %s: %w", cert, key, err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return err
	}
	// Read for each connection, since certificates of short life are replaced.
	t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return nil
}

// knowEnvironment lets the redactor know the secrets in variables that are not
// meant for them alone.
func (r *Resolver) knowEnvironment(client *api.Client) {
	for _, name := range []string{api.EnvHTTPProxy, api.EnvVaultProxyAddr} {
		if u, err := url.Parse(os.Getenv(name)); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok {
				r.logins.know("env:"+name, password)
			}
		}
	}
	for name, values := range client.Headers() {
		if secretHeader().MatchString(name) && !strings.HasPrefix(name, "X-Vault-") {
			for _, value := range values {
				r.logins.know("env:"+api.EnvVaultHeaders, value)
			}
		}
	}
}

// secretHeader matches the names of headers that prove who somebody is.
var secretHeader = onuse.Regexp(`(?i)auth|cookie|token|key|secret|passw`)

// checkEnvironment finds the variables that the client's library would complain
// about without their name, or with their value.
func checkEnvironment() error {
	if v := os.Getenv(api.EnvVaultMaxRetries); v != "" {
		if _, err := strconv.ParseUint(v, 10, 32); err != nil {
			return errors.New("VAULT_MAX_RETRIES is not a number; correct or unset it")
		}
	}
	for _, name := range []string{api.EnvHTTPProxy, api.EnvVaultProxyAddr} {
		if u, err := url.Parse(os.Getenv(name)); err != nil || u.String() != "" && u.Host == "" {
			// It may hold a password and is not quoted.
			return fmt.Errorf("%s is not a URL such as http://proxy.example.com:3128; correct or unset it", name)
		}
	}
	if (os.Getenv(api.EnvVaultClientCert) == "") != (os.Getenv(api.EnvVaultClientKey) == "") {
		return errors.New("of VAULT_CLIENT_CERT and VAULT_CLIENT_KEY only one is set; set both or neither")
	}
	return nil
}

// address returns where Vault is, for messages.
func (l *logins) address() string {
	if made := l.base.Load(); made != nil {
		return made.client.Address()
	}
	return "its address"
}

func checkAddress(address string) error {
	if address == "" || strings.HasPrefix(address, "unix://") {
		return nil // not set, or the socket of an agent
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		// The address itself may hold a password and is not quoted.
		return errors.New("the address of Vault is not a URL such as https://vault.example.com:8200; correct it in the configuration or in VAULT_ADDR")
	}
	if u.User != nil {
		return errors.New("the address of Vault holds a user name; remove it, Vault knows its clients by token")
	}
	return nil
}

// onceKey marks contexts of requests that are sent once.
type onceKey struct{}

// once returns a context for requests that the client does not repeat by itself:
// a wrong secret id is a 500 for some versions of Vault and counts toward locking
// the account, and a wrapping token works once.
func once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

// checkRetry is Vault's own policy, but a sealed server does not unseal itself
// while we wait: whoever needs the value tries again later.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	var moved *redirectError
	if errors.As(err, &moved) || resp != nil && resp.StatusCode == http.StatusServiceUnavailable || ctx.Value(onceKey{}) != nil {
		return false, err
	}
	return api.DefaultRetryPolicy(ctx, resp, err)
}

// guard is a transport that bounds replies and refuses redirects to another
// origin. Vault's client follows them by itself, and takes the token along.
//
// It reads a reply to its end before it gives it to the client, which cancels the
// request of a raw write as soon as it has the header: what Vault had made then, such
// as a lease, nobody would know of.
type guard struct {
	next http.RoundTripper
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		to, err := resp.Location()
		if err != nil || to.Scheme != req.URL.Scheme || to.Host != req.URL.Host {
			resp.Body.Close()
			moved := &redirectError{from: req.URL.Host}
			if err == nil {
				moved.to = to.Scheme + "://" + to.Host
			}
			return nil, moved
		}
	}
	body, err := io.ReadAll(&boundedBody{resp.Body, maxReply})
	resp.Body.Close()
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), bodyEnd{err}))
	return resp, nil
}

// bodyEnd is how the reading of a body ended. An error is told where the client reads the
// body; as one of the transport it would make the client send the request again.
type bodyEnd struct{ err error }

func (b bodyEnd) Read([]byte) (int, error) { return 0, cmp.Or(b.err, io.EOF) }

// redirectError says that Vault redirected to another origin.
type redirectError struct {
	from, to string
}

func (e *redirectError) Error() string {
	if e.to == "" {
		return fmt.Sprintf("%s answers with a redirect to nowhere", e.from)
	}
	return fmt.Sprintf("%s redirects to %s, and the token is not sent to another host", e.from, e.to)
}

var errTooLarge = fmt.Errorf("the reply is larger than %d MiB", maxReply>>20)

// boundedBody fails, rather than ends, at its bound.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}
