package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/vault/api"
)

// maxReply bounds the size in bytes of a reply from Vault. Its own limit for an
// entry in storage is 1 MiB.
const maxReply = 8 << 20

// vaultClient returns the client, and makes it first where there is none yet. A
// failure is not kept: what was missing may be there the next time.
func (r *Resolver) vaultClient(ctx context.Context) (*api.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client, nil
	}
	o := r.options
	if o.Token != "" {
		parts, err := Parse(o.Token)
		if err != nil {
			return nil, fmt.Errorf("reading the token for Vault: %w", err)
		}
		for _, part := range parts {
			if part.Ref != nil && part.Ref.Source == SourceVault {
				return nil, errors.New("the token for Vault cannot come out of Vault: use ${env:NAME} or ${file:PATH}")
			}
		}
		token, secrets, err := r.Expand(ctx, o.Token)
		if err != nil {
			return nil, fmt.Errorf("resolving the token for Vault: %w", err)
		}
		o.Token, r.tokens = strings.TrimSpace(token), secrets
	}
	client, err := newClient(o)
	if err != nil {
		return nil, err
	}
	r.client = client
	return client, nil
}

// newClient configures a client from the VAULT_* variables, as Vault's command
// line does, and then from the options.
func newClient(o Options) (*api.Client, error) {
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
	if o.CACert != "" {
		if err := config.ConfigureTLS(&api.TLSConfig{CACert: o.CACert}); err != nil {
			return nil, fmt.Errorf("reading the certificates for Vault in %s: %w", o.CACert, err)
		}
	}
	config.CheckRetry = checkRetry
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("configuring the Vault client: %w", err)
	}
	// Only now: before, the client sets its own transport up.
	config.HttpClient.Transport = &guard{config.HttpClient.Transport}
	if o.Namespace != "" {
		client.SetNamespace(o.Namespace)
	}
	token := o.Token
	if token == "" {
		token = client.Token() // VAULT_TOKEN
	}
	if token == "" {
		if token, err = tokenFile(); err != nil {
			return nil, err
		}
	}
	if token == "" {
		return nil, errors.New("there is no token for Vault; set VAULT_TOKEN, or log in with `vault login`, which writes ~/.vault-token")
	}
	client.SetToken(token)
	return client, nil
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

// tokenFile returns the token that `vault login` left, or "".
func tokenFile() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", nil // no home, no file
	}
	content, err := os.ReadFile(filepath.Join(home, ".vault-token"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading Vault's token: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// checkRetry is Vault's own policy, but a sealed server does not unseal itself
// while we wait: whoever needs the value tries again later.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	var moved *redirectError
	if errors.As(err, &moved) || resp != nil && resp.StatusCode == http.StatusServiceUnavailable {
		return false, err
	}
	return api.DefaultRetryPolicy(ctx, resp, err)
}

// guard is a transport that bounds replies and refuses redirects to another
// origin. Vault's client follows them by itself, and takes the token along.
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
	resp.Body = &boundedBody{resp.Body, maxReply}
	return resp, nil
}

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
