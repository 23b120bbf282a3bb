package vault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
)

// logins keeps the one login that all references share. The zero value is one
// that nobody has needed yet.
type logins struct {
	mu       sync.Mutex
	ctx      context.Context // ends with logout; nil before the first need
	cancel   context.CancelFunc
	running  sync.WaitGroup
	closed   bool
	base     atomic.Pointer[base]
	current  *session   // nil before the first login and after the last has ended
	flight   *flight    // the login under way
	sessions []*session // those whose token is ours and may still be valid
	secrets  []Secret   // what logins were made with, the latest last

	unwrapped unwrapped // by AppRole with a wrapped secret id
	refused   refusal   // of the last login that Vault refused
	forced    time.Time // when the last login was given up because of a 403
}

// base is how Vault is reached.
type base struct {
	client    *api.Client     // without a token
	transport *http.Transport // of client
}

// session is one login, and its client, whose token never changes.
type session struct {
	client    *api.Client
	self      *api.Client // in the namespace of the login, for what is about its token
	own       bool        // we logged in, so it is ours to revoke
	ttl       time.Duration
	renewable bool
	ended     chan struct{} // closed when it is no longer the current one

	// Guarded by logins.mu:
	seen  bool      // the token could look itself up
	until time.Time // when the token ends
}

// flight is a login under way. It goes on as long as somebody waits for it.
type flight struct {
	done    chan struct{} // closed when there is a session or no hope of one
	idle    chan struct{} // gets a value when nobody waits any more
	waiters int
	session *session
	err     error // of the last attempt
}

// refusal is an answer of Vault's that a repetition would not change.
type refusal struct {
	err   error
	sum   [32]byte // of the credentials
	count int      // in a row
	until time.Time
}

// Waiting times of logins that fail.
const (
	firstWait = 500 * time.Millisecond
	mostWait  = 30 * time.Second

	// Credentials that were refused are not shown again for a while, since Vault locks
	// accounts that fail too often (five times, unless it was configured otherwise).
	firstRefusal = 5 * time.Second
	mostRefusal  = 5 * time.Minute

	// forcedAgain bounds how often a 403 leads to a new login where the token may not
	// look itself up, so that a lack of permission cannot be told from its end.
	forcedAgain = time.Minute
)

var errClosed = errors.New("the firewall is ending, and logs in to Vault no more")

// login returns a client that is logged in to Vault. The first need makes the
// login; whoever needs it meanwhile waits for the same one. While Vault cannot be
// reached, is sealed or overloaded, it is tried again, at growing intervals, until
// ctx ends. The client is not to be changed. Its token is renewed while it can be.
func (r *Resolver) login(ctx context.Context) (*api.Client, error) {
	l := &r.logins
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, errClosed
	}
	if s := l.current; s != nil {
		l.mu.Unlock()
		return s.client, nil
	}
	if l.flight == nil {
		if l.ctx == nil {
			l.ctx, l.cancel = context.WithCancel(context.Background())
		}
		l.flight = &flight{done: make(chan struct{}), idle: make(chan struct{}, 1)}
		l.running.Add(1)
		go r.fly(l.flight)
	}
	f := l.flight
	f.waiters++
	l.mu.Unlock()

	select {
	case <-f.done:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.waiters--; f.waiters == 0 {
		select {
		case f.idle <- struct{}{}:
		default:
		}
	}
	switch {
	case f.session != nil:
		return f.session.client, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, fmt.Errorf("logging in to Vault was cancelled: %w", context.Canceled)
	case f.err != nil:
		return nil, f.err
	default:
		return nil, r.noAnswer("logging in")
	}
}

