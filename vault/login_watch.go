package vault

import (
	"context"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
)

// watch renews the token of a session at two thirds of its life, as the
// LifetimeWatcher of Vault's library does, which cannot be interrupted while it
// waits for a reply. It ends when the token is near its end, or logout comes.
func (r *Resolver) watch(s *session) {
	l := &r.logins
	defer l.running.Done()
	ctx := once(l.ctx)
	from := time.Now()
	if ttl, renewable, ok := r.lookUp(ctx, s); ok && !s.own {
		s.ttl, s.renewable = ttl, renewable
	}
	ends := from.Add(s.ttl)
	l.lives(s, ends)
	if s.ttl <= 0 {
		return // it never ends, or what it is cannot be known
	}
	grace := graceOf(s.ttl)
	most := s.ttl
	var failing time.Duration // how long to wait after the last failure; 0 if there was none
	for {
		left := time.Until(ends)
		wait := left*2/3 + grace/3
		switch {
		case !s.renewable:
			wait = left - grace
		case failing > 0:
			wait = min(jitter(failing), left)
		}
		if left <= 0 || failing == 0 && left-wait < grace {
			break
		}
		if !sleep(ctx, s.ended, wait) {
			return
		}
		if !s.renewable {
			break
		}

		from = time.Now()
		renewed, err := renew(ctx, s, time.Until(ends))
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && renewed.Auth.LeaseDuration > 0:
			failing = 0
			ttl := time.Duration(renewed.Auth.LeaseDuration) * time.Second
			ends = from.Add(ttl)
			l.lives(s, ends)
			s.renewable = renewed.Auth.Renewable
			if ttl > most {
				most, grace = ttl, graceOf(ttl)
			}
			r.options.Log.Debug().Dur("ttl", ttl).Msg("login to Vault renewed")
		case err != nil && refusedForGood(err):
			// Its policy does not allow it, or it was revoked: the next use will tell.
			s.renewable = false
			r.options.Log.Warn().Err(r.loginFailed("renewing the login", err)).Msg("login to Vault not renewed")
		default:
			failing = min(max(2*failing, min(firstWait, most/10)), mostWait)
			if err != nil {
				r.options.Log.Warn().Err(r.loginFailed("renewing the login", err)).Msg("login to Vault not renewed; trying again")
			}
		}
	}
	if l.end(s) {
		event := r.options.Log.Info()
		if !s.own {
			event = r.options.Log.Warn().Bool("given", true)
		}
		event.Time("ends", ends).Msg("the token of the login to Vault is at its end; the next need makes a new login")
	}
}

// lives notes until when a session's token is valid.
func (l *logins) lives(s *session, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.until = until
}

// over reports whether the token of a session has ended. logins.mu is held.
func (s *session) over() bool { return s.ttl > 0 && !s.until.IsZero() && time.Now().After(s.until) }

// graceOf returns how long before its end a token is given up. The randomness
// keeps many firewalls from logging in at the same time.
func graceOf(ttl time.Duration) time.Duration { return jitter(ttl / 5) }

// sleep waits, and reports whether nothing ended it before its time.
func sleep(ctx context.Context, ended <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-ended:
	}
	return false
}

// renew asks for a new life of the usual length. The answer is of no use after the
// token's end.
func renew(ctx context.Context, s *session, left time.Duration) (*api.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, max(left, time.Second))
	defer cancel()
	renewed, err := s.self.Auth().Token().RenewSelfWithContext(ctx, 0)
	if err == nil && (renewed == nil || renewed.Auth == nil) {
		renewed = &api.Secret{Auth: &api.SecretAuth{}}
	}
	return renewed, err
}

// refusedForGood reports whether Vault would refuse the same again.
func refusedForGood(err error) bool {
	code := status(err)
	return code >= 400 && code < 500 && code != http.StatusTooManyRequests && code != http.StatusPreconditionFailed
}

// lookUp asks Vault what a session's token is. That it may ask is remembered, for
// then a token that may no longer is no longer valid.
func (r *Resolver) lookUp(ctx context.Context, s *session) (ttl time.Duration, renewable, ok bool) {
	for wait := firstWait; ; wait = min(2*wait, mostWait) {
		info, err := s.self.Auth().Token().LookupSelfWithContext(ctx)
		if err == nil && info != nil {
			r.logins.mu.Lock()
			s.seen = true
			r.logins.mu.Unlock()
			ttl, _ := info.TokenTTL()
			renewable, _ := info.TokenIsRenewable()
			return ttl, renewable, true
		}
		// What we logged in for ourselves is known from the reply.
		if s.own || err == nil || refusedForGood(err) || !sleep(ctx, s.ended, jitter(wait)) {
			return 0, false, false
		}
	}
}
