package proxy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/oauth"
	"github.com/mcpfirewall/mcpfirewall/vault"
)

// tokens are the sources of access tokens for the servers that want OAuth. All
// connections with the same credentials share one, since a refresh token is good for a
// single use: those of a principal, or of everybody where no reference names the user.
type tokens struct {
	mu      sync.Mutex
	sources map[string]*tokenSource
}

// tokenSource is a source, and who uses it.
type tokenSource struct {
	*oauth.Source
	users map[*conn]bool
	idle  *time.Timer // ends it when it was without users for a while

	grant *vault.Grant // of the last token request; the source makes one at a time
}

// closeTime is what the end of a source has for a refresh token that was just replaced, and
// has to be stored.
const closeTime = 5 * time.Second

// accessTokens returns the source of the server's access tokens, for as long as the
// connection is kept; nil if the server wants none.
func (c *conn) accessTokens(url string) (*oauth.Source, error) {
	if c.cfg.OAuth == nil {
		return nil, nil
	}
	principal := ""
	if c.cfg.PerPrincipal() {
		principal = c.fleet.principal
	}
	key := fmt.Sprintf("%q %q %q %+v", c.name, principal, url, *c.cfg.OAuth)
	t := &c.fleet.relay.tokens
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sources[key]
	if s == nil {
		s = &tokenSource{users: map[*conn]bool{}}
		var err error
		if s.Source, err = oauth.New(c.oauthOptions(s, url, principal)); err != nil {
			return nil, err
		}
		if t.sources == nil {
			t.sources = map[string]*tokenSource{}
		}
		t.sources[key] = s
	}
	if s.idle != nil {
		s.idle.Stop()
	}
	if !s.users[c] {
		s.users[c] = true
		context.AfterFunc(c.ctx, func() { t.leave(key, s, c) })
	}
	return s.Source, nil
}

// leave notes that a connection is not kept any more.
func (t *tokens) leave(key string, s *tokenSource, c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(s.users, c)
	if len(s.users) > 0 {
		return
	}
	if s.idle != nil {
		s.idle.Stop()
	}
	s.idle = time.AfterFunc(idleLimit, func() {
		t.mu.Lock()
		over := len(s.users) == 0 && t.sources[key] == s
		if over {
			delete(t.sources, key)
		}
		t.mu.Unlock()
		if over {
			s.close(context.Background())
		}
	})
}

// close ends all sources.
func (t *tokens) close(ctx context.Context) {
	t.mu.Lock()
	var wg sync.WaitGroup
	for _, s := range t.sources {
		if s.idle != nil {
			s.idle.Stop()
		}
		wg.Go(func() { s.close(ctx) })
	}
	t.sources = nil
	t.mu.Unlock()
	wg.Wait()
}

// close ends a source. It has its time whatever is left of ctx.
func (s *tokenSource) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	s.Source.Close(ctx)
	if s.grant != nil {
		s.grant.Close()
	}
}

// oauthOptions says how the server's tokens are got. What the references stand for is
// resolved for each token request, and known to the redactor before anything uses it; so
// are the tokens.
func (c *conn) oauthOptions(s *tokenSource, url, principal string) oauth.Options {
	r, cfg, name, log := c.fleet.relay, *c.cfg.OAuth, c.name, c.log
	vars := vault.Vars{Subject: principal}
	known := "oauth:" + name
	return oauth.Options{
		URL: url, Grant: cfg.Grant, Issuer: cfg.Issuer, TokenURL: cfg.TokenURL, Resource: cfg.Resource,
		Scopes: cfg.Scopes, Auth: cfg.Auth, AllowPrivate: cfg.AllowPrivate,
		Credentials: func(ctx context.Context) (have oauth.Credentials, err error) {
			grant, err := r.vault.Acquire(ctx, []string{cfg.ClientID, cfg.ClientSecret, cfg.PrivateKey, cfg.RefreshToken}, vars)
			if err != nil {
				return have, err
			}
			for _, secret := range grant.Secrets {
				r.redact.Add(secret.Name, secret.Value)
			}
			if s.grant != nil {
				s.grant.Close()
			}
			s.grant = grant
			return oauth.Credentials{ClientID: grant.Values[0], ClientSecret: grant.Values[1], PrivateKey: grant.Values[2], RefreshToken: grant.Values[3]}, nil
		},
		Store: func(ctx context.Context, old, new string) error {
			err := r.vault.Replace(ctx, cfg.RefreshToken, vars, old, new)
			if err != nil {
				r.event("new refresh token not stored: "+r.redact.Text(err.Error()), name, nil)
			} else {
				log.Info().Msg("the server's new refresh token is stored")
			}
			return err
		},
		Known: func(token string) { r.redact.Add(known, token) },
		Void:  func(token string) { r.redact.Remove(known, token) },
		Log:   log, Scrub: r.redact.Text,
	}
}
