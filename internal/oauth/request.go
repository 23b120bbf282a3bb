package oauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

const (
	maxToken     = 16 << 10 // bytes of an access or refresh token
	storeTime    = 10 * time.Second
	rewriteAfter = 30 * time.Second // that a refresh token which could not be stored is tried again
)

// granted is the reply of a token endpoint, RFC 6749 section 5.1.
type granted struct {
	access  string
	refresh string // "" if the old one goes on
	life    time.Duration
}

// rotation is a refresh token that replaces the one that is stored.
type rotation struct{ old, new string }

// errGrant is the error invalid_grant: the refresh token is not accepted.
var errGrant = errors.New("the authorization server no longer accepts the refresh token (invalid_grant): it has expired, was revoked, or was used elsewhere; authorize again, and store the new one")

// obtain gets an access token.
func (s *Source) obtain(ctx context.Context) (token, error) {
	where, err := s.endpoint(ctx)
	if err != nil {
		return token{}, fmt.Errorf("finding the authorization server: %w", err)
	}
	have, err := s.o.Credentials(ctx)
	if err != nil {
		return token{}, fmt.Errorf("reading the credentials for OAuth: %w", err)
	}
	g, used, err := s.ask(ctx, where, have)
	if errors.Is(err, errGrant) {
		// Another process may have used the token in the meantime and stored the next one.
		if now, err2 := s.o.Credentials(ctx); err2 == nil && s.current(now.RefreshToken) != used {
			have = now
			g, used, err = s.ask(ctx, where, have)
		}
	}
	if err != nil {
		return token{}, fmt.Errorf("getting an access token from %s: %w", where.url.Host, err)
	}
	s.o.Known(g.access)
	if g.refresh != "" && g.refresh != used {
		s.o.Known(g.refresh)
		s.rotate(ctx, have.RefreshToken, g.refresh)
	}
	now := s.now()
	return token{value: g.access, got: now, expires: now.Add(g.life), renew: now.Add(g.life - min(skew, g.life/4))}, nil
}

// ask makes one token request. It returns the refresh token that was used for it.
func (s *Source) ask(ctx context.Context, where *endpoint, have Credentials) (g *granted, used string, err error) {
	form := url.Values{"grant_type": {s.o.Grant}}
	if s.o.Grant == RefreshToken {
		if used = s.current(have.RefreshToken); used == "" {
			return nil, "", errors.New("there is no refresh token")
		}
		form.Set("refresh_token", used)
	}
	if len(s.o.Scopes) > 0 {
		form.Set("scope", strings.Join(s.o.Scopes, " "))
	}
	if where.resource != "" {
		form.Set("resource", where.resource)
	}
	req := (&http.Request{Method: http.MethodPost, URL: where.url, Header: http.Header{}}).WithContext(ctx)
	if err := s.prove(req, form, where, have); err != nil {
		return nil, used, err
	}
	body := form.Encode()
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.ContentLength = int64(len(body))
	req.Body = io.NopCloser(strings.NewReader(body)) // no GetBody: it is sent once
	res, err := s.do(req, where.chosen)
	if err != nil {
		s.forget()
		return nil, used, err
	}
	if res.status >= 500 || res.status == http.StatusTooManyRequests || res.status == http.StatusNotFound {
		s.forget()
		return nil, used, fmt.Errorf("it answered with HTTP status %d", res.status)
	}
	g, err = s.read(res)
	return g, used, err
}

// prove adds to a token request what proves who the client is.
func (s *Source) prove(req *http.Request, form url.Values, where *endpoint, have Credentials) error {
	if have.ClientID == "" {
		return errors.New("there is no client_id")
	}
	switch method := s.method(where, have); method {
	case AuthBasic:
		if have.ClientSecret == "" {
			return errors.New("there is no client_secret")
		}
		// RFC 6749, section 2.3.1: form-encoded before they are joined.
		req.SetBasicAuth(url.QueryEscape(have.ClientID), url.QueryEscape(have.ClientSecret))
	case AuthPost:
		if have.ClientSecret == "" {
			return errors.New("there is no client_secret")
		}
		form.Set("client_id", have.ClientID)
		form.Set("client_secret", have.ClientSecret)
	case AuthPrivateKeyJWT:
		assertion, err := assert(have.PrivateKey, have.ClientID, where.audience, s.now())
		if err != nil {
			return err
		}
		form.Set("client_id", have.ClientID)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	case AuthNone:
		if s.o.Grant == ClientCredentials {
			return errors.New("the grant client_credentials needs a client_secret or a private_key")
		}
		form.Set("client_id", have.ClientID)
	default:
		return fmt.Errorf("%s is no way to prove who the client is", method)
	}
	return nil
}

