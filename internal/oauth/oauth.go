// Package oauth gets the access tokens that MCP servers over HTTP ask for, the way
// machines do: by the client_credentials grant, or with a refresh token that a person
// obtained once (RFC 6749, sections 4.4 and 6). No browser and no user is involved.
//
// A Source belongs to one server and one set of credentials, and is shared by all
// connections that use these, because a refresh token may be good for a single use:
//
//	s, err := oauth.New(oauth.Options{URL: "https://crm.example.com/mcp", Grant: oauth.ClientCredentials,
//		Issuer: "https://auth.example.com", Credentials: fromVault, Known: addToRedactor})
//	token, err := s.Token(ctx)            // fetched, refreshed before it expires, or at hand
//	again, err := s.Refused(token, response) // after a 401 or 403: whether another token may do
//
// The authorization server is found as basic/authorization of MCP 2025-06-18, 2025-11-25
// and 2026-07-28 prescribes. What discovery finds was said by the server and is not
// believed: addresses are https and public (checked where the connection is made, after
// the name was resolved), redirects are not followed, replies are small and quick, and
// the client's credentials go to the issuer that the configuration names, or to one on
// the server's own origin, and to no other.
//
// The client code of mcp-go (client/transport) is not used, nor is golang.org/x/oauth2:
// the first knows no client_credentials, follows redirects, guesses endpoints where it
// finds none, reads token replies without bound and quotes them in errors; the second
// finds nothing by itself, tries client secrets in two ways where it does not know which,
// quotes replies in errors as well, and neither stores a rotated refresh token before the
// access token is used.
package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// The grants, RFC 6749 sections 4.4 and 6.
const (
	ClientCredentials = "client_credentials"
	RefreshToken      = "refresh_token"
)

// How the client proves itself at the token endpoint. The first three are
// client_secret_basic, client_secret_post and none of RFC 7591, section 2; the last is
// RFC 7523, section 2.2.
const (
	AuthBasic         = "basic"
	AuthPost          = "post"
	AuthNone          = "none"
	AuthPrivateKeyJWT = "private_key_jwt"
)

// ResourceNone as Options.Resource sends no resource indicator (RFC 8707), for
// authorization servers that refuse requests with one.
const ResourceNone = "none"

// Options say what tokens are for and where they come from. URL, Grant and Credentials
// are required, and Store is for the grant RefreshToken.
type Options struct {
	URL   string // of the MCP server
	Grant string

	Issuer       string   // of the authorization server; "" accepts one on the server's own origin
	TokenURL     string   // of the token endpoint; instead of discovery
	Resource     string   // resource indicator; "" is what the server's metadata says, or its URL
	Scopes       []string // requested; never more, whatever the server asks for
	Auth         string   // "" is what fits the credentials and the authorization server
	AllowPrivate bool     // discovery may lead to other private addresses than those above, and there to http

	Timeout time.Duration // for one token, discovery included; 0 is 30 s

	// Credentials returns what the client has. It is called for each token request, so
	// that what changed at its source is used, and so that nothing is kept in between.
	Credentials func(context.Context) (Credentials, error)

	// Store puts a refresh token where Credentials will find it, if what is there is
	// still old. It is called before the access token that came along is used.
	Store func(ctx context.Context, old, new string) error

	// Known is told every token before it is used, Void every access token after it has
	// expired. Either may be nil.
	Known, Void func(token string)

	Log   zerolog.Logger
	Scrub func(string) string // takes secrets out of what is logged or put into an error; nil leaves all in
}

// Credentials are what a client has. What the grant or the client does not need is "".
type Credentials struct {
	ClientID     string
	ClientSecret string
	PrivateKey   string // PEM: PKCS #8, PKCS #1 or SEC 1
	RefreshToken string
}

