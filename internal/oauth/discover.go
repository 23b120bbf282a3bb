package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// endpoint is where tokens come from, and what they are for.
type endpoint struct {
	url      *url.URL
	chosen   bool     // by the configuration, not by discovery
	audience string   // of assertions: the issuer, or else the endpoint's own address
	resource string   // indicator; "" sends none
	methods  []string // by which clients may prove themselves; nil: it does not say
	metadata string   // where a challenge said that the server's metadata is
	found    time.Time
}

const (
	foundFor   = time.Hour // after which discovery is done again
	probeTime  = 5 * time.Second
	maxServers = 8  // authorization servers of one protected resource
	maxDepth   = 16 // of JSON
)

// endpoint returns where tokens come from; it looks for it where it is not known.
func (s *Source) endpoint(ctx context.Context) (*endpoint, error) {
	s.mu.Lock()
	e, hint := s.found, s.hint
	s.mu.Unlock()
	if e != nil && s.now().Sub(e.found) < foundFor {
		return e, nil
	}
	e, err := s.discover(ctx, hint)
	if err != nil {
		return nil, err
	}
	e.found = s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hint == hint {
		s.found = e
	}
	return e, nil
}

// forget makes the next request look for the endpoint anew.
func (s *Source) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = nil
}

func (s *Source) discover(ctx context.Context, hint string) (*endpoint, error) {
	if s.o.TokenURL != "" {
		u, err := parseURL(s.o.TokenURL)
		if err != nil {
			return nil, fmt.Errorf("oauth.token_url %w", err)
		}
		audience := s.o.Issuer
		if audience == "" {
			audience = s.o.TokenURL
		}
		return &endpoint{url: u, chosen: true, audience: audience, resource: s.resource("")}, nil
	}
	if hint == "" {
		hint = s.probe(ctx)
	}
	resource, issuers, err := s.protectedResource(ctx, hint)
	if err != nil {
		return nil, err
	}
	issuer, err := s.choose(issuers)
	if err != nil {
		return nil, err
	}
	e, err := s.authorizationServer(ctx, issuer)
	if err != nil {
		return nil, err
	}
	e.resource, e.metadata = s.resource(resource), hint
	return e, nil
}

// resource returns the resource indicator to send, RFC 8707, where the server's metadata
// names said. Without either it is the "canonical server URI" of basic/authorization.
func (s *Source) resource(said string) string {
	switch {
	case s.o.Resource == ResourceNone:
		return ""
	case s.o.Resource != "":
		return s.o.Resource
	case said != "":
		return said
	}
	u := *s.server
	u.Scheme, u.Host, u.RawQuery, u.ForceQuery = strings.ToLower(u.Scheme), strings.ToLower(u.Host), "", false
	if u.Path == "/" {
		u.Path = ""
	}
	return u.String()
}

// protectedResource returns what the server's metadata (RFC 9728) says: its resource
// identifier and its authorization servers. Both are empty if it has none and the
// configuration names the issuer.
func (s *Source) protectedResource(ctx context.Context, hint string) (resource string, issuers []string, err error) {
	if hint != "" {
		u, err := parseURL(hint)
		if err != nil {
			return "", nil, fmt.Errorf("the address of its metadata that the server names in WWW-Authenticate %w", err)
		}
		meta, err := s.metadata(ctx, u)
		if err == nil && meta == nil {
			err = errors.New("there is none")
		}
		if err != nil {
			return "", nil, fmt.Errorf("reading the server's metadata, which WWW-Authenticate says is at %s: %w", u.Host, err)
		}
		return s.readResource(meta)
	}
	for _, u := range wellKnownResource(s.server) {
		meta, err := s.metadata(ctx, u)
		if err != nil {
			return "", nil, fmt.Errorf("reading the server's metadata at %s: %w", u.EscapedPath(), err)
		}
		if meta != nil {
			return s.readResource(meta)
		}
	}
	if s.o.Issuer == "" {
		return "", nil, errors.New("the server does not say where its access tokens come from: it has no protected resource metadata (RFC 9728); set oauth.issuer or oauth.token_url")
	}
	return "", nil, nil
}

