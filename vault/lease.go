package vault

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/hashicorp/vault/api"
)

// lease is a secret that ends, and what keeps it alive until then. It belongs to
// the Grants that hold it, and is revoked when the last of them lets go.
//
// It is renewed at the times that Vault's own LifetimeWatcher would choose. That
// one is not used because it tells nobody why a renewal fails, waits at least 10
// seconds before it tries again, and goes on with a lease that Vault has revoked.
type lease struct {
	r      *Resolver
	path   string
	client *api.Client // whose token it was made with, and ends with; of watch after keep
	id     string      // "" for a secret that ends without Vault keeping a lease

	endless bool // it has no end but its revocation; set before it is shared

	holders map[*Grant]struct{} // guarded by r.mu
	stop    context.CancelFunc  // of its watch; nil before keep

	mu        sync.Mutex
	from      time.Time // when ttl began
	ttl       time.Duration
	renewable bool
	grace     time.Duration // before the end, in which a successor is fetched
	next      time.Time     // of the wall clock, when to renew
	again     time.Duration // how long the last failed renewal had to wait; 0 after success
	due       bool          // a successor is wanted
}

const (
	// renewalsAtMost bounds how long a lease goes unrenewed, and so for how long
	// nobody notices that Vault has revoked it.
	renewalsAtMost = time.Hour

	// nap bounds each wait: timers stand still while a machine sleeps, leases go on.
	nap = 30 * time.Second
)

// newLease returns the lease of a reply, whose time is counted from when it was
// asked for, the earliest at which it can have begun.
func (r *Resolver) newLease(client *api.Client, path string, asked time.Time, got reply) *lease {
	return &lease{r: r, path: path, client: client, id: got.LeaseID, holders: map[*Grant]struct{}{},
		from: asked, ttl: seconds(got.LeaseDuration), renewable: got.Renewable && got.LeaseID != ""}
}

// seconds turns a number of Vault's into a duration, whatever the number.
func seconds(n int64) time.Duration {
	const most = 100 * 365 * 24 * time.Hour
	return time.Duration(min(max(n, 0), int64(most/time.Second))) * time.Second
}

// keep begins to renew a lease.
func (r *Resolver) keep(l *lease) {
	// 80 to 90 % of the time are used, as by Vault's LifetimeWatcher; the rest is
	// for fetching a successor and for calls under way.
	l.grace = l.ttl/10 + rand.N(l.ttl/10+1)
	l.schedule()
	l.endless = l.ttl == 0
	ctx, stop := context.WithCancel(r.ctx)
	l.stop = stop
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leases[l] = struct{}{}
	if r.closed || l.endless {
		return // it is only to be revoked
	}
	r.tasks.Add(1)
	go func() {
		defer r.tasks.Done()
		l.watch(ctx)
	}()
}

// left returns how long the lease is still valid. The clock of the wall counts
// too, because the other one stands still while a machine sleeps.
func (l *lease) left() time.Duration {
	now := time.Now()
	return l.ttl - max(now.Sub(l.from), now.Round(0).Sub(l.from.Round(0)))
}

// action is what a lease needs next.
type action int

const (
	renewal action = iota
	successor
)

// plan returns what the lease needs next, and how long there is until then.
func (l *lease) plan() (action, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := l.left() - l.grace
	if wait := time.Until(l.next); l.renewable && wait < until {
		return renewal, wait
	}
	return successor, until
}

// watch renews the lease until it is due or ctx ends.
func (l *lease) watch(ctx context.Context) {
	var loginEnded <-chan struct{}
	if l.id != "" { // a certificate does not end with the token
		loginEnded = l.r.loginEnded(l.client)
	}
	for {
		next, wait := l.plan()
		if wait > 0 {
			select {
			case <-ctx.Done():
				return
			case <-loginEnded:
				_ = l.renew(ctx) // the lease may be gone already, which only this can tell
				if l.isDue() {
					return
				}
				if loginEnded = l.sameLogin(ctx); loginEnded == nil {
					l.end(ctx, "the login that it was made with has ended", false)
					return
				}
			case <-time.After(min(wait, nap)):
			}
			continue
		}
		if next == successor {
			l.end(ctx, "its end is near", false)
			return
		}
		if l.renew(ctx) != nil && (ctx.Err() != nil || l.isDue()) {
			return
		}
	}
}