// Source gives the access tokens for one server. It is safe for concurrent use.
type Source struct {
	o      Options
	server *url.URL
	issuer *url.URL         // of the configuration, or nil
	now    func() time.Time // of tests
	reach  reach

	ctx  context.Context // ended by Close
	stop context.CancelFunc
	work sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	token    token
	old      []token // replaced, and maybe still valid
	fetch    *fetch  // under way
	failure  error   // of the last fetch, while it counts
	failures int     // in a row
	refusals int     // by the server, of tokens that were just issued, in a row
	retryAt  time.Time
	hint     string // where a challenge of the server said that its metadata is
	hints    int    // how often it said something else
	found    *endpoint
	unstored *rotation
	rewrite  *time.Timer
}

// token is an access token.
type token struct {
	value   string
	good    bool // the server has accepted it
	got     time.Time
	renew   time.Time // from when on the next one is fetched
	expires time.Time
}

// fetch is the way to a token, shared by all who wait for it.
type fetch struct {
	done  chan struct{}
	value string
	err   error
}

const (
	defaultTimeout = 30 * time.Second
	skew           = time.Minute      // that a token is renewed before it expires, or a quarter of its life
	unsaidLife     = time.Hour        // of a token whose life the server does not say
	longestLife    = 24 * time.Hour   // that is believed
	freshFor       = 10 * time.Second // a token refused so soon is not simply replaced
	firstWait      = time.Second
	longestWait    = time.Minute
	maxHints       = 4 // addresses of its metadata that a server may name
)

// New returns a Source. It contacts nothing yet.
func New(o Options) (*Source, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Scrub == nil {
		o.Scrub = func(s string) string { return s }
	}
	for _, f := range []*func(string){&o.Known, &o.Void} {
		if *f == nil {
			*f = func(string) {}
		}
	}
	if o.Credentials == nil || o.Grant != ClientCredentials && o.Grant != RefreshToken {
		return nil, errors.New("OAuth needs credentials and the grant client_credentials or refresh_token")
	}
	server, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("the server's url %w", err)
	}
	server.User = nil
	if server.Scheme != "https" && !o.AllowPrivate && !isLoopbackName(server.Hostname()) {
		return nil, errors.New("an access token is sent to a server with https only: correct its url, or set oauth.allow_private for one on a private network")
	}
	s := &Source{o: o, server: server, now: time.Now}
	if o.Issuer != "" {
		if s.issuer, err = parseURL(o.Issuer); err != nil {
			return nil, fmt.Errorf("oauth.issuer %w", err)
		}
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Token returns an access token. The end of ctx ends the waiting, not the request to
// the authorization server, since a refresh token may be used up by it.
func (s *Source) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	now := s.now()
	if s.closed {
		s.mu.Unlock()
		return "", errClosed
	}
	valid := s.token.value != "" && now.Before(s.token.expires)
	if valid && now.Before(s.token.renew) {
		defer s.mu.Unlock()
		return s.token.value, nil
	}
	if s.fetch == nil && now.Before(s.retryAt) {
		defer s.mu.Unlock()
		if valid {
			return s.token.value, nil
		}
		return "", s.failure
	}
	if s.fetch == nil {
		s.fetch = &fetch{done: make(chan struct{})}
		s.work.Add(1)
		go s.run(s.fetch)
	}
	f, current := s.fetch, s.token.value
	s.mu.Unlock()
	if valid {
		return current, nil // the next one will be there in time
	}
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for an access token: %w", ctx.Err())
	}
}

var errClosed = errors.New("the firewall is stopping, and fetches no more access tokens")