// probe asks the server for a stream without a token, and returns where its challenge
// says that the metadata is, or "". A GET does nothing by definition, and the answer's
// body is not read; if the server cannot be reached, what follows will say so.
func (s *Source) probe(ctx context.Context) string {
	u := *s.server
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req := (&http.Request{Method: http.MethodGet, URL: &u, Header: http.Header{"Accept": {"text/event-stream"}}}).WithContext(ctx)
	res, err := s.send(req, true)
	if err != nil {
		return ""
	}
	res.Body.Close()
	return parseChallenges(res.Header.Values("WWW-Authenticate")).metadata
}

// readResource checks metadata of the server. It must be about this server, RFC 9728
// section 3.3: else a hostile server could have tokens issued for another one. A server
// may give its whole origin, or a part of it, as one resource.
func (s *Source) readResource(meta []byte) (resource string, issuers []string, err error) {
	resource, _ = jsonrpc.GetString(meta, "resource")
	u, err := parseURL(resource)
	if err != nil || !within(s.server, u) {
		return "", nil, errors.New("the metadata of the server is not about its own url but about another resource, and is not used; correct url, or set oauth.token_url and oauth.resource")
	}
	list := jsonrpc.Get(meta, "authorization_servers")
	for e := range jsonrpc.Elements(list, jsonrpc.Span{End: len(list)}) {
		if issuer := jsonrpc.String(list[e.Start:e.End]); issuer != "" && len(issuers) < maxServers {
			issuers = append(issuers, issuer)
		}
	}
	return resource, issuers, nil
}

// within reports whether the resource u is the server or a part of its origin that the
// server is in.
func within(server, u *url.URL) bool {
	if !sameOrigin(server, u) || u.User != nil || u.RawQuery != "" && u.RawQuery != server.RawQuery {
		return false
	}
	at, whole := server.EscapedPath(), strings.TrimSuffix(u.EscapedPath(), "/")
	for _, segment := range strings.Split(u.Path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return at == whole || strings.HasPrefix(at, whole+"/")
}

// choose returns the authorization server to use of those that the server names.
// Credentials belong to the one that issued them ("Authorization Server Binding" of
// basic/authorization/client-registration): were it the server's to say where they are
// sent, a hostile one would have them sent to itself.
func (s *Source) choose(issuers []string) (string, error) {
	same := func(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }
	if s.o.Issuer != "" {
		if issuers != nil && !slices.ContainsFunc(issuers, func(i string) bool { return same(i, s.o.Issuer) }) {
			return "", fmt.Errorf("the server does not take tokens of oauth.issuer: it names %s; if the credentials were issued there, change oauth.issuer", hosts(issuers))
		}
		return s.o.Issuer, nil
	}
	for _, issuer := range issuers {
		if u, err := parseURL(issuer); err == nil && sameOrigin(u, s.server) {
			return issuer, nil
		}
	}
	if issuers == nil {
		return "", errors.New("the metadata of the server names no authorization server; set oauth.issuer or oauth.token_url")
	}
	return "", fmt.Errorf("the server says that its tokens come from %s, which no one but the server says, and the client's credentials go nowhere on its word alone; "+
		"if they were issued there, set oauth.issuer to it", hosts(issuers))
}

// hosts lists the hosts of addresses, without the rest that others wrote.
func hosts(addresses []string) string {
	var names []string
	for _, a := range addresses {
		if u, err := parseURL(a); err == nil && isPlainHost(u.Host) {
			names = append(names, u.Scheme+"://"+u.Host)
		}
	}
	if names == nil {
		return "no valid address"
	}
	return strings.Join(names, ", ")
}

// isPlainHost reports whether a host is short and written in the letters of host names,
// so that it can be shown.
func isPlainHost(host string) bool {
	return len(host) <= 100 && !strings.ContainsFunc(host, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(".-:[]", r))
	})
}

