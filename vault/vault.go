// Package vault turns references such as ${vault:secret/github#token} into
// values, from HashiCorp Vault, the environment, files and the system's keychain,
// and says when they change.
//
//	r, err := vault.New(vault.Options{Dir: folderOfTheConfiguration})
//	defer r.Close(ctx) // revokes every lease
//	g, err := r.Acquire(ctx, []string{"Bearer ${vault:secret/crm#api_key}"}, vault.Vars{})
//	use(g.Values[0])
//	next, err := g.Next(ctx) // when the secret has changed or is about to end
//	use(next.Values[0])
//	g.Close()
//
// Vault itself is met only when a reference to it is resolved; without one, no
// address is needed and no request is sent. Where Options leave something open,
// the VAULT_* variables and the token file say it, as for Vault's own command line.
//
// A value lives in memory as long as the Grant that holds it. Go offers no way to
// wipe a string, so after that it is gone when the garbage collector says so and
// the memory is used again; that the pages are not swapped out or dumped is up to
// the system.
//
// An error says which reference it is about, what happened, why, and what to do.
// It never holds a value or a token.
package vault

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Options say where values come from. The zero value is good for the usual
// environment of Vault's command line.
type Options struct {
	// Address is Vault's URL, instead of VAULT_ADDR.
	Address string
	// Namespace is the Vault Enterprise namespace, instead of VAULT_NAMESPACE.
	Namespace string
	// CACert is the path of a PEM file with the certificates that Vault's own
	// must verify with, instead of VAULT_CACERT.
	CACert string
	// CAPath is the path of a folder of such files, instead of VAULT_CAPATH.
	CAPath string
	// ClientCert and ClientKey are the paths of the PEM files that we show Vault
	// over TLS, instead of VAULT_CLIENT_CERT and VAULT_CLIENT_KEY. They are read
	// again for each connection.
	ClientCert, ClientKey string
	// TLSServerName is the name that Vault's certificate must have, instead of
	// VAULT_TLS_SERVER_NAME and the host of the address.
	TLSServerName string
	// Auth says how we log in. The zero value takes a token as Vault's command
	// line does.
	Auth Auth
	// Token is the token of the method token, instead of VAULT_TOKEN and what
	// `vault login` left. It may hold references to the environment and to files,
	// which are resolved when Vault is first needed.
	Token string
	// Dir is the folder that relative paths of file references start from; ""
	// is the working folder.
	Dir string
	// Timeout bounds each attempt to resolve references; 0 is 30 seconds.
	Timeout time.Duration
	// Poll is how often secrets of Vault's KV engines are looked at for a change;
	// 0 is a minute. Files are looked at every 5 seconds, or as often if that is more.
	Poll time.Duration
	// Env looks up environment variables for env references; nil is os.LookupEnv.
	Env func(string) (string, bool)
	// Log is told of what happens to the login and to leases in the background. The
	// zero value discards it.
	Log zerolog.Logger
}

// Secret is a value that a reference stood for.
type Secret struct {
	Name  string // where it is from, such as vault:secret/github#token
	Value string
}

// Resolver expands references. It is safe for concurrent use.
type Resolver struct {
	options Options
	logins  logins
	keyring keyringDoor

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup // added to while mu is held and closed is false

	mu     sync.Mutex
	closed bool
	leases map[*lease]struct{} // not yet revoked
}

const (
	defaultTimeout = 30 * time.Second
	defaultPoll    = time.Minute
)

// New returns a Resolver. It contacts nothing and reads nothing yet.
func New(o Options) (*Resolver, error) {
	if o.Timeout < 0 {
		return nil, fmt.Errorf("the time limit for resolving secrets is %v; it must not be negative", o.Timeout)
	}
	if o.Poll < 0 {
		return nil, fmt.Errorf("the time between looks at secrets is %v; it must not be negative", o.Poll)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Poll == 0 {
		o.Poll = defaultPoll
	}
	if err := o.Auth.check(); err != nil {
		return nil, err
	}
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	r := &Resolver{options: o, keyring: newKeyringDoor(), leases: map[*lease]struct{}{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Close revokes the login's token if the login was ours, with which Vault ends all its
// leases, and one by one the leases that are left, and makes every Next return. After it, the Resolver resolves nothing more. What is not
// revoked when ctx ends, as after a kill of the process, ends by itself at the end
// of its lease.
func (r *Resolver) Close(ctx context.Context) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	idle := make(chan struct{})
	go func() {
		r.tasks.Wait()
		close(idle)
	}()
	patience := ctx
	if end, limited := ctx.Deadline(); limited { // most of the time is for Vault
		var cancel context.CancelFunc
		patience, cancel = context.WithTimeout(ctx, time.Until(end)/4)
		defer cancel()
	}
	select {
	case <-idle:
	case <-patience.Done():
	}

	ended := r.logout(ctx)
	r.mu.Lock()
	left := slices.Collect(maps.Keys(r.leases))
	r.mu.Unlock()
	left = slices.DeleteFunc(left, func(l *lease) bool { return l.id == "" || slices.Contains(ended, l.client) })
	const atOnce = 8
	var revoking sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, l := range left {
		revoking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			l.revoke(ctx, l.own)
		})
	}
	revoking.Wait()
}

// Expand returns s with every reference replaced by its value, and the values.
func (r *Resolver) Expand(ctx context.Context, s string) (value string, secrets []Secret, err error) {
	values, secrets, err := r.ExpandAll(ctx, []string{s})
	if err != nil {
		return "", nil, err
	}
	return values[0], secrets, nil
}

// ExpandAll is Acquire for those who never want to know of changes. The lease of a
// dynamic secret is not renewed and ends by itself, at the latest with Close.
func (r *Resolver) ExpandAll(ctx context.Context, in []string) (values []string, secrets []Secret, err error) {
	g, err := r.Acquire(ctx, in, Vars{})
	if err != nil {
		return nil, nil, err
	}
	g.abandon()
	return g.Values, g.Secrets, nil
}