// sameLogin returns when the login that followed the lease's ends, if it has the same
// token, as where there is no other; a new lease would end no later then. Otherwise
// it returns nil.
func (l *lease) sameLogin(ctx context.Context) (ended <-chan struct{}) {
	bound, cancel := context.WithTimeout(ctx, l.r.options.Timeout)
	defer cancel()
	client, err := l.r.login(bound)
	if err != nil || client.Token() != l.client.Token() {
		return nil
	}
	l.client = client
	return l.r.loginEnded(client)
}

// renew asks Vault for more time, and settles when to ask again.
func (l *lease) renew(ctx context.Context) error {
	log := l.r.options.Log
	asked := time.Now()
	l.mu.Lock()
	left := l.left() - l.grace
	l.mu.Unlock()
	// Without the limit a Vault that does not answer would hide the lease's end.
	bound, cancel := context.WithTimeout(ctx, min(l.r.options.Timeout, max(left, time.Second)))
	defer cancel()
	body, err := json.Marshal(map[string]string{"lease_id": l.id})
	if err != nil {
		return err
	}
	client, body, err := l.r.ask(bound, func(c *api.Client) (*api.Response, error) {
		return c.Logical().WriteRawWithContext(bound, "sys/leases/renew", body)
	})
	var got reply
	if err == nil {
		err = unmarshal(body, &got)
	}
	if err == nil {
		l.mu.Lock()
		l.from, l.ttl, l.renewable, l.again = asked, seconds(got.LeaseDuration), got.Renewable, 0
		l.schedule()
		l.mu.Unlock()
		log.Debug().Str("path", l.path).Dur("lease", seconds(got.LeaseDuration)).Msg("secret renewed")
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	gone, final := refusedRenewal(err)
	if !isDown(err) {
		err = l.r.explain(bound, client, "renewing "+l.path, "update on sys/leases/renew", err)
	}
	switch {
	case gone:
		l.end(ctx, "Vault has revoked it", true)
	case final:
		l.mu.Lock()
		l.renewable = false
		l.mu.Unlock()
		log.Warn().Err(err).Str("path", l.path).Dur("ends_in", l.remaining()).Msg("secret cannot be renewed; it is used until its end is near, and then fetched anew")
	default:
		l.mu.Lock()
		l.again = min(max(2*l.again, min(time.Second, l.ttl/10)), time.Minute)
		wait := jitter(l.again)
		l.next = time.Now().Round(0).Add(wait)
		l.mu.Unlock()
		log.Warn().Err(err).Str("path", l.path).Dur("again_in", wait).Dur("ends_in", l.remaining()).Msg("secret not renewed; it stays in use")
	}
	return err
}

// refusedRenewal reports whether an error of a renewal says that the lease is no
// more, or that it can never be renewed.
func refusedRenewal(err error) (gone, final bool) {
	var reply *api.ResponseError
	if !errors.As(err, &reply) {
		return false, false
	}
	says := strings.Join(reply.Errors, " ")
	switch {
	case reply.StatusCode == http.StatusForbidden:
		return false, true
	case reply.StatusCode != http.StatusBadRequest && reply.StatusCode != http.StatusNotFound:
		return false, false
	}
	return strings.Contains(says, "lease not found") || strings.Contains(says, "lease expired"), strings.Contains(says, "not renewable")
}

// schedule sets the next renewal. l.mu is held.
func (l *lease) schedule() {
	l.next = time.Now().Round(0).Add(min(l.left()*2/3+l.grace/3, renewalsAtMost))
}

// end says that a successor is wanted, and wakes those who wait for it.
func (l *lease) end(ctx context.Context, why string, gone bool) {
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	again := l.due
	l.due = true
	if gone {
		l.ttl = 0
	}
	l.mu.Unlock()
	if again {
		return
	}
	l.r.options.Log.Info().Str("path", l.path).Str("because", why).Dur("ends_in", l.remaining()).Msg("secret is fetched anew")
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	for g := range l.holders {
		g.wakeUp()
	}
}

func (l *lease) isDue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.due
}