// method returns how the client proves itself: as configured, or else as what it has and
// what the authorization server takes allow. RFC 8414 makes client_secret_basic the
// default of a server that says nothing.
func (s *Source) method(where *endpoint, have Credentials) string {
	switch {
	case s.o.Auth != "":
		return s.o.Auth
	case have.PrivateKey != "":
		return AuthPrivateKeyJWT
	case have.ClientSecret == "":
		return AuthNone
	case slices.Contains(where.methods, "client_secret_post") && !slices.Contains(where.methods, "client_secret_basic"):
		return AuthPost
	}
	return AuthBasic
}

// read reads the reply to a token request: RFC 6749, sections 5.1 and 5.2.
func (s *Source) read(res *reply) (*granted, error) {
	body, err := object(res.body)
	if err != nil {
		return nil, fmt.Errorf("HTTP status %d: %w", res.status, err)
	}
	if code := jsonrpc.Get(body, "error"); res.status != http.StatusOK && res.status != http.StatusCreated || len(code) > 0 && !bytes.Equal(code, []byte("null")) {
		said, _ := jsonrpc.GetString(body, "error")
		if why, _ := jsonrpc.GetString(body, "error_description"); why != "" {
			s.o.Log.Debug().Str("description", s.o.Scrub(why[:min(len(why), 300)])).Msg("the authorization server explains why it refuses")
		}
		if said == "invalid_grant" && s.o.Grant == RefreshToken {
			return nil, errGrant
		}
		return nil, fmt.Errorf("it refuses with HTTP status %d and %s", res.status, knownError(said))
	}
	g := &granted{life: unsaidLife}
	g.access, _ = jsonrpc.GetString(body, "access_token")
	g.refresh, _ = jsonrpc.GetString(body, "refresh_token")
	kind, _ := jsonrpc.GetString(body, "token_type")
	switch {
	case !strings.EqualFold(kind, "bearer"):
		return nil, errors.New("the token that it issued is not of the type Bearer, and no other can be used")
	case !isBearer(g.access):
		return nil, errors.New("the access token that it issued cannot stand in an HTTP header")
	case g.refresh != "" && !isVisible(g.refresh):
		return nil, errors.New("the refresh token that it issued has characters that no refresh token may have")
	}
	if raw := jsonrpc.Get(body, "expires_in"); len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
		if raw[0] == '"' { // some servers quote it
			raw = []byte(jsonrpc.String(raw))
		}
		seconds, ok := jsonrpc.Int(raw)
		if !ok || seconds < 1 {
			return nil, errors.New("the token that it issued has expired already, or says no number of seconds in expires_in")
		}
		g.life = time.Duration(min(seconds, int64(longestLife/time.Second))) * time.Second
	}
	if scope, ok := jsonrpc.GetString(body, "scope"); ok {
		granted := strings.Fields(scope)
		for _, wanted := range s.o.Scopes {
			if !slices.Contains(granted, wanted) {
				s.o.Log.Warn().Str("scope", wanted).Msg("the authorization server has not granted a scope of oauth.scopes")
			}
		}
	}
	return g, nil
}

// isBearer reports whether a token can stand behind "Bearer ": b64token of RFC 6750,
// section 2.1, and the other visible characters that servers use in practice.
func isBearer(t string) bool {
	return t != "" && len(t) <= maxToken && !strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' || r == '"' })
}

// isVisible reports whether a token is of the characters of RFC 6749, appendix A.17.
func isVisible(t string) bool {
	return len(t) <= maxToken && !strings.ContainsFunc(t, func(r rune) bool { return r < ' ' || r > '~' })
}

// current returns the refresh token to use where stored is what Credentials said: the one
// that could not be stored yet, unless somebody has stored another in between.
func (s *Source) current(stored string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unstored == nil {
		return stored
	}
	if s.unstored.old != stored {
		s.unstored = nil
		return stored
	}
	return s.unstored.new
}

// rotate stores a new refresh token in place of old. It is kept in memory until that has
// worked, since the old one is worth nothing any more.
func (s *Source) rotate(ctx context.Context, old, new string) {
	s.mu.Lock()
	s.unstored = &rotation{old, new}
	s.mu.Unlock()
	// Not bounded by the time that is left for the token request.
	s.store(context.WithoutCancel(ctx))
}

// store stores the refresh token that is not stored yet, if there is one.
func (s *Source) store(ctx context.Context) {
	s.mu.Lock()
	r := s.unstored
	s.mu.Unlock()
	if r == nil {
		return
	}
	err := errors.New("nothing stores refresh tokens here")
	if s.o.Store != nil {
		ctx, cancel := context.WithTimeout(ctx, storeTime)
		defer cancel()
		err = s.o.Store(ctx, r.old, r.new)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		if s.unstored == r {
			s.unstored = nil
		}
		return
	}
	s.o.Log.Error().Str("reason", s.o.Scrub(err.Error())).
		Msg("the server's new refresh token could not be stored: it is in memory only, and the stored one is void; when the firewall ends, somebody has to authorize again")
	if !s.closed {
		if s.rewrite != nil {
			s.rewrite.Stop()
		}
		s.rewrite = time.AfterFunc(rewriteAfter, func() { s.store(context.Background()) })
	}
}