// authorizationServer reads the metadata of an issuer: RFC 8414, or OpenID Connect
// Discovery 1.0, in the order that basic/authorization gives.
func (s *Source) authorizationServer(ctx context.Context, issuer string) (*endpoint, error) {
	at, err := parseURL(issuer)
	if err != nil || at.RawQuery != "" || at.User != nil {
		return nil, errors.New("the issuer is not an https:// address without query and user name")
	}
	for _, u := range wellKnownIssuer(at) {
		meta, err := s.metadata(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("reading the metadata of the authorization server %s: %w", at.Host, err)
		}
		if meta == nil {
			continue
		}
		// RFC 8414, section 3.3: identical, no part of it normalised.
		if said, _ := jsonrpc.GetString(meta, "issuer"); said != issuer {
			return nil, fmt.Errorf("the metadata of the authorization server %s is that of another issuer (a slash at the end counts), and is not used", at.Host)
		}
		text, _ := jsonrpc.GetString(meta, "token_endpoint")
		token, err := parseURL(text)
		if err != nil || token.User != nil {
			return nil, fmt.Errorf("the authorization server %s names no valid token endpoint", at.Host)
		}
		e := &endpoint{url: token, audience: issuer}
		list := jsonrpc.Get(meta, "token_endpoint_auth_methods_supported")
		for m := range jsonrpc.Elements(list, jsonrpc.Span{End: len(list)}) {
			e.methods = append(e.methods, jsonrpc.String(list[m.Start:m.End]))
		}
		return e, nil
	}
	return nil, fmt.Errorf("the authorization server %s has no metadata, neither of RFC 8414 nor of OpenID Connect; set oauth.token_url", at.Host)
}

// wellKnownResource returns where the metadata of the server may be.
func wellKnownResource(server *url.URL) []*url.URL {
	const name = "/.well-known/oauth-protected-resource"
	path := strings.TrimSuffix(server.EscapedPath(), "/")
	all := []*url.URL{at(server, name+path)}
	if path != "" {
		all = append(all, at(server, name))
	}
	return all
}

// wellKnownIssuer returns where the metadata of an issuer may be.
func wellKnownIssuer(issuer *url.URL) []*url.URL {
	path := strings.TrimSuffix(issuer.EscapedPath(), "/")
	all := []*url.URL{
		at(issuer, "/.well-known/oauth-authorization-server"+path),
		at(issuer, "/.well-known/openid-configuration"+path),
	}
	if path != "" {
		all = append(all, at(issuer, path+"/.well-known/openid-configuration"))
	}
	return all
}

// at returns the address of a path, escaped, on the origin of u.
func at(u *url.URL, path string) *url.URL {
	to := &url.URL{Scheme: u.Scheme, Host: u.Host, RawPath: path}
	to.Path, _ = url.PathUnescape(path) // it was escaped by url.URL
	return to
}

// metadata reads a document of metadata: a JSON object. It is nil where there is none.
func (s *Source) metadata(ctx context.Context, u *url.URL) ([]byte, error) {
	req := (&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}).WithContext(ctx)
	res, err := s.do(req, false)
	switch {
	case err != nil:
		return nil, err
	case res.status >= 500 || res.status == http.StatusTooManyRequests:
		return nil, fmt.Errorf("it answered with HTTP status %d", res.status)
	case res.status != http.StatusOK:
		return nil, nil
	}
	return object(res.body)
}

// object checks that a body is one JSON object, read as strictly as messages are.
func object(body []byte) ([]byte, error) {
	body = []byte(strings.TrimSpace(string(body)))
	if err := jsonrpc.CheckValue(body, jsonrpc.Limits{MaxBytes: maxBody, MaxDepth: maxDepth}); err != nil || len(body) == 0 || body[0] != '{' {
		return nil, errors.New("its answer is not a JSON object without duplicate names")
	}
	return body, nil
}