// run fetches a token for all who wait.
func (s *Source) run(f *fetch) {
	defer s.work.Done()
	ctx, cancel := context.WithTimeout(s.ctx, s.o.Timeout)
	defer cancel()
	t, err := s.obtain(ctx)
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("no access token within %v: %w", s.o.Timeout, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetch = nil
	if err != nil {
		s.fail(err, &s.failures)
		f.err = err
	} else {
		s.replace(t)
		s.failures = 0
		f.value = t.value
	}
	close(f.done)
}

// replace makes t the current token, and lets go of those that have expired. The caller
// holds the lock.
func (s *Source) replace(t token) {
	if s.token.value != "" && s.token.value != t.value {
		s.old = append(s.old, s.token)
	}
	s.token = t
	left := s.old[:0]
	for _, o := range s.old {
		if s.now().Before(o.expires) {
			left = append(left, o)
		} else if o.value != t.value {
			s.o.Void(o.value)
		}
	}
	clear(s.old[len(left):])
	s.old = left
}

// fail notes a failure, so that the authorization server is not asked without end. The
// caller holds the lock.
func (s *Source) fail(err error, times *int) {
	wait := min(firstWait<<min(*times, 10), longestWait)
	*times++
	s.failure, s.retryAt = err, s.now().Add(wait)
	s.o.Log.Warn().Str("reason", s.o.Scrub(err.Error())).Stringer("retry", wait).Msg("no new access token for the server")
}

// errFresh is why a token is not replaced at once.
var errFresh = errors.New("the server refuses an access token that was issued for it just now (HTTP status 401); check that oauth.issuer or oauth.token_url, oauth.resource and oauth.scopes are what the server wants")

// ErrScope is returned for a request that the server refuses although it accepts the
// access token. MCP 2026-07-28 calls for more scopes then; a machine gets those that
// its configuration names.
var ErrScope = errors.New("the server wants more scopes than oauth.scopes has for this request (insufficient_scope); which ones is in the log; add them if the agent may have them, and if the authorization server grants them")

// Refused takes note of an answer with the status 401 or 403 to a request that carried
// the token used. It returns whether the request may be made once more, with what Token then
// returns; a server that answers with 401 has not accepted the request. The error, if
// there is one, is why the request is in vain. The body of the response is left alone.
func (s *Source) Refused(used string, res *http.Response) (again bool, err error) {
	c := parseChallenges(res.Header.Values("WWW-Authenticate"))
	if c.err == "insufficient_scope" {
		s.o.Log.Warn().Str("scope", s.o.Scrub(c.scope)).Msg("the server wants more scopes than the access token has")
		return false, ErrScope
	}
	if res.StatusCode != http.StatusUnauthorized || c.err != "" && c.err != "invalid_token" {
		return false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if used != s.token.value {
		return true, nil // somebody else found out before
	}
	switch {
	case s.moved(c.metadata):
	case s.now().Sub(s.token.got) >= freshFor:
		s.refusals = 0
	case s.token.good && s.refusals == 0:
		s.refusals++ // the server may have been started again, but not all the time
	default:
		s.fail(errFresh, &s.refusals)
	}
	s.old = append(s.old, s.token)
	s.token = token{}
	return true, nil
}

// Accepted takes note that the server has accepted a request that carried the token used.
func (s *Source) Accepted(used string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if used == s.token.value {
		s.token.good = true
	}
}

// moved takes note of where the server says that its metadata is, and reports whether that
// is news. The caller holds the lock.
func (s *Source) moved(metadata string) bool {
	if metadata == "" || s.o.TokenURL != "" || s.hints == maxHints || s.found != nil && s.found.metadata == metadata {
		return false
	}
	s.hint, s.found = metadata, nil
	s.hints++
	return true
}

// Accepts reports whether u is on the origin of the server, to which alone tokens go.
func (s *Source) Accepts(u *url.URL) bool { return sameOrigin(u, s.server) }

// Close ends the Source. A token request under way is waited for until ctx ends, and a
// refresh token that is not stored yet gets one more attempt.
func (s *Source) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	if s.rewrite != nil {
		s.rewrite.Stop()
	}
	s.mu.Unlock()
	idle := make(chan struct{})
	go func() { s.work.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	s.stop()
	<-idle
	s.store(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.old = token{}, nil
}

// knownError makes what an authorization server said fit for an error: the words of OAuth
// only (RFC 6749, 8707 and 9449), because others may be a secret or an instruction.
func knownError(code string) string {
	for _, known := range strings.Fields("invalid_request invalid_client invalid_grant unauthorized_client unsupported_grant_type " +
		"invalid_scope invalid_target access_denied server_error temporarily_unavailable invalid_dpop_proof use_dpop_nonce") {
		if code == known {
			return code
		}
	}
	return "an error code that OAuth does not define"
}