// fly makes attempts until one succeeds, none can, or nobody waits. An attempt
// itself is never broken off by a waiter that leaves: a wrapping token works once.
func (r *Resolver) fly(f *flight) {
	l := &r.logins
	defer l.running.Done()
	for wait := firstWait; ; wait = min(2*wait, mostWait) {
		s, err := r.authenticate(l.ctx)

		l.mu.Lock()
		f.err = err
		var failed *loginError
		final := err == nil || !errors.As(err, &failed) || !failed.passing || l.ctx.Err() != nil
		if final || f.waiters == 0 {
			r.land(f, s)
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()

		wait := jitter(wait)
		r.options.Log.Warn().Err(err).Dur("again_in", wait).Msg("not logged in to Vault")
		timer := time.NewTimer(wait)
		for waiting := true; waiting; {
			select {
			case <-timer.C:
				waiting = false
			case <-l.ctx.Done():
				waiting = false
			case <-f.idle:
				l.mu.Lock()
				if f.waiters == 0 {
					timer.Stop()
					r.land(f, nil)
					l.mu.Unlock()
					return
				}
				l.mu.Unlock()
			}
		}
	}
}

// land ends a flight. l.mu is held.
func (r *Resolver) land(f *flight, s *session) {
	l := &r.logins
	l.flight = nil
	f.session = s
	close(f.done)
	if s == nil {
		return
	}
	l.current = s
	if s.own {
		l.sessions = append(slices.DeleteFunc(l.sessions, (*session).over), s)
	}
	if s.client.Token() != "" {
		l.running.Add(1)
		go r.watch(s)
	}
}

// refusedBefore returns why Vault refused the credentials a short time ago.
func (l *logins) refusedBefore(sum [32]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused.sum == sum && time.Now().Before(l.refused.until) {
		return l.refused.err
	}
	return nil
}

// note keeps that Vault refused the credentials, or that it no longer does.
func (l *logins) note(sum [32]byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var failed *loginError
	if err == nil || l.refused.sum != sum {
		l.refused = refusal{sum: sum}
	}
	if errors.As(err, &failed) && failed.refused {
		wait := min(firstRefusal<<min(l.refused.count, 10), mostRefusal)
		l.refused.err, l.refused.count, l.refused.until = err, l.refused.count+1, time.Now().Add(jitter(wait))
	}
}

// jitter returns a time between half of d and d, so that the many firewalls that
// a restart of Vault cut off do not come back all at once.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}

// relogin is called when Vault answered 403 to a request of client, which came
// from login. If that means that its token is no longer accepted, it returns a
// client with a new one, and the request is to be sent once more; otherwise nil,
// and the answer stands.
func (r *Resolver) relogin(ctx context.Context, client *api.Client) (*api.Client, error) {
	l := &r.logins
	l.mu.Lock()
	s := l.current
	unsure := s != nil && !s.seen && time.Since(l.forced) < forcedAgain
	l.mu.Unlock()
	if s == nil || s.client != client {
		return r.login(ctx) // somebody noticed before
	}
	if s.own {
		switch _, err := s.self.Auth().Token().LookupSelfWithContext(ctx); {
		case err == nil:
			return nil, nil // the token is good, its policies do not allow it
		case status(err) != http.StatusForbidden || unsure:
			return nil, nil // nothing is known of the token
		}
	} else if token, err := r.givenToken(ctx); err != nil || token == client.Token() {
		return nil, nil // there is no other
	}
	l.mu.Lock()
	l.forced = time.Now()
	l.mu.Unlock()
	if l.end(s) {
		r.options.Log.Warn().Msg("Vault no longer accepts the token of the login; logging in again")
	}
	return r.login(ctx)
}

// end makes a session no longer the current one, and reports whether it was.
func (l *logins) end(s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != s {
		return false
	}
	l.current = nil
	close(s.ended)
	return true
}

// loginEnded returns a channel that is closed when client, which came from login,
// should be used no more, since its token has ended or is about to: leases that
// were made with it end with it.
func (r *Resolver) loginEnded(client *api.Client) <-chan struct{} {
	l := &r.logins
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != nil && l.current.client == client {
		return l.current.ended
	}
	ended := make(chan struct{})
	close(ended)
	return ended
}

// loginSecrets returns what logins were made with, and their tokens, for the
// redactor. It is empty until Vault is needed.
func (r *Resolver) loginSecrets() []Secret {
	r.logins.mu.Lock()
	defer r.logins.mu.Unlock()
	return append([]Secret(nil), r.logins.secrets...)
}

// logout ends the login: its token is revoked if the login was ours, and never if
// it was given to us. It returns when everything that login started has ended, and the
// clients whose tokens are no more.
func (r *Resolver) logout(ctx context.Context) (ended []*api.Client) {
	l := &r.logins
	l.mu.Lock()
	l.closed = true
	cancel := l.cancel
	l.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	l.running.Wait() // a login under way may still have succeeded
	l.mu.Lock()
	current, sessions := l.current, l.sessions
	l.sessions = nil
	l.mu.Unlock()
	if current != nil {
		l.end(current)
	}
	for _, s := range sessions {
		switch err := s.self.Auth().Token().RevokeSelfWithContext(ctx, ""); {
		case err == nil:
			ended = append(ended, s.client)
		case status(err) != http.StatusForbidden: // which may also mean that it has ended
			r.options.Log.Warn().Err(r.loginFailed("revoking the token of the login", err)).Msg("the token stays valid until its end")
		}
	}
	return ended
}