// remaining returns how long the lease is still valid.
func (l *lease) remaining() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.left(), 0)
}

// drop takes the lease from a Grant, nil for one that was never made, and revokes
// it in the background if nobody else holds it.
func (l *lease) drop(g *Grant) {
	r := l.r
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(l.holders, g)
	if len(l.holders) > 0 {
		return
	}
	if l.stop != nil {
		l.stop()
	}
	if l.id == "" {
		delete(r.leases, l)
		return
	}
	r.leases[l] = struct{}{}
	if r.closed {
		return // Close revokes it
	}
	r.tasks.Add(1)
	go func() {
		defer r.tasks.Done()
		for wait := time.Second; l.endless || l.remaining() > 0; wait = min(2*wait, time.Minute) {
			if l.revoke(r.ctx, r.ask) {
				return
			}
			select {
			case <-r.ctx.Done():
				return
			case <-time.After(jitter(wait)):
			}
		}
		r.forget(l)
	}()
}

// revoke asks Vault to revoke the lease, and reports whether there is nothing more
// to be tried. Vault itself sees to it that it is done, even where the database is
// not reached right now.
func (l *lease) revoke(ctx context.Context, ask asker) (done bool) {
	body, err := json.Marshal(map[string]string{"lease_id": l.id})
	if err != nil {
		return true
	}
	bound, cancel := context.WithTimeout(ctx, l.r.options.Timeout)
	defer cancel()
	client, _, err := ask(bound, func(c *api.Client) (*api.Response, error) {
		return c.Logical().WriteRawWithContext(bound, "sys/leases/revoke", body)
	})
	if err == nil {
		l.r.forget(l)
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	refused := status(err) == http.StatusForbidden || status(err) == http.StatusBadRequest
	if !isDown(err) {
		err = l.r.explain(bound, client, "revoking the lease of "+l.path, "update on sys/leases/revoke", err)
	}
	l.r.options.Log.Warn().Err(err).Str("path", l.path).Dur("ends_in", l.remaining()).Msg("lease not revoked; it stays valid until its end, or that of the login")
	if refused {
		l.r.forget(l)
	}
	return refused
}

// own asks with the token that the lease was made with, where there is no login any more.
func (l *lease) own(_ context.Context, send func(*api.Client) (*api.Response, error)) (*api.Client, []byte, error) {
	resp, err := send(l.client)
	body, readErr := drain(resp)
	if err == nil {
		err = readErr
	}
	return l.client, body, err
}

// forget ends the care for a lease.
func (r *Resolver) forget(l *lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.leases, l)
}

// expiry returns when a secret without a lease of Vault's ends by its own account:
// certificates of PKI, tokens of identity/oidc, Google's. Where it says nothing, as
// for certificates of SSH, the ttl that was asked for counts; without that, the time
// is zero.
func expiry(fields map[string]jsontext.Value, params map[string][]string, asked time.Time) time.Time {
	number := func(name string) int64 {
		n, err := strconv.ParseInt(string(fields[name]), 10, 64)
		if err != nil || n <= 0 {
			return 0
		}
		return n
	}
	for _, name := range []string{"expiration", "expires_at_seconds"} { // Unix times
		if n := number(name); n > 0 && n < 1<<40 {
			return time.Unix(n, 0)
		}
	}
	if n := number("ttl"); n > 0 {
		return asked.Add(seconds(n))
	}
	var text string
	if json.Unmarshal(fields["certificate"], &text) == nil {
		if block, _ := pem.Decode([]byte(text)); block != nil {
			if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
				return cert.NotAfter
			}
		}
	}
	if ttl := params["ttl"]; len(ttl) == 1 {
		d, err := time.ParseDuration(ttl[0])
		if n, errNumber := strconv.ParseInt(ttl[0], 10, 64); errNumber == nil {
			d, err = seconds(n), nil
		}
		if err == nil && d > 0 {
			return asked.Add(d)
		}
	}
	return time.Time{}
}
